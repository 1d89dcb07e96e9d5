"""A simulated beamline of macromolecular crystallography, as the ESRF's ID30: a crystal on a mini-kappa.

Names are those of ESRF's metadata (omega, kappa, phi, sampx, phiy…). Numbers without a source are plausible for such a
beamline and are not measurements of the real one. The cell is that of tetragonal lysozyme, the crystallographers' test
crystal (Protein Data Bank).

``python -m devices.beamlines.id30 PATH`` writes its signals as JSON; ``profiles/id30/signals.json`` was made so.
"""

from __future__ import annotations

import math
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
from devices.optics import Attenuator, CrystalMonochromator, FocusedBeam, Slit
from devices.quantity import Derived, Quantity
from devices.samples import CrystalRecord
from devices.scenes.crystal import Crystal, Lattice, Pose, Scene, View, random_orientation, rotation, spots
from devices.scenes.materials import SILICON
from devices.sensors import BeamMonitor, Hutch
from devices.shutter import Shutter
from devices.signals import signals_command
from devices.source import StorageRing, Undulator
from devices.stages import SimulatedMotor

SHAPE = (512, 512)
"""Rows and columns of a frame."""
PIXEL = 75.0
"""μm."""
CENTRE = (19.62, 18.86)
"""Where the beam meets the detector, mm from its first pixel's corner."""
OMEGA = (-1.0, 0.0, 0.0)
"""Direction of the spindle in NeXus's coordinates, as ``profiles/id30`` has it too."""
KAPPA = (-math.cos(math.radians(24)), math.sin(math.radians(24)), 0.0)
"""Direction of the mini-kappa's axis with ω at 0: inclined by 24° against the spindle."""
PHI = (-1.0, 0.0, 0.0)
STRENGTHS = 2015
"""Seed of the strengths of the reflections, which every crystal of a protein shares."""


def screw(hkl: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Which reflections P 4₃ 2₁ 2 lets through: 00l with l = 4n, h00 and 0k0 with even indices."""
    h, k, l = np.abs(hkl).T  # noqa: E741  (Miller's indices)
    out = (h == 0) & (k == 0) & (l % 4 != 0)
    out |= (k == 0) & (l == 0) & (h % 2 != 0)
    out |= (h == 0) & (l == 0) & (k % 2 != 0)
    return ~out


LYSOZYME = Lattice((79.1, 79.1, 37.9), (90.0, 90.0, 90.0), screw)


@dataclass(frozen=True)
class Beamline:
    """The devices of a beamline, under the names by which its people call them."""

    omega: SimulatedMotor
    """The spindle, which turns during exposures, deg."""
    kappa: SimulatedMotor
    """The mini-kappa, which stands on ω, deg."""
    phi: SimulatedMotor
    """The crystal's own axis, which stands on κ, deg."""
    sampx: SimulatedMotor
    sampy: SimulatedMotor
    phix: SimulatedMotor
    phiy: SimulatedMotor
    phiz: SimulatedMotor
    det_z: SimulatedMotor
    """Sample to detector, mm."""
    detector: PhotonCounter
    """Its name is ``eiger``."""
    oscillation: Quantity
    """By how much ω turns during each frame, deg."""
    shutter: Shutter
    ring: StorageRing
    undulator: Undulator
    mono: CrystalMonochromator
    attenuator: Attenuator
    slit: Slit
    i0: BeamMonitor
    beam: FocusedBeam
    hutch: Hutch
    resolution: Derived
    corner_resolution: Derived
    record: CrystalRecord
    """What is known of the crystal; its name is ``crystal``."""
    truth: Crystal
    """What the sample is really: for comparison only."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of the sample and of the detector."""
        centring = (self.sampx, self.sampy, self.phix, self.phiy, self.phiz)
        return (self.omega, self.kappa, self.phi, *centring, self.det_z)

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
        return [
            *self.motors,
            self.oscillation,
            self.shutter,
            self.ring,
            self.undulator,
            self.mono,
            self.attenuator,
            self.slit,
            self.i0,
            self.beam,
            self.hutch,
            self.resolution,
            self.corner_resolution,
            self.record,
        ]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, *self.detectors]


