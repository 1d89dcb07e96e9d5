"""Replay: recorded documents → the same files that were written while they were recorded (design D1).

Recordings are read as other packages write them, each of them gzip'd or not:

- JSON lines (suitcase-jsonl, Tiled's ``application/json-seq``): a document a line, ``[name, doc]`` or
  ``{"name": name, "doc": doc}``;
- one JSON array of either;
- MessagePack (suitcase-msgpack): either, one after the other, with numpy's values as msgpack-numpy packs them.

JSON has no numpy types: an array comes back as a list, of 64-bit numbers unless the descriptor's ``dtype_numpy`` tells.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import h5py
import msgpack
import numpy as np

from nexus_callbacks.callback import NexusWriter
from nexus_callbacks.documents import Document
from nexus_callbacks.faults import Fault, FaultError, Place

LONGEST = 512 * 2**20
"""Bytes of one document, beyond which a recording counts as damaged: a damaged one must not fill the memory."""
MOST_ITEMS = 2**24
"""Items of one list or mapping in MessagePack, which makes room for as many as a damaged length says."""
BLOCK = 1 << 18

_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n\x1e"
"""Between JSON documents; json-seq (RFC 7464) has a record separator before each."""
_MSGPACK = frozenset(b"\x82\x92\xdc\xdd\xde\xdf")
"""What a list or a mapping of two may begin with."""
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_OF_NUMPY = re.compile(r"[<>|=]?[?biufcSUmMV]\d*(\[\d*\w+\])?")
"""numpy's names of element types, without objects: those are pickled, and unpickling runs what is in the file."""

_OWNERS = ("run_start", "descriptor", "resource", "stream_resource")
"""Keys under which a document names what it belongs to."""

Named = tuple[str, dict[str, Any]]
_Stream: TypeAlias = "io.BufferedReader[Any] | gzip.GzipFile"


def replay(
    gen: Iterable[tuple[str, Document]], directory: str | Path = ".", profile: str | Path | None = None
) -> dict[str, Path]:
    """Write the files of recorded runs.

    Any number of runs may be in it, one after the other or at once. A run without a stop document ends as
    ``incomplete``. An existing file is left alone: the new one gets the next free number.

    Parameters
    ----------
    gen
        Documents with their names, such as :func:`documents_of` or databroker's ``run.documents()``.
    directory
        Where files go; the profile's ``{data_root}``.
    profile
        Folder of a beamline's profile or its ``profile.yml``.

    Returns
    -------
    Run uid → its file.

    Raises
    ------
    FaultError
        The profile is faulty or the directory cannot be written; or, with the files of all other runs written, start
        documents were refused or documents belonged to no run; or the recording is damaged, with all before that
        written.
    """
    with NexusWriter(directory, profile, journal=False) as writer:  # The documents are safe already.
        faults = feed(writer, gen)
    if faults:
        raise FaultError(faults)
    return dict(writer.files)


def feed(writer: NexusWriter, gen: Iterable[tuple[str, Document]]) -> list[Fault]:
    """Give documents to a writer. A run whose start document is refused is left out, and the others are written.

    Returns
    -------
    Why runs were refused, and which documents belonged to none.

    Raises
    ------
    FaultError
        The documents come from a recording that is damaged.
    """
    faults: list[Fault] = []
    before = writer.strays.copy()
    begun, refused = set[str](), set[str]()
    """Uids of runs that have not stopped; of runs that were refused, and of what belongs to them."""
    try:
        for name, doc in gen:
            uid = _uid(doc, "uid")
            if name != "start" and any(_uid(doc, key) in refused for key in _OWNERS):
                refused.add(uid or "")
                continue
            try:
                if name == "start" and uid in writer.files:
                    raise FaultError([Fault("its start document comes twice", None, "replay each run once")])
                writer(name, doc)
            except FaultError as error:
                run = f"run {doc.get('uid', 'without a uid')}"
                faults += [Fault(f"{run}: {fault.message}", fault.place, fault.remedy) for fault in error.faults]
                if uid and uid not in begun:
                    refused.add(uid)
            else:
                if name == "start":
                    begun.add(uid or "")
                elif name == "stop":
                    begun.discard(_uid(doc, "run_start") or "")
    except FaultError as error:  # The recording is damaged; what was refused before is told with it.
        raise FaultError([*faults, *error.faults]) from None
    for kind, count in sorted((writer.strays - before).items()):
        faults.append(Fault(f"{count} of kind {kind!r} belong to no run before them, and are in no file"))
    return faults


