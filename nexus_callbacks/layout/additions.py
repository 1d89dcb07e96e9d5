"""Additions: what is to be added to a file, as values.

The layout decides, the writer carries out. Paths are absolute; missing parent groups are made by the writer as
NXcollection only if nobody named their class before, so a :class:`Group` comes before what it holds.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from nexus_callbacks.layout.mappings import Mapping

Attributes = abc.Mapping[str, Any]
Conversion = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Group:
    """A group with its NeXus class."""

    path: str
    nx_class: str
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """A dataset that is written once: str, number, bool or array."""

    path: str
    value: Any
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A dataset that grows by a row an event."""

    path: str
    stream: str
    key: str
    kind: Literal["data", "timestamps", "seq_num", "time", "elapsed"] = "data"
    """``data`` is the key's; the others are the event's own, ``elapsed`` being its time in s since the start document
    and ``timestamps`` those of ``keys``, one column of a row each."""
    attributes: Attributes = field(default_factory=dict)
    convert: Conversion | None = None
    """Units and type, applied to each piece before it is written; None writes it as it came."""
    dtype_numpy: str | None = None
    """The type that the device announced; the values decide where they contradict it."""
    keys: tuple[str, ...] = ()
    """Data keys of ``timestamps``."""
    fields: tuple[tuple[str, str], ...] = ()
    """Name and type of the fields of a structured array that the device announced."""


@dataclass(frozen=True)
class Frames:
    """A dataset made of links to the frames which a detector wrote to its own files."""

    path: str
    stream: str
    key: str
    shape: tuple[int, ...]
    """Shape of one frame."""
    dtype_numpy: str | None
    per_row: int = 1
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class GridFrames:
    """The frames of a scan over a grid in the grid's shape, over the stack of them that is in the file; no copy."""

    path: str
    source: str
    """Path of the stack: a dataset or a link to one, which is not opened."""
    grid: tuple[int, ...]
    """Shape of the grid."""
    parts: Sequence[Mapping]
    """Which rows of the stack stand where; elsewhere there is nothing."""
    stack: tuple[int, ...]
    """Shape of the stack: frames, then one frame's."""
    dtype: str
    per_row: int = 1
    """Frames in a row; of several, the grid's cells have that dimension before the frame's own."""
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A soft link; ``target`` gets the attribute ``target`` that NeXus asks for."""

    path: str
    target: str
    instead: bool = False
    """In place of a soft link that is there; else the first one stays."""


@dataclass(frozen=True)
class Apart:
    """A column that was two things at once becomes two: it moves, and where it was comes what is made of it."""

    path: str
    """Where it is."""
    own: str
    """Where it goes, in place of the link to it."""
    convert: Conversion
    """What is to stand at ``path`` is made of it by this."""
    attributes: Attributes = field(default_factory=dict)
    """Those of what is to stand at ``path``."""
    of_own: Attributes = field(default_factory=dict)
    """Those of the column from then on."""


@dataclass(frozen=True)
class External:
    """A link into another file, which is not opened."""

    path: str
    file: str
    """Absolute path of the file; the link is made relative."""
    target: str


@dataclass(frozen=True)
class Attribute:
    """Attributes of something that is there already."""

    path: str
    attributes: Attributes
    """None takes the attribute away."""


Addition = Group | Field | Column | Frames | GridFrames | Link | Apart | External | Attribute
