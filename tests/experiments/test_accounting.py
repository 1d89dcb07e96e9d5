"""What the file says of itself is held against what is in it: types, units, frames, mandatory values."""

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from ophyd import Signal

from devices.beamlines.id16a import simulated_id16a
from devices.detectors import FrameCamera
from devices.signals import signals_of
from nexus_callbacks import NexusWriter, validate
from plans.profile_folders import profile_folder
from plans.tomo import tomo_scan

MD = {"proposal": "ma1", "beamline": "id16a", "sample": "grain", "dataset": "a"}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Dataset file and camera's file of a small tomography."""
    folder = tmp_path_factory.mktemp("accounting")
    beamline = simulated_id16a(folder / "ma1" / "id16a" / "detectors", clock=lambda: 0.0)
    writer = NexusWriter(folder, profile=profile_folder("id16a"), signals=signals_of(*beamline.devices))
    engine = RunEngine(dict(MD))
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    engine.subscribe(writer)
    (uid,) = engine(tomo_scan(beamline, projections=4, ref_on=4, darks=1, flats=1))
    writer.close()
    return writer.files[uid], beamline.camera.files[0]


@pytest.fixture
def copy(scanned, tmp_path):
    """The same, to be spoilt: a copy of the whole experiment."""
    dataset, camera = scanned
    root = camera.parents[3]
    for path in (dataset, camera):
        target = tmp_path / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path / dataset.relative_to(root), tmp_path / camera.relative_to(root)


def said(path, severity="error"):
    return [f"{f.path}: {f.message}" for f in validate(path).findings if f.severity == severity]


def test_a_good_file_has_nothing_against_it(scanned):
    assert said(scanned[0]) == said(scanned[0], "warning") == []


@pytest.mark.unreadable("it is spoilt")
def test_frames_that_are_fewer_than_the_detector_told_of_are_an_error(copy):
    dataset, camera = copy
    with h5py.File(camera, "r+") as file:
        file["/entry/data/data"].resize(5, axis=0)

    assert "/entry/instrument/detector/data: holds 5 frames, the detector told of 7" in said(dataset)


@pytest.mark.unreadable("it is spoilt")
def test_a_number_that_became_a_text_is_an_error(copy):
    dataset, _ = copy
    with h5py.File(dataset, "r+") as file:
        del file["/entry/instrument/monochromator/energy"]
        file["/entry/instrument/monochromator/energy"] = "17.05 keV"

    message = "InstrumentMonochromator_energy is no number, as the definition says (NX_NUMBER)"
    assert f"/entry/instrument/monochromator/energy: {message}" in said(dataset)


@pytest.mark.unreadable("it is spoilt")
def test_units_that_were_lost_or_changed_are_an_error(copy):
    dataset, _ = copy
    with h5py.File(dataset, "r+") as file:
        file["/entry/instrument/source/current"].attrs["units"] = "deg"
        del file["/entry/instrument/monochromator/energy"].attrs["units"]

    told = said(dataset)
    assert any(
        "InstrumentSource_current has the units 'deg', which are not of the kind of 'mA'" in each for each in told
    )
    assert any("InstrumentMonochromator_energy has lost its units: they were 'keV'" in each for each in told)


@pytest.mark.unreadable("it is spoilt")
def test_a_mandatory_value_that_was_deleted_is_an_error_with_a_remedy(copy):
    dataset, _ = copy
    with h5py.File(dataset, "r+") as file:
        del file["/entry/sample/name"]

    found = next(f for f in validate(dataset).errors if f.message == "the mandatory Sample_name is missing")
    assert found.path == "/entry/sample/name"
    assert "profile" in found.remedy


@pytest.mark.unreadable("it has no frames")
def test_frames_that_are_nowhere_are_a_warning_with_the_way_to_mend_it(RE, tmp_path):
    camera = FrameCamera(
        name="camera", directory=tmp_path / "frames", image=lambda e: np.ones(e.shape, "u2"), shape=(4, 5)
    )
    RE.subscribe(lambda name, doc: camera.files[0].unlink(), "stop")
    writer = NexusWriter(tmp_path)
    RE.subscribe(writer)
    (uid,) = RE(bp.count([camera], 3))
    writer.close()

    warnings = [f for f in validate(writer.files[uid]).warnings if "frames were announced" in f.message]
    assert [f.message for f in warnings] == ["3 frames were announced, none of them is here"]
    assert "relink" in warnings[0].remedy


@pytest.mark.unreadable("a mandatory value is missing")
def test_a_run_that_lost_a_mandatory_value_says_so_once_with_the_reason(tmp_path, caplog):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "own.xml").write_text(
        '<group groupName="${entry}" NX_class="NXentry">\n'
        '<energy NAPItype="NX_NUMBER" ESRF_mandatory="Mandatory" units="keV">${energy}</energy>\n'
        '<shift ESRF_mandatory="Mandatory">${shift}</shift>\n</group>\n'
    )
    text = "beamline: id16a\ndefinitions: [own]\nfrom_plan: [shift]\nconstants: {energy: 17}\n"
    (tmp_path / "profile.yml").write_text(text)
    engine = RunEngine()
    with NexusWriter(tmp_path / "data", profile=tmp_path) as writer:
        engine.subscribe(writer)
        engine(bp.count([Signal(name="counts", value=1)]), shift="night")
        writer.wait()
        assert "mandatory" not in caplog.text
        (uid,) = engine(bp.count([Signal(name="counts", value=1)]))
        writer.wait()
    (told,) = [record.getMessage() for record in caplog.records if "mandatory" in record.getMessage()]
    where = f"(see nexus-callbacks coverage {writer.files[uid]})"
    assert f"lacks mandatory values: shift: the start document has no 'shift' {where}" in told


@pytest.mark.unreadable("mandatory values are missing")
def test_a_missing_value_is_told_with_the_reason_and_by_the_name_that_the_profile_has(tmp_path):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "refl.xml").write_text(
        '<group groupName="${entry}" NX_class="NXentry">\n<shift ESRF_mandatory="Mandatory">${shift}</shift>\n'
        '<slot ESRF_mandatory="Mandatory">${slot}</slot>\n</group>\n'
    )
    (tmp_path / "definitions" / "first.xml").write_text('<group groupName="${entry}" NX_class="NXentry"/>')
    (tmp_path / "profile.yml").write_text("definitions: [base]\ntechniques: {first: , refl: {shift: start:shift}}\n")
    engine = RunEngine()
    with NexusWriter(tmp_path / "data", profile=tmp_path) as writer:
        engine.subscribe(writer)
        (uid,) = engine(bp.count([Signal(name="counts", value=1)]), technique=["first", "refl"])
    found = {each.path: each for each in validate(writer.files[uid]).errors}
    shift, slot = found["/entry/refl/shift"], found["/entry/refl/slot"]
    assert shift.message == "the mandatory shift is missing: the start document has no 'shift'"
    assert shift.remedy.startswith("shift is bound in the beamline's profile")
    assert slot.remedy == "bind slot in the beamline's profile, under 'techniques: refl:'"
