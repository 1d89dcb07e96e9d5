import numpy as np
import pytest
from ophyd.utils import LimitError

from devices.beamlines.id16a import simulated_id16a
from devices.quantity import Derived, Quantity
from devices.stages import SimulatedMotor


def test_a_quantity_says_its_unit_type_and_limits():
    gap = Quantity(name="gap", value=11.5, units="mm", precision=3, limits=(10.8, 300.0))

    key = gap.describe()["gap"]

    assert key["dtype"] == "number"
    assert np.dtype(key["dtype_numpy"]) == np.float64
    assert (key["units"], key["precision"]) == ("mm", 3)
    assert (key["lower_ctrl_limit"], key["upper_ctrl_limit"]) == (10.8, 300.0)


def test_a_value_out_of_limits_fails_and_changes_nothing():
    gap = Quantity(name="gap", value=11.5, units="mm", limits=(10.8, 300.0))

    with pytest.raises(LimitError, match=r"gap: 5 is not within 10.8 to 300.0 mm"):
        gap.set(5).wait(1)
    assert gap.get() == 11.5


def test_what_is_only_measured_cannot_be_set():
    doubled = Derived(name="doubled", compute=lambda parent: 4)

    with pytest.raises(Exception, match="does not allow write"):
        doubled.set(1).wait(1)
    assert doubled.read()["doubled"]["value"] == 4.0


def test_a_motor_is_where_it_was_sent_at_once():
    srot = SimulatedMotor(name="srot", units="deg", limits=(-360.0, 360.0))

    status = srot.set(90)

    assert status.done
    assert srot.read()["srot"]["value"] == 90.0
    assert srot.describe()["srot"]["units"] == "deg"
    assert srot.describe_configuration()["srot_velocity"]["units"] == "deg/s"


def test_a_motor_in_real_time_can_be_stopped_on_its_way():
    sy = SimulatedMotor(name="sy", units="mm", limits=(-10.0, 10.0), velocity=0.1, in_real_time=True)

    status = sy.set(10)
    sy.stop()

    with pytest.raises(RuntimeError, match="sy was stopped"):
        status.wait(1)
    assert 0 <= sy.position < 10


def test_a_motor_in_real_time_arrives():
    sy = SimulatedMotor(name="sy", units="mm", limits=(-10.0, 10.0), velocity=1000.0, in_real_time=True)

    sy.set(5).wait(10)

    assert sy.position == 5.0


def test_every_number_of_the_beamline_has_a_unit_unless_it_is_a_pure_number(tmp_path):
    pure = {
        "attenuator1_slot", "attenuator2_slot", "attenuator3_slot",
        "attenuator1_transmission", "attenuator2_transmission", "attenuator3_transmission",
        "frelon_accumulations", "frelon_binning", "frelon_bit_depth", "frelon_mean", "frelon_saturation",
        "frelon_x_pixels", "frelon_y_pixels", "geometry_magnification", "ic_counts", "image_key",
        "ion_chamber_absorbed", "it_counts",
        "mono_bandwidth", "mono_position_id", "optics_eye_piece", "optics_magnification",
    }  # fmt: skip
    without = set()
    for device in simulated_id16a(tmp_path).devices:
        keys = {**device.describe(), **device.describe_configuration()}
        without |= {k for k, d in keys.items() if d["dtype"] in ("number", "integer") and not d.get("units")}

    assert without == pure
