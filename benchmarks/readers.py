"""Readers: how many rows of W1 or W2 can be read back from a folder, correctly.

They know no writer's layout. A row counts if all ten columns hold the right value; rows count from the first on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.pieces import COLUMNS, column, count_of

DEPTH = 9
Found = Iterator[tuple[str, dict[str, Any]]]
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py and the decoders raise for a file that is cut or still being written."""


def leading(values: Any, j: int) -> int:
    """How many of the first values are those of column ``j``."""
    values = np.asarray(values, dtype="f8").ravel()
    right = values == column(j, len(values))
    return len(values) if right.all() else int(np.argmin(right))


def _datasets(group: h5py.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], h5py.Dataset]]:
    for name in group:
        try:
            node = group[name]
        except UNREADABLE:  # a link to nowhere
            continue
        here = (*path, name)
        if isinstance(node, h5py.Dataset):
            yield here, node
        elif len(here) < DEPTH:
            yield from _datasets(node, here)


def hdf5_rows(path: Path, swmr: bool = False) -> int:
    """Rows in an HDF5 file: any dataset with a column's name in its path may hold the column."""
    best = dict.fromkeys(COLUMNS, 0)
    with h5py.File(path, "r", swmr=swmr, locking=False) as file:
        for names, dataset in _datasets(file):
            named = [name for name in names if name in best]
            if named and dataset.ndim and dataset.dtype.kind in "iuf":
                name = named[-1]
                try:
                    best[name] = max(best[name], leading(dataset[()], COLUMNS.index(name)))
                except UNREADABLE:  # its chunks are not there yet
                    continue
    return min(best.values())


def _document_rows(documents: Found) -> int:
    rows = 0
    for name, document in documents:
        if name == "event" and rows % 997 == 0 and not _right(document, rows):
            return rows
        rows += count_of(name, document) if name in ("event", "event_page") else 0
    return rows


def _right(event: dict[str, Any], row: int) -> bool:
    return all(event["data"][c] == column(j, row + 1)[-1] for j, c in enumerate(COLUMNS))


def _pair(item: Any) -> tuple[str, dict[str, Any]]:
    return (item["name"], item["doc"]) if isinstance(item, dict) else (item[0], item[1])


def _json(path: Path) -> Found:
    """JSON lines, or bluesky's array of one document a line."""
    with path.open() as file:
        for line in file:
            text = line.strip().rstrip(",")
            if text in ("[", "]", ""):
                continue
            try:
                yield _pair(json.loads(text))
            except ValueError:  # cut
                return


def _msgpack(path: Path) -> Found:
    msgpack, with_numpy = import_module("msgpack"), import_module("msgpack_numpy")
    with path.open("rb") as file:
        for item in msgpack.Unpacker(file, object_hook=with_numpy.decode):
            yield _pair(item)


def _tiled_rows(folder: Path) -> int:
    """Rows that a server, started anew on the folder, gives."""
    server, client = import_module("tiled.server"), import_module("tiled.client")
    with server.SimpleTiledServer(folder) as served:
        run = client.from_uri(served.uri).values().last()
        table = run["streams/primary/internal" if "streams" in run else "primary/internal"].read()
        return min(leading(table[c].values, j) for j, c in enumerate(COLUMNS))


def _file_rows(path: Path, swmr: bool) -> int:
    suffix = path.suffix
    if suffix in (".h5", ".hdf", ".hdf5", ".nxs"):
        return hdf5_rows(path, swmr)
    if suffix in (".json", ".jsonl"):
        return _document_rows(_json(path))
    if suffix == ".msgpack":
        return _document_rows(_msgpack(path))
    if suffix == ".raw":  # limits.Raw: 21 doubles a row; only their number is looked at
        return path.stat().st_size // (21 * 8)
    return 0


def rows(folder: Path, swmr: bool = False) -> tuple[int, str]:
    """Most rows that one file of the folder gives, and what the last unreadable file's trouble was."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    if any(p.name == "catalog.db" for p in files):
        return _tiled_rows(folder), ""
    best, trouble = 0, ""
    for path in files:
        try:
            best = max(best, _file_rows(path, swmr))
        except UNREADABLE as error:
            trouble = repr(error)[:90]
    return best, trouble
