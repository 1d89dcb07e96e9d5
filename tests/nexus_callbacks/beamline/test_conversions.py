"""Conversions of values that are not all there."""

import math

import numpy as np
import pytest

from nexus_callbacks.beamline import conversions


@pytest.mark.parametrize(
    ("name", "expected"),
    [("list", ["open", 2.5]), ("join", "open 2.5"), ("count", 2), ("first", "open"), ("last", 2.5)],
)
def test_none_and_nan_are_no_values(name, expected):
    assert conversions.apply(name, [None, "open", math.nan, np.float32("nan"), 2.5, None]) == expected


@pytest.mark.parametrize("name", ["list", "join", "count", "first", "last", "mean"])
def test_where_nothing_is_left_there_are_no_values(name):
    with pytest.raises(ValueError, match="no values"):
        conversions.apply(name, [None, math.nan])
