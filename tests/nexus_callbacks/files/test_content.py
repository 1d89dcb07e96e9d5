"""What comes into a file by HDF5's own calls is what h5py, and any other reader, finds there."""

import h5py
import numpy as np
import pytest
from event_model import compose_run
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_callbacks import NexusWriter, hdf5
from nexus_callbacks.files import content
from nexus_callbacks.files.content import Content
from nexus_callbacks.files.table import MOST_ROWS
from nexus_callbacks.values import texts

ROWS = {
    "numbers": lambda first, count: np.arange(first, first + count, dtype=float),
    "booleans": lambda first, count: np.arange(first, first + count) % 3 == 0,
    "big endian": lambda first, count: np.arange(first, first + count, dtype=">i2"),
    "complex": lambda first, count: np.arange(first, first + count) * (1 + 2j),
    "spectra": lambda first, count: np.arange(first * 7, (first + count) * 7).reshape(count, 7),
    "texts": lambda first, count: texts([f"{i} µm" for i in range(first, first + count)]),
}


@pytest.fixture
def file(tmp_path):
    with hdf5.open_file(tmp_path / "file.h5", "w") as file:
        yield file


def reopened(file):
    """The file as somebody else reads it."""
    file.flush()
    return h5py.File(file.filename, "r", locking=False)


def rows_of(dataset):
    return list(dataset.asstr()[:]) if h5py.check_string_dtype(dataset.dtype) else dataset[:].tolist()


@pytest.mark.parametrize("kind", ROWS)
@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 150), st.floats(0, 1), st.booleans()), min_size=1, max_size=8),
    short=st.booleans(),
)
def test_rows_are_in_place_whatever_was_repeated(tmp_path_factory, kind, steps, short):
    """Each step appends some rows; some then drop a part of all, as a rewind does."""
    path = tmp_path_factory.mktemp("rows") / "file.h5"
    expected = []
    with hdf5.open_file(path, "w") as file:
        there = Content(file)
        for number, (count, keep, rewinds) in enumerate(steps):
            rows = ROWS[kind](1000 * number, count)
            there.append("/data/x", rows, {"units": "mm"}, len(expected), expected=64)
            expected += rows.tolist()
            if rewinds:
                del expected[int(keep * len(expected)) :]
                there.truncate("/data/x", len(expected))
        if short:
            there.settle("/data/x")
        assert there.read("/data/x").tolist() == expected
    with h5py.File(path) as file:
        assert rows_of(file["data/x"]) == expected
        assert file["data/x"].attrs["units"] == "mm"
        assert (file["data/x"].chunks is None) == (short and len(expected) <= content.SHORT_ROWS)


def test_a_chunk_that_was_written_whole_after_a_rewind_is_not_forgotten(file):
    there = Content(file)
    there.append("/data/x", np.array([1.0]), {}, 0, expected=64)
    there.truncate("/data/x", 0)
    there.append("/data/x", np.arange(64.0), {}, 0, expected=64)
    there.truncate("/data/x", 32)
    there.append("/data/x", np.array([99.0]), {}, 32, expected=64)
    assert there.read("/data/x").tolist() == [*range(32), 99]


def test_frames_are_written_one_by_one_without_a_copy(file):
    there = Content(file)
    frames = [np.full((100, 300), i, "<u2") for i in range(6)]
    there.append("/data/x", frames[:2], {}, 0)
    there.append("/data/x", frames[2:], {}, 2)
    there.truncate("/data/x", 4)
    there.append("/data/x", frames[:1], {}, 4)
    there.append("/data/x", frames[5:], {}, 7)
    with reopened(file) as seen:
        assert seen["data/x"].chunks == (1, 100, 300)
        assert seen["data/x"][:5, 0, 0].tolist() == [0, 1, 2, 3, 0]
        assert np.isnan(seen["data/x"][5:7]).all(), "never measured"
        assert seen["data/x"][7, 0, 0] == 5


@pytest.mark.parametrize("last", [True, False])
def test_a_short_dataset_that_is_settled_can_still_be_cut_and_grow(file, last):
    there = Content(file)
    there.append("/data/x", np.arange(5), {"units": "mm"}, 0, last=last)
    there.settle("/data/x")
    with reopened(file) as seen:
        assert seen["data/x"].chunks is None
    there.truncate("/data/x", 3)
    there.append("/data/x", np.array([7.5]), {"units": "mm"}, 3)
    with reopened(file) as seen:
        assert seen["data/x"][:].tolist() == [0, 1, 2, 7.5]
        assert seen["data/x"].attrs["units"] == "mm"


@pytest.mark.parametrize(
    "value",
    ["", "µm", "x" * 127, "x" * 5000, "\udc80", True, 3, 2.5, [1, 2], [True, False], ["a", "µ"], np.arange(300.0)],
    ids=lambda value: repr(value)[:12],
)
def test_a_field_reads_as_it_does_when_h5py_writes_it(file, value):
    attributes = {"units": "mm", "precision": 3, "yes": True, "keys": ["a", "µ"], "none": [], "axes": np.arange(3)}
    Content(file).field("/data/x", value, attributes)
    hdf5.write_field(file, "/data/y", value, attributes)
    with reopened(file) as seen:
        mine, theirs = seen["data/x"], seen["data/y"]
        assert np.array_equal(mine[()], theirs[()])
        assert mine.shape == theirs.shape
        assert h5py.check_string_dtype(mine.dtype) is not None or mine.dtype == theirs.dtype
        assert list(mine.attrs) == list(theirs.attrs)
        for name in mine.attrs:
            assert np.array_equal(mine.attrs[name], theirs.attrs[name])
            assert mine.attrs[name].__class__ is theirs.attrs[name].__class__