def _uid(document: Document, key: str) -> str | None:
    """A uid that a document tells; None if it tells none."""
    found = document.get(key)
    return found if isinstance(found, str) and found else None


def unfinished(path: Path) -> str:
    """Why a file that was replayed is not complete; empty if it is."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            state, reason = (str(file.attrs.get(name, "")) for name in ("state", "state_reason"))
    except OSError as error:
        return f"it cannot be read: {error}"
    return "" if state == "complete" else reason or state or "its state is not told"


# -- recordings ----------------------------------------------------------------------------------------------------


def documents_of(path: str | Path, longest: int = LONGEST) -> Iterator[Named]:
    """Documents of a recording, one by one; no more than one is held in memory.

    Parameters
    ----------
    path
        A recording; what it is shows in its content, whatever its name.
    longest
        Bytes that one document may have.

    Yields
    ------
    name, document

    Raises
    ------
    FaultError
        The recording cannot be read or is damaged, with the line or the byte; all documents before that were given.
    """
    source = str(path)
    given = 0
    try:
        raw = io.FileIO(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name.
        _refuse(source, f"it cannot be read: {getattr(error, 'strerror', None) or error}")
    try:
        with io.BufferedReader(raw, BLOCK) as file:
            for item in _documents(_unpacked(file), source, longest):
                yield item
                given += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(source, f"after {given} documents: the gzip data is damaged or cut off: {error}")
    except OSError as error:
        _refuse(source, f"after {given} documents: it cannot be read: {error.strerror or error}")


def _unpacked(file: io.BufferedReader[Any]) -> _Stream:
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file


def _documents(stream: _Stream, source: str, longest: int) -> Iterator[Named]:
    head = stream.peek(BLOCK).removeprefix(_MARK).lstrip(_SPACE)
    if not head:
        _refuse(source, "there is no document in it")
    if head[0] in _MSGPACK:
        yield from _msgpack(stream, source, longest)
    elif head[:1] == b"{" or (head[:1] == b"[" and head[1:].lstrip(_SPACE)[:1] == b'"'):
        yield from _json_lines(stream, source, longest)
    elif head[:1] == b"[":
        for line, text in _elements(stream, source, longest):
            yield _named(_parsed(text, source, line), Place(source, line))
    else:
        _refuse(source, "it is neither JSON nor MessagePack", remedy="record documents as JSON lines")


def _refuse(source: str, message: str, line: int | None = None, remedy: str = "") -> NoReturn:
    raise FaultError([Fault(message, Place(source, line), remedy)]) from None


def _named(item: Any, place: Place, where: str = "") -> Named:
    """Name and document of a recorded item."""
    pair: Any = (item.get("name"), item.get("doc")) if isinstance(item, dict) else item
    if isinstance(pair, list | tuple) and len(pair) == 2:
        name, document = pair
        if isinstance(name, str) and isinstance(document, dict):
            return name, document
    shape = '[name, document] or {"name": …, "doc": …}'
    raise FaultError([Fault(f"{where}expected {shape}, got {_short(item)}", place)])


def _short(item: Any) -> str:
    if isinstance(item, dict):
        return f"an object with the keys {', '.join(repr(key)[:30] for key in list(item)[:5]) or '(none)'}"
    if isinstance(item, list | tuple):
        return f"a list of {len(item)}"
    return repr(item)[:60]


# -- JSON ----------------------------------------------------------------------------------------------------------


def _json_lines(stream: _Stream, source: str, longest: int) -> Iterator[Named]:
    number = 0
    while text := stream.readline(longest + 1):
        number += 1
        if len(text) > longest:
            _refuse(source, f"a document of more than {longest} bytes", number)
        text = text.removeprefix(_MARK).strip(_SPACE)
        if text:
            yield _named(_parsed(text, source, number), Place(source, number))


def _parsed(text: bytes, source: str, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        _refuse(source, f"no JSON document: {error.msg} (column {error.colno})", line + error.lineno - 1)
    except (ValueError, RecursionError) as error:  # No UTF-8, an integer of 5000 digits, too many levels.
        _refuse(source, f"no JSON document: {error}", line)


def _elements(stream: _Stream, source: str, longest: int) -> Iterator[tuple[int, bytes]]:
    """Line and text of each element of a JSON array, of which no more is looked at than where it ends."""
    depth, ended = -1, False  # 0: within the array; more: within a document.
    line, begun = 1, 1  # On which the last bracket stands, and on which the document begins.
    first, last = 0, 0  # Where in the block the document begins, and where the last bracket ended.
    pieces = list[bytes]()
    for block, at, bracket in _brackets(stream):
        if depth < 1:
            _check_between(block[last:at], b"" if ended else b",", source, line)
        line += block.count(b"\n", last, at)
        if not bracket:
            if depth > 0:
                pieces.append(block[first:])
                if sum(map(len, pieces)) > longest:
                    _refuse(source, f"a document of more than {longest} bytes", begun)
            first = last = 0
            continue
        if ended:
            _refuse(source, "there is more after the end of the array", line)
        depth += 1 if bracket in b"{[" else -1
        last = at + 1
        if depth == 1 and bracket in b"{[":
            first, begun = at, line
        elif depth == 0 and bracket in b"}]":
            yield begun, b"".join([*pieces, block[first:last]])
            pieces.clear()
        ended = depth < 0
    if not ended:
        _refuse(source, "the recording is cut off: the array has no end", line)


def _brackets(stream: _Stream) -> Iterator[tuple[bytes, int, bytes]]:
    """Blocks with the place of each bracket that is not within a text; no bracket stands for the end of a block."""
    inside, skip = False, 0
    while block := stream.read1(BLOCK):
        at, skip = skip, 0
        while match := (_INSIDE if inside else _OUTSIDE).search(block, at):
            at = match.end()
            if match[0] == b"\\":
                at, skip = at + 1, int(at == len(block))
            elif match[0] == b'"':
                inside = not inside
            else:
                yield block, match.start(), match[0]
        yield block, len(block), b""


def _check_between(text: bytes, comma: bytes, source: str, line: int) -> None:
    """Refuse what stands between documents."""
    found = text.removeprefix(_MARK).lstrip(_SPACE + comma)
    if found:
        line += text.count(b"\n", 0, len(text) - len(found))
        _refuse(source, f"expected a document, got {found[:30].decode('utf-8', 'replace')!r}", line)


# -- MessagePack ---------------------------------------------------------------------------------------------------


class _Counted:
    """Counts the bytes that are read."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int) -> bytes:
        """At most so many of the next bytes."""
        found = self._stream.read1(size)
        self.count += len(found)
        return found


