"""The talk's screen ``nano:20000/id16ni/metadata/tomo``: each field that it shows is in the file of the demo."""

import h5py
import numpy as np
import pytest

from devices.beamlines.id16a import simulated_id16a
from nexus_callbacks import coverage, validate
from plans.demos.acquire import acquire
from plans.demos.tomo import METADATA
from plans.profile_folders import profile_folder
from plans.tomo import tomo_scan

NANO, ORION = "tango://nano:20000/id16ni", "tango://orion:10000/fe/id/16"

# What the screen shows → where it is in the file; ESRF's definition (3.8.0) has other names for some groups, and
# the value that the simulated beamline has. What the screen has in brackets, the Tango attributes, follows.
SCREEN = [
    ("title", "title", "screen_0001"),
    ("experiment_identifier", "experiment_identifier", "ma2210"),
    ("start_time", "start_time", None),
    ("end_time", "end_time", None),
    ("collection_time", "collection_time", (0.1, "s")),
    ("sample/name", "sample/name", "Fe_Au_350N_RT1"),
    ("sample/distance", "sample/distance", (20.0, "mm")),
    ("sample/positioner/name", "sample/positioners/name", "srot sx sy sz"),
    ("sample/positioner/value", "sample/positioners/value", "0 20 0 0"),
    ("sample/sensor/name", "sample/environment/sensors/name", "chamber_pressure drift"),
    ("sample/sensor/value", "sample/environment/sensors/value", None),
    ("sample/pixel_size", "sample/pixel_size", (0.05, "um")),
    ("sample/focus_position", "sample/focus_position", (0.0, "mm")),
    ("vacuum/sensor/name", "sample/vacuum/sensor/name", "v-pen111"),
    ("vacuum/sensor/value", "sample/vacuum/sensor/value", None),
    ("instrument/name", "instrument/name", "id16a"),
    ("instrument/detector/name", "instrument/detector01/name", "frelon"),
    (
        "instrument/detector/positioner/name",
        "instrument/detector01/positioners/name",
        "imgl1x imgl1y imgl1z imgl1focus imgl2x imgl2y",
    ),
    ("instrument/detector/positioner/value", "instrument/detector01/positioners/value", "25 0 3.3 1.204 25 0"),
    ("instrument/detector/source_distance", "instrument/detector01/source_distance", (1200.0, "mm")),
    ("instrument/insertion_device/gap", "instrument/insertion_device/gap/value", "11.5 16.2"),
    ("instrument/insertion_device/name", "instrument/insertion_device/gap/name", "U18.3 U22.4"),
    ("instrument/source/name", "instrument/source/name", "ESRF"),
    ("instrument/source/type", "instrument/source/type", "Synchrotron X-ray Source"),
    ("instrument/source/mode", "instrument/source/mode", "7/8+1"),
    ("instrument/source/current_start", "instrument/source/current_start", (198.0, "mA")),
    ("instrument/source/current_end", "instrument/source/current_end", (198.0, "mA")),
    ("instrument/monochromator/name", "instrument/monochromator/name", "W/B4C multilayer"),
]
ATTRIBUTES = {
    f"{NANO}/spec/zaptomo/TOMO_EXPTIME": ["collection_time"],
    f"{NANO}/emotion_flexdc/srot/position": ["SamplePositioners_name", "SamplePositioners_value"],
    f"{NANO}/emotion_pmd206_1/sx/position": ["SamplePositioners_name", "SamplePositioners_value"],
    f"{NANO}/emotion_pmd206_2/sx/position": ["SamplePositioners_name", "SamplePositioners_value"],
    f"{NANO}/hpzdrift/hpz_tz/DriftCorrection": ["SampleEnvironmentSensors_name", "SampleEnvironmentSensors_value"],
    f"{NANO}/ImagePixelSize/frelon1/pixelWidth": ["sample_pixel_size"],
    f"{NANO}/v-pen/111/pressure": ["vacuum_labels", "vacuum_values"],
    **{
        f"{NANO}/motor/{name}/position": [
            "InstrumentDetector01Positioners_name",
            "InstrumentDetector01Positioners_value",
        ]
        for name in ("imgl1x", "imgl1y", "imgl2x", "imgl2y")
    },
    f"{ORION}/SR_Gap_Position": ["InstrumentInsertionDevice_gap_name", "InstrumentInsertionDevice_gap_value"],
    f"{ORION}/SR_Filling_Mode": ["InstrumentSource_mode"],
    f"{ORION}/SR_Current": ["Source_current_start", "InstrumentSource_current_end"],
    f"{NANO}/energy/multilayer/positionId": ["InstrumentMonochromator_name"],
}


def scanned(directory):
    return acquire(
        "tomo",
        lambda folder: simulated_id16a(folder, clock=lambda: 0.0),
        lambda beamline: tomo_scan(beamline, projections=4, ref_on=4, darks=1, flats=1),
        directory=directory,
        profile=None,
        metadata={**METADATA, "dataset": "screen"},
        progress=lambda done, of: None,
        truth=lambda beamline: None,
    ).dataset_file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return scanned(tmp_path_factory.mktemp("screen"))


@pytest.mark.parametrize(("shown", "where", "value"), SCREEN, ids=[shown for shown, _, _ in SCREEN])
def test_each_field_of_the_screen_is_in_the_file(path, shown, where, value):
    with h5py.File(path) as file:
        found = file[f"entry/{where}"]
        if isinstance(value, tuple):
            assert (found[()], found.attrs["units"]) == (pytest.approx(value[0]), value[1])
        elif value is not None:
            assert found.asstr()[()] == value
        else:
            assert found[()]


@pytest.mark.parametrize("address", ATTRIBUTES)
def test_each_attribute_of_the_screen_is_where_its_value_came_from(path, address):
    origins = {outcome.variable: outcome.origin for outcome in coverage(path)["entry"].outcomes if outcome.filled}
    for variable in ATTRIBUTES[address]:
        assert f"{address} (baseline, " in origins[variable]


def test_units_come_from_the_device_server(path):
    with h5py.File(path) as file:
        entry = file["entry"]
        assert list(entry["sample/positioners/value"].attrs["member_units"]) == ["deg", "mm", "mm", "mm"]
        pressure = entry["sample/vacuum/sensor/value"]
        np.testing.assert_allclose(pressure[()], 2.4e-7, rtol=0.2)
        assert pressure.attrs["units"] == "mbar"
    assert validate(path).valid


def test_without_pytango_the_demo_runs_and_says_why_its_values_are_absent(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tango", None)
    monkeypatch.delitem(sys.modules, "devices.channels.tango_channel", raising=False)
    monkeypatch.setattr("devices.channels.tango_server.find_spec", lambda name: None)
    path = scanned(tmp_path)
    found = {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}
    assert found["Source_current_start"].reason == (
        f"{ORION}/SR_Current: PyTango is not installed (pip install 'nexus-callbacks[tango]')"
    )
    positions = found["SamplePositioners_value"]
    assert positions.filled, "sz is a device of the session"
    assert "srot is absent: " in positions.reason
    assert validate(path).valid


def test_the_simulated_server_has_what_the_profile_wants():
    from devices.baseline import _wanted
    from nexus_callbacks.beamline.profile import load_profile

    wanted = {str(s).removeprefix("tango://") for s in _wanted(load_profile(profile_folder("id16a")), set()).values()}
    assert wanted == set(simulated_id16a("unused").tango)
