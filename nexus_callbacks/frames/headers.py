"""Headers: where the pixels stand in a file that is not HDF5.

Only what HDF5's external raw storage can show is found: whole images, uncompressed, each in one piece. Everything else
is refused with a sentence that says why. Only headers are read, never pixels, and every number in them is checked
against the file's size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

MOST_IMAGES = 1_000_000
"""Images that are looked for in one file."""
MOST_HEADER = 2**20
"""Bytes of one EDF header; ESRF's are a few kB."""


class HeaderError(ValueError):
    """The file cannot be shown as raw pixels; says why."""


@dataclass(frozen=True)
class Stored:
    """The images of one file, all of one type and shape."""

    dtype: str
    """numpy's name with the byte order: ``<u2``."""
    shape: tuple[int, ...]
    """Shape of one image."""
    offsets: tuple[int, ...]
    """Where each image begins, bytes from the start of the file."""

    @property
    def size(self) -> int:
        """Bytes of one image."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def split(self, shape: tuple[int, ...]) -> Stored:
        """The same as frames of a shape, where an image is a stack of them; else as it is."""
        if (
            self.shape == shape
            or len(self.shape) <= len(shape)
            or self.shape[-len(shape) or len(self.shape) :] != shape
        ):
            return self
        size = prod(shape) * np.dtype(self.dtype).itemsize
        return Stored(self.dtype, shape, tuple(o + i for o in self.offsets for i in range(0, self.size, size or 1)))


Reader = Callable[[Path], Stored]


def npy(path: Path) -> Stored:
    """An array that ``numpy.save`` wrote (format of NEP 1, versions 1 and 2).

    Raises
    ------
    HeaderError
        HDF5 cannot show it: damaged, cut off, of Python objects or in Fortran's order.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(file)
        except (ValueError, KeyError, EOFError) as error:
            raise HeaderError(f"no array that numpy.save wrote: {error}") from error
        if dtype.hasobject or dtype.names or dtype.kind not in "biufc" or dtype.itemsize > 16:
            raise HeaderError(f"its values are of the type {dtype}")
        if fortran and len(shape) > 1:
            raise HeaderError("its array is in Fortran's order")
        return _checked(file, Stored(dtype.str, tuple(int(n) for n in shape), (file.tell(),)))


# Names as the ESRF data format has them, and fabio's spellings.
_EDF_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("signedbyte", "signed8"), "i1"),
    **dict.fromkeys(("unsignedbyte", "unsigned8"), "u1"),
    **dict.fromkeys(("signedshort", "signed16"), "i2"),
    **dict.fromkeys(("unsignedshort", "unsigned16"), "u2"),
    **dict.fromkeys(("signedinteger", "signedlong", "signed32"), "i4"),
    **dict.fromkeys(("unsignedinteger", "unsignedlong", "unsigned32"), "u4"),
    "signed64": "i8",
    "unsigned64": "u8",
    **dict.fromkeys(("floatvalue", "float", "real", "floatieee32"), "f4"),
    **dict.fromkeys(("doublevalue", "double", "floatieee64"), "f8"),
}


