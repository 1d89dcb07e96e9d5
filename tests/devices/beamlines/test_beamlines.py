"""What holds of every simulated beamline: its profile knows the signals that its devices have."""

import importlib
import json
from pathlib import Path

import pytest

import devices.beamlines
from nexus_callbacks.recipes import Recipes
from plans.profile_folders import profile_folder

NAMES = sorted(path.stem for path in Path(devices.beamlines.__file__).parent.glob("id*.py"))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def module(name):
    return importlib.import_module(f"devices.beamlines.{name}")


def test_the_profile_knows_the_signals_that_the_devices_have(name, module, tmp_path):
    """Fails when the devices changed: make the file again as profile.yml says."""
    stored = json.loads((profile_folder(name) / "signals.json").read_text("utf-8"))

    assert module.main([str(tmp_path / "now.json")]) == 0
    assert stored == json.loads((tmp_path / "now.json").read_text("utf-8"))


def test_the_command_says_how_it_is_used(name, module, capsys):
    assert module.main([]) == 2
    assert f"python -m devices.beamlines.{name} PATH" in capsys.readouterr().err


def test_the_profile_is_good_before_beam_time(name):
    claims = Recipes(profile_folder(name)).claims()

    assert len(claims) >= 2, "runs without a technique, and those of the beamline's own"
    assert [claim.missing_mandatory for claim in claims.values()] == [()] * len(claims)


def test_a_beamline_has_no_signal_twice(name, module, tmp_path):
    beamline = getattr(module, f"simulated_{name}")(tmp_path)
    keys = [key for device in beamline.devices for key in device.describe()]

    assert len(keys) == len(set(keys))
