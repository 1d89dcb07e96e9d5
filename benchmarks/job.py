"""Job: what one sample is to measure; given to the process that measures it as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Measure = Literal["time", "memory", "feed", "re_cost"]
Result = dict[str, float | str]
"""Name of a figure, which ends with its unit, → figure; or ``error`` or ``absent`` → why there is none."""
PREFIX = "RESULT "
"""Begins the line on which the process prints its result, as JSON."""


@dataclass(frozen=True)
class Job:
    """One contestant, one workload, one measure."""

    measure: Measure
    contestant: str
    """A bare name of :mod:`benchmarks.writers`, or ``module:factory``."""
    workload: str = "W1"
    """For ``re_cost`` the name of a plan."""
    n: int = 1000
    rate: float = 0.0
    """Events a second; 0: as fast as they are taken."""
    cold: bool = False
    """Without the tiny run beforehand that keeps lazy imports out of the figures."""
    check: bool = True
    """Read the rows back (W1 and W2)."""
    repeat: int = 3
    """For ``re_cost``, which interleaves within its process."""
    out: str = ""
    """Empty folder for the contestant's files."""
    assets: str = ""
    """Folder of the detector's files of W4."""
    progress: str = ""
    """For ``feed``: the file that says how far it is (:mod:`benchmarks.progress`)."""

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """From that line."""
        return cls(**json.loads(text))
