"""Parameters: what a plan was asked for, checked before anything moves, with every fault told at once."""

from __future__ import annotations

import math
import numbers
from typing import Any


class Parameters:
    """Collects the faults of one call of a plan.

    Parameters
    ----------
    plan
        Its name, for the message.
    """

    def __init__(self, plan: str) -> None:
        self._plan = plan
        self.faults: list[str] = []

    def whole(self, least: int, **given: Any) -> None:
        """Each must be a whole number, `least` or more."""
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                self.faults.append(f"{name} must be a whole number, not {value!r}")
            elif value < least:
                self.faults.append(f"{name} must be at least {least}, not {value}")

    def real(self, **given: Any) -> None:
        """Each must be a finite number."""
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
                self.faults.append(f"{name} must be a finite number, not {value!r}")

    def refused(self, device: Any, *values: float) -> None:
        """What `device` says against being set to `values`."""
        self.faults += refused(device, *values)

    def settle(self) -> None:
        """Raise one ValueError with all faults, if there are any."""
        if self.faults:
            raise ValueError(f"{self._plan}: " + "; ".join(self.faults))


def refused(device: Any, *values: float) -> list[str]:
    """What `device` says against `values`; nothing if it cannot say."""
    faults: list[str] = []
    for value in values:
        try:
            device.check_value(value)
        except ValueError as error:
            faults.append(str(error))
    return faults
