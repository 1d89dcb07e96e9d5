"""Datasets: which runs share a file, kept on disk for all sessions that write below one directory (design D11).

A run whose start document has a ``dataset_uid`` becomes an entry of the dataset's file. While it is acquired it is
written to a part, a file of its own beside that one, to which the dataset's file has a link: so any number of runs, of
any number of sessions, can be on their way into one dataset, and no crash of one touches what the others have written.
When the run has ended, its part is merged (:mod:`nexus_callbacks.files.dataset`). Nothing here opens HDF5: it is done
in the RunEngine's thread.
"""

from __future__ import annotations

import itertools
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_callbacks import hdf5
from nexus_callbacks.beamline import naming
from nexus_callbacks.locks import locked
from nexus_callbacks.values import safe_uid

FOLDER = ".datasets"
"""Where the register is, below the directory into which a session writes."""
ENTRY = "entry"
"""Name of the entry of a run that has a file to itself, and of the first run of a dataset."""

Skeleton = Callable[[str], bytes]
"""Content of a new file whose default entry has this name."""


@dataclass(frozen=True)
class Target:
    """Where one run goes."""

    path: Path
    """The file in which it will be found."""
    file: Path
    """The file that it is written to: ``path`` itself, or a part that is merged into it."""
    entry: str = ENTRY
    """Name of its entry."""
    dataset_uid: str = ""
    """Of the dataset which it belongs to; empty if it has a file to itself."""
    register: Path = Path()
    """Folder of the dataset's register."""

    @property
    def shared(self) -> bool:
        """Whether other runs may be in the same file."""
        return bool(self.dataset_uid)

    def to_dict(self) -> dict[str, str]:
        """As plain values, for a journal's header."""
        return {
            "path": str(self.path),
            "file": str(self.file),
            "entry": self.entry,
            "dataset_uid": self.dataset_uid,
            "register": str(self.register),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Target:
        """Read what :meth:`to_dict` made.

        Raises
        ------
        KeyError
            Something is missing.
        """
        path, file, register = (Path(values[name]) for name in ("path", "file", "register"))
        return cls(path, file, str(values["entry"]), str(values["dataset_uid"]), register)

    @contextmanager
    def merging(self) -> Iterator[None]:
        """Hold the lock under which the dataset's file is replaced; it goes with the process that holds it."""
        with locked(self.register / f"{safe_uid(self.dataset_uid)}.merge"):
            yield


def alone(wanted: Path, skeleton: Skeleton) -> Target:
    """A new file for one run; an existing one is never touched, the next number is taken.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    path = hdf5.create_exclusively(_numbered(wanted), skeleton(ENTRY))
    return Target(path, path)


def join(directory: Path, dataset_uid: str, run: str, wanted: Path, skeleton: Skeleton) -> Target:
    """A place for one more run in a dataset, whose file is made if this is the first.

    A run that is in the dataset already (it is replayed) begins a new file of the same dataset.

    Parameters
    ----------
    directory
        That of the session, below which the register is.
    run
        Uid of the run.
    wanted
        Where the dataset's file should be if it has to be made.

    Raises
    ------
    OSError
        The folder or the register cannot be written.
    """
    register = directory / FOLDER
    register.mkdir(exist_ok=True)
    record = register / f"{safe_uid(dataset_uid)}.json"
    with locked(record.with_suffix(".lock")):
        known = _read(record)
        runs: dict[str, str] = known.get("runs", {})
        path = directory / str(known.get("path"))
        if not runs or run in runs or not path.exists():
            path, runs = hdf5.create_exclusively(_numbered(wanted), skeleton(ENTRY)), {}
        entry = ENTRY if not runs else f"{ENTRY}_{len(runs) + 1:04d}"
        wanted_part = path.with_name(f".{path.stem}.{entry}.part")
        part = hdf5.create_exclusively(_numbered(wanted_part), skeleton(entry))
        try:
            _write(record, {"path": os.path.relpath(path, directory), "runs": {**runs, run: entry}})
        except OSError:
            part.unlink()
            if not runs:
                path.unlink()
            raise
    return Target(path, part, entry, dataset_uid, register)


def leave(target: Target, run: str) -> None:
    """Take back a place in which nothing was written: the run was refused.

    Raises
    ------
    OSError
        A file or the register cannot be written.
    """
    target.file.unlink(missing_ok=True)
    if not target.shared:
        return
    record = target.register / f"{safe_uid(target.dataset_uid)}.json"
    with locked(record.with_suffix(".lock")):
        known = _read(record)
        if known.get("runs") == {run: target.entry}:
            target.path.unlink(missing_ok=True)
            record.unlink()
        # Else the entry's name stays taken: a later run may have the next one already.


def _numbered(wanted: Path) -> Iterator[Path]:
    return (naming.numbered(wanted, number) for number in itertools.count(1))


def _read(record: Path) -> dict[str, Any]:
    """What the register says of a dataset; nothing if it was never opened, or somebody damaged the record."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    whole = isinstance(found, dict) and isinstance(found.get("runs"), dict) and isinstance(found.get("path"), str)
    return found if whole else {}


def _write(record: Path, content: Mapping[str, Any]) -> None:
    temporary = record.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        temporary.replace(record)
    finally:
        temporary.unlink(missing_ok=True)
