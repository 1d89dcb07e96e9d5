"""What a baseline reads from control systems, by channels made for the test; the real ones have tests of their own."""

import json
import sys
import threading
from pathlib import Path

import h5py
import pytest
from bluesky import RunEngine
from bluesky.plans import count
from bluesky.preprocessors import SupplementalData
from ophyd.sim import hw

from devices.baseline import NAME, ControlSystem, _wait_for_threads, baseline_for
from devices.channels.channel import NoValue, Sample
from devices.quantity import Quantity
from nexus_callbacks import NexusWriter, coverage
from nexus_callbacks.beamline.addresses import ABSENT
from nexus_callbacks.faults import FaultError

DEFINITION = """<group groupName="${entry}" NX_class="NXentry">
    <title NAPItype="NX_CHAR">${datasetName}</title>
    <group groupName="instrument" NX_class="NXinstrument">
        <group groupName="source" NX_class="NXsource">
            <current NAPItype="NX_NUMBER" units="mA">${start}</current>
            <current_end NAPItype="NX_NUMBER" units="mA" record="final">${end}</current_end>
        </group>
    </group>
</group>"""
PROFILE = """
definitions: [mine.xml]
tango: {fe: "orion:10000/fe/id/16"}
values: {datasetName: start:plan_name, start: tango:fe/SR_Current, end: tango:fe/SR_Current}
"""
ADDRESS = "tango://orion:10000/fe/id/16/SR_Current"
KEY = "tango_fe_id_16_SR_Current"


