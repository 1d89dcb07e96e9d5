"""Recipes: profile + shipped definitions → the recipe that shapes a run's file.

Everything typed is read and checked when a :class:`Recipes` is made, so that all its faults are told at once, before
the scan; a run only picks its technique.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nexus_callbacks import documents, techniques
from nexus_callbacks.beamline import axes, bindings, naming, renames
from nexus_callbacks.beamline.bindings import Binding, Profile, Signals
from nexus_callbacks.beamline.pairs import paired
from nexus_callbacks.beamline.prospects import Prospect, prospects
from nexus_callbacks.beamline.sources import DID_YOU_MEAN, Source, nearest
from nexus_callbacks.beamline.typed import Files
from nexus_callbacks.definitions.definition import Group, merge
from nexus_callbacks.documents import Document
from nexus_callbacks.faults import Fault, FaultError, Place
from nexus_callbacks.layout.layout import Recipe
from nexus_callbacks.layout.subentry import Part
from nexus_callbacks.techniques import Loaded

BASE = "base"
"""The shipped definition of runs without a profile, or with a profile that names none."""
NO_TECHNIQUE = "-"
"""Stands for runs without a technique where techniques are named."""


_VERSION = version("nexus-callbacks")  # Read once: asking takes 1 ms, and every run wants it twice.
NO_EFFECT = ("catalogues",)
"""Keys of a profile that are read and checked, but do nothing yet."""


@dataclass(frozen=True)
class Claim:
    """How much of a definition a profile says where to find."""

    claimed: int
    total: int
    missing_mandatory: tuple[str, ...]
    """Mandatory variables for which nobody says where they come from."""


@dataclass(frozen=True)
class Paths:
    """Where the files of one run should go."""

    dataset: Path
    master: Path | None
    """None if the run has no place in a master file."""


@dataclass(frozen=True)
class _Shape:
    """What the runs of one technique have in common."""

    loaded: Loaded
    bindings: Mapping[str, Binding]
    columns: frozenset[str]
    unmapped: Mapping[str, str]
    """Variable of an older definition that is bound and fills nothing → why."""
    own: Group | None = None
    """The technique's definition alone, which shapes a subentry where the technique is a further one."""


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
        self.remarks: list[str] = []
        """What the user should know of a profile that has no fault."""
        faults: list[Fault] = []
        if profile is not None:
            self.profile, faults = bindings.read_profile(profile)
            if self.profile is None:
                raise FaultError(faults)
            beside = self.profile.folder / "signals.json"
            if signals is None and beside.exists():
                try:
                    signals = bindings.read_signals(beside)
                except FaultError as error:
                    faults += error.faults
        self._signals = signals
        self._shapes: dict[str | None, _Shape] = {}
        self._check(signals, faults)

    @property
    def zone(self) -> ZoneInfo | None:
        """Time zone of the profile; None is the machine's own."""
        return ZoneInfo(self.profile.timezone) if self.profile and self.profile.timezone else None

    @property
    def roots(self) -> Mapping[str, str]:
        """A detector's own path prefix → ours."""
        return self.profile.roots if self.profile else {}

    @property
    def masters(self) -> bool:
        """Whether the profile asks for master files at all."""
        return bool(self.profile and self.profile.files.master)

    def _check(self, signals: Signals | None, faults: list[Fault]) -> None:
        asked = (None, *(self.profile.techniques if self.profile else ()))
        read = {name: self._read(name) for name in asked}
        everywhere = {v for loaded, _ in read.values() if loaded for v in loaded.definition.variables()}
        complete = not any(found for _, found in read.values())
        for name, (loaded, unreadable) in read.items():
            found = list(unreadable)
            if loaded and self.profile:
                found += bindings.check(
                    self.profile,
                    loaded.definition,
                    signals,
                    name,
                    loaded.bindings,
                    elsewhere=everywhere,
                    complete=complete,
                )
            if loaded and not found:
                self._shapes[name] = self._shape_of(loaded, name, everywhere)
            faults += [fault for fault in found if fault not in faults]
        if self.profile:
            trees = {name or NO_TECHNIQUE: loaded.definition for name, (loaded, _) in read.items() if loaded}
            faults += axes.unknown(self.profile.axes, self.profile.place, trees)
        if faults:
            raise FaultError(faults)
        if self.profile:
            self._remark(self.profile, signals)

    def _remark(self, profile: Profile, signals: Signals | None) -> None:
        source = profile.path
        if signals is None:
            self.remarks.append(
                f"{source}: data keys and configuration fields are not checked: there is no signals.json beside it "
                'and no signals were given (devices.signals: write_signals("signals.json", signals_of(*devices)))'
            )
        for key in NO_EFFECT:
            if getattr(profile, key):
                self.remarks.append(f"{profile.place(key)}: '{key}:' has no effect in this release")

    def _read(self, technique: str | None) -> tuple[Loaded | None, list[Fault]]:
        """The definition of a technique's runs, with the axes that the profile gives to its groups."""
        loaded, faults = techniques.read(*self._asked(technique))
        if loaded is None or self.profile is None:
            return loaded, faults
        tree, misplaced = axes.placed(self.profile.axes, loaded.definition)
        return replace(loaded, definition=tree), [*faults, *misplaced]

    def _asked(self, technique: str | None) -> tuple[list[str], Path, list[Place | None]]:
        """Definitions of a technique's runs, the folder of local ones, and where each is asked for."""
        profile = self.profile
        if profile is None:
            return [BASE], Path(), []
        names = profile.definitions or [BASE]
        places: list[Place | None] = [profile.place("definitions", i) for i in range(len(names))]
        if technique:
            names, places = [*names, technique], [*places, profile.place("techniques", technique)]
        return names, profile.folder, places

    def _shape_of(self, loaded: Loaded, technique: str | None, everywhere: Collection[str]) -> _Shape:
        merged = bindings.merge_bindings(loaded.bindings, self.profile, technique)
        columns = self.profile.columns(technique) if self.profile and technique else []
        own = [*(self.profile.general() if self.profile else ()), *columns]
        found = {each.variable: each for each in paired(merged.values(), loaded.definition)}
        renewal = renames.renew(found, loaded.definition, {each.variable for each in own}, everywhere)
        told = [*renewal.remarks, *renames.deprecated(own, loaded.definition)]
        self.remarks += [remark for remark in told if remark not in self.remarks]
        others = self._of_others(loaded, technique)
        known = {
            name: each
            for name, each in renewal.bindings.items()
            if any(path.partition("/")[0] not in others for path, _ in loaded.definition.variables()[name])
        }
        wanted = [renewal.names.get(each.variable, each.variable) for each in columns]
        whole = frozenset(name for name in wanted if name in known and not known[name].convert)
        chains = axes.columns(self.profile.axes) if self.profile else frozenset()
        alone = None
        if technique and self.profile:
            tree, _ = axes.placed(self.profile.axes, techniques.load([technique], self.profile.folder).definition)
            alone = merge(tree, loaded.definition.holding(self._joined(loaded)))
        return _Shape(loaded, known, whole | chains, renewal.unmapped, alone)

    def _of_others(self, loaded: Loaded, technique: str | None) -> set[str]:
        """Groups of the entry that are about other techniques of the profile than this one.

        A group about none of them may be in any run: nobody could say in which.
        """
        known = set(self.profile.techniques if self.profile else ())
        about: dict[str, set[str]] = {}
        for each in (*loaded.bindings, *([self.profile] if self.profile else [])):
            for group, names in each.groups.items():
                about.setdefault(group, set()).update(names)
        return {group for group, names in about.items() if names & known and technique not in names}

    def _joined(self, loaded: Loaded) -> list[str]:
        """Variables which tell of all techniques of a run side by side."""
        of_all = [*loaded.bindings, *([self.profile] if self.profile else [])]
        return list(dict.fromkeys(name for each in of_all for name in each.joined))

    def claims(self) -> dict[str, Claim]:
        """Technique (:data:`NO_TECHNIQUE` for runs without one) → which of its variables have a source."""
        found = {}
        for name in (None, *(self.profile.techniques if self.profile else ())):
            shape = self._shapes[name]
            variables = shape.loaded.definition.variables()
            mandatory = (v for v, fields in variables.items() if any(field.mandatory for _, field in fields))
            missing = tuple(variable for variable in mandatory if variable not in shape.bindings)
            found[name or NO_TECHNIQUE] = Claim(len(shape.bindings), len(variables), missing)
        return found

    def prospects(self, technique: str | None) -> tuple[Prospect, ...]:
        """Every variable of a technique's definition (None: of runs without one) and where it will come from.

        Raises
        ------
        KeyError
            The profile has no such technique.
        """
        shape = self._shapes[technique]
        return prospects(shape.loaded.definition, shape.bindings, shape.columns, self._signals)

    def wanted_paths(self, start: Document, data_root: Path) -> Paths:
        """Where the files of a run should go, as the profile says.

        Raises
        ------
        FaultError
            The start document lacks what the templates need; all of it is named.
        """
        files = self.profile.files if self.profile else Files()
        names = naming.names_of(start, data_root, self.profile.beamline if self.profile else None, self.zone)
        faults: list[Fault] = []
        found: list[Path | None] = []
        master = files.master if self._in_master(start) else None
        for template, setting in ((files.dataset, "files.dataset"), (master, "files.master")):
            try:
                found.append(naming.expand(template, names, setting) if template else None)
            except FaultError as error:
                faults += error.faults
        if faults or found[0] is None:
            raise FaultError(faults)
        dataset, linked = data_root / found[0], data_root / found[1] if found[1] else None
        if dataset == linked:
            raise FaultError(
                [Fault(f"files.dataset and files.master are one file: {dataset}", Place("start document"))]
            )
        return Paths(dataset, linked)

    def _in_master(self, start: Document) -> bool:
        """Whether a run belongs to the master file: not if a rule of ``runs:`` keeps it out (alignments)."""
        for rule in (self.profile.runs if self.profile else {}).values():
            of_plan = any(fnmatch(str(start.get("plan_name", "")), pattern) for pattern in rule.plans)
            if not rule.master and (of_plan or start.get("purpose") in rule.purposes):
                return False
        return True

    def recipe(self, start: Document, path: Path, entry: str = "entry") -> Recipe:
        """The recipe for one run, its file and the name of its entry.

        Raises
        ------
        FaultError
            The start document names a technique which the profile does not have.
        """
        named = tuple(dict.fromkeys(documents.techniques(start))) if self.profile else ()
        self._refuse_unknown(named)
        first, *further = [self._shapes[name] for name in named or (None,)]
        tree = first.loaded.definition
        together = self._together(first, further) if further else first.bindings
        together = {**together, **renames.from_start(together, tree, start)}
        parts = []
        for name, shape in zip(named[1:], further, strict=True):
            assert shape.own is not None  # Only runs without a technique have none.
            known = {variable: each for variable, each in shape.bindings.items() if variable in shape.own.variables()}
            known |= renames.from_start(known, shape.own, start)
            home = name.removesuffix(".xml").rpartition("/")[2]
            parts.append(Part(home, shape.own, known, shape.columns, self._facts(start, path, name)))
        taken = [*together.values(), *(each for part in parts for each in part.bindings.values())]
        unmapped = renames.unbound(start, tree.variables(), taken) if self.profile else {}
        return Recipe(
            tree=tree,
            bindings=together,
            columns=first.columns.union(*(shape.columns - first.bindings.keys() for shape in further)),
            facts=self._facts(start, path, " ".join(named) or None),
            zone=self.zone,
            sources=list(dict.fromkeys(source for shape in (first, *further) for source in shape.loaded.sources)),
            version=_VERSION,
            entry=entry,
            further=parts,
            unmapped={name: why for shape in (*further, first) for name, why in shape.unmapped.items()} | unmapped,
        )

    def _together(self, first: _Shape, further: Sequence[_Shape]) -> Mapping[str, Binding]:
        """The bindings of the entry of a run of several techniques.

        Those of the first; what only the others bind of the general definitions (ESRF's groups of those techniques);
        and the constants of all side by side where a definition wants that (ESRF's technique_pid).
        """
        general = self._shapes[None].loaded.definition.variables()
        found = dict(first.bindings)
        for shape in further:
            found = {**{name: each for name, each in shape.bindings.items() if name in general}, **found}
        for name in self._joined(first.loaded):
            said = [each.source for shape in (first, *further) if (each := shape.bindings.get(name))]
            if name in found and all(source.scheme == "const" for source in said):
                text = " ".join(dict.fromkeys(str(source.value) for source in said))
                found[name] = replace(found[name], source=Source("const", text, text))
        return found

    def _refuse_unknown(self, named: Iterable[str]) -> None:
        faults: list[Fault] = []
        for technique in named:
            if self.profile and technique not in self.profile.techniques:
                known = ", ".join(self.profile.techniques) or "none"
                message = f"technique {technique!r} is not in the profile, which has: {known}"
                near = nearest(technique, self.profile.techniques)
                added = f"add it under 'techniques:' of {self.profile.path}"
                remedy = near if DID_YOU_MEAN in near else added
                faults.append(Fault(message, Place("start document"), remedy))
        if faults:
            raise FaultError(faults)

    def _facts(self, start: Document, path: Path, technique: str | None) -> dict[str, Any]:
        """What the writer knows of a run, for sources ``run:NAME``; a fact without a value is None."""
        told = start.get("versions")
        versions = {"nexus_callbacks": _VERSION, **(told if isinstance(told, Mapping) else {})}
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
