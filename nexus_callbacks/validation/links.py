"""Links: does everything that a file refers to exist where it says?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import h5py

from nexus_callbacks.validation.nodes import UNREADABLE, Child, find, held, join, open_file, refusal, shape, walk
from nexus_callbacks.validation.report import Finding, Severity, guarded

MOVED = "put the file back where it was; a folder is best moved as a whole"
_FILLED = "the frames read as fill values: " + MOVED
NO_FILE = "is no regular file"
_CLOSE = "close it and validate again"


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on the soft links, external links, virtual datasets and external raw storage below an entry."""
    sources = _Sources(Path(entry.file.filename).parent, entry.file)
    for child in walk(entry):
        yield from guarded(child.path, _check_child, child, sources)


def _check_child(child: Child, sources: _Sources) -> Iterator[Finding]:
    if isinstance(child.link, h5py.SoftLink):
        if find(child.parent, child.name) is None:
            yield Finding(child.path, "error", f"is a link to {_text(child.link.path)}, where there is nothing")
    elif isinstance(child.link, h5py.ExternalLink):
        yield from check_external(child.parent, child.name, child.link)
    elif isinstance(child.node, h5py.Dataset):
        if child.node.is_virtual:
            yield from sources.check(child.path, child.node)
        if child.node.external:
            yield from _check_raw(child.path, child.node)


def target(group: h5py.Group, link: h5py.ExternalLink) -> Path:
    """The file that an external link names.

    It is looked for beside the file that holds the link and nowhere else: HDF5 also tries the reader's working folder,
    where it may find another file of that name.
    """
    return Path(group.file.filename).parent / _text(link.filename)


def check_external(group: h5py.Group, name: str, link: h5py.ExternalLink) -> Iterator[Finding]:
    """Findings on one external link."""
    path, file = join(group.name, name), _text(link.filename)
    if Path(file).is_absolute():
        yield Finding(
            path, "warning", f"links to {file} by an absolute path", "the link breaks when the folder is moved"
        )
    faults = list(check_target(group, link, path))
    yield from faults
    if not faults and find(group, name) is None:
        where = _text(link.path)
        try:
            with open_file(target(group, link)) as opened:
                fault = "where there is nothing" if find(opened, where) is None else "which cannot be opened from here"
        except OSError as error:
            yield Finding(
                path, "error", f"links to {file}, which {refusal(error)}", _CLOSE if held(refusal(error)) else ""
            )
            return
        yield Finding(path, "error", f"links to {where} in {file}, {fault}")


def check_target(group: h5py.Group, link: h5py.ExternalLink, path: str) -> Iterator[Finding]:
    """The finding that the file of an external link, which stands at a path, is none."""
    fault = no_file(target(group, link))
    if fault:
        yield Finding(path, "error", f"links to {_text(link.filename)}, which {fault}", MOVED)


def no_file(path: Path) -> str:
    """What is wrong if there is no file at a path; empty if there is one. A pipe would be waited at for ever."""
    try:
        if path.is_file():
            return ""
        return NO_FILE if path.exists() else "does not exist"
    except (OSError, ValueError):  # longer than a file's name can be, or with a zero in it
        return "does not exist"


def _text(name: str | bytes) -> str:
    """A name as text; h5py leaves bytes as they are where they are not UTF-8."""
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def _check_raw(path: str, dataset: h5py.Dataset) -> Iterator[Finding]:
    """Findings on external raw storage, whose segments are (file, offset, size), sizes in bytes."""
    for segment, offset, size in dataset.external:
        name = _text(segment)
        fault = no_file(Path(name))
        if not Path(name).is_absolute():
            yield Finding(
                path, "error", f"takes its data from {name}, a path that goes by the reader's working folder", MOVED
            )
        elif fault:
            yield Finding(path, "error", f"takes its data from {name}, which {fault}", MOVED)
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
            file, name = (_printed(_text(s)) for s in (source.file_name, source.dset_name))
            found = self._look(file, name)
            if isinstance(found, str):
                faults: list[tuple[Severity, str]] = [("error", found)]
            else:
                faults = list(_misfit(dataset, source, found, f"{name} in {file}"))
            for severity, fault in faults:
                if fault not in told:
                    told.add(fault)
                    yield Finding(path, severity, fault, _CLOSE if held(fault) else _FILLED)
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
        fault = no_file(self._folder / file)
        if fault:
            return f"takes frames from {file}, which {fault}"
        try:
            with open_file(self._folder / file) as opened:
                return _shape_or_fault(opened, name, file)
        except OSError as error:
            return f"takes frames from {file}, which {refusal(error)}"


