"""Shares: columns that the definition takes as their device gives them, which are in a file once (design D7).

The dataset is the definition's, because programs look for it there; ``measurement`` links to it. A device may give
other values than it announced. Where such values are not of the type that the definition wants, the two part at the
end of the run: what came goes to ``measurement``, and the definition's field holds it in the type that it must have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nexus_callbacks import units
from nexus_callbacks.documents import DataKey, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition, Column
from nexus_callbacks.layout.readings import Readings
from nexus_callbacks.layout.template import Fit

MOST_ADDED = 32 * 1024
"""Bytes of attributes which a device may add to a definition's field: HDF5 refuses one of 64 kB, and the dataset would
be refused with it."""
MOST_LISTED = 2**63
"""HDF5 has no integer beyond."""


@dataclass(frozen=True)
class Share:
    """One dataset for two."""

    field: Column
    """What the definition alone would have."""
    own: Column
    """What ``measurement`` alone would have."""


class Shares:
    """The columns of a run that the definition and ``measurement`` share."""

    def __init__(self) -> None:
        self._shares: list[Share] = []

    def join(self, wanted: Sequence[Addition], columns: list[Addition], stream: Stream) -> list[Addition]:
        """What the definition wants of a stream, in which its columns serve ``columns``, too, where they can.

        Those in ``columns`` which they serve become links.
        """
        fields: dict[tuple[str, str], list[int]] = {}
        found = list(wanted)
        for number, each in enumerate(found):
            if isinstance(each, Column):
                fields.setdefault((each.key, each.kind), []).append(number)
        for place, own in enumerate(columns if fields else ()):
            if not isinstance(own, Column):
                continue
            for number in fields.get((own.key, own.kind), ()):
                field = found[number]
                if isinstance(field, Column) and _serves(field, own, stream.keys[own.key]):
                    attributes = {**own.attributes, **field.attributes}
                    found[number] = replace(field, convert=None, attributes=attributes)
                    columns[place] = additions.Link(own.path, field.path)
                    self._shares.append(Share(field, own))
                    break
        return found

    def finish(self, readings: Readings) -> list[additions.Link | additions.Apart]:
        """The links once more, in case that the disk refused one with the first rows; and what must part."""
        return [_apart(each, readings) or additions.Link(each.own.path, each.field.path) for each in self._shares]


def _serves(field: Column, own: Column, key: DataKey) -> bool:
    """Whether values as they come are what the definition wants, by what the device announced."""
    if field.convert is not None and not (isinstance(field.convert, Fit) and field.convert.may_suit(key)):
        return False
    return _same_units(own.attributes.get("units"), field.attributes.get("units")) and _harmless(own.attributes)


def _same_units(given: str | None, wanted: str | None) -> bool:
    """Whether values in the device's units, if it has any, are the same in the definition's."""
    if given is None or given == wanted:
        return True
    try:
        return wanted is not None and units.conversion(given, wanted).identity
    except ValueError:
        return False


def _harmless(attributes: additions.Attributes) -> bool:
    """Whether HDF5 surely takes what a device says of itself: else it costs the column in ``measurement`` only."""
    try:
        size = sum(len(f"{name}{value}".encode()) for name, value in attributes.items())
    except UnicodeEncodeError:
        return False
    return size <= MOST_ADDED and all(name and "\0" not in name and _plain(v) for name, v in attributes.items())


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) for each in value)
    return not isinstance(value, int) or -MOST_LISTED <= value < MOST_LISTED


def _apart(share: Share, readings: Readings) -> additions.Apart | None:
    """How the two part; None where the values that came are what both want."""
    field, fit = share.field, share.field.convert
    kind, _ = readings.written(field.stream, field.key) or ("", ())
    if not isinstance(fit, Fit) or fit.suits(kind):
        return None
    if fit.nx_type == "NX_INT":  # Of real numbers it makes integers only where each of them is one.
        came = readings.column(field.stream, field.key)
        if fit(came).dtype == came.dtype:
            return None
    return additions.Apart(field.path, share.own.path, fit, field.attributes, share.own.attributes)
