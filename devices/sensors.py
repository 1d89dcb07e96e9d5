"""Sensors: gauges and meters that are only read, and counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.quantity import Derived, Quantity


class VacuumGauge(Device):
    """A Penning gauge. Its reading scatters by 2 %, the pressure itself stays."""

    pressure = Cpt(Derived, compute=lambda gauge: gauge.pressure_now(), units="mbar", precision=10, kind=Kind.hinted)

    def __init__(self, *args: Any, pressure: float, rng: np.random.Generator, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pressure = pressure
        self._rng = rng

    def pressure_now(self) -> float:
        """Pressure in mbar."""
        return float(self._pressure * self._rng.normal(1, 0.02))


class Hutch(Device):
    """The experimental hutch: air, and the drift that the capacitive sensors of the sample stage see."""

    temperature = Cpt(
        Derived, compute=lambda hutch: 22.0 + hutch.rng.normal(0, 0.02), units="degC", precision=3, kind=Kind.hinted
    )
    humidity = Cpt(Derived, compute=lambda hutch: 41.0 + hutch.rng.normal(0, 0.2), units="%", precision=1)
    drift = Cpt(Derived, compute=lambda hutch: hutch.rng.normal(0, 2.0), units="nm", precision=2)

    def __init__(self, *args: Any, rng: np.random.Generator, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rng = rng


PAIR = 34.8
"""Energy that an ion pair costs in nitrogen, eV (ICRU Report 31, 1979, for electrons)."""
ELEMENTARY_CHARGE = 1.602176634e-19
"""C (SI)."""


class IonisationChamber(Device):
    """A chamber of nitrogen upstream of the shutter, read as a current.

    Parameters
    ----------
    flux
        Gives the photons that arrive, per second.
    mono
        Says their energy, eV.
    """

    current = Cpt(Derived, compute=lambda chamber: chamber.current_now(), units="A", precision=12, kind=Kind.hinted)
    absorbed = Cpt(Quantity, value=0.006, precision=4, writable=False, kind=Kind.config)
    """Share of the photons that it absorbs."""

    def __init__(self, *args: Any, flux: Callable[[], float], mono: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flux = flux
        self._mono = mono

    def current_now(self) -> float:
        """Current in A."""
        pairs = self._flux() * self.absorbed.get() * self._mono.energy.get() / PAIR
        return float(pairs * ELEMENTARY_CHARGE)


class Counter(Device):
    """A counter behind a diode or an ionisation chamber: photons in a preset time, with the noise of counting.

    Parameters
    ----------
    rate
        Asked at every trigger for photons per second.
    rng
        The noise comes from it.
    """

    exposure_time = Cpt(Quantity, value=0.1, units="s", precision=4, limits=(0.0001, 60.0), kind=Kind.config)
    counts = Cpt(Quantity, value=0, writable=False, kind=Kind.hinted)
    """Photons in the last exposure, a pure number."""

    def __init__(self, *args: Any, rate: Callable[[], float], rng: np.random.Generator, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rate = rate
        self._rng = rng

    def trigger(self) -> Status:
        """Count once; in the simulation that takes no time."""
        self.counts.put(int(self._rng.poisson(self._rate() * self.exposure_time.get())), force=True)
        status = Status(self)
        status.set_finished()
        return status


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


class BeamMonitor(Device):
    """A thin diode upstream of the shutter: how many photons arrive.

    Parameters
    ----------
    ring, attenuators
        What the flux follows.
    flux_at_200
        Photons per second at 200 mA with nothing in the beam.
    """

    flux = Cpt(Derived, compute=lambda diode: diode.flux_now(), units="photons/s", precision=0, kind=Kind.hinted)
    full_flux = Cpt(Quantity, value=1.0e11, units="photons/s", precision=0, writable=False, kind=Kind.config)

    def __init__(self, *args: Any, ring: Any, attenuators: tuple[Any, ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ring = ring
        self._attenuators = attenuators

    def relative(self) -> float:
        """Beam before the sample, as a share of what 200 mA gives with nothing in the beam."""
        passed = self._ring.current_now() / 200.0 if self._ring.front_end.get() == "open" else 0.0
        for attenuator in self._attenuators:
            passed *= attenuator.transmission_now()
        return passed

    def flux_now(self) -> float:
        """Photons per second."""
        return self.full_flux.get() * self.relative()
