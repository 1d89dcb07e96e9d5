"""Without any configuration: bluesky's own plans over simulated devices, then the file is opened.

Each experiment runs a real RunEngine, and validates what it wrote.
"""

import json
import subprocess
import sys

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky.utils import FailedStatus, RunEngineInterrupted

from nexus_callbacks import FaultError, NexusWriter, validate
from tests.opened import default_plot, only_file

PLANS = {
    "count": (lambda hw: bp.count([hw.det], num=5), "det", "elapsed_time", 5),
    "scan": (lambda hw: bp.scan([hw.det], hw.motor, -1, 1, 7), "det", "motor", 7),
    "scan_of_two": (lambda hw: bp.scan([hw.det4], hw.motor1, 0, 1, hw.motor2, 0, 2, 5), "det4", "motor1", 5),
    "rel_scan": (lambda hw: bp.rel_scan([hw.det], hw.motor, -1, 1, 4), "det", "motor", 4),
    "list_scan": (lambda hw: bp.list_scan([hw.det], hw.motor, [1, 3, 2]), "det", "motor", 3),
    "log_scan": (lambda hw: bp.log_scan([hw.det], hw.motor, 1, 10, 3), "det", "motor", 3),
    "grid_scan": (lambda hw: bp.grid_scan([hw.det4], hw.motor1, 0, 1, 3, hw.motor2, 0, 1, 4, True), "det4", None, 12),
    "rel_grid_scan": (lambda hw: bp.rel_grid_scan([hw.det4], hw.motor1, 0, 1, 2, hw.motor2, 0, 1, 3), "det4", None, 6),
    "spiral": (lambda hw: bp.spiral([hw.det4], hw.motor1, hw.motor2, 0, 0, 1, 1, 0.5, 6), "det4", None, None),
    "adaptive": (
        lambda hw: bp.adaptive_scan([hw.det], "det", hw.motor, -2, 2, 0.1, 1, 0.2, True),
        "det",
        "motor",
        None,
    ),
    "tune_centroid": (lambda hw: bp.tune_centroid([hw.det], "det", hw.motor, -2, 2, 0.5, 4), "det", "motor", None),
}


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_becomes_a_valid_file_with_a_default_plot(RE, writer, hw, name):
    plan, signal, axis, points = PLANS[name]
    RE(plan(hw))
    path = only_file(writer)
    assert validate(path).valid, [str(f) for f in validate(path).findings]
    with h5py.File(path) as file:
        plot = default_plot(file)
        assert plot.attrs["signal"] == signal
        measured = file["entry/measurement"][signal]
        if points is not None:
            assert measured.shape == (points,)
        if axis is not None:
            assert plot.attrs["axes"][0] == axis
            assert plot[axis].shape == plot[signal].shape == measured.shape
        assert file.attrs["state"] == "complete"
        assert file["entry/end_time"].asstr()[()] >= file["entry/start_time"].asstr()[()]


def test_the_columns_are_what_the_detector_said(RE, writer, hw):
    said = {"motor": [], "det": []}
    RE.subscribe(lambda _, doc: [said[key].append(doc["data"][key]) for key in said], "event")
    RE(bp.scan([hw.det], hw.motor, -1, 1, 5), sample="Fe foil")
    with h5py.File(only_file(writer)) as file:
        for key, values in said.items():
            np.testing.assert_array_equal(file["entry/measurement"][key], values)
        assert file["entry/sample/name"].asstr()[()] == "Fe foil"
        start = json.loads(file["entry/bluesky/start/data"].asstr()[()])
        assert start["sample"] == "Fe foil"
        assert list(file["entry/bluesky/primary/seq_num"]) == [1, 2, 3, 4, 5]


def test_a_baseline_is_written_as_initial_and_final(RE, writer, hw):
    RE.preprocessors.append(bpp.SupplementalData(baseline=[hw.motor1, hw.motor2]))

    def plan():
        yield from bps.mv(hw.motor1, 3)
        yield from bp.scan([hw.det], hw.motor1, 0, 1, 2)

    RE(plan())
    with h5py.File(only_file(writer)) as file:
        measurement = file["entry/measurement"]
        assert measurement["initial/motor1"][()] == 3
        assert measurement["final/motor1"][()] == 1
    assert validate(only_file(writer)).valid


