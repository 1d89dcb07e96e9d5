"""Checks: a profile against a definition and the devices' signals, before beam is used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from nexus_callbacks import units
from nexus_callbacks.beamline import conversions, renames
from nexus_callbacks.beamline.pairs import paired
from nexus_callbacks.beamline.profile import Bindings, Profile, merge_bindings
from nexus_callbacks.beamline.signals import Signals
from nexus_callbacks.beamline.sources import CONTROL, Binding, Source, nearest
from nexus_callbacks.definitions.definition import Field, Group
from nexus_callbacks.faults import Fault
from nexus_callbacks.values import as_nexus


def check(
    profile: Profile,
    definition: Group,
    signals: Signals | None = None,
    technique: str | None = None,
    shipped: Sequence[Bindings] = (),
    elsewhere: Collection[str] = (),
    complete: bool = True,
) -> list[Fault]:
    """What is wrong with a profile for one technique, or for runs without one.

    Parameters
    ----------
    definition
        The merged definition of that technique.
    signals
        What the devices have; None leaves data keys, configuration fields and their units unchecked.
    shipped
        Default bindings. A definition need not have their variables: they serve several.
    elsewhere
        Variables of the profile's other techniques, which a binding for every run may serve.
    complete
        The definition is all that the profile asked for; else no variable is called unknown.
    """
    variables = definition.variables()
    general = paired(profile.general(), definition)
    own = [*general, *(paired(profile.columns(technique), definition) if technique else ())]
    # An axis of a group that this definition does not have belongs to another technique.
    own += [binding for binding in profile.positions() if binding.variable in variables]
    faults = []
    for binding in own:
        if binding.variable not in variables:
            if not complete or (binding in general and binding.variable in elsewhere):
                continue
            if renames.older(binding):
                continue  # Metadata of an older definition: it is renewed and told of, but never stops a scan.
            message = f"unknown variable {binding.variable!r}"
            faults.append(Fault(message, binding.place, nearest(binding.variable, variables)))
        elif binding.source.scheme == "const":
            faults += _check_constants(binding, [binding.source.value], variables[binding.variable])
        elif binding.default is not None or binding.table:
            typed = [binding.default] if binding.default is not None else [value for _, value in binding.table]
            faults += _check_constants(binding, typed, variables[binding.variable])
    for index, name in enumerate(profile.joined if complete else ()):
        if name not in variables:
            faults.append(Fault(f"unknown variable {name!r}", profile.place("joined", index), nearest(name, variables)))
    for binding in paired(merge_bindings(shipped, profile, technique).values(), definition):
        fields = [field for _, field in variables.get(binding.variable, ())]
        if binding in own or fields:
            wanted = list(dict.fromkeys(field.units for field in fields if field.units))
            faults += _check_binding(binding, wanted, signals)
    return list(dict.fromkeys(faults))


def _check_constants(binding: Binding, values: Iterable[Any], fields: Iterable[tuple[str, Field]]) -> list[Fault]:
    """What of the values that were typed does not fit the definition's type; the first of each field."""
    for _, field in fields:
        for value in values:
            try:
                as_nexus(value, field.nx_type)
            except ValueError as error:
                return [Fault(f"{binding.variable}: {error}", binding.place, f"the definition says {field.nx_type}")]
    return []


def _check_binding(binding: Binding, wanted: Iterable[str], signals: Signals | None) -> list[Fault]:
    faults = [fault for source in _sources(binding.source) for fault in _check_source(source, binding, signals)]
    if binding.unit is not None and not units.known(binding.unit):
        message = f"{binding.variable}: unknown unit {binding.unit!r}"
        return [*faults, Fault(message, binding.place, "write it as pint knows it, for example mm, deg or 1/s")]
    if binding.convert in conversions.WITHOUT_UNIT:
        return faults
    if binding.convert == "difference":
        return [*faults, *_check_units(binding, "s", "a difference of times is in 's'", wanted)]
    if binding.unit:
        return [*faults, *_check_units(binding, binding.unit, f"the profile says {binding.unit!r}", wanted)]
    # The members of a list have a unit each, which stands beside their values.
    for source in _sources(binding.source) if binding.source.scheme != "list" else ():
        given = units_of(source, signals)
        if given is not None:
            faults += _check_units(binding, given, f"{str(source)!r} has units {given!r}", wanted)
    return faults


def _check_units(binding: Binding, given: str, who: str, wanted: Iterable[str]) -> list[Fault]:
    """Faults of the units that come from somewhere (`who`) against those of the definition."""
    faults = []
    for unit in wanted:
        if not units.known(unit):
            # The definition is at fault, and only the profile's reader is here to be told.
            faults.append(Fault(f"{binding.variable}: the definition's unit {unit!r} is unknown", binding.place))
        elif not units.known(given):
            faults.append(Fault(f"{binding.variable}: {who}, which is no known unit", binding.place, "give 'unit:'"))
        elif not units.compatible(given, unit):
            message = f"{binding.variable}: expected a unit like {unit!r}, but {who}"
            faults.append(Fault(message, binding.place))
    return faults


def _sources(source: Source) -> list[Source]:
    return [member for _, member in source.items] if source.items else [source]


def _check_source(source: Source, binding: Binding, signals: Signals | None) -> list[Fault]:
    if signals is None:
        return []
    if source.scheme == "data" and source.rest not in signals.data:
        message = f"{_owner(binding)}: no device has the data key {source.rest!r}"
        return [Fault(message, binding.place, nearest(source.rest, signals.data))]
    if source.scheme == "config":
        device, _, name = source.rest.partition(".")
        if device not in signals.config:
            message = f"{_owner(binding)}: no device {device!r} has configuration"
            return [Fault(message, binding.place, nearest(device, signals.config))]
        if signals.configuration(device, name) is None:
            known = [key.removeprefix(f"{device}_") for key in signals.config[device]]
            message = f"{_owner(binding)}: {device!r} has no configuration field {name!r}"
            return [Fault(message, binding.place, nearest(name, known))]
    return []


def _owner(binding: Binding) -> str:
    # X_name and X_value come of one line, whose fault is to be told once.
    return binding.variable.rpartition("_")[0] if binding.source.scheme == "list" else binding.variable


def units_of(source: Source, signals: Signals | None) -> str | None:
    """Units that a device gives for a data key or a configuration field; None where it gives none, or nobody knows."""
    found: Mapping[str, Any] | None = None
    if signals is not None and source.scheme == "data":
        found = signals.data.get(source.rest, {})
    elif signals is not None and source.scheme in CONTROL:
        found = signals.at(str(source))
    elif signals is not None and source.scheme == "config":
        device, _, name = source.rest.partition(".")
        found = signals.configuration(device, name)
    unit = (found or {}).get("units")
    return str(unit) if unit else None
