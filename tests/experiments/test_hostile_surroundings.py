"""What others do to files, folders, locks and handlers around a scan: it goes on, and no run harms another."""

import logging
import subprocess
import sys

import h5py
import numpy as np
import pytest
from event_model import compose_run

from nexus_callbacks import FaultError, NexusWriter, recover
from tests.waiting import until

KEYS = {"x": {"dtype": "number", "shape": [], "source": "s"}}


class Hand:
    """A run that is made by hand, row by row."""

    def __init__(self, writer, **metadata):
        self.writer = writer
        self.run = compose_run(metadata=metadata)
        self.uid = self.run.start_doc["uid"]
        writer("start", self.run.start_doc)
        self.stream = self.run.compose_descriptor(name="primary", data_keys=KEYS)
        writer("descriptor", self.stream.descriptor_doc)

    def rows(self, count):
        for i in range(count):
            self.writer("event", self.stream.compose_event(data={"x": i}, timestamps={"x": 0.0}))
        return self

    def stop(self):
        self.writer("stop", self.run.compose_stop())
        return self


@pytest.fixture(params=["inline", "journaled"])
def writer(request, tmp_path):
    journal = request.param == "journaled" and tmp_path / "spool"
    with NexusWriter(tmp_path / "data", journal=journal) as writer:
        yield writer


def rows_of(path, entry="entry"):
    with h5py.File(path) as file:
        return file[f"{entry}/measurement/x"][:].tolist()


def test_an_event_without_data_costs_only_itself(writer):
    hand = Hand(writer)
    bad = {"descriptor": hand.stream.descriptor_doc["uid"], "seq_num": 99, "time": 1.0, "timestamps": {}}
    writer("event", {**bad, "data": None})
    hand.rows(10)
    writer("event", {**bad, "data": None})
    hand.stop()
    path = writer.files[hand.uid]
    assert rows_of(path) == list(range(10))
    with h5py.File(path) as file:
        assert file.attrs["state"] == "incomplete"
        assert "not a mapping" in file.attrs["state_reason"]


def test_a_logging_handler_that_raises_ends_neither_the_scan_nor_the_writing(writer, capsys):
    class Raising(logging.Handler):
        def emit(self, record):
            raise RuntimeError("handler")

    handler = Raising()
    logging.getLogger("nexus_callbacks").addHandler(handler)
    try:
        hand = Hand(writer)
        writer("event", {"descriptor": hand.stream.descriptor_doc["uid"]})
        hand.rows(5).stop()
        assert rows_of(writer.files[hand.uid]) == list(range(5))
    finally:
        logging.getLogger("nexus_callbacks").removeHandler(handler)
    assert "a logging handler raised RuntimeError" in capsys.readouterr().err


@pytest.mark.parametrize("value", [np.arange(3), ["a"], 5])
def test_a_parent_that_is_no_uid_is_none(writer, value):
    hand = Hand(writer, parent_run=value).rows(2).stop()
    assert rows_of(writer.files[hand.uid]) == [0, 1]


def test_a_file_that_somebody_replaced_is_left_to_recover(tmp_path, caplog):
    with NexusWriter(tmp_path / "data", journal=tmp_path / "spool") as writer:
        hand = Hand(writer).rows(5)
        path = writer.files[hand.uid]
        other = tmp_path / "other"
        other.write_bytes(b"foreign")
        other.replace(path)
        hand.stop()
        assert writer.wait(30)
    assert "removed or replaced" in caplog.text
    (found,) = recover(tmp_path / "spool")
    assert path.read_bytes() == b"foreign"
    assert found.path != path
    assert rows_of(found.path) == list(range(5))


TWO = """
import os, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.experiments.test_hostile_surroundings import Hand
from nexus_callbacks import NexusWriter
root = Path(sys.argv[1])
writers = [NexusWriter(root / name, journal=root / "spool") for name in "ab"]
both = lambda name, doc: [writer(name, doc) for writer in writers]
Hand(both).rows(5)
os.kill(os.getpid(), 9)
"""


def test_one_run_in_two_folders_is_recovered_in_both(tmp_path, pytestconfig):
    subprocess.run([sys.executable, "-c", TWO, str(tmp_path), str(pytestconfig.rootpath)], check=False)
    assert len(recover(tmp_path / "spool")) == 2
    for name in "ab":
        (path,) = (tmp_path / name).glob("*.h5")
        assert rows_of(path) == list(range(5))


