"""Quantity: one value with its unit, as a beamline's control system publishes it.

ophyd's plain ``Signal`` says neither unit nor precision nor limits. These do, so that what is written can be
converted to the units a definition asks for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Signal
from ophyd.status import Status
from ophyd.utils import LimitError, ReadOnlyError

DTYPES = {bool: ("boolean", "|b1"), int: ("integer", "<i8"), float: ("number", "<f8")}
"""Python type → (event-model's dtype, numpy's dtype). Text has no numpy dtype: it has no fixed length."""


class Quantity(Signal):
    """A value that can be read and set; setting it takes no time.

    Parameters
    ----------
    value
        Its first value; the type stays.
    units
        A name that pint knows, ``mm``, ``keV``; None for text, numbers of things and other pure numbers.
    precision
        Digits after the point that mean something.
    limits
        Lowest and highest value that may be set, in `units`.
    choices
        The texts that may be set.
    writable
        False for what is only measured.
    """

    def __init__(
        self,
        *args: Any,
        value: Any = 0.0,
        units: str | None = None,
        precision: int | None = None,
        limits: tuple[float, float] | None = None,
        choices: tuple[str, ...] | None = None,
        writable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, value=value, **kwargs)
        self.units = units
        self.precision = precision
        self.range = limits
        self.choices = choices
        self._type = type(value)
        self._metadata["write_access"] = writable

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value that may be set; (0, 0) if there are none, as ophyd has it."""
        return self.range or (0, 0)

    def check_value(self, value: Any, **kwargs: Any) -> None:
        """Raise what ophyd raises where `value` may not be set."""
        if self.choices is not None and value not in self.choices:
            raise ValueError(f"{self.name}: {value!r} is none of {', '.join(self.choices)}")
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            low, high = self.range
            raise LimitError(f"{self.name}: {value} is not within {low} to {high} {self.units or ''}".rstrip())

    def set(self, value: Any, **kwargs: Any) -> Status:
        """Set `value`; the status is finished on return."""
        status = Status(self)
        try:
            self.put(value)
        except (ValueError, ReadOnlyError) as error:
            status.set_exception(error)
        else:
            status.set_finished()
        return status

    def describe(self) -> dict[str, dict[str, Any]]:
        """The data key: type, units, precision, limits."""
        described = super().describe()
        key = described[self.name]
        if self._type in DTYPES:
            key["dtype"], key["dtype_numpy"] = DTYPES[self._type]
        if self.units is not None:
            key["units"] = self.units
        if self.precision is not None:
            key["precision"] = self.precision
        if self.range is not None:
            key["lower_ctrl_limit"], key["upper_ctrl_limit"] = self.range
        if self.choices is not None:
            key["choices"] = list(self.choices)
        return described


class Derived(Quantity):
    """A value that is worked out anew whenever it is read, from the device that holds it or from elsewhere.

    Parameters
    ----------
    compute
        Called with the parent device (None for a quantity on its own); returns the value in `units`.
    value
        Only its type matters: it says what `compute` returns.
    """

    def __init__(self, *args: Any, compute: Callable[[Any], Any], value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, value=value, writable=False, **kwargs)
        self._compute = compute

    def get(self, **kwargs: Any) -> Any:
        """The value now."""
        self._readback = self._type(self._compute(self.parent))
        self._metadata["timestamp"] = time.time()
        return self._readback


class Array(Signal):
    """An array that is only read. Its data key says shape, type and units.

    Parameters
    ----------
    value
        Its first value; shape and type stay.
    units
        A name that pint knows; None for numbers of things.
    """

    def __init__(self, *args: Any, value: NDArray[Any], units: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, value=value, **kwargs)
        self.units = units
        self._metadata["write_access"] = False

    def describe(self) -> dict[str, dict[str, Any]]:
        """The data key."""
        value = np.asarray(self.get())
        described = super().describe()
        described[self.name] |= {"dtype": "array", "dtype_numpy": value.dtype.str, "shape": list(value.shape)}
        if self.units is not None:
            described[self.name]["units"] = self.units
        return described
