"""Subentry: what a further technique of a run wants, beside the entry that the first one shapes (design D2).

The definition of each further technique is filled a second time, in an NXsubentry of the entry. Columns and frames are
there once: where the file has what a field of the subentry wants, the field is a link to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from nexus_callbacks.beamline.bindings import Binding
from nexus_callbacks.definitions import definition
from nexus_callbacks.documents import Document, Stream
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.additions import Addition
from nexus_callbacks.layout.coverage import Outcome
from nexus_callbacks.layout.readings import Readings
from nexus_callbacks.layout.template import Fit, Template

Growing = additions.Column | additions.Frames


@dataclass(frozen=True)
class Part:
    """What one further technique wants."""

    name: str
    """Name of its subentry."""
    tree: definition.Group
    """The technique's own definition; its root is the subentry."""
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    columns: frozenset[str] = frozenset()
    """Variables that want the whole column of a stream."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the writer knows of this run (sources ``run:NAME``)."""


class Subentry:
    """Turns documents into additions for one further technique.

    Parameters
    ----------
    home
        Absolute path of the subentry.
    """

    def __init__(self, part: Part, home: str, zone: ZoneInfo | None) -> None:
        self._home = home
        self._tree = part.tree
        self._template = Template(
            part.tree, part.bindings, columns=part.columns, facts=part.facts, zone=zone, entry=home
        )
        self._twins: dict[str, _Twin] = {}
        """Absolute path of a field → what the file has of that."""

    @property
    def total(self) -> int:
        """Number of variables of its definition."""
        return len(self._tree.variables())

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each variable, as ``SUBENTRY/VARIABLE``, with paths relative to the entry."""
        name = self._home.rpartition("/")[2]
        return [
            each.with_(variable=f"{name}/{each.variable}", paths=tuple(f"{name}/{path}" for path in each.paths))
            for each in self._template.outcomes.values()
        ]

    def begin(self, start: Document) -> list[Addition]:
        """The group, and what the start document and the constants give."""
        return [additions.Group(self._home, "NXsubentry"), *self._template.begin(start)]

    def extend(self, stream: Stream, there: list[Addition]) -> None:
        """Add columns, frames and configuration of a stream to what is ``there`` of it.

        What shows the same as something that is there becomes a link: of a column at once, of frames in
        :meth:`finish`. Attributes that only the technique asks for (``interpretation``) go to what is there then.
        """
        for mine in self._template.extend(stream):
            found = _twin(mine, there, stream) if isinstance(mine, Growing) else None
            if found is None:
                there.append(mine)
            else:
                index, twin = found
                self._twins[mine.path] = twin
                there[index] = _with_attributes(there[index], twin.mine.attributes)
                if isinstance(mine, additions.Column):
                    there.append(additions.Link(mine.path, twin.path))

    def first(self, stream: str, row: Mapping[str, Any]) -> list[Addition]:
        """Initial readings."""
        return self._template.first(stream, row)

    def finish(
        self, stop: Document, readings: Readings, apart: Mapping[str, additions.Apart] = MappingProxyType({})
    ) -> list[Addition]:
        """Final readings, and the links, of which the definition's own lead to the end of the others.

        ``apart``: what no longer is where it was, by that path.
        """
        rest = self._template.finish(stop, readings)
        made = {f"{self._home}/{path}" for path in self._template.filled}
        links = [_link(twin, readings, apart.get(twin.path)) for path, twin in self._twins.items() if path in made]
        ends = {each.path: each.target for each in links if isinstance(each, additions.Link)}
        rest = [replace(e, target=ends.get(e.target, e.target)) if isinstance(e, additions.Link) else e for e in rest]
        default = self._template.default()
        return [*links, *rest, *([additions.Attribute(self._home, {"default": default})] if default else [])]

    def lost(self, path: str, reason: str) -> None:
        """Note that the value at a path could not be written after all."""
        for mine in self._shown_at(path):
            self._template.lost(mine, reason)

    def remark(self, path: str, remark: str) -> None:
        """Note what is to be known of the value at a path."""
        for mine in self._shown_at(path):
            self._template.remark(mine, remark)

    def _shown_at(self, path: str) -> list[str]:
        """The fields of this subentry that show what is at a path of the file."""
        shown = [mine for mine, twin in self._twins.items() if twin.path == path]
        return [*shown, path] if path.startswith(f"{self._home}/") else shown


@dataclass(frozen=True)
class _Twin:
    """What shows the same as a field of the subentry."""

    mine: Growing
    """What the field would be."""
    path: str
    sure: bool = True
    """Its type is the field's whatever comes."""


def _twin(mine: Growing, there: Sequence[Addition], stream: Stream) -> tuple[int, _Twin] | None:
    """What shows the same, and where it stands in a list; what is sure goes first."""
    found = None
    for index, other in enumerate(there):
        if isinstance(mine, additions.Frames) and isinstance(other, additions.Frames):
            if (other.stream, other.key) == (mine.stream, mine.key):
                return index, _Twin(mine, other.path)  # Pixels are the detector's, whatever anybody wants of them.
        elif isinstance(mine, additions.Column) and isinstance(other, additions.Column):
            same = (other.stream, other.key, other.kind) == (mine.stream, mine.key, mine.kind)
            if not same or other.attributes.get("units") != mine.attributes.get("units"):
                continue
            if other.convert == mine.convert:
                return index, _Twin(mine, other.path)
            if other.convert is None and isinstance(mine.convert, Fit) and mine.convert.may_suit(stream.keys[mine.key]):
                found = index, _Twin(mine, other.path, sure=False)
    return found


def _with_attributes(addition: Addition, more: additions.Attributes) -> Addition:
    assert isinstance(addition, Growing)
    return replace(addition, attributes={**more, **addition.attributes})


def _link(twin: _Twin, readings: Readings, apart: additions.Apart | None) -> Addition:
    """The link to what is in the file; a copy if that turned out to be of a type which the field must not have."""
    mine = twin.mine
    if apart and isinstance(mine, additions.Column) and mine.convert == apart.convert:
        return additions.Link(mine.path, apart.path)
    if isinstance(mine, additions.Column) and not twin.sure and isinstance(mine.convert, Fit):
        kind, _ = readings.written(mine.stream, mine.key) or ("", ())
        if not mine.convert.suits(kind):
            came = readings.column(mine.stream, mine.key)
            wanted = mine.convert(came)
            if wanted.dtype != came.dtype:
                return additions.Field(mine.path, wanted, mine.attributes)
    return additions.Link(mine.path, apart.own if apart else twin.path, instead=apart is not None)
