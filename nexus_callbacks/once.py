"""Once: each message is told one time, by whatever thread."""

from __future__ import annotations

MOST = 1000
"""Messages that are remembered: a session of months must not fill the memory with them."""


class Once:
    """Remembers what was told.

    Without a lock, which a child that was forked meanwhile would wait for without end: each step is one operation on a
    dict.
    """

    def __init__(self) -> None:
        self._told: dict[str, object] = {}

    def first(self, message: str) -> bool:
        """Whether a message is new, from now on no longer."""
        mine = object()
        if self._told.setdefault(message, mine) is not mine:
            return False
        if len(self._told) > MOST:
            self._told.pop(next(iter(list(self._told))), None)
        return True
