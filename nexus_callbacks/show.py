"""Show: files, definitions and coverage as a person wants to see them in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from nexus_callbacks.beamline.prospects import Prospect
from nexus_callbacks.definitions import nxdl
from nexus_callbacks.definitions.definition import Field, Group, Link
from nexus_callbacks.layout.coverage import Coverage

LONG = 30
"""A group with more members than this shows its first ones and their number."""

LISTED = 2000
"""A table of coverage has no more rows: ESRF's whole definition has fewer, and each takes the terminal a while."""


def tree(path: Path, depth: int = 3) -> Tree:
    """The tree of an HDF5 file: classes, shapes, links; nothing is followed out of the file."""
    root = Tree(Text(path.name, style="bold"))
    with h5py.File(path, "r", locking=False) as file:
        _branch(root, file, depth)
    return root


def _branch(tree: Tree, group: h5py.Group, depth: int) -> None:
    names = list(group)
    for name in names[:LONG] if len(names) > LONG + 2 else names:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            tree.add(Text(f"{name} → {link.filename}:{link.path}", style="cyan"))
        elif isinstance(link, h5py.SoftLink):
            tree.add(Text(f"{name} → {link.path}", style="cyan"))
        elif isinstance(group[name], h5py.Group):
            child = group[name]
            label = Text.assemble((name, "bold"), f" [{child.attrs.get('NX_class', '')}]")
            if depth > 1:
                _branch(tree.add(label), child, depth - 1)
            else:
                tree.add(Text.assemble(label, f" {len(child)} members"))
        else:
            tree.add(_leaf(name, group[name]))
    if len(names) > LONG + 2:
        tree.add(Text(f"… {len(names) - LONG} more", style="dim"))


def _leaf(name: str, dataset: h5py.Dataset) -> Text:
    units = dataset.attrs.get("units", "")
    if dataset.shape == ():
        value = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]
        text = " ".join(str(value).split())
        shown = text if len(text) <= 50 else text[:49] + "…"
        return Text.assemble(name, " = ", (shown, "green"), f" {units}" if units else "")
    of_files = f" ← {', '.join(sorted({s.file_name for s in dataset.virtual_sources()}))}" if dataset.is_virtual else ""
    shape = " × ".join(str(n) for n in dataset.shape)
    of_units = f" {units}" if units else ""
    return Text.assemble(name, (f" {shape} {dataset.dtype}", "magenta"), of_units, (of_files, "cyan"))


def definition(group: Group) -> Tree:
    """The tree of a definition: classes, variables, units, what is mandatory, deprecated or read at the end."""
    root = Tree(Text.assemble((group.name, "bold"), f" [{group.nx_class}]"))
    _definition_branch(root, group)
    return root


def _definition_branch(tree: Tree, group: Group) -> None:
    for name, text in group.attributes:
        tree.add(Text.assemble(f"@{name} = ", (text, "green")))
    for child in group.children:
        if isinstance(child, Group):
            _definition_branch(tree.add(Text.assemble((child.name, "bold"), f" [{child.nx_class}]")), child)
        elif isinstance(child, Link):
            tree.add(Text(f"{child.name} → {child.target}", style="cyan"))
        else:
            tree.add(_field_line(child))


def _field_line(field: Field) -> Text:
    text = Text(field.name)
    if field.text:
        text.append(" = ")
        text.append(field.text, "magenta" if field.variable is not None else "green")
    text.append(f" {field.nx_type}" + (f" {field.units}" if field.units else ""))
    text.append(f", {field.record}" if field.record else "")
    text.append(" mandatory" if field.mandatory else "", "bold")
    text.append(f" deprecated: {field.deprecated}" if field.deprecated else "", "dim")
    for name, value in field.attributes:
        text.append(f" @{name} = ")
        text.append(value, "green")
    return text


def nexus_class(found: nxdl.Definition) -> Tree:
    """The tree of a NeXus class or application definition: what is required, types, units, allowed values."""
    kind = "application definition" if found.category == "application" else "base class"
    extends = f", extends {found.extends}" if found.extends else ""
    root = Tree(Text.assemble((found.name, "bold"), f" {kind}{extends}"))
    for attribute in found.attributes:
        root.add(_nexus_line(f"@{attribute.name}", attribute))
    _nexus_branch(root, found.children)
    return root


