"""Service: the follower as a process of its own, ``nexus-callbacks writer``.

Sessions made with ``NexusWriter(journal=…, follow=False)`` only append to their journals; a service brings those into
the files while they grow. Any number of services may wait on one spool: each journal is followed by the one that has
its lock, and when that dies another takes over. What the dead one wrote is not trusted: the file is written anew from
the journal's beginning, beside the old one, which it replaces when it has caught up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_callbacks import hdf5
from nexus_callbacks.datasets import Target
from nexus_callbacks.documents import Document
from nexus_callbacks.files.dataset import DatasetError, announce
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.journal import recovery
from nexus_callbacks.journal.follower import Followed, Follower
from nexus_callbacks.journal.journal import END, Reader, sync
from nexus_callbacks.journal.spool import Following, Session, Spool, follow, is_followed
from nexus_callbacks.once import Once
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.run import Run

log = logging.getLogger("nexus_callbacks")

LOOK = 0.2
"""In s: so often the spool is looked at for journals that nobody follows."""

Tell = Callable[[str], None]


class Guest(Followed):
    """One run of another process, followed here.

    Parameters
    ----------
    header
        Of its journals.
    start
        Its start document.
    journals
        Held by this process, in their order.
    recipes
        Of the profile that the header names.
    say
        Called with what becomes of the run.
    """

    def __init__(
        self,
        header: Mapping[str, Any],
        start: Document,
        journals: Sequence[Following],
        recipes: Recipes,
        tell: Tell,
        say: Tell,
    ) -> None:
        super().__init__(str(start["uid"]), None, header, self._open, self._end, tell)
        self.start = start
        self.session_died = threading.Event()
        """No further document will come: the session is gone."""
        self.given_up = False
        """Whether the run is left to ``recover``."""
        self._held: list[Following] = []
        self._recipes = recipes
        self._say = say
        self._writer: Writer | None = None
        self._target: Target
        self._written: Path
        """What is written to: the target's file, or one beside it which has not caught up yet."""
        self._old_sizes: list[int] = []
        """Bytes of the journals when the run was taken over: what the one before may have brought into its file."""
        for each in journals:
            self.add(each)

    @property
    def paths(self) -> list[Path]:
        """Its journals."""
        return [each.path for each in self._held]

    def add(self, journal: Following) -> None:
        """Take a further journal: the session went on in another place."""
        self._readers.append(Reader(journal.path))
        self._held.append(journal)

    def _open(self) -> Run:
        target = self._target = recovery.free(
            Target.from_dict(self._header["target"]), self.uid, self._header.get("inode")
        )
        swmr = bool(self._header.get("swmr"))
        target.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.file.exists() and recovery.is_empty(target.file)
        self._written = target.file
        if not fresh:  # What another has written, up to wherever it died.
            self._written = target.file.with_name(f".{target.file.name}.following")
            self._written.unlink(missing_ok=True)
            self._old_sizes = [_size(each.path) for each in self._readers]
            skeleton = hdf5.skeleton(target.entry, swmr)
            hdf5.create_exclusively([self._written], skeleton)
        elif target.shared:
            try:
                announce(target)
            except DatasetError as error:
                self._tell(str(error))
        self._say(f"{'following ' if fresh else 'taken over'} {target.path}")
        self._writer = Writer(self._written, swmr)
        recipe = self._recipes.recipe(self.start, target.path, target.entry)
        return Run(self._writer, recipe, self._tell, self._recipes.roots, path=target.path)

    def _next(self) -> list[tuple[str, Document]]:
        if self._waiting:
            return []  # Those first.
        died = self.session_died.is_set()  # Asked first: all that it wrote is read below.
        while self._reading < len(self._readers):
            reader = self._readers[self._reading]
            found: list[tuple[str, Document]] = list(reader.read(ended=died))
            if not found and self._reading + 1 < len(self._readers):
                found = list(reader.read(ended=True))  # Written between the look and the move to the next one.
                self._reading += not found
                if not found:
                    continue
            if reader.damage is not None and not reader.damage.cut:
                raise ValueError(f"{reader.path}: {reader.damage}")
            if not found and died and not self.ended.is_set():
                self._reason = recovery.DIED
                self.ended.set()
            for name, document in found:
                if name == END:
                    self._reason = str(document.get("reason"))
                if name in (END, "stop"):
                    self.ended.set()
            return [(name, document) for name, document in found if name != END]
        return []

    def flush(self) -> None:
        """Make the rows visible and the journals safe from power loss; a file that has caught up gets its place."""
        if self._run is not None and not self.complete.is_set():
            self._run.write_rows()
            if self._caught_up():
                self._place()
        for path in self.paths:
            if path.exists():
                sync(path)

    def _caught_up(self) -> bool:
        """Whether the file has all that the old one may have: a reader must not see rows go."""
        # What was added later the one before has not read. A record that the disk cut off leaves a shorter journal.
        left = zip(self._readers[self._reading :], self._old_sizes[self._reading :], strict=False)
        return not self._waiting and all(each.offset >= min(size, _size(each.path)) for each, size in left)

    def _place(self) -> None:
        if self._written != self._target.file and self._writer is not None and self._run is not None:
            self._written.replace(self._target.file)
            self._written = self._run.file = self._target.file
            self._writer.moved(self._target.file)

    def _finish(self) -> None:
        self._place()
        super()._finish()

    def _end(self, run: Run, stopped: bool) -> None:
        try:
            recovery.put_in(self._target)
        except DatasetError as error:
            self._tell(f"{error}; until then it is in {self._target.file.name}")
            raise  # Its journals stay, and it is tried again.
        if stopped:
            recovery.link(self._recipes, run.start, Path(self._header["directory"]), self._target, self._tell)

    def _discard(self) -> None:
        for path in self.paths:
            path.unlink(missing_ok=True)
        self._say(f"{'incomplete' if self._reason else 'complete  '} {self._target.path}")
        self._release()
        self.complete.set()

    def give_up(self, reason: str) -> None:
        """Leave the run to ``recover``: its journals stay, and so does a file that has more than was read here."""
        self.given_up = True  # Before it is complete: who sees that must not take the run once more.
        super().give_up(reason)
        self._remove_unplaced()
        self._release()

    def leave(self) -> None:
        """Let go of a run that goes on, with all that was emitted so far in its file; another may take over."""
        if self._run is not None and self._writer is not None:
            try:
                self._run.write_rows()
                if self._caught_up():
                    self._place()
                self._writer.close()
            except OSError as error:
                self._tell(f"{self._target.path}: its last rows are in the journal only: {error}")
            self._remove_unplaced()
        self._release()

    def _remove_unplaced(self) -> None:
        if self._run is not None and self._written != self._target.file:
            self._written.unlink(missing_ok=True)

    def _release(self) -> None:
        self._close_readers()
        for each in self._held:
            each.release()


