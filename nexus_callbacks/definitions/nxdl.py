"""NXDL: what NeXus says of a class, as a tree of groups, fields, attributes, links and choices.

The NeXus Definition Language (https://manual.nexusformat.org/nxdl.html, schema ``nxdl.xsd`` of v2026.01) describes base
classes and application definitions. Trees come from :mod:`nexus_callbacks.definitions.nxdl_xml`; what a class has from
the classes that it extends is added by :mod:`nexus_callbacks.definitions.release`. Names that also stand in
:mod:`nexus_callbacks.definitions.definition` mean there what a facility wants, here what NeXus allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from nexus_callbacks.faults import Place

Category = Literal["base", "application"]
NameType = Literal["specified", "partial", "any"]
Presence = Literal["required", "recommended", "optional"]
"""In application definitions everything is required that says nothing else, in base classes nothing is."""


@dataclass(frozen=True)
class Enumeration:
    """The values that a field or an attribute may have."""

    items: tuple[str, ...]
    open: bool = False
    """Other values are allowed too."""


@dataclass(frozen=True)
class Dimension:
    """One dimension of a field, the slowest being the first."""

    index: int
    """Counted from 1."""
    size: str
    """A number, a symbol (``nFrames``), or an expression of one (``n+1``); empty where only ``ref`` is given."""
    ref: str = ""
    """Name of a field that has the same size; empty where ``size`` is given."""
    required: bool = True


@dataclass(frozen=True)
class Shape:
    """What is said of the dimensions of a field."""

    rank: str = ""
    """A number, a symbol, or words; empty where nothing is said."""
    dimensions: tuple[Dimension, ...] = ()


@dataclass(frozen=True)
class Attribute:
    """An attribute of a field or a group."""

    name: str
    presence: Presence
    name_type: NameType = "specified"
    nx_type: str = ""
    """As in :class:`Field`."""
    enumeration: Enumeration | None = None
    deprecated: str = ""
    doc: str = ""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Field:
    """A dataset."""

    name: str
    presence: Presence
    name_type: NameType = "specified"
    nx_type: str = ""
    """NX_CHAR, NX_FLOAT …; empty where this definition leaves it to the class that it narrows, and NX_CHAR if none
    does (:attr:`type`)."""
    units: str = ""
    """A category (``NX_LENGTH``) or an example (``eV/mm``); empty where nothing is said."""
    max_occurs: int | None = 1
    """None is unbounded."""
    shape: Shape | None = None
    axis: int | None = None
    """Old style of NXdata: which dimension of the signal this field is the scale of, from 1."""
    signal: int | None = None
    """Old style of NXdata: 1 is what is to be plotted."""
    enumeration: Enumeration | None = None
    attributes: tuple[Attribute, ...] = ()
    deprecated: str = ""
    """Free text that names the successor; empty if the field is in use."""
    doc: str = ""
    place: Place | None = field(default=None, compare=False)

    @property
    def type(self) -> str:
        """The type, NX_CHAR where none is given (``nxdl.xsd``)."""
        return self.nx_type or "NX_CHAR"


@dataclass(frozen=True)
class Link:
    """A link to another node."""

    name: str
    target: str
    """Path from the file's root by classes, names, or both: ``/NXentry/NXinstrument/detector:NXdetector/data``."""
    doc: str = ""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Group:
    """A group."""

    name: str
    """Empty where any name will do."""
    nx_class: str
    presence: Presence
    name_type: NameType = "specified"
    max_occurs: int | None = None
    """None is unbounded."""
    children: tuple[Node, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    deprecated: str = ""
    doc: str = ""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Choice:
    """A group of one name that may be of one of several classes."""

    name: str
    options: tuple[Group, ...]
    """Each with the choice's name."""
    place: Place | None = field(default=None, compare=False)


Node = Group | Field | Link | Choice


@dataclass(frozen=True)
class Definition:
    """What one NXDL file defines."""

    name: str
    category: Category
    extends: str = ""
    """The class whose members this one has too; empty for NXobject alone."""
    children: tuple[Node, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    symbols: tuple[tuple[str, str], ...] = ()
    """(name, what it counts) of the sizes that are used in several places."""
    ignores: frozenset[str] = frozenset()
    """Of ``groups``, ``fields`` and ``attributes`` those whose members beyond the defined ones are no fault."""
    deprecated: str = ""
    doc: str = ""
    place: Place | None = field(default=None, compare=False)

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every node with its path by names, ``NXentry/NXinstrument/detector``; a group without a name by its class."""
        yield from _walk(self.children, "")


def _walk(nodes: tuple[Node, ...], path: str) -> Iterator[tuple[str, Node]]:
    for node in nodes:
        here = path + (node.name or (node.nx_class if isinstance(node, Group) else ""))
        yield here, node
        if isinstance(node, Group):
            yield from _walk(node.children, here + "/")
        elif isinstance(node, Choice):
            yield from _walk(node.options, here + "/")


def fits(name: str, declared: str, name_type: NameType) -> bool:
    """Whether a name in a file is one that NXDL declares.

    >>> fits("energy_errors", "FIELDNAME_errors", "partial"), fits("Energy", "energy", "specified")
    (True, False)
    """
    if name_type == "specified":
        return name == declared
    return name_type == "any" or _pattern(declared).fullmatch(name) is not None


@lru_cache(maxsize=4096)
def _pattern(declared: str) -> re.Pattern[str]:
    # nxdl.xsd, nameType: capital letters may be replaced, by nothing too.
    return re.compile("".join("[A-Za-z0-9_.]*" if part.isupper() else part for part in _RUNS.findall(declared)))


_RUNS = re.compile(r"[A-Z]+|[^A-Z]+")


def brief(doc: str, longest: int = 200) -> str:
    """The first sentence of a documentation text, in one line without its mark-up.

    >>> brief('''
    ...    Distance  of :ref:`the sample </NXsample>` from ``detector``. Negative
    ...    if it is behind it.''')
    'Distance of the sample from detector.'
    """
    paragraph = re.split(r"\n\s*\n", _MARKUP.sub(r"\1", doc.strip()).strip(), maxsplit=1)[0]
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z(])", " ".join(paragraph.split()), maxsplit=1)[0]
    return sentence if len(sentence) <= longest else sentence[: longest - 1].rstrip() + "…"


# "(**required**)" before a text says what NXDL says elsewhere.
# reStructuredText: roles (:ref:`text <target>`, :math:`x`), literals and plain quotes keep their text; directives go.
_MARKUP = re.compile(
    r"^\(\*\*\w+\*\*\)\s*|(?::\w+:)?`{1,2}([^`<]*?)\s*(?:<[^`>]*>)?`{1,2}_*|^\s*\.\. .*$", re.MULTILINE
)
