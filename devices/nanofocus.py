"""Nanofocus: what a nanofocus beamline has beside the common devices: detector arm, focus, sample stage, diodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.optics import CrystalMonochromator
from devices.quantity import Array, Derived, Quantity


class DetectorArm(Device):
    """Where the pixel detector stands: turned up by twice the Bragg angle, at a distance from the sample."""

    two_theta = Cpt(Quantity, value=23.3702, units="deg", precision=4, limits=(-5.0, 120.0), kind=Kind.hinted)
    distance = Cpt(Quantity, value=1500.0, units="mm", precision=2, writable=False, kind=Kind.hinted)
    normal_y = Cpt(Derived, compute=lambda arm: math.sin(math.radians(arm.two_theta.get())), precision=6)
    normal_z = Cpt(Derived, compute=lambda arm: math.cos(math.radians(arm.two_theta.get())), precision=6)
    """Normal of the detector, in NeXus's coordinates: y up, z along the beam; x is 0."""


class Focus(Device):
    """The beam at its focus, and its spot on the sample a little behind that.

    Parameters
    ----------
    mono
        Says the energy.
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
    energy_spread = Cpt(
        Derived,
        compute=lambda focus: focus.mono.bandwidth.get() * focus.mono.energy.get(),
        units="eV",
        precision=3,
    )
    divergence = Cpt(Quantity, value=0.7, units="mrad", precision=3, writable=False, kind=Kind.config)

    def __init__(
        self,
        *args: Any,
        mono: CrystalMonochromator,
        size: tuple[float, float],
        defocus: float,
        arm: DetectorArm,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.mono = mono
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
