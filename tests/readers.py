"""Readers: other programs open what we wrote. Each tells in sentences what it cannot read.

None of them shares code with the writer, but :func:`ours`, which runs NeXus's own definitions through nexusformat:

* nexusformat, which NeXpy and nxvalidate are made of: the tree and its default plot,
* silx, whose viewer many beamlines use: the default plot, with its axes,
* h5py: the chain of ``default`` attributes as the NeXus manual has it,
* h5dump (Debian's hdf5-tools, HDF5 1.10): every byte.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import silx.io
import silx.io.nxdata
from nexusformat.nexus import nxload

from nexus_callbacks import validate

SUFFIXES = (".h5", ".hdf5", ".nxs", ".nx")
SMALL = 2**20
"""Bytes of a file up to which h5dump prints its values too."""


def files_below(folder: Path | str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Files that are named as HDF5 files are: path; time of the last change and size."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:  # A test may have made it unreadable, or gone.
        for each in found:
            if each.is_dir(follow_symlinks=False):
                yield from files_below(each.path)
            elif each.name.endswith(SUFFIXES) and each.is_file(follow_symlinks=False):
                stat = each.stat()
                yield each.path, (stat.st_mtime_ns, stat.st_size)


def state(path: Path) -> str | None:
    """``complete`` or ``incomplete``; None for a file that is being written or that is not ours."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            told = file.attrs.get("state") if file.attrs.get("creator") == "nexus_callbacks" else None
    except OSError:
        return None
    return told if told in ("complete", "incomplete") else None


def complaints(path: Path) -> list[str]:
    """What the readers say against a file."""
    return [f"{path.name}: {reader.__name__}: {said}" for reader in READERS for said in _asked(reader, path)]


def _asked(reader: Callable[[Path], Iterable[str]], path: Path) -> Iterator[str]:
    try:
        yield from reader(path)
    except Exception as error:  # What a program stumbles over is for it to choose.
        yield f"it breaks: {type(error).__name__}: {error}"


def ours(path: Path) -> Iterator[str]:
    """Our validation, with the NXDL of nexusformat and the list of what is allowed."""
    yield from map(str, validate(path).errors)


def nexusformat(path: Path) -> Iterator[str]:
    """The default plot as NeXpy would draw it."""
    named, gaps = has_default(path), has_gaps(path)  # Asked first: it opens the file with other locks.
    with nxload(path, "r") as root:
        default = root.get_default()
        if default is None:
            if named:
                yield "it finds no default plot"
            return
        signal, axes = default.nxsignal, default.nxaxes
        if signal is None:
            yield f"{default.nxpath}: it finds no signal"
            return
        if gaps:
            return  # nexusformat 2.1 takes a virtual dataset to have as many frames as it has sources.
        values = signal.nxdata
        for dimension, axis in enumerate(axes or ()):
            if axis is not None and axis.nxdata.ndim == 1:
                length, extent = axis.nxdata.shape[0], values.shape[dimension]
                if length not in (extent, extent + 1):
                    yield f"{axis.nxpath} has {length} values along dimension {dimension}, the signal {extent}"


def silx_viewer(path: Path) -> Iterator[str]:
    """The default plot as silx's viewer would draw it."""
    named = has_default(path)
    with silx.io.open(str(path)) as root:
        default = silx.io.nxdata.get_default(root, validate=True)
        if default is None or not default.is_valid:
            if named:
                yield f"it finds no default plot: {default.issues if default else ''}"
        else:
            yield from default.issues
            np.asarray(default.signal)


def plain_h5py(path: Path) -> Iterator[str]:
    """The chain of default attributes to a signal, whose axes are as long as it is, or one longer."""
    with h5py.File(path, "r", locking=False) as file:
        data = default_of(file)
        if data is None:
            return
        if data.attrs.get("NX_class") != "NXdata" or data.attrs.get("signal") not in data:
            yield f"{data.name}: the chain of defaults does not end at an NXdata with a signal"
            return
        signal = data[data.attrs["signal"]]
        axes = list(np.atleast_1d(data.attrs.get("axes", np.empty(0, "S"))))
        if axes and len(axes) != signal.ndim:
            yield f"{data.name}: {len(axes)} axes for {signal.ndim} dimensions"
        for dimension, axis in enumerate(axes):
            if axis == ".":
                continue
            indices = np.atleast_1d(data.attrs.get(f"{axis}_indices", dimension))
            extents = [signal.shape[i] for i in indices]
            if len(extents) != data[axis].ndim or any(
                n not in (extent, extent + 1) for n, extent in zip(data[axis].shape, extents, strict=True)
            ):
                yield f"{data.name}/{axis} of shape {data[axis].shape} does not fit the signal of {signal.shape}"
        signal[()]


def h5dump(path: Path) -> Iterator[str]:
    """The structure, and the values of a small file, by HDF5's own tool."""
    program = h5dump_program()
    if program is None:
        return
    whole = () if path.stat().st_size <= SMALL else ("-H",)
    done = subprocess.run([program, *whole, str(path)], capture_output=True, check=False, timeout=60)
    if done.returncode or done.stderr:
        yield f"status {done.returncode}: {done.stderr.decode(errors='replace')[:300]}"


READERS = (ours, nexusformat, silx_viewer, plain_h5py, h5dump)


@functools.cache
def h5dump_program() -> str | None:
    """Where h5dump is; None if it is not installed."""
    return shutil.which("h5dump")


def has_default(path: Path) -> bool:
    """Whether a file names a default plot."""
    with h5py.File(path, "r", locking=False) as file:
        found = default_of(file)
        return found is not None and found is not file


def has_gaps(path: Path) -> bool:
    """Whether frames of the default plot's signal are missing."""
    with h5py.File(path, "r", locking=False) as file:
        found = default_of(file)
        return found is not None and "missing_frames" in found[found.attrs["signal"]].attrs


def default_of(file: h5py.File) -> h5py.Group | None:
    """Where the chain of defaults ends; None if it does not lead from the entry to a plot."""
    node: h5py.Group = file[file.attrs["default"]] if file.attrs.get("default") in file else file
    if "default" not in node.attrs:
        return None
    while "default" in node.attrs:
        node = node[node.attrs["default"]]
    return node


def form(path: Path) -> str:
    """What a file is like but for its values: two files of one form are read alike, and one of them is enough."""
    found = hashlib.sha256()

    def add(name: str, node: h5py.Group | h5py.Dataset) -> None:
        held = getattr(node, "dtype", None)
        kind = "text" if held is not None and held.kind in "SO" else str(held)
        found.update(repr((name, getattr(node, "shape", None), kind)).encode())
        for key in sorted(node.attrs):
            value = node.attrs[key]
            found.update(repr((key, str(value) if key not in VALUES else np.shape(value))).encode())

    def visit(name: str, link: object) -> None:
        there = file.get(name) is not None
        found.update(repr((name, type(link).__name__, getattr(link, "path", ""), there)).encode())

    with h5py.File(path, "r", locking=False) as file:
        add("", file)
        file.visititems_links(visit)
        file.visititems(add)
    return found.hexdigest()


VALUES = {"file_name", "file_time", "start", "folder", "ESRF_description"}
"""Attributes whose value no reader looks at."""
