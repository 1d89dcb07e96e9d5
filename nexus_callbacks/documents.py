"""Documents: typed views of bluesky's event-model documents and the facts that a file needs of them.

Nothing here changes a document. Names are event-model's: start, descriptor, event, stop, data key, stream, hints
(https://blueskyproject.io/event-model).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

Document = Mapping[str, Any]

BASELINE = "baseline"
PRIMARY = "primary"
INTERRUPTIONS = "interruptions"
MONITOR = "_monitor"
"""What bluesky puts after a signal's name for the stream of its monitor, where the plan gives no other name."""
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
    device: str
    """Name of the device that read it; empty where the descriptor does not say."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be kept beside the values (:func:`described`)."""
    fields: tuple[tuple[str, str], ...] = ()
    """Name and type of each field of a structured array; ``dtype_numpy`` is None then."""
    source: str = ""
    """Where the device says that it comes from, an address of a control system or something else."""


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


def is_log(stream: str) -> bool:
    """Whether a stream is what a monitor saw or when the plan was interrupted, and not the points of a plan."""
    return stream.endswith(MONITOR) or stream == INTERRUPTIONS


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
    # A device of one's own may write anything into its hints, which are not worth its data.
    hints = {device: spec for device, spec in _mapping(descriptor.get("hints")).items() if isinstance(spec, Mapping)}
    hinted = [f for spec in hints.values() for f in named(spec, "fields") if f in keys]
    configuration = {d: spec for d, spec in _mapping(descriptor.get("configuration")).items() if _mapping(spec)}
    return Stream(
        name=descriptor.get("name", PRIMARY),
        keys=keys,
        configuration={device: dict(spec.get("data") or {}) for device, spec in configuration.items()},
        configuration_keys={device: dict(spec.get("data_keys") or {}) for device, spec in configuration.items()},
        hinted=tuple(dict.fromkeys(hinted)),
        nx_classes={device: spec["NX_class"] for device, spec in hints.items() if _is_class(spec.get("NX_class"))},
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_class(name: Any) -> bool:
    """Whether a name can be that of a NeXus class."""
    return isinstance(name, str) and name.startswith("NX") and name.isidentifier() and name.isascii()


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
        device=spec.get("object_name") or owners.get(name, ""),
        attributes=described(spec),
        fields=_fields(dtype_numpy) if isinstance(dtype_numpy, list | tuple) else (),
        source=str(spec.get("source") or ""),
    )


def _fields(said: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    """Fields of a structured type, as event-model has them: (name, type); empty if they are none."""
    try:
        found = tuple((str(name), str(kind)) for name, kind in said)
        np.dtype(list(found))
    except (TypeError, ValueError):
        return ()
    return found


MOST_CHOICES = 256
"""Choices of an enumeration that are kept as an attribute, which HDF5 limits to 64 kB; EPICS has 16."""
_LIMITS = {"lower_ctrl_limit": "limits_control_low", "upper_ctrl_limit": "limits_control_high"}
"""ophyd's names of the limits that event-model has as ``limits.control``."""


def described(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a data key says of its values besides type, shape and units, as flat attributes.

    ``precision`` (digits), ``choices`` (of an enumeration; ophyd's ``enum_strs``), ``dims`` (names of the dimensions),
    and event-model's limits in the units of the values: ``limits_control_low``, ``limits_alarm_high``,
    ``limits_hysteresis``, ``limits_rds_time_difference`` (ms) …. What is None or no number is left out.
    """
    if len(spec) <= 3:  # source, dtype and shape: nothing else, as most keys of most devices.
        return {}
    found: dict[str, Any] = {"precision": spec["precision"]} if _is_real(spec.get("precision")) else {}
    choices = named(spec, "choices") or named(spec, "enum_strs")
    if 0 < len(choices) <= MOST_CHOICES:
        found["choices"] = list(choices)
    dims = spec.get("dims")
    if isinstance(dims, list | tuple) and dims and all(isinstance(name, str) for name in dims):
        found["dims"] = list(dims)
    for name, limit in _mapping(spec.get("limits")).items():
        for end, value in limit.items() if isinstance(limit, Mapping) else (("", limit),):
            if _is_real(value):
                found["_".join(["limits", str(name), *([str(end)] if end else [])])] = value
    for theirs, mine in _LIMITS.items():
        if mine not in found and _is_real(spec.get(theirs)):
            found[mine] = spec[theirs]
    return found


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


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
    """Value under a dotted path of a document, None where it is missing; a number picks from a list.

    >>> lookup({"motors": ["sz", "sy"]}, "motors.1")
    'sy'
    """
    value: Any = document
    for part in path.split("."):
        if isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            return None
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
        found = _plain(from_numpy(value), depth)
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


def from_numpy(value: np.ndarray[Any, Any] | np.generic) -> Any:
    """Python's own value of numpy's, lists of an array; of times their ISO 8601 text.

    Whole, where ``str`` of a large array would leave out its middle.
    """
    if value.dtype.kind in "mM":
        return value.astype(str).tolist()
    if value.dtype.kind in "fc" and value.dtype.itemsize > (8 if value.dtype.kind == "f" else 16):
        return value.astype(float if value.dtype.kind == "f" else complex).tolist()  # Python has no such number.
    return value.tolist()


def text_of(value: Any) -> str:
    """Text of anything, whatever its class does; what UTF-8 cannot hold is escaped."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # A device's own class, which may do anything here.
        text = f"<{type(value).__name__} without a text>"
    return text.encode("utf-8", "backslashreplace").decode()
