"""Difference: what changed between two definitions, two releases of one or those of two beamlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from nexus_callbacks.definitions.definition import Field, Group, Link, Node, same_characters
from nexus_callbacks.faults import Place

Kind = Literal["removed", "added", "moved", "renamed", "changed"]
KINDS: tuple[Kind, ...] = ("removed", "added", "moved", "renamed", "changed")


@dataclass(frozen=True)
class Change:
    """One node that differs."""

    kind: Kind
    node: Literal["group", "field", "link"]
    path: str
    """Where it is, relative to the entry: in the second definition, of what was removed in the first."""
    before: str = ""
    """Where it was, if that differs."""
    variable: str = ""
    """What it holds: a variable's name, of a field with a constant the constant, of a link its target."""
    holds_variable: bool = False
    was: str = ""
    """What it held, if that differs."""
    what: tuple[tuple[str, str, str], ...] = ()
    """Properties that differ: name (``units``, ``type`` …), in the first definition, in the second; empty: not said."""
    first: Place | None = None
    second: Place | None = None


def difference(first: Group, second: Group, renames: Mapping[str, str] | None = None) -> tuple[Change, ...]:
    """What one has to do to the first definition to get the second, by kind of change and in their order.

    A field is *moved* if the second has its variable elsewhere, *renamed* if it has another variable in its place or
    what `renames` calls its variable now. Texts that describe a field are not compared, nor is how things are spelled.

    Parameters
    ----------
    renames
        Old variable → what it is called since.
    """
    pairs, left, new = _paired(first, second, renames or {})
    changes = [_change(a, b) for a, b in pairs]
    found = [change for change in changes if change is not None]
    found += [Change("removed", _kind(n), path, "", _held(n), _holds(n), first=n.place) for path, n in left]
    found += [Change("added", _kind(n), path, "", _held(n), _holds(n), second=n.place) for path, n in new]
    roots = _change(("", first), ("", second))
    return tuple(sorted([*([roots] if roots else []), *found], key=lambda change: KINDS.index(change.kind)))


def outermost(changes: Iterable[Change]) -> list[tuple[Change, int]]:
    """The changes without those in a group that was added or removed as a whole, each with how many it stands for."""
    found: list[tuple[Change, int]] = []
    for change in changes:
        last = found[-1][0] if found else None
        whole = last is not None and last.node == "group" and last.kind == change.kind in ("added", "removed")
        if last is not None and whole and change.path.startswith(f"{last.path}/"):
            found[-1] = last, found[-1][1] + 1
        else:
            found.append((change, 1))
    return found


_At = tuple[str, Node]
_Key = Callable[[_At], object]


def _paired(
    first: Group, second: Group, renames: Mapping[str, str]
) -> tuple[list[tuple[_At, _At]], list[_At], list[_At]]:
    """Nodes that are the same thing, and what is left of both definitions.

    From the surest sign to the least: the same place and variable; the same variable elsewhere, at best under the same
    name; a variable that is known to be renamed; the same place.
    """
    pairs: list[tuple[_At, _At]] = []
    left, right = _nodes(first), _nodes(second)

    def variable(at: _At) -> str | None:
        return at[1].variable if isinstance(at[1], Field) else None

    def here(at: _At) -> object:
        return at[0], _kind(at[1])

    def renamed(at: _At) -> object:
        return renames.get(variable(at) or "")

    keys: list[tuple[_Key, _Key]] = [
        (lambda at: (here(at), _held(at[1])), lambda at: (here(at), _held(at[1]))),
        (lambda at: (variable(at), at[1].name) if variable(at) else None,) * 2,
        (variable, variable),
        (renamed, variable),
        (here, here),
    ]
    for of_first, of_second in keys:
        found, left, right = _matched(left, right, of_first, of_second)
        pairs += found
    order = {id(node): index for index, (_, node) in enumerate(second.walk())}
    return sorted(pairs, key=lambda pair: order[id(pair[1][1])]), left, right


def _nodes(root: Group) -> list[_At]:
    """Every node below the root. Groups of one path are one group, however many siblings a file makes of it."""
    groups: set[str] = set()
    found = []
    for path, node in root.walk():
        if isinstance(node, Group):
            if path in groups:
                continue
            groups.add(path)
        found.append((path, node))
    return found


def _matched(
    left: Iterable[_At], right: Iterable[_At], of_first: _Key, of_second: _Key
) -> tuple[list[tuple[_At, _At]], list[_At], list[_At]]:
    """Pairs whose keys are the same and not None, and what has no partner, all in order."""
    waiting: dict[object, list[_At]] = {}
    right = list(right)
    for at in reversed(right):
        waiting.setdefault(of_second(at), []).append(at)
    waiting.pop(None, None)
    pairs, alone = [], []
    for at in left:
        partners = waiting.get(of_first(at))
        if partners:
            pairs.append((at, partners.pop()))
        else:
            alone.append(at)
    taken = {id(at) for _, at in pairs}
    return pairs, alone, [at for at in right if id(at) not in taken]


def _change(a: _At, b: _At) -> Change | None:
    (before, old), (path, new) = a, b
    both = zip(_properties(old), _properties(new), strict=True)
    what = tuple((n, x, y) for (n, x), (_, y) in both if x != y and not (n == "units" and _alike(x, y)))
    was, held = _held(old), _held(new)
    kind: Kind = "changed"
    if isinstance(old, Field) and isinstance(new, Field) and old.variable and new.variable:
        kind = "moved" if was == held and before != path else "renamed" if was != held else "changed"
    elif was != held:
        what = (("value" if isinstance(new, Field) else "target", was, held), *what)
    if kind == "changed" and not what:
        return None
    return Change(
        kind,
        _kind(new),
        path,
        before if before != path else "",
        held,
        _holds(new),
        was if was != held else "",
        what,
        old.place,
        new.place,
    )


def _alike(one: str, other: str) -> bool:
    return same_characters(one) == same_characters(other)


def _kind(node: Node) -> Literal["group", "field", "link"]:
    return "group" if isinstance(node, Group) else "field" if isinstance(node, Field) else "link"


def _held(node: Node) -> str:
    if isinstance(node, Field):
        return node.variable or node.text
    return node.target.strip("/") if isinstance(node, Link) else ""


def _holds(node: Node) -> bool:
    return isinstance(node, Field) and node.variable is not None


def _properties(node: Node) -> list[tuple[str, str]]:
    """What is compared of a node besides its path and what it holds."""
    attributes = "" if isinstance(node, Link) else " ".join(f"{n}={text!r}" for n, text in sorted(node.attributes))
    if isinstance(node, Group):
        return [("class", node.nx_class), ("attributes", attributes)]
    if isinstance(node, Link):
        return []
    return [
        ("type", node.nx_type),
        ("units", node.units or ""),
        ("record", node.record or ""),
        ("mandatory", "Mandatory" if node.mandatory else ""),
        ("deprecated", node.deprecated),
        ("attributes", attributes),
    ]
