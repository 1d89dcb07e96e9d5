"""Rows of a scan on a grid, from start documents and readbacks as bluesky gives them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_callbacks.layout.grid import fill_of, gridded, sequence

AXES = [["x"], ["y"]]


def start(shape=(2, 3), **more):
    """The start document of a grid_scan over 0 … n-1 in each dimension."""
    extents = [[0, n - 1] for n in shape]
    document = {"shape": shape, "extents": extents, "plan_pattern": "outer_product", "snaking": [False] * len(shape)}
    return {**document, "hints": {"gridding": "rectilinear"}, **more}


def columns(points, dtype=float):
    return {name: np.array(values, dtype=dtype) for name, values in zip("xyz", zip(*points, strict=True), strict=False)}


def walk(shape, snaking):
    """Points of a snaking scan, walked one by one with a direction for each axis: how a person would do it."""

    def below(axis, directions):
        if axis == len(shape):
            yield ()
            return
        n = shape[axis]
        line = range(n) if directions[axis] else range(n - 1, -1, -1)
        for i in line:
            for rest in below(axis + 1, directions):
                yield (i, *rest)
        if snaking[axis]:
            directions[axis] = not directions[axis]

    return list(below(0, [True] * len(shape)))


SHAPES = st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple)


@st.composite
def scans(draw):
    shape = draw(SHAPES)
    snaking = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    return shape, tuple(snaking), draw(st.integers(1, math.prod(shape)))


@given(scans())
def test_the_order_of_acquisition_leads_to_the_place_on_the_grid(scan):
    shape, snaking, _ = scan
    places = np.stack(np.unravel_index(sequence(shape, snaking), shape), axis=1)
    assert [tuple(place) for place in places.tolist()] == walk(shape, snaking)


@given(scans(), st.sampled_from([float, "f4", int]), st.floats(-5, 5))
def test_every_row_of_a_scan_of_any_length_finds_its_place(scan, dtype, shift):
    shape, snaking, rows = scan
    points = walk(shape, snaking)[:rows]
    shift = round(shift)
    read = {f"m{i}": np.array([p[i] + shift for p in points], dtype=dtype) for i in range(len(shape))}
    grid = gridded(start(shape, snaking=snaking), [[m] for m in read], read, rows)
    signal = np.arange(rows) + 0.5
    placed = grid.place(signal)
    assert [placed[p] for p in points] == signal.tolist()
    assert np.isnan(placed).sum() == grid.missing.sum() == math.prod(shape) - rows
    for i, axis in enumerate(grid.axes):
        assert axis.dimension == i
        np.testing.assert_allclose(axis.positions, np.arange(shape[i]) + shift, atol=1e-5)


@given(st.permutations(list(itertools.product(range(3), range(4)))))
def test_points_in_any_order_are_placed_by_their_position(points):
    document = start((3, 4), hints={"gridding": "rectilinear_nonsequential"})
    grid = gridded(document, AXES, columns(points), 12)
    placed = grid.place(np.arange(12))
    assert [placed[p] for p in points] == list(range(12))


def test_a_single_dimension_or_no_shape_is_a_trajectory():
    points = columns([(0, 0), (0, 1), (1, 0), (1, 1)])
    assert gridded(start((4,)), [["x", "y"]], points, 4) is None
    assert gridded({"hints": {}}, AXES, points, 4) is None
    assert gridded(start((2, 2)), AXES, points, 0) is None


@pytest.mark.parametrize("shape", ["2x3", (2,), (2, 3, 4), (2, 0), (2, -3), (2, None), (True, 3), (2.0, 3), {"x": 2}])
def test_a_shape_that_is_none_is_a_trajectory(shape):
    assert gridded({**start(), "shape": shape}, AXES, columns([(0, 0)]), 1) is None


def test_points_that_fall_on_no_grid_are_a_trajectory():
    document = start((3, 3), hints={"gridding": "rectilinear_nonsequential"})
    angle = np.linspace(0, 5, 9)
    assert gridded(document, AXES, {"x": np.cos(angle), "y": np.sin(angle)}, 9) is None


def test_more_rows_than_places_that_fall_on_no_grid_are_a_trajectory():
    angle = np.linspace(0, 5, 9)
    assert gridded(start((2, 2)), AXES, {"x": np.cos(angle), "y": np.sin(angle)}, 9) is None


def test_a_snaking_that_the_document_hides_is_seen_in_the_readback():
    """The document says that it does not snake, the motors did."""
    points = walk((3, 4), (False, True))
    grid = gridded(start((3, 4)), AXES, columns(points), 12)
    placed = grid.place(np.arange(12))
    assert [placed[p] for p in points] == list(range(12))


def test_snake_axes_name_motors_in_the_words_of_the_plan():
    args = ["Axis('x')", [0, 1, 2], "Axis('y')", [0, 4]]
    document = {"shape": (3, 2), "plan_pattern": "outer_list_product", "plan_pattern_args": {"args": args}}
    none = {"y": np.full(6, np.nan), "x": np.full(6, np.nan)}  # No readback tells the order.
    snaked = gridded({**document, "snake_axes": "[Axis('y')]"}, AXES, none, 6)
    assert snaked.order.tolist() == [0, 1, 3, 2, 4, 5]
    assert gridded({**document, "snake_axes": "None"}, AXES, none, 6).order.tolist() == [0, 1, 2, 3, 4, 5]
    assert gridded({**document, "snake_axes": "True"}, AXES, none, 6).order.tolist() == [0, 1, 3, 2, 4, 5]


def test_lines_are_numbered_as_the_plan_has_them():
    """Each point read twice, x backwards, y to and fro: the position decides, the plan numbers the lines."""
    args = ["Axis('x')", [2, 1, 0], "Axis('y')", [4, 9, 6]]
    document = {"shape": (3, 3), "plan_pattern": "outer_list_product", "plan_pattern_args": {"args": args}}
    points = [(x, y) for x in args[1] for y in args[3] for _ in range(2)]
    grid = gridded(document, AXES, columns(points), 18)
    assert grid.order.tolist() == [place for place in range(9) for _ in range(2)]
    assert grid.axes[0].positions.tolist() == [2, 1, 0]
    assert grid.axes[1].positions.tolist() == [4, 9, 6]


def test_two_points_that_differ_by_jitter_are_no_two_lines():
    """A square spiral that ended after two points: y has read 1e-6 more, which is no step."""
    document = start((2, 3), hints={"gridding": "rectilinear_nonsequential"}, plan_pattern="spiral_square")
    grid = gridded(document, AXES, {"x": np.array([1.0, 1.0 + 1e-6]), "y": np.array([1.0, 2.0])}, 2)
    assert grid.order.tolist() == [4, 5]


def test_a_readback_that_is_lost_has_its_place_by_the_order():
    points = np.array(walk((2, 3), (False, False)), dtype=float)
    points[4] = np.nan
    grid = gridded(start(), AXES, columns(points), 6)
    assert grid.order.tolist() == [0, 1, 2, 3, 4, 5]
    assert grid.axes[0].positions.tolist() == [0, 1]
    assert grid.axes[1].positions.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("jitter", "regular"), [(0.04, True), (0.06, False)])
def test_a_twentieth_of_a_step_decides_whether_an_axis_is_regular(jitter, regular):
    points = np.array(walk((3, 3), (False, False)), dtype=float)
    points[4, 1] += jitter
    x, y = gridded(start((3, 3)), AXES, columns(points), 9).axes
    assert x.regular
    assert y.regular == regular
    if not regular:
        assert y.positions.shape == (3, 3)
        assert y.positions[1, 1] == 1 + jitter


def test_a_motor_that_went_elsewhere_foretells_nothing():
    """A grid that ended early, of a motor whose steps are not the plan's: no line is invented."""
    points = [(0, 0), (0, 1), (0, 2), (0.4, 0), (0.4, 1)]
    x, y = gridded(start((4, 3)), AXES, columns(points), 5).axes
    assert not x.regular
    assert np.isnan(x.positions).sum() == 7
    assert y.positions.tolist() == [0, 1, 2]
    assert not x.planned


