"""Scene: what a photon-counting detector sees of crystals that turn in the beam.

Spots come from Ewald's construction. Coordinates are NeXus's, which are McStas's: z along the beam, y up, x to the left
for who looks along the beam; the detector stands upright behind the sample, its rows running against x, its columns
against y. A reflection h with the matrix UB of Busing and Levy (Acta Cryst. 22 (1967) 457–464; lengths in 1/Å,
without 2π) diffracts at the angles where its vector r = R(ω)·G·UB·h ends on the sphere: 2 k·r + r² = 0, with
k = (0, 0, 1/λ) and G the rotation by the axes that stand on ω. Around that angle it is seen as far as the mosaic spread
carries it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.detectors import Exposure

FloatArray = NDArray[np.float64]
SPOT = 0.8
"""Standard deviation of a spot on the detector, pixels."""
PATCH = 4
"""Pixels on each side of a spot within which it is drawn."""
BLUR = 3.5
"""Standard deviations of the rocking curve after which a reflection is out."""


@dataclass(frozen=True)
class Lattice:
    """A unit cell, and which of its reflections are there at all."""

    lengths: tuple[float, float, float]
    """a, b, c in Å."""
    angles: tuple[float, float, float]
    """α, β, γ in deg."""
    present: Callable[[NDArray[np.int_]], NDArray[np.bool_]]
    """Which of the reflections, shape (n, 3), the space group lets through."""

    def b_matrix(self) -> FloatArray:
        """B of Busing and Levy, 1/Å: columns are the reciprocal axes in the crystal's cartesian frame."""
        a, b, c = self.lengths
        alpha, beta, gamma = np.deg2rad(self.angles)
        cosines = np.cos([alpha, beta, gamma])
        root = math.sqrt(1 - float(cosines @ cosines) + 2 * float(np.prod(cosines)))
        reciprocal = np.sin([alpha, beta, gamma]) / (np.array([a, b, c]) * root)
        cos_beta = (cosines[0] * cosines[2] - cosines[1]) / (math.sin(alpha) * math.sin(gamma))
        cos_gamma = (cosines[0] * cosines[1] - cosines[2]) / (math.sin(alpha) * math.sin(beta))
        sin_beta, sin_gamma = math.sqrt(1 - cos_beta**2), math.sqrt(1 - cos_gamma**2)
        return np.array(
            [
                [reciprocal[0], reciprocal[1] * cos_gamma, reciprocal[2] * cos_beta],
                [0.0, reciprocal[1] * sin_gamma, -reciprocal[2] * sin_beta * cosines[0]],
                [0.0, 0.0, 1 / c],
            ]
        )

    def reflections(self, resolution: float) -> NDArray[np.int_]:
        """All reflections down to a resolution in Å, shape (n, 3), without 000."""
        most = [int(length / resolution) + 1 for length in self.lengths]
        grid = np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij")
        indices = np.stack([each.ravel() for each in grid], axis=1)
        length = np.linalg.norm(indices @ self.b_matrix().T, axis=1)
        return indices[(length > 0) & (length <= 1 / resolution) & self.present(indices)]


@dataclass(frozen=True)
class Crystal:
    """A crystal, or one grain of many."""

    lattice: Lattice
    orientation: FloatArray
    """U of Busing and Levy: from the crystal's cartesian frame to the laboratory, with all axes at 0."""
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Centre in the laboratory with all axes at 0, mm."""
    scattering: float = 1.0
    """Photons of a strong reflection at full beam in a second, as it passes at one degree a second."""
    mosaicity: float = 0.1
    """Standard deviation of the orientations in it, deg."""
    b_factor: float = 15.0
    """By which reflections weaken with their angle, Å²."""

    @property
    def ub(self) -> FloatArray:
        """UB, 1/Å."""
        return self.orientation @ self.lattice.b_matrix()


@dataclass(frozen=True)
class View:
    """Beam, detector and the axes that stand on ω: what stays while ω turns."""

    wavelength: float
    """Å."""
    distance: float
    """Sample to detector, mm."""
    centre: tuple[float, float]
    """Where the beam meets the detector, mm from its first pixel's corner: along the rows, along the columns."""
    pixel: float
    """mm."""
    shape: tuple[int, int]
    """Rows and columns."""
    sensor: tuple[float, float] = (0.0, 1.0)
    """Thickness of the detector's sensor, mm, and its absorption, 1/mm."""
    axis: tuple[float, float, float] = (-1.0, 0.0, 0.0)
    """Direction of ω."""
    setting: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    """Rotation by the axes that stand on ω."""

    def depth(self, slant: FloatArray) -> FloatArray:
        """How far a photon that is seen came into the sensor on average, mm along its way.

        ``slant`` is the cosine of its angle to the detector's normal.
        """
        thickness, absorption = self.sensor
        if not thickness:
            return np.zeros_like(slant)
        passed = absorption * thickness / slant
        return (1 - passed / np.expm1(passed)) / absorption

    def resolution(self, corner: bool = False) -> float:
        """d at the nearest edge of the detector, or at its farthest corner, Å."""
        rows, columns = (n * self.pixel for n in self.shape)
        x, y = self.centre
        farthest = math.hypot(max(x, columns - x), max(y, rows - y))
        radius = farthest if corner else min(x, columns - x, y, rows - y)
        return self.wavelength / (2 * math.sin(math.atan2(radius, self.distance) / 2))


