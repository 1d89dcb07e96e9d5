"""The channels against real servers on loopback: a Tango device server, and an EPICS server by caproto."""

import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import epics
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plan_stubs import null
from bluesky.plans import count
from bluesky.preprocessors import SupplementalData, run_decorator
from ophyd.sim import hw

from devices.baseline import baseline_for
from devices.channels.channel import NoValue
from devices.channels.epics_channel import EpicsChannel
from devices.channels.tango_channel import TangoChannel
from devices.channels.tango_server import TangoServer
from devices.source import StorageRing
from nexus_callbacks import NexusWriter, coverage

DEFINITION = """<group groupName="${entry}" NX_class="NXentry">
    <title NAPItype="NX_CHAR">${datasetName}</title>
    <group groupName="instrument" NX_class="NXinstrument">
        <group groupName="source" NX_class="NXsource">
            <mode NAPItype="NX_CHAR">${mode}</mode>
            <current NAPItype="NX_NUMBER" units="mA">${start}</current>
            <current_end NAPItype="NX_NUMBER" units="mA" record="final">${end}</current_end>
            <energy NAPItype="NX_NUMBER" units="GeV">${energy}</energy>
        </group>
    </group>
</group>"""


@pytest.fixture
def silent():
    """Port of a server that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(20)
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def ioc():
    """The EPICS server, at the port that conftest.py has chosen for this session."""
    command = [sys.executable, "-m", "tests.devices.ioc"]
    home = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


def profile(folder, text):
    folder.mkdir()
    (folder / "mine.xml").write_text(DEFINITION)
    (folder / "profile.yml").write_text(f"definitions: [mine.xml]\n{text}")
    return folder


def scanned(tmp_path, folder, baseline, plan):
    engine = RunEngine({})
    with NexusWriter(tmp_path / "data", profile=folder) as writer:
        engine.subscribe(writer)
        engine.preprocessors.append(SupplementalData(baseline=baseline))
        engine(plan)
    (path,) = writer.files.values()
    return path, {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}


def values(path):
    with h5py.File(path) as file:
        source = file["entry/instrument/source"]
        return {name: (source[name][()], source[name].attrs.get("units")) for name in source}


# -- Tango -------------------------------------------------------------------------------------------------------------


def test_attributes_of_a_device_server_fill_the_file(tmp_path, silent):
    """Beside one that hangs, one that is not there and an attribute that does not exist."""
    ring = StorageRing(name="ring", clock=lambda: 0.0)
    folder = profile(
        tmp_path / "profile",
        f"""
tango: {{fe: "orion:10000/fe/id/16", dead: "127.0.0.1:{silent}/d/f/m#dbase=no"}}
read: {{timeout: 2}}
values: {{mode: tango:fe/SR_Filling_Mode, start: tango:fe/SR_Current, end: tango:dead/x, energy: tango:fe/Energy}}
""",
    )
    attributes = {"SR_Current": ring.current, "SR_Filling_Mode": ring.filling_mode}
    with TangoServer({f"orion:10000/fe/id/16/{name}": signal for name, signal in attributes.items()}) as server:
        hosts = {**server.hosts, f"127.0.0.1:{silent}": f"127.0.0.1:{silent}#dbase=no"}
        path, found = scanned(tmp_path, folder, baseline_for(folder, hosts=hosts), count([hw().det], 2))

    assert values(path) == {"mode": (b"7/8+1", None), "current": (198.0, "mA")}
    assert found["start"].origin == "tango://orion:10000/fe/id/16/SR_Current (baseline, initial)"
    assert found["end"].reason == f"tango://127.0.0.1:{silent}/d/f/m/x#dbase=no: no answer within 2 s"
    assert "Energy" in found["energy"].reason
    with h5py.File(path) as file:
        assert file["entry/bluesky/exit_status"][()] == b"success"


def test_a_device_server_that_dies_during_the_scan_ends_no_scan(tmp_path):
    ring = StorageRing(name="ring", clock=lambda: 0.0)
    text = 'tango: {fe: "orion:10000/fe/id/16"}\nvalues: {start: tango:fe/SR_Current, end: tango:fe/SR_Current}'
    folder = profile(tmp_path / "profile", text)
    server = TangoServer({"orion:10000/fe/id/16/SR_Current": ring.current}).start()

    @run_decorator(md={"plan_name": "mine"})
    def plan():
        yield from null()
        server.close()

    path, found = scanned(tmp_path, folder, baseline_for(folder, hosts=server.hosts), plan())
    assert values(path) == {"current": (198.0, "mA")}
    assert found["end"].reason.startswith("tango://orion:10000/fe/id/16/SR_Current: ")


def test_enumerations_arrays_and_invalid_values_of_tango():
    tango = pytest.importorskip("tango")
    from tango.test_context import MultiDeviceTestContext

    from tests.devices.tango_device import Gauge

    info = [{"class": Gauge, "devices": [{"name": "test/gauge/1"}]}]
    with MultiDeviceTestContext(info, host="127.0.0.1", process=True) as context:
        access = context.get_device_access("test/gauge/1")
        base, _, fragment = access.partition("#")

        def sample(name):
            return TangoChannel(f"{base}/{name}#{fragment}").read()

        range_, profile_, state = sample("range"), sample("profile"), sample("State")
        assert (range_.value, range_.choices) == ("HIGH", ("LOW", "HIGH"))
        assert range_.data_key("x")["choices"] == ["LOW", "HIGH"]
        np.testing.assert_array_equal(profile_.value, [1.0, 2.5])
        assert profile_.data_key("x") == {
            "source": "x", "dtype": "array", "shape": [2], "dtype_numpy": "<f8", "units": "mbar", "precision": 3,
        }  # fmt: skip
        assert state.value == str(tango.DevState.UNKNOWN)
        with pytest.raises(NoValue, match="Tango calls the value invalid"):
            sample("broken")


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_without_a_label_is_no_value_of_an_enumeration(number):
    """By a proxy made for the test: PyTango's own servers refuse to send such a number."""
    tango = pytest.importorskip("tango")
    channel = TangoChannel("tango://h:1/d/f/m/range")
    reading = SimpleNamespace(
        value=number, quality=tango.AttrQuality.ATTR_VALID, type=tango.CmdArgType.DevEnum, time=tango.TimeVal(0)
    )
    config = SimpleNamespace(enum_labels=["LOW", "HIGH"], unit="", format="")
    channel._proxy = SimpleNamespace(read_attribute=lambda _: reading, get_attribute_config=lambda _: config)
    with pytest.raises(NoValue, match=f"{number} is none of the enumeration's 2 labels"):
        channel.read()


