"""What a document holds comes back as it was, or as text, and told."""

import math
import uuid
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nexus_callbacks.journal.packing import Packer, unpack


def there_and_back(value):
    packer = Packer()
    name, document = unpack(packer.pack("event", {"data": {"it": value}}))
    assert name == "event"
    return document["data"]["it"], packer.kept_as_text


def same(one, other):
    """Equal in value and type, NaN being itself."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
        )
    if isinstance(one, dict):
        return (
            type(other) is dict
            and list(one) == list(other)
            and all(map(same, one, other))
            and all(same(one[k], other[k]) for k in one)
        )
    if isinstance(one, list):
        return type(other) is list and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float | complex | np.generic) and np.isnan(one):
        return type(one) is type(other) and bool(np.isnan(other))
    return type(one) is type(other) and one == other


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(exclude_categories=[]))  # surrogates, too
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=-3, seconds=7))))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.builds(Path, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
    | npst.arrays(
        npst.scalar_dtypes() | npst.nested_dtypes(),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
keys = st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False) | st.tuples(st.integers(), st.text())
values = st.recursive(plain, lambda below: st.lists(below) | st.dictionaries(keys, below), max_leaves=20)


@given(values)
@settings(deadline=None)
def test_any_value_comes_back_as_it_was(value):
    found, lost = there_and_back(value)
    assert same(value, found)
    assert not lost


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=1, max_dims=3, max_side=5)))
@settings(deadline=None)
def test_an_array_need_not_be_contiguous(array):
    for view in (array.T, array[::-1], array[..., ::2], np.asfortranarray(array)):
        found, lost = there_and_back(view)
        assert same(np.ascontiguousarray(view), found)
        assert not lost


@pytest.mark.parametrize(
    "dtype",
    [
        *("?", "<u2", ">u2", ">f8", "<f2", "<f16", "<c16", "<U3", ">U3", "S4", "V5", "<M8[ns]", ">M8[D]", "<m8[us]"),
        [("x", "<f8"), ("y", ">i2", (2, 3))],
        [("when", "<M8[s]"), ("deep", [("name", "<U4")])],
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_dtype_and_shape_are_kept(dtype, shape):
    array = np.zeros(shape, dtype)
    found, lost = there_and_back(array)
    assert same(array, found)
    assert not lost
    assert found.flags.aligned


def test_a_dtype_with_gaps_and_offsets_is_kept():
    dtype = np.dtype({"names": ["a", "b"], "formats": ["u1", "<f4"], "offsets": [8, 0], "itemsize": 16})
    aligned = np.dtype([("a", "u1"), ("b", "<f8")], align=True)
    for one in (dtype, aligned):
        found, _ = there_and_back(np.ones(3, one))
        assert found.dtype == one
        assert found["b"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "scalar",
    [
        *(np.float32(1.1), np.float16("nan"), np.longdouble("0.1"), np.complex64(1 + 2j), np.int8(-3)),
        *(np.uint64(2**64 - 1), np.bytes_(b"abc")),
        *(np.datetime64("2026-11-22T08:00", "ns"), np.datetime64("NaT"), np.timedelta64(3, "s")),
    ],
)
def test_a_scalar_of_numpy_stays_one(scalar):
    found, lost = there_and_back(scalar)
    assert type(found) is type(scalar)
    assert found.dtype == scalar.dtype
    assert found.tobytes() == scalar.tobytes()
    assert not lost


@pytest.mark.parametrize("scalar", [np.float64(1.1), np.int64(-7), np.bool_(True), np.str_("µ")])
def test_where_python_has_the_same_type_it_is_taken_and_numpy_makes_the_same_of_it(scalar):
    found, lost = there_and_back(scalar)
    assert found == scalar
    assert np.asarray(found).dtype == scalar.dtype
    assert not lost


def test_a_structured_scalar_stays_one():
    scalar = np.array([(1, 2.5)], [("n", "<i4"), ("x", "<f8")])[0]
    found, _ = there_and_back(scalar)
    assert (found["n"], found["x"], found.dtype) == (1, 2.5, scalar.dtype)


class Colour(Enum):
    RED = "red"
    RGB = (1, np.float32(0.5))


@dataclass
class Point:
    x: float
    label: str


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2.5, "a")), [1, [2.5, "a"]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "a"}, [1, "a"]),
        (Pair(1, 2), [1, 2]),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": {1: 2}}), {"a": {1: 2}}),
        (Colour.RED, "red"),
        (Colour.RGB, [1, np.float32(0.5)]),
        (Point(1.5, "p"), {"x": 1.5, "label": "p"}),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ({Colour.RED: 1, np.int16(3): 2, (1, (2,)): 3, b"k": 4}, {"red": 1, np.int16(3): 2, (1, (2,)): 3, b"k": 4}),
        ({"\ud800": "\udfff", "a": (Point(1, "p"),)}, {"\ud800": "\udfff", "a": [{"x": 1, "label": "p"}]}),
    ],
)
def test_containers_become_lists_and_dicts_and_nothing_is_told(value, expected):
    found, lost = there_and_back(value)
    assert found == expected
    assert not lost


def test_a_masked_array_keeps_its_mask():
    array = np.ma.MaskedArray([1.5, 2.5, 3.5], [False, True, False])
    found, lost = there_and_back(array)
    assert found.tolist() == [1.5, None, 3.5]
    assert not lost


class Odd:
    def __str__(self):
        return "an odd thing"


class Mute:
    def __str__(self):
        raise RuntimeError("no text")


def test_an_array_of_objects_keeps_its_shape_and_what_can_be_kept_of_its_elements():
    array = np.empty((2, 2), dtype=object)
    array[0, 0], array[0, 1], array[1, 0], array[1, 1] = "text", None, np.arange(3), Odd()
    found, lost = there_and_back(array)
    assert found.dtype == object
    assert found.shape == (2, 2)
    assert (found[0, 0], found[0, 1], found[1, 0].tolist(), found[1, 1]) == ("text", None, [0, 1, 2], "an odd thing")
    assert list(lost.values()) == [f"{__name__}.Odd"]


def test_texts_of_variable_length_are_kept_one_by_one():
    found, lost = there_and_back(np.array(["a", "longer"], np.dtypes.StringDType()))
    assert found.tolist() == ["a", "longer"]
    assert not lost


class Series:
    """As pandas' one: not an array, but it can become one."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.array, Exception):
            raise self.array
        return self.array


