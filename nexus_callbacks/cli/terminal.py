"""Terminal: what all commands share: exit statuses, the console, how faults and reports are told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from nexus_callbacks.faults import FaultError
from nexus_callbacks.validation import Report

BAD, WRONG_USE = 1, 2

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]


_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line feed, what turns the direction of writing, and halves of characters."""


class _PlainConsole(Console):
    """A console on which no text that comes from a file can steer the terminal: such characters are spelled out."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or not _UNSEEN.search(segment.text):
                yield segment
            else:
                yield Segment(_UNSEEN.sub(_spelled, segment.text), segment.style)


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def console_for(as_json: bool) -> Console:
    """Where a command talks: stdout, or stderr where that is kept for JSON."""
    return _PlainConsole(stderr=as_json, highlight=False)


def refuse(error: FaultError) -> NoReturn:
    """Print every fault and end with the status for wrong use."""
    console = console_for(as_json=True)
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
