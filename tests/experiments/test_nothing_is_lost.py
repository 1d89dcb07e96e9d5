"""With a journal: whatever happens to the session or the disk, what the RunEngine emitted comes into the file."""

import errno
import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import bluesky.plans as bp
import h5py
import pytest
from bluesky import RunEngine
from event_model import compose_run
from ophyd.sim import hw as make_hardware

from nexus_callbacks import NexusWriter, validate
from nexus_callbacks.datasets import Target
from nexus_callbacks.journal.recovery import recover, recover_from
from nexus_callbacks.recipes import Recipes
from tests.comparison import assert_same, differences


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def test_a_run_through_the_journal_is_the_same_file(tmp_path, spool):
    hw = make_hardware()
    engine = RunEngine({})
    inline = NexusWriter(tmp_path / "inline")
    journaled = NexusWriter(tmp_path / "journaled", journal=spool)
    engine.subscribe(inline)
    engine.subscribe(journaled)
    engine(bp.grid_scan([hw.det4], hw.motor1, 0, 1, 3, hw.motor2, 0, 1, 4, True), sample="Fe")
    engine(bp.scan([hw.det], hw.motor, -1, 1, 5))
    assert journaled.wait(10)
    assert_same(inline.files, journaled.files)
    assert all(validate(path).valid for path in journaled.files.values())
    journaled.close()
    assert not list(spool.rglob("*.journal")), "complete files need no journal"


def test_no_thread_and_no_lock_stays_behind(tmp_path, spool):
    hw = make_hardware()
    engine = RunEngine({})
    for _ in range(20):
        writer = NexusWriter(tmp_path / "data", journal=spool)
        token = engine.subscribe(writer)
        engine(bp.count([hw.det]))
        engine.unsubscribe(token)
        writer.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(t.name.startswith("nexus-") for t in threading.enumerate()):
        time.sleep(0.05)
    assert not [t for t in threading.enumerate() if t.name.startswith("nexus-")]
    assert not [link for link in _open_files() if str(tmp_path) in link]


def test_a_flush_that_is_due_when_the_run_has_just_ended_harms_nothing(tmp_path, spool, monkeypatch, caplog):
    # On a busy machine bringing the last documents into the file takes longer than the time between two flushes.
    monkeypatch.setattr("nexus_callbacks.journal.follower.FLUSH_INTERVAL", 0)
    writer = NexusWriter(tmp_path / "data", journal=spool)
    engine = RunEngine({})
    engine.subscribe(writer)
    (uid,) = engine(bp.count([make_hardware().det], 3))
    assert writer.wait(10)
    writer.close()
    assert "could not be written" not in caplog.text
    with h5py.File(writer.files[uid]) as file:
        assert file.attrs["state"] == "complete"
    assert not list(spool.rglob("*.journal"))


def _open_files():
    for fd in Path("/proc/self/fd").iterdir():
        try:
            yield str(fd.readlink())
        except OSError:
            continue  # The descriptor of the listing itself.


def _threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("nexus-")]


def _gone(what, timeout=30):
    """Wait until there is nothing of a kind; what is left if there is."""
    end = time.monotonic() + timeout
    while (left := what()) and time.monotonic() < end:
        time.sleep(0.05)
        gc.collect()
    return left


@pytest.mark.parametrize("way", ["inline", "journaled"])
def test_hundreds_of_writers_leave_nothing_behind(tmp_path, spool, way):
    run = compose_run()
    for number in range(150):
        writer = NexusWriter(tmp_path / "data", journal=spool if way == "journaled" else False)
        writer("start", {**run.start_doc, "uid": f"r{number}"})
        writer("stop", {"uid": f"s{number}", "run_start": f"r{number}", "time": time.time(), "exit_status": "success"})
        del writer  # Not closed: that is what people do.
    assert not _gone(_threads)
    gc.collect()
    assert not [link for link in _open_files() if str(tmp_path) in link]
    paths = list((tmp_path / "data").glob("*.h5"))
    assert len(paths) == 150
    for path in paths:
        with h5py.File(path) as file:
            assert file.attrs["state"] == "complete"
    assert not list(spool.rglob("*.journal"))


@pytest.mark.parametrize("way", ["inline", "journaled"])
def test_a_writer_that_is_dropped_in_mid_run_lets_go_of_all(tmp_path, spool, way):
    writer = NexusWriter(tmp_path / "data", journal=spool if way == "journaled" else False)
    feed(writer, 5)
    (path,) = writer.files.values()
    del writer
    assert not _gone(_threads)
    assert not _gone(lambda: [link for link in _open_files() if str(tmp_path) in link])
    if way == "journaled":
        (recovered,) = recover(spool)
        assert recovered.path == path
        with h5py.File(path) as file:
            assert file["entry/measurement/x"].shape == (5, 1000)


