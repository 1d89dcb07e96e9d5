"""Routing: which run a document belongs to, with any number of runs at once.

Documents name their run in different ways: by the run's uid, by a descriptor's or by a resource's. A router remembers
the uids of the runs that are open, and forgets a run's when it ends.
"""

from __future__ import annotations

from nexus_callbacks.documents import Document
from nexus_callbacks.faults import Fault, FaultError, Place

_BY_DESCRIPTOR = ("event", "event_page", "stream_datum")
_BY_RESOURCE = ("datum", "datum_page")
_TELLING = ("descriptor", "resource", "stream_resource")


class Router:
    """Remembers which uid belongs to which open run."""

    def __init__(self) -> None:
        self._runs: dict[str, set[str]] = {}
        self._owners: dict[str, str] = {}

    def admit(self, start: Document) -> str:
        """Uid of a run that may be begun with a start document.

        Raises
        ------
        FaultError
            The document lacks its uid or time, the uid is no text, or its run is open already.
        """
        place = Place("start document")
        faults = [Fault(f"no {key!r}", place) for key in ("uid", "time") if key not in start]
        if not faults and not isinstance(start["uid"], str):
            faults = [Fault(f"its uid {start['uid']!r:.60} is no text", place)]
        if not faults and start["uid"] in self._runs:
            faults = [Fault(f"run {start['uid']} is being written already", place)]
        if faults:
            raise FaultError(faults)
        return str(start["uid"])

    def open(self, run: str) -> None:
        """Take a run by its uid."""
        self._runs[run] = {run}
        self._owners[run] = run

    def close(self, run: str) -> set[str]:
        """Forget a run and all that belonged to it; the uids of that."""
        found = self._runs.pop(run, set())
        for uid in found:
            self._owners.pop(uid, None)
        return found

    @property
    def runs(self) -> tuple[str, ...]:
        """Uids of the open runs, in the order in which they started."""
        return tuple(self._runs)

    def owner(self, name: str, document: Document) -> str | None:
        """Uid of the open run that a document belongs to; None if there is none."""
        if name in _BY_DESCRIPTOR:
            return self._owners.get(document.get("descriptor", ""))
        if name in _BY_RESOURCE:
            return self._owners.get(document.get("resource", ""))
        named = document.get("run_start")
        if named is None and name == "resource" and len(self._runs) == 1:
            run = next(iter(self._runs))  # Event-model does not make a legacy resource name its run.
        else:
            owner = self._owners.get(named or "")
            if owner is None:
                return None
            run = owner
        if name in _TELLING and "uid" in document:
            self._owners[document["uid"]] = run
            self._runs[run].add(document["uid"])
        return run
