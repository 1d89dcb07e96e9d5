"""Live: a file read while it is written.

HDF5 has no way to tell a reader that its writer was in the middle of a flush: such a read fails, or, worse, gives
rows of zeros. So the writer leaves a mark in the file's time of modification each time it comes to rest
(:func:`nexus_callbacks.hdf5.mark`), which whatever is written next takes away. A read counts if the same mark was there
before and after it; else it is repeated (docs/decisions/0005).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import h5py
import numpy as np

from nexus_callbacks import hdf5

Found = TypeVar("Found")
Array = np.ndarray[Any, Any]

PAUSE = 0.01
"""In s, between two tries."""
QUIET = 5.0
"""In s: a file without a mark that did not change for so long is taken as it is; its writer died in a flush."""
OLD = 60.0
"""In s: so old a file is at rest, whatever clock of which machine set its time."""
SHORT = 0.3
"""In s: a read of that length is likely to meet the writer, which flushes about twice a second."""
LOOK = 0.1
"""In s: so often :meth:`Live.follow` looks whether there is something new."""


class LiveError(OSError):
    """The file could not be read undisturbed within the time that was given."""


def open_live(path: str | Path, timeout: float = 10.0) -> Live:
    """Read a file that may be being written: rows are seen at most a second after they were measured.

    ::

        with open_live(path) as live:
            frames = live.read(lambda file: file["entry/measurement/det"][-10:])
            table = live.columns("entry/measurement")

    Files that are complete, and files of other writers that do not change, are read as well. Nothing is held between
    two reads, so that neither the writer nor another reader is ever in the way. A read should take less than half a
    second, as the writer flushes about as often: take slices of what is long.

    Parameters
    ----------
    path
        A dataset file.
    timeout
        For so long, in s, a read is tried.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    found = Live(Path(path), timeout)
    found.path.stat()
    return found


class Live:
    """A file that may be being written. Made by :func:`open_live`."""

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self.repeated = 0
        """How many reads had to be repeated."""

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to close: see :func:`open_live`."""

    def read(self, function: Callable[[h5py.File], Found]) -> Found:
        """What a function makes of the file, which it may be called with several times.

        Parameters
        ----------
        function
            Called with the open file. It must return values, not objects of the file, which is closed when it returns.

        Raises
        ------
        LiveError
            The file was disturbed at each try, or was left by a writer that died so that HDF5 does not open it.
        FileNotFoundError
            The file is gone.
        Exception
            What the function raises of an undisturbed file, such as KeyError for something that is not there.
        """
        end = time.monotonic() + self.timeout
        watch = _Watch()
        longest, failure = 0.0, None
        while True:
            began = time.monotonic()
            flags = _flags(self.path)
            watch.begin()
            rests = watch.rests(self.path) and not flags
            if rests or flags & SWMR:
                try:
                    with h5py.File(self.path, "r", locking=False, swmr=bool(flags & SWMR)) as file:
                        rests = rests and all(map(watch.rests, _parts(file, self.path.parent)))
                        found = function(file)
                except Exception as error:  # Of a torn file h5py raises anything; only an undisturbed one is believed.
                    if (rests and watch.undisturbed()) or (flags and began > end):
                        raise
                    failure = error
                else:
                    if flags or (rests and watch.undisturbed()):
                        return found
                longest = max(longest, time.monotonic() - began)
            if began > end:
                raise self._refusal(flags, longest, failure) from failure
            self.repeated += 1
            time.sleep(PAUSE)

    def _refusal(self, flags: int, longest: float, failure: Exception | None) -> LiveError:
        if flags & ~SWMR and time.time() - self.path.stat().st_mtime > QUIET:
            return LiveError(
                f"{self.path} was left open by a writer that died: `nexus-callbacks recover` writes it anew, "
                "`h5clear -s` makes it readable as it is"
            )
        why = f": {failure}" if failure else ""
        if longest > SHORT:
            why += f"; one try took {longest:.1f} s, in which the writer comes by: read less at a time"
        return LiveError(f"{self.path} could not be read undisturbed within {self.timeout:g} s{why}")

    @property
    def state(self) -> str:
        """``writing``, ``complete`` or ``incomplete``; empty if the file does not say."""
        return self.read(lambda file: str(file.attrs.get("state", "")))

    def columns(self, group: str = "entry/measurement", start: int = 0) -> dict[str, Array]:
        """The columns that stand in a group, name → rows from ``start`` on, all cut to the length of the shortest.

        Frames which a detector wrote to its own files are not among them: those are links, made when the run ends.

        Raises
        ------
        LiveError, FileNotFoundError
            As :meth:`read`.
        KeyError
            There is no such group.
        """
        return self.read(lambda file: _columns(file[group], start))

    def follow(self, group: str = "entry/measurement", timeout: float | None = None) -> Iterator[dict[str, Array]]:
        """The rows of a group's columns, as they come, until the file is not being written any more.

        Parameters
        ----------
        timeout
            In s: so long without a new row ends it, too; None waits for the writer for ever.

        Yields
        ------
        Name → new rows, of one length. A group that is not there yet is waited for.
        """
        start, since = 0, time.monotonic()
        while True:
            state, found = self.read(partial(_state_and_columns, group=group, start=start))
            rows = min(map(len, found.values()), default=0)
            if rows:
                start, since = start + rows, time.monotonic()
                yield found
            elif state != "writing" or (timeout is not None and time.monotonic() - since > timeout):
                return
            else:
                time.sleep(LOOK)


SWMR = 4
"""Bit of a superblock's consistency flags: written by SWMR (HDF5 File Format Specification 3.0, II.A)."""