def test_what_turns_into_an_array_is_kept_as_that():
    assert same(np.arange(3), there_and_back(Series(np.arange(3)))[0])
    assert there_and_back(Series(np.array(["a", None], object)))[0] == ["a", None]
    found, lost = there_and_back(Series(RuntimeError("not now")))
    assert found.startswith("<")
    assert list(lost) == ["event data.it"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(Odd(), "an odd thing"), (Mute(), "<Mute without a text>"), (Decimal("1.50"), "1.50"), (int, "<class 'int'>")],
)
def test_what_cannot_be_kept_becomes_text_and_is_told(value, text):
    found, lost = there_and_back(value)
    assert found == text
    assert lost == {"event data.it": f"{type(value).__module__}.{type(value).__qualname__}"}


def test_each_type_is_told_once_with_the_place_of_its_first():
    packer = Packer()
    for i in range(3):
        packer.pack("start", {"plan_args": {"list": [1, Odd(), Odd()]}, "seq_num": i})
    packer.pack("event", {"data": {"x": Odd(), "y": Mute(), 3: "no text"}})
    assert packer.kept_as_text == {"start plan_args.list.1": f"{__name__}.Odd", "event data.y": f"{__name__}.Mute"}


def test_one_odd_value_costs_only_itself():
    document = {"data": {"x": 1.5, "odd": Odd(), "image": np.arange(6).reshape(2, 3), 7: "key", "t": "\ud800"}}
    _, found = unpack(Packer().pack("event", document))
    assert found["data"].pop("odd") == "an odd thing"
    assert found["data"].pop("image").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["data"] == {"x": 1.5, 7: "key", "t": "\ud800"}


@pytest.mark.parametrize("leaf", [1, "\ud800"])
@pytest.mark.parametrize("depth", [10, 99, 100, 101, 199, 200, 253, 254, 255, 256, 290])
def test_deep_nesting_is_kept(depth, leaf):
    value = leaf
    for i in range(depth):
        value = [value] if i % 2 else {"a": value}
    found, lost = there_and_back(value)
    assert found == value
    assert not lost


def test_nesting_without_end_becomes_text_where_it_is_too_deep():
    value = []
    for _ in range(100_000):
        value = [value]
    _, lost = there_and_back(value)
    assert list(lost.values()) == ["builtins.list"]
    while value:  # Python itself must not take it apart in one go
        value = value.pop()


def test_what_holds_itself_is_cut_where_it_does():
    value = {"a": 1}
    value["self"] = [value, value]
    found, lost = there_and_back(value)
    assert found["a"] == 1
    assert all(isinstance(v, str) for v in found["self"])
    assert list(lost.values()) == ["builtins.dict"]


def test_a_document_is_not_changed_and_shares_nothing_with_what_comes_back():
    array = np.arange(3.0)
    document = {"data": {"x": array, "set": {1}, 5: (1,)}}
    _, found = unpack(Packer().pack("event", document))
    array[0] = math.pi
    assert document == {"data": {"x": array, "set": {1}, 5: (1,)}}
    assert found["data"]["x"].tolist() == [0, 1, 2]
    assert not found["data"]["x"].flags.writeable


def test_dates_of_python_keep_their_kind():
    for moment in (datetime(2026, 11, 22, 8, tzinfo=UTC), datetime(2026, 11, 22), date(2026, 11, 22), time(8, 30)):
        found, _ = there_and_back(moment)
        assert (type(found), found) == (type(moment), moment)


def test_a_moment_that_is_none_becomes_text():
    class NotATime(datetime):
        def isoformat(self, *args):
            return "NaT"

        __str__ = isoformat

    found, lost = there_and_back(NotATime(2026, 1, 1))
    assert found == "NaT"
    assert len(lost) == 1