@dataclass(frozen=True)
class Pose:
    """What a frame is taken of."""

    view: View
    omega: float
    """Where ω stands as the exposure begins, deg."""
    width: float
    """By how much it turns during the exposure, deg."""
    beam: float
    """Beam as a share of the full one; 0 with the shutter closed."""


@dataclass(frozen=True)
class Spots:
    """Where and when the reflections of a crystal diffract onto the detector, one entry each."""

    hkl: NDArray[np.int_]
    omega: FloatArray
    """deg, within a turn from -180 on."""
    row: FloatArray
    """Pixels, whole numbers being the middles."""
    column: FloatArray
    width: FloatArray
    """Standard deviation of the rocking curve, deg."""
    photons: FloatArray
    """Photons of the whole reflection at full beam in a second of a degree a second."""


def rotation(axis: Sequence[float], angle: float) -> FloatArray:
    """Matrix of a right-handed turn by `angle` (deg) about `axis` (Rodrigues)."""
    x, y, z = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turn = math.radians(angle)
    return np.eye(3) + math.sin(turn) * cross + (1 - math.cos(turn)) * (cross @ cross)


def random_orientation(rng: np.random.Generator) -> FloatArray:
    """A rotation drawn evenly from all there are (of a random unit quaternion)."""
    w, x, y, z = (quaternion := rng.normal(size=4)) / np.linalg.norm(quaternion)
    return rotation((x, y, z), 2 * math.degrees(math.atan2(math.hypot(x, y, z), w)))


