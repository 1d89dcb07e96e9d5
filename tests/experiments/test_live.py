"""Files read while they are written: nothing wrong is ever seen, and what is seen is a second old at most."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from event_model import compose_run
from ophyd.sim import hw as make_hardware

from nexus_callbacks import LiveError, NexusWriter, hdf5, open_live, recover, validate

WRITER = """
import sys, time
from event_model import compose_run
from nexus_callbacks import NexusWriter

directory, journal, swmr, rate, seconds = sys.argv[1], sys.argv[2], sys.argv[3] == "swmr", *map(float, sys.argv[4:])
writer = NexusWriter(directory, journal=journal if journal != "inline" else False, swmr=swmr)
run = compose_run()
keys = {k: {"dtype": "number", "shape": [], "source": "sim"} for k in ("when", "row", "half")}
stream = run.compose_descriptor(name="primary", data_keys={**keys, "text": {**keys["row"], "dtype": "string"}})
writer("start", run.start_doc)
writer("descriptor", stream.descriptor_doc)
print(*writer.files.values(), flush=True)
uid, begin, row = stream.descriptor_doc["uid"], time.time(), 0
while (now := time.time()) < begin + seconds:
    if rate and now < begin + row / rate:
        time.sleep(min(begin + row / rate - now, 0.1))
        continue
    row += 1
    data = {"when": now, "row": row, "half": row / 2, "text": str(row)}
    event = {"descriptor": uid, "seq_num": row, "time": now, "uid": str(row), "data": data}
    writer("event", {**event, "timestamps": dict.fromkeys(data, now)})
