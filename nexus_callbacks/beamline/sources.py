"""Sources and bindings: where a beamline finds the value of a variable.

A source is typed as SCHEME:REST. Schemes: ``data`` (a data key of the documents), ``config`` (DEVICE.FIELD of the
descriptors), ``start`` and ``stop`` (a dotted path in that document), ``run`` (a fact that the writer knows),
``const``, ``tango`` (``tango://host:port/domain/family/member/attribute``, the same less ``//``, or a short name of the
profile's ``tango:`` and the rest) and ``epics`` (a process variable). ``list`` is made by a profile's ``lists:`` and
``several`` by a list after ``from:``; they are not typed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nexus_callbacks.beamline import yaml_lines
from nexus_callbacks.definitions.definition import Record
from nexus_callbacks.faults import Place

SCHEMES = ("data", "config", "start", "stop", "run", "const", "tango", "epics")
CONTROL = ("tango", "epics")
"""Schemes of control systems: what they name is read by a device, most often of the baseline."""
READ = ("data", *CONTROL)
"""Schemes of what stands in the rows of a stream."""
FACTS = ("file", "folder", "name", "software", "technique", "beamline", "facility", "python")
"""What ``run:`` knows: path of the dataset file, its folder, its stem, program names and versions, …"""


@dataclass(frozen=True)
class Source:
    """One place where a value comes from."""

    scheme: str
    rest: str = ""
    """What follows the scheme; for ``list`` either ``names`` or ``values``."""
    value: Any = None
    """Value of a ``const``, a number or bool where the text is one."""
    items: tuple[tuple[str, Source], ...] = ()
    """Members of a ``list`` or of ``several`` in order: name (a number for ``several``), source."""

    def __str__(self) -> str:
        if self.scheme == "several":
            return ", ".join(str(item) for _, item in self.items)
        return f"{self.scheme}:{self.rest}"


@dataclass(frozen=True)
class Binding:
    """A variable and its source."""

    variable: str
    source: Source
    unit: str | None = None
    """Unit in which the source speaks, instead of what the device says; None takes the device's."""
    record: Record | None = None
    """Which reading is wanted; None leaves it to the definition."""
    convert: str | None = None
    """One of :data:`nexus_callbacks.beamline.conversions.NAMES`; None takes the value as it is."""
    table: tuple[tuple[str, Any], ...] = ()
    """Of a ``lookup``: value as :func:`nexus_callbacks.beamline.conversions.word` has it, and what it becomes."""
    default: Any = None
    """What holds if the start document does not have it; None leaves the variable absent."""
    place: Place | None = field(default=None, compare=False)
    remark: str = field(default="", compare=False)
    """What is to be known of a value that comes by it."""

    @property
    def of_column(self) -> bool:
        """Whether the value is made of a whole column, instead of one reading."""
        return bool(self.convert) and self.convert != "lookup" and self.source.scheme in READ


class SourceFault(ValueError):
    """A text that is no source; ``remedy`` says what to type instead."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def parse(text: str) -> Source:
    """A source of its text.

    Raises
    ------
    SourceFault
        The scheme is missing or unknown, or what follows does not fit it.

    >>> parse("config:frelon.exposure_time")
    Source(scheme='config', rest='frelon.exposure_time', value=None, items=())
    >>> parse("const:3.5").value
    3.5
    """
    scheme, colon, rest = text.partition(":")
    scheme, rest = scheme.strip(), rest.strip()
    if not colon:
        raise SourceFault(f"{text!r} has no scheme", f"write SCHEME:REST, for example data:{text or 'KEY'}")
    if scheme not in SCHEMES:
        raise SourceFault(f"unknown scheme {scheme!r}", nearest(scheme, SCHEMES))
    if not rest:
        raise SourceFault(f"{text!r} names nothing", f"write what follows {scheme}:")
    if scheme == "config" and not all(rest.partition(".")):
        raise SourceFault(f"{text!r} names no field of a device", "write config:DEVICE.FIELD")
    if scheme == "tango" and "/" not in rest.removeprefix("//"):
        raise SourceFault(f"{text!r} names no attribute", "write tango:SHORT/ATTRIBUTE, SHORT being under 'tango:'")
    if scheme in CONTROL and len(rest.split()) > 1:
        raise SourceFault(f"{text!r} has a space in its address", "write the address alone")
    if scheme == "run" and rest not in FACTS:
        raise SourceFault(f"the writer knows no {rest!r}", nearest(rest, FACTS))
    value = None
    if scheme == "const":
        try:
            value = yaml_lines.scalar(rest)
        except ValueError as error:
            raise SourceFault("a number of too many digits") from error
        if value is None:
            raise SourceFault(f"{text!r} has no value", "leave the variable out instead")
    return Source(scheme, rest, value)


DID_YOU_MEAN = "did you mean "
"""How the remedy begins where a known word is near to what was typed."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy: the known word nearest to what was typed, else all if they are few, else empty."""
    words = list(known)
    near = difflib.get_close_matches(word, words, 1)
    if not near:
        # ``get_close_matches`` tells upper from lower case, which is the commonest slip.
        lower = {w.lower(): w for w in words}
        near = [lower[n] for n in difflib.get_close_matches(word.lower(), lower, 1)]
    if near:
        return f"{DID_YOU_MEAN}{near[0]!r}?"
    return f"use one of {', '.join(words)}" if 0 < len(words) <= 12 else ""
