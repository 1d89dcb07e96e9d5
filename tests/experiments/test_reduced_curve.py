"""A curve that was never made: the file of such a run says nothing of it."""

import itertools

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from devices.beamlines.id02 import simulated_id02
from nexus_callbacks import NexusWriter, validate
from plans.demos.saxs import METADATA
from plans.profile_folders import profile_folder
from plans.saxs import saxs_scan


@pytest.fixture
def aborted(tmp_path):
    """The file of a run that was aborted while the sample was exposed."""
    beamline = simulated_id02(tmp_path / "sc4111" / "id02" / "detectors")
    writer = NexusWriter(tmp_path, profile=profile_folder("id02"))
    engine = RunEngine({**METADATA, "dataset": "aborted"})
    engine.preprocessors.append(bpp.SupplementalData(baseline=beamline.baseline))
    engine.subscribe(writer)
    saved = itertools.count(1)

    def pause_at_the_sample(message):
        return (None, bps.pause()) if message.command == "save" and next(saved) == 6 else (None, None)

    plan = saxs_scan(beamline, frames=5, buffers=2, darks=2)
    with pytest.raises(RunEngineInterrupted):
        engine(bpp.plan_mutator(plan, pause_at_the_sample))
    engine.abort()
    writer.close()
    (path,) = writer.files.values()
    return path


def test_a_run_without_a_curve_does_not_claim_to_hold_one(aborted):
    report = validate(aborted)
    assert [str(each) for each in report.errors] == []
    with h5py.File(aborted) as file:
        assert file.attrs["state"] == "complete"
        assert file["entry/bluesky/exit_status"].asstr()[()] == "abort"
        assert file["entry/definition"].asstr()[()] == "NXsas"
        assert "definition" not in file["entry/reduced"]
        assert "sasdata" not in file["entry/reduced"]
        assert file["entry"].attrs["default"] == "data"
