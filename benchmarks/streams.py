"""Streams: the workloads, as documents made beforehand and without a RunEngine.

Every document is new, schema-valid and the same in every process; what a writer is fed does not depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.pieces import (
    COLUMNS,
    T0,
    Document,
    Uids,
    deep,
    descriptor,
    event,
    motor_key,
    scalar_keys,
    start,
    stop,
    value,
)

Documents = Iterator[tuple[str, Document]]

FRAME = (256, 256)
"""Frame inside an event (W3), uint16."""
FILED_FRAME = (16, 16)
"""Frame in a detector's file (W4); small, as a writer that links never copies a pixel."""
PAGE = 1000
BATCH = 10
"""Frames a stream_datum."""
SHORT_RUN = 20


def w1(uid: Uids, n: int, assets: Path) -> Documents:
    """``n`` events of ten scalar columns."""
    run = start(uid, n)
    yield "start", run
    of = descriptor(uid, run["uid"], scalar_keys())
    yield "descriptor", of
    for i in range(n):
        t = T0 + 1 + i * 1e-3
        # Every other value is a numpy scalar, as ophyd's devices give them.
        data = {c: np.float64(value(i, j)) if j % 2 else value(i, j) for j, c in enumerate(COLUMNS)}
        yield event(uid, of["uid"], i + 1, t, data, {c: t + j * 1e-5 for j, c in enumerate(COLUMNS)})
    yield stop(uid, run["uid"], primary=n)


def w2(uid: Uids, n: int, assets: Path) -> Documents:
    """The same rows in pages."""
    run = start(uid, n)
    yield "start", run
    of = descriptor(uid, run["uid"], scalar_keys())
    yield "descriptor", of
    for first in range(0, n, PAGE):
        rows = range(first, min(n, first + PAGE))
        t = [T0 + 1 + i * 1e-3 for i in rows]
        yield "event_page", {"uid": [uid() for _ in rows], "time": t, "descriptor": of["uid"],
                             "seq_num": [i + 1 for i in rows], "filled": {},
                             "data": {c: [value(i, j) for i in rows] for j, c in enumerate(COLUMNS)},
                             "timestamps": {c: [x + j * 1e-5 for x in t] for j, c in enumerate(COLUMNS)}}  # fmt: skip
    yield stop(uid, run["uid"], primary=n)


@cache
def _frames() -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).poisson(50, (32, *FRAME)).astype("<u2")


def w3(uid: Uids, n: int, assets: Path) -> Documents:
    """``n`` events with a frame and a scalar."""
    frames = _frames()
    run = start(uid, n)
    yield "start", run
    image = {"source": "SIM:img", "dtype": "array", "shape": list(FRAME), "dtype_numpy": "<u2", "units": "",
             "object_name": "det"}  # fmt: skip
    of = descriptor(uid, run["uid"], {"img": image, "c1": motor_key()})
    yield "descriptor", of
    for i in range(n):
        t = T0 + 1 + i
        data = {"img": frames[i % len(frames)].copy(), "c1": value(i, 1)}
        yield event(uid, of["uid"], i + 1, t, data, {"img": t, "c1": t})
    yield stop(uid, run["uid"], primary=n)


def asset(assets: Path, n: int) -> Path:
    """A detector's file of ``n`` frames, made if it is not there."""
    path = assets / f"raw_{n}.h5"
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}")
        frames = np.broadcast_to((np.arange(n) % 60000 + 1).astype("<u2")[:, None, None], (n, *FILED_FRAME))
        with h5py.File(temporary, "w") as file:
            file.create_dataset("entry/data/data", data=frames, chunks=(min(n, 256), *FILED_FRAME))
        temporary.replace(path)
    return path


def _filed(external: str) -> dict[str, Document]:
    return {"img": {"source": "SIM:img", "dtype": "array", "shape": [1, *FILED_FRAME], "dtype_numpy": "<u2",
                    "units": "", "object_name": "det", "external": external}}  # fmt: skip


def w4r(uid: Uids, n: int, assets: Path) -> Documents:
    """A resource, then a datum and an event a frame."""
    path = asset(assets, n)
    run = start(uid, n)
    yield "start", run
    of = descriptor(uid, run["uid"], {**_filed("FILESTORE:"), "c1": motor_key()})
    yield "descriptor", of
    resource = {"uid": uid(), "spec": "AD_HDF5", "root": str(path.parent), "resource_path": path.name,
                "resource_kwargs": {"frame_per_point": 1}, "path_semantics": "posix",
                "run_start": run["uid"]}  # fmt: skip
    yield "resource", resource
    for i in range(n):
        datum_id = f"{resource['uid']}/{i}"
        yield "datum", {"datum_id": datum_id, "resource": resource["uid"], "datum_kwargs": {"point_number": i}}
        t = T0 + 1 + i * 1e-3
        yield event(uid, of["uid"], i + 1, t, {"img": datum_id, "c1": value(i, 1)}, {"img": t, "c1": t}, img=False)
    yield stop(uid, run["uid"], primary=n)


