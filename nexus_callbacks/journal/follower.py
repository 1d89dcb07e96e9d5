"""Follower: reads journals while they grow and feeds the runs to their files, in a thread of its own.

What a disk does, however slow or full, happens here: the RunEngine's thread appends to a journal and goes on
(design D5). A document that cannot be written yet stays in the journal.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from nexus_callbacks.documents import Document
from nexus_callbacks.journal.journal import END, Journal, JournalClosed, Reader
from nexus_callbacks.journal.spool import Session, is_followed
from nexus_callbacks.run import Run

log = logging.getLogger("nexus_callbacks")

WAKE_INTERVAL = 0.1
"""In s: so often the journals are looked at."""
FLUSH_INTERVAL = 0.5
"""In s: so often rows are brought into the files and journals to the disk; with the wake interval a reader is less
than 1 s behind (design D6)."""

NOBODY = 5.0
"""In s: so long a process that follows may be absent before the scientist is told."""
PAUSE = 50e-6
"""In s a document: as long as a run goes on, the RunEngine's thread has the interpreter to itself for so long after
each batch. What comes faster waits in the journal, and costs no more time in the end."""
PATIENCE = 5.0
"""In s: so long a session that ends waits for a disk that takes nothing."""

OpenRun = Callable[[], Run]
"""Opens the file of a run, when the follower comes to it."""
Finished = Callable[[Run, bool], None]
"""Called when a run's file is closed, in the follower's thread; with whether its stop document came."""


class Followed:
    """One run on its way: the RunEngine's thread appends, the follower reads.

    Parameters
    ----------
    session
        Where its journals are.
    header
        What `recover` must know.
    open_run
        Opens the file.
    finished
        Called when the file is complete.
    tell
        Called with what the scientist should know.
    """

    def __init__(
        self,
        uid: str,
        session: Session | None,
        header: Mapping[str, Any],
        open_run: OpenRun,
        finished: Finished,
        tell: Callable[[str], None],
    ) -> None:
        self.uid = uid
        self.ended = threading.Event()
        """The last document was appended, or none will come."""
        self.complete = threading.Event()
        """The follower is done with it."""
        self._session = session
        self._header = header
        self._open_run = open_run
        self._finished = finished
        self._tell = tell
        self._journals: list[Journal] = []
        self._memory: deque[tuple[str, Document]] = deque()
        """Documents for which no journal is left; they come after all journals."""
        self._in_memory = False
        self._readers: list[Reader] = []
        self._reading = 0
        self._waiting: deque[tuple[str, Document]] = deque()
        """Read, and not in the file yet: the disk did not take them."""
        self._run: Run | None = None
        self._reason = ""
        self._stopped = False
        """The stop document was read."""
        self.refused: float | None = None
        """Since when (``time.monotonic``) the disk has taken nothing; None if it does."""

    # -- the RunEngine's thread --------------------------------------------------------------------------------------

    def append(self, name: str, document: Document) -> None:
        """Keep a document: in the journal, else in the next spool's, else in memory."""
        if not self._in_memory:
            try:
                self._journals[-1].append(name, document)
                return
            except JournalClosed:
                raise
            except (OSError, IndexError) as error:  # IndexError: the first document of the run.
                if self._next_journal(error if isinstance(error, OSError) else None):
                    self.append(name, document)
                    return
        self._memory.append((name, document))

    @property
    def put(self) -> Callable[[str, Document], None] | None:
        """The short way for the next document, as long as it does not raise; None if there is no journal."""
        return self._journals[-1].append if self._journals and not self._in_memory else None

    def _next_journal(self, error: OSError | None) -> bool:
        """Begin the run's journal, or go on in the next place when one is full."""
        after = self._journals[-1].path if self._journals else None
        if error is not None:
            self._tell(f"the journal {after} takes no more ({error.strerror}): going on elsewhere")
        try:
            if self._session is None:
                raise OSError("there is no place for journals")
            # The time puts a run's journals into their order.
            journal = self._session.journal(self.uid, {**self._header, "created": time.time()}, after)
            # Opened now: it can be read to its end even if somebody empties the spool.
            self._readers.append(Reader(journal.path))
            self._journals.append(journal)
            return True
        except OSError as failure:
            self._in_memory = True
            self._tell(
                f"no journal can be written ({failure}): documents are kept in memory, and what is not in the file yet "
                "is lost if this session dies"
            )
            return False

    def end(self, reason: str = "") -> None:
        """No further document will come; ``reason`` if that is not because of a stop document."""
        self._reason = reason
        for journal in self._journals:
            journal.close()
        self.ended.set()

    # -- the follower's thread ---------------------------------------------------------------------------------------

    def advance(self) -> int:
        """Bring some more of what was appended into the run; the number of documents, 0 if there is nothing left now.

        Raises
        ------
        OSError
            The disk does not take it; the documents stay.
        """
        if self._run is None:
            try:
                self._run = self._open_run()
            except OSError as error:
                if isinstance(error, FileNotFoundError) or error.errno is None:
                    # Gone, or no HDF5: no disk gives it back, and it would be waited for without end.
                    self.give_up(f"the file was removed or replaced before it was written ({error})")
                    return 0
                raise
        ended = self.ended.is_set()  # Asked first: what was appended before is read below.
        documents = self._next()
        if not documents:
            if ended and not self.complete.is_set():
                self._finish()
            return 0
        self._waiting.extend(documents)
        self._feed(self._run)
        return len(documents)

    def _feed(self, run: Run) -> None:
        """Bring what was read into the run."""
        while self._waiting:
            name, document = self._waiting[0]
            if name == "stop":
                # A disk that is full now may not be later: the stop document waits for it.
                run.write_rows(last=True)
                self._stopped = True
            try:
                run.feed(name, document)
            except OSError:
                raise
            except Exception as error:  # One document of a device's or plan's own making must not stop the others.
                self._tell(f"{run.path}: a document of kind {name!r} could not be written: {error!r}")
            self._waiting.popleft()

    def _next(self) -> list[tuple[str, Document]]:
        if self._waiting:
            return []  # Those first.
        while self._reading < len(self._journals):
            reader = self._readers[self._reading]
            last = self._reading == len(self._journals) - 1 and not self._in_memory
            found = reader.read()
            if reader.damage is not None and not found:
                raise ValueError(f"the journal {reader.path} is damaged {reader.damage}")
            if found or last:
                return list(found)
            found = reader.read()  # Written between the look and the move to the next place.
            if found:
                return list(found)
            reader.close()
            self._reading += 1
        found_here = []
        while self._memory:
            found_here.append(self._memory.popleft())
        return found_here

    def pending(self) -> bool:
        """Whether documents were read that the disk did not take yet."""
        return bool(self._waiting)

    def retry(self) -> None:
        """Feed what the disk did not take before; see :meth:`advance`."""
        if self._waiting and self._run is not None:
            if self._waiting[0][0] != "stop":
                self._run.write_rows()
            self._feed(self._run)

    def flush(self) -> None:
        """Make the rows visible and the journal safe from power loss."""
        # With the stop document all rows are in the file, which is closed.
        if self._run is not None and not self._stopped and not self.complete.is_set():
            self._run.write_rows()
        self._sync()

    def _sync(self) -> None:
        """Make the journals safe from power loss; one that somebody removed is told."""
        for journal in self._journals:
            if not journal.closed:
                if journal.gone():
                    self._tell(f"the journal {journal.path} was removed: what is not in the file yet may be lost")
                else:
                    journal.sync()

    def _finish(self) -> None:
        run = self._run
        if run is not None:
            if not (self._stopped or self._reason):
                self.give_up("its stop document was not found in its journal")
                return
            if self._reason and not run.closed:
                run.abandon(self._reason)
            if run.failed:
                self.give_up("; ".join(run.failed))
                return
            if not run.in_place:
                self.give_up("the file was removed or replaced while it was written")
                return
            self._finished(run, not self._reason)
        self._discard()

    def give_up(self, reason: str) -> None:
        """Leave the run to ``recover``: its journals stay."""
        where = f" {self._journals[0].path.parent.parent}" if self._journals else ""
        self._tell(
            f"{self._run.path if self._run else self.uid}: {reason}; `nexus-callbacks recover{where}` completes it"
        )
        if self._run is not None and not self._run.closed:
            self._run.abandon(reason)
        self._close_readers()
        self.complete.set()

    def _close_readers(self) -> None:
        for reader in self._readers:
            reader.close()

    def _discard(self) -> None:
        """The file has it all: the journals go."""
        self._close_readers()
        try:
            for journal in self._journals:
                journal.close()
                if self._session is not None:
                    self._session.done(journal.path)
        except OSError as error:
            self._tell(f"run {self.uid} is in its file, but its journal cannot be removed: {error}")
        finally:
            self.complete.set()


