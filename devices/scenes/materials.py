"""Materials: how strongly they absorb and refract X-rays.

Mass attenuation coefficients at two energies, 15 and 20 keV as a rule, from the tables of NIST (Hubbell and Seltzer,
NISTIR 5632), densities at room temperature. No absorption edge of these materials lies between the two, so that a power
law through the points holds there. It goes on beyond them where no edge is near: that of aluminium is 1 % low at 10 keV
and 6 % low at 30 keV, where scattering begins to count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LOW, HIGH = 15_000.0, 20_000.0
"""The tabulated energies, eV, of a material that says nothing else."""

HC = 12398.419843320026
"""Planck's constant times the speed of light, eV Å (exact in the SI of 2019)."""
AVOGADRO = 6.02214076e23
"""1/mol (CODATA 2018)."""
ELECTRON_RADIUS = 2.8179403262e-12
"""Classical radius of the electron, mm (CODATA 2018)."""


def wavelength(energy: float) -> float:
    """Wavelength of X-rays of `energy` (eV), in mm."""
    return HC / energy * 1e-7  # 1 Å = 1e-7 mm


@dataclass(frozen=True)
class Material:
    """An element or a compound."""

    formula: str
    density: float
    """g/cm³."""
    at_low: float
    """Mass attenuation coefficient at the lower energy, cm²/g."""
    at_high: float
    """Mass attenuation coefficient at the higher energy, cm²/g."""
    low: float = LOW
    """The lower energy, eV."""
    high: float = HIGH
    """The higher energy, eV."""
    electrons: float = 0.0
    """Electrons over molar mass, mol/g; 0 where nobody has asked for the refraction yet."""

    def phase(self, energy: float) -> float:
        """How far a wave at `energy` (eV) runs ahead of one in vacuum, in rad/mm.

        That is 2πδ/λ = rₑ λ nₑ, with the density of electrons nₑ: true far above all absorption edges.

        Raises
        ------
        ValueError
            The material's electrons are not known.
        """
        if not self.electrons:
            raise ValueError(f"{self.formula}: how many electrons it has is not known here")
        per_mm3 = self.electrons * AVOGADRO * self.density * 1e-3
        return ELECTRON_RADIUS * wavelength(energy) * per_mm3

    def absorption(self, energy: float) -> float:
        """Linear absorption coefficient at `energy` (eV), in 1/mm."""
        slope = math.log(self.at_high / self.at_low) / math.log(self.high / self.low)
        return self.at_low * (energy / self.low) ** slope * self.density / 10

    def transmission(self, thickness: float, energy: float) -> float:
        """What a sheet of `thickness` (mm) lets through at `energy` (eV), from 0 to 1."""
        return math.exp(-self.absorption(energy) * thickness)


ALUMINIUM = Material("Al", 2.699, 7.955, 3.441, electrons=13 / 26.982)
CARBON = Material("C", 1.45, 0.8071, 0.4420, electrons=6 / 12.011)
"""Glassy carbon."""
SILICON = Material("Si", 2.33, 10.34, 4.464)
IRON = Material("Fe", 7.874, 57.08, 25.68)
GOLD = Material("Au", 19.32, 164.0, 78.83)
WATER = Material("H2O", 0.998, 5.329, 1.673, low=10_000.0, high=15_000.0)
