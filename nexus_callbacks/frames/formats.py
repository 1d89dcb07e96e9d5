"""Formats: how detectors lay frames out in files, a row of a table for each mimetype or legacy spec.

A further file format is a further row. A row says how the frames of a resource, which are counted from 0, are spread
over files, and by which of HDF5's means a NeXus file can show them: a link, or raw storage whose places a reader of
:mod:`~nexus_callbacks.frames.headers` finds. No file is opened here.

Sources: mimetypes and their parameters as in bluesky 1.15 ``consolidators``; specs as in area-detector-handlers,
ophyd 1.11 and databroker 2.0 ``assets.handlers``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nexus_callbacks.frames import headers

HDF5_MIMETYPE = "application/x-hdf5"


@dataclass(frozen=True)
class Format:
    """One row of the table."""

    name: str
    """What people call it."""
    way: Literal["link", "raw", "none"] = "none"
    """By which of HDF5's means frames are shown: links to HDF5 datasets, external raw storage, or not at all."""
    files: Literal["one", "frames", "row"] = "one"
    """One file for all frames; numbered files of ``chunk_shape[0]`` frames each, 1 if it is not told; or a numbered
    file for each row."""
    dataset: str = ""
    """HDF5 dataset of the frames, where the document names none."""
    template: str = ""
    """Name of a numbered file, where the document gives none; comes after the resource's path."""
    folder: bool = True
    """Whether a resource with numbered files names their folder; else what their names begin with."""
    first: int = 0
    """Number of the first file."""
    closed: bool = False
    """Whether a file is closed as soon as a row in it is told, so that it may be opened when the run stops."""
    read: headers.Reader | None = None
    """Finds the pixels of a raw file."""
    reason: str = ""
    """Why HDF5 cannot show it."""


_HDF5 = Format("HDF5", "link")
_AD_HDF5 = replace(_HDF5, dataset="/entry/data/data")
_NPY = Format("NPY", "raw", read=headers.npy)
_EDF = Format("EDF", "raw", read=headers.edf)
_TIFF = Format("TIFF", "raw", read=headers.tiff)
_TWO_CLOCKS = Format(
    "HDF5", dataset="/entry/instrument/NDAttributes/NDArrayEpicsTSSec", reason="two datasets make one time"
)
_IN_TIFF = Format("TIFF", files="frames", reason="the times are in the tags of the images")

FORMATS: Mapping[str, Format] = {
    HDF5_MIMETYPE: _HDF5,
    "hdf5": _HDF5,
    "AD_HDF5": _AD_HDF5,
    "AD_HDF5_SWMR": _AD_HDF5,
    "AD_HDF5_SWMR_STREAM": _AD_HDF5,
    "AD_HDF5_SWMR_SLICE": _AD_HDF5,
    "AD_HDF5_GERM": _AD_HDF5,
    "AD_HDF5_SINGLE": replace(_AD_HDF5, files="frames", closed=True),
    "AD_HDF5_ND_TS": replace(_HDF5, dataset="/entry/instrument/NDAttributes/NDArrayTimeStamp"),
    "TPX_HDF5": replace(_HDF5, dataset="/entry/instrument/detector/data"),
    "AD_HDF5_TS": _TWO_CLOCKS,
    "AD_HDF5_SWMR_TS": _TWO_CLOCKS,
    "XSP3": Format("HDF5", dataset="/entry/instrument/detector/data", reason="a row is one channel of a frame"),
    "application/x-npy": _NPY,
    "multipart/related;type=application/x-npy": replace(
        _NPY, files="row", template="_%d.npy", folder=False, closed=True
    ),
    "NPY_SEQ": replace(_NPY, files="row", template="_%d.npy", folder=False, closed=True),
    "npy": replace(_NPY, closed=True),
    "npy_FRAMEWISE": _NPY,
    "application/x-edf": _EDF,
    "multipart/related;type=application/x-edf": replace(_EDF, files="frames", closed=True),
    "EDF": _EDF,
    "EDF_SEQ": replace(_EDF, files="frames", closed=True),
    "image/tiff": _TIFF,
    "multipart/related;type=image/tiff": replace(_TIFF, files="frames", closed=True),
    "AD_TIFF": replace(_TIFF, files="frames", closed=True),
    "SINGLE_TIFF": replace(_TIFF, closed=True),
    "AD_TIFF_TS": _IN_TIFF,
    "AD_TIFF_ND_TS": _IN_TIFF,
    "multipart/related;type=image/jpeg": Format("JPEG", files="frames", reason="JPEG is compressed"),
    "AD_CBF": Format("CBF", files="frames", first=1, reason="CBF is compressed"),
}


def format_of(spec: str, dataset: str | None = None) -> Format:
    """The row of a mimetype or legacy spec; one that is not in the table is HDF5 if its document names a dataset.

    >>> format_of("AD_TIFF").name, format_of("PANDA", "/x").name, format_of("PANDA").reason
    ('TIFF', 'HDF5', "the format 'PANDA' is unknown")
    """
    known = FORMATS.get(spec)
    if known is not None:
        return known
    return _HDF5 if dataset else Format(spec, reason=f"the format {spec!r} is unknown")


