"""Demo: what every demo offers to the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Progress = Callable[[int, int], None]
"""Called with the events done and the events to come in all."""


@dataclass(frozen=True)
class DemoResult:
    """What an experiment left behind."""

    technique: str
    dataset_file: Path
    master_file: Path | None
    """None if the profile wants no master file."""
    raw_files: tuple[Path, ...]
    """Files that the detectors wrote."""
    run: str
    """Uid of the run, of several the first."""
    truth: Any
    """What the sample is really made of, for :meth:`Demo.analyse` to compare with."""


class Analysis(Protocol):
    """What was learned from the written file alone; each demo has its own, with its numbers as fields."""

    @property
    def findings(self) -> list[str]:
        """What was found, in words, a line each."""


class Run(Protocol):
    """Do the experiment."""

    def __call__(self, directory: Path, profile: Path | None, seed: int, progress: Progress) -> DemoResult:
        """Write everything below `directory`, with the demo's own profile if None is given.

        The same seed gives the same frames.
        """


class Analyse(Protocol):
    """Make a result of a dataset file."""

    def __call__(self, dataset_file: Path, picture: Path | None, truth: Any) -> Analysis:
        """Read `dataset_file` alone, and write the picture if a path is given; `truth` is only compared with."""


@dataclass(frozen=True)
class Demo:
    """One simulated experiment, as ``nexus_callbacks.demos.Demo`` wants it."""

    technique: str
    title: str
    run: Run
    analyse: Analyse

    def picture(self, acquired: DemoResult, picture: Path) -> list[str]:
        """Analyse the written file and draw it; what was found, a line each."""
        return self.analyse(acquired.dataset_file, picture, acquired.truth).findings
