"""Writer: carries additions out in one file.

It opens, appends, flushes and closes; what is to be in the file is decided by the layout. A value that cannot be
written costs only itself: it is told through :attr:`Writer.on_fault` and the file goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from nexus_callbacks import additions, hdf5
from nexus_callbacks.additions import Addition
from nexus_callbacks.assets import FrameRange

OnFault = Callable[[str, str], None]
"""Called with the path in the file and what went wrong there."""


REFUSED = (ValueError, TypeError, KeyError, RuntimeError, OverflowError)
"""What h5py raises for a name or a value that HDF5 does not take; OSError is the disk's."""


class Writer:
    """One NeXus file that is being written.

    Parameters
    ----------
    path
        A file which :func:`nexus_callbacks.hdf5.create_exclusively` made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_fault: OnFault = _unheard
        """Told of each value that could not be written; the run sets it."""
        self._file = hdf5.open_file(path)
        self._broken: set[str] = set()

    def apply(self, found: Iterable[Addition]) -> None:
        """Carry additions out, in their order. Columns and frames come with their rows: see there."""
        for addition in found:
            try:
                self._apply(addition)
            except REFUSED as error:
                self.on_fault(addition.path, f"cannot be written: {error}")

    def _apply(self, addition: Addition) -> None:
        if isinstance(addition, additions.Group):
            hdf5.set_attributes(hdf5.require_group(self._file, addition.path, addition.nx_class), addition.attributes)
        elif isinstance(addition, additions.Field):
            hdf5.write_field(self._file, addition.path, addition.value, addition.attributes)
        elif isinstance(addition, additions.Link):
            hdf5.link(self._file, addition.path, addition.target)
        elif isinstance(addition, additions.Attribute):
            hdf5.set_attributes(self._file[addition.path], addition.attributes)

    def append(self, column: additions.Column, rows: np.ndarray[Any, Any], start: int) -> None:
        """Put rows into a column from row ``start`` on.

        A column which HDF5 refuses is told and left as it is from then on: later rows must not take the place of those.

        Raises
        ------
        OSError
            The disk does not take them.
        """
        if column.path in self._broken:
            return
        try:
            hdf5.append(self._file, column.path, rows, column.attributes, start)
        except REFUSED as error:
            self._broken.add(column.path)
            self.on_fault(column.path, f"cannot be written from row {start} on: {error}")

    def truncate(self, column: additions.Column, rows: int) -> None:
        """Keep only the first rows of a column."""
        hdf5.truncate(self._file, column.path, rows)

    def link_frames(self, frames: additions.Frames, ranges: Sequence[FrameRange], whole: bool) -> None:
        """Link a detector's frames; what cannot be linked is told, never copied.

        ``whole``: the ranges are all there is in the one file, so that a plain external link does, which every program
        reads; else a virtual dataset is made of the ranges (design D7).
        """
        missing = sorted({r.path for r in ranges if not Path(r.path).is_file()})
        if not ranges or missing:
            where = f": no file {', '.join(missing)}" if missing else ""
            self.on_fault(frames.path, f"the frames are not there{where}")
            return
        try:
            if whole:
                hdf5.link_file(self._file, frames.path, ranges[0])
            elif frames.dtype_numpy:
                hdf5.link_frames(
                    self._file,
                    frames.path,
                    ranges,
                    shape=frames.shape,
                    dtype=frames.dtype_numpy,
                    attributes=frames.attributes,
                )
            else:
                self.on_fault(frames.path, "the descriptor gives no dtype_numpy, which ranges of frames need")
        except REFUSED as error:
            self.on_fault(frames.path, f"cannot be linked: {error}")

    def kind(self, path: str) -> tuple[str, tuple[int, ...]] | None:
        """numpy's ``dtype.kind`` (O for text) and the shape of a row of a dataset; None if it is not there."""
        dataset = self._file.get(path)
        if not isinstance(dataset, h5py.Dataset):
            return None
        text = h5py.check_string_dtype(dataset.dtype) is not None
        return "O" if text else dataset.dtype.kind, dataset.shape[1:]

    def read(self, path: str) -> np.ndarray[Any, Any]:
        """A dataset as it stands in the file."""
        dataset = cast(h5py.Dataset, self._file[path])
        text = h5py.check_string_dtype(dataset.dtype) is not None
        return np.asarray(dataset.asstr()[()] if text else dataset[()])

    def state(self, state: str, reason: str = "") -> None:
        """Say in the file whether it is being written, complete, or incomplete and why."""
        self.root({"state": state, **({"state_reason": reason} if reason else {})})

    def root(self, attributes: additions.Attributes) -> None:
        """Set attributes of the root."""
        hdf5.set_attributes(self._file, attributes)

    def flush(self) -> None:
        """Make all that was written visible to readers."""
        hdf5.reserve(self._file)
        self._file.flush()

    def close(self) -> None:
        """Close the file; harmless when it is closed.

        Raises
        ------
        OSError
            The disk took nothing more: the file stays as it was last flushed.
        """
        if not self._file.id.valid:
            return
        try:
            hdf5.reserve(self._file)
        except OSError:
            hdf5.let_go(self._file)
            raise
        self._file.close()


def _unheard(path: str, reason: str) -> None:
    raise ValueError(f"{path}: {reason}")