@dataclass(frozen=True)
class FrameRange:
    """Successive frames of one file; a gap has an empty path."""

    path: str
    dataset: str
    start: int
    stop: int
    spec: str = field(default=HDF5_MIMETYPE, compare=False)


@dataclass(frozen=True)
class Series:
    """A detector's frames, counted from 0, in one file or in numbered files."""

    path: str
    """The file; or what comes before the names of numbered files, a ``/`` at its end where it is a folder."""
    spec: str
    """Key of the table."""
    dataset: str = ""
    template: str = ""
    """Names of numbered files, e.g. ``%s%s_%06d.tif`` or ``cam_{:05d}.tif``; empty for one file."""
    filename: str = ""
    """What the template's ``%s`` stands for."""
    per_file: int = 1
    """Frames in a numbered file."""
    first: int = 0
    """Number of the first file."""

    @property
    def format(self) -> Format:
        """The row of the table."""
        return format_of(self.spec, self.dataset)

    def file(self, number: int) -> str:
        """Path of the numbered file, or of the one file."""
        return self.path + file_name(self.template, self.filename, number) if self.template else self.path

    def files(self, start: int, stop: int) -> int:
        """Number of files that hold a range of frames."""
        return (stop - 1) // self.per_file - start // self.per_file + 1 if self.template else 1

    def ranges(self, start: int, stop: int) -> Iterator[FrameRange]:
        """The range of frames, file by file."""
        if not self.template:
            yield FrameRange(self.path, self.dataset, start, stop, self.spec)
            return
        while start < stop:
            number, inside = divmod(start, self.per_file)
            count = min(self.per_file - inside, stop - start)
            yield FrameRange(self.file(number + self.first), self.dataset, inside, inside + count, self.spec)
            start += count

    def as_dict(self) -> dict[str, Any]:
        """For JSON; see :meth:`from_dict`."""
        return {k: v for k, v in vars(self).items() if v != getattr(Series, k, None)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Series:
        """Read what :meth:`as_dict` made.

        Raises
        ------
        ValueError
            It is something else.
        """
        texts = {k: found[k] for k in ("path", "spec", "dataset", "template", "filename") if k in found}
        numbers = {k: found[k] for k in ("per_file", "first") if k in found}
        bad = [k for k, v in texts.items() if not isinstance(v, str)]
        bad += [k for k, v in numbers.items() if not isinstance(v, int) or isinstance(v, bool) or v < (k == "per_file")]
        if bad or not {"path", "spec"} <= texts.keys():
            raise ValueError(f"no series of frames: {bad or 'path or spec is missing'}")
        return cls(**texts, **numbers)


def numbered(spec: str, path: str, dataset: str | None, parameters: Mapping[str, Any], per_row: int) -> Series:
    """The series of a resource whose rows have ``per_row`` frames.

    ``parameters`` are the document's: ``template``, ``filename``, ``chunk_shape``, ``join_method``, ``initial_number``.
    """
    row = format_of(spec, dataset)
    inside = dataset or row.dataset
    template = parameters.get("template")
    if row.files == "one" and not (row.way == "link" and _in_parts(path, template)):
        return Series(path, spec, inside)
    name = parameters.get("filename")
    first = parameters.get("initial_number")
    chunk = parameters.get("chunk_shape")
    per_file = per_row if row.files == "row" or parameters.get("join_method") == "stack" else 1
    if row.files != "row" and isinstance(chunk, list | tuple) and chunk and isinstance(chunk[0], int) and chunk[0] > 0:
        per_file = chunk[0]
    return Series(
        path if not row.folder or path.endswith("/") else f"{path}/",
        spec,
        inside,
        template if isinstance(template, str) and template else row.template,
        name if isinstance(name, str) else "",
        max(per_file, 1),
        first if isinstance(first, int) and first >= 0 else row.first,
    )


# A template comes in a document: what it may ask for is this, and no number wider than 99 digits.
_FIELD = re.compile(r"%%|%s|%[-+ 0]{0,3}\d{0,2}(?:\.\d{1,2})?[di]|\{(?::[-+ 0<>^]{0,3}\d{0,2}d?)?\}")
_HDF5_FILE = re.compile(r"\.(h5|hdf5?|nxs|nx)$", re.IGNORECASE)


def _in_parts(path: str, template: Any) -> bool:
    """Whether a writer of HDF5, which has one file otherwise, goes on in numbered files of a folder."""
    fields = _FIELD.findall(template) if isinstance(template, str) else ()
    return any(each not in ("%%", "%s") for each in fields) and not _HDF5_FILE.search(path)


def file_name(template: str, filename: str, number: int) -> str:
    """Name of a numbered file.

    Of several ``%s``, of which area detector's first one is the folder, one stands for ``filename``.

    >>> file_name("%s%s_%6.6d.tiff", "scan", 7), file_name("cam_{:04d}.tif", "", 12)
    ('scan_000007.tiff', 'cam_0012.tif')
    """
    texts = iter((filename,))

    def filled(found: re.Match[str]) -> str:
        text = found.group()
        if text == "%%":
            return "%"
        if text == "%s":
            return next(texts, "")
        return text % number if text.startswith("%") else text.format(number)

    return _FIELD.sub(filled, template)
