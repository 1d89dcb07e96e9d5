"""An EPICS process variable as a channel. Needs pyepics, the extra ``nexus-callbacks[epics]``."""

from __future__ import annotations

import threading
from typing import Any

import epics
import numpy as np

from devices.channels.channel import NoValue, Sample

INVALID = 3
"""Severity of a record whose value means nothing (EPICS, alarm.h: INVALID_ALARM)."""


class EpicsChannel:
    """One process variable, over Channel Access; it connects by itself, and again when its server comes back.

    Parameters
    ----------
    name
        As EPICS knows it.
    timeout
        s for the connection, again for the unit, and again for the value.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self._timeout = timeout
        self._connected = threading.Event()
        self._connections = 0
        self._pv = epics.PV(name, auto_monitor=False, connection_callback=self._connection)

    def _connection(self, conn: bool = False, **_: Any) -> None:
        self._connections += conn
        (self._connected.set if conn else self._connected.clear)()

    def read(self) -> Sample:
        """The value now, with the label of an enumeration and the text of an array of characters."""
        if not self._connected.wait(self._timeout):
            raise NoValue(f"no connection within {self._timeout:g} s")
        epics.ca.use_initial_context()  # A thread of its own has no context by itself.
        connections = self._connections
        # pyepics keeps the unit and the labels of its first question for ever; the server's may be others by now.
        if self._pv.get_ctrlvars(timeout=self._timeout, warn=False) is None:
            raise NoValue(f"no unit within {self._timeout:g} s")
        found = self._pv.get_with_metadata(timeout=self._timeout, with_ctrlvars=True, use_monitor=False)
        if found is None or found.get("value") is None:
            raise NoValue(f"no value within {self._timeout:g} s")
        if connections != self._connections:
            raise NoValue("its server was started again while it was read")
        if (found.get("severity") or 0) >= INVALID:
            raise NoValue("its record is in the alarm INVALID")
        value, choices = found["value"], _labels(found.get("enum_strs"))
        if choices and 0 <= int(value) < len(choices):
            value = choices[int(value)]
        elif "char" in self._pv.type and isinstance(value, np.ndarray):
            value = value.astype("u1").tobytes().partition(b"\0")[0].decode("utf-8", "replace")
        return Sample(
            value=value,
            timestamp=float(found["timestamp"]),
            units=_text(found.get("units")) or None,
            precision=found.get("precision"),
            choices=choices,
        )


def _labels(texts: Any) -> tuple[str, ...]:
    return tuple(_text(text) for text in texts or ())


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
