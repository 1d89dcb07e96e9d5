"""Files: the commands that look at files or mend them: ``validate``, ``coverage`` and ``relink``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nexus_callbacks import show
from nexus_callbacks.beamline.sources import nearest
from nexus_callbacks.cli.terminal import (
    BAD,
    WRONG_USE,
    AsJson,
    bad,
    check_there,
    console_for,
    refuse,
    short,
    tell_report,
)
from nexus_callbacks.faults import FaultError
from nexus_callbacks.frames.relink import relink
from nexus_callbacks.layout.coverage import is_being_written
from nexus_callbacks.layout.coverage import read as read_coverage
from nexus_callbacks.recipes import NO_TECHNIQUE, Recipes
from nexus_callbacks.validation import validate


def validate_files(
    files: Annotated[list[Path], typer.Argument(help="Dataset or master files.")],
    every: Annotated[bool, typer.Option("--all", help="List what is allowed too, each with its reason.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check files: NeXus classes and application definition, mandatory fields, links, default plot, times, units."""
    console = console_for(as_json)
    reports = [validate(path) for path in files]
    for report in reports:
        tell_report(console, report, every)
    if as_json:
        print(json.dumps({"valid": all(r.valid for r in reports), "files": [r.as_dict() for r in reports]}))
    if not all(report.valid for report in reports):
        raise typer.Exit(BAD)


def relink_files(
    files: Annotated[list[Path], typer.Argument(help="Dataset files that are complete.")],
    root: Annotated[
        list[str] | None, typer.Option("--root", metavar="OLD=NEW", help="Where a folder of frames is now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the links to the detectors' frames again, after their files have come or have moved."""
    console = console_for(as_json)
    pairs = [text.partition("=") for text in root or ()]
    if not all(old and equals and new for old, equals, new in pairs):
        console.print("--root wants OLD=NEW, the old and the new folder", style="red")
        raise typer.Exit(WRONG_USE)
    told: dict[str, Any] = {}
    bad = False
    for file in files:
        try:
            check_there(file)
            found = relink(file, {old: new for old, _, new in pairs})
        except (OSError, ValueError) as error:
            console.print(f"{file} cannot be relinked: {error}", style="red", markup=False, soft_wrap=True)
            told[str(file)], bad = {"error": str(error)}, True
            continue
        console.print(f"{short(file)}: {len(found)} datasets of frames", markup=False, soft_wrap=True)
        for each in found:
            what = each.how or f"not linked: {each.reason}"
            console.print(f"  {each.path}: {'; '.join([what, *each.remarks])}", markup=False, soft_wrap=True)
            bad = bad or not each.how
        told[str(file)] = [asdict(each) for each in found]
    if as_json:
        print(json.dumps(told))
    if bad:
        raise typer.Exit(BAD)


def coverage_of(
    file: Annotated[Path | None, typer.Argument(help="A dataset file.")] = None,
    profile: Annotated[Path | None, typer.Option(help="A beamline's profile instead: before beam time.")] = None,
    technique: Annotated[
        list[str] | None, typer.Option(help="With --profile: list this technique's variables; may be repeated.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every variable.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell which variables of the definitions are filled, from where, and which are not and why.

    With --profile nothing is scanned: the profile is read and checked, all its faults are told, and with --technique
    where each variable will come from.
    """
    console = console_for(as_json)
    if (file is None) == (profile is None):
        console.print("Name either a file or a --profile.", style="red")
        raise typer.Exit(WRONG_USE)
    if profile is not None:
        _check_profile(profile, technique or [], every, console, as_json)
        return
    if technique:
        console.print("--technique goes with --profile: a file tells its techniques itself.", style="red")
        raise typer.Exit(WRONG_USE)
    assert file is not None  # One of the two is given: see above.
    try:
        check_there(file)
        found = read_coverage(file)
    except (OSError, ValueError) as error:
        bad(f"{file} cannot be read: {error}", console, as_json)
    if not found:
        why = "it is being written, or its session was killed: the record comes with the end of the run, or recover"
        ours = is_being_written(file)
        bad(f"{file} has no coverage record: {why if ours else 'nexus_callbacks wrote none'}", console, as_json)
    for entry, coverage in found.items():
        console.print(entry, style="bold", markup=False)
        show.coverage(coverage, console, every)
    if as_json:
        print(json.dumps({entry: json.loads(coverage.to_json()) for entry, coverage in found.items()}))
    if any(coverage.missing_mandatory for coverage in found.values()):
        raise typer.Exit(BAD)


def _check_profile(profile: Path, asked: list[str], every: bool, console: Console, as_json: bool) -> None:
    """Tell where the variables of a profile's techniques will come from; of those asked for, one by one."""
    try:
        recipes = Recipes(profile)
    except FaultError as error:
        refuse(error)
    claims = recipes.claims()
    unknown = [name for name in asked if name not in claims]
    if unknown:
        console.print(f"{profile} has no technique {', '.join(map(repr, unknown))}", style="red", markup=False)
        console.print(nearest(unknown[0], claims) or f"it has {', '.join(claims)}", markup=False)
        raise typer.Exit(WRONG_USE)
    told: dict[str, Any] = {}
    for technique in asked or claims:
        claim = claims[technique]
        found = recipes.prospects(None if technique == NO_TECHNIQUE else technique)
        who = f"technique {technique}" if technique != NO_TECHNIQUE else "runs without a technique"
        if asked or every:
            console.print(who, style="bold", markup=False)
            show.prospects(found, console, every)
        else:
            console.print(f"{who}: {claim.claimed} of {claim.total} variables have a source", markup=False)
            if claim.missing_mandatory:
                names = ", ".join(claim.missing_mandatory)
                console.print(f"  mandatory variables without a source: {names}", style="bold red", markup=False)
        variables = {p.variable: p.as_dict() for p in found if every or p.listed}
        told[technique] = {**asdict(claim), "variables": variables}
    for remark in recipes.remarks:
        console.print(remark, markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps(told))
    if any(claims[name].missing_mandatory for name in told):
        raise typer.Exit(BAD)
