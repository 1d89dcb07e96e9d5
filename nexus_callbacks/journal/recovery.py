"""Recovery: files made whole from the journals that dead sessions left behind.

The same writer is fed (design D1): the file is written anew beside the old one and put in its place when it is whole.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import h5py

from nexus_callbacks import hdf5
from nexus_callbacks.beamline import naming
from nexus_callbacks.datasets import Target, leave
from nexus_callbacks.files.dataset import merge
from nexus_callbacks.files.master import MasterError, add_dataset
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.journal.journal import END, Reader
from nexus_callbacks.journal.spool import Session, Spool, follow
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.run import Run

log = logging.getLogger("nexus_callbacks")

Tell = Callable[[str], None]

SKELETON_BYTES = 64 * 1024
"""Bytes at a file's beginning among which is what a skeleton says of who made it."""
DEFINING = (".yml", ".xml", ".json")
"""What a profile is made of."""
DIED = "its session ended before the run stopped; written from its journal"


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


def recover_from(spool: Spool, tell: Tell, stop: threading.Event | None = None) -> list[Recovered]:
    """As :func:`recover`, of one spool; ``stop`` ends it between two documents, and what is left stays."""
    held = [session for folder in spool.orphans() if (session := spool.adopt(folder)) is not None]
    # A run that went on in a further place has a journal in each: all are needed before it can be written.
    by_run: dict[tuple[str, str], list[tuple[Session, Path]]] = {}
    for session in held:
        for path in session.journals():
            by_run.setdefault(run_of(path), []).append((session, path))
    found = []
    known = KnownRecipes()
    for journals in by_run.values():
        following = [follow(path) for _, path in journals]
        if None in following:
            continue  # A process that outlived its session is about to complete it.
        try:
            recovered = _recover_run(sorted((path for _, path in journals), key=order), known, tell, stop)
        except Stopped:
            break
        except Exception as error:  # Whatever a journal holds, those of the other runs are recovered.
            tell(f"{journals[0][1]} cannot be recovered now and stays where it is: {error}")
            continue
        if recovered is not None:
            found.append(recovered)
            for session, path in journals:
                if path.exists():
                    session.done(path)
    for session in held:
        session.close()
    return found


class KnownRecipes:
    """The recipes of each profile, read once as long as none of its files changes: a large one takes seconds."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, tuple[tuple[str, int], ...]], Recipes] = {}

    def of(self, profile: str | None) -> Recipes:
        """The recipes of a profile as it is now.

        Raises
        ------
        FaultError
            It has a fault.
        """
        folder = Path(profile or "")
        if profile and not folder.is_dir():
            folder = folder.parent
        files = sorted(path for path in folder.rglob("*") if path.suffix in DEFINING) if profile else []
        key = profile, tuple((str(path), path.stat().st_mtime_ns) for path in files)
        if key not in self._known:
            self._known[key] = Recipes(profile)
        return self._known[key]


class Stopped(Exception):
    """Recovery was asked to stop."""


def run_of(path: Path) -> tuple[str, str]:
    """Uid of a journal's run and the file that it goes to, as two writers may take one run; its path if unreadable."""
    try:
        with Reader(path) as reader:
            target = reader.header.get("target")
            file = str(target.get("file")) if isinstance(target, dict) else ""
            return str(reader.header.get("uid") or path), file
    except OSError:
        return str(path), ""


def order(path: Path) -> tuple[bool, float]:
    """The journal with the start document first, then as they were begun."""
    with Reader(path) as reader:
        header = reader.header
        documents = reader.read(1)
    return (not documents or documents[0][0] != "start", float(header.get("created") or 0.0))


def _keep(path: Path, why: str, tell: Tell) -> None:
    """Put a journal aside that cannot be read to its end; it is not deleted, nor looked at again."""
    kept = path.with_suffix(".damaged")
    path.rename(kept)
    tell(f"{kept}: {why}; what stands before it was recovered, the journal is kept")


