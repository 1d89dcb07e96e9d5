"""Metadata collected under an older definition regenerates under ESRF's latest: runs and profiles of then, replayed."""

import gzip
import json
from pathlib import Path

import bluesky.plans as bp
import h5py
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from ophyd import Signal

from devices.quantity import Quantity
from nexus_callbacks.beamline import renames
from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.layout import coverage
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.replay import replay

OLD = Path(__file__).parents[1] / "nexus_callbacks" / "definitions" / "esrf"
OF_THE_RELEASES = """
beamline: id16a
timezone: Europe/Paris
definitions: [esrf]
constants:
  TOMO_ccdPixelSize: 6.5
  TOMO_scintillator: GGG
  TOMO_halfAcquisition: 1.0
  TOMO_ccdMode: FTM
from_plan: [TOMO_projN, TOMO_exposureTime, TOMO_x_volume]
values:
  TOMO_energy: data:energy
  HOLO_pixelSize: {from: const:0.025, unit: um}
"""

OF_THE_TALK = """
beamline: id16a
timezone: Europe/Paris
definitions: [esrf]
constants:
  machineMode: 7/8 multibunch
  gonioz_start: 3
  beamHeight: 0.5
  sampleMatrix: 1 0 0
from_plan: [tomo_N, scanDuration]
values:
  sampleName: start:specimen
  machineCurrentStart: data:current
  machineCurrentStop: data:current
  energy: data:energy
lists:
  sample_motors: {E: data:energy, I: data:current}
"""

OF_TODAY = """
beamline: id16a
timezone: Europe/Paris
definitions: [esrf]
from_plan: [TOMOAcquisition_proj_n, TOMOAcquisition_exposure_time]
"""


@pytest.fixture(scope="module")
def documents():
    """A run of then, with what its plan told under the names of then."""
    energy, current = (
        Quantity(name="energy", units="eV", value=17_050.0),
        Quantity(name="current", units="mA", value=198.5),
    )
    found = []
    engine = RunEngine()
    engine.preprocessors.append(SupplementalData(baseline=[energy, current]))
    then = {"TOMO_projN": 900, "TOMO_exposureTime": 0.5, "TOMO_ccdFlipHorz": 1, "TOMO_scanTime": 7}
    then |= {"tomo_N": 1200, "scanDuration": 2, "specimen": "Fe_Au_180N"}
    then |= {"proposal": "ma2210", "sample": "unnamed", "dataset": "Fe_Au_180N_RT1_0001"}
    engine(bp.count([Signal(name="counts", value=3)], 1), lambda name, document: found.append((name, document)), **then)
    return found


@pytest.fixture
def replayed(documents, tmp_path):
    """The file of the run under a profile."""

    def write(profile):
        (tmp_path / "profile.yml").write_text(profile)
        (path,) = replay(documents, tmp_path / "data", profile=tmp_path / "profile.yml").values()
        return path

    return write


def test_a_profile_for_release_1_fills_what_the_latest_has_in_its_place(replayed):
    path = replayed(OF_THE_RELEASES)
    with h5py.File(path) as file:
        here = file["entry/TOMO/acquisition"]
        assert here["proj_n"][()] == 900
        assert here["exposure_time"][()] == 0.5
        assert (here["camera_pixel_size"][()], here["camera_pixel_size"].attrs["units"]) == (6.5, "μm")
        assert here["scintillator"].asstr()[()] == "GGG"
        assert here["half_acquisition"][()]
        assert here["energy"][()] == pytest.approx(17.05)
        assert file["entry/HOLO/pixelSize"][()] == pytest.approx(0.025)
        told = json.loads(file["entry/nexus_callbacks/coverage/data"].asstr()[()])["variables"]
    assert told["TOMOAcquisition_proj_n"]["reason"] == "bound as 'TOMO_projN', its name in release 2.0.0"
    assert told["TOMO_ccdMode"]["reason"].endswith("line 9: known from release 2.0.0: a mode of CCD cameras (FTM, FFM)")
    assert not told["TOMO_ccdMode"].get("filled")


def test_a_profile_for_the_talk_fills_what_the_latest_has_in_its_place(replayed):
    path = replayed(OF_THE_TALK)
    with h5py.File(path) as file:
        entry = file["entry"]
        assert entry["sample/name"].asstr()[()] == "Fe_Au_180N", "the profile's old name goes before shipped defaults"
        assert entry["TOMO/acquisition/proj_n"][()] == 1200
        assert (entry["TOMO/acquisition/duration"][()], entry["TOMO/acquisition/duration"].attrs["units"]) == (120, "s")
        assert (entry["MRT/beamHeight"][()], entry["MRT/expoStart"][()]) == (500, 3)
        assert entry["sample/positioners/name"].asstr()[()] == "E I"
        assert entry["sample/positioners/value"].asstr()[()] == "17050 198.5"
        assert entry["instrument/source/mode"].asstr()[()] == "7/8 multibunch"
        assert entry["instrument/source/current_start"][()] == 198.5
        assert entry["instrument/source/current_end"][()] == 198.5
        assert entry["instrument/monochromator/energy"][()] == pytest.approx(17.05)
    (found,) = coverage.read(path).values()
    lost = {outcome.variable: outcome.reason for outcome in found.missing}
    assert lost["sampleMatrix"].endswith("known from the talk: it was not said what matrix that is")


