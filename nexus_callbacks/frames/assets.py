"""Assets: resources and datums → which frames of a stream lie in which file, dataset and range.

Both generations of event-model's asset documents are read: ``resource``/``datum`` and
``stream_resource``/``stream_datum``. No file is opened.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from nexus_callbacks.documents import Document
from nexus_callbacks.frames import formats
from nexus_callbacks.frames.formats import FrameRange, Series
from nexus_callbacks.frames.stacks import Piece, joined, relative, rooted

__all__ = ["Assets", "Resource", "relative"]

_NAMES_OF_DATASET = ("dataset", "path")  # ophyd-async once called it path
_NAMES_OF_NUMBER = ("point_number", "index", "frame_no", "frame")


class Rows(Protocol):
    """Which rows a stream has."""

    count: int

    def before(self, seq_num: int) -> int:
        """Number of rows whose seq_num is smaller."""


@dataclass(frozen=True)
class Resource:
    """One file, or one series of files, that a detector writes."""

    key: str
    """Data key of the frames; empty for a legacy resource, whose key the events tell."""
    path: str
    """Path on disk as we see it (after ``roots``)."""
    dataset: str | None
    """HDF5 dataset of the frames; None where the file is not HDF5."""
    spec: str
    """Mimetype or legacy spec."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def per_row(self, announced: int) -> int:
        """Frames in a row, of which the data key announced a number."""
        told = _whole(self.parameters.get("frame_per_point"), 0)
        return told or (_whole(self.parameters.get("multiplier"), 1) if announced == 1 else announced)

    def series(self, per_row: int) -> Series:
        """Its frames, counted from 0."""
        return formats.numbered(self.spec, self.path, self.dataset, self.parameters, per_row)


@dataclass
class _Stretch:
    """Rows of successive seq_nums whose frames are successive in one resource."""

    seq_num: int
    count: int
    resource: Resource
    index: int
    """Of the first row in the resource, in rows."""

    @property
    def stop(self) -> int:
        return self.seq_num + self.count


class _Streamed:
    """What stream_datums told of one key: stretches in the order of seq_nums, the last word on each row."""

    def __init__(self) -> None:
        self.stretches: list[_Stretch] = []
        self._bases: dict[int, int] = {}
        self._end = 0
        """Index after the last one of the latest resource, as told."""

    def add(self, resource: Resource, seq_nums: range, indices: range) -> None:
        """Take one stream_datum. Rows that were told of before, before a pause, get their later frames."""
        if id(resource) not in self._bases:
            # Some count on from one resource to the next (bluesky's consolidators), others begin anew.
            self._bases[id(resource)] = self._end if self._bases and indices.start == self._end else 0
        self._end = indices.stop
        count = min(len(seq_nums), len(indices))
        if count <= 0:
            return
        new = _Stretch(seq_nums.start, count, resource, indices.start - self._bases[id(resource)])
        last = self.stretches[-1] if self.stretches else None
        if last is None or last.stop <= new.seq_num:
            goes_on = last and last.stop == new.seq_num and last.index + last.count == new.index
            if last and goes_on and last.resource is resource:
                last.count += count
            else:
                self.stretches.append(new)
            return
        at = bisect_left(self.stretches, new.seq_num, key=lambda each: each.stop - 1)
        kept = self.stretches[:at]
        for old in self.stretches[at:]:
            if old.seq_num < new.seq_num:
                kept.append(_Stretch(old.seq_num, new.seq_num - old.seq_num, old.resource, old.index))
            if old.stop > new.stop:
                first = max(old.seq_num, new.stop)
                kept.append(_Stretch(first, old.stop - first, old.resource, old.index + first - old.seq_num))
        self.stretches = sorted([*kept, new], key=lambda each: each.seq_num)


