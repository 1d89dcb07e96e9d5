"""Source: the storage ring and the undulators."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.quantity import Derived, Quantity

FILLING_MODES = ("uniform", "7/8+1", "16 bunch", "hybrid", "4 bunch")
"""As the ESRF's machine offers them to its users."""


class StorageRing(Device):
    """A ring whose current decays exponentially from when it was made.

    Parameters
    ----------
    clock
        Seconds since some moment; the tests give their own.
    injected
        Current when it was made, mA.
    """

    current = Cpt(Derived, compute=lambda ring: ring.current_now(), units="mA", precision=3, kind=Kind.hinted)
    shown = Cpt(Derived, compute=lambda ring: ring.shown_current, units="mA", precision=3, kind=Kind.omitted)
    """The current as it was last measured: what the machine publishes, however often somebody looks."""
    lifetime = Cpt(Quantity, value=22.0, units="h", precision=2, limits=(0.1, 200.0))
    filling_mode = Cpt(Quantity, value="7/8+1", choices=FILLING_MODES)
    emittance_x = Cpt(Quantity, value=4.0, units="nm*rad", precision=3, writable=False, kind=Kind.config)
    emittance_y = Cpt(Quantity, value=0.005, units="nm*rad", precision=4, writable=False, kind=Kind.config)
    energy = Cpt(Quantity, value=6.03, units="GeV", precision=2, writable=False, kind=Kind.config)
    front_end = Cpt(Quantity, value="open", choices=("open", "closed"))

    def __init__(
        self, *args: Any, clock: Callable[[], float] = time.time, injected: float = 198.0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._clock = clock
        self._injected = injected
        self._begun = clock()
        self.shown_current = injected

    def current_now(self) -> float:
        """Current in mA."""
        passed = self._clock() - self._begun
        self.shown_current = self._injected * math.exp(-passed / (3600 * self.lifetime.get()))
        return self.shown_current


class Undulator(Device):
    """One undulator: its gap, and its taper, by which the gap is wider at one end."""

    gap = Cpt(Quantity, value=11.5, units="mm", precision=4, limits=(10.8, 300.0), kind=Kind.hinted)
    taper = Cpt(Quantity, value=0.0, units="mm", precision=4, limits=(-2.0, 2.0))
    period = Cpt(Quantity, value=18.3, units="mm", precision=1, writable=False, kind=Kind.config)
    label = Cpt(Quantity, value="", kind=Kind.config)

    def __init__(self, *args: Any, label: str, gap: float, period: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label.put(label)
        self.gap.put(gap)
        self.period.put(period, force=True)
