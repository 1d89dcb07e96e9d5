"""Monitor: counts the beam during each exposure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Kind
from ophyd.status import Status

from devices.quantity import Quantity
from devices.sensors import Counter


class PresetMonitor(Counter):
    """A diode that sees what a thin foil scatters out of the beam; counts for a preset time, and all together.

    Parameters
    ----------
    rate
        Asked at every trigger for the photons per second in the beam.
    rng
        The noise comes from it.
    """

    counts = Cpt(Quantity, value=0, writable=False)
    mode = Cpt(Quantity, value="timer", writable=False, kind=Kind.config)
    """NXmonitor's word for a count that ends with the time."""
    efficiency = Cpt(Quantity, value=1e-5, precision=8, writable=False, kind=Kind.config)
    """Counts per photon."""
    total = Cpt(Quantity, value=0, writable=False)
    """Counts of all exposures since it was staged."""

    def __init__(self, *args: Any, rate: Callable[[], float], rng: np.random.Generator, **kwargs: Any) -> None:
        super().__init__(*args, rate=lambda: rate() * self.efficiency.get(), rng=rng, **kwargs)

    @property
    def hints(self) -> dict[str, Any]:
        """It is a monitor, not one more detector."""
        return {**super().hints, "NX_class": "NXmonitor"}

    def stage(self) -> list[Any]:
        self.total.put(0, force=True)
        return super().stage()

    def trigger(self) -> Status:
        """Count once, and add it to the total."""
        status = super().trigger()
        self.total.put(self.total.get() + self.counts.get(), force=True)
        return status
