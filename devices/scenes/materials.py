"""Materials: how strongly they absorb X-rays.

Mass attenuation coefficients at 15 and 20 keV from the tables of NIST (Hubbell and Seltzer, NISTIR 5632), densities
at room temperature. No absorption edge of these elements lies between 15 and 20 keV, so that a power law through
the two points holds there, and for the light ones, aluminium and silicon, from some 5 to some 30 keV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LOW, HIGH = 15_000.0, 20_000.0
"""The tabulated energies, eV."""


@dataclass(frozen=True)
class Material:
    """A pure element."""

    formula: str
    density: float
    """g/cm³."""
    at_low: float
    """Mass attenuation coefficient at 15 keV, cm²/g."""
    at_high: float
    """Mass attenuation coefficient at 20 keV, cm²/g."""

    def absorption(self, energy: float) -> float:
        """Linear absorption coefficient at `energy` (eV), in 1/mm."""
        slope = math.log(self.at_high / self.at_low) / math.log(HIGH / LOW)
        return self.at_low * (energy / LOW) ** slope * self.density / 10

    def transmission(self, thickness: float, energy: float) -> float:
        """What a sheet of `thickness` (mm) lets through at `energy` (eV), from 0 to 1."""
        return math.exp(-self.absorption(energy) * thickness)


ALUMINIUM = Material("Al", 2.699, 7.955, 3.441)
SILICON = Material("Si", 2.33, 10.34, 4.464)
IRON = Material("Fe", 7.874, 57.08, 25.68)
GOLD = Material("Au", 19.32, 164.0, 78.83)
