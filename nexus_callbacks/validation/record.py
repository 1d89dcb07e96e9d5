"""Record: is in the file what its coverage record says, as the facility's definition wants it?

The writer leaves a record in each entry (:mod:`nexus_callbacks.layout.coverage`): which variables are mandatory, where
each stands, its type and units, and how many frames each detector told of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import h5py

from nexus_callbacks import units
from nexus_callbacks.layout.coverage import NOTE
from nexus_callbacks.validation.nodes import attribute, find, join, shape, text
from nexus_callbacks.validation.report import Finding, guarded

_TEXT = "a text"
# NAPItype → numpy's kinds that hold it, and how to say it. A flag may be a number: HDF5 has no boolean of its own.
_KINDS = {
    "NX_CHAR": ("OSU", _TEXT),
    "NX_DATE_TIME": ("OSU", _TEXT),
    "NX_BOOLEAN": ("biu", "a boolean"),
    "NX_INT": ("iu", "an integer"),
    "NX_FLOAT": ("f", "a real number"),
    "NX_NUMBER": ("iuf", "a number"),
}
_RELINK = "nexus-callbacks relink FILE --root OLD=NEW, when the detector's files are where they should be"


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on the mandatory fields, the types and units that the definition asks for, and the frames."""
    yield from guarded(join(entry.name, NOTE), _check, entry)


def _check(entry: h5py.Group) -> Iterator[Finding]:
    if find(entry, NOTE) is None:
        yield Finding(entry.name, "info", "does not say which fields its definition calls mandatory")
        return
    record = _record(entry)
    if record is None:
        yield Finding(
            join(entry.name, NOTE),
            "error",
            "is no coverage record: a field 'data' with JSON, which has 'mandatory' and 'variables'",
        )
        return
    yield from _check_mandatory(entry, record["mandatory"], record["variables"])
    for variable, outcome in record["variables"].items():
        if outcome.get("filled"):
            yield from _check_fields(entry, variable, outcome)
    for path, announced in record["frames"].items():
        yield from _check_frames(entry, path, announced)


def _check_mandatory(entry: h5py.Group, mandatory: dict[str, str], outcomes: dict[str, Any]) -> Iterator[Finding]:
    for variable, where in sorted(mandatory.items()):
        node = find(entry, where)
        path = join(entry.name, where)
        if not isinstance(node, h5py.Dataset):
            outcome = outcomes.get(variable, {})
            reason = outcome.get("reason") if not outcome.get("filled") else None
            why = f": {reason}" if isinstance(reason, str) and reason else ""
            remedy = _remedy(variable, bool(outcome.get("claimed")) and not outcome.get("filled"))
            yield Finding(path, "error", f"the mandatory {variable.rpartition('/')[2]} is missing{why}", remedy)
        elif 0 in (shape(node) or ()) or shape(node) is None or (text(node) or "").isspace() or text(node) == "":
            yield Finding(path, "error", f"the mandatory {variable} is empty")


def _remedy(variable: str, bound: bool) -> str:
    """What gives the next run a variable; that of a further technique is called ``SUBENTRY/VARIABLE`` in the record."""
    technique, _, name = variable.rpartition("/")
    if bound:
        return f"{name} is bound in the beamline's profile, but its source had no value: see to that, or bind another"
    where = f", under 'techniques: {technique}:'" if technique else ""
    return f"bind {name} in the beamline's profile{where}"


def _check_fields(entry: h5py.Group, variable: str, outcome: dict[str, Any]) -> Iterator[Finding]:
    """Findings on the fields that hold one variable: their type and their units."""
    paths = outcome.get("paths", [])
    types = outcome.get("types") or ["NX_CHAR"] * len(paths)
    unit = outcome.get("unit_to")
    for path, nx_type in zip(paths, types, strict=False):
        node = find(entry, path)
        if not isinstance(node, h5py.Dataset):
            continue  # One of several places of a variable may be empty; the record says why.
        where = join(entry.name, path)
        kinds, name = _KINDS.get(nx_type, ("", ""))
        if kinds and node.dtype.kind not in kinds:
            yield Finding(
                where,
                "error",
                f"{variable} is no {name.removeprefix('a ').removeprefix('an ')}, as the definition says ({nx_type})",
                "bind it to a source of that type",
            )
        written = attribute(node, "units")
        if isinstance(unit, str) and unit and nx_type not in ("NX_CHAR", "NX_DATE_TIME"):
            yield from _check_units(where, variable, written, unit)


def _check_units(path: str, variable: str, written: Any, unit: str) -> Iterator[Finding]:
    if not written:
        yield Finding(path, "error", f"{variable} has lost its units: they were {unit!r}", f"write units = {unit}")
    elif units.known(str(written)) and units.known(unit) and not units.compatible(str(written), unit):
        yield Finding(path, "error", f"{variable} has the units {written!r}, which are not of the kind of {unit!r}")


def _check_frames(entry: h5py.Group, path: str, announced: int) -> Iterator[Finding]:
    """Findings on one dataset of frames: as many as the detector told of, and none that only reads as fill values."""
    node, where = find(entry, path), join(entry.name, path)
    if not isinstance(node, h5py.Dataset):
        yield Finding(where, "warning", f"{announced} frames were announced, none of them is here", _RELINK)
        return
    if node.dtype.kind in "OSU":
        yield Finding(where, "info", f"{announced} frames are in the files that are listed here, HDF5 cannot show them")
        return
    extent = shape(node)
    present = extent[0] if extent else 0
    if present < announced:
        message = f"holds {present} frames, the detector told of {announced}"
        yield Finding(where, "error", message, _RELINK)
    gaps = node.attrs.get("missing_frames")
    if gaps is not None:
        lost = int(gaps[:, 1].sum())
        yield Finding(where, "warning", f"{lost} of {announced} frames are missing, they read as fill values", _RELINK)


def asked(entry: h5py.Group) -> frozenset[str]:
    """Paths, relative to the entry, of the fields that its definition asked for; empty without a coverage record."""
    record = _record(entry)
    if record is None:
        return frozenset()
    return frozenset(path for outcome in record["variables"].values() for path in outcome.get("paths", ()))


def _record(entry: h5py.Group) -> dict[str, Any] | None:
    """The parts of the coverage record that are of use here; None if there is none that can be used."""
    note = find(entry, f"{NOTE}/data")
    try:
        content = json.loads(text(note) or "") if isinstance(note, h5py.Dataset) else None
    except (ValueError, RecursionError):  # no JSON; a number of 5000 digits; 100 000 brackets
        return None
    if not isinstance(content, dict):
        return None
    empty: dict[str, Any] = {"variables": {}, "frames": {}}
    found: dict[str, Any] = {part: content.get(part, empty.get(part)) for part in ("mandatory", "variables", "frames")}
    if not all(_maps(found[part], kind) for part, kind in (("mandatory", str), ("variables", dict), ("frames", int))):
        return None
    told = [outcome.get(name, []) for outcome in found["variables"].values() for name in ("paths", "types")]
    return found if all(_texts(each) for each in told) else None


def _maps(value: Any, kind: type) -> bool:
    return isinstance(value, dict) and all(isinstance(each, kind) for each in value.values())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)
