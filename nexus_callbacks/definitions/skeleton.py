"""Skeleton: a NeXus application definition as a definition of ours, to be bound by a beamline.

What NXDL requires becomes fields that hold a variable (``${detector_image_key}``: group and field), mandatory, in the
unit that is usual for its category; a field that may have one value only becomes that constant, a link of NXDL a link.
Where a definition beside which it will be used has the same path (ESRF's has ``sample/name``), its variable and units
are taken, so that the two merge. Groups that NXDL leaves unnamed get the name of their class (``source`` for NXsource).
What a link leads to is in the skeleton even where NXDL does not require it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from nexus_callbacks.definitions import categories, nxdl
from nexus_callbacks.definitions.definition import Field, Group, Link, Node
from nexus_callbacks.definitions.links import circles
from nexus_callbacks.definitions.release import Release
from nexus_callbacks.faults import Fault, FaultError

# NXDL's types (nxdlTypes.xsd) that ESRF's dialect has by another name.
_TYPES = {
    **{name: name for name in ("NX_CHAR", "NX_NUMBER", "NX_FLOAT", "NX_INT", "NX_BOOLEAN", "NX_DATE_TIME")},
    **dict.fromkeys(("NX_UINT", "NX_POSINT"), "NX_INT"),
    "NX_CHAR_OR_NUMBER": "NX_CHAR",
    "ISO8601": "NX_DATE_TIME",
}
_NUMBERS = ("NX_NUMBER", "NX_FLOAT", "NX_INT")
_FEW = 12
# Attributes that are given here, or by the writer.
_OURS = ("axes", "default", "signal", "units", "version")


@dataclass(frozen=True)
class Skeleton:
    """A definition made of NXDL."""

    tree: Group
    remarks: tuple[Fault, ...]
    """What could not be taken over as NXDL has it, with its place there."""


@dataclass(eq=False)
class _Planned:
    """A node that may come into the skeleton."""

    node: nxdl.Node
    name: str
    outer: _Planned | None
    wanted: bool
    mandatory: bool
    """Required, and so are all groups around it."""
    inner: list[_Planned] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Relative to the entry; empty for the entry itself."""
        if self.outer is None:
            return ""
        return f"{self.outer.path}/{self.name}" if self.outer.path else self.name

    def around(self) -> Iterator[_Planned]:
        """The groups that hold it, the nearest first."""
        if self.outer is not None:
            yield self.outer
            yield from self.outer.around()

    def walk(self) -> Iterator[_Planned]:
        for each in self.inner:
            yield each
            yield from each.walk()


def skeleton(
    application: nxdl.Definition,
    release: Release,
    *,
    optional: bool = False,
    recommended: bool = False,
    beside: Group | None = None,
) -> Skeleton:
    """A definition of what an application definition requires.

    Parameters
    ----------
    application
        An application definition, of the release or one's own.
    release
        The classes that it uses.
    optional
        With what NXDL calls optional or recommended, but for what is deprecated or has no name of its own.
    recommended
        With what NXDL recommends.
    beside
        The definition with which it will be merged.

    Raises
    ------
    FaultError
        It is a base class, has no NXentry, uses a class whose file is faulty, or has links in a circle.
    """
    whole = release.filled(release.extended(application))
    entry = next((n for n in whole.children if isinstance(n, nxdl.Group) and n.nx_class == "NXentry"), None)
    if whole.category != "application" or entry is None:
        message = f"{application.name} is a base class" if entry is None else f"{application.name} is no application"
        remedy = "name an application definition, such as NXtomo"
        raise FaultError([Fault(f"{message}: a class is a part of an entry, not a whole one", whole.place, remedy)])
    builder = _Builder(whole, release, {"required"}, beside)
    if recommended or optional:
        builder.presences.add("recommended")
    if optional:
        builder.presences.add("optional")
    tree = builder.build(entry)
    if faults := circles(tree):
        raise FaultError(faults)
    return Skeleton(tree, tuple(builder.remarks))


