import h5py
import numpy as np
import pytest

from devices.detectors import FrameCamera


@pytest.fixture
def camera(tmp_path):
    counter = iter(range(1000))
    return FrameCamera(
        name="cam",
        directory=tmp_path / "raw",
        image=lambda exposure: np.full(exposure.shape, next(counter), np.uint16),
        shape=(4, 6),
    )


def test_frames_go_to_a_file_of_the_cameras_own(camera):
    camera.stage()
    for _ in range(3):
        camera.trigger().wait(1)
    camera.unstage()

    with h5py.File(camera.files[0], "r") as file:
        frames = file["/entry/data/data"]
        assert frames.shape == (3, 4, 6)
        assert frames.dtype == np.uint16
        assert frames.chunks == (1, 4, 6)
        np.testing.assert_array_equal(frames[:, 0, 0], [0, 1, 2])


def test_each_stage_makes_the_next_file_and_none_is_written_over(camera):
    camera.directory.mkdir()
    taken = camera.directory / "cam_0007.h5"
    taken.write_bytes(b"somebody's data")

    for _ in range(2):
        camera.stage()
        camera.unstage()

    assert [p.name for p in camera.files] == ["cam_0008.h5", "cam_0009.h5"]
    assert taken.read_bytes() == b"somebody's data"


def test_the_documents_point_at_the_frames(camera):
    camera.stage()
    camera.trigger().wait(1)
    first = list(camera.collect_asset_docs())
    camera.trigger().wait(1)
    second = list(camera.collect_asset_docs())
    camera.unstage()

    assert [name for name, _ in first] == ["stream_resource", "stream_datum"]
    resource = first[0][1]
    assert resource["data_key"] == "cam_image"
    assert resource["mimetype"] == "application/x-hdf5"
    assert resource["parameters"] == {"dataset": "/entry/data/data", "chunk_shape": [1, 4, 6]}
    assert resource["uri"] == f"file://localhost{camera.files[0]}"
    assert [doc["indices"] for name, doc in second] == [{"start": 1, "stop": 2}]


def test_a_frame_taken_twice_is_told_once(camera):
    """As after a pause: bluesky triggers again before it reads."""
    camera.stage()
    list(camera.collect_asset_docs())
    camera.trigger().wait(1)
    camera.trigger().wait(1)

    (datum,) = camera.collect_asset_docs()

    assert datum[1]["indices"] == {"start": 1, "stop": 2}
    assert list(camera.collect_asset_docs()) == []
    camera.unstage()


def test_a_camera_that_is_not_staged_refuses_to_expose(camera):
    with pytest.raises(RuntimeError, match="cam is not staged"):
        camera.trigger()


def test_a_frame_of_the_wrong_shape_is_refused(tmp_path):
    camera = FrameCamera(
        name="cam", directory=tmp_path, image=lambda exposure: np.zeros((2, 2), np.uint16), shape=(4, 6)
    )
    camera.stage()

    with pytest.raises(ValueError, match=r"shape \(2, 2\), expected \(4, 6\)"):
        camera.trigger()
    camera.unstage()


def test_a_folder_that_cannot_be_made_leaves_the_camera_unstaged(tmp_path):
    (tmp_path / "raw").write_text("a file where the folder should be")
    camera = FrameCamera(name="cam", directory=tmp_path / "raw", image=lambda exposure: None)

    for _ in range(2):  # A second attempt fails in the same way, not with "already staged".
        with pytest.raises(FileExistsError):
            camera.stage()
