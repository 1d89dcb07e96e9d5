"""A simulated small-angle scattering beamline, modelled on the ESRF's ID02.

A capillary with a suspension of silica spheres stands in the beam, and a camera far behind it in a vacuum tube. Numbers
without a source are plausible for such a beamline and are not measurements of the real one.

``python -m devices.beamlines.id02 PATH`` writes its signals as JSON; ``profiles/id02/signals.json`` was made so.
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

from devices.azimuthal import SAMPLE, AzimuthalAverage
from devices.detectors import FrameCamera
from devices.frontend import FrontEnd, WithFrontEnd, front_end
from devices.quantity import Derived, Quantity
from devices.scenes.materials import WATER
from devices.scenes.spheres import Camera, Filling, SaxsScene, Spheres
from devices.sensors import VacuumGauge
from devices.signals import signals_command
from devices.stages import SimulatedMotor

SHAPE = (256, 256)
"""Rows and columns of a frame: the middle of the Rayonix MX170-HS, binned 8 × 8."""
PIXEL = 354.0
"""μm, binned."""


class Rayonix(FrameCamera):
    """A camera of CCDs behind fibre tapers, cooled, with a phosphor in front."""

    model = Cpt(Quantity, value="MX170-HS", writable=False, kind=Kind.config)
    manufacturer = Cpt(Quantity, value="Rayonix", writable=False, kind=Kind.config)
    binning = Cpt(Quantity, value=8, writable=False, kind=Kind.config)
    temperature = Cpt(Quantity, value=-80.0, units="degC", precision=1, writable=False, kind=Kind.config)
    sensor = Cpt(Quantity, value="Gd2O2S:Tb", writable=False, kind=Kind.config)
    sensor_thickness = Cpt(Quantity, value=40.0, units="um", precision=1, writable=False, kind=Kind.config)
    readout_time = Cpt(Quantity, value=0.1, units="s", precision=4, writable=False, kind=Kind.config)


class SampleChanger(Device):
    """Fills a flow-through capillary from its wells.

    Parameters
    ----------
    mono
        At whose energy the water absorbs.
    """

    content = Cpt(Quantity, value="buffer", choices=("sample", "buffer"))
    concentration = Cpt(Quantity, value=8.8, precision=2, units="mg/ml", writable=False, kind=Kind.config)
    """Of the silica: 0.4 % of the volume at 2.2 g/cm³."""
    exposure_temperature = Cpt(Quantity, value=20.0, units="degC", precision=1, limits=(4.0, 60.0))
    storage_temperature = Cpt(Quantity, value=15.0, units="degC", precision=1, limits=(4.0, 60.0))
    flow_rate = Cpt(Quantity, value=0.0, units="ul/s", precision=2, limits=(0.0, 20.0))
    thickness = Cpt(Quantity, value=1.5, units="mm", precision=3, writable=False, kind=Kind.config)
    """Of the water in the capillary; its wall of quartz is 0.01 mm thin."""
    transmission = Cpt(Derived, compute=lambda changer: changer.transmission_now(), precision=4)
    diode = Cpt(Derived, compute=lambda changer: changer.diode_now(), units="A", precision=12)
    """Current of the photodiode in the beam stop."""

    def __init__(self, *args: Any, front: FrontEnd, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._front = front

    def transmission_now(self) -> float:
        """Share of the beam that passes the water, 0 to 1; the spheres are too few to count."""
        return WATER.transmission(self.thickness.get(), self._front.mono.energy.get())

    def diode_now(self) -> float:
        """Current, A: an electron for each 3.66 eV that silicon absorbs, with 0.3 mm of it taking 70 %."""
        charge = self._front.mono.energy.get() / 3.66 * 1.602176634e-19
        return 0.7 * self._front.photons() * self.transmission_now() * charge


class DetectorTube(Device):
    """The evacuated tube, in which the detector moves along the beam, and the beam stop in front of it.

    Positions on the detector are counted from the outer corner of its first pixel, across and down.
    """

    distance = Cpt(Quantity, value=4000.0, units="mm", precision=2, limits=(600.0, 31_000.0))
    """From the sample to the sensor."""
    beam_center_x = Cpt(Quantity, value=43.26, units="mm", precision=3, writable=False)
    beam_center_y = Cpt(Quantity, value=46.87, units="mm", precision=3, writable=False)
    beam_center_x_pixel = Cpt(Derived, compute=lambda tube: tube.beam_center_x.get() * 1e3 / PIXEL, precision=3)
    beam_center_y_pixel = Cpt(Derived, compute=lambda tube: tube.beam_center_y.get() * 1e3 / PIXEL, precision=3)
    beam_stop_diameter = Cpt(Quantity, value=3.0, units="mm", precision=2, writable=False, kind=Kind.config)
    beam_stop_x = Cpt(Quantity, value=0.0, units="mm", precision=3, limits=(-50.0, 50.0))
    beam_stop_y = Cpt(Quantity, value=0.0, units="mm", precision=3, limits=(-50.0, 50.0))
    arm = Cpt(Quantity, value=1.4, units="mm", precision=2, writable=False, kind=Kind.config)


@dataclass(frozen=True)
class Beamline(WithFrontEnd):
    """The devices of a beamline, under the names by which its people call them."""

    sx: SimulatedMotor
    """Capillary across the beam, mm."""
    sz: SimulatedMotor
    """Capillary up, mm."""
    changer: SampleChanger
    tube: DetectorTube
    camera: FrameCamera
    """The camera; its name is ``rayonix``."""
    azimuthal: AzimuthalAverage
    """Reduces the camera's frames."""
    frame_type: Quantity
    """What the next frame is: 0 sample, 1 buffer, 2 dark."""
    vacuum: VacuumGauge
    spheres: Spheres
    """What the sample is made of: the truth, for comparison only."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of the sample."""
        return (self.sx, self.sz)

    @property
    def files(self) -> list[Path]:
        """What the detectors have written so far."""
        return list(self.camera.files)

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""
        return [*self.motors, *self.front.baseline, self.changer, self.tube, self.vacuum]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, self.frame_type, self.camera, self.front.monitor, self.azimuthal]


