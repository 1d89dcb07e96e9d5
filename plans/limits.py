"""Limits: what devices say against positions, asked before anything moves."""

from __future__ import annotations

from typing import Any


def refused(device: Any, *values: float) -> list[str]:
    """What `device` says against `values`; nothing if it cannot say."""
    faults: list[str] = []
    for value in values:
        try:
            device.check_value(value)
        except ValueError as error:
            faults.append(str(error))
    return faults
