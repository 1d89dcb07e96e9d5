"""Table: the rows of one stream that are not in the file yet, and what is remembered of those that are."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nexus_callbacks import additions
from nexus_callbacks.documents import BASELINE, Document, Stream, rows
from nexus_callbacks.values import column, texts

Row = tuple[int, float, Mapping[str, Any], Mapping[str, Any]]
"""seq_num, time in s since 1970, data, timestamps."""


class SeqNums:
    """The seq_nums of the rows so far, as intervals: bluesky counts on by one, and rarely anything else happens."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._rows: list[int] = []
        self.count = 0
        """Number of rows."""

    def append(self, seq_num: int) -> None:
        """Take the next row; its seq_num must be greater than all before."""
        if not self._firsts or seq_num != self._firsts[-1] + self.count - self._rows[-1]:
            self._firsts.append(seq_num)
            self._rows.append(self.count)
        self.count += 1

    @property
    def next(self) -> int:
        """The smallest seq_num that no row has reached."""
        return self._firsts[-1] + self.count - self._rows[-1] if self._firsts else -(2**63)

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


@dataclass
class Table:
    """Rows of one stream."""

    stream: Stream
    columns: list[additions.Column] = field(default_factory=list)
    frames: list[additions.Frames] = field(default_factory=list)
    first: Mapping[str, Any] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    seq_nums: SeqNums = field(default_factory=SeqNums)
    written: int = 0
    """Rows that are in the file, in every column."""
    pending: list[Row] = field(default_factory=list)
    baseline: list[Mapping[str, Any]] = field(default_factory=list)
    """All rows of a baseline, which has no columns in the file and rarely more than two rows."""
    datum_ids: dict[str, list[Any]] = field(default_factory=dict)
    """Legacy external key → the datum of each row."""
    unsure: bool = False
    """A write was cut off: columns may hold more rows than ``written``."""

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.seq_nums.count

    def take(self, name: str, document: Document) -> int | None:
        """Take the rows of an ``event`` or ``event_page``.

        Returns
        -------
        None, or after a repeated row the number of rows in the file that still stand: the RunEngine repeats rows after
        a pause, and the later one stands.
        """
        keep: int | None = None
        legacy = [key.name for key in self.stream.keys.values() if key.external]
        for row in rows(name, document):
            seq_num, _, data, _ = row
            if seq_num < self.seq_nums.next:
                stands = self._rewind(self.seq_nums.before(seq_num))
                keep = stands if keep is None else min(keep, stands)
            if self.seq_nums.count == 0:
                self.first = data
            self.seq_nums.append(seq_num)
            self.pending.append(row)
            self.last = data
            if self.stream.name == BASELINE:
                self.baseline.append(data)
            for key in legacy:
                if key in data:
                    self.datum_ids.setdefault(key, []).append(data[key])
        return keep

    def _rewind(self, count: int) -> int:
        self.seq_nums.truncate(count)
        del self.pending[max(count - self.written, 0) :]
        del self.baseline[count:]
        for ids in self.datum_ids.values():
            del ids[count:]
        return min(count, self.written)

    def piece(self, each: additions.Column, start_time: float) -> np.ndarray[Any, Any]:
        """The pending rows of one column."""
        pending = self.pending
        if each.kind == "data":
            return announced(column([data.get(each.key) for _, _, data, _ in pending]), each.dtype_numpy)
        if each.kind == "timestamps":
            return np.array([[_number(stamps.get(key)) for key in each.keys] for *_, stamps in pending], dtype=float)
        if each.kind == "seq_num":
            return np.array([seq_num for seq_num, *_ in pending])
        zero = start_time if each.kind == "elapsed" else 0.0
        return np.array([_number(time) - zero for _, time, *_ in pending], dtype=float)

    def as_text(self, each: additions.Column) -> np.ndarray[Any, Any]:
        """The pending rows of one column as text, for values that are nothing else."""
        return texts([data.get(each.key) for _, _, data, _ in self.pending])


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def announced(values: np.ndarray[Any, Any], dtype_numpy: str | None) -> np.ndarray[Any, Any]:
    """The values in the type that the device announced, where that holds every one of them; else as they are."""
    if not dtype_numpy or values.dtype.kind not in "biuf":
        return values
    try:
        cast = values.astype(dtype_numpy)
    except (TypeError, ValueError):
        return values
    if cast.dtype.kind not in "biuf":
        return values
    return cast if np.array_equal(cast, values, equal_nan=values.dtype.kind == "f") else values
