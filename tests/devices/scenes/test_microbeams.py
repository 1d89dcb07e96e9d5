import numpy as np
import pytest

from devices.scenes.microbeams import ATTENUATION, Collimator, Film

COLLIMATOR = Collimator(width=0.05, spacing=0.4, beams=20, scattered=0.04)


def test_the_middle_of_a_beam_has_the_dose_and_the_middle_between_the_scattered_share():
    peaks, valleys = np.array([-0.2, 0.2, 3.8]), np.array([0.0, 0.4, -3.6])

    assert COLLIMATOR.profile(peaks) == pytest.approx(1, abs=1e-3)
    assert COLLIMATOR.profile(valleys) == pytest.approx(0.04, abs=1e-3)


def test_an_odd_array_has_a_beam_in_its_middle():
    assert Collimator(0.05, 0.4, 5, 0.04).profile(np.array([0.0])) == pytest.approx(1, abs=1e-3)


def test_there_is_nothing_beside_the_array():
    assert COLLIMATOR.profile(np.array([-4.1, 4.1])).tolist() == [0, 0]


def test_water_weakens_the_beams_on_their_way():
    film = Film(size=12.0, pixels=480)
    film.expose(COLLIMATOR, 100.0, across=0.0, angle=0.0)

    column = film.dose[:, np.argmax(film.dose[0])]
    assert column[-1] / column[0] == pytest.approx(np.exp(-ATTENUATION * 12), rel=1e-2)


def test_a_turned_sample_is_met_from_the_side():
    film, turned = Film(pixels=120), Film(pixels=120)
    film.expose(COLLIMATOR, 100.0, across=0.0, angle=0.0)
    turned.expose(COLLIMATOR, 100.0, across=0.0, angle=90.0)

    np.testing.assert_allclose(turned.dose, film.dose.T[:, ::-1], atol=1e-9)
