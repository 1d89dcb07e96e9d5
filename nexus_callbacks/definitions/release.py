"""Release: the classes of one NeXus release, with what each has from the classes that it extends.

The files are those that nexusformat ships (v2026.01 in nexusformat 2.1.0); they are found without importing it.

A class has the members of the class that it extends, and says more of some of them (NeXus manual, "Inheritance"). In a
file a group has what its class defines and what the groups around it say of it besides: NXdetector defines
``calibration_date``, NXmx says that the NXdetector in its NXinstrument has to have ``sensor_material``. That is a
:class:`Scope`.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from nexus_callbacks.definitions import nxdl_xml
from nexus_callbacks.definitions.nxdl import Attribute, Choice, Definition, Field, Group, Node, fits
from nexus_callbacks.faults import Fault, FaultError

Named = TypeVar("Named", Field, Attribute)

MAX_PARENTS = 20  # The longest chain of v2026.01 has four.
_FOLDERS = ("base_classes", "applications", "contributed_definitions")
_SUFFIX = ".nxdl.xml"


@lru_cache(maxsize=1)
def installed() -> Release:
    """The release that nexusformat ships.

    Raises
    ------
    FaultError
        nexusformat is not installed, or without its definitions.
    """
    spec = importlib.util.find_spec("nexusformat")  # Of a package, not of a module in it: nothing is imported.
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(folder) / "definitions"
        if (found / "base_classes").is_dir():
            version = found / "NXDL_VERSION"
            return Release(found, version.read_text(encoding="utf-8").strip() if version.is_file() else "")
    remedy = 'pip install "nexus-callbacks[validate]"'
    raise FaultError([Fault("the NeXus definitions come with nexusformat, which is not installed", remedy=remedy)])


@dataclass(frozen=True)
class Release:
    """The classes in a folder that is laid out as NeXus's own ``definitions``."""

    folder: Path
    version: str
    """As NeXus names it, ``v2026.01``; empty where it is not said."""

    def names(self) -> tuple[str, ...]:
        """Every class, base classes before application definitions before contributed ones."""
        return tuple(_files(self.folder))

    def __contains__(self, name: object) -> bool:
        return name in _files(self.folder)

    def nearest(self, name: str) -> str:
        """The class that was probably meant, upper and lower case being nothing to go by; empty if none is near."""
        by_lower = {known.lower(): known for known in self.names()}
        near = difflib.get_close_matches(name.lower(), by_lower, 1, 0.75)
        return by_lower[near[0]] if near else ""

    def applications(self) -> tuple[Definition, ...]:
        """The application definitions that NeXus itself keeps, by name, as they stand in their files."""
        every = (_read(path) for path in _files(self.folder).values() if path.parent.name == "applications")
        return tuple(found for found in every if found.category == "application")

    def definition(self, name: str) -> Definition:
        """A class with what it has from those that it extends.

        Raises
        ------
        FaultError
            There is no such class, or its file, or that of a class that it extends, cannot be used.
        """
        if name not in self:
            near = self.nearest(name)
            raise FaultError([Fault(f"no class {name!r} in NeXus {self.version}", remedy=_did_you_mean(near))])
        return _definition(self, name)

    def extended(self, own: Definition) -> Definition:
        """A definition of any origin with what it has from the classes of this release that it extends.

        Raises
        ------
        FaultError
            One of those classes is missing or faulty, or they extend one another in a circle.
        """
        return _extended(self, own, (own.name,))

    def filled(self, definition: Definition) -> Definition:
        """A definition in which each member says, too, what its class says of it: type, units, values, documentation.

        Raises
        ------
        FaultError
            The file of a class that it uses cannot be used.
        """
        children = _filled(definition.children, Scope(self, definition.name, ()))
        return replace(definition, children=children)

    def parents(self, name: str) -> Iterator[str]:
        """A class and those that it extends, directly or not."""
        for _ in range(MAX_PARENTS):
            if name not in self:
                return
            yield name
            name = _read(_files(self.folder)[name]).extends

    def scope(self, nx_class: str, *said: Group) -> Scope:
        """What a group of a class may hold, with what groups around it ``said``; all there is for an unknown class."""
        of_class = (self.definition(nx_class),) if nx_class in self else ()
        return Scope(self, nx_class, (*said, *of_class))


@dataclass(frozen=True)
class Scope:
    """What NeXus says of the members of one group in a file."""

    release: Release
    nx_class: str
    layers: tuple[Group | Definition, ...]
    """What is said of it, what holds before what else does."""

    @property
    def ignores(self) -> frozenset[str]:
        """What may stand here without being said: ``groups``, ``fields``, ``attributes`` or none of them."""
        return frozenset(what for layer in self.layers if isinstance(layer, Definition) for what in layer.ignores)

    def names(self) -> list[str]:
        """Names of the fields that are said of it by name."""
        fields = (node for layer in self.layers for node in layer.children if isinstance(node, Field))
        return [field.name for field in fields if field.name_type == "specified"]

    def field(self, name: str) -> Field | None:
        """What is said of a field of this name; an exact name before a pattern, a pattern before any."""
        fields = (node for layer in self.layers for node in layer.children if isinstance(node, Field))
        return _best(name, fields)

    def attribute(self, name: str) -> Attribute | None:
        """What is said of an attribute of this name."""
        return _best(name, (node for layer in self.layers for node in layer.attributes))

    def groups(self, name: str, nx_class: str) -> tuple[Group, ...]:
        """Everything that is said of a group of this name and class, the most exact first."""
        kinds = list(self.release.parents(nx_class)) or [nx_class]
        found = [
            group
            for layer in self.layers
            for node in layer.children
            for group in (node.options if isinstance(node, Choice) else (node,))
            if isinstance(group, Group) and group.nx_class in kinds and fits(name, group.name, group.name_type)
        ]
        return tuple(sorted(found, key=lambda group: (group.name != name, kinds.index(group.nx_class))))

    def inner(self, name: str, nx_class: str) -> Scope:
        """The scope of a group within this one."""
        return self.release.scope(nx_class, *self.groups(name, nx_class))


