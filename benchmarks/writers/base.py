"""base: the bookkeeping which the writers that we wrote to compare with have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]


class RunFiles:
    """One file a run; subclasses give ``open``, ``descriptor``, ``event`` and ``stop``."""

    suffix = ".nxs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder
        self.number = 0
        self.streams: dict[str, Any] = {}
        """Uid of a descriptor → what the subclass keeps of it."""

    def __call__(self, name: str, document: Document) -> None:
        """Take a document."""
        getattr(self, name)(document)

    def start(self, document: Document) -> None:
        """Begin the next file."""
        self.number += 1
        self.streams = {}
        self.path = self.folder / f"run{self.number}{self.suffix}"
        self.open(document)

    def open(self, document: Document) -> None:
        """Make the file of a run."""
        raise NotImplementedError

    def event(self, document: Document) -> None:
        """Take a row."""
        raise NotImplementedError

    def event_page(self, document: Document) -> None:
        """Take a page row by row."""
        for i, time in enumerate(document["time"]):
            row = {
                "descriptor": document["descriptor"],
                "time": time,
                "seq_num": document["seq_num"][i],
                "data": {k: v[i] for k, v in document["data"].items()},
                "timestamps": {k: v[i] for k, v in document["timestamps"].items()},
            }
            self.event(row)

    def resource(self, document: Document) -> None:
        """Frames in a detector's file are left out."""

    datum = stream_resource = stream_datum = resource
