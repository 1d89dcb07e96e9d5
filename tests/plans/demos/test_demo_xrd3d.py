"""Grains in a piece of iron: scanned, written, and found again in the written file."""

import json
import shutil
import subprocess

import h5py
import numpy as np
import pytest

from devices.scenes.crystal import random_orientation, rotation
from nexus_callbacks import coverage, validate
from plans.demos.grains import misorientation
from plans.demos.xrd3d import DEMO, FRAMES


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return DEMO.run(tmp_path_factory.mktemp("xrd3d"), None, 7, lambda done, of: None)


def test_the_file_is_valid_and_complete(result):
    assert validate(result.dataset_file).valid
    found = coverage(result.dataset_file)["entry"]
    assert found.missing_mandatory == ()
    with h5py.File(result.dataset_file) as file:
        entry = file["entry"]
        assert entry["definition"].asstr()[()] == "NXmx"
        assert entry["technique_pid"].asstr()[()].endswith("ESRFET#3DXRD")
        assert entry["data/data"].shape == (FRAMES, 512, 512)
        assert entry["sample/depends_on"].asstr()[()] == "transformations/samtz"
        assert entry["sample/transformations/diffrz_increment_set"][()] == 1.0
        np.testing.assert_allclose(entry["sample/unit_cell_abc"], [2.8665] * 3)
        assert "MX" not in entry


def test_the_grains_are_found_where_they_were_put(result, tmp_path):
    found = DEMO.analyse(result.dataset_file, tmp_path / "picture.png", result.truth)
    assert (found.grains, found.met) == (found.simulated, found.simulated)
    assert found.explained > 0.95 * found.spots
    assert found.turned < 0.3
    assert found.shifted < 0.1
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_cube_looks_alike_from_24_sides():
    one = random_orientation(np.random.default_rng(3))
    quarter = rotation((0, 0, 1), 90) @ rotation((1, 0, 0), 90)
    assert misorientation(one, one @ quarter) == pytest.approx(0, abs=1e-5)
    assert misorientation(one, one @ rotation((1, 1, 1), 20)) == pytest.approx(20)
    assert misorientation(one, one @ rotation((0, 0, 1), 70)) == pytest.approx(20)


@pytest.mark.skipif(shutil.which("dials.import") is None, reason="DIALS is not installed (Debian's package dials)")
def test_dials_reads_the_geometry(result, tmp_path):
    command = ["dials.import", str(result.dataset_file)]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    told = json.loads((tmp_path / "imported.expt").read_text("utf-8"))
    (beam,), (scan,), (goniometer,) = told["beam"], told["scan"], told["goniometer"]
    assert beam["wavelength"] == pytest.approx(0.20664, abs=1e-5)
    assert scan["image_range"] == [1, FRAMES]
    assert scan["oscillation"] == [0, 1]
    assert goniometer["rotation_axis"] == [0, 1, 0]
    origin = told["detector"][0]["panels"][0]["origin"]
    assert origin == pytest.approx([-51.4, 50.9, -200])  # In imgCIF's laboratory.
