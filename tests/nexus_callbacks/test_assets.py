"""Assets: which frames lie where."""

from nexus_callbacks.assets import Assets, FrameRange


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


def test_a_file_that_is_not_hdf5_is_listed_apart():
    assets = Assets()
    assets.add_stream_resource({**stream_resource(path="/d/x.tif"), "mimetype": "image/tiff"})
    assets.add_stream_datum(stream_datum("r1", (1, 3), (0, 2)), "primary")
    assert assets.frames("primary", "cam") == []
    assert assets.others("cam") == ["/d/x.tif"]


def test_legacy_datums_point_into_hdf5_and_others_to_their_files():
    assets = Assets()
    kwargs = {"frame_per_point": 2}
    assets.add_resource(
        {"uid": "r", "spec": "AD_HDF5", "root": "/", "resource_path": "a.h5", "resource_kwargs": kwargs}
    )
    for point in range(3):
        assets.add_datum({"datum_id": f"r/{point}", "resource": "r", "datum_kwargs": {"point_number": point}})
    assert assets.datum_frames(["r/0", "r/1", "r/2"]) == [FrameRange("/a.h5", "/entry/data/data", 0, 6)]
    assets.add_resource({"uid": "n", "spec": "NPY_SEQ", "root": "/", "resource_path": "b", "resource_kwargs": {}})
    assets.add_datum({"datum_id": "n/0", "resource": "n", "datum_kwargs": {"index": 0}})
    assert assets.datum_frames(["n/0"]) is None
    assert assets.datum_path("n/0") == "/b"
    assert assets.datum_path("unknown") is None
