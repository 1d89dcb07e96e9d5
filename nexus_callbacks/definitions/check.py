"""Check: what is wrong with a definition, and what is doubtful, before a beamline uses it.

Errors keep a file from being what its author means: no sound XML, a class that NeXus does not have, units that nobody
knows, links that lead nowhere or in a circle, siblings that contradict each other. Warnings are what NeXus discourages
or does not know: most of ESRF's own file stands outside NXDL by intention.

A field is *not in its class* if neither its group's class, nor what that extends, nor what the groups around it or the
application definition of the entry say of the group, defines a field of that name, exactly or by a pattern
(``FIELDNAME_errors``). NXcollection defines none and may hold any: its fields are counted too, as no reader can know
what they mean, and the message says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nexus_callbacks import units
from nexus_callbacks.definitions import categories, esrf_xml, nxdl
from nexus_callbacks.definitions.definition import Field, Group, Link, Node, merge
from nexus_callbacks.definitions.links import circles
from nexus_callbacks.definitions.release import Release, Scope
from nexus_callbacks.faults import Fault, FaultError, Place

Severity = Literal["error", "warning"]
Kind = Literal[
    "malformed",
    "unknown class",
    "unknown unit",
    "link to nowhere",
    "cyclic link",
    "conflict",
    "mis-cased class",
    "deprecated class",
    "deprecated field",
    "duplicate sibling",
    "variable used twice",
    "field not in its class",
    "group not in its class",
    "unit of another kind",
]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or doubtful."""

    severity: Severity
    kind: Kind
    path: str
    """Of the node, relative to the entry; empty for the whole file."""
    fault: Fault


def check_file(path: Path, release: Release, beside: Group | None = None) -> list[Finding]:
    """As :func:`check`, of a file. What its reader finds wrong are findings too, and the rest is looked at as well.

    Raises
    ------
    FaultError
        The file of a NeXus class cannot be used.
    """
    tree, faults = esrf_xml.survey(path)
    found = [Finding("error", "malformed", "", fault) for fault in faults]
    if tree is not None:
        found += check(tree, release, beside)
    return sorted(found, key=lambda finding: _order(finding.fault.place))


def check(tree: Group, release: Release, beside: Group | None = None) -> list[Finding]:
    """Everything that is to be said of a definition, in the order of its places.

    Parameters
    ----------
    tree
        As it was read, repeated siblings as they stand.
    release
        The NeXus classes to hold it against.
    beside
        A definition with which it will be merged: its nodes are there for links, and are not to be contradicted.

    Raises
    ------
    FaultError
        The file of a NeXus class cannot be used.
    """
    conflicts = list(_conflicts(tree, beside))
    clashing = {finding.fault.place for finding in conflicts}
    duplicates = [each for each in _duplicates(tree, "") if each.fault.place not in clashing]
    found = [
        *conflicts,
        *duplicates,
        *_links(tree, beside),
        *_twice(tree),
        *_Classes(release).group(tree, "", release.scope("NXentry", *_application(tree, release))),
    ]
    return sorted(found, key=lambda finding: _order(finding.fault.place))


def sure(tree: Group, release: Release | None, beside: Sequence[Group] = ()) -> list[Fault]:
    """The errors of single nodes: what a profile is refused for before the scan, as no file could be what is meant.

    Much faster than :func:`check`, since nothing is asked of what the classes define; conflicts and circles are left
    to those who merge. Without a ``release`` classes are not looked at.
    """
    every = {path: node for each in (*beside, tree) for path, node in each.walk()}
    found = list(_lost(tree, every, "link to a path of one of the definitions that are merged"))
    for path, node in tree.walk():
        if isinstance(node, Field):
            found += _bad_unit(node, path)
        elif isinstance(node, Group) and release is not None:
            found += _bad_class(node, path, release)
    return sorted((finding.fault for finding in found), key=lambda fault: _order(fault.place))


