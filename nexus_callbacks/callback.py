"""Callback: the NexusWriter that a RunEngine, a dispatcher or a replay feeds with documents."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from types import TracebackType

from nexus_callbacks import hdf5, naming
from nexus_callbacks.bindings import Signals
from nexus_callbacks.coverage import Coverage
from nexus_callbacks.documents import Document, iso_time
from nexus_callbacks.faults import Fault, FaultError, Place
from nexus_callbacks.master import MasterError, add_dataset
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.run import Run
from nexus_callbacks.writer import Writer

log = logging.getLogger("nexus_callbacks")

FLUSH_INTERVAL = 1.0
"""Rows are brought into the file when this many s have passed since they last were (design D6)."""


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
        self.coverages: dict[str, Coverage] = {}
        """Run uid → which variables were filled, from the stop document on."""
        self._recipes = Recipes(profile, signals)
        self._runs: dict[str, Run] = {}
        self._owners: dict[str, Run] = {}
        self._flushed = time.monotonic()
        self._told: set[str] = set()
        _check_writable(self.directory)

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
        try:
            self._feed(name, doc)
        except Exception as error:  # A callback that raises would end the scan.
            self._failed(name, doc, error)

    def ready(self) -> None:
        """Return when the writer can take documents: at once."""

    def wait(self) -> None:
        """Return when every run that has stopped is in its file: at once, as this happens at the stop document."""

    def close(self) -> None:
        """Close the files of runs that did not stop; they are marked as incomplete."""
        for run in list(self._runs.values()):
            run.abandon("the writer was closed before the run stopped")
            self._forget(run)

    def __enter__(self) -> NexusWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- documents -------------------------------------------------------------------------------------------------

    def _start(self, doc: Document) -> None:
        path = self._reserve(doc)
        try:
            run = self._begin(doc, path)
        except BaseException:
            path.unlink(missing_ok=True)  # Nothing of the run is in it: it must not pass for a dataset.
            raise
        self.files[run.uid] = path
        self._runs[run.uid] = self._owners[run.uid] = run

    def _begin(self, doc: Document, path: Path) -> Run:
        recipe = self._recipes.recipe(doc, path)
        roots = self._recipes.profile.roots if self._recipes.profile else {}
        writer = Writer(path)
        try:
            run = Run(doc, writer, recipe, self._tell, roots)
            writer.state("writing")
            run.feed("start", doc)
            writer.flush()
        except BaseException as error:
            writer.close()
            if isinstance(error, OSError):
                raise FaultError([_unwritable(path.parent, error)]) from error
            raise
        return run

    def _reserve(self, doc: Document) -> Path:
        """Make the run's file; an existing one is never touched, the next number is taken."""
        profile = self._recipes.profile
        template = profile.files.dataset if profile and profile.files else naming.DEFAULT
        beamline = profile.beamline if profile else None
        names = naming.names_of(doc, self.directory, beamline, self._recipes.zone)
        wanted = naming.expand(template, names, "files.dataset")
        attributes = {
            "creator": "nexus_callbacks",
            "file_time": iso_time(time.time(), self._recipes.zone),
            "default": "entry",
        }
        number = 0
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            while True:
                number += 1
                path = naming.numbered(wanted, number)
                try:
                    hdf5.create_exclusively(path, {**attributes, "file_name": path.name})
                except FileExistsError:
                    continue
                return path
        except OSError as error:
            raise FaultError([_unwritable(wanted.parent, error)]) from error

    def _feed(self, name: str, doc: Document) -> None:
        run = self._owner(name, doc)
        if run is None:
            return
        if name == "stop":
            self._stop(run, doc)
            return
        run.feed(name, doc)
        if name in ("descriptor", "resource", "stream_resource"):
            self._owners[doc["uid"]] = run
        if time.monotonic() - self._flushed >= FLUSH_INTERVAL:
            for each in self._runs.values():
                each.write_rows()
            self._flushed = time.monotonic()

    def _owner(self, name: str, doc: Document) -> Run | None:
        """The run that a document belongs to; None if that run is not written (its start was refused)."""
        if name in ("event", "event_page", "stream_datum"):
            return self._owners.get(doc["descriptor"])
        if name in ("datum", "datum_page"):
            return self._owners.get(doc["resource"])
        uid = doc.get("run_start")
        if uid is None and len(self._runs) == 1:  # A legacy resource need not name its run.
            return next(iter(self._runs.values()))
        return self._owners.get(str(uid))

    def _stop(self, run: Run, doc: Document) -> None:
        run.finish(doc)
        self.coverages[run.uid] = run.coverage
        self._forget(run)
        self._link_into_master(run)

    def _link_into_master(self, run: Run) -> None:
        profile = self._recipes.profile
        if profile is None or profile.files is None or not profile.files.master:
            return
        names = naming.names_of(run.start, self.directory, profile.beamline, self._recipes.zone)
        try:
            master = naming.expand(profile.files.master, names, "files.master")
            attributes = {"creator": "nexus_callbacks", "file_name": master.name}
            add_dataset(master, run.path, attributes)
        except (MasterError, FaultError) as error:
            self._tell(f"{run.path.name} is complete but not in the master file: {error}")
            return
        self.masters[run.uid] = master

    def _forget(self, run: Run) -> None:
        self._runs.pop(run.uid, None)
        self._owners = {uid: owner for uid, owner in self._owners.items() if owner is not run}

    # -- faults ----------------------------------------------------------------------------------------------------

    def _failed(self, name: str, doc: Document, error: Exception) -> None:
        """A document could not be written: say so, and keep the scan and the rest of the file going."""
        run = self._owner(name, doc)
        where = run.path if run else "no file"
        self._tell(f"A document of kind {name!r} could not be written to {where}: {type(error).__name__}: {error}")
        log.debug("the document was %r", doc, exc_info=error)
        if name == "stop" and run is not None:
            run.abandon(f"{type(error).__name__}: {error}")
            self._forget(run)

    def _tell(self, message: str) -> None:
        """Tell the scientist, each thing once."""
        if message not in self._told:
            self._told.add(message)
            log.warning("%s", message)


def _check_writable(directory: Path) -> None:
    """Refuse a directory in which no file can be made, before anything depends on it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaultError([_unwritable(directory, error)]) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise FaultError([_unwritable(directory, PermissionError("no permission to write"))])


def _unwritable(directory: Path, error: OSError) -> Fault:
    reason = error.strerror or str(error)
    return Fault(f"files cannot be written: {reason}", Place(str(directory)), "name a directory that you may write to")
