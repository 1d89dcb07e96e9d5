"""NexusWriter's short way for rows: from the call to the journal."""

import errno
import os
import tempfile
import threading
from pathlib import Path

import h5py
import pytest
from event_model import compose_run

from nexus_callbacks import NexusWriter

KEYS = {"x": {"dtype": "number", "shape": [], "source": "sim"}}


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A writer with a run of two streams, and the run."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "second"))
    run = compose_run()
    streams = {name: run.compose_descriptor(name=name, data_keys=KEYS) for name in ("primary", "monitor")}
    with NexusWriter(tmp_path / "data", journal=tmp_path / "first") as writer:
        writer("start", run.start_doc)
        for stream in streams.values():
            writer("descriptor", stream.descriptor_doc)
        yield writer, run, streams


def put(writer, stream, numbers):
    for i in numbers:
        writer("event", stream.compose_event(data={"x": i}, timestamps={"x": 0.0}))


def column(writer, run, stream):
    assert writer.wait(20)
    with h5py.File(writer.files[run.start_doc["uid"]]) as file:
        home = file["entry/measurement"]
        return list((home if stream == "primary" else home[stream])["x"])


def test_rows_of_every_stream_go_on_elsewhere_when_the_journal_is_full(begun, tmp_path, monkeypatch, caplog):
    writer, run, streams = begun
    for stream in streams.values():
        put(writer, stream, range(5))
    write, first = os.write, tmp_path / "first"

    def full(fd, data):
        if Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(first):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    for _ in range(2):
        for stream in streams.values():
            put(writer, stream, range(5, 10))
    writer("stop", run.compose_stop())
    for name in streams:
        assert column(writer, run, name) == [*range(10), *range(5, 10)]
    assert caplog.text.count("going on elsewhere") == 1


def test_rows_from_several_threads_are_all_there(begun):
    writer, run, streams = begun
    threads = [threading.Thread(target=put, args=(writer, stream, range(500))) for stream in streams.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer("stop", run.compose_stop())
    for name in streams:
        assert column(writer, run, name) == list(range(500))


def test_rows_after_the_stop_are_told_and_change_nothing(begun, caplog):
    writer, run, streams = begun
    put(writer, streams["primary"], range(5))
    late = streams["primary"].compose_event(data={"x": 5}, timestamps={"x": 0.0})
    writer("stop", run.compose_stop())
    writer("event", late)
    assert "belongs to no run" in caplog.text
    assert column(writer, run, "primary") == list(range(5))
