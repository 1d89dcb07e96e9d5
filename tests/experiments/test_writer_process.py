"""The writer as a process of its own: sessions only append to their journals, whoever follows may die at any moment."""

import errno
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest
from event_model import compose_run

from nexus_callbacks import NexusWriter, open_live, recover, validate
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.journal import follower
from nexus_callbacks.journal import spool as places
from nexus_callbacks.journal.journal import BLOCK, Reader
from nexus_callbacks.journal.recovery import KnownRecipes
from nexus_callbacks.journal.service import Guest, Service
from nexus_callbacks.journal.spool import Spool, follow
from tests.waiting import until

COMMAND = [sys.executable, "-m", "nexus_callbacks.cli", "writer"]


class service(subprocess.Popen):
    """The command, killed at the latest when the test is over."""

    def __init__(self, spool, *options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        super().__init__([*COMMAND, str(spool), *options], **pipes)

    def __exit__(self, kind, error, trace):
        self.kill()
        super().__exit__(kind, error, trace)


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


@contextmanager
def service_here(spool, once=False):
    """A service in a thread of this process; with what it tells."""
    told, stop = [], threading.Event()
    running = Service(Spool(spool), told.append, lambda message: None)
    thread = threading.Thread(target=running.run, args=(stop, once), daemon=True)
    thread.start()
    try:
        yield thread, told, stop
    finally:
        stop.set()
        thread.join(60)


def guest_of(journal, scan):
    with Reader(journal) as reader:
        header = reader.header
    recipes = KnownRecipes().of(None)
    held = follow(journal)
    assert held is not None
    return Guest(header, scan.run.start_doc, [held], recipes, lambda message: None, lambda message: None)


def stored_rows(path):
    with h5py.File(path, locking=False) as file:
        return len(file["entry/measurement/a"])


def test_who_takes_over_shows_no_fewer_rows_than_the_one_before(tmp_path, spool):
    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer:
        scan = Scan(writer)
        scan.emit(3000)
        (journal,) = spool.rglob("*.journal")
        assert journal.stat().st_size > 2 * BLOCK, "it is read in several goes"
        first = guest_of(journal, scan)
        while first.advance():
            pass
        first.leave()
        assert stored_rows(scan.path) == 3000

        hasty = guest_of(journal, scan)  # It ends before it has caught up.
        assert hasty.advance()
        hasty.leave()
        assert stored_rows(scan.path) == 3000
        assert not list(scan.path.parent.glob(".*"))

        failed = guest_of(journal, scan)
        assert failed.advance()
        failed.give_up("for a test")
        assert stored_rows(scan.path) == 3000
        assert not list(scan.path.parent.glob(".*"))

        second = guest_of(journal, scan)
        scan.emit(10)
        seen = []
        while second.advance():
            second.flush()
            seen.append(stored_rows(scan.path))
        assert len(seen) > 2
        assert set(seen[:-1]) <= {3000, 3010}
        assert seen[-1] == 3010
        scan.emit(5)
        while second.advance():
            second.flush()
        assert stored_rows(scan.path) == 3015, "from then on it is written in its place"
        second.leave()


def test_without_any_place_for_a_journal_nobody_waits_for_ever_and_the_loss_is_told(tmp_path, caplog, monkeypatch):
    no_folder = tmp_path / "file"
    no_folder.touch()
    monkeypatch.setattr(places, "temporary_folder", lambda: no_folder / "too")
    monkeypatch.setattr(follower, "NOBODY", 0.0)
    writer = NexusWriter(tmp_path / "data", journal=no_folder / "spool", follow=False)
    scan = Scan(writer)
    scan.emit(5)
    scan.stop()
    assert writer.wait(20)
    closing = threading.Thread(target=writer.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    assert "8 documents were in memory only and are lost" in caplog.text
    assert "is in its journal" not in caplog.text


def test_a_session_that_is_closed_does_not_wait_for_a_journal_that_finds_no_room(tmp_path, spool, caplog, monkeypatch):
    monkeypatch.setattr(follower, "PATIENCE", 0.7)
    writer = NexusWriter(tmp_path / "data", journal=spool, follow=False)
    Scan(writer).stop()  # The session has a place now.

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer._session, "journal", full)
    scan = Scan(writer)
    scan.emit(5)
    scan.stop()
    closing = threading.Thread(target=writer.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert "8 documents were in memory only and are lost" in caplog.text
    assert scan.run.start_doc["uid"] in caplog.text


def test_a_service_ends_although_the_disk_is_full_and_tells_it_once(tmp_path, spool, monkeypatch):
    monkeypatch.setattr(follower, "PATIENCE", 0.7)

    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer:
        scan = Scan(writer)
        scan.emit(50)
        scan.stop()
        with monkeypatch.context() as disk:
            disk.setattr(Writer, "reserve", full)
            with service_here(spool) as (thread, told, stop):
                until(lambda: told)
                time.sleep(2 * follower.FLUSH_INTERVAL)  # It tries again meanwhile.
                stop.set()
                thread.join(60)
                assert not thread.is_alive()
        assert len(told) == len(set(told)), told
        assert sum("the disk does not take it now" in message for message in told) == 1
        assert sum("`nexus-callbacks recover` completes it" in message for message in told) == 1
        with service_here(spool, once=True) as (thread, _, _):
            thread.join(60)
        whole(scan)


def test_a_run_that_is_given_up_is_not_taken_again(tmp_path, spool, monkeypatch):
    monkeypatch.setattr(follower, "NOBODY", 0.3)
    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer:
        scan = Scan(writer)
        scan.emit(20)
        (journal,) = spool.rglob("*.journal")
        size = journal.stat().st_size
        scan.emit(1)
        with journal.open("r+b") as file:
            file.seek(size + 30)
            file.write(b"\xff\xff\xff")
        scan.emit(10)
        scan.stop()
        with service_here(spool, once=True) as (thread, told, _):
            thread.join(20)
            assert not thread.is_alive(), "there is nothing left that it could write"
        assert len(told) == 1
        assert "checksum" in told[0]
    (recovered,) = recover(spool)
    assert recovered.path == scan.path
    with h5py.File(scan.path) as file:
        assert list(file["entry/measurement/a"]) == list(range(20)), "all that comes before the damage"


def test_a_service_does_not_wait_for_the_locks_of_living_sessions(tmp_path, spool, monkeypatch):
    asked = []
    monkeypatch.setattr(Spool, "adopt", lambda self, folder: asked.append(folder))
    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer, service_here(spool):
        scan = Scan(writer)
        for rows in (10, 20, 30):
            scan.emit(10)
            until(lambda rows=rows: scan.rows() == rows)
        scan.stop()
        assert writer.wait(60)
    assert not asked


def test_a_merge_that_failed_is_tried_again(tmp_path, spool):
    """As in a session's own thread: the journal stays until the run is in its dataset's file."""
    with NexusWriter(tmp_path / "data", journal=spool, follow=False) as writer, service_here(spool) as (_, told, _):
        paths = []
        for rows in (2, 3):
            run = compose_run(metadata={"dataset_uid": "d"})
            writer("start", run.start_doc)
            keys = {"x": {"dtype": "number", "shape": [], "source": "sim"}}
            stream = run.compose_descriptor(name="primary", data_keys=keys)
            writer("descriptor", stream.descriptor_doc)
            for i in range(rows):
                writer("event", stream.compose_event(data={"x": i}, timestamps={"x": 0.0}))
            paths.append(writer.files[run.start_doc["uid"]])
            if rows == 3:
                lock = tmp_path / "data" / ".datasets" / "d.merge"
                lock.unlink()
                lock.mkdir()
            writer("stop", run.compose_stop())
            if rows == 3:
                until(lambda: any("could not be put in" in message for message in told))
                lock.rmdir()
            assert writer.wait(60)
    assert paths[0] == paths[1]
    with h5py.File(paths[0]) as file:
        assert list(file["entry_0002/measurement/x"]) == [0, 1, 2]
        assert file.attrs["state"] == "complete"
