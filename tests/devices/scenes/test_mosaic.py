import numpy as np
import pytest

from devices.detectors import Exposure
from devices.scenes.mosaic import Look, MosaicScene, mosaic

SHAPE = (48, 64)


def test_the_same_seed_gives_the_same_crystal():
    np.testing.assert_array_equal(mosaic(3, SHAPE).tilt, mosaic(3, SHAPE).tilt)
    assert (mosaic(3, SHAPE).tilt != mosaic(4, SHAPE).tilt).any()


def test_a_block_is_bent_but_a_little():
    crystal = mosaic(3, SHAPE)
    within = [np.ptp(crystal.tilt[crystal.block == number]) for number in np.unique(crystal.block)]
    assert max(within) < np.ptp(crystal.tilt) / 2
    assert 0 < crystal.reflectivity.min() < crystal.reflectivity.max() < 1


def test_a_point_reflects_half_as_much_half_a_width_away():
    crystal = mosaic(3, SHAPE)
    tilt = crystal.tilt[20, 30]
    top, half = (crystal.reflected(tilt + step)[20, 30] for step in (0.0, crystal.width / 2))
    assert top == pytest.approx(crystal.reflectivity[20, 30])
    assert half == pytest.approx(top / 2)


def test_only_blocks_at_their_angle_light_up():
    crystal = mosaic(3, SHAPE)
    offset = float(np.median(crystal.tilt[crystal.block == crystal.block[24, 32]]))
    scene = MosaicScene(crystal, lambda: Look(offset, 1e8), 1.0, np.random.default_rng(1))

    frame = scene(Exposure(1.0, SHAPE))

    far = np.abs(crystal.tilt - offset) > 2 * crystal.width
    near = np.abs(crystal.tilt - offset) < crystal.width / 4
    assert frame[near].min() > 1000
    assert frame[far].max() < 200


def test_a_frame_of_another_shape_is_refused():
    scene = MosaicScene(mosaic(3, SHAPE), lambda: Look(0.0, 0.0), 1.0, np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"made for frames of \(48, 64\)"):
        scene(Exposure(1.0, (4, 4)))
