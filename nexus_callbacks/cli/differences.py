"""Differences: the command ``nexus-callbacks definitions diff``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from nexus_callbacks import techniques
from nexus_callbacks.beamline import renames
from nexus_callbacks.beamline.profile import load_profile
from nexus_callbacks.cli.definitions import read_definition
from nexus_callbacks.cli.terminal import AsJson, console_for, refuse
from nexus_callbacks.definitions.definition import Group
from nexus_callbacks.definitions.difference import KINDS, Change, difference, outermost
from nexus_callbacks.faults import FaultError, Place
from nexus_callbacks.recipes import BASE

Named = typer.Argument(
    metavar="NAME|PATH", help="A shipped definition, a file, a NeXus class, or a beamline's profile (its folder)."
)


def diff_definitions(
    first: Annotated[str, Named],
    second: Annotated[str, Named],
    technique: Annotated[
        str | None, typer.Option(help="Of a profile: with the definition of this technique, too.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List what is in an added or removed group, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what changed between two definitions, as two releases or two beamlines have them.

    That they differ is no fault: the exit status is 0. Descriptions are not compared.
    """
    console = console_for(as_json)
    try:
        before, after = read_any(first, technique), read_any(second, technique)
    except FaultError as error:
        refuse(error)
    changes = difference(before, after, _renames(before, after))
    counts = Counter(change.kind for change in changes)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind]) or "no difference"
    console.print(Text(f"{first} → {second}: {told}", style="bold"), soft_wrap=True)
    for change, number in [(change, 1) for change in changes] if every else outermost(changes):
        console.print(f"  {_line(change, number)}", markup=False, soft_wrap=True)
    if technique is None and (names := sorted({*_techniques(first), *_techniques(second)})):
        told = f"  not compared: the techniques' own definitions (--technique {' or '.join(names)})"
        console.print(told, markup=False, soft_wrap=True)
    if as_json:
        totals = {kind: counts[kind] for kind in KINDS}
        print(json.dumps({"first": first, "second": second, "counts": totals, "changes": list(map(_json, changes))}))


def read_any(named: str, technique: str | None = None) -> Group:
    """The definition of a name or a file, or what the definitions of a beamline's profile make together.

    Raises
    ------
    FaultError
        It is none of them, or it is faulty.
    """
    path = Path(named)
    if not _is_profile(path):
        return read_definition(named)
    profile = load_profile(path)
    names = [*(profile.definitions or [BASE]), *([technique] if technique else [])]
    places = [profile.place("definitions", index) for index in range(len(profile.definitions))]
    return techniques.load(names, profile.folder, places).definition


def _is_profile(path: Path) -> bool:
    return path.is_dir() or path.suffix in (".yml", ".yaml")


def _techniques(named: str) -> list[str]:
    """Techniques of a beamline's profile; none of anything else."""
    return list(load_profile(Path(named)).techniques) if _is_profile(Path(named)) else []


def _renames(*trees: Group) -> dict[str, str]:
    """Old variable → new one: what is known of ESRF's releases, and what the definitions themselves call deprecated."""
    found = {old: new.to for old, new in renames.shipped().items() if new.to}
    for tree in trees:
        for _, field in tree.fields():
            if field.variable and (new := renames.successor(field.deprecated)):
                found[field.variable] = new
    return found


def _line(change: Change, number: int) -> str:
    """A change as a person reads it, with the lines in both definitions."""
    held = f" {_held(change, change.variable)}" if change.variable else ""
    what = f"{change.kind}: {change.node} /{change.path}{held}"
    if number > 1:
        what += f" with {number - 1} below it"
    was = [_held(change, change.was)] if change.was and change.kind == "renamed" else []
    was += [f"/{change.before}"] if change.before else []
    if was:
        what += f", was {' at '.join(was)}"
    what += "".join(f", {name} {before or 'none'} → {after or 'none'}" for name, before, after in change.what)
    places = [_place(place) for place in (change.first, change.second) if place]
    return f"{what} ({' → '.join(places)})" if places else what


def _held(change: Change, text: str) -> str:
    return f"${{{text}}}" if change.node == "field" and change.holds_variable else repr(text)


def _place(place: Place) -> str:
    return str(Place(Path(place.source).name, place.line))


def _json(change: Change) -> dict[str, Any]:
    def place(where: Place | None) -> dict[str, Any] | None:
        return {"file": where.source, "line": where.line} if where else None

    found = {
        "kind": change.kind,
        "node": change.node,
        "path": change.path,
        "before": change.before,
        "variable" if change.holds_variable else "value": change.variable,
        "was": change.was,
        "what": {name: [before, after] for name, before, after in change.what},
    }
    return {name: value for name, value in found.items() if value} | {
        "first": place(change.first),
        "second": place(change.second),
    }
