"""ESRF's XML dialect of definitions (``hdf5_cfg.xml``) → tree, and back.

The dialect, as icat-esrf-definitions 3.8.0 has it::

    <group groupName="${entry}" NX_class="NXentry">                       the root is the entry
      <group groupName="sample" NX_class="NXsample" ESRF_description="…">
        <name NAPItype="NX_CHAR" ESRF_mandatory="Mandatory">${Sample_name}</name>
        <distance NAPItype="NX_NUMBER" units="mm" record="final">${Sample_distance}</distance>
      </group>
      <link groupName="distance" ref="/sample/distance"/>                 relative to the entry, despite the /
    </group>

Any element other than group, link and attribute is a field: its tag is the NeXus name, its text one ``${variable}``
or a constant. A field without text says nothing of the value: it only narrows or adds to the same field of another
definition. What we add: ``<attribute name="…">text</attribute>`` inside a field or a group. The text of ``axes`` and
``auxiliary_signals`` is a space-separated list (``rotation_angle . .``), that of ``…_indices`` one of integers, that of
``vector`` and ``offset`` one of real numbers; a path in ``depends_on`` is relative to the entry, as a link's ref is.

Older releases and the talk are read too: ``NX_FLOAT64``, ``NAPitype``, ``NX_units``, ``units=""``, ``NXCollection``.
Repeated siblings are kept as they stand; :func:`nexus_callbacks.definitions.definition.merge` joins or refuses them.

Nothing in a file is expanded, fetched or executed: a document type declaration, the only place where XML can declare
an entity, is refused, as is a file over 20 MB or deeper than 100 elements.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from nexus_callbacks.definitions.definition import VARIABLE, Field, Group, Link, Node, Record
from nexus_callbacks.faults import Fault, FaultError, Place

MAX_BYTES = 20_000_000
MAX_DEPTH = 100
MAX_FAULTS = 1000  # Nobody reads more, and a hostile file could hold millions.

NX_TYPES = ("NX_CHAR", "NX_NUMBER", "NX_FLOAT", "NX_INT", "NX_BOOLEAN", "NX_DATE_TIME")
# Other spellings of the six: NXDL's types with a size or a sign (nxdlTypes.xsd), and ISO8601 as old files have it.
_OTHER_TYPES = {
    **dict.fromkeys(("NX_FLOAT32", "NX_FLOAT64"), "NX_FLOAT"),
    **dict.fromkeys(("NX_INT8", "NX_INT16", "NX_INT32", "NX_INT64", "NX_UINT", "NX_POSINT"), "NX_INT"),
    **dict.fromkeys(("NX_UINT8", "NX_UINT16", "NX_UINT32", "NX_UINT64"), "NX_INT"),
    "ISO8601": "NX_DATE_TIME",
}
_OTHER_CLASSES = {"NXCollection": "NXcollection"}  # Mis-cased in icat-esrf-definitions 1.0.0 and 2.0.0.
_CLASS = re.compile(r"NX[A-Za-z0-9_]+")
# NeXus manual, "Rules for Naming": validItemName.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.]*[A-Za-z0-9_])?")
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production Char, negated.

_GROUP_KEYS = {"groupName", "NX_class", "ESRF_description"}
_FIELD_KEYS = {"NAPItype", "units", "record", "ESRF_description", "ESRF_mandatory", "ESRF_deprecated"}
_LINK_KEYS = {"groupName", "ref"}
_OTHER_KEYS = {"NAPitype": "NAPItype", "NX_units": "units"}  # As on the talk's slides.

Kind = Literal["group", "field", "link", "attribute"]


def read(path: str | Path) -> Group:
    """Read a definition from a file.

    Raises
    ------
    FaultError
        The file cannot be read or is not a sound definition; every fault has its line.
    """
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FaultError([Fault(f"cannot be read: {error.strerror or error}", Place(source))]) from error
    return reads(text, source)


def reads(text: str | bytes, source: str) -> Group:
    """Read a definition from text; ``source`` is what faults name as its place.

    Raises
    ------
    FaultError
        As :func:`read`.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise FaultError([Fault(f"larger than {MAX_BYTES // 1_000_000} MB", Place(source))])
    reader = _Reader(source, "utf-8" if isinstance(text, str) else None)
    return reader.parse(data)


@dataclass
class _Open:
    """An element whose end has not come yet."""

    kind: Kind
    tag: str
    given: Mapping[str, str]
    place: Place
    children: list[Node] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


