"""Scene: what the simulated camera sees, frame by frame.

A frame in counts is Poisson(flat · intensity) + dark, clipped to 16 bits. The flat is the beam (a smooth spot,
with the horizontal stripes that a multilayer leaves) times the sensitivity of each pixel; it follows machine current,
attenuators and exposure time. The dark is an offset, a current that grows with the exposure, and read-out noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.detectors import Exposure

OFFSET = 98.0
"""Counts of a dark frame of no exposure."""
DARK_CURRENT = 25.0
"""Counts per second."""
READ_NOISE = 3.0
"""Counts, standard deviation."""
FULL = 3.6e5
"""Photons that one pixel in the middle of the beam counts per second at 200 mA with nothing in the beam."""


@dataclass(frozen=True)
class Pose:
    """Where the sample stands and what light falls on it, at one moment."""

    angle: float
    """Rotation, deg."""
    across: float
    """Displacement across the beam, mm; a sample far enough away is out of the picture."""
    up: float
    """Displacement upwards, mm."""
    pixel: float
    """Size of a pixel at the sample, mm."""
    beam: float
    """Beam as a share of what 200 mA gives with nothing in the beam; 0 with the shutter closed."""
    along: float = 0.0
    """Distance behind the focus, mm."""
    propagation: float = 0.0
    """Effective propagation distance from sample to detector, mm; 0 shows the sample's mere shadow."""


class Scene:
    """Makes frames of a phantom.

    Parameters
    ----------
    phantom
        What stands in the beam: a :class:`~devices.scenes.phantom.Phantom`, or what a derived scene takes.
    pose
        Called for every frame.
    rng
        Noise and the structure of the flat field come from it: the same seed gives the same frames.
    """

    def __init__(
        self, phantom: Any, pose: Callable[[], Pose], rng: np.random.Generator, shape: tuple[int, int] = (128, 128)
    ) -> None:
        self.phantom = phantom
        self.shape = shape
        self._pose = pose
        self._rng = rng
        self.flat = flat_field(shape, rng)

    def __call__(self, exposure: Exposure) -> NDArray[np.uint16]:
        """One frame, counts."""
        if exposure.shape != self.shape:
            raise ValueError(f"the scene was made for frames of {self.shape}, asked for {exposure.shape}")
        pose = self._pose()
        counts = self._rng.normal(OFFSET + DARK_CURRENT * exposure.time, READ_NOISE, self.shape)
        if pose.beam > 0:
            expected = self.flat * (FULL * exposure.time * pose.beam)
            counts += self._rng.poisson(expected * self.intensity(pose))
        return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)

    def share(self) -> float:
        """How much of the beam in the field of view passes the sample now, from 0 to 1."""
        return float(self.intensity(self._pose()).mean())

    def intensity(self, pose: Pose) -> NDArray[np.float64]:
        """Intensity at each pixel over that of the empty beam, shape (ny, nx)."""
        passed: NDArray[np.float64] = np.exp(-self.absorbed(pose))
        return passed

    def absorbed(self, pose: Pose) -> NDArray[np.float64]:
        """Absorption along each pixel's ray, a pure number, shape (ny, nx); row 0 is the top of the sample."""
        return self.phantom.absorbed(np.deg2rad(pose.angle), *self.rays(pose))

    def rays(self, pose: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each column's and each row's ray passes the sample, across and up, mm from its middle."""
        rows, columns = self.shape
        t = (np.arange(columns) - (columns - 1) / 2) * pose.pixel - pose.across
        z = ((rows - 1) / 2 - np.arange(rows)) * pose.pixel - pose.up
        return t, z


def flat_field(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """What each pixel sees of an empty beam, 1 in the middle of an even beam."""
    rows, columns = shape
    y = np.linspace(-1, 1, rows)[:, None]
    x = np.linspace(-1, 1, columns)[None, :]
    spot = np.exp(-(((x - 0.12) / 1.5) ** 2) - ((y + 0.08) / 1.3) ** 2)
    stripes = np.ones((rows, 1))
    for frequency in (3, 7, 11, 19, 31):
        stripes += rng.uniform(0.01, 0.06) * np.cos(np.pi * frequency * y + rng.uniform(0, 2 * np.pi))
    sensitivity = rng.normal(1, 0.015, shape)
    return np.maximum(spot * stripes * sensitivity, 0.01)
