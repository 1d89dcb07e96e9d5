"""Profiles: the YAML in which a beamline says where it finds each variable, read with the line of everything in it.

The keys are those of the documentation's example; every fault of a file is told at once, with its line.
"""

from __future__ import annotations

import copy
import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from nexus_callbacks import units
from nexus_callbacks.beamline import addresses, axes, conversions, naming, sources, yaml_lines
from nexus_callbacks.beamline.sources import READ, Binding, Source, SourceFault, nearest
from nexus_callbacks.definitions.definition import Record
from nexus_callbacks.faults import Fault, FaultError, Place


def _fault(message: str, remedy: str = "") -> PydanticCustomError:
    return PydanticCustomError("fault", "{message}", {"message": message, "remedy": remedy})


# -- what is typed -----------------------------------------------------------------------------------------------------


def _source(value: Any) -> Source:
    if isinstance(value, Source):
        return value
    if not isinstance(value, str):
        raise _fault(f"expected a source, got {value!r}", "write SCHEME:REST; constants stand under 'constants:'")
    try:
        return sources.parse(value)
    except SourceFault as error:
        raise _fault(str(error), error.remedy) from error


def _sources(value: Any) -> Source:
    """One source, or a list of them as one of the scheme ``several``."""
    if not isinstance(value, list):
        return _source(value)
    if not value:
        raise _fault("an empty list of sources")
    return Source("several", items=tuple((str(number), _source(item)) for number, item in enumerate(value)))


def _member(source: Source) -> Source:
    if source.scheme not in (*READ, "config"):
        remedy = "write data:KEY, tango:…, epics:… or config:DEVICE.FIELD"
        raise _fault(f"a list takes what devices have, got {str(source)!r}", remedy)
    return source


def _device(value: str) -> str:
    try:
        return addresses.device(value)
    except SourceFault as error:
        raise _fault(str(error), error.remedy) from error


def _short_name(value: str) -> str:
    if not value or set("/:# ") & set(value):
        raise _fault(f"{value!r} is no short name", "write one word without / : # or a space")
    return value


def _constant(value: Any) -> Any:
    if value is None or value == "":
        raise _fault("has no value", "leave the variable out instead")
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str | int | float | bool) for item in items):
        raise _fault("expected a text, a number, true, false or a list of them")
    return tuple(value) if isinstance(value, list) else value


def _vector(value: Any) -> tuple[float, ...]:
    if isinstance(value, tuple):
        return value
    numbers = isinstance(value, list) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
    if not numbers or len(value) != 3 or not all(map(math.isfinite, value)):
        raise _fault(f"expected three numbers, got {value!r}", "write [x, y, z], for example [0, 0, 1]")
    return tuple(map(float, value))


def _direction(value: Any) -> tuple[float, ...]:
    vector = _vector(value)
    length = math.hypot(*vector)
    if not length:
        raise _fault("is a vector of no length, which points nowhere", "give its direction, for example [0, 0, 1]")
    return tuple(part / length for part in vector)


Table = tuple[tuple[str, Any], ...]


def _conversion(value: Any) -> tuple[str, Table]:
    """Name of a conversion, and its table if it is a lookup."""
    if isinstance(value, tuple):
        return value
    name, table = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, None)
    if name == "lookup" and isinstance(table, dict) and table:
        rows = [(conversions.word(yaml_lines.scalar(key)), _constant(item)) for key, item in table.items()]
        if len(dict(rows)) < len(rows):
            raise _fault("a value stands twice in the table")
        return "lookup", tuple(rows)
    if name == "lookup":
        raise _fault("a lookup wants a table", "write as: {lookup: {1: Bragg, 2: Laue}}")
    if not isinstance(name, str) or name not in conversions.NAMES:
        raise _fault(f"unknown conversion {name!r}", nearest(str(name), conversions.NAMES))
    if isinstance(value, dict):
        raise _fault(f"{name!r} takes nothing", f"write as: {name}")
    return name, ()


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError) as error:
        # ZoneInfoNotFoundError is a KeyError; a folder's name such as 'Europe' gives an OSError.
        raise _fault(f"unknown time zone {value!r}", nearest(value, sorted(available_timezones()))) from error
    return value