def test_two_sessions_on_one_experiment_at_once(tmp_path, spool):
    """Same directory, same spool, same master, same names: every file and every link is there."""
    profile = tmp_path / "profile.yml"
    files = "{dataset: '{sample}/{sample}_{dataset}.h5', master: '{proposal}.h5'}"
    profile.write_text(f"beamline: b1\nfiles: {files}\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[4]); from test_nothing_is_lost import feed;"
        "from nexus_callbacks import NexusWriter;"
        "w = NexusWriter(sys.argv[1], profile=sys.argv[2], journal=sys.argv[3]);"
        "md = {'sample': 'Fe', 'dataset': 'a', 'proposal': 'p1'};"
        "[w('stop', feed(w, 2, md).compose_stop()) for _ in range(8)]; w.close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data"), str(profile), str(spool), str(Path(__file__).parent)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    paths = sorted((tmp_path / "data" / "Fe").glob("*.h5"))
    assert len(paths) == 16
    with h5py.File(tmp_path / "data" / "p1.h5") as master:
        linked = {master.get(name, getlink=True).filename for name in master if name.startswith("entry")}
        assert linked == {f"Fe/{path.name}" for path in paths}
        assert all(master[name]["measurement/x"].shape == (2, 1000) for name in master if name.startswith("entry"))
    assert not list(spool.rglob("*.journal"))


SESSION = """
import sys, time
from event_model import compose_run
from nexus_callbacks import NexusWriter

directory, spool, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
writer = NexusWriter(directory, journal=spool)
run = compose_run(uid="the-run", time=1.7e9)
keys = {k: {"dtype": "number", "shape": [], "source": "sim"} for k in "abc"}
stream = run.compose_descriptor(name="primary", data_keys=keys, uid="the-stream", time=1.7e9)
writer("start", run.start_doc)
writer("descriptor", stream.descriptor_doc)
for i in range(events):
    data = {"a": i, "b": i * 0.5, "c": -i}
    event = stream.compose_event(data=data, timestamps=dict.fromkeys(data, 1.0), uid=f"e{i}", time=1.7e9 + i)
    writer("event", event)
    print(i, flush=True)
    time.sleep(0.001)
writer("stop", run.compose_stop(uid="the-stop", time=1.8e9))
print("stopped", flush=True)
writer.close()
print("closed", flush=True)
"""


