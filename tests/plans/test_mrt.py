"""An irradiation, and the file that it leaves."""

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.beamlines.id17 import simulated_id17
from devices.signals import signals_of
from nexus_callbacks import NexusWriter
from plans.mrt import mrt_irradiation
from plans.profile_folders import profile_folder

MD = {"proposal": "md1", "beamline": "id17", "sample": "water", "dataset": "a"}


@pytest.fixture
def beamline(tmp_path):
    return simulated_id17(tmp_path, clock=lambda: 0.0)


@pytest.fixture
def irradiate(beamline, tmp_path):
    """Irradiate and return the open file."""
    writer = NexusWriter(tmp_path, profile=profile_folder("id17"), signals=signals_of(*beamline.devices))
    engine = RunEngine(dict(MD))
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    engine.subscribe(writer)
    opened = []

    def run(**given):
        (uid,) = engine(mrt_irradiation(beamline, **given))
        writer.wait()
        opened.append(h5py.File(writer.files[uid], "r"))
        return opened[-1]

    yield run
    for file in opened:
        file.close()
    writer.close()


def test_esrfs_group_and_the_talks_hold_the_same(irradiate):
    file = irradiate(dose=200.0, ctc_n=2, ctc_spacing=200.0, cross_n=1)

    esrf, talk = file["/entry/MRT"], file["/entry/mrt"]
    assert len(esrf) == 22, "every variable of ESRF's group has a value"
    assert len(talk) == 20, "and so has every one of the talk's 19, beside the spacing of the slits"
    assert (talk["ctc_spacing"][()], talk["ctc_spacing"].attrs["units"]) == (200.0, "μm")
    assert talk["ctc_motor"][()] == b"gonioy"
    assert esrf["IC01"][()] == talk["IC01"][()] == file["/entry/control/data"][-1]
    assert "definition" not in file["/entry"], "no application definition fits"


def test_the_sample_gets_the_dose_that_was_planned(irradiate, beamline):
    file = irradiate(dose=200.0, cross_n=1)

    dose = file["/entry/film/dose"]
    assert dose.shape == (1, 480, 480)
    assert dose.attrs["units"] == "Gy"
    assert dose[0, 0].max() == pytest.approx(200.0, rel=0.01)
    np.testing.assert_array_equal(file["/entry/film/x"], beamline.film.film.axis)
    assert file["/entry"].attrs["default"] == "film"


def test_a_higher_dose_takes_a_slower_goniometer(irradiate):
    slow, fast = irradiate(dose=800.0, cross_n=1), irradiate(dose=400.0, cross_n=1)

    assert 2 * slow["/entry/MRT/expoSpeed"][()] == pytest.approx(fast["/entry/MRT/expoSpeed"][()])


def test_a_second_pass_lays_microbeams_between_microbeams(irradiate):
    file = irradiate(ctc_n=2, ctc_spacing=200.0, cross_n=1)

    row = file["/entry/film/dose"][0, 0]
    x = file["/entry/film/x"][()]
    first, between = (row[np.abs(np.abs(x) - place) < 0.02].max() for place in (0.2, 0.0))
    assert between == pytest.approx(first, rel=0.05)


def test_all_is_as_before_when_it_ends(irradiate, beamline):
    beamline.gonioy.set(1.5).wait(1)
    irradiate(cross_n=2, interlaced_offset=100.0)

    assert (beamline.gonioy.position, beamline.gonior.position) == (1.5, 0.0)
    assert not beamline.shutter.is_open
    assert beamline.gonioz.velocity.get() == 1.0


def test_the_shutter_is_closed_if_it_fails(beamline):
    def fail(name, doc):
        if name == "event" and doc["seq_num"] == 3:
            raise RuntimeError("a callback that fails")

    engine = RunEngine({})
    engine.subscribe(fail)
    with pytest.raises(RuntimeError, match="a callback that fails"):
        engine(mrt_irradiation(beamline))
    assert not beamline.shutter.is_open


def test_every_fault_of_the_parameters_is_told_before_anything_moves(beamline):
    with pytest.raises(ValueError, match=r"points must be .* dose must be a finite number"):
        RunEngine({})(mrt_irradiation(beamline, points=1, dose=float("nan")))
    with pytest.raises(ValueError, match=r"gonioz: -60.0 is not within .* prescription_dose"):
        RunEngine({})(mrt_irradiation(beamline, z_start=-60.0, dose=1e5))
    assert beamline.gonioz.position == -10.0
