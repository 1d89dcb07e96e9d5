"""The demo: one of bluesky's own plans, and what stands in its file of before and after."""

import h5py
import pytest

from plans.demos.measurement import DEMO


def test_before_and_after_stand_in_the_file_of_any_plan(tmp_path):
    result = DEMO.run(tmp_path, None, 7, lambda done, of: None)
    found = DEMO.analyse(result.dataset_file, tmp_path / "drift.png", result.truth)

    before, after, unit = found.values["SR_Current"]
    assert unit == "mA"
    assert after < 0.98 * before
    assert found.flux_per_current == pytest.approx(1, abs=0.01)
    assert {"i0", "iC", "energy", "vacuum"} <= set(found.values)
    with h5py.File(result.dataset_file) as file:
        initial = file["/entry/measurement/initial"]
        assert initial.get("SR_Current", getlink=True).path == "/entry/instrument/source/current_start"
        assert initial["energy"].attrs["units"] == "keV"
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")