def session(tmp_path, spool, events=400):
    command = [sys.executable, "-c", SESSION, str(tmp_path / "data"), str(spool), str(events)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


SEEDS = [int(seed) for seed in os.environ.get("NEXUS_SOAK", "").split()] or range(20)
"""Of the moments at which sessions are killed; `make soak` gives 200 of its own."""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_session_loses_no_event(tmp_path, spool, seed):
    emitted = []
    limit = random.Random(seed).randrange(1, 400)
    with session(tmp_path, spool) as process:
        for line in process.stdout:
            emitted.append(line.strip())
            if len(emitted) > limit:
                break
        process.send_signal(signal.SIGKILL)
        emitted += [line.strip() for line in process.stdout]
    rows = len([line for line in emitted if line.isdigit()])
    (path,) = (tmp_path / "data").glob("*.h5")
    with h5py.File(path):
        pass  # It opens plainly at once.
    recovered = recover(spool)
    assert [each.path for each in recovered] == [path] or "closed" in emitted
    with h5py.File(path) as file:
        a = file["entry/measurement/a"][:]
        # The event whose print the kill cut off may be there, too.
        assert list(a) == list(range(len(a)))
        assert rows <= len(a) <= rows + 1
        assert list(file["entry/measurement/c"]) == [-i for i in range(len(a))]
        assert file.attrs["state"] in ("incomplete", "complete")
        if file.attrs["state"] == "incomplete":
            assert "session ended before" in file.attrs["state_reason"]
    assert not list(spool.rglob("*.journal"))
    assert not list((tmp_path / "data").glob(".*"))
    assert validate(path).valid, [str(f) for f in validate(path).errors]


def test_a_session_that_was_killed_after_its_stop_is_completed_by_the_next_one(tmp_path, spool):
    with session(tmp_path, spool, 50) as process:
        for line in process.stdout:
            if line.strip() == "stopped":
                process.send_signal(signal.SIGKILL)
                break
    with session(tmp_path / "whole", tmp_path / "other", 50) as process:
        process.communicate()
    NexusWriter(tmp_path / "data", journal=spool).close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and list(spool.rglob("*.journal")):
        time.sleep(0.05)
    (path,) = (tmp_path / "data").glob("*.h5")
    (whole,) = (tmp_path / "whole" / "data").glob("*.h5")
    assert differences(path, whole) == []


def test_what_a_living_session_writes_is_not_recovered(tmp_path, spool):
    writer = NexusWriter(tmp_path / "data", journal=spool)
    run = compose_run()
    writer("start", run.start_doc)
    assert recover(spool) == []
    assert list(spool.rglob("*.journal"))
    writer("stop", run.compose_stop())
    writer.close()


def feed(writer, rows, md=None):
    run = compose_run(metadata=md or {})
    keys = {"x": {"dtype": "array", "shape": [1000], "source": "sim"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    for i in range(rows):
        writer("event", stream.compose_event(data={"x": [float(i)] * 1000}, timestamps={"x": 0.0}))
    return run


FULL = """
import resource, signal, sys, time
sys.path.insert(0, sys.argv[3])
from test_nothing_is_lost import feed
from nexus_callbacks import NexusWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = NexusWriter(sys.argv[1], journal=sys.argv[2])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
run = feed(writer, 100)
writer("stop", run.compose_stop())
assert not writer.wait(2), "the disk takes nothing"
print("the scan went on", flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert writer.wait(20), "there is room again"
writer.close()
"""


def test_a_full_disk_only_lengthens_the_journal(tmp_path, spool):
    command = [sys.executable, "-c", FULL, str(tmp_path / "data"), str(spool), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "the scan went on\n", done.stderr
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "data").glob("*.h5")
    with h5py.File(path) as file:
        assert list(file["entry/measurement/x"][:, 0]) == list(range(100))
        assert file.attrs["state"] == "complete"


def test_a_spool_that_cannot_be_made_costs_no_document(tmp_path, caplog, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr("nexus_callbacks.journal.spool.temporary_folder", lambda: tmp_path / "taken" / "too")
    writer = NexusWriter(tmp_path / "data", journal=tmp_path / "taken" / "spool")
    run = feed(writer, 5)
    writer("stop", run.compose_stop())
    writer.close()
    assert "kept in memory" in caplog.text
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        assert file["entry/measurement/x"].shape == (5, 1000)


def test_an_empty_and_a_foreign_journal_are_told_and_harm_nothing(tmp_path, spool, caplog):
    folder = spool / "session-1-dead"
    folder.mkdir(parents=True)
    (folder / "run-empty.journal").write_bytes(b"")
    (folder / "run-foreign.journal").write_bytes(b"a letter to my aunt")
    assert recover(spool) == []
    assert "not a journal" in caplog.text


def test_a_run_that_went_on_in_a_fallback_is_recovered_whole(tmp_path, spool, monkeypatch):
    """Two journals of one run, in two places, as a full first disk leaves them."""
    from nexus_callbacks.journal.spool import Spool

    run = compose_run()
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": "s"}})
    places = Spool(spool, [tmp_path / "second"])
    session = places.session()
    file = tmp_path / "data" / "x.h5"
    target = Target(file, file).to_dict()
    header = {"uid": run.start_doc["uid"], "target": target, "directory": str(tmp_path)}
    first = session.journal("r", {**header, "created": 1.0})
    second = session.journal("r", {**header, "created": 2.0}, after=first.path)
    first.append("start", run.start_doc)
    first.append("descriptor", stream.descriptor_doc)
    for i in range(20):
        event = stream.compose_event(data={"x": i}, timestamps={"x": 0.0})
        (first if i < 10 else second).append("event", event)
    second.append("stop", run.compose_stop())
    first.close()
    second.close()
    session.close()
    (recovered,) = recover_from(places, print)
    assert recovered.complete
    with h5py.File(recovered.path) as file:
        assert list(file["entry/measurement/x"]) == list(range(20))
    assert not list(tmp_path.rglob("*.journal"))


def test_a_journal_that_is_damaged_in_the_middle_is_kept(tmp_path, spool, caplog):
    with session(tmp_path, spool, 100) as process:
        for line in process.stdout:
            if line.strip() == "80":
                process.send_signal(signal.SIGKILL)
                break
    (journal,) = spool.rglob("*.journal")
    content_of = bytearray(journal.read_bytes())
    content_of[len(content_of) // 2] ^= 0xFF
    journal.write_bytes(content_of)
    (recovered,) = recover(spool)
    with h5py.File(recovered.path) as file:
        rows = file["entry/measurement/a"][:]
        assert list(rows) == list(range(len(rows)))
        assert 10 < len(rows) < 81
    assert len(list(spool.rglob("*.damaged"))) == 1
    assert "the journal is kept" in caplog.text


@pytest.mark.parametrize("begun", [True, False], ids=["being written", "not begun yet"])
def test_a_file_that_was_removed_in_mid_run_comes_back_from_the_journal(tmp_path, spool, begun):
    writer = NexusWriter(tmp_path / "data", journal=spool)
    run = feed(writer, 50)
    (path,) = writer.files.values()
    deadline = time.monotonic() + 20
    while begun and time.monotonic() < deadline and b"measurement" not in path.read_bytes():
        time.sleep(0.05)
    path.unlink()
    writer("stop", run.compose_stop())
    writer.close()
    (recovered,) = recover(spool)
    assert recovered.path == path
    with h5py.File(path) as file:
        assert list(file["entry/measurement/x"][:, 0]) == list(range(50))
        assert file.attrs["state"] == "complete"


def test_the_spool_may_be_emptied_while_a_run_is_written(tmp_path, spool):
    writer = NexusWriter(tmp_path / "data", journal=spool)
    run = feed(writer, 5)
    shutil.rmtree(spool)
    writer("stop", run.compose_stop())
    assert writer.wait(20)
    writer.close()
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        assert file["entry/measurement/x"].shape == (5, 1000)


FORK = """
import os, sys
sys.path.insert(0, sys.argv[3])
from test_nothing_is_lost import feed
from nexus_callbacks import NexusWriter

writer = NexusWriter(sys.argv[1], journal=sys.argv[2] if sys.argv[2] != "inline" else False)
run = feed(writer, 20)
reader, gate = os.pipe()
child = os.fork()
if child == 0:
    os.close(gate)
    os.read(reader, 1)
    writer("event", {"descriptor": "of the child"})
    sys.exit(0)
os.close(reader)
writer("stop", run.compose_stop())
writer.close()
os.close(gate)
_, status = os.waitpid(child, 0)
print("child", status)
"""


@pytest.mark.parametrize("way", ["inline", "journaled"])
def test_a_forked_child_leaves_the_files_to_its_parent(tmp_path, spool, way):
    target = str(spool) if way == "journaled" else "inline"
    command = [sys.executable, "-c", FORK, str(tmp_path / "data"), target, str(Path(__file__).parent)]
    # pyepics, which ophyd takes where it is installed, hangs at the end of any forked process.
    plain = {**os.environ, "OPHYD_CONTROL_LAYER": "dummy"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=plain)
    assert done.stdout == "child 0\n", done.stderr
    (path,) = (tmp_path / "data").glob("*.h5")
    with h5py.File(path) as file:
        assert file.attrs["state"] == "complete"
        assert list(file["entry/measurement/x"][:, 0]) == list(range(20))
    assert validate(path).valid


def test_several_threads_lose_no_row(tmp_path):
    """bluesky's monitors emit from the devices' threads."""
    writer = NexusWriter(tmp_path)
    run = compose_run()
    writer("start", run.start_doc)
    streams = []
    for n in range(4):
        keys = {f"x{n}": {"dtype": "number", "shape": [], "source": "s"}}
        streams.append(run.compose_descriptor(name=f"monitor{n}", data_keys=keys))
        writer("descriptor", streams[-1].descriptor_doc)

    def emit(n):
        for i in range(1500):
            event = {"descriptor": streams[n].descriptor_doc["uid"], "seq_num": i + 1, "time": 1.0, "uid": f"{n}/{i}"}
            writer("event", {**event, "data": {f"x{n}": i}, "timestamps": {f"x{n}": 1.0}})

    threads = [threading.Thread(target=emit, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        for n in range(4):
            assert list(file[f"entry/measurement/monitor{n}/x{n}"]) == list(range(1500))


def test_closing_ends_open_runs_and_says_so(tmp_path, spool):
    writer = NexusWriter(tmp_path / "data", journal=spool)
    feed(writer, 3)
    writer.close()
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        assert file["entry/measurement/x"].shape == (3, 1000)
        assert file.attrs["state"] == "incomplete"
        assert "closed before" in file.attrs["state_reason"]
    assert not list(spool.rglob("*.journal"))


def test_the_profile_is_read_once_for_all_runs_of_a_recovery(tmp_path, spool, monkeypatch):
    from nexus_callbacks.journal import recovery

    profile = tmp_path / "profile" / "profile.yml"
    profile.parent.mkdir()
    profile.write_text("beamline: b1\n")
    writer = NexusWriter(tmp_path / "data", profile=profile, journal=spool, follow=False)
    for _ in range(4):
        writer("start", compose_run().start_doc)
    writer._session.close()  # As if the session were gone.
    read = []
    monkeypatch.setattr(recovery, "Recipes", lambda path: read.append(path) or Recipes(path))
    assert len(recover(spool)) == 4
    assert read == [str(profile)]
    known = recovery.KnownRecipes()
    first = known.of(str(profile))
    assert known.of(str(profile)) is first
    profile.write_text("beamline: b2\n")
    assert known.of(str(profile)).profile.beamline == "b2", "a profile that was changed is read again"


KEYS = {"x": {"dtype": "number", "shape": [], "source": "s"}}


def test_a_disk_that_is_full_when_a_stream_is_reconfigured_costs_no_column(tmp_path, monkeypatch):
    """The descriptor is tried again, and found as if for the first time."""
    from nexus_callbacks.files.writer import Writer

    monkeypatch.setattr("nexus_callbacks.journal.follower.WAKE_INTERVAL", 5.0)
    append, refusals = Writer.append, iter([OSError(errno.ENOSPC, "no room")])

    def refusing(self, column, *args, **kwargs):
        if column.key == "x" and (error := next(refusals, None)):
            raise error
        return append(self, column, *args, **kwargs)

    monkeypatch.setattr(Writer, "append", refusing)
    run = compose_run()
    with NexusWriter(tmp_path, journal=tmp_path / "spool") as writer:
        writer("start", run.start_doc)
        first = run.compose_descriptor(name="primary", data_keys=KEYS)
        writer("descriptor", first.descriptor_doc)
        writer("event", first.compose_event(data={"x": 1.0}, timestamps={"x": 0.0}))
        second = run.compose_descriptor(name="primary", data_keys={**KEYS, "y": KEYS["x"]}, validate=False)
        writer("descriptor", second.descriptor_doc)
        row = {"descriptor": second.descriptor_doc["uid"], "uid": "e", "seq_num": 2, "time": 1.0, "filled": {}}
        writer("event", {**row, "data": {"x": 2.0, "y": 3.0}, "timestamps": {"x": 0.0, "y": 0.0}})
        writer("stop", run.compose_stop())
    with h5py.File(writer.files[run.start_doc["uid"]]) as file:
        assert list(file["entry/measurement/x"]) == [1, 2]
        assert file["entry/measurement/y"][1] == 3
        assert {name for name in file["entry/bluesky/primary"] if name.startswith("descriptor_")} >= {"descriptor_2"}
        assert "descriptor_3" not in file["entry/bluesky/primary"]
        assert file.attrs["state"] == "complete"


@pytest.mark.unreadable("its journal was damaged, so that the end of its run is not in it")
def test_a_journal_that_is_damaged_while_it_is_followed_is_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("nexus_callbacks.journal.follower.WAKE_INTERVAL", 5.0)
    run = compose_run()
    with NexusWriter(tmp_path, journal=tmp_path / "spool") as writer:
        writer("start", run.start_doc)
        stream = run.compose_descriptor(name="primary", data_keys=KEYS)
        writer("descriptor", stream.descriptor_doc)
        for i in range(10):
            writer("event", stream.compose_event(data={"x": i}, timestamps={"x": 0.0}))
        (journal,) = (tmp_path / "spool").rglob("*.journal")
        with journal.open("r+b") as file:
            file.seek(-20, 2)
            file.write(b"\0\0\0")
        writer("stop", run.compose_stop())
        assert writer.wait(30)
        assert "checksum is wrong" in caplog.text
        assert journal.exists()
    with h5py.File(writer.files[run.start_doc["uid"]]) as file:
        assert file.attrs["state"] == "incomplete"
        assert list(file["entry/measurement/x"]) == list(range(9))


@pytest.mark.parametrize("journal", [False, True])
def test_a_run_that_is_closed_ends_with_its_last_row(tmp_path, journal):
    run = compose_run()
    start = {**run.start_doc, "time": 1.7e9}
    with NexusWriter(tmp_path, journal=journal and tmp_path / "spool") as writer:
        writer("start", start)
        stream = run.compose_descriptor(name="primary", data_keys=KEYS)
        writer("descriptor", stream.descriptor_doc)
        writer("event", {**stream.compose_event(data={"x": 1}, timestamps={"x": 0.0}), "time": 1.7e9 + 5})
    with h5py.File(writer.files[start["uid"]]) as file:
        begin, end = (datetime.fromisoformat(file[f"entry/{name}_time"].asstr()[()]) for name in ("start", "end"))
    assert (end - begin).total_seconds() == 5
