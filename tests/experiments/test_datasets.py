"""Several runs that belong together: nested, interleaved, and of one dataset (design D11)."""

import json
import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest

from nexus_callbacks import NexusWriter, recover, validate


@pytest.fixture(params=["inline", "journaled"])
def writer(request, RE, tmp_path):
    with NexusWriter(tmp_path / "data", journal=request.param == "journaled" and tmp_path / "spool") as writer:
        RE.subscribe(writer)
        yield writer


def nested(hw, inner_md=None):
    """An outer run that takes a scan of its own at each of two points."""

    @bpp.set_run_key_decorator("outer")
    @bpp.run_decorator(md={"plan_name": "outer"})
    def outer():
        for _ in range(2):
            yield from bps.trigger_and_read([hw.det1])
            yield from bpp.set_run_key_wrapper(bp.count([hw.det2], num=3, md=inner_md or {}), "inner")

    return outer()


def faults(path):
    return [each for each in validate(path).findings if each.severity in ("error", "warning")]


def state(path):
    with h5py.File(path) as file:
        return file.attrs["state"]


def test_a_run_within_a_run_has_its_own_file_and_both_know_each_other(RE, writer, hw):
    outer, *inner = RE(nested(hw))
    writer.wait()
    assert len(inner) == 2
    assert len({writer.files[uid] for uid in (outer, *inner)}) == 3
    with h5py.File(writer.files[outer]) as file:
        subs = file["entry/sub_runs"].values()
        assert {sub["uid"].asstr()[()] for sub in subs} == set(inner)
        assert {json.loads(sub["start/data"].asstr()[()])["uid"] for sub in subs} == set(inner), "a link that lives"
        assert len(file["entry/measurement/det1"]) == 2
    for uid in inner:
        with h5py.File(writer.files[uid]) as file:
            assert file["entry/bluesky/parent/uid"].asstr()[()] == outer
    assert [fault for uid in (outer, *inner) for fault in faults(writer.files[uid])] == []


def test_the_links_hold_when_the_folder_is_moved(RE, writer, hw, tmp_path):
    outer, inner, _ = RE(nested(hw))
    writer.wait()
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with h5py.File(tmp_path / "elsewhere" / writer.files[outer].name) as file:
        assert [sub["start/type"].asstr()[()] for sub in file["entry/sub_runs"].values()] == ["application/json"] * 2
    with h5py.File(tmp_path / "elsewhere" / writer.files[inner].name) as file:
        assert json.loads(file["entry/bluesky/parent/start/data"].asstr()[()])["uid"] == outer


def test_a_later_run_names_its_parent(RE, writer, hw):
    (first,) = RE(bp.count([hw.det]))
    (second,) = RE(bp.count([hw.det], md={"parent_run": first}))
    (third,) = RE(bp.count([hw.det], md={"parent_run": "of a session long ago"}))
    writer.wait()
    with h5py.File(writer.files[second]) as file:
        assert file["entry/bluesky/parent/uid"].asstr()[()] == first
    with h5py.File(writer.files[third]) as file:
        assert file["entry/bluesky/parent_run"].asstr()[()] == "of a session long ago"
        assert "parent" not in file["entry/bluesky"]
    assert faults(writer.files[second]) == []


def test_runs_of_one_dataset_share_a_file(RE, writer, hw):
    """Two scans and a count: an entry each, and one over them with what was first and what was last."""
    md = {"dataset_uid": "d-1", "sample": "cement"}
    (first,) = RE(bp.scan([hw.det], hw.motor, -1, 1, 5, md=md))
    (second,) = RE(bp.scan([hw.det], hw.motor, 5, 6, 7, md=md))
    (third,) = RE(bp.count([hw.det], num=2, md=md))
    (other,) = RE(bp.count([hw.det], md={"dataset_uid": "d-2"}))
    writer.wait()
    path = writer.files[first]
    assert writer.files[second] == writer.files[third] == path != writer.files[other]
    with h5py.File(path) as file:
        assert list(file) == ["entry", "entry_0002", "entry_0003", "entry_dataset"]
        assert all(isinstance(file.get(name, getlink=True), h5py.HardLink) for name in file)
        assert [len(file[name]["measurement/det"]) for name in list(file)[:3]] == [5, 7, 2]
        assert [file[name]["bluesky/uid"].asstr()[()] for name in list(file)[:3]] == [first, second, third]
        whole = file["entry_dataset"]
        assert whole.attrs["NX_class"] == "NXentry"
        assert whole["entry_identifier"].asstr()[()] == "d-1"
        assert whole["start_time"][()] == file["entry/start_time"][()]
        assert whole["end_time"][()] == file["entry_0003/end_time"][()]
        assert [len(run["measurement/det"]) for run in whole["runs"].values()] == [5, 7, 2]
        assert file.attrs["state"] == "complete"
    assert faults(path) == []
    files = [each.name for each in path.parent.iterdir() if each.suffix == ".h5"]
    assert sorted(files) == sorted({path.name, writer.files[other].name}), "no part is left"