class Fake:
    """A channel that answers with the next of some samples or errors, the last one again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def read(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Hanging:
    """A channel that answers when it is let go."""

    def __init__(self):
        self.let_go = threading.Event()
        self.threads = 0

    def read(self):
        self.threads += 1
        self.let_go.wait(60)
        return Sample(1.0, 0.0)


def current(value, units="mA"):
    return Sample(value, 1.0e9, units)


@pytest.fixture
def profile(tmp_path):
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "mine.xml").write_text(DEFINITION)
    (folder / "profile.yml").write_text(PROFILE)
    return folder


def written(tmp_path, profile, channel, runs=1, timeout=5.0):
    """Files of some counts, with a channel for the one address of the profile in the baseline."""
    engine = RunEngine({})
    with NexusWriter(tmp_path / "data", profile=profile) as writer:
        engine.subscribe(writer)
        device = ControlSystem({KEY: (ADDRESS, channel)}, timeout)
        engine.preprocessors.append(SupplementalData(baseline=[device]))
        for _ in range(runs):
            engine(count([hw().det], 2))
    return list(writer.files.values())


def told(path):
    """Outcomes of the two variables, and what stands in the file for them."""
    found = {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}
    with h5py.File(path) as file:
        source = file.get("entry/instrument/source", {})
        values = {name: (source[name][()], source[name].attrs.get("units")) for name in source}
    return found["start"], found["end"], values


# -- what comes into the file ------------------------------------------------------------------------------------------


def test_initial_and_final_readings_are_told_apart_and_converted(tmp_path, profile):
    (path,) = written(tmp_path, profile, Fake(current(0.2, "A"), current(0.19, "A")))
    start, end, values = told(path)
    assert values == {"current": (200.0, "mA"), "current_end": (190.0, "mA")}
    assert (start.origin, start.unit_from) == (f"{ADDRESS} (baseline, initial)", "A")
    assert end.origin == f"{ADDRESS} (baseline, final)"
    with h5py.File(path) as file:
        assert file[f"entry/measurement/initial/{KEY}"][()] == 0.2
        assert json.loads(file[f"entry/measurement/initial/{ABSENT}"].asstr()[()]) == {}


def test_one_that_never_answers_is_absent_with_its_reason(tmp_path, profile):
    (path,) = written(tmp_path, profile, Fake(NoValue("the ring is being moved")))
    start, end, values = told(path)
    assert values == {}
    assert start.reason == end.reason == f"{ADDRESS}: the ring is being moved"
    with h5py.File(path) as file:
        assert KEY not in file["entry/measurement/initial"]
        assert "being moved" in file[f"entry/measurement/final/{ABSENT}"].asstr()[()]


def test_one_that_dies_during_the_scan_keeps_its_initial_reading(tmp_path, profile):
    (path,) = written(tmp_path, profile, Fake(current(200.0), OSError("connection lost")))
    start, end, values = told(path)
    assert values == {"current": (200.0, "mA")}
    assert start.filled
    assert end.reason == f"{ADDRESS}: OSError: connection lost"


def test_one_that_comes_back_too_late_to_tell_its_unit_is_absent(tmp_path, profile):
    (path,) = written(tmp_path, profile, Fake(NoValue("asleep"), current(0.19, "A")))
    start, end, values = told(path)
    assert values == {}, "0.19 without a unit would be taken for mA"
    assert start.reason == f"{ADDRESS}: asleep"
    assert end.reason == f"{ADDRESS} came back after the run had begun, and its unit is not known"


def test_an_array_that_comes_back_too_late_to_tell_its_unit_is_absent(tmp_path, profile):
    (path,) = written(tmp_path, profile, Fake(NoValue("asleep"), current([0.19, 0.2], "A")))
    _, end, values = told(path)
    assert values == {}
    assert end.reason == f"{ADDRESS} came back after the run had begun, and its unit is not known"


def test_one_that_comes_back_late_is_written_if_the_profile_says_its_unit(tmp_path, profile):
    text = PROFILE.replace("end: tango:fe/SR_Current", "end: {from: tango:fe/SR_Current, unit: A}")
    (profile / "profile.yml").write_text(text)
    (path,) = written(tmp_path, profile, Fake(NoValue("asleep"), current(0.19, "A")))
    assert told(path)[2] == {"current_end": (190.0, "mA")}


def test_the_unit_of_one_that_comes_back_is_known_from_earlier_runs(tmp_path, profile):
    samples = current(0.2, "A"), current(0.2, "A"), NoValue("asleep"), current(0.19, "A")
    _, path = written(tmp_path, profile, Fake(*samples), runs=2)
    start, _, values = told(path)
    assert values == {"current_end": (190.0, "mA")}
    assert start.reason == f"{ADDRESS}: asleep"


def test_a_unit_that_changes_costs_that_reading_only(tmp_path, profile):
    samples = current(200.0), current(0.19, "A"), current(0.19, "A"), current(0.18, "A")
    paths = written(tmp_path, profile, Fake(*samples), runs=2)
    assert [told(path)[2] for path in paths] == [
        {"current": (200.0, "mA")},
        {"current": (190.0, "mA"), "current_end": (180.0, "mA")},
    ]
    assert told(paths[0])[1].reason == f"{ADDRESS}: its unit has changed from 'mA' to 'A'"


@pytest.mark.parametrize("answer", [Sample([[1], [2, 3]], 1.0e9), ValueError(), "no sample"])
def test_what_a_client_may_do_wrong_ends_no_scan(tmp_path, profile, answer):
    (path,) = written(tmp_path, profile, Fake(answer))
    start, end, values = told(path)
    assert values == {}
    assert start.reason.startswith(f"{ADDRESS}: ")
    assert start.reason == end.reason


def test_two_hundred_are_read_side_by_side_and_the_dead_ones_end_no_scan(tmp_path):
    """They meet at a barrier, which only those pass that are asked at the same time."""
    dead = [Hanging() for _ in range(5)]
    barrier = threading.Barrier(195)

    class Meeting:
        def read(self):
            barrier.wait(30)
            return current(1.0)

    channels = {f"key{n}": (f"epics:{n}", Meeting()) for n in range(195)}
    channels |= {f"dead{n}": (f"epics:DEAD{n}", channel) for n, channel in enumerate(dead)}
    documents = []
    engine = RunEngine({})
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    engine.preprocessors.append(SupplementalData(baseline=[ControlSystem(channels, 1.5)]))
    try:
        engine(count([hw().det], 2))
    finally:
        for channel in dead:
            channel.let_go.set()

    assert documents[-1][1]["exit_status"] == "success"
    rows = [doc["data"] for name, doc in documents if name == "event" and ABSENT in doc["data"]]
    assert len(rows) == 2
    for row in rows:
        assert {key for key, value in row.items() if value is None} == {f"dead{n}" for n in range(5)}
        assert json.loads(row[ABSENT])["dead3"] == "epics:DEAD3: no answer within 1.5 s"
    assert [channel.threads for channel in dead] == [1] * 5, "a channel that hangs is not asked again"


# -- which addresses ---------------------------------------------------------------------------------------------------


def test_no_host_is_asked_but_those_that_are_given(tmp_path):
    """So that a simulated beamline never asks the real one's control system."""
    (tmp_path / "profile.yml").write_text("values: {a: tango://h:1/d/f/m/A}")
    (device,) = baseline_for(tmp_path, hosts={})
    device.trigger().wait(10)
    assert json.loads(device.read()[ABSENT]["value"]) == {
        "tango_d_f_m_A": "tango://h:1/d/f/m/A: h:1 is not simulated here"
    }


def test_nothing_is_made_for_a_profile_without_control_systems(tmp_path):
    (tmp_path / "profile.yml").write_text("values: {a: data:a}")
    assert baseline_for(tmp_path) == []


def test_what_a_device_reads_already_is_left_out(tmp_path):
    (tmp_path / "profile.yml").write_text("values: {a: tango://h:1/d/f/m/A, b: epics:B, c: epics:C.VAL}")

    class Scanned(Quantity):
        def describe(self):
            return {self.name: {**super().describe()[self.name], "source": f"PV:{self.name}"}}

    (device,) = baseline_for(tmp_path, [Scanned(name="B"), Scanned(name="C")], strict=False)
    assert list(device.describe()) == ["tango_d_f_m_A", ABSENT]


