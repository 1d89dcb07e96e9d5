"""Origins: what the documents of a run tell so far, asked by a binding's source.

:class:`Origins` gives the :class:`Value` of a binding, says with :class:`Absent` why there is none, or with None that
no document has it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from nexus_callbacks import documents, units
from nexus_callbacks.beamline import addresses, conversions
from nexus_callbacks.beamline.bindings import Binding, Source
from nexus_callbacks.beamline.sources import CONTROL, READ
from nexus_callbacks.documents import BASELINE, Document, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.readings import Readings

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Value:
    """A value on its way into the file."""

    value: Any
    origin: str
    """Where it came from, for the coverage."""
    units: str | None = None
    """Units that its device gives."""
    typed: bool = False
    """A person or the writer gave it, no device: without units it is in the definition's."""
    attributes: additions.Attributes = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    """What is to be known of it."""
    spaced: bool = False
    """A list with a member that has spaces of its own."""


class Absent(Exception):
    """A value that will not come; the text is the reason."""


class Missing(Absent):
    """A document lacks it, so that a default holds."""

    def __init__(self, scheme: str, key: str) -> None:
        super().__init__(f"the {scheme} document has no {key!r}")
        self.scheme = scheme


class Origins:
    """The documents of one run so far.

    Parameters
    ----------
    facts
        What the writer knows of this run, for sources ``run:NAME``.
    zone
        Zone of times that name none.
    """

    def __init__(self, facts: Mapping[str, Any], zone: ZoneInfo | None) -> None:
        self._facts = facts
        self._zone = zone
        self._documents: dict[str, Document] = {}
        self._configuration: dict[Source, Value] = {}
        self._addressed: dict[tuple[str, str], str] = {}
        """Stream and address (:func:`addresses.normal`) → data key."""
        self.streams: dict[str, Stream] = {}

    def take(self, name: str, document: Document) -> None:
        """The start or the stop document."""
        self._documents[name] = document

    def extend(self, stream: Stream) -> set[str]:
        """A stream, or another descriptor of one; the data keys that are new."""
        known = self.streams.get(stream.name)
        self.streams[stream.name] = documents.merged(known, stream) if known else stream
        new = set(stream.keys) - set(known.keys if known else ())
        for name in sorted(new):
            address = addresses.normal(stream.keys[name].source)
            if address is not None:
                self._addressed.setdefault((stream.name, address), name)
        return new

    def key(self, source: Source, stream: str) -> str | None:
        """The data key of a stream that holds a source, None if there is none."""
        if source.scheme in CONTROL:
            return self._addressed.get((stream, addresses.normal(str(source)) or ""))
        return source.rest if source.scheme == "data" and source.rest in self.streams[stream].keys else None

    # -- what stands still -----------------------------------------------------------------------------------------

    def fixed(self, source: Source) -> Value | None:
        """What needs no row: constants, facts, start and stop document, configuration."""
        if source.scheme == "const":
            return Value(source.value, "const", typed=True)
        if source.scheme == "run":
            return Value(self._facts.get(source.rest), str(source), typed=True)
        if source.scheme == "config":
            return self._configured(source)
        document = self._documents.get(source.scheme)
        return None if document is None else self._told(document, source)

    def _configured(self, source: Source) -> Value | None:
        device, _, name = source.rest.partition(".")
        if source not in self._configuration:
            told = (documents.configured(stream, device, name) for stream in self.streams.values())
            found = next((each for each in told if each is not None), None)
            if found is not None:
                self._configuration[source] = Value(found[0], str(source), found[1])
        return self._configuration.get(source)

    def _told(self, document: Document, source: Source) -> Value:
        value = documents.lookup(document, source.rest)
        if isinstance(value, Mapping) and "name" in value:
            value = value["name"]  # A sample may be a record of its own, which stands under its name.
        if value is None:
            raise Missing(source.scheme, source.rest)
        return Value(value, str(source), typed=True)

    # -- readings --------------------------------------------------------------------------------------------------

    def initial(self, binding: Binding, row: Row) -> Value | None:
        """The value by the first reading of the baseline; None while a part of it may still come."""

        def pick(source: Source) -> Value | None:
            if source.scheme in READ:
                return self._reading(source, BASELINE, row, "initial") if row else None
            return self.fixed(source)

        return self._value(binding, pick, whole=True)

    def recorded(self, binding: Binding, record: str, readings: Readings) -> Value | None:
        """The value by all that the run has told, from the first or the last readings."""

        def pick(source: Source) -> Value | None:
            return (
                self._recorded(source, record, readings, binding.unit) if source.scheme in READ else self.fixed(source)
            )

        return self._value(binding, pick, whole=False)

    def of_column(self, binding: Binding, readings: Readings) -> Value | None:
        """One value made of a whole column, of the stream that was described last."""
        source, name = binding.source, str(binding.convert)
        streams = list(reversed(self.streams))
        for stream in sorted(streams, key=lambda each: each == BASELINE):
            key = self.key(source, stream)
            if key is None or not readings.count(stream):
                continue
            origin = f"{source} ({name} of {stream})"
            try:
                value = conversions.apply(name, readings.column(stream, key).tolist())
            except (ValueError, KeyError) as error:
                raise Absent(f"{origin}: {error}") from error
            given = None if name in conversions.WITHOUT_UNIT else self.streams[stream].keys[key].units
            return Value(value, origin, given)
        return None

    def _reading(self, source: Source, stream: str, row: Row, record: str) -> Value | None:
        """What one row says of a source."""
        key = self.key(source, stream)
        if key is None or key not in row or self.streams[stream].keys[key].external:
            return None
        origin = f"{source} ({stream}, {record})"
        if row[key] is None:
            raise Absent(addresses.reasons(row).get(key, f"{origin}: no value"))
        return Value(row[key], origin, self.streams[stream].keys[key].units)

    def _recorded(self, source: Source, record: str, readings: Readings, unit: str | None) -> Value | None:
        """The first or last reading, of the baseline before the rows of a scan."""
        reason = None
        for stream in sorted(self.streams, key=lambda name: name != BASELINE):
            row = readings.last(stream) if record == "final" else readings.first(stream)
            try:
                found = self._reading(source, stream, row, record)
            except Absent as error:
                reason = reason or error
                continue
            if found is None:
                continue
            # A baseline that was read once has no final reading: the first must not pass for it.
            if record == "final" and stream == BASELINE and readings.count(stream) < 2:
                raise Absent("the run ended before the final reading of the baseline")
            return found if unit else self._described(source, stream, found, readings)
        if reason is not None:
            raise reason
        return None

    def _described(self, source: Source, stream: str, found: Value, readings: Readings) -> Value:
        """The reading, unless its unit cannot be known: nobody answered when the descriptor was made."""
        key = self.key(source, stream)
        silent = source.scheme in CONTROL and key is not None and readings.first(stream).get(key) is None
        if silent and not found.units and _numeric(found.value):
            raise Absent(f"{source} came back after the run had begun, and its unit is not known")
        return found

    # -- several values --------------------------------------------------------------------------------------------

    def _value(self, binding: Binding, pick: Callable[[Source], Value | None], whole: bool) -> Value | None:
        source = binding.source
        if source.scheme == "list":
            return self._list(source, pick, whole)
        if source.scheme == "several":
            return self._several(binding, [pick(item) for _, item in source.items])
        try:
            found = pick(source)
        except Missing as error:
            if binding.default is None:
                raise
            found = Value(binding.default, f"default, as {error}", typed=True)
        if found is None or binding.convert is None:
            return found
        try:
            if binding.convert == "lookup":
                return Value(conversions.look_up(found.value, binding.table), f"{found.origin}, looked up", typed=True)
            return self._of_list(found, binding.convert)
        except ValueError as error:
            raise Absent(f"{found.origin}: {error}") from error

    def _of_list(self, found: Value, name: str) -> Value:
        values = found.value
        if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
            raise ValueError(f"'as: {name}' wants a list, got {values!r}")
        given = None if name in conversions.WITHOUT_UNIT else found.units
        value = conversions.apply(name, values)
        return replace(found, value=value, units=given, origin=f"{found.origin} ({name})")

    def _list(self, source: Source, pick: Callable[[Source], Value | None], whole: bool) -> Value | None:
        """Names or values of those members that have one."""
        members: list[tuple[str, Value]] = []
        reasons: list[str] = []
        for name, item in source.items:
            try:
                found = pick(item)
            except Absent as error:
                reasons.append(f"{name} is absent: {error}")
                continue
            if found is not None:
                members.append((name, found))
            elif whole:
                return None
        if not members:
            if reasons:
                raise Absent("; ".join(reasons))
            return None
        origin = f"list:{', '.join(value.origin for _, value in members)}"
        if source.rest == "names":
            names = [name for name, _ in members]
            return Value(names, origin, remarks=tuple(reasons), spaced=_spaced(names))
        of_members = {"member_units": [value.units or "" for _, value in members]}
        values = [value.value for _, value in members]
        return Value(values, origin, attributes=of_members, remarks=tuple(reasons), spaced=_spaced(values))

    def _several(self, binding: Binding, found: Sequence[Value | None]) -> Value | None:
        """One value made of one of each source, all of which are there."""
        name = str(binding.convert)
        values = [value for value in found if value is not None]
        if len(values) < len(found):
            return None
        origin = f"{name} of {'; '.join(value.origin for value in values)}"
        try:
            if name == "difference":
                return Value(conversions.difference(values[0].value, values[1].value, self._zone), origin, "s")
            if name in conversions.WITHOUT_UNIT or binding.unit:
                return Value(conversions.apply(name, [value.value for value in values]), origin)
            given = values[0].units
            plain = [_in_units(value, given) for value in values]
            typed = all(value.typed for value in values)
            return Value(conversions.apply(name, plain), origin, given, typed)
        except ValueError as error:
            raise Absent(f"{origin}: {error}") from error


def _numeric(value: Any) -> bool:
    """Whether a value, or what an array holds, would have a unit."""
    try:
        return np.asarray(value).dtype.kind in "iufc"
    except ValueError:  # Lists of unequal lengths.
        return True


def _spaced(members: Sequence[Any]) -> bool:
    return any(isinstance(member, str) and len(member.split()) > 1 for member in members)


def _in_units(value: Value, wanted: str | None) -> Any:
    if value.units == wanted:
        return value.value
    if not value.units or not wanted:
        raise ValueError(f"{value.origin} has units {value.units or 'none'!r}, others {wanted or 'none'!r}")
    return units.conversion(value.units, wanted)(value.value)
