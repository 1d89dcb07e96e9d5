"""Techniques: the definitions that ship with the library, each with its default bindings, and the merging of several.

``NAME.xml`` is a definition in ESRF's dialect, ``NAME.yml`` where its variables are found when a profile says nothing.
``esrf`` is the definition file of icat-esrf-definitions itself; ``base`` serves runs without a profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nexus_callbacks.beamline.profile import Bindings, load_bindings
from nexus_callbacks.beamline.sources import nearest
from nexus_callbacks.definitions import esrf_xml, release
from nexus_callbacks.definitions.check import sure
from nexus_callbacks.definitions.definition import Group, merge
from nexus_callbacks.definitions.links import circles
from nexus_callbacks.definitions.release import Release
from nexus_callbacks.faults import Fault, FaultError, Place

ESRF = "esrf"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Loaded:
    """Definitions that were read and merged."""

    definition: Group
    bindings: list[Bindings]
    """Default bindings in the order of the definitions; a later one goes before an earlier one."""
    sources: list[tuple[str, str, str]]
    """(name or path as asked for, version, SHA-256) of each definition; the version of a local file is empty."""


def names() -> tuple[str, ...]:
    """Names of the shipped definitions."""
    return tuple(sorted({ESRF, *(path.stem for path in _FOLDER.glob("*.xml"))}))


def definition_path(name: str) -> Path:
    """XML file of a shipped definition.

    Raises
    ------
    FaultError
        There is no such definition.
    """
    if name not in names():
        raise FaultError([_unknown(name)])
    if name == ESRF:
        from icat_esrf_definitions import DEFINITIONS_FILE  # noqa: PLC0415  (0.5 s: it brings pint)

        return Path(DEFINITIONS_FILE)
    return _FOLDER / f"{name}.xml"


def bindings_path(name: str) -> Path | None:
    """YAML file of a shipped definition's default bindings; None if it has none.

    Raises
    ------
    FaultError
        There is no such definition.
    """
    if name not in names():
        raise FaultError([_unknown(name)])
    path = _FOLDER / f"{name}.yml"
    return path if path.exists() else None


def load(names_or_paths: Sequence[str], folder: Path = Path(), places: Sequence[Place | None] = ()) -> Loaded:
    """Read definitions and merge them, the first being narrowed by those after it.

    Parameters
    ----------
    names_or_paths
        Shipped names (``esrf``), names of files in ``folder/definitions`` (``mine`` for ``definitions/mine.xml``), or
        paths relative to ``folder``. A local file may have default bindings beside it, under its own name with
        ``.yml``. A name that is repeated is read once.
    folder
        The profile's folder.
    places
        Where each was asked for, for faults.

    Raises
    ------
    FaultError
        A definition is missing or faulty, or two of them conflict; every fault with its file and line.
    """
    loaded, faults = read(names_or_paths, folder, places)
    if faults or loaded is None:
        raise FaultError(faults)
    return loaded


def read(
    names_or_paths: Sequence[str], folder: Path = Path(), places: Sequence[Place | None] = ()
) -> tuple[Loaded | None, list[Fault]]:
    """As :func:`load`, but with every fault beside what could be read; None where nothing could."""
    trees: list[Group] = []
    local: list[Group] = []
    bindings: list[Bindings] = []
    sources: list[tuple[str, str, str]] = []
    faults: list[Fault] = []
    for index, name in enumerate(names_or_paths):
        if name in names_or_paths[:index]:
            continue
        place = places[index] if index < len(places) else None
        try:
            definition, defaults, number = _find(name, folder, place)
            data = definition.read_bytes()
            if name in names():
                trees.append(esrf_xml.read(definition))
            else:  # With all that is wrong in it, as far as it can be read.
                tree, unsound = esrf_xml.survey(definition)
                faults += unsound
                local += [tree] if tree else []
                trees += [tree] if tree else []
            if defaults is not None:
                bindings.append(load_bindings(defaults))
            sources.append((name, number, hashlib.sha256(data).hexdigest()))
        except FaultError as error:
            faults += error.faults
        except OSError as error:
            faults.append(Fault(f"definition {name!r} cannot be read: {error.strerror or error}", place))
    if not names_or_paths:
        faults.append(Fault("no definition is named", remedy=f"name one of {', '.join(names())}"))
    if not trees:
        return None, faults
    try:
        merged = merge(*trees)
    except FaultError as error:
        faults += error.faults
        merged = trees[0]
    # What ships is sound; links of several files may make a circle that none of them has alone.
    faults += circles(merged) if local or len(trees) > 1 else ()
    for tree in local:
        faults += sure(tree, _classes(), trees)
    return Loaded(merged, bindings, sources), faults


def _classes() -> Release | None:
    """The classes of NeXus where they are installed: a beamline may write without them."""
    try:
        return release.installed()
    except FaultError:
        return None


def _find(name: str, folder: Path, place: Place | None) -> tuple[Path, Path | None, str]:
    """Definition, default bindings and version of what a profile names."""
    if name in names():
        return definition_path(name), bindings_path(name), version_of(name)
    by_name = folder / "definitions" / f"{name}.xml"
    path = by_name if by_name.is_file() else folder / name
    if path is not by_name and not name.endswith(".xml"):
        raise FaultError([_unknown(name, place)])
    beside = path.with_suffix(".yml")
    return path, beside if beside.exists() else None, ""


def package_of(name: str) -> str:
    """The package that a shipped definition comes with."""
    return "icat-esrf-definitions" if name == ESRF else "nexus-callbacks"


def version_of(name: str) -> str:
    """Version of the package that a shipped definition comes with; empty where that is not installed."""
    try:
        return version(package_of(name))
    except PackageNotFoundError:  # Run from a checkout that is not installed.
        return ""


def _unknown(name: str, place: Place | None = None) -> Fault:
    remedy = nearest(name, names()) or "name a shipped definition or the path of an XML file"
    return Fault(f"unknown definition {name!r}", place, remedy)
