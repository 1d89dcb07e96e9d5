"""Definition: the tree of groups, fields, attributes and links that a NeXus file is to have.

A definition is a value. Its fields hold a constant or one ``${variable}``; where a beamline finds the variable
is said by :mod:`nexus_callbacks.beamline.bindings`. Trees come from ESRF's XML
(:mod:`nexus_callbacks.definitions.esrf_xml`); the root is the NXentry. Names and classes follow the NeXus manual, the
other attributes ESRF's ``hdf5_cfg.xml``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from nexus_callbacks.definitions.spelling import Spelling
from nexus_callbacks.faults import Fault, FaultError, Place

Record = Literal["initial", "final"]

# A variable's name may hold a dot (``${saxs_definition.version}`` in the real file): not ``\w+``.
VARIABLE = re.compile(r"\$\{([^{}]+)\}")


@dataclass(frozen=True)
class Field:
    """A dataset of the file: a constant or a variable."""

    name: str
    """NeXus name, the last part of the dataset's path."""
    text: str
    """A constant, or ``${variable}``."""
    nx_type: str = "NX_CHAR"
    """NAPItype: NX_CHAR, NX_NUMBER, NX_FLOAT, NX_INT, NX_BOOLEAN or NX_DATE_TIME."""
    units: str | None = None
    """Units in which the value is written; None where the definition gives none."""
    record: Record | None = None
    """Which reading of the baseline is wanted; None counts as initial."""
    mandatory: bool = False
    description: str = ""
    deprecated: str = ""
    """Free text that names the successor; empty if the field is in use."""
    attributes: tuple[tuple[str, str], ...] = ()
    """Further HDF5 attributes (name, value), as ``<attribute name="…">`` gives them."""
    place: Place | None = field(default=None, compare=False)
    spelling: Spelling | None = field(default=None, compare=False, repr=False)

    @cached_property
    def variable(self) -> str | None:
        """Name of the variable that this field holds, or None for a constant."""
        found = VARIABLE.fullmatch(self.text.strip())
        return found.group(1) if found else None


@dataclass(frozen=True)
class Link:
    """A soft link within the entry."""

    name: str
    target: str
    """Path relative to the entry, with or without a leading ``/``."""
    place: Place | None = field(default=None, compare=False)
    spelling: Spelling | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Group:
    """A group of the file with what it holds, in order."""

    name: str
    nx_class: str
    children: tuple[Group | Field | Link, ...] = ()
    description: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)
    spelling: Spelling | None = field(default=None, compare=False, repr=False)

    def walk(self, path: str = "") -> Iterator[tuple[str, Group | Field | Link]]:
        """Every node below this group with its path relative to it (``instrument/source/current``)."""
        for child in self.children:
            here = f"{path}/{child.name}" if path else child.name
            yield here, child
            if isinstance(child, Group):
                yield from child.walk(here)

    def fields(self) -> Iterator[tuple[str, Field]]:
        """Every field below this group with its path relative to it."""
        for path, node in self.walk():
            if isinstance(node, Field):
                yield path, node

    def variables(self) -> dict[str, list[tuple[str, Field]]]:
        """Variable name → the fields that hold it, with their paths. Not to be changed."""
        return self._variables

    def holding(self, variables: Container[str | None]) -> Group:
        """The same tree with nothing but the fields of some variables, and the groups that lead to them."""
        kept: list[Node] = []
        for child in self.children:
            if isinstance(child, Group):
                group = child.holding(variables)
                kept += [group] if group.children else []
            elif isinstance(child, Field) and child.variable in variables:
                kept.append(child)
        return replace(self, children=tuple(kept))

    @cached_property
    def _variables(self) -> dict[str, list[tuple[str, Field]]]:
        # Every run asks, and a facility's definition has a thousand of them.
        found: dict[str, list[tuple[str, Field]]] = {}
        for path, node in self.fields():
            if node.variable is not None:
                found.setdefault(node.variable, []).append((path, node))
        return found


Node = Group | Field | Link


# A type → the types that narrow it.
_NARROWER = {"NX_NUMBER": ("NX_FLOAT", "NX_INT")}


