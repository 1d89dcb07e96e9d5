import pytest
from bluesky import RunEngine

from devices.beamlines.id30 import simulated_id30
from plans.mx import rotation_scan


def test_the_frames_follow_one_another_without_a_gap(tmp_path):
    beamline = simulated_id30(tmp_path)
    told = []
    RunEngine({})(
        rotation_scan(beamline, frames=4, start_angle=30, oscillation=0.25, exposure_time=0.05),
        lambda name, doc: told.append((name, doc)),
    )
    (start,) = [doc for name, doc in told if name == "start"]
    angles = [doc["data"]["omega"] for name, doc in told if name == "event"]
    assert angles == [30, 30.25, 30.5, 30.75]
    assert (start["technique"], start["num_points"], start["MX_axis_end"]) == ("mx", 4, 31)
    assert beamline.detector.exposure_time.get() == 0.05
    assert not beamline.shutter.is_open


def test_the_shutter_is_closed_when_a_scan_fails(tmp_path):
    beamline = simulated_id30(tmp_path)

    def fail(name, doc):
        if name == "event":
            raise RuntimeError("beam lost")

    with pytest.raises(RuntimeError, match="beam lost"):
        RunEngine({})(rotation_scan(beamline, frames=3), fail)
    assert not beamline.shutter.is_open


def test_everything_wrong_is_told_before_anything_moves(tmp_path):
    beamline = simulated_id30(tmp_path)
    with pytest.raises(ValueError, match="frames must be at least 1.*oscillation must be.*exposure_time") as caught:
        RunEngine({})(rotation_scan(beamline, frames=0, oscillation="a", exposure_time=1e4))
    assert str(caught.value).startswith("rotation_scan: ")
    with pytest.raises(ValueError, match="omega: 9000"):
        RunEngine({})(rotation_scan(beamline, start_angle=9000.0))
    assert beamline.omega.position == 0
    assert beamline.files == []
