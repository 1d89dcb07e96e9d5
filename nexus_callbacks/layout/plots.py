"""Plots: the NXdata of a run's streams, decided when the whole run is known (design D3).

Rows on a grid are put on it; a trajectory stays flat over its first motor, with the others as further coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from nexus_callbacks import documents
from nexus_callbacks.documents import PRIMARY, Document, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition
from nexus_callbacks.layout.grid import Grid, gridded
from nexus_callbacks.layout.mappings import MOST_MAPPINGS, mappings
from nexus_callbacks.layout.names import Names, key_attributes
from nexus_callbacks.layout.readings import Readings
from nexus_callbacks.layout.template import frame_shape
from nexus_callbacks.values import safe_name

MOST_CURVES = 256
"""Signals of one plot: more cannot be told apart, and beyond 4000 their names are too long for an attribute."""
LARGEST_COPY = 64 * 2**20
"""Bytes up to which arrays in events are copied onto a grid; that is done in memory, when the run stops.

Not a virtual dataset over the column: nexusformat 2.1 takes the number of its pieces for the first dimension, which is
wrong for a grid that snakes (an error) and for one of a single piece, and a gap in integers has no NaN."""
NUMBERS = "biuf"
"""numpy's kinds that can be plotted."""
Scales = Mapping[tuple[str, str], Mapping[int, str]]
"""Stream and data key of arrays → dimension of one array, -1 the last → path of its axis."""
NO_SCALES: Scales = MappingProxyType({})
_INTERPRETATION = {1: "spectrum", 2: "image"}


