"""Comparison of two files of ours: every object, link, type, shape, value and attribute.

What may differ is listed (:data:`PLACES`, and links to files, which are told from where the file is): a file that lies
elsewhere says so.
"""

import json
from pathlib import Path

import h5py
import numpy as np

FRAMES = "/entry/nexus_callbacks/frames/data"
"""Where the detectors' files are, as links are: relative to the file."""
PLACES = {
    "/@file_name": "the file's own name, where it was given another",
    "/entry/folder_path": "its folder (run:folder)",
    f"{FRAMES}@folder": "its folder, from which relink sees where the detectors' files were",
}
"""What tells where a file is, and so may differ between two places; path in the file → why."""


def differences(one, other, allowed=PLACES):
    """Everything in which two files differ, as texts."""
    with h5py.File(one, locking=False) as first, h5py.File(other, locking=False) as second:
        contents = [dict(contents_of(file)) for file in (first, second)]
    found = []
    for path in sorted(contents[0].keys() | contents[1].keys()):
        mine, yours = (content.get(path, "is not there") for content in contents)
        if mine != yours and path not in allowed:
            found.append(f"{path}: {mine} != {yours}")
    return found


def contents_of(file):
    """Path → kind, type, shape, content of each object, link and attribute."""
    yield from attributes_of("/", file)
    waiting = ["/"]
    while waiting:
        group = waiting.pop()
        for name in file[group]:
            path = f"{group.rstrip('/')}/{name}"
            link = file.get(path, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield path, ("external", resolved(file, link.filename), link.path)
            elif isinstance(link, h5py.SoftLink):
                yield path, ("soft", link.path)
            elif isinstance(file[path], h5py.Group):
                yield path, ("group",)
                waiting.append(path)
                yield from attributes_of(path, file[path])
            else:
                yield path, dataset(file, file[path])
                yield from attributes_of(path, file[path])


def dataset(file, found):
    if found.is_virtual:
        sources = found.virtual_sources()
        where = [(resolved(file, s.file_name), s.dset_name, s.src_space.get_select_bounds()) for s in sources]
        return "virtual", found.shape, str(found.dtype), where, found[()].tobytes()
    if found.name == FRAMES:
        return "frames", json.dumps(placed(file, json.loads(found.asstr()[()])))
    return "dataset", found.shape, found.maxshape, found.external, *content(found[()], found.dtype)


def placed(file, record):
    """The record of where frames are, with what is relative to the file resolved."""
    if isinstance(record, list):
        return [placed(file, each) for each in record]
    if isinstance(record, dict):
        return {k: resolved(file, v) if k == "relative" else placed(file, v) for k, v in record.items()}
    return record


def attributes_of(path, node):
    for name in node.attrs:
        kind = node.attrs.get_id(name).dtype
        yield f"{path}@{name}", ("attribute", np.shape(node.attrs[name]), *content(node.attrs[name], kind))


def content(value, dtype):
    """Type and value; NaN is equal to itself, 1 is not 1.0, and the text's encoding counts."""
    text = h5py.check_string_dtype(dtype)
    array = np.asarray(value)
    return str(dtype), text and text.encoding, str(array.tolist()) if text else array.tobytes()


def resolved(file, name):
    if Path(name).name == name:
        return name  # Beside it: a run of the same kind, in the same place as it is.
    return str((Path(file.filename).parent / name).resolve())


def assert_same(ones, others, allowed=PLACES):
    """Two mappings of run uid → file hold the same runs, in two places, with equal files."""
    assert ones.keys() == others.keys()
    for uid, path in ones.items():
        assert path != others[uid]
        assert differences(path, others[uid], allowed) == []
