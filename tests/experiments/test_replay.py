"""Live and replayed are one (design D1): the same documents, one by one, in pages or exported, give the same file."""

import functools
import json
from pathlib import Path

import bluesky.plans as bp
import event_model
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from ophyd.sim import SynSignal
from typer.testing import CliRunner

from devices.beamlines.id16a import simulated_id16a
from nexus_callbacks import NexusWriter, callback, validate
from nexus_callbacks.cli import app
from nexus_callbacks.export import export
from nexus_callbacks.replay import documents_of, replay
from plans.demos.tomo import METADATA
from plans.profile_folders import profile_folder
from plans.tomo import tomo_scan
from tests.comparison import assert_same, differences
from tests.runs import PLANS, Recorded, paged, record


def exported(documents, folder, profile):
    """Under the names that NexusWriter gives, as runs of one plan name each other's files."""
    prefix = "{start[time]:%Y%m%dT%H%M%S}_{start[plan_name]}_{start[uid]:.8}"
    paths = export(documents, folder, prefix, profile=profile)["stream_data"]
    return {uid_of(path): path for path in paths}


def uid_of(path):
    with h5py.File(path) as file:
        return file["entry/bluesky/uid"].asstr()[()]


WAYS = {
    "one by one": replay,
    "pages of 1": lambda documents, folder, profile: replay(paged(documents, 1), folder, profile),
    "pages of 3": lambda documents, folder, profile: replay(paged(documents, 3), folder, profile),
    "pages of 1000": lambda documents, folder, profile: replay(paged(documents, 1000), folder, profile),
    "exported": exported,
    "exported pages": lambda documents, folder, profile: exported(paged(documents, 4), folder, profile),
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Plan → what was recorded of it."""
    return functools.cache(lambda plan: record(plan, tmp_path_factory.mktemp(plan)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("plan", PLANS)
def test_a_recording_gives_the_file_that_was_written_live(recorded, tmp_path, plan, way):
    runs = recorded(plan)
    assert_same(runs.files, WAYS[way](documents_of(runs.as_json_lines()), tmp_path, None))


@pytest.mark.parametrize("plan", PLANS)
def test_a_recording_gives_the_file_that_was_written_from_a_journal(tmp_path, plan):
    runs = record(plan, tmp_path, journal=tmp_path / "spool")
    assert_same(runs.files, replay(runs.documents, tmp_path / "again"))


@pytest.mark.parametrize("plan", ["grid_scan", "rewound"])
def test_how_often_rows_are_flushed_does_not_matter(recorded, tmp_path, monkeypatch, plan):
    runs = recorded(plan)
    monkeypatch.setattr(callback, "FLUSH_INTERVAL", 0.0)
    assert_same(runs.files, replay(runs.documents, tmp_path))


VALUES = [
    [1, 2.5, 3],
    [1, 2, None],
    [None, None, 4],
    [None, None],
    [True, 2, False],
    [True, None],
    [[], [], [1]],
    [[1, 2], [3, 4], [5]],
    ["a", "longer", 1, None],
    [{"a": 1}, [2], 3],
    ["a\0b", "µ", ""],
    [float("nan"), float("inf"), 1],
    [0.1, "x"],
    [None, "x"],
    [[1.0, 2.0], [3.0]],
    [1 + 1j, 1.0],
    [1, 2.5, "a"],
    [1.0, None, "a", float("inf"), -0.0],
    [[1, 2], [2.5, float("nan")], "a"],
    [1, 1j, "a"],
    [["a", "b"], ["longer", "µ"], ["c"]],
    [2**60 + 1, 1.5],
    [2**63 + 1, -1],
]


@pytest.mark.parametrize("values", VALUES, ids=repr)
def test_what_a_value_becomes_does_not_depend_on_when_rows_are_flushed(tmp_path, monkeypatch, values):
    run = event_model.compose_run()
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": "sim"}})
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    documents += [("event", stream.compose_event(data={"x": x}, timestamps={"x": 0.0}, validate=False)) for x in values]
    documents.append(("stop", run.compose_stop()))
    at_once = replay(documents, tmp_path / "at once")
    monkeypatch.setattr(callback, "FLUSH_INTERVAL", 0.0)
    assert_same(at_once, replay(documents, tmp_path / "row by row"))


def test_recorded_runs_are_valid(recorded, tmp_path):
    files = replay(recorded("grid_scan").documents, tmp_path)
    assert all(validate(path).valid for path in files.values())


def test_msgpack_gives_the_same_file_too(recorded, tmp_path):
    runs = recorded("grid_scan")
    assert_same(runs.files, replay(documents_of(runs.as_msgpack()), tmp_path))


def test_json_loses_numpys_types_where_the_descriptor_does_not_tell_them(tmp_path):
    narrow = SynSignal(name="narrow", func=lambda: np.arange(3, dtype="<u2"), kind="normal")
    engine = RunEngine({}, call_returns_result=False)
    runs = Recorded(tmp_path, engine, NexusWriter(tmp_path / "live"), bp.count([narrow], 3))
    assert_same(runs.files, replay(documents_of(runs.as_msgpack()), tmp_path / "msgpack"))
    (live,), (replayed,) = (
        files.values() for files in (runs.files, replay(documents_of(runs.as_json_lines()), tmp_path / "json"))
    )
    assert {line.partition(":")[0] for line in differences(live, replayed)} == {
        "/entry/measurement/narrow",
        "/entry/bluesky/primary/configuration/narrow/narrow",
    }
    with h5py.File(live) as first, h5py.File(replayed) as second:
        assert first["entry/measurement/narrow"].dtype == "<u2"
        assert second["entry/measurement/narrow"].dtype == "<i8"
        np.testing.assert_array_equal(first["entry/measurement/narrow"], second["entry/measurement/narrow"])


# -- the tomography ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tomography(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    beamline = simulated_id16a(folder / "ma2210" / "id16a" / "detectors", seed=7)
    engine = RunEngine({**METADATA, "dataset": "tomo_0001"}, call_returns_result=False)
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    writer = NexusWriter(folder, profile=profile_folder("id16a"))
    plan = tomo_scan(beamline, projections=12, ref_on=6, darks=2, flats=2, y_step=-0.3)
    return Recorded(folder, engine, writer, plan)


@pytest.mark.parametrize("way", ["one by one", "pages of 3", "exported"])
def test_a_tomography_is_the_same_with_its_profile(tomography, tmp_path, way):
    files = WAYS[way](documents_of(tomography.as_json_lines()), tmp_path / "again", profile_folder("id16a"))
    assert_same(tomography.files, files)


def test_the_command_replays_a_tomography_into_a_master_file_of_its_own(tomography, tmp_path):
    docs, profile = str(tomography.as_json_lines()), str(profile_folder("id16a"))
    done = CliRunner().invoke(app, ["replay", docs, "-o", str(tmp_path), "--profile", profile, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    ((uid, path),) = told["files"].items()
    assert_same(tomography.files, {uid: Path(path)})
    inside = tomography.masters[uid].relative_to(tomography.directory)
    assert told["masters"] == {uid: str(tmp_path / inside)}
    assert validate(tmp_path / inside).valid
