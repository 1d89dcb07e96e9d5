"""Sampling: each sample a process and an empty folder of its own; contestants in turn; medians."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.job import PREFIX, Job, Result
from benchmarks.writers.peers import ASSETS

ROOT = Path(__file__).parents[1]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where samples are made."""

    home: Path | None = None
    """Parent of the samples' folders; None: the temporary directory."""
    timeout: float = 300.0
    """s after which a sample is given up."""

    @property
    def assets(self) -> Path:
        """Folder of the detector's files, kept between runs."""
        return (self.home or Path(tempfile.gettempdir())) / "nexus-callbacks-benchmarks"

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder, gone afterwards."""
        found = Path(tempfile.mkdtemp(prefix="bench-", dir=self.home))
        try:
            yield found
        finally:
            shutil.rmtree(found, ignore_errors=True)


def spawn(job: Job, folder: Path, assets: Path) -> subprocess.Popen[str]:
    """Start a sample; its files go to ``folder/out``, and what the writer keeps for itself to ``folder/state``."""
    out = folder / "out"
    out.mkdir()
    assets.mkdir(parents=True, exist_ok=True)
    job = replace(job, out=str(out), assets=str(assets))
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONWARNINGS": "ignore",
        "XDG_STATE_HOME": str(folder / "state"),  # Nobody's own spool.
        ASSETS: str(assets),
    }
    command = [sys.executable, "-m", "benchmarks.child", job.to_json()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def collect(process: subprocess.Popen[str], timeout: float) -> Result:
    """What a sample printed."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"error": f"no result after {timeout:.0f} s"}
    for line in out.splitlines():
        if line.startswith(PREFIX):
            found: Result = json.loads(line.removeprefix(PREFIX))
            return found
    return {"error": next((line[:160] for line in reversed(err.splitlines()) if line), "no result")}


def sample(job: Job, place: Place | None = None) -> Result:
    """Measure once."""
    place = place or Place()
    with place.folder() as folder:
        return collect(spawn(job, folder, place.assets), place.timeout)


def failed(result: Result) -> bool:
    """Whether there are no figures."""
    return "error" in result or "absent" in result


def median(results: list[Result]) -> Result:
    """Median of each figure over the samples that gave one; the first fault if none did."""
    good = [r for r in results if not failed(r)]
    if not good:
        return results[0]
    # Rows are as good as the worst sample's.
    return {k: (min if k == "rows_ok" else statistics.median)(float(r[k]) for r in good) for k in good[0]}


def compare(
    jobs: Iterable[Job], repeat: int, once: Callable[[Job], Result], tell: Tell = lambda message: None
) -> dict[str, Result]:
    """Contestant → medians. Contestants take turns, so that a change of the machine's load meets all of them.

    One that failed is not tried again.
    """
    jobs = list(jobs)
    samples: dict[str, list[Result]] = {job.contestant: [] for job in jobs}
    for _ in range(repeat):
        for job in jobs:
            of = samples[job.contestant]
            if not (of and failed(of[-1])):
                of.append(once(job))
                tell(f"  . {job.measure} {job.workload} n={job.n} {job.contestant}: {text(of[-1])}")
    return {contestant: median(of) for contestant, of in samples.items()}


def text(result: Result) -> str:
    """A result on a line."""
    if "error" in result:
        return f"ERROR {result['error']}"
    if "absent" in result:
        return f"absent: {result['absent']}"
    return "  ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in result.items())
