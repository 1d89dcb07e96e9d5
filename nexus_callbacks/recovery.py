"""Recovery: files made whole from the journals that dead sessions left behind.

The same writer is fed (design D1): the file is written anew beside the old one and put in its place when it is whole.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import h5py

from nexus_callbacks import hdf5, naming
from nexus_callbacks.faults import FaultError
from nexus_callbacks.journal import Reader
from nexus_callbacks.master import MasterError, add_dataset
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.run import Run
from nexus_callbacks.spool import Session, Spool
from nexus_callbacks.writer import Writer

log = logging.getLogger("nexus_callbacks")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Recovered:
    """One run that was made whole."""

    uid: str
    path: Path
    complete: bool
    """Its stop document was in the journal."""


def recover(directory: str | Path | None = None, tell: Tell | None = None) -> list[Recovered]:
    """Complete the files of sessions that died, from their journals.

    What a living session still writes is left alone. A journal that cannot be used now stays where it is, and why is
    told.

    Parameters
    ----------
    directory
        Folder of the spool; None is the default one.
    tell
        Called with what cannot be recovered; None logs it.
    """
    spool = Spool(Path(directory) if directory is not None else None)
    return recover_from(spool, tell or (lambda message: log.warning("%s", message)))


def recover_from(spool: Spool, tell: Tell) -> list[Recovered]:
    """As :func:`recover`, of one spool."""
    found: list[Recovered] = []
    for folder in spool.orphans():
        session = spool.adopt(folder)
        if session is None:
            continue  # Somebody else recovers it.
        with session:
            found += recover_session(session, tell)
    return found


def recover_session(session: Session, tell: Tell) -> list[Recovered]:
    """Complete the files of one session's journals, which are then removed."""
    by_run: dict[str, list[Path]] = {}
    for path in session.journals():
        with Reader(path) as reader:
            by_run.setdefault(str(reader.header.get("uid") or path.name), []).append(path)
    found = []
    for paths in by_run.values():
        # A run that went on in a further place has a journal in each, which tells its number.
        paths.sort(key=lambda path: (path.parent != session.folders[0], path.stem))
        try:
            recovered = _recover_run(paths, tell)
        except (FaultError, OSError, ValueError) as error:
            tell(f"{paths[0]} cannot be recovered now and stays where it is: {error}")
            continue
        if recovered is not None:
            found.append(recovered)
        for path in paths:
            session.done(path)
    return found


def _recover_run(paths: list[Path], tell: Tell) -> Recovered | None:
    """Write a run's file anew; None if its journal holds nothing of a run."""
    with Reader(paths[0]) as reader:
        header = reader.header
        documents = reader.read(1)
        if not header or not documents or documents[0][0] != "start":
            if reader.damage is not None:
                tell(f"{paths[0]}: {reader.damage}")
            _remove_leftover(header)
            return None
    start = documents[0][1]
    recipes = Recipes(header.get("profile"))
    target = Path(header["target"])
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not _is_ours(target, start["uid"]):
        target = next(p for p in (naming.numbered(target, n) for n in count(2)) if not p.exists())
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        hdf5.create_exclusively([temporary], hdf5.skeleton({"creator": "nexus_callbacks", "default": "entry"}))
        run = Run(Writer(temporary), recipes.recipe(start, target), tell, recipes.roots, path=target)
        stopped = _feed(run, paths, tell)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    if stopped:
        _link(recipes, start, Path(header["directory"]), target, tell)
    return Recovered(str(start["uid"]), target, stopped)


def _feed(run: Run, paths: list[Path], tell: Tell) -> bool:
    """Feed all documents of the journals; whether the run's stop was among them."""
    stopped = False
    for path in paths:
        with Reader(path) as reader:
            while documents := reader.read(ended=True):
                for name, document in documents:
                    try:
                        run.feed(name, document)
                    except Exception as error:  # As live: one document must not cost the others.
                        tell(f"{run.path}: a document of kind {name!r} could not be written: {error!r}")
                    stopped = stopped or name == "stop"
                run.write_rows() if not stopped else None
            if reader.damage is not None:
                tell(f"{path}: {reader.damage}; what stands before it is in {run.path.name}")
    if not stopped:
        run.abandon("its session ended before the run stopped; written from its journal")
    return stopped


def _link(recipes: Recipes, start: Any, directory: Path, target: Path, tell: Tell) -> None:
    wanted = recipes.wanted_paths(start, directory)
    if wanted.master is not None:
        try:
            add_dataset(wanted.master, target, {"creator": "nexus_callbacks", "file_name": wanted.master.name})
        except MasterError as error:
            tell(f"{target.name} is complete but not in the master file: {error}")


def _is_ours(path: Path, uid: str) -> bool:
    """Whether a file is what was written of this run, or the skeleton that was made for it."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("creator") != "nexus_callbacks":
                return False
            found = file.get("entry/bluesky/uid")
            return found is None or found.asstr()[()] == uid
    except OSError:
        return False


def _remove_leftover(header: dict[str, Any]) -> None:
    """The file that was reserved for a run of which not even the start was kept."""
    target = Path(header["target"]) if "target" in header else None
    if target is not None and target.exists() and _is_ours(target, "") and _is_empty(target):
        target.unlink()


def _is_empty(path: Path) -> bool:
    with h5py.File(path, "r", locking=False) as file:
        return len(file) == 0
