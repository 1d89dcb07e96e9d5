import numpy as np
import pytest

from devices.beamlines.id16a import simulated_id16a
from devices.scenes.materials import GOLD
from devices.source import StorageRing


def test_the_current_decays_with_its_lifetime():
    now = [0.0]
    ring = StorageRing(name="ring", clock=lambda: now[0], injected=200.0)

    now[0] = 22.0 * 3600

    assert ring.read()["ring_current"]["value"] == pytest.approx(200 / np.e)


def test_the_monochromator_speaks_in_ev_and_follows_bragg(tmp_path):
    mono = simulated_id16a(tmp_path).mono

    assert mono.describe()["mono_energy"]["units"] == "eV"
    mono.energy.set(17050.0).wait(1)
    assert mono.wavelength.get() == pytest.approx(0.72718, abs=1e-5)
    assert 2 * 25.0 * np.sin(np.deg2rad(mono.bragg.get())) == pytest.approx(mono.wavelength.get())


def test_foils_weaken_the_beam_that_the_diode_sees(tmp_path):
    beamline = simulated_id16a(tmp_path, clock=lambda: 0.0)
    wheel = beamline.attenuators[1]
    before = beamline.i0.flux.get()

    wheel.slot.set(3).wait(1)

    assert wheel.status.get() == "In3"
    assert wheel.thickness.get() == 2.0
    assert beamline.i0.flux.get() == pytest.approx(before * wheel.transmission.get())
    assert 0 < wheel.transmission.get() < 0.2


def test_gold_absorbs_as_tabulated():
    assert GOLD.absorption(15_000.0) == pytest.approx(164.0 * 19.32 / 10)
    assert GOLD.absorption(20_000.0) == pytest.approx(78.83 * 19.32 / 10)


def test_moving_the_sample_from_the_focus_makes_pixels_larger(tmp_path):
    beamline = simulated_id16a(tmp_path)
    assert beamline.geometry.pixel_size.get() == pytest.approx(0.05)

    beamline.sx.set(40.0).wait(1)

    assert beamline.geometry.pixel_size.get() == pytest.approx(0.1)
    assert beamline.geometry.magnification.get() == pytest.approx(30.0)


def test_a_slit_is_its_blades(tmp_path):
    slit = simulated_id16a(tmp_path).primary_slit

    slit.up.set(1.0).wait(1)
    slit.down.set(0.4).wait(1)

    assert slit.vertical_gap.get() == pytest.approx(1.4)
    assert slit.vertical_offset.get() == pytest.approx(0.3)