class Plots:
    """Makes the NXdata of one run.

    Parameters
    ----------
    columns
        (stream, data key) → path of its column in ``measurement``.
    elapsed
        Stream → path of its time since the start.
    scales
        What the definition says of the axes of arrays: a spectrum's energies.
    """

    def __init__(
        self,
        entry: str,
        names: Names,
        start: Document,
        columns: Mapping[tuple[str, str], str],
        elapsed: Mapping[str, str],
        scales: Scales = NO_SCALES,
    ) -> None:
        self._entry = entry
        self._names = names
        self._start = start
        self._columns = columns
        self._elapsed = elapsed
        self._scales = scales

    def plot(self, stream: Stream, readings: Readings) -> list[Addition]:
        """The NXdata of a stream, the group first; empty if there is nothing to plot."""
        axes = [k for k in moved_keys(self._start, stream) if _rank(stream, k, readings) == 0]
        others = [k for k in stream.keys if k not in axes]
        # A motor's other keys (its setpoint) are what one would draw last.
        moving = {stream.keys[k].device for k in axes} - {""}
        measured = [k for k in others if stream.keys[k].device not in moving]
        hinted = [k for k in stream.hinted if k in measured]
        for candidates in (hinted, measured, others):
            ranks = {k: _rank(stream, k, readings) for k in candidates}
            curves = [k for k, rank in ranks.items() if rank == 0]
            arrays = [k for k, rank in ranks.items() if rank is not None and rank > 0]
            if curves or arrays:
                break
        else:
            return []
        name = "data" if stream.name == PRIMARY else f"data_{safe_name(stream.name)}"
        free = self._names.free(f"{self._entry}/{name}")
        home = self._names.path(self._entry, name if free else f"data_{stream.name}")
        curves, grid = curves[:MOST_CURVES], self._grid(stream, readings)
        found = self._on_grid(stream, home, grid, curves, readings) if grid else []
        found = found or self._flat(stream, home, curves or arrays[:1], axes, readings)
        return [*found, *(self._frames_on_grid(stream, grid, readings) if grid else [])]

    def _flat(
        self, stream: Stream, home: str, signals: Sequence[str], axes: Sequence[str], readings: Readings
    ) -> list[Addition]:
        """Rows as they came, over the first motor or over time."""
        key = stream.keys[signals[0]]
        several = bool(key.external) and frame_shape(key)[0] > 1
        if several:
            axes = []  # Frames are not rows then.
        links = {key: self._names.path(home, key) for key in [*signals, *axes]}
        names = {key: path.rpartition("/")[2] for key, path in links.items()}
        found: list[Addition] = [additions.Link(path, self._columns[stream.name, key]) for key, path in links.items()]
        if axes:
            axis, indices = names[axes[0]], {f"{names[key]}_indices": [0] for key in axes}
        elif readings.count(stream.name) and not several:
            path = self._names.path(home, "elapsed_time")
            axis = path.rpartition("/")[2]
            indices = {f"{axis}_indices": [0]}
            found.append(additions.Link(path, self._elapsed[stream.name]))
        else:
            axis, indices = ".", {}  # Frames without an event, or several to one: nothing tells when.
        rank = _rank(stream, signals[0], readings) or 0
        attributes: dict[str, Any] = {"signal": names[signals[0]], "axes": [axis, *["."] * rank], **indices}
        if len(signals) > 1:
            attributes["auxiliary_signals"] = [names[key] for key in signals[1:]]
        return [additions.Group(home, "NXdata", attributes), *found]

    def _grid(self, stream: Stream, readings: Readings) -> Grid | None:
        """The grid that the rows of a stream lie on; None if they lie on none."""
        dimensions = documents.dimensions(self._start, stream.name)
        if len(dimensions) < 2:
            return None
        moved = moved_keys(self._start, stream)
        positions = self._columns_of(stream, [k for k in moved if _rank(stream, k, readings) == 0], readings)
        positions = {key: values for key, values in positions.items() if values.ndim == 1}
        return gridded(self._start, dimensions, positions, readings.count(stream.name))

    def _frames_on_grid(self, stream: Stream, grid: Grid, readings: Readings) -> list[Addition]:
        """An NXdata for the frames of each detector that wrote files of its own: a view of their stack, no copy.

        The stack stays in ``measurement`` and may be the default plot, because nexusformat (and with it NeXpy) takes a
        virtual dataset for one of another shape.
        """
        found: list[Addition] = []
        keys = [key for key in stream.keys.values() if key.external]
        parts = mappings(grid.rows) if keys else []
        for key in keys:
            source = self._columns[stream.name, key.name]
            told = readings.stack(stream.name, key.name, source)
            if told is None:
                continue
            if parts is None:
                why = f"on the grid they would be more than {MOST_MAPPINGS} pieces"
                found.append(additions.Attribute(source.rpartition("/")[0], {f"{key.name}_not_on_grid": why}))
                continue
            shape, dtype, per_row = told
            home = self._names.path(self._entry, f"data_{key.name}")
            path = self._names.path(home, key.name)
            attributes = key_attributes(key, path)
            rank = len(shape) - 1 + (per_row > 1)
            if rank in _INTERPRETATION:
                attributes["interpretation"] = _INTERPRETATION[rank]
            view = additions.GridFrames(path, source, grid.shape, parts, shape, dtype, per_row, attributes)
            found += self._over_grid(home, stream, grid, {key.name: view}, rank)
        return found

    def _on_grid(
        self, stream: Stream, home: str, grid: Grid, curves: Sequence[str], readings: Readings
    ) -> list[Addition]:
        """NXdata of a stream whose rows lie on a grid: one for all curves, one for each array in the events."""
        found: list[Addition] = []
        signals = {k: v for k, v in self._columns_of(stream, curves, readings).items() if v.ndim == 1}
        if signals:
            found += self._gridded(home, stream, grid, signals)
        arrays = [k for k in stream.keys if not stream.keys[k].external and (_rank(stream, k, readings) or 0) > 0]
        for key in arrays:
            if self._size(stream, key, readings) <= LARGEST_COPY:
                for name, values in self._columns_of(stream, [key], readings).items():
                    path = self._names.path(self._entry, f"data_{name}") if found else home
                    found += self._gridded(path, stream, grid, {name: values})
        return found

    def _gridded(
        self, home: str, stream: Stream, grid: Grid, signals: Mapping[str, np.ndarray[Any, Any]]
    ) -> list[Addition]:
        """One NXdata of copies of signals of one shape on a grid."""
        made: dict[str, additions.Field] = {}
        rank = 0
        for key, values in signals.items():
            path = self._names.path(home, key)
            of_key, rank = key_attributes(stream.keys[key], path), values.ndim - 1
            if rank in _INTERPRETATION:
                of_key["interpretation"] = _INTERPRETATION[rank]
            made[key] = additions.Field(path, grid.place(values), of_key)
        return self._over_grid(home, stream, grid, made, rank)

    def _over_grid(
        self,
        home: str,
        stream: Stream,
        grid: Grid,
        signals: Mapping[str, additions.Field | additions.GridFrames],
        rank: int,
    ) -> list[Addition]:
        """One NXdata of signals on a grid, each point of which has ``rank`` dimensions."""
        title = self._names.path(home, "title")
        mask = self._names.path(home, "mask") if grid.missing.any() else ""
        attributes: dict[str, Any] = {}
        found: list[Addition] = [additions.Field(title, self._title(next(iter(signals))))]
        names = []
        for signal in signals.values():
            names.append(signal.path.rpartition("/")[2])
            # nexusformat and NeXpy read a masked array by it.
            of_signal = {"mask": mask.rpartition("/")[2]} if mask and not rank else {}
            found.append(replace(signal, attributes={**signal.attributes, **of_signal}))
        axes = ["."] * (len(grid.shape) + rank)
        for axis in grid.axes:
            path = self._names.path(home, axis.key)
            name = path.rpartition("/")[2]
            of_key = key_attributes(stream.keys[axis.key], path)
            if axis.planned:
                of_key |= {"planned": list(axis.planned), "description": "Lines `planned` were not reached."}
            if axis.regular and axes[axis.dimension] == ".":
                axes[axis.dimension] = name
            spans = [axis.dimension] if axis.regular else list(range(len(grid.shape)))
            attributes[f"{name}_indices"] = spans
            found.append(additions.Field(path, axis.positions, of_key))
        scales = self._scales.get((stream.name, next(iter(signals))), {})
        for dimension, target in scales.items() if len(signals) == 1 else ():
            path = self._names.path(home, target.rpartition("/")[2])
            axes[dimension] = name = path.rpartition("/")[2]
            attributes[f"{name}_indices"] = [len(axes) + dimension]
            found.append(additions.Link(path, target))
        if mask:
            about = {"description": "True where nothing was measured"}
            attributes[f"{mask.rpartition('/')[2]}_indices"] = list(range(len(grid.shape)))
            found.append(additions.Field(mask, grid.missing, about))
        attributes = {"signal": names[0], "axes": axes, **attributes}
        if len(names) > 1:
            attributes["auxiliary_signals"] = names[1:]
        return [additions.Group(home, "NXdata", attributes), *found]

    def _title(self, signal: str) -> str:
        """What a viewer writes over a plot."""
        scan = " ".join(str(self._start[name]) for name in ("plan_name", "scan_id") if name in self._start)
        return f"{scan}: {signal}" if scan else signal

    def _columns_of(self, stream: Stream, keys: Sequence[str], readings: Readings) -> dict[str, np.ndarray[Any, Any]]:
        """Whole columns of numbers; a key that could not be written, or whose values are no numbers, is left out."""
        found = {}
        for key in keys:
            try:
                values = readings.column(stream.name, key)
            except (KeyError, ValueError):
                continue  # The writer has told that it could not write this column.
            if values.dtype.kind in "biuf" and len(values) == readings.count(stream.name):
                found[key] = values
        return found

    def _size(self, stream: Stream, key: str, readings: Readings) -> int:
        """Bytes of a whole column, of eight-byte numbers at the most."""
        _, row = readings.written(stream.name, key) or ("", ())
        return 8 * int(np.prod(row)) * readings.count(stream.name)


def moved_keys(start: Document, stream: Stream) -> list[str]:
    """The keys of a stream that the plan moves, outermost first."""
    keys = [key for of_dimension in documents.dimensions(start, stream.name) for key in of_dimension]
    # The dimension of ``count`` is called time, which a device of that name is not.
    return [k for k in keys if k in stream.keys and (k != "time" or k in documents.named(start, "motors"))]


def _rank(stream: Stream, key: str, readings: Readings) -> int | None:
    """Dimensions of one row of a key's numbers in the file; None if no numbers of it are there."""
    written = readings.written(stream.name, key)
    return len(written[1]) if written and written[0] in NUMBERS else None
