"""State: did the writer of a file come to its end?"""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from nexus_callbacks.validation.nodes import attribute
from nexus_callbacks.validation.report import Finding


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
        reason = attribute(file, "state_reason") or "no reason is given"
        yield Finding(path, "warning", f"the file is incomplete: {reason}", "see what is missing and acquire it again")
