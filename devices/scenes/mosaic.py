"""Mosaic: a crystal of slightly tilted blocks in the light of one Bragg reflection, seen through an X-ray lens.

Each point of the crystal has a rocking curve of its own, a Gaussian about the Bragg angle plus its tilt. A frame in
counts is Poisson(photons · share of a pixel · reflectivity · rocking curve · time) + offset, clipped to 16 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.detectors import Exposure

FloatArray = NDArray[np.float64]

OFFSET, READ_NOISE = 100.0, 2.5
"""Counts of a dark frame, and their standard deviation."""


@dataclass(frozen=True)
class Mosaic:
    """A field of view of a crystal, row 0 on top; all of the shape of a frame."""

    tilt: FloatArray
    """By how much the lattice is turned towards the beam, deg."""
    reflectivity: FloatArray
    """At the top of the rocking curve, 0 to 1."""
    block: NDArray[np.int_]
    """Which block each point belongs to."""
    width: float = 0.006
    """Full width of a point's rocking curve at half maximum, deg."""

    def reflected(self, offset: float) -> FloatArray:
        """Share of the beam that each point reflects with the crystal turned by `offset` (deg) from its Bragg angle."""
        result: FloatArray = self.reflectivity * np.exp(-4 * math.log(2) * ((offset - self.tilt) / self.width) ** 2)
        return result


def mosaic(seed: int, shape: tuple[int, int], blocks: int = 16) -> Mosaic:
    """A crystal of `blocks` blocks, each bent a little and turned by up to 0.02° against the others.

    A block is what lies nearer to its middle than to any other's; between blocks the lattice is poor.
    """
    rng = np.random.default_rng(seed)
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns] / max(shape)
    middles = rng.uniform(0, 1, (blocks, 2))
    away = np.hypot(x[None] - middles[:, 0, None, None], y[None] - middles[:, 1, None, None])
    order = np.sort(away, axis=0)
    block = away.argmin(axis=0)
    turn, bend = rng.uniform(-0.02, 0.02, blocks), rng.uniform(-0.02, 0.02, (blocks, 2))
    tilt = turn[block] + bend[block, 0] * (x - middles[block, 0]) + bend[block, 1] * (y - middles[block, 1])
    # One pixel or so on either side of a wall of dislocations.
    wall = np.exp(-(((order[1] - order[0]) * max(shape) / 1.5) ** 2))
    reflectivity = rng.uniform(0.55, 0.9, blocks)[block] * (1 - 0.85 * wall)
    return Mosaic(tilt=tilt, reflectivity=reflectivity, block=block)


@dataclass(frozen=True)
class Look:
    """How the crystal stands and what light falls on it, at one moment."""

    offset: float
    """Angle of incidence less the Bragg angle, deg."""
    photons: float
    """Per second on the whole field of view."""


class MosaicScene:
    """Makes frames of a crystal.

    Parameters
    ----------
    look
        Called for every frame.
    transmission
        Of the lens, as a share.
    """

    def __init__(
        self, crystal: Mosaic, look: Callable[[], Look], transmission: float, rng: np.random.Generator
    ) -> None:
        self.crystal = crystal
        self._look = look
        self._rng = rng
        rows, columns = crystal.tilt.shape
        y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None, :]
        # The beam is a little wider than the field of view, and the lens dims towards its edge.
        spot = np.exp(-((x / 1.6) ** 2) - ((y / 1.5) ** 2))
        self._light = spot / spot.sum() * transmission

    def __call__(self, exposure: Exposure) -> NDArray[np.uint16]:
        """One frame, counts."""
        if exposure.shape != self.crystal.tilt.shape:
            raise ValueError(f"the scene was made for frames of {self.crystal.tilt.shape}, asked for {exposure.shape}")
        look = self._look()
        counts = self._rng.normal(OFFSET, READ_NOISE, exposure.shape)
        counts += self._rng.poisson(look.photons * exposure.time * self._light * self.crystal.reflected(look.offset))
        return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
