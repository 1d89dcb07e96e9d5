"""Packing: documents ↔ bytes, in MessagePack.

What MessagePack has no type for stands in its extension types (:class:`Kind`). Nothing is executed on unpacking.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum, IntEnum
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from ormsgpack import OPT_PASSTHROUGH_BIG_INT, OPT_PASSTHROUGH_DATETIME, Ext, Fragment, packb, unpackb

from nexus_callbacks.documents import Document

log = logging.getLogger("nexus_callbacks")

_COUNT = struct.Struct("<I")
OPTIONS = OPT_PASSTHROUGH_BIG_INT | OPT_PASSTHROUGH_DATETIME
FLOAT = float.conjugate
"""The hook that costs least: a method of float in C, which turns np.float64 into the float that it is and refuses every
other type (0.03 µs a value; a function of Python's own 0.1 µs)."""
_DEEPEST = 300
"""Levels of nesting that are kept; the walk takes two of Python's frames a level."""
_NEST = 100
"""ormsgpack refuses 256 levels: what is deeper begins anew, packed by itself, after each 100."""


class Kind(IntEnum):
    """MessagePack's extension types as used here. Numbers once given stay."""

    ARRAY = 1
    SCALAR = 2
    INTEGER = 3
    """Of more than 64 bits."""
    COMPLEX = 4
    TEXT = 5
    """With surrogates, which UTF-8 does not have."""
    MAPPING = 6
    """With keys that are not texts: a list of pairs."""
    DATETIME = 7
    DATE = 8
    TIME = 9
    TIMEDELTA = 10
    PATH = 11
    OBJECTS = 12
    """An array of objects: its shape and its elements, one by one."""
    MASKED = 13
    """A masked array: its data and its mask."""
    NESTED = 14
    """More levels than one message may have."""


class Packer:
    """Documents → bytes.

    Kept as they are: None, bool, int, float, complex, str, bytes, lists and dicts of any of them, numpy's scalars and
    arrays, datetime, date, time, timedelta, Path. ``np.float64``, ``np.int64``, ``np.bool_`` and ``np.str_`` become the
    float, int, bool and str of which numpy makes the same again; a tuple or another sequence becomes a list, a set a
    sorted list, an Enum its value, a UUID its text, a dataclass a dict, an object that turns into an array
    (``__array__``) that array. Anything else becomes its text.

    Nothing is raised whatever the document holds.
    """

    def __init__(self) -> None:
        self.kept_as_text: dict[str, str] = {}
        """Where (``event data.detector``) → name of the type that could only be kept as text; the first of a type."""
        self.mixed: set[str] = set()
        """Kinds of documents that held what :data:`FLOAT` refuses."""
        self._lost: list[Any] = []

    def pack(self, name: str, document: Document) -> bytes:
        """The bytes of a document and its name."""
        if name not in self.mixed:
            try:
                return packb((name, document), FLOAT, OPTIONS)
            except TypeError:
                self.mixed.add(name)  # The next ones of this kind are likely to be like it.
        return self._mixed_payload(name, document)

    def _mixed_payload(self, name: str, document: Document) -> bytes:
        try:
            payload = packb((name, document), self._hook, OPTIONS)
        except TypeError:  # keys that are no texts, surrogates, objects, too deep …
            self._lost.clear()
            payload = self._walked_payload(name, document)
        if self._lost:
            self._note(name, document)
        return payload

    def _walked_payload(self, name: str, document: Document) -> bytes:
        try:
            return packb([self._plain(name, 0, ()), self._plain(document, 1, ())], None, OPTIONS)
        except Exception:  # Changed by another thread meanwhile, or the stack was full, or worse.
            self._lost.append(document)
            texts = [_text(v).encode("utf-8", "replace").decode() for v in (name, document)]
            return packb([texts[0], {"text": texts[1]}])

    def _hook(self, value: Any) -> Any:
        """What ormsgpack has no type for; raises where only :meth:`_plain` can help."""
        encode = _ENCODERS.get(type(value)) or _encoder_of(value)
        if encode is None:
            self._lost.append(value)
            return _text(value)
        return encode(value)

    def _plain(self, value: Any, depth: int, above: tuple[int, ...]) -> Any:
        """The value in the types that ormsgpack has, level by level.

        ``above`` are the containers that it stands in, by id.
        """
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, str):
            return _plain_text(value)
        contents = _contents(value)
        if contents is None:
            return self._plain_leaf(value)
        if id(value) in above or depth > _DEEPEST:
            return self._as_text(value)
        above = (*above, id(value))
        try:
            plain = self._plain_contents(contents, depth + 1, above)
        except RecursionError:
            return self._as_text(value)
        if isinstance(value, np.ndarray):
            return Ext(Kind.OBJECTS, packb([list(value.shape), plain], None, OPTIONS))
        return Ext(Kind.NESTED, packb(plain, None, OPTIONS)) if depth % _NEST == _NEST - 1 else plain

    def _plain_contents(self, contents: dict[Any, Any] | list[Any], depth: int, above: tuple[int, ...]) -> Any:
        if isinstance(contents, list):
            return [self._plain(v, depth, above) for v in contents]
        keys = [self._plain(k, depth + 1, above) for k in contents]
        values = [self._plain(v, depth, above) for v in contents.values()]
        if all(type(k) is str for k in keys) and len(set(keys)) == len(keys):
            return dict(zip(keys, values, strict=True))
        pairs = [[k, v] for k, v in zip(keys, values, strict=True)]
        return Ext(Kind.MAPPING, packb(pairs, None, OPTIONS))

    def _plain_leaf(self, value: Any) -> Any:
        try:
            if isinstance(value, memoryview):
                value = value.tobytes()  # It may have gaps, of which ormsgpack does not ask the hook.
            return Fragment(packb(value, self._hook, OPTIONS))
        except Exception:  # Objects may raise anything, from a conversion that they offer, too.
            return self._as_text(value)

    def _as_text(self, value: Any) -> Any:
        self._lost.append(value)
        return _plain_text(_text(value))

    def _note(self, name: str, document: Document) -> None:
        lost, self._lost = self._lost, []
        known = set(self.kept_as_text.values())
        for value in lost:
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            if kind not in known:
                known.add(kind)
                where = _path_to(value, document, 0)
                self.kept_as_text[f"{name} {where}" if where else str(name)] = kind


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # Whatever an object's own method raises.
        return f"<{type(value).__name__} without a text>"


