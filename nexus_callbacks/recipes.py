"""Recipes: profile + shipped definitions → the recipe that shapes a run's file.

Everything typed is read and checked when a :class:`Recipes` is made, so that all its faults are told at once, before
the scan; a run only picks its technique.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nexus_callbacks import bindings, documents, techniques
from nexus_callbacks.bindings import Binding, Profile, Signals
from nexus_callbacks.documents import Document
from nexus_callbacks.faults import Fault, FaultError, Place
from nexus_callbacks.layout import Recipe
from nexus_callbacks.techniques import Loaded

BASE = "base"
"""The shipped definition of runs without a profile, or with a profile that names none."""


@dataclass(frozen=True)
class _Shape:
    """What the runs of one technique have in common."""

    loaded: Loaded
    bindings: Mapping[str, Binding]
    columns: frozenset[str]


class Recipes:
    """The shapes that one profile gives to its runs.

    Parameters
    ----------
    profile
        Folder or ``profile.yml``; None gives every run the shipped definition ``base``.
    signals
        Data keys and device configuration known before the scan; None takes ``signals.json`` beside the profile,
        where there is one.

    Raises
    ------
    FaultError
        With every fault of profile and definitions, each with its file and line.
    """

    def __init__(self, profile: str | Path | None = None, signals: Signals | None = None) -> None:
        self.profile: Profile | None = None
        self._folder = Path()
        if profile is not None:
            self.profile = bindings.load_profile(profile)
            self._folder = self.profile.folder
            beside = self._folder / "signals.json"
            if signals is None and beside.exists():
                signals = bindings.read_signals(beside)
        self._shapes: dict[str | None, _Shape] = {}
        self._check(signals)

    @property
    def zone(self) -> ZoneInfo | None:
        """Time zone of the profile; None is the machine's own."""
        return ZoneInfo(self.profile.timezone) if self.profile and self.profile.timezone else None

    def _check(self, signals: Signals | None) -> None:
        faults: list[Fault] = []
        for name in (None, *(self.profile.techniques if self.profile else ())):
            try:
                shape = self._shape(name)
            except FaultError as error:
                faults += [fault for fault in error.faults if fault not in faults]
                continue
            if self.profile:
                found = bindings.check(self.profile, shape.loaded.definition, signals, name, shape.loaded.bindings)
                faults += [fault for fault in found if fault not in faults]
        if faults:
            raise FaultError(faults)

    def _shape(self, technique: str | None) -> _Shape:
        if technique not in self._shapes:
            own_definitions = self.profile.definitions if self.profile else []
            names = [*(own_definitions or [BASE]), *([technique] if technique else [])]
            loaded = techniques.load(names, self._folder)
            merged = bindings.merge_bindings(loaded.bindings, self.profile, technique)
            own = self.profile.techniques.get(technique, {}) if self.profile and technique else {}
            known = {name: value for name, value in merged.items() if name in loaded.definition.variables()}
            self._shapes[technique] = _Shape(loaded, known, frozenset(own))
        return self._shapes[technique]

    def definition_of(self, technique: str | None) -> Loaded:
        """The merged definition of a technique, or of runs without one."""
        return self._shape(technique).loaded

    def claimed(self) -> dict[str, tuple[int, int]]:
        """Technique (``-`` for runs without one) → how many variables have a source, and how many there are."""
        names = (None, *(self.profile.techniques if self.profile else ()))
        shapes = {name or "-": self._shape(name) for name in names}
        return {name: (len(s.bindings), len(s.loaded.definition.variables())) for name, s in shapes.items()}

    def recipe(self, start: Document, path: Path) -> Recipe:
        """The recipe for one run and its file.

        Raises
        ------
        FaultError
            The start document names a technique which the profile does not have.
        """
        named = documents.techniques(start) if self.profile else ()
        place = Place("start document")
        if len(named) > 1:
            message = f"several techniques in one run ({', '.join(named)}) cannot be written yet"
            raise FaultError([Fault(message, place, "name one technique")])
        technique = named[0] if named else None
        if self.profile and technique and technique not in self.profile.techniques:
            known = ", ".join(self.profile.techniques) or "none"
            message = f"technique {technique!r} is not in the profile, which has: {known}"
            raise FaultError([Fault(message, place, f"add it under 'techniques:' of {self._folder / 'profile.yml'}")])
        shape = self._shape(technique)
        return Recipe(
            tree=shape.loaded.definition,
            bindings=shape.bindings,
            columns=shape.columns,
            facts=self._facts(start, path, technique),
            zone=self.zone,
            sources=shape.loaded.sources,
            version=version("nexus-callbacks"),
        )

    def _facts(self, start: Document, path: Path, technique: str | None) -> dict[str, Any]:
        """What the writer knows of a run, for sources ``run:NAME``; a fact without a value is None."""
        versions = {"nexus_callbacks": version("nexus-callbacks"), **(start.get("versions") or {})}
        return {
            "file": str(path),
            "folder": str(path.parent),
            "name": path.stem,
            "technique": technique,
            "beamline": (self.profile.beamline if self.profile else None) or start.get("beamline"),
            "facility": self.profile.facility if self.profile else None,
            "software": ", ".join(f"{name} {number}" for name, number in versions.items()),
            "python": platform.python_version(),
        }
