"""Run: one run's documents, from start to stop, into its file.

A run does not know where its documents come from (a RunEngine, a journal, a catalogue): it is fed one after the
other and keeps no more of them than the rows which are not written yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nexus_callbacks import additions, documents
from nexus_callbacks.assets import Assets
from nexus_callbacks.coverage import Coverage
from nexus_callbacks.documents import Document, Stream
from nexus_callbacks.layout import Layout, Recipe
from nexus_callbacks.values import column
from nexus_callbacks.writer import Writer

Tell = Callable[[str], None]


@dataclass
class _Table:
    """Rows of one stream that are not in the file yet, and what is known of those that are."""

    stream: Stream
    columns: list[additions.Column] = field(default_factory=list)
    frames: list[additions.Frames] = field(default_factory=list)
    first: Mapping[str, Any] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    first_seq_num: int = 1
    written: int = 0
    """Rows that are in the file."""
    pending: list[tuple[int, float, Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)
    datum_ids: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return self.written + len(self.pending)


class Run:
    """Writes one run.

    Parameters
    ----------
    start
        The start document.
    writer
        The file, open for this run alone.
    recipe
        Definition and bindings that shape it.
    tell
        Called once with each thing that the scientist should know, as a sentence.
    roots
        A detector's own path prefix → ours.
    """

    def __init__(
        self, start: Document, writer: Writer, recipe: Recipe, tell: Tell, roots: Mapping[str, str] | None = None
    ) -> None:
        self.uid = str(start["uid"])
        self.path = writer.path
        self.start = start
        self._writer = writer
        writer.on_fault = self.fault
        self._tell = tell
        self._layout = Layout(recipe)
        self._assets = Assets(roots or {})
        self._tables: dict[str, _Table] = {}
        self._stream_of: dict[str, str] = {}

    @property
    def coverage(self) -> Coverage:
        """Which variables are filled so far."""
        return self._layout.coverage

    # -- documents -------------------------------------------------------------------------------------------------

    def feed(self, name: str, document: Document) -> None:
        """Take the next document of this run, of any kind but ``stop`` (see :meth:`finish`)."""
        if name in ("event", "event_page"):
            self._rows(name, document)
        elif name == "start":
            self._writer.apply(self._layout.begin(document))
        elif name == "descriptor":
            self._descriptor(document)
        elif name == "resource":
            self._assets.add_resource(document)
        elif name == "datum":
            self._assets.add_datum(document)
        elif name == "datum_page":
            for i, datum_id in enumerate(document["datum_id"]):
                kwargs = {k: v[i] for k, v in document["datum_kwargs"].items()}
                datum = {"datum_id": datum_id, "resource": document["resource"], "datum_kwargs": kwargs}
                self._assets.add_datum(datum)
        elif name == "stream_resource":
            self._assets.add_stream_resource(document)
        elif name == "stream_datum":
            self._assets.add_stream_datum(document, self._stream_of[document["descriptor"]])
        else:
            self._tell(f"A document of unknown kind {name!r} was not written")

    def _descriptor(self, document: Document) -> None:
        stream, found = self._layout.extend(document)
        table = self._tables.get(stream.name)
        if table is None:
            table = self._tables[stream.name] = _Table(stream)
        else:
            self.write_rows()  # Rows before a reconfiguration belong to the columns known then.
            table.stream = Stream(
                stream.name,
                {**table.stream.keys, **stream.keys},
                stream.configuration,
                stream.configuration_keys,
                stream.hinted,
                stream.nx_classes,
            )
        self._stream_of[document["uid"]] = stream.name
        for addition in found:
            if isinstance(addition, additions.Column):
                table.columns.append(addition)
                self._pad(table, addition)
            elif isinstance(addition, additions.Frames):
                table.frames.append(addition)
        self._writer.apply(found)

    def _pad(self, table: _Table, late: additions.Column) -> None:
        """A column that comes late in its stream has no value for the rows before."""
        if table.written:
            row = (len(late.keys),) if late.kind == "timestamps" else ()
            self._writer.append(late, np.full((table.written, *row), np.nan))

    def _rows(self, name: str, document: Document) -> None:
        table = self._tables[self._stream_of[document["descriptor"]]]
        external = [key.name for key in table.stream.keys.values() if key.external]
        for seq_num, time, data, stamps in documents.rows(name, document):
            if table.count == 0:
                table.first, table.first_seq_num = data, seq_num
                self._writer.apply(self._layout.first(table.stream.name, data))
            elif seq_num - table.first_seq_num < table.count:
                self._rewind(table, seq_num - table.first_seq_num)
            table.pending.append((seq_num, time, data, stamps))
            table.last = data
            for key in external:
                if key in data:
                    table.datum_ids.setdefault(key, []).append(data[key])

    def _rewind(self, table: _Table, rows: int) -> None:
        """Keep the first rows only: after a pause the RunEngine repeats points, and the later one stands."""
        if rows < table.written:
            for each in table.columns:
                self._writer.truncate(each, rows)
            table.written = max(rows, 0)
            table.pending.clear()
        else:
            del table.pending[rows - table.written :]
        for ids in table.datum_ids.values():
            del ids[rows:]

    # -- the file --------------------------------------------------------------------------------------------------

    def write_rows(self) -> None:
        """Bring all pending rows into the file and make them visible."""
        for table in self._tables.values():
            self._write_table(table)
        self._writer.flush()

    def _write_table(self, table: _Table) -> None:
        if not table.pending:
            return
        pieces: dict[tuple[str, str], np.ndarray[Any, Any]] = {}
        for each in table.columns:
            source = (each.kind, each.key or each.path)
            if source not in pieces:
                pieces[source] = self._piece(table, each)
            rows = pieces[source]
            self._writer.append(each, each.convert(rows) if each.convert else rows)
        table.written += len(table.pending)
        table.pending.clear()

    def _piece(self, table: _Table, each: additions.Column) -> np.ndarray[Any, Any]:
        rows = table.pending
        if each.kind == "data":
            return announced(column([data.get(each.key) for _, _, data, _ in rows]), each.dtype_numpy)
        if each.kind == "timestamps":
            return np.array([[stamps.get(key, math.nan) for key in each.keys] for *_, stamps in rows], dtype=float)
        if each.kind == "seq_num":
            return np.array([seq_num for seq_num, *_ in rows])
        zero = self.start["time"] if each.kind == "elapsed" else 0.0
        return np.array([time - zero for _, time, *_ in rows], dtype=float)

    def finish(self, stop: Document) -> None:
        """Take the stop document: write what needs the whole run, and close the file."""
        self.write_rows()
        for table in self._tables.values():
            for frames in table.frames:
                self._link_frames(table, frames)
        self._writer.apply(self._layout.finish(stop, self))
        self._writer.state("complete")
        self._writer.close()

    def _link_frames(self, table: _Table, frames: additions.Frames) -> None:
        ids = table.datum_ids.get(frames.key)
        if ids is None:
            ranges = self._assets.frames(table.stream.name, frames.key, frames.per_row)
        else:
            of_ids = self._assets.datum_frames(ids, frames.per_row)
            if of_ids is None:
                paths = [self._assets.datum_path(i) or str(i) for i in ids]
                self._not_linked(frames, paths, "files of a format that HDF5 cannot show")
                return
            ranges = of_ids
        self._writer.link_frames(frames, ranges)

    def _not_linked(self, frames: additions.Frames, paths: list[str], reason: str) -> None:
        self._layout.lost(frames.path, f"{reason}: {', '.join(dict.fromkeys(paths))}")
        if frames.path.startswith(f"{self._layout.entry}/measurement/"):
            attributes = {"description": f"Where the frames are; {reason}"}
            self._writer.apply([additions.Field(frames.path, paths, attributes)])

    def abandon(self, reason: str) -> None:
        """Close the file of a run whose stop document will not come."""
        self._writer.state("incomplete", reason)
        self._writer.close()

    def fault(self, path: str, reason: str) -> None:
        """Note that a value could not be written, and tell it."""
        self._layout.lost(path, reason)
        self._tell(f"{self.path.name}: {path}: {reason}")

    # -- readings, for the layout's finish -------------------------------------------------------------------------

    def count(self, stream: str) -> int:
        """Number of rows of a stream."""
        table = self._tables.get(stream)
        return table.count if table else 0

    def first(self, stream: str) -> Mapping[str, Any]:
        """First row of a stream."""
        return self._tables[stream].first if stream in self._tables else {}

    def last(self, stream: str) -> Mapping[str, Any]:
        """Last row of a stream."""
        return self._tables[stream].last if stream in self._tables else {}

    def column(self, stream: str, key: str) -> np.ndarray[Any, Any]:
        """A whole column in the order of acquisition, read back from the file."""
        for each in self._tables[stream].columns:
            if (each.kind, each.key, each.convert) == ("data", key, None):
                return self._writer.read(each.path)
        return column([self._tables[stream].first.get(key), self._tables[stream].last.get(key)])


def announced(rows: np.ndarray[Any, Any], dtype_numpy: str | None) -> np.ndarray[Any, Any]:
    """The rows in the type that the device announced, where that holds every value; else as they are."""
    if not dtype_numpy or rows.dtype.kind not in "biuf":
        return rows
    try:
        cast = rows.astype(dtype_numpy)
    except (TypeError, ValueError):
        return rows
    if cast.dtype.kind not in "biuf":
        return rows
    return cast if np.array_equal(cast, rows, equal_nan=rows.dtype.kind == "f") else rows
