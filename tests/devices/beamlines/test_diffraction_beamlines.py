"""ID01 and ID02: what the devices do together."""

import numpy as np
import pytest

from devices.beamlines.id01 import simulated_id01
from devices.beamlines.id02 import simulated_id02


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