def _msgpack(stream: _Stream, source: str, longest: int) -> Iterator[Named]:
    taken = _Counted(stream)
    unpacker = msgpack.Unpacker(
        taken,
        object_hook=_from_numpy,
        read_size=min(BLOCK, longest),
        max_buffer_size=longest,
        max_array_len=MOST_ITEMS,
        max_map_len=MOST_ITEMS,
        strict_map_key=False,
        unicode_errors="surrogateescape",
    )
    place = Place(source)
    offset = 0
    while True:
        try:
            item = unpacker.unpack()
        except msgpack.OutOfData:
            break
        except msgpack.BufferFull:
            _refuse(source, f"at byte {offset}: a document of more than {longest} bytes")
        except (ValueError, TypeError, MemoryError, RecursionError, msgpack.UnpackException) as error:
            reason = str(error) or type(error).__name__
            _refuse(source, f"at byte {offset}: no MessagePack document: {reason}")
        yield _named(item, place, f"at byte {offset}: ")
        offset = unpacker.tell()
    if taken.count > offset:
        _refuse(source, f"at byte {offset}: the recording is cut off in this document")


def _from_numpy(item: dict[Any, Any]) -> Any:
    """A value of numpy as msgpack-numpy packs it; other mappings are left as they are.

    Raises
    ------
    ValueError
        It is damaged, or holds pickled objects.
    """
    if b"complex" in item:
        return complex(str(item.get(b"data")))
    if b"nd" not in item:
        return item
    if not {b"type", b"data"} <= item.keys():
        raise ValueError("an array without type or data")
    dtype = _dtype(item[b"type"])
    if item[b"nd"]:
        return np.ndarray(tuple(item.get(b"shape", ())), dtype, bytes(item[b"data"]))
    return np.frombuffer(item[b"data"], dtype)[0]


def _dtype(described: Any) -> np.dtype[Any]:
    if isinstance(described, str) and _OF_NUMPY.fullmatch(described):
        return np.dtype(described)
    if isinstance(described, list) and all(isinstance(each, list) and len(each) in (2, 3) for each in described):
        fields = [(str(name), _dtype(of), *(tuple(n) for n in shape)) for name, of, *shape in described]
        return np.dtype(fields)
    raise ValueError(f"elements of type {str(described)[:60]!r}, which could run code, are not read")
