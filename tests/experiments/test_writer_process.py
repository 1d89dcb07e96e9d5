"""The writer as a process of its own: sessions only append to their journals, whoever follows may die at any moment."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
from event_model import compose_run

from nexus_callbacks import NexusWriter, open_live, recover, validate
from nexus_callbacks.journal import follower

COMMAND = [sys.executable, "-m", "nexus_callbacks.cli", "writer"]


class service(subprocess.Popen):
    """The command, killed at the latest when the test is over."""

    def __init__(self, spool, *options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        super().__init__([*COMMAND, str(spool), *options], **pipes)

    def __exit__(self, kind, error, trace):
        self.kill()
        super().__exit__(kind, error, trace)


def until(found, timeout=60):
    """Wait until something is so."""
    end = time.monotonic() + timeout
    while not found():
        assert time.monotonic() < end, "it did not come to be in a minute"
        time.sleep(0.02)


class Scan:
    """A run that is emitted by hand."""

    def __init__(self, writer):
        self.writer, self.run, self.count = writer, compose_run(), 0
        keys = {key: {"dtype": "number", "shape": [], "source": "sim"} for key in "ab"}
        self.stream = self.run.compose_descriptor(name="primary", data_keys=keys)
        writer("start", self.run.start_doc)
        writer("descriptor", self.stream.descriptor_doc)
        self.path = writer.files[self.run.start_doc["uid"]]

    def emit(self, events):
        for _ in range(events):
            data = {"a": self.count, "b": -self.count}
            self.writer("event", self.stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0)))
            self.count += 1

    def stop(self):
        self.writer("stop", self.run.compose_stop())

    def rows(self):
        """Rows in the file, none of which may be wrong."""
        with open_live(self.path, timeout=60) as live:
            found = live.read(lambda file: "entry/measurement/a" in file and live_columns(file))
        if not found:
            return 0
        a, b = found
        count = min(len(a), len(b))
        assert list(a[:count]) == list(range(count))
        assert list(b[:count]) == [-i for i in range(count)]
        return count


def live_columns(file):
    return [file[f"entry/measurement/{name}"][:] for name in "ab"]


def whole(scan):
    with h5py.File(scan.path, locking=False) as file:
        assert list(file["entry/measurement/a"]) == list(range(scan.count))
        assert file.attrs["state"] == "complete"
    assert validate(scan.path).valid, [str(f) for f in validate(scan.path).errors]


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def test_a_process_of_its_own_follows_a_session_live(tmp_path, spool):
    with service(spool) as process, NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer:
        scan = Scan(writer)
        scan.emit(10)
        until(lambda: scan.rows() == 10)
        scan.emit(5)
        until(lambda: scan.rows() == 15)
        scan.stop()
        assert writer.wait(60)
        whole(scan)
        assert not list(spool.rglob("*.journal")), "a complete file needs no journal"
        second = Scan(writer)
        second.emit(3)
        second.stop()
        assert writer.wait(60)
        whole(second)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.count("following") == out.count("complete") == 2


SEEDS = [int(seed) for seed in os.environ.get("NEXUS_SOAK", "").split()] or range(5)
"""Of the moments at which processes are killed; `make soak` gives its own."""


@pytest.mark.parametrize("seed", SEEDS)
def test_when_it_is_killed_another_takes_over(tmp_path, spool, seed):
    chance = random.Random(seed)
    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer:
        processes = [service(spool), service(spool)]  # The second one waits for the first one's death.
        try:
            scan = Scan(writer)
            for _ in range(2):
                scan.emit(chance.randrange(1, 400))
                until(lambda: scan.rows() > 0)
                time.sleep(chance.random() * 0.7)
                killed = processes.pop(0)
                killed.kill()
                killed.communicate()
                with h5py.File(scan.path, locking=False):
                    pass  # It opens plainly at once.
                processes.append(service(spool))
                emitted = scan.count
                until(lambda emitted=emitted: scan.rows() == emitted)
            scan.emit(10)
            scan.stop()
            assert writer.wait(60)
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=60)
                assert not err
        whole(scan)
        assert not list((tmp_path / "data").glob(".*")), "nothing is left of what the dead ones wrote"
    assert not list(spool.rglob("*.journal"))


def test_one_that_ends_in_mid_run_leaves_the_rest_to_the_next(tmp_path, spool):
    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer:
        scan = Scan(writer)
        with service(spool) as first:
            scan.emit(20)
            until(lambda: scan.rows() == 20)
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=60)
            assert first.returncode == 0
        assert scan.rows() == 20
        scan.emit(20)
        scan.stop()
        with service(spool, "--once") as second:
            out, err = second.communicate(timeout=60)
        assert (second.returncode, err) == (0, "")
        assert "taken over" in out
        whole(scan)


def test_if_nobody_follows_the_scan_goes_on_and_it_is_told_once(tmp_path, spool, caplog, monkeypatch):
    monkeypatch.setattr(follower, "NOBODY", 0.3)
    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer:
        scan = Scan(writer)
        scan.emit(5)
        until(lambda: "nobody brings" in caplog.text)
        scan.emit(5)
        scan.stop()
        assert writer.wait(60), "who ends is not kept waiting for somebody who may never come"
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "nexus-callbacks writer" in told[0].getMessage()
    (recovered,) = recover(spool)
    assert recovered.path == scan.path
    whole(scan)


SESSION = """
import os, sys
sys.path.insert(0, sys.argv[3])
from test_writer_process import Scan
from nexus_callbacks import NexusWriter

scan = Scan(NexusWriter(sys.argv[1], journal=sys.argv[2], follow=False))
scan.emit(50)
print(scan.path, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_session_that_dies_is_completed_by_the_one_that_follows_it(tmp_path, spool):
    with service(spool) as process:
        folder = str(Path(__file__).parent)
        command = [sys.executable, "-c", SESSION, str(tmp_path / "data"), str(spool), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL, done.stderr
        path = Path(done.stdout.strip())

        def ended():
            return open_live(path).state == "incomplete"

        until(ended)
        until(lambda: not list(spool.rglob("*.journal")))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    with h5py.File(path) as file:
        assert list(file["entry/measurement/a"]) == list(range(50))
        assert "session ended before" in file.attrs["state_reason"]
    assert not list(spool.glob("session-*"))


def test_a_writer_that_is_closed_in_mid_run_says_so_through_the_journal(tmp_path, spool):
    with service(spool) as process:
        writer = NexusWriter(tmp_path / "data", journal=spool, follow=False)
        scan = Scan(writer)
        scan.emit(7)
        writer.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    recover(spool)  # If it was closed before anybody came to follow it.
    with h5py.File(scan.path) as file:
        assert list(file["entry/measurement/a"]) == list(range(7))
        assert "closed before" in file.attrs["state_reason"]


def test_what_somebody_follows_is_not_recovered_by_another(tmp_path, spool):
    from nexus_callbacks.journal.spool import follow

    writer = NexusWriter(tmp_path / "data", journal=spool, follow=False)
    scan = Scan(writer)
    scan.emit(3)
    (journal,) = spool.rglob("*.journal")
    held = follow(journal)
    assert follow(journal) is None, "one follows, no more"
    writer._session.close()  # As if the session were gone.
    assert recover(spool) == []
    held.release()
    assert len(recover(spool)) == 1
    assert not list(spool.iterdir())