def test_a_start_document_of_then_fills_a_profile_of_today(replayed):
    path = replayed(OF_TODAY)
    with h5py.File(path) as file:
        assert file["entry/TOMO/acquisition/proj_n"][()] == 900
        assert file["entry/TOMO/acquisition/exposure_time"][()] == 0.5
    (found,) = coverage.read(path).values()
    outcomes = {outcome.variable: outcome for outcome in found.outcomes}
    assert outcomes["TOMOAcquisition_proj_n"].origin == "start:TOMO_projN"
    assert "which no binding takes" in outcomes["TOMO_ccdFlipHorz"].reason
    assert "its unit was not said" in outcomes["TOMO_scanTime"].reason
    assert not outcomes["TOMO_scanTime"].filled


def test_the_author_of_the_profile_is_told(tmp_path):
    path = tmp_path / "profile.yml"
    path.write_text(OF_THE_RELEASES)
    told = [remark.removeprefix(f"{path}, ") for remark in Recipes(path).remarks]
    assert (
        "line 6: 'TOMO_ccdPixelSize' of release 2.0.0 is called 'TOMOAcquisition_camera_pixel_size' today, and fills"
        in (told[0].removesuffix(" that"))
    )
    assert "line 9: 'TOMO_ccdMode' fills nothing: known from release 2.0.0: a mode of CCD cameras (FTM, FFM)" in told
    assert "line 13: 'HOLO_pixelSize' is deprecated: bind 'HOLO_pixel_size' instead" in told


@pytest.mark.unreadable("a tomography of which only one column is there")
def test_a_column_under_an_old_name_grows_under_the_new_one(documents, tmp_path):
    (tmp_path / "profile.yml").write_text(
        "definitions: [esrf]\ntechniques: {tomo: {frames: data:none, TOMO_vacuumValue: data:counts}}\n"
    )
    changed = [(n, {**d, "technique": "tomo"} if n == "start" else d) for n, d in documents]
    (path,) = replay(changed, tmp_path / "data", profile=tmp_path / "profile.yml").values()
    with h5py.File(path) as file:
        assert file["entry/TOMO/vacuum_value"][()].tolist() == [3]


def test_a_name_that_nobody_ever_had_is_still_a_fault(tmp_path):
    (tmp_path / "profile.yml").write_text("definitions: [esrf]\nconstants: {TOMO_projn: 3}\n")
    with pytest.raises(ValueError, match="unknown variable 'TOMO_projn'"):
        Recipes(tmp_path)


@pytest.mark.unreadable(
    "every variable of ESRF's file at once: the techniques' groups are of no application definition"
)
@pytest.mark.parametrize("release", ["1.0.0", "3.0.0"])
def test_every_variable_of_an_older_release_is_filled_or_listed(release, documents, tmp_path, esrf):
    old = esrf_xml.reads(gzip.decompress((OLD / f"hdf5_cfg-{release}.xml.gz").read_bytes()), release)
    told = {
        name: "2026-11-22T12:00:00+01:00" if fields[0][1].nx_type == "NX_DATE_TIME" else "1"
        for name, fields in old.variables().items()
    }
    (tmp_path / "profile.yml").write_text(f"definitions: [esrf]\nfrom_plan: {json.dumps(list(told))}\n")
    changed = [(n, {**told, **d} if n == "start" else d) for n, d in documents]
    (path,) = replay(changed, tmp_path / "data", profile=tmp_path / "profile.yml").values()
    (found,) = coverage.read(path).values()
    outcomes = {outcome.variable: outcome for outcome in found.outcomes}
    now = {name: name if name in esrf.variables() else renames.known(name).to or name for name in told}
    assert set(now.values()) <= outcomes.keys()
    lost = {name: outcomes[new].reason for name, new in now.items() if not outcomes[new].filled}
    assert all(lost.values()), "what is not filled has its reason"
    gone = [name for name in lost if name not in esrf.variables()]
    assert sorted(gone) == sorted(name for name in told if name not in esrf.variables() and not renames.known(name).to)
    assert len(found.missing) < len(told) // 50
