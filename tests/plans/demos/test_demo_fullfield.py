"""The full-field demo: the map of tilts from the file alone."""

import h5py
import numpy as np
import pytest

from devices.scenes.mosaic import mosaic
from plans.demos.fullfield import DEMO


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return DEMO.run(tmp_path_factory.mktemp("fullfield"), None, 7, lambda done, of: None)


def test_the_files_are_valid(complaints):
    assert complaints == []


def test_the_map_of_tilts_is_the_crystals(result, tmp_path):
    found = DEMO.analyse(result.dataset_file, tmp_path / "fullfield.png", result.truth)

    assert found.correlation > 0.99
    assert found.error < 0.3  # mdeg; the scan's step is 2.
    assert np.polyfit(found.true_tilt.ravel(), found.tilt.ravel(), 1)[0] == pytest.approx(1, abs=0.05)
    assert (tmp_path / "fullfield.png").read_bytes().startswith(b"\x89PNG")
    assert len(found.findings) == 2


def test_another_crystal_is_not_what_was_scanned(result):
    other = mosaic(99, result.truth.tilt.shape)
    assert DEMO.analyse(result.dataset_file, None, other).correlation < 0.8


def test_the_entry_is_nxxrot_with_its_lens(entry):
    assert entry["definition"].asstr()[()] == "NXxrot"
    detector, sample = entry["instrument/detector"], entry["sample"]
    assert detector["data"].shape == (41, 128, 128)
    assert isinstance(detector.get("data", getlink=True), h5py.ExternalLink)
    assert sample["rotation_angle"].shape == (41,)
    np.testing.assert_allclose(np.diff(sample["rotation_angle"]), sample["rotation_angle_step"][()], rtol=1e-6)
    np.testing.assert_allclose(sample["unit_cell"][()], [4.027, 4.027, 4.027, 90, 90, 90])
    assert sample["orientation_matrix"].shape == (3, 3)
    # Bragg's law, from the file.
    spacing = sample["unit_cell"][2] / 2
    wavelength = entry["instrument/monochromator/wavelength"][()]
    assert 2 * spacing * np.sin(np.deg2rad(detector["polar_angle"][()] / 2)) == pytest.approx(wavelength)
    magnification = entry["instrument/objective/magnification"][()]
    assert detector["x_pixel_size"][()] / magnification == pytest.approx(detector["x_sample_pixel_size"][()])
    assert entry["instrument/xraylens01/number_of_lenses"][()] == 45
    assert entry["technique_pid"].asstr()[()].endswith("#DFXM")
