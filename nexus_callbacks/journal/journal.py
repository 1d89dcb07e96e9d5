"""Journal: documents appended to a file as they come, read back, and followed while the file grows.

A journal begins with :data:`MAGIC`. Then come records: length and checksum (two 32-bit numbers, little-endian), then
the payload, ``[name, document]`` as :mod:`~nexus_callbacks.journal.packing` has it. The first record is the header,
``["header", {…}]``. The checksum is the CRC-32 of the payload, begun with its length instead of 0, so that a wrong
length shows as well.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn
from zlib import crc32

from ormsgpack import packb, unpackb

from nexus_callbacks.documents import Document
from nexus_callbacks.journal.packing import FLOAT, OPTIONS, Packer, restore

MAGIC = b"NXJOURN\x01"
"""What a journal begins with; the last byte is the version of the format."""

HEADER = "header"
"""Name of the first record."""
END = "end"
"""Name of a record that ends a journal whose run did not stop, ``{"reason": …}``. A journal that its own session
follows needs none."""

BLOCK = 1 << 17
"""Bytes of a journal that one call of :meth:`Reader.read` takes in, unless told; documents take ten times that, and are
read fastest while they fit in the cache: 2.2 µs an event of ten columns, 3.0 µs in blocks of 1 MiB."""

_HEAD = struct.Struct("<II")
_LONGEST = 0xFFFF_FFFF


class JournalFull(OSError):
    """A document could not be written; all before it are there, and no more will be taken: go on in another spool."""


class JournalClosed(ValueError):
    """The journal was closed, or belongs to the process that this one was forked from."""


def _record(payload: bytes) -> bytes:
    length = len(payload)
    if length > _LONGEST:
        raise JournalFull(errno.EFBIG, f"a document of {length} bytes is longer than a record can be")
    return _HEAD.pack(length, crc32(payload, length)) + payload


# -- writing -------------------------------------------------------------------------------------------------------


class Journal:
    """A journal that this process writes.

    Documents may come from several threads (bluesky's monitors emit from their own). After a fork it belongs to the
    parent alone. It is closed when it is dropped.

    Parameters
    ----------
    path
        The file, which must not exist yet; made for this user alone (0600).
    header
        What a reader must know first (target file, run uid, versions …); of any types that documents may hold.
    lease
        Something to be kept as long as the journal is, such as the session whose lock guards it.

    Raises
    ------
    FileExistsError
        The file is there already.
    JournalFull
        There is no room for the header; nothing is left behind.
    OSError
        The file cannot be made.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], lease: object = None) -> None:
        self.path = Path(path)
        self._lease = lease
        self._packer = Packer()
        self._mixed = self._packer.mixed
        self._lock = threading.Lock()
        self._fd = self._out = -1
        self._size = 0
        self._error: OSError | None = None
        self._folder_synced = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = self._out = os.open(self.path, flags, 0o600)
        _open_journals.add(self)
        try:
            self._put(MAGIC + _record(self._packer.pack(HEADER, header)))
        except BaseException:
            self.close()
            self.path.unlink(missing_ok=True)
            raise

    @property
    def kept_as_text(self) -> dict[str, str]:
        """Where (``event data.detector``) → type of what could only be kept as text; the first of each type."""
        return self._packer.kept_as_text

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return os.fstat(self._fd).st_size if self._fd >= 0 else self._size

    @property
    def closed(self) -> bool:
        """Closed, or not of this process."""
        return self._fd < 0

    def append(self, name: str, document: Document) -> None:
        """Write a document; it is safe from the death of this process when this returns, from power loss by sync.

        Raises
        ------
        JournalFull
            There is no room, or the disk is broken. All documents before this one are there, this one is not, and
            no further one is taken.
        JournalClosed
            See :attr:`closed`.
        """
        # As Packer.pack and _put(_record(…)), whose calls would cost 5 of 20 µs in a scan of 1 kHz: what was not used
        # for 1 ms is no longer in the processor's cache.
        try:
            payload = packb((name, document), FLOAT, OPTIONS) if name not in self._mixed else None
        except TypeError:
            payload = None
        if payload is None:
            payload = self._packer.pack(name, document)
        length = len(payload)
        if length > _LONGEST:
            _record(payload)
        record = _HEAD.pack(length, crc32(payload, length)) + payload
        with self._lock:
            try:
                written = os.write(self._out, record)
            except OSError as error:
                self._cut(0, error)
            if written != length + 8:
                self._finish(record, written)

    def sync(self) -> None:
        """Bring what was written to the disk itself. May take as long as the disk pleases; for a thread of its own.

        Raises
        ------
        FileNotFoundError
            The file was deleted.
        OSError
            The disk is broken.
        """
        # Through a descriptor of its own: so close() need not wait for it, nor can it meet a file that is not ours.
        sync(self.path)
        if not self._folder_synced:
            _sync(self.path.parent, os.fsync)
            self._folder_synced = True

    def gone(self) -> bool:
        """Whether the file was deleted; what is appended then is lost with it."""
        with self._lock:
            if self._fd >= 0:
                return os.fstat(self._fd).st_nlink == 0
        return not self.path.exists()

    def close(self) -> None:
        """Close the file; it stays where it is."""
        with self._lock:
            fd, self._fd, self._out = self._fd, -1, -1
            if fd >= 0:
                self._size = os.fstat(fd).st_size
                os.close(fd)
        _open_journals.discard(self)

    def __del__(self) -> None:
        fd, self._fd, self._out = self._fd, -1, -1
        if fd >= 0:
            os.close(fd)

    def _forked(self) -> None:
        self._lock = threading.Lock()  # Another thread of the parent may have held it.
        self.__del__()

    def _put(self, record: bytes) -> None:
        # What a short write leaves must be cut back before another thread writes; the lock costs 0.1 µs.
        with self._lock:
            try:
                written = os.write(self._out, record)
            except OSError as error:
                self._cut(0, error)
            if written != len(record):
                self._finish(record, written)

    def _finish(self, record: bytes, written: int) -> None:
        """Write what a short write left: the disk is full, or the record was of more than 2 GiB."""
        try:
            while written < len(record):
                more = os.write(self._out, memoryview(record)[written:])
                if not more:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += more
        except BaseException as error:  # Ctrl-C must not leave a part of a record either.
            self._cut(written, error)

    def _cut(self, written: int, error: BaseException) -> NoReturn:
        """Cut off the part of a record that was written, and raise what happened."""
        if self._fd < 0:
            raise JournalClosed(f"{self.path} is closed, or belongs to the process that this one was forked from")
        out, self._out = self._out, -1  # A record after a torn one would not be found.
        try:
            if written:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
        except OSError as failure:
            error = failure
        if not isinstance(error, OSError):
            self._out = out
            raise error
        self._error = self._error or error
        raise JournalFull(self._error.errno, self._error.strerror, str(self.path)) from error


