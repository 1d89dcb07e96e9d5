"""The whole demo: irradiation, file, dose found in it, picture."""

import pytest

from plans.demos.mrt import DEMO


def test_the_file_tells_the_dose_and_the_microbeams(tmp_path):
    result = DEMO.run(tmp_path, None, 7, lambda done, of: None)
    found = DEMO.analyse(result.dataset_file, tmp_path / "mrt.png", result.truth)

    assert found.entrance == pytest.approx(found.planned, rel=0.03)
    assert found.spacing == pytest.approx(found.expected_spacing, rel=0.01)
    assert found.peak_to_valley == pytest.approx(25, rel=0.1), "4 % of the dose is scattered"
    assert (tmp_path / "mrt.png").read_bytes().startswith(b"\x89PNG")