def _order(place: Place | None) -> tuple[str, int]:
    return (place.source, place.line or 0) if place else ("", 0)


# -- one node and another ------------------------------------------------------------------------------------------


def _conflicts(tree: Group, beside: Group | None) -> Iterator[Finding]:
    """What contradicts itself, or the other definition; links that go in a circle in either, or between the two."""
    merged = tree
    for trees in [[tree], [beside, tree]] if beside else [[tree]]:
        try:
            merged = merge(*trees)
        except FaultError as error:
            yield from (Finding("error", "conflict", "", fault) for fault in error.faults)
            break
    yield from (Finding("error", "cyclic link", "", fault) for fault in circles(merged))


def _duplicates(group: Group, path: str) -> Iterator[Finding]:
    first: dict[str, Node] = {}
    for node in group.children:
        here = f"{path}/{node.name}".lstrip("/")
        known = first.setdefault(node.name, node)
        if known is not node:
            message = f"{here} stands here again, after {_where(known.place)}"
            yield _warning("duplicate sibling", here, message, node.place, "write the two as one")
        if isinstance(node, Group):
            yield from _duplicates(node, here)


def _twice(tree: Group) -> Iterator[Finding]:
    for variable, fields in tree.variables().items():
        (first_path, first), *others = fields
        for path, node in others:
            if path != first_path:
                message = f"${{{variable}}} fills {path} and {first_path} ({_where(first.place)})"
                yield _warning("variable used twice", path, message, node.place, "link the one to the other")


def _links(tree: Group, beside: Group | None) -> Iterator[Finding]:
    own = dict(tree.walk())
    elsewhere = "link to a path of this definition, or name the one it will be merged with: --beside esrf"
    yield from _lost(tree, own | dict(beside.walk()) if beside else own, elsewhere)


def _lost(tree: Group, every: dict[str, Node], elsewhere: str) -> Iterator[Finding]:
    """Links to where nothing is; ``elsewhere`` is the remedy where nothing is like what was typed."""
    for path, node in tree.walk():
        if not isinstance(node, Link):
            continue
        target = node.target.strip("/")
        if target in every or _through(target, every):
            continue
        near = _nearest(target, [known for known in every if known != path])
        remedy = f"did you mean /{near}?" if near else elsewhere
        message = f"the link {path} leads to /{target}, where nothing is"
        yield Finding("error", "link to nowhere", path, Fault(message, node.place, remedy))


def _nearest(target: str, paths: list[str]) -> str:
    """The path with the same last name, or one like it, that is most like what was typed; empty if there is none."""
    names = {path.rpartition("/")[2] for path in paths}
    near = difflib.get_close_matches(target.rpartition("/")[2], names, 1, 0.8)
    same = [path for path in paths if near and path.rpartition("/")[2] == near[0]]
    return difflib.get_close_matches(target, same, 1, 0.0)[0] if same else ""


def _through(target: str, every: dict[str, Node]) -> bool:
    """Whether a path leads on through another link."""
    parts = target.split("/")
    for depth in range(1, len(parts)):
        link = every.get("/".join(parts[:depth]))
        if isinstance(link, Link):
            return "/".join([link.target.strip("/"), *parts[depth:]]) in every
    return False


# -- a node and its class ------------------------------------------------------------------------------------------


def _application(group: Group, release: Release) -> tuple[nxdl.Group, ...]:
    """What the application definition that an entry names says of it."""
    named = next((c for c in group.children if isinstance(c, Field) and c.name == "definition"), None)
    if named is None or named.variable is not None or named.text not in release:
        return ()
    whole = release.definition(named.text)
    return tuple(n for n in whole.children if isinstance(n, nxdl.Group) and n.nx_class == "NXentry")


