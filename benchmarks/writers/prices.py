"""prices: what a single step costs that any callback may take."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from event_model import DocumentNames, DocumentRouter, RunRouter, schema_validators

from benchmarks.writers import Feed


def noop(folder: Path) -> Feed:
    """Nothing."""
    return lambda name, document: None


def documents_router(folder: Path) -> Feed:
    """event_model's DocumentRouter that does nothing."""
    return DocumentRouter()


def run_router(folder: Path) -> Feed:
    """event_model's RunRouter with a DocumentRouter a run."""
    return RunRouter([lambda name, document: ([DocumentRouter()], [])])


def validate(folder: Path) -> Feed:
    """event_model's schema validation of every document."""
    return lambda name, document: schema_validators[DocumentNames[name]].validate(document)


def deepcopy_docs(folder: Path) -> Feed:
    """A deep copy of every document."""
    return lambda name, document: deepcopy(document)