def test_recovery_takes_no_name_that_another_run_has_by_now(tmp_path, pytestconfig):
    """The torn file was renamed away, and a new scan begins under its name."""
    killed = TWO.replace('"ab"', '"a"')
    (tmp_path / "profile.yml").write_text('beamline: b\nfiles: {dataset: "{data_root}/one.h5"}\n')
    killed = killed.replace('journal=root / "spool")', 'journal=root / "spool", profile=root)')
    subprocess.run([sys.executable, "-c", killed, str(tmp_path), str(pytestconfig.rootpath)], check=False)
    (tmp_path / "a" / "one.h5").rename(tmp_path / "a" / "torn")
    with NexusWriter(tmp_path / "a", profile=tmp_path, journal=tmp_path / "elsewhere") as writer:
        hand = Hand(writer).rows(3)
        (found,) = recover(tmp_path / "spool")
        hand.stop()
        assert rows_of(writer.files[hand.uid]) == list(range(3))
    assert writer.files[hand.uid].name == "one.h5"
    assert rows_of(found.path) == list(range(5))


@pytest.mark.unreadable("somebody put things into it that NeXus has no place for")
def test_what_somebody_puts_into_a_datasets_file_stays(tmp_path):
    with NexusWriter(tmp_path / "data", journal=tmp_path / "spool") as writer:
        first = Hand(writer, dataset_uid="d").rows(2).stop()
        path = writer.files[first.uid]
        with h5py.File(path, "r+", locking=False) as file:
            file["notes"] = "mine"
            file.create_group("zz")
        second = Hand(writer, dataset_uid="d").rows(3).stop()
        assert rows_of(writer.files[second.uid], "entry_0002") == [0, 1, 2]
    with h5py.File(path) as file:
        assert file["notes"][()] == b"mine"
        assert file.attrs["default"] == "entry_0002"
        assert file.attrs["state"] == "complete"


def test_a_merge_that_failed_is_tried_again(tmp_path, caplog):
    with NexusWriter(tmp_path / "data", journal=tmp_path / "spool") as writer:
        first = Hand(writer, dataset_uid="d").rows(2).stop()
        path = writer.files[first.uid]
        lock = tmp_path / "data" / ".datasets" / "d.merge"
        lock.unlink()
        lock.mkdir()
        second = Hand(writer, dataset_uid="d").rows(3).stop()
        assert not writer.wait(2)
        assert "could not be put in" in caplog.text
        lock.rmdir()
        assert writer.wait(30)
    assert rows_of(path, "entry_0002") == [0, 1, 2]
    assert writer.files[second.uid] == path


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    with NexusWriter(tmp_path / "data", journal=tmp_path / "spool") as writer:
        (tmp_path / "data" / ".datasets").mkdir()
        (tmp_path / "data" / ".datasets" / "d.lock").symlink_to(precious)
        with pytest.raises(FaultError, match="symbolic"):
            Hand(writer, dataset_uid="d")
    assert precious.read_text() == "mine"


def test_twenty_runs_back_to_back_are_twenty_whole_files(tmp_path):
    from bluesky import RunEngine
    from bluesky.plans import scan
    from ophyd.sim import hw as make_hardware

    hw, RE = make_hardware(), RunEngine({}, call_returns_result=False)
    writer = NexusWriter(tmp_path / "data", journal=tmp_path / "spool")
    RE.subscribe(writer)
    uids = [RE(scan([hw.det], hw.motor, 0, 1, 5))[0] for _ in range(20)]
    for uid in uids:
        with h5py.File(writer.files[uid]) as file:
            assert len(file["entry/measurement/det"]) == 5
            assert file.attrs["state"] == "complete"
    writer.close()


@pytest.mark.unreadable("the file is as the fault left it until it is recovered")
def test_a_follower_that_raises_leaves_the_run_to_recover(tmp_path, monkeypatch, caplog):
    from nexus_callbacks.journal import follower

    def raising(self):
        raise MemoryError("no more")

    with NexusWriter(tmp_path / "data", journal=tmp_path / "spool") as writer:
        with monkeypatch.context() as patched:
            patched.setattr(follower.Followed, "flush", raising)
            hand = Hand(writer).rows(5)
            writer._follower.wake()
            until(lambda: "MemoryError" in caplog.text)
            hand.rows(5).stop()
            writer.wait(30)
        after = Hand(writer).rows(3).stop()
        assert rows_of(writer.files[after.uid]) == list(range(3))
    (found,) = recover(tmp_path / "spool")
    assert found.complete
    assert rows_of(found.path) == [*range(5), *range(5)]


@pytest.mark.unreadable("one of them is the other's until it has stopped")
def test_two_notebooks_on_one_spool_keep_out_of_each_others_way(tmp_path):
    """The second begins while the first is in mid-run, and recovers nothing of it."""
    with NexusWriter(tmp_path / "a", journal=tmp_path / "spool") as one:
        first = Hand(one).rows(5)
        with NexusWriter(tmp_path / "b", journal=tmp_path / "spool") as two:
            second = Hand(two).rows(3)
            assert recover(tmp_path / "spool") == []
            first.rows(5).stop()
            second.stop()
            assert rows_of(two.files[second.uid]) == list(range(3))
        assert rows_of(one.files[first.uid]) == [*range(5), *range(5)]
    assert not list((tmp_path / "spool").rglob("*.journal"))
