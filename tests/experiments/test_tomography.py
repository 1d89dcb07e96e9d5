"""The main job: a tomography on the simulated ID16A, written with ESRF's definition, then opened as others would."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.baseline import baseline_for
from devices.beamlines.id16a import simulated_id16a
from devices.channels.tango_server import TangoServer
from nexus_callbacks import NexusWriter, coverage, validate
from plans.demos.tomo import METADATA, analyse
from plans.profile_folders import profile_folder
from plans.tomo import tomo_scan

PARAMETERS = {"projections": 90, "ref_on": 30, "darks": 4, "flats": 5, "y_step": -0.3}
FRAMES = 4 + 4 * 5 + 90


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """One scan of a smaller sample of angles, for all the tests of this module: (writer, beamline, uid)."""
    folder = tmp_path_factory.mktemp("experiment")
    beamline = simulated_id16a(folder / "ma2210" / "id16a" / "detectors", seed=7)
    writer = NexusWriter(folder, profile=profile_folder("id16a"))
    engine = RunEngine({**METADATA, "dataset": "tomo_0001"})
    with TangoServer(beamline.tango) as server:
        control = baseline_for(profile_folder("id16a"), beamline.devices, hosts=server.hosts)
        engine.preprocessors.append(SupplementalData(baseline=[*beamline.baseline, *control]))
        engine.subscribe(writer)
        (uid,) = engine(tomo_scan(beamline, **PARAMETERS))
    return writer, beamline, uid


@pytest.fixture
def file(scanned):
    writer, _, uid = scanned
    with h5py.File(writer.files[uid]) as opened:
        yield opened


def test_files_are_named_as_the_profile_says(scanned):
    writer, _, uid = scanned
    inside = writer.files[uid].relative_to(writer.directory)
    assert inside.as_posix() == "ma2210/id16a/Fe_Au_350N_RT1/Fe_Au_350N_RT1_tomo_0001/Fe_Au_350N_RT1_tomo_0001.h5"
    assert writer.masters[uid].relative_to(writer.directory).as_posix() == "ma2210/id16a/ma2210-id16a.h5"


def test_dataset_and_master_are_valid(scanned):
    writer, _, uid = scanned
    for path in (writer.files[uid], writer.masters[uid]):
        report = validate(path)
        assert report.valid, [str(finding) for finding in report.errors]
        assert not report.warnings, [str(finding) for finding in report.warnings]
        assert all(finding.allowed for finding in report.findings), "each allowed finding has its reason"


def test_the_entry_is_what_reconstruction_programs_want(file):
    assert list(file) == ["entry"]
    entry = file["entry"]
    assert entry.attrs["definition"] == "NXtomo"
    assert entry["definition"].asstr()[()] == "NXtomo"
    detector, sample = entry["instrument/detector"], entry["sample"]
    assert detector["data"].shape == (FRAMES, 128, 128)
    assert detector["data"].attrs["interpretation"] == "image"
    keys = detector["image_key"][:]
    assert [int((keys == kind).sum()) for kind in (0, 1, 2)] == [90, 20, 4]
    assert sample["rotation_angle"].shape == (FRAMES,)
    np.testing.assert_allclose(sample["rotation_angle"][keys == 0], np.arange(90) * 2.0)
    assert sample["rotation_angle"].attrs["units"] == "deg"
    assert set(np.round(sample["x_translation"][keys == 1], 9)) == {-0.0003}
    assert sample["x_translation"].attrs["units"] == "m"
    for name, value, units in (
        ("x_pixel_size", 5e-8, "m"),
        ("distance", 1.18, "m"),
        ("count_time", [0.1] * FRAMES, "s"),
    ):
        assert detector[name][()] == pytest.approx(value)
        assert detector[name].attrs["units"] == units
    assert (
        entry.get("instrument/detector/image_key_control", getlink=True).path == "/entry/instrument/detector/image_key"
    )
    assert entry["instrument/beam/incident_energy"][()] == pytest.approx(17.05)
    assert entry["instrument/beam/incident_energy"].attrs["units"] == "keV"


def test_no_pixel_is_copied(scanned, file):
    writer, beamline, uid = scanned
    link = file.get("entry/instrument/detector/data", getlink=True)
    assert isinstance(link, h5py.ExternalLink)
    assert not Path(link.filename).is_absolute()
    (raw,) = beamline.camera.files
    assert (writer.files[uid].parent / link.filename).resolve() == raw
    with h5py.File(raw) as camera:
        np.testing.assert_array_equal(file["entry/instrument/detector/data"][:], camera["entry/data/data"][:])
    assert writer.files[uid].stat().st_size < raw.stat().st_size / 2


def test_readings_are_initial_and_final_as_the_definition_says(file):
    measurement, source = file["entry/measurement"], file["entry/instrument/source"]
    before, after = measurement["initial/ring_current"][()], measurement["final/ring_current"][()]
    assert after < before
    # The machine's own server says these two.
    assert source["current_end"][()] < source["current_start"][()]
    assert source["current_start"][()] == pytest.approx(before, rel=1e-3)
    assert source["current_end"][()] == pytest.approx(after, rel=1e-3)
    assert source["current"][()] == before, "no record in the definition counts as initial"
    assert measurement["ring_current"].shape == (FRAMES,)


def test_what_is_measured_before_and_after_the_scan_stands_beside_the_columns(file):
    """The talk's slide "Measurement": links, and values of its own."""
    measurement = file["entry/measurement"]
    for name, source in (("initial", "current_start"), ("final", "current_end")):
        group = measurement[name]
        assert group.attrs["NX_class"] == "NXcollection"
        assert group.get("SR_Current", getlink=True).path == f"/entry/instrument/source/{source}"
        assert group["energy"][()] == pytest.approx(17.05)
        assert group["energy"].attrs["units"] == "keV"
        assert 0 < group["i0"][()] == group["i0_flux"][()], "what the device read is there under its own name"
        assert group["i0"].attrs["units"] == "photons/s"
        assert 1e-9 < group["iC"][()] < 1e-6
        assert group["iC"].attrs["units"] == "A"
        assert "it" not in group, "nothing measures it"
    assert measurement["final/i0"][()] < measurement["initial/i0"][()], "the machine current decays"
    assert measurement["initial"].get("vacuum", getlink=True).path == "/entry/sample/vacuum/sensor/value"
    assert measurement["final/vacuum"][()] == pytest.approx(2.4e-7, rel=0.2)
    assert measurement["final/vacuum"].attrs["units"] == "mbar"