def edf(path: Path) -> Stored:
    """The images of an ESRF data format file.

    Raises
    ------
    HeaderError
        HDF5 cannot show them: damaged, cut off, compressed or of different shapes.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        end, at = _length(file), 0
        images: list[tuple[str, tuple[int, ...]]] = []
        offsets: list[int] = []
        while at < end and len(offsets) < MOST_IMAGES:
            fields, data = _edf_header(file, at)
            dtype, shape = _edf_image(fields)
            images.append((dtype, shape))
            offsets.append(data)
            own = prod(shape) * np.dtype(dtype).itemsize
            told = next((fields[k] for k in ("edf_binarysize", "size") if k in fields), str(own))
            at = data + max(_whole(told, "size"), own)
        return _checked(file, _alike(images, offsets))


def _edf_header(file: BinaryIO, at: int) -> tuple[dict[str, str], int]:
    """Fields of the header at an offset, names in lower case, and the offset of its data."""
    file.seek(at)
    text = file.read(512)
    if not text.lstrip().startswith(b"{"):
        raise HeaderError(f"no EDF header at byte {at}")
    while b"}" not in text and len(text) < MOST_HEADER:
        more = file.read(4096)
        if not more:
            break
        text += more
    inside, brace, _ = text.partition(b"}")
    if not brace:
        raise HeaderError(f"the EDF header at byte {at} has no end")
    fields: dict[str, str] = {}
    for entry in inside.decode("latin-1").lstrip().removeprefix("{").split(";"):
        name, equals, value = entry.partition("=")
        if equals:
            fields.setdefault(name.strip().lower(), value.strip())
    if "edf_headersize" in fields:
        return fields, at + max(_whole(fields["edf_headersize"], "header size"), len(inside) + 1)
    after = len(inside) + 1
    newline = text[after : after + 2]
    return fields, at + after + (2 if newline == b"\r\n" else 1 if newline[:1] == b"\n" else 0)


def _edf_image(fields: Mapping[str, str]) -> tuple[str, tuple[int, ...]]:
    if fields.get("compression", "none").lower() not in ("none", "nocompression", ""):
        raise HeaderError(f"its EDF images are compressed ({fields['compression']})")
    kind = _EDF_TYPES.get(fields.get("datatype", "").lower())
    if kind is None:
        raise HeaderError(f"its EDF images are of the type {fields.get('datatype', 'that is not told')!r}")
    order = ">" if fields.get("byteorder", "").lower() == "highbytefirst" else "<"
    # Dim_1 is the one that runs fastest.
    shape = tuple(_whole(fields[f"dim_{i}"], "Dim") for i in (3, 2, 1) if f"dim_{i}" in fields)
    if not shape:
        raise HeaderError("its EDF header tells no size of the image")
    return np.dtype(order + kind).str, shape


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HeaderError(f"its EDF header has the {what} {text[:40]!r}")
    return int(text)


# TIFF 6.0 (Adobe, 1992) and BigTIFF: types of a tag's values → struct's letter.
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_REDUCED, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER = 254, 256, 257, 258, 259, 266
_OFFSETS, _SAMPLES, _COUNTS, _PLANAR, _PREDICTOR, _TILES, _FORMAT = 273, 277, 279, 284, 317, 324, 339
_SAMPLE_KINDS = {1: "u", 2: "i", 3: "f"}


def tiff(path: Path) -> Stored:
    """The images of a TIFF or BigTIFF file, reduced ones left out.

    Raises
    ------
    HeaderError
        HDF5 cannot show them: damaged, cut off, compressed, tiled, in scattered strips or of different shapes.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        images: list[tuple[str, tuple[int, ...]]] = []
        offsets: list[int] = []
        for order, tags in _tiff_pages(file):
            if not tags.get(_REDUCED, (0,))[0] & 1:
                dtype, shape, offset = _tiff_image(order, tags)
                images.append((dtype, shape))
                offsets.append(offset)
        return _checked(file, _alike(images, offsets))


