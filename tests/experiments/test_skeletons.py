"""A NeXus application definition becomes a beamline's: converted, bound, scanned, and then judged by NeXus itself."""

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from typer.testing import CliRunner

from devices.beamlines.id16a import simulated_id16a
from nexus_callbacks import NexusWriter, coverage, validate
from nexus_callbacks.cli import app
from plans.tomo import tomo_scan

PROFILE = """\
beamline: bench
timezone: Europe/Paris
definitions: [{beside}]
techniques:
  nxtomo:
    detector_data: data:frelon_image
    detector_image_key: data:image_key
    sample_rotation_angle: data:srot
"""


@pytest.fixture
def beamline(tmp_path):
    return simulated_id16a(tmp_path / "frames")


def make_profile(folder, beside):
    """A profile whose only technique is the skeleton of NXtomo."""
    made = folder / "definitions" / "nxtomo.xml"
    made.parent.mkdir(parents=True)
    done = CliRunner().invoke(app, ["definitions", "convert", "NXtomo", "--beside", beside, "-o", str(made)])
    assert done.exit_code == 0, done.output
    (folder / "profile.yml").write_text(PROFILE.format(beside=beside))
    return folder


@pytest.mark.parametrize("beside", ["base", "esrf"])
def test_the_skeleton_of_nxtomo_is_bound_and_gives_a_valid_file(tmp_path, beamline, beside):
    profile = make_profile(tmp_path / "profile", beside)
    engine = RunEngine({"sample": "Fe_Au", "proposal": "ma2210", "dataset": "tomo"})
    writer = NexusWriter(tmp_path, profile=profile)
    engine.subscribe(writer)
    (uid,) = engine(tomo_scan(beamline, projections=6, ref_on=6, darks=1, flats=1, md={"technique": "nxtomo"}))

    path = writer.files[uid]
    report = validate(path)
    assert report.valid, [str(finding) for finding in report.errors]
    assert not coverage(path)["entry"].missing_mandatory
    with h5py.File(path) as file:
        entry = file["entry"]
        assert (entry.attrs["definition"], entry["definition"].asstr()[()]) == ("NXtomo", "NXtomo")
        assert entry["definition"].attrs["version"] == "v2026.01"
        plot = entry[entry.attrs["default"]]
        assert plot.name == "/entry/data"
        assert plot[plot.attrs["signal"]].shape[0] == plot["rotation_angle"].size == 9
        assert plot["rotation_angle"].attrs["units"] == "deg"
        assert entry["sample/name"].asstr()[()] == "Fe_Au"
        assert np.bincount(plot["image_key"]).tolist() == [6, 2, 1]


def test_a_mandatory_field_of_the_skeleton_that_nobody_bound_is_told(tmp_path):
    profile = make_profile(tmp_path / "profile", "base")
    text = (profile / "profile.yml").read_text()
    (profile / "profile.yml").write_text(text.replace("    detector_image_key: data:image_key\n", ""))
    told = CliRunner().invoke(app, ["coverage", "--profile", str(profile)])
    assert told.exit_code == 1
    assert "detector_image_key" in told.output
