"""NXDL files → trees of :mod:`nexus_callbacks.definitions.nxdl`, each as it stands alone: nothing is inherited here.

Elements and their attributes are those of ``nxdl.xsd``, v2026.01. What a later schema adds is passed over; what says
nothing that can be used (a group without a type, ``minOccurs="two"``) is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

from nexus_callbacks.definitions import safe_xml
from nexus_callbacks.definitions.nxdl import (
    Attribute,
    Category,
    Choice,
    Definition,
    Dimension,
    Enumeration,
    Field,
    Group,
    Link,
    NameType,
    Node,
    Presence,
    Shape,
)
from nexus_callbacks.definitions.safe_xml import Element
from nexus_callbacks.faults import Fault, FaultError

NAMESPACE = "http://definition.nexusformat.org/nxdl/"
MAX_FAULTS = 1000  # Nobody reads more, and a hostile file could hold millions.

_CLASS = re.compile(r"NX[A-Za-z0-9_]+")
# nxdl.xsd, validItemName.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.]*[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def is_nxdl(path: Path) -> bool:
    """Whether a file's root is that of an NXDL file; False for what cannot be read."""
    try:
        return safe_xml.parse(safe_xml.read(path), str(path)).tag == "definition"
    except FaultError:
        return False


def read(path: Path) -> Definition:
    """Read an NXDL file.

    Raises
    ------
    FaultError
        The file cannot be read or is no sound NXDL; every fault has its line.
    """
    return reads(safe_xml.read(path), str(path))


def reads(data: bytes, source: str) -> Definition:
    """Read NXDL from bytes; ``source`` is what faults name as its place.

    Raises
    ------
    FaultError
        As :func:`read`.
    """
    reader = _Reader()
    found = reader.definition(safe_xml.parse(data, source))
    if reader.faults:
        raise FaultError(reader.faults)
    return found