def _plain_text(value: str) -> Any:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return Ext(Kind.TEXT, text.encode("utf-8", "surrogatepass"))
    return text


def _contents(value: Any) -> dict[Any, Any] | list[Any] | None:
    """What a container holds; None for what is none, or does not tell."""
    found: dict[Any, Any] | list[Any] | None = None
    try:
        if isinstance(value, Mapping):
            found = dict(value.items())
        elif isinstance(value, Set):
            found = _sorted(value)
        elif isinstance(value, np.ndarray):
            found = _elements(value)
        elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            found = list(value)
        elif is_dataclass(value) and not isinstance(value, type):
            found = {f.name: getattr(value, f.name) for f in fields(value)}
        elif hasattr(type(value), "__array__") and not isinstance(value, np.generic):
            array = np.asarray(value)
            found = array.tolist() if array.dtype.hasobject and array.ndim else None
    except Exception:  # A container of somebody's own may raise anything.
        log.debug("a container of type %s does not tell what it holds", type(value), exc_info=True)
    return found


def _elements(array: np.ndarray[Any, Any]) -> list[Any] | None:
    """Elements of an array that is more than numbers, in C order; None where :func:`_array` does."""
    if isinstance(array, np.ma.MaskedArray) or _is_plain(array.dtype):
        return None
    return [array[index] for index in np.ndindex(array.shape)] if array.dtype.names is None else array.ravel().tolist()


def _sorted(value: Set[Any]) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=lambda v: (type(v).__qualname__, _text(v)))


def _path_to(value: Any, within: Any, depth: int) -> str:
    """Dotted path of the very object in a document, '' if it is not found."""
    items: Any = ()
    if isinstance(within, dict):
        items = within.items()
    elif isinstance(within, list | tuple):
        items = enumerate(within)
    for key, one in items:
        if one is value:
            return str(key)
        if depth < 10 and (below := _path_to(value, one, depth + 1)):
            return f"{key}.{below}"
    return ""


# -- types beyond MessagePack's ------------------------------------------------------------------------------------


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether bytes and a description are all that there is to an element."""
    try:
        return not dtype.hasobject and _dtype_of(_described(dtype)) == dtype
    except (TypeError, ValueError):
        return False


def _described(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_described(base), list(shape)]
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [_described(f[0]) for f in fields],
        "offsets": [f[1] for f in fields],
        "titles": [f[2] if len(f) > 2 else None for f in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _dtype_of(described: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any]
    if isinstance(described, str):
        dtype = np.dtype(described)
        return dtype
    if isinstance(described, list):
        return np.dtype((_dtype_of(described[0]), tuple(described[1])))
    spec = {k: described[k] for k in ("names", "offsets", "titles", "itemsize")}
    spec["formats"] = [_dtype_of(f) for f in described["formats"]]
    dtype = np.dtype(spec, align=described["aligned"])  # type: ignore[call-overload]
    return dtype


@lru_cache(1024)
def _array_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Type and shape, with their length, filled up to 16 bytes so that the elements are aligned."""
    if not _is_plain(dtype):
        raise TypeError(f"elements of type {dtype} are more than bytes")
    described = packb([_described(dtype), list(shape)])
    head = _COUNT.pack(len(described)) + described
    return head + bytes(-len(head) % 16)


