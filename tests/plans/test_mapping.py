import h5py
import numpy as np
import pytest
from bluesky.utils import FailedStatus

from devices.beamlines.id13 import simulated_id13
from plans.mapping import map_scan


@pytest.fixture
def id13(tmp_path):
    return simulated_id13(tmp_path, clock=lambda: 0.0)


def rows(found, key):
    return [doc["data"][key] for name, doc in found if name == "event"]


def test_every_second_line_runs_backwards(id13, scan):
    found = scan(map_scan(id13, shape=(2, 3), step=0.5, centre=(1.0, 2.0)))

    assert rows(found, "nnp2") == pytest.approx([0.5, 1.0, 1.5, 1.5, 1.0, 0.5])
    assert rows(found, "nnp3") == pytest.approx([1.75, 1.75, 1.75, 2.25, 2.25, 2.25])
    np.testing.assert_allclose(rows(found, "stage_translation")[0], [0.5, 1.75, 0.0])


def test_a_raster_runs_forwards_only(id13, scan):
    found = scan(map_scan(id13, shape=(2, 3), step=0.5, snake=False))

    assert rows(found, "nnp2") == pytest.approx([-0.5, 0, 0.5] * 2)
    start = found[0][1]
    assert start["snaking"] == [False, False]
    assert (start["shape"], start["motors"], start["num_points"]) == ([2, 3], ["nnp3", "nnp2"], 6)


def test_the_plan_tells_what_it_knows_in_esrfs_words(id13, scan):
    start = scan(map_scan(id13, shape=(2, 5), step=0.25, exposure_time=0.01, techniques=["fluo", "sxdm"]))[0][1]

    assert start["technique"] == ["fluo", "sxdm"]
    told = {name: start[name] for name in start if name.startswith("FLUO_")}
    assert told == {
        "FLUO_pixelSize": 0.25,
        "FLUO_dwellTime": 0.01,
        "FLUO_scanDim1": 5,
        "FLUO_scanDim2": 2,
        "FLUO_scanRange1": 1.0,
        "FLUO_scanRange2": 0.25,
        "FLUO_scanAxis1": "nnp2",
        "FLUO_scanAxis2": "nnp3",
    }


@pytest.mark.parametrize(
    ("techniques", "groups"),
    [(["sxdm"], set()), (["fluo"], {"FLUO"}), (["ptycho"], {"PTYCHO"}), (["sxdm", "ptycho"], {"PTYCHO"})],
)
def test_the_plan_tells_of_the_techniques_of_the_run_alone(id13, scan, techniques, groups):
    start = scan(map_scan(id13, shape=(1, 2), techniques=techniques))[0][1]

    assert {name.partition("_")[0] for name in start if name.startswith(("FLUO_", "PTYCHO_"))} == groups
    assert start["scanType"] == "step_by_step"


def test_metadata_of_the_caller_goes_before_the_plans(id13, scan):
    start = scan(map_scan(id13, shape=(1, 1), md={"purpose": "alignment", "dataset": "x"}))[0][1]

    assert (start["purpose"], start["dataset"]) == ("alignment", "x")


def test_afterwards_the_sample_is_back_and_the_shutter_closed(id13, scan):
    id13.nnp2.set(3.0).wait(1)

    scan(map_scan(id13, shape=(2, 2)))

    assert id13.nnp2.position == 3.0
    assert not id13.shutter.is_open
    with h5py.File(id13.files[0], "r") as file:
        assert file["entry/data/data"].shape == (4, 64, 64)


def test_so_it_is_when_a_motor_fails(id13, monkeypatch, scan):
    moves = []
    move = id13.nnp2.set

    def stuck(value, **kwargs):
        moves.append(value)
        return move(1e6 if len(moves) == 3 else value, **kwargs)

    monkeypatch.setattr(id13.nnp2, "set", stuck)
    with pytest.raises(FailedStatus):
        scan(map_scan(id13, shape=(2, 2)))

    assert not id13.shutter.is_open
    assert id13.nnp2.position == 0.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shape": (0, 3)}, "lines must be at least 1, not 0"),
        ({"shape": (2, 2.5)}, "points must be a whole number, not 2.5"),
        ({"shape": (4,)}, r"shape must be two numbers, not \(4,\)"),
        ({"shape": (1000, 1000)}, "1000000 points are more than 100000"),
        ({"step": 0}, "step must be above 0, not 0"),
        ({"step": float("nan")}, "step must be a finite number"),
        ({"centre": (49.9, 0)}, "nnp2: .* is not within -50.0 to 50.0 um"),
        ({"exposure_time": 100}, "xrf_exposure_time: 100 is not within"),
        ({"techniques": "fluo"}, "techniques must be a sequence of names, not 'fluo'"),
        ({"techniques": []}, "techniques must be a sequence of names"),
        ({"step": None, "exposure_time": "x"}, "step must be a finite number, not None; exposure_time must be"),
    ],
)
def test_what_is_wrong_is_told_before_anything_moves(id13, given, said):
    with pytest.raises(ValueError, match=f"^map_scan: .*{said}"):
        list(map_scan(id13, **given))
    assert id13.files == []
