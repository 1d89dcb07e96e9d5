"""Signals: what the devices of a beamline have, known before a scan. Kept as JSON beside the profile.

The form is ``{"data": {key: data key}, "config": {device: {field: data key}}}`` with event-model's data keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nexus_callbacks import documents
from nexus_callbacks.beamline.addresses import normal
from nexus_callbacks.faults import Fault, FaultError, Place

MAX_BYTES = 20_000_000
"""Size of a ``signals.json``; one with 10 000 data keys has 2 MB."""

DataKeys = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Signals:
    """Data keys and configuration fields of a beamline's devices."""

    data: DataKeys = field(default_factory=dict)
    """Data key → event-model's description of it (units, dtype, shape …)."""
    config: Mapping[str, DataKeys] = field(default_factory=dict)
    """Device → configuration field → description."""

    def configuration(self, device: str, name: str) -> Mapping[str, Any] | None:
        """Description of a configuration field, by its key or its key less ``DEVICE_``; None if there is none."""
        fields = self.config.get(device, {})
        return next((fields[key] for key in (name, f"{device}_{name}") if key in fields), None)

    def at(self, address: str) -> Mapping[str, Any] | None:
        """Description of the data key that comes from an address of a control system; None if there is none."""
        return self._addressed.get(normal(address) or "")

    @cached_property
    def _addressed(self) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for spec in self.data.values():
            found.setdefault(normal(str(spec.get("source") or "")) or "", spec)
        found.pop("", None)
        return found


def read_signals(path: str | Path) -> Signals:
    """Read a ``signals.json``.

    Raises
    ------
    FaultError
        It cannot be read, is too large, is no JSON, or has another form.
    """
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise FaultError([Fault(f"larger than {MAX_BYTES // 1_000_000} MB", Place(source))])
        found = json.loads(data.decode("utf-8"))
    except OSError as error:
        raise FaultError([Fault(f"cannot be read: {error.strerror or error}", Place(source))]) from error
    except json.JSONDecodeError as error:
        raise FaultError([Fault(f"not JSON: {error.msg}", Place(source, error.lineno))]) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise FaultError([Fault(f"not JSON: {error}", Place(source))]) from error
    if not isinstance(found, dict) or not found.keys() <= {"data", "config"}:
        message = "expected an object with 'data' and 'config'"
        raise FaultError([Fault(message, Place(source), "write it again from the devices")])
    data, config = found.get("data", {}), found.get("config", {})
    if not _are_keys(data) or not isinstance(config, dict) or not all(_are_keys(keys) for keys in config.values()):
        message = "'data' maps keys, 'config' devices and fields to event-model's data keys; something else was found"
        raise FaultError([Fault(message, Place(source), "write it again from the devices")])
    return Signals(data, config)


def write_signals(path: str | Path, signals: Signals) -> None:
    """Write a ``signals.json``, sorted, so that a change shows up as a small difference."""
    content = {"config": dict(signals.config), "data": dict(signals.data)}
    plain = json.loads(documents.to_json(content))
    text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False)
    Path(path).write_text(text + "\n", "utf-8")


def _are_keys(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, dict) for item in value.values())
