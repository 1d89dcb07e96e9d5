"""Spool: where journals live, and whose they are.

A spool is a folder. Each session that writes journals has a folder of its own in it, ``session-PID-RANDOM``, with a
lock file of that name, which it holds (flock) as long as it lives: the lock goes with the process, however that ends.
What nobody holds is an orphan, which whoever takes the lock may recover.

The lock is on the open file, which a forked child has, too: the child closes it at once, so that it neither counts as
the owner nor releases anything, and the session is an orphan as soon as the parent is gone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from nexus_callbacks.journal.journal import Journal
from nexus_callbacks.values import safe_uid

log = logging.getLogger("nexus_callbacks")

NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "fuse.sshfs"}
"""File systems (/proc/self/mountinfo) that can stall, and whose locks are not to be trusted."""

_ADOPT_WITHIN = 0.1
"""In s: so long an adopter tries, as :meth:`Spool.orphans` elsewhere holds a lock for an instant to see if it is free.
"""

_BEING_MADE = 60.0
"""In s: a folder of that age which has not got its name yet was left by a process that died in between."""


def default_folder() -> Path:
    """The user's state folder: ``$XDG_STATE_HOME``, or ``~/.local/state`` (XDG Base Directory Specification 0.8)."""
    state = os.environ.get("XDG_STATE_HOME", "")  # A relative one is to be ignored, says the specification.
    if state.startswith("/"):
        return Path(state) / "nexus_callbacks" / "spool"
    try:
        return Path.home() / ".local" / "state" / "nexus_callbacks" / "spool"
    except RuntimeError:  # a user without a home, as in containers
        return temporary_folder()


def temporary_folder() -> Path:
    """Folder of this user alone among the temporary files."""
    return Path(tempfile.gettempdir()) / f"nexus_callbacks-{os.getuid()}"


def is_local(path: Path) -> bool:
    """Whether a folder, or where it would be made, is on a disk of this machine, as far as Linux tells."""
    path = path.absolute()
    try:
        while not path.exists():
            path = path.parent
        device = path.stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # Not to be looked at: then it will not be written either. Or this is no Linux.
        return True
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts:
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == number:
            return source.split()[0] not in NETWORK
    return True


