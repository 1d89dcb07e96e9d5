"""Generic scans: by the plan step by step and in motion, and by bluesky's own plans."""

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plans as bp
from bluesky.preprocessors import SupplementalData

from devices.beamlines.id16a import pinhole, simulated_id16a
from devices.sensors import Counter
from devices.stages import SimulatedMotor
from nexus_callbacks import NexusWriter, coverage, validate
from plans.demos.generic import METADATA
from plans.generic import generic_scan
from plans.profile_folders import profile_folder


@pytest.fixture
def beamline(tmp_path):
    made = simulated_id16a(tmp_path / "raw", seed=3, clock=lambda: 0.0, sample=pinhole)
    made.shutter.put("open")
    return made


def written(tmp_path, beamline, plan, **md):
    """The file of one run at the simulated ID16A."""
    engine = RunEngine({**METADATA, "dataset": "scan_0001"})
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    with NexusWriter(tmp_path, profile=profile_folder("id16a"), journal=False) as writer:
        engine.subscribe(writer)
        (uid,) = engine(plan, **md)
        return writer.files[uid]


def scan_of(entry):
    """The group `scan`, as it was written."""
    return {
        name: group[()] if isinstance(group, h5py.Dataset) else {key: field[()] for key, field in group.items()}
        for name, group in entry["scan"].items()
    }


def test_a_scan_of_two_axes_is_an_nxscan_with_the_talks_group(tmp_path, beamline):
    plan = generic_scan(
        [beamline.it, beamline.ic, beamline.srot],
        *(beamline.sz, -0.05, 0.05, 3),
        *(beamline.sy, 0.1, -0.1, 5),
        dwell_time=0.02,
    )
    path = written(tmp_path, beamline, plan)

    report = validate(path)
    assert (report.errors, report.warnings) == ((), ())
    with h5py.File(path) as file:
        entry = file["entry"]
        assert scan_of(entry) == {
            "axis1": {"name": b"sz", "range": 0.1, "start": -0.05, "stop": 0.05, "unit": b"mm", "dimension": 3},
            "axis2": {"name": b"sy", "range": 0.2, "start": 0.1, "stop": -0.1, "unit": b"mm", "dimension": 5},
            "points": 15,
            "dwell_time": 0.02,
        }
        assert entry["definition"][()] == b"NXscan"
        assert entry["dataset_type"][()] == b"step_by_step"
        assert entry["bluesky/primary/configuration/it/it_exposure_time"][()] == 0.02
        plot = entry[entry.attrs["default"]]
        assert list(plot.attrs["axes"]) == ["sz", "sy"]
        np.testing.assert_allclose(plot["sy"], [0.1, 0.05, 0, -0.05, -0.1], atol=1e-12)
        table = entry["scan_data"]
        np.testing.assert_array_equal(table["data"], plot["it_counts"][()].ravel())
        assert table["monitor"].shape == table["rotation_angle"].shape == (15,)
        assert plot["it_counts"][1, 2] == plot["it_counts"][()].max(), "the beam's middle is where the stage is at 0"


def test_an_axis_in_motion_is_read_where_it_is(tmp_path):
    fast = SimulatedMotor(name="fast", units="mm", limits=(-1.0, 11.0), velocity=500.0, in_real_time=True)
    slow = SimulatedMotor(name="slow", units="mm", limits=(-1.0, 11.0))
    counter = Counter(name="counter", rate=lambda: 1e6 * (fast.position + 1), rng=np.random.default_rng(1))
    engine = RunEngine({})
    with NexusWriter(tmp_path, journal=False) as writer:
        engine.subscribe(writer)
        (uid,) = engine(generic_scan([counter], slow, 0, 1, 2, fast, 0, 10, 6, dwell_time=0.05, mode="continuous"))
        path = writer.files[uid]

    with h5py.File(path) as file:
        where = file["entry/measurement/fast"][()].reshape(2, 6)
        counts = file["entry/measurement/counter_counts"][()].reshape(2, 6)
        assert file["entry/measurement/slow"][()].tolist() == [0.0] * 6 + [1.0] * 6
    assert (np.diff(where, axis=1) > 0).all(), "each line runs forwards"
    assert (where[:, 0] < 10).all()
    np.testing.assert_allclose(counts, 5e4 * (where + 1), rtol=0.3)
    assert fast.velocity.get() == 500.0, "the axis has its own velocity again"