def _template(value: str) -> str:
    try:
        parts = [(name, spec) for _, name, spec, _ in string.Formatter().parse(value) if name is not None]
    except ValueError as error:
        raise _fault(f"not a template: {error}") from error
    for name, spec in parts:
        # '{uid.__class__}' would be evaluated too: only the plain names are let through.
        if name not in naming.PLACEHOLDERS:
            raise _fault(f"unknown placeholder {{{name}}}", nearest(name, naming.PLACEHOLDERS))
        if spec and "{" in spec:
            raise _fault(f"{{{name}:{spec}}} holds a placeholder within a placeholder")
    trial: dict[str, Any] = {**dict.fromkeys(naming.PLACEHOLDERS, "x"), "time": datetime(2000, 1, 1, tzinfo=UTC)}
    try:
        empty = not value.format_map(trial).strip()
    except ValueError as error:
        raise _fault(f"not a template: {error}") from error
    if empty:
        raise _fault("has no value")
    return value


AnySource = Annotated[Source, BeforeValidator(_sources)]
Member = Annotated[Source, BeforeValidator(_source), AfterValidator(_member)]
Constant = Annotated[Any, BeforeValidator(_constant)]
Conversion = Annotated[tuple[str, Table], BeforeValidator(_conversion)]
TangoDevice = Annotated[str, AfterValidator(_device)]
ShortName = Annotated[str, AfterValidator(_short_name)]
Template = Annotated[str, AfterValidator(_template)]
Zone = Annotated[str, AfterValidator(_zone)]

_CONFIG = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class Spec(BaseModel):
    """The long form of a source."""

    model_config = _CONFIG

    source: AnySource = Field(alias="from")
    """A source, or a list of them, of which ``as:`` makes one value."""
    unit: str | None = Field(default=None, min_length=1)
    """Unit in which the source speaks."""
    record: Literal["initial", "final"] | None = None
    convert: Conversion | None = Field(default=None, alias="as")
    default: Constant | None = None
    """What a ``start:`` source gives where the start document does not have it."""


def _spec(value: Any) -> Any:
    return value if isinstance(value, dict | Spec) else {"from": value}


def _checked(spec: Spec) -> Spec:
    scheme, name = spec.source.scheme, spec.convert[0] if spec.convert else None
    number = len(spec.source.items)
    if spec.default is not None and scheme != "start":
        raise _fault(
            f"'default' wants a start: source, got {str(spec.source)!r}",
            "leave it out: what a device did not give is absent",
        )
    if number and name in (None, "lookup"):
        remedy = "add one of as: list, join, min, max, mean, count, first, last, difference"
        raise _fault(f"{number} sources make no single value", remedy)
    if name == "difference" and number != 2:
        raise _fault("a difference is that of two times", "write {from: [start:time, stop:time], as: difference}")
    if name == "difference" and spec.unit:
        raise _fault("a difference of times is in s", "leave 'unit' out")
    if name not in (None, "lookup") and scheme in ("const", "run"):
        raise _fault(f"'as: {name}' wants many values, got {str(spec.source)!r}")
    if name not in (None, "lookup") and spec.record and not number:
        raise _fault("'as' takes the whole column, 'record' one reading", "keep one of them")
    return spec


AnySpec = Annotated[Spec, BeforeValidator(_spec), AfterValidator(_checked)]


class Axis(Spec):
    """One axis of a chain of positioners; what it means is told in :mod:`nexus_callbacks.beamline.axes`."""

    type: Literal["rotation", "translation"]
    vector: Annotated[Any, BeforeValidator(_direction)]
    """Direction of the axis, made one of length 1."""
    offset: Annotated[Any, BeforeValidator(_vector)] = None
    """Where the axis is mounted, on what it stands on, before it moves."""
    offset_unit: str | None = Field(default=None, min_length=1)
    depends_on: str | None = Field(default=None, min_length=1)
    increment: AnySpec | None = None
    """By how much a scanned axis moves during each frame."""


def _checked_axis(axis: Axis) -> Axis:
    _checked(axis)
    if axis.offset and not axis.offset_unit:
        raise _fault("has an offset without a unit", "give 'offset_unit:', for example mm")
    if axis.offset_unit and not units.compatible(axis.offset_unit, "mm"):
        raise _fault(f"offset_unit {axis.offset_unit!r} is no length", "give a length such as mm")
    return axis


