"""Bars: what we hold ourselves to (issue 3, "Speed and memory"), and the samples that it takes to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.job import Job, Measure

LIMIT = "limit_h5_1hz"
"""The yardstick: chunks collected in lists, a flush a second (:mod:`benchmarks.writers.limits`)."""
JOURNALED, DIRECT, INLINE = "journaled", "direct", "inline"


@dataclass(frozen=True)
class Sampling:
    """A set of samples that several bars look at."""

    measure: Measure
    workload: str
    n: int
    repeat: int
    quick_n: int
    quick_repeat: int = 3
    rate: float = 0.0
    against_limit: bool = False

    def jobs(self, contestants: Sequence[str], quick: bool) -> tuple[list[Job], int]:
        """A job a contestant, the yardstick last, and how often."""
        n, repeat = (self.quick_n, self.quick_repeat) if quick else (self.n, self.repeat)
        names = [*contestants, *([LIMIT] if self.against_limit else [])]
        # What interleaves within its own process repeats there.
        inside, outside = (repeat, 1) if self.measure == "re_cost" else (1, repeat)
        return [Job(self.measure, name, self.workload, n, self.rate, repeat=inside) for name in names], outside


SAMPLINGS = {
    "W1 at 1 kHz": Sampling("time", "W1", 20_000, 3, 3_000, 1, rate=1000.0),
    "W1": Sampling("time", "W1", 100_000, 5, 20_000, against_limit=True),
    "W1 short": Sampling("time", "W1", 1_000, 5, 1_000),
    "W1 memory": Sampling("memory", "W1", 100_000, 1, 20_000, 1),
    "W2": Sampling("time", "W2", 1_000_000, 3, 100_000, against_limit=True),
    "W3": Sampling("time", "W3", 1_000, 5, 500, against_limit=True),
    "W3 memory": Sampling("memory", "W3", 1_000, 1, 500, 1),
    "W4S": Sampling("time", "W4S", 100_000, 3, 10_000, against_limit=True),
    "W5": Sampling("time", "W5", 2_000, 5, 2_000, 1, against_limit=True),
    "W6": Sampling("time", "W6", 200, 3, 40, against_limit=True),
    "scan": Sampling("re_cost", "scan1", 1_000, 3, 200),
}


@dataclass(frozen=True)
class Bar:
    """One figure and what it has to be."""

    what: str
    writer: str
    """Which of ours: ``journaled`` or ``direct``."""
    sampling: str
    figure: str
    """Name of the figure in the result; its ending is the unit."""
    at_most: float | None = None
    at_most_limits: float | None = None
    """As a multiple of the yardstick's."""
    at_least_limits: float | None = None

    @property
    def unit(self) -> str:
        """Unit of the figure, from its name."""
        return UNITS[self.figure]

    @property
    def text(self) -> str:
        """The bar in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}"
        if self.at_most_limits is not None:
            return f"≤ {self.at_most_limits:g} × limit"
        return f"≥ {self.at_least_limits:g} × limit"

    def met(self, number: float, ratio: float | None) -> bool:
        """Whether a figure, and its ratio to the yardstick's, do."""
        if self.at_most is not None:
            return number <= self.at_most
        if ratio is None:
            return False
        if self.at_most_limits is not None:
            return ratio <= self.at_most_limits
        return self.at_least_limits is not None and ratio >= self.at_least_limits


UNITS = {
    "p50_us": "µs", "p99_us": "µs", "max_ms": "ms", "cpu_us": "µs", "call_us": "µs", "per_n_us": "µs",
    "per_n_ms": "ms", "rate": "/s", "stop_call_ms": "ms", "wait_ms": "ms", "slope_B_per_n": "B", "grow_MB": "MB",
    "kb_per_n": "kB", "share_percent": "%",
}  # fmt: skip

NO_GROWTH = 5.0
"""B an event that count as none: what the slope of pages of 4 kB, looked at 50 times in 1e5 events, shows of noise."""

BARS = (
    Bar("W1 at 1 kHz, caller's thread, p50", JOURNALED, "W1 at 1 kHz", "p50_us", at_most=15),
    Bar("W1 at 1 kHz, caller's thread, p99", JOURNALED, "W1 at 1 kHz", "p99_us", at_most=100),
    Bar("W1 at 1 kHz, caller's thread, worst", JOURNALED, "W1 at 1 kHz", "max_ms", at_most=10),
    Bar("W1 at full speed, caller's thread, p50", JOURNALED, "W1", "p50_us", at_most=4),
    Bar("W1 at full speed, caller's thread, p99", JOURNALED, "W1", "p99_us", at_most=1000),
    Bar("W1 whole CPU an event", JOURNALED, "W1", "cpu_us", at_most_limits=3.5),
    Bar("W1 whole CPU an event", DIRECT, "W1", "cpu_us", at_most_limits=1.5),
    Bar("W1 events to the final file", JOURNALED, "W1", "rate", at_least_limits=0.2),
    Bar("W1 events to the final file", DIRECT, "W1", "rate", at_least_limits=0.2),
    Bar("stop in the caller's thread, W1 short", JOURNALED, "W1 short", "stop_call_ms", at_most=10),
    Bar("stop in the caller's thread, W1", JOURNALED, "W1", "stop_call_ms", at_most=10),
    Bar("stop in the caller's thread, W5", JOURNALED, "W5", "stop_call_ms", at_most=10),
    Bar("file final after stop, W1 at 1 kHz", JOURNALED, "W1 at 1 kHz", "wait_ms", at_most=1000),
    Bar("memory an event, W1", JOURNALED, "W1 memory", "slope_B_per_n", at_most=NO_GROWTH),
    Bar("memory an event, W1", DIRECT, "W1 memory", "slope_B_per_n", at_most=NO_GROWTH),
    Bar("memory growth, W3", JOURNALED, "W3 memory", "grow_MB", at_most=10),
    Bar("memory growth, W3", DIRECT, "W3 memory", "grow_MB", at_most=10),
    Bar("W2 pages, a row", DIRECT, "W2", "per_n_us", at_most_limits=1.5),
    Bar("W3 frames in events, a frame", DIRECT, "W3", "per_n_us", at_most_limits=1.3),
    Bar("W3 frames in events, a frame", JOURNALED, "W3", "per_n_us", at_most_limits=3),
    Bar("W4S a stream_datum, caller's thread", JOURNALED, "W4S", "call_us", at_most=4),
    Bar("W5 baseline, a signal", DIRECT, "W5", "per_n_us", at_most_limits=0.6),
    Bar("W6 a run of 20 rows", DIRECT, "W6", "per_n_ms", at_most=6),
    Bar("W6 a run of 20 rows", JOURNALED, "W6", "per_n_ms", at_most=9),
    Bar("W6 a file", DIRECT, "W6", "kb_per_n", at_most=40),
    Bar("share of the RunEngine's time, scan", JOURNALED, "scan", "share_percent", at_most=0.5),
)
