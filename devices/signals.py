"""Signals: what devices say of their data keys and configuration before any scan, for checking a profile."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from nexus_callbacks.beamline.bindings import Signals, write_signals


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


def signals_command(beamline: str, make: Callable[[str], Any], arguments: Sequence[str]) -> int:
    """Write the signals of a simulated beamline to a path; the exit status.

    Parameters
    ----------
    beamline
        Name of its module, for the usage.
    make
        Makes the beamline, given a folder for its detectors.
    arguments
        What was typed: the path alone.
    """
    if len(arguments) != 1:
        sys.stderr.write(f"usage: python -m devices.beamlines.{beamline} PATH\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        write_signals(arguments[0], signals_of(*make(folder).devices))
    return 0