def test_further_keys_of_a_dimension_have_positions_of_their_own():
    """A pseudo motor: two keys move along one dimension."""
    points = np.array(walk((2, 3), (False, True)), dtype=float)
    read = {"h": points[:, 0], "k": -2 * points[:, 0], "y": points[:, 1]}
    axes = gridded(start(snaking=[False, True]), [["h", "k"], ["y"]], read, 6).axes
    assert [(axis.key, axis.dimension) for axis in axes] == [("h", 0), ("k", 0), ("y", 1)]
    assert axes[1].positions.tolist() == [0, -2]


def test_the_last_of_several_readings_stands():
    points = [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (1, 1)]
    grid = gridded(start((2, 2)), AXES, columns(points), 6)
    assert grid.place(np.arange(6)).tolist() == [[1, 2], [3, 5]]


def test_what_was_not_measured_is_nan_for_every_type_that_a_float_can_hold():
    grid = gridded(start((2, 2)), AXES, columns([(0, 0), (0, 1), (1, 0)]), 3)
    assert grid.missing.tolist() == [[False, False], [False, True]]
    for dtype, wanted in [("f4", "f4"), ("u2", "f4"), (bool, "f4"), ("i8", "f8"), ("f8", "f8")]:
        placed = grid.place(np.array([1, 0, 1], dtype=dtype))
        assert placed.dtype == wanted
        assert placed[0, 0] == 1
        assert np.isnan(placed[1, 1])
    images = grid.place(np.arange(12, dtype="u2").reshape(3, 2, 2))
    assert images.shape == (2, 2, 2, 2)
    assert np.isnan(images[1, 1]).all()


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_integers_that_no_float_can_hold_keep_their_type(dtype):
    grid = gridded(start((2, 2)), AXES, columns([(0, 0), (0, 1), (1, 0)]), 3)
    large = np.array([2**53 + 1, 1, 2], dtype=dtype)
    placed = grid.place(large)
    assert placed.dtype == dtype
    assert placed[0, 0] == 2**53 + 1
    assert placed[1, 1] == fill_of(placed.dtype)


def test_a_complete_grid_keeps_its_types():
    grid = gridded(start((2, 2)), AXES, columns(walk((2, 2), (False, False))), 4)
    assert grid.place(np.array([1, 2, 3, 4], dtype="u1")).dtype == "u1"
    assert grid.place(np.array([True, False, True, True])).tolist() == [[True, False], [True, True]]
