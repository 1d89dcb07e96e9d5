"""Powder: the diffraction pattern of a powder, from its structure.

Intensities are multiplicity · structure factor² · Lorentz factor, which is 1 / (sin² θ cos θ) for a vertical circle at
a synchrotron, where the beam is polarised at right angles to it. Lines are pseudo-Voigts whose width follows Caglioti
(Caglioti, Paoletti and Ricci, Nucl. Instrum. 3 (1958) 223).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FormFactor:
    """Σ a exp(-b s²) + c with s = sin θ / λ in 1/Å (International Tables for Crystallography C, table 6.1.1.4)."""

    a: tuple[float, float, float, float]
    b: tuple[float, float, float, float]
    c: float

    def at(self, s: float) -> float:
        """Electrons."""
        return self.c + sum(a * math.exp(-b * s * s) for a, b in zip(self.a, self.b, strict=True))


LANTHANUM = FormFactor((20.578, 19.599, 11.3727, 3.28719), (2.94817, 0.244475, 18.7726, 133.124), 2.14678)
BORON = FormFactor((2.0545, 1.3326, 1.0979, 0.7068), (23.2185, 1.021, 60.3498, 0.1403), -0.1932)


@dataclass(frozen=True)
class Line:
    """The reflections of one spacing."""

    index: int
    """h² + k² + l²."""
    spacing: float
    """Å."""
    strength: float
    """Multiplicity times structure factor squared, electrons²."""


@dataclass(frozen=True)
class LanthanumHexaboride:
    """The line position standard SRM 660c: LaB6, space group Pm-3m, lanthanum in the corner, an octahedron of boron."""

    lattice: float = 4.156826
    """Å at 22.5 °C (NIST, certificate of SRM 660c, 2015)."""
    boron: float = 0.1993
    """Free coordinate of boron, in (x, 1/2, 1/2)."""
    displacement: float = 0.4
    """Isotropic displacement parameter B of both, Å²."""

    def lines(self, shortest: float) -> list[Line]:
        """Lines down to the spacing `shortest` (Å), the widest first."""
        top = int((self.lattice / shortest) ** 2)
        reach = range(-math.isqrt(top), math.isqrt(top) + 1)
        squares: Counter[int] = Counter()
        for h in reach:
            for k in reach:
                for miller in reach:
                    index = h * h + k * k + miller * miller
                    if 0 < index <= top:
                        squares[index] += self._squared(h, k, miller)
        return [Line(n, self.lattice / math.sqrt(n), float(squares[n])) for n in sorted(squares)]

    def _squared(self, h: int, k: int, miller: int) -> Any:
        s2 = (h * h + k * k + miller * miller) / (2 * self.lattice) ** 2
        waves = sum(
            2 * math.cos(2 * math.pi * along * self.boron) * (-1) ** (across + beyond)
            for along, across, beyond in ((h, k, miller), (k, h, miller), (miller, h, k))
        )
        s = math.sqrt(s2)
        return (LANTHANUM.at(s) + waves * BORON.at(s)) ** 2 * math.exp(-2 * self.displacement * s2)


@dataclass(frozen=True)
class Resolution:
    """Width and shape of the lines."""

    u: float = 1.0e-3
    v: float = -1.0e-4
    w: float = 3.5e-4
    """Caglioti's, deg²."""
    lorentzian: float = 0.4
    """Share of the Lorentzian in a pseudo-Voigt."""

    def width(self, two_theta: float) -> float:
        """Full width at half maximum, deg."""
        tangent = math.tan(math.radians(two_theta / 2))
        return math.sqrt(self.u * tangent**2 + self.v * tangent + self.w)


class Pattern:
    """The pattern of a powder at one wavelength.

    Parameters
    ----------
    powder
        What scatters.
    wavelength
        Å.
    highest
        Lines up to this two theta count, deg.
    """

    def __init__(
        self,
        powder: LanthanumHexaboride,
        wavelength: float,
        resolution: Resolution | None = None,
        highest: float = 60.0,
    ) -> None:
        resolution = resolution or Resolution()
        shortest = wavelength / (2 * math.sin(math.radians(highest / 2)))
        lines = powder.lines(shortest)
        theta = [math.asin(wavelength / (2 * line.spacing)) for line in lines]
        lorentz = [1 / (math.sin(t) ** 2 * math.cos(t)) for t in theta]
        areas = np.array([line.strength * factor for line, factor in zip(lines, lorentz, strict=True)])
        self.lines = lines
        self.angles = np.degrees(2 * np.array(theta))
        """Two theta of each line, deg."""
        self.widths = np.array([resolution.width(angle) for angle in self.angles])
        self.areas = areas / areas.max()
        """Of each line over the strongest one's."""
        self._share = resolution.lorentzian

    def at(self, two_theta: float) -> float:
        """Intensity over the height of the strongest line, without background."""
        x = 2 * (two_theta - self.angles) / self.widths
        gauss = 2 * math.sqrt(math.log(2) / math.pi) * np.exp(-math.log(2) * x**2)
        lorentz = 2 / (math.pi * (1 + x**2))
        shapes = ((1 - self._share) * gauss + self._share * lorentz) / self.widths
        strongest = int(np.argmax(self.areas))
        top = ((1 - self._share) * 2 * math.sqrt(math.log(2) / math.pi) + self._share * 2 / math.pi) / self.widths[
            strongest
        ]
        return float((self.areas * shapes).sum() / top)

    @staticmethod
    def background(two_theta: float) -> float:
        """Scattering of air and of the glass capillary, over the height of the strongest line."""
        return 0.002 + 0.012 * math.exp(-two_theta / 6) + 0.003 * math.exp(-(((two_theta - 6.5) / 2.5) ** 2))
