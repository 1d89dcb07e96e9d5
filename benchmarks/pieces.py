"""Pieces: the documents that the workloads are made of, and the values that a reader will look for.

Column ``c<j>`` of row ``i`` (0-based) always holds ``value(i, j)``, so that whoever reads a file can tell right
rows from wrong ones.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Document = dict[str, Any]

COLUMNS = [f"c{j}" for j in range(10)]
T0 = 1.7e9
"""Time of the start document, in s since 1970."""
SEED = 20240501


class Uids:
    """Uids that are the same in every process."""

    def __init__(self) -> None:
        self._random = random.Random(SEED)

    def __call__(self) -> str:
        """The next one."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def value(i: int, j: int) -> float:
    """Row ``i`` of column ``j``; ``c0`` is of integers, the others of floats; never zero."""
    return i + 1 if j == 0 else (i + 1) * (j + 1) * 0.125


def column(j: int, n: int) -> np.ndarray[Any, Any]:
    """The first ``n`` rows of column ``j``."""
    i = np.arange(n)
    return i + 1 if j == 0 else (i + 1) * (j + 1) * 0.125


def start(uid: Uids, points: int, **metadata: Any) -> Document:
    """A start document as ``scan`` makes it."""
    return {
        "uid": uid(), "time": T0, "scan_id": 1, "plan_name": "scan", "plan_type": "generator",
        "detectors": ["det"], "motors": ["c1"], "num_points": points,
        "hints": {"dimensions": [[["c1"], "primary"]]},
        "sample": {"name": "LaB6", "temperature": 295.5}, "versions": {"bluesky": "1.15.1"}, **metadata,
    }  # fmt: skip


def scalar_keys() -> dict[str, Document]:
    """Data keys of the ten scalar columns."""
    return {
        name: {
            "source": f"SIM:{name}", "dtype": "integer" if j == 0 else "number", "shape": [],
            "dtype_numpy": "<i8" if j == 0 else "<f8", "units": "mm", "precision": 3,
            "object_name": "c1" if j == 1 else "det",
            "lower_ctrl_limit": 0.0, "upper_ctrl_limit": 0.0,
        }
        for j, name in enumerate(COLUMNS)
    }  # fmt: skip


def motor_key() -> Document:
    """Data key of the one scalar beside frames."""
    return {"source": "SIM:c1", "dtype": "number", "shape": [], "dtype_numpy": "<f8", "units": "mm",
            "object_name": "c1"}  # fmt: skip


def descriptor(
    uid: Uids,
    run: str,
    keys: Mapping[str, Document],
    name: str = "primary",
    configuration: Document | None = None,
    hints: Document | None = None,
) -> Document:
    """A descriptor; every device has one configuration field if none are given."""
    owned: dict[str, list[str]] = {}
    for key, spec in keys.items():
        owned.setdefault(spec.get("object_name", key), []).append(key)
    if configuration is None:
        configuration = {device: _gain(device) for device in owned}
    if not hints:
        hints = {device: {"fields": names[:2]} for device, names in owned.items()}
    return {"uid": uid(), "run_start": run, "time": T0 + 0.5, "name": name, "data_keys": dict(keys),
            "object_keys": owned, "configuration": configuration, "hints": hints}  # fmt: skip


def _gain(device: str) -> Document:
    key = f"{device}_gain"
    spec = {"source": "SIM", "dtype": "number", "shape": []}
    return {"data": {key: 1.5}, "timestamps": {key: T0}, "data_keys": {key: spec}}


def event(
    uid: Uids, of: str, number: int, time: float, data: Document, stamps: Document, **filled: bool
) -> tuple[str, Document]:
    """An event with its name."""
    return "event", {"uid": uid(), "time": time, "descriptor": of, "seq_num": number, "filled": dict(filled),
                     "data": data, "timestamps": stamps}  # fmt: skip


def stop(uid: Uids, run: str, **counts: int) -> tuple[str, Document]:
    """A stop document with its name; ``counts`` are the events of each stream."""
    return "stop", {"uid": uid(), "run_start": run, "time": T0 + 1e6, "exit_status": "success", "reason": "",
                    "num_events": counts}  # fmt: skip


def deep(depth: int, width: int) -> Document:
    """Metadata in groups in groups, ``width`` to a level, ``width`` leaves in each of the innermost."""
    if depth == 0:
        return {f"leaf{i}": [1.5 * i, 2, 3] if i % 3 else f"text {i}" for i in range(width)}
    return {f"node{i}": deep(depth - 1, width) for i in range(width)}


def count_of(name: str, document: Mapping[str, Any]) -> int:
    """Rows, or frames of a stream, which a document brings."""
    if name == "event":
        return 1
    if name == "event_page":
        return len(document["seq_num"])
    if name == "stream_datum":
        return int(document["indices"]["stop"] - document["indices"]["start"])
    return 0


def total(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
    """Rows and frames of a whole stream of documents."""
    return sum(count_of(name, document) for name, document in documents)
