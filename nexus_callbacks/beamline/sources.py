"""Sources and bindings: where a beamline finds the value of a variable.

A source is typed as SCHEME:REST. Schemes: ``data`` (a data key of the documents), ``config`` (DEVICE.FIELD of the
descriptors), ``start`` and ``stop`` (a dotted path in that document), ``run`` (a fact that the writer knows),
``const``, ``tango`` and ``epics``. ``list`` is made by a profile's ``lists:`` and is not typed.
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
NOT_YET = ("tango", "epics")
"""Schemes that are understood but cannot be read in this release."""
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
    """Members of a ``list`` in order: name, ``data`` source."""

    def __str__(self) -> str:
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
    """One of :data:`nexus_callbacks.beamline.conversions.NAMES`, over the whole column; None takes one reading."""
    place: Place | None = field(default=None, compare=False)
    remark: str = field(default="", compare=False)
    """What is to be known of a value that comes by it."""


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


def nearest(word: str, known: Iterable[str]) -> str:
    """A remedy: the known word nearest to what was typed, else all if they are few, else empty."""
    words = list(known)
    near = difflib.get_close_matches(word, words, 1)
    if not near:
        # ``get_close_matches`` tells upper from lower case, which is the commonest slip.
        lower = {w.lower(): w for w in words}
        near = [lower[n] for n in difflib.get_close_matches(word.lower(), lower, 1)]
    if near:
        return f"did you mean {near[0]!r}?"
    return f"use one of {', '.join(words)}" if 0 < len(words) <= 12 else ""
