"""Fluorescence: what an energy-dispersive detector sees of a thin sample in a monochromatic beam.

Line energies and relative intensities: X-ray Data Booklet (LBNL, 2009), tables 1-2 and 1-3. Absorption coefficients and
the jumps at the edges: tables of NIST (Hubbell and Seltzer, NISTIR 5632). Fluorescence yields: Krause, J. Phys. Chem.
Ref. Data 8 (1979) 307. The sample is thin: it does not absorb its own lines, nor does what stands before the detector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.scenes.materials import HIGH, LOW

ELECTRON = 510_998.95
"""Rest energy of the electron, eV (CODATA 2018)."""
FANO = 0.115
"""Fano factor of silicon."""
PAIR = 3.64
"""Energy that makes one electron-hole pair in silicon, eV."""
FWHM = 2 * math.sqrt(2 * math.log(2))
"""Full width at half maximum of a Gaussian of standard deviation 1."""


@dataclass(frozen=True)
class Element:
    """One element with the lines of one of its shells."""

    symbol: str
    edge: float
    """Below it the shell is not excited, eV."""
    absorption: tuple[tuple[float, float], tuple[float, float]]
    """Mass attenuation coefficient above the edge at two energies: (eV, cm²/g); a power law runs through them."""
    jump: float
    """Attenuation just above over that just below the edge."""
    fluorescence_yield: float
    """Photons per hole in the shell."""
    lines: tuple[tuple[str, float, float], ...]
    """Name, energy in eV, relative intensity; the strongest first."""

    def attenuation(self, energy: float) -> float:
        """Mass attenuation coefficient at `energy` (eV), above the edge, cm²/g."""
        (low, at_low), (high, at_high) = self.absorption
        return at_low * (energy / low) ** (math.log(at_high / at_low) / math.log(high / low))

    def production(self, energy: float) -> float:
        """Fluorescence photons of the shell that one photon of `energy` (eV) makes, cm² a gram of the element."""
        if energy <= self.edge:
            return 0.0
        return self.attenuation(energy) * (1 - 1 / self.jump) * self.fluorescence_yield


CALCIUM = Element(
    "Ca",
    4038.5,
    ((10_000.0, 93.41), (LOW, 29.79)),
    8.62,
    0.163,
    (("Ka1", 3691.68, 100.0), ("Ka2", 3688.09, 50.0), ("Kb1", 4012.7, 13.0)),
)
IRON = Element(
    "Fe",
    7112.0,
    ((LOW, 57.08), (HIGH, 25.68)),
    7.66,
    0.340,
    (("Ka1", 6403.84, 100.0), ("Ka2", 6390.84, 50.0), ("Kb1", 7057.98, 17.0)),
)
COPPER = Element(
    "Cu",
    8978.9,
    ((10_000.0, 215.9), (LOW, 74.05)),
    7.27,
    0.440,
    (("Ka1", 8047.78, 100.0), ("Ka2", 8027.83, 51.0), ("Kb1", 8905.29, 17.0)),
)
# Below its L2 edge (13.734 keV): the lines of the L3 shell only.
GOLD = Element(
    "Au",
    11918.7,
    ((11_918.7, 187.0), (13_733.6, 128.3)),
    2.47,
    0.320,
    (("La1", 9713.3, 100.0), ("Lb2", 11584.7, 23.0), ("La2", 9628.0, 11.0), ("Ll", 8493.9, 5.0)),
)
ELEMENTS = {element.symbol: element for element in (CALCIUM, IRON, COPPER, GOLD)}


@dataclass(frozen=True)
class Detector:
    """A silicon drift detector beside the sample, at 90° to the beam in the plane of polarisation."""

    channels: int = 1024
    zero: float = 20.0
    """Energy of channel 0, eV."""
    gain: float = 15.0
    """eV a channel."""
    noise: float = 80.0
    """FWHM of the electronics, eV."""
    solid_angle: float = 0.005
    """sr."""

    @property
    def energies(self) -> NDArray[np.float64]:
        """Energy of each channel, eV."""
        return self.zero + self.gain * np.arange(self.channels)

    def width(self, energy: float) -> float:
        """FWHM of a line, eV."""
        return math.sqrt(self.noise**2 + FWHM**2 * FANO * PAIR * energy)

    def peak(self, energy: float, width: float | None = None) -> NDArray[np.float64]:
        """Share of a line's counts in each channel; their sum is 1 for a line well within the range."""
        sigma = (self.width(energy) if width is None else width) / FWHM
        return self.gain / (sigma * math.sqrt(2 * math.pi)) * np.exp(-0.5 * ((self.energies - energy) / sigma) ** 2)


class Fluorescence:
    """Spectra of one detector at one energy of the beam.

    Parameters
    ----------
    detector
        Calibration, resolution and solid angle.
    energy
        Of the beam, eV.
    """

    SCATTER = 4e-9
    """Photons that reach the detector elastically, per photon of the beam."""
    COMPTON = 2.4e-8
    """The same, inelastically."""
    CONTINUUM = 2e-11
    """Counts a channel and photon of the beam: electrons that lose energy in sample and detector."""

    def __init__(self, detector: Detector, energy: float) -> None:
        self.detector = detector
        share = detector.solid_angle / (4 * math.pi)
        self._of = {}
        for symbol, element in ELEMENTS.items():
            total = sum(intensity for _, _, intensity in element.lines)
            shape = sum(detector.peak(line) * intensity / total for _, line, intensity in element.lines)
            # 1e-6: areal densities are in μg/cm².
            self._of[symbol] = shape * element.production(energy) * share * 1e-6
        compton = energy / (1 + energy / ELECTRON)  # At 90°.
        self._background = (
            self.SCATTER * detector.peak(energy)
            + self.COMPTON * detector.peak(compton, 2.2 * detector.width(compton))
            + self.CONTINUUM * (detector.energies < energy) * np.exp(-detector.energies / energy)
        )

    def expected(self, densities: Mapping[str, float], photons: float) -> NDArray[np.float64]:
        """Counts that are expected in each channel.

        Parameters
        ----------
        densities
            Symbol → areal density, μg/cm².
        photons
            Photons on the sample during the exposure.
        """
        found = self._background.copy()
        for symbol, density in densities.items():
            found += density * self._of[symbol]
        return photons * found

    def spectrum(self, densities: Mapping[str, float], photons: float, rng: np.random.Generator) -> NDArray[np.int32]:
        """Counts of one exposure, with Poisson's noise."""
        return rng.poisson(self.expected(densities, photons)).astype(np.int32)