class _Reader:
    def __init__(self, source: str, encoding: str | None) -> None:
        self._source = source
        self._faults: list[Fault] = []
        self._open: list[_Open] = []
        self._root: Group | None = None
        self._parser = expat.ParserCreate(encoding)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._parser.ExternalEntityRefHandler = self._refuse

    def parse(self, data: bytes) -> Group:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            place = Place(self._source, error.lineno)
            raise FaultError([*self._faults, Fault(f"not well-formed XML: {error}", place)]) from error
        except (LookupError, ValueError) as error:
            if isinstance(error, FaultError):
                raise
            raise FaultError([Fault(f"its encoding cannot be read: {error}", self._place())]) from error
        if self._faults or self._root is None:
            raise FaultError(self._faults)
        return self._root

    # -- what expat calls ------------------------------------------------------------------------------------------

    def _refuse(self, *_: object) -> int:
        message = "a document type or entity declaration is not allowed"
        raise FaultError([Fault(message, self._place(), "remove the declaration and what uses it")])

    def _start(self, tag: str, given: dict[str, str]) -> None:
        if len(self._faults) >= MAX_FAULTS:
            raise FaultError([*self._faults, Fault("too many faults; the rest was not read", self._place())])
        if len(self._open) >= MAX_DEPTH:
            raise FaultError([Fault(f"more than {MAX_DEPTH} elements inside one another", self._place())])
        kind = cast(Kind, tag) if tag in ("group", "link", "attribute") else "field"
        given = {_OTHER_KEYS.get(name, name): value.strip() for name, value in given.items()}
        element = _Open(kind, tag, given, self._place())
        outer = self._open[-1].kind if self._open else None
        if outer is None and kind != "group":
            self._fault(f"the root is <{_short(tag)}>, expected <group>", element)
        elif outer in ("link", "attribute") or (outer == "field" and kind != "attribute"):
            self._fault(f"<{_short(tag)}> cannot stand inside <{_short(self._open[-1].tag)}>", element)
        self._open.append(element)

    def _characters(self, text: str) -> None:
        if self._open:
            self._open[-1].text.append(text)

    def _end(self, _tag: str) -> None:
        element = self._open.pop()
        outer = self._open[-1] if self._open else None
        if element.kind == "attribute":
            name, text = self._attribute(element)
            if outer is not None:
                if any(name == known for known, _ in outer.attributes):
                    self._fault(f"attribute {_short(name)!r} is given twice", element)
                outer.attributes.append((name, text))
            return
        node: Node
        if element.kind == "group":
            node = self._group(element)
        else:
            node = self._link(element) if element.kind == "link" else self._field(element)
        if outer is not None:
            outer.children.append(node)
        elif isinstance(node, Group):
            self._root = node

    # -- elements → nodes ------------------------------------------------------------------------------------------

    def _group(self, element: _Open) -> Group:
        self._check_keys(element, _GROUP_KEYS)
        if _text(element):
            self._fault(f"text {_short(_text(element))!r} directly in a group", element)
        nx_class = self._required(element, "NX_class")
        nx_class = _OTHER_CLASSES.get(nx_class, nx_class)
        if nx_class and not _CLASS.fullmatch(nx_class):
            self._fault(f"{_short(nx_class)!r} is not a NeXus class", element, "name a class such as NXcollection")
        name = self._required(element, "groupName")
        if not self._open:
            if nx_class and nx_class != "NXentry":
                self._fault(f"the root has class {_short(nx_class)!r}, expected NXentry", element)
        else:
            self._check_name(name, element)
        description = element.given.get("ESRF_description", "")
        return Group(
            name, nx_class, tuple(element.children), description, tuple(element.attributes), place=element.place
        )

    def _field(self, element: _Open) -> Field:
        self._check_keys(element, _FIELD_KEYS)
        self._check_name(element.tag, element)
        text, given = _text(element), element.given
        if "${" in text and not VARIABLE.fullmatch(text):
            self._fault(f"{_short(text)!r} is neither one variable nor a constant", element)
        nx_type = given.get("NAPItype") or "NX_CHAR"
        nx_type = _OTHER_TYPES.get(nx_type, nx_type)
        if nx_type not in NX_TYPES:
            self._fault(f"unknown NAPItype {_short(nx_type)!r}", element, f"use one of {', '.join(NX_TYPES)}")
        record = given.get("record") or None
        if record not in ("initial", "final", None):
            self._fault(f"unknown record {_short(str(record))!r}", element, "use initial or final")
        return Field(
            name=element.tag,
            text=text,
            nx_type=nx_type,
            units=given.get("units") or None,
            record=cast(Record | None, record),
            mandatory=given.get("ESRF_mandatory", "") == "Mandatory",
            description=given.get("ESRF_description", ""),
            deprecated=given.get("ESRF_deprecated", ""),
            attributes=tuple(element.attributes),
            place=element.place,
        )

    def _link(self, element: _Open) -> Link:
        self._check_keys(element, _LINK_KEYS)
        if _text(element):
            self._fault(f"text {_short(_text(element))!r} in a link", element)
        name, ref = self._required(element, "groupName"), self._required(element, "ref")
        self._check_name(name, element)
        if ref and not all(_NAME.fullmatch(part) for part in ref.removeprefix("/").split("/")):
            self._fault(f"{_short(ref)!r} is not a path within the entry", element)
        return Link(name, ref, place=element.place)

    def _attribute(self, element: _Open) -> tuple[str, str]:
        self._check_keys(element, {"name"})
        name, text = self._required(element, "name"), _text(element)
        self._check_name(name, element)
        if "${" in text:
            self._fault(f"attribute {_short(name)!r} holds a variable", element, "give a constant")
        return name, text

    # -- faults ----------------------------------------------------------------------------------------------------

    def _place(self) -> Place:
        return Place(self._source, self._parser.CurrentLineNumber)

    def _fault(self, message: str, element: _Open, remedy: str = "") -> None:
        self._faults.append(Fault(message, element.place, remedy))

    def _required(self, element: _Open, key: str) -> str:
        value = element.given.get(key, "")
        if not value:
            self._fault(f"<{_short(element.tag)}> lacks {key}", element)
        return value

    def _check_keys(self, element: _Open, known: set[str]) -> None:
        # A misspelt unit or record would otherwise be lost without a word; what a later ESRF release may add, and
        # namespaces, change nothing for us.
        for key in sorted(element.given.keys() - known):
            near = difflib.get_close_matches(key, known, 1, 0.8)
            if not near and (key.startswith("ESRF_") or key == "xmlns" or ":" in key):
                continue
            remedy = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(known))}"
            self._fault(f"<{_short(element.tag)}> has an unknown attribute {_short(key)!r}", element, remedy)

    def _check_name(self, name: str, element: _Open) -> None:
        if name and not _NAME.fullmatch(name):
            self._fault(f"{_short(name)!r} is not a NeXus name", element, "use letters, digits, '_' and, inside, '.'")


