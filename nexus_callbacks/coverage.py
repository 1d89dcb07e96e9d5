"""Coverage: which variables of a definition are filled, from where, and which are not and why.

The record is kept while a file is written, stored in it as JSON (NXnote ``/entry/nexus_callbacks/coverage``) and read
back from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nexus_callbacks.definition import Group

NOTE = "nexus_callbacks/coverage"
"""Path of the note below its entry."""


@dataclass(frozen=True)
class Outcome:
    """What became of one variable."""

    variable: str
    paths: tuple[str, ...]
    """Where the definition puts it, relative to the entry."""
    mandatory: bool = False
    deprecated: str = ""
    claimed: bool = False
    """The profile or a shipped binding says where it comes from."""
    filled: bool = False
    origin: str = ""
    """Where the value came from: ``data:srot (baseline, initial)``, ``const``, ``start:sample``."""
    unit_from: str | None = None
    """Units of the source."""
    unit_to: str | None = None
    """Units in the file; differs from ``unit_from`` where the value was converted."""
    reason: str = ""
    """Why it is not filled, or what is to be known of a value that is (no units)."""

    def with_(self, **changes: Any) -> Outcome:
        """The same with some things changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Coverage:
    """The outcome of every variable that is claimed, mandatory or filled; the others are counted only."""

    outcomes: tuple[Outcome, ...]
    total: int
    """Number of variables in the definition."""

    @property
    def filled(self) -> int:
        """Number of variables that have a value in the file."""
        return sum(o.filled for o in self.outcomes)

    @property
    def missing_mandatory(self) -> tuple[str, ...]:
        """Mandatory variables without a value."""
        return tuple(o.variable for o in self.outcomes if o.mandatory and not o.filled)

    @property
    def missing(self) -> tuple[Outcome, ...]:
        """Claimed or mandatory variables without a value."""
        return tuple(o for o in self.outcomes if not o.filled)

    def by_scheme(self) -> dict[str, int]:
        """Number of filled variables by the scheme of their source (``const``, ``data``, …)."""
        counts: dict[str, int] = {}
        for outcome in self.outcomes:
            if outcome.filled:
                scheme = outcome.origin.partition(":")[0].partition(" ")[0]
                counts[scheme] = counts.get(scheme, 0) + 1
        return dict(sorted(counts.items()))

    def summary(self) -> dict[str, Any]:
        """The three numbers that a script wants: filled, total, missing_mandatory."""
        return {"filled": self.filled, "total": self.total, "missing_mandatory": list(self.missing_mandatory)}

    def to_json(self) -> str:
        """JSON text with the summary, where each mandatory variable belongs, and all outcomes by variable."""
        variables = {o.variable: {k: v for k, v in asdict(o).items() if v and k != "variable"} for o in self.outcomes}
        mandatory = {o.variable: o.paths[0] for o in self.outcomes if o.mandatory}
        return json.dumps({**self.summary(), "mandatory": mandatory, "variables": variables}, ensure_ascii=False)


def coverage_of(definition: Group, outcomes: Iterable[Outcome]) -> Coverage:
    """The coverage of a definition, of the outcomes that are worth listing."""
    listed = tuple(o for o in outcomes if o.claimed or o.mandatory or o.filled)
    return Coverage(listed, total=len(definition.variables()))


def from_json(text: str) -> Coverage:
    """Read what :meth:`Coverage.to_json` wrote."""
    content = json.loads(text)
    outcomes = tuple(
        Outcome(variable=name, **{**spec, "paths": tuple(spec.get("paths", ()))})
        for name, spec in content["variables"].items()
    )
    return Coverage(outcomes, total=int(content["total"]))


def read(path: str | Path) -> dict[str, Coverage]:
    """Coverage of each entry of a file that we wrote; entry name → coverage.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    import h5py  # noqa: PLC0415  # The pure half of this module serves the layout, which must not load h5py.

    found = {}
    with h5py.File(path, "r", locking=False) as file:
        for name, entry in file.items():
            note = entry.get(f"{NOTE}/data") if isinstance(entry, h5py.Group) else None
            if isinstance(note, h5py.Dataset):
                found[name] = from_json(note.asstr()[()])
    return found
