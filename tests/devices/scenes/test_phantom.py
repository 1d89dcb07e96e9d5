import numpy as np
import pytest

from devices.detectors import Exposure
from devices.scenes.phantom import Ellipsoid, Phantom, gold_in_iron
from devices.scenes.tomography import Pose, Scene

WIDTH = 6.4e-3  # mm
PIXEL = WIDTH / 128
T = (np.arange(128) - 63.5) * PIXEL


def test_a_ray_through_the_middle_of_a_sphere_crosses_its_diameter():
    sphere = Phantom((Ellipsoid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), 0.0, 3.0),))

    absorbed = sphere.absorbed(0.7, np.array([0.0, 1.0, 2.5]), np.array([0.0]))

    np.testing.assert_allclose(absorbed, [[12.0, 6 * np.sqrt(3), 0.0]])


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, 2.5])
def test_the_shadow_is_the_sum_along_the_rays_of_the_volume(angle):
    """Against a ray tracer that knows only the bodies' equations."""
    phantom = gold_in_iron(1, WIDTH)
    z, t = 0.4e-3, 0.9e-3
    along = np.linspace(-WIDTH, WIDTH, 40001)
    x = t * np.cos(angle) - along * np.sin(angle)
    y = t * np.sin(angle) + along * np.cos(angle)
    density = np.zeros_like(along)
    for body in phantom.bodies:
        dx, dy, dz = x - body.centre[0], y - body.centre[1], z - body.centre[2]
        u = dx * np.cos(body.angle) + dy * np.sin(body.angle)
        v = -dx * np.sin(body.angle) + dy * np.cos(body.angle)
        a, b, c = body.axes
        density += body.absorption * ((u / a) ** 2 + (v / b) ** 2 + (dz / c) ** 2 < 1)
    expected = density.sum() * (along[1] - along[0])

    assert phantom.absorbed(angle, np.array([t]), np.array([z]))[0, 0] == pytest.approx(expected, rel=2e-3)


def test_the_mass_of_a_section_is_that_of_its_shadow():
    phantom = gold_in_iron(3, WIDTH)

    section = phantom.section(0.0, PIXEL).sum() * PIXEL**2
    shadow = phantom.absorbed(1.1, T, np.array([0.0])).sum() * PIXEL

    assert shadow == pytest.approx(section, rel=5e-3)


def test_the_sample_has_no_negative_density_and_stays_in_view():
    phantom = gold_in_iron(2015, WIDTH)

    volume = phantom.volume(PIXEL)

    assert volume.shape == (128, 128, 128)
    assert volume.min() > -1e-9
    for angle in np.linspace(0, np.pi, 7):
        edges = phantom.absorbed(angle, T, T)
        assert edges[[0, -1]].max() == 0
        assert edges[:, [0, -1]].max() == 0


def test_the_same_seed_gives_the_same_sample():
    assert gold_in_iron(5, WIDTH) == gold_in_iron(5, WIDTH)
    assert gold_in_iron(5, WIDTH) != gold_in_iron(6, WIDTH)


def frames_of(pose, seed=0):
    scene = Scene(gold_in_iron(1, WIDTH), lambda: pose, np.random.default_rng(seed))
    return scene(Exposure(0.1, (128, 128))).astype(float)


def test_a_closed_shutter_leaves_the_dark():
    dark = frames_of(Pose(0.0, 0.0, 0.0, PIXEL, beam=0.0))

    assert dark.mean() == pytest.approx(100.5, abs=0.2)
    assert dark.std() == pytest.approx(3.0, abs=0.2)


def test_a_sample_moved_out_leaves_the_flat():
    away = frames_of(Pose(0.0, -0.3, 0.0, PIXEL, beam=1.0))
    empty = Scene(Phantom(()), lambda: Pose(0.0, 0.0, 0.0, PIXEL, beam=1.0), np.random.default_rng(0))

    np.testing.assert_array_equal(away, empty(Exposure(0.1, (128, 128))))


def test_a_frame_over_a_flat_is_beers_law_within_the_photon_noise():
    inside, away = Pose(30.0, 0.0, 0.0, PIXEL, 1.0), Pose(30.0, -0.3, 0.0, PIXEL, 1.0)
    poses = iter([away, inside])
    scene = Scene(gold_in_iron(1, WIDTH), lambda: next(poses), np.random.default_rng(0))

    flat, frame = (scene(Exposure(0.1, (128, 128))) - 100.5 for _ in range(2))
    measured = frame / flat
    expected = np.exp(-scene.absorbed(inside))

    noise = np.sqrt(expected * (1 + expected) / flat)
    assert ((measured - expected) / noise).std() == pytest.approx(1.0, abs=0.05)


def test_counts_follow_the_machine_current():
    full, half = (frames_of(Pose(0.0, -0.3, 0.0, PIXEL, beam=beam)).mean() - 100.5 for beam in (1.0, 0.5))

    assert half / full == pytest.approx(0.5, abs=1e-3)


def test_moving_the_sample_moves_its_shadow():
    scene = Scene(gold_in_iron(1, WIDTH), lambda: None, np.random.default_rng(0))
    here = scene.absorbed(Pose(10.0, 0.0, 0.0, PIXEL, 1.0))
    right_and_up = scene.absorbed(Pose(10.0, 3 * PIXEL, 2 * PIXEL, PIXEL, 1.0))

    np.testing.assert_allclose(right_and_up[:-2, 3:], here[2:, :-3], atol=1e-9)
