"""What was appended is read back, whole and in order, whatever happens to the process, the disk and the file."""

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_callbacks.journal import journal as journal_module
from nexus_callbacks.journal.journal import MAGIC, Journal, JournalClosed, JournalFull, Reader
from tests.forks import in_a_fork

HEADER = {"file": "scan.h5", "run": "a-uid"}
DOCUMENTS = [
    ("start", {"uid": "a-uid", "time": 1.5}),
    ("event", {"seq_num": 1, "data": {"x": 0.1, "image": np.arange(6, dtype="<u2").reshape(2, 3)}}),
    ("event", {"seq_num": 2, "data": {"x": float("nan"), "image": None}}),
    ("stop", {"exit_status": "success", "num_events": {"primary": 2}}),
]


def write(path, documents=DOCUMENTS):
    journal = Journal(path, HEADER)
    for name, document in documents:
        journal.append(name, document)
    journal.close()


def read_all(path, **options):
    """Documents and damage of a journal that nobody writes any more."""
    with Reader(path) as reader:
        found = []
        while batch := reader.read(ended=True, **options):
            found += batch
        return found, reader.damage


def shown(documents):
    """For comparison: a text tells arrays, their types and NaN apart."""
    return [(name, {k: repr(v) for k, v in document.items()}) for name, document in documents]


def test_documents_come_back_in_order_after_the_header(tmp_path):
    write(tmp_path / "a.journal")
    with Reader(tmp_path / "a.journal") as reader:
        assert reader.header == HEADER
    found, damage = read_all(tmp_path / "a.journal")
    assert shown(found) == shown((n, {**d}) for n, d in DOCUMENTS)
    assert damage is None


def test_a_reader_follows_a_journal_as_it_grows(tmp_path):
    journal = Journal(tmp_path / "a.journal", HEADER)
    with Reader(journal.path) as reader:
        assert reader.read() == []
        for i in range(5):
            journal.append("event", {"seq_num": i})
            journal.append("event", {"seq_num": -i})
            assert reader.read() == [("event", {"seq_num": i}), ("event", {"seq_num": -i})]
            assert reader.read() == []
        assert reader.offset == journal.size == journal.path.stat().st_size
        assert reader.damage is None
    journal.close()
    assert journal.size == journal.path.stat().st_size


@given(limit=st.integers(1, 700), sizes=st.lists(st.integers(0, 900), max_size=12))
@settings(deadline=None, max_examples=50)
def test_the_limit_bounds_a_batch_and_a_longer_record_comes_alone(tmp_path_factory, limit, sizes):
    path = tmp_path_factory.mktemp("limit") / "a.journal"
    documents = [("event", {"data": b"x" * n}) for n in sizes]
    write(path, documents)
    with Reader(path) as reader:
        found, before = [], len(MAGIC)
        assert reader.header == HEADER
        before = reader.offset
        while batch := reader.read(limit_bytes=limit):
            assert reader.offset - before <= limit or len(batch) == 1
            found, before = found + batch, reader.offset
    assert found == documents


def test_the_file_is_for_its_user_alone_and_never_one_that_is_there(tmp_path):
    write(tmp_path / "a.journal")
    assert stat.S_IMODE((tmp_path / "a.journal").stat().st_mode) == 0o600
    before = (tmp_path / "a.journal").read_bytes()
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "a.journal", HEADER)
    assert (tmp_path / "a.journal").read_bytes() == before


def test_each_document_is_one_write(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "a.journal", HEADER)
    writes, write = [], os.write
    monkeypatch.setattr(journal_module.os, "write", lambda fd, data: writes.append(len(data)) or write(fd, data))
    before = journal.size
    journal.append("event", {"data": {"image": np.zeros((100, 100))}})
    assert writes == [journal.size - before]
    journal.close()


def test_what_could_only_be_kept_as_text_is_told(tmp_path):
    journal = Journal(tmp_path / "a.journal", {"path": Path("a"), "odd": object})
    assert journal.kept_as_text == {"header odd": "builtins.type"}
    journal.close()


# -- damage --------------------------------------------------------------------------------------------------------


def record_ends(path):
    with Reader(path) as reader:
        ends = [(reader.header, reader.offset)[1]]
        while reader.read(limit_bytes=1):
            ends.append(reader.offset)
    return ends


def test_cut_at_any_byte_the_whole_records_before_it_are_read(tmp_path):
    write(tmp_path / "a.journal")
    data, ends = (tmp_path / "a.journal").read_bytes(), record_ends(tmp_path / "a.journal")
    assert ends[-1] == len(data)
    cut = tmp_path / "cut.journal"
    for size in range(len(data) + 1):
        cut.write_bytes(data[:size])
        whole = sum(end <= size for end in ends)
        with Reader(cut) as reader:  # The writer may be about to write the rest: no damage yet.
            assert shown(reader.read()) == shown(DOCUMENTS[: max(whole - 1, 0)])
            assert reader.header == (HEADER if whole else {})
            assert reader.damage is None
        found, damage = read_all(cut)
        assert shown(found) == shown(DOCUMENTS[: max(whole - 1, 0)])
        assert (damage is None) == (size in ends)
        if damage and size >= ends[0]:
            assert damage.offset == max(end for end in ends if end <= size)
            assert "cut" in str(damage)