class _Reader:
    """Elements → nodes, taking down what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._default: Presence = "optional"

    def definition(self, root: Element) -> Definition:
        if root.tag != "definition" or not (root.namespace.startswith(NAMESPACE) or not root.namespace):
            message = f"the root is <{_short(root.tag)}>, expected <definition> of {NAMESPACE}"
            raise FaultError([Fault(message, root.place)])
        category = self._one_of(root, "category", ("base", "application"), "base")
        self._default = "required" if category == "application" else "optional"
        extends = root.given.get("extends", "")
        return Definition(
            name=self._class(root, "name"),
            category=cast(Category, category),
            extends=self._class(root, "extends") if extends else "",
            children=self._children(root),
            attributes=self._attributes(root),
            symbols=tuple((self._name(each), _doc(each)) for each in _inner(_inner(root, "symbols"), "symbol")),
            ignores=frozenset(
                what
                for what in ("groups", "fields", "attributes")
                if self._boolean(root, f"ignoreExtra{what.capitalize()}", False)
            ),
            deprecated=root.given.get("deprecated", ""),
            doc=_doc(root),
            place=root.place,
        )

    # -- nodes -----------------------------------------------------------------------------------------------------

    def _children(self, element: Element) -> tuple[Node, ...]:
        kinds: dict[str, Callable[[Element], Node]] = {
            "group": self._group,
            "field": self._field,
            "link": self._link,
            "choice": self._choice,
        }
        return tuple(kinds[each.tag](each) for each in element.children if each.tag in kinds)

    def _group(self, element: Element) -> Group:
        given = element.given.get("name", "")
        name = self._name(element) if given else ""
        return Group(
            name=name,
            nx_class=self._class(element, "type"),
            presence=self._presence(element, self._default),
            name_type=self._name_type(element, "specified" if name else "any"),
            max_occurs=self._max_occurs(element, None),
            children=self._children(element),
            attributes=self._attributes(element),
            deprecated=element.given.get("deprecated", ""),
            doc=_doc(element),
            place=element.place,
        )

    def _field(self, element: Element) -> Field:
        name_type = self._name_type(element, "specified")
        return Field(
            name=self._name(element),
            presence=self._presence(element, self._default),
            name_type=name_type,
            nx_type=element.given.get("type", ""),
            units=element.given.get("units", "").strip(),
            max_occurs=self._max_occurs(element, 1 if name_type == "specified" else None),
            shape=self._shape(element),
            axis=self._number(element, "axis"),
            signal=self._number(element, "signal"),
            enumeration=self._enumeration(element),
            attributes=self._attributes(element),
            deprecated=element.given.get("deprecated", ""),
            doc=_doc(element),
            place=element.place,
        )

    def _link(self, element: Element) -> Link:
        target = element.given.get("target", "")
        if not target.strip("/"):
            self._fault("<link> lacks a target", element)
        return Link(self._name(element), target, _doc(element), place=element.place)

    def _choice(self, element: Element) -> Choice:
        name = self._name(element)
        options = tuple(
            replace(option, name=name, name_type="specified")
            for option in (self._group(each) for each in _inner(element, "group"))
        )
        if not options:
            self._fault(f"the choice {_short(name)!r} is one of nothing", element, "give it groups")
        return Choice(name, options, place=element.place)

    def _attributes(self, element: Element) -> tuple[Attribute, ...]:
        return tuple(
            Attribute(
                name=self._name(each),
                presence=self._presence(each, self._default),
                name_type=self._name_type(each, "specified"),
                nx_type=each.given.get("type", ""),
                enumeration=self._enumeration(each),
                deprecated=each.given.get("deprecated", ""),
                doc=_doc(each),
                place=each.place,
            )
            for each in _inner(element, "attribute")
        )

    # -- what nodes hold -------------------------------------------------------------------------------------------

    def _enumeration(self, element: Element) -> Enumeration | None:
        for each in _inner(element, "enumeration"):
            items = tuple(item.given.get("value", "") for item in _inner(each, "item"))
            return Enumeration(items, self._boolean(each, "open", False))
        return None

    def _shape(self, element: Element) -> Shape | None:
        for each in _inner(element, "dimensions"):
            dimensions = (
                Dimension(
                    self._number(dim, "index") or 0,
                    dim.given.get("value", ""),
                    dim.given.get("ref", ""),
                    self._boolean(dim, "required", True),
                )
                for dim in _inner(each, "dim")
            )
            return Shape(each.given.get("rank", ""), tuple(sorted(dimensions, key=lambda dim: dim.index)))
        return None

    def _presence(self, element: Element, default: Presence) -> Presence:
        """``recommended`` is a kind of optional, ``optional`` another word for minOccurs (nxdl.xsd)."""
        least = self._number(element, "minOccurs")
        if self._boolean(element, "recommended", False):
            return "recommended"
        if "optional" in element.given:
            return "optional" if self._boolean(element, "optional", True) else "required"
        return default if least is None else "required" if least else "optional"

    def _max_occurs(self, element: Element, default: int | None) -> int | None:
        if element.given.get("maxOccurs") == "unbounded":
            return None
        return self._number(element, "maxOccurs") if "maxOccurs" in element.given else default

    def _number(self, element: Element, key: str) -> int | None:
        text = element.given.get(key)
        if text is None:
            return None
        if _NUMBER.fullmatch(text):
            return int(text)
        self._fault(f"{key}={_short(text)!r} is no whole number", element)
        return None

    def _boolean(self, element: Element, key: str, default: bool) -> bool:
        text = element.given.get(key)
        if text is None:
            return default
        if text not in _BOOLEANS:
            self._fault(f"{key}={_short(text)!r} is neither true nor false", element)
        return _BOOLEANS.get(text, default)

    def _name_type(self, element: Element, default: NameType) -> NameType:
        return cast(NameType, self._one_of(element, "nameType", ("specified", "partial", "any"), default))

    def _one_of(self, element: Element, key: str, words: tuple[str, ...], default: str) -> str:
        text = element.given.get(key, default)
        if text not in words:
            self._fault(f"{key}={_short(text)!r} is not known", element, f"use one of {', '.join(words)}")
            return default
        return text

    def _name(self, element: Element) -> str:
        return self._matching(element, "name", _NAME, "NeXus name")

    def _class(self, element: Element, key: str) -> str:
        return self._matching(element, key, _CLASS, "NeXus class")

    def _matching(self, element: Element, key: str, pattern: re.Pattern[str], what: str) -> str:
        text = element.given.get(key, "")
        if not text:
            self._fault(f"<{_short(element.tag)}> lacks {key}", element)
        elif not pattern.fullmatch(text):
            self._fault(f"{_short(text)!r} is not a {what}", element)
        return text

    def _fault(self, message: str, element: Element, remedy: str = "") -> None:
        self.faults.append(Fault(message, element.place, remedy))
        if len(self.faults) >= MAX_FAULTS:
            raise FaultError([*self.faults, Fault("too many faults; the rest was not read", element.place)])


def _inner(elements: Iterable[Element] | Element, tag: str) -> list[Element]:
    within = [elements] if isinstance(elements, Element) else elements
    return [each for element in within for each in element.children if each.tag == tag]


def _doc(element: Element) -> str:
    return next((each.text for each in _inner(element, "doc")), "")


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
