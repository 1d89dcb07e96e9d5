"""limits: the yardstick, what can be done with the same rows if nothing else is asked of a file.

``limit_h5`` collects rows in lists and writes whole 1024-row chunks straight into the file, value and timestamp of
every key. It has no units, no plots, no rewinding, and nothing of a chunk that is not full is in the file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h5py
import numpy as np

from benchmarks.writers.base import Document, RunFiles

CHUNK = 1024
TEXT_CHUNK = 64
DETECTOR_DATASET = "entry/data/data"

Array = np.ndarray[Any, Any]
Getter = Callable[[Mapping[str, Any]], Sequence[Any]]


def _getter(keys: Sequence[str]) -> Getter | None:
    """A function that takes the values of several keys at once, always as a sequence."""
    if not keys:
        return None
    if len(keys) == 1:
        return lambda values, key=keys[0]: (values[key],)  # type: ignore[misc]
    return itemgetter(*keys)


@dataclass
class _Stream:
    """Rows of a stream which are not in the file yet, and the datasets where they go."""

    numbers: list[str]
    stamps: list[str]
    texts: list[str]
    number_sets: list[Any]
    stamp_sets: list[Any]
    text_sets: list[Any]
    time_set: Any
    images: dict[str, Any]
    count: int = 0
    """Rows in the file."""
    rows: list[Sequence[Any]] = field(default_factory=list)
    stamp_rows: list[Sequence[Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    text_rows: list[list[str]] = field(default_factory=list)
    pending: list[Array] | None = None
    """Of pages: numbers, stamps and the time, less than a chunk of each."""

    def __post_init__(self) -> None:
        self.get = _getter(self.numbers)
        self.get_stamps = _getter(self.stamps)
        self.text_rows = [[] for _ in self.texts]

    @property
    def sets(self) -> list[Any]:
        return [*self.number_sets, *self.stamp_sets, self.time_set]


class Limit(RunFiles):
    """Chunks collected in lists and written whole.

    Parameters
    ----------
    folder
        Where files go.
    flush
        Seconds between two flushes (0: after every chunk, None: never).
    compact
        Values and one time column instead of a timestamp a value.
    swmr
        Single writer, multiple readers.
    libver
        As h5py's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        flush: float | None = None,
        compact: bool = False,
        swmr: bool = False,
        libver: str | None = "latest",
    ) -> None:
        super().__init__(folder)
        self.every = flush
        self.compact, self.swmr, self.libver = compact, swmr, libver
        self.flushed = time.monotonic()
        self.source: dict[str, Any] = {}

    def open(self, document: Document) -> None:
        """Make the file with the start document."""
        self.source = {}
        self.file = h5py.File(self.path, "w", libver=self.libver)
        entry = self.file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["start_document"] = json.dumps(document)

    def descriptor(self, document: Document) -> None:
        """Make the datasets of a stream."""
        group = self.file.create_group(f"entry/{document['name']}")
        group.attrs.create("NX_class", "NXcollection")
        group["configuration"] = json.dumps(document["configuration"])
        keys = document["data_keys"]
        numbers = [k for k, d in keys.items() if not d["shape"] and d["dtype"] in ("number", "integer")]
        arrays = [k for k, d in keys.items() if d["shape"] and not d.get("external")]
        texts = [k for k, d in keys.items() if d["dtype"] == "string"]
        stamps = [] if self.compact else [k for k, d in keys.items() if not d.get("external")]

        def growing(name: str, dtype: Any = "f8", chunk: int = CHUNK) -> h5py.Dataset:
            return group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(chunk,))

        def images(name: str) -> h5py.Dataset:
            shape = keys[name]["shape"]
            dtype = keys[name]["dtype_numpy"]
            return group.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(1, *shape))

        self.streams[document["uid"]] = _Stream(
            numbers,
            stamps,
            texts,
            number_sets=[growing(k, keys[k].get("dtype_numpy", "f8")).id for k in numbers],
            stamp_sets=[growing(f"{k}_t").id for k in stamps],
            time_set=growing("time").id,
            text_sets=[growing(k, h5py.string_dtype(), TEXT_CHUNK) for k in texts],
            images={k: images(k).id for k in arrays},
        )
        if self.swmr:
            self.file.swmr_mode = True
        elif self.every is not None:
            self.file.flush()

    def event(self, document: Document) -> None:
        """Keep a row; a frame is written at once."""
        stream = self.streams[document["descriptor"]]
        data = document["data"]
        if stream.get:
            stream.rows.append(stream.get(data))
        if stream.get_stamps:
            stream.stamp_rows.append(stream.get_stamps(document["timestamps"]))
        stream.times.append(document["time"])
        for key, dataset in stream.images.items():
            row = stream.count + len(stream.times) - 1
            frame = data[key]
            dataset.set_extent((row + 1, *frame.shape))
            dataset.write_direct_chunk((row, 0, 0), frame)
        for kept, key in zip(stream.text_rows, stream.texts, strict=True):
            kept.append(data[key])
        if len(stream.times) == CHUNK:
            self._write(stream)

    def event_page(self, document: Document) -> None:
        """Keep columns; whole chunks go out as they fill."""
        stream = self.streams[document["descriptor"]]
        new = [document["data"][k] for k in stream.numbers]
        new += [document["timestamps"][k] for k in stream.stamps]
        new.append(document["time"])
        kept = stream.pending
        if kept is None:
            kept = [np.empty(0, dataset.dtype) for dataset in stream.sets]
        columns = [np.concatenate(pair) for pair in zip(kept, new, strict=True)]
        while len(columns[-1]) >= CHUNK:
            self._put(stream.sets, [c[:CHUNK] for c in columns], stream.count, CHUNK)
            stream.count += CHUNK
            columns = [c[CHUNK:] for c in columns]
        stream.pending = columns
        self._flush()

    def _put(self, datasets: Sequence[Any], columns: Sequence[Any], count: int, more: int) -> None:
        for dataset, column in zip(datasets, columns, strict=True):
            dataset.set_extent((count + more,))
            chunk = np.zeros(CHUNK, dataset.dtype)
            chunk[:more] = column
            dataset.write_direct_chunk((count,), chunk)

    def _write(self, stream: _Stream) -> None:
        more, count = len(stream.times), stream.count
        if not more:
            return
        if stream.rows:
            self._put(stream.number_sets, np.array(stream.rows).T, count, more)
        if stream.stamp_rows:
            self._put(stream.stamp_sets, np.array(stream.stamp_rows).T, count, more)
        self._put([stream.time_set], [stream.times], count, more)
        for dataset, values in zip(stream.text_sets, stream.text_rows, strict=True):
            dataset.resize(count + more, 0)
            dataset[count : count + more] = values
            values.clear()
        stream.count = count + more
        for kept in (stream.rows, stream.stamp_rows, stream.times):
            kept.clear()
        self._flush()

    def _flush(self) -> None:
        if self.every is not None and time.monotonic() - self.flushed >= self.every:
            self.file.flush()
            self.flushed = time.monotonic()

    def resource(self, document: Document) -> None:
        """Note a detector's file."""
        path = str(Path(document["root"]) / document["resource_path"])
        self.source = {"file": path, "path": DETECTOR_DATASET, "count": 0}

    def stream_resource(self, document: Document) -> None:
        """Note a detector's file."""
        path = urlsplit(document["uri"]).path
        self.source = {"file": path, "path": document["parameters"]["dataset"], "count": 0}

    def datum(self, document: Document) -> None:
        """Count frames."""
        self.source["count"] = document["datum_kwargs"]["point_number"] + 1

    def stream_datum(self, document: Document) -> None:
        """Count frames."""
        self.source["count"] = document["indices"]["stop"]

    def stop(self, document: Document) -> None:
        """Write what is left and one virtual dataset of the detector's file, made of one mapping."""
        for stream in self.streams.values():
            self._write(stream)
            if stream.pending is not None and len(stream.pending[-1]):
                self._put(stream.sets, stream.pending, stream.count, len(stream.pending[-1]))
        if self.source:
            with h5py.File(self.source["file"], "r") as file:
                frames = file[self.source["path"]]
                shape, dtype = (self.source["count"], *frames.shape[1:]), frames.dtype
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource(self.source["file"], self.source["path"], shape)
            self.file.create_virtual_dataset("entry/primary/img", layout)
        self.file.close()


