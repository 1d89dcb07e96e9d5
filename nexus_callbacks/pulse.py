"""Pulse: a thread that calls something of an object again and again, as long as there is something to do.

It does not keep the object alive, ends by itself, and is started again when it is needed.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from types import MethodType


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
        assert isinstance(beat, MethodType)
        self._beat = weakref.WeakMethod(beat)
        self._name = name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        _pulses.add(self)

    def start(self, after: float) -> None:
        """Call the method in ``after`` s; nothing if the thread is alive. Not to be called by two threads at once."""
        if self._thread is None or not self._thread.is_alive():
            args = (self._beat, self._stop, after)
            self._thread = threading.Thread(target=_work, args=args, name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread for good, after the call that it is in."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __del__(self) -> None:
        self._stop.set()


def _work(beat: weakref.WeakMethod[Callable[[], float | None]], stop: threading.Event, pause: float | None) -> None:
    while pause is not None and not stop.wait(pause):
        method = beat()
        pause = method() if method is not None else None
        del method


_pulses: weakref.WeakSet[Pulse] = weakref.WeakSet()


def stop_all() -> None:
    """End all threads: Python is about to be taken down."""
    for pulse in list(_pulses):
        pulse.stop()
