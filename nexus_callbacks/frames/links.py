"""Frames: links to the frames that detectors wrote to their own files, made with h5py; no pixel is copied.

An external link where one HDF5 dataset is the whole stack; else a virtual dataset, relative like the link; and HDF5
external raw storage, whose paths must be absolute, for uncompressed NPY, EDF and TIFF. Frames that are missing are
gaps of fill values in a virtual dataset, and are told (design D7).
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nexus_callbacks import hdf5
from nexus_callbacks.frames.formats import FrameRange, format_of
from nexus_callbacks.frames.headers import HeaderError, Stored
from nexus_callbacks.frames.stacks import MOST_FILES, MOVED, RAW, Linked, Stack, not_there, relative

MOST_SEGMENTS = 2000
"""Places of raw storage in one dataset: HDF5 keeps 24 bytes of each in one message of at most 64 kB."""

Failed = (OSError, KeyError, RuntimeError, ValueError, TypeError)
"""What h5py raises for a file that it cannot read."""


def link(file: h5py.File, stack: Stack, parts: str, finished: bool = False) -> Linked:
    """Make the dataset of a stack of frames, as far as its frames are there.

    Parameters
    ----------
    file
        Open for writing; there must be nothing at the stack's path.
    parts
        Path of a group that may be made for datasets which a virtual one needs.
    finished
        No detector writes any of the files any more, so that each may be opened and what is in it compared with what
        was announced. Else only those are opened whose detectors close them with each row.

    Raises
    ------
    ValueError, TypeError, KeyError, RuntimeError
        HDF5 does not take it; what was made of it is gone again.
    """
    refused = _refusal(stack)
    if refused:
        return refused
    ranges = stack.ranges()
    files = list(dict.fromkeys(r.path for r in ranges if r.path))
    missing = {name: None for name in files if not _is_file(name)}
    if len(missing) == len(files):
        return Linked("", f"the frames are not there: {not_there(list(missing))}")
    row = next(format_of(r.spec, r.dataset) for r in ranges if r.path)
    if row.way == "raw" and not (finished or row.closed):
        reason = "its detector may still be writing: nexus-callbacks relink makes the link"
        return Linked("", f"the frames are in one {row.name} file, and {reason}", listed=tuple(files))
    try:
        plan = _plan(stack, ranges, missing, _Look(finished or row.closed))
        if isinstance(plan, Linked):
            return plan
        return _by_raw(file, stack, plan, parts) if row.way == "raw" else _by_links(file, stack, plan)
    except Failed:
        for path in (stack.path, parts):
            if file.get(path, getlink=True) is not None:
                del file[path]
        raise


def _refusal(stack: Stack) -> Linked | None:
    """What to say of a stack that HDF5 cannot show whatever is on disk; None if it can."""
    every = [piece for piece in stack.pieces if piece.series]
    rows = {piece.series.spec: piece.series.format for piece in every if piece.series}
    if not every:
        return Linked("", "the frames are not there: the detector told of none")
    if stack.files() > MOST_FILES:
        return Linked("", f"the documents tell of {stack.files()} files of frames, more than {MOST_FILES}")
    bad = next((row for row in rows.values() if row.way == "none"), None)
    if bad or len({row.way for row in rows.values()}) > 1:
        listed = tuple(dict.fromkeys(r.path for r in stack.ranges() if r.path))
        why = bad.reason if bad else "files of several kinds"
        return Linked("", f"the frames are in files that HDF5 cannot show ({why})", listed=listed)
    return None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # longer than a name can be, or with a zero in it
        return False


@dataclass(frozen=True)
class _Found:
    """What is in a file that was opened."""

    dtype: str
    shape: tuple[int, ...]
    """Shape of one frame."""
    count: int
    """Frames in the file."""
    extent: tuple[int, ...] = ()
    """Shape of an HDF5 dataset."""
    offsets: tuple[int, ...] = ()
    """Place of each frame in a raw file, bytes."""


class _Look:
    """Looks into files, once into each, if that is allowed."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed
        self._known: dict[tuple[str, str], _Found | str | None] = {}

    def __call__(self, piece: FrameRange, shape: tuple[int, ...]) -> _Found | str | None:
        """What is in a file, or why it cannot be shown; None if it must not be opened."""
        key = (piece.path, piece.dataset)
        if key not in self._known:
            self._known[key] = self._open(piece, shape) if self._allowed else None
        return self._known[key]

    def _open(self, piece: FrameRange, shape: tuple[int, ...]) -> _Found | str:
        read = format_of(piece.spec, piece.dataset).read
        try:
            return _raw(read(Path(piece.path)), shape) if read else _dataset(piece, shape)
        except FileNotFoundError:
            return "is not there"
        except HeaderError as error:
            return str(error)
        except Failed as error:
            return f"cannot be read: {error}"


def _raw(stored: Stored, shape: tuple[int, ...]) -> _Found:
    split = stored.split(shape)
    return _Found(split.dtype, split.shape, len(split.offsets), offsets=split.offsets)


