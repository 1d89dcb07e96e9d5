"""NXDL: an entry against the NeXus base classes and application definitions, by nexusformat's validator.

nexusformat prints what it finds. It is run here with its messages caught at their source, for two reasons beside
silence: its own log loses the messages of a group whose parent has the same class (an NXcollection in an
NXcollection), and gives no path where a group is missing. Written against nexusformat 2.1.0.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py

from nexus_callbacks.definitions import categories
from nexus_callbacks.validation import allowed
from nexus_callbacks.validation.nodes import join
from nexus_callbacks.validation.remedies import with_remedy
from nexus_callbacks.validation.report import Finding, Severity

MISSING = Finding(
    "/",
    "error",
    "cannot be checked against the NeXus definitions: nexusformat is not installed",
    'pip install "nexus-callbacks[validate]"',
)

# What other modules of this package look into themselves, more strictly: links, times, NXdata.
_ELSEWHERE = ("This is a broken link to", "The field value is not a valid NX_DATE_TIME")

ONE_OF_SEVERAL = "the application definition asks for one such group, and another one of the entry is as it wants it"

# nexusformat's validators are one to a process.
_lock = threading.Lock()


def available() -> bool:
    """Whether nexusformat is installed."""
    try:
        _load()
    except ImportError:
        return False
    return True


def check(
    file: Path, entry: str, asked: frozenset[str] = frozenset(), locking: bool | str = False
) -> Iterator[Finding]:
    """Findings on one entry of a file: its base classes, and the application definition of it and its subentries.

    Parameters
    ----------
    file
        File that holds the entry itself, not a link to it.
    entry
        The entry's absolute path.
    asked
        Paths, relative to the entry, of the fields that the definition asked for; NXDL need not name them.
    locking
        HDF5's locking: that of the file if this process has it open.

    Raises
    ------
    ImportError
        nexusformat is not installed.
    """
    validate, tree = _load()
    subentries: list[str] = []
    with _lock, _collecting(validate, tree, entry, locking) as collector:
        try:
            with tree.NXFile(str(file), "r", locking=locking, recursive=True) as opened:
                group = opened.readfile()[entry]
                validate.get_validator(group.nxclass).validate(group)
                below = list(_subentries(group))
                subentries += [each.nxpath.removeprefix(f"{group.nxpath}/") for each in below]
                for owner in (group, *below):
                    _check_application(validate, owner, collector)
        # The validator is not made for broken files and raises whatever comes: that is a finding, too.
        except Exception as error:
            collector.add(entry, f"NeXus's validator gave up here: {type(error).__name__}: {error}", "error")
    for path, level, message in dict.fromkeys(collector.messages):
        yield with_remedy(allowed.sort(Finding(path, level, message), entry, asked, subentries))
    for path, _, message in dict.fromkeys(collector.excused):
        yield Finding(path, "info", message, allowed=ONE_OF_SEVERAL)


def _load() -> tuple[ModuleType, ModuleType]:
    # Importing nexusformat silences FutureWarning for the whole process: not ours to decide.
    with warnings.catch_warnings():
        from nexusformat.nexus import tree, validate  # noqa: PLC0415  (an extra, and slow to load)
    return validate, tree


def _subentries(group: Any) -> Iterator[Any]:
    """The subentries of an entry, each before its own."""
    for item in group.entries.values():
        if item.nxclass == "NXsubentry":
            yield item
            yield from _subentries(item)


def _check_application(validate: ModuleType, group: Any, collector: _Collector) -> None:
    if "definition" not in group.entries:
        return
    name = str(group["definition"].nxvalue)
    path = join(group.nxpath, "definition")
    try:
        validator = validate.ApplicationValidator(name)
    except validate.NeXusError:
        if name.startswith("NX"):
            collector.add(path, f"{name!r} is no NeXus application definition of this release", "error")
        else:
            collector.add(path, f"{name!r} is no NeXus application definition but a technique's name", "info")
        return
    validator.validate(group)


@dataclass(frozen=True)
class _Visit:
    """A group that was compared with a part of an application definition."""

    asked: int
    """Which part: one that names no group is compared with every group of its class."""
    begin: int
    end: int
    """Its messages among all of them."""


class _Collector:
    """What the validator says, each message with the path it is about."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Severity, str]] = []
        self.excused: list[tuple[str, Severity, str]] = []
        """What was said of a group beside which another one is what the application definition asks for."""
        self._groups: list[str] = []
        """Groups that are being looked at, the innermost last."""
        self._heading = ""
        self._field = ""

    def add(self, path: str, message: str, severity: Severity) -> None:
        """Take a message down."""
        self.messages.append((path, severity, message))

    @contextmanager
    def group(self, path: str) -> Iterator[None]:
        """While a group is looked at, messages that name no field are about it."""
        self._groups.append(path)
        self._heading = ""
        try:
            yield
        finally:
            self._groups.pop()
            self._heading = ""

    @contextmanager
    def several(self) -> Iterator[list[_Visit]]:
        """Gather visits of the groups within one; what is said against some is excused if another one is good."""
        visits: list[_Visit] = []
        yield visits
        told: set[int] = set()
        for asked in {visit.asked for visit in visits}:
            alike = [range(visit.begin, visit.end) for visit in visits if visit.asked == asked]
            for severity in ("error", "warning"):
                said = [[i for i in visit if self.messages[i][1] == severity] for visit in alike]
                if not all(said):
                    told |= {i for indices in said for i in indices}
        self.excused += [self.messages[i] for i in sorted(told)]
        for visit in reversed(visits):
            kept = [self.messages[i] for i in range(visit.begin, visit.end) if i not in told]
            self.messages[visit.begin : visit.end] = kept

    def log(self, message: str, level: str, of_field: bool) -> None:
        """Take what ``Validator.log`` is called with; level ``all`` is a heading: ``Field: /entry/title``."""
        kind, _, rest = message.partition(": ")
        if level == "all":
            self._heading = rest if kind == "Group" else ""
            if kind in ("Field", "Link"):
                self._field = rest
        elif level in ("error", "warning") and not message.startswith(_ELSEWHERE):
            path = self._groups[-1] if self._groups else "/"
            if of_field or " field " in message:
                path = self._field
            elif self._heading:
                message = f"{self._heading}: {message}"
            self.add(path, message, "error" if level == "error" else "warning")


