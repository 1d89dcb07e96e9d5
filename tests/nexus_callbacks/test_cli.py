"""Cli: exit statuses, faults all at once, and one JSON object."""

import json
import shutil

import h5py
import pytest
from event_model import compose_run
from typer.testing import CliRunner

from nexus_callbacks import NexusWriter
from nexus_callbacks.cli import app
from plans.profile_folders import profile_folder

FAULTY = """\
beamline: id16a
timezone: Europe/Paris
definitions: [esrf]
bindings: none
constants:
  Sampel_name: Fe
  InstrumentSource_distance: far
values:
  InstrumentMonochromator_energy: data:mono_energie
  InstrumentSource_current: data:sx
  InstrumentDetector01_preset_time: config:frelon.exposure
  TOMO_sx0: {from: config:geometry.focus_position, unit: deg}
"""


@pytest.fixture
def run():
    return CliRunner().invoke


@pytest.fixture
def faulty(tmp_path):
    folder = tmp_path / "faulty"
    folder.mkdir()
    shutil.copy(profile_folder("id16a") / "signals.json", folder)
    (folder / "profile.yml").write_text(FAULTY)
    return folder


def write_a_run(folder):
    run = compose_run()
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": "sim"}})
    writer = NexusWriter(folder)
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    writer("event", stream.compose_event(data={"x": 1.0}, timestamps={"x": 0.0}))
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    return path


def test_a_faulty_profile_tells_every_fault_with_file_and_line_and_ends_with_2(run, faulty, tmp_path):
    done = run(app, ["demo", "tomo", "--profile", str(faulty), "-o", str(tmp_path / "out")])
    assert done.exit_code == 2
    for line, words in (
        (4, "unknown key 'bindings'"),
        (6, "unknown variable 'Sampel_name'"),
        (7, "InstrumentSource_distance: expected a number, got 'far'"),
        (9, "no device has the data key 'mono_energie' (did you mean 'mono_energy'?)"),
        (10, "'data:sx' has units 'mm'"),
        (11, "no configuration field 'exposure'"),
        (12, "the profile says 'deg'"),
    ):
        assert f"profile.yml, line {line}: " in done.stderr, done.stderr
        assert words in done.stderr
    assert not list(tmp_path.rglob("*.h5")), "nothing was scanned"
    assert run(app, ["coverage", "--profile", str(faulty)]).exit_code == 2


def test_a_missing_definition_hides_no_other_fault(run, faulty):
    (faulty / "profile.yml").write_text(FAULTY.replace("[esrf]", "[esrf, esfr]"))
    done = run(app, ["coverage", "--profile", str(faulty)])
    assert done.exit_code == 2
    assert "profile.yml, line 3: unknown definition 'esfr' (did you mean 'esrf'?)" in done.stderr
    assert "'mono_energie'" in done.stderr


