"""Additions: what is to be added to a file, as values.

The layout decides, the writer carries out. Paths are absolute; missing parent groups are made by the writer as
NXcollection only if nobody named their class before, so a :class:`Group` comes before what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Attributes = Mapping[str, Any]
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
class Link:
    """A soft link; ``target`` gets the attribute ``target`` that NeXus asks for."""

    path: str
    target: str


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


Addition = Group | Field | Column | Frames | Link | External | Attribute
