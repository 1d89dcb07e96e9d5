"""Reconstruction from an NXtomo file that is made here, by the beamline's own scene but without any writer."""

import h5py
import numpy as np
import pytest

from devices.detectors import Exposure
from devices.scenes.phantom import gold_in_iron
from devices.scenes.tomography import Pose, Scene
from plans.demos.reconstruction import read_absorption, reconstruct, rotation_axis

PIXEL = 5e-5  # mm
SHAPE = (128, 128)
TRUTH = gold_in_iron(11, 128 * PIXEL)


def write_nxtomo(path, *, projections=120, across=0.0, units=("deg", "um")):
    poses = []
    scene = Scene(TRUTH, lambda: poses[-1], np.random.default_rng(4), SHAPE)
    frames, keys, angles = [], [], []

    def shoot(key, angle, out, beam, count=1):
        poses.append(Pose(angle, out, 0.0, PIXEL, beam))
        for _ in range(count):
            frames.append(scene(Exposure(0.1, SHAPE)))
            keys.append(key)
            angles.append(angle)

    shoot(2, 0.0, 0.0, 0.0, count=5)
    shoot(1, 0.0, -0.3, 1.0, count=10)
    for i, angle in enumerate(np.arange(projections) * 180 / projections):
        shoot(0, angle, across, 1.0 - 0.1 * i / projections)  # The beam loses a tenth on the way.
    shoot(1, 180.0, -0.3, 0.9, count=10)
    factor = {"deg": 1.0, "rad": np.pi / 180, "um": 1e3, "m": 1e-3}
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector["data"] = np.array(frames)
        detector["image_key"] = np.array(keys)
        detector["x_pixel_size"] = PIXEL * factor[units[1]]
        detector["x_pixel_size"].attrs["units"] = units[1]
        file["entry/sample/rotation_angle"] = np.array(angles) * factor[units[0]]
        file["entry/sample/rotation_angle"].attrs["units"] = units[0]
    return path


def correlation_with_the_truth(absorption, row):
    axis = rotation_axis(absorption)
    (plane,) = reconstruct(absorption, np.array([row]), axis)
    truth = TRUTH.section((63.5 - row) * PIXEL, PIXEL)
    edge = np.arange(128) - 63.5
    seen = np.hypot(edge[None, :], edge[:, None]) < 62
    slope = float(plane[seen] @ truth[seen] / (truth[seen] @ truth[seen]))
    return float(np.corrcoef(plane[seen], truth[seen])[0, 1]), slope


@pytest.mark.parametrize("units", [("deg", "um"), ("rad", "m")])
def test_the_phantom_comes_back_with_its_absolute_values(tmp_path, units):
    absorption = read_absorption(write_nxtomo(tmp_path / "x.h5", units=units))

    correlation, slope = correlation_with_the_truth(absorption, row=60)

    assert absorption.values.shape == (120, *SHAPE)
    assert absorption.pixel == pytest.approx(PIXEL)
    assert correlation > 0.95
    assert slope == pytest.approx(1, abs=0.05)


def test_another_sample_does_not_correlate(tmp_path):
    """The measure can fail: against the truth turned upside down it does."""
    absorption = read_absorption(write_nxtomo(tmp_path / "x.h5"))
    (plane,) = reconstruct(absorption, np.array([60]), rotation_axis(absorption))
    wrong = TRUTH.section((63.5 - 60) * PIXEL, PIXEL)[::-1]

    assert np.corrcoef(plane.ravel(), wrong.ravel())[0, 1] < 0.7


def test_an_axis_off_the_middle_is_found(tmp_path):
    absorption = read_absorption(write_nxtomo(tmp_path / "x.h5", across=2.5 * PIXEL))

    assert rotation_axis(absorption) == pytest.approx(66.0, abs=0.1)
    assert correlation_with_the_truth(absorption, row=70)[0] > 0.95


def test_a_falling_beam_leaves_no_trace_outside_of_the_sample(tmp_path):
    absorption = read_absorption(write_nxtomo(tmp_path / "x.h5"))

    outside = absorption.values[:, :, :6].mean(axis=(1, 2))

    assert np.abs(outside).max() < 5e-3


def test_a_file_without_flats_is_refused(tmp_path):
    path = write_nxtomo(tmp_path / "x.h5", projections=4)
    with h5py.File(path, "a") as file:
        key = file["entry/instrument/detector/image_key"]
        key[...] = np.where(key[()] == 1, 0, key[()])

    with pytest.raises(ValueError, match="'flats': 0"):
        read_absorption(path)
