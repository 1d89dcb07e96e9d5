"""Holo-tomography of a grain of carbon and aluminium at a simulated ID16A: four planes, phase, a slice."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from devices.beamlines.id16a import light_grain, simulated_id16a
from devices.scenes.holography import Refractor
from plans.demos.acquire import acquire
from plans.demos.canvas import new_figure
from plans.demos.demo import Demo, DemoResult, Progress
from plans.demos.phase import Retrieval, retrieve_phase
from plans.demos.reconstruction import Absorption, FloatArray, Transmission, read_transmission, reconstruct
from plans.holotomo import holotomo_scan

METADATA = {
    "proposal": "ma2210",
    "beamline": "id16a",
    "sample": "Al_C_grain",
    "dataset": "150nm_holo",
    "Sample_description": "grain of glassy carbon with inclusions of aluminium and with pores",
    "Sample_chemical_formula": "C Al",
    "Sample_support": "tip of a needle",
    "Sample_situation": "vacuum",
    "Sample_temperature_env": "room temperature",
}
"""What a session at the beamline sets in ``RE.md``."""

PLANES = 4
RETRIEVAL = Retrieval(delta_beta=2000)
"""Carbon's δ/β at 17 keV."""


def run(directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
    """Scan the sample in four planes and write them below `directory`, all in one dataset file.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; nothing was scanned.
    """
    clock = itertools.count(0.0, 0.02).__next__
    return acquire(
        "holotomo",
        partial(simulated_id16a, seed=seed, clock=clock, sample=light_grain),
        lambda beamline: holotomo_scan(beamline, projections=72, ref_on=72, darks=5, flats=8),
        directory=directory,
        profile=profile,
        metadata=METADATA,
        progress=progress,
        truth=attrgetter("phantom"),
        runs=PLANES,
    )


@dataclass(frozen=True)
class Holotomogram:
    """How phase and slice compare with what was simulated."""

    planes: int
    phase_correlation: float
    """Pearson's correlation of the retrieved phase of the first angle and the true one."""
    phase_slope: float
    """Retrieved over true phase by least squares; 1 if its values are right."""
    slice_correlation: float
    slice_slope: float

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"phase from {self.planes} planes of the NeXus file alone: correlation with the truth "
            f"{self.phase_correlation:.3f}, values {self.phase_slope:.2f} of the true ones",
            f"slice of the refraction: correlation {self.slice_correlation:.3f}, values {self.slice_slope:.2f}",
        ]


def read_planes(dataset_file: Path) -> list[Transmission]:
    """The planes of a dataset: as many entries as its group HOLO says, in the order in which they were taken."""
    with h5py.File(dataset_file, "r") as file:
        count = int(file["entry/HOLO/n"][()])
        names = [name for name in file if file[name].attrs.get("definition") == "NXtomo"][:count]
    return [read_transmission(dataset_file, name) for name in names]


def analyse(dataset_file: Path, picture: Path | None, truth: Refractor) -> Holotomogram:
    """Retrieve the phase of all angles and reconstruct a slice, from `dataset_file` alone."""
    planes = read_planes(dataset_file)
    phases = retrieve_phase(planes, RETRIEVAL)
    first = planes[0]
    rows, columns = phases.shape[1:]
    t = (np.arange(columns) - (columns - 1) / 2) * first.pixel
    z = ((rows - 1) / 2 - np.arange(rows)) * first.pixel
    true_phase = -truth.refracting.absorbed(float(first.angles[0]), t, z)
    row = rows // 2
    ahead = Absorption(-phases, first.angles, first.pixel)
    plane = reconstruct(ahead, np.array([row]), (columns - 1) / 2)[0]
    true_plane = truth.refracting.section(float(z[row]), first.pixel, columns)
    phase = _compared(phases[0], true_phase)
    section = _compared(plane, true_plane)
    if picture is not None:
        _draw(picture, planes, phases[0], plane, true_plane, section[0])
    return Holotomogram(len(planes), *phase, *section)


def _compared(found: FloatArray, true: FloatArray) -> tuple[float, float]:
    """Correlation, and the slope of the one over the other."""
    measured, expected = found.ravel(), true.ravel()
    slope = float(measured @ expected / (expected @ expected))
    return float(np.corrcoef(measured, expected)[0, 1]), slope


def _draw(
    path: Path, planes: list[Transmission], phase: FloatArray, plane: FloatArray, truth: FloatArray, correlation: float
) -> None:
    """Write a PNG: one angle in each plane, its phase, a slice and the true one."""
    figure = new_figure(14, 8)
    above, below = figure.subfigures(2, 1)

    def show(axes: Any, picture: FloatArray, pixel: float, title: str, **how: Any) -> Any:
        half = picture.shape[0] * pixel * 1e3 / 2
        axes.set(title=title, xlabel="μm")
        return axes.imshow(picture, extent=(-half, half, -half, half), **how)

    shown = None
    upper = above.subplots(1, len(planes))
    for i, (axes, each) in enumerate(zip(upper, planes, strict=True)):
        title = f"plane {i + 1}: D = {each.propagation:.1f} mm, {each.pixel * 1e6:.0f} nm"
        shown = show(axes, each.values[0], each.pixel, title, cmap="gray", vmin=0.7, vmax=1.25)
    above.colorbar(shown, ax=upper, label="intensity", shrink=0.8)
    pixel = planes[0].pixel
    left, middle, right = below.subplots(1, 3)
    below.colorbar(show(left, phase, pixel, "retrieved phase"), ax=left, label="rad", shrink=0.8)
    scale = {"cmap": "inferno", "vmin": 0, "vmax": float(truth.max()), "origin": "lower"}
    show(middle, plane, pixel, "slice of the refraction", **scale)
    shown = show(right, truth, pixel, "the same slice as simulated", **scale)
    below.colorbar(shown, ax=[middle, right], label="2πδ/λ (rad/mm)", shrink=0.8)
    figure.suptitle(f"Phase from {len(planes)} planes of one NeXus file: slice's correlation {correlation:.3f}")
    figure.savefig(path)


DEMO = Demo(
    technique="holotomo",
    title="Holo-tomography of a grain of carbon and aluminium at a simulated ID16A, in four planes",
    run=run,
    analyse=analyse,
)
