"""Reconstruction: filtered back-projection of an NXtomo file, with nothing but the file.

Parallel rays, angles spread evenly over a multiple of 180°. This is a demonstration in a page; for real work there is
nabu.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from nexus_callbacks.units import conversion

FloatArray = NDArray[np.float64]
PROJECTION, FLAT, DARK = 0, 1, 2
"""Values of ``image_key`` (NXtomo, NXDL v2026.01)."""


@dataclass(frozen=True)
class Absorption:
    """What the sample absorbed along each ray: flat-fielded projections."""

    values: FloatArray
    """Line integrals, a pure number, shape (projections, rows, columns)."""
    angles: FloatArray
    """rad, shape (projections,)."""
    pixel: float
    """Size of a pixel at the sample, mm."""


@dataclass(frozen=True)
class Transmission:
    """What passed the sample along each ray: flat-fielded projections, and where they were taken."""

    values: FloatArray
    """Projection over flat, a pure number, shape (projections, rows, columns)."""
    angles: FloatArray
    """rad, shape (projections,)."""
    pixel: float
    """Size of a pixel at the sample, mm."""
    propagation: float
    """Effective propagation distance, mm; 0 if the file does not say."""
    energy: float
    """keV; 0 if the file does not say."""


def read_absorption(path: Path, entry: str = "entry") -> Absorption:
    """Read an NXtomo entry and divide its projections by its flats.

    Raises
    ------
    ValueError
        The entry holds no projections, flats or darks.
    """
    read = read_transmission(path, entry)
    return Absorption(-np.log(np.maximum(read.values, 1e-4)), read.angles, read.pixel)


def read_transmission(path: Path, entry: str = "entry") -> Transmission:
    """Read an NXtomo entry and divide its projections by its flats.

    Flats that follow each other are averaged; between two such groups the flat is interpolated in the order of the
    frames, as the beam changes slowly.

    Raises
    ------
    ValueError
        The entry holds no projections, flats or darks.
    """
    with h5py.File(path, "r") as file:
        detector, sample = file[f"{entry}/instrument/detector"], file[f"{entry}/sample"]
        frames = detector["data"][()].astype(np.float64)
        key = np.asarray(detector["image_key"][()])
        angle = sample["rotation_angle"]
        angles = np.asarray(angle[()], dtype=float) * _factor(angle, "rad")
        pixel = _scalar(detector["x_pixel_size"], "mm")
        propagation = _scalar(sample.get("propagation_distance"), "mm")
        energy = _scalar(file.get(f"{entry}/instrument/beam/incident_energy"), "keV")
    counts = {name: int((key == code).sum()) for name, code in (("projections", 0), ("flats", 1), ("darks", 2))}
    if not all(counts.values()):
        raise ValueError(f"{path.name}: cannot be reconstructed from {counts}")

    dark = frames[key == DARK].mean(axis=0)
    where, flats = _flat_groups(frames, key)
    projections = np.flatnonzero(key == PROJECTION)
    values = np.empty((projections.size, *frames.shape[1:]))
    for i, index in enumerate(projections):
        after = int(np.clip(np.searchsorted(where, index), 1, max(len(where) - 1, 1)))
        before = after - 1
        if len(where) == 1:
            flat = flats[0]
        else:
            share = np.clip((index - where[before]) / (where[after] - where[before]), 0, 1)
            flat = (1 - share) * flats[before] + share * flats[after]
        values[i] = (frames[index] - dark) / np.maximum(flat - dark, 1.0)
    return Transmission(values, angles[projections], pixel, propagation, energy)


def _scalar(dataset: h5py.Dataset | None, units: str) -> float:
    """One number, or the first of several; 0 if there is none."""
    return 0.0 if dataset is None else float(np.asarray(dataset[()]).ravel()[0]) * _factor(dataset, units)


def _factor(dataset: h5py.Dataset, units: str) -> float:
    return float(conversion(str(dataset.attrs["units"]), units)(1.0))


def _flat_groups(frames: FloatArray, key: NDArray[np.int_]) -> tuple[FloatArray, list[FloatArray]]:
    """The middle of each group of consecutive flats, by frame number, and its mean."""
    flats = np.flatnonzero(key == FLAT)
    groups = np.split(flats, np.flatnonzero(np.diff(flats) > 1) + 1)
    return np.array([g.mean() for g in groups]), [frames[g].mean(axis=0) for g in groups]


def rotation_axis(absorption: Absorption) -> float:
    """Column of the rotation axis, counted from 0.

    The centre of mass of each projection goes round on a sine about the axis, whatever the sample.
    """
    columns = np.arange(absorption.values.shape[2])
    profile = absorption.values.sum(axis=1)
    centre = (profile * columns).sum(axis=1) / profile.sum(axis=1)
    terms = np.stack([np.ones_like(centre), np.cos(absorption.angles), np.sin(absorption.angles)], axis=1)
    return float(np.linalg.lstsq(terms, centre, rcond=None)[0][0])


def reconstruct(absorption: Absorption, rows: NDArray[np.int_], axis: float) -> FloatArray:
    """Absorption coefficient in the planes of some detector rows, 1/mm, shape (rows, size, size) as [row, y, x].

    The middle of each plane is the rotation axis, at column `axis` of the projections.
    """
    sinograms = _filtered(absorption.values[:, rows, :], absorption.pixel)
    turns, planes, size = sinograms.shape
    edge = np.arange(size) - (size - 1) / 2
    x, y = edge[None, :], edge[:, None]
    image = np.zeros((planes, size, size))
    for sinogram, angle in zip(sinograms, absorption.angles, strict=True):
        place = axis + x * np.cos(angle) + y * np.sin(angle)
        left = np.clip(np.floor(place).astype(int), 0, size - 2)
        share = place - left
        inside = (place >= 0) & (place <= size - 1)
        image += inside * ((1 - share) * sinogram[:, left] + share * sinogram[:, left + 1])
    return image * (np.pi / turns)


def _filtered(values: FloatArray, pixel: float) -> FloatArray:
    """Each row filtered by the ramp, as Kak and Slaney (1988), chapter 3.3, make it in real space; in 1/mm.

    The ramp is softened by a cosine, which halves the noise at no visible cost in sharpness.
    """
    size = values.shape[-1]
    length = 1 << (2 * size - 1).bit_length()
    n = np.minimum(np.arange(length), length - np.arange(length))
    ramp = np.zeros(length)
    ramp[0] = 0.25
    odd = n % 2 == 1
    ramp[odd] = -1 / (np.pi * n[odd]) ** 2
    response = np.fft.rfft(ramp).real * np.cos(np.pi * np.fft.rfftfreq(length))
    spectrum = np.fft.rfft(values, length, axis=-1) * response
    filtered: FloatArray = np.fft.irfft(spectrum, length, axis=-1)[..., :size] / pixel
    return filtered
