"""Prospects: what each variable of a definition will be filled from, as far as it is known before beam time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_callbacks.beamline.checks import units_of
from nexus_callbacks.beamline.conversions import WITHOUT_UNIT
from nexus_callbacks.beamline.signals import Signals
from nexus_callbacks.beamline.sources import CONTROL, Binding, Source
from nexus_callbacks.definitions.definition import Field, Group

_OF_EVERY_RUN = ("uid", "time", "scan_id", "plan_name")
"""What bluesky's RunEngine and plans put into each start document."""


@dataclass(frozen=True)
class Prospect:
    """Where one variable will come from."""

    variable: str
    paths: tuple[str, ...]
    """Where the definition puts it, relative to the entry."""
    mandatory: bool = False
    deprecated: str = ""
    source: str = ""
    """As the profile or a shipped binding has it (``data:srot``); empty if nobody says where it comes from."""
    record: str = ""
    """``initial``, ``final`` or ``column``; empty without a source, or for a value that is no reading."""
    unit_from: str | None = None
    """Units of the source, as far as they are known."""
    unit_to: str | None = None
    """Units in the file."""
    remark: str = ""
    place: str = ""
    """File and line of the binding."""

    @property
    def listed(self) -> bool:
        """Worth a line: somebody claims it, or the definition calls it mandatory."""
        return bool(self.source) or self.mandatory

    def as_dict(self) -> dict[str, Any]:
        """What is known, for JSON; empty values are left out."""
        return {name: value for name, value in vars(self).items() if value and name != "variable"}


def prospects(
    definition: Group, bindings: Mapping[str, Binding], columns: frozenset[str], signals: Signals | None
) -> tuple[Prospect, ...]:
    """Every variable of a definition with its source.

    Parameters
    ----------
    columns
        Variables of which the whole column of a stream is taken.
    signals
        What the devices have; None leaves the units of data keys and configuration open.
    """
    return tuple(
        _prospect(variable, fields, bindings.get(variable), variable in columns, signals)
        for variable, fields in definition.variables().items()
    )


def _prospect(
    variable: str, fields: list[tuple[str, Field]], binding: Binding | None, column: bool, signals: Signals | None
) -> Prospect:
    found = Prospect(
        variable,
        paths=tuple(path for path, _ in fields),
        mandatory=any(field.mandatory for _, field in fields),
        deprecated=next((field.deprecated for _, field in fields if field.deprecated), ""),
    )
    if binding is None:
        return found
    source = binding.source
    wanted = next((field.units for _, field in fields if field.units), None)
    typed = source.scheme in ("const", "start", "stop", "run")
    given = binding.unit or (wanted if typed else units_of(source, signals))
    if binding.convert == "difference":
        given = "s"
    if binding.convert in WITHOUT_UNIT:
        given = None
    of_field = next((field.record for _, field in fields if field.record), None)
    record = "column" if column else binding.record or of_field or "initial"
    return Prospect(
        variable,
        found.paths,
        found.mandatory,
        found.deprecated,
        source=_told(source) + (f" ({binding.convert})" if binding.convert else ""),
        record="" if typed or source.scheme == "config" or binding.convert else record,
        unit_from=given,
        unit_to=(wanted or given) if given or typed else None,
        remark="; ".join(filter(None, [_remark(binding, wanted, given, signals), binding.remark])),
        place=str(binding.place or ""),
    )


def _told(source: Source) -> str:
    if source.scheme != "list":
        return str(source)
    members = (item.rest if item.scheme == "data" else str(item) for _, item in source.items)
    return f"list:{','.join(name for name, _ in source.items) if source.rest == 'names' else ','.join(members)}"


def _remark(binding: Binding, wanted: str | None, given: str | None, signals: Signals | None) -> str:
    if binding.source.scheme == "start":
        return "" if binding.source.rest in _OF_EVERY_RUN else "by the plan or RE.md"
    if binding.source.scheme in ("const", "stop", "run") or not wanted or given or binding.source.items:
        return ""
    if signals is None or (binding.source.scheme in CONTROL and signals.at(str(binding.source)) is None):
        return "units are not known before the scan"
    return "the device gives no units"