def spots(crystal: Crystal, view: View, seed: int) -> Spots:
    """All spots of a full turn of ω; strengths follow Wilson's statistics, the same for the same seed."""
    hkl = crystal.lattice.reflections(max(view.resolution(corner=True), view.wavelength / 1.9))
    strength = _strengths(hkl, seed)
    r = hkl @ (np.array(view.setting) @ crystal.ub).T
    axis = np.asarray(view.axis) / np.linalg.norm(view.axis)
    along = (r @ axis)[:, None] * axis
    across, third = r - along, np.cross(axis, r)
    beam = np.array([0.0, 0.0, 1 / view.wavelength])
    cosine, sine = across @ beam, third @ beam
    length2 = (r * r).sum(axis=1)
    reach = np.hypot(cosine, sine)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (-length2 / 2 - along @ beam) / reach
    met = np.abs(share) < 1
    found = []
    for sign in (1.0, -1.0):
        turn = np.arctan2(sine[met], cosine[met]) + sign * np.arccos(share[met])
        turned = along[met] + across[met] * np.cos(turn)[:, None] + third[met] * np.sin(turn)[:, None]
        diffracted = turned + beam
        # The reciprocal of Lorentz's factor: how fast the reflection passes through the sphere.
        zeta = np.abs(np.cross(turned, diffracted) @ axis) * view.wavelength / np.sqrt(length2[met])
        place = np.array([rotation(axis, np.rad2deg(t)) @ crystal.position for t in turn]).reshape(-1, 3)
        forward = diffracted[:, 2] > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            slant = np.where(forward, diffracted[:, 2] * view.wavelength, 1.0)
            # A thick sensor sees slanting rays further out: parallax.
            way = (view.distance - place[:, 2] + view.depth(slant) * slant) / diffracted[:, 2]
        x, y = place[:, 0] + way * diffracted[:, 0], place[:, 1] + way * diffracted[:, 1]
        column, row = (view.centre[0] - x) / view.pixel - 0.5, (view.centre[1] - y) / view.pixel - 0.5
        rows, columns = view.shape
        seen = forward & (zeta > 0.05) & (row > 0) & (row < rows - 1) & (column > 0) & (column < columns - 1)
        weak = np.exp(-crystal.b_factor * length2[met] / 2)
        found.append(
            [
                hkl[met][seen],
                (np.rad2deg(turn[seen]) + 180) % 360 - 180,
                row[seen],
                column[seen],
                crystal.mosaicity / zeta[seen],
                (crystal.scattering * strength[met] * weak)[seen] / zeta[seen],
            ]
        )
    return Spots(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _strengths(hkl: NDArray[np.int_], seed: int) -> FloatArray:
    """Strength of each reflection, 1 on average, the same for reflections that tetragonal and cubic crystals repeat."""
    first, third = np.sort(np.abs(hkl[:, :2]), axis=1), np.abs(hkl[:, 2:])
    keys, which = np.unique(np.concatenate([first, third], axis=1), axis=0, return_inverse=True)
    drawn: FloatArray = np.random.default_rng(seed).exponential(1.0, len(keys))
    return drawn[which.ravel()]


class Scene:
    """Makes frames of crystals.

    Parameters
    ----------
    crystals
        What stands in the beam.
    pose
        Called for every frame.
    rng
        Noise comes from it: the same seed gives the same frames.
    background
        Photons a pixel and second at full beam near the beam; they fall off with the angle.
    stop
        Radius of the shadow of the beamstop, mm.
    """

    def __init__(
        self,
        crystals: Sequence[Crystal],
        pose: Callable[[], Pose],
        rng: np.random.Generator,
        *,
        background: float = 60.0,
        stop: float = 1.2,
        strengths: int = 7,
    ) -> None:
        self.crystals = tuple(crystals)
        self._pose = pose
        self._rng = rng
        self._background = background
        self._stop = stop
        self._strengths = strengths
        self._known: tuple[View, list[Spots], FloatArray] | None = None

    def __call__(self, exposure: Exposure) -> NDArray[np.uint16]:
        """One frame, photons."""
        pose = self._pose()
        if exposure.shape != pose.view.shape:
            raise ValueError(f"the scene was made for frames of {pose.view.shape}, asked for {exposure.shape}")
        expected = self.expected(pose) * (exposure.time * pose.beam)
        return np.minimum(self._rng.poisson(expected), 65535).astype(np.uint16)

    def expected(self, pose: Pose) -> FloatArray:
        """Photons a second at full beam, on average."""
        if self._known is None or self._known[0] != pose.view:
            seen = [spots(each, pose.view, self._strengths) for each in self.crystals]
            self._known = pose.view, seen, self._empty(pose.view)
        _, seen, empty = self._known
        image = empty.copy()
        for each in seen:
            _draw(image, each, pose.omega, pose.width)
        return image

    def _empty(self, view: View) -> FloatArray:
        rows, columns = (np.arange(n) + 0.5 for n in view.shape)
        x, y = columns[None, :] * view.pixel - view.centre[0], rows[:, None] * view.pixel - view.centre[1]
        radius = np.hypot(x, y)
        image = self._background * np.exp(-np.arctan2(radius, view.distance) / 0.12) + 0.05 * self._background
        image[radius < self._stop] = 0.0
        return image


def _draw(image: FloatArray, seen: Spots, omega: float, width: float) -> None:
    """Add what of each reflection passes between `omega` and `omega` + `width` (deg), in photons a second."""
    middle = omega + width / 2
    off = (seen.omega - middle + 180) % 360 - 180  # From the frame's middle, the short way round.
    near = np.flatnonzero(np.abs(off) < width / 2 + BLUR * seen.width)
    reach = np.arange(-PATCH, PATCH + 1)
    for i in near:
        sigma = seen.width[i] * math.sqrt(2)
        passed = (math.erf((width / 2 - off[i]) / sigma) - math.erf((-width / 2 - off[i]) / sigma)) / 2
        # A degree a second: a frame that turns less is exposed for longer at each angle.
        photons = seen.photons[i] * passed / width
        rows, columns = round(seen.row[i]) + reach, round(seen.column[i]) + reach
        rows, columns = (
            rows[(rows >= 0) & (rows < image.shape[0])],
            columns[(columns >= 0) & (columns < image.shape[1])],
        )
        along, up = (
            np.exp(-(((at - place) / SPOT) ** 2) / 2) for at, place in ((columns, seen.column[i]), (rows, seen.row[i]))
        )
        image[np.ix_(rows, columns)] += photons * np.outer(up, along) / (2 * math.pi * SPOT**2)