def _size(path: Path) -> int:
    """Bytes of a file; 0 if somebody has removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Service:
    """Follows all journals of a spool that are handed over, and completes those of dead sessions.

    Parameters
    ----------
    tell
        Called with what the scientist should know, with each thing once.
    say
        Called with what becomes of each run.
    """

    def __init__(self, spool: Spool, tell: Tell, say: Tell) -> None:
        self._spool = spool
        self._tell_on = tell
        self._once = Once()
        self._say = say
        self._follower = Follower(self._tell)
        self._guests: dict[str, Guest] = {}
        self._passed: set[Path] = set()
        """Journals that are not for this process: their own session follows them, or they were given up."""
        self._adopted: dict[Path, Session] = {}
        self._recipes = recovery.KnownRecipes()
        self._recovery: threading.Thread | None = None

    def run(self, stop: threading.Event, once: bool = False) -> None:
        """Follow until ``stop`` is set, or with ``once`` until nothing is left.

        Runs that have stopped by then are complete when this returns, or left in their journals if the disk does not
        take them.
        """
        while not stop.is_set():
            self._look(stop)
            if once and not self._guests and not self._recovering():
                break
            stop.wait(LOOK)
        stop.set()
        self._follower.end()  # From now on a disk that takes nothing is waited for only so long.
        if self._recovery is not None:
            self._recovery.join()
        self._follower.wait()
        for each in self._follower.stop():
            if isinstance(each, Guest):
                each.leave()
        for session in self._adopted.values():
            session.close()

    def _tell(self, message: str) -> None:
        if self._once.first(message):
            self._tell_on(message)

    def _look(self, stop: threading.Event) -> None:
        for guest in self._guests.values():
            if guest.given_up:
                self._passed.update(guest.paths)
        self._guests = {uid: guest for uid, guest in self._guests.items() if not guest.complete.is_set()}
        unknown: dict[str, list[Path]] = {}
        for folder in self._spool.sessions():
            for path in folder.glob("*.journal"):
                if path not in self._passed and not any(path in guest.paths for guest in self._guests.values()):
                    uid = self._handed_over(path)
                    if uid:
                        unknown.setdefault(uid, []).append(path)
        for uid, paths in unknown.items():
            self._take(uid, paths)
        self._bury()
        if not self._recovering() and self._spool.orphans():
            # Beside the runs that are followed, which must not wait for those of the dead.
            self._recovery = threading.Thread(target=self._recover, args=(stop,), name="nexus-recover", daemon=True)
            self._recovery.start()

    def _recovering(self) -> bool:
        return self._recovery is not None and self._recovery.is_alive()

    def _recover(self, stop: threading.Event) -> None:
        for each in recovery.recover_from(self._spool, self._tell, stop):
            self._say(f"recovered  {each.path}")

    def _handed_over(self, path: Path) -> str | None:
        """Which run and file a journal that its session handed over is of; None if it did not, or not yet."""
        try:
            with Reader(path) as reader:
                header = reader.header
                if reader.damage or header.get("follow", not header):
                    self._passed.add(path)
                return None if not header or header.get("follow", True) else " ".join(recovery.run_of(path))
        except OSError:
            return None

    def _take(self, uid: str, paths: list[Path]) -> None:
        try:
            held = [each for path in sorted(paths, key=recovery.order) if (each := follow(path)) is not None]
            guest = self._guests.get(uid)
            if guest is not None:
                for each in held:
                    guest.add(each)
            elif len(held) == len(paths):
                self._begin(uid, held)
        except Exception as error:  # Whatever a journal holds, the other runs are followed.
            self._passed.update(paths)
            self._tell(f"{paths[0]} cannot be followed: {error}; `nexus-callbacks recover` completes it")

    def _begin(self, uid: str, held: list[Following]) -> None:
        with Reader(held[0].path) as reader:
            header, documents = reader.header, reader.read(1)
        if documents and documents[0][0] == "start":  # Else it is about to be written.
            start = documents[0][1]
            recipes = self._recipes.of(header.get("profile"))
            guest = self._guests[uid] = Guest(header, start, held, recipes, self._tell, self._say)
            self._follower.follow(guest)

    def _bury(self) -> None:
        """Note which sessions are gone, and let go of their folders when nothing of them is followed any more."""
        for guest in self._guests.values():
            folders = {path.parent for path in guest.paths}
            for folder in folders - self._adopted.keys():
                if not _lives(folder) and (session := self._spool.adopt(folder)) is not None:
                    self._adopted[folder] = session
            if folders <= self._adopted.keys():
                guest.session_died.set()
        busy = {path.parent for guest in self._guests.values() for path in guest.paths}
        for folder in self._adopted.keys() - busy:
            self._adopted.pop(folder).close()


def _lives(folder: Path) -> bool:
    """Whether a process holds a session's folder: asked without waiting for it, as most sessions do live."""
    return is_followed(folder / f"{folder.name}.lock")