def test_the_description_of_each_field_is_kept(file):
    text = file["entry/instrument/source/current_start"].attrs["ESRF_description"]
    assert text.startswith("Storage ring current at the start")


def test_times_have_the_zone_of_the_beamline(file):
    for name in ("start_time", "end_time"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0[12]:00", file["entry"][name].asstr()[()])


def test_more_than_120_variables_are_filled_and_each_is_accounted_for(scanned):
    writer, _, uid = scanned
    found = coverage(writer.files[uid])["entry"]
    assert found.filled > 120
    assert found.missing_mandatory == ()
    with h5py.File(writer.files[uid]) as file:
        for outcome in found.outcomes:
            if outcome.filled:
                assert outcome.origin, outcome.variable
                assert any(path in file["entry"] for path in outcome.paths), outcome.variable
            else:
                assert outcome.reason, outcome.variable
                assert not any(path in file["entry"] for path in outcome.paths), outcome.variable
    energy = next(o for o in found.outcomes if o.variable == "InstrumentMonochromator_energy")
    assert (energy.unit_from, energy.unit_to, energy.origin) == ("eV", "keV", "data:mono_energy (baseline, initial)")


def test_the_definitions_are_named_with_version_and_hash(file):
    home = file["entry/nexus_callbacks/definitions"]
    assert list(home["name"].asstr()) == ["esrf", "measurement", "id16a", "tomo"]
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in home["sha256"].asstr())


def test_the_default_plot_of_both_files_is_the_stack_of_frames(scanned):
    writer, _, uid = scanned
    for path in (writer.files[uid], writer.masters[uid]):
        with h5py.File(path) as file:
            entry = file[file.attrs["default"]]
            plot = entry[entry.attrs["default"]]
            assert plot.attrs["NX_class"] == "NXdata"
            assert plot[plot.attrs["signal"]].shape == (FRAMES, 128, 128)
            assert plot.attrs["axes"][0] == "rotation_angle"


