"""Nanobeam: a crystalline film in a coherent, focused beam, and its diffraction near one Bragg peak.

A gold film of grains. Each grain has its own strain along the diffraction vector and its own tilt; both are the
gradient of the phase that the film gives to the diffracted wave, φ = Q·u (Hruszkewycz et al., Phys. Rev. Lett. 109
(2012) 177601). So a frame, the far field of probe × object, has its peak shifted where the grain is strained or tilted
(scanning diffraction), and all frames together give the object back (ptychography). Particles of iron, a strip of
copper and a stain with calcium lie on the film, for the fluorescence.

Axes as CXI has them: *z* along the beam, *y* up, *x* to the left as seen with the beam. Positions are in μm in the
sample's own frame. Frames have row 0 at the top and column 0 at the left, so that rows run along -y, columns along -x.
The detector is turned up to the Bragg angle; it sees so small a cone that the film's tilt against it is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

D_SPACING = 2.3545
"""Distance of the (111) planes of gold without strain, Å."""
FILM = 100.0
"""Thickness of the film where it is thickest, nm."""
GOLD_DENSITY = 19.32
"""g/cm³."""


@dataclass(frozen=True)
class Optics:
    """Beam and detector, as far as they shape a frame."""

    wavelength: float
    """m."""
    distance: float
    """Sample to detector, m."""
    pixel: float
    """Of the detector, m."""
    size: int
    """Pixels along each edge of a frame."""
    defocus: float = 8e-4
    """Sample behind the focus, m."""

    @property
    def object_pixel(self) -> float:
        """Size of an object's pixel in a reconstruction of whole frames, m."""
        return self.wavelength * self.distance / (self.size * self.pixel)

    @property
    def bragg(self) -> float:
        """Bragg angle of the film without strain, rad."""
        return math.asin(self.wavelength * 1e10 / (2 * D_SPACING))


@dataclass(frozen=True)
class Film:
    """The sample: its grains, and what lies on it. Made by :func:`gold_film`."""

    seeds: Array
    """Where each grain's middle is (x, y), μm, shape (n, 2); a point belongs to the nearest."""
    strains: Array
    """Of each grain, along the diffraction vector."""
    tilts: Array
    """Of each grain, about the axis across the diffraction vector that lies along the beam, rad."""
    phases: Array
    """Of each grain at its middle, rad."""
    particles: Array
    """Of iron: x, y, radius (μm), areal density in the middle (μg/cm²), shape (m, 4)."""

    def grain(self, x: Array, y: Array) -> NDArray[np.intp]:
        """Number of the grain at each point."""
        return self._grains(x, y)[0]

    def thickness(self, x: Array, y: Array) -> Array:
        """Of the film at each point, as a share of :data:`FILM`; it is thin along the grains' boundaries."""
        return self._grains(x, y)[1]

    def _grains(self, x: Array, y: Array) -> tuple[NDArray[np.intp], Array]:
        """Number of the grain, and thickness, at each point."""
        distances = (x[..., None] - self.seeds[:, 0]) ** 2 + (y[..., None] - self.seeds[:, 1]) ** 2
        nearest = np.sqrt(np.partition(distances, 1, axis=-1)[..., :2])
        groove = np.exp(-(((nearest[..., 1] - nearest[..., 0]) / 0.08) ** 2))
        thickness = (0.85 + 0.15 * np.cos(2.1 * x) * np.cos(1.7 * y)) * (1 - 0.7 * groove)
        return np.argmin(distances, axis=-1), thickness

    def diffracted(self, x: Array, y: Array, optics: Optics) -> NDArray[np.complex128]:
        """Amplitude and phase that the film gives to the diffracted wave, 1 where it is thickest."""
        grains, thickness = self._grains(x, y)
        across, up = deflections(self.strains, self.tilts, optics.bragg)
        per_angle = 2 * math.pi / (optics.wavelength * 1e6)  # rad per rad and μm
        phase = self.phases[grains] + per_angle * (
            across[grains] * (x - self.seeds[grains, 0]) + up[grains] * (y - self.seeds[grains, 1])
        )
        return thickness * np.exp(1j * phase)

    def density(self, symbol: str, x: Array, y: Array) -> Array:
        """Areal density of an element at each point, μg/cm²."""
        if symbol == "Au":
            return GOLD_DENSITY * FILM * 0.1 * self.thickness(x, y)  # g/cm³ · nm = 0.1 μg/cm²
        if symbol == "Fe":
            found = np.zeros(np.broadcast(x, y).shape)
            for of_x, of_y, radius, middle in self.particles:
                found += middle * np.sqrt(np.maximum(1 - ((x - of_x) ** 2 + (y - of_y) ** 2) / radius**2, 0.0))
            return found
        if symbol == "Cu":
            return 30.0 / (1 + np.exp((np.abs(0.8 * x + 0.6 * y - 0.35) - 0.22) / 0.03))
        if symbol == "Ca":
            return 90.0 * np.exp(-(((x + 0.5) / 0.9) ** 2) - ((y - 0.55) / 0.55) ** 2)
        raise ValueError(f"the film has no {symbol}")