@lru_cache(1024)
def _array_type(described: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    dtype, shape = unpackb(described)
    return _dtype_of(dtype), tuple(shape)


def _array_bytes(array: np.ndarray[Any, Any]) -> bytes:
    head = _array_head(array.dtype, array.shape)
    try:
        return b"".join((head, array))  # type: ignore[arg-type]  # numpy's stubs know buffers from 3.12 on
    except (BufferError, TypeError, ValueError):  # not contiguous, or of a type that buffers do not have (datetime64)
        return head + array.tobytes()


def _array_from(data: bytes) -> np.ndarray[Any, Any]:
    end = _COUNT.size + _COUNT.unpack_from(data)[0]
    dtype, shape = _array_type(data[_COUNT.size : end])
    return np.ndarray(shape, dtype, data, end + -end % 16)


def _array(value: Any) -> Ext:
    return Ext(Kind.ARRAY, _array_bytes(value))


def _scalar(value: Any) -> Ext:
    return Ext(Kind.SCALAR, _array_head(value.dtype, ()) + value.tobytes())


def _masked(value: Any) -> Ext:
    return Ext(Kind.MASKED, packb([_array(np.asarray(value.data)), _array(np.ma.getmaskarray(value))]))


def _integer(value: int) -> Any:
    if -(1 << 63) <= value < 1 << 64:
        return int(value)
    return Ext(Kind.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _moment(kind: Kind, plain: type[datetime] | type[date] | type[time], value: Any) -> Ext:
    text = value.isoformat()
    plain.fromisoformat(text)  # pandas.NaT is a datetime, and raises here
    return Ext(kind, text.encode())


def _timedelta(value: timedelta) -> Ext:
    return Ext(Kind.TIMEDELTA, packb([value.days, value.seconds, value.microseconds]))


_ENCODERS: dict[type, Any] = {
    np.float64: float,
    np.int64: int,
    np.bool_: bool,
    np.ndarray: _array,
    int: _integer,
    complex: lambda v: Ext(Kind.COMPLEX, struct.pack("<dd", v.real, v.imag)),
    datetime: lambda v: _moment(Kind.DATETIME, datetime, v),
    date: lambda v: _moment(Kind.DATE, date, v),
    time: lambda v: _moment(Kind.TIME, time, v),
    timedelta: _timedelta,
    set: _sorted,
    frozenset: _sorted,
}
"""Of the types that are met most."""

_FAMILIES: tuple[tuple[Any, Any], ...] = (
    (np.float64, float),
    (np.int64, int),
    (np.bool_, bool),
    (np.generic, _scalar),
    (np.ma.MaskedArray, _masked),
    (np.ndarray, lambda v: _array(np.asarray(v))),
    (float, float),
    (int, _integer),
    (complex, _ENCODERS[complex]),
    (bytes | bytearray | memoryview, bytes),
    (datetime, _ENCODERS[datetime]),
    (date, _ENCODERS[date]),
    (time, _ENCODERS[time]),
    (timedelta, _timedelta),
    (PurePath, lambda v: Ext(Kind.PATH, os.fsencode(v))),
    (Set, _sorted),
    (Mapping, dict),
    (Sequence, list),
)
"""And of their kin, the first that fits."""


def _encoder_of(value: Any) -> Any:
    for family, encode in _FAMILIES:
        if isinstance(value, family):
            return encode
    return _array_of if hasattr(type(value), "__array__") else None


def _array_of(value: Any) -> Ext:
    return _array(np.asarray(value))


def restore(kind: int, data: bytes) -> Any:
    """The value of an extension type."""
    return _DECODERS[kind](data)


def unpack(packed: bytes) -> Any:
    """What was packed; a document as [name, document]. Arrays are read-only."""
    return unpackb(packed, ext_hook=restore)


def _mapping_from(data: bytes) -> dict[Any, Any]:
    return {_hashable(k): v for k, v in unpack(data)}


def _hashable(key: Any) -> Any:
    """A key that was a tuple is one again; one that was an object is its text."""
    if isinstance(key, list):
        return tuple(_hashable(k) for k in key)
    try:
        hash(key)
    except TypeError:
        return _text(key)
    return key


def _objects_from(data: bytes) -> np.ndarray[Any, Any]:
    shape, elements = unpack(data)
    array = np.empty(len(elements), dtype=object)
    for i, element in enumerate(elements):
        array[i] = element
    return array.reshape(shape)


def _masked_from(data: bytes) -> Any:
    values, mask = unpack(data)
    return np.ma.MaskedArray(values, mask)


_DECODERS: dict[int, Any] = {
    Kind.ARRAY: _array_from,
    Kind.SCALAR: lambda data: _array_from(data)[()],
    Kind.INTEGER: lambda data: int.from_bytes(data, "little", signed=True),
    Kind.COMPLEX: lambda data: complex(*struct.unpack("<dd", data)),
    Kind.TEXT: lambda data: data.decode("utf-8", "surrogatepass"),
    Kind.MAPPING: _mapping_from,
    Kind.DATETIME: lambda data: datetime.fromisoformat(data.decode()),
    Kind.DATE: lambda data: date.fromisoformat(data.decode()),
    Kind.TIME: lambda data: time.fromisoformat(data.decode()),
    Kind.TIMEDELTA: lambda data: timedelta(*unpackb(data)),
    Kind.PATH: lambda data: Path(os.fsdecode(data)),
    Kind.OBJECTS: _objects_from,
    Kind.MASKED: _masked_from,
    Kind.NESTED: unpack,
}