def test_a_record_that_is_not_all_there_yet_is_read_when_it_is(tmp_path):
    write(tmp_path / "a.journal")
    data = (tmp_path / "a.journal").read_bytes()
    growing = tmp_path / "growing.journal"
    growing.write_bytes(b"")
    found = []
    with Reader(growing) as reader:
        for i in range(len(data)):
            with growing.open("ab") as file:
                file.write(data[i : i + 1])
            found += reader.read()
        assert reader.damage is None
        assert reader.header == HEADER
    assert shown(found) == shown(DOCUMENTS)


@given(st.data())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_are_changed_only_true_records_are_read_and_nothing_is_raised(tmp_path, data):
    whole, spoilt = tmp_path / "a.journal", tmp_path / "spoilt.journal"
    if not whole.exists():
        write(whole)
    content = bytearray(whole.read_bytes())
    how = data.draw(st.sampled_from(["bytes", "zeros", "gone", "twice"]))
    begin = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(1, 40))
    if how == "bytes":
        changed = data.draw(st.binary(min_size=length, max_size=length))
        content[begin : begin + length] = changed
    elif how == "zeros":
        content[begin:] = bytes(len(content) - begin)  # as after a power loss
    elif how == "gone":
        del content[begin : begin + length]
    else:
        content[begin:begin] = content[begin : begin + length]
    spoilt.write_bytes(content)
    found, damage = read_all(spoilt)
    assert shown(found) == shown(DOCUMENTS[: len(found)])
    assert damage is not None or bytes(content) == whole.read_bytes() or bytes(content) in whole.read_bytes()


def test_reading_stops_for_good_at_a_wrong_checksum(tmp_path):
    path = tmp_path / "a.journal"
    write(path)
    ends = record_ends(path)
    content = bytearray(path.read_bytes())
    content[ends[2] + 9] ^= 1
    path.write_bytes(content)
    found, damage = read_all(path)
    assert shown(found) == shown(DOCUMENTS[:2])
    assert damage.offset == ends[2]
    assert "checksum" in damage.what
    with Reader(path) as reader:
        assert len(reader.read()) == 2
        assert reader.read() == []
        path.write_bytes(b"")
        assert reader.read() == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "cut"),
        (b"\x89HDF\r\n\x1a\n and so on", "not a journal"),
        (MAGIC[:-1] + b"\x07", "format 7"),
        (bytes(100), "not a journal"),
    ],
)
def test_a_file_that_is_no_journal_is_told_not_raised(tmp_path, content, what):
    (tmp_path / "a.journal").write_bytes(content)
    found, damage = read_all(tmp_path / "a.journal")
    assert found == []
    assert what in str(damage)


# -- the disk ------------------------------------------------------------------------------------------------------

FULL = """
import resource, sys
from pathlib import Path
from nexus_callbacks.journal.journal import Journal, JournalFull

size = int(sys.argv[2])
journal = Journal(Path(sys.argv[1]), {"run": "a"})
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
accepted = 0
try:
    while True:
        journal.append("event", {"seq_num": accepted, "data": {"x": 0.5}})
        accepted += 1
except JournalFull as error:
    print(accepted, error.errno, error.filename)
try:
    journal.append("event", {"seq_num": -1})
except JournalFull:
    print("still full")
"""


@pytest.mark.parametrize("room", range(1000, 1060, 7))
def test_a_full_disk_loses_no_accepted_document_and_leaves_no_part_of_one(tmp_path, room):
    path = tmp_path / "a.journal"
    told = subprocess.run(
        [sys.executable, "-c", FULL, path, str(room)], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    accepted, number, name = told[0].split()
    assert (int(number), Path(name), told[1]) == (errno.EFBIG, path, "still full")
    found, damage = read_all(path)
    assert [document["seq_num"] for _, document in found] == list(range(int(accepted)))
    assert int(accepted) > 0
    assert damage is None
    assert path.stat().st_size <= room


@pytest.mark.parametrize("accepted", [0, 1, 7, 30])
def test_a_short_write_is_cut_back(tmp_path, monkeypatch, accepted):
    journal = Journal(tmp_path / "a.journal", HEADER)
    journal.append("event", {"seq_num": 1})
    size, write, answers = journal.size, os.write, [accepted, 3, None]

    def short(fd, data):
        answer = answers.pop(0)
        if answer is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, bytes(data)[:answer]) if answer else write(fd, b"")

    monkeypatch.setattr(journal_module.os, "write", short)
    with pytest.raises(JournalFull) as full:
        journal.append("event", {"seq_num": 2, "text": "x" * 100})
    assert full.value.errno == errno.ENOSPC
    assert journal.size == size
    monkeypatch.undo()
    with pytest.raises(JournalFull):
        journal.append("event", {"seq_num": 3})
    journal.close()
    found, damage = read_all(journal.path)
    assert [d["seq_num"] for _, d in found] == [1]
    assert damage is None