def deflections(strain: Array, tilt: Array, bragg: float) -> tuple[Array, Array]:
    """By how much the diffracted beam is turned, rad: across (towards +x) and up (to larger 2θ).

    Up by Bragg's law, Δ2θ = -2 ε tan θ; across because a diffraction vector of length 2 k sin θ is turned by the tilt.
    """
    return 2 * math.sin(bragg) * tilt, -2 * strain * math.tan(bragg)


def gold_film(seed: int, half_width: float = 3.2, grains: int = 36, particles: int = 14) -> Film:
    """A film with grains of about 1 μm; the same seed gives the same film.

    Parameters
    ----------
    half_width
        Of the square where seeds of grains and particles lie, μm.
    """
    rng = np.random.default_rng(seed)
    side = math.isqrt(grains)
    cells = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) + 0.5) / side * 2 - 1
    seeds = (cells + rng.uniform(-0.75, 0.75, cells.shape) / side) * half_width
    count = len(seeds)
    return Film(
        seeds=seeds,
        strains=rng.uniform(-6e-4, 6e-4, count),
        tilts=rng.uniform(-7e-4, 7e-4, count),
        phases=rng.uniform(0, 2 * np.pi, count),
        particles=np.column_stack(
            [
                rng.uniform(-0.6, 0.6, (particles, 2)) * half_width,
                rng.uniform(0.1, 0.3, particles),
                rng.uniform(15, 60, particles),
            ]
        ),
    )


def focus(optics: Optics, aperture: float = 14.0) -> NDArray[np.complex128]:
    """The wave in the sample's plane, shape (size, size); its intensities sum up to 1.

    Parameters
    ----------
    aperture
        Width of the mirrors' image on the detector, pixels.
    """
    n = optics.size
    q = np.arange(n) - n // 2
    edge = 1 / (1 + np.exp((np.abs(q) - aperture / 2) / 0.4))
    frequency = q / (n * optics.object_pixel)  # 1/m
    bent = np.exp(-1j * math.pi * optics.wavelength * optics.defocus * frequency**2)
    pupil = np.outer(edge * bent, edge * bent)
    wave = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil)))
    return wave / np.sqrt(np.sum(np.abs(wave) ** 2))


class Nanobeam:
    """A focused beam on a film.

    Parameters
    ----------
    film
        The sample.
    optics
        Beam and detector.
    rng
        Noise comes from it.
    """

    REFLECTED = 1e-4
    """Share of the photons of the beam that the thickest film diffracts into the peak."""

    def __init__(self, film: Film, optics: Optics, rng: np.random.Generator) -> None:
        self.film = film
        self.optics = optics
        self.probe = focus(optics)
        self._rng = rng
        # Of a pixel of the window the place in the sample, from the beam's middle: rows along -y, columns along -x.
        self._offsets = -(np.arange(optics.size) - optics.size // 2) * optics.object_pixel * 1e6
        intensity = np.abs(self.probe) ** 2
        kept = intensity > intensity.max() * 0.02
        rows, columns = np.nonzero(kept)
        self._spot = self._offsets[columns], self._offsets[rows], intensity[kept] / intensity[kept].sum()

    @property
    def beam_size(self) -> tuple[float, float]:
        """Twice the standard deviation of the spot, across and up, μm."""
        x, y, weight = self._spot
        return tuple(2 * float(np.sqrt(np.average(v**2, weights=weight))) for v in (x, y))  # type: ignore[return-value]

    def density(self, symbol: str, x: float, y: float) -> float:
        """Areal density of an element under the beam's middle at (x, y), mean over its spot, μg/cm²."""
        dx, dy, weight = self._spot
        return float(weight @ self.film.density(symbol, x + dx, y + dy))

    def window(self, x: float, y: float) -> NDArray[np.complex128]:
        """The film's diffracted amplitude around (x, y), as rows and columns of the probe."""
        return self.film.diffracted((x + self._offsets)[None, :], (y + self._offsets)[:, None], self.optics)

    def frame(self, x: float, y: float, photons: float) -> NDArray[np.uint16]:
        """One frame with the beam at (x, y) of the sample, counts.

        Parameters
        ----------
        photons
            Photons of the beam during the exposure.
        """
        exit_wave = self.probe * self.window(x, y)
        far = np.fft.fftshift(np.fft.fft2(exit_wave, norm="ortho"))
        expected = photons * self.REFLECTED * np.abs(far) ** 2
        return np.clip(self._rng.poisson(expected), 0, 65535).astype(np.uint16)
