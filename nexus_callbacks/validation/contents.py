"""Contents: times and units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import h5py

from nexus_callbacks import units
from nexus_callbacks.validation.nodes import attribute, find, join, names, text, walk
from nexus_callbacks.validation.report import Finding, guarded

PERIODS = (("start_time", "end_time"), ("actual_start_date", "actual_end_date"))
"""Fields of one group of which the second is not before the first; the later two are ESRF's."""

TIMES = frozenset(name for pair in PERIODS for name in pair) | {"date"}
"""Names of fields that hold a point in time, in NXDL and in ESRF's definition."""

# NX_DATE_TIME: ISO 8601 with a zone. fromisoformat() alone also takes weeks, and times without a zone.
_ISO8601 = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d(:?\d\d)?)")


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on the times and units of an entry."""
    yield from guarded(entry.name, check_group_times, entry)
    for child in walk(entry):
        if isinstance(child.node, h5py.Group):
            yield from guarded(child.path, check_group_times, child.node)
        elif isinstance(child.node, h5py.Dataset):
            yield from guarded(child.path, check_units, child.node)


def check_group_times(group: h5py.Group) -> Iterator[Finding]:
    """Findings on the points in time that a group holds."""
    found: dict[str, datetime] = {}
    for name in sorted(TIMES & set(names(group)[0])):
        node = find(group, name)
        written = text(node) if isinstance(node, h5py.Dataset) else None
        if written is None:
            continue
        time = parse_time(written)
        if time is None:
            yield Finding(
                join(group.name, name),
                "error",
                f"{written!r} is no time as ISO 8601 with a zone",
                "write it like 2026-01-31T12:00:00+01:00",
            )
        else:
            found[name] = time
    for start, end in PERIODS:
        if start in found and end in found and found[end] < found[start]:
            yield Finding(
                group.name, "error", f"{end} ({found[end].isoformat()}) is before {start} ({found[start].isoformat()})"
            )


def parse_time(written: str) -> datetime | None:
    """The point in time, or None if it is not ISO 8601 with a zone.

    >>> parse_time("2026-01-31T12:00:00+01:00").isoformat()
    '2026-01-31T12:00:00+01:00'
    >>> parse_time("2026-01-31T12:00:00") is None
    True
    """
    if not _ISO8601.fullmatch(written):
        return None
    try:
        return datetime.fromisoformat(written)
    except ValueError:  # the 31st of February
        return None


def check_units(dataset: h5py.Dataset) -> Iterator[Finding]:
    """Findings on a dataset's units. Empty units are what a number without dimension has.

    Unknown units are no error: a device may say anything, and what it says is written as it comes.
    """
    written = attribute(dataset, "units")
    if written and not units.known(written):
        yield Finding(dataset.name, "warning", f"the units {written!r} are unknown", "use a name that pint knows")
