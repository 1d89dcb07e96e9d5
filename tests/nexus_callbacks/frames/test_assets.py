"""Assets: which frames lie where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_callbacks.files.table import SeqNums
from nexus_callbacks.frames.assets import Assets
from nexus_callbacks.frames.formats import FrameRange, Series
from nexus_callbacks.frames.stacks import Piece


def stream_resource(uid="r1", path="/data/cam_1.h5", key="cam"):
    return {
        "uid": uid,
        "data_key": key,
        "mimetype": "application/x-hdf5",
        "uri": f"file://localhost{path}",
        "parameters": {"dataset": "/entry/data/data", "chunk_shape": (1, 4, 4)},
        "run_start": "s",
    }


def stream_datum(resource, seq, idx):
    return {
        "uid": f"{resource}/{idx}",
        "stream_resource": resource,
        "descriptor": "d",
        "seq_nums": {"start": seq[0], "stop": seq[1]},
        "indices": {"start": idx[0], "stop": idx[1]},
    }


def test_pieces_of_one_file_join():
    assets = Assets()
    assets.add_stream_resource(stream_resource())
    assets.add_stream_datum(stream_datum("r1", (1, 3), (0, 2)), "primary")
    assets.add_stream_datum(stream_datum("r1", (3, 6), (2, 5)), "primary")
    assert assets.frames("primary", "cam") == [FrameRange("/data/cam_1.h5", "/entry/data/data", 0, 5)]
    assert assets.frames("other", "cam") == []


def test_a_repeated_point_stands_once_with_its_later_frame():
    # After pause and resume seq_nums repeat but the indices go on: 4 frames in the file for 3 rows.
    assets = Assets()
    assets.add_stream_resource(stream_resource())
    assets.add_stream_datum(stream_datum("r1", (1, 3), (0, 2)), "primary")
    assets.add_stream_datum(stream_datum("r1", (2, 4), (2, 4)), "primary")
    assert [(r.start, r.stop) for r in assets.frames("primary", "cam")] == [(0, 1), (2, 4)]


def test_frames_that_roll_over_to_a_second_file():
    assets = Assets()
    assets.add_stream_resource(stream_resource())
    assets.add_stream_resource(stream_resource("r2", "/data/cam_2.h5"))
    assets.add_stream_datum(stream_datum("r1", (1, 3), (0, 2)), "primary")
    assets.add_stream_datum(stream_datum("r2", (3, 4), (0, 1)), "primary")
    assert [r.path for r in assets.frames("primary", "cam", per_row=5)] == ["/data/cam_1.h5", "/data/cam_2.h5"]
    assert assets.frames("primary", "cam", per_row=5)[0].stop == 10


def test_roots_map_the_detectors_path_to_ours():
    assets = Assets({"D:\\lima": "/data"})
    assets.add_stream_resource(stream_resource(path="/D:/lima/x/cam.h5"))
    assert assets.resources["r1"].path == "/data/x/cam.h5"
    assets = Assets({"/mnt/det": "/data"})
    assets.add_resource(
        {"uid": "r", "spec": "AD_HDF5", "root": "/mnt/det", "resource_path": "a/b.h5", "resource_kwargs": {}}
    )
    assert assets.resources["r"].path == "/data/a/b.h5"


def test_of_two_roots_the_longer_one_counts():
    assets = Assets({"/mnt": "/a", "/mnt/det": "/b"})
    assets.add_stream_resource(stream_resource(path="/mnt/det/cam.h5"))
    assert assets.resources["r1"].path == "/b/cam.h5"


def test_the_second_file_of_a_series_may_count_on_from_the_first():
    # bluesky's consolidators count on; others begin anew, as above.
    assets = Assets()
    assets.add_stream_resource(stream_resource())
    assets.add_stream_resource(stream_resource("r2", "/data/cam_2.h5"))
    assets.add_stream_resource(stream_resource("r3", "/data/cam_3.h5"))
    assets.add_stream_datum(stream_datum("r1", (1, 3), (0, 2)), "primary")
    assets.add_stream_datum(stream_datum("r2", (3, 4), (2, 3)), "primary")
    assets.add_stream_datum(stream_datum("r2", (4, 5), (3, 4)), "primary")
    assets.add_stream_datum(stream_datum("r3", (5, 6), (4, 5)), "primary")
    found = [(r.path[-4], r.start, r.stop) for r in assets.frames("primary", "cam")]
    assert found == [("1", 0, 2), ("2", 0, 2), ("3", 0, 1)]


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 8)), max_size=12))
def test_the_last_word_on_each_row_counts(told):
    """Against the plain way: a dict of row → frame."""
    assets, expected, index = Assets(), {}, 0
    assets.add_stream_resource(stream_resource())
    for first, count in told:
        assets.add_stream_datum(stream_datum("r1", (first, first + count), (index, index + count)), "primary")
        expected |= {first + i: index + i for i in range(count)}
        index += count
    frames = [i for r in assets.frames("primary", "cam") for i in range(r.start, r.stop)]
    assert frames == [expected[seq_num] for seq_num in sorted(expected)]


def test_rows_without_frames_are_gaps_where_there_are_events():
    assets, rows = Assets(), SeqNums()
    for seq_num in range(1, 7):
        rows.append(seq_num)
    assets.add_stream_resource(stream_resource())
    assets.add_stream_datum(stream_datum("r1", (2, 4), (0, 2)), "primary")
    assets.add_stream_datum(stream_datum("r1", (5, 6), (2, 3)), "primary")
    found = [(bool(p.series), len(p)) for p in assets.pieces("primary", "cam", 1, rows)]
    assert found == [(False, 1), (True, 2), (False, 1), (True, 1), (False, 1)]
    assert assets.length("primary", "cam") == 3


def test_many_small_pieces_are_kept_as_one():
    assets = Assets()
    assets.add_stream_resource(stream_resource())
    for i in range(1000):
        assets.add_stream_datum(stream_datum("r1", (i + 1, i + 2), (i, i + 1)), "primary")
    (streamed,) = assets._streamed.values()
    assert len(streamed.stretches) == 1


def test_stream_resources_of_before_event_model_1_20_are_read():
    assets = Assets()
    old = {"uid": "r1", "data_key": "cam", "spec": "AD_HDF5_SWMR_SLICE", "root": "/", "resource_path": "d/x.h5"}
    assets.add_stream_resource({**old, "resource_kwargs": {"path": "/entry/sum"}})
    assets.add_stream_datum(stream_datum("r1", (1, 3), (0, 2)), "primary")
    assert assets.frames("primary", "cam") == [FrameRange("/d/x.h5", "/entry/sum", 0, 2)]


def test_a_part_of_a_dataset_is_refused():
    assets = Assets()
    document = stream_resource()
    assets.add_stream_resource({**document, "parameters": {**document["parameters"], "slice": "(:,0,:)"}})
    assert "(:,0,:)" in assets.refusal("cam")
    assert assets.refusal("other") == ""


def test_legacy_datums_point_into_hdf5_and_others_to_their_files():
    assets = Assets()
    kwargs = {"frame_per_point": 2}
    assets.add_resource(
        {"uid": "r", "spec": "AD_HDF5", "root": "/", "resource_path": "a.h5", "resource_kwargs": kwargs}
    )
    for point in range(3):
        assets.add_datum({"datum_id": f"r/{point}", "resource": "r", "datum_kwargs": {"point_number": point}})
    series = Series("/a.h5", "AD_HDF5", "/entry/data/data")
    assert assets.datum_pieces(["r/0", "r/1", "r/2"]) == [Piece(series, 0, 6)]
    assert assets.datum_pieces(["r/0", "unknown", None, "r/2"]) == [
        Piece(series, 0, 2),
        Piece(None, 0, 2),
        Piece(series, 4, 6),
    ]
    assets.add_resource({"uid": "n", "spec": "NPY_SEQ", "root": "/", "resource_path": "b", "resource_kwargs": {}})
    assets.add_datum_page({"datum_id": ["n/4", "n/5"], "resource": "n", "datum_kwargs": {"index": [4, 5]}})
    (piece,) = assets.datum_pieces(["n/4", "n/5"])
    assert [r.path for r in piece.series.ranges(piece.start, piece.stop)] == ["/b_4.npy", "/b_5.npy"]


def test_a_resource_path_with_a_leading_slash_is_below_its_root():
    """As Tiled's recordings have it; a path that names its root already stands for itself."""
    assets = Assets({"/det": "/mnt"})
    for path in ("/cam/x.h5", "/det/cam/x.h5", "cam/x.h5"):
        assets.add_resource({"uid": "r", "spec": "AD_HDF5", "root": "/det", "resource_path": path})
        assert assets.resources["r"].path == "/mnt/cam/x.h5"


def test_a_datum_may_name_the_dataset():
    assets = Assets()
    assets.add_resource({"uid": "r", "spec": "AD_HDF5_SWMR_STREAM", "root": "/d", "resource_path": "x.h5"})
    for i, dataset in enumerate(["/a", "/a", "/b", None]):
        kwargs = {"frame": i, "dataset": dataset} if dataset else {"frame": i}
        assets.add_datum({"datum_id": f"r/{i}", "resource": "r", "datum_kwargs": kwargs})
    pieces = assets.datum_pieces([f"r/{i}" for i in range(4)])
    found = [each for piece in pieces for each in piece.series.ranges(piece.start, piece.stop)]
    assert found == [
        FrameRange("/d/x.h5", "/a", 0, 2),
        FrameRange("/d/x.h5", "/b", 2, 3),
        FrameRange("/d/x.h5", "/entry/data/data", 3, 4),
    ]


@pytest.mark.parametrize("path", ["/det/cam.h5", "//det/cam.h5"])
def test_a_uri_may_have_one_slash_too_many(path):
    assets = Assets({"/det": "/mnt"})
    assets.add_stream_resource(stream_resource(path=path))
    assert assets.resources["r1"].path == "/mnt/cam.h5"
