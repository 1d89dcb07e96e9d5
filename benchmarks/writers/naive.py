"""naive: what one would write first, with h5py or with nexusformat."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.writers import need
from benchmarks.writers.base import Document, RunFiles

CHUNK = 1024


def _metadata(group: h5py.Group, document: Document) -> None:
    for name, value in document.items():
        if isinstance(value, Mapping):
            _metadata(group.create_group(name), value)
        else:
            try:
                group[name] = value
            except TypeError:
                group[name] = repr(value)


class NaiveH5(RunFiles):
    """An extendible dataset a data key, resized and assigned to at every event."""

    def __init__(self, folder: Path, *, flush: bool = False, swmr: bool = False, libver: str | None = None) -> None:
        super().__init__(folder)
        self.flush, self.swmr, self.libver = flush, swmr, libver

    def open(self, document: Document) -> None:
        """Make the file with the start document's tree."""
        self.file = h5py.File(self.path, "w", libver=self.libver)
        entry = self.file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        _metadata(entry.create_group("metadata"), document)

    def descriptor(self, document: Document) -> None:
        """Make the datasets of a stream."""
        group = self.file.create_group(f"entry/{document['name']}")
        columns = [self._column(group, key, spec) for key, spec in document["data_keys"].items()]
        self.streams[document["uid"]] = [columns, 0]
        if self.swmr:
            self.file.swmr_mode = True

    def _column(self, group: h5py.Group, key: str, spec: Document) -> tuple[str, h5py.Dataset, h5py.Dataset]:
        text = spec["dtype"] == "string" or spec.get("external")
        shape = () if spec.get("external") else tuple(spec["shape"])
        dtype = h5py.string_dtype() if text else spec.get("dtype_numpy", "f8")
        home = group.create_group(key)
        chunk = (1, *shape) if shape else (CHUNK,)
        values = home.create_dataset("value", (0, *shape), dtype, maxshape=(None, *shape), chunks=chunk)
        values.attrs["units"] = spec.get("units", "")
        return key, values, home.create_dataset("time", (0,), "f8", maxshape=(None,), chunks=(CHUNK,))

    def event(self, document: Document) -> None:
        """Append a row to every column."""
        stream = self.streams[document["descriptor"]]
        columns, n = stream
        for key, values, times in columns:
            values.resize(n + 1, 0)
            values[n] = document["data"][key]
            times.resize(n + 1, 0)
            times[n] = document["timestamps"][key]
        stream[1] = n + 1
        if self.flush:
            self.file.flush()

    def stop(self, document: Document) -> None:
        """Close the file."""
        self.file.close()


def naive_h5(folder: Path) -> NaiveH5:
    """No flush before the end."""
    return NaiveH5(folder)


def naive_h5_flush(folder: Path) -> NaiveH5:
    """A flush an event."""
    return NaiveH5(folder, flush=True)


def naive_h5_swmr(folder: Path) -> NaiveH5:
    """SWMR."""
    return NaiveH5(folder, flush=True, swmr=True, libver="latest")


def naive_h5_flush_latest(folder: Path) -> NaiveH5:
    """A flush an event in libver "latest" without SWMR: the file stays marked as open, a crash leaves it shut."""
    return NaiveH5(folder, flush=True, libver="latest")


class NexusformatStop(RunFiles):
    """nexusformat: lists, and at the stop document one tree which is saved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.nexus = need("nexusformat.nexus")

    def open(self, document: Document) -> None:
        """Keep the start document."""
        self.metadata = document

    def descriptor(self, document: Document) -> None:
        """Make room for the rows."""
        self.streams[document["uid"]] = (document, {k: ([], []) for k in document["data_keys"]})

    def event(self, document: Document) -> None:
        """Keep a row."""
        columns = self.streams[document["descriptor"]][1]
        for key, value in document["data"].items():
            columns[key][0].append(value)
            columns[key][1].append(document["timestamps"][key])

    def _tree(self, document: Document) -> Any:
        found = {}
        for name, value in document.items():
            if isinstance(value, Mapping):
                found[name] = self._tree(value)
            else:
                found[name] = self.nexus.NXfield(repr(value) if isinstance(value, list) else value)
        return self.nexus.NXcollection(**found)

    def stop(self, document: Document) -> None:
        """Build the tree and save it."""
        nx = self.nexus
        entry = nx.NXentry(metadata=self._tree(self.metadata))
        for of, columns in self.streams.values():
            group = nx.NXcollection()
            for key, (values, times) in columns.items():
                units = of["data_keys"][key].get("units", "")
                held = values if isinstance(values[0], str) else np.array(values)
                group[key] = nx.NXdata(nx.NXfield(held, name="value", units=units), nx.NXfield(times, name="time"))
            entry[of["name"]] = group
        nx.NXroot(entry).save(str(self.path), "w")


class NexusformatAppend(RunFiles):
    """nexusformat: fields of an open file, resized at every event."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.nexus = need("nexusformat.nexus")

    def open(self, document: Document) -> None:
        """Make the file."""
        self.root = self.nexus.NXroot(self.nexus.NXentry())
        self.root.save(str(self.path), "w")

    def descriptor(self, document: Document) -> None:
        """Make the fields of a stream."""
        nx = self.nexus
        group = self.root["entry"][document["name"]] = nx.NXcollection()
        for key, spec in document["data_keys"].items():
            shape = tuple(spec["shape"])
            values = nx.NXfield(shape=(1, *shape), maxshape=(None, *shape), dtype=spec.get("dtype_numpy", "f8"),
                                name="value", chunks=(1, *shape) if shape else (CHUNK,))  # fmt: skip
            times = nx.NXfield(shape=(1,), maxshape=(None,), dtype="f8", name="time", chunks=(CHUNK,))
            group[key] = nx.NXdata(values, times)
        self.streams[document["uid"]] = [group, 0]

    def event(self, document: Document) -> None:
        """Append a row to every field."""
        stream = self.streams[document["descriptor"]]
        group, n = stream
        for key, value in document["data"].items():
            for name, item in (("value", value), ("time", document["timestamps"][key])):
                field = group[key][name]
                field.resize((n + 1, *field.shape[1:]))
                field[n] = item
        stream[1] = n + 1

    def stop(self, document: Document) -> None:
        """Everything is in the file."""


def nexusformat_stop(folder: Path) -> NexusformatStop:
    """One tree at the end."""
    return NexusformatStop(folder)


def nexusformat_append(folder: Path) -> NexusformatAppend:
    """Field by field."""
    return NexusformatAppend(folder)
