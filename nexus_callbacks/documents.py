"""Documents: typed views of bluesky's event-model documents and the facts that a file needs of them.

Nothing here changes a document. Names are event-model's: start, descriptor, event, stop, data key, stream, hints
(https://blueskyproject.io/event-model).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Document = Mapping[str, Any]

BASELINE = "baseline"
PRIMARY = "primary"
STREAMED = "STREAM:"
"""What ``external`` begins with where stream_datum tells of the frames (bluesky)."""


@dataclass(frozen=True)
class DataKey:
    """What a descriptor says of one column."""

    name: str
    dtype: str
    """event-model's JSON type: string, number, array, boolean or integer. It can lie: look at the values too."""
    shape: tuple[int, ...]
    """Shape of one value; an ophyd-async detector keeps a leading number of frames per event."""
    dtype_numpy: str | None
    """numpy's name of the type of one element, e.g. ``<u2``; None where the device does not say."""
    units: str | None
    """As the device gives it; None where it gives none or an empty one."""
    external: str
    """Not empty if the values are in a file of the device's own; ``STREAM:`` if stream_datum tells of them, else
    (legacy ``FILESTORE:``…) the events hold the ids of datums."""
    precision: int | None
    device: str
    """Name of the device that read it; empty where the descriptor does not say."""


@dataclass(frozen=True)
class Stream:
    """What one descriptor says of its stream."""

    name: str
    keys: dict[str, DataKey]
    configuration: dict[str, dict[str, Any]]
    """Device → configuration field → value."""
    configuration_keys: dict[str, dict[str, Mapping[str, Any]]]
    """Device → configuration field → data key."""
    hinted: tuple[str, ...]
    """Data keys which the devices want plotted, in the descriptor's order."""
    nx_classes: dict[str, str] = field(default_factory=dict)
    """Device → NeXus class, where its hints name one (event-model ``PerObjectHint.NX_class``)."""

    def devices(self) -> dict[str, tuple[str, ...]]:
        """Device → its data keys."""
        found: dict[str, tuple[str, ...]] = {}
        for key in self.keys.values():
            if key.device:
                found[key.device] = (*found.get(key.device, ()), key.name)
        return found


def merged(known: Stream, new: Stream) -> Stream:
    """What two descriptors of one stream say together; the configuration is the later one's."""
    return replace(
        new,
        keys={**known.keys, **new.keys},
        hinted=tuple(dict.fromkeys([*known.hinted, *new.hinted])),
        nx_classes={**known.nx_classes, **new.nx_classes},
    )


def stream_of(descriptor: Document) -> Stream:
    """Read a descriptor."""
    owners = {key: device for device, keys in (descriptor.get("object_keys") or {}).items() for key in keys}
    keys = {name: _data_key(name, spec, owners) for name, spec in (descriptor.get("data_keys") or {}).items()}
    hints: Mapping[str, Any] = descriptor.get("hints") or {}
    hinted = [f for device in hints.values() for f in (device or {}).get("fields", ()) if f in keys]
    configuration: Mapping[str, Any] = descriptor.get("configuration") or {}
    return Stream(
        name=descriptor.get("name", PRIMARY),
        keys=keys,
        configuration={device: dict(spec.get("data") or {}) for device, spec in configuration.items()},
        configuration_keys={device: dict(spec.get("data_keys") or {}) for device, spec in configuration.items()},
        hinted=tuple(dict.fromkeys(hinted)),
        nx_classes={device: spec["NX_class"] for device, spec in hints.items() if (spec or {}).get("NX_class")},
    )


def _data_key(name: str, spec: Mapping[str, Any], owners: Mapping[str, str]) -> DataKey:
    units = spec.get("units")
    shape = spec.get("shape")
    dtype_numpy = spec.get("dtype_numpy")
    return DataKey(
        name=name,
        dtype=spec.get("dtype", "number"),
        shape=tuple(n for n in shape if isinstance(n, int)) if isinstance(shape, list | tuple) else (),
        dtype_numpy=dtype_numpy if isinstance(dtype_numpy, str) and dtype_numpy else None,
        units=str(units) if units else None,
        external=str(spec.get("external") or ""),
        precision=spec.get("precision"),
        device=spec.get("object_name") or owners.get(name, ""),
    )


