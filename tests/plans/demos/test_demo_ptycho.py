"""The ptychography demo, on a smaller map, and the file's other names for programs that read CXI."""

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.beamlines.id13 import simulated_id13
from nexus_callbacks import NexusWriter, validate
from plans.demos.maps import METADATA, map_of_film
from plans.demos.ptycho import DEMO
from plans.demos.ptychography import read_scan, reconstruct
from plans.mapping import map_scan
from plans.profile_folders import profile_folder


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    experiment = map_of_film(("ptycho",), shape=(14, 14), step=0.08)
    return experiment(tmp_path_factory.mktemp("ptycho"), None, 7, lambda done, of: None)


def test_the_file_is_a_valid_nxcxi_ptycho(complaints):
    assert complaints == []


@pytest.mark.parametrize(
    ("path", "shape", "units"),
    [
        # What PyNX's pynx-cxipty and cdtools' Ptycho2DDataset.from_cxi ask for.
        ("/entry_1/instrument_1/source_1/energy", (), "J"),
        ("/entry_1/instrument_1/detector_1/distance", (), "m"),
        ("/entry_1/instrument_1/detector_1/x_pixel_size", (), "m"),
        ("/entry_1/instrument_1/detector_1/y_pixel_size", (), "m"),
        ("/entry_1/instrument_1/detector_1/data", (196, 64, 64), None),
        ("/entry_1/instrument_1/detector_1/translation", (196, 3), "m"),
        ("/entry_1/sample_1/geometry_1/translation", (196, 3), "m"),
        ("/entry_1/data_1/data", (196, 64, 64), None),
        ("/entry_1/data_1/translation", (196, 3), "m"),
        ("/entry_1/data_1/monitor", (196,), None),
    ],
)
def test_cxi_programs_find(file, path, shape, units):
    assert file[path].shape == shape
    assert file[path].attrs.get("units") == units


def test_the_values_are_si(file):
    instrument = file["/entry_1/instrument_1"]
    assert file["cxi_version"][()] == 160
    assert instrument["name"][()] == b"id13"
    assert instrument["source_1/energy"][()] == pytest.approx(13_000 * 1.602176634e-19, rel=1e-6)
    assert instrument["detector_1/distance"][()] == 1.5
    assert instrument["detector_1/x_pixel_size"][()] == pytest.approx(75e-6)
    np.testing.assert_allclose(instrument["detector_1/translation"][0], [-0.52e-6, -0.52e-6, 0.0])


def test_it_is_the_same_entry_under_another_name(file):
    assert file.get("entry_1", getlink=True).path == "/entry"
    assert file["entry_1"] == file["entry"]


def test_esrfs_group_is_filled(file):
    group = file["entry/PTYCHO"]
    assert group["propagation"][()] == b"far"
    assert group["stepSize"][()] == pytest.approx(0.08)
    assert group["focusToDetectorDistance"][()] == pytest.approx(1500.8)
    assert group["Axis1/range"][()] == pytest.approx(1.04)
    assert file["entry/technique_pid"][()] == b"https://w3id.org/PaN/ESRFET#PTYCHO"


def test_object_and_probe_are_found(result, tmp_path):
    analysis = DEMO.analyse(result.dataset_file, tmp_path / "ptycho.png", result.truth)

    assert analysis.agreement > 0.9
    assert analysis.probe > 0.98
    assert analysis.pixel == pytest.approx(29.8, abs=0.05)
    assert (tmp_path / "ptycho.png").read_bytes().startswith(b"\x89PNG")


def test_with_translations_the_wrong_way_round_the_object_is_not_found(result, monkeypatch):
    """The sign matters: what agrees is no accident."""
    scan = read_scan(result.dataset_file)
    turned = type(scan)(scan.frames, -scan.translation, scan.wavelength, scan.distance, scan.pixel, scan.focus)

    assert reconstruct(turned, 6).errors[-1] > 1.3 * reconstruct(scan, 6).errors[-1]


def test_of_several_runs_in_a_file_the_first_has_cxis_name(tmp_path):
    id13 = simulated_id13(tmp_path / "detectors")
    writer = NexusWriter(tmp_path, profile=profile_folder("id13"))
    engine = RunEngine({**METADATA, "dataset": "a", "dataset_uid": "maps-a"})
    engine.preprocessors.append(SupplementalData(baseline=id13.baseline))
    engine.subscribe(writer)
    uids = [engine(map_scan(id13, shape=(1, 2), techniques=["ptycho"]))[0] for _ in range(2)]
    writer.close()

    with h5py.File(writer.files[uids[1]]) as file:
        assert {"entry", "entry_0002", "entry_1", "cxi_version"} <= set(file)
        assert file.get("entry_1", getlink=True).path == "/entry"
    assert validate(writer.files[uids[1]]).errors == ()


def test_the_detectors_normal_follows_the_arm(result):
    with h5py.File(result.dataset_file) as file:
        normal = file["/entry_1/instrument_1/detector_1/transformations/vector"][()]
        angle = file["/entry/measurement/initial/arm_two_theta"][()]
    assert normal.tolist() == pytest.approx([0, np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
