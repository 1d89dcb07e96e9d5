"""Definitions: the commands ``nexus-callbacks definitions list``, ``show``, ``convert`` and ``check``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus_callbacks import show, techniques
from nexus_callbacks.beamline.sources import DID_YOU_MEAN, nearest
from nexus_callbacks.cli.terminal import BAD, AsJson, console_for, refuse, short
from nexus_callbacks.definitions import esrf_xml, nxdl, nxdl_xml, release
from nexus_callbacks.definitions.check import Finding, check_file
from nexus_callbacks.definitions.definition import Field, Group, Link, merge
from nexus_callbacks.definitions.skeleton import skeleton
from nexus_callbacks.faults import Fault, FaultError

app = typer.Typer(no_args_is_help=True, help="Look at definitions, check them, and bring them from NXDL.")

Named = Annotated[str, typer.Argument(metavar="NAME|PATH", help="A shipped definition, a NeXus class, or a file.")]


@dataclass(frozen=True)
class Summary:
    """A shipped definition in a line."""

    name: str
    package: str
    """The package that it ships with."""
    version: str
    """Of that package; empty where it is not installed."""
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
        package=techniques.package_of(name),
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
    if named.upper().startswith("NX"):
        return release.installed().definition(named)
    near = nearest(named, techniques.names())
    remedy = near if DID_YOU_MEAN in near else f"name a file, a NeXus class, or one of {', '.join(techniques.names())}"
    raise FaultError([Fault(f"there is no definition {named!r}", remedy=remedy)])


@app.command("list")
def list_definitions(
    nexus: Annotated[bool, typer.Option("--nexus", help="List NeXus's application definitions instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the shipped definitions: where each is from, the application definition whose shape it has, its size."""
    console = console_for(as_json)
    try:
        rows, found = _applications() if nexus else _shipped()
    except FaultError as error:
        refuse(error)
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    if as_json:
        print(json.dumps({"definitions": found}))


def _shipped() -> tuple[list[tuple[str, ...]], list[dict[str, Any]]]:
    found = [summary(name) for name in techniques.names()]
    rows: list[tuple[str, ...]] = [("name", "from", "shape of", "fields", "variables", "mandatory")]
    for each in found:
        counts = (str(each.fields), str(each.variables), str(each.mandatory))
        rows.append((each.name, f"{each.package} {each.version}", each.application, *counts))
    return rows, [asdict(each) for each in found]


def _applications() -> tuple[list[tuple[str, ...]], list[dict[str, Any]]]:
    every = [(each.name, nxdl.brief(each.doc)) for each in release.installed().applications()]
    return [("name", f"NeXus {release.installed().version}"), *every], [
        {"name": name, "version": release.installed().version, "description": doc} for name, doc in every
    ]


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
            text = _with_origin(esrf_xml.write(found), Path(source).name)
        else:
            text = esrf_xml.write(found)
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


@app.command("check")
def check_definitions(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Definitions in ESRF's XML, or NXDL.")],
    beside: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="The definition that they will be merged with.")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="List every warning, not their counts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what is wrong with definitions, each fault with file, line and remedy. Warnings are no failure."""
    console = console_for(as_json)
    try:
        other = merge(read_definition(beside)) if beside else None
        found = {file: _checked(file, other) for file in files}
    except FaultError as error:
        refuse(error)
    for file, findings in found.items():
        _tell_check(console, file, findings, every)
    errors = sum(finding.severity == "error" for findings in found.values() for finding in findings)
    if as_json:
        told = [
            {"path": str(file), "findings": [_finding(each) for each in each_of]} for file, each_of in found.items()
        ]
        print(json.dumps({"valid": not errors, "files": told}))
    if errors:
        raise typer.Exit(BAD)


def _checked(file: Path, beside: Group | None) -> list[Finding]:
    if (name := str(file)) in techniques.names():
        file = techniques.definition_path(name)
        if beside is None and name not in (techniques.ESRF, "base"):
            beside = merge(
                read_definition(techniques.ESRF)
            )  # What ships besides these two is made to be merged with it.
    if not nxdl_xml.is_nxdl(file):
        return check_file(file, release.installed(), beside)
    try:
        release.installed().filled(release.installed().extended(nxdl_xml.read(file)))
    except FaultError as error:
        return [Finding("error", "malformed", "", fault) for fault in error.faults]
    return []


def _finding(finding: Finding) -> dict[str, Any]:
    place = finding.fault.place
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "path": finding.path,
        "line": place.line if place else None,
        "message": finding.fault.message,
        "remedy": finding.fault.remedy,
    }


def _tell_check(console: Console, file: Path, findings: list[Finding], every: bool) -> None:
    errors = [finding for finding in findings if finding.severity == "error"]
    verdict = Text("not valid", "bold red") if errors else Text("valid    ", "green")
    counts = f"{len(errors)} errors, {len(findings) - len(errors)} warnings"
    console.print(Text.assemble(verdict, f"  {short(file)}: {counts}"), soft_wrap=True)
    for finding in findings if every else errors:
        told = f"  {finding.severity}: {finding.kind}: {finding.fault}"
        console.print(told, markup=False, soft_wrap=True)
    if every:
        return
    kinds = Counter(finding.kind for finding in findings if finding.severity == "warning")
    for kind, count in kinds.most_common():
        first = next(finding for finding in findings if finding.kind == kind)
        rest = f" and {count - 1} more (--all)" if count > 1 else ""
        console.print(f"  warning: {kind}: {first.fault}{rest}", markup=False, soft_wrap=True)


def _with_origin(text: str, source: str) -> str:
    """The text of a skeleton with a comment on what it was made of."""
    declaration, _, rest = text.partition("\n")
    made_of = f"{source}, with the classes of NeXus {release.installed().version}"
    comment = f"made by: nexus-callbacks definitions convert {made_of}".replace("--", "- -")
    return f"{declaration}\n<!-- {comment} -->\n{rest}"


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
