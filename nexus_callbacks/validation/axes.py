"""Axes: does every chain of ``depends_on`` lead from axis to axis down to the floor (NXDL v2026.01)?"""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from nexus_callbacks.validation.nodes import attribute, find, identity, text, walk
from nexus_callbacks.validation.report import Finding, guarded

FLOOR = "."
NAME = "depends_on"
REMEDY = "no program can tell where that stands: give each axis that it names a value"


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on the fields and attributes ``depends_on`` below an entry; a path is absolute or goes by its group."""
    for child in walk(entry):
        if not isinstance(child.node, h5py.Dataset):
            continue
        wanted = text(child.node) if child.name == NAME else attribute(child.node, NAME)
        if wanted is not None:
            yield from guarded(child.path, _check, child.path, child.parent, wanted)


def _check(path: str, group: h5py.Group, wanted: str) -> Iterator[Finding]:
    met: set[tuple[int, int]] = set()
    first = True
    while wanted != FLOOR:
        axis = find(group, wanted)
        if not isinstance(axis, h5py.Dataset):
            if first:  # What is missing further down is told where it is asked for.
                yield Finding(path, "error", f"depends on {wanted}, where there is no axis", REMEDY)
            return
        here = identity(axis)
        if here in met:
            yield Finding(path, "error", f"depends on {wanted} in a circle", REMEDY)
            return
        met.add(here)
        first = False
        group, wanted = axis.parent, attribute(axis, NAME) or FLOOR