def test_a_technique_without_its_image_key_is_told_before_the_scan(run, tmp_path):
    profile = tmp_path / "profile.yml"
    profile.write_text("techniques:\n  tomo: {frames: data:cam, rotation_angle: data:phi}\n")
    done = run(app, ["coverage", "--profile", str(profile), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["tomo"]["missing_mandatory"] == ["image_key"]
    assert "not checked: there is no signals.json" in done.stderr
    assert 'write_signals("signals.json", signals_of(*devices))' in done.stderr


def test_a_directory_that_cannot_be_written_ends_with_2(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run(app, ["demo", "tomo", "-o", str(tmp_path / "file" / "out")])
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_the_demos_are_listed_a_line_each(run):
    done = run(app, ["demo", "--list"])

    assert "tomo" in done.stdout.splitlines()
    assert done.exit_code == 0


def test_an_unknown_demo_names_the_known_ones(run):
    done = run(app, ["demo", "tomography"])
    assert done.exit_code == 2
    assert "tomo" in done.output


def test_the_profile_of_the_beamline_has_no_fault(run):
    done = run(app, ["coverage", "--profile", str(profile_folder("id16a")), "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["tomo"]["claimed"] > 120
    assert told["tomo"]["missing_mandatory"] == []


@pytest.mark.unreadable("one file is bad on purpose")
def test_validate_ends_with_1_for_a_bad_file_and_0_for_a_good_one(run, tmp_path):
    path = write_a_run(tmp_path)
    assert run(app, ["validate", str(path)]).exit_code == 0
    with h5py.File(path, "r+") as file:
        del file["entry/measurement/x"]
    done = run(app, ["validate", str(path), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["valid"] is False
    assert told["files"][0]["findings"]


def test_names_with_brackets_are_printed_as_they_are(run, tmp_path):
    for name in ("no[/x].h5", "[red]b.h5"):
        done = run(app, ["validate", str(tmp_path / name)])
        assert done.exit_code == 1
        assert name in done.output.replace("\n", "")


def test_what_is_allowed_is_listed_with_its_reason_on_demand(run, tmp_path):
    done = run(app, ["validate", "--all", str(write_a_run(tmp_path))])
    assert "because: " in done.output


@pytest.mark.parametrize("content", [None, b"", b"no HDF5"])
def test_what_is_no_file_of_ours_is_bad_not_a_traceback(run, tmp_path, content):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    for command in ("validate", "coverage"):
        done = run(app, [command, str(path), "--json"])
        assert done.exit_code == 1, done.output
        json.loads(done.stdout)
        assert not done.exception or isinstance(done.exception, SystemExit)


def test_coverage_of_a_file_lists_what_was_filled(run, tmp_path):
    done = run(app, ["coverage", str(write_a_run(tmp_path)), "--all"])
    assert done.exit_code == 0
    assert "startDate" in done.output
    assert "start:time" in done.output


def test_coverage_wants_a_file_or_a_profile(run):
    assert run(app, ["coverage"]).exit_code == 2


def test_recover_completes_what_a_dead_session_left(run, tmp_path):
    """The journal of a session whose lock nobody holds, as kill -9 leaves it."""
    writer = NexusWriter(tmp_path / "data", journal=tmp_path / "spool")
    document = compose_run()
    writer("start", document.start_doc)
    (folder,) = (tmp_path / "spool").glob("session-*")
    shutil.copytree(folder, tmp_path / "dead" / folder.name)
    writer("stop", document.compose_stop())
    writer.close()
    done = run(app, ["recover", str(tmp_path / "dead"), "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["recovered"]
    assert found["complete"] is False
    assert run(app, ["recover", str(tmp_path / "dead")]).exit_code == 0


def test_relink_follows_frames_that_moved_alone(run, tmp_path):
    raw = tmp_path / "raw" / "cam.h5"
    raw.parent.mkdir()
    with h5py.File(raw, "w") as file:
        file["entry/data/data"] = [[[1, 2]], [[3, 4]]]
    document = compose_run()
    keys = {"cam": {"dtype": "array", "dtype_numpy": "<i8", "shape": [1, 1, 2], "source": "s", "external": "STREAM:"}}
    stream = document.compose_descriptor(name="primary", data_keys=keys)
    resource = document.compose_stream_resource(
        data_key="cam",
        mimetype="application/x-hdf5",
        uri=f"file://localhost{raw}",
        parameters={"dataset": "/entry/data/data", "chunk_shape": [1, 1, 2]},
    ).stream_resource_doc
    datum = {"uid": "r/0", "stream_resource": resource["uid"], "descriptor": stream.descriptor_doc["uid"]}
    datum |= {"indices": {"start": 0, "stop": 2}, "seq_nums": {"start": 1, "stop": 3}}
    writer = NexusWriter(tmp_path / "data")
    writer("start", document.start_doc)
    writer("descriptor", stream.descriptor_doc)
    writer("stream_resource", resource)
    writer("stream_datum", datum)
    writer("stop", document.compose_stop())
    (path,) = writer.files.values()
    raw.parent.rename(tmp_path / "elsewhere")
    assert run(app, ["validate", str(path)]).exit_code == 1
    assert run(app, ["relink", str(path), "--root", "nonsense"]).exit_code == 2
    done = run(app, ["relink", str(path), "--root", f"{tmp_path / 'raw'}={tmp_path / 'elsewhere'}", "--json"])
    assert done.exit_code == 0, done.output
    json.loads(done.stdout)
    with h5py.File(path) as file:
        assert file["entry/measurement/cam"][1, 0, 1] == 4
    assert run(app, ["validate", str(path)]).exit_code == 0
