"""Words of ESRF's XML dialect: what both its reader and its writer know. :mod:`…esrf_xml` describes the dialect."""

from __future__ import annotations

import re

from nexus_callbacks.definitions import safe_xml

MAX_BYTES = safe_xml.MAX_BYTES
MAX_DEPTH = safe_xml.MAX_DEPTH
MAX_NODES = 50_000  # ESRF's file has 1420. A hostile file of 20 MB could hold millions, of 1 kB each once read.
MAX_FAULTS = 1000  # Nobody reads more, and a hostile file could hold millions.

NX_TYPES = ("NX_CHAR", "NX_NUMBER", "NX_FLOAT", "NX_INT", "NX_BOOLEAN", "NX_DATE_TIME")
# Other spellings of the six: NXDL's types with a size or a sign (nxdlTypes.xsd), and ISO8601 as old files have it.
_OTHER_TYPES = {
    **dict.fromkeys(("NX_FLOAT32", "NX_FLOAT64"), "NX_FLOAT"),
    **dict.fromkeys(("NX_INT8", "NX_INT16", "NX_INT32", "NX_INT64", "NX_UINT", "NX_POSINT"), "NX_INT"),
    **dict.fromkeys(("NX_UINT8", "NX_UINT16", "NX_UINT32", "NX_UINT64"), "NX_INT"),
    "ISO8601": "NX_DATE_TIME",
}
_OTHER_CLASSES = {"NXCollection": "NXcollection"}  # Mis-cased in icat-esrf-definitions 1.0.0 and 2.0.0.
CLASS = re.compile(r"NX[A-Za-z0-9_]+")
# NeXus manual, "Rules for Naming": validItemName.
NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.]*[A-Za-z0-9_])?")

RESERVED = ("bluesky", "nexus_callbacks")
"""Names in the entry of the writer's own: the run's documents and the account of what was written."""

GROUP_KEYS = ("groupName", "NX_class", "ESRF_description")
FIELD_KEYS = ("NAPItype", "units", "record", "ESRF_description", "ESRF_mandatory", "ESRF_deprecated")
LINK_KEYS = ("groupName", "ref")
_OTHER_KEYS = {"NAPitype": "NAPItype", "NX_units": "units"}  # As on the talk's slides.


def key_of(name: str) -> str:
    """What an XML attribute is called today: ``NX_units`` is ``units``."""
    return _OTHER_KEYS.get(name, name)


def meaning(key: str, value: str) -> str:
    """What the value of an XML attribute means, in the words of today; empty where it says nothing.

    >>> meaning("NAPItype", "NX_FLOAT64"), meaning("NX_class", "NXCollection"), meaning("ESRF_mandatory", "Optional")
    ('NX_FLOAT', 'NXcollection', '')
    """
    if key == "NAPItype":
        return _OTHER_TYPES.get(value, value) or "NX_CHAR"
    if key == "NX_class":
        return _OTHER_CLASSES.get(value, value)
    if key == "ESRF_mandatory":
        return value if value == "Mandatory" else ""
    return value


_ENTRY = re.compile(r"entry(_\d{4,})?")


def root_links(text: str) -> list[tuple[str, str]] | None:
    """Name at the root and path within the entry of each link of an attribute ``root_links``; None if it has none.

    The names of runs' entries (``entry``, ``entry_0002`` …) are taken.

    >>> root_links("entry_1=/ cxi_version=/cxi_version")
    [('entry_1', ''), ('cxi_version', 'cxi_version')]
    >>> root_links("../y"), root_links("a =/b"), root_links("a=/b a=/c"), root_links("entry=/a")
    (None, None, None, None)
    """
    pairs = [pair.partition("=") for pair in text.split()]
    names = [name for name, _, _ in pairs]
    paths = [path.strip("/") for _, _, path in pairs]
    sound = all(equals and NAME.fullmatch(name) for name, equals, _ in pairs) and len(set(names)) == len(names)
    sound = sound and not any(_ENTRY.fullmatch(name) for name in names)
    sound = sound and all(NAME.fullmatch(part) for path in paths if path for part in path.split("/"))
    return list(zip(names, paths, strict=True)) if sound and pairs else None


def dimensions(text: str) -> list[int] | None:
    """The dimensions that an attribute ``…_indices`` names; None if it is no list of them. HDF5 has 32 at most.

    >>> dimensions("0 2"), dimensions("²"), dimensions("40")
    ([0, 2], None, None)
    """
    parts = text.split()
    if not all(part.isascii() and part.isdigit() and len(part) < 3 and int(part) < 32 for part in parts):
        return None
    return [int(part) for part in parts]
