"""Content: groups, fields, links and growing columns in a file that this process alone writes.

HDF5's own calls with what they need made once: through h5py's paths and properties the same objects take three to ten
times as long (benchmarks, W5 and W6). Nobody else writes the file, so what was made is remembered, not looked up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5o, h5p, h5s, h5t

from nexus_callbacks import hdf5
from nexus_callbacks.values import common, exact, missing, storable, texts

CHUNK_BYTES = 64 * 1024
CHUNK_ROWS = 1024
SHORT_ROWS = 64
"""A dataset of at most so many rows, and of no more bytes than a chunk, does not grow once its run has ended."""
LEAST_CHUNK_ROWS = 64
"""Of a run that says how few rows it will have; a plan may have more of them than it said."""
MOST_COMPACT = 1024
"""Bytes of a dataset that is kept within its object header."""
MOST_FIXED = 32 * 1024
"""Bytes of a text that is written in its own length, within its object header: half the time of one of variable length,
and no heap beside it. HDF5 allows a header's message 64 KiB."""
COPIED_BYTES = 4 * 2**20
"""Bytes of a column that are in memory at once while a converted one is made of it."""
MOST_OPEN = 256
"""Groups that are kept open."""
LEAST_WIDTH = 32
"""Bytes of a text in a column of fixed length; one that turns out to be longer has the column written anew, twice as
wide as that."""

Array = np.ndarray[Any, Any]
Attributes = Mapping[str, Any]
Conversion = Callable[[Array], Array]
Rows = Array | list[Array]
"""Rows of a column: one array, rows first, or the rows themselves where each is large, so that none is copied."""


def _properties(kind: Any) -> Any:
    return h5p.create(kind)


def _group_properties() -> Any:
    # Links in the group's own header: a third of the bytes of HDF5 1.6's groups, and members in order of creation.
    found = _properties(h5p.GROUP_CREATE)
    found.set_link_creation_order(h5p.CRT_ORDER_TRACKED)
    return found


def _dataset_properties(layout: int) -> Any:
    found = _properties(h5p.DATASET_CREATE)
    found.set_layout(layout)
    found.set_obj_track_times(False)  # As h5py does.
    return found


GROUP = _group_properties()
COMPACT = _dataset_properties(h5d.COMPACT)
CONTIGUOUS = _dataset_properties(h5d.CONTIGUOUS)
SCALAR = h5s.create(h5s.SCALAR)
TEXT = h5t.py_create(hdf5.TEXT, logical=True)
IN_MEMORY = h5t.py_create(hdf5.TEXT)
"""What :data:`TEXT` is on its way to the file: Python's objects."""


@cache
def _type(dtype: np.dtype[Any]) -> Any:
    return TEXT if dtype.kind == "O" else h5t.py_create(dtype, logical=True)


def _in_memory(dtype: np.dtype[Any]) -> Any:
    return IN_MEMORY if dtype.kind == "O" else _type(dtype)


@lru_cache(256)
def _text_type(size: int) -> Any:
    """Text of at most ``size`` bytes of UTF-8."""
    found = h5t.C_S1.copy()
    found.set_size(size)
    found.set_cset(h5t.CSET_UTF8)
    found.set_strpad(h5t.STR_NULLPAD)
    return found


