"""The nano-diffraction demo, on a smaller map."""

import h5py
import numpy as np
import pytest

from devices.beamlines.id13 import simulated_id13
from plans.demos.maps import map_of_film
from plans.demos.sxdm import DEMO


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    experiment = map_of_film(("sxdm",), shape=(12, 13), step=0.2)
    return experiment(tmp_path_factory.mktemp("sxdm"), None, 7, lambda done, of: None)


def test_the_file_is_a_valid_nxscan(result, complaints):
    assert complaints == []
    with h5py.File(result.dataset_file) as file:
        entry = file["entry"]
        assert entry["definition"][()] == b"NXscan"
        assert entry["technique_pid"][()] == b"https://w3id.org/PaN/ESRFET#S-XRD"
        assert entry["data/data"].shape == (156, 64, 64)
        assert entry["data/rotation_angle"].shape == (156,)
        assert entry["data_eiger_image/eiger_image"].shape == (12, 13, 64, 64)
        np.testing.assert_allclose(
            (entry["SXDM/beamSizeHorizontal"][()], entry["SXDM/beamSizeVertical"][()]), result.truth.beam_size
        )


def test_the_grains_are_recognised(result, tmp_path):
    analysis = DEMO.analyse(result.dataset_file, tmp_path / "sxdm.png", result.truth)

    assert analysis.strain > 0.98
    assert analysis.tilt > 0.98
    assert analysis.strain_error < 6e-5
    assert analysis.tilt_error < 8e-5
    assert (tmp_path / "sxdm.png").read_bytes().startswith(b"\x89PNG")


def test_another_film_is_not_what_was_scanned(result, tmp_path):
    other = simulated_id13(tmp_path, seed=8).nanobeam

    analysis = DEMO.analyse(result.dataset_file, None, other)
    assert abs(analysis.strain) < 0.8
    assert abs(analysis.tilt) < 0.8
