"""Profiles: the YAML in which a beamline says where it finds each variable, read with the line of everything in it.

The keys are those of the documentation's example; every fault of a file is told at once, with its line.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from nexus_callbacks.beamline import addresses, axes, yaml_lines
from nexus_callbacks.beamline.sources import Binding, Source, SourceFault, nearest
from nexus_callbacks.beamline.typed import (
    CONFIG,
    AnyAxis,
    AnySpec,
    Axis,
    AxisName,
    Constant,
    Files,
    Member,
    Read,
    RunRule,
    ShortName,
    Spec,
    TangoDevice,
    TechniqueName,
    Zone,
)
from nexus_callbacks.definitions.definition import Record
from nexus_callbacks.faults import Fault, FaultError, Place


class Bindings(BaseModel):
    """Bindings of one file: a profile, or the defaults that ship with a technique."""

    model_config = CONFIG

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
    groups: dict[str, list[str]] = {}
    """Group of the entry → the techniques that it is about.

    In a profile that has one of them, general bindings make the group in the runs of these alone.
    """

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
    techniques: dict[TechniqueName, dict[str, AnySpec]] = {}
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
            for name, axis in chain.items():
                found.append((axis.source, ("axes", group, name)))
                if axis.increment:
                    found.append((axis.increment.source, ("axes", group, name, "increment")))
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
