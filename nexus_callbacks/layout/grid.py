"""Grid: what a scan over several axes is: a regular array of points, or a trajectory.

Pure: the start document and the columns that were read go in, the place of every row comes out. The *order* of the
points comes from the plan (``shape``, ``snaking``), the *positions* from the readback: a plan's ``extents`` are as
typed, relative to an unknown start in ``rel_grid_scan``. Where order and readback contradict one another and the
readback falls on a grid by itself, the readback stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nexus_callbacks.documents import Document, lookup

Array = np.ndarray[Any, Any]

REGULAR = 0.05
"""Part of the smallest step by which readings of one grid line may differ and still share one position: a cell that
is drawn 20 pixels wide would be off by one. The exact readings are in the flat columns either way."""
SEPARATE = 0.5
"""Readings belong to one grid line while they spread over less than this part of the gap to the next line."""
EXACT_INTEGERS = 2**53
"""Up to here a float64 holds every integer."""


@dataclass(frozen=True)
class Axis:
    """The positions of one data key on the grid, in the key's own units."""

    key: str
    dimension: int
    """The grid's dimension along which it moves."""
    positions: Array
    """One a grid line where the readback is regular, else one a point (the grid's shape), NaN where nothing was."""
    planned: tuple[int, ...] = ()
    """Grid lines that were not reached: their positions are the plan's, shifted onto the readback of the others."""

    @property
    def regular(self) -> bool:
        """Whether every grid line has one position."""
        return self.positions.ndim == 1


@dataclass(frozen=True)
class Grid:
    """Rows of a stream on a grid."""

    shape: tuple[int, ...]
    """Slowest dimension first, as in the plan."""
    order: Array
    """Row → flat (C order) index on the grid, -1 for a row without a place. Of rows with one place the last stands."""
    axes: tuple[Axis, ...] = ()

    @property
    def missing(self) -> Array:
        """True where nothing was measured, in the grid's shape (numpy.ma's and nexusformat's sense of a mask)."""
        found = np.ones(math.prod(self.shape), dtype=bool)
        found[self.order[self.order >= 0]] = False
        return found.reshape(self.shape)

    @property
    def rows(self) -> Array:
        """Of each cell the row that stands there, -1 where nothing was measured."""
        found = np.full(math.prod(self.shape), -1)
        placed = np.flatnonzero(self.order >= 0)
        # The last row of each place: numpy does not promise which of several assignments to one place stands.
        places, last = np.unique(self.order[placed][::-1], return_index=True)
        found[places] = placed[::-1][last]
        return found.reshape(self.shape)

    def place(self, column: Array) -> Array:
        """A column, rows first, with the grid's dimensions in place of the rows.

        Where nothing was measured stands NaN. For that integers and booleans of an incomplete grid become floats
        which hold each of their values, so that a reader which knows no mask shows a gap and no number. Integers
        beyond 2**53, for which there is no such float, keep their type and have :func:`fill_of` it in the gaps.
        """
        placed = self.order >= 0
        size = math.prod(self.shape)
        missing = len(np.unique(self.order[placed])) < size
        dtype = column.dtype
        if missing and dtype.kind != "f" and _fits_float(column):
            dtype = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
        found = np.full((size, *column.shape[1:]), fill_of(dtype) if missing else 0, dtype=dtype)
        rows = self.rows.ravel()
        found[rows >= 0] = column[rows[rows >= 0]]
        return found.reshape((*self.shape, *column.shape[1:]))


def fill_of(dtype: np.dtype[Any]) -> Any:
    """What stands where nothing was measured: NaN, for an integer the value of its type that is farthest from 0."""
    if dtype.kind == "f":
        return math.nan
    limits = np.iinfo(dtype)
    return limits.min if limits.min < 0 else limits.max


def gridded(
    start: Document, dimensions: Sequence[Sequence[str]], columns: Mapping[str, Array], rows: int
) -> Grid | None:
    """What the plan and the readback make of a stream's rows.

    Parameters
    ----------
    start
        The start document, of which ``shape``, ``snaking`` or ``snake_axes``, ``extents``, ``plan_pattern`` and
        ``hints.gridding`` are asked. Each may be absent or nonsense.
    dimensions
        Data keys that move along each dimension (:func:`nexus_callbacks.documents.dimensions`).
    columns
        Readback (rows,) of those keys that are numbers; others may be absent.
    rows
        Number of rows.

    Returns
    -------
    Grid or None
        None is a trajectory: a single dimension, no ``shape``, or points that have no order and fall on no grid.
    """
    shape = _shape(start.get("shape"), len(dimensions))
    if shape is None or rows == 0:
        return None
    leads = [_readback(keys, columns, rows) for keys in dimensions]
    plans = [_planned(start, i, n) for i, n in enumerate(shape)]
    size, order = math.prod(shape), None
    snaking = None if lookup(start, "hints.gridding") == "rectilinear_nonsequential" else _snaking(start, len(shape))
    if snaking is not None and rows <= size:
        order = sequence(shape, snaking)[:rows]
    if order is None or not _agrees(shape, order, leads):
        found = _by_position(start, shape, leads, plans, rows)
        order = order if found is None else found
    if order is None:
        return None
    grid = Grid(shape, order)
    axes = []
    for i, keys in enumerate(dimensions):
        for key in keys:
            values = columns.get(key)
            if values is not None and values.shape == (rows,):
                # What the plan says is of the dimension's first key; a pseudo motor's other keys have no such plan.
                axes.append(_axis(grid, key, i, values, plans[i] if key == keys[0] else None))
    return Grid(shape, order, tuple(axes))


