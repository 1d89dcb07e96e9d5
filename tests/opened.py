"""Opened: where tests look in a file."""

from pathlib import Path

import h5py

from nexus_callbacks import NexusWriter, validate


def only_file(writer: NexusWriter) -> Path:
    """The one file of a writer."""
    (path,) = writer.files.values()
    return path


def opened(writer: NexusWriter) -> h5py.File:
    """The one file of a writer, which is valid."""
    path = only_file(writer)
    report = validate(path)
    assert report.valid, [str(f) for f in report.errors]
    return h5py.File(path)


def default_plot(file: h5py.File) -> h5py.Group:
    """The NXdata that a reader opens first."""
    entry = file[file.attrs["default"]]
    return entry[entry.attrs["default"]]
