"""Shutter: lets the beam through to the sample, or not."""

from __future__ import annotations

from typing import Any

from devices.quantity import Quantity

OPEN, CLOSED = "open", "closed"


class Shutter(Quantity):
    """A fast shutter; its value is ``open`` or ``closed``. It starts closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, value=CLOSED, choices=(OPEN, CLOSED), **kwargs)

    @property
    def is_open(self) -> bool:
        """Whether the beam passes."""
        return self.get() == OPEN
