"""A simulated beamline for microbeam radiation therapy, modelled on the ESRF's ID17.

Names follow the talk's slide "Microbeam Radiation Therapy". Numbers without a source are plausible for such a beamline
and are not measurements of the real one; nothing here is fit to plan a treatment.

``python -m devices.beamlines.id17 PATH`` writes its signals as JSON; ``profiles/id17/signals.json`` was made so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from devices.quantity import Quantity
from devices.radiotherapy import Goniometer, IonChambers, MultislitCollimator, Prescription, RadiochromicFilm
from devices.scenes.microbeams import Film
from devices.sensors import Hutch
from devices.shutter import Shutter
from devices.signals import signals_command
from devices.source import StorageRing, Undulator
from devices.stages import SimulatedMotor


@dataclass(frozen=True)
class Beamline:
    """The devices of the beamline, under the names by which its people call them."""

    gonioz: Goniometer
    """Sample up, mm: the irradiation goes along it."""
    gonioy: SimulatedMotor
    """Sample across the beam, mm: microbeams are laid between microbeams by it."""
    gonior: SimulatedMotor
    """Rotation of the sample about the vertical, deg: for crossfiring."""
    shutter: Shutter
    """The fast shutter."""
    ring: StorageRing
    wiggler: Undulator
    collimator: MultislitCollimator
    chambers: IonChambers
    prescription: Prescription
    film: RadiochromicFilm
    hutch: Hutch
    cross: Quantity
    """Number of the direction from which the sample is irradiated, from 1 on; 0 before the first."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of the sample."""
        return (self.gonioz, self.gonioy, self.gonior)

    @property
    def files(self) -> list[Path]:
        """No detector here writes files."""
        return []

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after an irradiation."""
        return [*self.motors, self.shutter, self.ring, self.wiggler, self.collimator, self.prescription, self.hutch]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, self.chambers, self.film, self.cross]


def simulated_id17(
    directory: Path | str | Callable[[], Path] = "", seed: int = 2015, clock: Callable[[], float] = time.time
) -> Beamline:
    """The beamline, ready to irradiate: sample below the beam, shutter closed.

    Parameters
    ----------
    directory
        Not used: no detector of this beamline writes files.
    seed
        Of the hutch's air; the dose has no noise.
    clock
        Time for the machine current, s.
    """
    del directory
    ring = StorageRing(name="ring", clock=clock)
    collimator = MultislitCollimator(name="collimator")
    chambers = IonChambers(name="chambers")
    film = RadiochromicFilm(name="film", film=Film())
    shutter = Shutter(name="shutter")

    def height() -> float:
        return float(collimator.beam_height.get() * 1e-3)

    prescription = Prescription(name="prescription", current=ring.current_now, height=height)
    gonioy = SimulatedMotor(name="gonioy", units="mm", limits=(-20.0, 20.0), precision=4)
    gonior = SimulatedMotor(name="gonior", units="deg", limits=(-180.0, 180.0), precision=3)

    def passed(start: float, stop: float, velocity: float) -> None:
        if not shutter.is_open:
            return
        chambers.count(abs(stop - start) / velocity, ring.current_now())
        low, high = sorted((start, stop))
        inside = max(0.0, min(high, height() / 2) - max(low, -height() / 2))
        if inside:
            dose = prescription.dose_rate.get() * ring.current_now() * inside / velocity
            film.film.expose(collimator.collimator(), dose, gonioy.position, gonior.position)

    gonioz = Goniometer(name="gonioz", units="mm", limits=(-50.0, 50.0), position=-10.0, precision=4, passed=passed)
    return Beamline(
        gonioz=gonioz,
        gonioy=gonioy,
        gonior=gonior,
        shutter=shutter,
        ring=ring,
        wiggler=Undulator(name="wiggler", label="W150", gap=24.8, period=150.0),
        collimator=collimator,
        chambers=chambers,
        prescription=prescription,
        film=film,
        hutch=Hutch(name="hutch", rng=np.random.default_rng(seed)),
        cross=Quantity(name="cross", value=0, limits=(0, 100)),
    )


main = partial(signals_command, "id17", simulated_id17)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
