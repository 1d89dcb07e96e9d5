"""Live: a file read while it is written.

HDF5 has no way to tell a reader that its writer was in the middle of a flush: such a read fails, or, worse, gives rows of
zeros. So the writer leaves a mark in the file's time of modification each time it comes to rest
(:func:`nexus_callbacks.hdf5.mark`), which whatever is written next takes away. A read counts if the same mark was there
before and after it; else it is repeated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
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

    Files that are complete, and files of other writers that do not change, are read as well. Nothing is held between two
    reads, so that neither the writer nor another reader is ever in the way.

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
        seen, since = self.path.stat(), time.monotonic()
        failure: Exception | None = None
        while True:
            before = self.path.stat()
            if not _same(seen, before):
                seen, since = before, time.monotonic()
            last = time.monotonic() > end
            flags = _flags(self.path)
            rests = not flags and (hdf5.marked(before) or time.monotonic() - since > QUIET or _old(before))
            if rests or flags & SWMR:
                try:
                    with h5py.File(self.path, "r", locking=False, swmr=bool(flags & SWMR)) as file:
                        found = function(file)
                except Exception as error:  # Of a torn file h5py raises anything; only an undisturbed one is believed.
                    if (rests and _same(before, self.path.stat())) or (last and flags):
                        raise
                    failure = error
                else:
                    if flags or _same(before, self.path.stat()):
                        return found
            if last:
                raise self._refusal(flags, failure) from failure
            self.repeated += 1
            time.sleep(PAUSE)

    def _refusal(self, flags: int, failure: Exception | None) -> LiveError:
        if flags & ~SWMR and time.time() - self.path.stat().st_mtime > QUIET:
            return LiveError(
                f"{self.path} was left open by a writer that died: `nexus-callbacks recover` writes it anew, "
                "`h5clear -s` makes it readable as it is"
            )
        why = f": {failure}" if failure else ""
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
            state, found = self.read(lambda file: (file.attrs.get("state"), _columns(file.get(group), start)))
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


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_mtime_ns) == (other.st_ino, other.st_mtime_ns)


def _old(found: os.stat_result) -> bool:
    return time.time() - found.st_mtime > OLD


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
