"""Every stream that bluesky makes: monitors, interruptions, late and reconfigured ones, and runs that end in any way.

What bluesky really emits, and the test that holds the writer to it:

=================================================== ==================================================================
a point is repeated after a pause                    test_zero_configuration, test_replay (``rewound``)
repeated frames of a streaming detector              frames/test_assets, frames/test_frames
stop, abort, halt, an exception                      test_how_a_run_ended_is_told
a run without a descriptor                           test_a_run_that_ends_before_its_first_reading
configure in mid-run                                 test_each_row_tells_its_configuration
nested and interleaved runs                          test_zero_configuration, test_replay (``nested``)
declare_stream before any event                      test_streams_that_are_declared_and_never_read
streams that come late                               test_a_monitor_that_begins_late, test_interruptions_are_a_stream
a flyer's event page                                 test_every_plan, test_replay (``fly``)
frames without any event; keys with '-'              test_zero_configuration
resource and datum                                   test_frames
what start documents say of each plan                test_every_plan
fields of a data key, types that lie                 test_values
a callback must not raise                            test_zero_configuration, test_nothing_is_lost
nothing is kept of a run that has stopped            test_nothing_is_kept_of_runs_that_have_stopped
projections, NX_class, dims                          test_values
=================================================== ==================================================================
"""

import contextlib
import gc
import itertools
import time
from datetime import datetime

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky.utils import RequestAbort, RequestStop, RunEngineInterrupted
from event_model import compose_run, pack_event_page
from ophyd import Component, Device, Signal
from ophyd.sim import SynSignalWithRegistry

from nexus_callbacks import NexusWriter
from nexus_callbacks.frames.relink import relink
from tests.opened import only_file, opened


def text(dataset):
    return dataset.asstr()[()]


# -- monitors ------------------------------------------------------------------------------------------------------


def test_a_monitor_becomes_a_log_of_its_signal(RE, writer, hw):
    current = Signal(name="ring-current", value=200.0)

    @bpp.monitor_during_decorator([current])
    def plan():
        @bpp.run_decorator()
        def points():
            for i in range(5):
                current.put(199.0 - i)
                yield from bps.trigger_and_read([hw.det])

        yield from points()

    RE(plan())
    with opened(writer) as file:
        log = file["entry/instrument/ring_current_log"]
        assert log.attrs["NX_class"] == "NXlog"
        values = list(log["value"])
        assert values[-5:] == [199, 198, 197, 196, 195]
        assert log.get("value", getlink=True).path == "/entry/measurement/ring_current_monitor/ring_current"
        assert np.all(np.diff(log["time"]) >= 0)
        assert log["time"].attrs["units"] == "s"
        assert log["time"].attrs["start"] == text(file["entry/start_time"])
        assert (log["minimum_value"][()], log["maximum_value"][()]) == (195, max(values))
        assert log["duration"][()] == log["time"][-1] - log["time"][0]
        assert "cue_index" not in log
        assert file["entry/data_ring_current_monitor"].attrs["signal"] == "ring_current"
        assert file["entry"].attrs["default"] == "data"


def monitored(values, page):
    """Documents of a run that a monitor alone has filled."""
    run = compose_run()
    keys = {"temp": {"dtype": "number", "shape": [], "source": "sim", "units": "K"}}
    stream = run.compose_descriptor(name="temp_monitor", data_keys=keys, object_keys={"temp": ["temp"]})
    start = run.start_doc["time"]
    events = [
        stream.compose_event(data={"temp": v}, timestamps={"temp": start + i / 10}, time=start + i / 10)
        for i, v in enumerate(values)
    ]
    yield "start", run.start_doc
    yield "descriptor", stream.descriptor_doc
    yield from [("event_page", pack_event_page(*events))] if page else [("event", event) for event in events]
    yield "stop", run.compose_stop()


@pytest.mark.parametrize("page", [False, True], ids=["events", "page"])
def test_a_long_log_has_cues(writer, page):
    values = [300 + np.sin(i / 50) for i in range(3500)]
    for name, document in monitored(values, page):
        writer(name, document)
    with opened(writer) as file:
        log = file["entry/instrument/temp_log"]
        assert list(log["cue_index"]) == [0, 1000, 2000, 3000]
        np.testing.assert_array_equal(log["cue_timestamp_zero"], log["time"][()][log["cue_index"][()]])
        assert log["cue_timestamp_zero"].attrs["start"] == log["time"].attrs["start"]
        assert log["minimum_value"].attrs["units"] == log["value"].attrs["units"] == "K"
        np.testing.assert_array_equal(log["value"], values)