def test_nested_runs_each_have_their_file(RE, writer, hw):
    @bpp.set_run_key_decorator("inner")
    @bpp.run_decorator(md={"plan_name": "inner"})
    def inner():
        yield from bps.trigger_and_read([hw.det1])

    @bpp.set_run_key_decorator("outer")
    @bpp.run_decorator(md={"plan_name": "outer"})
    def outer():
        yield from bps.trigger_and_read([hw.det2])
        yield from inner()
        yield from bps.trigger_and_read([hw.det2])

    RE(outer())
    rows = {}
    for path in writer.files.values():
        assert validate(path).valid
        with h5py.File(path) as file:
            rows[file["entry/bluesky/plan_name"].asstr()[()]] = file["entry/bluesky/primary/seq_num"].shape[0]
    assert rows == {"outer": 2, "inner": 1}


def test_a_point_that_is_repeated_after_a_pause_stands_once(RE, writer, hw):
    def plan():
        yield from bps.open_run()
        yield from bps.checkpoint()
        yield from bps.mv(hw.motor, 1)
        yield from bps.trigger_and_read([hw.motor, hw.det])
        yield from bps.checkpoint()
        yield from bps.mv(hw.motor, 2)
        yield from bps.trigger_and_read([hw.motor, hw.det])
        yield from bps.pause()
        yield from bps.checkpoint()
        yield from bps.mv(hw.motor, 3)
        yield from bps.trigger_and_read([hw.motor, hw.det])
        yield from bps.close_run()

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    RE.resume()
    with h5py.File(only_file(writer)) as file:
        assert list(file["entry/measurement/motor"]) == [1, 2, 3]
        assert list(file["entry/bluesky/primary/seq_num"]) == [1, 2, 3]


def test_a_scan_that_fails_leaves_a_file_that_says_so(RE, writer, hw):
    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([hw.det])
        raise RuntimeError("the beam is gone")

    with pytest.raises(RuntimeError, match="beam is gone"):
        RE(bpp.finalize_wrapper(plan(), bps.null()))
    path = only_file(writer)
    with h5py.File(path) as file:
        assert file["entry/bluesky/exit_status"].asstr()[()] == "fail"
        assert "beam is gone" in file["entry/bluesky/reason"].asstr()[()]
        assert "end_time" in file["entry"]
        assert file["entry/measurement/det"].shape == (1,)
    assert validate(path).valid


def test_a_run_without_any_reading(RE, writer):
    def plan():
        yield from bps.open_run()
        yield from bps.close_run()

    RE(plan())
    with h5py.File(only_file(writer)) as file:
        assert file.attrs["state"] == "complete"
        assert "end_time" in file["entry"]


