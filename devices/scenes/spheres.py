"""Spheres: small-angle scattering of a suspension, on an area detector.

Lord Rayleigh's form factor (Proc. R. Soc. A 84 (1911) 25) of homogeneous spheres whose radii are spread by a Gaussian,
too dilute to see each other. A frame in counts is Poisson(photons · transmission · thickness · cross section · solid
angle · time) + offset, clipped to 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.detectors import Exposure

FloatArray = NDArray[np.float64]

WATER = 0.01632
"""Cross section of water at small angles, 1/cm at 20 °C (Orthaber et al., J. Appl. Cryst. 33 (2000) 218)."""
OFFSET, READ_NOISE = 10.0, 0.6
"""Counts of a dark frame, and their standard deviation."""


@dataclass(frozen=True)
class Spheres:
    """Spheres in water."""

    radius: float = 20.0
    """Mean radius, nm."""
    spread: float = 0.03
    """Standard deviation of the radius, as a share of it."""
    fraction: float = 0.004
    """Volume of the spheres over that of the suspension."""
    contrast: float = 9.4e10
    """Difference in scattering length density, 1/cm²: amorphous silica (18.9e10) in water (9.5e10)."""

    def radii(self) -> tuple[FloatArray, FloatArray]:
        """Radii over ± 3 standard deviations, nm, and their share in number."""
        steps = np.linspace(-3, 3, 31)
        share = np.exp(-(steps**2) / 2)
        return self.radius * (1 + self.spread * steps), share / share.sum()

    def cross_section(self, q: FloatArray) -> FloatArray:
        """Differential cross section per volume without the water's, 1/cm, at `q` in 1/nm."""
        radii, share = self.radii()
        volume = 4 / 3 * np.pi * (radii * 1e-7) ** 3
        total = np.zeros(np.shape(q))
        for radius, weight in zip(radii, share * volume**2 / (share @ volume), strict=True):
            total += weight * amplitude(np.asarray(q) * radius) ** 2
        return self.fraction * self.contrast**2 * total

    @property
    def gyration(self) -> float:
        """Radius of gyration that Guinier's law shows, nm."""
        radii, share = self.radii()
        return float(np.sqrt(3 / 5 * (share @ radii**8) / (share @ radii**6)))


def amplitude(x: FloatArray) -> FloatArray:
    """Form factor amplitude of a sphere, 1 at 0, at `x` = q · radius."""
    x = np.maximum(x, 1e-3)
    result: FloatArray = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    return result


@dataclass(frozen=True)
class Camera:
    """Where the area detector stands, and what hides a part of it."""

    shape: tuple[int, int]
    """Rows and columns."""
    pixel: float
    """mm."""
    distance: float
    """From the sample, mm; the detector stands at right angles to the beam."""
    centre: tuple[float, float]
    """Where the direct beam would hit it, across and down, mm from the outer corner of the first pixel."""
    wavelength: float
    """Å."""
    beam_stop: float
    """Radius, mm."""
    arm: float
    """Width of the arm that holds the beam stop from above, mm."""

    def _offsets(self) -> tuple[FloatArray, FloatArray]:
        rows, columns = self.shape
        x = (np.arange(columns) + 0.5) * self.pixel - self.centre[0]
        y = (np.arange(rows) + 0.5) * self.pixel - self.centre[1]
        return x[None, :], y[:, None]

    def q(self) -> FloatArray:
        """Scattering vector of each pixel, 1/nm."""
        x, y = self._offsets()
        angle = np.arctan2(np.hypot(x, y), self.distance)
        result: FloatArray = 4 * np.pi / (self.wavelength / 10) * np.sin(angle / 2)
        return result

    def solid_angle(self) -> FloatArray:
        """Of each pixel, sr."""
        x, y = self._offsets()
        cosine = self.distance / np.sqrt(x**2 + y**2 + self.distance**2)
        result: FloatArray = (self.pixel / self.distance) ** 2 * cosine**3
        return result

    def hidden(self) -> NDArray[np.bool_]:
        """Pixels behind the beam stop or its arm."""
        x, y = self._offsets()
        result: NDArray[np.bool_] = (np.hypot(x, y) < self.beam_stop) | ((np.abs(x) < self.arm / 2) & (y < 0))
        return result


@dataclass(frozen=True)
class Filling:
    """What the beam meets at one moment."""

    photons: float
    """Per second on the capillary."""
    spheres: bool
    """Whether there are spheres in the water."""
    transmission: float
    """Of the capillary with its water."""
    thickness: float
    """Of the water, mm."""


class SaxsScene:
    """Makes frames of a suspension.

    Parameters
    ----------
    spheres
        What is suspended.
    camera, filling
        Called for every frame.
    """

    def __init__(
        self,
        spheres: Spheres,
        camera: Callable[[], Camera],
        filling: Callable[[], Filling],
        rng: np.random.Generator,
    ) -> None:
        self.spheres = spheres
        self._camera = camera
        self._filling = filling
        self._rng = rng

    def __call__(self, exposure: Exposure) -> NDArray[np.uint16]:
        """One frame, counts."""
        camera, filling = self._camera(), self._filling()
        if exposure.shape != camera.shape:
            raise ValueError(f"the scene was made for frames of {camera.shape}, asked for {exposure.shape}")
        counts = self._rng.normal(OFFSET, READ_NOISE, camera.shape)
        section = np.full(camera.shape, WATER)
        if filling.spheres:
            section += self.spheres.cross_section(camera.q())
        # 0.1 cm to the mm: the cross section is in 1/cm.
        passed = filling.photons * filling.transmission * filling.thickness * 0.1 * exposure.time
        counts += self._rng.poisson(passed * section * camera.solid_angle() * ~camera.hidden())
        return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
