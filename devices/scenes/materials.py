"""Materials: how strongly they absorb X-rays.

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

    def absorption(self, energy: float) -> float:
        """Linear absorption coefficient at `energy` (eV), in 1/mm."""
        slope = math.log(self.at_high / self.at_low) / math.log(self.high / self.low)
        return self.at_low * (energy / self.low) ** slope * self.density / 10

    def transmission(self, thickness: float, energy: float) -> float:
        """What a sheet of `thickness` (mm) lets through at `energy` (eV), from 0 to 1."""
        return math.exp(-self.absorption(energy) * thickness)


ALUMINIUM = Material("Al", 2.699, 7.955, 3.441)
SILICON = Material("Si", 2.33, 10.34, 4.464)
IRON = Material("Fe", 7.874, 57.08, 25.68)
GOLD = Material("Au", 19.32, 164.0, 78.83)
WATER = Material("H2O", 0.998, 5.329, 1.673, low=10_000.0, high=15_000.0)
