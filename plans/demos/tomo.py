"""Tomography of a grain of iron and gold at a simulated ID16A."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np

from devices.beamlines.id16a import simulated_id16a
from devices.scenes.phantom import Phantom
from plans.demos.acquire import Experiment
from plans.demos.demo import Demo
from plans.demos.picture import draw
from plans.demos.reconstruction import read_absorption, reconstruct, rotation_axis
from plans.tomo import tomo_scan

METADATA = {
    "proposal": "ma2210",
    "beamline": "id16a",
    "sample": "Fe_Au_350N_RT1",
    "dataset": "50nm_tomo1",
    "Sample_description": "grain of iron with inclusions of gold and with pores",
    "Sample_chemical_formula": "Fe Au",
    "Sample_support": "tip of a needle",
    "Sample_situation": "vacuum",
    "Sample_temperature_env": "room temperature",
}
"""What a session at the beamline sets in ``RE.md``."""

PLANES = 5
"""Planes that are reconstructed, spread over the middle half of the sample."""


@dataclass(frozen=True)
class Reconstruction:
    """How the reconstruction compares with what was scanned."""

    correlation: float
    """Pearson's correlation of result and truth, −1 to 1."""
    slope: float
    """Result over truth by least squares; 1 if the absolute values are right."""
    rotation_axis: float
    """Column of the rotation axis, counted from 0."""

    @property
    def findings(self) -> list[str]:
        """What was found, a line each."""
        return [
            f"reconstruction from the NeXus file alone: correlation with the phantom {self.correlation:.3f}",
            f"absolute values: {self.slope:.2f} of the phantom's; rotation axis at column {self.rotation_axis:.2f}",
        ]


def analyse(dataset_file: Path, picture: Path | None, truth: Phantom) -> Reconstruction:
    """Reconstruct some planes from `dataset_file` alone and compare them with the phantom.

    The sample stands in the middle of the field of view, as the demo's scan has it.
    """
    absorption = read_absorption(dataset_file)
    axis = rotation_axis(absorption)
    height, width = absorption.values.shape[1:]
    rows = np.linspace(0.25 * height, 0.75 * height, PLANES).round().astype(int)
    planes = reconstruct(absorption, rows, axis)
    heights = ((height - 1) / 2 - rows) * absorption.pixel
    true = np.stack([truth.section(z, absorption.pixel, width) for z in heights])

    edge = np.arange(width) - (width - 1) / 2
    seen = np.hypot(edge[None, :], edge[:, None]) < width / 2 - 1  # What every projection sees.
    measured, expected = planes[:, seen].ravel(), true[:, seen].ravel()
    correlation = float(np.corrcoef(measured, expected)[0, 1])
    slope = float(measured @ expected / (expected @ expected))
    if picture is not None:
        middle = PLANES // 2
        plane, other = planes[middle], true[middle]
        draw(picture, absorption, int(rows[middle]), reconstruction=plane, truth=other, correlation=correlation)
    return Reconstruction(correlation=correlation, slope=slope, rotation_axis=axis)


DEMO = Demo(
    technique="tomo",
    title="Tomography of a grain of iron and gold at a simulated ID16A",
    run=Experiment("tomo", simulated_id16a, tomo_scan, METADATA, attrgetter("phantom")),
    analyse=analyse,
)