# -- EPICS -------------------------------------------------------------------------------------------------------------


def test_process_variables_fill_the_file(tmp_path, ioc):
    text = """
read: {timeout: 15}
values: {mode: epics:SR:MODE, start: epics:SR:CURR, end: epics:SR:CURR.VAL, energy: epics:SR:UNDEFINED}
"""
    folder = profile(tmp_path / "profile", text)
    path, found = scanned(tmp_path, folder, baseline_for(folder), count([hw().det], 2))
    assert values(path) == {"mode": (b"hybrid", None), "current": (198.5, "mA"), "current_end": (198.5, "mA")}
    assert (found["start"].origin, found["start"].unit_from) == ("epics:SR:CURR (baseline, initial)", "A")
    assert found["energy"].reason == "epics:SR:UNDEFINED: its record is in the alarm INVALID"


def test_texts_and_arrays_of_epics(ioc):
    assert EpicsChannel("SR:MESSAGE", 15).read().value == "beam for users until 8:00"
    orbit = EpicsChannel("SR:ORBIT", 15).read()
    np.testing.assert_array_equal(orbit.value, [1.5, -2.5, 3.5])
    assert orbit.units == "um"


def test_a_unit_of_epics_is_asked_for_with_each_value(ioc):
    channel = EpicsChannel("SR:LIFETIME", 10.0)
    assert channel.read().units == "h"
    epics.PV("SR:LIFETIME_UNIT").put("min", wait=True)
    assert channel.read().units == "min"


def test_a_process_variable_that_is_not_there_says_so(ioc):
    with pytest.raises(NoValue, match=r"no connection within 0\.2 s"):
        EpicsChannel("SR:NOWHERE", 0.2).read()


class Answering:
    """A signal that answers with the next of some functions' values, the last one again and again."""

    def __init__(self, name, *answers, dtype="number"):
        self.name, self._answers, self._dtype = name, list(answers), dtype

    def describe(self):
        return {self.name: {"source": "test", "dtype": self._dtype, "shape": []}}

    def read(self):
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return {self.name: {"value": answer(), "timestamp": 0.0}}


def attribute_of(server, name):
    (host,) = server.hosts.values()
    there, _, fragment = host.partition("#")
    return TangoChannel(f"tango://{there}/test/signals/1/{name}#{fragment}")


def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_question():
    pytest.importorskip("tango")
    let_go = threading.Event()
    slow = Answering("slow", lambda: let_go.wait(30) and 1.0, lambda: 1.5)
    signals = {"slow": slow, "two": Answering("two", lambda: 2.0), "three": Answering("three", lambda: 3.0)}
    with TangoServer({f"h:1/test/signals/1/{name}": signal for name, signal in signals.items()}) as server:
        with pytest.raises(NoValue, match="2 s"):
            attribute_of(server, "slow").read()
        let_go.set()
        found = {name: attribute_of(server, name).read().value for name in ("two", "three", "slow")}
    assert found == {"two": 2.0, "three": 3.0, "slow": 1.5}


def test_numbers_of_numpy_are_served_and_what_is_no_value_is_told():
    pytest.importorskip("tango")
    signals = {
        "odd": Answering("odd", object),
        "whole": Answering("whole", lambda: np.int64(7), dtype="integer"),
    }
    with TangoServer({f"h:1/test/signals/1/{name}": signal for name, signal in signals.items()}) as server:
        with pytest.raises(NoValue, match="object"):
            attribute_of(server, "odd").read()
        assert attribute_of(server, "whole").read().value == 7
