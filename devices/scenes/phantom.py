"""Phantom: a sample made of ellipsoids, whose shadow and whose inside are both known exactly.

Lengths are in mm and absorption coefficients in 1/mm throughout. The sample's frame: *z* is the rotation axis, up;
*x* and *y* turn with the sample. Turned by θ and lit along the beam, the point (x, y, z) falls on the detector at
``t = x cos θ + y sin θ`` across and *z* up. The cone of rays of a nanofocus opens by less than 0.2 mrad over the
sample, so that the rays are taken as parallel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.scenes.materials import GOLD, IRON

GRID = 128
"""Voxels along each edge of the grid that the demo's sample fills."""


@dataclass(frozen=True)
class Ellipsoid:
    """One body; where bodies overlap their coefficients add, so that a pore has a negative one."""

    centre: tuple[float, float, float]
    axes: tuple[float, float, float]
    """Half axes, mm; the third lies along z."""
    angle: float
    """Rotation about z, rad."""
    absorption: float
    """Added linear absorption coefficient, 1/mm."""


@dataclass(frozen=True)
class Phantom:
    """Ellipsoids in a vacuum."""

    bodies: tuple[Ellipsoid, ...]

    def absorbed(self, angle: float, t: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Line integrals of the absorption coefficient: a pure number, shape (len(z), len(t)).

        Exact, from the length of a chord of an ellipsoid; no grid is involved.

        Parameters
        ----------
        angle
            Rotation of the sample, rad.
        t, z
            Where the rays pass, across and up, mm from the rotation axis and from the sample's middle.
        """
        total = np.zeros((z.size, t.size))
        for body in self.bodies:
            x0, y0, z0 = body.centre
            a, b, c = body.axes
            squeeze = 1 - ((z - z0) / c) ** 2
            rows = np.flatnonzero(squeeze > 0)
            if not rows.size:
                continue
            # Half width of the shadow of the section at z = z0, squared.
            width = (a * np.cos(angle - body.angle)) ** 2 + (b * np.sin(angle - body.angle)) ** 2
            off = t - (x0 * np.cos(angle) + y0 * np.sin(angle))
            inside = width * squeeze[rows, None] - off[None, :] ** 2
            total[rows] += body.absorption * (2 * a * b / width) * np.sqrt(np.maximum(inside, 0.0))
        return total

    def section(self, z: float, pixel: float, size: int = GRID, finer: int = 4) -> NDArray[np.float64]:
        """Absorption coefficient in the plane at height `z`, 1/mm, shape (size, size) as [y, x].

        The middle of the picture is the rotation axis. Each pixel is the mean of `finer` × `finer` points.
        """
        edge = (np.arange(size * finer) - (size * finer - 1) / 2) * pixel / finer
        x, y = edge[None, :], edge[:, None]
        fine = np.zeros((size * finer, size * finer))
        for body in self.bodies:
            x0, y0, z0 = body.centre
            a, b, c = body.axes
            squeeze = 1 - ((z - z0) / c) ** 2
            if squeeze <= 0:
                continue
            cos, sin = np.cos(body.angle), np.sin(body.angle)
            u = (x - x0) * cos + (y - y0) * sin
            v = -(x - x0) * sin + (y - y0) * cos
            fine += body.absorption * ((u / a) ** 2 + (v / b) ** 2 < squeeze)
        return fine.reshape(size, finer, size, finer).mean(axis=(1, 3))

    def volume(self, pixel: float, size: int = GRID) -> NDArray[np.float64]:
        """Absorption coefficient on a grid, 1/mm, shape (size, size, size) as [row, y, x]; row 0 is the top."""
        heights = ((size - 1) / 2 - np.arange(size)) * pixel
        return np.stack([self.section(z, pixel, size, finer=1) for z in heights])


def gold_in_iron(seed: int, width: float, energy: float = 17050.0, *, grains: int = 14, pores: int = 5) -> Phantom:
    """A grain of iron with inclusions of gold and with pores, as in the talk's samples ``Fe_Au_…``.

    Parameters
    ----------
    energy
        eV; the absorption coefficients follow it.

    The others are those of :func:`grain_with_inclusions`.
    """
    iron, gold = IRON.absorption(energy), GOLD.absorption(energy)
    return grain_with_inclusions(seed, width, iron, gold, grains=grains, pores=pores)


def grain_with_inclusions(
    seed: int, width: float, matrix: float, inclusion: float, *, grains: int = 14, pores: int = 5
) -> Phantom:
    """A grain with inclusions of something else, and with pores.

    Parameters
    ----------
    seed
        The same seed gives the same shapes.
    width
        Field of view, mm: edge of the grid. The sample stays within it at every angle.
    matrix, inclusion
        Coefficients of both, 1/mm.
    grains, pores
        How many; no two of them overlap.
    """
    rng = np.random.default_rng(seed)
    half = width / 2
    axes = (0.84 * half, 0.72 * half, 0.86 * half)
    bodies = [Ellipsoid((0.0, 0.0, 0.0), axes, float(rng.uniform(0, np.pi)), matrix)]
    tilt = bodies[0].angle
    placed: list[tuple[NDArray[np.float64], float]] = []
    while len(placed) < grains + pores:
        size = rng.uniform(0.06, 0.17, 3) * half
        reach = float(size.max())
        place = rng.uniform(-1, 1, 3) * half
        u = place[0] * np.cos(tilt) + place[1] * np.sin(tilt)
        v = -place[0] * np.sin(tilt) + place[1] * np.cos(tilt)
        # Wholly within the iron: the middle lies in an ellipsoid that is smaller by the inclusion's reach.
        if (u / (axes[0] - reach)) ** 2 + (v / (axes[1] - reach)) ** 2 + (place[2] / (axes[2] - reach)) ** 2 > 0.95:
            continue
        if any(np.linalg.norm(place - other) < reach + theirs for other, theirs in placed):
            continue
        extra = inclusion - matrix if len(placed) < grains else -matrix
        centre = (float(place[0]), float(place[1]), float(place[2]))
        bodies.append(
            Ellipsoid(centre, (float(size[0]), float(size[1]), float(size[2])), float(rng.uniform(0, np.pi)), extra)
        )
        placed.append((place, reach))
    return Phantom(tuple(bodies))
