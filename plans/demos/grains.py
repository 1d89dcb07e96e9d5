"""Grains: which crystals made the spots of a rotation scan; their orientations and places, with nothing but the spots.

Cubic crystals of a known cell. This is a demonstration in a page; for real work there is ImageD11.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.scenes.crystal import Lattice, rotation
from plans.demos.rotation_data import Found, RotationData

FloatArray = NDArray[np.float64]
NEAR = 0.02
"""How far a vector may be from a point of the lattice, 1/Å: a grain 0.7 mm off the axis shifts them by 0.017."""
RINGS = (2, 4)
"""How many of the inner rings are tried in pairs of spots, and how many if that finds nothing."""
FEWEST = 12
"""Spots of which a grain is believed."""


@dataclass(frozen=True)
class Grain:
    """A crystal that was found."""

    orientation: FloatArray
    """U of Busing and Levy, (3, 3)."""
    position: FloatArray
    """Centre with all axes at 0, mm."""
    spots: NDArray[np.int_]
    """Numbers of its spots."""
    hkl: NDArray[np.int_]
    """Their indices, (spots, 3)."""


def find_grains(data: RotationData, found: Found, lattice: Lattice, most: int = 50) -> list[Grain]:
    """Grains, the one with most spots first; a spot belongs to one grain."""
    vectors = data.at_rest(data.scattering(found.row, found.column), found.omega)
    left = np.arange(len(vectors))
    grains: list[Grain] = []
    while len(left) >= FEWEST and len(grains) < most:
        for rings in RINGS:
            grain = _refined(data, found, lattice, _best(vectors[left], lattice, rings), left)
            if grain is not None:
                break
        else:
            break
        grains.append(grain)
        left = np.setdiff1d(left, grain.spots)
    return grains


def _best(vectors: FloatArray, lattice: Lattice, inner_rings: int) -> FloatArray:
    """The orientation on whose lattice most of the vectors lie.

    Each trial puts one spot of the inner rings on a reflection of its ring, and another on one that has the angle.
    """
    b = lattice.b_matrix()
    size = np.linalg.norm(vectors, axis=1)
    reflections = lattice.reflections(0.9 / float(size.max()))
    lengths = np.linalg.norm(reflections @ b.T, axis=1)
    rings = np.unique(lengths.round(5))[:inner_rings]
    ideal = [(reflections[np.abs(lengths - ring) < 1e-4] @ b.T) / ring for ring in rings]
    ring_of = np.abs(size[:, None] / rings - 1).argmin(axis=1)
    inner = np.flatnonzero(np.abs(size - rings[ring_of]) < NEAR)
    unit = vectors / size[:, None]
    trials = []
    for i, j in itertools.combinations(inner, 2):
        angle = np.arccos(np.clip(unit[i] @ unit[j], -1, 1))
        if not 0.2 < angle < np.pi - 0.2:
            continue
        # All reflections of a ring are alike: the first spot may take any one.
        first, others = ideal[ring_of[i]][0], ideal[ring_of[j]]
        fits = np.flatnonzero(np.abs(np.arccos(np.clip(others @ first, -1, 1)) - angle) < 0.02)
        trials += [_frame(unit[i], unit[j]) @ _frame(first, others[k]).T for k in fits]
    if not trials:
        return np.eye(3)
    # In the crystal's own frame, (trials, spots, 3).
    indices = np.einsum("tij,sj->tsi", np.linalg.inv(b) @ np.transpose(np.array(trials), (0, 2, 1)), vectors)
    return np.asarray(trials[int(_fitting(indices, lattice).sum(axis=1).argmax())])


def _frame(first: FloatArray, second: FloatArray) -> FloatArray:
    """Columns: three axes at right angles, the first along `first`, the second in the plane with `second`."""
    across = np.cross(first, second)
    across = across / np.linalg.norm(across)
    return np.column_stack([first, np.cross(across, first), across])


def _fitting(indices: FloatArray, lattice: Lattice) -> NDArray[np.bool_]:
    """Which vectors, by their indices, lie on a reflection that is there."""
    whole = np.rint(indices)
    off = np.linalg.norm((indices - whole) @ lattice.b_matrix().T, axis=-1) < NEAR
    present = lattice.present(whole.reshape(-1, 3).astype(int)).reshape(off.shape)
    return np.asarray(off & present & (np.abs(whole).sum(axis=-1) > 0))


def _refined(
    data: RotationData, found: Found, lattice: Lattice, orientation: FloatArray, left: NDArray[np.int_]
) -> Grain | None:
    """A grain of the spots that fit an orientation: place and orientation by least squares; None if they are few."""
    b = lattice.b_matrix()
    position = np.zeros(3)
    for _ in range(4):
        vectors = _seen_from(data, found, left, position)
        indices = vectors @ np.linalg.inv(orientation @ b).T
        good = _fitting(indices, lattice)
        if good.sum() < FEWEST:
            return None
        mine, hkl = left[good], np.rint(indices[good]).astype(int)
        position = _place(data, found, mine, np.linalg.norm(hkl @ b.T, axis=1))
        # The rotation that turns the ideal vectors into the measured ones (Kabsch, Acta Cryst. A32 (1976) 922).
        measured = _seen_from(data, found, mine, position)
        u, _, v = np.linalg.svd(measured.T @ (hkl @ b.T))
        orientation = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    return Grain(orientation, position, mine, hkl)


def _seen_from(data: RotationData, found: Found, which: NDArray[np.int_], position: FloatArray) -> FloatArray:
    """Scattering vectors at rest of some spots, if their grain is at `position`."""
    source = np.array([rotation(data.axis, angle) @ position for angle in found.omega[which]])
    vectors = data.scattering(found.row[which], found.column[which], source)
    return data.at_rest(vectors, found.omega[which])


def _place(data: RotationData, found: Found, which: NDArray[np.int_], lengths: FloatArray) -> FloatArray:
    """Where a grain must be for its vectors to have the lengths of its lattice, mm; its angle does not matter."""

    def misfit(position: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(_seen_from(data, found, which, position), axis=1) / lengths - 1)

    position, step = np.zeros(3), 0.01
    for _ in range(3):
        here = misfit(position)
        slope = np.stack([(misfit(position + step * axis) - here) / step for axis in np.eye(3)], axis=1)
        position = position - np.linalg.lstsq(slope, here, rcond=None)[0]
    return position


def misorientation(first: FloatArray, second: FloatArray) -> float:
    """Smallest turn between two orientations of a cubic crystal, deg."""
    between = first.T @ second
    turns = [np.trace(between @ each) for each in _cubic()]
    return float(np.rad2deg(np.arccos(np.clip((max(turns) - 1) / 2, -1, 1))))


def _cubic() -> list[FloatArray]:
    """The 24 rotations of a cube."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return found
