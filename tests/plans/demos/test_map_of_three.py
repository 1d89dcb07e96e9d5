"""Fluorescence, diffraction and ptychography in one scan: one set of frames and spectra, three definitions."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from nexus_callbacks import validate
from nexus_callbacks.validation.allowed import ALLOWED
from plans.demos.maps import map_of_film
from plans.demos.ptychography import read_scan
from tests.plans.demos import pymca

THREE = ("fluo", "sxdm", "ptycho")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    experiment = map_of_film(THREE, shape=(10, 12), step=0.3)
    return experiment(tmp_path_factory.mktemp("three"), None, 7, lambda done, of: None)


def test_all_three_are_valid(result, file):
    report = validate(result.dataset_file)

    assert [str(each) for each in (*report.errors, *report.warnings)] == []
    reasons = {each.allowed for each in report.allowed}
    for line in ALLOWED:
        if line.reason.startswith(("NXfluo ", "NXcxi_ptycho ")):
            assert line.reason in reasons, "it is not needed any more"
    definitions = [file[path]["definition"][()] for path in ("entry", "entry/sxdm", "entry/ptycho")]
    assert definitions == [b"NXfluo", b"NXscan", b"NXcxi_ptycho"]
    pids = file["entry/technique_pid"][()].decode().split()
    assert [pid.rpartition("#")[2] for pid in pids] == ["S-XRF", "S-XRD", "PTYCHO"]


def test_the_frames_are_there_once(result, file):
    (raw,) = result.raw_files
    frames = [file[path] for path in ("entry/sxdm/instrument/detector/data", "entry_1/instrument_1/detector_1/data")]

    assert {each.shape for each in frames} == {(120, 64, 64)}
    assert {Path(each.file.filename).resolve() for each in frames} == {raw}
    with h5py.File(raw) as detector:
        np.testing.assert_array_equal(frames[0][()], detector["entry/data/data"][()])


def test_nothing_is_there_twice_for_the_further_techniques(file):
    """Each field of a subentry that holds more than a value leads to what the entry has, unless its units differ."""
    own = []

    def look(path):
        for name in file[path]:
            link = file[path].get(name, getlink=True)
            if isinstance(link, h5py.HardLink) and isinstance(file[f"{path}/{name}"], h5py.Group):
                look(f"{path}/{name}")
            elif isinstance(link, h5py.HardLink) and file[f"{path}/{name}"].size > 3:
                own.append(f"{path}/{name}")

    look("/entry/sxdm")
    look("/entry/ptycho")
    home = "/entry/ptycho"
    in_metres = {"instrument_1/detector_1/translation", "sample_1/transformations/x", "sample_1/transformations/y"}
    in_metres.add("control/data")  # NX_FLOAT where the entry's is NX_INT
    assert set(own) <= {f"{home}/{each}" for each in in_metres}


def test_spectra_and_frames_belong_to_the_same_points(file):
    x, y = file["entry/data/x"][()], file["entry/data/y"][()]
    translation = file["entry_1/data_1/translation"][()]

    np.testing.assert_allclose(translation[:, 0], x * 1e-6)
    np.testing.assert_allclose(translation[:, 1], y * 1e-6)
    np.testing.assert_array_equal(file["entry/sxdm/data/x"][()], x)


def test_each_has_its_plot(file):
    rows, points = file["entry/data_primary/xrf_Fe"].shape
    assert rows * points == 120
    for path, signal in (("entry", (rows, points)), ("entry/sxdm", (120, 64, 64)), ("entry/ptycho", (120, 64, 64))):
        plot = file[path][file[path].attrs["default"]]
        assert plot[plot.attrs["signal"]].shape == signal


def test_cxi_programs_find_the_subentry(result, file):
    assert file.get("entry_1", getlink=True).path == "/entry/ptycho"
    scan = read_scan(result.dataset_file)
    assert scan.object_pixel == pytest.approx(29.8e-9, rel=1e-3)
    assert scan.focus == pytest.approx(-8e-4)


def test_pymca_still_reads_the_map(result):
    stack = pymca.read(result.dataset_file, "/data_xrf_spectrum/xrf_spectrum", "/data/energy")

    found, _ = pymca.fit(stack.data.sum(axis=(0, 1)), 13.0)
    assert found["Gain"] == pytest.approx(0.015, rel=2e-3)


def test_esrfs_groups_of_all_three_are_filled(file):
    assert {"FLUO", "SXDM", "PTYCHO"} <= set(file["entry"])
    assert file["entry/PTYCHO/Axis2/name"][()] == b"nnp3"
