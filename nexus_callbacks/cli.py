"""Cli: the command ``nexus-callbacks``.

Exit status: 0 good, 1 the thing looked at is bad, 2 wrong use (a faulty profile, a directory that cannot be
written). With ``--json`` one JSON object goes to stdout and all else to stderr.
"""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from nexus_callbacks import demos, show
from nexus_callbacks.callback import NexusWriter
from nexus_callbacks.faults import Fault, FaultError
from nexus_callbacks.frames.relink import relink
from nexus_callbacks.journal.recovery import recover
from nexus_callbacks.journal.service import Service
from nexus_callbacks.journal.spool import Spool
from nexus_callbacks.layout.coverage import is_being_written
from nexus_callbacks.layout.coverage import read as read_coverage
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.replay import documents_of, feed, unfinished
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
        _refuse(error)
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
    console.print(f"picture       {_short(picture)}", soft_wrap=True, markup=False)
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
        console.print(f"{what:<13} {_short(path)}", soft_wrap=True, markup=False)
    for report in reports:
        _tell_report(console, report)


def _short(path: Path) -> Path:
    """A path as seen from the working folder, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _tell_report(console: Console, report: Report, every: bool = False) -> None:
    """One line for a good file; every error and warning of a bad one, and on demand what is allowed and why."""
    verdict = Text("valid    ", "green") if report.valid else Text("not valid", "bold red")
    counts = f"{len(report.errors)} errors, {len(report.warnings)} warnings, {len(report.allowed)} allowed by reason"
    console.print(Text.assemble(verdict, f"  {_short(Path(report.path))}: {counts}"), soft_wrap=True)
    for finding in report.findings:
        if every and finding.allowed:
            text = f"  allowed {finding.path}: {finding.message} (because: {finding.allowed})"
            console.print(text, markup=False, soft_wrap=True)
        elif every or finding.severity != "info":
            remedy = f" ({finding.remedy})" if finding.remedy else ""
            console.print(
                f"  {finding.severity} {finding.path}: {finding.message}{remedy}", markup=False, soft_wrap=True
            )


@app.command("validate")
def validate_files(
    files: Annotated[list[Path], typer.Argument(help="Dataset or master files.")],
    every: Annotated[bool, typer.Option("--all", help="List what is allowed too, each with its reason.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check files: NeXus classes and application definition, mandatory fields, links, default plot, times, units."""
    console = _console(as_json)
    reports = [validate(path) for path in files]
    for report in reports:
        _tell_report(console, report, every)
    if as_json:
        print(json.dumps({"valid": all(r.valid for r in reports), "files": [r.as_dict() for r in reports]}))
    if not all(report.valid for report in reports):
        raise typer.Exit(BAD)


