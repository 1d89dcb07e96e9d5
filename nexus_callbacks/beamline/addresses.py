"""Addresses: where a control system publishes a value, however it is spelled.

The writer never asks a control system (design D4). It takes a source ``tango:…`` or ``epics:…`` from the data key whose
``source`` names the same address, in the baseline or in any other stream; :func:`normal` says which are the same:

- Tango: ``tango://host:port/domain/family/member/attribute``, the scheme and ``#dbase=no`` left out or not, in upper or
  lower case (names of Tango do not differ by it). A host under another name is another address.
- EPICS: the name of a process variable, as ``epics:NAME``, ophyd's ``PV:NAME``, ophyd-async's ``ca://NAME`` and
  ``pva://NAME``. ``NAME.VAL`` is ``NAME``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_callbacks.beamline.sources import CONTROL, Source, SourceFault, nearest
from nexus_callbacks.values import safe_name

_PART = r"[^/\s#:]+"
_HOST = r"[^/\s#:]+:[0-9]+"
_WITHOUT_DATABASE = "#dbase=no"
_TANGO = re.compile(
    rf"(?:tango:)?(?://)?(?P<name>{_HOST}/{_PART}/{_PART}/{_PART}/[^/\s#]+)(?P<end>#dbase=(?:no|yes))?", re.IGNORECASE
)
_DEVICE = re.compile(
    rf"(?:tango:)?(?://)?(?P<name>{_HOST}(?:/{_PART}){{1,3}})/?(?P<end>#dbase=(?:no|yes))?", re.IGNORECASE
)
_EPICS = re.compile(r"(?:epics:|PV:|(?:mock\+)?(?:ca|pva)://)(?P<name>\S+)")

ABSENT = "baseline_absent"
"""Data key of a baseline that says, as JSON, which of its keys had no value in a reading, and why: {key: reason}.
Such a key has the value None."""


def normal(text: str) -> str | None:
    """The one form of all spellings of an address, or None where a text (a data key's ``source``) is none.

    >>> normal("tango:orion:10000/fe/id/16/SR_Current") == normal("tango://orion:10000/FE/ID/16/sr_current#dbase=no")
    True
    >>> normal("PV:ID16:CURR"), normal("SIM:ring_current")
    ('epics:ID16:CURR', None)
    """
    epics = _EPICS.fullmatch(text)
    if epics:
        return "epics:" + epics["name"].removesuffix(".VAL")
    tango = _TANGO.fullmatch(text)
    return f"tango://{tango['name'].lower()}" if tango else None


def device(text: str) -> str:
    """What the ``tango:`` of a profile gives a short name to: ``host:port/domain`` and more of a device's name.

    Raises
    ------
    SourceFault
        The text is something else.
    """
    found = _DEVICE.fullmatch(text)
    if not found:
        remedy = "write HOST:PORT/DOMAIN/FAMILY/MEMBER or the beginning of it, for example orion:10000/fe/id/16"
        raise SourceFault(f"{text!r} is no Tango device", remedy)
    return found["name"] + (found["end"] or "")


def resolve(source: Source, short: Mapping[str, str]) -> Source:
    """The source with its whole address, ``tango:fe/SR_Current`` as ``tango://orion:10000/fe/id/16/SR_Current``.

    Other sources stay as they are.

    Parameters
    ----------
    short
        Short name → device, the profile's ``tango:``.

    Raises
    ------
    SourceFault
        No such short name, or what it makes is no attribute of a device.
    """
    if source.items:
        return replace(source, items=tuple((name, resolve(item, short)) for name, item in source.items))
    if source.scheme != "tango":
        return source
    whole = _TANGO.fullmatch(source.rest)
    if not whole:
        whole = _TANGO.fullmatch(_spelled_out(source, short))
    if not whole:
        remedy = "write tango://HOST:PORT/DOMAIN/FAMILY/MEMBER/ATTRIBUTE, or tango:SHORT/… with SHORT under 'tango:'"
        raise SourceFault(f"{str(source)!r} is no attribute of a Tango device", remedy)
    return replace(source, rest=f"//{whole['name']}{whole['end'] or ''}")


def _spelled_out(source: Source, short: Mapping[str, str]) -> str:
    name, slash, rest = source.rest.partition("/")
    if not slash or not name or ":" in name:
        return source.rest
    if name not in short:
        remedy = nearest(name, short) or f'add {name}: "HOST:PORT/DOMAIN/FAMILY/MEMBER" there'
        raise SourceFault(f"{str(source)!r}: no short name {name!r} under 'tango:'", remedy)
    base, hash_, end = device(short[name]).partition("#")
    return f"{base}/{rest}{hash_}{end}"


def control_sources(source: Source) -> list[Source]:
    """The sources of a control system that one source is or is made of."""
    members = [item for _, item in source.items] if source.items else [source]
    return [member for member in members if member.scheme in CONTROL]


def data_key(source: Source) -> str:
    """Name of the data key under which a baseline keeps what it reads from an address: ``tango_fe_id_16_SR_Current``.

    For people only: the writer goes by the key's ``source``.
    """
    name = str(source).removesuffix(_WITHOUT_DATABASE).removeprefix("tango://").removeprefix("epics:")
    return f"{source.scheme}_{safe_name(name.partition('/')[2] if source.scheme == 'tango' else name)}"


def reasons(row: Mapping[str, Any]) -> dict[str, str]:
    """Why keys of a row have no value, as the baseline says it; empty if it says nothing."""
    try:
        found = json.loads(row.get(ABSENT) or "{}")
    except (TypeError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
