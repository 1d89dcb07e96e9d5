import numpy as np
import pytest

from devices.scenes.nanobeam import Film, Nanobeam, Optics, deflections, focus, gold_film

OPTICS = Optics(wavelength=0.9537e-10, distance=1.5, pixel=75e-6, size=64)


def one_grain(strain=0.0, tilt=0.0):
    """A film whose only grains are one under the beam and one far away."""
    return Film(
        seeds=np.array([[0.0, 0.0], [50.0, 50.0]]),
        strains=np.array([strain, 0.0]),
        tilts=np.array([tilt, 0.0]),
        phases=np.zeros(2),
        particles=np.array([[1.0, 0.5, 0.2, 40.0]]),
    )


def middle(film):
    """Row and column of the peak's centre of mass, from the middle of the frame."""
    frame = Nanobeam(film, OPTICS, np.random.default_rng(1)).frame(0.0, 0.0, 1e11).astype(float)
    rows, columns = np.indices(frame.shape)
    return np.array([(frame * rows).sum(), (frame * columns).sum()]) / frame.sum() - 32


def test_strain_lowers_the_scattering_angle_by_braggs_law():
    """Larger spacing, smaller 2θ: the peak falls on a lower row, which has a higher number."""
    spacing = 2.3545 * (1 + 4e-4)
    two_theta = 2 * np.arcsin(0.9537 / (2 * spacing)) - 2 * OPTICS.bragg
    expected = -two_theta * OPTICS.distance / OPTICS.pixel

    moved = middle(one_grain(strain=4e-4)) - middle(one_grain())
    assert moved[0] == pytest.approx(expected, rel=0.05)
    assert expected > 3
    assert moved[1] == pytest.approx(0, abs=0.1)


def test_tilt_turns_the_beam_sideways():
    moved = middle(one_grain(tilt=5e-4)) - middle(one_grain())

    across, up = deflections(np.array(0.0), np.array(5e-4), OPTICS.bragg)
    assert up == 0
    # +x is to the left.
    assert moved[1] == pytest.approx(-float(across) * OPTICS.distance / OPTICS.pixel, rel=0.05)
    assert moved[0] == pytest.approx(0, abs=0.1)


def test_a_frame_follows_the_photons():
    beam = Nanobeam(one_grain(), OPTICS, np.random.default_rng(1))

    assert beam.frame(0, 0, 2e10).sum() == pytest.approx(2 * beam.frame(0, 0, 1e10).sum(), rel=0.01)
    assert not beam.frame(0, 0, 0.0).any()


def test_behind_the_focus_the_spot_is_larger():
    at = np.abs(focus(Optics(0.9537e-10, 1.5, 75e-6, 64, defocus=0.0))) ** 2
    behind = np.abs(focus(OPTICS)) ** 2

    assert at.sum() == pytest.approx(1)
    assert behind.sum() == pytest.approx(1)
    assert behind.max() < at.max() / 3


def test_an_element_is_where_it_lies():
    beam = Nanobeam(one_grain(), OPTICS, np.random.default_rng(1))

    assert beam.density("Fe", 1.0, 0.5) > 10
    assert beam.density("Fe", -1.0, 0.5) == 0
    # 100 nm of gold are 193 μg/cm².
    assert beam.film.density("Au", np.zeros(1), np.zeros(1))[0] == pytest.approx(193.2, rel=0.01)
    with pytest.raises(ValueError, match="no Pb"):
        beam.density("Pb", 0.0, 0.0)


def test_the_same_seed_gives_the_same_film():
    for each in ("seeds", "strains", "tilts", "phases", "particles"):
        np.testing.assert_array_equal(getattr(gold_film(5), each), getattr(gold_film(5), each))
    assert (gold_film(5).strains != gold_film(6).strains).all()
