"""Documents: typed views of bluesky's event-model documents and the facts that a file needs of them.

Nothing here changes a document. Names are event-model's: start, descriptor, event, stop, data key, stream, hints
(https://blueskyproject.io/event-model).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Document = Mapping[str, Any]

BASELINE = "baseline"
PRIMARY = "primary"


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
    external: bool
    """The values are in a file of the device's own and the events hold a reference at most."""
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
    dtype_numpy = spec.get("dtype_numpy")
    return DataKey(
        name=name,
        dtype=spec.get("dtype", "number"),
        shape=tuple(int(n) for n in spec.get("shape") or () if n is not None),
        dtype_numpy=dtype_numpy if isinstance(dtype_numpy, str) and dtype_numpy else None,
        units=str(units) if units else None,
        external=bool(spec.get("external")),
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
    hints: Mapping[str, Any] = start.get("hints") or {}
    found = []
    for dimension in hints.get("dimensions") or ():
        try:
            keys, name = dimension
        except (TypeError, ValueError):
            continue  # A plan of one's own may write anything here; hints are never worth a scan.
        if name == stream and not isinstance(keys, str):
            found.append([str(k) for k in keys])
    return found


def techniques(start: Document) -> tuple[str, ...]:
    """The techniques that a start document names, the first shaping the entry."""
    named = start.get("technique") or ()
    return (named,) if isinstance(named, str) else tuple(str(n) for n in named)


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


def to_json(document: Any, indent: int | None = None) -> str:
    """JSON text of a document; numpy values become lists and numbers, anything else its ``str``."""
    return json.dumps(document, default=_plain, ensure_ascii=False, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
