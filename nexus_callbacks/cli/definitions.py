"""Definitions: the commands ``nexus-callbacks definitions list`` and ``show``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from nexus_callbacks import show, techniques
from nexus_callbacks.cli.terminal import AsJson, console_for, refuse
from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.definitions.definition import Field, Group, Link
from nexus_callbacks.faults import Fault, FaultError

app = typer.Typer(no_args_is_help=True, help="Look at definitions, check them, and bring them from NXDL.")

Named = Annotated[str, typer.Argument(metavar="NAME|PATH", help="A shipped definition or the path of a file.")]


@dataclass(frozen=True)
class Summary:
    """A shipped definition in a line."""

    name: str
    version: str
    """Of the package that it ships with; empty where that is not installed."""
    application: str
    """NeXus application definition whose shape it gives to the entry; empty if none."""
    fields: int
    variables: int
    mandatory: int
    """Fields without which a dataset is not complete."""
    description: str


def summary(name: str) -> Summary:
    """What a shipped definition is.

    Raises
    ------
    FaultError
        There is no such definition, or it is faulty.
    """
    tree = read_definition(name)
    fields = dict(tree.fields())
    definition = fields.get("definition")
    return Summary(
        name=name,
        version=techniques.version_of(name),
        application=definition.text if definition is not None and definition.variable is None else "",
        fields=len(fields),
        variables=len(tree.variables()),
        mandatory=sum(field.mandatory for field in fields.values()),
        description=tree.description,
    )


def read_definition(named: str) -> Group:
    """The definition of a shipped name or a file, siblings as they stand in it.

    Raises
    ------
    FaultError
        It is neither, or it is faulty.
    """
    if named in techniques.names():
        return esrf_xml.read(techniques.definition_path(named))
    path = Path(named)
    if path.exists() or path.suffix == ".xml":
        return esrf_xml.read(path)
    known = ", ".join(techniques.names())
    raise FaultError([Fault(f"there is no definition {named!r}", remedy=f"name a file, or one of {known}")])


@app.command("list")
def list_definitions(as_json: AsJson = False) -> None:
    """List the shipped definitions."""
    console = console_for(as_json)
    try:
        found = [summary(name) for name in techniques.names()]
    except FaultError as error:
        refuse(error)
    table = Table(box=None, header_style="bold")
    for column in ("name", "version", "shape", "fields", "variables", "mandatory", "what"):
        table.add_column(column, overflow="fold", justify="right" if column in ("fields", "variables") else "left")
    for each in found:
        counts = (str(each.fields), str(each.variables), str(each.mandatory))
        table.add_row(each.name, each.version, each.application, *counts, Text(each.description))
    console.print(table)
    if as_json:
        print(json.dumps({"definitions": [asdict(each) for each in found]}))


@app.command("show")
def show_definition(named: Named, as_json: AsJson = False) -> None:
    """Show a definition as a tree: classes, variables, units, what is mandatory."""
    console = console_for(as_json)
    try:
        tree = read_definition(named)
    except FaultError as error:
        refuse(error)
    if as_json:
        print(json.dumps(as_dict(tree)))
    else:
        console.print(show.definition(tree), soft_wrap=True)


def as_dict(node: Group | Field | Link) -> dict[str, Any]:
    """A node and all below it for JSON; what it does not have is left out."""
    if isinstance(node, Group):
        found: dict[str, Any] = {"name": node.name, "nx_class": node.nx_class}
    elif isinstance(node, Link):
        return {"name": node.name, "target": node.target}
    else:
        kind = "constant" if node.variable is None else "variable"
        found = {"name": node.name, kind: node.variable or node.text, "type": node.nx_type, "units": node.units}
        found |= {"record": node.record, "mandatory": node.mandatory, "deprecated": node.deprecated}
    found |= {"description": node.description, "attributes": dict(node.attributes)}
    if isinstance(node, Group):
        found["children"] = [as_dict(child) for child in node.children]
    return {key: value for key, value in found.items() if value}