class HandedOver(Followed):
    """One run whose journal a process of its own brings into the file (:mod:`~nexus_callbacks.journal.service`).

    Nothing here opens the file. The thread only keeps the journal safe and looks whether somebody follows.
    """

    def __init__(
        self, uid: str, session: Session | None, header: Mapping[str, Any], tell: Callable[[str], None]
    ) -> None:
        super().__init__(uid, session, {**header, "follow": False}, _no_file, _no_file, tell)
        self._lock = threading.RLock()
        self._alone_since = time.monotonic()

    def append(self, name: str, document: Document) -> None:
        """Keep a document: in the journal, else in the next spool's, else in memory until one takes it."""
        with self._lock:
            super().append(name, document)

    def end(self, reason: str = "") -> None:
        """No further document will come; ``reason`` if that is not because of a stop document."""
        if reason:
            self.append(END, {"reason": reason})
        super().end(reason)

    def advance(self) -> bool:
        """See whether the process that follows is done: then it has removed the journals."""
        if self.ended.is_set() and not self._memory:
            done = all(journal.gone() for journal in self._journals)
            if done or not self._accompanied():
                self._close_readers()
                self.complete.set()
        return False

    def pending(self) -> bool:
        """Whether documents are in memory, for which a journal is to be found."""
        return self._in_memory

    def retry(self) -> None:
        """Find a place for what is in memory.

        Raises
        ------
        OSError
            There is none now.
        """
        if self._session is not None:
            self._leave_memory(self._session)
        elif self.ended.is_set():  # There will be none: nobody can be waited for.
            self.give_up("there was no place for its journal")

    def give_up(self, reason: str) -> None:
        """End without what is in memory; what the journals have is for who follows, or for ``recover``."""
        with self._lock:
            lost = len(self._memory)
        said = f"run {self.uid}: {reason}"
        if lost:
            said += f"; {lost} documents were in memory only and are lost: give `journal` a folder with room"
        if self._journals:
            said += "; what came before is in its journal, which `nexus-callbacks writer` or `recover` completes"
        self._tell(said)
        self._close_readers()
        self.complete.set()

    def flush(self) -> None:
        """Make the journal safe from power loss."""
        self._sync()
        self._accompanied()

    def _accompanied(self) -> bool:
        """Whether somebody follows, or may still come to do so; told if nobody does."""
        now = time.monotonic()
        if not self._journals:
            return True  # Nobody can follow what is in memory.
        if is_followed(self._journals[0].path):
            self._alone_since = now
        if now - self._alone_since < NOBODY:
            return True
        self._tell(
            f"nobody brings run {self.uid} into its file: start `nexus-callbacks writer "
            f"{self._journals[0].path.parent.parent}`; all of it is in its "
            "journal, which `nexus-callbacks recover` or the next session completes, too"
        )
        return False

    def _leave_memory(self, session: Session) -> None:
        with self._lock:
            journal = session.journal(self.uid, {**self._header, "created": time.time()})
            while self._memory:
                journal.append(*self._memory[0])
                self._memory.popleft()
            if self.ended.is_set():
                journal.close()
            self._journals.append(journal)
            self._in_memory = False


