"""Powder diffraction of lanthanum hexaboride at a simulated ID22."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.beamlines.id22 import simulated_id22
from devices.scenes.powder import LanthanumHexaboride
from plans.demos.acquire import Experiment
from plans.demos.canvas import canvas
from plans.demos.demo import Demo
from plans.powder import powder_scan

FloatArray = NDArray[np.float64]

METADATA = {
    "proposal": "ch4212",
    "beamline": "id22",
    "sample": "LaB6_SRM660c",
    "dataset": "pattern",
    "Sample_description": "powder of lanthanum hexaboride, a standard of line positions",
    "Sample_chemical_formula": "B6 La",
    "Sample_support": "glass capillary",
    "Sample_situation": "air",
    "Sample_temperature_env": "gas stream at 295.65 K",
}
"""What a session at the beamline sets in ``RE.md``."""


@dataclass(frozen=True)
class Indexed:
    """The lines that were found, as those of a primitive cubic lattice."""

    angles: FloatArray
    """Two theta of each line, deg."""
    indices: NDArray[np.int_]
    """h² + k² + l² of each."""
    lattice: float
    """Lattice parameter, Å, the mean over all lines."""
    scatter: float
    """Standard deviation of the lattice parameter from line to line, Å."""
    true_lattice: float
    """Å."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"{len(self.angles)} lines from {self.angles[0]:.3f}° to {self.angles[-1]:.3f}°, all of a cubic lattice: "
            f"h² + k² + l² = {', '.join(map(str, self.indices))}",
            f"lattice parameter {self.lattice:.5f} Å ± {self.scatter:.5f} Å from line to line, "
            f"simulated {self.true_lattice:.6f} Å",
        ]


def peaks(counts: FloatArray, above: float = 12.0) -> list[tuple[int, int]]:
    """Stretches of the pattern that stand above their surroundings by `above` standard deviations.

    The background at a point is the median of the 301 around it; a stretch goes on down to half of that height.
    """
    half = 150
    padded = np.pad(counts, half, mode="reflect")
    background = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    height = (counts - background) / np.sqrt(np.maximum(background, 1))
    marks = np.flatnonzero(np.diff(np.concatenate([[False], height > above / 2, [False]]).astype(int)))
    stretches = [(int(first), int(last)) for first, last in zip(marks[::2], marks[1::2], strict=True)]
    return [(first, last) for first, last in stretches if height[first:last].max() > above and last - first > 2]


def index(angles: FloatArray, counts: FloatArray, wavelength: float, true_lattice: float) -> Indexed:
    """Find the lines of a pattern, number them and work out the lattice parameter.

    Raises
    ------
    ValueError
        There are fewer than three lines, or they are not those of a primitive cubic lattice.
    """
    found = []
    for first, last in peaks(counts):
        weights = counts[first:last] - min(counts[first], counts[last - 1])
        found.append(float((weights * angles[first:last]).sum() / weights.sum()))
    if len(found) < 3:
        raise ValueError(f"only {len(found)} lines stand out of the background")
    sines = np.sin(np.radians(np.array(found) / 2))
    ratios = (sines / sines[0]) ** 2
    indices = np.rint(ratios).astype(int)
    if np.abs(ratios - indices).max() > 0.05:
        raise ValueError(f"no primitive cubic lattice: sin² θ over that of the first line is {ratios.round(3)}")
    each = wavelength * np.sqrt(indices) / (2 * sines)
    return Indexed(np.array(found), indices, float(each.mean()), float(each.std(ddof=1)), true_lattice)


def analyse(dataset_file: Path, picture: Path | None, truth: LanthanumHexaboride) -> Indexed:
    """Index the pattern of `dataset_file` alone."""
    with h5py.File(dataset_file) as file:
        data, instrument = file["entry/data"], file["entry/instrument"]
        angles, counts = data["polar_angle"][()], data["data"][()].astype(float)
        monitor = file["entry/control/data"][()]
        wavelength = float(instrument["crystal/wavelength"][()])
    found = index(angles, counts * monitor.mean() / monitor, wavelength, truth.lattice)
    if picture is not None:
        _draw(picture, angles, counts, found)
    return found


def _draw(path: Path, angles: FloatArray, counts: FloatArray, found: Indexed) -> None:
    with canvas(path, 2, 1, width=11, height=7.5) as (figure, (above, below)):
        above.semilogy(angles, np.maximum(counts, 0.5), linewidth=0.8)
        for angle, number in zip(found.angles, found.indices, strict=True):
            above.annotate(f"{number}", (angle, counts.max() * 1.5), ha="center", fontsize=8)
            above.axvline(angle, ymax=0.03, color="tab:red")
        above.set(title="pattern, each line with its h² + k² + l²", xlabel="two theta (°)", ylabel="counts")
        above.set_ylim(top=counts.max() * 3)
        middle = found.angles[0]
        near = np.abs(angles - middle) < 0.15
        below.errorbar(angles[near], counts[near], np.sqrt(counts[near]), fmt=".", linewidth=0.8)
        below.axvline(middle, color="tab:red", linewidth=1)
        below.set(title=f"the first line, {middle:.4f}°", xlabel="two theta (°)", ylabel="counts")
        figure.suptitle(
            f"From the NeXus file alone: lattice parameter {found.lattice:.5f} Å, simulated {found.true_lattice:.6f} Å"
        )


DEMO = Demo(
    technique="xrpd",
    title="Powder diffraction of lanthanum hexaboride at a simulated ID22",
    run=Experiment("xrpd", simulated_id22, powder_scan, METADATA, attrgetter("powder")),
    analyse=analyse,
)
