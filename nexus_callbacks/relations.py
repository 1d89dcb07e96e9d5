"""Relations: runs that were made within another, and what each of the two is told of the other."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nexus_callbacks.datasets import Target
from nexus_callbacks.documents import Document

RELATIVE = "relative"
"""Name of a document that tells a run of its parent, or of a run that was begun within it. It is no event-model
document: who takes documents from a RunEngine makes it, and so it stands in the journals."""


class Relations:
    """Where each run of a session is, and how they belong together.

    A run's parent is the one that it names (``parent_run`` in its start document), else the last one that is open when
    it starts.
    """

    def __init__(self) -> None:
        self.targets: dict[str, Target] = {}
        """Run uid → where it is."""

    def begin(self, start: Document, target: Target, runs: Sequence[str]) -> list[tuple[str, Document]]:
        """Take a run; the uids of those that are to be told something, with the documents that tell it.

        Parameters
        ----------
        runs
            Uids of the other runs that are open, in the order in which they started.
        """
        uid = str(start["uid"])
        self.targets[uid] = target
        named = start.get("parent_run")
        parent = named if isinstance(named, str) and named else next(reversed(runs), "")
        above = self.targets.get(parent)
        if above is None or parent == uid:
            return []  # Another session's: its uid is in the start document.
        found: list[tuple[str, Document]] = [(uid, {"role": "parent", "uid": parent, **_where(above, target)})]
        if parent in runs:  # The file of one that has ended is not touched any more.
            plan = str(start.get("plan_name", "run"))
            found.append((parent, {"role": "child", "uid": uid, **_where(target, above), "plan_name": plan}))
        return found


def _where(target: Target, other: Target) -> dict[str, str]:
    """Where a run is, for the other."""
    relative = os.path.relpath(target.path, other.path.parent)
    return {"file": str(target.path), "relative": relative, "entry": target.entry}