def test_what_a_monitor_saw_before_a_pause_is_kept(RE, writer, hw):
    """bluesky goes back to the checkpoint and counts a monitor's rows anew, too; but those are no points of a plan."""
    current = Signal(name="current", value=0.0)
    seen = []
    RE.subscribe(lambda _, doc: seen.append(doc["data"]["current"]) if "current" in doc["data"] else None, "event")
    paused = []

    @bpp.monitor_during_decorator([current])
    @bpp.run_decorator()
    def plan():
        yield from bps.checkpoint()
        for i in range(1, 5):
            if not paused or i > 3:
                current.put(float(i))
            yield from bps.trigger_and_read([hw.det])
        if not paused:
            paused.append(True)
            yield from bps.pause()
        current.put(9.0)
        yield from bps.null()

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    RE.resume()
    assert len(seen) > 5
    with opened(writer) as file:
        assert list(file["entry/measurement/current_monitor/current"]) == seen
        numbers = list(file["entry/bluesky/current_monitor/seq_num"])
        assert numbers != sorted(numbers), "bluesky's own numbers, which begin again"
        assert file["entry/measurement/det"].shape == (4,)


def test_a_monitor_that_begins_late_and_one_that_says_words(RE, writer, hw):
    current, shutter = Signal(name="current", value=1.0), Signal(name="shutter", value="open")

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([hw.det])
        yield from bps.monitor(current, name="current_monitor")
        yield from bps.monitor(shutter, name="shutter_monitor")
        current.put(2.0)
        shutter.put("closed")
        yield from bps.trigger_and_read([hw.det])
        yield from bps.unmonitor(current)
        yield from bps.unmonitor(shutter)

    RE(plan())
    with opened(writer) as file:
        assert list(file["entry/instrument/current_log/value"])[-1] == 2
        assert list(file["entry/measurement/shutter_monitor/shutter"].asstr())[-1] == "closed"
        assert "shutter_log" not in file["entry/instrument"], "NXlog is of numbers"
        assert "data_shutter_monitor" not in file["entry"]
        assert file["entry/measurement/det"].shape == (2,)


def test_a_monitor_of_which_nothing_came(writer):
    for name, document in monitored([], page=False):
        writer(name, document)
    with opened(writer) as file:
        assert "instrument" not in file["entry"]
        assert file.attrs["state"] == "complete"


# -- interruptions, declared streams -------------------------------------------------------------------------------


def test_interruptions_are_a_stream(RE, writer, hw):
    RE.record_interruptions = True
    paused = itertools.count()

    @bpp.run_decorator()
    def plan():
        for _ in range(3):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([hw.det])
            if next(paused) < 2:
                yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    with pytest.raises(RunEngineInterrupted):
        RE.resume()
    RE.resume()
    with opened(writer) as file:
        told = file["entry/measurement/interruptions"]
        assert list(told["interruption"].asstr()) == ["pause", "resume", "pause", "resume"]
        assert np.all(np.diff(told["elapsed_time"]) >= 0)
        assert [name for name in file["entry"] if name.startswith("data")] == ["data"]
        assert not [name for name in file["entry"].get("instrument", ()) if name.endswith("_log")]


def test_streams_that_are_declared_and_never_read(RE, writer, hw):
    @bpp.run_decorator()
    def plan():
        yield from bps.declare_stream(hw.det, hw.motor, name="primary")
        yield from bps.declare_stream(hw.det1, name="never")
        for i in range(2):
            yield from bps.mv(hw.motor, i)
            yield from bps.trigger_and_read([hw.det, hw.motor])

    RE(plan())
    with opened(writer) as file:
        assert list(file["entry/measurement/motor"]) == [0, 1]
        assert "det1" not in file["entry/measurement/never"]
        assert "never" in file["entry/bluesky"]
        assert "data_never" not in file["entry"]


# -- configure -----------------------------------------------------------------------------------------------------


class Counter(Device):
    """Counts as long as it is configured to."""

    seconds = Component(Signal, value=1.0, kind="config")
    count = Component(Signal, value=7.0, kind="hinted")


def rows_by_configuration(file):
    """Exposure that the file tells for each row."""
    told = file["entry/bluesky/primary"]
    numbers = told["descriptor_number"][()]
    homes = {1: "configuration", 2: "configuration_2", 3: "configuration_3"}
    return [float(told[f"{homes[n]}/counter/counter_seconds"][()]) for n in numbers]


