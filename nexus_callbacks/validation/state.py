"""State: did the writer of a file come to its end?"""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from nexus_callbacks.validation.nodes import attribute
from nexus_callbacks.validation.report import Finding, Severity

LOST = "final readings, plots and links: "
"""How the writer begins what it says where the end of a run failed (:mod:`nexus_callbacks.run`)."""


def check(file: h5py.File, path: str) -> Iterator[Finding]:
    """Findings on what nexus_callbacks says of a file in its root's attribute ``state``, under a path."""
    state = attribute(file, "state")
    if state == "writing":
        yield Finding(
            path,
            "warning",
            "the file is being written, or its session was killed",
            "wait for the end of the scan; if none is running, the file holds what was written by then",
        )
    elif state == "incomplete":
        reason = str(attribute(file, "state_reason") or "")
        # Rows or frames that did not come are the run's; what is told here as lost, nobody can tell more of.
        severity: Severity = "error" if not reason.strip() or LOST in reason else "warning"
        told = f"the file is incomplete: {reason.strip() or 'no reason is given'}"
        yield Finding(path, severity, told, "see what is missing and acquire it again")