@contextmanager
def _collecting(validate: ModuleType, tree: ModuleType, entry: str, locking: bool | str) -> Iterator[_Collector]:
    """Run nexusformat with its messages going to a collector; everything as it was afterwards."""
    from unittest.mock import patch  # noqa: PLC0415  (seldom needed, and slow to load)

    collector = _Collector()
    open_visits: list[list[_Visit]] = []
    group_validate: Callable[..., None] = validate.GroupValidator.validate
    validate_group: Callable[..., None] = validate.ApplicationValidator.validate_group
    check_attributes: Callable[..., None] = validate.FieldValidator.check_attributes

    def log(self: Any, message: str, level: str = "info", indent: int | None = None) -> None:
        collector.log(message, level, isinstance(self, validate.FieldValidator))

    def on_group(self: Any, group: Any, *args: Any, **kwargs: Any) -> None:
        with collector.group(group.nxpath):
            group_validate(self, group, *args, **kwargs)

    def on_application_group(self: Any, xml_dict: Any, nxgroup: Any, indent: int = 0) -> None:
        begin = len(collector.messages)
        with collector.group(nxgroup.nxpath), collector.several() as within:
            open_visits.append(within)
            try:
                validate_group(self, xml_dict, nxgroup, indent=indent)
            finally:
                open_visits.pop()
        if open_visits:
            open_visits[-1].append(_Visit(id(xml_dict), begin, len(collector.messages)))

    def on_attributes(self: Any, field: Any, attributes: Any = None, units: Any = None) -> None:
        check_attributes(self, field, attributes=attributes, units=units)
        fault = _wrong_dimension(field.attrs.get("units"), units)
        if fault:
            self.log(fault, level="error")

    def on_enumeration(self: Any, field: Any, enumerations: Any) -> None:
        # The same in all, but with the value and the list.
        try:
            member = field.nxvalue in enumerations
        except ValueError:  # Of an array nobody can say.
            member = False
        if not member:
            told = f"{str(field.nxvalue)[:100]!r} is none of {', '.join(map(str, enumerations))}"
            self.log(f"The field value is not a member of the enumerated list: {told}", level="error")

    original: Any = tree.NXFile

    class File(original):  # type: ignore[misc]  # nexusformat has no types
        """Opens with the locking asked for; reads nothing but the entry, and virtual datasets with their real shape."""

        nxpath: str

        def open(self, **kwargs: Any) -> None:
            super().open(**{"locking": locking, **kwargs})

        def _readchildren(self) -> Any:
            # What stands beside the entry may be another thousand of them, or a link to where no program comes back.
            here = self.nxpath
            if here == entry or not entry.startswith(join(here, "")):
                children = super()._readchildren()
                return {name: child for name, child in children.items() if not self._leads_out(name)}
            name = entry.removeprefix(join(here, "")).partition("/")[0]
            self.nxpath = join(here, name)
            children = {name: self._readgroup(name)}
            self.nxpath = here
            return children

        def _leads_out(self, name: str) -> bool:
            # Into another entry of the file, which is looked at itself.
            link = self.get(self.nxpath).get(name, getlink=True)
            path = link.path if isinstance(link, h5py.SoftLink) else entry
            return path.startswith("/") and path != entry and not path.startswith(join(entry, ""))

        def _readdata(self, name: str) -> Any:
            # nexusformat takes a virtual dataset for a stack of whole sources, and so ten frames of one source for one.
            node = self.get(self.nxpath)
            if node.is_virtual and self._getlink()[0] is None:
                return tree.NXfield(name=name, dtype=node.dtype, shape=node.shape, attrs=self.attrs)
            return super()._readdata(name)

    with ExitStack() as changes:
        for owner, name, value in (
            (validate.Validator, "log", log),
            (validate.Validator, "output_log", lambda self: None),
            (validate.GroupValidator, "validate", on_group),
            (validate.GroupValidator, "check_data", lambda self, group: None),
            (validate.ApplicationValidator, "validate_group", on_application_group),
            (validate.FieldValidator, "check_attributes", on_attributes),
            (validate.FieldValidator, "check_enumeration", on_enumeration),
            (tree, "NXFile", File),
        ):
            changes.enter_context(patch.object(owner, name, value))
        yield collector


def _wrong_dimension(written: Any, category: Any) -> str:
    """What is wrong with a field's units for NXDL's category; empty if nothing is, or if it cannot be told."""
    # Numbers are left out: what is counted, or a ratio of what, is seldom said as NXDL has it.
    if not isinstance(written, str) or not categories.wrong(written, str(category or ""), numbers=False):
        return ""
    return f"the units {written!r} are not of {category}"
