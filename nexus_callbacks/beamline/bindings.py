"""Bindings: where a beamline finds each variable of a definition. The front door of four rooms.

- :class:`Source`, :class:`Binding` (``sources``): one place where a value comes from, and the variable it fills.
- :class:`Bindings`, :class:`Profile`, :func:`load_bindings`, :func:`load_profile`, :func:`merge_bindings`
  (``profile``): the YAML that people type, with lines.
- :class:`Signals`, :func:`read_signals`, :func:`write_signals` (``signals``): what the devices have.
- :func:`check` (``checks``): the one against the other and the definition.
"""

from nexus_callbacks.beamline.checks import check
from nexus_callbacks.beamline.profile import (
    Bindings,
    Profile,
    load_bindings,
    load_profile,
    merge_bindings,
    read_profile,
)
from nexus_callbacks.beamline.signals import Signals, read_signals, write_signals
from nexus_callbacks.beamline.sources import Binding, Source

__all__ = [
    "Binding",
    "Bindings",
    "Profile",
    "Signals",
    "Source",
    "check",
    "load_bindings",
    "load_profile",
    "merge_bindings",
    "read_profile",
    "read_signals",
    "write_signals",
]
