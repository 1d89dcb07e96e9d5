"""A simulated nano-tomography beamline, modelled on the ESRF's ID16A as the talk shows it.

Layout, axes and names follow the talk (srot, sx, sy, sz, imgl1x…, frelon). Numbers without a source are plausible for
such a beamline and are not measurements of the real one.

``python -m devices.beamlines.id16a PATH`` writes its signals as JSON; ``profiles/id16a/signals.json`` was made so.
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

from devices.detectors import FrameCamera
from devices.optics import Attenuator, Geometry, KirkpatrickBaez, Multilayer, ScintillatorOptics, Slit
from devices.quantity import Derived, Quantity
from devices.scenes.holography import HologramScene, aluminium_in_carbon
from devices.scenes.phantom import GRID, gold_in_iron
from devices.scenes.pinhole import DivergentBeam, Foil, PinholeScene
from devices.scenes.tomography import Pose, Scene
from devices.sensors import BeamMonitor, Counter, Hutch, IonisationChamber, VacuumGauge
from devices.shutter import Shutter
from devices.signals import signals_command
from devices.source import StorageRing, Undulator
from devices.stages import SimulatedMotor

SHAPE = (GRID, GRID)
"""Rows and columns of a frame."""
SX = 20.0
"""Where sx stands, mm behind the focus: magnification 60, pixels of 50 nm."""


@dataclass(frozen=True)
class Surroundings:
    """What a scene is made for: given to the function that makes it, before anything has moved."""

    seed: int
    """For the sample itself."""
    pose: Callable[[], Pose]
    """Where the sample stands, to be asked for every frame."""
    rng: np.random.Generator
    """For the noise."""
    pixel: float
    """Size of a pixel at the sample, mm."""
    energy: float
    """eV."""
    divergence: tuple[float, float]
    """Of the beam behind the focus, horizontally and vertically, mrad."""


def grain(around: Surroundings) -> Scene:
    """A grain of iron and gold, as absorption tomography sees it."""
    return Scene(gold_in_iron(around.seed, GRID * around.pixel, around.energy), around.pose, around.rng, SHAPE)


def pinhole(around: Surroundings) -> PinholeScene:
    """A hole of 10 μm in a foil, to map the beam with."""
    beam = DivergentBeam(*around.divergence)
    return PinholeScene(Foil(radius=0.005), beam, around.pose, around.rng, SHAPE)


def light_grain(around: Surroundings) -> HologramScene:
    """A grain of carbon and aluminium of 9 μm, as holography sees it."""
    return HologramScene(
        aluminium_in_carbon(around.seed, 0.0106, around.energy), around.energy, around.pose, around.rng, SHAPE
    )


@dataclass(frozen=True)
class Beamline:
    """The devices of a beamline, under the names by which its people call them."""

    srot: SimulatedMotor
    """Rotation of the sample, deg."""
    sx: SimulatedMotor
    """Sample along the beam, mm from the focus."""
    sy: SimulatedMotor
    """Sample across the beam, mm."""
    sz: SimulatedMotor
    """Sample up, mm."""
    camera: FrameCamera
    """The camera; its name is ``frelon``."""
    shutter: Shutter
    image_key: Quantity
    """What the next frame is, in NXtomo's numbers: 0 projection, 1 flat, 2 dark."""
    count_time: Derived
    """How long a frame is exposed, s: to be read with each, as the camera's own setting is its configuration."""
    ring: StorageRing
    undulators: tuple[Undulator, ...]
    mono: Multilayer
    attenuators: tuple[Attenuator, ...]
    primary_slit: Slit
    secondary_slit: Slit
    kb: KirkpatrickBaez
    optics: ScintillatorOptics
    second_optics: ScintillatorOptics
    """Parked beside the beam, and seen by the control system only."""
    geometry: Geometry
    vacuum: VacuumGauge
    hutch: Hutch
    i0: BeamMonitor
    ion_chamber: IonisationChamber
    """The current of the same chamber as ``ic``."""
    ic: Counter
    """Ionisation chamber before the shutter."""
    it: Counter
    """Diode behind the sample."""
    phantom: Any
    """What the sample is made of: the truth, for comparison only."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of the sample."""
        return (self.srot, self.sx, self.sy, self.sz)

    @property
    def detectors(self) -> list[Any]:
        """What takes data during a scan."""
        return [self.camera, self.ic, self.it]

    @property
    def files(self) -> list[Path]:
        """What the detectors have written so far."""
        return list(self.camera.files)

    @property
    def tango(self) -> dict[str, Any]:
        """Address of each attribute that the talk's screen of ID16A's metadata shows → the signal behind it.

        The screen has the gap of the undulators under one address, twice; here each has its own.
        """
        ni, fe = "nano:20000/id16ni", "orion:10000/fe/id/16"
        return {
            f"{ni}/spec/zaptomo/TOMO_EXPTIME": self.camera.exposure_time,
            f"{ni}/emotion_flexdc/srot/position": self.srot.readback,
            f"{ni}/emotion_pmd206_1/sx/position": self.sx.readback,
            f"{ni}/emotion_pmd206_2/sx/position": self.sy.readback,
            f"{ni}/hpzdrift/hpz_tz/DriftCorrection": self.hutch.drift,
            f"{ni}/ImagePixelSize/frelon1/pixelWidth": self.geometry.pixel_size,
            f"{ni}/v-pen/111/pressure": self.vacuum.pressure,
            f"{ni}/motor/imgl1x/position": self.optics.x,
            f"{ni}/motor/imgl1y/position": self.optics.y,
            f"{ni}/motor/imgl2x/position": self.second_optics.x,
            f"{ni}/motor/imgl2y/position": self.second_optics.y,
            f"{ni}/energy/multilayer/positionId": self.mono.position_id,
            f"{fe}/SR_Current": self.ring.shown,
            f"{fe}/SR_Filling_Mode": self.ring.filling_mode,
            f"{fe}/SR_Gap_Position": self.undulators[0].gap,
            f"{fe}/SR_Gap_Position_2": self.undulators[1].gap,
        }

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""
        return [
            *self.motors,
            self.shutter,
            self.ring,
            *self.undulators,
            self.mono,
            *self.attenuators,
            self.primary_slit,
            self.secondary_slit,
            self.kb,
            self.optics,
            self.geometry,
            self.vacuum,
            self.hutch,
            self.i0,
            self.ion_chamber,
        ]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, self.image_key, self.count_time, *self.detectors]


