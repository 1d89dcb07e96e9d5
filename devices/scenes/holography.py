"""Holography: what a camera sees at a distance behind a sample that refracts more than it absorbs.

The wave behind the sample is exp(-μ/2 - iφ) along each ray; what propagates over the distance D is multiplied by
exp(-iπλD f²) at the spatial frequency f (Fresnel's propagator). A point source at a finite distance is the same but for
the magnification, if D is the effective distance z₁z₂/(z₁+z₂) and lengths are those in the sample's plane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.scenes.materials import ALUMINIUM, CARBON, wavelength
from devices.scenes.phantom import Phantom, grain_with_inclusions
from devices.scenes.tomography import Pose, Scene


@dataclass(frozen=True)
class Refractor:
    """A sample that absorbs and refracts: two phantoms of the same shapes."""

    absorbing: Phantom
    """Absorption coefficients, 1/mm."""
    refracting: Phantom
    """By how much the wave runs ahead, rad/mm: 2πδ/λ."""


def aluminium_in_carbon(seed: int, width: float, energy: float = 17050.0) -> Refractor:
    """A grain of glassy carbon with inclusions of aluminium and with pores.

    Parameters
    ----------
    width
        Edge of the cube that the sample stays within at every angle, mm.
    energy
        eV.
    """
    absorbing = (CARBON.absorption(energy), ALUMINIUM.absorption(energy))
    refracting = (CARBON.phase(energy), ALUMINIUM.phase(energy))
    return Refractor(grain_with_inclusions(seed, width, *absorbing), grain_with_inclusions(seed, width, *refracting))


class HologramScene(Scene):
    """In-line holograms of a :class:`Refractor` in a divergent beam.

    Parameters
    ----------
    energy
        eV.
    """

    def __init__(
        self,
        sample: Refractor,
        energy: float,
        pose: Callable[[], Pose],
        rng: np.random.Generator,
        shape: tuple[int, int] = (128, 128),
    ) -> None:
        super().__init__(sample, pose, rng, shape)
        self._wavelength = wavelength(energy)

    def intensity(self, pose: Pose) -> NDArray[np.float64]:
        """Intensity at each pixel over that of the empty beam, shape (ny, nx)."""
        rows, columns = self.shape
        # Twice the field of view, so that what leaves it on one side does not come in on the other.
        t, z = (_twice(rays) for rays in self.rays(pose))
        angle = np.deg2rad(pose.angle)
        shift = self.phantom.refracting.absorbed(angle, t, z)
        if not shift.any():
            return np.ones(self.shape)
        wave = np.exp(-self.phantom.absorbing.absorbed(angle, t, z) / 2 - 1j * shift)
        seen = np.abs(propagated(wave, pose.pixel, pose.propagation, self._wavelength)) ** 2
        return seen[rows // 2 : rows // 2 + rows, columns // 2 : columns // 2 + columns]


def propagated(wave: NDArray[np.complex128], pixel: float, distance: float, length: float) -> NDArray[np.complex128]:
    """A wave, some distance on, by Fresnel's propagator; beyond its edges it goes on periodically.

    Parameters
    ----------
    pixel, distance, length
        Size of a pixel, how far, and the wavelength, all in mm.
    """
    up, across = (np.fft.fftfreq(size, pixel) for size in wave.shape)
    squared = up[:, None] ** 2 + across[None, :] ** 2
    passed: NDArray[np.complex128] = np.fft.ifft2(np.fft.fft2(wave) * np.exp(-1j * np.pi * length * distance * squared))
    return passed


def _twice(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evenly spaced places, with half as many more on either side."""
    step, half = rays[1] - rays[0], rays.size // 2
    return rays[0] + (np.arange(2 * rays.size) - half) * step