def test_values_of_every_kind_find_a_place(writer, tmp_path):
    """A hand-made stream: what devices send is not always what they announce."""
    from event_model import compose_run

    run = compose_run()
    values = {
        "flag": ("boolean", [True, False]),
        "mode": ("string", ["7/8 + 1", "uniform"]),
        "gone": ("number", [1.5, None]),
        "lies": ("integer", ["none", 3]),
        "ragged": ("array", [[1, 2], [1]]),
        "spectrum": ("array", [[1, 2, 3], [4, 5, 6]]),
        "a/b-c d": ("number", [1, 2]),
        "a_b_c_d": ("number", [3, 4]),
        "grows": ("integer", [1, 2.5]),
        "time": ("number", [0.0, 1.0]),
        "initial": ("number", [0.0, 1.0]),
    }
    keys = {name: {"dtype": dtype, "shape": [], "source": "sim"} for name, (dtype, _) in values.items()}
    stream = run.compose_descriptor(name="primary", data_keys=keys, validate=False)
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    for i in range(2):
        data = {name: pair[i] for name, (_, pair) in values.items()}
        writer("event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), validate=False))
    writer("stop", run.compose_stop())
    path = only_file(writer)
    with h5py.File(path) as file:
        measurement = file["entry/measurement"]
        assert list(measurement["flag"]) == [True, False]
        assert np.isnan(measurement["gone"][1])
        assert list(measurement["lies"].asstr()) == ["none", "3"]
        assert list(measurement["ragged"].asstr()) == ["[1, 2]", "[1]"]
        assert measurement["spectrum"].shape == (2, 3)
        assert measurement["grows"][1] == 2.5
        by_key = {d.attrs.get("data_key", n): d for n, d in measurement.items()}
        assert list(by_key["a/b-c d"]) == [1, 2]
        assert list(measurement["a_b_c_d_2"]) == [3, 4]
        assert list(measurement["time"]) == [0.0, 1.0]
        assert list(by_key["initial"]) == [0.0, 1.0]
    assert validate(path).valid


def test_an_existing_file_is_never_overwritten(RE, hw, tmp_path, caplog):
    profile = tmp_path / "profile.yml"
    profile.write_text('beamline: bm99\nfiles: {dataset: "{data_root}/{sample}.h5"}\ndefinitions: [base]\n')
    (tmp_path / "out").mkdir()
    foreign = tmp_path / "out" / "Fe.h5"
    foreign.write_text("somebody's own")
    writer = NexusWriter(tmp_path / "out", profile=profile)
    RE.subscribe(writer)
    RE(bp.count([hw.det]), sample="Fe")
    RE(bp.count([hw.det]), sample="Fe")
    assert [path.name for path in writer.files.values()] == ["Fe_0002.h5", "Fe_0003.h5"]
    assert foreign.read_text() == "somebody's own"
    assert not list((tmp_path / "out").glob(".*"))


def test_start_metadata_that_does_not_do_is_refused_before_the_scan(RE, hw, tmp_path):
    profile = tmp_path / "profile.yml"
    profile.write_text('beamline: bm99\nfiles: {dataset: "{data_root}/{proposal}/{sample}.h5"}\ndefinitions: [base]\n')
    writer = NexusWriter(tmp_path / "out", profile=profile)
    RE.subscribe(writer)
    with pytest.raises(FaultError, match=r"RE\.md\['proposal'\]"):
        RE(bp.count([hw.det]))
    assert not writer.files
    assert not list((tmp_path / "out").rglob("*.h5"))


def test_a_hostile_sample_name_is_kept_as_value_only(RE, writer, hw, tmp_path):
    RE(bp.count([hw.det]), sample="../../etc/x")
    path = only_file(writer)
    assert path.parent == tmp_path
    with h5py.File(path) as file:
        assert file["entry/sample/name"].asstr()[()] == "../../etc/x"


def test_a_directory_that_is_a_file_is_refused_at_once(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(FaultError, match="cannot be written"):
        NexusWriter(tmp_path / "taken" / "data")


class Odd:
    """A value of a device's own class, which can neither be an array nor a text."""

    def __array__(self, *_, **__):
        raise MemoryError("no array of me")

    def __str__(self):
        raise RecursionError("no text of me")


def test_a_value_that_nobody_can_store_costs_only_itself(RE, writer, hw):
    original = hw.det.read
    values = iter([Odd(), 2.0])
    hw.det.read = lambda: {**original(), "det": {"value": next(values), "timestamp": 0.0}}
    RE(bp.scan([hw.det], hw.motor, 0, 1, 2))
    with h5py.File(only_file(writer)) as file:
        assert list(file["entry/measurement/det"].asstr()) == ["<Odd without a text>", "2"]
        assert list(file["entry/measurement/motor"]) == [0, 1]
        assert file.attrs["state"] == "complete"


def compose(keys, md=None):
    """Start document and first stream of a run that is made by hand."""
    from event_model import compose_run

    run = compose_run(metadata=md or {})
    data_keys = {key: {"dtype": "number", "shape": [], "source": "sim"} for key in keys}
    return run, run.compose_descriptor(name="primary", data_keys=data_keys, validate=False)


def write(writer, run, stream, rows):
    """Feed a whole run."""
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    for row in rows:
        writer("event", stream.compose_event(data=row, timestamps=dict.fromkeys(row, 0.0), validate=False))
    writer("stop", run.compose_stop())


def test_odd_values_leave_the_columns_beside_them_alone(writer, monkeypatch):
    """Every row in its place, whatever flush it came with."""
    monkeypatch.setattr("nexus_callbacks.callback.FLUSH_INTERVAL", 0.0)
    odd = [1, {(1, 2): 3}, "b\0", "\ud800", [], None, b"ab", 2**70, 1j, [[1], [1, 2]]]
    run, stream = compose(["a", "odd", "z"])
    write(writer, run, stream, [{"a": i, "odd": value, "z": -i} for i, value in enumerate(odd)])
    path = only_file(writer)
    with h5py.File(path) as file:
        measurement = file["entry/measurement"]
        assert list(measurement["a"]) == list(range(10))
        assert list(measurement["z"]) == [-i for i in range(10)]
        got = list(measurement["odd"].asstr())
        assert got[:4] == ["1", '{"(1, 2)": 3}', "b\\x00", "\\ud800"]
        assert got[4:8] == ["[]", "null", "ab", str(2**70)]
        assert file.attrs["state"] == "complete"
    assert validate(path).valid


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.5, "shut"], ["1.5", "shut"]),
        ([[[1.0, 2.5]], [3]], ["[[1, 2.5]]", "[3]"]),
        ([2**60 + 1, 1.5], [str(2**60 + 1), "1.5"]),
        ([1.5, 2**60 + 1], ["1.5", str(2**60 + 1)]),
        ([2**63, -1], [str(2**63), "-1"]),
        ([1, 2.5], [1.0, 2.5]),
        ([1j, 1.0], [1j, 1.0]),
        ([None, 2.0], [np.nan, 2.0]),
        ([None, "x"], ["null", "x"]),
    ],
    ids=str,
)
def test_a_column_that_changes_its_mind_between_flushes_keeps_every_value(writer, monkeypatch, values, expected):
    monkeypatch.setattr("nexus_callbacks.callback.FLUSH_INTERVAL", 0.0)
    run, stream = compose(["x"])
    write(writer, run, stream, [{"x": value} for value in values])
    with h5py.File(only_file(writer)) as file:
        assert file.attrs["state"] == "complete"
        column = file["entry/measurement/x"]
        got = column.asstr()[:] if isinstance(expected[0], str) else column[:]
        assert [str(v) for v in got] == [str(v) for v in np.array(expected).tolist()]


