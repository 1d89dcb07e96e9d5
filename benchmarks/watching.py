"""Watching: what another process can read while a writer writes, and what is left when it is killed."""

from __future__ import annotations

import math
import signal
import statistics
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import readers
from benchmarks.job import Job, Result
from benchmarks.progress import Progress
from benchmarks.sampling import Place, spawn

POLL = 0.05
"""s between two looks at the files."""


def kill(job: Job, place: Place) -> Result:
    """kill -9 once half of the events were handed in, then count the rows that can be read."""
    with place.folder() as folder, Progress(folder / "progress") as progress:
        process = spawn(replace(job, measure="feed", progress=str(folder / "progress")), folder, place.assets)
        end = time.monotonic() + place.timeout
        while progress.events < job.n // 2 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.0002)
        late = progress.events >= job.n
        process.send_signal(signal.SIGKILL)
        process.communicate()
        handed_in = progress.events
        if not handed_in:
            return {"error": "no event was taken"}
        rows, _ = readers.rows(folder / "out")
        by_swmr = rows or readers.rows(folder / "out", swmr=True)[0]
    found: Result = {
        "handed_in": handed_in,
        "readable": rows,
        "readable_swmr": by_swmr,
        "lost": handed_in - max(rows, by_swmr),
        "fraction": max(rows, by_swmr) / handed_in,
    }
    return {**found, "late": 1} if late else found


def live(job: Job, place: Place, swmr: bool = False) -> Result:
    """A reader in this process looks 20 times a second while events come at ``job.rate``.

    ``first_readable_s``: from the first document until a row can be read; ``lag_rows``: rows that were handed in but
    could not be read yet, typical and at worst; ``polls_error``: looks at which a file could not be read at all.
    """
    first, lags, errors, polls = math.nan, [], 0, 0
    with place.folder() as folder, Progress(folder / "progress") as progress:
        process = spawn(replace(job, measure="feed", progress=str(folder / "progress")), folder, place.assets)
        out: Path = folder / "out"
        while process.poll() is None:
            handed_in, begun, ended = progress.events, progress.begun, progress.ended
            if handed_in and not ended:
                rows, trouble = readers.rows(out, swmr=swmr)
                polls += 1
                errors += bool(trouble)
                if rows:
                    first = time.time() - begun if math.isnan(first) else first
                    lags.append(handed_in - rows)
            time.sleep(POLL)
        process.communicate()
        final, _ = readers.rows(out)
    return {
        "rate": job.rate,
        "first_readable_s": first,
        "lag_rows": float(statistics.median(lags)) if lags else math.nan,
        "lag_rows_max": float(max(lags, default=0)) if lags else math.nan,
        "polls": polls,
        "polls_readable": len(lags),
        "polls_error": errors,
        "final_rows": final,
    }