def _axis_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise _fault(f"{name!r} cannot be an axis", "use letters, digits and '_'")
    return name


AxisName = Annotated[str, AfterValidator(_axis_name)]
AnyAxis = Annotated[Axis, AfterValidator(_checked_axis)]


class Files(BaseModel):
    """Templates of the paths of files."""

    model_config = _CONFIG

    dataset: Template = naming.DEFAULT
    master: Template | None = None
    """None writes no master file."""


class Read(BaseModel):
    """How the baseline is read."""

    model_config = _CONFIG

    timeout: float = Field(default=0.5, gt=0)
    """Seconds for each source of the baseline."""


class RunRule(BaseModel):
    """What is done otherwise with some runs."""

    model_config = _CONFIG

    plans: list[str] = []
    """Patterns of plan names, as in a shell (``align_*``)."""
    purposes: list[str] = []
    """Values of ``purpose`` in the start document."""
    master: bool = True
    """They stand in the master file."""
    catalogues: bool = True
    """They go to the catalogues."""


class Bindings(BaseModel):
    """Bindings of one file: a profile, or the defaults that ship with a technique."""

    model_config = _CONFIG

    constants: dict[str, Constant] = {}
    """Variable → its value, in the definition's units."""
    from_plan: list[str] = []
    """Variables that stand in the start document under the same name."""
    values: dict[str, AnySpec] = {}
    """Variable → source of one value."""
    lists: dict[str, dict[str, Member]] = {}
    """X → names and sources, which fill X_name and X_value in one order.

    X may also be the variable that holds the ``name`` of an NXpositioner or NXsensor; that of its ``value`` is then
    found in the definition (:mod:`nexus_callbacks.beamline.pairs`).
    """

    joined: list[str] = []
    """Variables that hold, in a run of several techniques, the constants of all of them, separated by spaces."""

    _text: yaml_lines.Text = PrivateAttr(default_factory=lambda: yaml_lines.Text(""))

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._text.source)

    @property
    def folder(self) -> Path:
        """Where the file is: relative paths in it start here."""
        return self.path.parent

    def place(self, *location: str | int) -> Place:
        """Where something stands in the file: ``place("values", "SR_Current")``."""
        return self._text.place(*location)

    @property
    def short_names(self) -> Mapping[str, str]:
        """Short name → Tango device, for ``tango:`` sources."""
        return {}

    def general(self) -> list[Binding]:
        """The bindings that hold for every run, in the order of the sections."""
        found = [
            Binding(name, Source("const", str(value), value), place=self.place("constants", name))
            for name, value in self.constants.items()
        ]
        found += [
            Binding(name, Source("start", name), place=self.place("from_plan", index))
            for index, name in enumerate(self.from_plan)
        ]
        found += [self._binding(name, spec, "values") for name, spec in self.values.items()]
        for name, members in self.lists.items():
            place = self.place("lists", name)
            items = tuple((label, self._resolved(member)) for label, member in members.items())
            found.append(Binding(f"{name}_name", Source("list", "names", items=items), place=place))
            found.append(Binding(f"{name}_value", Source("list", "values", items=items), place=place))
        return found

    def _binding(self, name: str, spec: Spec, *section: str) -> Binding:
        record: Record | None = spec.record
        convert, table = spec.convert or (None, ())
        place = self.place(*section, name)
        return Binding(name, self._resolved(spec.source), spec.unit, record, convert, table, spec.default, place)

    def _resolved(self, source: Source) -> Source:
        try:
            return addresses.resolve(source, self.short_names)
        except SourceFault:  # Told when the file was read.
            return source

    def typed(self) -> list[tuple[Source, tuple[str, ...]]]:
        """Every source as it was typed, and where: the keys from the top of the file."""
        found: list[tuple[Source, tuple[str, ...]]] = [(s.source, ("values", n)) for n, s in self.values.items()]
        for name, members in self.lists.items():
            found += [(member, ("lists", name, label)) for label, member in members.items()]
        return found


