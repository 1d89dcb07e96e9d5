"""Acquire: one plan on a simulated beamline, from a session's metadata to complete files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Protocol

from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.baseline import baseline_for
from devices.signals import signals_of
from devices.tango_server import TangoServer
from nexus_callbacks import NexusWriter
from plans.datasets import NumberedDatasets, experiment_folder, sample_folder
from plans.demos.demo import DemoResult, Progress
from plans.profile_folders import profile_folder


class Beamline(Protocol):
    """What a simulated beamline offers beside its devices."""

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""

    @property
    def files(self) -> list[Path]:
        """What its detectors have written so far."""


def acquire(
    technique: str,
    make: Callable[[Path], Any],
    plan: Callable[[Any], Generator[Any, Any, Any]],
    *,
    directory: Path,
    profile: Path | None,
    metadata: Mapping[str, Any],
    progress: Progress,
    truth: Callable[[Any], Any],
    runs: int = 1,
) -> DemoResult:
    """Make a beamline, run one plan on it and write everything below `directory`.

    Parameters
    ----------
    make
        Makes the beamline (a :class:`Beamline`), given the folder of its detectors' files.
    plan
        Makes the plan, given the beamline; its runs are one dataset, of as many points each.
    profile
        None takes the shipped profile that is called as ``metadata["beamline"]``.
    metadata
        What a session sets in ``RE.md``: proposal, beamline, sample, dataset …
    truth
        What the sample of a beamline is really made of.
    runs
        How many runs the plan opens.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; nothing was scanned.
    """
    directory = Path(directory).absolute()
    beamline = make(experiment_folder(directory)(metadata) / "detectors")
    folder = profile or profile_folder(str(metadata["beamline"]))
    # First of all: it tells every fault of the profile and its definitions.
    writer = NexusWriter(directory, profile=folder, signals=signals_of(*beamline.devices))
    engine = RunEngine(dict(metadata))
    # Some beamlines show signals in a control system, too: it is simulated as long as the scan lasts.
    with writer, TangoServer(getattr(beamline, "tango", {})) as server:
        control = baseline_for(folder, beamline.devices, hosts=server.hosts, strict=False)
        engine.preprocessors.append(SupplementalData(baseline=[*beamline.baseline, *control]))
        engine.preprocessors.append(NumberedDatasets(engine.md, sample_folder(directory)))
        engine.subscribe(writer)
        engine.subscribe(_Counter(progress, runs))
        uid, *_ = engine(plan(beamline))
    return DemoResult(
        technique=technique,
        dataset_file=writer.files[uid],
        master_file=writer.masters.get(uid),
        raw_files=tuple(beamline.files),
        run=uid,
        truth=truth(beamline),
    )


class _Counter:
    """Counts the events of the stream that the plan announced."""

    def __init__(self, progress: Progress, runs: int) -> None:
        self._progress = progress
        self._runs = runs
        self._total = self._done = 0
        self._primary: set[str] = set()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            self._total = doc["num_points"] * self._runs
        elif name == "descriptor" and doc["name"] == "primary":
            self._primary.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._primary:
            self._done += 1
            self._progress(self._done, self._total)
