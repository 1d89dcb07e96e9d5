"""Values: what documents carry → what HDF5 and a NeXus type can hold.

A value that does not fit is a ``ValueError`` that says so; nothing is guessed and nothing becomes 0 or ``''``.
"""

from __future__ import annotations

import hashlib
import math
import numbers
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
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
        return storable(value)
    if isinstance(value, list | tuple | np.ndarray):
        items = np.asarray(value).ravel().tolist() if isinstance(value, np.ndarray) else list(value)
        if not items:
            raise ValueError("an empty list")
        return " ".join(_text(as_nexus(v, "NX_CHAR")) for v in items)
    if isinstance(value, dict):
        return storable(documents.to_json(value))
    if isinstance(value, float):
        return f"{value:.15g}"
    return storable(str(value))


def _moment(value: Any, zone: ZoneInfo | None) -> str:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"expected a time in ISO 8601, got {value!r}") from None
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            return documents.iso_time(float(value), zone)
        except (ValueError, OverflowError, OSError):
            raise ValueError(f"expected a time in s since 1970, got {value!r}") from None
    else:
        raise ValueError(f"expected a time, got {value!r}")
    if moment.tzinfo is None:  # A time without a zone is the beamline's.
        moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    return moment.isoformat()


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
    plain = _plain(values)
    return _checked(values) if plain is None else plain


PLAIN: dict[frozenset[type], type] = {
    frozenset({int}): np.int64,
    frozenset({float}): np.float64,
    frozenset({np.float64}): np.float64,
    frozenset({float, np.float64}): np.float64,
}
"""Types of the values of nearly every column → what numpy makes of them, which then needs no look at each."""


def _plain(values: Sequence[Any]) -> np.ndarray[Any, Any] | None:
    wanted = PLAIN.get(frozenset(map(type, values)))
    array = np.array(values) if wanted else None
    return array if array is not None and array.dtype == wanted else None


def _checked(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    if all(isinstance(v, str) for v in values):
        return texts(values)
    if any(v is None for v in values) and all(v is None or _is_number(v) for v in values):
        values = [math.nan if v is None else v for v in values]
    try:
        array = np.asarray(values)
    except Exception:  # Ragged, or a device's own class, which may raise anything when it is to become an array.
        return texts(values)
    if array.dtype.kind not in "biufc" or 0 in array.shape[1:]:  # HDF5 cannot have chunks of nothing.
        return texts(values)
    # numpy would quietly make 1 of a True among numbers, and a rounded real number of a large integer.
    if array.dtype != bool and any(isinstance(v, bool) for v in values):
        return texts(values)
    if array.dtype.kind == "f" and any(isinstance(v, int) and abs(v) > MOST_EXACT for v in values):
        return texts(values)
    return array.astype(float) if array.dtype.itemsize > 8 and array.dtype.kind == "f" else array


MOST_EXACT = 2**53
"""The largest integer up to which a 64-bit real number is exact."""
_JSON = (list, tuple, dict, set, frozenset, np.ndarray, np.generic, int, float, type(None))


def texts(values: Sequence[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values as an array of ``str``: what JSON knows as JSON (no value is ``null``), else its own text."""
    items = [storable(_one_text(v)) for v in values]
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _one_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return documents.to_json(value) if isinstance(value, _JSON) else documents.text_of(value)


def storable(text: str) -> str:
    """The text as HDF5 can hold it: what UTF-8 or a C string cannot have is written as a backslash escape."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def missing(rows: int, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows that were never measured, for a column of which ``like`` is a piece: NaN, or the text ``null``."""
    if like.dtype.kind in "iuf":
        return np.full((rows, *like.shape[1:]), math.nan)
    return texts([None] * rows)


def common(dtype: np.dtype[Any], row: tuple[int, ...], piece: np.ndarray[Any, Any]) -> np.dtype[Any] | None:
    """Type for a column of ``dtype`` and row shape ``row`` to which a piece is added; None if only text holds both."""
    kinds = {dtype.kind, piece.dtype.kind}
    if row != piece.shape[1:] or (kinds & set("Ob") and len(kinds) > 1):
        return None
    if kinds == {"O"}:
        return dtype
    return np.promote_types(dtype, piece.dtype)


def exact(values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    """Whether a type holds the values unrounded; real numbers cannot hold every large integer."""
    if values.dtype.kind not in "iu" or dtype.kind not in "fc" or not values.size:
        return True
    return int(values.max()) <= MOST_EXACT and int(values.min()) >= -MOST_EXACT


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


@lru_cache(4096)
def safe_name(name: str) -> str:
    """A name that HDF5 and NeXus take, made of ``name``.

    NeXus allows letters, digits, ``_`` and, inside, ``.`` (manual, "Rules for Naming"); all else becomes ``_``.
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name).strip(".")
    # nexusformat's validator still wants no digit first, as NeXus did until 2022.
    return f"_{safe}" if not safe or safe[0].isdigit() else safe


def safe_uid(uid: str) -> str:
    """A uid as a part of a file name; one that cannot be, by its digest."""
    if re.fullmatch(r"[\w-][\w.-]{0,99}", uid, re.ASCII):
        return uid
    return hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def safe_part(text: str) -> str:
    """One part of a path on disk made of ``text``: no separator, no leading dot, at most 80 bytes.

    Three of them and a number fit into the 255 bytes that file systems allow for a name.
    """
    safe = "".join(c if c.isalnum() or c in "_-+=@.," else "_" for c in text)
    safe = safe.lstrip(".").encode("utf-8", "replace")[:80].decode(errors="ignore")
    return safe or "_"
