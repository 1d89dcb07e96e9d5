"""Pulse: a thread that calls something of an object again and again, as long as there is something to do.

It does not keep the object alive, ends by itself, and is started again when it is needed.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable


class Pulse:
    """Calls a method from time to time, in a thread of its own.

    Parameters
    ----------
    beat
        A bound method, which is not kept alive. Returns after how many s it is to be called again; None ends the
        thread.
    name
        Of the thread.
    """

    def __init__(self, beat: Callable[[], float | None], name: str) -> None:
        self._name = name
        self._work = _Work(weakref.WeakMethod(beat))
        _pulses.add(self)

    def start(self, after: float) -> None:
        """Call the method in ``after`` s, or when the thread that is alive will do so."""
        work = self._work
        with work.lock:
            work.wanted = after
            if work.thread is None:
                work.thread = threading.Thread(target=work.run, name=self._name, daemon=True)
                work.thread.start()

    def stop(self) -> None:
        """End the thread for good, after the call that it is in."""
        self._work.stop.set()
        thread = self._work.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __del__(self) -> None:
        self._work.stop.set()


class _Work:
    """What the thread knows: not the pulse, which goes with the object that it is of."""

    def __init__(self, beat: weakref.WeakMethod[Callable[[], float | None]]) -> None:
        self.beat = beat
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.wanted: float | None = None
        """Asked for while the thread may be about to end."""
        self.next: float | None = None
        """What the last call returned."""
        self.thread: threading.Thread | None = None

    def run(self) -> None:
        while (pause := self._pause()) is not None and not self.stop.wait(pause):
            method = self.beat()
            self.next = method() if method is not None else None
            del method  # The object may go while the thread waits.

    def _pause(self) -> float | None:
        with self.lock:
            pause = self.next if self.next is not None else self.wanted
            self.next = self.wanted = None
            if pause is None:
                self.thread = None
            return pause


_pulses: weakref.WeakSet[Pulse] = weakref.WeakSet()


def stop_all() -> None:
    """End all threads: Python is about to be taken down."""
    for pulse in list(_pulses):
        pulse.stop()
