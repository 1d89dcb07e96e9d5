"""Axes: the positioner chains of a profile → NXtransformations, as fields of the definition and bindings of their own.

A profile lists, for a group of the definition, the axes that carry it, from the floor up::

    axes:
      sample:                                                    # /entry/sample
        omega: {type: rotation, vector: [-1, 0, 0], from: data:omega}
        phi:   {type: rotation, vector: [0, 0, 1], from: data:phi}
      detector01:                                                # /entry/instrument/detector01
        det_z: {type: translation, vector: [0, 0, 1], from: data:det_z}

Each axis stands on the one before it, the first on the floor, unless ``depends_on`` names another: an axis of the same
chain, ``GROUP.AXIS`` of another one, or ``.`` for the floor. The last one listed carries the group. Vectors are in
NeXus's coordinates, which are McStas's: z along the beam, y up, x to the left for who looks along the beam
(NeXus manual, "Coordinate systems in NeXus"); their length does not count. Rotations are written in deg, translations
in mm.

The result (NXDL v2026.01, NXtransformations) is ``GROUP/transformations/AXIS`` and ``GROUP/depends_on``. A field of the
definition below that group which has a vector but no ``depends_on``, as the pixel directions of an NXdetector_module,
stands on the chain's end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nexus_callbacks.beamline.sources import Binding, nearest
from nexus_callbacks.definitions.definition import Field, Group, Node, merge
from nexus_callbacks.faults import Fault, FaultError, Place

if TYPE_CHECKING:
    from nexus_callbacks.beamline.typed import Axis, Spec

FLOOR = "."
"""What the lowest axis depends on (NXtransformations)."""
UNITS = {"rotation": "deg", "translation": "mm"}
"""Units in which an axis is written."""
HOLDER = "transformations"
"""Name of the group of a chain's axes."""

Axes = Mapping[str, Mapping[str, "Axis"]]
"""Group → axis → what was typed, from the floor up."""
Places = Callable[..., Place]
"""Where something was typed: ``place("axes", "sample", "omega")``."""


def variable(group: str, axis: str) -> str:
    """Name of the variable that holds an axis: its place in the profile."""
    return f"axes.{group}.{axis}"


def bindings(axes: Axes, place: Places) -> list[Binding]:
    """Where the value of each axis, and the step of each that has one, is found."""
    found = []
    for group, chain in axes.items():
        for name, axis in chain.items():
            where = place("axes", group, name)
            found.append(_binding(variable(group, name), axis, where))
            if axis.increment:
                step = place("axes", group, name, "increment")
                found.append(_binding(f"{variable(group, name)}_increment_set", axis.increment, step))
    return found


def columns(axes: Axes) -> frozenset[str]:
    """Variables of the axes whose whole column is wanted, where a stream has one: those bound to no single reading."""
    return frozenset(
        variable(group, name)
        for group, chain in axes.items()
        for name, axis in chain.items()
        if not axis.record and not axis.convert
    )


def _binding(name: str, spec: Spec, place: Place) -> Binding:
    convert, table = spec.convert or (None, ())
    return Binding(name, spec.source, spec.unit, spec.record, convert, table, spec.default, place)


def check(axes: Axes, place: Places) -> list[Fault]:
    """What is wrong with the chains as such: axes that stand on nothing known, on themselves, or have a step's name."""
    stands = {}
    faults = []
    for group, chain in axes.items():
        before = ""
        for name, axis in chain.items():
            here = f"{group}.{name}"
            if axis.increment and (step := f"{name}_increment_set") in chain:
                message = f"axes.{group}.{step}: is called as the step of axes.{here}"
                faults.append(Fault(message, place("axes", group, step), "give it another name"))
            below = _below(group, before, axis)
            if below is None:
                stands[here] = ""
            elif below.rpartition(".")[2] in axes.get(below.rpartition(".")[0], {}):
                stands[here] = below
            else:
                names = [*chain, *(f"{g}.{n}" for g, c in axes.items() for n in c if g != group)]
                remedy = nearest(str(axis.depends_on), [n for n in names if n != name])
                message = f"axes.{here}: depends on the unknown axis {axis.depends_on!r}"
                faults.append(Fault(message, place("axes", group, name, "depends_on"), remedy))
            before = name
    return faults + _circles(stands, place)


def _below(group: str, before: str, axis: Axis) -> str | None:
    """The axis (``group.axis``) on which one stands; None for the floor."""
    if axis.depends_on is None:
        return f"{group}.{before}" if before else None
    if axis.depends_on == FLOOR:
        return None
    return axis.depends_on if "." in axis.depends_on else f"{group}.{axis.depends_on}"


def _circles(stands: Mapping[str, str], place: Places) -> list[Fault]:
    """A fault for each circle, told at its first axis."""
    faults: list[Fault] = []
    known: set[str] = set()
    for start in stands:
        way: list[str] = []
        at = start
        while at and at in stands and at not in known and at not in way:
            way.append(at)
            at = stands[at]
        if at in way:
            circle = way[way.index(at) :]
            message = f"axes.{circle[0]}: depends on itself, by way of {', '.join([*circle[1:], circle[0]])}"
            remedy = f"let one of them depend on {FLOOR!r}, the floor"
            faults.append(Fault(message, place("axes", *circle[0].rsplit(".", 1)), remedy))
        known |= set(way)
    return faults


