"""Template: a definition and its bindings, filled from the documents as they come.

One part of the layout (design D2): each field of the definition is a constant or a variable; the binding of the
variable says which document holds it, and when that document is there the field becomes an addition. A group is
made when something in it is; what never came is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from nexus_callbacks import documents, units
from nexus_callbacks.beamline.bindings import Binding
from nexus_callbacks.definitions import definition
from nexus_callbacks.definitions.esrf_words import dimensions, root_links
from nexus_callbacks.documents import DataKey, Document, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition
from nexus_callbacks.layout.coverage import Outcome
from nexus_callbacks.layout.origins import Absent, Missing, Origins, Value
from nexus_callbacks.layout.readings import Readings
from nexus_callbacks.values import as_nexus

ROOT_LINKS = "root_links"
"""Attribute of a definition's root: ``NAME=PATH …``, what also stands at the file's root; ``/`` is the entry itself."""
ENTRY = "entry"
"""Name of the entry of a file's first run."""
_NOT_WRITTEN = ("default", ROOT_LINKS)


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
    entry
        Absolute path of the entry, or of the subentry that has its shape.
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
        self._origins = Origins(facts, zone)
        self._zone = zone
        self._entry = entry
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
        self._plots = _plots(tree)
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
        attributes = {n: attribute_value(n, text) for n, text in self._tree.attributes if n not in _NOT_WRITTEN}
        if self._tree.description:
            attributes["ESRF_description"] = self._tree.description
        found: list[Addition] = [additions.Attribute(self._entry, attributes)] if attributes else []
        homes = [home for home in ("", *self._groups) if home.partition("/")[0] not in self._plots]
        at_once = [home for home in homes if not self._signal(home)]
        found += [each for home in at_once for each in self._constants(home)]
        self._origins.take("start", start)
        for variable, binding in self._bindings.items():
            if binding.source.scheme in ("const", "start", "run"):
                found += self._gathered(variable, partial(self._origins.initial, row={}))
        return found

    def extend(self, stream: Stream) -> list[Addition]:
        """Device configuration, columns and frames of a new stream."""
        new = self._origins.extend(stream)
        found: list[Addition] = []
        for variable, binding in self._waiting():
            if binding.source.scheme == "config":
                found += self._gathered(variable, partial(self._origins.initial, row={}))
            elif variable in self._columns and stream.name != documents.BASELINE:
                key = self._origins.key(binding.source, stream.name)
                found += self._grow(variable, stream, stream.keys[key]) if key in new else []
        return found

    def first(self, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """Initial readings, of the first row of the baseline, which no pause repeats."""
        found: list[Addition] = []
        for variable, binding in self._waiting():
            wanted = variable not in self._columns and not binding.of_column and self._record(variable) == "initial"
            if wanted and stream == documents.BASELINE:
                # What has no value now may stand in the rows of a scan: the end of the run decides.
                found += self._gathered(variable, partial(self._origins.initial, row=row), last=False)
        return found

    def finish(self, stop: Document, readings: Readings) -> list[Addition]:
        """Final readings, conversions of whole columns, what the stop document knows, and the links."""
        found: list[Addition] = []
        self._origins.take("stop", stop)
        for variable, binding in self._waiting():
            if binding.of_column:
                found += self._gathered(variable, partial(self._origins.of_column, readings=readings))
            else:
                record = self._record(variable)
                found += self._gathered(variable, partial(self._origins.recorded, record=record, readings=readings))
        for variable in self._growing:
            self._settle(variable, readings)
        plots = {home for home, signal in self._plots.items() if signal in self.filled}
        homes = [home for home in self._groups if home.partition("/")[0] in plots or self._signal(home) in self.filled]
        found += [each for home in homes for each in self._constants(home)]
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
    def detected(self) -> frozenset[tuple[str, str]]:
        """Streams and data keys whose columns or frames are the data of an NXdetector of the definition."""
        return frozenset(
            growing[:2]
            for variable, growing in self._growing.items()
            for slot in self._slots[variable]
            if slot.path not in self._absent
            and slot.field.name == "data"
            and self._class_above(slot.path) == "NXdetector"
        )

    def _class_above(self, path: str) -> str:
        home = path.rpartition("/")[0]
        return self._groups[home].nx_class if home else self._tree.nx_class

    def default(self, others: Collection[str] = ()) -> str:
        """Name of the group that is the entry's default plot: the first of those that the definition wants.

        Empty if none of them is there. ``others`` are groups that the writer made itself.
        """
        wanted = dict(self._tree.attributes).get("default", "").split()
        drawn = self._made - {home for home, signal in self._plots.items() if signal not in self.filled}
        return next((name for name in wanted if name in drawn or name in others), "")

    @property
    def scales(self) -> Mapping[tuple[str, str], Mapping[int, str]]:
        """Stream and data key of arrays → dimension of one array → path of its axis, as the definition's NXdata says.

        Dimensions count from the end: -1 is the last. The first of the NXdata's are rows, which have no axis here.

        Complete after :meth:`finish`.
        """
        grown = {slot.path: self._growing[v][:2] for v in self._growing for slot in self._slots[v]}
        found: dict[tuple[str, str], Mapping[int, str]] = {}
        for home, group in self._groups.items():
            told = dict(group.attributes)
            links = {n.name: n.target.strip("/") for n in group.children if isinstance(n, definition.Link)}
            key = grown.get(links.get(told.get("signal", ""), ""))
            if key is None or home not in self._made:
                continue
            inner = told.get("axes", "").split()[1:]
            of_rows = [(d - len(inner), name) for d, name in enumerate(inner)]
            axes = {d: f"{self._entry}/{links[name]}" for d, name in of_rows if links.get(name) in self.filled}
            if axes:
                found.setdefault(key, axes)
        return found

    @property
    def filled(self) -> frozenset[str]:
        """Paths, relative to the entry, of the variables' fields that are in the file."""
        return frozenset({path for o in self.outcomes.values() if o.filled for path in o.paths} - self._absent)

    # -- one variable ----------------------------------------------------------------------------------------------

    def _record(self, variable: str) -> definition.Record:
        variable = self._values_of(variable) or variable
        of_field = next((slot.field.record for slot in self._slots[variable] if slot.field.record), None)
        return self._bindings[variable].record or of_field or "initial"

    def _values_of(self, variable: str) -> str | None:
        """The variable that holds the values of a list's names: both are of one reading, so that they stay in step."""
        source = self._bindings[variable].source
        if source.scheme != "list" or source.rest != "names":
            return None
        values = replace(source, rest="values")
        place = self._bindings[variable].place
        return next((v for v, b in self._bindings.items() if b.source == values and b.place == place), None)

    def _absence(self, variable: str, reason: str, untold: bool = False) -> list[Addition]:
        self.outcomes[variable] = self.outcomes[variable].with_(reason=reason, untold=untold)
        return []

    def _waiting(self) -> list[tuple[str, Binding]]:
        """The variables that have no value yet."""
        return [
            (variable, binding)
            for variable, binding in self._bindings.items()
            if not self.outcomes[variable].filled and variable not in self._growing
        ]

    def _gathered(self, variable: str, ask: Callable[[Binding], Value | None], last: bool = True) -> list[Addition]:
        """The value that the documents have for a variable; or why they have none, if it is the last time to ask."""
        try:
            value = ask(self._bindings[variable])
        except Absent as error:
            untold = isinstance(error, Missing) and error.scheme == "start"
            return self._absence(variable, str(error), untold) if last else []
        return self._fill(variable, value) if value else []

    def _fill(self, variable: str, value: Value) -> list[Addition]:
        """Put one value into every field of a variable that it fits, or note why it cannot be."""
        given = self._bindings[variable].unit or value.units
        made, misfits = [], list(value.remarks)
        for slot in self._slots[variable]:
            try:
                of_slot = given or _common_unit(value, slot.field)
                made.append((slot, *_fitted(value, slot.field, of_slot, self._zone), of_slot))
            except ValueError as error:
                misfits.append(f"{value.origin}: {error}")
                self._absent.add(slot.path)
        if not made:
            self.outcomes[variable] = self.outcomes[variable].with_(reason=misfits[-1], unit_from=given)
            return []
        found: list[Addition] = []
        for slot, fitted, unit, _ in made:
            more = {} if unit else value.attributes  # The units of a list's members, where they have not one for all.
            found += [*self._parents(slot.path), self._field(slot.path, slot.field, fitted, unit, more)]
        unit, given = made[0][2:]
        source = self._bindings[variable].source
        at_stop = any(each.scheme == "stop" for each in (source, *(item for _, item in source.items)))
        final = at_stop or self._bindings[variable].of_column or self._record(variable) == "final"
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
            filled=True, untold=False, origin=origin, unit_from=given, unit_to=unit, reason=reason, record=record
        )

    def _grow(self, variable: str, stream: Stream, key: DataKey) -> list[Addition]:
        """A column or a dataset of frames for every field of a variable; :meth:`_settle` says what became of it."""
        binding, found = self._bindings[variable], []
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
        external = self._origins.streams[stream].keys[key].external
        if all(slot.path in self._absent for slot in slots):
            return  # The reason is told already.
        if not (readings.length(stream, key) if external else readings.count(stream)):
            self._absent |= {slot.path for slot in slots}
            self._absence(variable, f"the run ended before the first row of {key!r}")
            return
        self._filled(variable, f"{self._bindings[variable].source} ({stream})", given, unit)

    # -- additions -------------------------------------------------------------------------------------------------

    def _constants(self, home: str) -> list[Addition]:
        """The constants right in a group of the definition; of the entry itself if `home` is empty."""
        group, above = (self._groups[home], f"{home}/") if home else (self._tree, "")
        found: list[Addition] = []
        for node in group.children:
            if isinstance(node, definition.Field) and node.variable is None:
                path = f"{above}{node.name}"
                found += [*self._parents(path), self._field(path, node, node.text, None)]
        return found

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
        found: dict[str, Any] = {"ESRF_description": node.description} if node.description else {}
        found.update((name, self._attribute(name, text)) for name, text in node.attributes)
        if unit and node.nx_type != "NX_DATE_TIME":
            found["units"] = unit  # What the value is in goes before what the definition calls it.
        return found

    def _attribute(self, name: str, text: str) -> Any:
        # HDF5 knows no path upwards: what lies in another group is named from the root on.
        return f"{self._entry}{text}" if name == "depends_on" and text.startswith("/") else attribute_value(name, text)

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
        there = self.filled | {path for path, node in self._tree.fields() if node.variable is None} | self._made
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
                found += self._constants(home) if home and path == self._signal(home) else []
        return [*found, *self._root_links(set(there | alive))]

    def _signal(self, home: str) -> str:
        """Path of what a group draws, empty if it draws nothing: its title alone would be the shell of a plot."""
        group = self._groups.get(home)
        signal = dict(group.attributes).get("signal") if group else None
        return f"{home}/{signal}" if group and any(n.name == signal for n in group.children) else ""

    def _root_links(self, there: frozenset[str] | set[str]) -> list[Addition]:
        """Links at the file's root, for programs that look only there (decision 9)."""
        found: list[Addition] = []
        if self._entry.split("/")[1] != ENTRY:
            return found  # Of several runs in a file the first has these names.
        for name, target in root_links(dict(self._tree.attributes).get(ROOT_LINKS, "")) or ():
            if not target:
                found.append(additions.Link(f"/{name}", self._entry))
            elif target in there:
                found.append(additions.Link(f"/{name}", f"{self._entry}/{target}"))
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


