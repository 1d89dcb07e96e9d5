"""Recorded runs, replayed: what stands in the documents stands in the file, however they come.

The recordings were made by :mod:`tests.recorded.make`, which tells how to make them again.
"""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from nexus_callbacks import validate
from nexus_callbacks.replay import documents_of, replay
from tests.comparison import assert_same
from tests.recorded.make import FRAMES, HERE, name_of
from tests.runs import PLANS, paged

RECORDINGS = sorted(HERE.glob("*.jsonl"))


def test_every_plan_is_recorded():
    assert [path.name for path in RECORDINGS] == sorted(map(name_of, PLANS))


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem)
def recording(request, tmp_path):
    """Documents of a recording whose detectors' files are there."""
    folder = tmp_path / "frames"
    folder.mkdir()
    path = tmp_path / request.param.name
    path.write_text(request.param.read_text().replace(FRAMES, str(folder)))
    documents = list(documents_of(path))
    told = [doc["indices"]["stop"] for name, doc in documents if name == "stream_datum"]
    count = max(told, default=sum(name == "datum" for name, _ in documents))
    frames = np.arange(count * 20, dtype="<u2").reshape(count, 4, 5)
    for name, doc in documents:
        if name == "stream_resource":
            of_camera = Path(doc["uri"].removeprefix("file://localhost"))
            of_camera.parent.mkdir()
            with h5py.File(of_camera, "w") as file:
                file[doc["parameters"]["dataset"]] = frames
        elif name == "resource":
            for i, frame in enumerate(frames):
                np.save(f"{doc['root']}/{doc['resource_path']}_{i}.npy", frame)
    return documents


def readings(documents):
    """Run uid → stream → seq_num → data, the last word on each row."""
    found, stream_of = {}, {}
    for name, doc in documents:
        if name == "start":
            found[doc["uid"]] = {}
        elif name == "descriptor":
            stream_of[doc["uid"]] = (doc["run_start"], doc["name"])
            found[doc["run_start"]].setdefault(doc["name"], {})
        elif name == "event":
            run, stream = stream_of[doc["descriptor"]]
            found[run][stream][doc["seq_num"]] = doc["data"]
        elif name == "event_page":
            run, stream = stream_of[doc["descriptor"]]
            for i, seq_num in enumerate(doc["seq_num"]):
                found[run][stream][seq_num] = {key: values[i] for key, values in doc["data"].items()}
    return found


def test_what_was_read_is_in_the_file(recording, tmp_path):
    files = replay(recording, tmp_path / "files")
    ends = {doc["run_start"]: doc["exit_status"] for name, doc in recording if name == "stop"}
    frames = {
        key
        for name, doc in recording
        if name == "descriptor"
        for key, spec in doc["data_keys"].items()
        if spec.get("external")
    }
    assert files.keys() == ends.keys()
    for uid, streams in readings(recording).items():
        report = validate(files[uid])
        assert report.valid, [str(f) for f in report.errors]
        with h5py.File(files[uid]) as file:
            assert file.attrs["state"] == "complete"
            assert file["entry/bluesky/exit_status"].asstr()[()] == ends[uid]
            for stream, rows in streams.items():
                if stream == "baseline":
                    compare(file["entry/measurement/initial"], rows[min(rows)])
                    compare(file["entry/measurement/final"], rows[max(rows)])
                    continue
                columns = file["entry/measurement" if stream == "primary" else f"entry/measurement/{stream}"]
                assert list(file[f"entry/bluesky/{stream}/seq_num"]) == sorted(rows)
                for place, seq_num in enumerate(sorted(rows)):
                    told = {key: value for key, value in rows[seq_num].items() if key not in frames}
                    compare(columns, told, place)
                for key in frames & set(columns):
                    assert columns[key].shape == (len(rows), 4, 5)
                    assert columns[key][0, 1, 2] == 7


def compare(group, told, place=()):
    """Numbers, texts and lists as they were told; a value that never came is NaN, null or empty."""
    for key, value in told.items():
        found = group[key][place]
        if isinstance(value, str):
            assert found.decode() == value
        elif isinstance(value, list) and np.asarray(group[key]).dtype.kind == "O":
            assert json.loads(found) == value if isinstance(found, bytes) else list(found) == value
        elif value is None:
            assert np.isnan(found)
        else:
            np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_pages_of_any_size_give_the_same_file(recording, tmp_path, size):
    one_by_one = replay(recording, tmp_path / "one by one")
    assert_same(one_by_one, replay(paged(recording, size), tmp_path / "paged"))
