"""Generic: the part of a file that every plan gets without a definition (design D3).

``measurement`` with all columns in the order of acquisition and the baseline as ``initial`` and ``final``, a group
per device in ``instrument``, an NXdata per stream that can be plotted, and ``bluesky`` with what the RunEngine said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from nexus_callbacks import documents
from nexus_callbacks.documents import BASELINE, PRIMARY, DataKey, Document, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition
from nexus_callbacks.layout.names import Names, key_attributes, spec_attributes
from nexus_callbacks.layout.plots import NO_SCALES, NUMBERS, Plots, Scales, moved_keys
from nexus_callbacks.layout.readings import Readings
from nexus_callbacks.layout.template import frame_shape
from nexus_callbacks.values import column

FACTS = ("uid", "plan_name", "scan_id", "dataset_uid", "parent_run")
PARENT = "bluesky/parent"
"""Below an entry: the run within which this one was made."""
SUB_RUNS = "sub_runs"
"""Below an entry: a group for each run that was made within this one."""


class Generic:
    """Turns documents into additions that need no definition.

    Parameters
    ----------
    entry
        Path of the entry, e.g. ``/entry``.
    names
        Paths which the definition may use are taken; this part keeps clear of them.
    """

    def __init__(self, entry: str, names: Names, zone: ZoneInfo | None) -> None:
        self._entry = entry
        self._names = names
        self._zone = zone
        self._bluesky = names.path(entry, "bluesky")
        self._start: Document = {}
        self._streams: dict[str, Stream] = {}
        self._columns: dict[tuple[str, str], str] = {}
        self._key_at: dict[str, tuple[str, str]] = {}
        """Path of a column → stream and key."""
        self._elapsed: dict[str, str] = {}
        self._configured: dict[str, int] = {}
        self._homes: dict[tuple[str, str], str] = {}
        self.plots: list[str] = []
        """Names of the NXdata, the one that a reader should open first before all others; known after ``finish``."""

    def begin(self, start: Document) -> list[Addition]:
        """The NXcollection ``bluesky`` with the start document."""
        self._start = start
        home = self._bluesky
        found: list[Addition] = [additions.Group(home, "NXcollection")]
        found += [additions.Field(f"{home}/{k}", start[k]) for k in FACTS if isinstance(start.get(k), str | int)]
        self._names.take(*(f"{home}/{name}" for name in (*FACTS, "start", "stop", "exit_status", "reason", "parent")))
        return [*found, *_note(f"{home}/start", start)]

    def related(self, relative: Document) -> list[Addition]:
        """The run's parent, or a run that was begun within it: its uid, where it is, and a link to its start document.

        Not a link to its entry, which has one to this: programs would go round in a circle. Nor to anything with groups
        in it: nexusformat 2.1 looks for groups below an external link in the file that holds the link.
        """
        found: list[Addition] = []
        if relative["role"] == "parent":
            home = f"{self._bluesky}/parent"
        else:
            above = f"{self._entry}/{SUB_RUNS}"
            found.append(additions.Group(above, "NXcollection"))
            home = self._names.path(above, f"{relative['plan_name']}_{str(relative['uid'])[:8]}")
        entry, about = f"/{relative['entry']}", {"description": "as seen from this file's folder"}
        return [
            *found,
            additions.Group(home, "NXcollection"),
            additions.Field(f"{home}/uid", str(relative["uid"])),
            additions.Field(f"{home}/file", str(relative["relative"]), about),
            additions.Field(f"{home}/entry", entry),
            additions.External(f"{home}/start", str(relative["file"]), f"{entry}/bluesky/start"),
        ]

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
            self._elapsed[stream.name] = path = self._names.path(home, "elapsed_time")
            attributes = {"units": "s", "start": documents.iso_time(self._start["time"], self._zone)}
            found.append(additions.Column(path, stream.name, "", "elapsed", attributes))
        for key in keys:
            self._columns[stream.name, key.name] = path = self._names.path(home, key.name)
            self._key_at[path] = stream.name, key.name
            found.append(_column(path, stream.name, key))
        return found

    def first(self, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """The first reading of the baseline: ``measurement/initial``."""
        return self._snapshot("initial", row) if stream == BASELINE else []

    def finish(
        self,
        stop: Document,
        readings: Readings,
        detected: frozenset[tuple[str, str]] = frozenset(),
        scales: Scales = NO_SCALES,
    ) -> list[Addition]:
        """The last reading of the baseline, the devices, the plots and the stop document.

        ``detected``: streams and data keys that are the data of an NXdetector already. ``scales``: see :class:`Plots`.
        """
        found: list[Addition] = []
        if readings.count(BASELINE) > 1:
            found += self._snapshot("final", readings.last(BASELINE))
        found += self._devices(readings, detected)
        for stream in self._streams.values():
            found += self._applies(stream.name, readings)
            if documents.is_log(stream.name):
                found += self._logs(stream, readings)
        plots = Plots(self._entry, self._names, self._start, self._columns, self._elapsed, scales)
        for stream in sorted(self._streams.values(), key=lambda each: each.name != PRIMARY):
            if stream.name != BASELINE:
                plot = plots.plot(stream, readings)
                self.plots += [each.path.rpartition("/")[2] for each in plot if isinstance(each, additions.Group)]
                found += plot
        home = self._bluesky
        for name in ("exit_status", "reason"):
            if stop.get(name):
                found.append(additions.Field(f"{home}/{name}", str(stop[name])))
        if "uid" in stop:  # Else there was none, and the time is that of the last row.
            found += _note(f"{home}/stop", stop)
        return found

    @property
    def default(self) -> str:
        """Name of the NXdata that a reader should open first; empty if there is none."""
        return next(iter(self.plots), "")

    def moved(self, path: str, where: str) -> None:
        """Note that a column of ``measurement`` stands elsewhere: what links to it leads there."""
        key = self._key_at.pop(path)
        self._key_at[where], self._columns[key] = key, where

    # -- measurement -----------------------------------------------------------------------------------------------

    def _measurement(self, stream: str) -> str:
        home = f"{self._entry}/measurement"
        return home if stream == PRIMARY else self._home(home, stream)

    def _home(self, folder: str, stream: str) -> str:
        """The group of a stream in a folder, the same at each call."""
        if (folder, stream) not in self._homes:
            self._homes[folder, stream] = self._names.path(folder, stream)
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
                path = self._names.path(home, key)
                attributes = key_attributes(keys[key], path) if key in keys else {}
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
        found += _note(f"{home}/descriptor{suffix}", descriptor)
        stamped = tuple(key.name for key in keys if not key.external)
        if stamped:
            # One dataset for all keys: a dataset a key would double what a run of many signals costs.
            attributes: dict[str, Any] = {"units": "s", "start": EPOCH}
            path = f"{home}/timestamps{suffix}"
            if len(stamped) <= MOST_NAMED:
                attributes["data_keys"] = list(stamped)
            else:
                about = {"description": f"Data key of each column of timestamps{suffix}"}
                found.append(additions.Field(f"{home}/timestamps{suffix}_data_keys", list(stamped), about))
            found.append(additions.Column(path, stream.name, "", "timestamps", attributes, keys=stamped))
        for device, values in stream.configuration.items():
            if not values:
                continue
            folder = f"{home}/configuration{suffix}"
            found.append(additions.Group(folder, "NXcollection"))
            found.append(additions.Group(self._names.path(folder, device), "NXcollection"))
            of_device = found[-1].path
            specs = stream.configuration_keys.get(device, {})
            for name, value in values.items():
                if value is None:
                    continue
                path = self._names.path(of_device, name)
                attributes = spec_attributes(specs.get(name) or {}, name, path)
                found.append(additions.Field(path, column([value])[0], attributes))
        return found

    def _applies(self, stream: str, readings: Readings) -> list[Addition]:
        """Which descriptor, and with it which configuration, holds for each row of a stream that has several."""
        begins = readings.descriptors(stream)
        if not begins:
            return []
        rows, numbers = zip(*begins, strict=True)
        lengths = np.diff([*rows, readings.count(stream)])
        about = "Number of the row's descriptor: descriptor and configuration, descriptor_2 and configuration_2, …"
        path = self._names.path(self._home(self._bluesky, stream), "descriptor_number")
        return [additions.Field(path, np.repeat(numbers, lengths), {"description": about})]

    # -- logs ------------------------------------------------------------------------------------------------------

    def _logs(self, stream: Stream, readings: Readings) -> list[Addition]:
        """An NXlog for each number that a monitor saw, in ``instrument``: links to its columns, and what sums it up."""
        found: list[Addition] = []
        for key in stream.keys.values():
            written = readings.written(stream.name, key.name)
            if key.external or written is None or written[0] not in NUMBERS:
                continue
            home = self._names.path(f"{self._entry}/instrument", f"{key.name}_log")
            found.append(additions.Group(f"{self._entry}/instrument", "NXinstrument"))
            found.append(additions.Group(home, "NXlog"))
            found.append(additions.Field(f"{home}/description", f"{key.name}, whenever it changed during the run"))
            found.append(additions.Link(f"{home}/value", self._columns[stream.name, key.name]))
            found.append(additions.Link(f"{home}/time", self._elapsed[stream.name]))
            found += self._summary(home, stream.name, key, readings)
        return found

    def _summary(self, home: str, stream: str, key: DataKey, readings: Readings) -> list[Addition]:
        """Extremes of a log, its duration, and cues by which a reader finds a time in a long one.

        No average: that of values which come when they change would say more of the changes than of the time.
        """
        found: list[Addition] = []
        of_key = {"units": key.units} if key.units else {}
        kind, row = readings.written(stream, key.name) or ("", ())
        if kind in "iuf" and row == ():
            values = readings.column(stream, key.name).astype(float)
            values = values[np.isfinite(values)]
            for name, make in (("minimum", np.min), ("maximum", np.max)) if len(values) else ():
                found.append(additions.Field(f"{home}/{name}_value", float(make(values)), of_key))
        times = readings.elapsed(stream)
        about = {"units": "s"}
        found.append(additions.Field(f"{home}/duration", float(times[-1] - times[0]), about))
        if len(times) > CUE:
            about["start"] = documents.iso_time(self._start["time"], self._zone)
            index = np.arange(0, len(times), CUE)
            found.append(additions.Field(f"{home}/cue_timestamp_zero", times[index], about))
            found.append(additions.Field(f"{home}/cue_index", index))
        return found

    # -- instrument ------------------------------------------------------------------------------------------------

    def _devices(self, readings: Readings, detected: frozenset[tuple[str, str]]) -> list[Addition]:
        """A group for each motor and detector of the plan that was read, linking to its columns."""
        found: list[Addition] = []
        motors = set(documents.named(self._start, "motors"))
        detectors = set(documents.named(self._start, "detectors"))
        for stream in self._streams.values():
            if stream.name == BASELINE:
                continue
            axes = set(moved_keys(self._start, stream))
            for device, told in stream.devices().items():
                keys = [key for key in told if readings.written(stream.name, key)]
                if not keys:
                    continue
                moves = device in motors or bool(axes & set(keys))
                hinted = stream.nx_classes.get(device, "")
                if not moves and device not in detectors and device not in stream.nx_classes:
                    continue
                nx_class = hinted if hinted in _CLASSES else "NXpositioner" if moves else "NXdetector"
                if nx_class == "NXdetector" and any((stream.name, key) in detected for key in keys):
                    # One detector is described once: an application definition asks more of each than is known here.
                    nx_class = "NXcollection"
                if nx_class == "NXmonitor":  # It has its place beside the instrument.
                    home = self._names.path(self._entry, device)
                else:
                    home = self._names.path(f"{self._entry}/instrument", device)
                    found.append(additions.Group(f"{self._entry}/instrument", "NXinstrument"))
                found.append(additions.Group(home, nx_class))
                found.append(additions.Field(f"{home}/{_NAME_FIELD.get(nx_class, 'name')}", device))
                others = keys
                if nx_class in _MAIN_FIELD:
                    main = self._main(stream, keys, axes, readings)
                    path = self._names.path(home, _MAIN_FIELD[nx_class])
                    found.append(additions.Link(path, self._columns[stream.name, main]))
                    others = [key for key in keys if key != main]
                if others:  # NXDL has no place for them in the device's own class.
                    more = self._names.path(home, "columns")
                    found.append(additions.Group(more, "NXcollection"))
                    for key in others:
                        found.append(additions.Link(self._names.path(more, key), self._columns[stream.name, key]))
        return found

    def _main(self, stream: Stream, keys: Sequence[str], axes: set[str], readings: Readings) -> str:
        """The key that is the device's value or data: what the plan moves, its frames, what it hints at."""
        moved = [key for key in keys if key in axes]
        arrays = [key for key in keys if (readings.written(stream.name, key) or ("", ()))[1]]
        hinted = [key for key in keys if key in stream.hinted]
        return [*moved, *arrays, *hinted, *keys][0]


