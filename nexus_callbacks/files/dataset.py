"""Dataset: the file of several runs, an entry each, and one entry over them (design D11).

The file is copied, changed and put in place of the old one in a single step, as a master is: readers see the old or
the new one, and whoever is killed in between has harmed nothing. What is copied are columns and metadata; frames stay
where their detectors wrote them.
"""

from __future__ import annotations

import glob
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import h5py

from nexus_callbacks import hdf5
from nexus_callbacks.datasets import ENTRY, Target
from nexus_callbacks.layout.coverage import NOTE, Coverage, from_json
from nexus_callbacks.layout.generic import PARENT, SUB_RUNS

BLUESKY = PARENT.partition("/")[0]
RUN = re.compile(rf"{ENTRY}(_\d{{4,}})?")
"""Name of a run's entry; what else stands in the file is somebody else's, and stays."""
OVER_ALL = f"{ENTRY}_dataset"
"""The entry over the runs: behind theirs in the order of names, as some programs look at the first only."""


class DatasetError(OSError):
    """The dataset's file cannot be changed; the run's own file is complete and linked, or its journal is kept."""


def announce(target: Target) -> None:
    """Link a run that begins into its dataset's file, so that it can be read from there while it is written.

    Raises
    ------
    DatasetError
        The dataset's file cannot be read or written; says why.
    """

    def add(file: h5py.File) -> None:
        _link(file, target)
        _tell_state(file)

    _change(target, lambda: (target.path, add))


def merge(target: Target) -> None:
    """Move the entry of a run that has ended from its part into the dataset's file; nothing if that was done before.

    Raises
    ------
    DatasetError
        The dataset's file cannot be read or written; says why. The part stays, with the link to it.
    """
    if not target.file.exists():
        return

    def take(file: h5py.File) -> None:
        _link(file, target)
        with h5py.File(target.file, "r", locking=False) as part:
            _make_way(file, target.entry, part)
            part.copy(target.entry, file)
            _note_state(file[target.entry], part)
        _settle(file, target.dataset_uid)

    def take_over(file: h5py.File) -> None:
        _note_state(file[target.entry], file)
        with h5py.File(target.path, "r", locking=False) as shared:
            for name, link in _links(shared):
                if isinstance(link, h5py.ExternalLink) and name not in file:
                    file[name] = link
        hdf5.set_attributes(file, {"file_name": target.path.name})
        _settle(file, target.dataset_uid)

    # The first run's part becomes the file itself.
    _change(target, lambda: (target.path, take) if _has_entries(target) else (target.file, take_over))
    target.file.unlink(missing_ok=True)


Change = tuple[Path, Callable[[h5py.File], None]]
"""The file to begin with, and what to do to a copy of it."""