def test_large_integers_are_not_rounded(writer):
    run, stream = compose(["x"])
    write(writer, run, stream, [{"x": 2**63 + 1}, {"x": -1}])
    with h5py.File(only_file(writer)) as file:
        assert [int(v) for v in file["entry/measurement/x"].asstr()] == [2**63 + 1, -1]


@pytest.mark.parametrize(
    "order", [[1, 2, 3, 2, 3, 4], [1, 3, 3, 4], [1, 5, 2], [5, 6, 3, 4], [3, 2, 1], [7, 8, 9]], ids=str
)
@pytest.mark.parametrize("interval", [0.0, 100.0], ids=["each flushed", "all at once"])
def test_of_repeated_rows_the_later_one_stands(writer, monkeypatch, order, interval):
    monkeypatch.setattr("nexus_callbacks.callback.FLUSH_INTERVAL", interval)
    run, stream = compose(["x"])
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    for i, seq_num in enumerate(order):
        event = stream.compose_event(data={"x": i}, timestamps={"x": 0.0}, seq_num=seq_num)
        writer("event", event)
    writer("stop", run.compose_stop())
    expected = []
    for i, seq_num in enumerate(order):
        expected = [(s, x) for s, x in expected if s < seq_num] + [(seq_num, i)]
    with h5py.File(only_file(writer)) as file:
        seen = zip(file["entry/bluesky/primary/seq_num"], file["entry/measurement/x"], strict=True)
        assert [(int(s), int(x)) for s, x in seen] == expected


@pytest.mark.parametrize("name", ["event", "event_page", "datum", "stream_datum", "descriptor", "stop", "nonsense"])
@pytest.mark.parametrize("doc", [{}, None, {"descriptor": [], "resource": {}}, {"run_start": 3}], ids=str)
def test_documents_without_sense_never_raise(writer, name, doc):
    run, stream = compose(["x"])
    writer("start", run.start_doc)
    writer(name, doc)
    writer("descriptor", stream.descriptor_doc)
    writer("event", stream.compose_event(data={"x": 1}, timestamps={"x": 0.0}))
    writer("stop", run.compose_stop())
    with h5py.File(only_file(writer)) as file:
        assert list(file["entry/measurement/x"]) == [1]


def test_an_event_of_no_run_is_told(writer, caplog):
    writer("event", {"descriptor": "unknown"})
    assert "belongs to no run" in caplog.text


