import numpy as np
import pytest

from devices.scenes.fluorescence import ELEMENTS, Detector, Fluorescence


@pytest.fixture
def scene():
    return Fluorescence(Detector(), 13_000.0)


def test_an_element_shows_its_strongest_line_where_the_table_has_it(scene):
    empty = scene.expected({}, 1e9)
    for symbol, element in ELEMENTS.items():
        counts = scene.expected({symbol: 10.0}, 1e9) - empty
        top = scene.detector.energies[np.argmax(counts)]
        # Kα1 and Kα2 are not resolved: the peak is between them.
        assert element.lines[0][1] - 20 < top < element.lines[0][1] + 10, symbol


def test_counts_follow_density_and_photons(scene):
    empty = scene.expected({}, 1e9)
    one = scene.expected({"Fe": 1.0}, 1e9) - empty

    np.testing.assert_allclose(scene.expected({"Fe": 7.0}, 1e9) - empty, 7 * one, atol=1e-9)
    np.testing.assert_allclose(scene.expected({"Fe": 7.0}, 2e9), 2 * scene.expected({"Fe": 7.0}, 1e9))
    # 25 cm²/g of iron at 13 keV, into 0.005 of 4π sr.
    assert one.sum() == pytest.approx(1e9 * 25.1e-6 * 0.005 / (4 * np.pi), rel=0.01)


def test_below_its_edge_an_element_is_dark():
    scene = Fluorescence(Detector(), 8_500.0)

    np.testing.assert_array_equal(scene.expected({"Cu": 50.0, "Au": 50.0}, 1e9), scene.expected({}, 1e9))


def test_lines_are_as_wide_as_those_of_a_silicon_detector():
    detector = Detector()
    counts = detector.peak(5898.75)

    above = detector.energies[counts > counts.max() / 2]
    assert counts.sum() == pytest.approx(1)
    assert detector.width(5898.75) == pytest.approx(142, abs=1), "eV, of manganese's Kα"
    assert np.ptp(above) == pytest.approx(142, abs=2 * detector.gain)


def test_the_beam_itself_is_seen_with_its_compton_peak_below_it(scene):
    counts = scene.expected({}, 1e12)
    energies = scene.detector.energies

    assert counts[np.abs(energies - 12_677) < 30].max() > counts[np.abs(energies - 13_000) < 30].max()
    assert counts[energies > 13_600].max() < 1e-6 * counts.max()
