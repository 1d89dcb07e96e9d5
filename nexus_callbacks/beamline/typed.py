"""Typed: what a person types into a profile: sources, conversions, axes, templates, each with its checks."""

from __future__ import annotations

import math
import re
import string
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from nexus_callbacks import units
from nexus_callbacks.beamline import addresses, conversions, naming, sources, yaml_lines
from nexus_callbacks.beamline.sources import READ, Source, SourceFault, nearest


def _fault(message: str, remedy: str = "") -> PydanticCustomError:
    return PydanticCustomError("fault", "{message}", {"message": message, "remedy": remedy})


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


def _technique(value: str) -> str:
    if not value.strip():
        raise _fault("a technique without a name", "name a shipped technique or a definition of your own")
    return value


def _constant(value: Any) -> Any:
    if value is None or value == "":
        raise _fault("has no value", "leave the variable out instead")
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str | int | float | bool) for item in items):
        raise _fault("expected a text, a number, true, false or a list of them")
    if any(isinstance(item, float) and not math.isfinite(item) for item in items):
        raise _fault("expected a finite number", "leave the variable out where nothing is known")
    return tuple(value) if isinstance(value, list) else value


def _vector(value: Any) -> tuple[float, ...]:
    if isinstance(value, tuple):
        return value
    numbers = isinstance(value, list) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
    # Of larger ones no length can be worked out; NaN compares with nothing.
    if not numbers or len(value) != 3 or not all(abs(n) < 1e150 for n in value):
        raise _fault(f"expected three numbers, got {value!s:.80}", "write [x, y, z], for example [0, 0, 1]")
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


# A width without a limit is memory without a limit.
_WIDTH = re.compile(r"([\w-]?[<>^])?\d{0,3}(\.\d{1,3})?", re.ASCII)
_TRIAL: dict[str, Any] = {**dict.fromkeys(naming.PLACEHOLDERS, "x"), "time": datetime(2000, 1, 1, tzinfo=UTC)}
"""Something for each name of a template, to see what it makes of them."""


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
        if spec and name != "time" and not _WIDTH.fullmatch(spec):
            remedy = f"cut it as {{{name}:.8}}, or widen it as {{{name}:>8}}"
            raise _fault(f"{{{name}:{spec}}} is no width of a text that a path can hold", remedy)
    try:
        empty = not value.format_map(_TRIAL).strip()
    except ValueError as error:
        raise _fault(f"not a template: {error}") from error
    if empty:
        raise _fault("has no value")
    return value


def _below_data_root(value: str) -> str:
    """Refuse a template whose path, however it is filled in, is not below the session's directory."""
    remedy = "begin with a folder's name, or with {data_root}/"
    if "data_root" in [name for _, name, _, _ in string.Formatter().parse(value.removeprefix("{data_root}/"))]:
        raise _fault("{data_root} stands alone at the beginning: {data_root}/…", remedy)
    path = PurePosixPath(value.format_map(_TRIAL))  # Filled in, as a format such as {time:/etc} makes folders, too.
    if path.is_absolute():
        raise _fault(f"{value!r} begins at the root of all folders", remedy)
    if ".." in path.parts:
        raise _fault(f"{value!r} leaves the folder of the data with '..'", remedy)
    return value


AnySource = Annotated[Source, BeforeValidator(_sources)]
Member = Annotated[Source, BeforeValidator(_source), AfterValidator(_member)]
Constant = Annotated[Any, BeforeValidator(_constant)]
Conversion = Annotated[tuple[str, Table], BeforeValidator(_conversion)]
TangoDevice = Annotated[str, AfterValidator(_device)]
ShortName = Annotated[str, AfterValidator(_short_name)]
TechniqueName = Annotated[str, AfterValidator(_technique)]
Template = Annotated[str, AfterValidator(_template), AfterValidator(_below_data_root)]
Zone = Annotated[str, AfterValidator(_zone)]

CONFIG = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class Spec(BaseModel):
    """The long form of a source."""

    model_config = CONFIG

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

    model_config = CONFIG

    dataset: Template = naming.DEFAULT
    master: Template | None = None
    """None writes no master file."""


class Read(BaseModel):
    """How the baseline is read."""

    model_config = CONFIG

    timeout: float = Field(default=0.5, gt=0, le=60, allow_inf_nan=False)
    """Seconds for each source of the baseline; the start of a run may take as long."""


class RunRule(BaseModel):
    """What is done otherwise with some runs."""

    model_config = CONFIG

    plans: list[str] = []
    """Patterns of plan names, as in a shell (``align_*``)."""
    purposes: list[str] = []
    """Values of ``purpose`` in the start document."""
    master: bool = True
    """They stand in the master file."""
    catalogues: bool = True
    """They go to the catalogues."""
