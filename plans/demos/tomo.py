"""Tomography of a grain of iron and gold at a simulated ID16A."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.id16a import simulated_id16a
from devices.phantom import Phantom
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder
from plans.demos.demo import Analysis, Demo, DemoResult, Progress
from plans.demos.picture import draw
from plans.demos.reconstruction import read_absorption, reconstruct, rotation_axis
from plans.profile_folders import profile_folder
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


def run(directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
    """Scan the phantom and write it below `directory`: camera's file, dataset file, master file.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; nothing was scanned.
    """
    directory = Path(directory).absolute()
    experiment = experiment_folder(directory)(METADATA)
    # A clock that ticks by itself: the machine current, and with it the noise, is that of the seed alone.
    clock = itertools.count(0.0, 0.02).__next__
    beamline = simulated_id16a(experiment / "detectors", seed=seed, clock=clock)
    signals = signals_of(*beamline.devices)
    writer = NexusWriter(directory, profile=profile or profile_folder("id16a"), signals=signals)
    engine = RunEngine(dict(METADATA))
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    engine.preprocessors.append(NumberedDatasets(engine.md, sample_folder(directory)))
    engine.subscribe(writer)
    engine.subscribe(_Counter(progress))
    try:
        (uid,) = engine(tomo_scan(beamline))
    finally:
        writer.close()
    return DemoResult(
        technique="tomo",
        dataset_file=writer.files[uid],
        master_file=writer.masters.get(uid),
        raw_files=tuple(beamline.camera.files),
        run=uid,
        truth=beamline.phantom,
    )


class _Counter:
    """Counts the events of the stream that the plan announced."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._total = self._done = 0
        self._primary: set[str] = set()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            self._total, self._done = doc["num_points"], 0
        elif name == "descriptor" and doc["name"] == "primary":
            self._primary.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._primary:
            self._done += 1
            self._progress(self._done, self._total)


def analyse(dataset_file: Path, picture: Path | None, truth: Phantom) -> Analysis:
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
    return Analysis(correlation=correlation, slope=slope, rotation_axis=axis, picture=picture)


DEMO = Demo(
    technique="tomo",
    title="Tomography of a grain of iron and gold at a simulated ID16A",
    run=run,
    analyse=analyse,
)
