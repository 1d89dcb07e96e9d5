"""Renames: what older definitions called otherwise, so that metadata bound under an old name fills the new one.

Three sources say what became of a variable: ``renames.yml``, made by comparing ESRF's releases and the talk; what
``ESRF_deprecated`` names as successor; and a definition that still has the variable, which goes before both.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from nexus_callbacks.beamline import yaml_lines
from nexus_callbacks.beamline.sources import Binding, Source
from nexus_callbacks.definitions.definition import Group
from nexus_callbacks.faults import Fault, FaultError

TABLE = Path(__file__).with_name("renames.yml")
TYPED = ("const", "start", "stop", "run")
"""Schemes whose values come without units: they are in those of the definition for which they were typed."""
# As ESRF writes it: "HOLO.pixelSize (HOLO_pixelSize) is deprecated. Use HOLO.pixel_size (HOLO_pixel_size) instead."
_SUCCESSOR = re.compile(r"\bUse [^()]*\(([^()\s]+)\)")


class _Renamed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    to: str = Field(min_length=1)
    unit: str | None = Field(default=None, min_length=1)


def _long(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


class _Release(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    renamed: dict[str, Annotated[_Renamed, BeforeValidator(_long)]] = {}
    retired: dict[str, str] = {}


@dataclass(frozen=True)
class Renamed:
    """A variable of an older definition."""

    release: str
    """The last that had it: ``2.0.0``, ``talk``."""
    to: str = ""
    """What it is called since; empty if nothing took its place."""
    unit: str | None = None
    """Unit in which a number was typed for it; None where that is the newer one's."""
    reason: str = ""
    """Why nothing took its place."""


def load(path: Path) -> dict[str, Renamed]:
    """Old variable → what became of it, of a table such as ``renames.yml``.

    Raises
    ------
    FaultError
        With every fault of the file and its line.
    """
    text = yaml_lines.read(path)
    try:
        table = TypeAdapter(dict[str, _Release]).validate_python(text.value or {})
    except ValidationError as error:
        told = [
            Fault(f"{'.'.join(map(str, each['loc']))}: {each['msg']}", text.place(*each["loc"]), "see renames.yml")
            for each in error.errors(include_url=False)
        ]
        raise FaultError([*text.faults, *told]) from error
    faults = list(text.faults)
    found: dict[str, Renamed] = {}
    for release, each in table.items():
        of_release = {old: Renamed(release, new.to, new.unit) for old, new in each.renamed.items()}
        of_release |= {old: Renamed(release, reason=reason) for old, reason in each.retired.items()}
        for old in sorted(of_release.keys() & found.keys() | each.renamed.keys() & each.retired.keys()):
            place = text.place(release, "retired" if old in each.retired else "renamed", old)
            faults.append(Fault(f"{old!r} stands in the table twice", place, "keep one of them"))
        found |= of_release
    if faults:
        raise FaultError(faults)
    return found


@cache
def shipped() -> Mapping[str, Renamed]:
    """What is known of ESRF's releases and the talk. Read when a name is first met that no definition has."""
    return load(TABLE)


def successor(deprecated: str) -> str:
    """The variable that the text of ``ESRF_deprecated`` names in place of the field's own; empty if it names none.

    >>> successor("HOLO.pixelSize (HOLO_pixelSize) is deprecated. Use HOLO.pixel_size (HOLO_pixel_size) instead.")
    'HOLO_pixel_size'
    """
    found = _SUCCESSOR.search(deprecated)
    return found.group(1) if found else ""


def known(variable: str) -> Renamed | None:
    """What became of a variable that a definition does not have; None if no older one is known to have had it."""
    return shipped().get(variable)


def older(binding: Binding) -> Renamed | None:
    """What became of the variable of a binding; None if no older definition is known to have had it.

    A list X fills X_name and X_value. Where X itself is an older variable that held the names (the talk's
    ``sample_motors``), it fills the pair that took their place.
    """
    old = known(binding.variable)
    if old is not None or binding.source.scheme != "list":
        return old
    old = known(_bound_as(binding))
    if old is None or not old.to.endswith("_name"):
        return None
    return old if binding.source.rest == "names" else replace(old, to=old.to.removesuffix("_name") + "_value")


def _bound_as(binding: Binding) -> str:
    """What the profile calls it: of a list X, not X_name or X_value."""
    if binding.source.scheme != "list" or known(binding.variable):
        return binding.variable
    return binding.variable.removesuffix("_name").removesuffix("_value")