def limit_h5(folder: Path) -> Limit:
    """No flush before the end."""
    return Limit(folder)


def limit_h5_1hz(folder: Path) -> Limit:
    """A flush a second, between chunks: the "limit" of the bars."""
    return Limit(folder, flush=1.0)


def limit_h5_flush(folder: Path) -> Limit:
    """A flush after every chunk."""
    return Limit(folder, flush=0.0)


def limit_h5_flush_v0(folder: Path) -> Limit:
    """The same in h5py's own libver: after a crash what was flushed opens without h5clear."""
    return Limit(folder, flush=0.0, libver=None)


def limit_h5_swmr(folder: Path) -> Limit:
    """SWMR."""
    return Limit(folder, flush=0.0, swmr=True)


def limit_h5_compact(folder: Path) -> Limit:
    """One time column instead of a timestamp a value."""
    return Limit(folder, compact=True)


class Raw(RunFiles):
    """No HDF5: 21 doubles a row, 1024 rows at once."""

    suffix = ".raw"

    def __init__(self, folder: Path, *, sync: bool = False) -> None:
        super().__init__(folder)
        self.sync = sync
        self.rows: list[Sequence[Any]] = []

    def open(self, document: Document) -> None:
        """Make the file."""
        self.file = self.path.open("wb", buffering=0)
        self.rows = []

    def descriptor(self, document: Document) -> None:
        """Note which keys hold numbers."""
        keys = document["data_keys"]
        numbers = [k for k, d in keys.items() if d["dtype"] in ("number", "integer")]
        self.get: Getter = _getter(numbers) or (lambda values: ())
        self.images = [k for k, d in keys.items() if d["shape"]]

    def event(self, document: Document) -> None:
        """Keep a row."""
        data = document["data"]
        for key in self.images:
            data[key].tofile(self.file)
        self.rows.append((document["time"], *self.get(data), *self.get(document["timestamps"])))
        if len(self.rows) == CHUNK:
            self._write()

    def event_page(self, document: Document) -> None:
        """Write a page."""
        page = [document["time"], *self.get(document["data"]), *self.get(document["timestamps"])]
        np.array(page).tofile(self.file)

    def _write(self) -> None:
        np.array(self.rows).tofile(self.file)
        self.rows.clear()

    def stop(self, document: Document) -> None:
        """Write what is left."""
        if self.rows:
            self._write()
        if self.sync:
            os.fsync(self.file.fileno())
        self.file.close()


def raw_tofile(folder: Path) -> Raw:
    """Without HDF5."""
    return Raw(folder)


def raw_fsync(folder: Path) -> Raw:
    """And one fsync at the end: what the disk takes, not the page cache."""
    return Raw(folder, sync=True)
