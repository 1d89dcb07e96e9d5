"""Channel: one value of a control system, which may not answer.

A :class:`Channel` blocks while it reads; :mod:`devices.baseline` asks many of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class NoValue(Exception):
    """A channel has no value now; the text says why, as a part of a sentence."""


@dataclass(frozen=True)
class Sample:
    """A value and what its control system says of it."""

    value: Any
    """A number, bool, text or array; the label of an enumeration, not its number."""
    timestamp: float
    """s since 1970, of the control system."""
    units: str | None = None
    precision: int | None = None
    """Digits behind the point."""
    choices: tuple[str, ...] = ()
    """Labels of an enumeration."""

    def data_key(self, source: str) -> dict[str, Any]:
        """What a descriptor says of such values (event-model's data key)."""
        value = np.asarray(self.value)
        kinds = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}
        key: dict[str, Any] = {
            "source": source,
            "dtype": "array" if value.ndim else kinds.get(value.dtype.kind, "string"),
            "shape": list(value.shape),
        }
        if value.dtype.kind in kinds:
            key["dtype_numpy"] = value.dtype.str
        for name, said in (("units", self.units), ("precision", self.precision), ("choices", list(self.choices))):
            if said not in (None, "", []):
                key[name] = said
        return key


class Channel(Protocol):
    """Where one value is read."""

    def read(self) -> Sample:
        """The value now. Blocks; called in a thread of its own, and never twice at the same time.

        Raises
        ------
        NoValue
            There is none. Any other exception is taken for one, too.
        """


@dataclass(frozen=True)
class NoChannel:
    """A channel that can never be read."""

    reason: str

    def read(self) -> Sample:
        """Raise the reason."""
        raise NoValue(self.reason)
