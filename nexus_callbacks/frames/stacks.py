"""Stacks: the frames of one dataset, and where each of them lies. Values that are kept in the file as JSON.

From such a record the links can be made again when files have come, or have moved
(:mod:`~nexus_callbacks.frames.relink`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nexus_callbacks import documents
from nexus_callbacks.frames.formats import FrameRange, Series

NOTE = "nexus_callbacks/frames"
"""Path of the note below its entry."""
ABOUT = "Where the frames of detectors lie; `nexus-callbacks relink` makes the links from it again"

FOLDER = "folder"
"""Attribute of the note's text: the folder of the file when it was written, from which a move can be told."""
PARTS = "nexus_callbacks/frames_parts"
"""Path, below its entry, of the datasets that virtual ones are made of where raw storage has gaps or many files."""

RAW = "external raw storage"
MOVED = "paths are absolute: after moving the files, nexus-callbacks relink"

MOST_FILES = 200_000
"""Files that one dataset is made of; more are a mistake in a document."""


@dataclass(frozen=True)
class Piece:
    """Successive frames of a series; without a series, frames that are nowhere."""

    series: Series | None
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same with adjoining pieces made one, and empty ones left out."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if last and last.series == piece.series and (last.stop == piece.start or piece.series is None):
            found[-1] = Piece(last.series, last.start, last.stop + len(piece))
        elif len(piece) > 0:
            found.append(piece)
    return found


@dataclass(frozen=True)
class Stack:
    """The frames of one dataset."""

    path: str
    """Where the dataset is, or is to be, in its file."""
    shape: tuple[int, ...]
    """Shape of one frame, as the device announced it."""
    dtype: str | None
    """Type of a pixel, as the device announced it."""
    pieces: tuple[Piece, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    """The one piece is all there is in its file: no frame without a row."""

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.pieces)

    def ranges(self) -> list[FrameRange]:
        """File by file, gaps included, in the order of the rows."""
        found: list[FrameRange] = []
        for piece in self.pieces:
            if piece.series is None:
                found.append(FrameRange("", "", piece.start, piece.stop))
            else:
                found += piece.series.ranges(piece.start, piece.stop)
        return found

    def files(self) -> int:
        """Number of files, counted without making a list of them."""
        return sum(piece.series.files(piece.start, piece.stop) for piece in self.pieces if piece.series)

    def moved(self, roots: Mapping[str, str], folder: Path, before: str) -> Stack:
        """The same with the paths as they are now.

        In this order: as ``roots`` (old prefix → new) have it; beside the dataset's file, whose folder was ``before``
        (empty if nobody knows) and is ``folder``; and where it was.
        """
        now: dict[Series, Series] = {}
        for piece in self.pieces:
            if piece.series and piece.series not in now:
                now[piece.series] = _found(piece, piece.series, roots, folder, before)
        pieces = tuple(replace(p, series=now[p.series]) if p.series else p for p in self.pieces)
        return replace(self, pieces=pieces)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; see :meth:`from_dict`."""
        series = list(dict.fromkeys(piece.series for piece in self.pieces if piece.series))
        numbers = {each: i for i, each in enumerate(series)}
        return {
            "path": self.path,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "attributes": dict(self.attributes),
            "whole": self.whole,
            "series": [each.as_dict() for each in series],
            "pieces": [[numbers[p.series] if p.series else None, p.start, p.stop] for p in self.pieces],
        }

    @classmethod
    def from_dict(cls, found: Any) -> Stack:
        """Read what :meth:`as_dict` made.

        Raises
        ------
        ValueError
            It is something else.
        """
        try:
            series = [Series.from_dict(each) for each in found["series"]]
            pieces = tuple(
                Piece(None if number is None else series[_count(number)], _count(start), _count(stop))
                for number, start, stop in found["pieces"]
            )
            shape, dtype, attributes = found["shape"], found["dtype"], found["attributes"]
            if not isinstance(attributes, dict) or not isinstance(dtype, str | None):
                raise TypeError("dtype or attributes")
            path = str(found["path"])
            return cls(path, tuple(_count(n) for n in shape), dtype, pieces, attributes, bool(found["whole"]))
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"no record of frames: {type(error).__name__}: {error}") from error


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError(f"no record of frames: {value!r} is no count")
    return value


def _found(piece: Piece, series: Series, roots: Mapping[str, str], folder: Path, before: str) -> Series:
    mapped = rooted(series.path, roots)
    if mapped != series.path or not before:
        return replace(series, path=mapped)
    # Not by pathlib, which drops the slash at the end.
    near = os.path.normpath(folder / os.path.relpath(series.path, before)) + ("/" if series.path.endswith("/") else "")
    moved = replace(series, path=near)
    ends = (moved.ranges(piece.start, piece.start + 1), moved.ranges(piece.stop - 1, piece.stop))
    return moved if any(Path(each.path).is_file() for end in ends for each in end) else series


def rooted(path: str, roots: Mapping[str, str]) -> str:
    """A path with the longest of the prefixes that fits it replaced.

    >>> rooted("/mnt/det/cam.h5", {"/mnt": "/a", "/mnt/det/": "/b"})
    '/b/cam.h5'
    """
    for old, new in sorted(roots.items(), key=lambda root: -len(root[0])):
        prefix = old.replace("\\", "/").rstrip("/")
        if path == prefix or path.startswith(prefix + "/"):
            return new.rstrip("/") + path[len(prefix) :]
    return path


def relative(path: str, folder: Path) -> str:
    """``path`` as seen from ``folder``, with forward slashes, as HDF5 resolves it beside the file.

    Symbolic links are resolved on both sides, so that ``..`` leads where it should.
    """
    return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()


@dataclass(frozen=True)
class Linked:
    """What became of a stack."""

    how: str
    """``external link``, ``virtual dataset`` or ``external raw storage``; empty if there is no dataset of frames."""
    reason: str = ""
    """Why there is none."""
    remarks: tuple[str, ...] = ()
    """What is to be known of the dataset that there is: frames that are missing, files longer than announced."""
    parts: str = ""
    """Group of datasets which a virtual one is made of, if there are any."""
    listed: tuple[str, ...] = ()
    """Files to list instead of a dataset of frames."""


def not_there(files: Sequence[str]) -> str:
    """How to say that files are missing."""
    shown = ", ".join(files[:3]) + (f" … ({len(files)} files)" if len(files) > 3 else "")
    return f"no file {shown}"


def part_name(path: str) -> str:
    """Name of the group of parts of a dataset: its path below the entry, in one word."""
    return "_".join(path.strip("/").split("/")[1:])


def record(stack: Stack, linked: Linked) -> dict[str, Any]:
    """What is kept of a stack in its file, for JSON."""
    made = {k: v for k, v in (("how", linked.how), ("reason", linked.reason), ("parts", linked.parts)) if v}
    return {**stack.as_dict(), **made, **({"remarks": list(linked.remarks)} if linked.remarks else {})}


def to_json(records: Sequence[Mapping[str, Any]]) -> str:
    """Text of the note."""
    return documents.to_json({"frames": records})


def from_json(text: str) -> list[dict[str, Any]]:
    """The records of a note.

    Raises
    ------
    ValueError
        The text is something else.
    """
    try:
        found = json.loads(text)
        records = found["frames"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise ValueError(f"no record of frames: {type(error).__name__}: {error}") from error
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise ValueError("no record of frames: 'frames' is no list of objects")
    return records
