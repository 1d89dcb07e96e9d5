"""Demos: what the command ``nexus-callbacks demo`` can run.

Demos live beside the plans that they show and are found by the entry-point group ``nexus_callbacks.demos``, because
this package imports neither devices nor plans.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

GROUP = "nexus_callbacks.demos"

Progress = Callable[[int, int], None]
"""Called with the number of points done and of all points."""


class Acquired(Protocol):
    """What a demo's scan has written."""

    technique: str
    dataset_file: Path
    master_file: Path | None
    """None if the profile wants no master file."""
    raw_files: tuple[Path, ...]


class Demo(Protocol):
    """A scan on a simulated beamline, and a look at its file."""

    title: str

    def run(self, directory: Path, profile: Path | None, seed: int, progress: Progress) -> Acquired:
        """Scan and write into a directory.

        Raises
        ------
        FaultError
            The profile is faulty or the directory cannot be written; nothing was scanned.
        """

    def picture(self, acquired: Acquired, picture: Path) -> list[str]:
        """Analyse the written file, draw it, and say in a line each what was found."""


def names() -> list[str]:
    """Names of the demos that are installed."""
    return sorted(point.name for point in entry_points(group=GROUP))


def load(name: str) -> Demo:
    """A demo by its name.

    Raises
    ------
    KeyError
        No demo of that name is installed.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            return cast(Demo, point.load())
    raise KeyError(name)