@app.command("recover")
def recover_files(
    spool: Annotated[Path | None, typer.Argument(help="Folder of the journals; without it the default one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Complete the files of sessions that died, from their journals.

    What a living session still writes is left alone.
    """
    console = _console(as_json)
    if spool is not None and not spool.is_dir():
        console.print(f"there is no folder {spool}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(WRONG_USE)
    troubles: list[str] = []
    found = recover(spool, troubles.append)
    for each in found:
        what = "complete" if each.complete else "all that its session emitted before it died"
        console.print(f"recovered  {_short(each.path)}: {what}", markup=False, soft_wrap=True)
    if not found:
        console.print("there is nothing to recover")
    for trouble in troubles:
        console.print(trouble, style="red", markup=False, soft_wrap=True)
    if as_json:
        files = [{"uid": each.uid, "file": str(each.path), "complete": each.complete} for each in found]
        print(json.dumps({"recovered": files, "troubles": troubles}))
    if troubles:
        raise typer.Exit(BAD)


@app.command("writer")
def follow_spool(
    spool: Annotated[Path | None, typer.Argument(help="Folder of the journals; without it the default one.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to be written.")] = False,
) -> None:
    """Bring the journals of sessions made with NexusWriter(journal=…, follow=False) into their files, as they grow.

    Several may run: one waits until another dies. SIGTERM and Ctrl-C end it when the runs that have stopped are in
    their files.
    """
    console = _console(False)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def say(message: str) -> None:
        console.print(message, markup=False, soft_wrap=True)

    place = Spool(spool)
    say(f"waiting for journals in {place.folder}")
    Service(place, lambda message: console.print(message, style="red", markup=False, soft_wrap=True), say).run(
        stop, once
    )


@app.command("relink")
def relink_files(
    files: Annotated[list[Path], typer.Argument(help="Dataset files that are complete.")],
    root: Annotated[
        list[str] | None, typer.Option("--root", metavar="OLD=NEW", help="Where a folder of frames is now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the links to the detectors' frames again, after their files have come or have moved."""
    console = _console(as_json)
    pairs = [text.partition("=") for text in root or ()]
    if not all(old and equals and new for old, equals, new in pairs):
        console.print("--root wants OLD=NEW, the old and the new folder", style="red")
        raise typer.Exit(WRONG_USE)
    told: dict[str, Any] = {}
    bad = False
    for file in files:
        try:
            _check_there(file)
            found = relink(file, {old: new for old, _, new in pairs})
        except (OSError, ValueError) as error:
            console.print(f"{file} cannot be relinked: {error}", style="red", markup=False, soft_wrap=True)
            told[str(file)], bad = {"error": str(error)}, True
            continue
        console.print(f"{_short(file)}: {len(found)} datasets of frames", markup=False, soft_wrap=True)
        for each in found:
            what = each.how or f"not linked: {each.reason}"
            console.print(f"  {each.path}: {'; '.join([what, *each.remarks])}", markup=False, soft_wrap=True)
            bad = bad or not each.how
        told[str(file)] = [asdict(each) for each in found]
    if as_json:
        print(json.dumps(told))
    if bad:
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
        _check_there(file)
        found = read_coverage(file)
    except (OSError, ValueError) as error:
        _bad(f"{file} cannot be read: {error}", console, as_json)
    if not found:
        why = "it is being written, or its session was killed: the record comes with the end of the run, or recover"
        ours = is_being_written(file)
        _bad(f"{file} has no coverage record: {why if ours else 'nexus_callbacks wrote none'}", console, as_json)
    for entry, coverage in found.items():
        console.print(entry, style="bold", markup=False)
        show.coverage(coverage, console, every)
    if as_json:
        print(json.dumps({entry: json.loads(coverage.to_json()) for entry, coverage in found.items()}))
    if any(coverage.missing_mandatory for coverage in found.values()):
        raise typer.Exit(BAD)


def _check_there(file: Path) -> None:
    if not file.exists():
        raise FileNotFoundError("there is no such file")


def _bad(message: str, console: Console, as_json: bool) -> NoReturn:
    """Tell that what was looked at is bad, and end with the status for that."""
    console.print(message, style="red", markup=False)
    if as_json:
        print(json.dumps({"error": message}))
    raise typer.Exit(BAD)


def _check_profile(profile: Path, console: Console, as_json: bool) -> None:
    try:
        recipes = Recipes(profile)
    except FaultError as error:
        _refuse(error)
    claims = recipes.claims()
    for technique, claim in claims.items():
        who = f"technique {technique}" if technique != "-" else "runs without a technique"
        console.print(f"{who}: {claim.claimed} of {claim.total} variables have a source", markup=False)
        if claim.missing_mandatory:
            names = ", ".join(claim.missing_mandatory)
            console.print(f"  mandatory variables without a source: {names}", style="bold red", markup=False)
    for remark in recipes.remarks:
        console.print(remark, markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps({name: asdict(claim) for name, claim in claims.items()}))
    if any(claim.missing_mandatory for claim in claims.values()):
        raise typer.Exit(BAD)


@app.command("replay")
def replay_documents(
    recordings: Annotated[
        list[Path],
        typer.Argument(
            help="Recorded documents: JSON lines, JSON or MessagePack.", metavar="DOCS", exists=True, dir_okay=False
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the files go.")] = Path(),
    profile: Annotated[Path | None, typer.Option(help="A beamline's profile.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the files of recorded runs, as if they were measured now. Existing files are left alone."""
    console = _console(as_json)
    try:
        writer = NexusWriter(output, profile, journal=False)  # The documents are safe already.
    except FaultError as error:
        _refuse(error)
    faults: list[Fault] = []
    with writer:
        for recording in recordings:
            try:
                faults += feed(writer, documents_of(recording))
            except FaultError as error:
                faults += error.faults
    reasons = {uid: reason for uid, path in writer.files.items() if (reason := unfinished(path))}
    for uid, path in writer.files.items():
        state = Text(f"incomplete: {reasons[uid]}", "red") if uid in reasons else Text("complete", "green")
        console.print(Text.assemble(f"{uid}  {_short(path)}  ", state), soft_wrap=True)
    for fault in faults:
        console.print(str(fault), style="red", markup=False, soft_wrap=True)
    if not writer.files:
        console.print("There is no start document that could be used: nothing was written.", style="red")
    if as_json:
        result = {
            "files": {uid: str(path) for uid, path in writer.files.items()},
            "masters": {uid: str(path) for uid, path in writer.masters.items()},
            "incomplete": reasons,
            "faults": [str(fault) for fault in faults],
        }
        print(json.dumps(result))
    if faults or reasons or not writer.files:
        raise typer.Exit(BAD)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