class _Builder:
    def __init__(
        self, application: nxdl.Definition, release: Release, presences: set[str], beside: Group | None
    ) -> None:
        self.presences = presences
        self.remarks: list[Fault] = []
        self._application = application
        self._release = release
        self._beside = dict(beside.walk()) if beside else {}
        self._taken = set(beside.variables()) if beside else set()
        """Names of variables that stand for something already."""

    def build(self, entry: nxdl.Group) -> Group:
        root = _Planned(entry, "${entry}", None, True, True)
        self._plan(root, entry)
        targets = self._link(root)
        return self._group(root, targets)

    # -- which nodes, under which names ----------------------------------------------------------------------------

    def _plan(self, outer: _Planned, group: nxdl.Group) -> None:
        taken = {node.name for node in group.children if not isinstance(node, nxdl.Group) or not _free(node)}
        for node in group.children:
            if isinstance(node, nxdl.Choice):
                remark = f"{node.name} may be of several classes: {node.options[0].nx_class} was taken"
                self.remarks.append(Fault(remark, node.place))
                node = node.options[0]  # noqa: PLW2901
            name = node.name if isinstance(node, nxdl.Link) or not _free(node) else self._name(outer, node, taken)
            taken.add(name)
            required = isinstance(node, nxdl.Link) or node.presence == "required"
            wanted = outer.wanted and (isinstance(node, nxdl.Link) or required or self._is_asked_for(node))
            planned = _Planned(node, name, outer, wanted, outer.mandatory and required)
            outer.inner.append(planned)
            if isinstance(node, nxdl.Group):
                self._plan(planned, node)

    def _is_asked_for(self, node: nxdl.Group | nxdl.Field) -> bool:
        nameless = _free(node) and (isinstance(node, nxdl.Field) or bool(node.name))
        return node.presence in self.presences and not node.deprecated and not nameless

    def _name(self, outer: _Planned, node: nxdl.Group | nxdl.Field, taken: set[str]) -> str:
        """A name for what NXDL leaves unnamed, or names by a pattern."""
        stem = node.name or node.nx_class.removeprefix("NX") if isinstance(node, nxdl.Group) else node.name
        if node.name_type == "partial":
            fixed = re.sub("[A-Z]+", "", stem).strip("_.")
            stem = fixed if fixed and nxdl.fits(fixed, stem, "partial") else stem
        name, number = stem.lower(), 1
        while name in taken or self._is_of_another_class(f"{outer.path}/{name}".lstrip("/"), node):
            number += 1
            name = f"{stem.lower()}_{number}"
        return name

    def _is_of_another_class(self, path: str, node: nxdl.Group | nxdl.Field) -> bool:
        known = self._beside.get(path)
        if known is None:
            return False
        return isinstance(known, Group) != isinstance(node, nxdl.Group) or (
            isinstance(known, Group) and isinstance(node, nxdl.Group) and known.nx_class != node.nx_class
        )

    # -- links -----------------------------------------------------------------------------------------------------

    def _link(self, root: _Planned) -> dict[int, _Planned]:
        """The node to which each link leads, by the link's id; every target comes into the skeleton."""
        targets: dict[int, _Planned] = {}
        for planned in list(root.walk()):
            if not isinstance(planned.node, nxdl.Link) or not planned.wanted:
                continue
            parts = planned.node.target.strip("/").split("/")[1:]  # The first is the entry.
            target = next(self._follow(root, parts), None)
            if target is None or target in planned.around():
                where = "to a group that holds it" if target is not None else "to what NXDL does not define"
                message = f"the link {planned.path} was left out: it leads {where}, {planned.node.target}"
                self.remarks.append(Fault(message, planned.node.place))
                planned.wanted = False
                continue
            targets[id(planned)] = target
            self._want(target)
        return targets

    def _follow(self, group: _Planned, parts: list[str]) -> Iterator[_Planned]:
        if not parts:
            yield group
            return
        name, _, nx_class = parts[0].rpartition(":") if ":" in parts[0] else ("", "", parts[0])
        for each in group.inner:
            of_class = isinstance(each.node, nxdl.Group) and nx_class in self._release.parents(each.node.nx_class)
            if each.name == nx_class or (of_class and name in ("", each.name)):
                yield from self._follow(each, parts[1:])
        if len(parts) == 1 and isinstance(group.node, nxdl.Group):
            # The application definition does not mention it, its class does.
            known = self._release.scope(group.node.nx_class, group.node).field(parts[0])
            if known is not None and known.name == parts[0]:
                added = _Planned(known, known.name, group, False, False)
                group.inner.append(added)
                yield added

    def _want(self, planned: _Planned) -> None:
        """Bring a node in, with the groups around it and what these require."""
        if planned.outer is not None and not planned.outer.wanted:
            self._want(planned.outer)
        planned.wanted = True
        for each in planned.inner:
            if not each.wanted and isinstance(each.node, nxdl.Field | nxdl.Group) and each.node.presence == "required":
                self._want(each)

    # -- nodes of ours ---------------------------------------------------------------------------------------------

    def _group(self, planned: _Planned, targets: dict[int, _Planned]) -> Group:
        node = planned.node
        assert isinstance(node, nxdl.Group)  # Callers look first.
        children: list[Node] = []
        for each in planned.inner:
            if not each.wanted:
                continue
            if isinstance(each.node, nxdl.Group):
                children.append(self._group(each, targets))
            elif isinstance(each.node, nxdl.Field):
                children.append(self._field(each, each.node))
            else:
                children.append(Link(each.name, f"/{targets[id(each)].path}"))
        known = self._beside.get(planned.path)
        if known is not None and (not isinstance(known, Group) or known.nx_class != node.nx_class):
            what = f"has class {known.nx_class}" if isinstance(known, Group) else f"is a {type(known).__name__.lower()}"
            self._remark(planned, f"{what} in the other definition: the two cannot be merged")
        attributes = self._constants(planned, node.attributes)
        if node.nx_class == "NXdata":
            attributes |= _plot(
                [(each.name, targets.get(id(each), each).node) for each in planned.inner if each.wanted]
            )
        if planned.outer is None:
            attributes["definition"] = self._application.name  # Where nabu looks for it.
            shown = (g for g in children if isinstance(g, Group) and g.nx_class == "NXdata")
            default = next((group.name for group in shown if "signal" in dict(group.attributes)), "")
            attributes |= {"default": default} if default else {}
        return Group(planned.name, node.nx_class, tuple(children), nxdl.brief(node.doc), tuple(attributes.items()))

    def _field(self, planned: _Planned, node: nxdl.Field) -> Field:
        constant, attributes = _only(node.enumeration), self._constants(planned, node.attributes)
        if planned.path == "definition":
            constant = self._application.name
            attributes |= {"version": self._release.version} if self._release.version else {}
        nx_type = _TYPES.get(node.type, "")
        if not nx_type:
            self._remark(planned, f"is {node.type}, which ESRF's dialect does not have: NX_NUMBER was taken")
            nx_type = "NX_NUMBER"
        found = Field(
            name=planned.name,
            text=constant,
            nx_type=nx_type,
            units=categories.usual(node.units) if nx_type in _NUMBERS else None,
            mandatory=planned.mandatory and not constant,
            description=_described(node),
            attributes=tuple(attributes.items()),
        )
        known = self._beside.get(planned.path)
        if isinstance(known, Field):
            found = self._as_beside(planned, found, known, node.units)
        elif known is not None:
            self._remark(planned, f"is a {type(known).__name__.lower()} in the other definition")
        return found if found.text else replace(found, text=f"${{{self._variable(planned)}}}")

    def _as_beside(self, planned: _Planned, found: Field, known: Field, category: str) -> Field:
        """A field that merges with what another definition has at its path."""
        if known.variable is None and known.text and found.text not in ("", known.text):
            self._remark(planned, f"is {known.text!r} in the other definition, {found.text!r} in NXDL")
        if known.units and categories.wrong(known.units, category):
            self._remark(planned, f"has units {known.units!r} in the other definition, which are not of {category}")
        mergeable = known.nx_type == found.nx_type or {known.nx_type, found.nx_type} <= set(_NUMBERS)
        if known.nx_type in ("NX_FLOAT", "NX_INT") and found.nx_type in ("NX_FLOAT", "NX_INT"):
            mergeable = known.nx_type == found.nx_type
        if not mergeable:
            self._remark(planned, f"is {known.nx_type} in the other definition, {found.nx_type} in NXDL")
        constant = bool(found.text) and known.variable is not None
        return replace(
            found,
            text=found.text if constant else known.text,
            nx_type=found.nx_type if mergeable else known.nx_type,
            units=known.units or (found.units if mergeable else None),
        )

    def _variable(self, planned: _Planned) -> str:
        """The name of a field and its group, and of as many groups more as it takes to be one of a kind."""
        parts = [re.sub(r"\W", "_", part).lower() for part in planned.path.split("/")]
        for length in range(min(2, len(parts)), len(parts) + 1):
            name = "_".join(parts[-length:])
            if name not in self._taken:
                break
        number = 1
        while name in self._taken:
            number += 1
            name = f"{'_'.join(parts)}_{number}"
        self._taken.add(name)
        return name

    def _constants(self, planned: _Planned, attributes: Iterable[nxdl.Attribute]) -> dict[str, str]:
        """Attributes that have to be there, of those that may have one value only: ours are constants."""
        required = [each for each in attributes if each.presence == "required" and each.name_type == "specified"]
        open_ = [a.name for a in required if not _only(a.enumeration) and a.name not in _OURS and not a.deprecated]
        if open_:
            self._remark(planned, f"wants {', '.join('@' + name for name in open_)}: add what has one value for ever")
        return {each.name: _only(each.enumeration) for each in required if _only(each.enumeration)}

    def _remark(self, planned: _Planned, message: str) -> None:
        self.remarks.append(Fault(f"{planned.path or 'the entry'} {message}", planned.node.place))


