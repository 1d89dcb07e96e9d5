"""Radiotherapy: what stands in the beam of microbeam radiation therapy, beside motors and shutter.

- :class:`MultislitCollimator`: cuts the beam into microbeams
- :class:`IonChambers`: count what arrives, and go on counting while the shutter is open
- :class:`RadiochromicFilm`: gathers dose, and is read once
- :class:`Goniometer`: moves the sample through the beam; what it passes while the shutter is open is irradiated
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.quantity import Derived, Quantity
from devices.scenes.microbeams import Collimator, Film
from devices.stages import SimulatedMotor


class MultislitCollimator(Device):
    """The collimator; its microbeams as they stand at the sample."""

    type = Cpt(Quantity, value="tungsten, fixed spacing", writable=False, kind=Kind.config)
    beam_width = Cpt(Quantity, value=50.0, units="um", precision=1, writable=False, kind=Kind.config)
    beam_height = Cpt(Quantity, value=520.0, units="um", precision=1, limits=(10.0, 1000.0))
    spacing = Cpt(Quantity, value=400.0, units="um", precision=1, writable=False, kind=Kind.config)
    beams = Cpt(Quantity, value=20, writable=False, kind=Kind.config)

    def collimator(self, scattered: float = 0.04) -> Collimator:
        """The array for the film's sake."""
        width, spacing = self.beam_width.get() * 1e-3, self.spacing.get() * 1e-3
        return Collimator(width, spacing, self.beams.get(), scattered)


class IonChambers(Device):
    """Six counts: two chambers before the collimator, the same through the MUSST card, and two behind it.

    ``clear()`` sets them to 0; they count while the beam passes.
    """

    ic01 = Cpt(Quantity, value=0, kind=Kind.hinted)
    ic02 = Cpt(Quantity, value=0)
    ic0mu1 = Cpt(Quantity, value=0)
    ic0mu2 = Cpt(Quantity, value=0)
    ionch1 = Cpt(Quantity, value=0)
    ionch2 = Cpt(Quantity, value=0)

    RATES: ClassVar = {"ic01": 5.0e6, "ic02": 4.6e6, "ic0mu1": 5.0e6, "ic0mu2": 4.6e6, "ionch1": 6.1e5, "ionch2": 5.8e5}
    """Counts per second and chamber at 200 mA."""

    def clear(self) -> None:
        """Start from 0."""
        for name in self.RATES:
            getattr(self, name).put(0)

    def count(self, seconds: float, current: float) -> None:
        """Count for `seconds` at a machine current in mA."""
        for name, rate in self.RATES.items():
            signal = getattr(self, name)
            signal.put(signal.get() + round(rate * seconds * current / 200.0))


class RadiochromicFilm(Device):
    """The film: its dose as an image, with the positions of its pixels."""

    def __init__(self, *args: Any, film: Film, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.film = film

    def trigger(self) -> Status:
        """Read at once."""
        status = Status(self)
        status.set_finished()
        return status

    def read(self) -> dict[str, Any]:
        """The dose, Gy, [y, x]."""
        return {f"{self.name}_dose": {"value": self.film.dose.copy(), "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        """The dose."""
        shape = list(self.film.dose.shape)
        key = {"source": f"SIM:{self.name}", "dtype": "array", "dtype_numpy": "<f8", "shape": shape, "units": "Gy"}
        return {f"{self.name}_dose": key}

    def read_configuration(self) -> dict[str, Any]:
        """Positions of the pixels along both sides, mm."""
        axis = self.film.axis
        return {f"{self.name}_{side}": {"value": axis, "timestamp": time.time()} for side in ("x", "y")}

    def describe_configuration(self) -> dict[str, Any]:
        """The positions."""
        key = {
            "source": f"SIM:{self.name}",
            "dtype": "array",
            "dtype_numpy": "<f8",
            "shape": [self.film.pixels],
            "units": "mm",
        }
        return {f"{self.name}_{side}": key for side in ("x", "y")}


class Goniometer(SimulatedMotor):
    """The vertical axis, by which the sample goes through the beam at its velocity.

    Parameters
    ----------
    passed
        Told each way that was gone: from, to (mm) and the velocity (mm/s).
    """

    def __init__(self, *args: Any, passed: Callable[[float, float, float], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passed = passed

    def set(self, value: float, **kwargs: Any) -> Status:
        """Go to `value`, and tell the way."""
        before = self.position
        status = super().set(value, **kwargs)
        if self.position != before:
            self._passed(before, self.position, self.velocity.get())
        return status


class Prescription(Device):
    """What was planned for the sample: the dose, and the dose rate that the medical physicist measured."""

    dose = Cpt(Quantity, value=400.0, units="Gy", precision=1, limits=(0.1, 2000.0))
    dose_rate = Cpt(Quantity, value=80.0, units="Gy/mA/s", precision=2, limits=(0.1, 200.0))
    speed = Cpt(Derived, compute=lambda plan: plan.speed_now(), units="mm/s", precision=3)
    """Of the goniometer, so that the sample gets the dose."""

    def __init__(self, *args: Any, current: Callable[[], float], height: Callable[[], float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._current = current
        self._height = height

    def speed_now(self) -> float:
        """mm/s: dose rate × machine current × height of the beam / dose."""
        return float(self.dose_rate.get() * self._current() * self._height() / self.dose.get())
