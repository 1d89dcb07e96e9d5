import numpy as np
import pytest

from devices.scenes.spheres import Camera, Spheres, amplitude

FIRST_ZERO = 4.493409457909064  # tan x = x


def test_the_form_factor_is_rayleighs():
    assert amplitude(np.array([0.0])) == pytest.approx(1, abs=1e-5)
    assert amplitude(np.array([FIRST_ZERO])) == pytest.approx(0, abs=1e-12)


def test_the_forward_scattering_is_contrast_squared_times_volume():
    spheres = Spheres(radius=10.0, spread=1e-6, fraction=0.01, contrast=1e11)
    volume = 4 / 3 * np.pi * (10e-7) ** 3  # cm³
    assert spheres.cross_section(np.array(0.0)) == pytest.approx(0.01 * volume * 1e22, rel=1e-4)


def test_guiniers_law_holds_at_small_angles():
    spheres = Spheres()
    q = np.linspace(1e-3, 0.3 / spheres.gyration, 20)
    slope = np.polyfit(q**2, np.log(spheres.cross_section(q)), 1)[0]
    assert np.sqrt(-3 * slope) == pytest.approx(spheres.gyration, rel=0.005)


def test_porods_law_holds_at_large_angles():
    """q⁴ I → 2π Δρ² S/V, with S/V = 3 φ <r²>/<r³>, on average over the ripples."""
    spheres = Spheres(spread=0.1)
    q = np.linspace(2.0, 6.0, 20_001)
    radii, share = spheres.radii()
    surface = 3 * spheres.fraction * (share @ radii**2) / (share @ radii**3) * 1e7  # 1/cm
    mean = (spheres.cross_section(q) * (q * 1e7) ** 4).mean()
    assert mean == pytest.approx(2 * np.pi * spheres.contrast**2 * surface, rel=0.02)


def test_a_pixel_off_the_axis_sees_braggs_q():
    camera = Camera((1, 3), 1.0, 1000.0, (0.5, 0.5), 1.0, 0.0, 0.0)
    angle = np.arctan(2 / 1000)
    assert camera.q()[0, 0] == pytest.approx(0, abs=1e-12)
    assert camera.q()[0, 2] == pytest.approx(4 * np.pi / 0.1 * np.sin(angle / 2))
    assert camera.solid_angle()[0, 0] == pytest.approx(1e-6)
