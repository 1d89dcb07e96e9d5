"""The whole demo, small: scan, dataset file, master file, reconstruction from the file alone, picture."""

import json

import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from devices.beamlines.id16a import simulated_id16a
from nexus_callbacks.beamline.checks import check
from nexus_callbacks.beamline.profile import load_profile
from nexus_callbacks.beamline.signals import read_signals
from nexus_callbacks.techniques import load
from plans.demos.tomo import DEMO
from plans.profile_folders import profile_folder
from plans.tomo import tomo_scan


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def result(tmp_path_factory, told):
    return DEMO.run(tmp_path_factory.mktemp("demo"), None, 7, lambda done, of: told.append((done, of)))


def test_progress_counts_every_frame(result, told):
    assert told == [(i, 240) for i in range(1, 241)]


def test_the_files_stand_where_the_profile_says(result):
    folder = result.raw_files[0].parent.parent
    assert folder.parts[-2:] == ("ma2210", "id16a"), "the camera writes where the experiment is"

    assert result.master_file == folder / "ma2210-id16a.h5"
    name = "Fe_Au_350N_RT1_50nm_tomo1_0001"
    assert result.dataset_file == folder / "Fe_Au_350N_RT1" / name / f"{name}.h5"
    assert [p.name for p in result.raw_files] == ["frelon_0001.h5"]


def test_the_reconstruction_shows_the_phantom(result, tmp_path):
    analysis = DEMO.analyse(result.dataset_file, tmp_path / "tomo.png", result.truth)

    assert analysis.correlation > 0.95
    assert analysis.slope == pytest.approx(1, abs=0.05)
    assert analysis.rotation_axis == pytest.approx(63.5, abs=0.1)
    assert (tmp_path / "tomo.png").read_bytes().startswith(b"\x89PNG")


def test_another_phantom_is_not_what_was_scanned(result, tmp_path):
    other = simulated_id16a(tmp_path, seed=8).phantom

    assert DEMO.analyse(result.dataset_file, None, other).correlation < 0.9


def test_the_picture_comes_with_what_was_found(result, tmp_path):
    lines = DEMO.picture(result, tmp_path / "tomo.png")

    assert "correlation with the phantom 0.9" in lines[0]


def test_more_than_150_variables_of_esrfs_are_filled(result):
    with h5py.File(result.dataset_file, "r") as file:
        coverage = json.loads(file["/entry/nexus_callbacks/coverage/data"][()])
        energy = file["/entry/instrument/monochromator/energy"]
        assert (energy[()], energy.attrs["units"]) == (17.05, "keV")  # The device says 17050 eV.
        source = file["/entry/instrument/source"]
        assert source["current_start"][()] > source["current_end"][()]

    assert coverage["filled"] > 150
    assert coverage["missing_mandatory"] == []


def test_the_profile_is_good_before_beam_time():
    folder = profile_folder("id16a")
    profile = load_profile(folder)
    loaded = load([*profile.definitions, "tomo"], folder)

    signals = read_signals(folder / "signals.json")
    assert check(profile, loaded.definition, signals, "tomo", loaded.bindings) == []


def test_the_same_seed_gives_the_same_frames(tmp_path):
    def frames(folder, seed):
        beamline = simulated_id16a(tmp_path / folder, seed=seed, clock=lambda: 0.0)
        RunEngine({})(tomo_scan(beamline, projections=2, ref_on=1, darks=1, flats=1))
        with h5py.File(beamline.camera.files[0], "r") as file:
            return file["/entry/data/data"][()]

    np.testing.assert_array_equal(frames("a", 5), frames("b", 5))
    assert (frames("c", 5) != frames("d", 6)).any()


def test_the_demo_is_the_same_each_time(result, tmp_path):
    again = DEMO.run(tmp_path, None, 7, lambda done, of: None)
    frames = []
    for path in (result.raw_files[0], again.raw_files[0]):
        with h5py.File(path) as file:
            frames.append(file["entry/data/data"][:])
    np.testing.assert_array_equal(*frames)
