"""Coverage: which variables of a definition are filled, from where, and which are not and why.

The record is kept while a file is written, stored in it as JSON (NXnote ``/entry/nexus_callbacks/coverage``) and read
back from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nexus_callbacks.definitions.definition import Group

NOTE = "nexus_callbacks/coverage"
"""Path of the note below its entry."""


@dataclass(frozen=True)
class Outcome:
    """What became of one variable."""

    variable: str
    paths: tuple[str, ...]
    """Where the definition puts it, relative to the entry."""
    types: tuple[str, ...] = ()
    """NAPItype at each of the paths; empty where all are NX_CHAR."""
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
    untold: bool = False
    """Not filled as the plan did not tell what the profile would take from the start document."""
    record: str = ""
    """``initial`` or ``final``: which of several runs' values counts for their dataset; empty for a column."""

    def with_(self, **changes: Any) -> Outcome:
        """The same with some things changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Coverage:
    """The outcome of every variable that is claimed, mandatory or filled; the others are counted only."""

    outcomes: tuple[Outcome, ...]
    total: int
    """Number of variables in the definition."""
    frames: Mapping[str, int] = field(default_factory=dict)
    """Path of each dataset of frames, relative to the entry → how many frames the detector told of."""

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
        # vars(), as asdict() copies level by level, which takes 20 times as long.
        variables = {o.variable: {k: v for k, v in vars(o).items() if v and k != "variable"} for o in self.outcomes}
        mandatory = {o.variable: o.paths[0] for o in self.outcomes if o.mandatory and o.paths}
        frames = {"frames": dict(self.frames)} if self.frames else {}
        content = {**self.summary(), "mandatory": mandatory, **frames, "variables": variables}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def coverage_of(definition: Group, outcomes: Iterable[Outcome], frames: Mapping[str, int] | None = None) -> Coverage:
    """The coverage of a definition, of the outcomes that are worth listing."""
    listed = tuple(o for o in outcomes if o.claimed or o.mandatory or o.filled)
    return Coverage(listed, total=len(definition.variables()), frames=frames or {})


def from_json(text: str) -> Coverage:
    """Read what :meth:`Coverage.to_json` wrote.

    Raises
    ------
    ValueError
        The text is something else.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    variables, total = (content.get(k) if isinstance(content, dict) else None for k in ("variables", "total"))
    if not isinstance(variables, dict) or not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise ValueError("no object with 'variables' (an object) and 'total' (a whole number)")
    frames = content.get("frames", {})
    if not isinstance(frames, dict) or not all(isinstance(n, int) and not isinstance(n, bool) for n in frames.values()):
        raise ValueError("'frames' is no object with whole numbers")
    return Coverage(tuple(_outcome(name, spec) for name, spec in variables.items()), total, frames)


def _outcome(variable: str, spec: Any) -> Outcome:
    """The outcome of a variable, or ValueError. Unknown keys are left out: a later release may write more of them."""
    if not isinstance(spec, dict):
        raise ValueError(f"{variable}: expected an object")
    lists: dict[str, Any] = {}
    for name in ("paths", "types"):
        found = spec.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ValueError(f"{variable}: {name!r} is no list of texts")
        lists[name] = tuple(found)
    flags = {k: spec[k] for k in ("mandatory", "claimed", "filled", "untold") if k in spec}
    texts = {k: spec[k] for k in ("deprecated", "origin", "unit_from", "unit_to", "reason", "record") if k in spec}
    for values, kind in ((flags, bool), (texts, str)):
        for name, value in values.items():
            if not isinstance(value, kind):
                raise ValueError(f"{variable}: {name!r} is {value!r}, expected a {kind.__name__}")
    return Outcome(variable, **lists, **flags, **texts)


def read(path: str | Path) -> dict[str, Coverage]:
    """Coverage of each entry of a file that we wrote; entry name → coverage.

    Raises
    ------
    OSError
        The file cannot be opened as HDF5.
    ValueError
        The file or its record is damaged, or the record is none of ours.
    """
    import h5py  # noqa: PLC0415  # The pure half of this module serves the layout, which must not load h5py.

    found: dict[str, Coverage] = {}
    with _open(h5py, Path(path)) as file:
        where = "/"
        try:
            for name in file:
                where = f"/{name}/{NOTE}/data"
                entry = file.get(name)
                if entry is None and isinstance(file.get(name, getlink=True), h5py.HardLink):
                    raise ValueError("the entry cannot be read")
                note = entry.get(f"{NOTE}/data") if isinstance(entry, h5py.Group) else None
                if note is not None:
                    found[name] = from_json(_text(h5py, note))
        # h5py raises any of them where a file is damaged; which one, differs by case and release.
        except (ValueError, KeyError, OSError, RuntimeError, TypeError, OverflowError, MemoryError) as error:
            raise ValueError(f"{path}: {where}: {error}") from error
    return found


def is_being_written(path: str | Path) -> bool:
    """Whether a file says that its run has not ended, or that nobody has completed it since its session died."""
    import h5py  # noqa: PLC0415  # As in :func:`read`.

    with _open(h5py, Path(path)) as file:
        return bool(file.attrs.get("state") == "writing")


def _open(h5py: Any, path: Path) -> Any:
    """The file, without HDF5's locks; or with them, if this process has it open in that way."""
    for locking in (False, None, True):
        try:
            return h5py.File(path, "r", locking=locking)
        except OSError as error:
            if "flag values don't match" not in str(error) or locking is True:
                raise
        except (ValueError, RuntimeError) as error:  # a damaged file, or a name that HDF5 does not take
            raise OSError(f"{path}: cannot be opened: {error}") from error
    raise AssertionError  # The last turn returns or raises.


def _text(h5py: Any, note: Any) -> str:
    """A note's text, or ValueError."""
    scalar = isinstance(note, h5py.Dataset) and note.shape == () and h5py.check_string_dtype(note.dtype)
    if not scalar:
        raise ValueError("is no text")
    return str(note.asstr()[()])