def _flags(path: Path) -> int:
    """The consistency flags of a file's superblock; 0 if it has none, as all but those for SWMR."""
    with path.open("rb") as file:
        begin = file.read(12)
    return begin[11] if len(begin) == 12 and begin[8] >= 3 and begin.startswith(b"\x89HDF") else 0


def _parts(file: h5py.File, folder: Path) -> list[Path]:
    """The files in which runs of a dataset are that are still being acquired (:mod:`nexus_callbacks.datasets`)."""
    links = (file.get(name, getlink=True) for name in file)
    paths = [folder / link.filename for link in links if isinstance(link, h5py.ExternalLink)]
    return [path for path in paths if path.suffix == ".part" and path.exists()]


class _Watch:
    """Looks at files to see whether they are at rest, and whether they were during one try."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}
        """What a file's identity and time were, and since when they are."""
        self._now: dict[Path, tuple[int, int]] = {}

    def begin(self) -> None:
        """Begin a try."""
        self._now.clear()

    def rests(self, path: Path) -> bool:
        """Whether a file is at rest now."""
        found = path.stat()
        self._now[path] = known = _identity(found)
        if path not in self._seen or self._seen[path][0] != known:
            self._seen[path] = known, time.monotonic()
        quiet = time.monotonic() - self._seen[path][1] > QUIET
        return hdf5.marked(found) or quiet or time.time() - found.st_mtime > OLD

    def undisturbed(self) -> bool:
        """Whether all files of this try are as they were."""
        try:
            return all(_identity(path.stat()) == known for path, known in self._now.items())
        except FileNotFoundError:  # A part that has become one with its dataset's file, or a file that was removed.
            return False


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_mtime_ns


def _state_and_columns(file: h5py.File, group: str, start: int) -> tuple[str, dict[str, Array]]:
    return str(file.attrs.get("state", "")), _columns(file.get(group), start)


def _columns(group: h5py.Group | None, start: int) -> dict[str, Array]:
    """The datasets of a group that hold rows of their own, cut to one length."""
    if group is None:
        return {}
    found: dict[str, h5py.Dataset] = {}
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            node = group[name]
            if isinstance(node, h5py.Dataset) and node.shape and not node.is_virtual and not node.external:
                found[name] = node
    count = min((len(node) for node in found.values()), default=0)
    return {name: _rows(node, start, max(count, start)) for name, node in found.items()}


def _rows(node: h5py.Dataset, start: int, stop: int) -> Array:
    text = h5py.check_string_dtype(node.dtype) is not None
    return np.asarray((node.asstr() if text else node)[start:stop])
