"""A Tango device for the tests, in a module that the server's process can import."""

from enum import IntEnum

from tango import AttrQuality
from tango.server import Device, attribute


class Range(IntEnum):
    """Of a gauge."""

    LOW = 0
    HIGH = 1


class Gauge(Device):
    """A vacuum gauge."""

    @attribute(dtype=Range)
    def range(self):
        """An enumeration."""
        return Range.HIGH

    @attribute(dtype=(float,), max_dim_x=8, unit="mbar", format="%8.3f")
    def profile(self):
        """A spectrum."""
        return [1.0, 2.5]

    @attribute(dtype=float)
    def broken(self):
        """A value that means nothing."""
        return 0.0, 1.0e9, AttrQuality.ATTR_INVALID
