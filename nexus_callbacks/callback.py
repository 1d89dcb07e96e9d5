"""Callback: the NexusWriter that a RunEngine, a dispatcher or a replay feeds with documents."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType

from nexus_callbacks import datasets, hdf5, pulse
from nexus_callbacks.beamline.bindings import Signals
from nexus_callbacks.datasets import Target
from nexus_callbacks.documents import Document, text_of
from nexus_callbacks.faults import Fault, FaultError, Place
from nexus_callbacks.files.dataset import DatasetError, announce, merge
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.journal.follower import Followed, Follower, HandedOver
from nexus_callbacks.journal.journal import END, HEADER
from nexus_callbacks.journal.recovery import link, recover_from
from nexus_callbacks.journal.spool import Session, Spool
from nexus_callbacks.layout.layout import Recipe
from nexus_callbacks.once import Once
from nexus_callbacks.pulse import Pulse
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.relations import RELATIVE, Relations
from nexus_callbacks.routing import Router
from nexus_callbacks.run import Run

log = logging.getLogger("nexus_callbacks")

FLUSH_INTERVAL = 0.8
"""Rows are brought into the file when this many s have passed since they last were: a reader is less than 1 s behind,
what the flush takes included (design D6)."""
PATIENCE = 10.0
"""In s: so long a look-up in :attr:`NexusWriter.files` waits for a file to be complete."""
RESERVED = (HEADER, END, RELATIVE)
"""Names of records that stand in a journal beside the documents."""
QUIET = 0.5
"""In s: so long a session that ends waits for its files without a word."""
ENDED = "the session ended before the run stopped"
CLOSED = "the writer was closed before the run stopped"


class Written(Mapping[str, Path]):
    """Files of runs by their uid.

    To look up the file of a run that has ended waits until it is complete, so that it can be opened: usually some
    ms, at most :data:`PATIENCE` on a disk that stalls. Of a run that is acquired the path comes at once.
    """

    def __init__(self, wait: Callable[[str], None]) -> None:
        self._wait = wait
        self._paths: dict[str, Path] = {}

    def put(self, uid: str, path: Path) -> None:
        """Note a run's file."""
        self._paths[uid] = path

    def __getitem__(self, uid: str) -> Path:
        self._wait(uid)
        return self._paths[uid]

    def __contains__(self, uid: object) -> bool:
        return uid in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._paths))

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return repr(self._paths)


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
    journal
        True, or the folder of a spool: documents are appended to a journal, and a thread of the writer's own brings
        them into the file, so that a slow or full disk never holds the scan up and nothing is lost with the session
        (:func:`~nexus_callbacks.journal.recovery.recover`). The file is complete a moment after the run has stopped:
        :attr:`files` waits for it, and so does :meth:`wait`. False: each document is written as it comes, the scan
        waits for the disk, and what was not flushed is lost with the session.
    swmr
        Write by HDF5's SWMR: only readers that open the file with ``swmr=True`` can, and on a local disk or a parallel
        file system only, not over NFS (docs/decisions/0005). Without it any reader can.
    follow
        False: this session only appends to the journal, and ``nexus-callbacks writer`` brings it into the file, in a
        process of its own which may be started before or after, and be one of several that stand in for each other.
        Without a journal there is nothing to follow.

    Raises
    ------
    FaultError
        The profile or a definition is faulty (all faults, with file and line), or the directory cannot be written.
    """

    def __init__(
        self,
        directory: str | Path = ".",
        profile: str | Path | None = None,
        signals: Signals | None = None,
        journal: bool | str | Path = True,
        swmr: bool = False,
        follow: bool = True,
    ) -> None:
        self.directory = Path(directory).expanduser().absolute()
        self.files = Written(self._wait_for)
        """Run uid → its file, from the start document on."""
        self.masters = Written(self._wait_for)
        """Run uid → the experiment's master file, when the run has ended."""
        self.strays: Counter[str] = Counter()
        """Kind → number of documents that belonged to no run, and so are in no file."""
        self._recipes = Recipes(profile, signals)
        self._once = Once()
        self._relations = Relations()
        self._swmr = swmr
        self._follow = follow
        self._skeleton = cache(lambda entry: hdf5.skeleton(entry, swmr))
        self._router = Router()
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._runs: dict[str, Run] = {}
        self._profile = Path(profile).absolute() if profile is not None else None
        self._journaled: dict[str, Followed] = {}
        self._puts: dict[str, Callable[[str, Document], None]] = {}
        """Uid of a descriptor → what appends its rows to their run's journal."""
        self._follower: Follower | None = None
        self._spool: Spool | None = None
        self._session: Session | None = None
        if journal:
            self._spool = Spool(Path(journal) if isinstance(journal, str | Path) else None)
            self._follower = Follower(self._tell)
            _followers.add(self._follower)
            # Beside everything else: what a dead session left must not keep the first scan waiting.
            spool, tell = self._spool, self._tell
            recovery = threading.Thread(target=lambda: _recover(spool, tell), name="nexus-recover", daemon=True)
            _recoveries.add(recovery)
            recovery.start()
        _writers.add(self)
        self._flushed = time.monotonic()
        self._pulse = Pulse(self._beat, "nexus-flush")
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
        journaled = True
        try:
            # The rows of a scan: nothing but the journal, which has a lock of its own. At 1 kHz all other code is out
            # of the processor's cache again, and each call of a function costs 1 µs.
            self._puts[doc["descriptor"]](name, doc)
        except Exception:  # No row, the first one, or its journal takes no more: all of which is known below.
            journaled = False
        if journaled:
            return
        if os.getpid() != self._pid:
            self._tell("a forked child does not write: its documents are in no file")
            return
        with self._lock:  # bluesky's monitors emit from the devices' threads.
            self._take(name, doc)

    def _take(self, name: str, doc: Document) -> None:
        if name == "start":
            self._start(doc)
            return
        uid: str | None = None
        try:
            if name in RESERVED:
                raise ValueError("no document of event-model has this name")
            uid = self._router.owner(name, doc)
            if uid is not None and self._follower is not None:
                self._append(uid, name, doc)
            elif uid is not None:
                self._feed(uid, name, doc)
            elif name in ("event", "event_page", "datum", "datum_page", "stream_datum"):
                self.strays[name] += 1
                self._tell(f"A document of kind {name!r} belongs to no run that is being written: it is not in a file")
        except Exception as error:  # A callback that raises would end the scan.
            if uid is None:
                self.strays[name] += 1
            self._failed(uid, name, error)

    def ready(self) -> None:
        """Return when the writer can take documents: at once."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return when every run that has stopped is in its file; False if ``timeout`` (s) was over before.

        Without a journal that is at once, as it happens at the stop document.
        """
        return self._follower is None or os.getpid() != self._pid or self._follower.wait(timeout)

    def _wait_for(self, uid: str) -> None:
        if self._follower is not None and os.getpid() == self._pid:
            self._follower.wait(PATIENCE, uid)

    def close(self) -> None:
        """Close the files of runs that did not stop; they are marked as incomplete. Waits for the others."""
        if os.getpid() != self._pid:
            return  # A forked child: the files are the parent's.
        self._end_runs(CLOSED)
        if self._follower is not None:
            self._follower.end()
        self.wait()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _end_runs(self, reason: str) -> None:
        """End the runs that have not stopped."""
        if os.getpid() != self._pid:
            return
        with self._lock:  # Rows of runs without a journal are flushed in a thread of its own.
            for uid in list(self._runs):
                self._abandon(uid, reason)
            for uid in list(self._journaled):
                self._end(uid, reason)

    def __enter__(self) -> NexusWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- documents -------------------------------------------------------------------------------------------------

    def _start(self, doc: Document) -> None:
        uid = self._router.admit(doc)
        try:
            target = self._place(doc)
        except Exception as error:  # A value of a class of one's own may raise anything when it is looked at.
            raise _refused(error) from error
        try:
            told = self._relations.begin(doc, target, self._router.runs)
            run = self._begin(doc, target) if self._follower is None else None
            if run is None:
                self._begin_journal(doc, target)
        except BaseException as error:
            self._relations.targets.pop(uid, None)
            self._journaled.pop(uid, None)
            self._leave(target, uid)  # Nothing of the run is in it: it must not pass for a dataset.
            if isinstance(error, Exception):
                raise _refused(error) from error
            raise
        self.files.put(uid, target.path)
        if any(uid in each.files for each in list(_writers) if each is not self and each.directory == self.directory):
            self._tell(f"{target.path}: another NexusWriter of this session writes this run, too: one is enough")
        if run is not None:
            self._runs[uid] = run
            self._pulse.start(FLUSH_INTERVAL)
        self._router.open(uid)
        for each, relative in told:
            self._pass_on(each, RELATIVE, relative)

    def _leave(self, target: Target, uid: str) -> None:
        try:
            datasets.leave(target, uid)
        except OSError as error:
            self._tell(f"{target.file}: of a run that was refused, and cannot be removed: {error}")

    def _place(self, start: Document) -> Target:
        """Make the file of a run, or a place in that of its dataset."""
        wanted = self._recipes.wanted_paths(start, self.directory).dataset
        dataset = start.get("dataset_uid")
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            if dataset:
                return datasets.join(self.directory, str(dataset), str(start["uid"]), wanted, self._skeleton)
            return datasets.alone(wanted, self._skeleton)
        except (OSError, ValueError) as error:
            raise FaultError([_unwritable(wanted.parent, error)]) from error

    def _pass_on(self, uid: str, name: str, doc: Document) -> None:
        try:
            (self._feed if self._follower is None else self._append)(uid, name, doc)
        except Exception as error:  # A link is not worth a scan.
            self._failed(uid, name, error)

    def _begin(self, doc: Document, target: Target) -> Run:
        recipe = self._recipes.recipe(doc, target.path, target.entry)
        run = self._open(target, recipe)
        try:
            run.feed("start", doc)
            run.write_rows()  # The next flush comes with a later document, and that may be long after.
        except BaseException as error:
            run.close()
            if isinstance(error, OSError):
                raise FaultError([_unwritable(target.path.parent, error)]) from error
            raise
        return run

    def _open(self, target: Target, recipe: Recipe) -> Run:
        """Open the file of a run, and show it in its dataset's."""
        if target.shared:
            try:
                announce(target)
            except DatasetError as error:
                self._tell(str(error))
        return Run(Writer(target.file, self._swmr), recipe, self._tell, self._recipes.roots, path=target.path)

    def _begin_journal(self, doc: Document, target: Target) -> None:
        """Begin a run's journal, and have it followed."""
        assert self._follower is not None  # Both are made with ``journal``.
        assert self._spool is not None
        recipe = self._recipes.recipe(doc, target.path, target.entry)
        uid = str(doc["uid"])
        header = {
            "uid": uid,
            "target": target.to_dict(),
            "inode": target.file.stat().st_ino,
            "directory": str(self.directory),
            "profile": str(self._profile) if self._profile else None,
            "swmr": self._swmr,
            "pid": os.getpid(),
            "created": time.time(),
        }
        if self._session is None:
            try:
                self._session = self._spool.session()
                place = self._session.folders[0].parent
                if place != self._spool.folder:
                    self._tell(f"no journal can be written in {self._spool.folder}: journals go to {place}")
            except OSError as error:
                self._tell(f"no journal can be written: {error}")
        followed: Followed
        if self._follow:
            followed = Followed(
                uid,
                self._session,
                header,
                open_run=lambda: self._open(target, recipe),
                finished=lambda run, stopped: self._finished(target, run, stopped),
                tell=self._tell,
            )
        else:
            followed = HandedOver(uid, self._session, header, self._tell)
        followed.append("start", doc)
        self._journaled[uid] = followed
        self._follower.follow(followed)

    def _append(self, uid: str, name: str, doc: Document) -> None:
        followed = self._journaled[uid]
        followed.append(name, doc)
        if name == "stop" and self._follower is not None:
            self._end(uid)
            self._follower.wake()
        elif "descriptor" in doc and followed.put is not None:
            self._puts[doc["descriptor"]] = followed.put

    def _end(self, uid: str, reason: str = "") -> None:
        """No further document of a run will be taken."""
        for each in self._router.close(uid):
            self._puts.pop(each, None)
        self._journaled.pop(uid).end(reason)

    def _feed(self, uid: str, name: str, doc: Document) -> None:
        run = self._runs[uid]
        run.feed(name, doc)
        if name == "stop":
            del self._runs[uid]
            self._router.close(uid)
            self._finished(self._relations.targets[uid], run, True)
        elif time.monotonic() - self._flushed >= FLUSH_INTERVAL:
            self._flush()

    def _beat(self) -> float | None:
        """Bring rows into the files that no document follows: before a pause, or of a slow scan."""
        with self._lock:
            if not self._runs:
                return None
            left = self._flushed + FLUSH_INTERVAL - time.monotonic()
            if left <= 0:
                self._flush()
                left = FLUSH_INTERVAL
            return left

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        for run in list(self._runs.values()):
            try:
                run.write_rows()
            except Exception as error:  # Its rows stay pending; the other runs go on.
                self._tell(f"{run.path}: rows could not be written yet: {error}")

    def _finished(self, target: Target, run: Run, stopped: bool) -> None:
        """Put a run that has ended into its dataset's file, and into the master if it ended with a stop document."""
        if not run.in_place:
            self._tell(f"{run.file} was removed or replaced while it was written: its data is lost")
            return
        if target.shared:
            try:
                merge(target)
            except DatasetError as error:
                self._tell(f"{error}; until then it is in {target.file.name}")
                if self._follower is not None:
                    raise  # Its journal stays, and it is tried again.
        if stopped:
            master = link(self._recipes, run.start, self.directory, target, self._tell)
            if master is not None:
                self.masters.put(str(run.start["uid"]), master)

    # -- faults ----------------------------------------------------------------------------------------------------

    def _failed(self, uid: str | None, name: str, error: Exception) -> None:
        """A document could not be written: say so, and keep the scan and the rest of the file going."""
        target = self._relations.targets.get(uid or "")
        where = target.path if target else "no file"
        self._tell(
            f"{where}: a document of kind {name!r} could not be written: {type(error).__name__}: {text_of(error)}"
        )
        log.debug("the document was of kind %r", name, exc_info=error)
        if name == "stop" and uid in self._runs:
            self._abandon(uid, f"{type(error).__name__}: {error}")

    def _abandon(self, uid: str, reason: str) -> None:
        self._router.close(uid)
        run = self._runs.pop(uid)
        run.abandon(reason)
        self._finished(self._relations.targets[uid], run, False)

    def _tell(self, message: str) -> None:
        """Tell the scientist, each thing once."""
        if not self._once.first(message):
            return
        try:
            log.warning("%s", message)
        except Exception as error:  # A handler of the session's own must neither end a scan nor the follower.
            sys.stderr.write(f"nexus_callbacks: {message} (and a logging handler raised {type(error).__name__})\n")


