"""A simulated beamline of materials science, as the ESRF's ID11: a piece of iron of a few grains, a far-field detector.

Names are plausible for such a beamline (diffrz, samtx, ffdtx1), and so are numbers without a source; they are not
measurements of the real one.

``python -m devices.beamlines.id11 PATH`` writes its signals as JSON; ``profiles/id11/signals.json`` was made so.
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
from numpy.typing import NDArray

from devices.detectors import PhotonCounter
from devices.optics import CrystalMonochromator, FocusedBeam
from devices.quantity import Derived, Quantity
from devices.scenes.crystal import Crystal, Lattice, Pose, Scene, View, random_orientation
from devices.sensors import Hutch
from devices.shutter import Shutter
from devices.signals import signals_command
from devices.source import StorageRing, Undulator
from devices.stages import SimulatedMotor

SHAPE = (512, 512)
"""Rows and columns of a frame."""
PIXEL = 200.0
"""μm, binning included."""
CENTRE = (51.4, 50.9)
"""Where the beam meets the detector, mm from its first pixel's corner."""
DIFFRZ = (0.0, 1.0, 0.0)
"""Direction of the rotation, in NeXus's coordinates: upwards."""
GRAINS = 6


def body_centred(hkl: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Which reflections a body-centred lattice lets through: h + k + l even."""
    return np.asarray(hkl.sum(axis=1) % 2 == 0)


IRON = Lattice((2.8665, 2.8665, 2.8665), (90.0, 90.0, 90.0), body_centred)
"""Ferrite at room temperature."""


@dataclass(frozen=True)
class Beamline:
    """The devices of a beamline, under the names by which its plans call them."""

    omega: SimulatedMotor
    """The rotation of the sample, deg; its name is ``diffrz``."""
    translations: tuple[SimulatedMotor, ...]
    """``samtx`` along the beam, ``samty`` across it, ``samtz`` up, on the rotation, mm."""
    distance: SimulatedMotor
    """Sample to far-field detector, mm; its name is ``ffdtx1``."""
    detector: PhotonCounter
    """Its name is ``eiger``."""
    oscillation: Quantity
    """By how much the sample turns during each frame, deg."""
    shutter: Shutter
    ring: StorageRing
    undulator: Undulator
    mono: CrystalMonochromator
    beam: FocusedBeam
    hutch: Hutch
    resolution: Derived
    truth: tuple[Crystal, ...]
    """The grains, as they really are: for comparison only."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of the sample and of the detector."""
        return (self.omega, *self.translations, self.distance)

    @property
    def detectors(self) -> list[Any]:
        """What takes data during a scan."""
        return [self.detector]

    @property
    def files(self) -> list[Path]:
        """What the detector has written so far."""
        return list(self.detector.files)

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""
        optics = [self.shutter, self.ring, self.undulator, self.mono, self.beam]
        return [*self.motors, self.oscillation, *optics, self.hutch, self.resolution]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, *self.detectors]


def simulated_id11(
    directory: Path | str | Callable[[], Path], seed: int = 2015, clock: Callable[[], float] = time.time
) -> Beamline:
    """The beamline, ready to scan: sample in the beam, shutter closed.

    Parameters
    ----------
    directory
        The detector's folder, or a function that is asked for it at each scan; nothing is written before a scan.
    seed
        The grains and the noise come from it: the same seed and the same commands give the same frames, but for the
        decay of the machine current.
    clock
        Time for the machine current, s.
    """
    sample_seed, noise_seed, sensor_seed = np.random.SeedSequence(seed).spawn(3)

    ring = StorageRing(name="ring", clock=clock)
    mono = CrystalMonochromator(name="mono")
    mono.energy.put(60000.0)
    shutter = Shutter(name="shutter")
    omega = SimulatedMotor(name="diffrz", units="deg", limits=(-400.0, 400.0), velocity=90.0)
    translations = tuple(
        SimulatedMotor(name=name, units="mm", limits=(-10.0, 10.0), precision=5) for name in ("samtx", "samty", "samtz")
    )
    distance = SimulatedMotor(
        name="ffdtx1", units="mm", limits=(120.0, 2000.0), position=200.0, precision=3, velocity=50.0
    )
    oscillation = Quantity(name="oscillation", value=1.0, units="deg", precision=4, limits=(0.001, 10.0))
    grains = _grains(np.random.default_rng(sample_seed))

    def view() -> View:
        return View(
            wavelength=mono.wavelength.get(),
            distance=distance.position,
            centre=(detector.beam_center_x.get(), detector.beam_center_y.get()),
            pixel=PIXEL * 1e-3,
            shape=SHAPE,
            axis=DIFFRZ,
        )

    def pose() -> Pose:
        beam = ring.current_now() / 200.0 if shutter.is_open else 0.0
        return Pose(view(), omega.position, oscillation.get(), beam)

    scene = Scene(grains, pose, np.random.default_rng(noise_seed), background=40.0, stop=3.0)
    detector = PhotonCounter(name="eiger", directory=directory, image=scene, shape=SHAPE, pixel=PIXEL, centre=CENTRE)
    detector.sensor_material.put("CdTe", force=True)
    detector.sensor_thickness.put(750.0, force=True)
    detector.threshold_energy.put(30000.0)
    return Beamline(
        omega=omega,
        translations=translations,
        distance=distance,
        detector=detector,
        oscillation=oscillation,
        shutter=shutter,
        ring=ring,
        undulator=Undulator(name="u22", label="U22", gap=12.4, period=22.0),
        mono=mono,
        beam=FocusedBeam(name="beam", width=1.2, height=1.2),
        hutch=Hutch(name="hutch", rng=np.random.default_rng(sensor_seed)),
        resolution=Derived(name="resolution", compute=lambda _: view().resolution(), units="angstrom", precision=3),
        truth=grains,
    )


def _grains(rng: np.random.Generator) -> tuple[Crystal, ...]:
    """Grains of different size, all over a sample of half a millimetre."""
    return tuple(
        Crystal(
            IRON,
            random_orientation(rng),
            position=tuple(rng.uniform((-0.45, -0.3, -0.45), (0.45, 0.3, 0.45)).tolist()),
            scattering=float(rng.uniform(1.5e4, 4e4)),
            mosaicity=0.12,
            b_factor=0.4,
        )
        for _ in range(GRAINS)
    )


main = partial(signals_command, "id11", simulated_id11)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
