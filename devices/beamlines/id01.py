"""A simulated beamline of full-field diffraction microscopy, modelled on the ESRF's ID01.

A crystal stands in the beam at its Bragg angle; a lens of beryllium behind it makes a picture of the reflected beam on
a camera far away. Numbers without a source are plausible for such a beamline, not measurements of the real one.

``python -m devices.beamlines.id01 PATH`` writes its signals as JSON; ``profiles/id01/signals.json`` was made so.
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
from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.detectors import FrameCamera
from devices.frontend import WithFrontEnd, front_end
from devices.quantity import Derived, Quantity
from devices.scenes.mosaic import Look, Mosaic, MosaicScene, mosaic
from devices.sensors import VacuumGauge
from devices.signals import signals_command
from devices.stages import SimulatedMotor

SHAPE = (128, 128)
"""Rows and columns of a frame."""
PIXEL = 6.5
"""μm."""
LITHIUM_FLUORIDE = 4.0270
"""Lattice parameter of lithium fluoride, Å at 26 °C (Swanson and Tatge, NBS Circular 539 I, 1953, page 61)."""
ORDER = 2
"""The reflection is 0 0 2."""


class AndorCamera(FrameCamera):
    """A camera with a CMOS sensor behind a scintillator and a microscope."""

    model = Cpt(Quantity, value="Zyla 5.5", writable=False, kind=Kind.config)
    manufacturer = Cpt(Quantity, value="Andor", writable=False, kind=Kind.config)
    temperature = Cpt(Quantity, value=0.0, units="degC", precision=1, writable=False, kind=Kind.config)
    readout_time = Cpt(Quantity, value=0.01, units="s", precision=4, writable=False, kind=Kind.config)
    sensor = Cpt(Quantity, value="LuAG:Ce", writable=False, kind=Kind.config)
    sensor_thickness = Cpt(Quantity, value=10.0, units="um", precision=1, writable=False, kind=Kind.config)
    frame_start_number = Cpt(Quantity, value=0, writable=False, kind=Kind.config)
    beam_center_x = Cpt(Derived, compute=lambda c: c.shape[1] * c.pixel / 2, units="um", precision=2, kind=Kind.config)
    beam_center_y = Cpt(Derived, compute=lambda c: c.shape[0] * c.pixel / 2, units="um", precision=2, kind=Kind.config)
    """Where the reflected beam meets it, from the outer corner of the first pixel."""


class CompoundLens(Device):
    """Parabolic lenses of beryllium in a row, which make a magnified picture of the crystal.

    Parameters
    ----------
    mono
        Whose energy the lenses are used at.
    """

    number = Cpt(Quantity, value=45, writable=False, kind=Kind.config)
    radius = Cpt(Quantity, value=50.0, units="um", precision=1, writable=False, kind=Kind.config)
    """Of the parabola at its vertex."""
    aperture = Cpt(Quantity, value=430.0, units="um", precision=1, writable=False, kind=Kind.config)
    thickness = Cpt(Quantity, value=1.0, units="mm", precision=2, writable=False, kind=Kind.config)
    """Of one lens, at its rim."""
    length = Cpt(
        Derived,
        compute=lambda lens: lens.number.get() * lens.thickness.get(),
        units="mm",
        precision=1,
        kind=Kind.config,
    )
    material = Cpt(Quantity, value="Be", writable=False, kind=Kind.config)
    transmission = Cpt(Quantity, value=0.45, precision=2, writable=False, kind=Kind.config)
    x = Cpt(Quantity, value=0.0, units="mm", precision=4, limits=(-5.0, 5.0))
    y = Cpt(Quantity, value=0.0, units="mm", precision=4, limits=(-5.0, 5.0))
    focal_length = Cpt(Derived, compute=lambda lens: lens.focal_length_now(), units="mm", precision=2)
    object_distance = Cpt(Derived, compute=lambda lens: lens.object_distance_now(), units="mm", precision=2)
    """From the crystal to the lens, where the picture is sharp."""
    image_distance = Cpt(Quantity, value=6500.0, units="mm", precision=1, limits=(1000.0, 7000.0))
    """From the lens to the camera."""
    magnification = Cpt(
        Derived, compute=lambda lens: lens.image_distance.get() / lens.object_distance_now(), precision=2
    )

    def __init__(self, *args: Any, mono: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._mono = mono

    def focal_length_now(self) -> float:
        """R / (2 N δ), mm, with beryllium's δ of 3.41e-6 at 10 keV, which goes by the wavelength squared."""
        decrement = 3.41e-6 * (10_000.0 / self._mono.energy.get()) ** 2
        return float(self.radius.get()) * 1e-3 / (2 * int(self.number.get()) * decrement)

    def object_distance_now(self) -> float:
        """mm, by the equation of thin lenses."""
        focal, image = self.focal_length_now(), float(self.image_distance.get())
        return focal * image / (image - focal)


