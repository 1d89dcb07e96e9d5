"""Assets: resources and datums → which frames of a stream lie in which file, dataset and range.

Both generations of event-model's asset documents are read: ``resource``/``datum`` and
``stream_resource``/``stream_datum``. No file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from nexus_callbacks.documents import Document

HDF5_MIMETYPE = "application/x-hdf5"
# Legacy specs whose files are HDF5 → dataset of the frames (area detector's HDF5 plugin writes it there).
HDF5_SPECS = {"AD_HDF5": "/entry/data/data", "AD_HDF5_SWMR": "/entry/data/data"}


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


@dataclass(frozen=True)
class FrameRange:
    """Successive frames of one file."""

    path: str
    dataset: str
    start: int
    stop: int


@dataclass
class Assets:
    """What a run's asset documents have told so far."""

    roots: Mapping[str, str] = field(default_factory=dict)
    """A detector's own path prefix → ours."""
    resources: dict[str, Resource] = field(default_factory=dict)
    _datums: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    _pieces: dict[tuple[str, str], list[tuple[Resource, range, range]]] = field(default_factory=dict)

    def add_resource(self, document: Document) -> None:
        """Take a ``resource`` document."""
        spec = str(document["spec"])
        path = str(PurePosixPath(str(document["root"]).replace("\\", "/")) / str(document["resource_path"]))
        kwargs = document.get("resource_kwargs") or {}
        dataset = kwargs.get("dataset") or HDF5_SPECS.get(spec)
        self.resources[document["uid"]] = Resource("", self._ours(path), dataset, spec, kwargs)

    def add_datum(self, document: Document) -> None:
        """Take a ``datum`` document."""
        self._datums[document["datum_id"]] = (document["resource"], document.get("datum_kwargs") or {})

    def add_datum_page(self, document: Document) -> None:
        """Take a ``datum_page`` document."""
        columns = document.get("datum_kwargs") or {}
        for i, datum_id in enumerate(document["datum_id"]):
            self._datums[datum_id] = (document["resource"], {name: values[i] for name, values in columns.items()})

    def add_stream_resource(self, document: Document) -> None:
        """Take a ``stream_resource`` document."""
        parameters = document.get("parameters") or {}
        mimetype = str(document["mimetype"])
        dataset = parameters.get("dataset") if mimetype == HDF5_MIMETYPE else None
        path = self._ours(_path_of(str(document["uri"])))
        self.resources[document["uid"]] = Resource(document["data_key"], path, dataset, mimetype, parameters)

    def add_stream_datum(self, document: Document, stream: str) -> None:
        """Take a ``stream_datum`` document of a stream."""
        resource = self.resources[document["stream_resource"]]
        indices, seq_nums = document["indices"], document["seq_nums"]
        piece = (resource, range(seq_nums["start"], seq_nums["stop"]), range(indices["start"], indices["stop"]))
        self._pieces.setdefault((stream, resource.key), []).append(piece)

    def frames(self, stream: str, key: str, per_row: int = 1) -> list[FrameRange]:
        """Frames of a streamed key in the order of its rows, adjoining ranges joined.

        A row that was repeated after a pause stands once, with its last frames. ``per_row`` frames make a row.
        Pieces of a file that is not HDF5 are left out.
        """
        at: dict[int, tuple[Resource, int]] = {}
        for resource, seq_nums, indices in self._pieces.get((stream, key), ()):
            for seq_num, index in zip(seq_nums, indices, strict=False):
                at[seq_num] = (resource, index)
        found = ((r, i * per_row, (i + 1) * per_row) for _, (r, i) in sorted(at.items()) if r.dataset)
        return _joined((r.path, str(r.dataset), a, b) for r, a, b in found)

    def datum_frames(self, datum_ids: Sequence[Any], per_row: int = 1) -> list[FrameRange] | None:
        """Frames that legacy datums point to, in the order of the rows; None if one of them is not in HDF5."""
        found = []
        for datum_id in datum_ids:
            uid, kwargs = self._datums.get(str(datum_id), ("", {}))
            resource = self.resources.get(uid)
            if resource is None or resource.dataset is None:
                return None
            count = _whole(resource.parameters.get("frame_per_point"), per_row)
            first = _whole(kwargs.get("point_number"), 0) * count
            found.append((resource.path, resource.dataset, first, first + count))
        return _joined(found)

    def datum_path(self, datum_id: Any) -> str | None:
        """File, or series of files, that a legacy datum points to; None if it is unknown."""
        uid, _ = self._datums.get(str(datum_id), ("", {}))
        resource = self.resources.get(uid)
        return resource.path if resource else None

    def others(self, key: str) -> list[str]:
        """Files of a streamed key that are not HDF5."""
        return list(dict.fromkeys(r.path for r in self.resources.values() if r.key == key and r.dataset is None))

    def _ours(self, path: str) -> str:
        for theirs, ours in sorted(self.roots.items(), key=lambda root: -len(root[0])):
            prefix = theirs.replace("\\", "/").rstrip("/")
            if path == prefix or path.startswith(prefix + "/"):
                return ours.rstrip("/") + path[len(prefix) :]
        return path


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value > 0 else otherwise


def _path_of(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return uri
    path = unquote(parts.path)
    # file://localhost/D:/lima/x.h5 has a slash before the drive that is not part of the path.
    return path[1:] if len(path) > 2 and path[2] == ":" else path


def _joined(pieces: Any) -> list[FrameRange]:
    found: list[FrameRange] = []
    for path, dataset, start, stop in pieces:
        last = found[-1] if found else None
        if last and (last.path, last.dataset, last.stop) == (path, dataset, start):
            found[-1] = FrameRange(path, dataset, last.start, stop)
        else:
            found.append(FrameRange(path, dataset, start, stop))
    return found


def relative(path: str, folder: Path) -> str:
    """``path`` as seen from ``folder``, with forward slashes, as HDF5 resolves it beside the file.

    Symbolic links are resolved on both sides, so that ``..`` leads where it should.
    """
    return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()
