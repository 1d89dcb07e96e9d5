"""Pinhole: a hole in a gold foil on the sample stage, which lets through what beam there is at its place.

Behind the mirrors' focus the beam opens: at the distance z it is a soft-edged rectangle of divergence · z, each way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.scenes.tomography import Pose, Scene

SOFT = 0.2
"""Width of an edge of the beam, as a share of the beam's own."""


@dataclass(frozen=True)
class Foil:
    """A foil that stops the beam, with a round hole in it."""

    radius: float
    """mm."""


@dataclass(frozen=True)
class DivergentBeam:
    """The beam behind the focus of two mirrors."""

    horizontal: float
    """Full divergence, mrad."""
    vertical: float
    """Full divergence, mrad."""

    def density(self, across: float, up: float, along: float) -> float:
        """Share of the beam per mm² at a place, as seen from the beam's axis, `along` mm behind the focus.

        Full width at half maximum is divergence · distance, whatever the softness of the edges.
        """
        widths = (self.horizontal * 1e-3 * along, self.vertical * 1e-3 * along)
        return math.prod(_edge(x, width) / width for x, width in zip((across, up), widths, strict=True))


def _edge(x: float, width: float) -> float:
    soft = SOFT * width
    return 0.5 * (math.erf((width / 2 - x) / soft) + math.erf((width / 2 + x) / soft))


class PinholeScene(Scene):
    """A foil with a hole in the beam, for a diode behind it and for the camera.

    Parameters
    ----------
    foil
        What stands on the stage.
    beam
        What falls on it.
    """

    def __init__(
        self,
        foil: Foil,
        beam: DivergentBeam,
        pose: Callable[[], Pose],
        rng: np.random.Generator,
        shape: tuple[int, int] = (128, 128),
    ) -> None:
        super().__init__(foil, pose, rng, shape)
        self._beam = beam

    def share(self) -> float:
        """How much of the whole beam passes the hole now; the beam is taken as even over the hole."""
        pose = self._pose()
        return self._beam.density(pose.across, pose.up, pose.along) * math.pi * self.phantom.radius**2

    def intensity(self, pose: Pose) -> NDArray[np.float64]:
        """The hole's shadow: 1 within, 0 without."""
        t, z = self.rays(pose)
        seen: NDArray[np.float64] = (np.hypot(t[None, :], z[:, None]) <= self.phantom.radius).astype(float)
        return seen