def _change(target: Target, choose: Callable[[], Change]) -> None:
    """Change a copy of a file and make it the dataset's; chosen under the lock, as others change it, too."""
    temporary = target.path.with_name(f".{target.path.name}.{uuid.uuid4().hex[:8]}.merging")
    try:
        with target.merging():
            for left in target.path.parent.glob(f".{glob.escape(target.path.name)}.*.merging"):
                left.unlink()  # Of a merge that was killed: the lock says that nobody is at one.
            source, how = choose()
            shutil.copyfile(source, temporary)
            with hdf5.open_file(temporary) as file:
                how(file)
            hdf5.mark(temporary)
            temporary.replace(target.path)
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
    ) as error:  # h5py raises any of them for a damaged file.
        raise DatasetError(f"{target.path}: entry {target.entry} could not be put in: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _make_way(file: h5py.File, name: str, part: h5py.File) -> None:
    """Take the link to a part away, or what was merged of the same run before."""
    there = file.get(f"{name}/{BLUESKY}/uid")
    mine = part.get(f"{name}/{BLUESKY}/uid")
    if isinstance(file.get(name, getlink=True), h5py.HardLink) and (
        there is None or mine is None or there[()] != mine[()]
    ):
        raise ValueError(f"something that is not of this run stands at /{name}")
    del file[name]


def _links(file: h5py.File) -> list[tuple[str, Any]]:
    return [(name, file.get(name, getlink=True)) for name in file]


def _has_entries(target: Target) -> bool:
    """Whether a run has been merged."""
    try:
        with h5py.File(target.path, "r", locking=False) as file:
            return bool(_merged(file))
    except OSError as error:
        raise DatasetError(f"{target.path}: cannot be read: {error}") from error


def _link(file: h5py.File, target: Target) -> None:
    if target.entry not in file and file.get(target.entry, getlink=True) is None:
        file[target.entry] = h5py.ExternalLink(target.file.name, f"/{target.entry}")
    if isinstance(file.attrs.get("default"), str) and file.attrs["default"] not in file:
        hdf5.set_attributes(file, {"default": target.entry})


# -- what the file says of itself ----------------------------------------------------------------------------------


def _note_state(entry: h5py.Group, part: h5py.File) -> None:
    """Keep with the entry what its own file said: complete, or incomplete and why."""
    told = {name: str(part.attrs[name]) for name in ("state", "state_reason") if name in part.attrs}
    if BLUESKY in entry:
        hdf5.set_attributes(entry[BLUESKY], told)


def _tell_state(file: h5py.File) -> None:
    """The state of the whole: writing while any run is, incomplete if any is."""
    writing = [name for name, link in _links(file) if isinstance(link, h5py.ExternalLink) and RUN.fullmatch(name)]
    reasons = []
    for name in _merged(file):
        told = file[name][BLUESKY].attrs if BLUESKY in file[name] else {}
        if told.get("state") == "incomplete":
            reasons.append(f"{name}: {told.get('state_reason', 'no reason is given')}")
    state = "writing" if writing else "incomplete" if reasons else "complete"
    if "state_reason" in file.attrs:
        del file.attrs["state_reason"]
    hdf5.set_attributes(file, {"state": state, **({"state_reason": "; ".join(reasons)} if reasons else {})})


def _merged(file: h5py.File) -> list[str]:
    """Names of the entries of runs that have ended, in the order in which the runs began."""
    return sorted(name for name, link in _links(file) if isinstance(link, h5py.HardLink) and RUN.fullmatch(name))


def _settle(file: h5py.File, dataset_uid: str) -> None:
    """Bring everything that stands over the runs up to date."""
    for name in _merged(file):
        _point_inwards(file, file[name])
    if OVER_ALL in file:
        del file[OVER_ALL]
    names = _merged(file)
    if len(names) > 1:
        _write_over_all(file, names, dataset_uid)
    hdf5.set_attributes(file, {"default": names[-1]})
    _tell_state(file)


def _point_inwards(file: h5py.File, entry: h5py.Group) -> None:
    """Links between runs of this file, which led through the file's name, become links within it."""
    here = Path(str(file.attrs.get("file_name", ""))).name
    subs = entry.get(SUB_RUNS)
    homes = [PARENT, *(f"{SUB_RUNS}/{name}" for name in (subs if isinstance(subs, h5py.Group) else ()))]
    for path in (f"{home}/start" for home in homes if home in entry):
        link = entry.get(path, getlink=True)
        if isinstance(link, h5py.ExternalLink) and link.filename == here and link.path in file:
            del entry[path]
            entry[path] = h5py.SoftLink(link.path)


# -- the entry over the runs ---------------------------------------------------------------------------------------


def _write_over_all(file: h5py.File, names: list[str], dataset_uid: str) -> None:
    """One entry for the dataset: initial values of its first run, final ones of its last, and its runs."""
    home = f"/{OVER_ALL}"
    hdf5.require_group(file, home, "NXentry")
    about = {"description": "dataset_uid of the start documents"}
    hdf5.write_field(file, f"{home}/entry_identifier", dataset_uid, about)
    hdf5.require_group(file, f"{home}/runs", "NXcollection")
    for name in names:
        _soft(file, f"{home}/runs/{name}", f"/{name}")
    covers = {name: found for name in names if (found := _coverage(file[name])) is not None}
    for path, source in _values(covers):
        _soft(file, f"{home}/{path}", f"{source}/{path}")
    for path, name in (("start_time", names[0]), ("end_time", names[-1])):
        if path in file[name] and path not in file[home]:
            _soft(file, f"{home}/{path}", f"/{name}/{path}")
    plot = file[names[-1]].attrs.get("default")
    if isinstance(plot, str) and plot in file[names[-1]] and plot not in file[home]:
        _soft(file, f"{home}/{plot}", f"/{names[-1]}/{plot}")
        hdf5.set_attributes(file[home], {"default": plot})


def _coverage(entry: h5py.Group) -> Coverage | None:
    note = entry.get(f"{NOTE}/data")
    return from_json(str(note.asstr()[()])) if isinstance(note, h5py.Dataset) else None


def _values(covers: dict[str, Coverage]) -> Iterator[tuple[str, str]]:
    """Path of each value in the definitions, with the entry that has the one which counts for the dataset."""
    found: dict[str, str] = {}
    for name, coverage in covers.items():
        for outcome in coverage.outcomes:
            if outcome.filled and outcome.record:
                for path in outcome.paths:
                    if outcome.record == "final" or path not in found:
                        found[path] = f"/{name}"
    yield from found.items()


def _soft(file: h5py.File, path: str, target: str) -> None:
    """A soft link, whose groups have the classes that the target's have."""
    aim = file.get(target)
    if aim is None:
        return
    above, where = path.rpartition("/")[0], target.rpartition("/")[0]
    missing = []
    while above not in file:
        missing.append((above, where))
        above, where = above.rpartition("/")[0], where.rpartition("/")[0]
    for group, model in reversed(missing):
        hdf5.require_group(file, group, str(cast(h5py.Group, file[model]).attrs.get("NX_class", "NXcollection")))
    if path not in file:
        file[path] = h5py.SoftLink(target)
    if isinstance(aim, h5py.Dataset | h5py.Group) and "target" not in aim.attrs:
        hdf5.set_attributes(aim, {"target": target})
