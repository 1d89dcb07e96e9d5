"""Reader of ESRF's XML dialect, which :mod:`nexus_callbacks.definitions.esrf_xml` describes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast
from xml.parsers import expat

from nexus_callbacks import units
from nexus_callbacks.definitions import safe_xml
from nexus_callbacks.definitions.definition import VARIABLE, Field, Group, Link, Node, Record
from nexus_callbacks.definitions.esrf_words import (
    CLASS,
    FIELD_KEYS,
    GROUP_KEYS,
    LINK_KEYS,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_FAULTS,
    MAX_NODES,
    NAME,
    NX_TYPES,
    RESERVED,
    dimensions,
    key_of,
    meaning,
    root_links,
)
from nexus_callbacks.definitions.links import circles
from nexus_callbacks.definitions.spelling import Attribute, Inner, Spelling
from nexus_callbacks.faults import Fault, FaultError, Place

# Only ever matched where expat has found a sound start tag.
_START_TAG = re.compile(rb"<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*/?>")
_GIVEN = re.compile(r"\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_DECLARED = re.compile(r"(<\?xml[^>]*?\sencoding\s*=\s*[\"'])([^\"']*)")

Kind = Literal["group", "field", "link", "attribute"]


def read(path: str | Path) -> Group:
    """Read a definition from a file.

    Raises
    ------
    FaultError
        The file cannot be read or is not a sound definition; every fault has its line.
    """
    return _sound(*survey(path))


def survey(path: str | Path, data: bytes | None = None) -> tuple[Group | None, tuple[Fault, ...]]:
    """As :func:`read`, but with every fault beside what could be read, None where that is nothing.

    `data` is what the file holds, for those who have read it already.
    Whether links lead in a circle is not looked at: see :func:`nexus_callbacks.definitions.links.circles`.
    """
    try:
        return _Reader.of(safe_xml.read(Path(path)) if data is None else data, str(path)).parse()
    except FaultError as error:
        return None, error.faults


def reads(text: str | bytes, source: str) -> Group:
    """Read a definition from text; ``source`` is what faults name as its place.

    Raises
    ------
    FaultError
        As :func:`read`.
    """
    return _sound(*_Reader.of(text, source).parse())


def _sound(tree: Group | None, faults: tuple[Fault, ...]) -> Group:
    if tree is None or faults:
        raise FaultError(faults)
    if circular := circles(tree):
        raise FaultError(circular)
    return tree


def _in_utf8(data: bytes, source: str) -> bytes:
    """UTF-16 as UTF-8, so that a mark takes one byte; all else as it is."""
    for start, codec in (
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
        (b"<\0", "utf-16-le"),
        (b"\0<", "utf-16-be"),
    ):
        if data.startswith(start):
            try:
                return data.decode(codec).encode()
            except UnicodeError as error:
                raise FaultError([Fault(f"not well-formed XML: {error}", Place(source, 1))]) from error
    return data


@dataclass
class _Open:
    """An element whose end has not come yet."""

    kind: Kind
    tag: str
    given: Mapping[str, str]
    place: Place
    before: str
    start: str
    """Its start tag as it stands in the file."""
    spelled: tuple[Attribute, ...]
    begins: int
    """Where its content begins, in bytes."""
    children: list[Node] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    inner: list[Inner] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


class _Reader:
    def __init__(self, source: str, data: bytes, encoding: str | None) -> None:
        self._source = source
        self._data = data
        self._codec = encoding or "utf-8"
        self._faults: list[Fault] = []
        self._open: list[_Open] = []
        self._root: Group | None = None
        self._nodes = 0
        self._at = 0
        """How far the file has been taken over into spellings, in bytes."""
        self._parser = expat.ParserCreate(encoding)
        self._parser.buffer_text = True
        if encoding is None:
            self._parser.XmlDeclHandler = self._declared
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        safe_xml.guard(self._parser, source)

    @classmethod
    def of(cls, text: str | bytes, source: str) -> _Reader:
        given = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if len(given) > MAX_BYTES:
            message = f"larger than {MAX_BYTES // 1_000_000} MB"
            remedy = "name a definition, which has some 100 kB, or split it in several"
            raise FaultError([Fault(message, Place(source), remedy)])
        data = given if isinstance(text, str) else _in_utf8(given, source)
        # What is UTF-8 by now is so whatever its declaration says.
        return cls(source, data, None if data is text else "utf-8")

    def parse(self) -> tuple[Group | None, tuple[Fault, ...]]:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            place = Place(self._source, error.lineno)
            innermost = self._open[-1] if self._open else None
            opened = (_short(innermost.tag), innermost.place.line or 0) if innermost else None
            message = safe_xml.unsound(self._parser, self._data, error, opened)
            raise FaultError([*self._faults, Fault(message, place)]) from error
        except (LookupError, ValueError) as error:
            if isinstance(error, FaultError):
                raise
            raise FaultError([Fault(f"its encoding cannot be read: {error}", self._place())]) from error
        return self._root, tuple(self._faults)

    # -- what expat calls ------------------------------------------------------------------------------------------

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        # Of the encodings that expat reads all but UTF-16, which was changed before, are ASCII with more above it.
        self._codec = encoding or self._codec

    def _start(self, tag: str, given: dict[str, str]) -> None:
        self._check_bounds(len(given))
        kind = cast(Kind, tag) if tag in ("group", "link", "attribute") else "field"
        before, start = self._start_tag()
        values = zip(given.items(), _GIVEN.findall(start), strict=True)
        spelled = tuple(Attribute(name, value.strip(), raw) for (name, value), raw in values)
        meant = {key_of(each.name): each.value for each in spelled}
        element = _Open(kind, tag, meant, self._place(), before, start, spelled, self._at)
        if len(meant) < len(spelled):
            self._fault(f"<{_short(tag)}> has one attribute in two spellings", element, "keep one of them")
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
        content, close = self._rest(element)
        outer = self._open[-1] if self._open else None
        if element.kind == "attribute":
            name, text = self._attribute(element)
            if outer is not None:
                if name in outer.attributes:
                    self._fault(f"attribute {_short(name)!r} is given twice", element)
                outer.attributes[name] = text
                raw = element.before + element.start + content + close
                outer.inner.append(Inner(name, text, raw, len(outer.children)))
            return
        node: Node
        if element.kind == "group":
            node = self._group(element, content, close)
        else:
            spelling = self._spelling(element, close, content=content, text=_text(element))
            node = self._link(element, spelling) if element.kind == "link" else self._field(element, spelling)
        if outer is not None:
            if len(self._open) == 1 and node.name in RESERVED:
                self._fault(f"{node.name} stands in the entry, where the writer keeps its own", element, "rename it")
            outer.children.append(node)
        elif isinstance(node, Group):
            self._root = node

    def _check_bounds(self, attributes: int) -> None:
        self._nodes += 1
        if attributes > safe_xml.MAX_ATTRIBUTES:
            message = f"an element of more than {safe_xml.MAX_ATTRIBUTES} attributes"
            raise FaultError([*self._faults, Fault(message, self._place())])
        if len(self._faults) >= MAX_FAULTS:
            raise FaultError([*self._faults, Fault("too many faults; the rest was not read", self._place())])
        if len(self._open) >= MAX_DEPTH:
            message = f"more than {MAX_DEPTH} elements inside one another"
            raise FaultError([Fault(message, self._place(), "put the inner groups further out")])
        if self._nodes > MAX_NODES:
            remedy = "split it: a profile may name several definitions"
            raise FaultError([Fault(f"more than {MAX_NODES} elements", self._place(), remedy)])

    # -- how it is spelled -----------------------------------------------------------------------------------------

    def _raw(self, begin: int, end: int) -> str:
        return self._data[begin:end].decode(self._codec)

    def _start_tag(self) -> tuple[str, str]:
        """What stands before the start tag that expat is at, and the tag."""
        begin = self._parser.CurrentByteIndex
        found = _START_TAG.match(self._data, begin)
        end = found.end() if found else begin
        texts = self._raw(self._at, begin), self._raw(begin, end)
        self._at = end
        return texts

    def _rest(self, element: _Open) -> tuple[str, str]:
        """What stands before the end tag that expat is at, and the tag; of a group only what follows its last child."""
        if element.start.endswith("/>"):
            return "", ""
        begin = self._parser.CurrentByteIndex
        end = self._data.index(b">", begin) + 1
        texts = self._raw(self._at if element.kind == "group" else element.begins, begin), self._raw(begin, end)
        self._at = end
        return texts

    def _spelling(self, element: _Open, close: str, **more: str) -> Spelling:
        tail = element.start.removeprefix(f"<{element.tag}").removeprefix("".join(each.raw for each in element.spelled))
        attributes, inner = tuple(element.attributes.items()), tuple(element.inner)
        return Spelling(element.before, element.spelled, tail, close, attributes=attributes, inner=inner, **more)

    # -- elements → nodes ------------------------------------------------------------------------------------------

    def _group(self, element: _Open, last: str, close: str) -> Group:
        self._check_keys(element, GROUP_KEYS)
        if _text(element):
            self._fault(f"text {_short(_text(element))!r} directly in a group", element)
        nx_class = meaning("NX_class", self._required(element, "NX_class"))
        if nx_class and not CLASS.fullmatch(nx_class):
            self._fault(f"{_short(nx_class)!r} is not a NeXus class", element, "name a class such as NXcollection")
        name = self._required(element, "groupName")
        spelling = self._spelling(element, close, last=last)
        if not self._open:
            if nx_class and nx_class != "NXentry":
                self._fault(f"the root has class {_short(nx_class)!r}, expected NXentry", element)
            # What is written is UTF-8, and must not say otherwise.
            before = _DECLARED.sub(lambda found: found[1] + _declared(found[2]), spelling.before, count=1)
            spelling = replace(spelling, before=before, after=self._raw(self._at, len(self._data)))
        else:
            self._check_name(name, element)
        return Group(
            name,
            nx_class,
            tuple(element.children),
            element.given.get("ESRF_description", ""),
            tuple(element.attributes.items()),
            element.place,
            spelling,
        )

    def _field(self, element: _Open, spelling: Spelling) -> Field:
        self._check_keys(element, FIELD_KEYS)
        self._check_name(element.tag, element)
        text, given = spelling.text, element.given
        second = element.attributes.get("units")
        constant = bool(text) and "${" not in text
        if second is not None and given.get("units", "") != second and (given.get("units") or not constant):
            self._check_second(second, element)
        if "${" in text and not VARIABLE.fullmatch(text):
            self._fault(f"{_short(text)!r} is neither one variable nor a constant", element)
        nx_type = meaning("NAPItype", given.get("NAPItype", ""))
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
            mandatory=bool(meaning("ESRF_mandatory", given.get("ESRF_mandatory", ""))),
            description=given.get("ESRF_description", ""),
            deprecated=given.get("ESRF_deprecated", ""),
            attributes=spelling.attributes,
            place=element.place,
            spelling=spelling,
        )

    def _check_second(self, second: str, element: _Open) -> None:
        """Units in an attribute beside the tag's would be told of a value that is not converted to them."""
        if element.given.get("units") or units.known(second):  # NeXus's "arbitrary units" cannot be converted to.
            remedy = f'write <{_short(element.tag)} units="{_short(second)}">'
            self._fault(f"the units of {_short(element.tag)} stand in an <attribute>", element, remedy)

    def _link(self, element: _Open, spelling: Spelling) -> Link:
        self._check_keys(element, LINK_KEYS)
        if spelling.text:
            self._fault(f"text {_short(spelling.text)!r} in a link", element)
        name, ref = self._required(element, "groupName"), self._required(element, "ref")
        self._check_name(name, element)
        if ref and not all(NAME.fullmatch(part) for part in ref.removeprefix("/").split("/")):
            self._fault(f"{_short(ref)!r} is not a path within the entry", element, "write /group/field")
        return Link(name, ref, element.place, spelling)

    def _attribute(self, element: _Open) -> tuple[str, str]:
        self._check_keys(element, ("name",))
        name, text = self._required(element, "name"), _text(element)
        self._check_name(name, element)
        if "${" in text:
            self._fault(f"attribute {_short(name)!r} holds a variable", element, "give a constant")
        elif name.endswith("_indices") and dimensions(text) is None:
            remedy = "write their numbers, from 0 to 31: 0 1"
            self._fault(f"attribute {_short(name)!r} is no list of dimensions: {_short(text)!r}", element, remedy)
        elif name == "root_links" and root_links(text) is None:
            remedy = "write NAME=/PATH for each, with a space between: entry_1=/ version=/program_version"
            self._fault(f"attribute {_short(name)!r} is no list of links: {_short(text)!r}", element, remedy)
        elif name == "NX_class":
            self._fault("NX_class stands in an <attribute>", element, 'write <group NX_class="…">')
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

    def _check_keys(self, element: _Open, known: tuple[str, ...]) -> None:
        # A misspelt unit or record would otherwise be lost without a word; what a later ESRF release may add, and
        # namespaces, change nothing for us.
        for key in sorted(element.given.keys() - set(known)):
            near = difflib.get_close_matches(key, known, 1, 0.8)
            if not near and (key.startswith("ESRF_") or key == "xmlns" or ":" in key):
                continue
            remedy = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(known))}"
            self._fault(f"<{_short(element.tag)}> has an unknown attribute {_short(key)!r}", element, remedy)

    def _check_name(self, name: str, element: _Open) -> None:
        if name and not NAME.fullmatch(name):
            self._fault(f"{_short(name)!r} is not a NeXus name", element, "use letters, digits, '_' and, inside, '.'")


def _declared(encoding: str) -> str:
    return encoding if encoding.lower() in ("utf-8", "us-ascii") else "utf-8"


def _text(element: _Open) -> str:
    return "".join(element.text).strip()


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "…"
