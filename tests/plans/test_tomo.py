import collections
import itertools

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from bluesky.utils import FailedStatus, RunEngineInterrupted
from ophyd.status import Status

from devices.beamlines.id16a import simulated_id16a
from plans.datasets import NumberedDatasets, sample_folder
from plans.profile_folders import profile_folder
from plans.tomo import DARK, FLAT, PROJECTION, tomo_scan

SMALL = {"projections": 8, "ref_on": 4, "darks": 3, "flats": 2}


@pytest.fixture
def beamline(tmp_path):
    return simulated_id16a(tmp_path / "raw")


@pytest.fixture
def engine():
    return RunEngine({}, call_returns_result=True)


def scan(engine, plan):
    documents = []
    engine(plan, lambda name, doc: documents.append((name, doc)))
    return documents


def pausing(plan, after):
    """The plan, with a pause after so many events."""
    saved = itertools.count(1)

    def pause_after(message):
        if message.command == "save" and next(saved) == after:
            return None, bps.pause()
        return None, None

    return bpp.plan_mutator(plan, pause_after)


def of(documents, kind):
    return [doc for name, doc in documents if name == kind]


def primary_events(documents):
    (descriptor,) = (d for d in of(documents, "descriptor") if d["name"] == "primary")
    return [e["data"] for e in of(documents, "event") if e["descriptor"] == descriptor["uid"]]


def test_darks_flats_and_projections_come_in_their_order(engine, beamline):
    events = primary_events(scan(engine, tomo_scan(beamline, **SMALL)))

    keys = [e["image_key"] for e in events]
    assert keys == [DARK] * 3 + [FLAT] * 2 + [PROJECTION] * 4 + [FLAT] * 2 + [PROJECTION] * 4 + [FLAT] * 2
    np.testing.assert_allclose([e["srot"] for e in events if e["image_key"] == PROJECTION], np.arange(8) * 22.5)
    assert {e["sy"] for e in events if e["image_key"] == FLAT} == {-0.3}
    assert {e["sy"] for e in events if e["image_key"] != FLAT} == {0.0}
    assert {"frelon_mean", "ring_current"} <= set(events[0])


def test_the_frames_are_what_their_keys_say(engine, beamline):
    events = primary_events(scan(engine, tomo_scan(beamline, **SMALL)))
    keys = np.array([e["image_key"] for e in events])

    with h5py.File(beamline.camera.files[0], "r") as file:
        means = file["/entry/data/data"][()].mean(axis=(1, 2))

    np.testing.assert_allclose(means, [e["frelon_mean"] for e in events])
    assert means[keys == DARK].max() < 110
    assert means[keys == FLAT].min() > means[keys == PROJECTION].max() > means[keys == PROJECTION].min() > 20000


def test_the_default_scan_is_what_the_demo_promises(engine, beamline):
    documents = []

    with pytest.raises(RunEngineInterrupted):
        engine(pausing(tomo_scan(beamline), after=1), lambda name, doc: documents.append((name, doc)))
    engine.stop()

    (start,) = of(documents, "start")
    assert start["plan_args"]["projections"] == 200
    assert start["num_points"] == 10 + 3 * 10 + 200
    assert start["TOMOAcquisition_scan_range"] == 180.0


def test_start_says_technique_purpose_and_esrf_variables(engine, beamline):
    (start,) = of(scan(engine, tomo_scan(beamline, **SMALL)), "start")

    assert (start["technique"], start["purpose"], start["plan_name"]) == ("tomo", "measurement", "tomo_scan")
    assert start["hints"] == {"dimensions": [[["srot"], "primary"]]}
    assert start["num_points"] == 17
    assert start["TOMOAcquisition_proj_n"] == 8
    assert start["TOMOAcquisition_flat_on"] == 4
    assert start["TOMOAcquisition_y_step"] == -0.3