writer("stop", run.compose_stop())
writer.close()
"""


@pytest.fixture
def writing(tmp_path):
    """Begins a writer in a process of its own; gives the path of its file."""
    processes = []

    def begin(way, rate, seconds, swmr=False):
        spool = "inline" if way == "inline" else str(tmp_path / "spool")
        command = [sys.executable, "-c", WRITER, str(tmp_path), spool, "swmr" if swmr else "", str(rate), str(seconds)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1].stdout.readline().strip()

    yield begin
    for process in processes:
        assert process.wait(60) == 0
        process.stdout.close()


def check(columns):
    """Each value follows from the number of its row."""
    count = len(columns["row"])
    rows = np.arange(1, count + 1)
    assert np.array_equal(columns["row"], rows)
    assert np.array_equal(columns["half"], rows / 2)
    assert np.all(columns["when"] > 1.7e9)
    if "text" in columns:
        assert list(columns["text"]) == [str(row) for row in rows]
    return count


def numbers(file):
    found = file.get("entry/measurement")
    return None if found is None else {name: found[name][:] for name in ("when", "row", "half") if name in found}


@pytest.mark.parametrize("way", ["journaled", "inline"])
@pytest.mark.parametrize("rate", [0, 1000], ids=["full speed", "1 kHz"])
def test_no_row_that_is_read_live_is_wrong(writing, way, rate):
    path = writing(way, rate, 3)
    seen = set()
    with open_live(path, timeout=60) as file:
        while file.state == "writing":
            columns = file.read(numbers)
            if columns and len(columns) == 3:
                assert len({len(rows) for rows in columns.values()}) == 1, "a flush shows all columns or none"
                seen.add(check(columns))
    assert len(seen) > 2


@pytest.mark.parametrize("swmr", [False, True], ids=["plain", "swmr"])
def test_rows_can_be_followed_to_the_end(writing, swmr):
    path = writing("journaled", 500, 2, swmr)
    pieces = list(open_live(path, timeout=60).follow(timeout=60))
    assert len(pieces) > 2
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    assert check(whole) > 500
    with h5py.File(path) as file:
        assert list(file["entry/measurement/row"]) == list(whole["row"])


LATE = 2.0
"""In s: a second is what is promised, and one is given to a machine that has other things to do."""


@pytest.mark.parametrize("way", ["journaled", "inline"])
@pytest.mark.parametrize("rate", [0.1, 10, 1000])
def test_an_ordinary_reader_sees_rows_within_a_second(writing, way, rate):
    path = writing(way, rate, 4)
    worst = seen = 0
    end = time.time() + 3
    while (now := time.time()) < end:
        try:
            with h5py.File(path, "r", locking=False) as file:
                when = file["entry/measurement/when"][:]
        except (OSError, KeyError, RuntimeError):
            continue  # An ordinary reader that meets a flush tries again.
        if len(when) and when[-1] > 0:
            # What is behind is the time since the last row that is seen, less what the next one is away.
            worst, seen = max(worst, now - when[-1] - 1 / rate), len(when)
        time.sleep(0.02)
    assert seen >= min(rate * 2, 1), "even of a lone event followed by nothing"
    assert worst < LATE


@pytest.mark.parametrize("way", ["journaled", "inline"])
def test_rows_before_a_pause_are_seen_during_it(tmp_path, way):
    hw = make_hardware()
    engine = RunEngine({})
    writer = NexusWriter(tmp_path / "data", journal=tmp_path / "spool" if way == "journaled" else False)
    engine.subscribe(writer)
    seen = []

    def look():
        (path,) = writer.files.values()
        code = f"import nexus_callbacks as n; print(len(n.open_live({str(path)!r}).columns()['det']))"
        seen.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.trigger_and_read([hw.det])
        yield from bps.sleep(LATE)
        look()

    engine(plan())
    writer.close()
    assert seen == ["3\n"]


def test_a_file_that_is_never_at_rest_is_refused_with_a_reason(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    os.utime(path)  # Written a moment ago, by somebody who leaves no mark.
    with pytest.raises(LiveError, match="could not be read undisturbed within"):
        open_live(path, timeout=0.1).read(lambda file: file["x"][()])
    assert open_live(path, timeout=60).read(lambda file: file["x"][()]) == 1, "it does not change any more"
    with pytest.raises(FileNotFoundError):
        open_live(tmp_path / "nothing.h5")


def test_what_is_written_takes_the_mark_away(tmp_path):
    path = tmp_path / "x.h5"
    with hdf5.open_file(path, "w") as file:
        file.flush()
        first = hdf5.mark(hdf5.handle(file))
        assert hdf5.marked(path.stat())
        file["x"] = np.arange(10)
        file.flush()
        assert not hdf5.marked(path.stat())
        assert hdf5.mark(hdf5.handle(file), first, again=True) == first
        assert hdf5.mark(hdf5.handle(file), first) > first
    assert open_live(path, timeout=60).read(lambda file: len(file["x"])) == 10


def test_what_is_not_in_an_undisturbed_file_is_not_looked_for_twice(tmp_path):
    writer = NexusWriter(tmp_path, journal=False)
    run = compose_run()
    writer("start", run.start_doc)
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    file = open_live(path)
    with pytest.raises(KeyError):
        file.columns("entry/nowhere")
    assert (file.state, file.repeated) == ("complete", 0)
    copy = shutil.copy2(path, tmp_path / "copy.h5")
    assert open_live(copy).state == "complete"


# -- SWMR ----------------------------------------------------------------------------------------------------------


def test_swmr_shows_rows_live_and_ends_as_any_file(tmp_path, writing):
    path = writing("journaled", 200, 3, swmr=True)
    seen = set()
    while open_live(path, timeout=60).state == "writing":
        try:
            with h5py.File(path, "r", swmr=True, locking=False) as file:
                columns = numbers(file)
        except (OSError, KeyError):
            continue  # Its shape is about to change: for a moment it is not in SWMR.
        if columns and len(columns) == 3:
            count = min(map(len, columns.values()))
            seen.add(check({name: rows[:count] for name, rows in columns.items()}))
        time.sleep(0.05)
    assert len(seen) > 2
    assert validate(path).valid
    with h5py.File(path) as file:
        assert list(file["entry/measurement/text"].asstr()[:3]) == ["1", "2", "3"]


def values(dataset):
    return list(dataset.asstr()[()]) if h5py.check_string_dtype(dataset.dtype) and dataset.shape else dataset[()]


def emit(writer, rows, stop=True):
    """A run in which everything comes that SWMR does not allow: late streams, longer texts, other types, a rewind."""
    run = compose_run(uid="r", time=1.7e9)
    writer("start", run.start_doc)
    for number, name in enumerate(("primary", "late")):
        keys = {f"{k}{number}": {"dtype": "number", "shape": [], "source": "s"} for k in ("x", "kind", "text")}
        stream = run.compose_descriptor(name=name, data_keys=keys, uid=name, time=1.7e9)
        writer("descriptor", stream.descriptor_doc)
        for i in [*range(rows), *range(rows // 2, rows)]:
            data = {f"x{number}": i, f"kind{number}": i if i < rows // 3 else i / 2, f"text{number}": "ä" * (i % 50)}
            event = {"descriptor": name, "seq_num": i + 1, "time": 1.7e9 + i, "uid": f"{name}{i}", "data": data}
            writer("event", {**event, "timestamps": dict.fromkeys(data, 1.0)})
            if i % 40 == 0:
                writer._flush()
    if stop:
        writer("stop", run.compose_stop(uid="s", time=1.8e9))
    (path,) = writer.files.values()
    return path


@pytest.mark.parametrize("rows", [30, 200])
def test_nothing_is_lost_to_swmr(tmp_path, rows):
    plain = emit(NexusWriter(tmp_path / "plain", journal=False), rows)
    swmr = emit(NexusWriter(tmp_path / "swmr", journal=False, swmr=True), rows)
    with h5py.File(plain) as one, h5py.File(swmr) as other:
        names = []
        one.visit(names.append)
        there = []
        other.visit(there.append)
        assert there == names
        for name in names:
            if isinstance(one[name], h5py.Dataset):
                assert np.array_equal(values(one[name]), values(other[name])), name
        assert other.attrs["state"] == "complete"
    assert validate(swmr).valid


KILLED = """
import os, sys, time
sys.path.insert(0, sys.argv[3])
from test_live import emit
from nexus_callbacks import NexusWriter

emit(NexusWriter(sys.argv[1], journal=sys.argv[2], swmr=True), 200, stop=False)
time.sleep(1)
os.kill(os.getpid(), 9)
"""


def test_a_killed_swmr_session_is_recovered(tmp_path):
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(tmp_path / "spool"), here]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (path,) = (tmp_path / "data").glob("*.h5")
    with pytest.raises(OSError, match="h5clear"):
        h5py.File(path)  # What SWMR costs: HDF5 does not open such a file plainly.
    with open_live(path) as file:
        assert len(file.columns("entry/measurement/late")["x1"]) == 200
    (recovered,) = recover(tmp_path / "spool")
    assert recovered.path == path
    with h5py.File(path) as file:
        assert list(file["entry/measurement/x0"]) == list(range(200))
        assert list(file["entry/measurement/late/x1"]) == list(range(200))
