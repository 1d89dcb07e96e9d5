"""Run: one run's documents, from start to stop, into its file.

A run does not know where its documents come from (a RunEngine, a journal, a catalogue): it is fed one after the
other. It keeps the rows which are not written yet, and what its detectors told of their frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nexus_callbacks.documents import BASELINE, PRIMARY, Document, Stream, iso_time, merged
from nexus_callbacks.files.table import Page, Piece, Rows, Table
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.frames import stacks
from nexus_callbacks.frames.assets import Assets
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.coverage import Coverage
from nexus_callbacks.layout.layout import Layout, Recipe
from nexus_callbacks.relations import RELATIVE
from nexus_callbacks.values import column

Tell = Callable[[str], None]
MOST_TOLD = 5
"""Mandatory values that are named in the line which says that they are missing."""


class Run:
    """Writes one run.

    Parameters
    ----------
    writer
        The file, open for this run alone.
    recipe
        Definition and bindings that shape it.
    tell
        Called once with each thing that the scientist should know, as a sentence.
    roots
        A detector's own path prefix → ours.
    path
        Where the file will be in the end, if it is written under another name.
    """

    def __init__(
        self,
        writer: Writer,
        recipe: Recipe,
        tell: Tell,
        roots: Mapping[str, str] | None = None,
        path: Path | None = None,
    ) -> None:
        self.path = path or writer.path
        self.file = writer.path
        """The file that it is written to."""
        self.start: Document = {}
        self.failed: list[str] = []
        """Parts that could not be written when the run ended; the file is incomplete without them."""
        self._refused: dict[str, str] = {}
        """Kind of document → why the first such one could not be written."""
        self._writer = writer
        writer.on_fault = self.fault
        self._tell = tell
        self._zone = recipe.zone
        self._layout = Layout(recipe)
        self._assets = Assets(roots or {})
        self._tables: dict[str, Table] = {}
        self._stream_of: dict[str, str] = {}
        self._table_of: dict[str, Table] = {}
        """Uid of a descriptor → the rows of its stream."""
        self._links: dict[str, list[additions.Link]] = {}
        """Stream → links to columns of it that are made with their first rows."""
        self._lost: set[str] = set()
        self._texts: set[str] = set()
        """Columns that became text although numbers were announced."""
        self._takes: dict[str, Callable[[Document], None]] = {
            "start": self._start,
            RELATIVE: self._relative,
            "descriptor": self._descriptor,
            "event": partial(self._rows, "event"),
            "event_page": partial(self._rows, "event_page"),
            "resource": self._assets.add_resource,
            "datum": self._assets.add_datum,
            "datum_page": self._assets.add_datum_page,
            "stream_resource": self._assets.add_stream_resource,
            "stream_datum": self._stream_datum,
            "stop": self._stop,
        }

    @property
    def coverage(self) -> Coverage:
        """Which variables are filled so far."""
        return self._layout.coverage

    def feed(self, name: str, document: Document) -> None:
        """Take the next document of this run; after ``stop`` the file is complete and closed."""
        take = self._takes.get(name)
        if take is None:
            self._tell(f"{self.path.name}: a document of unknown kind {name!r} was not written")
            return
        try:
            take(document)
        except OSError:
            raise  # The disk does not take it now; a journal keeps it and it is tried again.
        except Exception as error:
            why = f"a document of kind {name!r} could not be written: {type(error).__name__}: {error}"
            self._refused.setdefault(name, why)
            raise

    # -- documents -------------------------------------------------------------------------------------------------

    def _start(self, document: Document) -> None:
        self.start = document
        self._writer.reserve()  # Before all else: a start document that is tried again must find nothing of itself.
        self._writer.root({"file_name": self.path.name, "file_time": iso_time(document["time"], self._zone)})
        self._writer.apply(self._layout.begin(document))

    def _relative(self, document: Document) -> None:
        self._writer.apply(self._layout.related(document))

    def _descriptor(self, document: Document) -> None:
        table = self._tables.get(document.get("name", PRIMARY))
        if table is not None:
            self._write_table(table)  # Rows before a reconfiguration belong to the columns known then.
        self._writer.reserve()  # What a full disk refuses is tried again: nothing may have been done by then.
        stream, found = self._layout.extend(document)
        if table is None:
            table = self._tables[stream.name] = Table(stream, expected=self._expected(stream.name))
            table.next_descriptor(document["uid"])
        else:
            self._compare_units(table, stream)
            table.describe(merged(table.stream, stream))
            table.next_descriptor(document["uid"])
        self._stream_of[document["uid"]] = stream.name
        self._table_of[document["uid"]] = table
        table.columns += [each for each in found if isinstance(each, additions.Column)]
        table.frames += [each for each in found if isinstance(each, additions.Frames)]
        self._links.setdefault(stream.name, []).extend(each for each in found if isinstance(each, additions.Link))
        self._writer.apply(each for each in found if not isinstance(each, additions.Link))

    def _compare_units(self, table: Table, stream: Stream) -> None:
        """Say of a column whose device changes its units in mid-run that it has none which hold for every row."""
        for key in stream.keys.values():
            known = table.stream.keys.get(key.name)
            if known is None or known.units == key.units or not table.count:
                continue
            text = f"{key.name!r} of {stream.name} has units {key.units!r} from row {table.count} on, and"
            text = f"{text} {known.units!r} before: its descriptors tell them"
            self._tell(f"{self.path.name}: {text}")
            for number, each in enumerate(table.columns):
                if each.kind == "data" and each.key == key.name and "units" in each.attributes:
                    kept = {name: value for name, value in each.attributes.items() if name != "units"}
                    table.columns[number] = replace(each, attributes=kept)
                    self._layout.remark(each.path, text)
                    if self._writer.kind(each.path):
                        self._writer.apply([additions.Attribute(each.path, {"units": None})])

    def _expected(self, stream: str) -> int | None:
        points = self.start.get("num_points")
        return points if stream == PRIMARY and isinstance(points, int) and points > 0 else None

    def _stream_datum(self, document: Document) -> None:
        rows, frames = (document[name]["stop"] - document[name]["start"] for name in ("seq_nums", "indices"))
        if rows != frames:
            self._tell(f"{self.path.name}: a detector told of {frames} frames for {rows} rows: some rows have none")
        self._assets.add_stream_datum(document, self._stream_of[document["descriptor"]])

    def _rows(self, name: str, document: Document) -> None:
        table = self._table_of[document["descriptor"]]
        fresh = table.seq_nums.count == 0
        keep = table.take(name, document)
        if keep is not None and keep < table.written:
            table.written, table.unsure = keep, True
        if fresh and table.stream.name == BASELINE and table.count:
            self._writer.apply(self._layout.first(table.stream.name, table.first))
        if table.seq_nums.count >= table.full:
            self._relieve(table)

    def _relieve(self, table: Table) -> None:
        """Bring rows into the file before their time, so that they do not pile up in memory."""
        try:
            self._write_table(table)
        except OSError as error:  # They stay pending; the next flush meets the same disk and says what comes of it.
            table.full = table.count + sum(map(len, table.pending))
            self._tell(f"{self.path}: rows could not be written yet: {error}")

    def _stop(self, document: Document) -> None:
        self._finish(document, "")

    def _finish(self, stop: Document, reason: str) -> None:
        """Write what needs the whole run and close the file. A part that fails costs only itself, and is told."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("rows", lambda: self.write_tables(last=True)),
            ("frames", lambda: self._link_all_frames(whole=stop.get("exit_status") == "success")),
            ("final readings, plots and links", lambda: self._writer.apply(self._layout.finish(stop, self))),
            ("coverage", lambda: self._writer.apply(self._layout.account())),
            ("missing values", self._tell_missing),
            ("the file's state", lambda: self._ended([reason, *self._refused.values(), *self.failed])),
            ("closing", self._writer.close),
        ]
        for what, step in steps:
            try:
                step()
            except Exception as error:  # Documents of a plan of one's own may hold anything; the disk may be full.
                self.failed.append(f"{what}: {type(error).__name__}: {error}")
                self._tell(f"{self.path}: {self.failed[-1]}")

    def _tell_missing(self) -> None:
        """Say in a line which mandatory values the file lacks, and why: later nobody can measure them any more."""
        missing = [each for each in self.coverage.missing if each.mandatory]
        if missing:
            told = "; ".join(f"{each.variable}: {each.reason or 'no value came'}" for each in missing[:MOST_TOLD])
            more = f"; and {len(missing) - MOST_TOLD} more" if len(missing) > MOST_TOLD else ""
            where = f"see nexus-callbacks coverage {self.path}"
            self._tell(f"{self.path.name} lacks mandatory values: {told}{more} ({where})")

    def _ended(self, reasons: Sequence[str]) -> None:
        told = "; ".join(filter(None, reasons))
        self._writer.state("incomplete" if told else "complete", told)

    def _link_all_frames(self, whole: bool) -> None:
        records = [self._link_frames(t, each, whole) for t in self._tables.values() for each in t.frames]
        if records:
            note = f"{self._layout.entry}/{stacks.NOTE}"
            self._writer.apply(
                [
                    additions.Group(note.rpartition("/")[0], "NXprocess"),
                    additions.Group(note, "NXnote"),
                    additions.Field(f"{note}/type", "application/json"),
                    additions.Field(f"{note}/description", stacks.ABOUT),
                    additions.Field(f"{note}/data", stacks.to_json(records), {stacks.FOLDER: str(self.path.parent)}),
                ]
            )

    # -- the file --------------------------------------------------------------------------------------------------

    def write_rows(self, last: bool = False) -> None:
        """Bring all pending rows into the file and make them visible.

        ``last``: no more rows will come, which makes short runs smaller.

        Raises
        ------
        OSError
            The disk does not take them; they stay pending.
        """
        self.write_tables(last)
        self._writer.flush()

    def write_tables(self, last: bool = False) -> None:
        """As :meth:`write_rows`, but readers do not see them before the next flush."""
        for table in self._tables.values():
            self._write_table(table, last)
            for each in table.columns if last and not table.wide else ():
                self._writer.settle(each)

    def _write_table(self, table: Table, last: bool = False) -> None:
        if table.unsure:  # Repeated rows, or a write that was cut off: back to what stands in every column.
            for each in table.columns:
                self._writer.truncate(each, table.written)
            table.unsure = False
        if not table.pending:
            return
        blocks = [self._pieces(table, block) for block in table.pending]
        table.unsure = True
        expected = 1 if table.wide else table.expected  # Small chunks: most of them stay nearly empty.
        for each, pieces in zip(table.columns, zip(*blocks, strict=True), strict=True):
            start = table.written
            whole = _merged(pieces)
            for rows in whole:
                once = last and len(whole) == 1 and not table.wide
                self._writer.append(each, rows, start, expected=expected, last=once)
                start += len(rows)
            if each.kind == "data" and each.path not in self._texts:
                self._tell_text(table, each)
        table.done()
        self._writer.apply(self._links.pop(table.stream.name, ()))

    def _tell_text(self, table: Table, each: additions.Column) -> None:
        """Say once of a column that its values are not the numbers which its device announced."""
        said = table.stream.keys[each.key].dtype
        if said != "string" and self._writer.kind(each.path) == ("O", ()):
            self._texts.add(each.path)
            text = f"not every value is what its device announced ({said}), so the column is text"
            self._layout.remark(each.path, text)
            self._tell(f"{self.path.name}: {each.path}: {text}")

    def _pieces(self, table: Table, block: Rows | Page) -> list[Piece]:
        """Pending rows of every column, made before any is written, so that a bad value costs only itself."""
        unknown = block.keys() - table.stream.keys.keys()
        if unknown:
            names = ", ".join(sorted(map(str, unknown))[:5])
            self._tell(f"{self.path.name}: {table.stream.name}: no descriptor has these keys of its events: {names}")
        made: dict[tuple[str, str], Piece] = {}
        found: list[Piece] = []
        for each, make in table.pieces(block, self.start["time"]):
            source = (each.kind, each.key or each.path)
            try:
                if source not in made:
                    made[source] = make()
                rows = made[source]
                if each.convert:
                    rows = each.convert(np.stack(rows) if isinstance(rows, list) else rows)
                found.append(rows)
            except Exception as error:  # A device's own class may raise anything when it is looked at.
                self._tell(f"{self.path.name}: {each.path}: kept as text: {type(error).__name__}: {error}")
                found.append(table.as_text(block, each))
        return found

    def _link_frames(self, table: Table, frames: additions.Frames, whole: bool) -> dict[str, Any]:
        """Link the frames of one key; the record of it from which the links can be made again."""
        ids = table.datum_ids.get(frames.key)
        if ids is not None:
            pieces = self._assets.datum_pieces(ids, frames.per_row)
        else:
            pieces = self._assets.pieces(table.stream.name, frames.key, frames.per_row, table.seq_nums)
        # What a run that went well announced of one file is all that is in it: no frame without an event.
        every = len(pieces) == 1 and pieces[0].start == 0
        all_rows = not table.count or sum(map(len, pieces)) == table.count * max(frames.per_row, 1)
        stack = stacks.Stack(
            frames.path,
            frames.shape,
            frames.dtype_numpy,
            tuple(pieces),
            frames.attributes,
            whole=whole and every and all_rows,
        )
        refusal = self._assets.refusal(frames.key)
        if refusal:
            listed = tuple(dict.fromkeys(each.path for each in stack.ranges() if each.path))
            linked = stacks.Linked("", refusal, listed=listed)
        else:
            home = f"{self._layout.entry}/{stacks.PARTS}"
            linked = self._writer.link_frames(stack, f"{home}/{stacks.part_name(frames.path)}")
        if not linked.how:
            self._not_linked(frames, linked)
        for remark in linked.remarks:
            self._tell(f"{self.path.name}: {frames.path}: {remark}")
            self._layout.remark(frames.path, remark)
        if linked.how == stacks.RAW:
            self._layout.remark(frames.path, f"{stacks.RAW}: {stacks.MOVED}")
        return stacks.record(stack, linked)

    def _not_linked(self, frames: additions.Frames, linked: stacks.Linked) -> None:
        paths = list(linked.listed)
        names = ", ".join(paths[:3]) + (f" … ({len(paths)} files)" if len(paths) > 3 else "")
        self.fault(frames.path, f"{linked.reason}: {names}" if paths else linked.reason)
        if paths and frames.path.startswith(f"{self._layout.entry}/measurement/"):
            attributes = {"description": f"Where the frames are; {linked.reason}"}
            self._writer.apply([additions.Field(frames.path, paths, attributes)])

    @property
    def in_place(self) -> bool:
        """Whether what is written is still under its name: nobody removed the file or put another there."""
        return self._writer.in_place

    @property
    def closed(self) -> bool:
        """Whether the file is closed: nothing more comes into it."""
        return self._writer.closed

    def close(self) -> None:
        """Close the file of a run that could not be begun."""
        self._writer.close()

    def abandon(self, reason: str) -> None:
        """End a run whose stop document will not come: all that its documents gave is in the file, and the reason."""
        self._finish({"time": self._last_time()}, reason)

    def _last_time(self) -> float:
        """Time of the last row, else of the start."""
        found = [self.start.get("time", 0.0)]
        for table in self._tables.values():
            for each in table.columns:
                if each.kind == "time" and self._writer.kind(each.path):
                    found.append(float(self._writer.read(each.path)[-1]))
            for block in table.pending:
                found += [time for time in block.times() if isinstance(time, int | float)]
        return float(max(found))

    def fault(self, path: str, reason: str) -> None:
        """Note that a value could not be written, and tell it."""
        self._lost.add(path)
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

    def descriptors(self, stream: str) -> Sequence[tuple[int, int]]:
        """From which row on which descriptor of a stream holds, if it has several."""
        table = self._tables.get(stream)
        return table.descriptors if table else ()

    def column(self, stream: str, key: str) -> np.ndarray[Any, Any]:
        """A whole column in the order of acquisition, read back from the file.

        Raises
        ------
        ValueError
            The key has no column: its values are frames in a detector's file, or it is unknown.
        """
        table = self._tables[stream]
        if stream == BASELINE and key in table.stream.keys:
            return column([row.get(key) for row in table.baseline])
        for path in table.paths(key):
            return self._writer.read(path)
        raise ValueError(f"{key!r} has no column in {stream!r}: its values are in a detector's own file")

    def elapsed(self, stream: str) -> np.ndarray[Any, Any]:
        """Time of each row in s since the start."""
        return next(self._writer.read(each.path) for each in self._tables[stream].columns if each.kind == "elapsed")

    def stack(self, stream: str, key: str, path: str) -> tuple[tuple[int, ...], str, int] | None:
        """Shape and type of the frames that are linked at a path, and frames a row; None if they cannot be told."""
        table = self._tables[stream]
        frames = next((each for each in table.frames if each.path == path and path not in self._lost), None)
        if frames is None or self.length(stream, key) == 0:
            return None
        there = self._writer.stack(path)
        shape, dtype = there or ((table.count * frames.per_row, *frames.shape), frames.dtype_numpy)
        return (shape, dtype, frames.per_row) if dtype and shape[0] == table.count * frames.per_row else None

    def written(self, stream: str, key: str) -> tuple[str, tuple[int, ...]] | None:
        """Kind and shape of a row of a key's column in ``measurement``; None if there is none."""
        table = self._tables[stream]
        for path in table.paths(key):
            if path not in self._lost:
                return self._writer.kind(path)
        for frames in table.frames:
            if frames.key == key and frames.path not in self._lost and self.length(stream, key):
                return "u", frames.shape
        return None

    def length(self, stream: str, key: str) -> int:
        """Number of frames that a detector told of, in rows."""
        table = self._tables[stream]
        for frames in table.frames:
            if frames.key == key:
                told = self._assets.length(stream, key, frames.per_row) // max(frames.per_row, 1)
                return told or len(table.datum_ids.get(key, ()))
        return 0


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces of one column as one array, if they are alike."""
    first = pieces[0]
    if len(pieces) == 1 or isinstance(first, list):
        return list(pieces)
    arrays = [each for each in pieces if not isinstance(each, list)]
    alike = all(each.dtype == first.dtype and each.shape[1:] == first.shape[1:] for each in arrays)
    return [np.concatenate(arrays)] if alike and len(arrays) == len(pieces) else list(pieces)
