"""Mappings: which rows of a stack stand where on a grid, in as few regular pieces as it takes.

HDF5 maps regular selections onto one another, in rising order only: of a grid that snakes, each line forwards is one
piece, and the lines backwards are one piece a column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

MOST_MAPPINGS = 20_000
"""Mappings of one dataset. With HDF5 2.0 one takes 30 µs and 240 bytes, and the time of many grows as their square:
more would cost seconds when the run stops, and again for whoever opens it."""


@dataclass(frozen=True)
class Mapping:
    """Cells of the grid, and the rows that they show."""

    cell: tuple[int, ...]
    """The first."""
    along: int
    """The grid's dimension along which the others follow."""
    step: int
    """From one cell to the next."""
    row: int
    """The first."""
    row_step: int
    count: int


def mappings(rows: Array) -> list[Mapping] | None:
    """How to map rows onto a grid.

    Parameters
    ----------
    rows
        Of each cell the row that it shows, -1 where there is none; of the grid's shape, two dimensions at least.

    Returns
    -------
    list or None
        None if they were more than :data:`MOST_MAPPINGS`.
    """
    found: list[Mapping] = []
    left = rows.copy()
    for mapping in (*_lines(left), *_columns(left)):
        found.append(mapping)
        if len(found) > MOST_MAPPINGS:
            return None
    return found


def _lines(left: Array) -> Iterator[Mapping]:
    """Rows that follow one another along the last dimension, two at least; their cells are then done."""
    for outer in np.ndindex(left.shape[:-1]):
        line = left[outer]
        breaks = np.flatnonzero((np.diff(line) != 1) | (line[:-1] < 0)) + 1
        for begin, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(line)], strict=True):
            if end - begin > 1:
                yield Mapping((*outer, begin), left.ndim - 1, 1, int(line[begin]), 1, end - begin)
                line[begin:end] = -1


def _columns(left: Array) -> Iterator[Mapping]:
    """What is left, along the last dimension but one, in equal steps of cells and of rows."""
    columns = np.moveaxis(left, -2, -1)
    for outer in np.ndindex(columns.shape[:-1]):
        places = np.flatnonzero(columns[outer] >= 0).tolist()
        rows = columns[outer][places].tolist()
        at = 0
        while at < len(places):
            end = at + 1
            step = row_step = 1
            if end < len(places) and rows[end] > rows[at]:
                step, row_step = places[end] - places[at], rows[end] - rows[at]
                while (
                    end < len(places)
                    and places[end] - places[end - 1] == step
                    and rows[end] - rows[end - 1] == row_step
                ):
                    end += 1
            yield Mapping((*outer[:-1], places[at], outer[-1]), left.ndim - 2, step, rows[at], row_step, end - at)
            at = end
