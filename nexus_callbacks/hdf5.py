"""hdf5: create, append and link in a NeXus file, with h5py.

The only room, with :mod:`nexus_callbacks.writer` and :mod:`nexus_callbacks.master`, that opens HDF5 for writing.
Files are written in a format that HDF5 1.10 reads, without HDF5's own file locks (design D6).
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from nexus_callbacks import assets
from nexus_callbacks.assets import FrameRange
from nexus_callbacks.values import common, texts

# facts: libver 'latest' in h5py 3.16 writes files that HDF5 1.10 and h5wasm cannot read.
LIBVER = ("earliest", "v110")
CHUNK_BYTES = 64 * 1024
CHUNK_ROWS = 1024
TEXT = h5py.string_dtype("utf-8")

Array = np.ndarray[Any, Any]


def open_file(path: Path, mode: str = "r+") -> h5py.File:
    """Open a file for writing."""
    return h5py.File(path, mode, libver=LIBVER, locking=False)


def create_exclusively(path: Path, attributes: Mapping[str, Any]) -> None:
    """Make a NeXus file with its root's attributes, complete or not at all.

    The file is made under a temporary name and hard-linked to ``path``: nobody ever sees an empty file.

    Raises
    ------
    FileExistsError
        Something of that name is there; it is left alone.
    OSError
        The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open_file(temporary, "x") as file:
            set_attributes(file, {"NX_class": "NXroot", **attributes})
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            # A file system without hard links (FAT, some network shares): reserve the name, then put the file there.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def set_attributes(node: h5py.HLObject, attributes: Mapping[str, Any]) -> None:
    """Set attributes; lists of str become arrays of variable-length text."""
    for name, value in attributes.items():
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            node.attrs.create(name, np.array(value, dtype=object), dtype=TEXT)
        else:
            node.attrs[name] = value


def require_group(file: h5py.File, path: str, nx_class: str) -> h5py.Group:
    """The group at a path, made with its class if it is not there; missing parents become NXcollection."""
    if path in file:
        return cast(h5py.Group, file[path])
    parent = path.rpartition("/")[0]
    if parent and parent not in file:
        require_group(file, parent, "NXcollection")
    group = file.create_group(path)
    group.attrs["NX_class"] = nx_class
    return group


def write_field(file: h5py.File, path: str, value: Any, attributes: Mapping[str, Any]) -> None:
    """Write a dataset once: text, number, boolean or an array of them.

    Raises
    ------
    ValueError
        HDF5 cannot hold the value, or something else is at the path.
    """
    if path in file:
        raise ValueError(f"{path} of {file.filename} is there already")
    parent = require_group(file, path.rpartition("/")[0], "NXcollection")
    array = np.asarray(value, dtype=object) if _is_text(value) else np.asarray(value)
    if array.dtype.kind in "OUS":
        if any("\0" in str(v) for v in array.ravel()):
            raise ValueError(f"{path}: a text with a NUL character cannot be stored")
        dataset = parent.create_dataset(path.rpartition("/")[2], data=array.astype(object), dtype=TEXT)
    else:
        dataset = parent.create_dataset(path.rpartition("/")[2], data=array)
    set_attributes(dataset, attributes)


def _is_text(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(v, str) for v in value)
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind in "OUS")


def append(file: h5py.File, path: str, rows: Array, attributes: Mapping[str, Any]) -> None:
    """Append rows to a growing dataset, made on its first rows.

    A dataset whose type or row shape the new rows do not fit is written anew in a type that holds both.
    """
    if path not in file:
        _create(file, path, rows, attributes)
        return
    dataset = cast(h5py.Dataset, file[path])
    have = np.empty((0, *dataset.shape[1:]), dtype=object if _holds_text(dataset) else dataset.dtype)
    dtype, fits = common(have, rows)
    if not fits or dtype != have.dtype:
        old = dataset.asstr()[()] if _holds_text(dataset) else dataset[()]
        both = [old, rows] if fits else [texts(old.tolist()), texts(rows.tolist())]
        kept = dict(dataset.attrs)
        del file[path]
        _create(file, path, np.concatenate([part.astype(dtype) for part in both]), kept)
        return
    count = dataset.shape[0]
    dataset.resize(count + len(rows), axis=0)
    dataset[count:] = rows


def _holds_text(dataset: h5py.Dataset) -> bool:
    return h5py.check_string_dtype(dataset.dtype) is not None


def _create(file: h5py.File, path: str, rows: Array, attributes: Mapping[str, Any]) -> None:
    parent = require_group(file, path.rpartition("/")[0], "NXcollection")
    row = max(int(np.prod(rows.shape[1:])) * (rows.dtype.itemsize or 1), 1)
    chunk = (max(1, min(CHUNK_ROWS, CHUNK_BYTES // row)), *(max(n, 1) for n in rows.shape[1:]))
    dataset = parent.create_dataset(
        path.rpartition("/")[2],
        data=rows,
        dtype=TEXT if rows.dtype == object else rows.dtype,
        maxshape=(None, *rows.shape[1:]),
        chunks=chunk,
    )
    set_attributes(dataset, attributes)


def truncate(file: h5py.File, path: str, rows: int) -> None:
    """Drop all but the first rows of a growing dataset."""
    if path in file:
        dataset = cast(h5py.Dataset, file[path])
        if dataset.shape[0] > rows:
            dataset.resize(rows, axis=0)


def link(file: h5py.File, path: str, target: str) -> bool:
    """Make a soft link and note its target where NeXus wants it; False if there is nothing to link to."""
    if target not in file:
        return False
    require_group(file, path.rpartition("/")[0], "NXcollection")
    if path not in file:
        file[path] = h5py.SoftLink(target)
    aim = file[target]
    if "target" not in aim.attrs:
        aim.attrs["target"] = target
    return True


def link_frames(
    file: h5py.File,
    path: str,
    ranges: Sequence[FrameRange],
    *,
    shape: Sequence[int],
    dtype: str,
    attributes: Mapping[str, Any],
) -> None:
    """Make a virtual dataset (frames, *shape) of ranges of frames in other files; no pixel is read.

    Paths are kept relative to the file, so that a folder can be moved as a whole.
    """
    folder = Path(file.filename).parent
    total = sum(r.stop - r.start for r in ranges)
    layout = h5py.VirtualLayout((total, *shape), np.dtype(dtype))
    row = 0
    for piece in ranges:
        count = piece.stop - piece.start
        name = assets.relative(piece.path, folder)
        source = h5py.VirtualSource(name, piece.dataset, (piece.stop, *shape), np.dtype(dtype))
        layout[row : row + count] = source[piece.start : piece.stop]
        row += count
    parent = require_group(file, path.rpartition("/")[0], "NXcollection")
    dataset = parent.create_virtual_dataset(path.rpartition("/")[2], layout)
    set_attributes(dataset, attributes)


def link_file(file: h5py.File, path: str, source: FrameRange) -> None:
    """Make an external link to a dataset of another file, relative to this one."""
    require_group(file, path.rpartition("/")[0], "NXcollection")
    name = assets.relative(source.path, Path(file.filename).parent)
    file[path] = h5py.ExternalLink(name, source.dataset)