def test_an_axis_that_is_too_early_is_told(caplog):
    axis = SimulatedMotor(name="axis", units="mm", limits=(-1.0, 11.0))
    counter = Counter(name="counter", rate=lambda: 1e3, rng=np.random.default_rng(1))

    RunEngine({})(generic_scan([counter], axis, 0, 1, 3, dwell_time=0.001, mode="continuous"))

    assert "axis had arrived before 2 of 3 points were read" in caplog.text


def test_bluesky_s_own_grid_scan_is_a_generic_scan_too(tmp_path, beamline):
    plan = bp.grid_scan(
        [beamline.it, beamline.ic, beamline.srot], beamline.sz, -0.05, 0.05, 3, beamline.sy, -0.1, 0.1, 4
    )
    path = written(tmp_path, beamline, plan, technique="generic")

    assert validate(path).valid
    with h5py.File(path) as file:
        assert scan_of(file["entry"]) == {
            "axis1": {"name": b"sz", "dimension": 3},
            "axis2": {"name": b"sy", "dimension": 4},
            "points": 12,
        }, "what its documents tell, and nothing else"
        assert file["entry/instrument/detector/data"].shape == (12,)


@pytest.mark.unreadable("NXscan asks for a monitor, which this scan does not read")
def test_what_a_plan_does_not_tell_is_absent_and_says_why(tmp_path, beamline):
    path = written(tmp_path, beamline, bp.scan([beamline.it], beamline.sy, -0.1, 0.1, 4), technique="generic")

    with h5py.File(path) as file:
        assert scan_of(file["entry"]) == {"axis1": {"name": b"sy"}, "points": 4}
        assert file["entry/sample/rotation_angle"][()] == 0.0, "the baseline's reading: the scan does not read it"
    absent = {line.variable: line.reason for line in coverage(path)["entry"].outcomes if not line.filled}
    assert absent["scanRange_1"] == "the start document has no 'scanRange_1'"
    assert absent["scanAxis_2"] == "the start document has no 'motors.1'"
    assert "ic_counts" in absent["monitor_counts"]
    untold = {line.variable for line in coverage(path)["entry"].outcomes if line.untold}
    assert {"scanRange_1", "scanAxis_2"} <= untold
    assert "monitor_counts" not in untold, "that is a detector's, which no start document tells"


def test_every_fault_is_told_before_anything_moves(beamline):
    with pytest.raises(ValueError, match="generic_scan") as error:
        list(generic_scan([beamline.srot], beamline.sy, 0, 99, 1, mode="continuous", dwell_time=0))
    for part in ("sy: 99", "dwell_time must be a number of seconds above 0", "a continuous line needs two points"):
        assert part in str(error.value)

    for wrong, part in (
        (([], beamline.sy, 0, 1, 2), "at least one detector"),
        (([beamline.it], beamline.sy, 0, 1), "axis, start, stop, points"),
        (([beamline.it], *(beamline.sy, 0, 1, 2) * 2), "an axis is named twice"),
        (([beamline.it], beamline.sy, 0, float("nan"), 2), "sy: stop must be a finite number"),
        (([beamline.it], beamline.sy, 0, 1, 2.0), "sy: points must be a whole number"),
        (([beamline.it], beamline.sy, 0, 1, 10**7), "more than 1000000 points"),
    ):
        with pytest.raises(ValueError, match=part):
            list(generic_scan(*wrong))
    for wrong, part in (({"mode": "zigzag"}, "mode must be one of"), ({"dwell_time": 1}, "no detector has")):
        with pytest.raises(ValueError, match=part):
            list(generic_scan([beamline.srot], beamline.sy, 0, 1, 2, **wrong))
    with pytest.raises(ValueError, match="image_key has no velocity"):
        list(generic_scan([beamline.it], beamline.image_key, 0, 1, 2, mode="continuous", dwell_time=1))
