"""Links: does everything that a file refers to exist where it says?"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import h5py

from nexus_callbacks.validation.nodes import Child, find, identity, join, walk
from nexus_callbacks.validation.report import Finding

MOVED = "put the file back where it was, or run nexus-callbacks relink"


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on the soft links, external links, virtual datasets and external raw storage below an entry."""
    sources = _Sources(Path(entry.file.filename).parent, entry.file)
    for child in walk(entry):
        if isinstance(child.link, h5py.SoftLink):
            if find(child.parent, child.name) is None:
                yield Finding(child.path, "error", f"is a link to {child.link.path}, where there is nothing")
        elif isinstance(child.link, h5py.ExternalLink):
            yield from check_external(child)
        elif isinstance(child.node, h5py.Dataset):
            if child.node.is_virtual:
                yield from sources.check(child.path, child.node)
            if child.node.external:
                yield from _check_raw(child.path, child.node)


def circle(group: h5py.Group) -> str | None:
    """Path of a link that leads back to a group above it; None if there is no such link.

    A program that follows links does not come to an end there, nexusformat among them.
    """
    done: set[tuple[int, int]] = set()

    def visit(node: h5py.Group, path: str, above: frozenset[tuple[int, int]]) -> str | None:
        here = identity(node)
        if here in above:
            return path
        if here in done:
            return None
        for name in node:
            child = find(node, name)
            found = visit(child, join(path, name), above | {here}) if isinstance(child, h5py.Group) else None
            if found is not None:
                return found
        done.add(here)
        return None

    return visit(group, group.name, frozenset())


def check_external(child: Child) -> Iterator[Finding]:
    """Findings on one external link.

    The target is looked for beside the file that holds the link and nowhere else: HDF5 also tries the reader's
    working folder, where it may find another file of that name.
    """
    name = str(child.link.filename)
    if Path(name).is_absolute():
        yield Finding(
            child.path, "warning", f"links to {name} by an absolute path", "the link breaks when the folder is moved"
        )
    target = Path(child.parent.file.filename).parent / name
    if not target.exists():
        yield Finding(child.path, "error", f"links to {name}, which does not exist", MOVED)
    elif find(child.parent, child.name) is None:
        yield Finding(child.path, "error", f"links to {child.link.path} in {name}, where there is nothing")


def _check_raw(path: str, dataset: h5py.Dataset) -> Iterator[Finding]:
    """Findings on external raw storage, whose segments are (file, offset, size), sizes in bytes."""
    for name, offset, size in dataset.external:
        if not Path(name).is_absolute():
            yield Finding(
                path, "error", f"takes its data from {name}, a path that goes by the reader's working folder", MOVED
            )
        elif not Path(name).exists():
            yield Finding(path, "error", f"takes its data from {name}, which does not exist", MOVED)
        elif size != h5py.h5f.UNLIMITED and Path(name).stat().st_size < offset + size:
            yield Finding(path, "error", f"takes its data from {name}, which is shorter than it should be")


class _Sources:
    """The source datasets of virtual ones, each looked at once: a virtual dataset may name a file a thousand times."""

    def __init__(self, folder: Path, file: h5py.File) -> None:
        self._folder = folder
        self._file = file
        self._known: dict[tuple[str, str], tuple[int, ...] | str] = {}

    def check(self, path: str, dataset: h5py.Dataset) -> Iterator[Finding]:
        """Findings on one virtual dataset: HDF5 reads fill values, without a word, where a source is missing."""
        told: set[str] = set()
        for source in dataset.virtual_sources():
            # %b numbers the blocks of an unlimited mapping; the first stands for all.
            file, name = (s.replace("%b", "0").replace("%%", "%") for s in (source.file_name, source.dset_name))
            shape = self._look(file, name)
            fault = shape if isinstance(shape, str) else _short(source, shape, f"{name} in {file}")
            if fault and fault not in told:
                told.add(fault)
                yield Finding(path, "error", fault, "the frames read as fill values: " + MOVED)
            if Path(file).is_absolute() and file not in told:
                told.add(file)
                yield Finding(
                    path, "warning", f"takes frames from {file} by an absolute path", "breaks when the folder is moved"
                )

    def _look(self, file: str, name: str) -> tuple[int, ...] | str:
        """The source's shape, or what is wrong with it."""
        if (file, name) not in self._known:
            self._known[file, name] = self._open(file, name)
        return self._known[file, name]

    def _open(self, file: str, name: str) -> tuple[int, ...] | str:
        if file == ".":
            return _shape_or_fault(self._file, name, "this file")
        if not (self._folder / file).exists():
            return f"takes frames from {file}, which does not exist"
        try:
            with h5py.File(self._folder / file, "r", locking=False) as opened:
                return _shape_or_fault(opened, name, file)
        except OSError:
            return f"takes frames from {file}, which cannot be read as HDF5"


def _shape_or_fault(file: h5py.File, name: str, label: str) -> tuple[int, ...] | str:
    node = find(file, name)
    if not isinstance(node, h5py.Dataset):
        return f"takes frames from {name} in {label}, where there is no dataset"
    return tuple(int(n) for n in node.shape)


def _short(source: Any, shape: tuple[int, ...], label: str) -> str:
    """What is wrong if a mapping goes beyond its source; empty if nothing is."""
    beyond = f"takes frames beyond the end of {label}, whose shape is {shape}"
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:  # tells no shape, but must be as many as are mapped
        return beyond if prod(shape) < source.vspace.get_select_npoints() else ""
    if source.src_space.is_regular_hyperslab():
        _, _, count, block = source.src_space.get_regular_hyperslab()
        if h5py.h5s.UNLIMITED in (*count, *block):  # grows with its source
            return ""
    if source.src_space.get_select_npoints() == 0:
        return ""
    _, last = source.src_space.get_select_bounds()
    if len(last) != len(shape):
        return f"takes frames of {len(last)} dimensions from {label}, which has {len(shape)}"
    if any(n <= end for end, n in zip(last, shape, strict=True)):
        return beyond
    return ""
