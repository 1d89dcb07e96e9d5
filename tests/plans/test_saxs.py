import h5py
import numpy as np
import pytest
from bluesky.utils import FailedStatus

from devices.beamlines.id02 import simulated_id02
from plans.saxs import saxs_scan

SMALL = {"frames": 3, "buffers": 2, "darks": 2}


@pytest.fixture
def beamline(tmp_path):
    return simulated_id02(tmp_path / "raw", clock=lambda: 0.0)


def events(documents, stream):
    (uid,) = (d["uid"] for name, d in documents if name == "descriptor" and d["name"] == stream)
    return [d["data"] for name, d in documents if name == "event" and d["descriptor"] == uid]


def test_darks_buffer_and_sample_come_in_their_order(beamline, scan):
    documents = scan(saxs_scan(beamline, **SMALL))

    assert [e["frame_type"] for e in events(documents, "primary")] == [2, 2, 1, 1, 0, 0, 0]
    with h5py.File(beamline.camera.files[0]) as file:
        dark, buffer, sample = np.split(file["entry/data/data"][()].mean(axis=(1, 2)), [2, 4])
    assert dark.max() < buffer.min() < buffer.max() < sample.min()
    assert beamline.shutter.get() == "closed"


def test_the_curve_is_the_one_event_of_its_stream(beamline, scan):
    (reduced,) = events(scan(saxs_scan(beamline, **SMALL)), "reduced")

    assert reduced["azimuthal_frames_averaged"] == 3
    np.testing.assert_allclose(
        reduced["azimuthal_I"][:10], beamline.spheres.cross_section(reduced["azimuthal_q"][:10]), rtol=0.05
    )


def test_the_deviation_is_the_scatter(beamline, scan):
    """Over the points, difference to the truth over deviation has a variance of about 1."""
    (reduced,) = events(scan(saxs_scan(beamline, frames=10, buffers=10, darks=20)), "reduced")

    true = beamline.spheres.cross_section(reduced["azimuthal_q"])
    # The slope within a bin and the camera's own noise stand beside Poisson's: the flat points of high intensity only.
    flat = (true > 0.2) & (np.abs(np.gradient(np.log(true))) < 0.05)
    pull = (reduced["azimuthal_I"] - true)[flat] / reduced["azimuthal_Idev"][flat]
    assert 0.3 < np.sqrt((pull**2).mean()) < 2.5


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"buffers": 1.5}, {"darks": True}, {"exposure_time": float("nan")}])
def test_wrong_parameters_are_refused_before_anything_moves(beamline, wrong, scan):
    with pytest.raises(ValueError, match=f"saxs_scan: {next(iter(wrong))} must be"):
        scan(saxs_scan(beamline, **wrong))
    assert beamline.camera.files == []


def test_all_faults_are_told_at_once(beamline, scan):
    with pytest.raises(ValueError, match="frames.*; darks"):
        scan(saxs_scan(beamline, frames=0, darks=-1))


def test_an_exposure_that_the_camera_refuses(beamline, scan):
    with pytest.raises(ValueError, match="rayonix_exposure_time: 1000"):
        scan(saxs_scan(beamline, exposure_time=1000.0))


def test_a_shutter_that_fails_ends_the_scan_with_the_camera_closed(beamline, scan):
    beamline.shutter.choices = ("closed",)
    with pytest.raises(FailedStatus):
        scan(saxs_scan(beamline, **SMALL))
    with h5py.File(beamline.camera.files[0]) as file:
        assert len(file["entry/data/data"]) == 2


def test_a_reduction_without_a_kind_of_frame_says_which(beamline):
    beamline.azimuthal.stage()
    with pytest.raises(ValueError, match="no frames of sample, buffer, dark"):
        beamline.azimuthal.trigger().wait(1)
    beamline.azimuthal.unstage()