def _best(name: str, declared: Iterable[Named]) -> Named | None:
    fitting = [each for each in declared if fits(name, each.name, each.name_type)]
    order = {"specified": 1, "partial": 2, "any": 3}
    return min(fitting, key=lambda each: 0 if each.name == name else order[each.name_type], default=None)


@lru_cache(maxsize=8)
def _files(folder: Path) -> dict[str, Path]:
    return {
        path.name.removesuffix(_SUFFIX): path
        for kind in _FOLDERS
        for path in sorted((folder / kind).glob(f"*{_SUFFIX}"))
    }


@lru_cache(maxsize=1024)
def _read(path: Path) -> Definition:
    return nxdl_xml.read(path)


@lru_cache(maxsize=1024)
def _definition(release: Release, name: str) -> Definition:
    return _extended(release, _read(_files(release.folder)[name]), (name,))


def _extended(release: Release, own: Definition, below: tuple[str, ...]) -> Definition:
    parent = own.extends
    if not parent:
        return own
    if parent in below or len(below) > MAX_PARENTS:
        raise FaultError([Fault(f"{own.name} extends {parent}, which extends it", own.place)])
    if parent not in release:
        remedy = _did_you_mean(release.nearest(parent))
        raise FaultError([Fault(f"{own.name} extends {parent!r}, which NeXus does not have", own.place, remedy)])
    inherited = _extended(release, _read(_files(release.folder)[parent]), (*below, parent))
    # Applications speak of the same NXdetector whether they name it or not; of classes only the same name is the same.
    loose = own.category == inherited.category == "application"
    return replace(
        own,
        children=_joined(own.children, inherited.children, loose),
        attributes=_unless_named(own.attributes, inherited.attributes),
        symbols=own.symbols + tuple(symbol for symbol in inherited.symbols if symbol[0] not in dict(own.symbols)),
        ignores=own.ignores | inherited.ignores,
    )


def _joined(own: tuple[Node, ...], inherited: tuple[Node, ...], loose: bool) -> tuple[Node, ...]:
    """Members of a class: its own, each narrowing the one that it inherits, and the inherited ones beside them."""
    rest = list(inherited)
    found: list[Node] = []
    for node in own:
        known = next((each for each in rest if _same(node, each, loose)), None)
        if known is not None:
            rest.remove(known)
        if isinstance(node, Field) and isinstance(known, Field):
            found.append(_narrowed(node, known))
        elif isinstance(node, Group) and isinstance(known, Group):
            children = _joined(node.children, known.children, loose)
            attributes = _unless_named(node.attributes, known.attributes)
            named = known if known.name and not node.name else node
            found.append(
                replace(
                    node,
                    name=named.name,
                    name_type=named.name_type,
                    children=children,
                    attributes=attributes,
                    doc=node.doc or known.doc,
                )
            )
        else:
            found.append(node)
    return (*found, *rest)


def _same(node: Node, known: Node, loose: bool) -> bool:
    """Whether a class's own node stands in the place of an inherited one."""
    if isinstance(node, Group) and isinstance(known, Group) and node.nx_class == known.nx_class:
        return node.name == known.name or (loose and not (node.name and known.name))
    return bool(node.name) and node.name == known.name


def _narrowed(own: Field, known: Field) -> Field:
    return replace(
        own,
        nx_type=own.nx_type or known.nx_type,
        units=own.units or known.units,
        shape=own.shape or known.shape,
        enumeration=own.enumeration or known.enumeration,
        attributes=_unless_named(own.attributes, known.attributes),
        deprecated=own.deprecated or known.deprecated,
        doc=own.doc or known.doc,
    )


def _unless_named(own: tuple[Attribute, ...], inherited: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    names = {attribute.name for attribute in own}
    return own + tuple(attribute for attribute in inherited if attribute.name not in names)


def _filled(children: tuple[Node, ...], scope: Scope) -> tuple[Node, ...]:
    found: list[Node] = []
    for node in children:
        if isinstance(node, Field):
            known = scope.field(node.name)
            found.append(_narrowed(node, known) if known else node)
        elif isinstance(node, Group):
            found.append(_filled_group(node, scope))
        elif isinstance(node, Choice):
            found.append(replace(node, options=tuple(_filled_group(option, scope) for option in node.options)))
        else:
            found.append(node)
    return tuple(found)


def _filled_group(group: Group, outer: Scope) -> Group:
    scope = outer.inner(group.name, group.nx_class)
    said = next((layer.doc for layer in scope.layers if layer.doc), "")
    return replace(group, children=_filled(group.children, scope), doc=group.doc or said)


def _did_you_mean(near: str) -> str:
    return f"did you mean {near!r}?" if near else ""