@pytest.mark.parametrize(
    "md",
    [
        {"technique": 5},
        {"versions": 5},
        {"motors": 5, "detectors": 5},
        {"hints": {"dimensions": [[None, "primary"], 7]}},
        {"hints": 5},
        {"sample": {"name": "S1"}},
        {"odd": float("nan"), "set": {1, 2}, "bytes": b"x", "surrogate": "\ud800"},
    ],
    ids=str,
)
def test_start_metadata_of_any_kind_is_kept(writer, md):
    run, stream = compose(["x"])
    run.start_doc.update(md)
    write(writer, run, stream, [{"x": 1.0}])
    path = only_file(writer)
    with h5py.File(path) as file:
        start = json.loads(file["entry/bluesky/start/data"].asstr()[()])
        assert set(md) <= set(start)
        assert file.attrs["state"] == "complete"
        if md.get("sample"):
            assert file["entry/sample/name"].asstr()[()] == "S1"
    assert validate(path).valid


@pytest.mark.parametrize("md", [{"time": None}, {"time": float("nan")}, {"time": 1e30}, {"time": "now"}], ids=str)
def test_a_start_that_cannot_be_written_is_one_clear_fault(writer, tmp_path, md):
    run, _ = compose(["x"])
    with pytest.raises(FaultError, match="start document"):
        writer("start", {**run.start_doc, **md})
    assert not list(tmp_path.glob("*"))


def test_a_second_start_of_a_run_is_refused(writer):
    run, stream = compose(["x"])
    writer("start", run.start_doc)
    with pytest.raises(FaultError, match="being written already"):
        writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    writer("stop", run.compose_stop())
    assert len(writer.files) == 1


FULL_DISK = """
import resource, signal, sys
import h5py
from event_model import compose_run
import nexus_callbacks.callback
from nexus_callbacks import NexusWriter

nexus_callbacks.callback.FLUSH_INTERVAL = 0.0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = NexusWriter(sys.argv[1], journal=sys.argv[2] == "journaled")
run = compose_run()
keys = {"x": {"dtype": "array", "shape": [1000], "source": "sim"}}
stream = run.compose_descriptor(name="primary", data_keys=keys)
writer("start", run.start_doc)
writer("descriptor", stream.descriptor_doc)
(path,) = writer.files.values()
size = path.stat().st_size + 400_000
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
for i in range(100):
    writer("event", stream.compose_event(data={"x": [float(i)] * 1000}, timestamps={"x": 0.0}))
writer("stop", run.compose_stop())
writer.close()
print("the scan went on")
"""


@pytest.mark.parametrize("mode", ["inline", "journaled"])
def test_a_full_disk_never_ends_the_scan(tmp_path, mode):
    """Nor, as long as no room is made, the session for ever: journals, if any, are left to recover."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "the scan went on\n", done.stderr
    assert done.returncode == 0
    assert "File too large" in done.stderr
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path) as file:
        assert file.attrs["state"] == "writing", "the disk did not take what came after the last flush"
        rows = file["entry/measurement/x"][:, 0] if mode == "inline" else [0]
        assert list(rows) == list(range(len(rows)))
        assert mode == "journaled" or 10 < len(rows) < 100


def test_a_file_that_was_removed_while_it_was_written_is_told(tmp_path, caplog):
    writer = NexusWriter(tmp_path, journal=False)
    run, stream = compose(["x"])
    writer("start", run.start_doc)
    only_file(writer).unlink()
    writer("descriptor", stream.descriptor_doc)
    writer("stop", run.compose_stop())
    assert "was removed or replaced while it was written" in caplog.text


def test_images_in_files_that_hdf5_cannot_show_are_told_and_listed(RE, writer, hw, caplog):
    hw.img._spec = "AD_CBF"
    RE(bp.count([hw.img], num=2))
    path = only_file(writer)
    assert "cannot show" in caplog.text
    with h5py.File(path) as file:
        assert len(file["entry/measurement/img"].asstr()[:]) == 1
    assert validate(path).valid, [str(f) for f in validate(path).errors]


def test_closing_marks_runs_that_did_not_stop(writer, hw):
    from event_model import compose_run

    writer("start", compose_run().start_doc)
    writer.close()
    with h5py.File(only_file(writer)) as file:
        assert file.attrs["state"] == "incomplete"
        assert "closed before" in file.attrs["state_reason"]


def test_rows_are_seen_by_a_reader_while_the_scan_runs(tmp_path, monkeypatch):
    """Rows reach the file as soon as the flush interval has passed, with no lock in the reader's way."""
    from event_model import compose_run

    monkeypatch.setattr("nexus_callbacks.callback.FLUSH_INTERVAL", 0.0)
    writer = NexusWriter(tmp_path, journal=False)
    run = compose_run()
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": "sim"}})
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    for i in range(3):
        writer("event", stream.compose_event(data={"x": i}, timestamps={"x": 0.0}))
        reader = (
            "import h5py, sys; file = h5py.File(sys.argv[1]); "
            "print(file.attrs['state'], [int(x) for x in file['entry/measurement/x']])"
        )
        command = [sys.executable, "-c", reader, str(only_file(writer))]
        seen = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert seen == f"writing {list(range(i + 1))}\n"
    writer("stop", run.compose_stop())


