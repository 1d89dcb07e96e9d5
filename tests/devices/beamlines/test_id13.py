import numpy as np
import pytest

from devices.beamlines.id13 import simulated_id13


@pytest.fixture
def id13(tmp_path):
    return simulated_id13(tmp_path, seed=3, clock=lambda: 0.0)


def test_with_the_shutter_closed_nothing_is_counted(id13):
    id13.xrf.trigger().wait(1)
    id13.diodes.trigger().wait(1)

    assert id13.xrf.read()["xrf_total"]["value"] == 0
    assert id13.diodes.read()["diodes_i0"]["value"] == 0


def test_the_counts_of_an_element_are_those_of_its_window(id13):
    id13.shutter.set("open").wait(1)
    id13.xrf.trigger().wait(1)

    read = {key: each["value"] for key, each in id13.xrf.read().items()}
    energy = id13.xrf.read_configuration()["xrf_energy"]["value"]
    gold = read["xrf_spectrum"][np.abs(energy - 9.713) < 0.14]
    assert read["xrf_total"] == read["xrf_spectrum"].sum()
    assert read["xrf_Au"] == pytest.approx(gold.sum(), rel=0.2)
    assert read["xrf_live_time"] == 0.05
    assert energy[1] - energy[0] == pytest.approx(0.015)
    assert id13.xrf.read_configuration()["xrf_calibration"]["value"] == "0.02 0.015 0"


def test_the_sample_passes_most_of_the_beam(id13):
    id13.shutter.set("open").wait(1)
    id13.diodes.trigger().wait(1)

    read = {key: each["value"] for key, each in id13.diodes.read().items()}
    assert 0.9 < read["diodes_it"] / read["diodes_i0"] < 1
    assert read["diodes_i0"] == pytest.approx(0.05 * read["diodes_i0_flux"], rel=1e-6)


def test_the_stage_says_where_the_sample_is(id13):
    id13.nnp2.set(1.5).wait(1)
    id13.nnp3.set(-0.5).wait(1)

    key = id13.stage.describe()["stage_translation"]
    assert (key["shape"], key["units"], key["dtype_numpy"]) == ([3], "um", "<f8")
    np.testing.assert_array_equal(id13.stage.read()["stage_translation"]["value"], [1.5, -0.5, 0])


def test_the_detector_stands_at_the_bragg_peak_of_gold(id13):
    wavelength = id13.front.mono.wavelength.get()

    assert 2 * 2.3545 * np.sin(np.deg2rad(id13.arm.two_theta.get() / 2)) == pytest.approx(wavelength, rel=1e-5)
    assert id13.focus.detector_distance.get() - id13.arm.distance.get() == pytest.approx(-id13.focus.distance.get())
