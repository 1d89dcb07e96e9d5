"""A simulated nanofocus beamline, modelled on the ESRF's ID13: fluorescence, diffraction and ptychography in one scan.

Names follow the beamline's style (nnp2, nnp3 for the piezo motors of the sample). Numbers without a source are
plausible for such a beamline and are not measurements of the real one.

``python -m devices.beamlines.id13 PATH`` writes its signals as JSON; ``profiles/id13/signals.json`` was made so.
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

from devices.detectors import Exposure, FrameCamera
from devices.frontend import WithFrontEnd, front_end
from devices.nanofocus import DetectorArm, Diodes, Focus, SampleStage
from devices.scenes.fluorescence import ELEMENTS, Detector, Fluorescence
from devices.scenes.nanobeam import Nanobeam, Optics, gold_film
from devices.signals import signals_command
from devices.spectrometer import Spectrometer
from devices.stages import SimulatedMotor

SIZE = 64
"""Pixels along each edge of a frame: a region of the detector around the Bragg peak."""
PIXEL = 75.0
"""Of the EIGER, μm."""
FLUX = 4.0e10
"""Photons per second on the sample at 200 mA."""


@dataclass(frozen=True)
class Beamline(WithFrontEnd):
    """The devices of a beamline, under the names by which its people call them."""

    nnp2: SimulatedMotor
    """Piezo of the sample, across the beam (CXI's x), μm."""
    nnp3: SimulatedMotor
    """Piezo of the sample, up (CXI's y), μm."""
    theta: SimulatedMotor
    """Incidence on the film, deg."""
    stage: SampleStage
    """Both piezos as one vector."""
    eiger: FrameCamera
    """Pixel detector in the far field, around the Bragg peak."""
    xrf: Spectrometer
    """Fluorescence detector."""
    diodes: Diodes
    """Photons before and behind the sample."""
    arm: DetectorArm
    focus: Focus
    nanobeam: Nanobeam
    """Beam and sample: the truth, for comparison only."""

    @property
    def motors(self) -> tuple[SimulatedMotor, ...]:
        """Motors of the sample."""
        return (self.nnp2, self.nnp3, self.theta)

    @property
    def detectors(self) -> list[Any]:
        """What takes data during a scan; what a plot of the scan shows first comes first."""
        return [self.xrf, self.eiger, self.diodes]

    @property
    def files(self) -> list[Path]:
        """What the detectors have written so far."""
        return list(self.eiger.files)

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""
        return [*self.motors, self.arm, self.focus, *self.front.baseline]

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""
        return [*self.baseline, self.stage, *self.detectors]


def simulated_id13(
    directory: Path | str | Callable[[], Path], seed: int = 2015, clock: Callable[[], float] = time.time
) -> Beamline:
    """The beamline, ready to scan: sample in the beam at the film's Bragg angle, shutter closed.

    Parameters
    ----------
    directory
        The pixel detector's folder, or a function that is asked for it at each scan; nothing is written before a scan.
    seed
        Sample and noise come from it: the same seed and the same commands give the same data, but for the decay of the
        machine current.
    clock
        Time for the machine current, s.
    """
    sample_seed, frame_seed, spectrum_seed, sensor_seed = np.random.SeedSequence(seed).spawn(4)
    noise = np.random.default_rng(spectrum_seed)

    front = front_end(
        energy=13_000.0,
        undulator=("U18", 11.2, 18.0),
        flux=FLUX,
        beam=(0.2, 0.05),
        foils=(0.1, 0.2, 0.5, 1.0),
        attenuator_distance=-62.0,
        clock=clock,
        rng=np.random.default_rng(sensor_seed),
    )
    mono = front.mono
    arm = DetectorArm(name="arm")

    optics = Optics(mono.wavelength.get() * 1e-10, arm.distance.get() * 1e-3, PIXEL * 1e-6, SIZE)
    arm.two_theta.put(round(math.degrees(2 * optics.bragg), 4))
    nanobeam = Nanobeam(gold_film(int(sample_seed.generate_state(1)[0])), optics, np.random.default_rng(frame_seed))
    detector = Detector()
    fluorescence = Fluorescence(detector, mono.energy.get())

    limits = (-50.0, 50.0)
    nnp2 = SimulatedMotor(name="nnp2", units="um", limits=limits, precision=4, velocity=100.0)
    nnp3 = SimulatedMotor(name="nnp3", units="um", limits=limits, precision=4, velocity=100.0)
    bragg = round(math.degrees(optics.bragg), 4)
    theta = SimulatedMotor(name="theta", units="deg", limits=(-10.0, 90.0), position=bragg, precision=4)

    def place() -> tuple[float, float]:
        """Where the beam meets the sample, μm: the sample moves, the beam stays."""
        return -nnp2.position, -nnp3.position

    def photons(seconds: float) -> float:
        """On the sample; none with the shutter closed."""
        return seconds * front.photons()

    def densities() -> dict[str, float]:
        return {symbol: nanobeam.density(symbol, *place()) for symbol in ELEMENTS}

    def frame(exposure: Exposure) -> np.ndarray[Any, np.dtype[np.uint16]]:
        return nanobeam.frame(*place(), photons(exposure.time))

    def passed(seconds: float) -> tuple[float, float]:
        before = photons(seconds)
        energy = mono.energy.get()
        absorbed = sum(density * 1e-6 * ELEMENTS[of].attenuation(energy) for of, density in densities().items())
        return before, before * math.exp(-absorbed)

    def spectrum(seconds: float) -> np.ndarray[Any, np.dtype[np.int32]]:
        return fluorescence.spectrum(densities(), photons(seconds), noise)

    eiger = FrameCamera(name="eiger", directory=directory, image=frame, shape=(SIZE, SIZE), pixel=PIXEL)
    for signal, value in ((eiger.model, "EIGER 4M, region of interest"), (eiger.manufacturer, "DECTRIS")):
        signal.put(value, force=True)
    eiger.readout_time.put(1e-5, force=True)
    eiger.exposure_time.put(0.05)
    return Beamline(
        front=front,
        nnp2=nnp2,
        nnp3=nnp3,
        theta=theta,
        stage=SampleStage(name="stage", across=nnp2, up=nnp3),
        eiger=eiger,
        xrf=Spectrometer(name="xrf", detector=detector, spectrum=spectrum),
        diodes=Diodes(name="diodes", photons=passed),
        arm=arm,
        focus=Focus(name="focus", mono=mono, size=nanobeam.beam_size, defocus=optics.defocus * 1e3, arm=arm),
        nanobeam=nanobeam,
    )


main = partial(signals_command, "id13", simulated_id13)
"""Write the signals of this beamline to the path in the arguments; the exit status."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