def _no_file(*_: object) -> NoReturn:
    raise RuntimeError("the file is written by another process")


class Follower:
    """Follows the runs of one writer. Its thread lives while there are runs, and is started again by the next one."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._followed: list[Followed] = []
        self._wake = threading.Event()
        self._flushed = time.monotonic()
        self._thread: threading.Thread | None = None
        self._ending = False

    def follow(self, followed: Followed) -> None:
        """Take a run."""
        with self._lock:
            self._followed.append(followed)
            self._ending = False
            if self._thread is None:
                thread = threading.Thread(
                    target=_work, args=(weakref.ref(self), self._wake), name="nexus-follower", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # No thread can be started: the next run tries again.
                    self._followed.remove(followed)
                    raise
                self._thread = thread

    def wake(self) -> None:
        """Look at the journals now: a run has ended."""
        self._wake.set()

    def busy(self) -> int:
        """Number of runs that have ended and whose file is not complete yet."""
        with self._lock:
            return sum(each.ended.is_set() and not each.complete.is_set() for each in self._followed)

    def end(self) -> None:
        """The session ends: what a disk takes nothing of for :data:`PATIENCE` is left to ``recover``."""
        self._ending = True
        self._wake.set()

    def wait(self, timeout: float | None = None, uid: str | None = None) -> bool:
        """Return when the files of all runs that have ended are complete; False if the time (s) was over before.

        Of one run only with its ``uid``. In the follower's own thread, which completes them, there is no waiting.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if threading.current_thread() is self._thread:
            return False
        with self._lock:
            ended = [each for each in self._followed if each.ended.is_set() and uid in (None, each.uid)]
        if ended:
            self._wake.set()
        return all(each.complete.wait(None if end is None else max(end - time.monotonic(), 0)) for each in ended)

    def stop(self) -> list[Followed]:
        """End the thread; the runs that are not complete stay as they are, and are returned."""
        with self._lock:
            thread, left, self._followed = self._thread, self._followed, []
        self._wake.set()
        if thread is not None:
            thread.join()
        return [each for each in left if not each.complete.is_set()]

    def leave_to_parent(self) -> None:
        """In a forked child: the runs are the parent's."""
        self._lock = threading.Lock()
        self._followed = []
        self._thread = None

    def _turn(self) -> tuple[bool, bool]:
        """Look after all runs once; whether any is left, and whether one of them has ended."""
        with self._lock:
            self._followed = [each for each in self._followed if not each.complete.is_set()]
            if not self._followed:
                self._thread = None
                return False, False
            followed = list(self._followed)
        due = time.monotonic() - self._flushed >= FLUSH_INTERVAL
        if due:
            self._flushed = time.monotonic()
        for each in followed:
            try:
                self._care(each, due)
            except Exception as error:  # Whatever one run does, the thread is there for the others.
                log.debug("the follower failed", exc_info=error)
                each.complete.set()
        return True, any(each.ended.is_set() for each in followed)

    def _care(self, each: Followed, due: bool) -> None:
        try:
            if each.pending():
                if not due:
                    return
                each.retry()
            flushed = time.monotonic()
            while taken := each.advance():
                if not each.ended.is_set():
                    self._wake.wait(taken * PAUSE)
                if time.monotonic() - flushed >= FLUSH_INTERVAL:  # However far behind: readers see how it comes on.
                    flushed = time.monotonic()
                    each.flush()
            if due:
                each.flush()
            each.refused = None
        except OSError as error:
            # A full or stalling disk only lengthens the journal. What was read waits, and is tried again.
            self._tell(f"run {each.uid}: the disk does not take it now, the journal keeps it: {error}")
            each.refused = each.refused or time.monotonic()
            if self._ending and time.monotonic() - each.refused > PATIENCE:
                each.give_up(f"the session ends and the disk does not take it: {error}")
        except Exception as error:
            log.debug("the follower failed", exc_info=error)
            each.give_up(f"it could not be written: {type(error).__name__}: {error}")


def _work(follower: weakref.ref[Follower], wake: threading.Event) -> None:
    """What a follower's thread does.

    A writer that is dropped while a run is open is not kept alive by it: its journal is then for the next session or
    `recover`. One whose runs have ended is, until they are complete.
    """
    found, held = follower(), True
    while True:
        if not held:
            found = None
        # Before all else: a run that begins has the RunEngine busy, and the file can wait for as long.
        wake.wait(WAKE_INTERVAL)
        wake.clear()
        found = found or follower()
        if found is None:
            return
        more, held = found._turn()
        if not more:
            return
