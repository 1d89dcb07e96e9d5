"""Conversions: many values → one, as a binding's ``as:`` asks for. A closed set of pure functions."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

WITHOUT_UNIT = ("count", "join")
"""Conversions whose result does not have the unit of the values."""


def _numbers(values: Sequence[Any]) -> list[Any]:
    odd = next((v for v in values if v is not None and (isinstance(v, bool) or not isinstance(v, numbers.Real))), None)
    if odd is not None:
        raise ValueError(f"expected numbers, got {odd!r}")
    found = [v for v in values if v is not None and not math.isnan(v)]
    if not found:
        raise ValueError("no values")
    return found


def _mean(values: Sequence[Any]) -> float:
    found = _numbers(values)
    return math.fsum(found) / len(found)


def _join(values: Sequence[Any]) -> str:
    if not values:
        raise ValueError("no values")
    # ESRF's definition wants lists in NX_CHAR "as a space-separated list".
    return " ".join(f"{v:.15g}" if isinstance(v, float) else str(v) for v in values)


def _at(index: int) -> Callable[[Sequence[Any]], Any]:
    def pick(values: Sequence[Any]) -> Any:
        if not values:
            raise ValueError("no values")
        return values[index]

    return pick


_CONVERSIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "count": len,
    "min": lambda values: min(_numbers(values)),
    "max": lambda values: max(_numbers(values)),
    "mean": _mean,
    "join": _join,
    "first": _at(0),
    "last": _at(-1),
}

NAMES = tuple(_CONVERSIONS)
"""count (how many), min, max, mean (of the numbers that came: None and NaN are left out), join (a space-separated
text), first, last."""


def apply(name: str, values: Sequence[Any] | np.ndarray[Any, Any]) -> Any:
    """One value made of many.

    Raises
    ------
    ValueError
        The conversion is unknown, there are no values, or they are not of a kind that it takes.
    """
    if name not in _CONVERSIONS:
        raise ValueError(f"unknown conversion {name!r}, expected one of {', '.join(NAMES)}")
    return _CONVERSIONS[name](values.tolist() if isinstance(values, np.ndarray) else list(values))