class Profile(Bindings):
    """A beamline's profile."""

    beamline: str | None = Field(default=None, min_length=1)
    facility: str | None = Field(default=None, min_length=1)
    timezone: Zone | None = None
    """Key of the IANA database (``Europe/Paris``); None is the machine's own."""
    files: Files = Files()
    definitions: list[str] = []
    """Shipped names or paths relative to the profile's folder."""
    tango: dict[ShortName, TangoDevice] = {}
    """Short name → device, ``host:port/domain/family/member`` or the beginning of it."""
    read: Read = Read()
    roots: dict[str, str] = {}
    """A detector's own path prefix → ours."""
    private: list[str] = []
    """Patterns of variables which never leave the dataset file."""
    catalogues: dict[str, Any] = {}
    techniques: dict[str, dict[str, AnySpec]] = {}
    """Technique → variable → source of a column or of frames."""
    axes: dict[str, dict[AxisName, AnyAxis]] = {}
    """Group → the axes that carry it, from the floor up."""
    runs: dict[str, RunRule] = {}

    @property
    def short_names(self) -> Mapping[str, str]:
        """Short name → Tango device, for ``tango:`` sources."""
        return self.tango

    def typed(self) -> list[tuple[Source, tuple[str, ...]]]:
        """Every source as it was typed, and where: the keys from the top of the file."""
        found = super().typed()
        for technique, own in self.techniques.items():
            found += [(spec.source, ("techniques", technique, name)) for name, spec in own.items()]
        for group, chain in self.axes.items():
            found += [(axis.source, ("axes", group, name)) for name, axis in chain.items()]
        return found

    def columns(self, technique: str) -> list[Binding]:
        """What one technique binds besides the general bindings."""
        own = self.techniques.get(technique, {})
        return [self._binding(name, spec, "techniques", technique) for name, spec in own.items()]

    def positions(self) -> list[Binding]:
        """Where the position of each axis is found."""
        found = axes.bindings(self.axes, self.place)
        return [replace(binding, source=self._resolved(binding.source)) for binding in found]

    def bindings(self, *techniques: str) -> dict[str, Binding]:
        """Variable → binding of this profile alone, for runs of these techniques."""
        return merge_bindings((), self, techniques)


def merge_bindings(
    defaults: Sequence[Bindings], profile: Profile | None, technique: str | Sequence[str] | None = None
) -> dict[str, Binding]:
    """Variable → the binding that holds.

    A later default goes before an earlier one, the profile before both, and what it says for a technique before what it
    says for every run. Of several techniques the first wins.
    """
    names = [technique] if isinstance(technique, str) else list(technique or ())
    found: dict[str, Binding] = {}
    for each in (*defaults, *([profile] if profile else ())):
        found.update((binding.variable, binding) for binding in each.general())
    found.update((binding.variable, binding) for binding in (profile.positions() if profile else ()))
    for name in reversed(names if profile else []):
        found.update((binding.variable, binding) for binding in (profile.columns(name) if profile else ()))
    return found


# -- reading -----------------------------------------------------------------------------------------------------------


def load_profile(path: str | Path) -> Profile:
    """Read a profile; ``path`` is the file or the folder that holds ``profile.yml``.

    Raises
    ------
    FaultError
        With every fault of the file.
    """
    found, faults = read_profile(path)
    if faults or found is None:
        raise FaultError(faults)
    return found


def read_profile(path: str | Path) -> tuple[Profile | None, list[Fault]]:
    """Read what can be read of a profile, and every fault of the rest.

    So that what is left can be checked against definitions and devices, and all is told at once. The profile is None
    where the file is no mapping of keys.
    """
    return _read(Path(path) / "profile.yml" if Path(path).is_dir() else Path(path), Profile)


def load_bindings(path: str | Path) -> Bindings:
    """Read a file of bindings alone, as the shipped techniques have them.

    Raises
    ------
    FaultError
        With every fault of the file.
    """
    found, faults = _read(Path(path), Bindings)
    if faults or found is None:
        raise FaultError(faults)
    return found


Model = TypeVar("Model", bound=Bindings)
# Where a mapping of fixed keys stands → its model; * is any key.
_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    ("files",): Files,
    ("read",): Read,
    ("runs", "*"): RunRule,
    ("values", "*"): Spec,
    ("techniques", "*", "*"): Spec,
    ("axes", "*", "*"): Axis,
    ("axes", "*", "*", "increment"): Spec,
}