def _text(element: _Open) -> str:
    return "".join(element.text).strip()


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "…"


def write(group: Group) -> str:
    """XML text of a definition; :func:`reads` gives an equal tree again.

    Raises
    ------
    FaultError
        The tree holds what the dialect cannot say: a field whose name is no XML tag, a control character.
    """
    lines = ['<?xml version="1.0" encoding="utf-8"?>']
    faults = _write_group(group, "", lines)
    if faults:
        raise FaultError(faults)
    return "\n".join(lines) + "\n"


def _write_group(group: Group, indent: str, lines: list[str]) -> list[Fault]:
    given = {"groupName": group.name, "NX_class": group.nx_class, "ESRF_description": group.description}
    faults = _check_text(group, *given.values(), *(text for pair in group.attributes for text in pair))
    lines.append(f"{indent}<group{_given(given)}>")
    lines += [f"{indent}    {line}" for line in _attributes(group.attributes)]
    for child in group.children:
        if isinstance(child, Group):
            faults += _write_group(child, indent + "    ", lines)
        elif isinstance(child, Link):
            faults += _check_text(child, child.name, child.target)
            lines.append(f"{indent}    <link{_given({'groupName': child.name, 'ref': child.target})}/>")
        else:
            faults += _write_field(child, indent + "    ", lines)
    lines.append(f"{indent}</group>")
    return faults


def _write_field(node: Field, indent: str, lines: list[str]) -> list[Fault]:
    given = {
        "NAPItype": node.nx_type,
        "units": node.units or "",
        "record": node.record or "",
        "ESRF_description": node.description,
        "ESRF_mandatory": "Mandatory" if node.mandatory else "",
        "ESRF_deprecated": node.deprecated,
    }
    faults = _check_text(node, node.text, *given.values(), *(text for pair in node.attributes for text in pair))
    if not _TAG.fullmatch(node.name) or node.name in ("group", "link", "attribute"):
        faults.append(Fault(f"a field cannot be called {node.name!r} in ESRF's XML", node.place, "rename the field"))
    inner = escape(node.text, {"\r": "&#13;"}) + "".join(_attributes(node.attributes))
    lines.append(f"{indent}<{node.name}{_given(given)}>{inner}</{node.name}>")
    return faults


def _given(given: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in given.items() if value)


def _attributes(attributes: tuple[tuple[str, str], ...]) -> list[str]:
    return [f"<attribute name={quoteattr(n)}>{escape(text, {chr(13): '&#13;'})}</attribute>" for n, text in attributes]


def _check_text(node: Node, *texts: str) -> list[Fault]:
    if any(_UNFIT.search(text) for text in texts):
        return [Fault(f"{node.name!r} holds a character that XML does not allow", node.place, "remove it")]
    return []