def _common_unit(value: Value, node: definition.Field) -> str | None:
    """The unit of all members of a list, for a field that holds them as numbers."""
    told = set(value.attributes.get("member_units", ()))
    return told.pop() or None if len(told) == 1 and node.nx_type != "NX_CHAR" else None


def _plots(tree: definition.Group) -> dict[str, str]:
    """Name of each subentry that names its default plot → path of that plot's signal.

    What such a subentry claims to be, it is with its plot only: a curve that was to be made while the run went on, and
    was not, must not leave the shell of an application definition behind.
    """
    found = {}
    for group in tree.children:
        plot = dict(group.attributes).get("default") if isinstance(group, definition.Group) else None
        if not isinstance(group, definition.Group) or group.nx_class != "NXsubentry" or plot is None:
            continue
        for each in group.children:
            if isinstance(each, definition.Group) and each.name == plot:
                found[group.name] = f"{group.name}/{plot}/{dict(each.attributes).get('signal', '')}"
    return found


def attribute_value(name: str, text: str) -> Any:
    """An attribute as NeXus wants it.

    ``axes`` and ``auxiliary_signals`` are lists, ``…_indices`` integers, ``vector`` and ``offset`` three real numbers.
    """
    if name in ("axes", "auxiliary_signals"):
        return text.split()
    numbers = text.split()
    if name in ("vector", "offset"):
        try:
            return [float(n) for n in numbers]
        except ValueError:
            return text  # Another attribute of that name; what it means is its reader's.
    spanned = dimensions(text) if name.endswith("_indices") else None
    return text if spanned is None else spanned