def _shape_or_fault(file: h5py.File, name: str, label: str) -> tuple[int, ...] | str:
    node = find(file, name)
    if not isinstance(node, h5py.Dataset):
        return f"takes frames from {name} in {label}, where there is no dataset"
    found = shape(node)
    return f"takes frames from {name} in {label}, which holds no values" if found is None else found


def _misfit(dataset: h5py.Dataset, source: Any, shape: tuple[int, ...], label: str) -> Iterator[tuple[Severity, str]]:
    """What is wrong if a mapping does not fit its source, whose shape is given."""
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        yield from _misfit_of_all(dataset, source.vspace, shape, label)
        return
    rank = source.src_space.get_simple_extent_ndims()
    if rank != len(shape):
        yield "error", f"takes frames of {rank} dimensions from {label}, which has {len(shape)}"
        return
    last = _last(source.src_space)
    if last is not None and any(n <= end for end, n in zip(last, shape, strict=True)):
        yield "error", f"takes frames beyond the end of {label}, whose shape is {shape}"


def _last(space: Any) -> tuple[int, ...] | None:
    """The last index that a selection has in each dimension, -1 where it grows with its source; None if it is empty."""
    if space.is_regular_hyperslab():
        start, stride, count, block = space.get_regular_hyperslab()
        grows = [h5py.h5s.UNLIMITED in pair for pair in zip(count, block, strict=True)]
        if any(grows):
            ends = zip(start, stride, count, block, grows, strict=True)
            return tuple(-1 if g else first + step * (n - 1) + b - 1 for first, step, n, b, g in ends)
    return space.get_select_bounds()[1] if space.get_select_npoints() else None


def _misfit_of_all(
    dataset: h5py.Dataset, mapped: Any, shape: tuple[int, ...], label: str
) -> Iterator[tuple[Severity, str]]:
    """The same where a source is mapped as a whole: HDF5 keeps no shape of it then, only which part it is to fill."""
    if prod(shape) < mapped.get_select_npoints():
        yield "error", f"takes frames beyond the end of {label}, whose shape is {shape}"
        return
    first, last = mapped.get_select_bounds()
    place = tuple(int(b - a + 1) for a, b in zip(first, last, strict=True))
    if prod(shape) != mapped.get_select_npoints():
        yield "error", f"takes the whole of {label}, whose shape is {shape}, for a place of the shape {place}"
        return
    here, there = ([n for n in s if n != 1] for s in (place, shape))
    if here == there:
        return
    if len(here) == len(there):
        yield "error", f"takes the whole of {label}, whose shape is {shape}, for a place of the shape {place}"
        return
    try:  # HDF5 takes a list as a map, and its releases differ in how far they go.
        dataset[tuple(first)]
    except UNREADABLE as error:
        yield "error", f"cannot be read: {label} has the shape {shape}, its place {place}: {error}"
        return
    yield "warning", f"takes {label}, whose shape is {shape}, for a place of the shape {place}"


def _printed(name: str) -> str:
    """A name as HDF5 prints it (H5Pset_virtual): ``%b`` is the number of the block, ``%%`` a percent sign."""
    return re.sub("%(.)", lambda found: "0" if found[1] == "b" else found[1], name)