def test_nested_runs_of_one_dataset_are_linked_within_their_file(RE, writer, hw):
    RE.md["dataset_uid"] = "nested"
    outer, *inner = RE(nested(hw))
    writer.wait()
    with h5py.File(writer.files[outer]) as file:
        assert list(file) == ["entry", "entry_0002", "entry_0003", "entry_dataset"]
        assert file["entry/bluesky/uid"].asstr()[()] == outer
        for sub in file["entry/sub_runs"].values():
            assert isinstance(sub.get("start", getlink=True), h5py.SoftLink)
            assert file[sub["entry"].asstr()[()]]["bluesky/uid"][()] == sub["uid"][()]
        assert {each["uid"].asstr()[()] for each in file["entry/sub_runs"].values()} == set(inner)
        assert file["entry_0002/bluesky/parent/uid"].asstr()[()] == outer
        assert file.attrs["state"] == "complete"
    assert faults(writer.files[outer]) == []


def test_a_dataset_can_be_read_while_its_runs_are_acquired(RE, writer, hw):
    seen = []

    def look(name, doc):
        if name == "event" and doc["seq_num"] == 2:
            with h5py.File(writer.files[uid_of[doc["descriptor"]]], "r", locking=False) as file:
                seen.append((file.attrs["state"], list(file), [len(file[each]) > 0 for each in file]))

    uid_of = {}
    RE.subscribe(lambda name, doc: uid_of.__setitem__(doc["uid"], doc["run_start"]), "descriptor")
    RE.subscribe(look)
    for _ in range(2):
        RE(bp.count([hw.det], num=3, delay=0.6, md={"dataset_uid": "live"}))
        writer.wait()
    assert [state for state, *_ in seen] == ["writing", "writing"]
    assert seen[1][1] == ["entry", "entry_0002"]
    assert seen[1][2] == [True, True]