def _nexus_branch(tree: Tree, nodes: Iterable[nxdl.Node]) -> None:
    for node in nodes:
        if isinstance(node, nxdl.Link):
            tree.add(Text(f"{node.name} → {node.target}", style="cyan"))
        elif isinstance(node, nxdl.Choice):
            _nexus_branch(tree.add(Text.assemble((node.name, "bold"), " one of")), node.options)
        elif isinstance(node, nxdl.Group):
            branch = tree.add(_nexus_line(f"{node.name or '…'} [{node.nx_class}]", node))
            _nexus_branch(branch, node.children)
        else:
            tree.add(_nexus_line(node.name, node))


def _nexus_line(name: str, node: nxdl.Group | nxdl.Field | nxdl.Attribute) -> Text:
    text = Text(name)
    if isinstance(node, nxdl.Field):
        text.append(f" {node.type}" + (f" {node.units}" if node.units else ""))
    text.append(f" {node.presence}" if node.presence != "optional" else "", "bold")
    if not isinstance(node, nxdl.Group) and node.enumeration:
        text.append(f" = {' | '.join(node.enumeration.items)}" + (" | …" if node.enumeration.open else ""), "green")
    text.append(f" deprecated: {node.deprecated}" if node.deprecated else "", "dim")
    return text


def coverage(found: Coverage, console: Console, every: bool = False) -> None:
    """How much of a definition is filled, from where, and what is not although somebody claimed it."""
    missing = found.missing_mandatory
    kinds = ", ".join(f"{count} from {scheme}" for scheme, count in found.by_scheme().items())
    console.print(f"{found.filled} of {found.total} variables filled: {kinds or 'none'}", soft_wrap=True, markup=False)
    style = "bold red" if missing else "green"
    console.print(f"mandatory variables missing: {', '.join(missing) or 'none'}", style=style, markup=False)
    rows = [o for o in found.outcomes if every or not o.filled or o.reason or (o.filled and o.deprecated)]
    # A profile names what all of its plans may tell; what this one had no word for would hide the rest.
    untold = [] if every else [o for o in rows if not o.filled and not o.mandatory and o.untold]
    if untold:
        names = ", ".join(o.variable for o in untold[:3]) + (", …" if len(untold) > 3 else "")
        told = f"{len(untold)} more may stand in the start document, this run's has them not: {names}"
        console.print(told + (" (--all lists them)" if len(untold) > 3 else ""), soft_wrap=True, markup=False)
    rows = [o for o in rows if o not in untold]
    if not rows:
        return
    # Names are the point of the table: they are folded where the terminal is narrow, never cut.
    table = Table(box=None, header_style="bold")
    for name in ("variable", "from", "units", "remark"):
        table.add_column(name, overflow="fold")
    for outcome in rows[:LISTED]:
        units = _conversion(outcome.unit_from, outcome.unit_to)
        remark = outcome.reason or (f"deprecated: {outcome.deprecated}" if outcome.deprecated else "")
        origin = Text(outcome.origin) if outcome.filled else Text("absent", "red")
        table.add_row(Text(outcome.variable), origin, Text(units), Text(remark))
    console.print(table)
    if len(rows) > LISTED:
        console.print(f"… {len(rows) - LISTED} more (--json has them)", style="dim", markup=False)


def prospects(found: Sequence[Prospect], console: Console, every: bool = False) -> None:
    """Where the variables of a definition will come from; those that nobody asks for are counted, or listed too."""
    listed = [p for p in found if every or p.listed]
    missing = [p.variable for p in found if p.mandatory and not p.source]
    console.print(f"{sum(bool(p.source) for p in found)} of {len(found)} variables have a source", markup=False)
    style = "bold red" if missing else "green"
    told = f"mandatory variables without a source: {', '.join(missing) or 'none'}"
    console.print(told, style=style, markup=False, soft_wrap=True)
    table = Table(box=None, header_style="bold")
    for name in ("variable", "from", "reading", "units", "remark"):
        table.add_column(name, overflow="fold")
    for each in listed:
        mandatory = "mandatory" if each.mandatory else ""
        deprecated = f"deprecated: {each.deprecated}" if each.deprecated else ""
        remark = "; ".join(filter(None, (mandatory, each.remark, deprecated)))
        source = Text(each.source) if each.source else Text("nowhere", "red" if each.mandatory else "dim")
        units = _conversion(each.unit_from, each.unit_to)
        table.add_row(Text(each.variable), source, Text(each.record), Text(units), Text(remark))
    console.print(table)
    if len(listed) < len(found):
        console.print(f"{len(found) - len(listed)} more, which nobody asks for (--all lists them)", style="dim")


def _conversion(unit_from: str | None, unit_to: str | None) -> str:
    return f"{unit_from} → {unit_to}" if unit_from and unit_to and unit_from != unit_to else unit_to or ""