def test_what_the_user_says_wins(engine, beamline):
    md = {"technique": ["tomo", "holo"], "TOMOAcquisition_type": "half", "comment": "mine"}

    (start,) = of(scan(engine, tomo_scan(beamline, **SMALL, md=md)), "start")

    assert start["technique"] == ["tomo", "holo"]
    assert start["TOMOAcquisition_type"] == "half"
    assert start["comment"] == "mine"


def test_documents_come_in_the_order_of_the_event_model(engine, beamline):
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))

    documents = scan(engine, tomo_scan(beamline, **SMALL))

    names = [name for name, _ in documents]
    assert names[0] == "start"
    assert names[-1] == "stop"
    counts = collections.Counter(names)
    assert (counts["stream_resource"], counts["stream_datum"]) == (1, 17)
    assert of(documents, "stop")[0]["num_events"] == {"baseline": 2, "primary": 17}
    # Each datum stands right before its event, and names its frame and its event's number.
    for i, (name, doc) in enumerate(documents):
        if name == "stream_datum":
            event = documents[i + 1][1]
            assert doc["seq_nums"] == {"start": event["seq_num"], "stop": event["seq_num"] + 1}
            assert doc["indices"]["start"] == event["seq_num"] - 1
    primary = next(d for d in of(documents, "descriptor") if d["name"] == "primary")
    assert primary["data_keys"]["frelon_image"]["external"] == "STREAM:"
    assert primary["data_keys"]["frelon_image"]["shape"] == [1, 128, 128]
    assert primary["configuration"]["frelon"]["data"]["frelon_exposure_time"] == 0.1


def test_the_cameras_file_is_closed_when_the_run_ends(engine, beamline):
    shapes = []

    def look(name, doc):
        if name == "stop":
            with h5py.File(beamline.camera.files[0], "r") as file:  # h5py refuses a file open for writing.
                shapes.append(file["/entry/data/data"].shape)

    engine(tomo_scan(beamline, **SMALL), look)

    assert shapes == [(17, 128, 128)]


def test_the_exposure_time_is_set_before_the_run(engine, beamline):
    documents = scan(engine, tomo_scan(beamline, **SMALL, exposure_time=0.05))

    primary = next(d for d in of(documents, "descriptor") if d["name"] == "primary")
    assert primary["configuration"]["frelon"]["data"]["frelon_exposure_time"] == 0.05


def test_the_uid_is_returned(engine, beamline):
    result = engine(tomo_scan(beamline, **SMALL))

    assert result.plan_result == result.run_start_uids[0]


def assert_safe(beamline):
    assert beamline.shutter.get() == "closed"
    assert beamline.sy.position == 0.0
    with h5py.File(beamline.camera.files[0], "r+") as file:  # h5py refuses while the camera has it open.
        assert len(file["/entry/data/data"]) > 0


@pytest.mark.parametrize(("ending", "status"), [("abort", "abort"), ("stop", "success")])
def test_ending_in_the_middle_of_the_flats_leaves_all_safe(engine, beamline, ending, status):
    documents = []
    with pytest.raises(RunEngineInterrupted):
        engine(pausing(tomo_scan(beamline, **SMALL), after=4), lambda name, doc: documents.append((name, doc)))
    assert of(documents, "event")[-1]["data"]["image_key"] == FLAT
    assert beamline.shutter.get() == "open"
    assert beamline.sy.position == -0.3

    getattr(engine, ending)()

    assert of(documents, "stop")[0]["exit_status"] == status
    assert_safe(beamline)


def test_a_pause_takes_no_frame_away_from_its_event(engine, beamline):
    documents = []
    with pytest.raises(RunEngineInterrupted):
        engine(pausing(tomo_scan(beamline, **SMALL), after=7), lambda name, doc: documents.append((name, doc)))
    engine.resume()

    # After a rewind the later event of a number stands, and so does its datum.
    frame_of = {d["seq_nums"]["start"]: d["indices"]["start"] for d in of(documents, "stream_datum")}
    mean_of = {e["seq_num"]: e["data"]["frelon_mean"] for e in of(documents, "event")}
    with h5py.File(beamline.camera.files[0], "r") as file:
        means = file["/entry/data/data"][()].mean(axis=(1, 2))
    assert sorted(mean_of) == list(range(1, 18))
    for number, mean in mean_of.items():
        assert means[frame_of[number]] == pytest.approx(mean)


