import json

import numpy as np
import pytest

from devices.beamlines.id30 import KAPPA, main, simulated_id30
from devices.signals import signals_of
from nexus_callbacks.beamline.bindings import load_profile, write_signals
from plans.profile_folders import profile_folder


def test_the_profile_knows_the_signals_that_the_devices_have(tmp_path):
    """Fails when the devices changed: make the file again as profile.yml says."""
    stored = json.loads((profile_folder("id30") / "signals.json").read_text("utf-8"))

    write_signals(tmp_path / "now.json", signals_of(*simulated_id30(tmp_path).devices))
    assert stored == json.loads((tmp_path / "now.json").read_text(encoding="utf-8"))
    assert main([str(tmp_path / "again.json")]) == 0
    assert main([]) == 2


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