def _read(path: Path, model: type[Model]) -> tuple[Model | None, list[Fault]]:
    try:
        text = yaml_lines.read(path)
    except FaultError as error:
        return None, list(error.faults)
    faults = list(text.faults)
    value = {} if text.value is None else text.value
    if not isinstance(value, dict):
        return None, [*faults, Fault("expected keys and values", text.place())]
    # A section whose lines are all commented out is an empty one.
    value = {key: item for key, item in value.items() if item is not None}
    if isinstance(value.get("techniques"), dict):
        value["techniques"] = {key: {} if item is None else item for key, item in value["techniques"].items()}
    # What was refused by the reader stands as None, which is no fault of its own.
    at_fault = {fault.place for fault in faults}
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        told = [_told(text, model, each) for each in error.errors(include_url=False)]
        faults += [fault for fault in told if fault.place not in at_fault]
        rest = _validated(value, model)
        if rest is None:
            return None, faults
        found = rest
    found._text = text
    return found, [*faults, *_unresolved(found), *_claimed_twice(found), *_chained(found)]


def _validated(value: Any, model: type[Model]) -> Model | None:
    """The model of what is left when everything faulty is taken out."""
    value = copy.deepcopy(value)
    for _ in range(
        len(_MODELS) + 1
    ):  # What is taken out of a mapping can leave that at fault, but no deeper than that.
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for location in {tuple(each["loc"]) for each in error.errors(include_url=False)}:
                _take_out(value, location)
    return None


def _take_out(value: Any, location: Sequence[str | int]) -> None:
    """Remove what stands at a place, or the nearest thing above it that is there."""
    for part in location[:-1]:
        inner = value.get(part) if isinstance(value, dict) else None
        if not isinstance(inner, dict) or not inner:
            value.pop(part, None) if isinstance(value, dict) else None
            return
        if location[-1] not in inner and part == location[-2]:
            value.pop(part)  # A plain source has no 'from' of its own, or the key is missing.
            return
        value = inner
    if isinstance(value, dict):
        value.pop(location[-1], None)


def _told(text: yaml_lines.Text, model: type[BaseModel], error: Any) -> Fault:
    location = tuple(error["loc"])
    while location and location not in text.lines:
        location = location[:-1]  # A plain source has no 'from' of its own in the file.
    named, remedy = ".".join(str(part) for part in location), error.get("ctx", {}).get("remedy", "")
    if error["type"] == "extra_forbidden":
        return Fault(
            f"unknown key {named!r}", text.place(*location), nearest(str(location[-1]), _keys(model, location))
        )
    message = f"lacks {error['loc'][-1]!r}" if error["type"] == "missing" else error["msg"]
    return Fault(f"{named}: {message[:1].lower()}{message[1:]}", text.place(*location), remedy)


def _keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    outer = tuple(str(part) for part in location[:-1])
    for pattern, inner in _MODELS.items():
        if len(pattern) == len(outer) and all(p in ("*", part) for p, part in zip(pattern, outer, strict=True)):
            model = inner
    return [known.alias or name for name, known in model.model_fields.items()]


def _unresolved(found: Bindings) -> list[Fault]:
    """Addresses of control systems that are none."""
    faults = []
    for source, location in found.typed():
        for member in addresses.control_sources(source):
            try:
                addresses.resolve(member, found.short_names)
            except SourceFault as error:
                faults.append(Fault(f"{'.'.join(location)}: {error}", found.place(*location), error.remedy))
    return faults


def _chained(found: Bindings) -> list[Fault]:
    return axes.check(found.axes, found.place) if isinstance(found, Profile) else []


def _claimed_twice(found: Bindings) -> list[Fault]:
    """Variables that two sections of one file claim; a technique may claim what holds for other runs again."""
    first: dict[str, Binding] = {}
    faults = []
    for binding in found.general():
        known = first.setdefault(binding.variable, binding)
        if known is not binding:
            message = f"variable {binding.variable!r} has a source already, at {known.place}"
            faults.append(Fault(message, binding.place, "keep one of them"))
    return faults
