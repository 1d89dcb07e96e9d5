"""Microbeam radiation therapy of a block of water at a simulated ID17: two arrays of microbeams that cross."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.beamlines.id17 import simulated_id17
from devices.quantity import Quantity
from plans.demos.acquire import Experiment
from plans.demos.demo import Demo
from plans.mrt import mrt_irradiation

METADATA = {
    "proposal": "md1234",
    "beamline": "id17",
    "sample": "water_block",
    "dataset": "crossfire",
    "Sample_description": "block of water of 12 mm with a radiochromic film in the plane of the beams",
    "Sample_situation": "air",
}
"""What a session at the beamline sets in ``RE.md``."""


@dataclass(frozen=True)
class Irradiation:
    """What the file tells of the dose."""

    planned: float
    """Dose in a microbeam where it enters, Gy, as planned."""
    entrance: float
    """The same as the film has it, Gy; of the first pixels, which lie a little deeper."""
    spacing: float
    """Centre to centre of the microbeams on the film, μm."""
    expected_spacing: float
    """The same as the collimator has it, μm."""
    peak_to_valley: float
    """Dose in the microbeams over the dose between them, where only one array passed."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"dose where the microbeams enter: {self.entrance:.0f} Gy of {self.planned:.0f} Gy planned",
            f"microbeams every {self.spacing:.0f} μm (collimator: {self.expected_spacing:.0f} μm), "
            f"peak to valley {self.peak_to_valley:.0f}",
        ]


def analyse(dataset_file: Path, picture: Path | None, truth: Quantity) -> Irradiation:
    """Read dose and plan from `dataset_file` alone, and draw them; `truth` gives the collimator's spacing only."""
    with h5py.File(dataset_file, "r", locking=False) as file:
        entry = file[file.attrs["default"]]
        dose, x, y = (entry["film"][name][()] for name in ("dose", "x", "y"))
        dose = dose[-1]
        mrt = entry["MRT"]
        planned, angle = mrt["dose"][()], entry["mrt/cross_angle"][()]
        monitor, z = (entry["irradiation"][name][()] for name in ("monitor", "z"))
    # At the edge where the first array enters, before the second array's field begins.
    outside = np.flatnonzero(np.abs(y) > 0.97 * np.abs(y).max())
    row = dose[outside[outside < len(y) / 2]].mean(axis=0)
    spacing = _period(row, float(x[1] - x[0]))
    middle = row[np.abs(x) < 3]
    found = Irradiation(
        planned=float(planned),
        entrance=float(np.percentile(middle, 99)),
        spacing=spacing * 1e3,
        expected_spacing=float(truth.get()),
        peak_to_valley=float(np.percentile(middle, 99) / np.percentile(middle, 25)),
    )
    if picture is not None:
        _draw(picture, dose, x, y, z, monitor, f"two arrays at {angle:.0f}°")
    return found


def _period(row: NDArray[np.float64], step: float) -> float:
    """The period of a comb, in the units of `step`, by the strongest line of its spectrum between 2 pixels and 2 mm."""
    spectrum = np.abs(np.fft.rfft(row - row.mean(), 16 * len(row)))
    frequencies = np.fft.rfftfreq(16 * len(row), step)
    able = frequencies > 0.5
    return float(1 / frequencies[able][np.argmax(spectrum[able])])


def _draw(
    path: Path,
    dose: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    monitor: NDArray[np.float64],
    title: str,
) -> None:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  it comes with an extra
    except ImportError as error:
        raise ImportError('the picture needs matplotlib: pip install "nexus-callbacks[demo]"') from error
    figure = Figure(figsize=(10.5, 8.4), dpi=100, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.6, 1))
    plane, cut, counts = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    extent = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
    shown = plane.imshow(dose, origin="lower", extent=extent, cmap="inferno")
    plane.set(title=f"dose on the film: {title}", xlabel="x (mm)", ylabel="y (mm)")
    figure.colorbar(shown, ax=plane, label="dose (Gy)", shrink=0.6)
    cut.plot(x, dose[1], color="tab:red", linewidth=0.9)
    cut.set(title=f"across the first array, y = {y[1]:.2f} mm", xlabel="x (mm)", ylabel="dose (Gy)")
    counts.plot(z, monitor, ".", markersize=3)
    counts.set(title="ion chamber 0-1, all passes", xlabel="height of the sample (mm)", ylabel="counts")
    figure.savefig(path)


DEMO = Demo(
    technique="mrt",
    title="Microbeam radiation therapy of a block of water at a simulated ID17",
    run=Experiment("mrt", simulated_id17, mrt_irradiation, METADATA, attrgetter("collimator.spacing")),
    analyse=analyse,
)
