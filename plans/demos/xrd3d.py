"""3-D X-ray diffraction of a few grains of iron at a simulated ID11."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np

from devices.beamlines.id11 import IRON, body_centred, simulated_id11
from devices.scenes.crystal import Crystal, Lattice
from plans.demos.acquire import acquire
from plans.demos.canvas import canvas
from plans.demos.demo import Demo, DemoResult, Progress
from plans.demos.grains import Grain, find_grains, misorientation
from plans.demos.rotation_data import Found, RotationData, find_spots, read_rotation_data
from plans.mx import rotation_scan

METADATA = {
    "proposal": "ma2311",
    "beamline": "id11",
    "sample": "Fe_wire",
    "dataset": "farfield",
    "Sample_description": "a few grains of ferrite",
    "Sample_chemical_formula": "Fe",
    "unit_cell_abc": list(IRON.lengths),
    "unit_cell_alphabetagamma": list(IRON.angles),
    "space_group": "I m -3 m",
}
"""What a session at the beamline sets in ``RE.md``."""
FRAMES = 60


def run(directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
    """Turn the sample by 60° and write it below `directory`: detector's file, dataset file, master file.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; nothing was scanned.
    """
    # A clock that ticks by itself: the machine current, and with it the noise, is that of the seed alone.
    clock = itertools.count(0.0, 0.02).__next__
    return acquire(
        "xrd3d",
        partial(simulated_id11, seed=seed, clock=clock),
        partial(rotation_scan, frames=FRAMES, oscillation=1.0, technique="xrd3d"),
        directory=directory,
        profile=profile,
        metadata=METADATA,
        progress=progress,
        truth=attrgetter("truth"),
    )


@dataclass(frozen=True)
class Map:
    """The grains of the file beside those that were simulated."""

    spots: int
    """How many were found in the frames."""
    explained: int
    """How many of them belong to a grain."""
    grains: int
    met: int
    """How many of the simulated grains are among them."""
    simulated: int
    turned: float
    """By how much a grain's orientation is off at most, deg."""
    shifted: float
    """By how much a grain's place is off at most, mm."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"{self.spots} spots in the frames, {self.explained} of them belong to {self.grains} grains, "
            f"which are {self.met} of the {self.simulated} simulated",
            f"orientations within {self.turned:.2f}°, places within {self.shifted * 1e3:.0f} μm of the simulated ones",
        ]


def analyse(dataset_file: Path, picture: Path | None, truth: Sequence[Crystal]) -> Map:
    """Find spots and grains by the geometry and the cell that the file tells, and compare them with the truth."""
    data = read_rotation_data(dataset_file)
    with h5py.File(dataset_file, "r") as file:
        sample = file["entry/sample"]
        lengths, angles = (tuple(sample[f"unit_cell_{name}"][()].tolist()) for name in ("abc", "alphabetagamma"))
    lattice = Lattice(lengths, angles, body_centred)
    found = find_spots(data)
    grains = find_grains(data, found, lattice)
    # Each grain is compared with the simulated one that is turned most like it.
    pairs = [(grain, min(truth, key=lambda t: misorientation(grain.orientation, t.orientation))) for grain in grains]
    result = Map(
        spots=len(found.row),
        explained=sum(len(grain.spots) for grain in grains),
        grains=len(grains),
        met=len({id(true) for _, true in pairs}),
        simulated=len(truth),
        turned=max((misorientation(grain.orientation, true.orientation) for grain, true in pairs), default=180.0),
        shifted=max((float(np.linalg.norm(grain.position - true.position)) for grain, true in pairs), default=np.inf),
    )
    if picture is not None:
        draw(picture, data, found, lattice, grains, truth, result)
    return result


def draw(
    path: Path,
    data: RotationData,
    found: Found,
    lattice: Lattice,
    grains: Sequence[Grain],
    truth: Sequence[Crystal],
    result: Map,
) -> None:
    """Write a PNG: all frames in one with the rings of the lattice, the spots by grain, the grains' places.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message names the extra that brings it.
    """
    with canvas(path, 1, 3, width=14.5, height=5.4) as (figure, (left, middle, right)):
        shown = left.imshow(np.sqrt(data.frames.max(axis=0)), cmap="gray_r", vmin=0, vmax=25)
        figure.colorbar(shown, ax=left, label="√photons", shrink=0.7)
        row, column = np.mgrid[: data.frames.shape[1] : 8, : data.frames.shape[2] : 8]
        length = np.linalg.norm(data.scattering(row.ravel().astype(float), column.ravel().astype(float)), axis=1)
        rings = lattice.reflections(float(1 / length.max()))
        levels = sorted(set(np.linalg.norm(rings @ lattice.b_matrix().T, axis=1).round(5).tolist()))
        left.contour(column, row, length.reshape(row.shape), levels=levels, colors="tab:blue", linewidths=0.4)
        left.set(title=f"brightest of {len(data.frames)} frames, rings of the lattice", xlabel="column", ylabel="row")

        vectors = data.scattering(found.row, found.column)
        azimuth = np.rad2deg(np.arctan2(vectors[:, 1], vectors[:, 0]))
        alone = np.setdiff1d(
            np.arange(len(azimuth)), np.concatenate([[], *(grain.spots for grain in grains)]).astype(int)
        )
        middle.scatter(azimuth[alone], found.omega[alone], s=14, c="lightgray", label="no grain's")
        for number, grain in enumerate(grains):
            colour = f"C{number % 10}"
            middle.scatter(azimuth[grain.spots], found.omega[grain.spots], s=14, c=colour)
            right.scatter(grain.position[0], grain.position[2], s=8 * len(grain.spots), c=colour, alpha=0.5)
        middle.set(title="spots by their grain", xlabel="azimuth (°)", ylabel="diffrz (°)")
        right.plot(
            [t.position[0] for t in truth], [t.position[2] for t in truth], "k+", markersize=12, label="simulated"
        )
        right.set(title="grains from above", xlabel="x (mm)", ylabel="z, along the beam (mm)", aspect="equal")
        right.set(xlim=(-0.7, 0.7), ylim=(-0.7, 0.7))
        right.legend()
        figure.suptitle("; ".join(result.findings), fontsize=9)


DEMO = Demo(
    technique="xrd3d",
    title="3-D X-ray diffraction of grains of iron at a simulated ID11",
    run=run,
    analyse=analyse,
)
