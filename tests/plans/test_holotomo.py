"""A holo-tomography that goes wrong; one that goes well is in the demo's tests."""

import h5py
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.beamlines.id16a import light_grain, simulated_id16a
from nexus_callbacks import NexusWriter
from nexus_callbacks.techniques import definition_path
from plans.datasets import NumberedDatasets, sample_folder
from plans.demos.holotomo import METADATA
from plans.holotomo import holotomo_scan
from plans.profile_folders import profile_folder

PLANES = (60.0, 62.5, 72.0, 96.0)
SMALL = {"projections": 12, "ref_on": 6, "darks": 3, "flats": 2}
FRAMES = 3 + 3 * 2 + 12


def aborted(folder, plan, beamline):
    """The files of a plan that raises."""
    engine = RunEngine(METADATA)
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    engine.preprocessors.append(NumberedDatasets(engine.md, sample_folder(folder)))
    with NexusWriter(folder, profile=profile_folder("id16a"), journal=False) as writer:
        engine.subscribe(writer)
        with pytest.raises(RuntimeError, match="no more frames"):
            engine(plan)
        return list(writer.files.values())


def test_a_plane_that_fails_leaves_those_before_it_complete(tmp_path):
    beamline = simulated_id16a(tmp_path / "detectors", sample=light_grain)
    exposures = []
    trigger = beamline.camera.trigger

    def failing():
        exposures.append(1)
        if len(exposures) > FRAMES + 5:
            raise RuntimeError("no more frames")
        return trigger()

    beamline.camera.trigger = failing
    files = aborted(tmp_path, holotomo_scan(beamline, planes=PLANES, **SMALL), beamline)
    assert [path.name for path in files] == ["Al_C_grain_150nm_holo_0001.h5"] * 2

    assert beamline.sx.position == 20.0
    with h5py.File(files[0]) as file:
        assert file["entry/bluesky/exit_status"][()] == b"success"
        assert file["entry/instrument/detector/data"].shape[0] == FRAMES
        assert file["entry_0002/bluesky/exit_status"][()] == b"fail"
        assert file["entry_0002/instrument/detector/data"].shape[0] == 5
        assert "entry_0003" not in file


def test_every_fault_is_told_before_anything_moves(tmp_path):
    beamline = simulated_id16a(tmp_path)
    for planes, part in (
        ((), "give one to 4, not 0"),
        ((60, 61, 62, 63, 64), "give one to 4, not 5"),
        ((60, 60), "one is given twice"),
        ((60, 999), "sx: 999"),
        ((60, float("nan")), "plane 2 must be a finite number"),
    ):
        with pytest.raises(ValueError, match=part):
            list(holotomo_scan(beamline, planes=planes))
    with pytest.raises(ValueError, match="projections must be at least 1"):
        list(holotomo_scan(beamline, projections=0))
    with pytest.raises(ValueError, match="must not both be 0"):
        list(holotomo_scan(beamline, z_step=0.0))
    assert beamline.sx.position == 20.0


def test_an_nxtomo_of_a_plane_is_the_same_as_any_other():
    """The shape of an entry stands in both definitions, as XML has no way to include one in the other."""
    tomo, holotomo = (definition_path(name).read_text(encoding="utf-8") for name in ("tomo", "holotomo"))
    body = tomo[tomo.index("<group groupName") : tomo.rindex("</group>")].rstrip()
    assert holotomo[holotomo.index("<group groupName") :].startswith(body)
