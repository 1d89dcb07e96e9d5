"""Ewald's construction against what is known of it."""

import numpy as np
import pytest

from devices.beamlines.id30 import LYSOZYME, screw
from devices.detectors import Exposure
from devices.scenes.crystal import Crystal, Lattice, Pose, Scene, View, random_orientation, rotation, spots

VIEW = View(wavelength=1.0, distance=100.0, centre=(20.0, 18.0), pixel=0.1, shape=(400, 400), axis=(-1.0, 0.0, 0.0))


def everything(hkl):
    return np.ones(len(hkl), dtype=bool)


SKEW = Lattice((50.0, 60.0, 70.0), (80.0, 95.0, 110.0), everything)


def test_b_is_the_matrix_of_the_cell():
    axes = np.linalg.inv(SKEW.b_matrix())
    metric = axes @ axes.T

    np.testing.assert_allclose(np.sqrt(np.diag(metric)), SKEW.lengths)
    cosines = [metric[1, 2] / (60 * 70), metric[0, 2] / (50 * 70), metric[0, 1] / (50 * 60)]
    np.testing.assert_allclose(np.rad2deg(np.arccos(cosines)), SKEW.angles)
    np.testing.assert_allclose(np.tril(SKEW.b_matrix(), -1), 0, atol=1e-12)  # Busing and Levy's choice of axes.


def test_a_rotation_turns_by_the_right_hand():
    np.testing.assert_allclose(rotation((0, 0, 2), 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    turned = random_orientation(np.random.default_rng(1))
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turned) == pytest.approx(1)


def test_every_spot_obeys_bragg():
    crystal = Crystal(SKEW, random_orientation(np.random.default_rng(5)))
    seen = spots(crystal, VIEW, 1)

    assert len(seen.hkl) > 1000
    x = 20.0 - (seen.column + 0.5) * 0.1
    y = 18.0 - (seen.row + 0.5) * 0.1
    two_theta = np.arctan2(np.hypot(x, y), 100.0)
    spacing = 1 / np.linalg.norm(seen.hkl @ SKEW.b_matrix().T, axis=1)
    np.testing.assert_allclose(2 * spacing * np.sin(two_theta / 2), 1.0, rtol=1e-9)
    # … and in the direction in which the turned crystal has its reciprocal vector.
    i = int(np.argmax(seen.photons))
    r = rotation(VIEW.axis, seen.omega[i]) @ crystal.ub @ seen.hkl[i]
    outgoing = r + np.array([0, 0, 1])
    np.testing.assert_allclose(outgoing * 100 / outgoing[2], [x[i], y[i], 100.0], rtol=1e-9)


def test_a_grain_beside_the_axis_is_seen_beside_its_place():
    middle = spots(Crystal(SKEW, np.eye(3)), VIEW, 1)
    beside = spots(Crystal(SKEW, np.eye(3), position=(0.5, 0.0, 0.0)), VIEW, 1)

    def places(seen):
        keys = zip(map(tuple, seen.hkl.tolist()), np.round(seen.omega, 6), strict=True)
        return dict(zip(keys, seen.column, strict=True))

    there, here = places(beside), places(middle)
    both = there.keys() & here.keys()
    assert len(both) > 1000
    # Along the spindle nothing turns: half a millimetre to the left is five pixels towards column 0.
    assert {round(there[key] - here[key], 6) for key in both} == {-5.0}


def test_a_thick_sensor_sees_slanting_rays_further_out():
    thin, thick = (
        View(1.0, 100.0, (20.0, 20.0), 0.1, (400, 400)),
        View(1.0, 100.0, (20.0, 20.0), 0.1, (400, 400), sensor=(0.45, 4.0)),
    )
    assert thick.depth(np.array([1.0]))[0] == pytest.approx(0.1609, abs=1e-4)
    assert thin.depth(np.array([1.0]))[0] == 0


def test_the_screw_axes_put_reflections_out():
    there = screw(np.array([[0, 0, 4], [0, 0, 2], [3, 0, 0], [2, 0, 0], [0, 5, 0], [1, 2, 3]]))
    assert there.tolist() == [True, False, False, True, False, True]


def test_a_reflection_is_whole_however_finely_it_is_cut():
    """The photons of a wedge are those of its slices: the rocking curve is cut, not counted twice."""
    crystal = Crystal(LYSOZYME, random_orientation(np.random.default_rng(2)), scattering=1e4)
    scene = Scene([crystal], lambda: None, np.random.default_rng(0), background=0.0)
    whole = scene.expected(Pose(VIEW, 10.0, 2.0, 1.0)) * 2.0
    cut = sum(scene.expected(Pose(VIEW, 10.0 + 0.25 * i, 0.25, 1.0)) * 0.25 for i in range(8))
    np.testing.assert_allclose(whole, cut, atol=1e-3 * whole.max())
    assert whole.max() > 100


def test_a_closed_shutter_and_a_beamstop_give_nothing():
    pose = Pose(VIEW, 0.0, 0.5, 0.0)
    scene = Scene([Crystal(LYSOZYME, np.eye(3))], lambda: pose, np.random.default_rng(0))
    assert scene(Exposure(1.0, VIEW.shape)).max() == 0
    assert scene.expected(pose)[180, 200] == 0  # Where the beam would be.
    with pytest.raises(ValueError, match="asked for"):
        scene(Exposure(1.0, (4, 4)))
