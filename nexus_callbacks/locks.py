"""Locks: one process at a time, by a file that exists for nothing else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock; it goes with the process that holds it.

    What is at the path is not changed, and no symbolic link is followed: the folder may be somebody else's.

    Raises
    ------
    OSError
        The lock's file cannot be made or opened.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # Closing alone leaves it with a child that was forked meanwhile.
    finally:
        os.close(lock)
