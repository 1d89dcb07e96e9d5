"""Nodes: reading an HDF5 tree that may be broken anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np

UNREADABLE = (KeyError, OSError, RuntimeError, ValueError)
"""What h5py raises where an object, an attribute or a value cannot be read; which one, differs by case and release."""


@dataclass(frozen=True)
class Child:
    """A name in a group, with what it stands for."""

    parent: h5py.Group
    name: str
    link: h5py.HardLink | h5py.SoftLink | h5py.ExternalLink
    node: h5py.Group | h5py.Dataset | h5py.Datatype | None
    """The object of a hard link; None for soft and external links."""

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


def walk(group: h5py.Group) -> Iterator[Child]:
    """Everything below a group; each object once, soft and external links not followed."""
    seen = {identity(group)}
    waiting = [group]
    while waiting:
        parent = waiting.pop()
        for name in parent:
            link = parent.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield Child(parent, name, link, None)
                continue
            node = parent[name]
            if identity(node) in seen:
                continue
            seen.add(identity(node))
            yield Child(parent, name, link, node)
            if isinstance(node, h5py.Group):
                waiting.append(node)


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
    except UNREADABLE:
        return None
    if value is None or isinstance(value, h5py.Empty):
        return None
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in np.asarray(value).ravel().tolist()]
    return texts if all(isinstance(t, str) for t in texts) else None


def text(dataset: h5py.Dataset) -> str | None:
    """The text of a scalar or of one element; None for anything else."""
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape is None or dataset.size != 1:
        return None
    try:
        value = np.asarray(dataset[()]).ravel().tolist()[0]
    except UNREADABLE:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