@dataclass(frozen=True)
class Renewal:
    """Bindings under the names of today."""

    bindings: Mapping[str, Binding]
    """Variable of the definition → binding."""
    names: Mapping[str, str]
    """Variable of an older definition → what it is called in this one."""
    unmapped: Mapping[str, str]
    """Variable of an older definition that fills nothing → where it is bound, and why."""
    remarks: tuple[str, ...]
    """What the author of the profile should change."""


def renew(
    found: Mapping[str, Binding], definition: Group, own: Collection[str], elsewhere: Collection[str] = ()
) -> Renewal:
    """Bindings as a definition calls their variables; one of a name that nobody knows is left out.

    Parameters
    ----------
    found
        Variable → the binding that holds.
    own
        Those that the profile itself binds, which go before shipped defaults under whatever name.
    elsewhere
        Variables of the profile's other techniques, which a binding may serve.
    """
    variables = definition.variables()
    kept = {name: binding for name, binding in found.items() if name in variables}
    names: dict[str, str] = {}
    unmapped: dict[str, str] = {}
    remarks: list[str] = []
    for name, binding in found.items():
        old = older(binding) if name not in variables and name not in elsewhere else None
        if old is None or (old.to in elsewhere and old.to not in variables):
            continue
        where = f"{binding.place}: " if binding.place else ""
        if old.to not in variables:
            why = old.reason or f"it became {old.to!r}, which these definitions do not have"
            unmapped[name] = f"{where}known from {release(old)}: {why}"
            remarks.append(f"{where}{name!r} fills nothing: known from {release(old)}: {why}")
        elif old.to in own or old.to in names.values():
            unmapped[name] = f"{where}{old.to!r}, as it is called since {release(old)}, is bound as well"
            remarks.append(f"{where}{name!r} is not used: {old.to!r}, as it is called today, is bound as well")
        else:
            kept[old.to], names[name] = _renamed(binding, old, definition), old.to
            remarks.append(
                f"{where}{_bound_as(binding)!r} of {release(old)} is called {old.to!r} today, and fills that"
            )
    return Renewal(kept, names, unmapped, tuple(remarks))


def deprecated(found: Iterable[Binding], definition: Group) -> list[str]:
    """What to tell of bindings whose variable the definition calls deprecated."""
    variables = definition.variables()
    told = []
    for binding in found:
        texts = [field.deprecated for _, field in variables.get(binding.variable, ())]
        if texts and all(texts):
            new = successor(texts[0])
            remedy = f"bind {new!r} instead" if new in variables else "the definition names no successor"
            told.append(f"{binding.place}: {binding.variable!r} is deprecated: {remedy}")
    return told


def release(old: Renamed) -> str:
    """The last release that had a variable, as a person says it."""
    return "the talk" if old.release == "talk" else f"release {old.release}"


def _renamed(binding: Binding, old: Renamed, definition: Group) -> Binding:
    """A binding under the name of today. What is typed without a unit stays in that of its time."""
    remark, unit = f"bound as {_bound_as(binding)!r}, its name in {release(old)}", binding.unit
    if binding.source.scheme in TYPED and unit is None:
        unit = old.unit
        wanted = next((field.units for _, field in definition.variables()[old.to] if field.units), None)
        if wanted and unit is None:
            remark += f", where no unit was said: taken in {wanted}"
    return replace(binding, variable=old.to, unit=unit, remark=remark)


def from_start(found: Mapping[str, Binding], definition: Group, start: Mapping[str, Any]) -> dict[str, Binding]:
    """Bindings to keys which a start document has under an older name only, → bindings to those."""
    changed: dict[str, Binding] = {}
    missing = {
        variable: binding
        for variable, binding in found.items()
        if binding.source == Source("start", variable) and variable not in start
    }
    for name in start if missing else ():
        old = known(name)
        if old is not None and old.to in missing and old.to not in changed:
            binding = replace(missing[old.to], source=Source("start", name), variable=name)
            changed[old.to] = _renamed(binding, old, definition)
    return changed


def unbound(start: Mapping[str, Any], variables: Collection[str], bound: Iterable[Binding]) -> dict[str, str]:
    """Variables of older releases that stand in a start document and that no binding takes → what became of them.

    The talk's own names are left out: words such as ``energy`` may mean anything in a start document.
    """
    taken = {binding.source.rest for binding in bound if binding.source.scheme == "start"}
    found = {}
    for name in start:
        if name in taken or name in variables or "_" not in name:
            continue  # The names of ESRF's releases have a group before an underscore; most keys have none.
        old = known(name)
        if old is not None and old.release != "talk":
            remedy = f"it is {old.to!r} now, which no binding takes from the start document" if old.to else old.reason
            found[name] = f"in the start document, known from {release(old)}: {remedy}"
    return found