def test_what_is_there_already_is_refused_by_name(file):
    there = Content(file)
    there.field("/data/x", 1, {})
    with pytest.raises(ValueError, match="x of .* is there already"):
        there.field("/data/x", 2, {})


def test_links_are_made_to_what_is_there_and_noted_once(file):
    there = Content(file)
    there.group("/entry", "NXentry", {})
    there.append("/entry/measurement/x", np.arange(3), {}, 0)
    there.link("/entry/data/x", "/entry/measurement/x")
    there.link("/entry/data/x", "/entry/measurement/x")
    there.link("/entry/data/none", "/entry/measurement/none")
    there.link("/entry/data/nowhere", "/entry/none/x")
    with reopened(file) as seen:
        assert list(seen["entry/data"]) == ["x"]
        assert seen["entry/data"].attrs["NX_class"] == "NXcollection"
        assert seen["entry/data"].get("x", getlink=True).path == "/entry/measurement/x"
        assert seen["entry/data/x"].attrs["target"] == "/entry/measurement/x"
        assert "none" not in seen["entry"], "looking for a target makes nothing"


def test_many_groups_are_not_all_kept_open(file):
    there = Content(file)
    for i in range(content.MOST_OPEN + 10):
        there.group(f"/entry/g{i}", "NXcollection", {})
    there.field("/entry/g0/x", 1, {})
    there.group("/entry/g1", "NXcollection", {"late": "yes"})
    with reopened(file) as seen:
        assert len(seen["entry"]) == content.MOST_OPEN + 10
        assert seen["entry/g0/x"][()] == 1
        assert dict(seen["entry/g1"].attrs) == {"NX_class": "NXcollection", "late": "yes"}


def run_of(keys):
    run = compose_run()
    spec = {key: {"dtype": "number", "shape": [], "source": "s"} for key in keys}
    return run, run.compose_descriptor(name="primary", data_keys=spec)


def test_the_room_that_was_made_for_a_flush_is_given_back(tmp_path):
    writer = NexusWriter(tmp_path, journal=False)
    run, stream = run_of(["x"])
    writer("start", run.start_doc)
    (path,) = writer.files.values()
    writer("descriptor", stream.descriptor_doc)
    writer("event", stream.compose_event(data={"x": 1.0}, timestamps={"x": 0.0}))
    writer("stop", run.compose_stop())
    assert path.stat().st_size < 50_000
    with h5py.File(path) as file:
        assert path.stat().st_size == file.id.get_filesize()


def test_rows_do_not_wait_for_a_flush_when_there_are_many(tmp_path):
    writer = NexusWriter(tmp_path, journal=False)
    run, stream = run_of(["x"])
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    (written,) = writer._runs.values()
    (table,) = written._tables.values()
    of = stream.descriptor_doc["uid"]
    for i in range(2 * MOST_ROWS + 5):
        writer("event", {"descriptor": of, "seq_num": i + 1, "time": 1.0, "data": {"x": i}, "timestamps": {"x": 1.0}})
        assert sum(map(len, table.pending)) < MOST_ROWS
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        assert file["entry/measurement/x"][:].tolist() == list(range(2 * MOST_ROWS + 5))


@pytest.mark.parametrize("back", [1, 3, 4, 6, 8, 9])
def test_a_rewind_into_a_page_leaves_the_rows_before_it(tmp_path, back):
    """Two pages of four rows, then one row by itself, then the run goes on from row ``back`` with other values."""
    writer = NexusWriter(tmp_path)
    run, stream = run_of(["x"])
    of = stream.descriptor_doc["uid"]
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)

    def page(first, values):
        count = len(values)
        columns = {"data": {"x": values}, "timestamps": {"x": [1.0] * count}, "time": [1.0] * count}
        numbers = list(range(first, first + count))
        writer("event_page", {"descriptor": of, "seq_num": numbers, "uid": [str(i) for i in numbers], **columns})

    page(1, [1.0, 2.0, 3.0, 4.0])
    page(5, [5.0, 6.0, 7.0, 8.0])
    writer("event", {"descriptor": of, "seq_num": 9, "time": 1.0, "data": {"x": 9.0}, "timestamps": {"x": 1.0}})
    page(back, [-1.0, -2.0])
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        assert file["entry/measurement/x"][:].tolist() == [*map(float, range(1, back)), -1.0, -2.0]
        assert file["entry/bluesky/primary/seq_num"][:].tolist() == [*range(1, back + 2)]


def test_a_page_without_a_key_of_its_stream_has_nothing_there(tmp_path):
    writer = NexusWriter(tmp_path)
    run, stream = run_of(["x", "y"])
    of = stream.descriptor_doc["uid"]
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    for first, data in ((1, {"x": [1.0, 2.0], "y": [3.0, 4.0]}), (3, {"x": [5.0, 6.0]})):
        stamps = {key: [1.0, 1.0] for key in data}
        document = {"descriptor": of, "seq_num": [first, first + 1], "time": [1.0, 1.0], "uid": ["a", "b"]}
        writer("event_page", {**document, "data": data, "timestamps": stamps})
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        assert file["entry/measurement/x"][:].tolist() == [1.0, 2.0, 5.0, 6.0]
        assert np.array_equal(file["entry/measurement/y"], [3.0, 4.0, np.nan, np.nan], equal_nan=True)
        assert np.isnan(file["entry/bluesky/primary/timestamps"][2:, 1]).all()
