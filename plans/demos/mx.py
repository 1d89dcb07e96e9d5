"""Rotation data of a crystal of lysozyme at a simulated ID30."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from devices.beamlines.id30 import simulated_id30
from devices.scenes.crystal import Crystal
from plans.demos.acquire import acquire
from plans.demos.canvas import canvas
from plans.demos.demo import Demo, DemoResult, Progress
from plans.demos.rotation_data import Found, RotationData, cell_of, find_spots, read_rotation_data
from plans.mx import rotation_scan

METADATA = {
    "proposal": "mx2415",
    "beamline": "id30",
    "sample": "lysozyme_x1",
    "dataset": "wedge",
    "Sample_description": "tetragonal crystal of hen egg-white lysozyme",
    "SampleProtein_acronym": "HEWL",
    "SampleProtein_name": "hen egg-white lysozyme",
    "SampleChanger_position": "3:7",
    "MX_positionName": "point-1",
}
"""What a session at the beamline sets in ``RE.md``."""
NEAR = 0.15
"""How far an index may be from a whole number and still count as one."""


def run(directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
    """Turn the crystal by 20° and write it below `directory`: detector's file, dataset file, master file.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; nothing was scanned.
    """
    # A clock that ticks by itself: the machine current, and with it the noise, is that of the seed alone.
    clock = itertools.count(0.0, 0.02).__next__
    return acquire(
        "mx",
        partial(simulated_id30, seed=seed, clock=clock),
        rotation_scan,
        directory=directory,
        profile=profile,
        metadata=METADATA,
        progress=progress,
        truth=attrgetter("truth"),
    )


@dataclass(frozen=True)
class Indexed:
    """What the spots in the frames say of the lattice."""

    spots: int
    """How many were found."""
    indexed: int
    """How many of them lie on points of the lattice that the file tells."""
    cell: tuple[float, ...]
    """The cell of the matrix that fits those best: a, b, c (Å), α, β, γ (deg)."""
    truth: tuple[float, ...]
    """The cell that was simulated."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        lengths = " ".join(f"{value:.2f}" for value in self.cell[:3])
        angles = " ".join(f"{value:.2f}" for value in self.cell[3:])
        true = " ".join(f"{value:g}" for value in self.truth)
        return [
            f"{self.spots} spots in the frames, {self.indexed} of them on whole indices of the file's UB matrix",
            f"cell fitted to them: {lengths} Å, {angles}° (simulated: {true})",
        ]


def analyse(dataset_file: Path, picture: Path | None, truth: Crystal) -> Indexed:
    """Find the spots, carry them back through the axes of the file, and fit the lattice."""
    data = read_rotation_data(dataset_file)
    with h5py.File(dataset_file, "r") as file:
        ub = np.asarray(file["entry/sample/diffractometer/ub_matrix"][()])
    found = find_spots(data)
    vectors = data.at_rest(data.scattering(found.row, found.column), found.omega)
    indices = vectors @ np.linalg.inv(ub).T
    good = np.all(np.abs(indices - np.rint(indices)) < NEAR, axis=1)
    # What the first and the last frames cut has its middle elsewhere.
    turned = found.omega - data.omega[0]
    whole = good & (turned > 2 * data.width) & (turned < (len(data.frames) - 2) * data.width)
    fitted = np.linalg.lstsq(np.rint(indices[whole]), vectors[whole], rcond=None)[0].T
    lattice = truth.lattice
    result = Indexed(len(indices), int(good.sum()), cell_of(fitted), (*lattice.lengths, *lattice.angles))
    if picture is not None:
        draw(picture, data, found, indices, result)
    return result


def draw(path: Path, data: RotationData, found: Found, indices: NDArray[np.float64], result: Indexed) -> None:
    """Write a PNG: all frames in one, a part of one frame, and the spots by their indices.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names the extra that brings it.
    """
    with canvas(path, 1, 3, width=13.5, height=5.6) as (figure, (left, middle, right)):
        count = len(data.frames)
        shown = left.imshow(np.sqrt(data.frames.max(axis=0)), cmap="gray_r", vmin=0, vmax=25)
        row, column = np.mgrid[: data.frames.shape[1] : 8, : data.frames.shape[2] : 8]
        spacing = 1 / np.linalg.norm(data.scattering(row.ravel().astype(float), column.ravel().astype(float)), axis=1)
        rings = left.contour(column, row, spacing.reshape(row.shape), levels=[4, 5, 7, 12], colors="tab:orange")
        left.clabel(rings, fmt="%g Å", fontsize=8)
        left.set(title=f"brightest of {count} frames, each pixel", xlabel="column", ylabel="row")
        figure.colorbar(shown, ax=left, label="√photons", shrink=0.7)

        frame = count // 2
        middle.imshow(np.sqrt(data.frames[frame]), cmap="gray_r", vmin=0, vmax=25)
        here = np.abs(found.omega - data.omega[frame] - data.width / 2) < data.width / 2
        middle.scatter(
            found.column[here], found.row[here], s=40, facecolors="none", edgecolors="tab:red", linewidths=0.8
        )
        middle.set(title=f"one frame, ω = {data.omega[frame]:.1f}°, and its spots", xlabel="column", ylabel="row")

        right.scatter(indices[:, 0], indices[:, 1], s=6, c=indices[:, 2], cmap="viridis")
        span = float(np.ceil(np.abs(indices[:, :2]).max()))
        ticks = np.arange(-span, span + 1)
        right.set_xticks(ticks, minor=True)
        right.set_yticks(ticks, minor=True)
        right.grid(which="minor", linewidth=0.3)
        right.set(title="spots carried back through the axes", xlabel="h", ylabel="k", aspect="equal")
        figure.suptitle("; ".join(result.findings), fontsize=9)


DEMO = Demo(
    technique="mx",
    title="Rotation data of a lysozyme crystal at a simulated ID30",
    run=run,
    analyse=analyse,
)
