"""re_cost: what the RunEngine itself costs an event, and what share of a scan's time a callback takes.

Plans run with no callback, with one that does nothing and with the contestant in turn, in one process.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd.sim import NullStatus, SynAxis, SynGauss, SynSignal

from benchmarks import writers
from benchmarks.job import Job, Result

COLUMNS = [f"c{j}" for j in range(10)]
T0 = 1.7e9
Plan = Callable[[], Any]


class Flyer:
    """Gives ``n`` rows of ten columns when they are collected: one event page."""

    name = "fly"
    parent = None

    def __init__(self, n: int) -> None:
        self.n = n

    def kickoff(self) -> NullStatus:
        """At once."""
        return NullStatus()

    def complete(self) -> NullStatus:
        """At once."""
        return NullStatus()

    def describe_collect(self) -> dict[str, Any]:
        """Ten numbers."""
        return {"primary": {c: {"source": "SIM", "dtype": "number", "shape": []} for c in COLUMNS}}

    def collect(self) -> Iterator[dict[str, Any]]:
        """The rows."""
        for i in range(self.n):
            data = {c: i + 0.5 for c in COLUMNS}  # noqa: C420  # as a device would make it
            yield {"time": T0 + i, "timestamps": dict.fromkeys(COLUMNS, T0), "data": data}

    def read_configuration(self) -> dict[str, Any]:
        """None."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """None."""
        return {}


def plans(n: int) -> dict[str, Plan]:
    """Plans of ``n`` points: one motor and one detector; a motor and nine; no motor; a flyer."""
    motor = SynAxis(name="m")
    detector = SynGauss("det", motor, "m", center=0, Imax=1, sigma=1)
    many = [SynSignal(func=lambda i=i: i + 0.5, name=f"s{i}") for i in range(9)]
    flyer = Flyer(n)

    @bpp.run_decorator()
    def fly() -> Iterator[Any]:
        yield from bps.kickoff(flyer, wait=True)
        yield from bps.complete(flyer, wait=True)
        yield from bps.collect(flyer)

    return {
        "scan1": lambda: bp.scan([detector], motor, -1, 1, n),
        "scan10": lambda: bp.scan(many, motor, -1, 1, n),
        "count1": lambda: bp.count([detector], n),
        "fly": fly,
    }


class _Timed:
    """A callback, and the time spent in it."""

    def __init__(self, feed: writers.Feed) -> None:
        self.feed = feed
        self.spent = 0.0

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        begun = time.perf_counter()
        self.feed(name, document)
        self.spent += time.perf_counter() - begun


def _run(engine: RunEngine, plan: Plan, factory: writers.Factory | None, home: Path) -> tuple[float, float]:
    """Time of a run and time spent in the callback, in s."""
    folder = Path(tempfile.mkdtemp(dir=home))
    callback = _Timed(factory(folder)) if factory else None
    token = engine.subscribe(callback) if callback else None
    begun = time.perf_counter()
    engine(plan())
    whole = time.perf_counter() - begun
    if callback:
        engine.unsubscribe(token)
        writers.wait(callback.feed)
        writers.close(callback.feed)
    shutil.rmtree(folder, ignore_errors=True)
    return whole, callback.spent if callback else 0.0


def measure(job: Job) -> Result:
    """Cost of a plan's event, and the contestant's share of it, as medians."""
    engine = RunEngine({}, context_managers=[])
    plan = plans(job.n)[job.workload]
    factories = {"none": None, "noop": writers.load("noop"), "its": writers.load(job.contestant)}
    home = Path(job.out)
    _run(engine, plan, factories["its"], home)
    samples: dict[str, list[tuple[float, float]]] = {kind: [] for kind in factories}
    for _ in range(job.repeat):
        for kind, factory in factories.items():
            samples[kind].append(_run(engine, plan, factory, home))
    whole, spent = ({k: statistics.median(x[i] for x in v) for k, v in samples.items()} for i in (0, 1))
    return {
        "none_us": 1e6 * whole["none"] / job.n,
        "noop_us": 1e6 * whole["noop"] / job.n,
        "wall_us": 1e6 * whole["its"] / job.n,
        "callback_us": 1e6 * spent["its"] / job.n,
        "share_percent": 100 * spent["its"] / whole["its"],
    }
