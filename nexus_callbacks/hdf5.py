"""hdf5: create, append and link in a NeXus file, with h5py.

The only room, with :mod:`nexus_callbacks.writer` and :mod:`nexus_callbacks.master`, that opens HDF5 for writing.
Files are written in a format that HDF5 1.10 reads, without HDF5's own file locks (design D6).
"""

from __future__ import annotations

import errno
import io
import os
import uuid
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from nexus_callbacks.values import common, exact, missing, storable, texts

# facts: libver 'latest' in h5py 3.16 writes files that HDF5 1.10 and h5wasm cannot read.
LIBVER = ("earliest", "v110")
CHUNK_BYTES = 64 * 1024
CHUNK_ROWS = 1024
TEXT = h5py.string_dtype("utf-8")

ROOM = 4 * 2**20
"""Bytes that are reserved before a flush: more than the metadata that HDF5 holds back."""
MOST_COPIED = 256 * 2**20
"""Bytes of a file which HDF5 may want to read again when it closes a file that the disk takes no more of."""

Array = np.ndarray[Any, Any]


def open_file(path: Path, mode: str = "r+") -> h5py.File:
    """Open a file for writing."""
    return h5py.File(path, mode, libver=LIBVER, locking=False)


def reserve(file: h5py.File, room: int = ROOM) -> None:
    """Make sure that the disk has room for what HDF5 is about to write; HDF5 cuts it off again when it closes.

    A flush that fails half-way leaves HDF5's cache in a state from which the library cannot close the file any more and
    crashes at exit (HDF5 2.0: "slist already enabled?"). So room is made first, where an error does no harm.

    Raises
    ------
    OSError
        There is none.
    """
    # Beyond what HDF5 knows of, which is less than the file's size once room was made.
    os.posix_fallocate(_handle(file), int(file.id.get_filesize()), room)


def let_go(file: h5py.File) -> None:
    """Close a file to which the disk takes nothing more: on disk it stays as it was last flushed.

    What HDF5 still has to write goes to memory that is then given up.
    """
    handle = _handle(file)
    memory = os.memfd_create("nexus_callbacks")
    try:
        size = os.fstat(handle).st_size
        with Path(file.filename).open("rb") as source:
            for offset in range(0, min(size, MOST_COPIED), CHUNK_BYTES):
                os.pwrite(memory, os.pread(source.fileno(), CHUNK_BYTES, offset), offset)
        os.dup2(memory, handle)
    finally:
        os.close(memory)
    file.close()


def _handle(file: h5py.File) -> int:
    """The file descriptor that HDF5 writes to."""
    return int(file.id.get_vfd_handle())


_handles: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def leave_to_parent_at_fork(file: h5py.File) -> None:
    """Keep a forked child from writing into a file that this process writes.

    When the child ends, its copy of HDF5 flushes what it has in its cache through the descriptor that it shares with
    us. The child's descriptor is turned to memory instead.
    """
    _handles[file] = _handle(file)


def _turn_to_memory() -> None:
    for file, handle in list(_handles.items()):
        if file.id.valid:
            memory = os.memfd_create("nexus_callbacks")
            os.dup2(memory, handle)
            os.close(memory)


os.register_at_fork(after_in_child=_turn_to_memory)


def skeleton(attributes: Mapping[str, Any]) -> bytes:
    """The content of a NeXus file that has only its root's attributes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=LIBVER) as file:
        set_attributes(file, {"NX_class": "NXroot", **attributes})
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


def append(file: h5py.File, path: str, rows: Array, attributes: Mapping[str, Any], start: int) -> None:
    """Put rows into a growing dataset from row ``start`` on; it is made on its first rows.

    Rows before ``start`` that the dataset does not have count as never measured. A dataset whose type or row shape the
    new rows do not fit is written anew, once, in a type that holds both.
    """
    if path not in file:
        filled = rows if start == 0 else _joined(missing(start, rows), rows)
        _create(file, path, filled, attributes)
        return
    dataset = cast(h5py.Dataset, file[path])
    have = np.dtype(object) if _holds_text(dataset) else dataset.dtype
    if have.kind == "O" and rows.dtype.kind != "O":
        rows = texts(rows.tolist())
    if dataset.shape[0] < start:
        rows = _joined(missing(start - dataset.shape[0], rows), rows)
        start = dataset.shape[0]
    wider = common(have, dataset.shape[1:], rows)
    # Not only ``!=``: numpy takes None for float64.
    if wider is None or wider != have or not exact(rows, have):
        old = dataset.asstr()[:start] if have.kind == "O" else dataset[:start]
        kept = dict(dataset.attrs)
        del file[path]
        _create(file, path, _joined(old, rows), kept)
        return
    dataset.resize(start + len(rows), axis=0)
    dataset[start:] = rows if have.kind == "O" else rows.astype(have, copy=False)  # HDF5 makes no complex of a real.


def _joined(first: Array, second: Array) -> Array:
    """Two pieces of one column in a type that holds both."""
    dtype = common(first.dtype, first.shape[1:], second)
    if dtype is None or not (exact(first, dtype) and exact(second, dtype)):
        return np.concatenate([texts(first.tolist()), texts(second.tolist())])
    return np.concatenate([first.astype(dtype), second.astype(dtype)])


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


def link(file: h5py.File, path: str, target: str) -> None:
    """Make a soft link, if there is something to link to, and note its target where NeXus wants it.

    A target in another file is not opened: a detector may still be writing it.
    """
    kind = file.get(target, getlink=True) if target.rpartition("/")[0] in file else None
    if kind is None:
        return
    require_group(file, path.rpartition("/")[0], "NXcollection")
    if file[path.rpartition("/")[0]].get(path.rpartition("/")[2], getlink=True) is None:
        file[path] = h5py.SoftLink(target)
    if isinstance(kind, h5py.HardLink) and "target" not in file[target].attrs:
        file[target].attrs["target"] = target
