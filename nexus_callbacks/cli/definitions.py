"""Definitions: the commands ``nexus-callbacks definitions list``, ``show``, ``convert`` and ``check``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from nexus_callbacks import show, techniques
from nexus_callbacks.cli.terminal import AsJson, console_for, refuse, short
from nexus_callbacks.definitions import esrf_xml, nxdl, nxdl_xml, release
from nexus_callbacks.definitions.definition import Field, Group, Link, merge
from nexus_callbacks.definitions.skeleton import skeleton
from nexus_callbacks.faults import Fault, FaultError

app = typer.Typer(no_args_is_help=True, help="Look at definitions, check them, and bring them from NXDL.")

Named = Annotated[str, typer.Argument(metavar="NAME|PATH", help="A shipped definition, a NeXus class, or a file.")]


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
    """The definition of a shipped name or a file, siblings as they stand in it; of NXDL with all that is optional.

    Raises
    ------
    FaultError
        It is neither, or it is faulty.
    """
    found = find(named)
    if isinstance(found, nxdl.Definition):
        return skeleton(found, release.installed(), optional=True).tree
    return found


def find(named: str) -> Group | nxdl.Definition:
    """What a shipped name, the name of a NeXus class or a path stands for, as it was written.

    Raises
    ------
    FaultError
        It is none of them, or it is faulty.
    """
    if named in techniques.names():
        return esrf_xml.read(techniques.definition_path(named))
    path = Path(named)
    if path.exists() or path.suffix == ".xml":
        return nxdl_xml.read(path) if nxdl_xml.is_nxdl(path) else esrf_xml.read(path)
    if named.startswith("NX"):
        return release.installed().definition(named)
    known = ", ".join(techniques.names())
    raise FaultError(
        [Fault(f"there is no definition {named!r}", remedy=f"name a file, a NeXus class, or one of {known}")]
    )


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
        found = find(named)
        if isinstance(found, nxdl.Definition):
            found = release.installed().filled(release.installed().extended(found))
    except FaultError as error:
        refuse(error)
    if as_json:
        print(json.dumps(as_dict(found) if isinstance(found, Group) else asdict(found), default=sorted))
    else:
        console.print(show.definition(found) if isinstance(found, Group) else show.nexus_class(found), soft_wrap=True)


@app.command("convert")
def convert_definition(
    source: Named,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file; without it the text is shown.")
    ] = None,
    optional: Annotated[bool, typer.Option("--optional", help="Of NXDL: with all that is optional.")] = False,
    recommended: Annotated[bool, typer.Option("--recommended", help="Of NXDL: with what is recommended.")] = False,
    beside: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="Of NXDL: a definition to merge with, '' for none.")
    ] = techniques.ESRF,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a definition in ESRF's XML. An application definition becomes a skeleton, ready to be bound."""
    console = console_for(as_json or output is None)
    remarks: tuple[Fault, ...] = ()
    try:
        found = find(source)
        if isinstance(found, nxdl.Definition):
            other = merge(read_definition(beside)) if beside else None
            made = skeleton(found, release.installed(), optional=optional, recommended=recommended, beside=other)
            found, remarks = made.tree, made.remarks
        text = _with_origin(esrf_xml.write(found), source)
        if output is not None:
            with output.open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
    except FaultError as error:
        refuse(error)
    except FileExistsError:
        refuse(FaultError([Fault(f"{output} is there already", remedy="choose another name, or give --force")]))
    except OSError as error:
        refuse(FaultError([Fault(f"{output} cannot be written: {error.strerror or error}")]))
    for remark in remarks:
        console.print(str(remark), markup=False, soft_wrap=True)
    if output is not None:
        counts = f"{len(list(found.fields()))} fields, {len(found.variables())} variables"
        console.print(f"{short(output)}: {counts}", markup=False, soft_wrap=True)
    if as_json:
        result = {"output": str(output) if output else None, "remarks": [str(remark) for remark in remarks]}
        print(json.dumps(result | ({} if output else {"xml": text})))
    elif output is None:
        print(text, end="")


def _with_origin(text: str, source: str) -> str:
    """The text of a definition with a comment on how it was made."""
    declaration, _, rest = text.partition("\n")
    made_from = Path(source).name.replace("--", "- -")
    nexus = f" of NeXus {release.installed().version}" if made_from.startswith("NX") else ""
    return f"{declaration}\n<!-- Made by: nexus-callbacks definitions convert {made_from}{nexus} -->\n{rest}"


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
