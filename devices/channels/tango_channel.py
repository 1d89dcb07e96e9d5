"""A Tango attribute as a channel. Needs PyTango, the extra ``nexus-callbacks[tango]``."""

from __future__ import annotations

from typing import Any

import tango

from devices.channels.channel import NoValue, Sample

NO_UNIT = ("", "No unit")
"""What Tango says where nobody gave an attribute a unit."""
NOT_SPECIFIED = "Not specified"


class TangoChannel:
    """One attribute of a device, over a connection of its own.

    A server that hangs holds the thread of :meth:`read` up for PyTango's 3 s or a multiple of it. No timeout is set for
    a call: PyTango 10.3 lets no other thread run while it sets one of a device that does not answer (seen: 3 s).

    Parameters
    ----------
    address
        ``tango://host:port/domain/family/member/attribute``, with ``#dbase=no`` if the port is the server's own.
    """

    def __init__(self, address: str) -> None:
        name, hash_, fragment = address.partition("#")
        device, _, self._attribute = name.rpartition("/")
        self._device = f"{device}{hash_}{fragment}"
        self._proxy: Any = None

    def read(self) -> Sample:
        """The value now; its unit, format and labels are asked for each time, as a server may have been restarted."""
        try:
            if self._proxy is None:
                self._proxy = tango.DeviceProxy(self._device)
            reading = self._proxy.read_attribute(self._attribute)
            config = self._proxy.get_attribute_config(self._attribute)
        except tango.DevFailed as error:
            raise NoValue(_told(error)) from error
        if reading.value is None or reading.quality == tango.AttrQuality.ATTR_INVALID:
            raise NoValue("Tango calls the value invalid")
        value, choices = reading.value, ()
        if reading.type == tango.CmdArgType.DevEnum:
            choices = tuple(config.enum_labels)
            value = _label(value, choices) if not hasattr(value, "__len__") else [_label(v, choices) for v in value]
        elif reading.type == tango.CmdArgType.DevState:
            value = str(value)
        return Sample(
            value=value,
            timestamp=reading.time.totime(),
            units=None if config.unit in NO_UNIT else config.unit,
            precision=_precision(config.format),
            choices=choices,
        )


def _label(value: Any, choices: tuple[str, ...]) -> str:
    if not 0 <= int(value) < len(choices):
        raise NoValue(f"{int(value)} is none of the enumeration's {len(choices)} labels")
    return choices[int(value)]


def _precision(text: str) -> int | None:
    """Digits behind the point of a format such as ``%6.2f``."""
    digits = text.rpartition(".")[2].rstrip("fFeEgG")
    return int(digits) if text != NOT_SPECIFIED and "." in text and digits.isdigit() else None


def _told(error: tango.DevFailed) -> str:
    """What failed and why, of Tango's stack of errors the outermost and the innermost, on one line."""
    told = dict.fromkeys(" ".join(str(each.desc).split()) for each in (*error.args[-1:], *error.args[:1]))
    return ": ".join(told) or "Tango gives no reason"