def _dataset(piece: FrameRange, shape: tuple[int, ...]) -> _Found:
    with h5py.File(piece.path, "r", locking=False) as file:
        dataset = file.get(piece.dataset)
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"there is no dataset {piece.dataset}")
        extent, dtype = dataset.shape, dataset.dtype
        if dtype.kind not in "biufc":
            raise ValueError(f"{piece.dataset} holds no numbers")
    if extent == shape:  # a file of a single frame
        return _Found(dtype.str, shape, 1, extent)
    if not extent:
        raise ValueError(f"{piece.dataset} holds a single value")
    return _Found(dtype.str, extent[1:], extent[0], extent)


@dataclass
class _Plan:
    """The rows of a stack, each range beside what is in its file; gaps have no path."""

    shape: tuple[int, ...]
    dtype: str | None
    rows: list[tuple[FrameRange, _Found | None]] = field(default_factory=list)
    lost: int = 0
    """Frames in gaps."""
    why: dict[str, str] = field(default_factory=dict)
    """File → what is wrong with it."""
    remarks: list[str] = field(default_factory=list)
    longer: bool = False
    """A file holds frames beyond those that were announced."""

    def gap(self, count: int) -> None:
        self.rows.append((FrameRange("", "", 0, count), None))
        self.lost += count

    def take(self, piece: FrameRange, found: _Found | None) -> None:
        """Take what there is of a range; a file that was not looked into holds what was announced."""
        here = min(piece.stop, found.count) if found else piece.stop
        if here > piece.start:
            self.rows.append((replace(piece, stop=here), found))
        if found and here < piece.stop:
            self.gap(piece.stop - max(here, piece.start))
            self.why[piece.path] = f"has {found.count} frames where {piece.stop} were announced"

    def reasons(self) -> str:
        """The first few of what is wrong."""
        return "; ".join(f"{path} {reason}" for path, reason in list(self.why.items())[:3])


GONE = "is not there"


def _plan(stack: Stack, ranges: Sequence[FrameRange], missing: Container[str], look: _Look) -> _Plan | Linked:
    """Which frames can be linked; what is in the files decides where it contradicts what was announced."""
    plan = _Plan(stack.shape, stack.dtype)
    lead: _Found | None = None
    for piece in ranges:
        found = GONE if piece.path in missing else look(piece, stack.shape) if piece.path else ""
        if isinstance(found, _Found):
            lead = lead or found
            if (found.shape, found.dtype) != (lead.shape, lead.dtype):
                found = f"holds frames of {found.shape} {found.dtype}, others of {lead.shape} {lead.dtype}"
        if isinstance(found, str):
            plan.gap(piece.stop - piece.start)
            if found:
                plan.why.setdefault(piece.path, found)
            continue
        plan.take(piece, found)
        if found and stack.whole and found.count > piece.stop:
            plan.longer = True
            plan.remarks.append(f"{piece.path} has {found.count - piece.stop} frames that were not announced")
    if not any(piece.path for piece, _ in plan.rows):
        if all(reason == GONE for reason in plan.why.values()):
            return Linked("", f"the frames are not there: {not_there(list(plan.why))}")
        return Linked("", f"HDF5 cannot show the frames: {plan.reasons()}", listed=tuple(plan.why))
    if lead is not None:
        if lead.shape != stack.shape:
            plan.remarks.append(f"the frames have the shape {lead.shape}, announced were {stack.shape}")
        plan.shape, plan.dtype = lead.shape, lead.dtype
    if plan.lost and plan.dtype:
        reasons = plan.reasons() or "the detector told of none"
        plan.remarks.append(
            f"{plan.lost} of {len(stack)} frames are missing, they read as {fill_of(plan.dtype)}: {reasons}"
        )
    return plan


def _by_links(file: h5py.File, stack: Stack, plan: _Plan) -> Linked:
    at_start = len(plan.rows) == 1 and plan.rows[0][0].start == 0
    if at_start and stack.whole and not plan.longer:
        link_file(file, stack.path, plan.rows[0][0])
        return Linked("external link", remarks=tuple(plan.remarks))
    if plan.dtype is None:
        return Linked("", "the descriptor gives no dtype_numpy, which ranges of frames need")
    sources = []
    for piece, found in plan.rows:
        extent = found.extent if found else (piece.stop, *plan.shape)
        sources.append((_source_name(piece.path, file) if piece.path else "", piece, extent))
    _virtual(file, stack.path, sources, plan, {**stack.attributes, **_gap_attributes(plan)})
    return Linked("virtual dataset", remarks=tuple(plan.remarks))


def _by_raw(file: h5py.File, stack: Stack, plan: _Plan, parts: str) -> Linked:
    dtype = np.dtype(plan.dtype)
    size = int(np.prod(plan.shape, dtype=int)) * dtype.itemsize
    runs = list(_runs(plan, size))
    attributes = {**stack.attributes, "external_storage": MOVED, **_gap_attributes(plan)}
    if len(runs) == 1 and not plan.lost:
        _create_raw(file, stack.path, runs[0], plan, attributes)
        return Linked(RAW, remarks=tuple(plan.remarks))
    sources = []
    for number, run in enumerate(runs):
        frames = sum(n for *_, n in run)
        part = f"{parts}/part_{number}"
        if run[0][0]:
            _create_raw(file, part, run, plan, {"external_storage": MOVED})
        sources.append((("." if run[0][0] else ""), FrameRange(".", part, 0, frames), (frames, *plan.shape)))
    _virtual(file, stack.path, sources, plan, attributes)
    return Linked(RAW, remarks=tuple(plan.remarks), parts=parts)


