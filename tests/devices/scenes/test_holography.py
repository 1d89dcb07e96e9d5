"""Holograms: against what optics says of simple waves."""

import numpy as np
import pytest

from devices.scenes.holography import HologramScene, Refractor, aluminium_in_carbon, propagated
from devices.scenes.materials import ALUMINIUM, CARBON, GOLD, wavelength
from devices.scenes.phantom import Phantom
from devices.scenes.tomography import Pose

PIXEL, ENERGY = 150e-6, 17050.0  # mm, eV
LENGTH = wavelength(ENERGY)


def test_refraction_is_as_tabulated():
    delta = ALUMINIUM.phase(10_000.0) * wavelength(10_000.0) / (2 * np.pi)
    assert delta == pytest.approx(5.46e-6, rel=0.02)  # Henke and others, At. Data Nucl. Data Tables 54, 181 (1993)
    beta = CARBON.absorption(ENERGY) * LENGTH / (4 * np.pi)
    assert CARBON.phase(ENERGY) * LENGTH / (2 * np.pi) / beta == pytest.approx(2000, rel=0.05)
    with pytest.raises(ValueError, match="Au: how many electrons"):
        GOLD.phase(ENERGY)


def test_propagation_keeps_the_energy_and_can_be_undone():
    rng = np.random.default_rng(1)
    wave = np.exp(1j * rng.normal(0, 0.3, (32, 48)))

    there = propagated(wave, PIXEL, 57.0, LENGTH)

    assert (np.abs(there) ** 2).sum() == pytest.approx((np.abs(wave) ** 2).sum())
    assert np.abs(there - wave).max() > 0.1
    np.testing.assert_allclose(propagated(there, PIXEL, -57.0, LENGTH), wave, atol=1e-12)


@pytest.mark.parametrize("distance", [20.0, 57.0, 88.0])
def test_a_weak_grating_has_the_contrast_of_the_transfer_function(distance):
    periods, size, strength = 6, 128, 1e-3
    x = np.arange(size) * PIXEL
    frequency = periods / (size * PIXEL)
    wave = np.exp(1j * strength * np.cos(2 * np.pi * frequency * x)) * np.ones((4, 1))

    seen = np.abs(propagated(wave, PIXEL, distance, LENGTH)) ** 2

    contrast = 2 * np.fft.rfft(seen[0])[periods].real / size
    assert contrast == pytest.approx(2 * strength * np.sin(np.pi * LENGTH * distance * frequency**2), rel=1e-3)


def scene(sample):
    return HologramScene(sample, ENERGY, lambda: Pose(0.0, 0.0, 0.0, PIXEL, 1.0), np.random.default_rng(1))


def test_without_a_distance_only_absorption_is_seen():
    sample = aluminium_in_carbon(3, 0.0106, ENERGY)
    here = Pose(30.0, 0.0, 0.0, PIXEL, 1.0)
    made = scene(sample)

    expected = np.exp(-sample.absorbing.absorbed(np.deg2rad(30.0), *made.rays(here)))
    np.testing.assert_allclose(made.intensity(here), expected, rtol=1e-9)
    far = made.intensity(Pose(30.0, 0.0, 0.0, PIXEL, 1.0, propagation=57.0))
    assert far.std() > 10 * expected.std(), "fringes are much stronger than absorption"
    assert far.mean() == pytest.approx(expected.mean(), rel=0.01)


def test_a_sample_out_of_the_beam_leaves_it_empty():
    sample = aluminium_in_carbon(3, 0.0106, ENERGY)
    assert (scene(sample).intensity(Pose(0.0, 0.0, -0.3, PIXEL, 1.0, propagation=57.0)) == 1).all()
    nothing = Refractor(Phantom(()), Phantom(()))
    assert (scene(nothing).intensity(Pose(0.0, 0.0, 0.0, PIXEL, 1.0, propagation=57.0)) == 1).all()
