"""Values: what HDF5 and a NeXus type can hold, and what is refused."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_callbacks.values import as_nexus, column, safe_name, safe_part


@pytest.mark.parametrize(
    ("value", "nx_type", "expected"),
    [
        ("Fe", "NX_CHAR", "Fe"),
        (3, "NX_CHAR", "3"),
        (0.1, "NX_CHAR", "0.1"),
        (["srot", "sx"], "NX_CHAR", "srot sx"),
        (np.array([1.5, 2.0]), "NX_CHAR", "1.5 2"),
        ({"a": 1}, "NX_CHAR", '{"a": 1}'),
        ("12", "NX_NUMBER", 12),
        ("1e3", "NX_NUMBER", 1000.0),
        (7, "NX_FLOAT", 7.0),
        (7.0, "NX_INT", 7),
        (np.float64(2.5), "NX_NUMBER", 2.5),
        (1, "NX_BOOLEAN", True),
        ("no", "NX_BOOLEAN", False),
        (0.0, "NX_DATE_TIME", "1970-01-01T01:00:00.000000+01:00"),
    ],
)
def test_a_value_becomes_what_its_type_wants(value, nx_type, expected):
    got = as_nexus(value, nx_type, ZoneInfo("Europe/Paris"))
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("value", "nx_type"),
    [
        (None, "NX_CHAR"),
        ("", "NX_CHAR"),
        ([], "NX_CHAR"),
        ("none", "NX_INT"),
        (2.5, "NX_INT"),
        ("open", "NX_NUMBER"),
        (2, "NX_BOOLEAN"),
        (float("nan"), "NX_DATE_TIME"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_never_becomes_zero(value, nx_type):
    with pytest.raises(ValueError, match=r"expected|no value|empty"):
        as_nexus(value, nx_type)


def test_columns_keep_numbers_and_say_none_as_nan():
    assert column([1, 2]).dtype == np.int64
    assert column([True, False]).dtype == bool
    got = column([1, None, 3])
    assert np.isnan(got[1])
    assert got[2] == 3.0
    assert column([[1, 2], [3, 4]]).shape == (2, 2)


@pytest.mark.parametrize(
    "values",
    [[[1], [1, 2]], [1, "a"], [True, 2], [{"a": 1}, None], [[[1], [1, 2]], [[1], [1, 2]]], [None, None, "x"]],
)
def test_columns_of_mixed_things_become_text(values):
    got = column(values)
    assert got.shape == (len(values),)
    assert all(isinstance(v, str) for v in got)


@given(st.text(max_size=300))
def test_names_and_parts_are_always_safe(text):
    name, part = safe_name(text), safe_part(text)
    assert name
    assert not set(name) & set("/ -\0")
    assert not name.startswith(".")
    assert part
    assert "/" not in part
    assert part not in (".", "..")
    assert len(part.encode()) <= 120
