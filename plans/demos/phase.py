"""Phase: what a sample did to a wave, from holograms at several distances, by nothing but the file's numbers.

For a sample that absorbs little and shifts the phase smoothly, each spatial frequency f of the intensity at the
distance D is the phase's times 2 sin(πλDf²), and the absorption's times -2 cos(πλDf²) (Guigay 1977). The phase that
fits all planes best, in the sense of least squares, is that of Cloetens and others, Appl. Phys. Lett. 75, 2912 (1999).
Where no plane says anything, at the lowest frequencies, phase and absorption are taken as proportional. This is a
demonstration in a page; for real work there are ESRF's own programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plans.demos.reconstruction import FloatArray, Transmission

HC = 12.398419843320026e-7
"""Planck's constant times the speed of light, keV mm (exact in the SI of 2019)."""


@dataclass(frozen=True)
class Retrieval:
    """How to weigh what the planes say."""

    delta_beta: float
    """Refraction over absorption, δ/β, of what most of the sample consists of."""
    regularisation: float = 3e-4
    """What is added to the sum of the squared transfer functions, so that noise is not blown up where it is small."""


def retrieve_phase(planes: Sequence[Transmission], retrieval: Retrieval) -> FloatArray:
    """By how much the wave behind the sample is ahead, in rad, for each angle, with the pixels of the first plane.

    Parameters
    ----------
    planes
        The same angles in each, with the rotation axis in the middle; the first has the smallest pixels.

    Returns
    -------
    Shape (projections, rows, columns); negative, as a wave in matter runs ahead of its phase in vacuum.
    """
    first = planes[0]
    rows, columns = first.values.shape[1:]
    wide = (2 * rows, 2 * columns)
    transfers = [_transfer(plane, wide, first.pixel, retrieval) for plane in planes]
    below = 2 * sum(transfer**2 for transfer in transfers) + retrieval.regularisation
    onto = [_resampling(plane, size, first.pixel) for plane in planes for size in (rows, columns)]
    found = np.empty_like(first.values)
    for i in range(len(found)):
        above: NDArray[np.complex128] = np.zeros((wide[0], wide[1] // 2 + 1), dtype=complex)
        for plane, transfer, up, across in zip(planes, transfers, onto[::2], onto[1::2], strict=True):
            above += transfer * np.fft.rfft2(up @ (plane.values[i] - 1) @ across.T)
        phase = np.fft.irfft2(above / below, wide)
        found[i] = phase[rows // 2 : rows // 2 + rows, columns // 2 : columns // 2 + columns]
    return found


def _transfer(plane: Transmission, wide: tuple[int, int], pixel: float, retrieval: Retrieval) -> FloatArray:
    up, across = np.fft.fftfreq(wide[0], pixel), np.fft.rfftfreq(wide[1], pixel)
    argument = np.pi * HC / plane.energy * plane.propagation * (up[:, None] ** 2 + across[None, :] ** 2)
    transfer: FloatArray = np.sin(argument) + np.cos(argument) / retrieval.delta_beta
    return transfer


def _resampling(plane: Transmission, size: int, pixel: float) -> FloatArray:
    """Matrix that takes a plane's pixels onto those of the first one, and goes on with its edge beyond it.

    Cubic convolution (Keys 1981): straight lines between pixels would blur the fringes.
    """
    wanted = (np.arange(2 * size) - (2 * size - 1) / 2) * pixel / plane.pixel + (size - 1) / 2
    wanted = np.clip(wanted, 0, size - 1)
    distance = np.abs(wanted[:, None] - np.arange(-1, size + 1)[None, :])
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    # What would lie outside the picture is its edge.
    weights[:, 1] += weights[:, 0]
    weights[:, -2] += weights[:, -1]
    matrix: FloatArray = weights[:, 1:-1]
    return matrix