def simulated_id30(
    directory: Path | str | Callable[[], Path], seed: int = 2015, clock: Callable[[], float] = time.time
) -> Beamline:
    """The beamline, ready to collect: crystal centred, shutter closed.

    Parameters
    ----------
    directory
        The detector's folder, or a function that is asked for it at each scan; nothing is written before a scan.
    seed
        The crystal's orientation and the noise come from it: the same seed and the same commands give the same frames,
        but for the decay of the machine current.
    clock
        Time for the machine current, s.
    """
    sample_seed, noise_seed, sensor_seed = np.random.SeedSequence(seed).spawn(3)

    ring = StorageRing(name="ring", clock=clock)
    mono = CrystalMonochromator(name="mono")
    foils = (0.05, 0.1, 0.2, 0.4)
    attenuator = Attenuator(name="attenuator", mono=mono, foils=foils, distance=-3.2)
    shutter = Shutter(name="shutter")
    i0 = BeamMonitor(name="i0", ring=ring, attenuators=(attenuator,))

    def motor(name: str, units: str, reach: float, position: float = 0.0) -> SimulatedMotor:
        return SimulatedMotor(name=name, units=units, limits=(-reach, reach), position=position, velocity=90.0)

    omega, kappa, phi = (
        motor("omega", "deg", 4000.0),
        motor("kappa", "deg", 270.0, 15.0),
        motor("phi", "deg", 400.0, -40.0),
    )
    sampx, sampy = motor("sampx", "mm", 2.0, 0.021), motor("sampy", "mm", 2.0, -0.034)
    phix, phiy, phiz = motor("phix", "mm", 5.0), motor("phiy", "mm", 50.0, 1.206), motor("phiz", "mm", 5.0, 0.112)
    det_z = SimulatedMotor(name="det_z", units="mm", limits=(60.0, 1000.0), position=100.0, precision=3, velocity=50.0)
    oscillation = Quantity(name="oscillation", value=0.5, units="deg", precision=4, limits=(0.001, 10.0))

    truth = Crystal(LYSOZYME, random_orientation(np.random.default_rng(sample_seed)), scattering=4.0e4)

    def view() -> View:
        setting = rotation(KAPPA, kappa.position) @ rotation(PHI, phi.position)
        return View(
            wavelength=mono.wavelength.get(),
            distance=det_z.position,
            centre=(detector.beam_center_x.get(), detector.beam_center_y.get()),
            pixel=PIXEL * 1e-3,
            shape=SHAPE,
            sensor=(detector.sensor_thickness.get() * 1e-3, SILICON.absorption(mono.energy.get())),
            axis=OMEGA,
            setting=tuple(map(tuple, setting.tolist())),
        )

    def pose() -> Pose:
        return Pose(view(), omega.position, oscillation.get(), i0.relative() if shutter.is_open else 0.0)

    scene = Scene([truth], pose, np.random.default_rng(noise_seed), strengths=STRENGTHS)
    detector = PhotonCounter(name="eiger", directory=directory, image=scene, shape=SHAPE, pixel=PIXEL, centre=CENTRE)
    return Beamline(
        omega=omega,
        kappa=kappa,
        phi=phi,
        sampx=sampx,
        sampy=sampy,
        phix=phix,
        phiy=phiy,
        phiz=phiz,
        det_z=det_z,
        detector=detector,
        oscillation=oscillation,
        shutter=shutter,
        ring=ring,
        undulator=Undulator(name="u35", label="U35", gap=14.2, period=35.0),
        mono=mono,
        attenuator=attenuator,
        slit=Slit(name="slit", vertical=0.05, horizontal=0.05),
        i0=i0,
        beam=FocusedBeam(name="beam", width=0.05, height=0.03),
        hutch=Hutch(name="hutch", rng=np.random.default_rng(sensor_seed)),
        resolution=Derived(name="resolution", compute=lambda _: view().resolution(), units="angstrom", precision=3),
        corner_resolution=Derived(
            name="corner_resolution", compute=lambda _: view().resolution(corner=True), units="angstrom", precision=3
        ),
        record=_record(truth, view(), (kappa.position, phi.position)),
        truth=truth,
    )


def _record(crystal: Crystal, view: View, standing: tuple[float, float]) -> CrystalRecord:
    """What a characterisation would have found: the lattice, the matrices and three strong reflections."""
    seen = spots(crystal, view, STRENGTHS)
    strong = np.argsort(seen.photons)[::-1]
    best = [int(strong[0])]
    for i in strong:
        # Three that do not lie in one plane, so that they make a matrix.
        if np.linalg.matrix_rank(seen.hkl[[*best, i]]) > len(best):
            best.append(int(i))
        if len(best) == 3:
            break
    angles = np.column_stack([seen.omega[best], *(np.full(3, angle) for angle in standing)])
    lattice = crystal.lattice
    return CrystalRecord(
        name="crystal",
        cell=(*lattice.lengths, *lattice.angles),
        volume=1 / float(np.linalg.det(lattice.b_matrix())),
        orientation=crystal.orientation,
        ub=crystal.ub,
        space_group="P 43 21 2",
        crystal_system="tetragonal",
        reflections=seen.hkl[best].astype(float),
        angles=angles,
    )


main = partial(signals_command, "id30", simulated_id30)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
