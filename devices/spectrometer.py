"""Spectrometer: an energy-dispersive detector with its multichannel analyser, whose spectra go with the events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component as Cpt
from ophyd import Device, Kind
from ophyd.status import Status

from devices.quantity import Array, Derived, Quantity
from devices.scenes.fluorescence import ELEMENTS, Detector


class Spectrometer(Device):
    """A silicon drift detector: a spectrum a trigger, and the counts in a window around one line of each element.

    Parameters
    ----------
    detector
        Calibration and resolution.
    spectrum
        Called at every trigger with the exposure time, s; gives the counts of each channel.
    """

    exposure_time = Cpt(Quantity, value=0.05, units="s", precision=4, limits=(0.001, 60.0), kind=Kind.config)
    manufacturer = Cpt(Quantity, value="simulated", writable=False, kind=Kind.config)
    model = Cpt(Quantity, value="silicon drift detector", writable=False, kind=Kind.config)
    sensor_material = Cpt(Quantity, value="Si", writable=False, kind=Kind.config)
    mode = Cpt(Quantity, value="timer", writable=False, kind=Kind.config)
    calibration = Cpt(
        Derived,
        compute=lambda mca: f"{mca.detector.zero * 1e-3:g} {mca.detector.gain * 1e-3:g} 0",
        value="",
        kind=Kind.config,
    )
    """Zero and gain, keV and keV a channel, and 0 for the square, as ESRF's definition has them."""
    live_time = Cpt(Quantity, value=0.0, units="s", precision=4, writable=False, kind=Kind.normal)
    total = Cpt(Quantity, value=0, writable=False, kind=Kind.normal)
    Ca = Cpt(Quantity, value=0, writable=False, kind=Kind.hinted)
    Fe = Cpt(Quantity, value=0, writable=False, kind=Kind.hinted)
    Cu = Cpt(Quantity, value=0, writable=False, kind=Kind.hinted)
    Au = Cpt(Quantity, value=0, writable=False, kind=Kind.hinted)

    def __init__(
        self, *args: Any, detector: Detector, spectrum: Callable[[float], NDArray[np.int32]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.detector = detector
        self._take = spectrum
        self.spectrum = Array(name=f"{self.name}_spectrum", value=np.zeros(detector.channels, np.int32), parent=self)
        self.energy = Array(name=f"{self.name}_energy", value=detector.energies * 1e-3, units="keV", parent=self)
        self.windows = windows(detector)

    def trigger(self) -> Status:
        """Count for the exposure time; simulated time does not pass."""
        seconds = self.exposure_time.get()
        counts = self._take(seconds)
        self.spectrum.put(counts, force=True)
        self.live_time.put(float(seconds), force=True)
        self.total.put(int(counts.sum()), force=True)
        for symbol, window in self.windows.items():
            getattr(self, symbol).put(int(counts[window].sum()), force=True)
        status = Status(self)
        status.set_finished()
        return status

    def read(self) -> dict[str, dict[str, Any]]:
        """The spectrum, and what was counted of it."""
        return {**super().read(), **self.spectrum.read()}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Their data keys."""
        return {**super().describe(), **self.spectrum.describe()}

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Settings, and the energy of each channel."""
        return {**super().read_configuration(), **self.energy.read()}

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Their data keys."""
        return {**super().describe_configuration(), **self.energy.describe()}


def windows(detector: Detector) -> Mapping[str, slice]:
    """Element → channels of a window as wide as 1.2 FWHM around its strongest line."""
    found = {}
    for symbol, element in ELEMENTS.items():
        _, energy, _ = element.lines[0]
        half = 0.6 * detector.width(energy)
        low, high = ((e - detector.zero) / detector.gain for e in (energy - half, energy + half))
        found[symbol] = slice(round(low), round(high) + 1)
    return found