# -- into the definition -----------------------------------------------------------------------------------------------


def home(group: str, tree: Group) -> str | None:
    """Path of the group that a chain carries: below the entry or below its instrument; None if the tree has none."""
    groups = {path for path, node in tree.walk() if isinstance(node, Group)}
    return next((path for path in (group, f"instrument/{group}") if path in groups), None)


def unknown(axes: Axes, place: Places, trees: Mapping[str, Group]) -> list[Fault]:
    """Chains whose group is in none of the definitions that the profile uses."""
    faults = []
    for group in axes:
        if not any(home(group, tree) for tree in trees.values()):
            names = {path.rpartition("/")[2] for tree in trees.values() for path, node in tree.walk() if _carried(node)}
            message = f"axes.{group}: no definition has a group {group!r} in the entry or its instrument"
            faults.append(Fault(message, place("axes", group), nearest(group, sorted(names))))
    return faults


def _carried(node: Any) -> bool:
    return isinstance(node, Group) and node.nx_class in ("NXsample", "NXdetector", "NXbeam", "NXsource")


def placed(axes: Axes, tree: Group, place: Places) -> tuple[Group, list[Fault]]:
    """The definition with the axes of each group that it has; what it cannot take is a fault."""
    homes = {group: path for group in axes if axes[group] and (path := home(group, tree)) is not None}
    faults: list[Fault] = []
    for group, path in homes.items():
        homeless = _homeless(axes, group, homes, place)
        if homeless:
            faults += homeless
            continue
        try:
            tree = merge(tree, _within(tree, path.split("/"), _chain(axes, group, homes)))
        except FaultError as error:
            faults += error.faults
            continue
        tree = _standing(tree, "", path, f"/{path}/{HOLDER}/{list(axes[group])[-1]}")
    return tree, faults


def _homeless(axes: Axes, group: str, homes: Mapping[str, str], place: Places) -> list[Fault]:
    """A fault for each axis of a chain that stands on one of a group which this definition does not have."""
    faults = []
    for name, axis in axes[group].items():
        other = (_below(group, "", axis) or "").rpartition(".")[0]
        if other in axes and other not in homes:
            message = f"axes.{group}.{name}: depends on {axis.depends_on}, but there is no group {other!r}"
            message += " in a definition that has the other"
            remedy = f"let it depend on {FLOOR!r}, or use a definition with both"
            faults.append(Fault(message, place("axes", group, name, "depends_on"), remedy))
    return faults


def _chain(axes: Axes, group: str, homes: Mapping[str, str]) -> tuple[Group | Field, ...]:
    """The fields of one chain: its axes, and the one that carries the group."""
    fields: list[Field] = []
    before = ""
    for name, axis in axes[group].items():
        below = _below(group, before, axis)
        given = [("transformation_type", axis.type), ("vector", _numbers(axis.vector))]
        if axis.offset:
            given += [("offset", _numbers(axis.offset)), ("offset_units", str(axis.offset_unit))]
        given.append(("depends_on", _path(below, group, homes)))
        unit = UNITS[axis.type]
        fields.append(Field(name, f"${{{variable(group, name)}}}", "NX_FLOAT", unit, attributes=tuple(given)))
        if axis.increment:
            step = f"{name}_increment_set"
            fields.append(Field(step, f"${{{variable(group, step)}}}", "NX_FLOAT", unit))
        before = name
    return (Field("depends_on", f"{HOLDER}/{before}"), Group(HOLDER, "NXtransformations", tuple(fields)))


def _path(below: str | None, group: str, homes: Mapping[str, str]) -> str:
    """What ``depends_on`` says: the name of an axis of the same chain, the path of another one's within the entry."""
    if below is None:
        return FLOOR
    other, _, name = below.rpartition(".")
    return name if other == group else f"/{homes.get(other, other)}/{HOLDER}/{name}"


def _numbers(vector: tuple[float, ...]) -> str:
    return " ".join(repr(number) for number in vector)


def _within(tree: Group, path: list[str], children: tuple[Group | Field, ...]) -> Group:
    """A tree that holds nothing but these children, at a path that another tree has."""
    if not path:
        return Group(tree.name, tree.nx_class, children)
    inner = next(child for child in tree.children if isinstance(child, Group) and child.name == path[0])
    return Group(tree.name, tree.nx_class, (_within(inner, path[1:], children),))


def _standing(node: Group, here: str, path: str, end: str) -> Group:
    """The tree with ``depends_on`` at every field below a path that has a vector and says not on what it stands."""
    children: list[Node] = []
    for child in node.children:
        at = f"{here}/{child.name}" if here else child.name
        if isinstance(child, Group) and (path == at or path.startswith(f"{at}/") or at.startswith(f"{path}/")):
            children.append(_standing(child, at, path, end))
        elif isinstance(child, Field) and here.startswith(path):
            names = dict(child.attributes)
            wanting = "vector" in names and "depends_on" not in names
            more = (*child.attributes, ("depends_on", end))
            children.append(replace(child, attributes=more) if wanting else child)
        else:
            children.append(child)
    return replace(node, children=tuple(children))