def simulated_id02(
    directory: Path | str | Callable[[], Path], seed: int = 2015, clock: Callable[[], float] = time.time
) -> Beamline:
    """The beamline, ready to scan: buffer in the capillary, shutter closed.

    Parameters
    ----------
    directory
        The camera's folder, or a function that is asked for it at each scan; nothing is written before a scan.
    seed
        Size of the spheres and noise come from it: the same seed and the same commands give the same frames, but for
        the decay of the machine current.
    clock
        Time for the machine current, s.
    """
    sample_seed, noise_seed, sensor_seed = np.random.SeedSequence(seed).spawn(3)
    sensors = np.random.default_rng(sensor_seed)
    front = front_end(
        energy=12_460.0,
        undulator=("U21.4", 12.4, 21.4),
        flux=1.0e11,
        beam=(0.3, 0.3),
        foils=(0.1, 0.2, 0.4, 0.8),
        attenuator_distance=-20.5,
        clock=clock,
        rng=sensors,
    )
    changer = SampleChanger(name="changer", front=front)
    tube = DetectorTube(name="tube")
    frame_type = Quantity(name="frame_type", value=SAMPLE, limits=(0, 2))
    spheres = Spheres(radius=float(np.random.default_rng(sample_seed).uniform(18.0, 22.0)))

    def camera() -> Camera:
        return Camera(
            shape=SHAPE,
            pixel=PIXEL * 1e-3,
            distance=tube.distance.get(),
            centre=(tube.beam_center_x.get(), tube.beam_center_y.get()),
            wavelength=front.mono.wavelength.get(),
            beam_stop=tube.beam_stop_diameter.get() / 2,
            arm=tube.arm.get(),
        )

    def filling() -> Filling:
        return Filling(
            photons=front.photons(),
            spheres=changer.content.get() == "sample",
            transmission=changer.transmission_now(),
            thickness=changer.thickness.get(),
        )

    azimuthal = AzimuthalAverage(
        name="azimuthal",
        image=SaxsScene(spheres, camera, filling, np.random.default_rng(noise_seed)),
        camera=camera,
        filling=filling,
        kind_of_frame=frame_type.get,
    )
    return Beamline(
        front=front,
        sx=SimulatedMotor(name="sx", units="mm", limits=(-20.0, 20.0), precision=4, velocity=5.0),
        sz=SimulatedMotor(name="sz", units="mm", limits=(-20.0, 20.0), precision=4, velocity=5.0),
        changer=changer,
        tube=tube,
        camera=Rayonix(name="rayonix", directory=directory, image=azimuthal.image, shape=SHAPE, pixel=PIXEL),
        azimuthal=azimuthal,
        frame_type=frame_type,
        vacuum=VacuumGauge(name="vacuum", pressure=3e-2, rng=sensors),
        spheres=spheres,
    )


main = partial(signals_command, "id02", simulated_id02)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
