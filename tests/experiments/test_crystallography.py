"""Rotation data of a crystal at the simulated ID30, opened as a crystallographer would: with DIALS."""

import json
import os
import re
import shutil
import subprocess
from datetime import datetime
from functools import partial
from operator import attrgetter
from pathlib import Path

import h5py
import numpy as np
import pytest

from devices.beamlines.id30 import simulated_id30
from nexus_callbacks import coverage, validate
from plans.demos.acquire import acquire
from plans.demos.mx import DEMO, METADATA
from plans.mx import rotation_scan

FRAMES = 20
FIRST, STEP = 10.0, 0.5
HAS_DIALS = shutil.which("dials.import") is not None
needs_dials = pytest.mark.skipif(not HAS_DIALS, reason="DIALS is not installed (Debian's package dials)")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Ten degrees of a crystal; ω does not start at 0, κ and φ are turned."""
    return acquire(
        "mx",
        partial(simulated_id30, seed=7, clock=lambda: 0.0),
        partial(rotation_scan, frames=FRAMES, start_angle=FIRST, oscillation=STEP),
        directory=tmp_path_factory.mktemp("mx"),
        profile=None,
        metadata=METADATA,
        progress=lambda done, of: None,
        truth=attrgetter("truth"),
    )


@pytest.fixture
def file(scanned):
    with h5py.File(scanned.dataset_file) as opened:
        yield opened


def test_dataset_and_master_are_valid(scanned):
    for path in (scanned.dataset_file, scanned.master_file):
        report = validate(path)
        assert report.valid, [str(finding) for finding in report.errors]


def test_the_frames_stay_in_the_file_of_the_detector(scanned, file):
    link = file.get("entry/instrument/detector01/data", getlink=True)
    assert isinstance(link, h5py.ExternalLink)
    assert (scanned.dataset_file.parent / link.filename).resolve() == scanned.raw_files[0]
    assert file["entry/data/data"].shape == (FRAMES, 512, 512)
    np.testing.assert_allclose(file["entry/data/rotation_angle"], FIRST + STEP * np.arange(FRAMES))


def test_one_detector_is_described_once(file):
    instrument = file["entry/instrument"]
    classes = {name: each.attrs.get("NX_class") for name, each in instrument.items()}
    assert [name for name, nx_class in classes.items() if nx_class == "NXdetector"] == ["detector01"]
    assert instrument["eiger"].attrs["NX_class"] == "NXcollection"
    assert instrument["eiger/columns/eiger_mean"].shape == (FRAMES,)


def test_the_lattice_is_kept_in_numbers_and_as_esrf_wants_it(scanned, file):
    sample = file["entry/sample"]
    np.testing.assert_allclose(sample["unit_cell_abc"], [79.1, 79.1, 37.9])
    np.testing.assert_allclose(sample["diffractometer/ub_matrix"], scanned.truth.ub)
    np.testing.assert_allclose(sample["orientation_matrix"], scanned.truth.orientation)
    told = [float(number) for number in sample["ub_matrix"].asstr()[()].split()]
    np.testing.assert_allclose(np.reshape(told, (3, 3)), scanned.truth.ub)
    reflections = sample["diffractometer"]
    assert reflections["reflections_hkl"].shape == (3, 3)
    assert reflections["reflections_axes"].asstr()[()] == "omega kappa phi"
    np.testing.assert_allclose(reflections["reflections_angles"][:, 1:], [[15, -40]] * 3)


def test_esrfs_variables_of_the_technique_are_filled(scanned, file):
    found = coverage(scanned.dataset_file)["entry"]
    assert found.missing_mandatory == ()
    assert sum(each.filled and each.variable.startswith("MX_") for each in found.outcomes) >= 37
    mx = file["entry/MX"]
    assert (mx["numberOfImages"][()], mx["oscillationRange"][()]) == (FRAMES, STEP)
    assert mx["transmission"][()] == pytest.approx(100), "the device says a share, ESRF wants percent"
    (frames,) = Path(mx["directory"].asstr()[()]).glob(mx["template"].asstr()[()].replace("####", "*"))
    assert frames in scanned.raw_files
    assert mx["resolution_at_corner"][()] < mx["resolution"][()]


def test_all_times_are_in_one_time_zone(file):
    start, estimated, end = (
        datetime.fromisoformat(file["entry"][name].asstr()[()])
        for name in ("start_time", "end_time_estimated", "end_time")
    )
    assert start.utcoffset() == estimated.utcoffset() == end.utcoffset()
    assert start < estimated


def test_the_spots_in_the_frames_lie_on_the_lattice_of_the_file(scanned, tmp_path):
    found = DEMO.analyse(scanned.dataset_file, tmp_path / "mx.png", scanned.truth)
    assert found.spots > 300
    assert found.indexed > 0.98 * found.spots
    assert found.cell == pytest.approx(found.truth, rel=2e-3)
    assert (tmp_path / "mx.png").read_bytes().startswith(b"\x89PNG")


def test_another_crystal_is_not_what_was_measured(scanned, tmp_path):
    other = shutil.copytree(scanned.dataset_file.parents[1], tmp_path / "id30" / "sample")
    shutil.copytree(scanned.raw_files[0].parent, tmp_path / "id30" / scanned.raw_files[0].parent.name)
    (path,) = other.glob("*/*.h5")
    with h5py.File(path, "r+") as file:
        file["entry/sample/diffractometer/ub_matrix"][...] = simulated_id30(tmp_path, seed=8).truth.ub
    found = DEMO.analyse(path, None, scanned.truth)
    assert found.indexed < 0.2 * found.spots


# -- DIALS -------------------------------------------------------------------------------------------------------------

READ = """
import json, sys
from dxtbx.model.experiment_list import ExperimentListFactory
(experiment,) = ExperimentListFactory.from_filenames([sys.argv[1]])
panel, = experiment.detector
scan, goniometer, images = experiment.scan, experiment.goniometer, experiment.imageset
print(json.dumps({
    "format": images.get_format_class().__name__,
    "wavelength": experiment.beam.get_wavelength(),
    "distance": panel.get_distance(),
    "beam centre": panel.get_beam_centre(experiment.beam.get_s0()),
    "pixel size": panel.get_pixel_size(),
    "saturation": panel.get_trusted_range()[1],
    "sensor": [panel.get_material(), panel.get_thickness()],
    "images": len(images),
    "oscillation": scan.get_oscillation(),
    "axes": list(goniometer.get_names()),
    "angles": list(goniometer.get_angles()),
    "scanned": goniometer.get_scan_axis(),
    "photons": [int(sum(images.get_raw_data(i)[0])) for i in (0, 7)],
    "row": list(images.get_raw_data(7)[0][200:201, :]),
}))
"""


def dials(folder, *command):
    """The output of a command of DIALS, which has a Python of its own."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command, cwd=folder, env={**environment, "HOME": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@needs_dials
