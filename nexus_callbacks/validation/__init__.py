"""Validation: is a file what NeXus, the facility's definition and viewers expect?

:func:`validate` returns a :class:`Report` of :class:`Finding` values and raises nothing for a bad file. It looks at

* NXDL: base classes and application definitions, by nexusformat's validator (the extra ``validate``), with an
  allow-list for what ESRF's own shape makes that say (:mod:`~nexus_callbacks.validation.allowed`),
* whether the file was written to its end (:mod:`~nexus_callbacks.validation.state`),
* whether programs come to the end of it (:mod:`~nexus_callbacks.validation.survey`),
* links, virtual datasets and external raw storage (:mod:`~nexus_callbacks.validation.links`),
* chains of axes (:mod:`~nexus_callbacks.validation.axes`),
* the default plot and every NXdata (:mod:`~nexus_callbacks.validation.plot`),
* times and units (:mod:`~nexus_callbacks.validation.contents`),
* the definition's mandatory fields, types and units, and the number of frames
  (:mod:`~nexus_callbacks.validation.record`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py

from nexus_callbacks.validation import axes, contents, links, nxdl, plot, record, state, survey
from nexus_callbacks.validation.nodes import (
    LOCKINGS,
    attribute,
    find,
    held,
    join,
    link_of,
    locking_of,
    names,
    open_file,
    refusal,
)
from nexus_callbacks.validation.report import Finding, Report, Severity, guarded, report

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
        All findings. What is no HDF5 file gives one error, and so does each part that cannot be read. Nothing is
        raised; but a file may be damaged so that HDF5 itself crashes or hangs, which only a process of its own bears.
    """
    tries: list[list[Finding]] = []
    for locking in LOCKINGS:
        found = list(guarded("/", _findings, Path(path), locking))
        if not any(held(finding.message) for finding in found):
            return report(str(path), found)
        tries.append(found)
    # This process holds files open in different ways: most is told by a try that opened the file itself.
    opened = [found for found in tries if not any(f.path == "/" and held(f.message) for f in found)]
    return report(str(path), (opened or tries)[0])


def _findings(path: Path, locking: bool | str | None) -> Iterator[Finding]:
    fault = links.no_file(path)
    if fault:
        yield Finding("/", "error", "there is no such file" if fault != links.NO_FILE else fault)
        return
    try:
        file = open_file(path, locking)
    except OSError as error:
        told = refusal(error)
        yield Finding("/", "error", told, "close it there and validate again" if held(told) else "")
        return
    if not nxdl.available():
        yield nxdl.MISSING
    with file:
        yield from state.check(file, "/")
        found, unreadable = names(file)
        if unreadable:
            yield Finding("/", "error", unreadable, survey.DAMAGED)
        entries: list[str] = []
        for name in found:
            yield from guarded(join("/", name), _root_findings, file, name, entries)
        if not entries:
            yield Finding("/", "error", "has no entry (a group of class NXentry)")
        else:
            yield from guarded("/", plot.check_root, file, entries)


def _root_findings(file: h5py.File, name: str, entries: list[str]) -> Iterator[Finding]:
    """Findings on what stands at the root under a name, which is added to the entries if it is one."""
    path, link = join("/", name), link_of(file, name)
    external = isinstance(link, h5py.ExternalLink)
    if external:
        faults = list(links.check_external(file, name, link))
        yield from faults
        if any(fault.severity == "error" for fault in faults):
            return
    node = find(file, name)
    if node is not None and isinstance(link, h5py.SoftLink) and find(file, str(link.path).split("/")[1]) is not None:
        return  # A second name of what is looked at in its own entry.
    if isinstance(node, h5py.Group):
        entries.append(name)
        if external:
            yield from state.check(node.file, path)
        yield from _entry_findings(node, path)
    elif node is not None:
        yield Finding(path, "warning", "stands at the root, where NeXus has entries only")
    elif isinstance(link, h5py.SoftLink):
        yield Finding(path, "error", "is a link that leads nowhere")
    else:
        yield Finding(path, "error", "cannot be read", survey.DAMAGED)


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
    stumbles = list(guarded(entry.name, survey.check, entry))
    yield from stumbles
    for check in (links.check, axes.check, plot.check, contents.check, record.check):
        yield from guarded(entry.name, check, entry)
    # nexusformat would stumble, too: it goes round in circles, or is busy for hours.
    if not stumbles and nxdl.available():
        yield from guarded(entry.name, _nxdl_findings, entry)


def _nxdl_findings(entry: h5py.Group) -> Iterator[Finding]:
    file = entry.file
    yield from nxdl.check(Path(file.filename), entry.name, record.asked(entry), locking_of(file))
