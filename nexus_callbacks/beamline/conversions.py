"""Conversions: what a binding's ``as:`` asks for. A closed set of pure functions; nothing typed is ever executed.

Most make one value of many (:func:`apply`): of a column, of a list in the start document, of several sources.
``difference`` takes two times, ``lookup`` (:func:`look_up`) one value and a table.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

WITHOUT_UNIT = ("count", "join", "lookup")
"""Conversions whose result does not have the unit of the values."""


def _there(values: Sequence[Any]) -> list[Any]:
    """The values that came: None and NaN are none."""
    found = [v for v in values if v is not None and not (isinstance(v, numbers.Real) and math.isnan(v))]
    if not found:
        raise ValueError("no values")
    return found


def _numbers(values: Sequence[Any]) -> list[Any]:
    odd = next((v for v in values if v is not None and (isinstance(v, bool) or not isinstance(v, numbers.Real))), None)
    if odd is not None:
        raise ValueError(f"expected numbers, got {odd!r}")
    return _there(values)


def _mean(values: Sequence[Any]) -> float:
    found = _numbers(values)
    return math.fsum(found) / len(found)


def _join(values: Sequence[Any]) -> str:
    # ESRF's definition wants lists in NX_CHAR "as a space-separated list".
    return " ".join(f"{v:.15g}" if isinstance(v, float) else str(v) for v in _there(values))


_CONVERSIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "list": _there,
    "join": _join,
    "count": lambda values: len(_there(values)),
    "min": lambda values: min(_numbers(values)),
    "max": lambda values: max(_numbers(values)),
    "mean": _mean,
    "first": lambda values: _there(values)[0],
    "last": lambda values: _there(values)[-1],
}

NAMES = (*_CONVERSIONS, "difference", "lookup")
"""list (an array), join (a space-separated text), count (how many), min, max, mean (of numbers), first, last: of the
values that came, None and NaN are left out; difference (the second of two times less the first, in s), lookup (in a
table)."""


def apply(name: str, values: Sequence[Any] | np.ndarray[Any, Any]) -> Any:
    """One value made of many.

    Raises
    ------
    ValueError
        The conversion is unknown, there are no values, or they are not of a kind that it takes.
    """
    if name not in _CONVERSIONS:
        raise ValueError(f"unknown conversion {name!r}, expected one of {', '.join(_CONVERSIONS)}")
    return _CONVERSIONS[name](values.tolist() if isinstance(values, np.ndarray) else list(values))


def difference(first: Any, second: Any, zone: ZoneInfo | None = None) -> float:
    """From one time to another, s. Each is in s since 1970, or text of ISO 8601, in `zone` if it names none.

    Raises
    ------
    ValueError
        One of them is no time.

    >>> difference("2015-06-15T03:00:00Z", "2015-06-15T05:00:01.5+02:00")
    1.5
    """
    return _seconds(second, zone) - _seconds(first, zone)


def _seconds(value: Any, zone: ZoneInfo | None) -> float:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"expected a time in ISO 8601, got {value!r}") from None
        return (moment if moment.tzinfo or zone is None else moment.replace(tzinfo=zone)).timestamp()
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"expected a time in s since 1970 or in ISO 8601, got {value!r}")


def word(value: Any) -> str:
    """How a value stands in a table: 1 and 1.0 as ``1``, True as ``true``, a text as it is."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def look_up(value: Any, table: Iterable[tuple[str, Any]]) -> Any:
    """What a value becomes by a table of :func:`word` and result.

    Raises
    ------
    ValueError
        The table does not have the value.
    """
    known = dict(table)
    if word(value) not in known:
        raise ValueError(f"{value!r} is not in the table, which has {', '.join(known)}")
    return known[word(value)]