def test_dxtbx_reads_the_geometry_and_the_pixels(scanned, file, tmp_path):
    python = Path(shutil.which("dials.import")).read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()
    read = json.loads(dials(tmp_path, *python, "-c", READ, str(scanned.dataset_file)).splitlines()[-1])

    frames = file["entry/data/data"]
    assert read["format"] == "FormatNXmx"
    assert read["wavelength"] == pytest.approx(0.976254, abs=1e-6)
    assert read["distance"] == pytest.approx(100.0)
    assert read["beam centre"] == pytest.approx([19.62, 18.86])
    assert read["pixel size"] == pytest.approx([0.075, 0.075])
    assert read["saturation"] == 65533
    assert read["sensor"] == ["Si", pytest.approx(0.45)]
    assert read["images"] == FRAMES
    assert read["oscillation"] == pytest.approx([FIRST, STEP])
    assert (read["axes"], read["scanned"]) == (["phi", "kappa", "omega"], 2)
    assert read["angles"][:2] == pytest.approx([-40, 15])
    assert read["photons"] == [int(frames[i].sum()) for i in (0, 7)]
    assert read["row"] == frames[7, 200].tolist()


@needs_dials
def test_dials_finds_the_crystal_that_was_simulated(scanned, tmp_path):
    """Cell and orientation, of the written file alone: nothing is told to DIALS but the file's name."""
    dials(tmp_path, "dials.import", str(scanned.dataset_file))
    dials(tmp_path, "dials.find_spots", "imported.expt", "nproc=1")
    # The limits save time only: fewer candidates are refined, and once.
    limits = ("n_macro_cycles=1", "max_refine=3", "detector.fix=all")
    told = dials(tmp_path, "dials.index", "imported.expt", "strong.refl", *limits)

    indexed, left = map(int, re.findall(r"\|\s+0 \|\s+(\d+) \|\s+(\d+) \|\s+[\d.]+%", told)[-1])
    assert indexed > 300
    assert left < 0.02 * indexed
    (crystal,) = json.loads((tmp_path / "indexed.expt").read_text("utf-8"))["crystal"]
    axes = np.array([crystal[f"real_space_{name}"] for name in "abc"])
    np.testing.assert_allclose(np.sort(np.linalg.norm(axes, axis=1)), [37.9, 79.1, 79.1], rtol=3e-3)
    # DIALS has imgCIF's laboratory, in which x and z run the other way, and may name the axes otherwise.
    mine = np.linalg.inv(scanned.truth.ub) @ np.diag([-1, 1, -1])
    names = axes @ np.linalg.inv(mine)
    np.testing.assert_allclose(names, np.rint(names), atol=0.02)
    assert abs(np.linalg.det(np.rint(names))) == 1