CUE = 1000
"""Entries of a log from one cue to the next: 16 kB of times and values to search."""
EPOCH = "1970-01-01T00:00:00+00:00"
MOST_NAMED = 1024
"""Data keys that are listed as an attribute; HDF5 has no room for more than 4000, and a dataset takes any number."""
_NAME_FIELD = {"NXdetector": "local_name", "NXmonitor": "description"}
"""NXDL v2026.01 has no name of these classes."""
_MAIN_FIELD = {"NXdetector": "data", "NXmonitor": "data", "NXpositioner": "value", "NXsensor": "value"}
"""Where the device's own column stands; other classes have no place for any column."""
_CLASSES = frozenset(
    {
        "NXmonitor",
        "NXactuator",
        "NXaperture",
        "NXattenuator",
        "NXbeam",
        "NXbeam_stop",
        "NXbending_magnet",
        "NXcapillary",
        "NXcollection",
        "NXcollimator",
        "NXcrystal",
        "NXdetector",
        "NXdetector_group",
        "NXdisk_chopper",
        "NXenvironment",
        "NXevent_data",
        "NXfabrication",
        "NXfermi_chopper",
        "NXfilter",
        "NXflipper",
        "NXguide",
        "NXhistory",
        "NXinsertion_device",
        "NXmirror",
        "NXmoderator",
        "NXmonochromator",
        "NXpolarizer",
        "NXpositioner",
        "NXsensor",
        "NXsource",
        "NXvelocity_selector",
        "NXxraylens",
    }
)
"""Classes that a device may hint at: NXDL v2026.01 has them in NXinstrument (NXmonitor in NXentry)."""


def _column(path: str, stream: str, key: DataKey) -> Addition:
    attributes = key_attributes(key, path)
    if key.external:
        per_row, shape = frame_shape(key)
        return additions.Frames(path, stream, key.name, shape, key.dtype_numpy, per_row, attributes)
    return additions.Column(path, stream, key.name, "data", attributes, dtype_numpy=key.dtype_numpy, fields=key.fields)


def _note(path: str, document: Document) -> list[Addition]:
    # Its name and its group say what it is: each further object costs a run 50 µs and its file 0.3 kB.
    return [
        additions.Group(path, "NXnote"),
        additions.Field(f"{path}/type", "application/json"),
        additions.Field(f"{path}/data", documents.to_json(document)),
    ]