def _tiff_pages(file: BinaryIO) -> Iterator[tuple[str, dict[int, tuple[int, ...]]]]:
    """Byte order and tags of each page; only tags of whole numbers are read."""
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    version = _unpack(file, f"{order}H")[0] if order else 0
    if order is None or version not in (42, 43):
        raise HeaderError("no TIFF header")
    big = version == 43
    if big and _unpack(file, f"{order}HH") != (8, 0):
        raise HeaderError("no BigTIFF header")
    word, count, entry = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
    next_page = _unpack(file, order + word)[0]
    seen: set[int] = set()
    while next_page:
        if next_page in seen or len(seen) >= MOST_IMAGES:
            raise HeaderError("its TIFF pages go round in a circle")
        seen.add(next_page)
        _go(file, next_page)
        number = _unpack(file, order + count)[0]
        if number > 4096:
            raise HeaderError(f"its TIFF page has {number} tags")
        entries = [struct.unpack(order + entry, _read(file, struct.calcsize(order + entry))) for _ in range(number)]
        next_page = _unpack(file, order + word)[0]
        tags: dict[int, tuple[int, ...]] = {}
        for tag, kind, length, inline in entries:
            if kind in _TIFF_TYPES and 0 < length <= MOST_IMAGES:
                form = f"{order}{length}{_TIFF_TYPES[kind]}"
                if struct.calcsize(form) <= len(inline):
                    tags[tag] = struct.unpack_from(form, inline)
                else:
                    _go(file, struct.unpack(order + word, inline)[0])
                    tags[tag] = _unpack(file, form)
        yield order, tags


def _go(file: BinaryIO, place: int) -> None:
    if place >= _length(file):
        raise HeaderError("its header points beyond its end")
    file.seek(place)


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, _read(file, struct.calcsize(form)))


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise HeaderError("its header is cut off")
    return data


def _tiff_image(order: str, tags: Mapping[int, tuple[int, ...]]) -> tuple[str, tuple[int, ...], int]:
    if tags.get(_COMPRESSION, (1,)) != (1,):
        raise HeaderError(f"its TIFF images are compressed (scheme {tags[_COMPRESSION][0]})")
    if _TILES in tags or not {_WIDTH, _HEIGHT, _OFFSETS, _COUNTS} <= tags.keys():
        raise HeaderError("its TIFF images are no strips of pixels")
    samples = tags.get(_SAMPLES, (1,))[0]
    bits, kinds = set(tags.get(_BITS, (1,))), set(tags.get(_FORMAT, (1,)))
    kind = _SAMPLE_KINDS.get(next(iter(kinds)), "")
    plain = tags.get(_PREDICTOR, (1,))[0] == 1 and tags.get(_FILL_ORDER, (1,))[0] == 1
    together = samples == 1 or tags.get(_PLANAR, (1,))[0] == 1
    depth = next(iter(bits))
    if len(bits) > 1 or len(kinds) > 1 or depth not in (8, 16, 32, 64) or not kind or not plain or not together:
        raise HeaderError(f"its TIFF images have {samples} samples of {sorted(bits)} bits in a form HDF5 does not have")
    if kind == "f" and depth == 8:
        raise HeaderError("its TIFF images have real numbers of 8 bits")
    shape = (tags[_HEIGHT][0], tags[_WIDTH][0], *((samples,) if samples > 1 else ()))
    dtype = np.dtype(f"{order}{kind}{depth // 8}")
    offsets, counts = tags[_OFFSETS], tags[_COUNTS]
    scattered = any(o + n != after for o, n, after in zip(offsets, counts, offsets[1:], strict=False))
    if scattered or len(offsets) != len(counts):
        raise HeaderError("its TIFF images are in strips that do not follow one another")
    if sum(counts) < prod(shape) * dtype.itemsize:
        raise HeaderError("its TIFF strips are shorter than the image")
    return dtype.str, shape, offsets[0]


def _alike(images: list[tuple[str, tuple[int, ...]]], offsets: list[int]) -> Stored:
    if not images:
        raise HeaderError("it has no image")
    if len(set(images)) > 1:
        raise HeaderError("its images differ in type or shape")
    dtype, shape = images[0]
    return Stored(dtype, shape, tuple(offsets))


def _checked(file: BinaryIO, stored: Stored) -> Stored:
    """The same, if every pixel is in the file: HDF5 reads zeros, without a word, where a raw file is too short."""
    if 0 in stored.shape:
        raise HeaderError(f"its images have the shape {stored.shape}")
    if max(stored.offsets) + stored.size > _length(file):
        raise HeaderError("it is shorter than its header says")
    return stored


def _length(file: BinaryIO) -> int:
    return file.seek(0, 2)
