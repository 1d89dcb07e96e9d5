"""Master: the experiment's one file, with a link to every dataset's entry.

The file is copied, extended and put in place of the old one in a single step, under a lock of its own: readers see
the old or the new one, and several sessions may add to it. Links are external and relative, so that the
experiment's folder can be moved.
"""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

import h5py

from nexus_callbacks import hdf5
from nexus_callbacks.frames import assets
from nexus_callbacks.locks import locked

ENTRY = re.compile(r"entry_(\d+)")


class MasterError(OSError):
    """The master file cannot be extended; the dataset itself is not touched by that."""


def add_dataset(master: Path, dataset: Path, attributes: dict[str, str], entry: str = "entry") -> str:
    """Link a dataset's entry into the master file; the name of the link (``entry_NNNN``) is returned.

    A dataset that is linked already keeps its name.

    Raises
    ------
    MasterError
        The master cannot be read or written; says why.
    """
    try:
        master.parent.mkdir(parents=True, exist_ok=True)
        with locked(master.with_name(f".{master.name}.lock")):
            return _add(master, dataset, attributes, entry)
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # h5py raises any of them for a damaged file.
        raise MasterError(f"{master}: cannot be extended by {dataset.name}: {error}") from error


def _add(master: Path, dataset: Path, attributes: dict[str, str], entry: str) -> str:
    target = assets.relative(str(dataset), master.parent)
    temporary = master.with_name(f".{master.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        if master.is_symlink() and not master.exists():
            raise OSError("it is a symbolic link to nowhere")
        if master.exists():
            shutil.copy2(master, temporary)
            mode = "r+"
        else:
            mode = "x"
        with hdf5.open_file(temporary, mode) as file:
            links = {name: file.get(name, getlink=True) for name in file}
            name: str
            for name, link in links.items():
                if isinstance(link, h5py.ExternalLink) and (link.filename, link.path) == (target, f"/{entry}"):
                    return name
            numbers = [int(found.group(1)) for name in links if (found := ENTRY.fullmatch(name))]
            name = f"entry_{max(numbers, default=0) + 1:04d}"
            file[name] = h5py.ExternalLink(target, f"/{entry}")
            # The latest dataset is what somebody who opens the experiment wants to see.
            hdf5.set_attributes(file, {"NX_class": "NXroot", **attributes, "default": name})
        hdf5.mark(temporary)
        temporary.replace(master)
        return name
    finally:
        temporary.unlink(missing_ok=True)