class _Hold:
    """A folder of a session, as long as its lock is held by this process."""

    def __init__(self, folder: Path, fd: int) -> None:
        self.folder = folder
        self._fd = fd
        _holds.add(self)

    @property
    def held(self) -> bool:
        return self._fd >= 0

    def release(self) -> None:
        """Let go of the folder, and remove it if no journal is left in it; nothing if it is not held."""
        if self._fd < 0:
            return
        # Removed while it is still held, so that nobody adopts what is about to go.
        _remove_if_empty(self.folder)
        self.drop()

    def drop(self) -> None:
        """Close the lock file. In a forked child that leaves the lock with the parent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_holds: weakref.WeakSet[_Hold] = weakref.WeakSet()


def _leave_locks_to_the_parent() -> None:
    for hold in list(_holds):
        hold.drop()


os.register_at_fork(after_in_child=_leave_locks_to_the_parent)


class Session:
    """The journals of one session, held by this process until :meth:`close`, or until it is dropped.

    Made by :meth:`Spool.session` and :meth:`Spool.adopt`. Its journals keep it alive.
    """

    def __init__(self, holds: list[_Hold], places: Sequence[Path]) -> None:
        self._holds = holds
        self._places = tuple(places)
        self._finish = weakref.finalize(self, _release, holds)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its folders: one, and a further one in each fallback that was needed."""
        return tuple(hold.folder for hold in self._holds)

    @property
    def held(self) -> bool:
        """Whether it is this process's: not after close, nor in a forked child."""
        return any(hold.held for hold in self._holds)

    def journals(self) -> list[Path]:
        """Journals that are not done, by name."""
        return sorted((p for folder in self.folders for p in folder.glob("*.journal")), key=lambda p: p.name)

    def journal(self, uid: str, header: Mapping[str, Any], after: Path | None = None) -> Journal:
        """Begin the journal of a run, ``run-UID.journal``; in a fallback where the first place does not take it.

        Parameters
        ----------
        uid
            The run's. A journal of the same name that is there already is left alone: the new one gets a number.
        header
            See :class:`~nexus_callbacks.journal.journal.Journal`.
        after
            A journal of this session that is full or gone, which this one continues: made in the next place.

        Raises
        ------
        OSError
            No place is left, and why the last did not do.
        """
        start = 1 + self._place_of(after) if after else 0
        failure = OSError(f"no further place for the journal of run {uid}")
        for place in self._places[start:]:
            try:
                return self._journal_in(self._hold_in(place).folder, uid, header)
            except OSError as error:
                log.debug("no journal in %s", place, exc_info=True)
                failure = error
        raise failure

    def done(self, path: Path) -> None:
        """Remove a journal whose file is complete; nothing if it is gone already.

        Raises
        ------
        ValueError
            It is not of this session.
        """
        if path.parent not in self.folders or path.suffix != ".journal":
            raise ValueError(f"{path} is no journal of this session")
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go: what journals are left are orphans, and without any the folders are removed."""
        self._finish()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place_of(self, journal: Path) -> int:
        return self._places.index(journal.parent.parent)

    def _hold_in(self, place: Path) -> _Hold:
        if not self._finish.alive:
            raise OSError("the session was closed")
        for hold in self._holds:
            if hold.folder.parent == place:
                if not hold.held:
                    raise OSError("the session belongs to the process that this one was forked from")
                return hold
        if self._holds and not self.held:
            raise OSError("the session belongs to the process that this one was forked from")
        hold = _new_hold(place)
        self._holds.append(hold)
        return hold

    def _journal_in(self, folder: Path, uid: str, header: Mapping[str, Any]) -> Journal:
        name = safe_uid(uid)
        for number in range(1, 1000):
            suffix = f"~{number}" if number > 1 else ""
            with suppress(FileExistsError):
                return Journal(folder / f"run-{name}{suffix}.journal", header, lease=self)
        raise FileExistsError(f"{folder} holds 1000 journals of run {uid}")


class Spool:
    """A folder of sessions, with the places that stand in where it fails.

    Parameters
    ----------
    folder
        Made when first needed, for this user alone (0700). Default: :func:`default_folder`; it is passed over if it
        is on a network disk, which one that is given here is not.
    fallbacks
        Where journals go when the folder cannot be written, in this order. Default: one in the folder for temporary
        files.
    """

    def __init__(self, folder: Path | None = None, fallbacks: Sequence[Path] | None = None) -> None:
        if fallbacks is None:
            fallbacks = [temporary_folder()]
        places = [Path(folder or default_folder()), *(Path(f) for f in fallbacks)]
        if folder is None and len(places) > 1 and not is_local(places[0]):
            log.debug("%s is on a network disk: journals go elsewhere", places[0])
            places = [*places[1:], places[0]]
        self._places = tuple(dict.fromkeys(place.absolute() for place in places))

    @property
    def folder(self) -> Path:
        """Where journals go."""
        return self._places[0]

    @property
    def fallbacks(self) -> tuple[Path, ...]:
        """Where they go when that fails."""
        return self._places[1:]

    def session(self) -> Session:
        """Begin a session.

        Raises
        ------
        OSError
            No place can be written, and why the last cannot.
        """
        failure = OSError("there is no place for journals")
        for place in self._places:
            try:
                return Session([_new_hold(place)], self._places)
            except OSError as error:
                log.debug("no session in %s", place, exc_info=True)
                failure = error
        raise failure

    def orphans(self) -> list[Path]:
        """Session folders, of all places, that hold journals and that nobody holds. Empty ones are cleared away."""
        found = []
        for folder in self._session_folders():
            hold = _try_to_hold(folder)
            if hold is None:
                continue
            if _journals(folder):
                hold.drop()
                found.append(folder)
            else:
                hold.release()
        return found

    def adopt(self, folder: Path) -> Session | None:
        """Take an orphan over; None if it is held, by whom ever, or gone. Of several adopters one gets it.

        Raises
        ------
        ValueError
            It is no folder of a session.
        """
        folder = folder.absolute()
        if not folder.name.startswith("session-"):
            raise ValueError(f"{folder} is no folder of a session")
        end = time.monotonic() + _ADOPT_WITHIN
        while True:
            hold = _try_to_hold(folder)
            if hold is not None:
                return Session([hold], self._places)
            if time.monotonic() > end or not folder.exists():
                return None
            time.sleep(0.005)

    def _session_folders(self) -> Iterator[Path]:
        for place in self._places:
            with suppress(OSError):
                _check_owner(place)
                yield from sorted(p for p in place.glob("session-*") if p.is_dir())
                yield from (p for p in place.glob(".session-*") if time.time() - p.stat().st_mtime > _BEING_MADE)


# -- folders and locks ---------------------------------------------------------------------------------------------


def _new_hold(place: Path) -> _Hold:
    """A new session's folder, held.

    It gets its name when its lock is held: nobody can take it for an orphan before.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(place)
    name = f"session-{os.getpid()}-{secrets.token_hex(4)}"
    making = place / f".{name}"
    making.mkdir(mode=0o700)
    lock = making / f"{name}.lock"
    fd = -1
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        making.rename(place / name)
    except OSError:
        if fd >= 0:
            os.close(fd)
        lock.unlink(missing_ok=True)
        making.rmdir()
        raise
    return _Hold(place / name, fd)


def _try_to_hold(folder: Path) -> _Hold | None:
    """Take a session's lock if nobody has it."""
    lock = folder / f"{folder.name.removeprefix('.')}.lock"
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # gone meanwhile, or somebody else's
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it may have removed the folder before letting go.
        if os.path.samestat(os.fstat(fd), lock.stat()):
            return _Hold(folder, fd)
    except OSError:
        log.debug("%s is held", folder)
    os.close(fd)
    return None


def _release(holds: list[_Hold]) -> None:
    for hold in holds:
        hold.release()


def _journals(folder: Path) -> list[Path]:
    return list(folder.glob("*.journal"))


def _remove_if_empty(folder: Path) -> None:
    """Remove a session's folder, unless there is more in it than its lock."""
    lock = folder / f"{folder.name.removeprefix('.')}.lock"
    try:
        if any(path != lock for path in folder.iterdir()):
            return
        lock.unlink(missing_ok=True)
        folder.rmdir()
    except OSError:
        log.debug("%s could not be removed", folder, exc_info=True)


def _check_owner(place: Path) -> None:
    """Refuse a place that somebody else made: what stands in it would be recovered in this user's name."""
    owner = place.lstat().st_uid
    if owner not in (os.getuid(), 0):
        raise PermissionError(f"{place} belongs to another user")
