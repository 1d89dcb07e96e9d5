"""ID01, ID02 and ID22: their profiles know the signals that their devices have, and what the devices do together."""

import importlib
import json

import numpy as np
import pytest

from devices.beamlines.id01 import simulated_id01
from devices.beamlines.id02 import simulated_id02
from devices.signals import signals_of
from nexus_callbacks.beamline.bindings import write_signals
from nexus_callbacks.recipes import Recipes
from plans.profile_folders import profile_folder

BEAMLINES = ("id01", "id02", "id22")


@pytest.fixture(params=BEAMLINES)
def module(request):
    return importlib.import_module(f"devices.beamlines.{request.param}")


def name_of(module):
    return module.__name__.rpartition(".")[2]


def test_the_profile_knows_the_signals_that_the_devices_have(module, tmp_path):
    """Fails when the devices changed: make the file again as profile.yml says."""
    name = name_of(module)
    stored = json.loads((profile_folder(name) / "signals.json").read_text("utf-8"))

    assert module.main([str(tmp_path / "now.json")]) == 0
    assert stored == json.loads((tmp_path / "now.json").read_text("utf-8"))


def test_the_command_says_how_it_is_used(module, capsys):
    assert module.main([]) == 2
    assert f"python -m devices.beamlines.{name_of(module)} PATH" in capsys.readouterr().err


def test_the_profile_is_good_before_beam_time(module):
    claims = Recipes(profile_folder(name_of(module))).claims()

    assert len(claims) == 2, "runs without a technique, and those of the beamline's own"
    assert [claim.missing_mandatory for claim in claims.values()] == [(), ()]


def test_a_beamline_has_no_signal_twice(module, tmp_path):
    beamline = getattr(module, f"simulated_{name_of(module)}")(tmp_path)
    names = [key for device in beamline.devices for key in device.describe()]

    assert len(names) == len(set(names))
    write_signals(tmp_path / "signals.json", signals_of(*beamline.devices))


def test_the_lens_makes_a_sharp_picture(tmp_path):
    lens = simulated_id01(tmp_path).lens
    inverse = 1 / lens.object_distance.get() + 1 / lens.image_distance.get()

    assert inverse == pytest.approx(1 / lens.focal_length.get())
    assert 30 < lens.magnification.get() < 50


def test_a_pixel_is_longer_along_the_beam(tmp_path):
    beamline = simulated_id01(tmp_path)
    across, along = (beamline.geometry.pixel_across.get(), beamline.geometry.pixel_along.get())

    assert across == pytest.approx(6.5 / beamline.lens.magnification.get())
    assert across / along == pytest.approx(np.sin(np.deg2rad(beamline.delta.position - beamline.eta.position)))


def test_the_diode_behind_the_sample_needs_an_open_shutter(tmp_path):
    beamline = simulated_id02(tmp_path)
    assert beamline.changer.diode.get() == 0

    beamline.shutter.set("open").wait(1)
    # 1e11 photons/s of 12.46 keV, 198 of 200 mA, 65 % through the water, 70 % absorbed: an electron for 3.66 eV.
    assert beamline.changer.diode.get() == pytest.approx(1e11 * 0.99 * 0.653 * 0.7 * 12460 / 3.66 * 1.602e-19, rel=0.01)


def test_foils_weaken_beam_and_monitor_alike(tmp_path):
    beamline = simulated_id02(tmp_path, clock=lambda: 0.0)
    beamline.shutter.set("open").wait(1)
    before = beamline.front.i0.flux.get()

    beamline.front.attenuator.slot.set(4).wait(1)
    beamline.monitor.exposure_time.set(10.0).wait(1)
    beamline.monitor.stage()
    beamline.monitor.trigger().wait(1)
    beamline.monitor.unstage()

    passed = beamline.front.attenuator.transmission.get()
    assert beamline.front.i0.flux.get() == pytest.approx(before * passed)
    assert beamline.monitor.counts.get() == pytest.approx(before * passed * 10.0 * 1e-5, rel=0.01)
    assert beamline.monitor.total.get() == beamline.monitor.counts.get()
