"""Generic: the part of a file that every plan gets without a definition (design D3).

``measurement`` with all columns in the order of acquisition and the baseline as ``initial`` and ``final``, a group
per device in ``instrument``, an NXdata per stream that can be plotted, and ``bluesky`` with what the RunEngine said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from nexus_callbacks import additions, documents
from nexus_callbacks.additions import Addition
from nexus_callbacks.documents import BASELINE, PRIMARY, DataKey, Document, Stream
from nexus_callbacks.grid import Grid, gridded
from nexus_callbacks.template import Readings, frame_shape
from nexus_callbacks.values import column, safe_name

FACTS = ("uid", "plan_name", "scan_id")
LARGEST_COPY = 64 * 2**20
"""Bytes up to which arrays in events are copied onto a grid; that is done in memory, when the run stops."""


class Generic:
    """Turns documents into additions that need no definition.

    Parameters
    ----------
    entry
        Path of the entry, e.g. ``/entry``.
    taken
        Paths (absolute) which the definition may use; this part keeps clear of them.
    """

    def __init__(self, entry: str, taken: set[str], zone: ZoneInfo | None) -> None:
        self._entry = entry
        self._taken = taken
        self._zone = zone
        self._bluesky = self._path(entry, "bluesky")
        self._start: Document = {}
        self._streams: dict[str, Stream] = {}
        self._columns: dict[tuple[str, str], str] = {}
        self._elapsed: dict[str, str] = {}
        self._configured: dict[str, int] = {}
        self._homes: dict[tuple[str, str], str] = {}
        self.default = ""
        """Name of the NXdata that a reader should open first, known after ``finish``."""

    def begin(self, start: Document) -> list[Addition]:
        """The NXcollection ``bluesky`` with the start document."""
        self._start = start
        home = self._bluesky
        found: list[Addition] = [additions.Group(home, "NXcollection")]
        found += [additions.Field(f"{home}/{k}", start[k]) for k in FACTS if isinstance(start.get(k), str | int)]
        self._taken |= {f"{home}/{name}" for name in (*FACTS, "start", "stop", "exit_status", "reason")}
        return [*found, *_note(f"{home}/start", "Start document of the run", start)]

    def extend(self, stream: Stream, descriptor: Document) -> list[Addition]:
        """Columns of a stream in ``measurement``, its bookkeeping and device configuration in ``bluesky``."""
        known = self._streams.get(stream.name)
        keys = [k for k in stream.keys.values() if known is None or k.name not in known.keys]
        self._streams[stream.name] = documents.merged(known, stream) if known else stream
        found = self._bookkeeping(stream, keys, first=known is None, descriptor=descriptor)
        if stream.name == BASELINE:
            return found
        home = self._measurement(stream.name)
        found.append(additions.Group(f"{self._entry}/measurement", "NXcollection"))
        found.append(additions.Group(home, "NXcollection"))
        if known is None:
            self._elapsed[stream.name] = path = self._path(home, "elapsed_time")
            attributes = {"units": "s", "start": documents.iso_time(self._start["time"], self._zone)}
            found.append(additions.Column(path, stream.name, "", "elapsed", attributes))
        for key in keys:
            self._columns[stream.name, key.name] = path = self._path(home, key.name)
            found.append(_column(path, stream.name, key))
        return found

    def first(self, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """The first reading of the baseline: ``measurement/initial``."""
        return self._snapshot("initial", row) if stream == BASELINE else []

    def finish(self, stop: Document, readings: Readings) -> list[Addition]:
        """The last reading of the baseline, the devices, the plots and the stop document."""
        found: list[Addition] = []
        if readings.count(BASELINE) > 1:
            found += self._snapshot("final", readings.last(BASELINE))
        found += self._devices(readings)
        found += self._plots(readings)
        home = self._bluesky
        for name in ("exit_status", "reason"):
            if stop.get(name):
                found.append(additions.Field(f"{home}/{name}", str(stop[name])))
        return [*found, *_note(f"{home}/stop", "Stop document of the run", stop)]

    # -- measurement -----------------------------------------------------------------------------------------------

    def _measurement(self, stream: str) -> str:
        home = f"{self._entry}/measurement"
        return home if stream == PRIMARY else self._home(home, stream)

    def _home(self, folder: str, stream: str) -> str:
        """The group of a stream in a folder, the same at each call."""
        if (folder, stream) not in self._homes:
            self._homes[folder, stream] = self._path(folder, stream)
        return self._homes[folder, stream]

    def _snapshot(self, name: str, row: Mapping[str, Any]) -> list[Addition]:
        home = f"{self._entry}/measurement/{name}"
        found: list[Addition] = [
            additions.Group(f"{self._entry}/measurement", "NXcollection"),
            additions.Group(home, "NXcollection"),
        ]
        keys = self._streams[BASELINE].keys
        for key, value in row.items():
            if value is not None and not (key in keys and keys[key].external):
                path = self._path(home, key)
                attributes = _key_attributes(keys[key], path) if key in keys else {}
                found.append(additions.Field(path, column([value])[0], attributes))
        return found

    # -- bluesky ---------------------------------------------------------------------------------------------------

    def _bookkeeping(self, stream: Stream, keys: list[DataKey], first: bool, descriptor: Document) -> list[Addition]:
        home = self._home(self._bluesky, stream.name)
        found: list[Addition] = []
        if first:
            found.append(additions.Group(home, "NXcollection"))
            found.append(additions.Column(f"{home}/seq_num", stream.name, "", "seq_num"))
            found.append(additions.Column(f"{home}/time", stream.name, "", "time", {"units": "s", "start": EPOCH}))
        number = self._configured[stream.name] = self._configured.get(stream.name, 0) + 1
        suffix = "" if number == 1 else f"_{number}"
        found += _note(f"{home}/descriptor{suffix}", "Event descriptor of the stream", descriptor)
        stamped = tuple(key.name for key in keys if not key.external)
        if stamped:
            # One dataset for all keys: a dataset a key would double what a run of many signals costs.
            attributes = {"units": "s", "start": EPOCH, "data_keys": list(stamped)}
            path = f"{home}/timestamps{suffix}"
            found.append(additions.Column(path, stream.name, "", "timestamps", attributes, keys=stamped))
        for device, values in stream.configuration.items():
            if not values:
                continue
            folder = f"{home}/configuration{suffix}"
            found.append(additions.Group(folder, "NXcollection"))
            found.append(additions.Group(self._path(folder, device), "NXcollection"))
            of_device = found[-1].path
            for name, value in values.items():
                if value is None:
                    continue
                unit = (stream.configuration_keys.get(device, {}).get(name) or {}).get("units")
                attributes = {"units": str(unit)} if unit else {}
                found.append(additions.Field(self._path(of_device, name), column([value])[0], attributes))
        return found

    # -- instrument ------------------------------------------------------------------------------------------------

    def _devices(self, readings: Readings) -> list[Addition]:
        """A group for each motor and detector of the plan that was read, linking to its columns."""
        found: list[Addition] = []
        motors = set(documents.named(self._start, "motors"))
        detectors = set(documents.named(self._start, "detectors"))
        for stream in self._streams.values():
            if stream.name == BASELINE or not self._has_data(stream, readings):
                continue
            axes = {key for keys in documents.dimensions(self._start, stream.name) for key in keys}
            for device, keys in stream.devices().items():
                moves = device in motors or bool(axes & set(keys))
                nx_class = stream.nx_classes.get(device) or ("NXpositioner" if moves else "NXdetector")
                if not moves and device not in detectors and device not in stream.nx_classes:
                    continue
                home = self._path(f"{self._entry}/instrument", device)
                found.append(additions.Group(f"{self._entry}/instrument", "NXinstrument"))
                found.append(additions.Group(home, nx_class))
                found.append(additions.Field(f"{home}/{_NAME_FIELD.get(nx_class, 'name')}", device))
                main = self._main(stream, keys, axes, readings)
                name = "value" if nx_class == "NXpositioner" else "data"
                found.append(additions.Link(self._path(home, name), self._columns[stream.name, main]))
                others = [key for key in keys if key != main]
                if others:  # NXDL has no place for them in the device's own class.
                    more = self._path(home, "columns")
                    found.append(additions.Group(more, "NXcollection"))
                    for key in others:
                        found.append(additions.Link(self._path(more, key), self._columns[stream.name, key]))
        return found

    def _main(self, stream: Stream, keys: Sequence[str], axes: set[str], readings: Readings) -> str:
        """The key that is the device's value or data: what the plan moves, its frames, what it hints at."""
        moved = [key for key in keys if key in axes]
        arrays = [key for key in keys if self._rank(stream, key, readings) > 0]
        hinted = [key for key in keys if key in stream.hinted]
        return [*moved, *arrays, *hinted, *keys][0]

    # -- NXdata ----------------------------------------------------------------------------------------------------

    def _plots(self, readings: Readings) -> list[Addition]:
        """An NXdata for each stream that has something to plot; the first one is the entry's default."""
        found: list[Addition] = []
        ordered = sorted(self._streams.values(), key=lambda s: s.name != PRIMARY)
        for stream in ordered:
            if stream.name == BASELINE or not self._has_data(stream, readings):
                continue
            plot = self._plot(stream, readings)
            if plot and not found:
                self.default = plot[0].path.rpartition("/")[2]
            found += plot
        return found

    def _plot(self, stream: Stream, readings: Readings) -> list[Addition]:
        axes = [k for keys in documents.dimensions(self._start, stream.name) for k in keys]
        axes = [k for k in axes if k in stream.keys and self._is_curve(stream, k, readings)]
        others = [k for k in stream.keys if k not in axes]
        # A motor's other keys (its setpoint) are what one would draw last.
        moving = {stream.keys[k].device for k in axes} - {""}
        measured = [k for k in others if stream.keys[k].device not in moving]
        candidates = [k for k in stream.hinted if k not in axes] or measured or others
        curves = [k for k in candidates if self._is_curve(stream, k, readings)]
        arrays = [k for k in candidates if self._rank(stream, k, readings) > 0]
        if not curves and not arrays:
            return []
        name = "data" if stream.name == PRIMARY else f"data_{safe_name(stream.name)}"
        home = self._path(self._entry, name if f"{self._entry}/{name}" not in self._taken else f"data_{stream.name}")
        on_grid = self._on_grid(stream, home, curves, readings)
        if on_grid:
            return on_grid
        signal = curves[0] if curves else arrays[0]
        links = {key: self._path(home, key) for key in [*curves, *arrays[: 0 if curves else 1], *axes]}
        names = {key: path.rpartition("/")[2] for key, path in links.items()}
        rank = 0 if curves else self._rank(stream, signal, readings)
        found: list[Addition] = [additions.Link(path, self._columns[stream.name, key]) for key, path in links.items()]
        if axes:
            axis, indices = names[axes[0]], {f"{names[key]}_indices": [0] for key in axes}
        else:
            path = self._path(home, "elapsed_time")
            axis = path.rpartition("/")[2]
            indices = {f"{axis}_indices": [0]}
            found.append(additions.Link(path, self._elapsed[stream.name]))
        attributes: dict[str, Any] = {"signal": names[signal], "axes": [axis, *["."] * rank], **indices}
        if len(curves) > 1:
            attributes["auxiliary_signals"] = [names[key] for key in curves[1:]]
        return [additions.Group(home, "NXdata", attributes), *found]

    def _on_grid(self, stream: Stream, home: str, curves: Sequence[str], readings: Readings) -> list[Addition]:
        """NXdata of a stream whose rows lie on a grid, empty if they do not.

        One for all curves, and one of its own for each array in the events. Frames in files of their own stay the
        flat stack that they are.
        """
        dimensions = documents.dimensions(self._start, stream.name)
        if len(dimensions) < 2:
            return []
        moved = [key for keys in dimensions for key in keys if key in stream.keys]
        positions = self._columns_of(stream, [k for k in moved if self._is_curve(stream, k, readings)], readings)
        positions = {key: values for key, values in positions.items() if values.ndim == 1}
        grid = gridded(self._start, dimensions, positions, readings.count(stream.name))
        if grid is None:
            return []
        found: list[Addition] = []
        signals = {k: v for k, v in self._columns_of(stream, curves, readings).items() if v.ndim == 1}
        if signals:
            found += self._gridded(home, stream, grid, signals)
        arrays = [k for k in stream.keys if not stream.keys[k].external and self._rank(stream, k, readings) > 0]
        for key in arrays:
            if self._size(stream, key, readings) <= LARGEST_COPY:
                for name, values in self._columns_of(stream, [key], readings).items():
                    path = self._path(self._entry, f"data_{name}") if found else home
                    found += self._gridded(path, stream, grid, {name: values})
        return found

    def _gridded(
        self, home: str, stream: Stream, grid: Grid, signals: Mapping[str, np.ndarray[Any, Any]]
    ) -> list[Addition]:
        """One NXdata of signals of one shape on a grid."""
        title, lead = self._path(home, "title"), next(iter(signals))
        mask = self._path(home, "mask") if grid.missing.any() else ""
        attributes: dict[str, Any] = {}
        found: list[Addition] = [additions.Field(title, self._title(lead))]
        names, rank = [], signals[lead].ndim - 1
        for key, values in signals.items():
            path = self._path(home, key)
            names.append(path.rpartition("/")[2])
            of_key = _key_attributes(stream.keys[key], path)
            if rank in _INTERPRETATION:
                of_key["interpretation"] = _INTERPRETATION[rank]
            if mask and not rank:
                of_key["mask"] = mask.rpartition("/")[2]  # nexusformat and NeXpy read a masked array by it.
            found.append(additions.Field(path, grid.place(values), of_key))
        axes = ["."] * (len(grid.shape) + rank)
        for axis in grid.axes:
            path = self._path(home, axis.key)
            name = path.rpartition("/")[2]
            of_key = _key_attributes(stream.keys[axis.key], path)
            if axis.planned:
                of_key |= {"planned": list(axis.planned), "description": "Lines `planned` were not reached."}
            if axis.regular and axes[axis.dimension] == ".":
                axes[axis.dimension] = name
            spans = [axis.dimension] if axis.regular else list(range(len(grid.shape)))
            attributes[f"{name}_indices"] = spans
            found.append(additions.Field(path, axis.positions, of_key))
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
        """Bytes of a whole column, as its last row has them."""
        return column([readings.last(stream.name).get(key)]).nbytes * readings.count(stream.name)

    def _has_data(self, stream: Stream, readings: Readings) -> bool:
        return readings.count(stream.name) > 0

    def _is_curve(self, stream: Stream, key: str, readings: Readings) -> bool:
        """Whether a key has one number a row; the values are asked, as the descriptor's dtype can lie."""
        if stream.keys[key].external:
            return False
        value = column([readings.last(stream.name).get(key)])
        return value.dtype.kind in "biuf" and value.ndim == 1

    def _rank(self, stream: Stream, key: str, readings: Readings) -> int:
        """Dimensions of one value of a key that holds arrays of numbers, else 0."""
        spec = stream.keys[key]
        if spec.external:
            return len(frame_shape(spec)[1])
        value = column([readings.last(stream.name).get(key)])
        return value.ndim - 1 if value.dtype.kind in "biuf" else 0

    def _path(self, home: str, name: str) -> str:
        """A path in a group for a name, safe and not taken by another one."""
        safe = safe_name(name)
        path, number = f"{home}/{safe}", 1
        while path in self._taken:
            number += 1
            path = f"{home}/{safe}_{number}"
        self._taken.add(path)
        return path


EPOCH = "1970-01-01T00:00:00+00:00"
_INTERPRETATION = {1: "spectrum", 2: "image"}
_NAME_FIELD = {"NXdetector": "local_name"}  # NXDL v2026.01 has no NXdetector/name


def _column(path: str, stream: str, key: DataKey) -> Addition:
    attributes = _key_attributes(key, path)
    if key.external:
        per_row, shape = frame_shape(key)
        return additions.Frames(path, stream, key.name, shape, key.dtype_numpy, per_row, attributes)
    return additions.Column(path, stream, key.name, "data", attributes, dtype_numpy=key.dtype_numpy)


def _key_attributes(key: DataKey, path: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if key.units:
        attributes["units"] = key.units
    if isinstance(key.precision, int):
        attributes["precision"] = key.precision
    if path.rpartition("/")[2] != key.name:
        attributes["data_key"] = key.name  # The true name, which NeXus cannot have or something else has here.
    return attributes


def _note(path: str, description: str, document: Document) -> list[Addition]:
    return [
        additions.Group(path, "NXnote"),
        additions.Field(f"{path}/type", "application/json"),
        additions.Field(f"{path}/description", description),
        additions.Field(f"{path}/data", documents.to_json(document)),
    ]
