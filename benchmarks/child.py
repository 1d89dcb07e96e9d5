"""child: one sample, measured in this process. ``python -m benchmarks.child JOB``; the parent is sampling.py."""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import processes, readers, streams, writers
from benchmarks.job import PREFIX, Job, Result
from benchmarks.pieces import count_of
from benchmarks.progress import Progress

ROWS = ("event", "event_page", "datum", "stream_datum")
"""Documents of which there are many."""
START_UP = 2.0
"""s that a process of the writer's own gets to finish starting, which is not timed."""
POINTS = 50
"""Looks at the memory in a run."""


def warm(job: Job) -> None:
    """One tiny run elsewhere, so that lazy imports are not timed."""
    if job.cold:
        return
    folder = Path(tempfile.mkdtemp(dir=Path(job.out).parent))
    feed = writers.load(job.contestant)(folder)
    for name, document in streams.stream(job.workload, streams.WORKLOADS[job.workload].tiny, Path(job.assets)):
        feed(name, document)
    writers.wait(feed)
    writers.close(feed)
    shutil.rmtree(folder, ignore_errors=True)


def _contestant(job: Job) -> writers.Feed:
    feed = writers.load(job.contestant)(Path(job.out))
    writers.ready(feed)
    if processes.descendants():
        time.sleep(START_UP)
    return feed


class _Clock:
    """Time spent in a contestant, by kind of document."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.calls: list[float] = []
        """Time of each call that brought rows, in s."""

    def feed(self, feed: writers.Feed, documents: Iterable[tuple[str, Mapping[str, Any]]], rate: float) -> None:
        """Hand documents in, at full speed or at ``rate`` events a second."""
        clock = time.perf_counter
        spent, counts, calls = self.spent, self.counts, self.calls
        begun, rows = clock(), 0
        for name, document in documents:
            if rate and name in ROWS:
                rows += 1
                if (early := begun + rows / rate - clock()) > 0:
                    time.sleep(early)
            t = clock()
            feed(name, document)
            t = clock() - t
            spent[name] = spent.get(name, 0.0) + t
            counts[name] = counts.get(name, 0) + 1
            if name in ROWS:
                calls.append(t)

    def figures(self, n: int, waited: float) -> Result:
        """Per n, per run and per call."""
        calls = sorted(self.calls)
        rows = sum(calls)
        runs = max(1, self.counts.get("start", 1))
        return {
            "event_us": 1e6 * rows / n,
            "call_us": 1e6 * rows / len(calls),
            "p50_us": 1e6 * calls[len(calls) // 2],
            "p99_us": 1e6 * calls[int(len(calls) * 0.99)],
            "max_ms": 1e3 * calls[-1],
            "start_ms": 1e3 * (self.spent.get("start", 0) + self.spent.get("descriptor", 0)) / runs,
            "stop_call_ms": 1e3 * self.spent.get("stop", 0) / runs,
            "stop_ms": 1e3 * (self.spent.get("stop", 0) + waited) / runs,
            "wait_ms": 1e3 * waited / runs,
        }


def measure_time(job: Job) -> Result:
    """Time in the caller's thread, until the files are final, and CPU time of all processes."""
    documents = list(streams.stream(job.workload, job.n, Path(job.assets)))
    gc.collect()
    gc.freeze()  # The documents are not the contestant's garbage.
    warm(job)
    feed = _contestant(job)
    clock = _Clock()
    cpu, begun = processes.cpu(), time.perf_counter()
    clock.feed(feed, documents, job.rate)
    waiting = time.perf_counter()
    writers.wait(feed)
    ended = time.perf_counter()
    cpu = processes.cpu() - cpu
    writers.close(feed)
    total = ended - begun
    found: Result = {
        "total_s": total,
        "cpu_s": cpu,
        "cpu_us": 1e6 * cpu / job.n,
        "per_n_us": 1e6 * total / job.n,
        "per_n_ms": 1e3 * total / job.n,
        "rate": job.n / total,
        **clock.figures(job.n, ended - waiting),
        "mb": processes.size(Path(job.out)) / 2**20,
        "kb_per_n": processes.size(Path(job.out)) / 1000 / job.n,
    }
    if job.check and job.workload in ("W1", "W2"):
        found["rows_ok"] = readers.rows(Path(job.out))[0]
    return found


def measure_memory(job: Job) -> Result:
    """Growth of the resident memory; documents are made as they are taken, so what stays is the contestant's."""
    assets = Path(job.assets)
    for _ in streams.stream(job.workload, min(job.n, 50), assets):
        continue
    warm(job)
    feed = writers.load(job.contestant)(Path(job.out))
    gc.collect()
    before = processes.resident()
    points: list[tuple[int, float]] = []
    rows, due, after = 0, 0, before
    for name, document in streams.stream(job.workload, job.n, assets):
        feed(name, document)
        rows += count_of(name, document)
        if name in ROWS and rows >= due:
            points.append((rows, processes.resident()))
            due = rows + max(1, job.n // POINTS)
        if name == "stop":
            after = processes.resident()
    last = points[-1][1]
    writers.wait(feed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "slope_B_per_n": slope(points[len(points) // 5 :]) * 2**20,  # The first fifth fills caches.
        "grow_MB": last - before,
        "stop_grow_MB": after - last,
        "peak_growth_MB": peak - before,
    }


def slope(points: list[tuple[int, float]]) -> float:
    """Slope of the straight line through points, by least squares."""
    x0 = sum(x for x, _ in points) / len(points)
    y0 = sum(y for _, y in points) / len(points)
    spread = sum((x - x0) ** 2 for x, _ in points)
    return sum((x - x0) * (y - y0) for x, y in points) / spread if spread else 0.0


def feed_only(job: Job) -> Result:
    """Hand documents in and say how far it is, for a parent who reads meanwhile or kills this process."""
    documents = list(streams.stream(job.workload, job.n, Path(job.assets)))
    feed = writers.load(job.contestant)(Path(job.out))
    with Progress(Path(job.progress)) as progress:
        rows = 0
        begun = time.perf_counter()
        progress.begun = time.time()
        for name, document in documents:
            feed(name, document)
            if more := count_of(name, document):
                rows += more
                progress.events = rows
                if job.rate and (early := begun + rows / job.rate - time.perf_counter()) > 0:
                    time.sleep(early)
        progress.ended = time.time()
        writers.wait(feed)
        writers.close(feed)
    return {"events": rows}


def measure_re_cost(job: Job) -> Result:
    """Share of the RunEngine's time."""
    # Here, so that no other sample's process is as large as bluesky and ophyd make it.
    found: Result = import_module("benchmarks.re_cost").measure(job)
    return found


MEASURES: dict[str, Callable[[Job], Result]] = {
    "time": measure_time,
    "memory": measure_memory,
    "feed": feed_only,
    "re_cost": measure_re_cost,
}


def main() -> None:
    """Measure the job on the command line and print its result."""
    job = Job.from_json(sys.argv[1])
    try:
        found = MEASURES[job.measure](job)
    except writers.Absent as reason:
        found = {"absent": str(reason)}
    except Exception as error:  # Whatever a contestant raises is its result.
        found = {"error": f"{type(error).__name__}: {error}"[:160]}
    sys.stdout.write(f"{PREFIX}{json.dumps(found)}\n")
    sys.stdout.flush()
    os._exit(0)  # Some contestants leave threads or servers that an ordinary exit would wait for.


if __name__ == "__main__":
    main()
