"""Beamline: the parts of one that several plans need, and what a session needs of it."""

from __future__ import annotations

from typing import Any, Protocol


class Beamline(Protocol):
    """What a beamline offers a session; a simulated one may have ``tango``, too: signals by their addresses."""

    @property
    def baseline(self) -> list[Any]:
        """What is read once before and once after a scan."""

    @property
    def devices(self) -> list[Any]:
        """Everything that can stand in a document."""


class HasShutter(Protocol):
    """A beamline with a fast shutter."""

    @property
    def shutter(self) -> Any:
        """Set to ``open`` or ``closed``."""


class HasRing(Protocol):
    """A beamline that knows its source."""

    @property
    def ring(self) -> Any:
        """The source, whose ``current`` (mA) is read with every event."""


class HasMonitor(Protocol):
    """A beamline that counts the beam of each exposure."""

    @property
    def monitor(self) -> Any:
        """Counts the beam; has a settable ``exposure_time`` (s)."""


class HasCamera(Protocol):
    """A beamline with a camera."""

    @property
    def camera(self) -> Any:
        """Camera with a settable ``exposure_time`` (s) and a data key for its frames."""
