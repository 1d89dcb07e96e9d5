"""Table: the bars beside today's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

from benchmarks.bars import BARS, INLINE, LIMIT, SAMPLINGS, Bar
from benchmarks.job import Job, Result
from benchmarks.sampling import Tell, compare, failed

NOT_THERE = "not there yet"
Results = Mapping[tuple[str, str], Result]
"""Name of a sampling and contestant → medians."""


@dataclass(frozen=True)
class Line:
    """A bar, and how far we are."""

    what: str
    writer: str
    """Which of ours the bar is for."""
    measured: str
    """Which of ours was measured."""
    bar: str
    today: float | None
    unit: str
    ratio: float | None
    """To the yardstick's figure of the same run."""
    verdict: str
    """``met``, ``not met``, ``not there yet``, or why there is no telling."""


def stand_in(writer: str, journal: bool) -> str:
    """Which of ours to measure for a bar of ``writer``: NexusWriter as it is while it has no choice of journal."""
    return writer if journal else INLINE


def measure(quick: bool, journal: bool, once: Callable[[Job], Result], tell: Tell) -> dict[tuple[str, str], Result]:
    """Take all samples that the bars need."""
    found: dict[tuple[str, str], Result] = {}
    for name, sampling in SAMPLINGS.items():
        writers = dict.fromkeys(stand_in(bar.writer, journal) for bar in BARS if bar.sampling == name)
        jobs, repeat = sampling.jobs(list(writers), quick)
        tell(f"{name}: n={jobs[0].n}, {repeat} × {len(jobs)} samples")
        for contestant, result in compare(jobs, repeat, once, tell).items():
            found[name, contestant] = {"n": jobs[0].n, **result}
    return found


def lines(results: Results, journal: bool) -> list[Line]:
    """The table, a line a bar."""
    return [_line(bar, results, journal) for bar in BARS]


def _line(bar: Bar, results: Results, journal: bool) -> Line:
    measured = stand_in(bar.writer, journal)
    result = results[bar.sampling, measured]
    today = None if failed(result) else float(result[bar.figure])
    limit = results.get((bar.sampling, LIMIT), {"absent": "no yardstick"})
    ratio = today / float(limit[bar.figure]) if today is not None and not failed(limit) and limit[bar.figure] else None
    if bar.writer != measured and bar.writer == "journaled":
        verdict = NOT_THERE
    elif today is None:
        verdict = str(result.get("error") or result.get("absent"))
    elif result.get("rows_ok", result["n"]) != result["n"]:
        verdict = f"wrong: {result['rows_ok']:.0f} of {result['n']} rows"
    else:
        verdict = "met" if bar.met(today, ratio) else "not met"
    return Line(bar.what, bar.writer, measured, bar.text, today, bar.unit, ratio, verdict)


HEADINGS = ("what", "of", "bar", "today", "× limit", "")


def text(table: Iterable[Line], journal: bool) -> str:
    """The table for people."""
    rows = [HEADINGS, *(_cells(line) for line in table)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    rule = ["-" * width for width in widths]
    right = (3, 4)
    found = []
    for row in (rows[0], rule, *rows[1:]):
        cells = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        found.append("  ".join(cells).rstrip())
    found.append("")
    if not journal:
        found.append(f"journaled: {NOT_THERE}, as NexusWriter takes no argument 'journal'. Numbers are those of")
        found.append("NexusWriter as it is (inline), which the bars of direct are held to.")
    return "\n".join(found)


def _cells(line: Line) -> tuple[str, ...]:
    today = "" if line.today is None else f"{number(line.today)} {line.unit}"
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    return line.what, line.writer, line.bar, today, ratio, line.verdict


def number(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def record(table: Iterable[Line], results: Results) -> dict[str, object]:
    """The table and all figures behind it, for programs."""
    figures = [{"sampling": name, "contestant": who, **result} for (name, who), result in results.items()]
    return {"lines": [asdict(line) for line in table], "figures": figures}
