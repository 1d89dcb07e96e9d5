import numpy as np
import pytest

from devices.beamlines.id30 import KAPPA, simulated_id30
from nexus_callbacks.beamline.bindings import load_profile
from plans.profile_folders import profile_folder


def test_the_axes_of_the_profile_are_those_of_the_beamline():
    axes = load_profile(profile_folder("id30")).axes["sample"]
    assert axes["kappa"].vector == pytest.approx(KAPPA)


def test_resolution_follows_the_distance(tmp_path):
    beamline = simulated_id30(tmp_path)
    near = beamline.resolution.get()
    beamline.det_z.set(200.0).wait(1)
    assert beamline.resolution.get() > 1.8 * near
    assert beamline.corner_resolution.get() < beamline.resolution.get()


def test_the_record_of_the_crystal_is_consistent(tmp_path):
    record = simulated_id30(tmp_path).record
    ub, hkl = record.ub_matrix.get(), record.reflections_hkl.get()

    assert 1 / np.linalg.det(ub) == pytest.approx(record.volume.get())
    assert np.linalg.matrix_rank(hkl) == 3, "three that do not lie in a plane make a matrix"
    assert record.reflections_angles.get()[0].tolist()[1:] == [15.0, -40.0]
