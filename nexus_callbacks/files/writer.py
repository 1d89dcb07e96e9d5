"""Writer: carries additions out in one file.

It opens, appends, flushes and closes; what is to be in the file is decided by the layout. A value that cannot be
written costs only itself: it is told through :attr:`Writer.on_fault` and the file goes on.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nexus_callbacks import hdf5
from nexus_callbacks.files.content import Content, Rows
from nexus_callbacks.frames import gridded, links
from nexus_callbacks.frames.stacks import Linked, Stack, relative
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition

log = logging.getLogger("nexus_callbacks")

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
    swmr
        Write by HDF5's SWMR, of a skeleton that was made for it. SWMR allows no change of a file's shape; where one is
        needed (a stream's first rows, the end) the file is closed, opened plainly, and SWMR begun again with the next
        flush, so that nothing has to wait for the end of the run (docs/decisions/0005).
    """

    def __init__(self, path: Path, swmr: bool = False) -> None:
        self.path = path
        self.on_fault: OnFault = _unheard
        """Told of each value that could not be written; the run sets it."""
        self._swmr = swmr
        self._resumes = swmr
        """SWMR is to be on after the next flush."""
        self._in_swmr = False
        self._open()
        self._inode = os.fstat(self._handle).st_ino
        self._content = Content(self._file, self._leave_swmr, fixed_text=swmr)
        self._flushed = hdf5.size(self._file)
        self._mark = 0
        """The file's last mark of being at rest; 0 as long as there is none."""
        self._broken: set[str] = set()
        content, folder = self._content, path.parent
        self._carriers: dict[type, Callable[[Any], None]] = {
            additions.Field: lambda each: content.field(each.path, each.value, each.attributes),
            additions.Group: lambda each: content.group(each.path, each.nx_class, each.attributes),
            additions.Link: lambda each: content.link(each.path, each.target, each.instead),
            additions.Apart: lambda each: content.part(each.path, each.own, each.convert, each.attributes, each.of_own),
            additions.GridFrames: lambda each: gridded.make(self._file, each),
            additions.External: lambda each: content.external(each.path, relative(each.file, folder), each.target),
            additions.Attribute: lambda each: content.set_attributes(each.path, each.attributes),
        }

    def _open(self) -> None:
        self._file = hdf5.open_file(self.path, swmr=self._swmr)
        self._handle = hdf5.handle(self._file)
        hdf5.leave_to_parent_at_fork(self._file)

    def moved(self, path: Path) -> None:
        """Note that the file has got another name, in the same folder."""
        self.path = path

    def _leave_swmr(self) -> None:
        """The file's shape is about to change."""
        if not self._in_swmr:
            return
        if self._file.id.valid:
            self._bring()
            self._content.suspend()
            self._file.close()
        self._open()
        if self._file.swmr_mode:  # HDF5 has one state for all handles of a file in a process, and would crash.
            self._file.close()
            raise OSError(errno.EBUSY, "another handle of this process holds it open by SWMR", str(self.path))
        self._in_swmr = False
        self._content.reopen(self._file)

    def _rest(self, again: bool = False) -> None:
        """Tell readers that the file is at rest; ``again`` as of :func:`nexus_callbacks.hdf5.mark`."""
        closed = not self._file.id.valid
        if (self._swmr and not closed) or (again and (not self._mark or self._content.freed)):
            return
        try:
            self._mark = hdf5.mark(self.path if closed else self._handle, self._mark, again)
        except OSError as error:  # A reader then waits until the file has not changed for a while.
            log.debug("%s cannot be marked as being at rest: %s", self.path, error)

    def apply(self, found: Iterable[Addition]) -> None:
        """Carry additions out, in their order. Columns and frames come with their rows: see there."""
        carriers = self._carriers
        for addition in found:
            carry = carriers.get(type(addition))
            if carry is not None:
                try:
                    carry(addition)
                except REFUSED as error:
                    self.on_fault(addition.path, f"cannot be written: {error}")
        self._rest(again=True)

    def append(
        self, column: additions.Column, rows: Rows, start: int, *, expected: int | None = None, last: bool = False
    ) -> None:
        """Put rows into a column from row ``start`` on.

        A column which HDF5 refuses is told and left as it is from then on: later rows must not take the place of those.

        Parameters
        ----------
        expected
            How many rows there may be.
        last
            No more rows will come.

        Raises
        ------
        OSError
            The disk does not take them.
        """
        if column.path in self._broken:
            return
        try:
            self._content.append(column.path, rows, column.attributes, start, expected=expected, last=last)
        except REFUSED as error:
            self._broken.add(column.path)
            self.on_fault(column.path, f"cannot be written from row {start} on: {error}")
        self._rest(again=True)

    def settle(self, column: additions.Column) -> None:
        """Make a column that no rows will be added to as small as it can be."""
        self._end_swmr()
        try:
            self._content.settle(column.path)
        except REFUSED as error:
            self._broken.add(column.path)
            self.on_fault(column.path, f"cannot be written: {error}")

    def truncate(self, column: additions.Column, rows: int) -> None:
        """Keep only the first rows of a column."""
        self._content.truncate(column.path, rows)

    def link_frames(self, stack: Stack, parts: str) -> Linked:
        """Link a detector's frames, as far as they are there; never copied (design D7).

        ``parts`` is a group that may be made for datasets which a virtual one needs.
        """
        self._end_swmr()
        try:
            return links.link(self._file, stack, parts)
        except REFUSED as error:
            return Linked("", f"the frames cannot be linked: {error}")

    def kind(self, path: str) -> tuple[str, tuple[int, ...]] | None:
        """numpy's ``dtype.kind`` (O for text) and the shape of a row of a dataset; None if it is not there."""
        return self._content.kind(path)

    def stack(self, path: str) -> tuple[tuple[int, ...], str] | None:
        """Shape and numpy's type of a dataset of this very file; None of a link, which is not followed."""
        dataset = self._file[path] if isinstance(self._file.get(path, getlink=True), h5py.HardLink) else None
        return (dataset.shape, dataset.dtype.str) if isinstance(dataset, h5py.Dataset) else None

    def read(self, path: str) -> np.ndarray[Any, Any]:
        """A dataset as it stands in the file."""
        return self._content.read(path)

    def state(self, state: str, reason: str = "") -> None:
        """Say in the file whether it is being written, complete, or incomplete and why."""
        self.root({"state": state, **({"state_reason": reason} if reason else {})})

    def root(self, attributes: additions.Attributes) -> None:
        """Set attributes of the root."""
        self._content.set_attributes("/", attributes)

    def reserve(self) -> None:
        """Make room on the disk for what is not flushed yet, and for some more.

        Raises
        ------
        OSError
            There is none; nothing has happened to the file.
        """
        hdf5.reserve(self._file, self._flushed, self._content.cached)

    def flush(self) -> None:
        """Make all that was written visible to readers.

        Raises
        ------
        OSError
            There is no room for it on the disk.
        """
        self._bring()
        if self._resumes and not self._in_swmr:
            self._file.swmr_mode = True
            self._in_swmr = True

    def _bring(self) -> None:
        self.reserve()
        self._file.flush()
        self._flushed, self._content.cached, self._content.freed = hdf5.size(self._file), 0, False
        self._rest()

    def _end_swmr(self) -> None:
        """What comes now ends the run: SWMR is over for good."""
        self._leave_swmr()
        self._resumes = False

    @property
    def in_place(self) -> bool:
        """Whether the file is still under its name: nobody removed it or put another there."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return not self._file.id.valid

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
            self._bring()
        except OSError:
            self._content.release()
            hdf5.let_go(self._file)
            raise
        self._content.release()
        hdf5.cut(self._file)
        self._file.close()
        self._rest()


def _unheard(path: str, reason: str) -> None:
    raise ValueError(f"{path}: {reason}")
