"""Monitor: counts the beam during each exposure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.quantity import Quantity


class PresetMonitor(Device):
    """A diode that sees what a thin foil scatters out of the beam; counts for a preset time.

    Parameters
    ----------
    rate
        Called at each trigger for the photons per second in the beam.
    rng
        Of the counting noise.
    """

    count_time = Cpt(Quantity, value=0.1, units="s", precision=4, limits=(1e-4, 60.0), kind=Kind.config)
    mode = Cpt(Quantity, value="timer", writable=False, kind=Kind.config)
    """NXmonitor's word for a count that ends with the time."""
    efficiency = Cpt(Quantity, value=1e-5, precision=8, writable=False, kind=Kind.config)
    """Counts per photon."""
    counts = Cpt(Quantity, value=0, writable=False)
    total = Cpt(Quantity, value=0, writable=False)
    """Counts of all exposures since it was staged."""

    def __init__(self, *args: Any, rate: Callable[[], float], rng: np.random.Generator, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rate = rate
        self._rng = rng

    def stage(self) -> list[Any]:
        self.total.put(0, force=True)
        return super().stage()

    def trigger(self) -> Status:
        """Count once; in the simulation that takes no time."""
        expected = self._rate() * self.efficiency.get() * self.count_time.get()
        self.counts.put(int(self._rng.poisson(expected)), force=True)
        self.total.put(self.total.get() + self.counts.get(), force=True)
        status = Status(self)
        status.set_finished()
        return status