def merge(first: Group, *others: Group) -> Group:
    """One definition of several, by path; nodes keep the order in which they came.

    A later definition may add nodes and attributes, and may narrow a field: put a constant in the place of a
    variable, NX_FLOAT or NX_INT in that of NX_NUMBER, units or a record where there were none. It never redefines.
    The roots are one entry whatever their names. Repeated siblings within one definition are joined by the same rules.

    Raises
    ------
    FaultError
        Every conflict (class, kind of node, variable, constant, type, units, record, attribute, link target) with
        both places.
    """
    faults: list[Fault] = []
    merged = replace(first, children=_merge_children(first.children, "", faults))
    for other in others:
        merged = _merge_groups(merged, replace(other, name=merged.name), "", faults)
    if faults:
        raise FaultError(faults)
    return merged


def _merge_children(nodes: Iterable[Node], path: str, faults: list[Fault]) -> tuple[Node, ...]:
    found: dict[str, Node] = {}
    for node in nodes:
        known, here = found.get(node.name), f"{path}/{node.name}"
        if known is None:
            if isinstance(node, Group):
                node = replace(node, children=_merge_children(node.children, here, faults))  # noqa: PLW2901
            found[node.name] = node
        elif isinstance(known, Group) and isinstance(node, Group):
            found[node.name] = _merge_groups(known, node, here, faults)
        elif isinstance(known, Field) and isinstance(node, Field):
            found[node.name] = _merge_fields(known, node, here, faults)
        elif isinstance(known, Link) and isinstance(node, Link):
            if known.target.strip("/") != node.target.strip("/"):
                faults.append(_conflict(here, f"links to {node.target!r}", node, f"{known.target!r}", known))
        else:
            faults.append(_conflict(here, f"is a {_kind(node)}", node, f"a {_kind(known)}", known))
    return tuple(found.values())


def _merge_groups(known: Group, node: Group, path: str, faults: list[Fault]) -> Group:
    if known.nx_class != node.nx_class:
        faults.append(_conflict(path or "/", f"has class {node.nx_class}", node, known.nx_class, known))
    return Group(
        known.name,
        known.nx_class,
        _merge_children((*known.children, *node.children), path, faults),
        node.description or known.description,
        _merge_attributes(known, node, path, faults),
        place=known.place,
    )


def _merge_fields(known: Field, node: Field, path: str, faults: list[Fault]) -> Field:
    text, nx_type = node.text or known.text, node.nx_type
    if known.text and node.text and known.text != node.text and (known.variable is None or node.variable is not None):
        faults.append(_conflict(path, f"holds {node.text!r}", node, repr(known.text), known))
    if nx_type in _NARROWER and known.nx_type in _NARROWER[nx_type]:
        nx_type = known.nx_type
    elif nx_type != known.nx_type and nx_type not in _NARROWER.get(known.nx_type, ()):
        faults.append(_conflict(path, f"is {nx_type}", node, known.nx_type, known))
    if known.units and node.units and same_characters(known.units) != same_characters(node.units):
        faults.append(_conflict(path, f"has units {node.units!r}", node, repr(known.units), known))
    if known.record and node.record and known.record != node.record:
        faults.append(_conflict(path, f"wants the {node.record} reading", node, f"the {known.record} one", known))
    return Field(
        known.name,
        text,
        nx_type,
        known.units or node.units,
        known.record or node.record,
        known.mandatory or node.mandatory,
        node.description or known.description,
        node.deprecated or known.deprecated,
        _merge_attributes(known, node, path, faults),
        place=node.place if node.text and node.text != known.text else known.place,
    )


def same_characters(unit: str) -> str:
    """A unit in one of the characters that look the same: Unicode has two for micro and two for Å."""
    return unicodedata.normalize("NFKC", unit)


def _merge_attributes(
    known: Group | Field, node: Group | Field, path: str, faults: list[Fault]
) -> tuple[tuple[str, str], ...]:
    found = dict(known.attributes)
    for name, text in node.attributes:
        if found.setdefault(name, text) != text:
            message = f"has the attribute {name} = {text!r}"
            faults.append(_conflict(path or "/", message, node, repr(found[name]), known))
    return tuple(found.items())


def _conflict(path: str, this: str, node: Node, that: str, known: Node) -> Fault:
    elsewhere = f" at {known.place}" if known.place else ""
    return Fault(f"{path} {this}, but {that}{elsewhere}", node.place, "a definition may add or narrow, not redefine")


def _kind(node: Node) -> str:
    return type(node).__name__.lower()
