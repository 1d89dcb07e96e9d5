"""Template: a definition and its bindings, filled from the documents as they come.

One part of the layout (design D2): each field of the definition is a constant or a variable; the binding of the
variable says which document holds it, and when that document is there the field becomes an addition. A group is
made when something in it is; what never came is absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from nexus_callbacks import additions, conversions, definition, documents, units
from nexus_callbacks.additions import Addition
from nexus_callbacks.bindings import Binding, Source
from nexus_callbacks.coverage import Outcome
from nexus_callbacks.documents import Document, Stream
from nexus_callbacks.values import as_nexus

TEXT_TYPES = ("NX_CHAR", "NX_DATE_TIME")
_MISSING = object()


class Readings(Protocol):
    """What the rows of a run have told; the run answers this for the layout's ``finish``."""

    def count(self, stream: str) -> int:
        """Number of rows of a stream."""

    def first(self, stream: str) -> Mapping[str, Any]:
        """First row of a stream, empty if there is none."""

    def last(self, stream: str) -> Mapping[str, Any]:
        """Last row of a stream, empty if there is none."""

    def column(self, stream: str, key: str) -> np.ndarray[Any, Any]:
        """A whole column in the order of acquisition."""


@dataclass(frozen=True)
class _Slot:
    """A field of the definition that waits for the value of its variable."""

    path: str
    field: definition.Field


