"""Demo: the command ``demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nexus_callbacks import demos, show
from nexus_callbacks.cli.terminal import BAD, WRONG_USE, AsJson, console_for, refuse, short, tell_report
from nexus_callbacks.faults import FaultError
from nexus_callbacks.layout.coverage import read as read_coverage
from nexus_callbacks.validation import Report, validate


def demo(
    technique: Annotated[str, typer.Argument(help="Which demo to run.")] = "tomo",
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the files go.")] = Path("demo-data"),
    profile: Annotated[Path | None, typer.Option(help="A beamline's profile instead of the demo's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated noise.")] = 2015,
    listed: Annotated[bool, typer.Option("--list", help="Only name the demos there are, a line each.")] = False,
    as_json: AsJson = False,
) -> None:
    """Scan on a simulated beamline, write NeXus files, check them, analyse them and draw a picture."""
    if listed:
        print("\n".join(demos.names()))
        return
    console = console_for(as_json)
    if technique not in demos.names():
        known = ", ".join(demos.names()) or "none is installed"
        console.print(f"There is no demo {technique!r}; there are: {known}", style="red", markup=False)
        raise typer.Exit(WRONG_USE)
    shown = demos.load(technique)
    console.print(shown.title, style="bold")
    progress = _progress(console)
    task = progress.add_task("scanning", total=None)

    def show_progress(done: int, total: int) -> None:
        progress.start()  # With the first point: before it the profile may still be refused.
        progress.update(task, completed=done, total=total)

    try:
        acquired = shown.run(output, profile, seed, show_progress)
    except FaultError as error:
        refuse(error)
    finally:
        progress.stop()
    picture = acquired.dataset_file.with_suffix(".png")
    findings = shown.picture(acquired, picture)
    written = [path for path in (acquired.dataset_file, acquired.master_file) if path is not None]
    reports = [validate(path) for path in written]
    coverage = next(iter(read_coverage(acquired.dataset_file).values()))
    valid = all(report.valid for report in reports)
    _tell_demo(console, acquired, reports)
    show.coverage(coverage, console)
    for line in findings:
        console.print(line, markup=False)
    console.print(f"picture       {short(picture)}", soft_wrap=True, markup=False)
    if as_json:
        result: dict[str, Any] = {
            "technique": acquired.technique,
            "dataset_file": str(acquired.dataset_file),
            "master_file": str(acquired.master_file) if acquired.master_file else None,
            "raw_files": [str(path) for path in acquired.raw_files],
            "picture": str(picture),
            "valid": valid,
            "coverage": coverage.summary(),
        }
        print(json.dumps(result))
    if not valid:
        raise typer.Exit(BAD)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _tell_demo(console: Console, acquired: demos.Acquired, reports: list[Report]) -> None:
    named = [("dataset file", acquired.dataset_file), ("master file", acquired.master_file)]
    files = [(what, path) for what, path in named if path is not None]
    for _, path in files:
        console.print(show.tree(path, depth=2))
    for what, path in [*files, *(("frames", path) for path in acquired.raw_files)]:
        console.print(f"{what:<13} {short(path)}", soft_wrap=True, markup=False)
    for report in reports:
        tell_report(console, report)