def test_a_failing_motor_leaves_all_safe_and_says_why(engine, beamline, monkeypatch):
    move = beamline.srot.set

    def stuck(value, **kwargs):
        if value < 90:
            return move(value, **kwargs)
        status = Status(beamline.srot)
        status.set_exception(RuntimeError("srot is stuck"))
        return status

    monkeypatch.setattr(beamline.srot, "set", stuck)
    documents = []

    with pytest.raises(FailedStatus):
        engine(tomo_scan(beamline, **SMALL), lambda name, doc: documents.append((name, doc)))

    (stop,) = of(documents, "stop")
    assert stop["exit_status"] == "fail"
    assert "srot" in stop["reason"]
    assert_safe(beamline)


def test_every_bad_parameter_is_named_at_once_and_nothing_starts(engine, beamline):
    documents = []

    with pytest.raises(ValueError, match="tomo_scan: ") as caught:
        engine(
            tomo_scan(beamline, projections=0, ref_on=2.5, flats=-1, y_step=float("nan"), scan_range=0),
            lambda name, doc: documents.append(name),
        )

    for name in ("projections", "ref_on", "flats", "y_step", "scan_range"):
        assert name in str(caught.value)
    assert "darks" not in str(caught.value)
    assert documents == []
    assert beamline.camera.files == []


def test_positions_out_of_limits_are_refused_before_anything_moves(engine, beamline):
    with pytest.raises(ValueError, match=r"srot: 720\.0 .*sy: -5\.0 .*frelon_exposure_time: 1000 "):
        engine(tomo_scan(beamline, start_angle=720.0, scan_range=180, y_step=-5.0, exposure_time=1000))

    assert beamline.srot.position == 0.0
    assert beamline.camera.exposure_time.get() == 0.1


def test_an_absurd_number_of_frames_is_refused_at_once(engine, beamline):
    with pytest.raises(ValueError, match="more than 100000"):
        engine(tomo_scan(beamline, projections=10**12))


def test_datasets_are_numbered_on_from_what_the_disk_holds(engine, beamline, tmp_path):
    engine.md.update(proposal="ma2210", beamline="id16a", sample="Fe_Au", dataset="25nm")
    folder = tmp_path / "ma2210" / "id16a" / "Fe_Au"
    (folder / "Fe_Au_25nm_0041").mkdir(parents=True)
    (folder / "Fe_Au_other_0099").mkdir()
    engine.preprocessors.append(NumberedDatasets(engine.md, sample_folder(tmp_path)))

    datasets = [of(scan(engine, tomo_scan(beamline, **SMALL)), "start")[0]["dataset"] for _ in range(2)]
    own = of(scan(engine, tomo_scan(beamline, **SMALL, md={"dataset": "mine"})), "start")[0]["dataset"]

    assert datasets == ["25nm_0042", "25nm_0043"]
    assert own == "mine"


def test_a_sample_with_a_path_for_a_name_stays_in_the_data_folder(tmp_path):
    folder = sample_folder(tmp_path)({"proposal": "ma2210", "beamline": "id16a", "sample": "../../etc/x"})

    assert folder.resolve().is_relative_to(tmp_path / "ma2210" / "id16a")


def test_profiles_are_found_by_name():
    assert (profile_folder("id16a") / "profile.yml").is_file()
    with pytest.raises(FileNotFoundError, match=r"there are: .*id16a"):
        profile_folder("id99")
    with pytest.raises(FileNotFoundError):
        profile_folder("../profiles/id16a")