def test_each_row_tells_its_configuration(RE, writer):
    counter = Counter(name="counter")

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([counter])
        yield from bps.configure(counter, {"seconds": 5.0})
        for _ in range(2):
            yield from bps.trigger_and_read([counter])
        yield from bps.configure(counter, {"seconds": 0.5})
        yield from bps.trigger_and_read([counter])

    RE(plan())
    with opened(writer) as file:
        assert rows_by_configuration(file) == [1.0, 5.0, 5.0, 0.5]
        assert list(file["entry/bluesky/primary/seq_num"]) == [1, 2, 3, 4]
        assert file["entry/measurement/counter_count"].shape == (4,)
        assert {"descriptor", "descriptor_2", "descriptor_3"} <= set(file["entry/bluesky/primary"])


def test_a_stream_of_one_descriptor_says_nothing_of_rows(RE, writer, hw):
    RE(bp.count([hw.det], 3))
    with opened(writer) as file:
        assert "descriptor_number" not in file["entry/bluesky/primary"]


def test_a_configuration_between_a_point_and_its_repetition(RE, writer):
    counter = Counter(name="counter")
    paused = []

    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([counter])
        yield from bps.checkpoint()
        yield from bps.configure(counter, {"seconds": 5.0})
        yield from bps.trigger_and_read([counter])
        if not paused:
            paused.append(True)
            yield from bps.pause()
        yield from bps.trigger_and_read([counter])

    with pytest.raises(RunEngineInterrupted):
        RE(plan())
    RE.resume()
    with opened(writer) as file:
        assert list(file["entry/bluesky/primary/seq_num"]) == [1, 2, 3]
        assert rows_by_configuration(file) == [1.0, 5.0, 5.0]


def key(**more):
    return {"dtype": "number", "shape": [], "source": "sim", **more}


@pytest.mark.parametrize("page", [False, True], ids=["events", "pages"])
@pytest.mark.parametrize("interval", [0.0, 100.0], ids=["each flushed", "all at once"])
def test_keys_that_come_and_go_with_descriptors_that_alternate(tmp_path, monkeypatch, page, interval):
    writer = NexusWriter(tmp_path, journal=False)
    monkeypatch.setattr("nexus_callbacks.callback.FLUSH_INTERVAL", interval)
    run = compose_run()
    streams = [
        run.compose_descriptor(name="primary", data_keys={"x": key(), "old": key()}),
        run.compose_descriptor(name="primary", data_keys={"x": key(), "new": key()}, validate=False),
    ]
    writer("start", run.start_doc)
    for stream in streams:
        writer("descriptor", stream.descriptor_doc)
    order = [0, 0, 1, 1, 1, 0, 1]
    for seq_num, which in enumerate(order, 1):
        data = {"x": float(seq_num), ("old", "new")[which]: -float(seq_num)}
        stamps = dict.fromkeys(data, 100.0 + seq_num)
        event = streams[which].compose_event(data=data, timestamps=stamps, seq_num=seq_num)
        writer(*(("event_page", pack_event_page(event)) if page else ("event", event)))
    writer("stop", run.compose_stop())
    with opened(writer) as file:
        measurement = file["entry/measurement"]
        assert list(measurement["x"]) == [1, 2, 3, 4, 5, 6, 7]
        np.testing.assert_array_equal(measurement["old"], [-1, -2, np.nan, np.nan, np.nan, -6, np.nan])
        np.testing.assert_array_equal(measurement["new"], [np.nan, np.nan, -3, -4, -5, np.nan, -7])
        told = file["entry/bluesky/primary"]
        assert list(told["descriptor_number"]) == [1, 1, 2, 2, 2, 1, 2]
        assert list(told["timestamps"].attrs["data_keys"]) == ["x", "old"]
        assert list(told["timestamps_2"].attrs["data_keys"]) == ["new"]
        np.testing.assert_array_equal(told["timestamps_2"][:, 0], [np.nan, np.nan, 103, 104, 105, np.nan, 107])


def test_units_that_change_with_the_descriptor_are_told(writer, caplog):
    run = compose_run()
    writer("start", run.start_doc)
    for seq_num, units in enumerate(("mm", "um"), 1):
        stream = run.compose_descriptor(name="primary", data_keys={"x": key(units=units)}, validate=False)
        writer("descriptor", stream.descriptor_doc)
        writer("event", stream.compose_event(data={"x": 1.0}, timestamps={"x": 0.0}, seq_num=seq_num))
    writer("stop", run.compose_stop())
    writer.close()
    assert "'x' of primary has units 'um' from row 1 on, and 'mm' before" in caplog.text
    with opened(writer) as file:
        assert "units" not in file["entry/measurement/x"].attrs, "they are not those of every row"
        assert list(file["entry/bluesky/primary/descriptor_number"]) == [1, 2]


