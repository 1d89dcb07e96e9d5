"""Acquire: one plan on a simulated beamline, from a session's metadata to complete files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plans.demos.demo import DemoResult, Progress
from plans.profile_folders import profile_folder
from plans.session import open_session

Plan = Callable[[Any], Generator[Any, Any, Any]]
"""Makes the messages of a plan, given the beamline."""


def acquire(
    technique: str,
    make: Callable[[Callable[[], Path]], Any],
    plan: Plan,
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
        Makes the beamline, given what its detectors ask for their folder; it has ``baseline``, ``devices``, and
        ``files``, which its detectors have written so far.
    plan
        Its runs are one dataset, of as many points each.
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
    folder = profile or profile_folder(str(metadata["beamline"]))
    with open_session(make, metadata, profile=folder, data_root=Path(directory).absolute()) as session:
        session.RE.subscribe(_Counter(progress, runs))
        uid, *_ = session.RE(plan(session.beamline))
    return DemoResult(
        technique=technique,
        dataset_file=session.writer.files[uid],
        master_file=session.writer.masters.get(uid),
        raw_files=tuple(session.beamline.files),
        run=uid,
        truth=truth(session.beamline),
    )


@dataclass(frozen=True)
class Experiment:
    """A plan on a simulated beamline with its sample: a demo's ``run``.

    What the fields mean stands at :func:`acquire`.
    """

    technique: str
    make: Callable[..., Any]
    """Takes the ``seed`` and the ``clock``, too."""
    plan: Plan
    metadata: Mapping[str, Any]
    truth: Callable[[Any], Any]
    runs: int = 1
    tick: float = 0.02
    """Seconds from one look at the beamline's clock to the next."""

    def __call__(self, directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
        """Write everything below `directory`; the same seed gives the same data.

        Raises
        ------
        FaultError
            The profile is faulty or the directory cannot be written; nothing was scanned.
        """
        # A clock that ticks by itself: the machine current, and with it the noise, is that of the seed alone.
        clock = itertools.count(0.0, self.tick).__next__
        return acquire(
            self.technique,
            partial(self.make, seed=seed, clock=clock),
            self.plan,
            directory=directory,
            profile=profile,
            metadata=self.metadata,
            progress=progress,
            truth=self.truth,
            runs=self.runs,
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