class _Classes:
    """Groups and fields against what NeXus says of them."""

    def __init__(self, release: Release) -> None:
        self._release = release

    def group(self, group: Group, path: str, scope: Scope) -> Iterator[Finding]:
        for node in group.children:
            here = f"{path}/{node.name}".lstrip("/")
            if isinstance(node, Field):
                yield from self._field(node, here, group, scope)
            elif isinstance(node, Group):
                yield from self._inner(node, here, group, scope)

    def _inner(self, node: Group, path: str, outer: Group, scope: Scope) -> Iterator[Finding]:
        name = _spelled(node)
        known = name if name in self._release else self._release.nearest(name)
        if known != name and known.lower() == name.lower():
            yield _warning("mis-cased class", path, f"{path} has class {name}", node.place, f"write {known}")
        yield from _bad_class(node, path, self._release)
        nx_class = known or name
        said = scope.groups(node.name, nx_class)
        deprecated = self._release.definition(nx_class).deprecated if nx_class in self._release else ""
        deprecated = deprecated or next((each.deprecated for each in said if each.deprecated), "")
        if deprecated:
            message = f"{path} is an {nx_class}, which is deprecated"
            yield _warning("deprecated class", path, message, node.place, nxdl.brief(deprecated))
        if nx_class in self._release and not said and outer.nx_class in self._release and "groups" not in scope.ignores:
            message = f"{outer.nx_class} defines no {nx_class}: {path}"
            yield _warning("group not in its class", path, message, node.place, "NXcollection may hold any group")
        inner = self._release.scope(nx_class, *said, *_application(node, self._release))
        yield from self.group(node, path, inner)

    def _field(self, node: Field, path: str, outer: Group, scope: Scope) -> Iterator[Finding]:
        yield from _bad_unit(node, path)
        known = scope.field(node.name)
        if known is None:
            if scope.layers:
                any_ = " (it may hold any)" if "fields" in scope.ignores else ""
                message = f"{outer.nx_class} defines no field {node.name}{any_}: {path}"
                yield _warning("field not in its class", path, message, node.place, self._near(node.name, scope))
            return
        if known.deprecated:
            message = f"{path} is deprecated in {outer.nx_class}"
            yield _warning("deprecated field", path, message, node.place, nxdl.brief(known.deprecated))
        if node.units and categories.wrong(node.units, known.units):
            usual = categories.usual(known.units)
            message = f"{path} has the unit {node.units!r}, which is not of {known.units}"
            remedy = f"give a unit such as {usual}" if usual else "give a pure number"
            yield _warning("unit of another kind", path, message, node.place, remedy)

    @staticmethod
    def _near(name: str, scope: Scope) -> str:
        near = difflib.get_close_matches(name, scope.names(), 1, 0.8)
        return f"did you mean {near[0]!r}?" if near else ""


def _bad_class(node: Group, path: str, release: Release) -> Iterator[Finding]:
    name = _spelled(node)
    if name in release or not name.startswith("NX"):  # Of the latter the reader has said it.
        return
    known = release.nearest(name)
    if known.lower() != name.lower():
        remedy = f"did you mean {known!r}?" if known else "use NXcollection, which may hold anything"
        message = f"{path} has class {name!r}, which NeXus {release.version} does not have"
        yield Finding("error", "unknown class", path, Fault(message, node.place, remedy))


def _bad_unit(node: Field, path: str) -> Iterator[Finding]:
    if node.units and not units.known(node.units):
        remedy = "write a unit as UDUNITS or pint name it, such as mm, keV, 1/s"
        fault = Fault(f"{path} has the unit {node.units!r}, which is not known", node.place, remedy)
        yield Finding("error", "unknown unit", path, fault)


def _spelled(node: Group) -> str:
    """The class as it stands in the file: the reader takes NXCollection for what it is meant to be."""
    given = node.spelling.given if node.spelling else ()
    return next((each.value for each in given if each.name == "NX_class"), node.nx_class)


def _warning(kind: Kind, path: str, message: str, place: Place | None, remedy: str) -> Finding:
    return Finding("warning", kind, path, Fault(message, place, remedy))


def _where(place: Place | None) -> str:
    return f"line {place.line}" if place and place.line else str(place or "another file")
