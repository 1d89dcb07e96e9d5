"""Values: what documents carry → what HDF5 and a NeXus type can hold.

A value that does not fit is a ``ValueError`` that says so; nothing is guessed and nothing becomes 0 or ``''``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from nexus_callbacks import documents

TRUE_WORDS = {"true", "yes", "on", "1"}
FALSE_WORDS = {"false", "no", "off", "0"}


def as_nexus(value: Any, nx_type: str, zone: ZoneInfo | None = None) -> Any:
    """The value as a NeXus type wants it: str, int, float, bool or an array of one of them.

    Types are ESRF's NAPItypes (NX_CHAR, NX_NUMBER, NX_FLOAT, NX_INT, NX_BOOLEAN, NX_DATE_TIME). A list becomes
    an array, for NX_CHAR a space-separated text as ESRF's definition asks for.

    Raises
    ------
    ValueError
        The value is missing or is not of that type.
    """
    if value is None:
        raise ValueError("no value")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if nx_type == "NX_CHAR":
        return _text(value)
    if nx_type == "NX_DATE_TIME":
        return _moment(value, zone)
    if isinstance(value, list | tuple | np.ndarray):
        return np.asarray([as_nexus(v, nx_type, zone) for v in np.asarray(value).tolist()])
    one: Callable[[Any], Any] = {"NX_BOOLEAN": _boolean, "NX_INT": _integer, "NX_FLOAT": _float}.get(nx_type, _number)
    return one(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("an empty text")
        return value
    if isinstance(value, list | tuple | np.ndarray):
        items = np.asarray(value).ravel().tolist() if isinstance(value, np.ndarray) else list(value)
        if not items:
            raise ValueError("an empty list")
        return " ".join(_text(as_nexus(v, "NX_CHAR")) for v in items)
    if isinstance(value, dict):
        return documents.to_json(value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)


def _moment(value: Any, zone: ZoneInfo | None) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, numbers.Real) and math.isfinite(float(value)):
        return documents.iso_time(float(value), zone)
    raise ValueError(f"expected a time, got {value!r}")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Real) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in TRUE_WORDS | FALSE_WORDS:
        return value.strip().lower() in TRUE_WORDS
    raise ValueError(f"expected true or false, got {value!r}")


def _number(value: Any) -> int | float:
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass  # Not an integer; the float below decides.
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"expected a number, got {value!r}") from None
    raise ValueError(f"expected a number, got {value!r}")


def _float(value: Any) -> float:
    return float(_number(value))


def _integer(value: Any) -> int:
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(f"expected an integer, got {value!r}")
    return int(number)


def column(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """One array of a column's values, rows first, of a type that HDF5 holds.

    Numbers and booleans keep their type (``None`` among numbers becomes NaN); arrays of one shape become one
    array. Texts, and anything else (ragged arrays, mixtures, objects), become an array of ``str``: JSON for
    what is not a text.
    """
    if all(isinstance(v, str) for v in values):
        return np.array(values, dtype=object)
    if any(v is None for v in values) and all(v is None or _is_number(v) for v in values):
        return np.array([math.nan if v is None else v for v in values], dtype=float)
    try:
        array = np.asarray(values)
    except ValueError:
        return texts(values)  # Ragged: rows of different shapes, or a row that is no array.
    # numpy would quietly make 1 of a True among numbers.
    of_one_kind = array.dtype == bool or not any(isinstance(v, bool) for v in values)
    return array if array.dtype.kind in "biuf" and of_one_kind else texts(values)


def texts(values: Sequence[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values as an array of ``str``: a text as it is, anything else as JSON."""
    items = [v if isinstance(v, str) else documents.to_json(v) for v in values]
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def common(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> tuple[np.dtype[Any], bool]:
    """Type that holds both pieces of one column, and whether they fit one array (else both become text)."""
    if first.shape[1:] != second.shape[1:] or (first.dtype == object) != (second.dtype == object):
        return np.dtype(object), False
    if first.dtype == object:
        return np.dtype(object), True
    if (first.dtype == bool) != (second.dtype == bool):
        return np.dtype(object), False
    return np.promote_types(first.dtype, second.dtype), True


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def safe_name(name: str) -> str:
    """A name that HDF5 and NeXus take, made of ``name``.

    NeXus allows letters, digits, ``_`` and, inside, ``.`` (manual, "Rules for Naming"); all else becomes ``_``.
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name).strip(".")
    return safe or "_"


def safe_part(text: str) -> str:
    """One part of a path on disk made of ``text``: no separator, no leading dot, at most 120 bytes."""
    safe = "".join(c if c.isalnum() or c in "_-+=@.," else "_" for c in text)
    safe = safe.lstrip(".").encode()[:120].decode(errors="ignore")
    return safe or "_"