def frame_shape(key: DataKey) -> tuple[int, tuple[int, ...]]:
    """Frames in a row and shape of one frame, of an external data key.

    ophyd-async puts the number of frames of an event before the frame's own shape, always; ophyd's area detector
    does where there are three dimensions (``num_images``, ny, nx).
    """
    shape = key.shape
    if shape and (key.external.startswith(documents.STREAMED) or len(shape) > 2):
        return max(shape[0], 1), shape[1:]
    return 1, shape


@dataclass(frozen=True)
class Fit:
    """Makes the values of a growing column what its field wants."""

    scale: units.Conversion | None
    """None leaves the values in their units."""
    nx_type: str

    def __call__(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The values in the field's units and type; what is no number stays as it is."""
        if values.dtype.kind not in "biuf":
            return values  # A device whose values are not what it announced: kept as they are.
        if self.scale is not None:
            values = np.asarray(self.scale(values))
        if self.nx_type == "NX_FLOAT" and values.dtype.kind != "f":
            return values.astype(float)
        if self.nx_type == "NX_INT" and values.dtype.kind == "f" and np.all(np.mod(values, 1) == 0):
            return values.astype(np.int64)
        return values

    def suits(self, kind: str) -> bool:
        """Whether values of one of numpy's kinds are of the field's type as they are."""
        return kind not in {"NX_FLOAT": tuple("biu"), "NX_INT": ("f",)}.get(self.nx_type, ())

    def may_suit(self, key: DataKey) -> bool:
        """Whether a device's values can be what the field wants as they come, by what the device announced."""
        try:
            kind = np.dtype(key.dtype_numpy).kind if key.dtype_numpy else _KINDS.get(key.dtype, "")
        except TypeError:  # The device says a word which numpy does not know.
            kind = ""
        return self.scale is None and self.suits(kind)


_KINDS = {"integer": "i", "boolean": "b"}
"""event-model's types that leave no doubt; a ``number`` may be of either kind."""


def column_conversion(given: str | None, node: definition.Field) -> Fit | None:
    """Units and type of a growing column; None where it is written as it came.

    Raises
    ------
    ValueError
        The units do not convert into one another.
    """
    scale = units.conversion(given, node.units) if given and node.units else None
    if scale is not None and scale.identity:
        scale = None
    wants_type = node.nx_type in ("NX_FLOAT", "NX_INT")
    return Fit(scale, node.nx_type) if scale is not None or wants_type else None


def _fitted(value: Value, node: definition.Field, given: str | None, zone: ZoneInfo | None) -> tuple[Any, str | None]:
    """The value in the type and the units of a field, and those units."""
    want = node.units
    if value.spaced and node.nx_type == "NX_CHAR":  # An array: joined by spaces they could not be told apart.
        return np.array([as_nexus(item, "NX_CHAR", zone) for item in value.value], dtype=object), given
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
    if np.size(fitted) == 0:
        raise ValueError("an empty list")
    if isinstance(value.value, str) and isinstance(fitted, float) and np.isinf(fitted):
        raise ValueError("expected a finite number")
    return fitted, want if given and want else given
