"""Units: conversion and compatibility of unit names, by pint (https://pint.readthedocs.io).

Two units convert when they have the same root units, which is stricter than pint's dimensions: to pint an angle, a
percentage and a number of counts are all without dimension, to a beamline ``deg`` is no ``%``. A count is a pure number
(``counts/s`` is ``1/s``); photons and electrons are not counts, since a calibration lies between them.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

import numpy as np

_EXTRA = (  # What pint lacks. photon and electron: ESRF's definitions; step: EGU of stepper motors.
    "photon = [photon]",
    "electron = [electron]",
    "step = [motor_step]",
)
_SPELLINGS = {  # Whole names as EPICS records, ophyd and older definitions have them → pint's.
    "C": "degC",  # Coulomb to pint, but EGU "C" is a temperature at a beamline; write "coulomb" for a charge.
    "deg C": "degC",
    "Deg C": "degC",
    "DegC": "degC",
    "℃": "degC",
    "deg F": "degF",
    "DEG": "deg",
    "Deg": "deg",
    "DEGREES": "deg",
    "e-": "electron",
    "KeV": "keV",
    "mBar": "mbar",
    "MM": "mm",
}
_WORDS = re.compile(r"\b(cts?|CTS?)\b")  # A count of a detector, not pint's carat.
_LONGEST = 64
# pint works powers of numbers out: a tower of them would keep it busy for ever, and no unit has one. A power stands
# behind a name, not behind a bracket, and has at most two digits.
_POWER = r"(?:\*\*|\^)"
_BAD_POWER = re.compile(rf"\d{{4}}|[)\d]\s*{_POWER}|{_POWER}(?!\s*\(?[-+]?\d{{1,2}}(?:\.\d)?\)?(?![\d.]|\s*{_POWER}))")
_NO_UNIT = re.compile(r"[^\w\s*/^().+\-%°·]")  # pint's tokenizer takes "m;s" for "m".
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")

P = ParamSpec("P")
T = TypeVar("T")
# pint's registry fills its caches as it goes and promises nothing for threads; callers ask from two (design, D5).
_lock = threading.RLock()


class UnitFault(ValueError):
    """A unit is unknown, or two units do not convert into one another."""


@dataclass(frozen=True)
class Conversion:
    """From one unit to another: ``factor`` × value + ``offset``."""

    factor: float
    offset: float = 0.0

    @property
    def identity(self) -> bool:
        """The value stays as it is."""
        return self.factor == 1.0 and self.offset == 0.0

    def __call__(self, value: Any) -> Any:
        """The converted value: a float for a number, an array of the same shape for an array or a list.

        With an identity the value comes back untouched, else integers become float64 and float32 stays float32.
        """
        if self.identity:
            return value
        values = np.asarray(value)
        if values.dtype.kind != "f":
            values = values.astype(float)
        # 17050 eV × 0.001 is 17.050000000000001 keV; divided by 1000 it is 17.05.
        divisor = round(1 / self.factor) if 0 < abs(self.factor) < 1 else 0
        whole = bool(divisor) and abs(divisor) < 2**53 and 1 / divisor == self.factor
        found = values / divisor if whole else values * self.factor
        found = found + self.offset if self.offset else found
        return float(found) if np.ndim(found) == 0 else found


def _locked(function: Callable[P, T]) -> Callable[P, T]:
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        with _lock:
            return function(*args, **kwargs)

    guarded.__doc__, guarded.__name__, guarded.__module__ = function.__doc__, function.__name__, function.__module__
    return guarded


def known(unit: str) -> bool:
    """Whether this is a unit that can be converted."""
    try:
        _parse(unit)
    except UnitFault:
        return False
    return True


def compatible(a: str, b: str) -> bool:
    """Whether values in one unit can be given in the other; False if one of them is unknown."""
    try:
        conversion(a, b)
    except UnitFault:
        return False
    return True


@lru_cache(maxsize=1024)
def conversion(from_unit: str, to_unit: str) -> Conversion:
    """How values in ``from_unit`` become values in ``to_unit``.

    Raises
    ------
    UnitFault
        A unit is unknown, or the two are of different kinds.
    """
    if from_unit == to_unit:
        _parse(from_unit)
        return Conversion(1.0)
    return _conversion(from_unit, to_unit)


@_locked
def _conversion(from_unit: str, to_unit: str) -> Conversion:
    here, there = _parse(from_unit), _parse(to_unit)
    if _root(here) != _root(there):
        raise UnitFault(f"{from_unit!r} does not convert to {to_unit!r}")
    quantity = _registry().Quantity
    # Decimal, so that a factor is the float nearest to the true one.
    try:
        zero, one = (quantity(Decimal(n), here).to(there).magnitude for n in (0, 1))
    except (ArithmeticError, ValueError, TypeError) as error:
        raise UnitFault(f"{from_unit!r} does not convert to {to_unit!r}: {error}") from error
    return Conversion(float(Decimal(one) - Decimal(zero)), float(zero))


@lru_cache(maxsize=1024)
@_locked
def _parse(unit: str) -> Any:
    text = unicodedata.normalize("NFC", unit).strip()  # U+212B (angstrom sign) → Å
    text = _SPELLINGS.get(text, text)
    text = _WORDS.sub("count", text).replace("⋅", "*").replace("μ", "µ")
    text = _RAISED.sub(lambda raised: "**" + raised.group().translate(_SUPERSCRIPTS), text)
    if len(text) > _LONGEST or _NO_UNIT.search(text) or _BAD_POWER.search(text):
        raise UnitFault(f"unknown unit {unit[:_LONGEST]!r}")
    # "Torr", "Counts", "Degrees": a long word means the same in lower case, a short one ("MW") does not.
    tries = [text, text.lower()] if text.isalpha() and len(text) > 3 else [text]
    for attempt in tries:
        try:
            return _registry().parse_units(attempt)
        except Exception as error:
            # pint's parser answers odd text with AttributeError, AssertionError, tokenize's errors and others: to the
            # reader they all mean that this is no unit.
            reason = error
    raise UnitFault(f"unknown unit {unit!r}") from reason


def _root(unit: Any) -> Any:
    from pint.util import to_units_container  # noqa: PLC0415

    _, root = _registry().get_root_units(unit, check_nonmult=False)
    container = to_units_container(root)
    return container.remove(["count"]) if "count" in container else container


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint  # noqa: PLC0415  (0.5 s with its registry, and a run without units does not need it)

    registry: Any = pint.UnitRegistry(non_int_type=Decimal)
    for definition in _EXTRA:
        registry.define(definition)
    return registry