def test_two_sessions_add_to_one_dataset_at_once(tmp_path, hw):
    """Each has a writer of its own; neither waits for the other, nothing is lost."""
    from event_model import compose_run

    def session(number):
        with NexusWriter(tmp_path / "data", journal=tmp_path / "spool") as writer:
            for _ in range(5):
                run = compose_run(metadata={"dataset_uid": "common", "plan_name": f"session{number}"})
                keys = {"x": {"dtype": "number", "shape": [], "source": "s"}}
                writer("start", run.start_doc)
                stream = run.compose_descriptor(name="primary", data_keys=keys)
                writer("descriptor", stream.descriptor_doc)
                for i in range(20):
                    writer("event", stream.compose_event(data={"x": i}, timestamps={"x": 0.0}))
                writer("stop", run.compose_stop())

    threads = [threading.Thread(target=session, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = (tmp_path / "data").glob("*.h5")
    with h5py.File(path) as file:
        names = [name for name in file if name != "entry_dataset"]
        assert len(names) == 10
        for name in names:
            np.testing.assert_array_equal(file[name]["measurement/x"], np.arange(20))
        assert file.attrs["state"] == "complete"
    assert not list((tmp_path / "data").glob(".*.part"))


def test_a_dataset_goes_on_in_the_next_session(RE, hw, tmp_path):
    paths = []
    for _ in range(2):
        with NexusWriter(tmp_path / "data") as writer:
            token = RE.subscribe(writer)
            (uid,) = RE(bp.count([hw.det], md={"dataset_uid": "d"}))
            RE.unsubscribe(token)
            paths.append(writer.files[uid])
    assert paths[0] == paths[1]
    with h5py.File(paths[0]) as file:
        assert list(file) == ["entry", "entry_0002", "entry_dataset"]


def test_a_dataset_says_which_of_its_runs_is_incomplete(RE, writer, hw):
    def fails():
        yield from bps.open_run(md={"dataset_uid": "d"})
        yield from bps.trigger_and_read([hw.det])

    (uid,) = RE(bp.count([hw.det], md={"dataset_uid": "d"}))
    RE(fails())
    writer.wait()
    assert state(writer.files[uid]) == "complete", "the RunEngine closes the run"


def test_a_run_of_a_dataset_is_recovered_into_its_file(tmp_path):
    """The session dies within the second run: recover puts it beside the first, which is as it was."""
    import subprocess
    import sys

    script = """
import os, sys
from event_model import compose_run
from nexus_callbacks import NexusWriter
data, spool = sys.argv[1:]
writer = NexusWriter(data, journal=spool)
for number in range(2):
    run = compose_run(metadata={"dataset_uid": "d"})
    writer("start", run.start_doc)
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": "s"}})
    writer("descriptor", stream.descriptor_doc)
    for i in range(30):
        writer("event", stream.compose_event(data={"x": i}, timestamps={"x": 0.0}))
    if number == 0:
        writer("stop", run.compose_stop())
        writer.wait()
os.kill(os.getpid(), 9)
"""
    data, spool = tmp_path / "data", tmp_path / "spool"
    subprocess.run([sys.executable, "-c", script, str(data), str(spool)], check=False)
    (path,) = data.glob("*.h5")
    with h5py.File(path) as file:
        assert len(file["entry/measurement/x"]) == 30
    (found,) = recover(spool)
    assert (found.path, found.complete) == (path, False)
    with h5py.File(path) as file:
        for name in ("entry", "entry_0002"):
            np.testing.assert_array_equal(file[name]["measurement/x"], np.arange(30))
        assert file.attrs["state"] == "incomplete"
        assert file.attrs["state_reason"].startswith("entry_0002: its session ended before the run stopped")
    assert {each.severity for each in faults(path)} == {"warning"}
    assert not list(data.glob(".*.part"))


def test_a_refused_run_leaves_nothing_of_its_dataset(RE, writer):
    from nexus_callbacks import FaultError

    with pytest.raises(FaultError):
        writer("start", {"uid": "u", "time": "yesterday", "dataset_uid": "d"})
    assert not list(writer.directory.glob("*.h5"))
    assert not list(writer.directory.glob(".*.part"))


OWN = """
<group groupName="${entry}" NX_class="NXentry">
  <group groupName="instrument" NX_class="NXinstrument">
    <group groupName="source" NX_class="NXsource">
      <current NAPItype="NX_FLOAT" units="mA">${current}</current>
      <last_fill NAPItype="NX_FLOAT" units="mA" record="final">${current_after}</last_fill>
    </group>
  </group>
</group>
"""
PROFILE = """
beamline: b1
definitions: [own.xml]
values:
  current: {from: "data:ring", unit: mA}
  current_after: {from: "data:ring", unit: mA}
"""


def test_a_dataset_has_the_first_value_of_its_first_run_and_the_last_of_its_last(RE, tmp_path):
    from ophyd import Signal

    (tmp_path / "own.xml").write_text(OWN)
    (tmp_path / "profile.yml").write_text(PROFILE)
    ring = Signal(name="ring", value=200.0)
    RE.preprocessors.append(bpp.SupplementalData(baseline=[ring]))

    def losing():
        yield from bps.open_run(md={"dataset_uid": "d"})
        ring.put(ring.get() - 10)
        yield from bps.close_run()

    writer = NexusWriter(tmp_path / "data", profile=tmp_path)
    RE.subscribe(writer)
    RE(losing())
    (uid,) = RE(losing())
    with h5py.File(writer.files[uid]) as file:
        source = file["entry_dataset/instrument/source"]
        assert (source["current"][()], source["last_fill"][()]) == (200, 180)
        assert file["entry/instrument/source/last_fill"][()] == 190
        assert file["entry_0002/instrument/source/current"][()] == 190
    assert faults(writer.files[uid]) == []


def test_a_register_that_cannot_be_written_refuses_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    from nexus_callbacks import FaultError

    def full(record, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nexus_callbacks.datasets._write", full)
    writer = NexusWriter(tmp_path / "data", journal=tmp_path / "spool")
    with pytest.raises(FaultError, match="No space left"):
        writer("start", {"uid": "u", "time": 1.0, "dataset_uid": "d"})
    assert not list((tmp_path / "data").glob("*.h5"))
    assert not list((tmp_path / "data").glob(".*.part"))
