"""YAML with lines: a small, safe subset of YAML 1.2 → plain values, and the line of each.

Read from ruamel.yaml's events, so that nothing is ever built that the file does not spell out: tags, anchors and
aliases are refused, as are repeated keys, a second document, more than 5 MB, more than 50 levels and more than
50 000 keys and values. Scalars follow the core schema of YAML 1.2 (section 10.3.2): ``no`` and ``on`` are texts.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from nexus_callbacks.faults import Fault, FaultError, Place

MAX_BYTES = 5_000_000
MAX_DEPTH = 50
MAX_VALUES = 50_000  # A whole beamline has some 1000 of them; to read these takes seconds.
MAX_FAULTS = 1000  # Nobody reads more, and a hostile file could hold millions.

_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}

Location = tuple[str | int, ...]


@dataclass
class Text:
    """A YAML file that was read: its value, and where each part of it stands."""

    source: str
    value: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    """Keys and indices from the top → line, counted from 1."""
    faults: list[Fault] = field(default_factory=list)
    """What the subset refuses; the value is what is left without it."""

    def place(self, *location: str | int) -> Place:
        """Where a part stands, or the nearest part around it."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return Place(self.source, self.lines[location[:end]])
        return Place(self.source)


def read(path: str | Path) -> Text:
    """Read a file.

    Raises
    ------
    FaultError
        It cannot be read, or is no YAML from some line on. Lesser faults are in the result's ``faults``.
    """
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FaultError([Fault(f"cannot be read: {error.strerror or error}", Place(source))]) from error
    if len(data) > MAX_BYTES:
        raise FaultError([Fault(f"larger than {MAX_BYTES // 1_000_000} MB", Place(source))])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FaultError([Fault("not UTF-8 text", Place(source, line), "save the file as UTF-8")]) from error
    return reads(text, source)


def reads(text: str, source: str) -> Text:
    """Read a text; ``source`` is what faults name as its place.

    Raises
    ------
    FaultError
        As :func:`read`.
    """
    if len(text) > MAX_BYTES:
        raise FaultError([Fault(f"larger than {MAX_BYTES // 1_000_000} MB", Place(source))])
    found = Text(source)
    builder = _Builder(found)
    line = 1
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            line = event.start_mark.line + 1
            builder.take(event)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        if mark is not None:
            line = mark.line + 1
        elif isinstance(error, ReaderError):  # A character that YAML does not allow.
            line = text.count("\n", 0, error.position) + 1
        place = Place(source, line)
        raise FaultError([*found.faults, Fault(f"not YAML: {problem}", place)]) from error
    return found


@dataclass
class _Level:
    """A mapping or sequence that is not closed yet."""

    value: dict[str, Any] | list[Any]
    location: Location
    key: str | None = None
    """Key whose value comes next."""
    skipped: bool = False
    """The value that comes next is left out (its key was at fault)."""


class _Builder:
    """Events → value; a stack of its own, so that depth costs no recursion."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._levels: list[_Level] = []
        self._documents = 0
        self._count = 0

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1
        if len(self._text.faults) >= MAX_FAULTS:
            raise FaultError([*self._text.faults, self._fault("too many faults; the rest was not read", line)])
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise FaultError([*self._text.faults, self._fault("a second document begins", line, "keep one only")])
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._levels.pop()
        elif isinstance(event, AliasEvent | ScalarEvent | CollectionStartEvent):
            self._count += 1
            if self._count > MAX_VALUES:
                raise FaultError([*self._text.faults, self._fault(f"more than {MAX_VALUES} keys and values", line)])
            self._refuse(event, line)
            self._node(event, line)

    def _refuse(self, event: Any, line: int) -> None:
        if isinstance(event, AliasEvent):
            self._text.faults.append(self._fault(f"alias *{event.anchor} is not allowed", line, "write it out"))
            return
        if event.anchor is not None:
            self._text.faults.append(self._fault(f"anchor &{event.anchor} is not allowed", line, "remove it"))
        if event.ctag is not None and str(event.ctag) not in ("None", ""):
            self._text.faults.append(self._fault(f"tag {event.ctag} is not allowed", line, "remove it"))

    def _node(self, event: Any, line: int) -> None:
        level = self._levels[-1] if self._levels else None
        if level is not None and isinstance(level.value, dict) and level.key is None:
            self._key(level, level.value, event, line)
            return
        if isinstance(event, MappingStartEvent):
            value: Any = {}
        elif isinstance(event, SequenceStartEvent):
            value = []
        else:
            value = self._scalar(event, line) if isinstance(event, ScalarEvent) else None
        location: Location = ()
        if level is None:
            self._text.value = value
        elif isinstance(level.value, list):
            location = (*level.location, len(level.value))
            level.value.append(value)
        elif level.key is not None:
            location = (*level.location, level.key)
            if not level.skipped:
                level.value[level.key] = value
            level.key = None
        if level is None or isinstance(level.value, list):
            self._text.lines.setdefault(location, line)
        if isinstance(value, dict | list) and not isinstance(event, ScalarEvent | AliasEvent):
            self._levels.append(_Level(value, location))
            if len(self._levels) > MAX_DEPTH:
                fault = self._fault(f"more than {MAX_DEPTH} levels inside one another", line)
                raise FaultError([*self._text.faults, fault])

    def _key(self, level: _Level, mapping: dict[str, Any], event: Any, line: int) -> None:
        if not isinstance(event, ScalarEvent):
            # What a collection as a key holds cannot be placed, so that nothing behind it can be either.
            raise FaultError([*self._text.faults, self._fault("a key must be a plain text", line)])
        if not _is_text(event.value):
            raise FaultError([*self._text.faults, self._half(line)])
        level.key, level.skipped = event.value, event.value in mapping
        if level.skipped:
            first = self._text.lines[(*level.location, event.value)]
            self._text.faults.append(self._fault(f"key {event.value!r} is repeated, first in line {first}", line))
        self._text.lines.setdefault((*level.location, event.value), line)

    def _scalar(self, event: ScalarEvent, line: int) -> Any:
        if not _is_text(event.value):
            self._text.faults.append(self._half(line))
            return None
        if event.style not in (None, ""):
            return event.value
        try:
            return scalar(event.value)
        except ValueError:
            self._text.faults.append(self._fault("a number of too many digits", line))
            return None

    def _half(self, line: int) -> Fault:
        return self._fault("half of a character (a surrogate)", line, "write the character itself")

    def _fault(self, message: str, line: int, remedy: str = "") -> Fault:
        return Fault(message, Place(self._text.source, line), remedy)


def _is_text(text: str) -> bool:
    """Whether this is Unicode text; by its escapes YAML can spell what is none."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def scalar(text: str) -> Any:
    """The value of a plain scalar: None, a bool, an int, a float or the text itself.

    Raises
    ------
    ValueError
        An integer of more digits than Python reads (4300).
    """
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
