"""Terminal: what all commands share: exit statuses, the console, how faults and reports are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from nexus_callbacks.faults import FaultError
from nexus_callbacks.validation import Report

BAD, WRONG_USE = 1, 2

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]


def console_for(as_json: bool) -> Console:
    """Where a command talks: stdout, or stderr where that is kept for JSON."""
    return Console(stderr=as_json, highlight=False)


def refuse(error: FaultError) -> NoReturn:
    """Print every fault and end with the status for wrong use."""
    console = Console(stderr=True, highlight=False)
    count = len(error.faults)
    console.print(f"{count} fault{'s' if count > 1 else ''}:", style="bold red")
    for fault in error.faults:
        console.print(f"  {fault}", soft_wrap=True, markup=False)
    raise typer.Exit(WRONG_USE)


def short(path: Path) -> Path:
    """A path as seen from the working folder, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def tell_report(console: Console, report: Report, every: bool = False) -> None:
    """One line for a good file; every error and warning of a bad one, and on demand what is allowed and why."""
    verdict = Text("valid    ", "green") if report.valid else Text("not valid", "bold red")
    counts = f"{len(report.errors)} errors, {len(report.warnings)} warnings, {len(report.allowed)} allowed by reason"
    console.print(Text.assemble(verdict, f"  {short(Path(report.path))}: {counts}"), soft_wrap=True)
    for finding in report.findings:
        if every and finding.allowed:
            text = f"  allowed {finding.path}: {finding.message} (because: {finding.allowed})"
            console.print(text, markup=False, soft_wrap=True)
        elif every or finding.severity != "info":
            remedy = f" ({finding.remedy})" if finding.remedy else ""
            console.print(
                f"  {finding.severity} {finding.path}: {finding.message}{remedy}", markup=False, soft_wrap=True
            )


def check_there(file: Path) -> None:
    """Raise FileNotFoundError where there is no such file: HDF5 says so in many words."""
    if not file.exists():
        raise FileNotFoundError("there is no such file")


def bad(message: str, console: Console, as_json: bool) -> NoReturn:
    """Tell that what was looked at is bad, and end with the status for that."""
    console.print(message, style="red", markup=False)
    if as_json:
        print(json.dumps({"error": message}))
    raise typer.Exit(BAD)