class Content:
    """What is in one file.

    Methods raise ``ValueError``, ``TypeError``, ``KeyError``, ``RuntimeError`` or ``OverflowError`` for what HDF5 does
    not take, and ``OSError`` for what the disk does not.

    Parameters
    ----------
    change
        Called before the file's shape changes, that is before anything else than rows that fit is written; it may
        close the file and give another one to :meth:`reopen`.
    fixed_text
        Columns that grow have texts of a fixed length, as SWMR has no others.
    """

    def __init__(self, file: h5py.File, change: Callable[[], None] = lambda: None, fixed_text: bool = False) -> None:
        self._file = file
        self._change = change
        self._fixed_text = fixed_text
        self._groups: dict[str, Any] = {}
        self._columns: dict[str, _Column] = {}
        self._named: set[str] = set()
        """Targets of links that have their attribute ``target``."""
        self.cached = 0
        """Bytes of rows which HDF5 may hold back since :attr:`cached` was set to 0."""
        self.freed = False
        """Something was taken away: what is written now may stand where a reader of the last flush looks for that."""

    def release(self) -> None:
        """Forget everything, before the file is closed."""
        self._groups.clear()
        self._columns.clear()

    def suspend(self) -> None:
        """Let go of the file, before it is closed and opened again."""
        self._groups.clear()
        for column in self._columns.values():
            column.dataset = None

    def reopen(self, file: h5py.File) -> None:
        """Go on in the same file, opened again."""
        self._file = file
        for path, column in self._columns.items():
            column.dataset = h5d.open(file.id, path.encode())

    # -- groups and fields -----------------------------------------------------------------------------------------

    def group(self, path: str, nx_class: str, attributes: Mapping[str, Any]) -> None:
        """Make a group with its class if it is not there; missing parents become NXcollection."""
        self._change()
        node = self._require(path, nx_class)
        if attributes:
            _set(node, attributes)

    def _require(self, path: str, nx_class: str = "NXcollection") -> Any:
        found = self._groups.get(path)
        if found is not None:
            return found
        above, _, name = path.rpartition("/")
        if not name:
            self._groups[path] = found = h5g.open(self._file.id, b"/")
            return found
        parent = self._require(above)
        if parent.links.exists(name.encode()):
            found = h5g.open(parent, name.encode())
        else:
            found = h5g.create(parent, name.encode(), gcpl=GROUP)
            _create_text(found, "NX_class", nx_class)
        if len(self._groups) >= MOST_OPEN:
            self._groups.clear()
        self._groups[path] = found
        return found

    def field(self, path: str, value: Any, attributes: Mapping[str, Any]) -> None:
        """Write a dataset once: text, number, boolean or an array of them. A link that is there makes way."""
        self._change()
        above, _, name = path.rpartition("/")
        parent = self._require(above)
        made = _made(value)
        if made is None:
            hdf5.write_field(self._file, path, value, attributes)
            return
        htype, space, properties, data = made
        dataset = self._dataset(parent, name, htype, space, properties)
        dataset.write(h5s.ALL, h5s.ALL, data, IN_MEMORY if htype is TEXT else htype)
        if attributes:
            _create(dataset, attributes)

    def _dataset(self, parent: Any, name: str, htype: Any, space: Any, properties: Any) -> Any:
        try:
            return h5d.create(parent, name.encode(), htype, space, dcpl=properties)
        except ValueError:
            if parent.links.exists(name.encode()):
                if self._unlink_soft(parent, name):
                    return h5d.create(parent, name.encode(), htype, space, dcpl=properties)
                raise ValueError(f"{name} of {self._file.filename} is there already") from None
            raise

    def _unlink_soft(self, parent: Any, name: str) -> bool:
        """Take a soft link away, if one is there."""
        there = parent.links.exists(name.encode())
        if not there or parent.links.get_info(name.encode()).type != h5py.h5l.TYPE_SOFT:
            return False
        parent.unlink(name.encode())
        self.freed = True
        return True

    def set_attributes(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Set attributes of something that is there."""
        self._change()
        _set(h5o.open(self._file.id, path.encode()), attributes)

    def link(self, path: str, target: str, instead: bool = False) -> None:
        """Make a soft link, if there is something to link to, and note its target where NeXus wants it.

        One that is there already stays, or makes way for this one if it is to be ``instead``. A target in another file
        is not opened: a detector may still be writing it.
        """
        self._change()
        if target in self._columns:
            node = self._columns[target].dataset
        else:
            home, _, aim = target.rpartition("/")
            source = self._there(home)
            if source is None or not source.links.exists(aim.encode()):
                return
            hard = source.links.get_info(aim.encode()).type == h5py.h5l.TYPE_HARD
            node = h5o.open(source, aim.encode()) if hard and target not in self._named else None
        above, _, name = path.rpartition("/")
        parent = self._require(above)
        if instead:
            self._unlink_soft(parent, name)
        if not parent.links.exists(name.encode()):
            parent.links.create_soft(name.encode(), target.encode())
        if node is not None and target not in self._named and not h5a.exists(node, b"target"):
            _create_text(node, "target", target)
        self._named.add(target)

    def external(self, path: str, file: str, target: str) -> None:
        """Make a link into another file, which is not opened."""
        self._change()
        above, _, name = path.rpartition("/")
        self._require(above).links.create_external(name.encode(), os.fsencode(file), target.encode())

    def _there(self, path: str) -> Any:
        """The group at a path, None if it is not there."""
        if path in self._groups:
            return self._groups[path]
        above, _, name = path.rpartition("/")
        if not name:
            return self._require("")
        parent = self._there(above)
        if parent is None or not parent.links.exists(name.encode()):
            return None
        return self._require(path)

    # -- columns ---------------------------------------------------------------------------------------------------

    def append(
        self,
        path: str,
        rows: Rows,
        attributes: Mapping[str, Any],
        start: int,
        *,
        expected: int | None = None,
        last: bool = False,
    ) -> None:
        """Put rows into a growing dataset from row ``start`` on; it is made on its first rows.

        Rows before ``start`` that the dataset does not have count as never measured. A dataset whose type or row shape
        the new rows do not fit is written anew, once, in a type that holds both.

        Parameters
        ----------
        expected
            How many rows there may be, for the size of chunks.
        last
            No more rows will come: a dataset that is made now need not grow.
        """
        column = self._columns.get(path)
        if isinstance(rows, list):
            if column is not None and column.takes(rows, start):
                column.put_each(rows, start)
                return
            rows = np.stack(rows)
        if column is None:
            rows = rows if start == 0 else _joined(missing(start, rows), rows)
            if last and _short(len(rows), rows.dtype, rows.shape[1:]):
                self._create_whole(path, rows, attributes)
            else:
                self._grow(path, rows, attributes, expected)
            return
        if column.dtype.kind == "O" and rows.dtype.kind != "O":
            rows = texts(rows.tolist())
        if column.count < start:
            rows = _joined(missing(start - column.count, rows), rows)
            start = column.count
        alike = rows.dtype == column.dtype and rows.shape[1:] == column.row
        if not alike or not column.grows or not column.holds(rows):
            wider = common(column.dtype, column.row, rows)
            # Not only ``!=``: numpy takes None for float64.
            fits = wider is not None and wider == column.dtype and exact(rows, column.dtype)
            if not column.grows or not fits or not column.holds(rows):
                self._change()
                old = column.read()[:start]
                kept = dict(h5py.Dataset(column.dataset).attrs)
                self._remove(path)
                self._grow(path, _joined(old, rows), kept, expected)
                return
            rows = rows.astype(column.dtype)  # HDF5 makes no complex of a real.
        column.put(rows, start)
        self.cached += _held_back(column, rows)

    def _grow(self, path: str, rows: Array, attributes: Mapping[str, Any], expected: int | None) -> None:
        """Make a dataset that grows, with its first rows."""
        self._change()
        above, _, name = path.rpartition("/")
        stored = rows.dtype
        if self._fixed_text and stored.kind == "O":
            stored = np.dtype(f"S{max(2 * _longest(rows), LEAST_WIDTH)}")
        row = max(math.prod(rows.shape[1:]) * stored.itemsize, 1)
        most = CHUNK_ROWS if not expected else min(max(expected, len(rows), LEAST_CHUNK_ROWS), CHUNK_ROWS)
        chunk = max(1, min(most, CHUNK_BYTES // row))
        properties = _dataset_properties(h5d.CHUNKED)
        properties.set_chunk((chunk, *rows.shape[1:]))
        space = h5s.create_simple((0, *rows.shape[1:]), (h5s.UNLIMITED, *rows.shape[1:]))
        htype = _text_type(stored.itemsize) if stored.kind == "S" else _type(stored)
        dataset = self._dataset(self._require(above), name, htype, space, properties)
        column = self._columns[path] = _Column(dataset, rows.dtype, rows.shape[1:], chunk, stored)
        _create(dataset, attributes)
        column.put(rows, 0)
        self.cached += _held_back(column, rows)

    def settle(self, path: str) -> None:
        """Make a dataset of few rows one that does not grow: HDF5's index of chunks takes 2 kB of each.

        What becomes of a run does not depend on when its rows were flushed, so this is not for those only that were
        written in one go.
        """
        column = self._columns.get(path)
        if column is not None and column.grows and _short(column.count, column.dtype, column.row):
            self._change()
            rows, kept = column.read(), dict(h5py.Dataset(column.dataset).attrs)
            self._remove(path)
            self._create_whole(path, rows, kept)

    def part(self, path: str, own: str, convert: Conversion, attributes: Attributes, of_own: Attributes) -> None:
        """Move a column to ``own``, where a link to it makes way, and put what ``convert`` makes of it in its place."""
        self._change()
        column = self._columns[path]
        here, _, name = path.rpartition("/")
        above, _, name_there = own.rpartition("/")
        there = self._require(above)
        self._unlink_soft(there, name_there)
        self._require(here).links.move(name.encode(), there, name_there.encode())
        self.freed = True
        self._columns[own] = self._columns.pop(path)
        self._named -= {path, own}
        dataset = h5py.Dataset(column.dataset)
        # What was taken off it meanwhile (units that changed in mid-run) neither of the two has.
        attributes, of_own = ({n: v for n, v in each.items() if n in dataset.attrs} for each in (attributes, of_own))
        for each in list(dataset.attrs):
            del dataset.attrs[each]
        _create(column.dataset, of_own)
        rows = max(1, COPIED_BYTES // max(math.prod(column.row) * column.dtype.itemsize, 1))
        for start in range(0, column.count, rows):
            made = convert(dataset[start : start + rows])
            self.append(path, made, attributes, start, expected=column.count, last=True)

    def _create_whole(self, path: str, rows: Array, attributes: Mapping[str, Any]) -> None:
        """Make a dataset of just these rows."""
        self._change()
        above, _, name = path.rpartition("/")
        small = rows.nbytes <= MOST_COMPACT and rows.dtype.kind != "O"
        space = h5s.create_simple(rows.shape)
        dataset = self._dataset(self._require(above), name, _type(rows.dtype), space, COMPACT if small else CONTIGUOUS)
        column = self._columns[path] = _Column(dataset, rows.dtype, rows.shape[1:], 0, rows.dtype)
        column.count = len(rows)  # Before they are written: what is cut off is then truncated.
        dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(rows), _in_memory(rows.dtype))
        self.cached += rows.nbytes
        _create(dataset, attributes)

    def _remove(self, path: str) -> None:
        self.freed = True
        above, _, name = path.rpartition("/")
        self._require(above).unlink(name.encode())
        del self._columns[path]
        self._named.discard(path)

    def truncate(self, path: str, rows: int) -> None:
        """Drop all but the first rows of a growing dataset."""
        column = self._columns.get(path)
        if column is None or column.count <= rows:
            return
        self._change()
        self.freed = True
        if column.grows:
            column.truncate(rows)
        else:
            kept, attributes = column.read()[:rows], dict(h5py.Dataset(column.dataset).attrs)
            self._remove(path)
            if rows:
                self._grow(path, kept, attributes, None)

    def kind(self, path: str) -> tuple[str, tuple[int, ...]] | None:
        """numpy's ``dtype.kind`` (O for text) and the shape of a row of a dataset; None if it is not there."""
        column = self._columns.get(path)
        if column is not None:
            return column.dtype.kind, column.row
        dataset = self._file.get(path)
        if not isinstance(dataset, h5py.Dataset):
            return None
        text = h5py.check_string_dtype(dataset.dtype) is not None
        return "O" if text else dataset.dtype.kind, dataset.shape[1:]

    def read(self, path: str) -> Array:
        """A dataset as it stands in the file."""
        return _read(self._file[path])


@dataclass
class _Column:
    """A dataset of rows."""

    dataset: Any
    dtype: np.dtype[Any]
    row: tuple[int, ...]
    """Shape of a row."""
    chunk: int
    """Rows in a chunk; 0 if the dataset cannot grow."""
    stored: np.dtype[Any]
    """``dtype`` as it is in the file: texts may be of a fixed length there."""
    count: int = 0
    """Rows in the dataset."""
    _tail: Array | None = None
    """The chunk that is not full yet, as it is in the file, so that it is written whole without being read."""
    _tail_at: int = -1
    """First row of the tail."""

    @property
    def grows(self) -> bool:
        """Whether rows can be added."""
        return self.chunk > 0

    def read(self) -> Array:
        """All rows."""
        return _read(h5py.Dataset(self.dataset))

    def takes(self, rows: Sequence[Array], start: int) -> bool:
        """Whether rows can be written one by one as they are."""
        first = rows[0]
        return self.chunk == 1 and start <= self.count and first.dtype == self.dtype and first.shape == self.row

    def holds(self, rows: Array) -> bool:
        """Whether texts are short enough for the dataset."""
        return self.stored.kind != "S" or _longest(rows) <= self.stored.itemsize

    def _extend(self, count: int) -> None:
        self.dataset.set_extent((count, *self.row))
        self.count = count

    def put_each(self, rows: Sequence[Array], start: int) -> None:
        """Write rows that are a chunk each."""
        self._extend(start + len(rows))
        write, within = self.dataset.write_direct_chunk, (0,) * len(self.row)
        for number, row in enumerate(rows, start):
            write((number, *within), row)

    def put(self, rows: Array, start: int) -> None:
        """Write rows of the dataset's own type."""
        self._extend(start + len(rows))
        if self.stored.kind == "S":
            rows = _encoded(rows).astype(self.stored)
        elif self.dtype.kind == "O":
            space = self.dataset.get_space()
            space.select_hyperslab((start, *(0,) * len(self.row)), rows.shape)
            self.dataset.write(h5s.create_simple(rows.shape), space, np.ascontiguousarray(rows), IN_MEMORY)
            return
        write, within, end, chunk = self.dataset.write_direct_chunk, (0,) * len(self.row), self.count, self.chunk
        rows = np.ascontiguousarray(rows)
        for at in range(start - start % chunk, end, chunk):
            if at >= start and at + chunk <= end:
                write((at, *within), rows[at - start : at - start + chunk])
                if self._tail_at == at:  # What it holds of the chunk, from before a rewind, is no longer true.
                    self._tail_at = -1
                continue
            tail = self._tail_from(at, start)
            begin, stop = max(at, start), min(at + chunk, end)
            tail[begin - at : stop - at] = rows[begin - start : stop - start]
            write((at, *within), tail)

    def _tail_from(self, at: int, start: int) -> Array:
        """The chunk whose first row is ``at``, with its rows before ``start``."""
        if self._tail is None:
            self._tail = np.zeros((self.chunk, *self.row), self.stored)
        if self._tail_at != at:
            self._tail_at = -1  # Until it is whole: reading may fail.
            if start > at:
                self._tail[: start - at] = h5py.Dataset(self.dataset)[at:start]
            self._tail_at = at
        return self._tail

    def truncate(self, count: int) -> None:
        """Keep only the first rows."""
        self._extend(count)
        if self._tail_at > count:
            self._tail_at = -1


def _held_back(column: _Column, rows: Array) -> int:
    """Bytes of rows that went into HDF5's chunk cache and not to the disk."""
    return rows.nbytes + column.chunk * rows.dtype.itemsize if column.stored.kind == "O" else 0


def _encoded(rows: Array) -> Array:
    """Texts as UTF-8, of a fixed length."""
    return np.char.encode(rows.astype(str), "utf-8") if rows.size else rows.astype("S1")


def _longest(rows: Array) -> int:
    """Bytes of the longest text."""
    return int(_encoded(rows).dtype.itemsize)


def _read(dataset: h5py.Dataset) -> Array:
    text = h5py.check_string_dtype(dataset.dtype) is not None
    return np.asarray(dataset.asstr()[()] if text else dataset[()])


def _short(count: int, dtype: np.dtype[Any], row: tuple[int, ...]) -> bool:
    return count <= SHORT_ROWS and count * math.prod(row) * dtype.itemsize <= CHUNK_BYTES


def _joined(first: Array, second: Array) -> Array:
    """Two pieces of one column in a type that holds both."""
    dtype = common(first.dtype, first.shape[1:], second)
    if dtype is None or not (exact(first, dtype) and exact(second, dtype)):
        return np.concatenate([texts(first.tolist()), texts(second.tolist())])
    return np.concatenate([first.astype(dtype), second.astype(dtype)])


def _made(value: Any) -> tuple[Any, Any, Any, Array] | None:
    """Type, space, properties and content of a dataset; None if h5py itself must look at the value."""
    if isinstance(value, str):
        raw = storable(value).encode()
        if len(raw) <= MOST_FIXED:
            # Not CONTIGUOUS: that goes to the disk when the dataset is closed, where no error can be told, and not with
            # the flush, before which room is made.
            return _text_type(max(len(raw), 1)), SCALAR, COMPACT, np.array(raw)
        return TEXT, SCALAR, CONTIGUOUS, _object(value)
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        listed = np.array([storable(v) for v in value], dtype=object)
        return TEXT, h5s.create_simple(listed.shape), CONTIGUOUS, listed
    if not isinstance(value, bool | int | float | np.generic | np.ndarray | list | tuple):
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biufc" or array.size == 0:
        return None
    space = SCALAR if array.ndim == 0 else h5s.create_simple(array.shape)
    small = array.nbytes <= MOST_COMPACT
    return _type(array.dtype), space, COMPACT if small else CONTIGUOUS, np.ascontiguousarray(array).reshape(array.shape)


@lru_cache(512)
def _object(text: str) -> Array:
    return np.array(storable(text), dtype=object)


def _set(node: Any, attributes: Mapping[str, Any]) -> None:
    """Set attributes, which may be there already."""
    for name, value in attributes.items():
        if value is None or not h5a.exists(node, name.encode()):
            if value is not None:
                _create(node, {name: value})
            elif h5a.exists(node, name.encode()):
                h5a.delete(node, name.encode())
            continue
        there = h5a.open(node, name.encode())
        if isinstance(value, str) and there.get_type() == TEXT and there.shape == ():
            there.write(_object(value))
        else:
            hdf5.set_attributes(_node(node), {name: value})


def _node(node: Any) -> h5py.HLObject:
    return h5py.Group(node) if isinstance(node, h5g.GroupID) else h5py.Dataset(node)


def _create(node: Any, attributes: Mapping[str, Any]) -> None:
    """Make attributes which are not there yet: numbers, texts, lists of them (variable-length text)."""
    for name, value in attributes.items():
        if isinstance(value, str):
            _create_text(node, name, value)
        elif isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
            array = np.array([storable(v) for v in value], dtype=object)
            h5a.create(node, name.encode(), TEXT, h5s.create_simple(array.shape)).write(array)
        elif isinstance(value, bool | int | float) and (array := np.asarray(value)).dtype.kind != "O":
            h5a.create(node, name.encode(), _type(array.dtype), SCALAR).write(array)
        else:
            hdf5.set_attributes(_node(node), {name: value})


def _create_text(node: Any, name: str, value: str) -> None:
    h5a.create(node, name.encode(), TEXT, SCALAR).write(_object(value))
