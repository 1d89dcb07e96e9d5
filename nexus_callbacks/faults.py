"""Faults: what is wrong, where it stands, and what mends it.

Everything a person types (profile, definition, start metadata) is checked as a whole: readers collect
:class:`Fault` values and raise one :class:`FaultError` with all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """Where something was typed."""

    source: str
    """File name as the user gave it, or another name such as ``start document``."""
    line: int | None = None
    """Line in that file, counted from 1; None where there are no lines."""

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}, line {self.line}"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    message: str
    """What is wrong, naming the thing: ``unknown variable 'Sampel_name'``."""
    place: Place | None = None
    remedy: str = ""
    """What the reader can do about it, an imperative sentence without a full stop; may be empty."""

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return where + self.message + (f" ({self.remedy})" if self.remedy else "")


class FaultError(ValueError):
    """Input that cannot be used; ``faults`` holds every fault that was found, in the order of their places."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda f: (f.place.source, f.place.line or 0) if f.place else ("", 0)))
        super().__init__("\n".join(str(f) for f in self.faults))
