"""Survey: can a program that follows links come to the end of an entry, and read what it meets?"""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from nexus_callbacks.validation.nodes import DEEPEST, MOST, UNREADABLE, find, identity, join, link_of, names
from nexus_callbacks.validation.report import Finding

DAMAGED = "the file is damaged: take it from the backup, or acquire again"
_NOT_NXDL = "so that it was not looked at as a whole, nor checked against the NeXus definitions"


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on an entry that a program which follows links, such as nexusformat's validator, would break at."""
    return _Survey().visit(entry, entry.name, frozenset())


class _Survey:
    def __init__(self) -> None:
        self._done: set[tuple[int, int]] = set()
        self._met = 0
        """Objects that were met by now, each as often as there is a way to it from a group."""
        self._stopped = False

    def visit(self, group: h5py.Group, path: str, above: frozenset[tuple[int, int]]) -> Iterator[Finding]:
        """Findings on a group, reached at a path, and what is below it; each group is gone through once."""
        try:
            here = identity(group)
        except UNREADABLE as error:
            yield Finding(path, "error", f"cannot be read: {error}", DAMAGED)
            return
        if here in above:
            yield Finding(path, "error", "leads back to a group above it, so that programs go round in a circle")
            return
        if here in self._done:
            return
        self._done.add(here)
        if len(above) >= DEEPEST:
            self._stopped = True
            yield Finding(path, "warning", f"stands below {DEEPEST} groups, {_NOT_NXDL}")
            return
        found, fault = names(group)
        if fault:
            yield Finding(path, "error", fault, DAMAGED)
        for name in found:
            self._met += 1
            if self._met > MOST:
                self._stopped = True
                yield Finding(path, "warning", f"is beyond the first {MOST} objects of its entry, {_NOT_NXDL}")
            if self._stopped:
                return
            yield from self._child(group, name, join(path, name), above | {here})

    def _child(
        self, group: h5py.Group, name: str, path: str, above: frozenset[tuple[int, int]]
    ) -> Iterator[Finding]:
        link = link_of(group, name)
        child = find(group, name) if link is not None else None
        if isinstance(child, h5py.Group):
            yield from self.visit(child, path, above)
        elif child is None and (link is None or isinstance(link, h5py.HardLink)):
            yield Finding(path, "error", "cannot be read", DAMAGED)
