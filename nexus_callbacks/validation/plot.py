"""Plot: the default plot, and every NXdata that a viewer could draw.

Rules of NXdata as in the NeXus manual, NXDL v2026.01.
"""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np

from nexus_callbacks.validation.nodes import UNREADABLE, attribute, attribute_list, find, groups, shape
from nexus_callbacks.validation.report import Finding, guarded


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on an entry's default plot and on each NXdata below it."""
    drawable = list(groups(entry, "NXdata"))
    for data in drawable:
        yield from guarded(data.name, check_data, data)
    yield from check_default(entry, drawable)


def check_root(root: h5py.Group, entries: list[str]) -> Iterator[Finding]:
    """Findings on the root's default entry."""
    default = attribute(root, "default")
    if default is None:
        yield Finding("/", "error", "has no attribute 'default', so that no viewer knows what to draw")
    elif default not in entries:
        yield Finding("/", "error", f"the attribute 'default' names {default!r}, which is no entry of this file")


def check_default(entry: h5py.Group, drawable: list[h5py.Group]) -> Iterator[Finding]:
    """Findings on the way from an entry to the NXdata that is drawn by default."""
    node, seen = entry, {entry.name}
    while True:
        default = attribute(node, "default")
        if default is None:
            if attribute(node, "NX_class") == "NXdata":
                return
            if not drawable:
                yield Finding(entry.name, "info", "holds nothing to draw: no NXdata")
                return
            yield Finding(node.name, "error", "has no attribute 'default', so that no viewer knows what to draw")
            return
        target = find(node, default)
        if not isinstance(target, h5py.Group):
            yield Finding(node.name, "error", f"the attribute 'default' names {default!r}, which is no group here")
            return
        if target.name in seen:
            yield Finding(node.name, "error", f"the attribute 'default' leads back to {target.name}")
            return
        seen.add(target.name)
        node = target


def check_data(data: h5py.Group) -> Iterator[Finding]:
    """Findings on one NXdata: its signals exist, its axes exist and are as long as the signal, or one longer."""
    path = data.name
    name = attribute(data, "signal")
    if name is None:
        yield Finding(path, "error", "has no attribute 'signal'")
        return
    signal = find(data, name)
    if not isinstance(signal, h5py.Dataset):
        yield Finding(path, "error", f"the signal {name!r} is not there or cannot be read")
        return
    extent = shape(signal)
    if extent is None:
        yield Finding(path, "error", f"the signal {name!r} holds no values")
        return
    for other in attribute_list(data, "auxiliary_signals") or []:
        auxiliary = find(data, other)
        if not isinstance(auxiliary, h5py.Dataset):
            yield Finding(path, "error", f"the auxiliary signal {other!r} is not there or cannot be read")
        elif shape(auxiliary) != extent:
            yield Finding(path, "error", f"{other!r} has the shape {shape(auxiliary)}, the signal {extent}")
    axes = attribute_list(data, "axes")
    if axes is None:
        return
    if len(axes) != len(extent):
        yield Finding(path, "error", f"the signal has {len(extent)} dimensions, the attribute 'axes' {len(axes)}")
        return
    for dimension, axis in enumerate(axes):
        if axis != ".":
            yield from _check_axis(data, extent, axis, dimension)


def _check_axis(data: h5py.Group, extent: tuple[int, ...], name: str, dimension: int) -> Iterator[Finding]:
    axis = find(data, name)
    if not isinstance(axis, h5py.Dataset):
        yield Finding(data.name, "error", f"the axis {name!r} is not there or cannot be read")
        return
    lengths, spanned = shape(axis), _spanned(data, name, dimension)
    if lengths is None:
        yield Finding(data.name, "error", f"the axis {name!r} holds no values")
        return
    if spanned is None:
        yield Finding(data.name, "error", f"the attribute '{name}_indices' is no list of whole numbers")
        return
    if len(lengths) != len(spanned) or any(not 0 <= i < len(extent) for i in spanned):
        yield Finding(
            data.name, "error", f"the axis {name!r} of {len(lengths)} dimensions cannot span dimensions {spanned}"
        )
        return
    for length, index in zip(lengths, spanned, strict=True):
        if length not in (extent[index], extent[index] + 1):
            yield Finding(
                data.name,
                "error",
                f"the axis {name!r} has {length} values along dimension {index}, the signal {extent[index]}",
            )


def _spanned(data: h5py.Group, name: str, dimension: int) -> list[int] | None:
    """The signal's dimensions that an axis spans: what its attribute ``_indices`` says, else its place in ``axes``."""
    try:
        written = data.attrs.get(f"{name}_indices")
        if written is None:
            return [dimension]
        indices = np.asarray(written)
    except UNREADABLE:
        return None
    return [int(i) for i in indices.ravel()] if indices.dtype.kind in "iu" else None