def test_a_short_write_whose_rest_can_be_written_is_no_fault(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "a.journal", HEADER)
    write = os.write
    monkeypatch.setattr(journal_module.os, "write", lambda fd, data: write(fd, bytes(data)[:10]))
    journal.append("event", {"seq_num": 1, "text": "x" * 100})
    monkeypatch.undo()
    journal.append("event", {"seq_num": 2})
    journal.close()
    assert [d["seq_num"] for _, d in read_all(journal.path)[0]] == [1, 2]


def test_ctrl_c_within_a_short_write_leaves_no_part_of_a_record(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "a.journal", HEADER)
    size, write, calls = journal.size, os.write, []

    def interrupted(fd, data):
        calls.append(data)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(fd, bytes(data)[:10])

    monkeypatch.setattr(journal_module.os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.append("event", {"seq_num": 1})
    monkeypatch.undo()
    assert journal.size == size
    journal.append("event", {"seq_num": 2})
    journal.close()
    assert [d["seq_num"] for _, d in read_all(journal.path)[0]] == [2]


def test_no_room_for_the_header_leaves_no_file(tmp_path, monkeypatch):
    def full(fd, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", full)
    with pytest.raises(JournalFull):
        Journal(tmp_path / "a.journal", HEADER)
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_journal_is_noticed_and_can_still_be_read_by_who_has_it_open(tmp_path):
    journal = Journal(tmp_path / "a.journal", HEADER)
    with Reader(journal.path) as reader:
        journal.sync()
        assert not journal.gone()
        journal.path.unlink()
        assert journal.gone()
        journal.append("event", {"seq_num": 1})
        assert reader.read() == [("event", {"seq_num": 1})]
        with pytest.raises(FileNotFoundError):
            journal.sync()
    journal.close()
    assert journal.gone()


# -- threads and processes -----------------------------------------------------------------------------------------


def test_documents_of_several_threads_stay_whole(tmp_path):
    journal = Journal(tmp_path / "a.journal", HEADER)

    def emit(thread):
        for i in range(500):
            journal.append("event", {"thread": thread, "seq_num": i, "data": "x" * (i % 50)})

    threads = [threading.Thread(target=emit, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        journal.sync()
    for thread in threads:
        thread.join()
    journal.close()
    found, damage = read_all(journal.path)
    assert damage is None
    for n in range(4):
        assert [d["seq_num"] for _, d in found if d["thread"] == n] == list(range(500))


WRITING = """
import sys
from pathlib import Path
import numpy as np
from nexus_callbacks.journal.journal import Journal

journal = Journal(Path(sys.argv[1]), {"run": "a"})
image = np.zeros(20_000, dtype="<u2")
i = 0
while True:
    journal.append("event", {"seq_num": i, "data": {"image": image + i}})
    i += 1
    if i % 10 == 0:
        sys.stdout.write(f"{i}\\n")
        sys.stdout.flush()
"""


def test_killed_at_any_moment_nothing_that_was_appended_is_lost(tmp_path):
    chance = random.Random(3)
    for attempt in range(5):
        path = tmp_path / f"{attempt}.journal"
        with subprocess.Popen([sys.executable, "-c", WRITING, path], stdout=subprocess.PIPE, text=True) as writing:
            for _ in range(chance.randrange(1, 20)):
                said = writing.stdout.readline()
            writing.send_signal(signal.SIGKILL)
            said = ([said] + [line for line in writing.stdout if line.endswith("\n")])[-1]
        found, damage = read_all(path)
        numbers = [document["seq_num"] for _, document in found]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= int(said)
        assert all((document["data"]["image"] == n).all() for n, (_, document) in enumerate(found))
        assert damage is None or "cut" in damage.what


def test_a_forked_child_does_not_write_to_the_journal_of_its_parent(tmp_path):
    journal = Journal(tmp_path / "a.journal", HEADER)
    journal.append("event", {"seq_num": 1})

    def child():
        with pytest.raises(JournalClosed):
            journal.append("event", {"seq_num": -1})
        journal.close()
        return journal.closed

    journal._lock.acquire()  # as by another thread that writes at the moment of the fork
    status = in_a_fork(child)
    journal._lock.release()
    assert status == 0
    journal.append("event", {"seq_num": 2})
    journal.close()
    assert [d["seq_num"] for _, d in read_all(journal.path)[0]] == [1, 2]
    with pytest.raises(JournalClosed):
        journal.append("event", {"seq_num": 3})


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_hundreds_of_journals_dropped_leave_no_file_open(tmp_path):
    before = open_files()
    for i in range(300):
        journal = Journal(tmp_path / f"{i}.journal", HEADER)
        journal.append("event", {"seq_num": i})
        reader = Reader(journal.path)
        assert reader.read() == [("event", {"seq_num": i})]
    del journal, reader
    assert open_files() == before
