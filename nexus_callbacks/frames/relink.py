"""Relink: make the links of a file to its detectors' frames again, after files have come or have moved.

Every dataset file keeps a record of where each frame lies (:mod:`~nexus_callbacks.frames.stacks`). Here the detectors
have ended: their files are opened, and what is in them is compared with what was announced.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import h5py

from nexus_callbacks import hdf5
from nexus_callbacks.frames import links, stacks
from nexus_callbacks.frames.stacks import Linked, Stack
from nexus_callbacks.layout.coverage import NOTE as COVERAGE
from nexus_callbacks.layout.coverage import from_json as read_coverage


@dataclass(frozen=True)
class Relinked:
    """What became of one dataset of frames."""

    path: str
    """Where it is, or should be, in the file."""
    how: str
    """``external link``, ``virtual dataset``, ``external raw storage``; empty if its frames cannot be shown."""
    reason: str = ""
    """Why there is none; the dataset is then left as it was."""
    remarks: tuple[str, ...] = ()
    """Frames that are missing, files longer than announced."""


def relink(path: str | Path, roots: Mapping[str, str] | None = None) -> list[Relinked]:
    """Make every link to frames again.

    A detector's file is looked for, in this order, where ``roots`` have it; in its old place beside the dataset's
    file, so that a folder that moved as a whole needs no ``roots``; and where it was. The file is replaced as a whole,
    at the end: readers see the old or the new one.

    Parameters
    ----------
    path
        A dataset file that is complete.
    roots
        Old path prefix → new.

    Returns
    -------
    One result a dataset of frames, in the order of the record; empty if the run had none.

    Raises
    ------
    OSError
        The file cannot be opened as HDF5, or not be replaced.
    ValueError
        It is still being written, or its record is damaged.
    """
    path = Path(path)
    folder = path.parent.absolute()
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    found: list[Relinked] = []
    with h5py.File(path, "r", locking=False) as file:
        if file.attrs.get("state") == "writing":
            raise ValueError(f"{path} is being written: relink it when it is complete, or recover it first")
        if not any(f"{name}/{stacks.NOTE}/data" in file for name in _entries(file)):
            return []
    try:
        shutil.copy2(path, temporary)
        with hdf5.open_file(temporary) as file:
            for entry in _entries(file):
                found += _relink(file, entry, roots or {}, folder)
        temporary.replace(path)
    except (RuntimeError, KeyError, TypeError) as error:  # h5py raises any of them for a damaged file.
        raise ValueError(f"{path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return found


def _entries(file: h5py.File) -> list[str]:
    return [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]


def _relink(file: h5py.File, entry: str, roots: Mapping[str, str], folder: Path) -> list[Relinked]:
    note = f"/{entry}/{stacks.NOTE}/data"
    if note not in file:
        return []
    records, found = [], []
    before = str(file[note].attrs.get(stacks.FOLDER, ""))
    for old in stacks.from_json(str(cast(h5py.Dataset, file[note]).asstr()[()])):
        stack = Stack.from_dict(old)
        if not stack.path.startswith(f"/{entry}/"):
            raise ValueError(f"the record of {stack.path} stands in {entry}")
        stack = stack.moved(roots, folder, before)
        linked = _replace(file, stack, entry, str(old.get("parts", "")))
        found.append(Relinked(stack.path, linked.how, linked.reason, linked.remarks))
        records.append(stacks.record(stack, linked) if linked.how else old)
        if linked.how:
            remarks = [*linked.remarks, *([f"{stacks.RAW}: {stacks.MOVED}"] if linked.how == stacks.RAW else [])]
            _cover(file, entry, stack.path.removeprefix(f"/{entry}/"), "; ".join(remarks))
    _rewrite(file, note, stacks.to_json(records))
    if all(each.how for each in found):  # The places of the others are still those of before.
        file[note].attrs[stacks.FOLDER] = str(folder)
    return found


def _replace(file: h5py.File, stack: Stack, entry: str, old_parts: str) -> Linked:
    """Make a dataset anew, and only then take the old one away."""
    fresh = uuid.uuid4().hex[:8]
    temporary = f"{stack.path}.{fresh}"
    parts = f"/{entry}/{stacks.PARTS}/{stacks.part_name(stack.path)}_{fresh}"
    try:
        linked = links.link(file, replace(stack, path=temporary), parts, finished=True)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        linked = Linked("", f"the frames cannot be linked: {error}")
    if not linked.how:
        return linked
    home = f"/{entry}/{stacks.PARTS}"
    gone = [stack.path, *([old_parts] if old_parts.startswith(f"{home}/") else [])]
    for path in gone:
        if file.get(path, getlink=True) is not None:
            del file[path]
    if home in file and not len(file[home]):
        del file[home]
    file.move(temporary, stack.path)
    if linked.how != "external link":
        file[stack.path].attrs["target"] = stack.path
    return linked


def _cover(file: h5py.File, entry: str, path: str, remark: str) -> None:
    """Note in the coverage that the value at a path, relative to the entry, is there now."""
    note = f"/{entry}/{COVERAGE}/data"
    if note not in file:
        return
    text = str(cast(h5py.Dataset, file[note]).asstr()[()])
    outcomes = read_coverage(text).outcomes  # It says so if the text is no coverage.
    content: dict[str, Any] = json.loads(text)
    for outcome in outcomes:
        if path in outcome.paths:
            told = content["variables"][outcome.variable]
            content["filled"] = content.get("filled", 0) + (not outcome.filled)
            told["filled"] = True
            told["reason"] = remark
            missing = content.get("missing_mandatory", [])
            content["missing_mandatory"] = [each for each in missing if each != outcome.variable]
    _rewrite(file, note, json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def _rewrite(file: h5py.File, path: str, text: str) -> None:
    attributes = dict(file[path].attrs)
    del file[path]
    hdf5.write_field(file, path, text, attributes)
