"""Cli: the command ``nexus-callbacks``.

Exit status: 0 good, 1 the thing looked at is bad, 2 wrong use (a faulty profile, a directory that cannot be
written). With ``--json`` one JSON object goes to stdout and all else to stderr.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nexus_callbacks import demos, show
from nexus_callbacks.coverage import read as read_coverage
from nexus_callbacks.faults import FaultError
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.validation import Report, validate

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Bluesky documents to NeXus files: look at them, check them, and try it all on a simulated beamline.",
)

BAD, WRONG_USE = 1, 2

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]


def _console(as_json: bool) -> Console:
    return Console(stderr=as_json, highlight=False)


def _refuse(error: FaultError) -> NoReturn:
    """Print every fault and end with the status for wrong use."""
    console = Console(stderr=True, highlight=False)
    count = len(error.faults)
    console.print(f"{count} fault{'s' if count > 1 else ''}:", style="bold red")
    for fault in error.faults:
        console.print(f"  {fault}", soft_wrap=True, markup=False)
    raise typer.Exit(WRONG_USE)


@app.command()
def demo(
    technique: Annotated[str, typer.Argument(help="Which demo to run.")] = "tomo",
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the files go.")] = Path("demo-data"),
    profile: Annotated[Path | None, typer.Option(help="A beamline's profile instead of the demo's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulated noise.")] = 2015,
    as_json: AsJson = False,
) -> None:
    """Scan on a simulated beamline, write NeXus files, check them, analyse them and draw a picture."""
    console = _console(as_json)
    try:
        shown = demos.load(technique)
    except KeyError:
        known = ", ".join(demos.names()) or "none is installed"
        console.print(f"There is no demo {technique!r}; there are: {known}", style="red")
        raise typer.Exit(WRONG_USE) from None
    console.print(f"[bold]{shown.title}[/bold]")
    try:
        with _progress(console) as progress:
            task = progress.add_task("scanning", total=None)
            acquired = shown.run(
                output, profile, seed, lambda done, total: progress.update(task, completed=done, total=total)
            )
    except FaultError as error:
        _refuse(error)
    picture = acquired.dataset_file.with_suffix(".png")
    findings = shown.picture(acquired, picture)
    reports = [validate(acquired.dataset_file), validate(acquired.master_file)]
    coverage = next(iter(read_coverage(acquired.dataset_file).values()))
    valid = all(report.valid for report in reports)
    _tell_demo(console, acquired, reports)
    show.coverage(coverage, console)
    for line in findings:
        console.print(line)
    console.print(f"picture       {picture}", soft_wrap=True)
    if as_json:
        result: dict[str, Any] = {
            "technique": acquired.technique,
            "dataset_file": str(acquired.dataset_file),
            "master_file": str(acquired.master_file),
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
    for path in (acquired.dataset_file, acquired.master_file):
        console.print(show.tree(path), soft_wrap=True)
    console.print(f"dataset file  {acquired.dataset_file}", soft_wrap=True)
    console.print(f"master file   {acquired.master_file}", soft_wrap=True)
    for path in acquired.raw_files:
        console.print(f"frames        {path}", soft_wrap=True)
    for report in reports:
        _tell_report(console, report)


def _tell_report(console: Console, report: Report) -> None:
    """One line for a good file; every error and warning of a bad one."""
    verdict = "[green]valid[/green]" if report.valid else "[bold red]not valid[/bold red]"
    counts = {kind: sum(f.severity == kind for f in report.findings) for kind in ("error", "warning", "info")}
    console.print(
        f"{verdict}  {report.path}: {counts['error']} errors, {counts['warning']} warnings, "
        f"{counts['info']} allowed by reason",
        soft_wrap=True,
    )
    for finding in report.findings:
        if finding.severity != "info":
            remedy = f" ({finding.remedy})" if finding.remedy else ""
            console.print(
                f"  {finding.severity} {finding.path}: {finding.message}{remedy}", markup=False, soft_wrap=True
            )


@app.command("validate")
def validate_files(
    files: Annotated[list[Path], typer.Argument(help="Dataset or master files.")], as_json: AsJson = False
) -> None:
    """Check files: NeXus classes and application definition, mandatory fields, links, default plot, times, units."""
    console = _console(as_json)
    reports = [validate(path) for path in files]
    for report in reports:
        _tell_report(console, report)
    if as_json:
        print(json.dumps({"valid": all(r.valid for r in reports), "files": [r.as_dict() for r in reports]}))
    if not all(report.valid for report in reports):
        raise typer.Exit(BAD)


@app.command("coverage")
def coverage_of(
    file: Annotated[Path | None, typer.Argument(help="A dataset file.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Check a profile against its definitions instead.")] = None,
    every: Annotated[bool, typer.Option("--all", help="List the filled variables too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell which variables of the definitions are filled, from where, and which are not and why.

    With --profile nothing is scanned: the profile is read and checked, and all its faults are told.
    """
    console = _console(as_json)
    if (file is None) == (profile is None):
        console.print("Name either a file or a --profile.", style="red")
        raise typer.Exit(WRONG_USE)
    if profile is not None:
        _check_profile(profile, console, as_json)
        return
    assert file is not None  # One of the two is given: see above.
    try:
        found = read_coverage(file)
    except OSError as error:
        console.print(f"{file} cannot be read: {error}", style="red", markup=False)
        raise typer.Exit(BAD) from None
    if not found:
        console.print(f"{file} has no coverage record: it was not written by nexus_callbacks", markup=False)
        raise typer.Exit(BAD)
    for entry, coverage in found.items():
        console.print(f"[bold]{entry}[/bold]")
        show.coverage(coverage, console, every)
    if as_json:
        print(json.dumps({entry: json.loads(coverage.to_json()) for entry, coverage in found.items()}))
    if any(coverage.missing_mandatory for coverage in found.values()):
        raise typer.Exit(BAD)


def _check_profile(profile: Path, console: Console, as_json: bool) -> None:
    try:
        recipes = Recipes(profile)
    except FaultError as error:
        _refuse(error)
    counts = recipes.claimed()
    for technique, (claimed, total) in counts.items():
        console.print(f"{technique}: {claimed} of {total} variables have a source; no fault found")
    if as_json:
        print(json.dumps({name: {"claimed": claimed, "total": total} for name, (claimed, total) in counts.items()}))


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