FRAME_BY_FRAME = 3000
"""Frames up to which each is mapped by itself. nexusformat, and so NeXpy, takes a virtual dataset to have as many
frames as it has sources. A source costs 0.1 ms and 120 bytes once, and readers nothing that can be measured up to
here."""

Segment = tuple[str, int, int]
"""Absolute path or, for a gap, nothing; offset in bytes; number of frames that follow one another there."""


def _runs(plan: _Plan, size: int) -> Iterator[list[Segment]]:
    """The rows as lists of segments of which each fits into one dataset; a gap is a list of its own."""
    run: list[Segment] = []
    for path, offset, count in _segments(plan, size):
        if run and (len(run) >= MOST_SEGMENTS or not path or not run[0][0]):
            yield run
            run = []
        run.append((path, offset, count))
    if run:
        yield run


def _segments(plan: _Plan, size: int) -> Iterator[Segment]:
    last: Segment | None = None
    for piece, found in plan.rows:
        # HDF5 takes a relative path of raw storage from the reader's working folder.
        path = os.path.normpath(Path(piece.path).absolute()) if piece.path else ""
        places = found.offsets[piece.start : piece.stop] if found else ()
        for segment in [(path, o, 1) for o in places] or [("", 0, piece.stop - piece.start)]:
            if last and last[0] == segment[0] and (not last[0] or last[1] + last[2] * size == segment[1]):
                last = (last[0], last[1], last[2] + segment[2])
            else:
                if last:
                    yield last
                last = segment
    if last:
        yield last


def _create_raw(file: h5py.File, path: str, run: Sequence[Segment], plan: _Plan, attributes: dict[str, Any]) -> None:
    frames = sum(count for *_, count in run)
    size = int(np.prod(plan.shape, dtype=int)) * np.dtype(plan.dtype).itemsize
    parent = hdf5.require_group(file, path.rpartition("/")[0], "NXcollection")
    external = [(name, offset, count * size) for name, offset, count in run]
    dataset = parent.create_dataset(
        path.rpartition("/")[2], shape=(frames, *plan.shape), dtype=plan.dtype, external=external
    )
    hdf5.set_attributes(dataset, attributes)


def _virtual(
    file: h5py.File,
    path: str,
    sources: Sequence[tuple[str, FrameRange, tuple[int, ...]]],
    plan: _Plan,
    attributes: dict[str, Any],
) -> None:
    """Make a virtual dataset (frames, *shape) of sources: name of the file, or nothing for a gap; range; extent."""
    dtype = np.dtype(plan.dtype)
    total = sum(piece.stop - piece.start for _, piece, _ in sources)
    layout = h5py.VirtualLayout((total, *plan.shape), dtype)
    row = 0
    for name, piece, extent in sources:
        count = piece.stop - piece.start
        step = 1 if total <= FRAME_BY_FRAME else count
        source = h5py.VirtualSource(name or ".", piece.dataset, extent, dtype)
        one_frame = extent == plan.shape
        for first in range(0, count, step) if name else ():
            rows, start = slice(row + first, row + first + step), piece.start + first
            layout[rows.start if one_frame else rows] = source if one_frame else source[start : start + step]
        row += count
    parent = hdf5.require_group(file, path.rpartition("/")[0], "NXcollection")
    fill = fill_of(dtype.str) if plan.lost else None
    dataset = parent.create_virtual_dataset(path.rpartition("/")[2], layout, fillvalue=fill)
    hdf5.set_attributes(dataset, attributes)


def _source_name(path: str, file: h5py.File) -> str:
    # %b in the name of a source stands for a number (HDF5 reference manual, H5Pset_virtual).
    return relative(path, Path(file.filename).parent).replace("%", "%%")


def fill_of(dtype: str) -> Any:
    """What a frame that is missing reads as: no value that a detector takes for a measured one, as far as there is."""
    kind = np.dtype(dtype)
    if kind.kind in "fc":
        return kind.type(np.nan)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return kind.type(info.max if kind.kind == "u" else info.min)
    return kind.type(0)


def _gap_attributes(plan: _Plan) -> dict[str, Any]:
    """Which rows of a dataset are gaps, for whoever reads it: first row and number of rows of each."""
    found, row = [], 0
    for piece, _ in plan.rows:
        count = piece.stop - piece.start
        if not piece.path:
            found.append((row, count))
        row += count
    return {"missing_frames": np.array(found, dtype=np.int64)} if found else {}


def link_file(file: h5py.File, path: str, source: FrameRange) -> None:
    """Make an external link to a dataset of another file, relative to this one."""
    hdf5.require_group(file, path.rpartition("/")[0], "NXcollection")
    name = relative(source.path, Path(file.filename).parent)
    file[path] = h5py.ExternalLink(name, source.dataset)