# -- how runs end --------------------------------------------------------------------------------------------------


def test_a_run_that_ends_before_its_first_reading(RE, writer):
    @bpp.run_decorator()
    def plan():
        yield from bps.null()

    RE(plan())
    with opened(writer) as file:
        assert text(file["entry/bluesky/exit_status"]) == "success"
        assert text(file["entry/end_time"]) >= text(file["entry/start_time"])
        assert file.attrs["state"] == "complete"


def paused_scan(hw):
    """A run that the RunEngine has to close: ``run_decorator`` would say nothing of the reason."""
    yield from bps.open_run(md={"plan_name": "paused", "num_points": 9})
    for i in range(9):
        yield from bps.checkpoint()
        yield from bps.mv(hw.motor, i)
        yield from bps.trigger_and_read([hw.det, hw.motor])
        if i == 2:
            yield from bps.pause()
    yield from bps.close_run()


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        (lambda RE: RE.stop(), "success", None),
        (lambda RE: RE.abort("no beam"), "abort", "no beam"),
        (lambda RE: RE.halt(), "abort", None),
    ],
    ids=["stop", "abort", "halt"],
)
@pytest.mark.parametrize("journal", [False, True], ids=["inline", "journal"])
def test_how_a_run_ended_is_told(RE, hw, tmp_path, end, status, reason, journal):
    writer = NexusWriter(tmp_path / "data", journal=tmp_path / "spool" if journal else False)
    RE.subscribe(writer)
    with pytest.raises(RunEngineInterrupted):
        RE(paused_scan(hw))
    end(RE)
    writer.close()
    with opened(writer) as file:
        told = file["entry/bluesky"]
        assert text(told["exit_status"]) == status
        assert (text(told["reason"]) if "reason" in told else None) == reason
        assert text(file["entry/end_time"]) >= text(file["entry/start_time"])
        assert list(file["entry/measurement/motor"]) == [0, 1, 2]
        assert file.attrs["state"] == "complete", "all that the run gave is in it"


@pytest.mark.parametrize(
    ("error", "status"), [(RequestStop, "success"), (RequestAbort, "abort"), (KeyError("x"), "fail")], ids=str
)
def test_a_plan_that_ends_itself(RE, writer, hw, error, status):
    @bpp.run_decorator()
    def plan():
        yield from bps.trigger_and_read([hw.det])
        raise error

    with contextlib.suppress(RunEngineInterrupted, KeyError):
        RE(plan())
    with opened(writer) as file:
        assert text(file["entry/bluesky/exit_status"]) == status
        assert "end_time" in file["entry"]


def test_a_run_that_never_stopped_ends_with_its_last_row(writer):
    run = compose_run()
    stream = run.compose_descriptor(name="primary", data_keys={"x": key()})
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    last = run.start_doc["time"] + 60
    writer("event", stream.compose_event(data={"x": 1.0}, timestamps={"x": last}, time=last))
    writer.close()
    with opened(writer) as file:
        assert file.attrs["state"] == "incomplete"
        assert "exit_status" not in file["entry/bluesky"]
        assert datetime.fromisoformat(text(file["entry/end_time"])).timestamp() == pytest.approx(last)


def test_nothing_is_kept_of_runs_that_have_stopped(RE, writer, hw):
    from nexus_callbacks.run import Run

    for _ in range(5):
        RE(bp.count([hw.img], 2))
    writer.wait()
    assert len(writer.files) == 5
    end = time.monotonic() + 30  # The thread that wrote the last one ends a moment later.
    while (kept := [each for each in gc.get_objects() if isinstance(each, Run)]) and time.monotonic() < end:
        del kept
        time.sleep(0.05)
        gc.collect()
    assert not kept


