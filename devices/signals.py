"""Signals: what devices say of their data keys and configuration before any scan, for checking a profile."""

from __future__ import annotations

from typing import Any

from nexus_callbacks.beamline.bindings import Signals


def signals_of(*devices: Any) -> Signals:
    """Data keys and configuration of live devices, for ``NexusWriter(…, signals=…)`` or a ``signals.json``.

    A configuration field is named as in a descriptor's ``configuration``, with the device's name in front:
    ``frelon_exposure_time``.
    """
    data: dict[str, Any] = {}
    config: dict[str, dict[str, Any]] = {}
    for device in devices:
        data.update(device.describe())
        fields = device.describe_configuration()
        if fields:
            config.setdefault(device.name, {}).update(fields)
    return Signals(data, config)