def test_an_address_is_read_once_however_it_is_spelled(tmp_path):
    text = """
    tango: {x: "one:1/d/f"}
    values: {a: tango:x/m/A, b: tango://ONE:1/d/f/m/a, c: {from: [tango:x/m/A, tango://two:1/d/f/m/A], as: list}}
    lists: {d: {e: tango:x/m/A}}
    techniques: {t: {f: tango:x/m/A, g: tango:x/m/G}}
    axes: {sample: {omega: {from: tango:x/m/omega, type: rotation, vector: [1, 0, 0]}}}
    """
    (tmp_path / "profile.yml").write_text(text)
    (device,) = baseline_for(tmp_path, strict=False)
    sources = {key: spec["source"] for key, spec in device.describe().items() if key != ABSENT}
    assert sources == {
        "tango_d_f_m_A": "tango://one:1/d/f/m/A",
        "tango_d_f_m_G": "tango://one:1/d/f/m/G",
        "tango_d_f_m_omega": "tango://one:1/d/f/m/omega",
        "tango_d_f_m_A_2": "tango://two:1/d/f/m/A",
    }


def test_a_client_that_is_not_installed_is_a_fault_with_its_remedy(tmp_path, monkeypatch):
    (tmp_path / "profile.yml").write_text("values: {a: tango://h:1/d/f/m/A, b: epics:B}")
    for module in ("tango", "epics"):
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, f"devices.channels.{module}_channel", raising=False)
    with pytest.raises(FaultError) as caught:
        baseline_for(tmp_path)
    remedies = {fault.remedy for fault in caught.value.faults}
    assert remedies == {f"pip install 'nexus-callbacks[{extra}]'" for extra in ("tango", "epics")}
    assert caught.value.faults[0].place.source == str(Path(tmp_path) / "profile.yml")

    (device,) = baseline_for(tmp_path, strict=False)
    device.trigger().wait(10)
    absent = json.loads(device.read()[ABSENT]["value"])
    assert absent["epics_B"] == "epics:B: pyepics is not installed (pip install 'nexus-callbacks[epics]')"


# -- when the session itself is in trouble -----------------------------------------------------------------------------


def no_threads_after(monkeypatch, number):
    """Let the session start `number` more threads of a baseline."""
    start, left = threading.Thread.start, [number]

    def limited(thread):
        if thread.name == NAME:
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


@pytest.mark.parametrize("threads", [1, 2])
def test_when_no_thread_can_be_started_the_initial_reading_is_not_taken_for_the_final_one(
    tmp_path, profile, monkeypatch, threads
):
    """The second trigger gets no thread, or one that gets none for its channel."""
    no_threads_after(monkeypatch, threads)
    (path,) = written(tmp_path, profile, Fake(current(200.0)))
    start, end, values = told(path)
    assert values == {"current": (200.0, "mA")}
    assert start.filled
    assert end.reason == f"{ADDRESS}: RuntimeError: can't start new thread"
    _wait_for_threads()


@pytest.mark.parametrize(
    ("late", "changed"),
    [
        ("OPEN", "dtype has changed from 'number' to 'string'"),
        ([1.0, 2.0], "dtype has changed from 'number' to 'array'"),
    ],
)
def test_a_type_that_changes_costs_that_reading_only(tmp_path, profile, late, changed):
    (path,) = written(tmp_path, profile, Fake(current(200.0), current(late)))
    _, end, values = told(path)
    assert values == {"current": (200.0, "mA")}
    assert end.reason == f"{ADDRESS}: its {changed}"


def test_a_shape_that_changes_costs_that_reading_only():
    device = ControlSystem({KEY: (ADDRESS, Fake(current([1.0, 2.0]), current([1.0])))}, 5.0)
    device.describe()
    device.read()
    device.trigger().wait(10)
    absent = json.loads(device.read()[ABSENT]["value"])
    assert absent == {KEY: f"{ADDRESS}: its shape has changed from [2] to [1]"}


def test_two_that_ask_at_once_take_turns():
    """As when an aborted run's trigger still waits, and the next run asks for the description."""
    inside, most, together = [], [], threading.Event()

    class Watched(ControlSystem):
        def _ask(self):
            inside.append(1)
            most.append(len(inside))
            together.wait(0.2)
            answers = super()._ask()
            inside.pop()
            return answers

    device = Watched({KEY: (ADDRESS, Fake(current(200.0)))}, 5.0)
    status = device.trigger()
    device.describe()
    status.wait(10)
    assert most == [1, 1]


def test_the_end_of_a_session_says_for_what_it_waits(monkeypatch, capsys):
    hanging = Hanging()
    device = ControlSystem({KEY: (ADDRESS, hanging)}, 0.01)
    device.trigger().wait(10)
    monkeypatch.setattr("devices.baseline.NOTICE", 0.0)
    monkeypatch.setattr("devices.baseline.LAST", 0.01)
    try:
        _wait_for_threads()
    finally:
        hanging.let_go.set()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nexus-callbacks: waiting up to ")


def test_it_is_found_at_the_front_door():
    import devices
    from devices.baseline import baseline_for

    assert devices.baseline_for is baseline_for