# -- frames on a grid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [12, 7])
def test_frames_in_files_lie_on_the_grid_without_a_copy(RE, writer, hw, tmp_path, points):
    from devices.detectors import FrameCamera

    number = itertools.count(1)
    taken = []

    def image(exposure):
        taken.append(np.full(exposure.shape, next(number), "u2"))
        return taken[-1]

    camera = FrameCamera(name="cam", directory=tmp_path / "det", image=image, shape=(4, 5))
    said = []
    RE.subscribe(lambda _, doc: said.append((doc["data"]["motor1"], doc["data"]["motor2"])), "event")
    plan = bp.grid_scan([camera, hw.det4], hw.motor1, 0, 2, 3, hw.motor2, 0, 3, 4, True)
    saved = itertools.count(1)

    def pause(msg):
        return None, bps.pause() if msg.command == "save" and next(saved) == points else None

    if points < 12:
        with pytest.raises(RunEngineInterrupted):
            RE(bpp.plan_mutator(plan, pause))
        RE.stop()
    else:
        RE(plan)
    with opened(writer) as file:
        plot = file["entry/data_cam_image"]
        frames = plot["cam_image"]
        assert frames.is_virtual
        assert {source.file_name for source in frames.virtual_sources()} == {"."}
        assert frames.shape == (3, 4, 4, 5)
        assert list(plot.attrs["axes"]) == ["motor1", "motor2", ".", "."]
        for at, image_taken in zip(said, taken, strict=False):
            np.testing.assert_array_equal(frames[int(at[0]), int(at[1])], image_taken)
        if points < 12:
            assert (frames[()][plot["mask"][()]] == 65535).all()
            assert plot["mask"][()].sum() == 12 - len(said)
        curves = file["entry/data"]
        assert curves.attrs["signal"] == "cam_mean"
        assert curves["cam_mean"].shape == (3, 4)


@pytest.mark.parametrize("per_row", [1, 3])
def test_several_frames_a_point_lie_on_the_grid(writer, tmp_path, per_row):
    frames = np.arange(6 * per_row * 2 * 3, dtype="u2").reshape(6 * per_row, 2, 3)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["entry/data/data"] = frames
    hints = {"gridding": "rectilinear", "dimensions": [(["x"], "primary"), (["y"], "primary")]}
    run = compose_run(metadata={"shape": (2, 3), "snaking": (False, True), "hints": hints, "plan_name": "grid_scan"})
    camera = {"shape": [per_row, 2, 3], "dtype": "array", "dtype_numpy": "<u2", "source": "sim", "external": "STREAM:"}
    stream = run.compose_descriptor(name="primary", data_keys={"x": key(), "y": key(), "cam-1": camera})
    resource = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=f"file://localhost{tmp_path}/frames.h5",
        data_key="cam-1",
        parameters={"dataset": "/entry/data/data", "chunk_shape": [1, 2, 3]},
    )
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    writer("stream_resource", resource.stream_resource_doc)
    told = {"indices": {"start": 0, "stop": 6}, "seq_nums": {"start": 1, "stop": 7}}
    writer("stream_datum", resource.compose_stream_datum(descriptor=stream.descriptor_doc, **told))
    places = [(0, 0), (0, 1), (0, 2), (1, 2), (1, 1), (1, 0)]
    for x, y in places:
        writer("event", stream.compose_event(data={"x": x, "y": y}, timestamps={"x": 0.0, "y": 0.0}))
    writer("stop", run.compose_stop())
    with opened(writer) as file:
        plot = file["entry/data_cam_1"]
        view = plot["cam_1"]
        assert view.shape == (2, 3, 2, 3) if per_row == 1 else (2, 3, 3, 2, 3)
        assert len(plot.attrs["axes"]) == view.ndim
        for i, place in enumerate(places):
            np.testing.assert_array_equal(np.reshape(view[place], (per_row, 2, 3)), frames[i * per_row :][:per_row])


def test_relink_mends_the_grid_with_the_stack(RE, writer, hw, tmp_path):
    folder = tmp_path / "det"
    folder.mkdir()
    number = itertools.count()
    img = SynSignalWithRegistry(func=lambda: np.full((2, 3), next(number), "u2"), name="img", save_path=str(folder))
    RE(bp.grid_scan([img], hw.motor1, 0, 1, 2, hw.motor2, 0, 1, 2, True))
    path = only_file(writer)
    writer.wait()
    with h5py.File(path) as file:
        before = file["entry/data_img/img"][()]
    assert before.shape == (2, 2, 2, 3)
    assert len(np.unique(before)) == 4
    folder.rename(tmp_path / "moved")
    (found,) = relink(path, {str(folder): str(tmp_path / "moved")})
    assert found.how == "external raw storage"
    with opened(writer) as file:
        np.testing.assert_array_equal(file["entry/data_img/img"], before)
