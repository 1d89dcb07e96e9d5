"""Microbeams: the dose that an array of narrow beams leaves in water, in the horizontal plane of the beams.

A multislit collimator cuts the beam into microbeams. Water weakens them on their way, and scattering carries a share of
the dose between them. Where arrays come from two directions, they cross.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ATTENUATION = 0.01707
"""Linear attenuation of water at 100 keV, 1/mm (mass attenuation 0.1707 cm²/g, NIST XCOM)."""


@dataclass(frozen=True)
class Collimator:
    """A multislit collimator, as its beams stand at the sample."""

    width: float
    """Width of a microbeam, mm."""
    spacing: float
    """Centre to centre, mm."""
    beams: int
    scattered: float
    """Dose between the beams as a share of the dose in them: the inverse of the ratio of peak and valley."""

    @property
    def field(self) -> float:
        """Width of the whole array, mm."""
        return self.beams * self.spacing

    def profile(self, across: FloatArray) -> FloatArray:
        """Dose across the beam, 1 in the middle of a microbeam; `across` in mm from the middle of the array."""
        phase = np.abs((across / self.spacing + (self.beams % 2) / 2) % 1 - 0.5) * self.spacing
        inside = np.abs(across) <= self.field / 2
        # The edge of a slit is not sharp: 5 µm of penumbra.
        beams = 0.5 * (1 - np.tanh((phase - self.width / 2) / 0.005))
        return np.asarray(np.where(inside, self.scattered + (1 - self.scattered) * beams, 0.0))


@dataclass
class Film:
    """A radiochromic film that lies in a block of water, in the plane of the beams, and gathers dose.

    Parameters
    ----------
    size
        Side of the square, mm; the block of water is as large.
    pixels
        Of a side.
    """

    size: float = 12.0
    pixels: int = 480
    dose: FloatArray = field(init=False)
    """Gy, [y, x]; the beam of a sample that is not turned comes from low y."""

    def __post_init__(self) -> None:
        self.dose = np.zeros((self.pixels, self.pixels))

    @property
    def axis(self) -> FloatArray:
        """Positions of the pixels along a side, mm from the middle."""
        return np.asarray((np.arange(self.pixels) - (self.pixels - 1) / 2) * self.size / self.pixels)

    def expose(self, collimator: Collimator, entrance_dose: float, across: float, angle: float) -> None:
        """Add what one pass leaves.

        Parameters
        ----------
        entrance_dose
            Dose in a microbeam where it enters the water, Gy.
        across
            How far the sample stands off the middle of the array, mm.
        angle
            By which the sample is turned about the vertical, deg.
        """
        x, y = self.axis[None, :], self.axis[:, None]
        turn = np.deg2rad(angle)
        lateral = x * np.cos(turn) + y * np.sin(turn) + across
        depth = -x * np.sin(turn) + y * np.cos(turn) + self.size / 2
        self.dose += entrance_dose * collimator.profile(lateral) * np.exp(-ATTENUATION * depth)
