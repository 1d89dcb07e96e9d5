"""hdf5: create, append and link in a NeXus file, with h5py.

The only room, with :mod:`nexus_callbacks.files`, that opens HDF5 for writing.
Files are written in a format that HDF5 1.10 reads, without HDF5's own file locks (design D6).
"""

from __future__ import annotations

import errno
import io
import os
import time
import uuid
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from nexus_callbacks.values import storable

# facts: libver 'latest' in h5py 3.16 writes files that HDF5 1.10 and h5wasm cannot read.
LIBVER = ("earliest", "v110")
SWMR_LIBVER = ("v110", "v110")
"""SWMR needs the structures of HDF5 1.10."""
TEXT = h5py.string_dtype("utf-8")

ROOM = 4 * 2**20
"""Bytes that are reserved before a flush beyond what HDF5 knows that it needs: for what it allots during the flush."""
COPY_BYTES = 64 * 1024
MOST_COPIED = 256 * 2**20
"""Bytes of a file which HDF5 may want to read again when it closes a file that the disk takes no more of."""

METADATA_BYTES = 32 * 2**20
"""Bytes that HDF5 may keep of a file's own structure. Its default of 2 MiB grows to as many, but until then HDF5 writes
some of it to the disk when it pleases, where a reader would meet the one half of a change."""
MARK = 454_545
"""The last six digits of a file's time of modification, in ns, by which its writer says that the file is at rest."""

Array = np.ndarray[Any, Any]


def open_file(path: Path, mode: str = "r+", swmr: bool = False) -> h5py.File:
    """Open a file for writing; between two flushes what readers see of it does not change.

    ``swmr``: in a format in which SWMR can be switched on.
    """
    file = h5py.File(path, mode, libver=SWMR_LIBVER if swmr else LIBVER, locking=False)
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.max_size = METADATA_BYTES
    config.incr_mode = config.flash_incr_mode = config.decr_mode = 0
    file.id.set_mdc_config(config)
    return file


def mark(where: int | Path, last: int = 0, again: bool = False) -> int:
    """Mark a file as being at rest, as it was flushed; whatever is written to it takes the mark away.

    Parameters
    ----------
    where
        Its descriptor or its path.
    last
        Its last mark (ns); 0 if there is none.
    again
        What was written since the last mark changed nothing that a reader of then can see: that mark is put back.

    Returns
    -------
    The mark, in ns since 1970.
    """
    if not again:
        now = time.time_ns()
        last = max(now - now % 1_000_000 + MARK, last + 1_000_000)
    os.utime(where, ns=(time.time_ns(), last))
    return last


def marked(found: os.stat_result) -> bool:
    """Whether a file carries the mark that it is at rest.

    A file system that keeps whole seconds only can keep no mark; its files count as marked.
    """
    return found.st_mtime_ns % 1_000_000 == MARK or found.st_mtime_ns % 1_000_000_000 == 0


def handle(file: h5py.File) -> int:
    """The file descriptor that HDF5 writes to."""
    return int(file.id.get_vfd_handle())


def reserve(file: h5py.File, since: int, more: int = 0) -> None:
    """Make sure that the disk has room for what HDF5 is about to write.

    A flush that fails half-way leaves HDF5's cache in a state from which the library cannot close the file any more and
    crashes at exit (HDF5 2.0: "slist already enabled?"). So room is made first, where an error does no harm.

    Parameters
    ----------
    since
        Size of the file when it was last flushed: what HDF5 has allotted since may not be on the disk yet.
    more
        Bytes beyond :data:`ROOM` for which HDF5 has not allotted a place yet.

    Raises
    ------
    OSError
        There is none.
    """
    known = size(file)
    os.posix_fallocate(handle(file), min(since, known), max(known - since, 0) + ROOM + more)


def size(file: h5py.File) -> int:
    """Bytes of the file as HDF5 knows it: less than on disk once room was made."""
    return int(file.id.get_filesize())


def cut(file: h5py.File) -> None:
    """Give back the room that was made and not used, of a file that was just flushed."""
    os.ftruncate(handle(file), size(file))


def let_go(file: h5py.File) -> None:
    """Close a file to which the disk takes nothing more: on disk it stays as it was last flushed.

    What HDF5 still has to write goes to memory that is then given up.
    """
    disk = handle(file)
    memory = os.memfd_create("nexus_callbacks")
    try:
        # Read from the descriptor: the file may have another name by now.
        for offset in range(0, min(os.fstat(disk).st_size, MOST_COPIED), COPY_BYTES):
            os.pwrite(memory, os.pread(disk, COPY_BYTES, offset), offset)
        os.dup2(memory, disk)
    finally:
        os.close(memory)
    file.close()


_handles: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def leave_to_parent_at_fork(file: h5py.File) -> None:
    """Keep a forked child from writing into a file that this process writes.

    When the child ends, its copy of HDF5 flushes what it has in its cache through the descriptor that it shares with
    us. The child's descriptor is turned to memory instead.
    """
    _handles[file] = handle(file)


def _turn_to_memory() -> None:
    for file, descriptor in list(_handles.items()):
        if file.id.valid:
            memory = os.memfd_create("nexus_callbacks")
            os.dup2(memory, descriptor)
            os.close(memory)


os.register_at_fork(after_in_child=_turn_to_memory)


def skeleton(entry: str, swmr: bool = False) -> bytes:
    """The content of a NeXus file of ours that is being written and has only its root's attributes.

    ``entry`` is the name of its default entry, ``swmr`` as of :func:`open_file`.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=SWMR_LIBVER if swmr else LIBVER) as file:
        about = {"NX_class": "NXroot", "creator": "nexus_callbacks", "default": entry, "state": "writing"}
        set_attributes(file, about)
    return buffer.getvalue()


def create_exclusively(candidates: Iterable[Path], content: bytes) -> Path:
    """Make a file under the first of the names that is free, complete or not at all; what exists is left alone.

    The file is made under a temporary name and hard-linked: nobody ever sees an empty file. h5py is not touched, whose
    lock another thread may hold for as long as a disk stalls.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    temporary: Path | None = None
    try:
        for path in candidates:
            if os.path.lexists(path):
                continue
            if temporary is None:
                temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
                temporary.write_bytes(content)
                mark(temporary)
            try:
                os.link(temporary, path)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                    raise
                # A file system without hard links (FAT, some shares): reserve the name, then put the file there.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                temporary.replace(path)
            return path
        raise FileExistsError(errno.EEXIST, "every name is taken")
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def set_attributes(node: h5py.HLObject, attributes: Mapping[str, Any]) -> None:
    """Set attributes; lists of str become arrays of variable-length text."""
    for name, value in attributes.items():
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            node.attrs.create(name, np.array([storable(v) for v in value], dtype=object), dtype=TEXT)
        elif isinstance(value, str):
            node.attrs[name] = storable(value)
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
        clean = np.vectorize(lambda v: storable(str(v)), otypes=[object])(array) if array.size else array.astype(object)
        dataset = parent.create_dataset(path.rpartition("/")[2], data=clean, dtype=TEXT)
    else:
        dataset = parent.create_dataset(path.rpartition("/")[2], data=array)
    set_attributes(dataset, attributes)


def _is_text(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(v, str) for v in value)
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind in "OUS")
