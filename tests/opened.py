"""Opened: where tests look in a file."""

from pathlib import Path

import h5py

from nexus_callbacks import NexusWriter


def only_file(writer: NexusWriter) -> Path:
    """The one file of a writer."""
    (path,) = writer.files.values()
    return path


def default_plot(file: h5py.File) -> h5py.Group:
    """The NXdata that a reader opens first."""
    entry = file[file.attrs["default"]]
    return entry[entry.attrs["default"]]
