"""Values: what documents carry → what HDF5 and a NeXus type can hold.

A value that does not fit is a ``ValueError`` that says so; nothing is guessed and nothing becomes 0 or ``''``.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
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
    number = _number(value)
    try:
        return float(number)
    except OverflowError:
        raise ValueError("expected a finite number") from None


def _integer(value: Any) -> int:
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(f"expected an integer, got {value!r}")
    return int(number)


def column(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """One array of a column's values, rows first, of a type that HDF5 holds.

    Numbers, booleans and records keep their type (``None`` among numbers becomes NaN); arrays of one shape become
    one array, of texts too. Texts, and anything else (ragged arrays, mixtures, objects), become an array of ``str``:
    JSON for what is not a text (:func:`texts`).
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
    of_text = _text_arrays(values)
    if of_text is not None:
        return of_text
    if any(v is None for v in values) and all(v is None or _is_number(v) for v in values):
        values = [math.nan if v is None else v for v in values]
    try:
        array = np.asarray(values)
    except Exception:  # Ragged, or a device's own class, which may raise anything when it is to become an array.
        return texts(values)
    # HDF5 cannot have chunks of nothing.
    if 0 in array.shape[1:] or not _storable(array.dtype) or _misleads(values, array.dtype):
        return texts(values)
    return array.astype(float) if array.dtype.itemsize > 8 and array.dtype.kind == "f" else array


def _misleads(values: Sequence[Any], dtype: np.dtype[Any]) -> bool:
    """Whether numpy quietly made 1 of a True among numbers, or a rounded real number of a large integer."""
    if dtype.kind not in "bV" and any(isinstance(v, bool) for v in values):
        return True
    return dtype.kind == "f" and any(isinstance(v, int) and abs(v) > MOST_EXACT for v in values)


MOST_EXACT = 2**53
"""The largest integer up to which a 64-bit real number is exact."""


def _storable(dtype: np.dtype[Any]) -> bool:
    """Whether HDF5 holds elements of a type: numbers, booleans, and records of those and of bytes."""
    if dtype.names is not None and dtype.fields is not None:
        return all(_storable(dtype.fields[name][0].base) or dtype.fields[name][0].kind == "S" for name in dtype.names)
    return dtype.kind in "biufc"


def _text_arrays(values: Sequence[Any]) -> np.ndarray[Any, Any] | None:
    """Arrays of texts, all of one shape, as one array of ``str``; None if the values are something else."""
    first = values[0]
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if not (first.dtype.kind in "USO" if isinstance(first, np.ndarray) else isinstance(first, str | bytes)):
        return None
    try:
        array = np.array(list(values), dtype=object)
    except ValueError:  # ragged
        return None
    items = array.ravel().tolist()
    if array.ndim < 2 or not items or not all(isinstance(v, str | bytes) for v in items):
        return None
    return texts(items).reshape(array.shape)


def structured(values: Sequence[Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any] | None:
    """Records that came as lists (from JSON) or arrays in the type that was announced; None if they do not fit it."""
    if not _storable(dtype):
        return None
    try:
        array = np.array([_records(value, dtype) for value in values])
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.dtype == dtype and 0 not in array.shape[1:] else None


def _records(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ndarray | np.void):
        if value.dtype != dtype:
            raise ValueError(f"a record of {value.dtype}, not of {dtype}")
        return np.asarray(value)
    one = bool(value) and not isinstance(value[0], list | tuple)
    rows = [tuple(row) for row in ([value] if one else value)]
    found = np.array(rows, dtype)
    if not all(map(_holds, found.tolist(), rows)):  # rounded, cut off or wrapped around
        raise ValueError("a record that its type cannot hold")
    return found[0] if one else found


def _holds(stored: tuple[Any, ...], given: tuple[Any, ...]) -> bool:
    pairs = [(s.decode(), g) if isinstance(s, bytes) else (s, g) for s, g in zip(stored, given, strict=True)]
    return all(s == g or (s != s and g != g) for s, g in pairs)  # noqa: PLR0124  # NaN is what is not itself.


def texts(values: Sequence[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values as an array of ``str``: a text as it is, no value as ``null``, all else as JSON.

    A number has one text whatever type it passed through: a column may hold 1 as an integer, as the real number that
    it was next to 2.5, or as text from the first row on, depending on which rows were written together. So 1.0 is
    ``1``, a ``nan`` in a column is ``null`` as no value is, and infinity keeps its name (``Infinity``, which Python's
    JSON reads).
    """
    items = [storable(_one_text(v)) for v in values]
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _one_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    plain = _plain_text(value, 0)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain_text(value: Any, depth: int) -> Any:
    """A value for JSON, whose numbers do not tell which type they have passed through."""
    found: Any
    if isinstance(value, np.ndarray | np.generic):
        found = _plain_text(documents.from_numpy(value), depth)
    elif isinstance(value, complex):
        found = str(value) if value.imag else _real_text(value.real, depth)
    elif isinstance(value, float):
        found = _real_text(value, depth)
    elif value is None or isinstance(value, bool | int):
        found = value
    elif isinstance(value, bytes):
        found = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, Mapping) and depth < documents.DEEPEST:
        found = {documents.text_of(key): _plain_text(item, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple | set | frozenset) and depth < documents.DEEPEST:
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        found = [_plain_text(item, depth + 1) for item in items]
    else:
        found = documents.text_of(value)
    return found


def _real_text(value: float, depth: int) -> float | int | None:
    if math.isnan(value) and not depth:
        return None  # As a value that did not come, which is NaN in a column of numbers.
    whole = value.is_integer() and abs(value) <= MOST_EXACT and (value or math.copysign(1, value) > 0)
    return int(value) if whole else value


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
    if row != piece.shape[1:] or (kinds & set("ObV") and len(kinds) > 1):
        return None
    if kinds == {"V"}:
        return dtype if dtype == piece.dtype else None
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

    Letters, digits and ``_``, no digit first; all else becomes ``_``. NeXus allows dots inside and digits anywhere
    since 2022 (manual, "Rules for Naming"), but nexusformat's validator does not.
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
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
