"""Table: the rows of one stream that are not in the file yet, and what is remembered of those that are."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from nexus_callbacks.documents import BASELINE, Document, Stream, is_log, rows
from nexus_callbacks.layout import additions
from nexus_callbacks.values import column, structured, texts

Row = tuple[int, float, Mapping[str, Any], Mapping[str, Any]]
"""seq_num, time in s since 1970, data, timestamps."""
Array = np.ndarray[Any, Any]
Piece = Array | list[Array]
"""Rows of a column: one array, rows first, or the rows themselves where each is large, so that none is copied."""

LEAST = -(2**63)
MOST_ROWS = 1024
MOST_BYTES = 4 * 2**20
"""Rows, and bytes of arrays in them, which wait for the next flush; more are brought into the file at once."""
MOST_SETTLED = 1000
"""Columns of a stream up to which short ones are made not to grow any more at the end of a run: to take the old ones
away HDF5 needs time with the square of their number (2000: 1 s, 8000: 29 s)."""
LARGE = 32 * 1024
"""Bytes of an array that is not copied on its way into the file."""


class SeqNums:
    """The seq_nums of the rows so far, as intervals: bluesky counts on by one, and rarely anything else happens."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._rows: list[int] = []
        self.count = 0
        """Number of rows."""
        self.next = LEAST
        """The smallest seq_num that no row has reached."""

    def append(self, seq_num: int) -> None:
        """Take the next row; its seq_num must be greater than all before."""
        if seq_num != self.next or not self._firsts:
            self._firsts.append(seq_num)
            self._rows.append(self.count)
        self.count += 1
        self.next = seq_num + 1

    def extend(self, first: int, more: int) -> None:
        """Take the next rows, whose seq_nums count on from ``first``; it must be greater than all before."""
        if more:
            self.append(first)
            self.count += more - 1
            self.next = first + more

    def before(self, seq_num: int) -> int:
        """Number of rows whose seq_num is smaller."""
        at = bisect_right(self._firsts, seq_num) - 1
        if at < 0:
            return 0
        end = self._rows[at + 1] if at + 1 < len(self._rows) else self.count
        return min(self._rows[at] + seq_num - self._firsts[at], end)

    def truncate(self, count: int) -> None:
        """Forget all but the first rows."""
        while self._rows and self._rows[-1] >= count:
            self._rows.pop()
            self._firsts.pop()
        self.count = count
        self.next = self._firsts[-1] + count - self._rows[-1] if self._firsts else LEAST


class Rows:
    """Rows that came one by one."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __len__(self) -> int:
        return len(self.rows)

    def truncate(self, count: int) -> None:
        """Keep only the first rows."""
        del self.rows[count:]

    def keys(self) -> Set[str]:
        """The keys of the data; a device that changes them in mid-run has to say so, so one row tells."""
        return self.rows[0][2].keys() if self.rows else set()

    def seq_nums(self) -> Sequence[int]:
        """The rows' numbers."""
        return [seq_num for seq_num, *_ in self.rows]

    def times(self) -> Sequence[Any]:
        """The rows' times, in s since 1970."""
        return [time for _, time, *_ in self.rows]

    def data(self, keys: Sequence[str]) -> Iterator[Sequence[Any]]:
        """The values of each key; None where a row has none."""
        return _columns([data for _, _, data, _ in self.rows], keys)

    def stamps(self, keys: Sequence[str]) -> Array:
        """The timestamps of keys, a row each; NaN where there is none."""
        stamps = [row[3] for row in self.rows]
        try:
            get = itemgetter(*keys)
            return np.array(list(map(get, stamps)), dtype=float).reshape(len(stamps), len(keys))
        except (KeyError, TypeError, ValueError):
            return np.array([[_number(each.get(key)) for key in keys] for each in stamps], dtype=float)


