import h5py
import numpy as np
import pytest
from bluesky.utils import FailedStatus

from devices.beamlines.id01 import simulated_id01
from plans.rocking import rocking_scan


@pytest.fixture
def beamline(tmp_path):
    return simulated_id01(tmp_path / "raw", clock=lambda: 0.0)


def test_the_scan_is_about_where_the_crystal_stood(beamline, scan):
    home = beamline.eta.position
    documents = scan(rocking_scan(beamline, width=0.04, points=5, exposure_time=0.05))

    found = [doc["data"] for name, doc in documents if name == "event"]
    np.testing.assert_allclose([e["eta"] for e in found], home + np.array([-0.02, -0.01, 0.0, 0.01, 0.02]))
    assert documents[0][1]["rotation_angle_step"] == pytest.approx(0.01)
    assert beamline.eta.position == home
    assert beamline.shutter.get() == "closed"
    with h5py.File(beamline.camera.files[0]) as file:
        means = file["entry/data/data"][()].mean(axis=(1, 2))
    np.testing.assert_allclose(means, [e["andor_mean"] for e in found])
    assert means.min() > 101, "some block reflects at each of these angles; a dark frame has 100 counts"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"points": 1}, "points must be at least 2"),
        ({"width": 0}, "width must be above 0"),
        ({"width": "x", "points": 2.5}, "points must be a whole number.*width must be a finite number"),
        ({"width": 100.0}, "eta: -"),
        ({"exposure_time": 1e9}, "andor_exposure_time"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_moves(beamline, wrong, said, scan):
    with pytest.raises(ValueError, match=f"rocking_scan: .*{said}"):
        scan(rocking_scan(beamline, **wrong))
    assert beamline.camera.files == []


def test_the_crystal_goes_back_even_if_the_shutter_fails(beamline, scan):
    home = beamline.eta.position
    beamline.shutter.choices = ()
    with pytest.raises(FailedStatus):
        scan(rocking_scan(beamline, points=3))
    assert beamline.eta.position == home