class Template:
    """Turns documents into additions for the fields of one definition.

    Parameters
    ----------
    tree
        The merged definition; its root is the entry.
    bindings
        Variable → where its value is found.
    columns
        Variables that want the whole column of a stream; the others want one reading.
    facts
        What the writer knows of this run, for sources ``run:NAME``.
    zone
        Time zone of the dates; None is the machine's own.
    """

    def __init__(
        self,
        tree: definition.Group,
        bindings: Mapping[str, Binding],
        *,
        columns: frozenset[str],
        facts: Mapping[str, Any],
        zone: ZoneInfo | None,
        entry: str,
    ) -> None:
        self._tree = tree
        self._bindings = bindings
        self._columns = columns
        self._facts = facts
        self._zone = zone
        self._entry = entry
        self._streams: dict[str, Stream] = {}
        self._groups: dict[str, definition.Group] = {}
        self._made: set[str] = set()
        self._slots: dict[str, list[_Slot]] = {}
        self.outcomes: dict[str, Outcome] = {}
        for path, node in tree.walk():
            if isinstance(node, definition.Group):
                self._groups[path] = node
        idle = _idle_subentries(tree, bindings)
        for variable, everywhere in tree.variables().items():
            fields = [(path, node) for path, node in everywhere if path.split("/")[0] not in idle] or everywhere
            self._slots[variable] = [_Slot(path, node) for path, node in fields]
            self.outcomes[variable] = Outcome(
                variable,
                paths=tuple(path for path, _ in fields),
                mandatory=any(node.mandatory for _, node in fields),
                deprecated=next((node.deprecated for _, node in fields if node.deprecated), ""),
                claimed=variable in bindings,
                reason="" if variable in bindings else "no binding says where it comes from",
            )

    # -- the documents, in the order in which they come ------------------------------------------------------------

    def begin(self, start: Document) -> list[Addition]:
        """Constants of the definition and what the profile, the writer and the start document know."""
        found: list[Addition] = []
        if self._tree.attributes:
            attributes = {n: attribute_value(n, text) for n, text in self._tree.attributes}
            found.append(additions.Attribute(self._entry, attributes))
        for path, node in self._tree.fields():
            if node.variable is None:
                found += self._field(path, node, node.text, None)
        for variable, binding in self._bindings.items():
            scheme = binding.source.scheme
            if scheme == "const":
                found += self._fill(variable, binding.source.value, None, "const")
            elif scheme == "start":
                found += self._from_document(variable, start, "start")
            elif scheme == "run":
                found += self._fill(variable, self._facts.get(binding.source.rest), None, _label(binding.source))
        return found

    def extend(self, stream: Stream) -> list[Addition]:
        """Device configuration, columns and frames of a new stream."""
        known = self._streams.get(stream.name)
        self._streams[stream.name] = stream
        found: list[Addition] = []
        for variable, binding in self._bindings.items():
            source = binding.source
            if self.outcomes[variable].filled:
                continue
            if source.scheme == "config":
                device, _, name = source.rest.partition(".")
                value = documents.configured(stream, device, name)
                if value is not None:
                    found += self._fill(variable, value[0], value[1], _label(source))
            elif source.scheme == "data" and variable in self._columns and stream.name != documents.BASELINE:
                new = set(stream.keys) - set(known.keys if known else ())
                found += self._grow(variable, stream) if source.rest in new else []
        return found

    def first(self, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """Initial readings, of the first row of a stream."""
        found: list[Addition] = []
        for variable, binding in self._bindings.items():
            if self.outcomes[variable].filled or variable in self._columns or binding.convert:
                continue
            if self._record(variable) == "final":
                continue
            found += self._reading(variable, binding, stream, row, "initial")
        return found

    def finish(self, stop: Document, readings: Readings) -> list[Addition]:
        """Final readings, conversions of whole columns, what the stop document knows, and the links."""
        found: list[Addition] = []
        streams = sorted(self._streams, key=lambda name: name != documents.BASELINE)
        for variable, binding in self._bindings.items():
            source = binding.source
            if self.outcomes[variable].filled:
                continue
            if source.scheme == "stop":
                found += self._from_document(variable, stop, "stop")
            elif binding.convert and source.scheme == "data":
                found += self._converted(variable, binding, streams, readings)
            elif source.scheme in ("data", "list"):
                found += self._final(variable, binding, streams, readings)
        found += self._links()
        for variable, outcome in self.outcomes.items():
            if outcome.claimed and not outcome.filled and not outcome.reason:
                reason = f"{_label(self._bindings[variable].source)} is not in the documents of this run"
                self.outcomes[variable] = outcome.with_(reason=reason)
        return found

    def lost(self, path: str, reason: str) -> None:
        """Note that the value at an absolute path is not in the file after all."""
        relative = path.removeprefix(f"{self._entry}/")
        for variable, slots in self._slots.items():
            if any(slot.path == relative for slot in slots):
                self.outcomes[variable] = self.outcomes[variable].with_(filled=False, reason=reason)

    # -- one variable ----------------------------------------------------------------------------------------------

    def _record(self, variable: str) -> definition.Record:
        binding = self._bindings[variable]
        of_field = next((slot.field.record for slot in self._slots[variable] if slot.field.record), None)
        return binding.record or of_field or "initial"

    def _from_document(self, variable: str, document: Document, name: str) -> list[Addition]:
        source = self._bindings[variable].source
        value = documents.lookup(document, source.rest)
        if value is None:
            reason = f"the {name} document has no {source.rest!r}"
            self.outcomes[variable] = self.outcomes[variable].with_(reason=reason)
            return []
        return self._fill(variable, value, None, _label(source))

    def _reading(
        self, variable: str, binding: Binding, stream: str, row: Mapping[str, Any], record: definition.Record
    ) -> list[Addition]:
        source = binding.source
        label = f"{_label(source)} ({stream}, {record})"
        if source.scheme == "list":
            members = [(name, item.rest) for name, item in source.items if item.rest in row]
            if not members:
                return []
            if source.rest == "names":
                return self._fill(variable, [name for name, _ in members], None, label)
            keys = self._streams[stream].keys
            of_members = [(keys[key].units if key in keys else None) or "" for _, key in members]
            values = [row[key] for _, key in members]
            return self._fill(variable, values, None, label, {"member_units": of_members})
        if source.scheme != "data" or source.rest not in row or self._streams[stream].keys[source.rest].external:
            return []
        return self._fill(variable, row[source.rest], self._streams[stream].keys[source.rest].units, label)

    def _final(self, variable: str, binding: Binding, streams: Sequence[str], readings: Readings) -> list[Addition]:
        record = self._record(variable)
        for stream in streams:
            # A baseline that was read once has no final reading: the first must not pass for it.
            too_short = record == "final" and stream == documents.BASELINE and readings.count(stream) < 2
            row = readings.last(stream) if record == "final" else readings.first(stream)
            found = [] if too_short else self._reading(variable, binding, stream, row, record)
            if found or self.outcomes[variable].reason:
                return found
            if too_short and binding.source.rest in row:
                reason = "the run ended before the final reading of the baseline"
                self.outcomes[variable] = self.outcomes[variable].with_(reason=reason)
                return []
        return []

    def _converted(self, variable: str, binding: Binding, streams: Sequence[str], readings: Readings) -> list[Addition]:
        key = binding.source.rest
        for stream in sorted(streams, key=lambda name: name == documents.BASELINE):
            if key in self._streams[stream].keys and readings.count(stream):
                label = f"{_label(binding.source)} ({binding.convert} of {stream})"
                try:
                    value = conversions.apply(str(binding.convert), readings.column(stream, key).tolist())
                except ValueError as error:
                    self.outcomes[variable] = self.outcomes[variable].with_(reason=str(error))
                    return []
                of_units = self._streams[stream].keys[key].units if binding.convert != "count" else None
                return self._fill(variable, value, of_units, label)
        return []

    def _fill(
        self,
        variable: str,
        value: Any,
        of_units: str | None,
        origin: str,
        attributes: additions.Attributes | None = None,
    ) -> list[Addition]:
        """Put one value into every field of a variable, or note why it cannot be."""
        outcome, found = self.outcomes[variable], []
        of_units = self._bindings[variable].unit or of_units
        # What the profile or a person types without a unit is in the definition's.
        typed = origin == "const" or origin.partition(":")[0] in ("start", "stop", "run")
        unit_to = of_units
        for slot in self._slots[variable]:
            want = slot.field.units
            given = of_units or (want if typed else None)
            try:
                unit_to = want if given and want else given
                fitted = _fitted(value, slot.field, given, self._zone)
            except ValueError as error:
                self.outcomes[variable] = outcome.with_(reason=f"{origin}: {error}", unit_from=of_units)
                return []
            found += self._field(slot.path, slot.field, fitted, unit_to, attributes)
        needs_units = any(slot.field.units for slot in self._slots[variable])
        reason = "written without units: the device gives none" if needs_units and not unit_to else ""
        self.outcomes[variable] = outcome.with_(
            filled=True, origin=origin, unit_from=of_units, unit_to=unit_to, reason=reason
        )
        return found

    def _grow(self, variable: str, stream: Stream) -> list[Addition]:
        """A column or a dataset of frames for every field of a variable."""
        binding, found = self._bindings[variable], []
        key = stream.keys[binding.source.rest]
        given = binding.unit or key.units
        unit_to = given
        origin = f"{_label(binding.source)} ({stream.name})"
        for slot in self._slots[variable]:
            unit_to = (slot.field.units or given) if given else None
            path = f"{self._entry}/{slot.path}"
            attributes = self._attributes(slot.field, unit_to)
            found += self._parents(slot.path)
            if key.external:
                per_row, shape = frame_shape(key.shape)
                dtype = key.dtype_numpy
                found.append(additions.Frames(path, stream.name, key.name, shape, dtype, per_row, attributes))
                continue
            try:
                convert = column_conversion(given, slot.field)
            except ValueError as error:
                self.outcomes[variable] = self.outcomes[variable].with_(reason=f"{origin}: {error}", unit_from=given)
                return []
            found.append(additions.Column(path, stream.name, key.name, "data", attributes, convert, key.dtype_numpy))
        needs_units = any(slot.field.units for slot in self._slots[variable])
        reason = "written without units: the device gives none" if needs_units and not unit_to else ""
        self.outcomes[variable] = self.outcomes[variable].with_(
            filled=True, origin=origin, unit_from=given, unit_to=unit_to, reason=reason
        )
        return found

    # -- additions -------------------------------------------------------------------------------------------------

    def _field(
        self,
        path: str,
        node: definition.Field,
        value: Any,
        unit: str | None,
        more: additions.Attributes | None = None,
    ) -> list[Addition]:
        attributes = {**self._attributes(node, unit), **(more or {})}
        return [*self._parents(path), additions.Field(f"{self._entry}/{path}", value, attributes)]

    def _attributes(self, node: definition.Field, unit: str | None) -> dict[str, Any]:
        found: dict[str, Any] = {"units": unit} if unit and node.nx_type != "NX_DATE_TIME" else {}
        if node.description:
            found["ESRF_description"] = node.description
        return {**found, **{name: attribute_value(name, text) for name, text in node.attributes}}

    def _parents(self, path: str) -> list[Addition]:
        """The groups above a path that are not there yet, outermost first."""
        found: list[Addition] = []
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if name in self._made:
                continue
            self._made.add(name)
            group = self._groups[name]
            attributes = {n: attribute_value(n, text) for n, text in group.attributes}
            if group.description:
                attributes["ESRF_description"] = group.description
            found.append(additions.Group(f"{self._entry}/{name}", group.nx_class, attributes))
        return found

    def _links(self) -> list[Addition]:
        """The definition's links whose target is in the file."""
        filled = {path for o in self.outcomes.values() if o.filled for path in o.paths}
        constant = {path for path, node in self._tree.fields() if node.variable is None}
        found: list[Addition] = []
        for path, node in self._tree.walk():
            if isinstance(node, definition.Link):
                target = node.target.strip("/")
                if target in filled | constant | self._made:
                    found += [*self._parents(path), additions.Link(f"{self._entry}/{path}", f"{self._entry}/{target}")]
        return found


def _idle_subentries(tree: definition.Group, bindings: Mapping[str, Binding]) -> set[str]:
    """Names of the techniques' groups (NXsubentry) of which no variable of their own has a binding.

    ESRF's definition repeats a few variables in several techniques (``FLUO/measurement/i0_start`` is TOMO's too);
    such a value alone must not make a group of a technique that was not used.
    """
    subentries = {n.name for n in tree.children if isinstance(n, definition.Group) and n.nx_class == "NXsubentry"}
    used = set()
    for variable, fields in tree.variables().items():
        homes = {path.split("/")[0] for path, _ in fields}
        if variable in bindings and len(homes) == 1:
            used |= homes
    return subentries - used


def attribute_value(name: str, text: str) -> Any:
    """An attribute as NeXus wants it: ``axes`` and ``auxiliary_signals`` are lists, ``…_indices`` integers."""
    if name in ("axes", "auxiliary_signals"):
        return text.split()
    if name.endswith("_indices"):
        return [int(n) for n in text.split()]
    return text


def frame_shape(shape: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Frames in a row and shape of one frame, of a data key's shape.

    ophyd-async keeps the number of frames per event as a leading dimension, ophyd's area detector too (its
    ``shape`` is (num_images, ny, nx)); a shape of two dimensions is one frame.
    """
    if len(shape) > 2:
        return max(int(shape[0]), 1), tuple(shape[1:])
    return 1, tuple(shape)


def column_conversion(given: str | None, node: definition.Field) -> additions.Conversion | None:
    """Units and type of a growing column; None where it is written as it came.

    Raises
    ------
    ValueError
        The units do not convert into one another.
    """
    scale = units.conversion(given, node.units) if given and node.units else None
    if scale is not None and scale.identity:
        scale = None
    as_float, as_int = node.nx_type == "NX_FLOAT", node.nx_type == "NX_INT"
    if scale is None and not as_float and not as_int:
        return None

    def convert(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if values.dtype.kind not in "biuf":
            return values  # A device whose values are not what it announced: kept as they are.
        if scale is not None:
            values = np.asarray(scale(values))
        if as_float and values.dtype.kind != "f":
            return values.astype(float)
        if as_int and values.dtype.kind == "f" and np.all(np.mod(values, 1) == 0):
            return values.astype(np.int64)
        return values

    return convert


def _fitted(value: Any, node: definition.Field, given: str | None, zone: ZoneInfo | None) -> Any:
    # A number with units is a quantity, which is a real number even where somebody typed 185.
    nx_type = "NX_FLOAT" if node.nx_type == "NX_NUMBER" and node.units else node.nx_type
    fitted = as_nexus(value, nx_type, zone)
    if node.nx_type in TEXT_TYPES or not given or not node.units:
        return fitted
    scale = units.conversion(given, node.units)
    return fitted if scale.identity else as_nexus(scale(fitted), nx_type, zone)


def _label(source: Source) -> str:
    return source.scheme if source.scheme in ("const", "list") else f"{source.scheme}:{source.rest}"