class Geometry(Device):
    """Where the camera stands, and what a pixel is on the crystal."""

    detector_distance = Cpt(
        Derived,
        compute=lambda g: g.lens.object_distance_now() + g.lens.image_distance.get(),
        units="mm",
        precision=1,
    )
    pixel_across = Cpt(
        Derived, compute=lambda g: PIXEL / g.lens.magnification.get(), units="um", precision=4, kind=Kind.hinted
    )
    pixel_along = Cpt(
        Derived,
        compute=lambda g: PIXEL / g.lens.magnification.get() / math.sin(math.radians(g.exit_angle())),
        units="um",
        precision=4,
    )
    """In the plane of diffraction the surface is seen under the angle at which the beam leaves it."""

    def __init__(self, *args: Any, lens: CompoundLens, exit_angle: Callable[[], float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lens = lens
        self.exit_angle = exit_angle


class CrystalSample(Device):
    """What is known of the crystal: a cubic one whose axis c is at right angles to its surface."""

    unit_cell = Cpt(Quantity, value=np.array([LITHIUM_FLUORIDE] * 3 + [90.0] * 3), writable=False, kind=Kind.config)
    """a, b, c in Å, α, β, γ in deg."""
    orientation_matrix = Cpt(Quantity, value=np.eye(3), writable=False, kind=Kind.config)
    """U of Busing and Levy (1967), with all axes at 0."""
    reflection = Cpt(Quantity, value=f"0 0 {ORDER}", writable=False, kind=Kind.config)
    temperature = Cpt(Quantity, value=295.2, units="K", precision=2, writable=False)
    distance = Cpt(Quantity, value=0.0, units="mm", precision=3, writable=False, kind=Kind.config)
    """From the centre of rotation."""


@dataclass(frozen=True)
class Beamline(WithFrontEnd):
    """The devices of a beamline, under the names by which its people call them."""

    eta: SimulatedMotor
    """Angle of incidence, deg."""
    phi: SimulatedMotor
    """Rotation about the crystal's normal, deg."""
    delta: SimulatedMotor
    """The detector arm, deg."""
    thx: SimulatedMotor
    """Crystal along the beam, mm."""
    thy: SimulatedMotor
    """Crystal across the beam, mm."""
    camera: FrameCamera
    """The camera; its name is ``andor``."""
    lens: CompoundLens
    geometry: Geometry
    crystal: CrystalSample
    vacuum: VacuumGauge
    mosaic: Mosaic
    """What the crystal is like: the truth, for comparison only."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of sample and detector."""
        return (self.eta, self.phi, self.delta, self.thx, self.thy)

    @property
    def files(self) -> list[Path]:
        """What the detectors have written so far."""
        return list(self.camera.files)

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""
        return [*self.motors, *self.front.baseline, self.lens, self.geometry, self.crystal, self.vacuum]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, self.camera, self.front.monitor]


def simulated_id01(
    directory: Path | str | Callable[[], Path], seed: int = 2015, clock: Callable[[], float] = time.time
) -> Beamline:
    """The beamline, ready to scan: crystal and detector at their Bragg angles, shutter closed.

    Parameters
    ----------
    directory
        The camera's folder, or a function that is asked for it at each scan; nothing is written before a scan.
    seed
        Crystal and noise come from it: the same seed and the same commands give the same frames, but for the decay of
        the machine current.
    clock
        Time for the machine current, s.
    """
    sample_seed, noise_seed, sensor_seed = np.random.SeedSequence(seed).spawn(3)
    sensors = np.random.default_rng(sensor_seed)
    front = front_end(
        energy=10_000.0,
        undulator=("U27", 12.9, 27.0),
        flux=3.0e8,
        beam=(0.06, 0.06),
        foils=(0.05, 0.1, 0.2, 0.4),
        attenuator_distance=-3.2,
        clock=clock,
        rng=sensors,
    )

    def bragg() -> float:
        spacing = LITHIUM_FLUORIDE / ORDER
        return math.degrees(math.asin(front.mono.wavelength.get() / (2 * spacing)))

    eta = SimulatedMotor(name="eta", units="deg", limits=(-2.0, 90.0), position=bragg(), precision=5, velocity=1.0)
    delta = SimulatedMotor(
        name="delta", units="deg", limits=(-2.0, 130.0), position=2 * bragg(), precision=4, velocity=1.0
    )
    lens = CompoundLens(name="lens", mono=front.mono)
    crystal = mosaic(int(sample_seed.generate_state(1)[0]), SHAPE)

    def look() -> Look:
        return Look(offset=eta.position - bragg(), photons=front.photons())

    scene = MosaicScene(crystal, look, lens.transmission.get(), np.random.default_rng(noise_seed))
    return Beamline(
        front=front,
        eta=eta,
        phi=SimulatedMotor(name="phi", units="deg", limits=(-180.0, 180.0), precision=4, velocity=5.0),
        delta=delta,
        thx=SimulatedMotor(name="thx", units="mm", limits=(-10.0, 10.0), precision=4, velocity=1.0),
        thy=SimulatedMotor(name="thy", units="mm", limits=(-10.0, 10.0), precision=4, velocity=1.0),
        camera=AndorCamera(name="andor", directory=directory, image=scene, shape=SHAPE, pixel=PIXEL),
        lens=lens,
        geometry=Geometry(name="geometry", lens=lens, exit_angle=lambda: delta.position - eta.position),
        crystal=CrystalSample(name="crystal"),
        vacuum=VacuumGauge(name="vacuum", pressure=4e-2, rng=sensors),
        mosaic=crystal,
    )


main = partial(signals_command, "id01", simulated_id01)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