_open_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _leave_journals_to_the_parent() -> None:
    for journal in list(_open_journals):
        journal._forked()


os.register_at_fork(after_in_child=_leave_journals_to_the_parent)


def sync(path: Path) -> None:
    """Bring a journal, that another process may write, to the disk.

    Raises
    ------
    OSError
        It is gone, or the disk is broken.
    """
    _sync(path, os.fdatasync)


def _sync(path: Path, how: Callable[[int], None]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        how(fd)
    finally:
        os.close(fd)


# -- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Damage:
    """Where and why a journal could not be read on."""

    offset: int
    """In bytes: what stands before it was read, nothing after it."""
    what: str
    cut: bool = False
    """Only the last record is not whole, as whoever is killed leaves it."""

    def __str__(self) -> str:
        return f"at byte {self.offset}: {self.what}"


class Reader:
    """Reads a journal, also while it is written, and after it was deleted.

    Parameters
    ----------
    path
        The file. Whatever it holds, nothing is raised: see :attr:`damage`.

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.offset = 0
        """Bytes that were read so far; a whole record begins there, if any."""
        self.damage: Damage | None = None
        """Why reading has stopped for good; None as long as it has not."""
        self._header: dict[str, Any] | None = None
        self._fd = -1
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def header(self) -> dict[str, Any]:
        """What the first record says; empty as long as it is not there, or if the file is no journal."""
        if self._header is None and self.damage is None:
            self._begin()
        return self._header or {}

    def read(self, limit_bytes: int = BLOCK, ended: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """The next whole records, in order; none at the end of what is there, nor after a damage.

        Parameters
        ----------
        limit_bytes
            Bytes of the journal that are taken in; a record that is longer comes by itself.
        ended
            Nobody writes the journal any more: a record that is cut is a damage, not one that is not there yet.
        """
        found: list[tuple[str, dict[str, Any]]] = []
        if self._header is None and self.damage is None:
            self._begin()
        if self._header is not None and self.damage is None:
            self._take(max(limit_bytes, _HEAD.size), found)
        if found and found[0][0] == HEADER:
            self.damage, found = Damage(self.offset, "a second header"), []
        if ended and not found and self.damage is None:
            self._end()
        return found

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _begin(self) -> None:
        magic = os.pread(self._fd, len(MAGIC), 0)
        if magic != MAGIC[: len(magic)]:
            ours = magic[:-1] == MAGIC[:-1]
            self.damage = Damage(0, f"a journal of format {magic[-1]}, not {MAGIC[-1]}" if ours else "not a journal")
        if magic != MAGIC:
            return
        self.offset = len(MAGIC)
        found: list[tuple[str, dict[str, Any]]] = []
        self._take(_HEAD.size, found)  # so little that one record comes
        if found:
            name, document = found[0]
            if name == HEADER:
                self._header = document
            else:
                self.damage = Damage(len(MAGIC), f"begins with {name!r}, not with a header")
        elif self.damage is None:
            self.offset = 0

    def _end(self) -> None:
        left = os.fstat(self._fd).st_size - self.offset
        if left > 0 or self._header is None:
            self.damage = Damage(
                self.offset, f"cut in its last record, of which {max(left, 0)} bytes are there", cut=True
            )

    def _take(self, limit: int, found: list[tuple[str, dict[str, Any]]]) -> None:
        """Read a block of whole records; if there is none as the first is longer, that one."""
        block = os.pread(self._fd, limit, self.offset)
        self._split(block, found)
        if found or self.damage or len(block) < _HEAD.size:
            return
        needed = _HEAD.size + _HEAD.unpack_from(block)[0]
        if len(block) < needed <= os.fstat(self._fd).st_size - self.offset:
            self._split(self._long_block(needed), found)

    def _long_block(self, size: int) -> bytes:
        block = os.pread(self._fd, size, self.offset)
        while len(block) < size and (more := os.pread(self._fd, size - len(block), self.offset + len(block))):
            block += more  # One read gives 2 GiB at most.
        return block

    def _split(self, block: bytes, found: list[tuple[str, dict[str, Any]]]) -> None:
        begin, size = 0, len(block)
        while begin + 8 <= size:  # 8 = _HEAD.size, which would be looked up a million times
            length, checksum = _HEAD.unpack_from(block, begin)
            end = begin + 8 + length
            if end > size:
                break
            payload = block[begin + 8 : end]
            if not length or crc32(payload, length) != checksum:
                self.damage = Damage(self.offset + begin, "a record whose checksum is wrong")
                break
            try:
                name, document = unpackb(payload, ext_hook=restore)
            except Exception as error:  # Whole, yet of a kind that only another version, or another machine, knows.
                self.damage = Damage(self.offset + begin, f"a record that cannot be decoded: {error}")
                break
            found.append((name, document))
            begin = end
        self.offset += begin