def configured(stream: Stream, device: str, name: str) -> tuple[Any, str | None] | None:
    """Value and units of a device's configuration field, or None if the stream does not have it.

    ``name`` is the data key itself or the data key less the device's name and an underscore
    (``exposure_time`` of ``frelon_exposure_time``).
    """
    values = stream.configuration.get(device, {})
    for key in (name, f"{device}_{name}"):
        if key in values:
            units = (stream.configuration_keys.get(device, {}).get(key) or {}).get("units")
            return values[key], str(units) if units else None
    return None


def lookup(document: Document, path: str) -> Any:
    """Value under a dotted path of a document, None where it is missing."""
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def dimensions(start: Document, stream: str) -> list[list[str]]:
    """The scan's axes in one stream: a list per dimension of the data keys that move along it.

    From ``start.hints.dimensions``; ``scan`` of two motors has one dimension with two keys, ``count`` the
    dimension ``time``. Empty where the plan says nothing (``fly``).
    """
    hints = start.get("hints")
    told = hints.get("dimensions") if isinstance(hints, Mapping) else None
    found = []
    for dimension in told if isinstance(told, list | tuple) else ():
        # A plan of one's own may write anything here; hints are never worth a scan.
        if isinstance(dimension, list | tuple) and len(dimension) == 2 and dimension[1] == stream:
            keys = dimension[0]
            if isinstance(keys, list | tuple):
                found.append([str(key) for key in keys])
    return found


def named(start: Document, key: str) -> tuple[str, ...]:
    """Names that a start document lists under a key (``motors``, ``detectors``); empty if it lists none."""
    found = start.get(key)
    return tuple(str(name) for name in found) if isinstance(found, list | tuple | set) else ()


def techniques(start: Document) -> tuple[str, ...]:
    """The techniques that a start document names, the first shaping the entry."""
    found = start.get("technique")
    return (found,) if isinstance(found, str) and found else named(start, "technique")


def rows(name: str, document: Document) -> Iterator[tuple[int, float, Mapping[str, Any], Mapping[str, Any]]]:
    """Rows of an ``event`` or ``event_page``: (seq_num, time in s since 1970, data, timestamps)."""
    if name == "event":
        yield document["seq_num"], document["time"], document["data"], document.get("timestamps") or {}
        return
    data, stamps = document["data"], document.get("timestamps") or {}
    for i, (seq_num, time) in enumerate(zip(document["seq_num"], document["time"], strict=True)):
        yield seq_num, time, {k: v[i] for k, v in data.items()}, {k: v[i] for k, v in stamps.items()}


def iso_time(seconds: float, zone: ZoneInfo | None = None) -> str:
    """ISO 8601 with microseconds and zone (NX_DATE_TIME) of a time in s since 1970.

    Without ``zone`` the machine's own zone is used.
    """
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.astimezone(zone).isoformat(timespec="microseconds")


def to_json(document: Any) -> str:
    """JSON text of anything: numpy values become lists and numbers, keys texts, NaN and infinity null.

    What JSON does not know becomes its ``str``; text that UTF-8 cannot hold is escaped. Nothing is refused.
    """
    try:  # Most documents are plain already, and json's own C code is ten times as fast.
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return json.dumps(_plain(document, 0), ensure_ascii=False, allow_nan=False)
    return text


DEEPEST = 100
"""Levels of a document that are kept as JSON; what is deeper becomes text."""


def _plain(value: Any, depth: int) -> Any:
    found: Any
    if isinstance(value, np.ndarray | np.generic):
        found = _plain(value.tolist(), depth) if value.dtype.kind in "biufU" else text_of(value)
    elif value is None or isinstance(value, bool | int):
        found = value
    elif isinstance(value, float):
        found = value if math.isfinite(value) else None
    elif isinstance(value, Mapping) and depth < DEEPEST:
        found = {text_of(key): _plain(item, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset) and depth < DEEPEST:
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        found = [_plain(item, depth + 1) for item in items]
    else:
        found = text_of(value)
    return found


def text_of(value: Any) -> str:
    """Text of anything, whatever its class does; what UTF-8 cannot hold is escaped."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # A device's own class, which may do anything here.
        text = f"<{type(value).__name__} without a text>"
    return text.encode("utf-8", "backslashreplace").decode()
