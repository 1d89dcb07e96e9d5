"""Callback: the NexusWriter that a RunEngine, a dispatcher or a replay feeds with documents."""

from __future__ import annotations

import itertools
import logging
import os
import time
from pathlib import Path
from types import TracebackType

from nexus_callbacks import hdf5, naming
from nexus_callbacks.bindings import Signals
from nexus_callbacks.documents import Document
from nexus_callbacks.faults import Fault, FaultError, Place
from nexus_callbacks.master import MasterError, add_dataset
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.routing import Router
from nexus_callbacks.run import Run
from nexus_callbacks.writer import Writer

log = logging.getLogger("nexus_callbacks")

FLUSH_INTERVAL = 1.0
"""Rows are brought into the file when this many s have passed since they last were (design D6)."""
MOST_TOLD = 1000
"""Messages that are remembered, so that each is told once; a session of months must not fill the memory with them."""


class NexusWriter:
    """Writes a NeXus file of each run, while it runs.

    Subscribe it: ``RE.subscribe(NexusWriter("data"))``. Without a profile every plan becomes a file
    ``DIRECTORY/{time}_{plan_name}_{uid}.h5``; with one, files are named and shaped as the profile says and each
    dataset is linked into the experiment's master file.

    What profile, definitions and start metadata show to be wrong is raised as
    :class:`~nexus_callbacks.faults.FaultError`, at once or at the start document, before beam is used. After that
    nothing is raised: a fault costs the value it concerns and is told through the logger ``nexus_callbacks``.

    Parameters
    ----------
    directory
        Where files go; the profile's ``{data_root}``. It is made if it is not there.
    profile
        Folder of a beamline's profile or its ``profile.yml``.
    signals
        What the session's devices have (``devices.signals.signals_of``), to check the profile against; None takes the
        ``signals.json`` beside the profile, where there is one.

    Raises
    ------
    FaultError
        The profile or a definition is faulty (all faults, with file and line), or the directory cannot be written.
    """

    def __init__(
        self, directory: str | Path = ".", profile: str | Path | None = None, signals: Signals | None = None
    ) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self.files: dict[str, Path] = {}
        """Run uid → its file, from the start document on."""
        self.masters: dict[str, Path] = {}
        """Run uid → the experiment's master file, from the stop document on."""
        self._recipes = Recipes(profile, signals)
        self._skeleton = hdf5.skeleton({"creator": "nexus_callbacks", "default": "entry"})
        self._router = Router()
        self._runs: dict[str, Run] = {}
        self._flushed = time.monotonic()
        self._told: dict[str, None] = {}
        _check_writable(self.directory)
        for remark in self._recipes.remarks:
            self._tell(remark)

    # -- the front door --------------------------------------------------------------------------------------------

    def __call__(self, name: str, doc: Document) -> None:
        """Take a document.

        Raises
        ------
        FaultError
            At a start document only: its metadata does not do, or the file cannot be made.
        """
        if name == "start":
            self._start(doc)
            return
        uid: str | None = None
        try:
            uid = self._router.owner(name, doc)
            if uid is not None:
                self._feed(uid, name, doc)
            elif name in ("event", "event_page", "datum", "datum_page", "stream_datum"):
                self._tell(f"A document of kind {name!r} belongs to no run that is being written: it is not in a file")
        except Exception as error:  # A callback that raises would end the scan.
            self._failed(uid, name, error)

    def ready(self) -> None:
        """Return when the writer can take documents: at once."""

    def wait(self) -> None:
        """Return when every run that has stopped is in its file: at once, as this happens at the stop document."""

    def close(self) -> None:
        """Close the files of runs that did not stop; they are marked as incomplete."""
        for uid in list(self._runs):
            self._abandon(uid, "the writer was closed before the run stopped")

    def __enter__(self) -> NexusWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- documents -------------------------------------------------------------------------------------------------

    def _start(self, doc: Document) -> None:
        faults = [Fault(f"no {key!r}", Place("start document")) for key in ("uid", "time") if key not in doc]
        if faults or doc["uid"] in self._runs:
            raise FaultError(faults or [Fault(f"run {doc['uid']} is being written already", Place("start document"))])
        try:
            path = self._reserve(self._recipes.wanted_paths(doc, self.directory).dataset)
        except (TypeError, ValueError, OverflowError) as error:
            raise _refused(error) from error
        try:
            run = self._begin(doc, path)
        except BaseException as error:
            path.unlink(missing_ok=True)  # Nothing of the run is in it: it must not pass for a dataset.
            if isinstance(error, Exception):
                raise _refused(error) from error
            raise
        uid = str(doc["uid"])
        self.files[uid] = path
        self._runs[uid] = run
        self._router.open(uid)

    def _reserve(self, wanted: Path) -> Path:
        """Make the run's file; an existing one is never touched, the next number is taken."""
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            return hdf5.create_exclusively(
                (naming.numbered(wanted, number) for number in itertools.count(1)), self._skeleton
            )
        except (OSError, ValueError) as error:
            raise FaultError([_unwritable(wanted.parent, error)]) from error

    def _begin(self, doc: Document, path: Path) -> Run:
        recipe = self._recipes.recipe(doc, path)
        writer = Writer(path)
        try:
            run = Run(writer, recipe, self._tell, self._recipes.roots)
            run.feed("start", doc)
        except BaseException as error:
            writer.close()
            if isinstance(error, OSError):
                raise FaultError([_unwritable(path.parent, error)]) from error
            raise
        return run

    def _feed(self, uid: str, name: str, doc: Document) -> None:
        run = self._runs[uid]
        run.feed(name, doc)
        if name == "stop":
            del self._runs[uid]
            self._router.close(uid)
            if not run.path.exists():
                self._tell(f"{run.path} was removed while it was written: its data is lost")
            else:
                self._link_into_master(uid, run)
        elif time.monotonic() - self._flushed >= FLUSH_INTERVAL:
            self._flush()

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        for uid, run in list(self._runs.items()):
            try:
                run.write_rows()
            except Exception as error:  # Its rows stay pending; the other runs go on.
                self._tell(f"{self.files[uid]}: rows could not be written yet: {error}")

    def _link_into_master(self, uid: str, run: Run) -> None:
        wanted = self._recipes.wanted_paths(run.start, self.directory)
        if wanted.master is None:
            return
        try:
            add_dataset(wanted.master, run.path, {"creator": "nexus_callbacks", "file_name": wanted.master.name})
        except MasterError as error:
            self._tell(f"{run.path.name} is complete but not in the master file: {error}")
            return
        self.masters[uid] = wanted.master

    # -- faults ----------------------------------------------------------------------------------------------------

    def _failed(self, uid: str | None, name: str, error: Exception) -> None:
        """A document could not be written: say so, and keep the scan and the rest of the file going."""
        where = self.files.get(uid or "", "no file")
        self._tell(f"{where}: a document of kind {name!r} could not be written: {type(error).__name__}: {error}")
        log.debug("the document was of kind %r", name, exc_info=error)
        if name == "stop" and uid in self._runs:
            self._abandon(uid, f"{type(error).__name__}: {error}")

    def _abandon(self, uid: str, reason: str) -> None:
        self._router.close(uid)
        self._runs.pop(uid).abandon(reason)

    def _tell(self, message: str) -> None:
        """Tell the scientist, each thing once."""
        if message in self._told:
            return
        self._told[message] = None
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
        log.warning("%s", message)


def _refused(error: Exception) -> FaultError:
    """Whatever a start document can make go wrong, as a fault."""
    if isinstance(error, FaultError):
        return error
    return FaultError([Fault(f"it cannot be written: {type(error).__name__}: {error}", Place("start document"))])


def _check_writable(directory: Path) -> None:
    """Refuse a directory in which no file can be made, before anything depends on it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name.
        raise FaultError([_unwritable(directory, error)]) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise FaultError([_unwritable(directory, PermissionError("no permission to write"))])


def _unwritable(directory: Path, error: Exception) -> Fault:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return Fault(f"files cannot be written: {reason}", Place(str(directory)), "name a directory that you may write to")
