"""Signals: what devices say of their data keys and configuration before any scan, for checking a profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def signals_of(*devices: Any) -> dict[str, dict[str, Any]]:
    """Data keys and configuration of `devices`.

    Returns
    -------
    ``{"data": {data key: DataKey}, "config": {device: {field: DataKey}}}``. A field is named as in a descriptor's
    ``configuration``, with the device's name in front: ``frelon_exposure_time``.
    """
    data: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for device in devices:
        data.update(device.describe())
        fields = device.describe_configuration()
        if fields:
            config.setdefault(device.name, {}).update(fields)
    return {"data": data, "config": config}


def save_signals(path: Path, *devices: Any) -> None:
    """Write the signals of `devices` as JSON, sorted, so that a change shows up as a small difference."""
    path.write_text(json.dumps(signals_of(*devices), indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
