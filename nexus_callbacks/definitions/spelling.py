"""Spelling: how a node stood in its file, beside what it means.

Reading makes equal what means the same (``NAPitype="NX_FLOAT64"``, ``NAPItype="NX_FLOAT"``). Whoever writes the
definition again wants what was typed: the reader of a dialect keeps it here, node by node, and its writer gives back
what the node still means, and makes anew only what has changed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    """One XML attribute of a start tag."""

    name: str
    """As spelled: ``NX_units``."""
    value: str
    """What it says, without white space around it."""
    raw: str
    """As it stands in the file, with the white space before it and its quotes."""


@dataclass(frozen=True)
class Inner:
    """One ``<attribute>`` element of a group."""

    name: str
    text: str
    raw: str
    """As it stands in the file, with what stands before it."""
    after: int
    """How many of the group's children come before it."""


@dataclass(frozen=True)
class Spelling:
    """An element as it stands in its file. All texts are raw: white space, comments and entities as they were typed."""

    before: str
    """From the end of the node before it, or the start of its parent or of the file, to its start tag."""
    given: tuple[Attribute, ...]
    """The attributes of its start tag, in order."""
    tail: str
    """The end of its start tag: ``>``, ``/>``, with the white space before it."""
    close: str
    """Its end tag; empty for an element that is its own end (``<a/>``)."""
    content: str = ""
    """What stands between the tags of a field or a link."""
    text: str = ""
    """What the content of a field says; its ``<attribute>`` elements follow."""
    attributes: tuple[tuple[str, str], ...] = ()
    inner: tuple[Inner, ...] = ()
    """The ``<attribute>`` elements of a group."""
    last: str = ""
    """What stands between the last child of a group and its end tag."""
    after: str = ""
    """What follows the root."""