def test_a_failed_status_is_told_in_the_file(RE, writer, hw):
    from ophyd.status import Status

    def trigger():
        status = Status()
        status.set_exception(RuntimeError("shutter stuck"))
        return status

    hw.det.trigger = trigger
    with pytest.raises(FailedStatus):
        RE(bp.count([hw.det]))
    with h5py.File(only_file(writer)) as file:
        assert file["entry/bluesky/exit_status"].asstr()[()] == "fail"


def test_frames_without_any_event_are_linked_and_plotted(writer, tmp_path):
    """A fly scan of ophyd-async: no event at all, frames told in pieces of any size."""
    raw = tmp_path / "raw" / "cam.h5"
    raw.parent.mkdir()
    with h5py.File(raw, "w") as file:
        file["entry/data/data"] = np.arange(7 * 3 * 4, dtype="<u2").reshape(7, 3, 4)
    from event_model import compose_run

    run = compose_run()
    keys = {
        "cam-image": {
            "dtype": "array",
            "dtype_numpy": "<u2",
            "shape": [1, 3, 4],
            "source": "sim",
            "external": "STREAM:",
        }
    }
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    resource = run.compose_stream_resource(
        data_key="cam-image",
        mimetype="application/x-hdf5",
        uri=f"file://localhost{raw}",
        parameters={"dataset": "/entry/data/data", "chunk_shape": [1, 3, 4]},
    )
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    writer("stream_resource", resource.stream_resource_doc)
    for start, stop in ((0, 3), (3, 7)):
        datum = {
            "uid": f"r/{start}",
            "stream_resource": resource.stream_resource_doc["uid"],
            "descriptor": stream.descriptor_doc["uid"],
            "indices": {"start": start, "stop": stop},
            "seq_nums": {"start": start + 1, "stop": stop + 1},
        }
        writer("stream_datum", datum)
    writer("stop", run.compose_stop())
    path = only_file(writer)
    assert validate(path).valid, [str(f) for f in validate(path).errors]
    with h5py.File(path) as file:
        plot = default_plot(file)
        assert plot[plot.attrs["signal"]].shape == (7, 3, 4)
        assert isinstance(file.get("entry/measurement/cam_image", getlink=True), h5py.ExternalLink)


def test_an_event_page_is_the_same_as_its_events(tmp_path):
    from event_model import pack_event_page

    run, stream = compose(["x", "y"])
    events = [stream.compose_event(data={"x": i, "y": -i}, timestamps={"x": 1.0, "y": 2.0}) for i in range(5)]
    stop = run.compose_stop()
    seen = []
    for name, documents in (("event", events), ("event_page", [pack_event_page(*events)])):
        writer = NexusWriter(tmp_path / name)
        writer("start", run.start_doc)
        writer("descriptor", stream.descriptor_doc)
        for document in documents:
            writer(name, document)
        writer("stop", stop)
        with h5py.File(only_file(writer)) as file:
            measurement = file["entry/measurement"]
            seen.append({key: measurement[key][:].tolist() for key in ("x", "y", "elapsed_time")})
    assert seen[0] == seen[1]
    assert seen[0]["y"] == [0, -1, -2, -3, -4]
