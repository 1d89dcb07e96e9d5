"""Survey: can a program that follows links come to the end of an entry, and read what it meets?"""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from nexus_callbacks.validation import links
from nexus_callbacks.validation.nodes import DEEPEST, MOST, UNREADABLE, find, identity, join, link_of, names
from nexus_callbacks.validation.report import Finding

DAMAGED = "the file is damaged"
_NOT_NXDL = "so that it was not looked at as a whole, nor checked against the NeXus definitions"


def check(entry: h5py.Group) -> Iterator[Finding]:
    """Findings on an entry that a program which follows links, such as nexusformat's validator, would break at."""
    return _Survey().visit(entry, entry.name, frozenset())


class _Survey:
    def __init__(self) -> None:
        self._below: dict[tuple[int, int], int] = {}
        """Objects below each group that was gone through, each as often as there is a way to it."""
        self._met = 0
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
        elif here in self._below:
            yield from self._count(path, self._below[here])
        elif len(above) >= DEEPEST:
            self._stopped = True
            yield Finding(path, "warning", f"stands below {DEEPEST} groups, {_NOT_NXDL}")
        else:
            before = self._met
            yield from self._children(group, path, above | {here})
            self._below[here] = self._met - before

    def _count(self, path: str, objects: int) -> Iterator[Finding]:
        self._met += objects
        if self._met > MOST and not self._stopped:
            self._stopped = True
            yield Finding(path, "warning", f"is beyond the first {MOST} objects of its entry, {_NOT_NXDL}")

    def _children(self, group: h5py.Group, path: str, above: frozenset[tuple[int, int]]) -> Iterator[Finding]:
        found, fault = names(group)
        if fault:
            yield Finding(path, "error", fault, DAMAGED)
        for name in found:
            where = join(path, name)
            yield from self._count(where, 1)
            if self._stopped:
                return
            link = link_of(group, name)
            if isinstance(link, h5py.ExternalLink):
                # To open a pipe would be to wait for ever. That a file is not there, harms no program.
                fault = links.no_file(links.target(group, link))
                if fault == links.NO_FILE:
                    yield from links.check_target(group, link, where)
                if fault:
                    continue
            child = find(group, name) if link is not None else None
            if isinstance(child, h5py.Group):
                yield from self.visit(child, where, above)
            elif child is None and (link is None or isinstance(link, h5py.HardLink)):
                yield Finding(where, "error", "cannot be read", DAMAGED)
