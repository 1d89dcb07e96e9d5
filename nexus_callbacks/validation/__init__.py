"""Validation: is a file what NeXus, the facility's definition and viewers expect?

:func:`validate` returns a :class:`Report` of :class:`Finding` values and raises nothing for a bad file. It looks at

* NXDL: base classes and application definitions, by nexusformat's validator (the extra ``validate``), with an
  allow-list for what ESRF's own shape makes that say (:mod:`~nexus_callbacks.validation.allowed`),
* links, virtual datasets and external raw storage (:mod:`~nexus_callbacks.validation.links`),
* the default plot and every NXdata (:mod:`~nexus_callbacks.validation.plot`),
* times, units and the definition's mandatory fields (:mod:`~nexus_callbacks.validation.contents`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py

from nexus_callbacks.validation import contents, links, nxdl, plot
from nexus_callbacks.validation.nodes import UNREADABLE, Child, attribute, find, join
from nexus_callbacks.validation.report import Finding, Report, Severity, report

__all__ = ["Finding", "Report", "Severity", "validate"]


def validate(path: str | Path) -> Report:
    """Look at a dataset file, or at a master file with all entries that it links to.

    Parameters
    ----------
    path
        The file. Findings in the target of a master's link stand under the master's path (``/entry_0001/sample``).

    Returns
    -------
    Report
        All findings. What is no HDF5 file gives one error.
    """
    return report(str(path), _findings(Path(path)))


def _findings(path: Path) -> Iterator[Finding]:
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        yield Finding("/", "error", "there is no such file")
        return
    except OSError as error:
        yield Finding("/", "error", f"cannot be read as HDF5, which a NeXus file is: {error}")
        return
    if not nxdl.available():
        yield nxdl.MISSING
    with file:
        entries = []
        for name in file:
            link = file.get(name, getlink=True)
            child = Child(file, name, link, find(file, name))
            if isinstance(link, h5py.ExternalLink):
                yield from links.check_external(child)
            if isinstance(child.node, h5py.Group):
                entries.append(name)
                yield from _entry_findings(child.node, child.path)
            elif child.node is not None:
                yield Finding(child.path, "warning", "stands at the root, where NeXus has entries only")
            elif not isinstance(link, h5py.ExternalLink):
                yield Finding(child.path, "error", "is a link that leads nowhere")
        if not entries:
            yield Finding("/", "error", "has no entry (a group of class NXentry)")
        else:
            yield from plot.check_root(file, entries)


def _entry_findings(entry: h5py.Group, shown: str) -> Iterator[Finding]:
    """Findings on an entry, which may be in another file, under the path by which it was reached."""
    if attribute(entry, "NX_class") != "NXentry":
        yield Finding(shown, "error", f"has the class {attribute(entry, 'NX_class')}, where NeXus has NXentry only")
        return
    for finding in _checks(entry):
        inner = finding.path.removeprefix(entry.name).lstrip("/")
        inside = finding.path == entry.name or finding.path.startswith(join(entry.name, ""))
        yield replace(finding, path=join(shown, inner).rstrip("/")) if inside else finding


def _checks(entry: h5py.Group) -> Iterator[Finding]:
    try:
        yield from links.check(entry)
        yield from plot.check(entry)
        yield from contents.check(entry)
        circle = links.circle(entry)
    except UNREADABLE as error:
        yield Finding(entry.name, "error", f"cannot be read to its end: {error}", "the file is damaged")
        return
    if circle is not None:
        yield Finding(circle, "error", "leads back to a group above it, so that programs go round in a circle")
    elif nxdl.available():
        yield from nxdl.check(Path(entry.file.filename), entry.name, contents.asked(entry))
