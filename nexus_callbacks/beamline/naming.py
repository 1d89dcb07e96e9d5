"""Naming: where the files of a run go.

Templates are Python format strings over a closed set of names (:data:`PLACEHOLDERS`), as the profile's ``files:``
writes them. What comes from a document is made safe before it becomes part of a path.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nexus_callbacks.documents import Document, techniques
from nexus_callbacks.faults import Fault, FaultError, Place
from nexus_callbacks.values import safe_part

DEFAULT = "{data_root}/{time:%Y%m%dT%H%M%S}_{plan_name}_{uid:.8}.h5"
PLACEHOLDERS = (
    "data_root", "proposal", "beamline", "sample", "dataset", "technique", "scan_id", "uid", "plan_name", "time",
)  # fmt: skip


def names_of(
    start: Document, data_root: Path, beamline: str | None = None, zone: ZoneInfo | None = None
) -> dict[str, Any]:
    """The names that a template may use, as far as the start document tells them."""
    found: dict[str, Any] = {"data_root": str(data_root)}
    for name in ("proposal", "sample", "dataset", "scan_id", "uid", "plan_name"):
        value = start.get(name)
        if isinstance(value, Mapping):  # A sample may be a record of its own.
            value = value.get("name")
        if value is not None and str(value).strip():
            found[name] = safe_part(str(value))
    if beamline:
        found["beamline"] = safe_part(beamline)
    elif start.get("beamline"):
        found["beamline"] = safe_part(str(start["beamline"]))
    found.setdefault("plan_name", "run")
    found.setdefault("dataset", found["plan_name"])
    if techniques(start):
        found["technique"] = safe_part(techniques(start)[0])
    found["time"] = datetime.fromtimestamp(start["time"], UTC).astimezone(zone)
    return found


def expand(template: str, names: Mapping[str, Any], setting: str) -> Path:
    """The path that a template gives.

    Raises
    ------
    FaultError
        The start document lacks something that the template needs; all of it is named.
    """
    wanted = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    missing = sorted({name for name in wanted if name not in names})
    if missing:
        place = Place("start document")
        raise FaultError(
            Fault(f"no {name!r}, which {setting} needs for the file's name", place, f"set RE.md[{name!r}]")
            for name in missing
        )
    return Path(template.format_map(dict(names)))


def numbered(path: Path, number: int) -> Path:
    """The path for the n-th dataset of one name: itself, then ``stem_0002.h5`` and so on."""
    return path if number == 1 else path.with_name(f"{path.stem}_{number:04d}{path.suffix}")
