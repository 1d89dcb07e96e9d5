"""Layout: definition + bindings + documents so far → what is to be added to the file.

The layout knows no file and no RunEngine. Each method takes the next document and returns the additions that follow
from it, in the order in which they are to be carried out (design, "In one picture").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from nexus_callbacks import documents
from nexus_callbacks.beamline.bindings import Binding
from nexus_callbacks.definitions import definition
from nexus_callbacks.documents import Document, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition
from nexus_callbacks.layout.coverage import NOTE, Coverage, Outcome, coverage_of
from nexus_callbacks.layout.generic import SUB_RUNS, Generic
from nexus_callbacks.layout.names import Names
from nexus_callbacks.layout.readings import Readings
from nexus_callbacks.layout.shares import Shares
from nexus_callbacks.layout.subentry import Part, Subentry
from nexus_callbacks.layout.template import Template

PROCESS = "nexus_callbacks"


@dataclass(frozen=True)
class Recipe:
    """All that shapes the file of one run besides its documents."""

    tree: definition.Group
    """The merged definition; its root is the entry."""
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    columns: frozenset[str] = frozenset()
    """Variables that want the whole column of a stream; the others want one reading."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the writer knows of this run (sources ``run:NAME``)."""
    zone: ZoneInfo | None = None
    sources: Sequence[tuple[str, str, str]] = ()
    """Definitions that were merged: (name, version, SHA-256)."""
    version: str = ""
    """Version of nexus_callbacks."""
    entry: str = "entry"
    """Name of the run's entry."""
    unmapped: Mapping[str, str] = field(default_factory=dict)
    """Variable of an older definition that has no place in this one → where it is bound, and why that fills nothing."""
    further: Sequence[Part] = ()
    """What the techniques after the first want, a subentry each."""


class Layout:
    """The file to be, of one run."""

    def __init__(self, recipe: Recipe) -> None:
        self.entry = entry = f"/{recipe.entry}"
        self._recipe = recipe
        tree = recipe.tree
        names = Names([entry, *(f"{entry}/{path}" for path, _ in tree.walk()), f"{entry}/{PROCESS}"])
        generic = ("measurement", "measurement/initial", "measurement/final", "instrument", SUB_RUNS)
        names.take(*(f"{entry}/{path}" for path in generic))
        self._template = Template(
            tree, recipe.bindings, columns=recipe.columns, facts=recipe.facts, zone=recipe.zone, entry=entry
        )
        self._generic = Generic(entry, names, recipe.zone)
        self._shares = Shares()
        parts = [(part, names.path(entry, part.name)) for part in recipe.further]
        self._parts = [Subentry(part, home, recipe.zone) for part, home in parts]
        self._frames: list[additions.Frames] = []
        self._announced: dict[str, int] = {}

    def begin(self, start: Document) -> list[Addition]:
        """What the start document, the profile and the definition's constants give."""
        root = additions.Group(self.entry, self._recipe.tree.nx_class)
        of_parts = [addition for part in self._parts for addition in part.begin(start)]
        return [root, *self._template.begin(start), *self._generic.begin(start), *of_parts]

    def related(self, relative: Document) -> list[Addition]:
        """A link to a run within which this one was made, or to one that was made within this."""
        return self._generic.related(relative)

    def extend(self, descriptor: Document) -> tuple[Stream, list[Addition]]:
        """Columns, frames and configuration of a new stream or of a reconfigured one."""
        stream = documents.stream_of(descriptor)
        columns = self._generic.extend(stream, descriptor)
        found = self._shares.join(self._template.extend(stream), columns, stream)
        for each in columns:
            if isinstance(each, additions.Link):
                self._generic.moved(each.path, each.target)
        found += columns
        for part in self._parts:
            part.extend(stream, found)
        self._frames += [each for each in found if isinstance(each, additions.Frames)]
        return stream, found

    def first(self, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """What the first row of a stream gives: initial readings."""
        of_parts = [addition for part in self._parts for addition in part.first(stream, row)]
        return [*self._template.first(stream, row), *self._generic.first(stream, row), *of_parts]

    def finish(self, stop: Document, readings: Readings) -> list[Addition]:
        """What needs the whole run: final readings, plots, links."""
        shared = self._shares.finish(readings)
        apart = {each.path: each for each in shared if isinstance(each, additions.Apart)}
        for each in apart.values():
            self._generic.moved(each.path, each.own)
        found = [*shared, *self._template.finish(stop, readings)]
        found += self._generic.finish(stop, readings, self._template.detected, self._template.scales)
        for part in self._parts:
            found += part.finish(stop, readings, apart)
        for frames in self._frames:
            told = readings.length(frames.stream, frames.key) * frames.per_row
            if told:
                self._announced[frames.path.removeprefix(f"{self.entry}/")] = told
        default = self._template.default(self._generic.plots) or self._generic.default
        return [*found, additions.Attribute(self.entry, {"default": default})] if default else found

    @property
    def coverage(self) -> Coverage:
        """Which variables are filled so far; those of a further technique are called ``SUBENTRY/VARIABLE``."""
        of_parts = [outcome for part in self._parts for outcome in part.outcomes]
        unmapped = [Outcome(name, (), claimed=True, reason=why) for name, why in self._recipe.unmapped.items()]
        outcomes = [*self._template.outcomes.values(), *of_parts, *unmapped]
        found = coverage_of(self._recipe.tree, outcomes, self._announced)
        return replace(found, total=found.total + sum(part.total for part in self._parts))

    def lost(self, path: str, reason: str) -> None:
        """Note that the value at a path could not be written after all."""
        self._template.lost(path, reason)
        for part in self._parts:
            part.lost(path, reason)

    def remark(self, path: str, remark: str) -> None:
        """Note what is to be known of the value at a path."""
        self._template.remark(path, remark)
        for part in self._parts:
            part.remark(path, remark)

    def account(self) -> list[Addition]:
        """Who wrote the file, from which definitions, and how complete it is: the last that is written."""
        home, recipe = f"{self.entry}/{PROCESS}", self._recipe
        names, versions, hashes = zip(*recipe.sources, strict=True) if recipe.sources else ((), (), ())
        found: list[Addition] = [
            additions.Group(home, "NXprocess"),
            additions.Field(f"{home}/program", "nexus_callbacks"),
            additions.Field(f"{home}/version", recipe.version),
        ]
        if names:
            found.append(additions.Group(f"{home}/definitions", "NXparameters"))
            found.append(additions.Field(f"{home}/definitions/name", list(names)))
            found.append(additions.Field(f"{home}/definitions/version", list(versions)))
            found.append(additions.Field(f"{home}/definitions/sha256", list(hashes)))
        note = f"{self.entry}/{NOTE}"
        return [
            *found,
            additions.Group(note, "NXnote"),
            additions.Field(f"{note}/type", "application/json"),
            additions.Field(f"{note}/description", "Which variables of the definitions are filled, and from where"),
            additions.Field(f"{note}/data", self.coverage.to_json()),
        ]