def _recover_run(paths: list[Path], known: KnownRecipes, tell: Tell, stop: threading.Event | None) -> Recovered | None:
    """Write a run's file anew; None if its journal holds nothing of a run and was put aside."""
    with Reader(paths[0]) as reader:
        header = reader.header
        documents = reader.read(1)
        if not header or not documents or documents[0][0] != "start":
            _remove_leftover(header)
            _keep(paths[0], str(reader.damage or "it does not begin with a start document"), tell)
            return None
    start = documents[0][1]
    recipes = known.of(header.get("profile"))
    inode = header.get("inode")
    target = free(Target.from_dict(header["target"]), str(start["uid"]), inode)
    target.file.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.file.with_name(f".{target.file.name}.recovering")
    temporary.unlink(missing_ok=True)  # Of a recovery that was killed; the journals' lock says that none is at work.
    skeleton = hdf5.skeleton(target.entry)
    try:
        hdf5.create_exclusively([temporary], skeleton)
        recipe = recipes.recipe(start, target.path, target.entry)
        run = Run(Writer(temporary), recipe, tell, recipes.roots, path=target.path)
        stopped, damaged = _feed(run, paths, tell, stop)
        if run.failed:
            raise OSError("; ".join(run.failed))
        target = free(target, str(start["uid"]), inode)  # Again: a scan may have begun there meanwhile.
        temporary.replace(target.file)
    finally:
        temporary.unlink(missing_ok=True)
    put_in(target)
    for path, why in damaged.items():
        _keep(path, why, tell)
    if stopped:
        link(recipes, start, Path(header["directory"]), target, tell)
    return Recovered(str(start["uid"]), target.path, stopped)


def free(target: Target, uid: str, inode: int | None = None) -> Target:
    """The target, or where else the run goes if something of somebody else's is there."""
    if not target.file.exists() or _is_ours(target.file, target.entry, uid, inode):
        return target
    file = next(p for p in (naming.numbered(target.file, n) for n in count(2)) if not p.exists())
    return replace(target, file=file) if target.shared else replace(target, file=file, path=file)


def _feed(run: Run, paths: list[Path], tell: Tell, stop: threading.Event | None) -> tuple[bool, dict[Path, str]]:
    """Feed all documents of the journals; whether the run's stop was among them, and which journals are damaged."""
    stopped, damaged, reason = False, {}, DIED
    for path in paths:
        with Reader(path) as reader:
            while documents := reader.read(ended=True):
                for name, document in documents:
                    if name == END:
                        reason = str(document.get("reason"))
                        continue
                    try:
                        run.feed(name, document)
                    except OSError:
                        raise
                    except Exception as error:  # As live: one document must not cost the others.
                        tell(f"{run.path}: a document of kind {name!r} could not be written: {error!r}")
                    stopped = stopped or name == "stop"
                if not stopped:
                    run.write_rows()
                if stop is not None and stop.is_set():
                    run.abandon("recovery was stopped")
                    raise Stopped
            # A last record that is cut is what a killed session leaves; anything else is worth a look.
            if reader.damage is not None and not reader.damage.cut:
                damaged[path] = str(reader.damage)
    if not stopped:
        run.abandon(reason)
    return stopped, damaged


def put_in(target: Target) -> None:
    """Put a run that has ended into its dataset's file, if it shares one.

    Raises
    ------
    DatasetError
        It cannot be changed now.
    """
    if target.shared:
        target.register.mkdir(parents=True, exist_ok=True)
        if not target.path.exists():
            skeleton = hdf5.skeleton(target.entry)
            hdf5.create_exclusively([target.path], skeleton)
        merge(target)


def link(recipes: Recipes, start: Any, directory: Path, target: Target, tell: Tell) -> Path | None:
    """Put a run's entry into its master file, which is returned; None if it has none, or it could not be done."""
    master = recipes.wanted_paths(start, directory).master if recipes.masters else None
    if master is None:
        return None
    try:
        add_dataset(master, target.path, {"creator": "nexus_callbacks", "file_name": master.name}, target.entry)
    except MasterError as error:
        tell(f"{target.path.name} is complete but not in the master file: {error}")
        return None
    return master


def _is_ours(path: Path, entry: str, uid: str, inode: int | None = None) -> bool:
    """Whether a file is what was written of this run, or the skeleton that was made for it, which ``inode`` tells."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("creator") != "nexus_callbacks":
                return False
            found = file.get(f"{entry}/bluesky/uid")
            if found is None:  # Only a skeleton: another session may have made it for another run.
                return inode is None or path.stat().st_ino == inode
            return bool(found.asstr()[()] == uid)
    except (OSError, RuntimeError, KeyError):  # Its writer died in a flush or in SWMR; or it is no file of HDF5's.
        with path.open("rb") as torn:
            return b"nexus_callbacks" in torn.read(SKELETON_BYTES)


def _remove_leftover(header: dict[str, Any]) -> None:
    """The file that was reserved for a run of which not even the start was kept."""
    target = Target.from_dict(header["target"]) if "target" in header else None
    if target is None or not target.file.exists():
        return
    if _is_ours(target.file, target.entry, "", header.get("inode")) and is_empty(target.file):
        leave(target, str(header.get("uid")))


def is_empty(path: Path) -> bool:
    """Whether a file is the skeleton that was made for a run, and nothing more."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return len(file) == 0
    except (OSError, RuntimeError):  # As :func:`_is_ours`.
        return False