def w4s(uid: Uids, n: int, assets: Path) -> Documents:
    """A stream resource, then a stream datum for every ten frames; no events."""
    path = asset(assets, n)
    run = start(uid, n)
    yield "start", run
    of = descriptor(uid, run["uid"], _filed("STREAM:"))
    yield "descriptor", of
    resource = {"uid": uid(), "data_key": "img", "mimetype": "application/x-hdf5", "uri": f"file://localhost{path}",
                "parameters": {"dataset": "/entry/data/data", "chunk_shape": [256, *FILED_FRAME]},
                "run_start": run["uid"]}  # fmt: skip
    yield "stream_resource", resource
    for k, a in enumerate(range(0, n, BATCH)):
        b = min(n, a + BATCH)
        yield "stream_datum", {"uid": f"{resource['uid']}/{k}", "stream_resource": resource["uid"],
                               "descriptor": of["uid"], "indices": {"start": a, "stop": b},
                               "seq_nums": {"start": a + 1, "stop": b + 1}}  # fmt: skip
    yield stop(uid, run["uid"], primary=n)


def w5(uid: Uids, n: int, assets: Path) -> Documents:
    """A baseline of ``n`` signals, a fifth of them texts, read twice; 1024 leaves of metadata; one event."""
    run = start(uid, 1, proposal=deep(4, 4))
    yield "start", run
    keys, configuration = _baseline(n)
    baseline = descriptor(uid, run["uid"], keys, "baseline", configuration, hints={})

    def reading(number: int) -> tuple[str, Document]:
        data = {k: (f"s{number}" if v["dtype"] == "string" else number * 1.5) for k, v in keys.items()}
        return event(uid, baseline["uid"], number, T0 + number, data, dict.fromkeys(keys, T0 + number))

    yield "descriptor", baseline
    yield reading(1)
    primary = descriptor(uid, run["uid"], scalar_keys())
    yield "descriptor", primary
    row = {c: value(0, j) for j, c in enumerate(COLUMNS)}
    yield event(uid, primary["uid"], 1, T0 + 1, row, dict.fromkeys(COLUMNS, T0))
    yield reading(2)
    yield stop(uid, run["uid"], baseline=2, primary=1)


def _baseline(n: int) -> tuple[dict[str, Document], Document]:
    keys: dict[str, Document] = {}
    configuration: Document = {}
    for i in range(n):
        k = f"base_{i:05d}"
        text = i % 5 == 4
        keys[k] = {"source": f"SIM:{k}", "dtype": "string" if text else "number", "shape": [],
                   "dtype_numpy": "<U8" if text else "<f8", "units": "mm", "precision": 3,
                   "object_name": k}  # fmt: skip
        configuration[k] = {"data": {f"{k}_offset": 0.5, f"{k}_egu": "mm"},
                            "timestamps": {f"{k}_offset": T0, f"{k}_egu": T0},
                            "data_keys": {f"{k}_offset": {"source": "SIM", "dtype": "number", "shape": []},
                                          f"{k}_egu": {"source": "SIM", "dtype": "string", "shape": []}}}  # fmt: skip
    return keys, configuration


def w6(uid: Uids, n: int, assets: Path) -> Documents:
    """``n`` short runs."""
    for _ in range(n):
        yield from w1(uid, SHORT_RUN, assets)


@dataclass(frozen=True)
class Workload:
    """A kind of stream."""

    make: Callable[[Uids, int, Path], Documents]
    counts: str
    """What ``n`` counts, in the plural."""
    tiny: int
    """An ``n`` that takes no time, for a warm-up run."""


WORKLOADS = {
    "W1": Workload(w1, "rows", 20),
    "W2": Workload(w2, "rows", 20),
    "W3": Workload(w3, "frames", 20),
    "W4R": Workload(w4r, "frames", 20),
    "W4S": Workload(w4s, "frames", 20),
    "W5": Workload(w5, "signals", 20),
    "W6": Workload(w6, "runs", 1),
}


def stream(workload: str, n: int, assets: Path) -> Documents:
    """The documents of a workload, made as they are taken.

    Parameters
    ----------
    workload
        A key of :data:`WORKLOADS`.
    n
        Rows, frames, signals or runs.
    assets
        Folder for the detector's files of W4, which are kept from one call to the next.
    """
    return WORKLOADS[workload].make(Uids(), n, assets)
