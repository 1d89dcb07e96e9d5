"""Template: a definition and its bindings, filled from the documents as they come.

One part of the layout (design D2): each field of the definition is a constant or a variable; the binding of the
variable says which document holds it, and when that document is there the field becomes an addition. A group is
made when something in it is; what never came is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from nexus_callbacks import documents, units
from nexus_callbacks.beamline import conversions
from nexus_callbacks.beamline.bindings import Binding
from nexus_callbacks.definitions import definition
from nexus_callbacks.documents import DataKey, Document, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition
from nexus_callbacks.layout.coverage import Outcome
from nexus_callbacks.layout.readings import Readings
from nexus_callbacks.values import as_nexus


@dataclass(frozen=True)
class _Value:
    """A value on its way into the file."""

    value: Any
    origin: str
    """Where it came from, for the coverage."""
    units: str | None = None
    """Units that its device gives."""
    typed: bool = False
    """A person or the writer gave it, no device: without units it is in the definition's."""
    attributes: additions.Attributes = field(default_factory=dict)


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
        self._absent: set[str] = set()
        """Paths of fields that are not in the file although their variable has a value."""
        self._growing: dict[str, tuple[str, str, str | None, str | None]] = {}
        """Variable of a column or of frames → stream, key, units of the device, units in the file."""
        self._slots: dict[str, list[_Slot]] = {}
        self._remarks: dict[str, list[str]] = {}
        """Path → what is to be known of the value that is there."""
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
                types=_types(node for _, node in fields),
                mandatory=any(node.mandatory for _, node in fields),
                deprecated=next((node.deprecated for _, node in fields if node.deprecated), ""),
                claimed=variable in bindings,
                reason="" if variable in bindings else "no binding says where it comes from",
            )

    # -- the documents, in the order in which they come ------------------------------------------------------------

    def begin(self, start: Document) -> list[Addition]:
        """Constants of the definition and what the profile, the writer and the start document know."""
        attributes = {n: attribute_value(n, text) for n, text in self._tree.attributes if n != "default"}
        if self._tree.description:
            attributes["ESRF_description"] = self._tree.description
        found: list[Addition] = [additions.Attribute(self._entry, attributes)] if attributes else []
        for path, node in self._tree.fields():
            if node.variable is None:
                found += [*self._parents(path), self._field(path, node, node.text, None)]
        for variable, binding in self._bindings.items():
            scheme = binding.source.scheme
            if scheme == "const":
                found += self._fill(variable, _Value(binding.source.value, "const", typed=True))
            elif scheme == "start":
                found += self._from_document(variable, start, "start")
            elif scheme == "run":
                value = self._facts.get(binding.source.rest)
                found += self._fill(variable, _Value(value, str(binding.source), typed=True))
        return found

    def extend(self, stream: Stream) -> list[Addition]:
        """Device configuration, columns and frames of a new stream."""
        known = self._streams.get(stream.name)
        self._streams[stream.name] = documents.merged(known, stream) if known else stream
        new = set(stream.keys) - set(known.keys if known else ())
        found: list[Addition] = []
        for variable, binding in self._bindings.items():
            source = binding.source
            if self.outcomes[variable].filled or variable in self._growing:
                continue
            if source.scheme == "config":
                device, _, name = source.rest.partition(".")
                value = documents.configured(stream, device, name)
                if value is not None:
                    found += self._fill(variable, _Value(value[0], str(source), value[1]))
            elif variable in self._columns and stream.name != documents.BASELINE and source.rest in new:
                found += self._grow(variable, stream)
        return found

    def first(self, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """Initial readings, of the first row of the baseline, which no pause repeats."""
        found: list[Addition] = []
        for variable, binding in self._bindings.items():
            wanted = variable not in self._columns and not binding.convert and self._record(variable) == "initial"
            if wanted and not self.outcomes[variable].filled:
                found += self._reading(variable, stream, row)
        return found

    def finish(self, stop: Document, readings: Readings) -> list[Addition]:
        """Final readings, conversions of whole columns, what the stop document knows, and the links."""
        found: list[Addition] = []
        # A reading of the baseline goes before the rows of a scan.
        streams = sorted(self._streams, key=lambda name: name != documents.BASELINE)
        for variable, binding in self._bindings.items():
            if self.outcomes[variable].filled:
                continue
            if variable in self._growing:
                self._settle(variable, readings)
            elif binding.source.scheme == "stop":
                found += self._from_document(variable, stop, "stop")
            elif binding.convert:
                found += self._converted(variable, streams, readings)
            elif binding.source.scheme in ("data", "list"):
                found += self._recorded(variable, streams, readings)
        found += self._links()
        for variable, outcome in self.outcomes.items():
            if outcome.claimed and not outcome.filled and not outcome.reason:
                reason = f"{self._bindings[variable].source} is not in the documents of this run"
                self.outcomes[variable] = outcome.with_(reason=reason)
        return found

    def lost(self, path: str, reason: str) -> None:
        """Note that the value at an absolute path is not in the file after all."""
        gone = path.removeprefix(f"{self._entry}/")
        self._absent.add(gone)
        for variable, slots in self._slots.items():
            paths = {slot.path for slot in slots}
            if gone in paths:
                left = paths - self._absent
                kept = self.outcomes[variable].filled and bool(left)
                self.outcomes[variable] = self.outcomes[variable].with_(filled=kept, reason=reason)

    def remark(self, path: str, remark: str) -> None:
        """Note what is to be known of the value at an absolute path, which is in the file all the same."""
        mine = path.removeprefix(f"{self._entry}/")
        self._remarks.setdefault(mine, []).append(remark)
        for variable, slots in self._slots.items():
            outcome = self.outcomes[variable]
            if outcome.filled and any(slot.path == mine for slot in slots):
                reason = "; ".join(filter(None, [outcome.reason, remark]))
                self.outcomes[variable] = outcome.with_(reason=reason)

    @property
    def default(self) -> str:
        """Name of the group that the definition wants as the entry's default plot, if it is there; else empty."""
        name = dict(self._tree.attributes).get("default", "")
        return name if name in self._made else ""

    # -- one variable ----------------------------------------------------------------------------------------------

    def _record(self, variable: str) -> definition.Record:
        of_field = next((slot.field.record for slot in self._slots[variable] if slot.field.record), None)
        return self._bindings[variable].record or of_field or "initial"

    def _absence(self, variable: str, reason: str) -> list[Addition]:
        self.outcomes[variable] = self.outcomes[variable].with_(reason=reason)
        return []

    def _from_document(self, variable: str, document: Document, name: str) -> list[Addition]:
        source = self._bindings[variable].source
        value = documents.lookup(document, source.rest)
        if isinstance(value, Mapping) and "name" in value:
            value = value["name"]  # A sample may be a record of its own, which stands under its name.
        if value is None:
            return self._absence(variable, f"the {name} document has no {source.rest!r}")
        return self._fill(variable, _Value(value, str(source), typed=True))

    def _reading(self, variable: str, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """One reading of a device, or of the members of a list."""
        source, keys = self._bindings[variable].source, self._streams[stream].keys
        label = f"({stream}, {self._record(variable)})"
        if source.scheme == "list":
            members = [(name, item.rest) for name, item in source.items if row.get(item.rest) is not None]
            if not members:
                return []
            origin = f"list:{','.join(key for _, key in members)} {label}"
            if source.rest == "names":
                return self._fill(variable, _Value([name for name, _ in members], origin))
            of_members = [(keys[key].units if key in keys else None) or "" for _, key in members]
            values = [row[key] for _, key in members]
            return self._fill(variable, _Value(values, origin, attributes={"member_units": of_members}))
        if source.scheme != "data" or source.rest not in row or source.rest not in keys or keys[source.rest].external:
            return []
        return self._fill(variable, _Value(row[source.rest], f"{source} {label}", keys[source.rest].units))

    def _recorded(self, variable: str, streams: Sequence[str], readings: Readings) -> list[Addition]:
        """The first or last reading, as the definition wants it."""
        source, final = self._bindings[variable].source, self._record(variable) == "final"
        keys = {item.rest for _, item in source.items} or {source.rest}
        for stream in streams:
            row = readings.last(stream) if final else readings.first(stream)
            if not keys & row.keys():
                continue
            # A baseline that was read once has no final reading: the first must not pass for it.
            if final and stream == documents.BASELINE and readings.count(stream) < 2:
                return self._absence(variable, "the run ended before the final reading of the baseline")
            return self._reading(variable, stream, row)
        return []

    def _converted(self, variable: str, streams: Sequence[str], readings: Readings) -> list[Addition]:
        """One value made of a whole column."""
        binding = self._bindings[variable]
        key, name = binding.source.rest, str(binding.convert)
        for stream in reversed(streams):
            if key not in self._streams[stream].keys or not readings.count(stream):
                continue
            origin = f"{binding.source} ({name} of {stream})"
            try:
                value = conversions.apply(name, readings.column(stream, key).tolist())
            except (ValueError, KeyError) as error:
                return self._absence(variable, f"{origin}: {error}")
            of_units = None if name in conversions.WITHOUT_UNIT else self._streams[stream].keys[key].units
            return self._fill(variable, _Value(value, origin, of_units))
        return []

    def _fill(self, variable: str, value: _Value) -> list[Addition]:
        """Put one value into every field of a variable that it fits, or note why it cannot be."""
        given = self._bindings[variable].unit or value.units
        made, misfits = [], []
        for slot in self._slots[variable]:
            try:
                made.append((slot, *_fitted(value, slot.field, given, self._zone)))
            except ValueError as error:
                misfits.append(f"{value.origin}: {error}")
                self._absent.add(slot.path)
        if not made:
            self.outcomes[variable] = self.outcomes[variable].with_(reason=misfits[0], unit_from=given)
            return []
        found: list[Addition] = []
        for slot, fitted, unit in made:
            found += [*self._parents(slot.path), self._field(slot.path, slot.field, fitted, unit, value.attributes)]
        unit = made[0][2]
        source = self._bindings[variable].source.scheme
        final = source == "stop" or self._bindings[variable].convert or self._record(variable) == "final"
        self._filled(variable, value.origin, given, unit, misfits, "final" if final else "initial")
        return found

    def _filled(
        self,
        variable: str,
        origin: str,
        given: str | None,
        unit: str | None,
        remarks: Sequence[str] = (),
        record: str = "",
    ) -> None:
        wanted = any(slot.field.units for slot in self._slots[variable])
        told = [remark for slot in self._slots[variable] for remark in self._remarks.get(slot.path, ())]
        without = ["written without units: the device gives none"] if wanted and not unit else []
        reason = "; ".join(dict.fromkeys(filter(None, [*without, *remarks, *told, self._bindings[variable].remark])))
        self.outcomes[variable] = self.outcomes[variable].with_(
            filled=True, origin=origin, unit_from=given, unit_to=unit, reason=reason, record=record
        )

    def _grow(self, variable: str, stream: Stream) -> list[Addition]:
        """A column or a dataset of frames for every field of a variable; :meth:`_settle` says what became of it."""
        binding, found = self._bindings[variable], []
        key = stream.keys[binding.source.rest]
        given = binding.unit or key.units
        origin = f"{binding.source} ({stream.name})"
        for slot in self._slots[variable]:
            unit = (slot.field.units or given) if given else None
            path, attributes = f"{self._entry}/{slot.path}", self._attributes(slot.field, unit)
            try:
                convert = None if key.external else column_conversion(given, slot.field)
            except ValueError as error:
                self._absent.add(slot.path)
                self.outcomes[variable] = self.outcomes[variable].with_(reason=f"{origin}: {error}", unit_from=given)
                continue
            found += self._parents(slot.path)
            if key.external:
                per_row, shape = frame_shape(key)
                found.append(additions.Frames(path, stream.name, key.name, shape, key.dtype_numpy, per_row, attributes))
            else:
                column = additions.Column(
                    path, stream.name, key.name, "data", attributes, convert, key.dtype_numpy, fields=key.fields
                )
                found.append(column)
            self._growing[variable] = (stream.name, key.name, given, unit)
        return found

    def _settle(self, variable: str, readings: Readings) -> None:
        """Whether a growing dataset came to be."""
        stream, key, given, unit = self._growing[variable]
        slots = self._slots[variable]
        external = self._streams[stream].keys[key].external
        if all(slot.path in self._absent for slot in slots):
            return  # The reason is told already.
        if not (readings.length(stream, key) if external else readings.count(stream)):
            self._absent |= {slot.path for slot in slots}
            self._absence(variable, f"the run ended before the first row of {key!r}")
            return
        self._filled(variable, f"{self._bindings[variable].source} ({stream})", given, unit)

    # -- additions -------------------------------------------------------------------------------------------------

    def _field(
        self,
        path: str,
        node: definition.Field,
        value: Any,
        unit: str | None,
        more: additions.Attributes | None = None,
    ) -> Addition:
        attributes = {**self._attributes(node, unit), **(more or {})}
        return additions.Field(f"{self._entry}/{path}", value, attributes)

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
        """The definition's links whose target is in the file; an NXdata without its signal is left out whole."""
        filled = {path for o in self.outcomes.values() if o.filled for path in o.paths} - self._absent
        there = filled | {path for path, node in self._tree.fields() if node.variable is None} | self._made
        links = [
            (path, node.target.strip("/")) for path, node in self._tree.walk() if isinstance(node, definition.Link)
        ]
        alive = {path for path, target in links if target in there}
        found: list[Addition] = []
        for path, target in links:
            home = path.rpartition("/")[0]
            signal = dict(self._groups[home].attributes).get("signal") if home else None
            if path in alive and (signal is None or f"{home}/{signal}" in alive | there):
                found += [*self._parents(path), additions.Link(f"{self._entry}/{path}", f"{self._entry}/{target}")]
        return found


def _types(fields: Iterable[definition.Field]) -> tuple[str, ...]:
    """NAPItypes of the fields of a variable; empty where all are text, as most are."""
    found = tuple(field.nx_type for field in fields)
    return found if set(found) != {"NX_CHAR"} else ()


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
    numbers = text.split()
    if name.endswith("_indices") and all(n.isdigit() for n in numbers):
        return [int(n) for n in numbers]
    return text


def frame_shape(key: DataKey) -> tuple[int, tuple[int, ...]]:
    """Frames in a row and shape of one frame, of an external data key.

    ophyd-async puts the number of frames of an event before the frame's own shape, always; ophyd's area detector
    does where there are three dimensions (``num_images``, ny, nx).
    """
    shape = key.shape
    if shape and (key.external.startswith(documents.STREAMED) or len(shape) > 2):
        return max(shape[0], 1), shape[1:]
    return 1, shape


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


def _fitted(value: _Value, node: definition.Field, given: str | None, zone: ZoneInfo | None) -> tuple[Any, str | None]:
    """The value in the type and the units of a field, and those units."""
    want = node.units
    if given is None and value.typed:
        given = want  # What a person types without a unit is in the definition's.
    convert = units.conversion(given, want) if given and want else None
    # A number with units is a quantity, which is a real number even where somebody typed 185; and a text of a number
    # that has to be converted is made a number first.
    scaled = convert is not None and not convert.identity
    numeric = node.nx_type == "NX_NUMBER" and want
    fitted = as_nexus(value.value, "NX_FLOAT" if numeric or scaled else node.nx_type, zone)
    if convert is not None and scaled:
        fitted = as_nexus(convert(fitted), "NX_FLOAT" if numeric else node.nx_type, zone)
    return fitted, want if given and want else given