def _free(node: nxdl.Group | nxdl.Field) -> bool:
    """Whether NXDL leaves it to the writer of a file how to call a node."""
    return node.name_type != "specified" or not node.name


def _only(enumeration: nxdl.Enumeration | None) -> str:
    """The one value that is allowed; empty if there are several."""
    return enumeration.items[0] if enumeration and len(enumeration.items) == 1 and not enumeration.open else ""


def _plot(members: list[tuple[str, nxdl.Node]]) -> dict[str, str]:
    """Signal and axes of an NXdata, as far as NXDL's marks and its dimensions tell them."""
    fields = {name: node for name, node in members if isinstance(node, nxdl.Field)}
    marked = [name for name, node in fields.items() if node.signal == 1]
    signal = next((name for name in (*marked, "data") if name in fields), "")
    if not signal:
        return {}
    axes = [_axis(index, size, signal, fields) for index, size in enumerate(_sizes(fields[signal]), 1)]
    if not any(axes):
        return {"signal": signal}
    indices = {f"{name}_indices": str(index) for index, name in enumerate(axes) if name}
    return {"signal": signal, "axes": " ".join(name or "." for name in axes), **indices}


def _axis(index: int, size: str, signal: str, fields: dict[str, nxdl.Field]) -> str:
    """The field that is the scale of a dimension: marked so, or the only one of that size; empty if none is."""
    flat = {name: node for name, node in fields.items() if name != signal and len(_sizes(node)) == 1}
    marked = [name for name, node in flat.items() if node.axis == index]
    same = [name for name, node in flat.items() if node.axis is None and _sizes(node) == [size]]
    return marked[0] if marked else same[0] if len(same) == 1 and not size.isdigit() else ""


def _sizes(node: nxdl.Field) -> list[str]:
    return [dimension.size for dimension in node.shape.dimensions] if node.shape else []


def _described(node: nxdl.Field) -> str:
    parts = [nxdl.brief(node.doc)] if node.doc else []
    if node.enumeration and 1 < len(node.enumeration.items) <= _FEW:
        kind = "One of" if not node.enumeration.open else "For example"
        parts.append(f"{kind}: {', '.join(node.enumeration.items)}.")
    if node.shape and node.shape.dimensions:
        parts.append(f"Shape ({', '.join(each.size or each.ref for each in node.shape.dimensions)}).")
    return " ".join(parts)