def simulated_id16a(
    directory: Path | str | Callable[[], Path],
    seed: int = 2015,
    clock: Callable[[], float] = time.time,
    sample: Callable[[Surroundings], Scene] = grain,
) -> Beamline:
    """The beamline, ready to scan: sample in the beam, shutter closed.

    Parameters
    ----------
    directory
        The camera's folder, or a function that is asked for it at each scan; nothing is written before a scan.
    seed
        Sample, flat field and noise come from it: the same seed and the same commands give the same frames, but for
        the decay of the machine current.
    clock
        Time for the machine current, s.
    sample
        Makes what camera and diode see.
    """
    sample_seed, noise_seed, sensor_seed, counter_seed = np.random.SeedSequence(seed).spawn(4)
    sensors = np.random.default_rng(sensor_seed)

    ring = StorageRing(name="ring", clock=clock)
    undulators = (
        Undulator(name="u18", label="U18.3", gap=11.5, period=18.3),
        Undulator(name="u22", label="U22.4", gap=16.2, period=22.4),
    )
    mono = Multilayer(name="mono")
    attenuators = tuple(
        Attenuator(name=f"attenuator{n}", mono=mono, foils=foils, distance=distance)
        for n, foils, distance in (
            (1, (0.1, 0.2, 0.4, 0.8), -158.4),
            (2, (0.5, 1.0, 2.0, 4.0), -158.3),
            (3, (0.025, 0.05, 0.075), -2.1),
        )
    )
    primary_slit = Slit(name="primary_slit", vertical=1.2, horizontal=1.6)
    secondary_slit = Slit(name="secondary_slit", vertical=0.4, horizontal=0.05)
    kb = KirkpatrickBaez(name="kb")
    optics = ScintillatorOptics(name="optics")
    shutter = Shutter(name="shutter")
    image_key = Quantity(name="image_key", value=0, limits=(0, 3))
    i0 = BeamMonitor(name="i0", ring=ring, attenuators=attenuators)

    srot = SimulatedMotor(name="srot", units="deg", limits=(-400.0, 400.0), precision=4, velocity=180.0)
    sx = SimulatedMotor(name="sx", units="mm", limits=(5.0, 200.0), position=SX, precision=5, velocity=2.0)
    sy = SimulatedMotor(name="sy", units="mm", limits=(-2.0, 2.0), precision=6, velocity=1.0)
    sz = SimulatedMotor(name="sz", units="mm", limits=(-2.0, 2.0), precision=6, velocity=1.0)
    physical_pixel = 24.0
    geometry = Geometry(name="geometry", sx=sx, optics=optics, physical_pixel=physical_pixel)

    def pose() -> Pose:
        return Pose(
            angle=srot.position,
            across=sy.position,
            up=sz.position,
            pixel=geometry.pixel_size.get() * 1e-3,
            beam=i0.relative() if shutter.is_open else 0.0,
            along=geometry.source_sample_distance.get(),
            propagation=geometry.propagation_distance.get(),
        )

    scene = sample(
        Surroundings(
            seed=int(sample_seed.generate_state(1)[0]),
            pose=pose,
            rng=np.random.default_rng(noise_seed),
            pixel=geometry.pixel_size.get() * 1e-3,
            energy=mono.energy.get(),
            divergence=(kb.divergence_horizontal.get(), kb.divergence_vertical.get()),
        )
    )
    counting = np.random.default_rng(counter_seed)
    ic = Counter(name="ic", rate=i0.flux_now, rng=counting)
    it = Counter(name="it", rate=lambda: i0.flux_now() * scene.share() if shutter.is_open else 0.0, rng=counting)
    camera = FrameCamera(name="frelon", directory=directory, image=scene, shape=SHAPE, pixel=physical_pixel)
    count_time = Derived(name="count_time", compute=lambda _: camera.exposure_time.get(), units="s", precision=4)
    return Beamline(
        srot=srot,
        sx=sx,
        sy=sy,
        sz=sz,
        camera=camera,
        shutter=shutter,
        image_key=image_key,
        count_time=count_time,
        ring=ring,
        undulators=undulators,
        mono=mono,
        attenuators=attenuators,
        primary_slit=primary_slit,
        secondary_slit=secondary_slit,
        kb=kb,
        optics=optics,
        second_optics=ScintillatorOptics(name="second_optics"),
        geometry=geometry,
        vacuum=VacuumGauge(name="vacuum", pressure=2.4e-7, rng=sensors),
        hutch=Hutch(name="hutch", rng=sensors),
        i0=i0,
        ion_chamber=IonisationChamber(name="ion_chamber", flux=i0.flux_now, mono=mono),
        ic=ic,
        it=it,
        phantom=scene.phantom,
    )


main = partial(signals_command, "id16a", simulated_id16a)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
