"""ours: NexusWriter."""

from __future__ import annotations

import inspect
from pathlib import Path

from benchmarks.writers import Absent
from nexus_callbacks import NexusWriter


def has_journal() -> bool:
    """Whether NexusWriter can be told to use a journal or not."""
    return "journal" in inspect.signature(NexusWriter).parameters


def inline(folder: Path) -> NexusWriter:
    """NexusWriter as it is without being told anything."""
    return NexusWriter(folder, journal=False)


def journaled(folder: Path) -> NexusWriter:
    """Documents go to the journal, a follower writes the file."""
    return _told(folder, journal=True)


def direct(folder: Path) -> NexusWriter:
    """No journal."""
    return _told(folder, journal=False)


def _told(folder: Path, *, journal: bool) -> NexusWriter:
    if not has_journal():
        raise Absent("not there yet: NexusWriter takes no argument 'journal'")
    arguments = {"journal": journal}
    return NexusWriter(folder, **arguments)
