"""A simulated powder diffraction beamline, modelled on the ESRF's ID22.

A capillary of lanthanum hexaboride spins in the beam; a detector behind a crystal analyser goes round it on a vertical
circle. Numbers without a source are plausible for such a beamline and are not measurements of the real one.

``python -m devices.beamlines.id22 PATH`` writes its signals as JSON; ``profiles/id22/signals.json`` was made so.
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
from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.frontend import WithFrontEnd, front_end
from devices.optics import SILICON_111
from devices.quantity import Quantity
from devices.scenes.powder import LanthanumHexaboride, Pattern
from devices.sensors import Counter
from devices.signals import signals_command
from devices.stages import SimulatedMotor

PEAK = 4.0e-7
"""Counts at the top of the strongest line, for each photon that falls on the capillary."""


class Analyser(Counter):
    """One channel of the analyser stage: a crystal that passes what the sample diffracts at its angle; a counter."""

    crystal = Cpt(Quantity, value="Si", writable=False, kind=Kind.config)
    reflection = Cpt(Quantity, value="1 1 1", writable=False, kind=Kind.config)
    d_spacing = Cpt(Quantity, value=SILICON_111, units="angstrom", precision=6, writable=False, kind=Kind.config)
    distance = Cpt(Quantity, value=950.0, units="mm", precision=1, writable=False, kind=Kind.config)
    """From the sample by way of the crystal."""
    threshold = Cpt(Quantity, value=15_500.0, units="eV", precision=0, limits=(4_000.0, 60_000.0), kind=Kind.config)
    sensor = Cpt(Quantity, value="LaCl3:Ce", writable=False, kind=Kind.config)


class Capillary(Device):
    """A glass capillary on a spinner, in a stream of gas."""

    diameter = Cpt(Quantity, value=0.5, units="mm", precision=2, writable=False, kind=Kind.config)
    spin = Cpt(Quantity, value=920.0, units="rpm", precision=0, limits=(0.0, 3000.0))
    temperature = Cpt(Quantity, value=295.65, units="K", precision=2, limits=(80.0, 1300.0))


@dataclass(frozen=True)
class Beamline(WithFrontEnd):
    """The devices of a beamline, under the names by which its people call them."""

    tth: SimulatedMotor
    """The detector arm, deg."""
    omega: SimulatedMotor
    """Rotation of the sample, deg."""
    sx: SimulatedMotor
    """Sample across the beam, mm."""
    sz: SimulatedMotor
    """Sample up, mm."""
    capillary: Capillary
    analyser: Analyser
    """The counter; its name is ``ma``, the multi-analyser stage of which it is one channel."""
    powder: LanthanumHexaboride
    """What the sample is made of: the truth, for comparison only."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of sample and detector."""
        return (self.tth, self.omega, self.sx, self.sz)

    @property
    def files(self) -> list[Path]:
        """What the detectors have written so far: nothing, counts are in the events."""
        return []

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""
        return [*self.motors, *self.front.baseline, self.capillary]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, self.analyser, self.front.monitor]


def simulated_id22(
    directory: Path | str | Callable[[], Path] = "", seed: int = 2015, clock: Callable[[], float] = time.time
) -> Beamline:
    """The beamline, ready to scan: capillary in the beam, shutter closed.

    Parameters
    ----------
    directory
        Not used: no detector of this beamline writes files.
    seed
        The noise comes from it: the same seed and the same commands give the same counts, but for the decay of the
        machine current.
    clock
        Time for the machine current, s.
    """
    noise_seed, sensor_seed = np.random.SeedSequence(seed).spawn(2)
    front = front_end(
        energy=31_000.0,
        undulator=("U26", 11.0, 26.0),
        flux=2.0e12,
        beam=(1.0, 1.5),
        foils=(1.0, 2.0, 4.0),
        attenuator_distance=-24.0,
        clock=clock,
        rng=np.random.default_rng(sensor_seed),
    )
    tth = SimulatedMotor(name="tth", units="deg", limits=(-20.0, 120.0), precision=5, velocity=10.0)
    powder = LanthanumHexaboride()
    patterns: dict[float, Pattern] = {}

    def rate() -> float:
        wavelength = front.mono.wavelength.get()
        if wavelength not in patterns:
            patterns.clear()
            patterns[wavelength] = Pattern(powder, wavelength)
        pattern, angle = patterns[wavelength], tth.position
        return PEAK * front.photons() * (pattern.at(angle) + pattern.background(angle))

    analyser = Analyser(name="ma", rate=rate, rng=np.random.default_rng(noise_seed))
    analyser.exposure_time.put(0.5)
    return Beamline(
        front=front,
        tth=tth,
        omega=SimulatedMotor(name="omega", units="deg", limits=(-180.0, 180.0), precision=4, velocity=10.0),
        sx=SimulatedMotor(name="sx", units="mm", limits=(-20.0, 20.0), precision=4, velocity=5.0),
        sz=SimulatedMotor(name="sz", units="mm", limits=(-20.0, 20.0), precision=4, velocity=5.0),
        capillary=Capillary(name="capillary"),
        analyser=analyser,
        powder=powder,
    )


main = partial(signals_command, "id22", simulated_id22)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