_followers: weakref.WeakSet[Follower] = weakref.WeakSet()
_writers: weakref.WeakSet[NexusWriter] = weakref.WeakSet()
_recoveries: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_stopping = threading.Event()
"""Set when the session ends: a recovery stops, and what is left of it is for the next one."""


def _recover(spool: Spool, tell: Callable[[str], None]) -> None:
    """Complete what dead sessions left, and say so."""
    for each in recover_from(spool, tell, _stopping):
        what = "" if each.complete else ", which ended before the run stopped"
        tell(f"{each.path}: completed from the journal of a session that died{what}")


def _wait_at_exit() -> None:
    """A session that ends waits for its files; Ctrl-C leaves them to ``recover``."""
    _stopping.set()
    pulse.stop_all()
    for writer in list(_writers):
        writer._end_runs(ENDED)
    for recovery in list(_recoveries):
        recovery.join()  # HDF5 must not be at work in a thread when Python takes it down.
    followers = list(_followers)
    with contextlib.suppress(KeyboardInterrupt):
        for follower in followers:
            follower.end()
        if all(follower.wait(QUIET) for follower in followers):
            return
        busy = sum(follower.busy() for follower in followers)
        text = (
            f"finishing {busy} file{'s' if busy > 1 else ''} (Ctrl-C leaves {'them' if busy > 1 else 'it'} to recover)"
        )
        sys.stderr.write(f"nexus_callbacks: {text} …\n")
        for follower in followers:
            follower.wait()


def _leave_to_parent() -> None:
    for follower in list(_followers):
        follower.leave_to_parent()
    for writer in list(_writers):
        writer._puts.clear()
    _recoveries.clear()


atexit.register(_wait_at_exit)
os.register_at_fork(after_in_child=_leave_to_parent)


def _refused(error: Exception) -> FaultError:
    """Whatever a start document can make go wrong, as a fault."""
    if isinstance(error, FaultError):
        return error
    text = f"it cannot be written: {type(error).__name__}: {text_of(error)}"
    return FaultError([Fault(text, Place("start document"))])


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