def sequence(shape: Sequence[int], snaking: Sequence[bool]) -> Array:
    """Flat (C order) index on the grid of each point of a sequential scan, in the order of acquisition.

    A dimension that snakes runs backwards on each second pass (bluesky.utils.snake_cyclers).

    >>> sequence((2, 3), (False, True)).tolist()
    [0, 1, 2, 5, 4, 3]
    """
    point = np.arange(math.prod(shape))
    indices, inner = [], math.prod(shape)
    for n, snakes in zip(shape, snaking, strict=True):
        inner //= n
        along, passed = (point // inner) % n, point // (inner * n)
        indices.append(np.where(passed % 2 == 1, n - 1 - along, along) if snakes else along)
    return np.ravel_multi_index(indices, tuple(shape))


# -- what the start document says ------------------------------------------------------------------------------------


def _shape(said: Any, dimensions: int) -> tuple[int, ...] | None:
    """The plan's shape, if it is one for these dimensions and there are several."""
    if not isinstance(said, list | tuple) or dimensions < 2 or len(said) != dimensions:
        return None
    whole = [isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in said]
    return tuple(int(n) for n in said) if all(whole) else None


def _snaking(start: Document, dimensions: int) -> tuple[bool, ...] | None:
    """Which dimensions snake; None if the document does not say it in a way that can be read.

    ``grid_scan`` gives ``snaking``, ``list_grid_scan`` the ``str`` of its argument ``snake_axes``: True, False, None or
    a list of motors, each of which stands in ``plan_pattern_args`` too, in the same words.
    """
    said = start.get("snaking")
    if isinstance(said, list | tuple):
        return tuple(bool(s) for s in said) if len(said) == dimensions else None
    text = start.get("snake_axes")
    if text is None or str(text) in ("None", "False", "[]", "()"):
        return (False,) * dimensions
    if str(text) == "True":
        return (False, *(True,) * (dimensions - 1))
    args = lookup(start, "plan_pattern_args.args")
    if not isinstance(args, list | tuple) or len(args) != 2 * dimensions:
        return None
    return tuple(str(motor) in str(text) for motor in args[::2])


def _planned(start: Document, dimension: int, n: int) -> Array | None:
    """Positions of a dimension's grid lines as typed; in a relative plan they lack the start."""
    pattern = start.get("plan_pattern")
    try:
        if pattern == "outer_list_product":
            found = np.asarray(start["plan_pattern_args"]["args"][2 * dimension + 1], dtype=float)
        elif pattern in ("outer_product", "spiral_square"):
            first, last = start["extents"][dimension]
            found = np.linspace(float(first), float(last), n)
        else:
            return None
    except (KeyError, IndexError, TypeError, ValueError):
        return None  # Somebody's own start document: it has no plan that we could read.
    return found if found.shape == (n,) and np.all(np.isfinite(found)) else None


# -- what the readback says ------------------------------------------------------------------------------------------


def _readback(keys: Sequence[str], columns: Mapping[str, Array], rows: int) -> Array | None:
    """Readback of the first key of a dimension, as float."""
    values = columns.get(keys[0]) if keys else None
    return values.astype(float) if values is not None and values.shape == (rows,) else None


def _agrees(shape: Sequence[int], order: Array, leads: Sequence[Array | None]) -> bool:
    """Whether the readings of different grid lines are apart in every dimension, as the order has them."""
    for lines, values, n in zip(np.unravel_index(order, tuple(shape)), leads, shape, strict=True):
        if values is None:
            continue
        read = np.isfinite(values)
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        np.minimum.at(low, lines[read], values[read])
        np.maximum.at(high, lines[read], values[read])
        seen = np.flatnonzero(low <= high)
        seen = seen[np.argsort(low[seen])]
        if np.any(high[seen][:-1] >= low[seen][1:]):
            return False
    return True


def _by_position(
    start: Document, shape: tuple[int, ...], leads: Sequence[Array | None], plans: Sequence[Array | None], rows: int
) -> Array | None:
    """The order that the readback alone gives, None if it falls on no grid of that shape."""
    size = math.prod(shape)
    found = []
    for dimension, (values, n, plan) in enumerate(zip(leads, shape, plans, strict=True)):
        if values is None:
            return None
        lines = _lines(values, n, plan, complete=rows >= size)
        if lines is None and start.get("plan_pattern") == "spiral_square" and plan is not None:
            lines = _from_centre(values, n, plan, fastest=dimension == len(shape) - 1)
        if lines is None:
            return None
        found.append(lines)
    lost = np.any([lines < 0 for lines in found], axis=0)
    order = np.ravel_multi_index([np.maximum(lines, 0) for lines in found], shape)
    return np.where(lost, -1, order)


def _lines(values: Array, n: int, plan: Array | None, *, complete: bool) -> Array | None:
    """Grid line of each reading, of a readback that falls into n groups with clear gaps between them.

    Jitter of a few readings can look like lines. So the groups must span what the plan does, or, without one, there
    must be readings enough for the whole grid. A reading that is NaN has line -1.
    """
    read = np.isfinite(values)
    ranked = np.sort(values[read])
    if len(ranked) < n or (plan is None and not complete):
        return None
    cuts = np.sort(np.argsort(np.diff(ranked), kind="stable")[len(ranked) - n :]) if n > 1 else np.array([], dtype=int)
    groups = np.split(ranked, cuts + 1)
    centres = np.array([np.median(group) for group in groups])
    gap = np.min(ranked[cuts + 1] - ranked[cuts]) if n > 1 else math.inf
    spread = max(group[-1] - group[0] for group in groups)
    if not gap > 0 or spread > SEPARATE * gap:
        return None
    if plan is not None and n > 1:
        span = np.ptp(plan)
        if abs(np.ptp(centres) - span) > SEPARATE * span / (n - 1):
            return None
    ranks = np.searchsorted((ranked[cuts] + ranked[cuts + 1]) / 2, np.where(read, values, 0.0))
    # A plan may run backwards, or to and fro over a list: its line numbers are in the plan's order.
    lines = np.argsort(plan, kind="stable")[ranks] if plan is not None else ranks
    return np.where(read, lines, -1)


def _from_centre(values: Array, n: int, plan: Array, *, fastest: bool) -> Array | None:
    """Grid line of each reading of a ``spiral_square`` that ended early, None if they do not fall on its lines.

    Its first point is the centre's (bluesky.plan_patterns.spiral_square_pattern): of an even number of lines the lower
    middle one in x, which is the last dimension, and the upper one in y. That gives the start of a relative plan.
    """
    if not np.all(np.isfinite(values)):
        return None
    if n == 1:
        return np.zeros(len(values), dtype=int)
    step = plan[1] - plan[0]
    middle = (n - 1) // 2 if fastest else n // 2
    if step == 0:
        return None
    offset = (values - values[0]) / step
    lines = np.round(offset).astype(int) + middle
    apart = np.max(np.abs(offset - np.round(offset)))
    return lines if apart <= SEPARATE / 2 and lines.min() >= 0 and lines.max() < n else None


def _axis(grid: Grid, key: str, dimension: int, column: Array, plan: Array | None) -> Axis:
    """Positions of a key: one a grid line where the readback allows it."""
    values = column.astype(float)
    everywhere = grid.place(values)
    n = grid.shape[dimension]
    lines = np.moveaxis(everywhere, dimension, 0).reshape(n, -1)
    seen = np.flatnonzero(np.isfinite(lines).any(axis=1))
    if not len(seen):
        return Axis(key, dimension, everywhere)
    centres = np.full(n, math.nan)
    centres[seen] = np.nanmedian(lines[seen], axis=1)
    step = _smallest_step(centres, plan)
    eps = np.finfo(column.dtype if column.dtype.kind == "f" else float).eps
    tolerance = max(REGULAR * step, 4 * float(eps) * float(np.max(np.abs(centres[seen]))))
    if np.nanmax(np.abs(lines[seen] - centres[seen, None])) > tolerance:
        return Axis(key, dimension, everywhere)
    unseen = np.flatnonzero(np.isnan(centres))
    if not len(unseen):
        kept = column.dtype if column.dtype.kind == "f" or not np.any(centres % 1) else np.dtype(float)
        return Axis(key, dimension, centres.astype(kept))
    if plan is None:
        return Axis(key, dimension, everywhere)
    shift = np.median(centres[seen] - plan[seen])
    if np.max(np.abs(centres[seen] - plan[seen] - shift)) > tolerance:
        return Axis(key, dimension, everywhere)  # The axis did not go where the plan had it: nothing can be foretold.
    centres[unseen] = plan[unseen] + shift
    return Axis(key, dimension, centres, tuple(int(i) for i in unseen))


def _smallest_step(centres: Array, plan: Array | None) -> float:
    """Smallest step between neighbouring grid lines that were read; of the plan where there are no two."""
    steps = np.abs(np.diff(centres))
    steps = steps[np.isfinite(steps)]
    if not len(steps) and plan is not None:
        steps = np.abs(np.diff(plan))
    return float(np.min(steps)) if len(steps) else 0.0


def _fits_float(column: Array) -> bool:
    return column.dtype.kind == "b" or not column.size or max(-int(column.min()), int(column.max())) <= EXACT_INTEGERS
