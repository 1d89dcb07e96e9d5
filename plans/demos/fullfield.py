"""Full-field diffraction microscopy of a mosaic crystal at a simulated ID01."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.beamlines.id01 import simulated_id01
from devices.scenes.mosaic import Mosaic
from plans.demos.acquire import Experiment
from plans.demos.canvas import canvas
from plans.demos.demo import Demo
from plans.rocking import rocking_scan

FloatArray = NDArray[np.float64]

METADATA = {
    "proposal": "ma4313",
    "beamline": "id01",
    "sample": "LiF_mosaic",
    "dataset": "rocking",
    "Sample_description": "mosaic crystal of lithium fluoride, 001 surface",
    "Sample_chemical_formula": "F Li",
    "Sample_support": "goniometer head",
    "Sample_situation": "air",
    "Sample_temperature_env": "room temperature",
}
"""What a session at the beamline sets in ``RE.md``."""


@dataclass(frozen=True)
class Rocked:
    """What the rocking curves of all pixels say of the crystal."""

    tilt: FloatArray
    """Centre of mass of each pixel's rocking curve, mdeg from the mean of all."""
    true_tilt: FloatArray
    """mdeg from the mean of all."""
    summed: FloatArray
    """Counts of each pixel over the scan, without the camera's offset."""
    pixel: tuple[float, float]
    """On the crystal, across the beam and along its surface, μm."""

    @property
    def correlation(self) -> float:
        """Pearson's correlation of the map and the truth, −1 to 1."""
        return float(np.corrcoef(self.tilt.ravel(), self.true_tilt.ravel())[0, 1])

    @property
    def error(self) -> float:
        """Median of the difference to the truth, without its sign, mdeg."""
        return float(np.median(np.abs(self.tilt - self.true_tilt)))

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"map of tilts from the NeXus file alone: correlation with the crystal's {self.correlation:.3f}, "
            f"{self.error:.2f} mdeg off in the median",
            f"tilts from {self.tilt.min():.1f} to {self.tilt.max():.1f} mdeg, over "
            f"{self.tilt.shape[1] * self.pixel[0]:.0f} × {self.tilt.shape[0] * self.pixel[1]:.0f} μm of the crystal",
        ]


def analyse(dataset_file: Path, picture: Path | None, truth: Mosaic) -> Rocked:
    """Make the map of tilts of `dataset_file` alone, and compare it with the crystal."""
    with h5py.File(dataset_file) as file:
        entry = file["entry"]
        frames = entry["data/data"][()].astype(float)
        angles = entry["data/rotation_angle"][()]
        monitor = entry["control/data"][()]
        detector = entry["instrument/detector"]
        pixel = tuple(float(detector[f"{axis}_sample_pixel_size"][()]) * 1e6 for axis in "xy")
    # At the ends of the scan hardly any pixel reflects: what is left there is the camera's offset.
    offset = np.median(np.concatenate([frames[0].ravel(), frames[-1].ravel()]))
    counts = np.maximum(frames - offset, 0) * (monitor.mean() / np.maximum(monitor, 1))[:, None, None]
    # The noise of the dark frames far from a pixel's own curve would draw its centre to the middle.
    counts[counts < 0.1 * counts.max(axis=0)] = 0
    summed = counts.sum(axis=0)
    centre = np.tensordot(angles - angles.mean(), counts, axes=1) / np.maximum(summed, 1)
    found = Rocked(
        tilt=(centre - centre.mean()) * 1e3,
        true_tilt=(truth.tilt - truth.tilt.mean()) * 1e3,
        summed=summed,
        pixel=(pixel[0], pixel[1]),
    )
    if picture is not None:
        _draw(picture, frames, angles, found)
    return found


def _draw(path: Path, frames: NDArray[np.float64], angles: FloatArray, found: Rocked) -> None:
    rows, columns = found.tilt.shape
    extent = (0, columns * found.pixel[0], rows * found.pixel[1], 0)
    middle = len(angles) // 2
    with canvas(path, 2, 2, width=10.5, height=9) as (figure, ((first, curve), (left, right))):
        shown = first.imshow(frames[middle], cmap="gray", extent=extent, aspect="auto")
        first.set(title=f"a frame, at {angles[middle]:.4f}°", xlabel="across (μm)", ylabel="along (μm)")
        figure.colorbar(shown, ax=first, label="counts", shrink=0.85)
        curve.plot(angles, frames.mean(axis=(1, 2)) - frames[0].mean(), color="black", label="all pixels")
        for row, column in ((rows // 4, columns // 4), (rows // 2, columns // 2), (3 * rows // 4, 3 * columns // 4)):
            counts = frames[:, row, column] - frames[0].mean()
            curve.plot(angles, counts / 2, ".-", linewidth=0.8, label=f"pixel {row}, {column}, halved")
        curve.set(title="rocking curves", xlabel="angle of incidence (°)", ylabel="counts")
        curve.legend(fontsize=8)
        reach = float(np.abs(found.true_tilt).max())
        for axes, tilt, title in ((left, found.tilt, "tilt: centre of mass"), (right, found.true_tilt, "the crystal")):
            shown = axes.imshow(tilt, cmap="RdBu", vmin=-reach, vmax=reach, extent=extent, aspect="auto")
            axes.set(title=title, xlabel="across (μm)", ylabel="along (μm)")
            figure.colorbar(shown, ax=axes, label="tilt (mdeg)", shrink=0.85)
        figure.suptitle(f"From the NeXus file alone: correlation with the crystal's tilts {found.correlation:.3f}")


DEMO = Demo(
    technique="fullfield",
    title="Full-field diffraction microscopy of a mosaic crystal at a simulated ID01",
    run=Experiment("fullfield", simulated_id01, rocking_scan, METADATA, attrgetter("mosaic")),
    analyse=analyse,
)