@dataclass
class Page:
    """Rows that came as columns."""

    document: Document
    count: int
    """Rows that stand."""

    def __len__(self) -> int:
        return self.count

    def truncate(self, count: int) -> None:
        """Keep only the first rows."""
        self.count = min(count, self.count)

    def keys(self) -> Set[str]:
        """The keys of the data."""
        keys: Set[str] = self.document["data"].keys()
        return keys

    def seq_nums(self) -> Sequence[int]:
        """The rows' numbers."""
        return list(self.document["seq_num"][: self.count])

    def times(self) -> Sequence[Any]:
        """The rows' times, in s since 1970."""
        return list(self.document["time"][: self.count])

    def data(self, keys: Sequence[str]) -> Iterator[Sequence[Any]]:
        """The values of each key; None where the page has none."""
        data = self.document["data"]
        return (data[key][: self.count] if key in data else [None] * self.count for key in keys)

    def stamps(self, keys: Sequence[str]) -> Array:
        """The timestamps of keys, a row each; NaN where there is none."""
        stamps = self.document.get("timestamps") or {}
        found = np.full((self.count, len(keys)), math.nan)
        for number, key in enumerate(keys):
            if key in stamps:
                found[:, number] = _numbers(stamps[key][: self.count])
        return found


@dataclass
class Table:
    """Rows of one stream."""

    stream: Stream
    columns: list[additions.Column] = field(default_factory=list)
    frames: list[additions.Frames] = field(default_factory=list)
    first: Mapping[str, Any] = field(default_factory=dict)
    seq_nums: SeqNums = field(default_factory=SeqNums)
    written: int = 0
    """Rows that are in the file, in every column."""
    pending: list[Rows | Page] = field(default_factory=list)
    baseline: list[Mapping[str, Any]] = field(default_factory=list)
    """All rows of a baseline, which has no columns in the file and rarely more than two rows."""
    datum_ids: dict[str, list[Any]] = field(default_factory=dict)
    """Legacy external key → the datum of each row."""
    unsure: bool = False
    """A write was cut off: columns may hold more rows than ``written``."""
    expected: int | None = None
    """How many rows there may be; None where the plan does not say."""
    full: int = 0
    """Number of rows at which those that are pending should go into the file, so that memory does not fill."""
    descriptors: list[tuple[int, int]] = field(default_factory=list)
    """From which row on which descriptor holds (row, number from 1 on), once the stream has several."""
    _numbers: dict[str, int] = field(default_factory=dict)
    """Uid of a descriptor → its number."""
    _paths: dict[str, list[str]] = field(default_factory=dict)
    _indexed: int = 0
    """Number of columns that are in ``_paths``."""
    _log: bool = False
    """No row takes another's place: what a monitor saw before a pause was there, though bluesky counts it anew (as it
    does the pauses themselves)."""
    _last: Mapping[str, Any] | Page = field(default_factory=dict)
    _legacy: tuple[str, ...] = ()
    _special: bool = False
    """Something of each row is to be remembered."""
    _block: Rows | None = None
    """Where the next row goes."""

    def __post_init__(self) -> None:
        self.describe(self.stream)

    def describe(self, stream: Stream) -> None:
        """Take what the descriptors say of the stream."""
        self.stream = stream
        self._legacy = tuple(key.name for key in stream.keys.values() if key.external)
        self._special = bool(self._legacy) or stream.name == BASELINE
        self._log = is_log(stream.name)

    def paths(self, key: str) -> Sequence[str]:
        """Where the values of a key stand as they came, unconverted; of 20 000 columns none is looked for."""
        if self._indexed != len(self.columns):
            self._paths.clear()
            for each in self.columns:
                if each.kind == "data" and each.convert is None:
                    self._paths.setdefault(each.key, []).append(each.path)
            self._indexed = len(self.columns)
        return self._paths.get(key, ())

    def next_descriptor(self, uid: str) -> None:
        """Take another descriptor of the stream."""
        self._numbers[uid] = len(self._numbers) + 1
        if len(self._numbers) == 2:  # Until then there was but one.
            self.descriptors = [(0, 1)] if self.count else []

    def _under(self, document: Document, first: int) -> None:
        """Note under which descriptor the rows from ``first`` on came, if there are several."""
        if len(self._numbers) < 2:
            return
        while self.descriptors and self.descriptors[-1][0] >= first:
            self.descriptors.pop()
        number = self._numbers[document["descriptor"]]
        if not self.descriptors or self.descriptors[-1][1] != number:
            self.descriptors.append((first, number))

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.seq_nums.count

    @property
    def wide(self) -> bool:
        """Whether it has so many columns that none is made smaller at the end."""
        return len(self.columns) > MOST_SETTLED

    @property
    def last(self) -> Mapping[str, Any]:
        """Last row."""
        page = self._last
        return {k: v[page.count - 1] for k, v in page.document["data"].items()} if isinstance(page, Page) else page

    def take(self, name: str, document: Document) -> int | None:
        """Take the rows of an ``event`` or ``event_page``.

        Returns
        -------
        None, or after a repeated row the number of rows in the file that still stand: the RunEngine repeats rows after
        a pause, and the later one stands.
        """
        if name == "event":
            data = document["data"]
            keep = self._take_row((document["seq_num"], document["time"], data, document.get("timestamps") or {}))
            self._under(document, self.count - 1)
            return keep
        if self._take_page(document):
            self._under(document, self.count - len(document["seq_num"]))
            return None
        keep = None
        for row in rows(name, document):
            stands = self._take_row(row)
            self._under(document, self.count - 1)
            if stands is not None:
                keep = stands if keep is None else min(keep, stands)
        return keep

    def _take_row(self, row: Row) -> int | None:
        seq_num, _, data, _ = row
        if not isinstance(data, Mapping):  # Before anything of it is kept: it must not cost the rows beside it.
            raise TypeError(f"the data of an event are of type {type(data).__name__}, not a mapping")
        seq_nums = self.seq_nums
        if self._log:
            seq_num = max(seq_num, seq_nums.next)
        keep = self._rewind(seq_nums.before(seq_num)) if seq_num < seq_nums.next else None
        if seq_nums.count == 0:
            self.first = data
        block = self._block
        if block is None:
            block = self._block = Rows()
            self._open(block, data.values())
        seq_nums.append(seq_num)
        block.rows.append(row)
        self._last = data
        if self._special:
            self._remember(data)
        return keep

    def _remember(self, data: Mapping[str, Any]) -> None:
        if self.stream.name == BASELINE:
            self.baseline.append(data)
        for key in self._legacy:
            if key in data:
                self.datum_ids.setdefault(key, []).append(data[key])

    def _take_page(self, document: Document) -> bool:
        """Keep a page as it is; False if its rows must be looked at one by one."""
        numbers, data = document["seq_num"], document["data"]
        count = len(numbers)
        plain = (
            count > 0
            and self.stream.name != BASELINE
            and numbers[0] >= self.seq_nums.next
            and list(numbers) == list(range(numbers[0], numbers[0] + count))
            and all(len(each) == count for each in data.values())
            and all(len(each) == count for each in (document.get("timestamps") or {}).values())
            and len(document["time"]) == count
        )
        if not plain:
            return False
        page = Page(document, count)
        if self.seq_nums.count == 0:
            self.first = {k: v[0] for k, v in data.items()}
        self._open(page, [each[0] for each in data.values()])
        self._block = None
        self.seq_nums.extend(numbers[0], count)
        self._last = page
        for key in self._legacy:
            if key in data:
                self.datum_ids.setdefault(key, []).extend(data[key])
        return True

    def _open(self, block: Rows | Page, values: Iterable[Any]) -> None:
        """Begin a block of pending rows, the first of which has these values."""
        if not self.pending:
            large = sum(map(_bytes, values))
            self.full = self.count + min(MOST_ROWS, max(MOST_BYTES // large, 1) if large else MOST_ROWS)
        self.pending.append(block)

    def _rewind(self, count: int) -> int:
        self.seq_nums.truncate(count)
        room = max(count - self.written, 0)
        kept = []
        for block in self.pending:
            block.truncate(room)
            room -= len(block)
            if len(block):
                kept.append(block)
        self.pending, self._block = kept, None
        del self.baseline[count:]
        for ids in self.datum_ids.values():
            del ids[count:]
        return min(count, self.written)

    def done(self) -> None:
        """Note that all pending rows are in the file."""
        self.written += sum(map(len, self.pending))
        self.pending, self._block = [], None
        self.unsure = False

    def pieces(self, block: Rows | Page, start_time: float) -> Iterator[tuple[additions.Column, Callable[[], Piece]]]:
        """Each column with what makes its rows of a block of pending ones."""
        keys = tuple(dict.fromkeys(each.key for each in self.columns if each.kind == "data"))
        values = dict(zip(keys, block.data(keys), strict=True))
        for each in self.columns:
            yield each, partial(_piece, block, each, values.get(each.key, ()), start_time)

    def as_text(self, block: Rows | Page, each: additions.Column) -> Array:
        """The rows of one column as text, for values that are nothing else."""
        return texts(next(block.data([each.key])))


def _piece(block: Rows | Page, each: additions.Column, values: Sequence[Any], start_time: float) -> Piece:
    if each.kind == "data":
        large = _large(values, each)
        if large is not None:
            return large
        records = structured(values, np.dtype(list(each.fields))) if each.fields else None
        return announced(column(values), each.dtype_numpy) if records is None else records
    if each.kind == "timestamps":
        return block.stamps(each.keys)
    if each.kind == "seq_num":
        return np.array(block.seq_nums())
    times = _numbers(block.times())
    return times - start_time if each.kind == "elapsed" else times


def _large(values: Sequence[Any], each: additions.Column) -> list[Array] | None:
    """The values themselves if they are large arrays of one shape in the type that was announced, else None."""
    first = values[0]
    if not isinstance(first, np.ndarray) or first.nbytes < LARGE or each.convert is not None:
        return None
    if first.dtype.kind not in "biuf" or first.dtype.itemsize > 8:
        return None
    if each.dtype_numpy and announced(first[:0], each.dtype_numpy).dtype != first.dtype:
        return None
    shape, dtype = first.shape, first.dtype
    for value in values:
        plain = type(value) is np.ndarray and value.shape == shape and value.dtype == dtype
        if not plain or not value.flags.c_contiguous:
            return None
    return list(values)


def _columns(mappings: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[Sequence[Any]]:
    """The values of each key in several mappings; None where one has none."""
    if len(keys) > 1:
        try:
            return zip(*map(itemgetter(*keys), mappings), strict=True)
        except KeyError:  # A row without one of them: below.
            return iter([[each.get(key) for each in mappings] for key in keys])
    return iter([[each.get(key) for each in mappings] for key in keys])


def _numbers(values: Sequence[Any]) -> Array:
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError):
        return np.array([_number(value) for value in values], dtype=float)


def _bytes(value: Any) -> int:
    """About how many bytes an array or a list of lists takes; 0 for a plain value."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    return len(value) * max(_bytes(value[0]), 32) if isinstance(value, list | tuple) and value else 0


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def announced(values: np.ndarray[Any, Any], dtype_numpy: str | None) -> np.ndarray[Any, Any]:
    """The values in the type that the device announced, where that holds every one of them; else as they are."""
    if not dtype_numpy or values.dtype.kind not in "biuf" or values.dtype == dtype_numpy:
        return values
    try:
        with np.errstate(invalid="ignore"):  # NaN has no integer; it is seen below.
            cast = values.astype(dtype_numpy)
    except (TypeError, ValueError):
        return values
    if cast.dtype.kind not in "biuf":
        return values
    return cast if np.array_equal(cast, values, equal_nan=values.dtype.kind == "f") else values
