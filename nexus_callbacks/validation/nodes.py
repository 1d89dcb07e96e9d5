"""Nodes: reading an HDF5 tree that may be broken anywhere.

What is asked here is answered with nothing where it cannot be read; :mod:`~nexus_callbacks.validation.survey` tells
what could not. A file damaged in certain places makes HDF5 itself crash or hang: no program can catch that from within.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

UNREADABLE = (KeyError, OSError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises where an object, an attribute or a value cannot be read; which one, differs by case and release.
TypeError is for a type that numpy does not have, the last two for a size that damage made up."""

DEEPEST = 100
"""Groups within groups that are looked at; nexusformat calls itself several times for each."""
MOST = 20_000
"""Objects of one entry that are looked at; nexusformat takes about a millisecond for each."""

LOCKINGS: tuple[bool | str | None, ...] = (False, None, True)
"""Ways to open a file: without HDF5's locks; as HDF5 does by default; with locks. A file that is open in this process
already opens in the way it was opened first, and in no other."""

_HELD = "is held open by this program with other locks"


@dataclass(frozen=True)
class Child:
    """A name in a group, with what it stands for."""

    parent: h5py.Group
    name: str
    link: h5py.HardLink | h5py.SoftLink | h5py.ExternalLink
    node: h5py.Group | h5py.Dataset | h5py.Datatype | None
    """The object of a hard link, None if it cannot be read; None for soft and external links."""

    @property
    def path(self) -> str:
        """Absolute path in its file."""
        return join(self.parent.name, self.name)


def join(parent: str, name: str) -> str:
    """``parent/name``, also below the root.

    >>> join("/", "entry"), join("/entry", "data")
    ('/entry', '/entry/data')
    """
    return f"{parent.rstrip('/')}/{name}"


def open_file(path: Path, locking: bool | str | None = False) -> h5py.File:
    """The file, open for reading.

    Raises
    ------
    OSError
        It cannot be opened; :func:`refusal` says why in words.
    """
    try:
        return h5py.File(path, "r", locking=locking)
    except (ValueError, RuntimeError) as error:  # ValueError: a name that HDF5 does not take.
        raise OSError(str(error)) from error


def locking_of(file: h5py.File) -> bool | str:
    """How a file was opened, as h5py's ``locking`` takes it."""
    locks, unless_disabled = file.id.get_access_plist().get_file_locking()
    return ("best-effort" if unless_disabled else True) if locks else False


def refusal(error: OSError) -> str:
    """Why a file cannot be opened, as what follows its name."""
    told = str(error)
    if "flag values don't match" in told:
        return _HELD
    if error.errno in (errno.EAGAIN, errno.EDEADLK) or "unable to lock file" in told:
        return "is locked by another program"
    if "already open for" in told:
        return "is open for writing in another program, or was when that was killed"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "may not be read by this user"
    return f"cannot be read as HDF5, which a NeXus file is: {error}"


def held(message: str) -> bool:
    """Whether a message says that another locking may do."""
    return _HELD in message


def names(group: h5py.Group) -> tuple[list[str], str]:
    """The names in a group, as far as they can be read, and what is wrong with the others; empty if nothing is."""
    found: list[str] = []
    odd = 0
    try:
        for name in group:
            if isinstance(name, str):
                found.append(name)
            else:  # h5py leaves bytes as they are where they are not UTF-8.
                odd += 1
    except UNREADABLE as error:
        return found, f"cannot be read: {error}"
    return found, f"has {odd} names that are not UTF-8" if odd else ""


def link_of(group: h5py.Group, name: str) -> h5py.HardLink | h5py.SoftLink | h5py.ExternalLink | None:
    """How a name stands in a group; None if that cannot be read."""
    try:
        return group.get(name, getlink=True)
    except UNREADABLE:
        return None


def walk(group: h5py.Group) -> Iterator[Child]:
    """Everything below a group; each object once, soft and external links not followed.

    It ends at :data:`DEEPEST` and :data:`MOST`.
    """
    seen = {identity(group)}
    waiting = [(group, 0)]
    count = 0
    while waiting:
        parent, depth = waiting.pop()
        for name in names(parent)[0]:
            count += 1
            if count > MOST:
                return
            link = link_of(parent, name)
            if link is None:
                continue
            node = find(parent, name) if isinstance(link, h5py.HardLink) else None
            if node is None:
                yield Child(parent, name, link, None)
                continue
            here = identity(node)
            if here in seen:
                continue
            seen.add(here)
            yield Child(parent, name, link, node)
            if isinstance(node, h5py.Group) and depth < DEEPEST:
                waiting.append((node, depth + 1))


def identity(node: h5py.Group | h5py.Dataset | h5py.Datatype) -> tuple[int, int]:
    """What two paths to one object have in common: number of the open file, and address in it."""
    info = h5py.h5o.get_info(node.id)
    return int(info.fileno), int(info.addr)


def find(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """The object at a path below the group, links followed; None where there is none or a link dangles."""
    try:
        return group[path]
    except UNREADABLE:
        return None


def groups(group: h5py.Group, nx_class: str) -> Iterator[h5py.Group]:
    """Groups of a class at and below a group."""
    if attribute(group, "NX_class") == nx_class:
        yield group
    for child in walk(group):
        if isinstance(child.node, h5py.Group) and attribute(child.node, "NX_class") == nx_class:
            yield child.node


def attribute(node: h5py.Group | h5py.Dataset, name: str) -> str | None:
    """An attribute's text; None if it is absent or no single text."""
    texts = attribute_list(node, name)
    return texts[0] if texts is not None and len(texts) == 1 else None


def attribute_list(node: h5py.Group | h5py.Dataset, name: str) -> list[str] | None:
    """An attribute's texts, of which there may be one; None if it is absent or no text."""
    try:
        value = node.attrs.get(name)
        if value is None or isinstance(value, h5py.Empty):
            return None
        items = np.asarray(value).ravel().tolist()
    except UNREADABLE:
        return None
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in items]
    return texts if all(isinstance(t, str) for t in texts) else None


def text(dataset: h5py.Dataset) -> str | None:
    """The text of a scalar or of one element; None for anything else."""
    try:
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape is None or dataset.size != 1:
            return None
        value = np.asarray(dataset[()]).ravel().tolist()[0]
    except UNREADABLE:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def shape(dataset: h5py.Dataset) -> tuple[int, ...] | None:
    """A dataset's shape; None if it has none: HDF5's null dataspace."""
    try:
        return None if dataset.shape is None else tuple(int(n) for n in dataset.shape)
    except UNREADABLE:
        return None