@dataclass
class Assets:
    """What a run's asset documents have told so far."""

    roots: Mapping[str, str] = field(default_factory=dict)
    """A detector's own path prefix → ours."""
    resources: dict[str, Resource] = field(default_factory=dict)
    _datums: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    _streamed: dict[tuple[str, str], _Streamed] = field(default_factory=dict)

    def add_resource(self, document: Document) -> None:
        """Take a ``resource`` document."""
        self.resources[document["uid"]] = self._legacy("", document)

    def add_datum(self, document: Document) -> None:
        """Take a ``datum`` document."""
        self._datums[document["datum_id"]] = (document["resource"], document.get("datum_kwargs") or {})

    def add_datum_page(self, document: Document) -> None:
        """Take a ``datum_page`` document."""
        columns = document.get("datum_kwargs") or {}
        for i, datum_id in enumerate(document["datum_id"]):
            self._datums[datum_id] = (document["resource"], {name: values[i] for name, values in columns.items()})

    def add_stream_resource(self, document: Document) -> None:
        """Take a ``stream_resource`` document, of event-model 1.20 or later or in the form before that."""
        key = str(document["data_key"])
        if "mimetype" not in document:
            self.resources[document["uid"]] = self._legacy(key, document)
            return
        parameters = document.get("parameters") or {}
        spec = str(document["mimetype"])
        path = self._ours(_path_of(str(document["uri"])))
        self.resources[document["uid"]] = Resource(key, path, _dataset(spec, parameters), spec, parameters)

    def _legacy(self, key: str, document: Document) -> Resource:
        spec = str(document["spec"])
        kwargs = document.get("resource_kwargs") or {}
        path = _rooted(str(document.get("root") or ""), str(document["resource_path"]))
        return Resource(key, self._ours(path), _dataset(spec, kwargs), spec, kwargs)

    def add_stream_datum(self, document: Document, stream: str) -> None:
        """Take a ``stream_datum`` document of a stream."""
        resource = self.resources[document["stream_resource"]]
        indices, seq_nums = document["indices"], document["seq_nums"]
        streamed = self._streamed.setdefault((stream, resource.key), _Streamed())
        streamed.add(resource, range(seq_nums["start"], seq_nums["stop"]), range(indices["start"], indices["stop"]))

    def pieces(self, stream: str, key: str, per_row: int = 1, rows: Rows | None = None) -> list[Piece]:
        """Frames of a streamed key in the order of its rows.

        A row that was repeated after a pause stands once, with its last frames. ``per_row`` frames make a row. Where
        the stream has rows of events, a row without frames is a gap, so that frames and rows stay side by side.
        """
        streamed = self._streamed.get((stream, key))
        found: list[Piece] = []
        done = 0
        for each in streamed.stretches if streamed else ():
            count = each.resource.per_row(per_row)
            if rows is not None and rows.count:
                place = rows.before(each.seq_num)
                found.append(Piece(None, 0, max(place - done, 0) * count))
                done = max(place, done)
            done += each.count
            found.append(Piece(each.resource.series(count), each.index * count, (each.index + each.count) * count))
        if found and rows is not None and done < rows.count:
            found.append(Piece(None, 0, (rows.count - done) * per_row))
        return joined(found)

    def datum_pieces(self, datum_ids: Sequence[Any], per_row: int = 1) -> list[Piece]:
        """Frames that legacy datums point to, in the order of the rows; a gap for a datum that is unknown."""
        found = []
        known: dict[tuple[str, str | None], tuple[Series, int]] = {}
        for datum_id in datum_ids:
            uid, kwargs = self._datums.get(datum_id, ("", {})) if isinstance(datum_id, str) else ("", {})
            resource = self.resources.get(uid)
            if resource is None:
                found.append(Piece(None, 0, per_row))
                continue
            inside = _dataset(resource.spec, kwargs, resource.dataset)  # Some datums name it, and some resources.
            if (uid, inside) not in known:
                count = resource.per_row(per_row)
                known[uid, inside] = (replace(resource, dataset=inside).series(count), count)
            series, count = known[uid, inside]
            number = next((kwargs[name] for name in _NAMES_OF_NUMBER if name in kwargs), 0)
            first = _whole(number, 0) * count
            found.append(Piece(series, first, first + count))
        return joined(found)

    def frames(self, stream: str, key: str, per_row: int = 1) -> list[FrameRange]:
        """Frames of a streamed key in the order of its rows, file by file."""
        found: list[FrameRange] = []
        for piece in self.pieces(stream, key, per_row):
            found += piece.series.ranges(piece.start, piece.stop) if piece.series else ()
        return found

    def length(self, stream: str, key: str, per_row: int = 1) -> int:
        """Number of frames of a streamed key."""
        return sum(len(piece) for piece in self.pieces(stream, key, per_row))

    def refusal(self, key: str) -> str:
        """Why the resources of a streamed key cannot be shown as they are told; empty if they can."""
        for resource in self.resources.values():
            if resource.key == key:
                part = next((name for name in ("slice", "squeeze") if resource.parameters.get(name)), "")
                if part:
                    return f"a row is a part of what the detector wrote ({part}: {resource.parameters[part]})"
        return ""

    def _ours(self, path: str) -> str:
        return rooted(path, self.roots)


def _rooted(root: str, path: str) -> str:
    r"""Path of a legacy resource. A ``resource_path`` that begins with a slash is below its root all the same.

    >>> _rooted("/data", "/a/x.h5"), _rooted("/data", "/data/x.h5"), _rooted("", "/a/x.h5")
    ('/data/a/x.h5', '/data/x.h5', '/a/x.h5')
    >>> _rooted("D:\\lima", "a\\x.edf"), _rooted("/data", "cam/")
    ('D:/lima/a/x.edf', '/data/cam/')
    """
    if "\\" in root:
        root, path = root.replace("\\", "/"), path.replace("\\", "/")
    if not root or PurePosixPath(path).is_relative_to(root):
        return path
    return f"{root.rstrip('/')}/{path.lstrip('/')}"


def _dataset(spec: str, parameters: Mapping[str, Any], otherwise: str | None = None) -> str | None:
    """The HDF5 dataset that a document or the table names."""
    told = next((parameters[name] for name in _NAMES_OF_DATASET if parameters.get(name)), None)
    named = told if isinstance(told, str) else otherwise
    row = formats.format_of(spec, named)
    return (named or row.dataset or None) if row.way == "link" else None


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value > 0 else otherwise


def _path_of(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return uri
    path = f"/{unquote(parts.path).lstrip('/')}"  # Tiled's have file://localhost//tmp, and roots begin with one slash.
    # file://localhost/D:/lima/x.h5 has a slash before the drive that is not part of the path.
    return path[1:] if path[2:3] == ":" else path
