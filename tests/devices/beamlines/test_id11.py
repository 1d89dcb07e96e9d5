import numpy as np
import pytest

from devices.beamlines.id11 import DIFFRZ, IRON, body_centred
from nexus_callbacks.beamline.bindings import load_profile
from plans.profile_folders import profile_folder


def test_the_rotation_of_the_profile_is_that_of_the_beamline():
    assert load_profile(profile_folder("id11")).axes["sample"]["diffrz"].vector == pytest.approx(DIFFRZ)


def test_iron_has_the_rings_of_a_body_centred_lattice():
    assert body_centred(np.array([[1, 1, 0], [1, 0, 0], [2, 0, 0], [1, 1, 1]])).tolist() == [True, False, True, False]
    lengths = np.linalg.norm(IRON.reflections(1.1) @ IRON.b_matrix().T, axis=1)
    assert sorted(set(np.round(1 / lengths, 3))) == [1.17, 1.433, 2.027], "211, 200 and 110"
