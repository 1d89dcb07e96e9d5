"""writers: the contestants, each a factory ``NAME(folder) -> callable(name, document)``.

What a factory returns may also have ``ready()`` (return when it can write), ``wait()`` (return when the files are
final) and ``close()``. One that cannot run here, because a package or a feature is missing, raises :class:`Absent`.

- :mod:`.ours`: NexusWriter, as it is and with and without its journal.
- :mod:`.limits`: what h5py or no HDF5 at all can do with the same rows; the yardstick.
- :mod:`.naive`: what one would write first.
- :mod:`.peers`: published writers, where they are installed.
- :mod:`.prices`: single steps that any callback may take.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

Feed = Callable[[str, Any], Any]
Factory = Callable[[Path], Feed]

MODULES = ("ours", "limits", "naive", "peers", "prices")


class Absent(Exception):
    """A contestant cannot run here; the message says what is missing."""


def need(module: str) -> ModuleType:
    """A module that not everybody has.

    Raises
    ------
    Absent
        It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Absent(f"{error.name} is not installed") from error


def load(name: str) -> Factory:
    """The factory of a contestant: a bare name of this package's, or ``module:factory`` of one's own.

    Raises
    ------
    LookupError
        There is none of that name.
    """
    module, _, factory = name.rpartition(":")
    for each in [module] if module else [f"{__name__}.{m}" for m in MODULES]:
        found: Factory | None = getattr(import_module(each), factory, None)
        if found is not None:
            return found
    raise LookupError(f"no contestant {name!r}; see benchmarks/README.md for how to add one")


def wait(feed: Feed) -> None:
    """Return when the files of a contestant are final."""
    getattr(feed, "wait", _nothing)()


def ready(feed: Feed) -> None:
    """Return when a contestant can take documents."""
    getattr(feed, "ready", _nothing)()


def close(feed: Feed) -> None:
    """Give back what a contestant holds."""
    getattr(feed, "close", _nothing)()


def _nothing() -> None:
    """For a contestant that has nothing to do here."""
