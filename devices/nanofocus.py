"""Nanofocus: what a nanofocus beamline has beside the common devices: crystals, focus, sample stage, detector arm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.optics import HC
from devices.quantity import Derived, Quantity
from devices.spectrometer import Array


class SiliconMono(Device):
    """A double crystal monochromator, Si(111)."""

    energy = Cpt(Quantity, value=13000.0, units="eV", precision=1, limits=(12500.0, 13500.0), kind=Kind.hinted)
    wavelength = Cpt(Derived, compute=lambda mono: HC / mono.energy.get(), units="angstrom", precision=5)
    d_spacing = Cpt(Quantity, value=3.1356, units="angstrom", precision=4, writable=False, kind=Kind.config)
    crystal = Cpt(Quantity, value="Si", writable=False, kind=Kind.config)
    reflection = Cpt(Quantity, value="1 1 1", writable=False, kind=Kind.config)
    bandwidth = Cpt(Quantity, value=1.4e-4, precision=6, writable=False, kind=Kind.config)
    energy_spread = Cpt(Derived, compute=lambda mono: mono.bandwidth.get() * mono.energy.get(), units="eV", precision=3)
    bragg = Cpt(
        Derived,
        compute=lambda mono: math.degrees(math.asin(mono.wavelength.get() / (2 * mono.d_spacing.get()))),
        units="deg",
        precision=4,
    )


class DetectorArm(Device):
    """Where the pixel detector stands: turned up by twice the Bragg angle, at a distance from the sample."""

    two_theta = Cpt(Quantity, value=23.3702, units="deg", precision=4, limits=(-5.0, 120.0), kind=Kind.hinted)
    distance = Cpt(Quantity, value=1500.0, units="mm", precision=2, writable=False, kind=Kind.hinted)


class Focus(Device):
    """The focus of the mirrors, and the spot on the sample a little behind it.

    Parameters
    ----------
    size
        Width and height of the spot, μm: twice the standard deviation.
    defocus
        Sample behind the focus, mm.
    arm
        Says how far the detector is from the sample.
    """

    width = Cpt(Derived, compute=lambda focus: focus.size[0], units="um", precision=4, kind=Kind.hinted)
    height = Cpt(Derived, compute=lambda focus: focus.size[1], units="um", precision=4, kind=Kind.hinted)
    distance = Cpt(Derived, compute=lambda focus: -focus.defocus, units="mm", precision=4, kind=Kind.config)
    """Of the focus from the sample; negative is upstream, as NeXus counts."""
    detector_distance = Cpt(
        Derived, compute=lambda focus: focus.arm.distance.get() + focus.defocus, units="mm", precision=3
    )
    divergence = Cpt(Quantity, value=0.7, units="mrad", precision=3, writable=False, kind=Kind.config)

    def __init__(self, *args: Any, size: tuple[float, float], defocus: float, arm: DetectorArm, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.size = size
        self.defocus = defocus
        self.arm = arm


class SampleStage(Device):
    """The sample's place in the laboratory, as a vector, from the piezo motors that move it.

    CXI's axes: x to the left as seen with the beam, y up, z along the beam.

    Parameters
    ----------
    across, up
        Motors, μm.
    """

    def __init__(self, *args: Any, across: Any, up: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._motors = (across, up)
        self.translation = Array(name=f"{self.name}_translation", value=np.zeros(3), units="um", parent=self)

    def read(self) -> dict[str, dict[str, Any]]:
        """Place of the sample: (x, y, 0), μm."""
        across, up = (motor.position for motor in self._motors)
        self.translation.put(np.array([across, up, 0.0]), force=True)
        return self.translation.read()

    def describe(self) -> dict[str, dict[str, Any]]:
        """Its data key."""
        return self.translation.describe()


class Diodes(Device):
    """Two photodiodes that count for the exposure: one upstream of the sample, one behind it.

    Parameters
    ----------
    photons
        Called with the exposure time (s): photons before the sample, and how many of them pass it.
    """

    exposure_time = Cpt(Quantity, value=0.05, units="s", precision=4, limits=(0.001, 60.0), kind=Kind.config)
    mode = Cpt(Quantity, value="timer", writable=False, kind=Kind.config)
    i0 = Cpt(Quantity, value=0, writable=False, kind=Kind.normal)
    it = Cpt(Quantity, value=0, writable=False, kind=Kind.normal)
    i0_flux = Cpt(Derived, compute=lambda d: d.rates()[0], units="photons/s", precision=0)
    it_flux = Cpt(Derived, compute=lambda d: d.rates()[1], units="photons/s", precision=0)

    def __init__(self, *args: Any, photons: Callable[[float], tuple[float, float]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._photons = photons

    def rates(self) -> tuple[float, float]:
        """Photons per second before and behind the sample, now."""
        return self._photons(1.0)

    def trigger(self) -> Status:
        """Count for the exposure time."""
        for signal, counted in zip((self.i0, self.it), self._photons(self.exposure_time.get()), strict=True):
            signal.put(round(counted), force=True)
        status = Status(self)
        status.set_finished()
        return status
