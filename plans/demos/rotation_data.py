"""Rotation data: frames and geometry of an NXmx entry, and the spots in them, with nothing but the file.

Geometry comes from the chains of ``depends_on`` alone. For real work there is DIALS; this is a demonstration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.optics import HC
from devices.scenes.crystal import rotation
from devices.scenes.materials import SILICON
from nexus_callbacks.units import conversion

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RotationData:
    """Frames of a turning crystal in NeXus's coordinates."""

    frames: NDArray[np.uint16]
    """(frames, rows, columns)."""
    omega: FloatArray
    """Angle of the scanned axis as each frame began, deg."""
    width: float
    """By how much it turned during each, deg."""
    axis: FloatArray
    """Direction of the scanned axis."""
    setting: FloatArray
    """Rotation by the axes that stand on it, (3, 3)."""
    wavelength: float
    """Å."""
    origin: FloatArray
    """Corner of the first pixel, as deep in the sensor as photons come on average, mm."""
    fast: FloatArray
    """From one pixel of a row to the next, mm."""
    slow: FloatArray
    """From one row to the next, mm."""

    def scattering(self, row: FloatArray, column: FloatArray, source: FloatArray | float = 0.0) -> FloatArray:
        """Scattering vectors in the laboratory for places on the detector (whole numbers being the middles), 1/Å.

        ``source`` is where the rays come from, mm, one place for each or the middle of the sample.
        """
        place = self.origin + np.multiply.outer(column + 0.5, self.fast) + np.multiply.outer(row + 0.5, self.slow)
        place = place - source
        outgoing = place / np.linalg.norm(place, axis=-1, keepdims=True)
        return (outgoing - np.array([0.0, 0.0, 1.0])) / self.wavelength

    def at_rest(self, vectors: FloatArray, angles: FloatArray) -> FloatArray:
        """Laboratory vectors, met with the scanned axis at `angles` (deg), as they lie with all axes at 0."""
        turned = [rotation(self.axis, -angle) @ vector for vector, angle in zip(vectors, angles, strict=True)]
        return np.array(turned) @ self.setting


@dataclass(frozen=True)
class Found:
    """Spots, one entry each."""

    row: FloatArray
    column: FloatArray
    omega: FloatArray
    """Middle of the turn in which it was seen, weighted by its photons, deg."""
    photons: FloatArray


def read_rotation_data(path: Path, entry: str = "entry") -> RotationData:
    """Read an NXmx entry.

    Raises
    ------
    KeyError
        Something that NXmx asks for is missing.
    """
    with h5py.File(path, "r") as file:
        sample, instrument = file[f"{entry}/sample"], file[f"{entry}/instrument"]
        detector = instrument["detector01"]
        module = detector["module"]
        chain = _chain(sample[_text(sample["depends_on"][()])])
        scanned = next(axis for axis in chain if axis.size > 1)
        setting = np.eye(3)
        for axis in chain[: chain.index(scanned)]:
            if _text(axis.attrs["transformation_type"]) == "rotation":
                setting = rotation(axis.attrs["vector"], _value(axis, "deg")) @ setting
        beam = instrument["beam/incident_wavelength"]
        offset = np.zeros(3)
        fast, slow = module["fast_pixel_direction"], module["slow_pixel_direction"]
        for axis in _chain(module[_text(fast.attrs["depends_on"])]):
            if _text(axis.attrs["transformation_type"]) != "translation":
                raise ValueError(f"{path.name}: a tilted detector ({axis.name}) is more than this demonstration reads")
            offset = offset + _value(axis, "mm") * axis.attrs["vector"]
        wavelength = _value(beam, "angstrom")
        if _text(detector["sensor_material"][()]) == SILICON.formula:
            absorption = SILICON.absorption(HC / wavelength)
            passed = absorption * _value(detector["sensor_thickness"], "mm")
            offset[2] += (1 - passed / np.expm1(passed)) / absorption
        return RotationData(
            frames=file[f"{entry}/data/data"][()],
            omega=np.asarray(scanned[()], dtype=float) * _factor(scanned, "deg"),
            width=float(scanned.parent[f"{scanned.name.rpartition('/')[2]}_increment_set"][()]),
            axis=np.asarray(scanned.attrs["vector"]),
            setting=setting,
            wavelength=wavelength,
            origin=offset,
            fast=_value(fast, "mm") * np.asarray(fast.attrs["vector"]),
            slow=_value(slow, "mm") * np.asarray(slow.attrs["vector"]),
        )


def _chain(axis: h5py.Dataset) -> list[h5py.Dataset]:
    """An axis and all on which it stands, down to the floor."""
    found = [axis]
    while (below := _text(found[-1].attrs["depends_on"])) != ".":
        found.append(found[-1].parent[below])
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _factor(dataset: h5py.Dataset, units: str) -> float:
    return float(conversion(str(dataset.attrs["units"]), units)(1.0))


def _value(dataset: h5py.Dataset, units: str) -> float:
    return float(np.ravel(dataset[()])[0]) * _factor(dataset, units)


def find_spots(data: RotationData, sigmas: float = 8.0, reach: int = 3) -> Found:
    """Spots that stand out of what is seen in most frames.

    A spot is the highest pixel within `reach`, in its frame and the ones beside it, and more than `sigmas` standard
    deviations above the background; its place is the centre of its photons.
    """
    background = np.median(data.frames, axis=0)
    excess = data.frames - background
    height = excess / np.sqrt(background + 1)
    high = np.argwhere(height > sigmas)
    high = high[np.argsort(-height[tuple(high.T)])]
    taken = np.zeros(data.frames.shape, dtype=bool)
    rows = []
    count, ny, nx = data.frames.shape
    for frame, y, x in high.tolist():
        if taken[frame, y, x]:
            continue
        box = (
            slice(max(frame - 2, 0), min(frame + 3, count)),
            slice(max(y - reach, 0), min(y + reach + 1, ny)),
            slice(max(x - reach, 0), min(x + reach + 1, nx)),
        )
        taken[box] = True
        photons = np.clip(excess[box] - np.sqrt(background[box[1:]]), 0, None)
        total = photons.sum()
        if (excess[box] > 3 * np.sqrt(background[box[1:]] + 1)).sum() < 4:
            continue  # A single high pixel is noise.
        grid = np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij")
        frame_at, row, column = (float((each * photons).sum() / total) for each in grid)
        rows.append((row, column, data.omega[0] + (frame_at + 0.5) * data.width, total))
    row, column, omega, strength = np.array(rows).reshape(-1, 4).T
    return Found(row, column, omega, strength)


def cell_of(ub: FloatArray) -> tuple[float, ...]:
    """a, b, c (Å), α, β, γ (deg) of a UB matrix in 1/Å without 2π."""
    axes = np.linalg.inv(ub)
    lengths = np.linalg.norm(axes, axis=1)
    pairs = ((1, 2), (0, 2), (0, 1))
    cosines = [axes[i] @ axes[j] / (lengths[i] * lengths[j]) for i, j in pairs]
    return (*map(float, lengths), *map(float, np.rad2deg(np.arccos(cosines))))
