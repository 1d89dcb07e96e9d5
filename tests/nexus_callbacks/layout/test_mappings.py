"""Mappings: rows on a grid in regular pieces, each cell in exactly one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_callbacks.layout import mappings as module
from nexus_callbacks.layout.grid import sequence
from nexus_callbacks.layout.mappings import mappings


def drawn(parts, shape):
    """The rows that the pieces put onto the grid; what two of them claim is a fault."""
    found = np.full(shape, -1)
    for part in parts:
        for n in range(part.count):
            cell = list(part.cell)
            cell[part.along] += n * part.step
            assert found[tuple(cell)] == -1
            found[tuple(cell)] = part.row + n * part.row_step
    return found


def placed(shape, snaking, rows):
    found = np.full(np.prod(shape), -1)
    found[sequence(shape, snaking)[:rows]] = np.arange(rows)
    return found.reshape(shape)


@pytest.mark.parametrize(
    ("shape", "snaking", "rows", "pieces"),
    [
        ((4, 5), (False, False), 20, 4),
        ((4, 5), (False, True), 20, 2 + 5),
        ((100, 70), (False, True), 7000, 50 + 70),
        ((4, 5), (False, True), 12, 2 + 5),
        ((2, 3, 4), (False, True, True), 24, None),
        ((1, 5), (False, True), 5, 1),
        ((5, 1), (False, True), 5, 1),
    ],
)
def test_a_grid_takes_few_pieces(shape, snaking, rows, pieces):
    wanted = placed(shape, snaking, rows)
    found = mappings(wanted)
    np.testing.assert_array_equal(drawn(found, shape), wanted)
    assert pieces in (None, len(found))


@settings(deadline=None)
@given(st.data())
def test_any_order_is_drawn_exactly(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple))
    size = int(np.prod(shape))
    rows = data.draw(st.permutations(range(size)))
    there = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    wanted = np.where(there, rows, -1).reshape(shape)
    np.testing.assert_array_equal(drawn(mappings(wanted), shape), wanted)


def test_too_many_pieces_are_none(monkeypatch):
    monkeypatch.setattr(module, "MOST_MAPPINGS", 4)
    assert mappings(placed((4, 5), (False, False), 20)) is not None
    assert mappings(placed((5, 5), (False, False), 25)) is None