def test_the_reconstruction_from_the_file_alone_shows_the_phantom(scanned, tmp_path):
    writer, beamline, uid = scanned
    found = analyse(writer.files[uid], tmp_path / "picture.png", beamline.phantom)
    assert found.correlation > 0.9
    assert found.slope == pytest.approx(1, abs=0.1)
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_a_moved_experiment_still_opens(scanned, tmp_path):
    """The folder goes elsewhere, the old one is out of reach, and the reader works in a third place."""
    writer, _, _uid = scanned
    moved = tmp_path / "elsewhere"
    shutil.copytree(writer.directory / "ma2210", moved)
    hidden = writer.directory.with_name("hidden")
    writer.directory.rename(hidden)
    try:
        reader = (
            "import h5py, sys; file = h5py.File(sys.argv[1]); entry = file[file.attrs['default']]; "
            "print(entry['instrument/detector/data'][-1].mean() > 1000, entry['data/data'].shape)"
        )
        command = [sys.executable, "-c", reader, str(moved / "id16a" / "ma2210-id16a.h5")]
        seen = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout
    finally:
        hidden.rename(writer.directory)
    assert seen.strip() == f"True ({FRAMES}, 128, 128)"


def test_a_second_dataset_of_the_same_name_takes_the_next_number_and_joins_the_master(tmp_path):
    beamline = simulated_id16a(tmp_path / "detectors", seed=1)
    writer = NexusWriter(tmp_path, profile=profile_folder("id16a"))
    engine = RunEngine({**METADATA, "dataset": "a"})
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    engine.subscribe(writer)
    short = {"projections": 2, "darks": 1, "flats": 1, "ref_on": 2}
    for _ in range(2):
        engine(tomo_scan(beamline, **short))
    names = [path.name for path in writer.files.values()]
    assert names == ["Fe_Au_350N_RT1_a.h5", "Fe_Au_350N_RT1_a_0002.h5"]
    (master,) = set(writer.masters.values())
    with h5py.File(master) as file:
        assert list(file) == ["entry_0001", "entry_0002"]
        assert file.attrs["default"] == "entry_0002"
        for name in file:
            link = file.get(name, getlink=True)
            assert not Path(link.filename).is_absolute()
            assert file[name]["instrument/detector/data"].shape == (5, 128, 128)
    assert validate(master).valid


def test_an_aborted_scan_has_no_final_reading_and_says_why(tmp_path):
    beamline = simulated_id16a(tmp_path / "detectors", seed=1)
    writer = NexusWriter(tmp_path, profile=profile_folder("id16a"))
    engine = RunEngine({**METADATA, "dataset": "a"})
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    engine.subscribe(writer)

    def fail_late(name, doc):
        if name == "event" and doc["seq_num"] == 8 and "frelon_mean" in doc["data"]:
            raise RuntimeError("beam lost")

    engine.subscribe(fail_late)
    with pytest.raises(RuntimeError, match="beam lost"):
        engine(tomo_scan(beamline, projections=4, darks=3, flats=2, ref_on=4))
    (path,) = writer.files.values()
    found = coverage(path)["entry"]
    end = next(o for o in found.outcomes if o.variable == "InstrumentSource_current_end")
    with h5py.File(path) as file:
        assert "beam lost" in file["entry/bluesky/reason"].asstr()[()]
        assert file["entry/instrument/detector/data"].shape == (
            *file["entry/instrument/detector/image_key"].shape,
            128,
            128,
        )
        if "final" not in file["entry/measurement"]:
            assert not end.filled
            assert "final reading" in end.reason
        assert "end_time" in file["entry"]
    assert not [f for f in validate(path).errors if "mandatory" not in f.message]


def test_the_command_prints_one_json_object(tmp_path):
    """The main job as a script runs it; the picture and the numbers come from the files that it names."""
    command = [sys.executable, "-m", "nexus_callbacks.cli", "demo", "tomo", "-o", str(tmp_path / "out"), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    told = json.loads(done.stdout)
    assert set(told) == {"technique", "dataset_file", "master_file", "raw_files", "picture", "valid", "coverage"}
    assert told["technique"] == "tomo"
    assert told["valid"] is True
    assert told["coverage"]["filled"] > 120
    assert told["coverage"]["missing_mandatory"] == []
    assert all(Path(path).exists() for path in [told["dataset_file"], told["master_file"], told["picture"]])
    assert "correlation with the phantom 0.9" in done.stderr
    checked = subprocess.run(
        [sys.executable, "-m", "nexus_callbacks.cli", "validate", told["dataset_file"], told["master_file"]],
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0
