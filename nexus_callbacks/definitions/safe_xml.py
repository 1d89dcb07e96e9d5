"""Safe XML: a file or text of unknown origin → elements with their lines, by expat.

Nothing is expanded, fetched or executed: a document type declaration, the only place where XML can declare an entity,
is refused, and so is what is too large, too deep or of too many elements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from nexus_callbacks.faults import Fault, FaultError, Place

MAX_BYTES = 20_000_000
MAX_DEPTH = 100
MAX_ELEMENTS = 100_000  # The largest NXDL file of v2026.01 (NXem) has 1900.

_MISMATCH = expat.errors.codes[expat.errors.XML_ERROR_TAG_MISMATCH]
_ENDED = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]
_CLOSING = re.compile(rb"</([^\s>]{1,100})")


@dataclass
class Element:
    """An element of an XML file."""

    tag: str
    """Without the prefix of its namespace."""
    namespace: str
    given: Mapping[str, str]
    """Its attributes; the name of one in a namespace has that in front: ``http://… schemaLocation``."""
    place: Place
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What stands directly in it, without white space at both ends."""
        return "".join(self.texts).strip()


def read(path: Path) -> bytes:
    """The bytes of a file, at most one more than are allowed.

    Raises
    ------
    FaultError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path.
        reason = getattr(error, "strerror", None) or error
        raise FaultError([Fault(f"cannot be read: {reason}", Place(str(path)))]) from error


def guard(parser: expat.XMLParserType, source: str) -> None:
    """Let a parser raise a FaultError where a document type or an entity is declared, before anything is expanded."""

    def refuse(*_: object) -> int:
        message = "a document type or entity declaration is not allowed"
        place = Place(source, parser.CurrentLineNumber)
        raise FaultError([Fault(message, place, "remove the declaration and what uses it")])

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse


def unsound(parser: expat.XMLParserType, data: bytes, error: expat.ExpatError, opened: tuple[str, int] | None) -> str:
    """What makes a text no well-formed XML, with the tags' names, which expat leaves out.

    ``opened``: tag and line of the innermost element that is not closed.
    """
    told = f"not well-formed XML: {error}"
    if opened is None or error.code not in (_MISMATCH, _ENDED):
        return told
    tag, line = opened
    found = _CLOSING.match(data, data.rfind(b"<", 0, parser.ErrorByteIndex + 1))
    if error.code == _MISMATCH and found:
        return f"{told}; </{found[1].decode(errors='replace')}> stands where <{tag}> of line {line} is to be closed"
    return f"{told}; <{tag}> of line {line} is not closed"


def parse(data: bytes, source: str) -> Element:
    """The root element; ``source`` is what faults name as its place.

    Raises
    ------
    FaultError
        It is no well-formed XML, or not of the harmless kind.
    """
    if len(data) > MAX_BYTES:
        raise FaultError([Fault(f"larger than {MAX_BYTES // 1_000_000} MB", Place(source))])
    return _Reader(source).parse(data)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._count = 0
        self._open: list[Element] = []
        self._root: Element | None = None
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        guard(self._parser, source)

    def parse(self, data: bytes) -> Element:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            place = Place(self._source, error.lineno)
            innermost = self._open[-1] if self._open else None
            opened = (innermost.tag, innermost.place.line or 0) if innermost else None
            raise FaultError([Fault(unsound(self._parser, data, error, opened), place)]) from error
        except (LookupError, ValueError) as error:
            if isinstance(error, FaultError):
                raise
            raise FaultError([Fault(f"its encoding cannot be read: {error}", self._place())]) from error
        if self._root is None:  # expat finds an end without a beginning itself.
            raise FaultError([Fault("holds no element", Place(self._source))])
        return self._root

    def _start(self, name: str, given: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise FaultError([Fault(f"more than {MAX_ELEMENTS} elements", self._place())])
        if len(self._open) >= MAX_DEPTH:
            raise FaultError([Fault(f"more than {MAX_DEPTH} elements inside one another", self._place())])
        namespace, _, tag = name.rpartition(" ")
        element = Element(tag, namespace, given, self._place())
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _characters(self, text: str) -> None:
        if self._open:
            self._open[-1].texts.append(text)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _place(self) -> Place:
        return Place(self._source, self._parser.CurrentLineNumber)
