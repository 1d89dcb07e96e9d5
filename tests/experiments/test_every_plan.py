"""Every plan of bluesky gets the NXdata that is right for it: a grid, or the flat columns of a trajectory.

Where a point belongs is told by its *setpoints*, which no plot is made of: each event is looked up on the grid by them.
"""

import itertools

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from event_model import compose_run
from ophyd.sim import SynAxis, SynSignal
from ophyd.sim import hw as make_hardware

from nexus_callbacks import validate
from tests.opened import default_plot


class Bench:
    """Three exact motors, one that jitters, and detectors of which no two readings are equal."""

    def __init__(self):
        hw = make_hardware()
        self.x, self.y, self.z, self.det, self.flyer = hw.motor1, hw.motor2, hw.motor3, hw.det, hw.flyer1
        self.motor = hw.motor
        self.number = itertools.count(1)
        self.last = 0

        def hits():
            self.last = next(self.number)
            return self.last

        self.hits = SynSignal(name="hits", func=hits, kind="hinted")
        self.root = SynSignal(name="root", func=lambda: float(self.last) ** 0.5, kind="hinted")
        self.map = SynSignal(name="map", func=lambda: np.arange(6).reshape(2, 3) + 100 * self.last, kind="normal")
        noise = np.random.default_rng(7)
        self.shaky = SynAxis(name="shaky", readback_func=lambda v: v + noise.uniform(-0.3, 0.3))
        self.steady = SynAxis(name="steady", readback_func=lambda v: v + noise.uniform(-0.01, 0.01))

    @property
    def dets(self):
        return [self.hits, self.root]


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def told(RE):
    """What the events of the primary stream said, in their order."""
    told = []
    RE.subscribe(lambda _, doc: told.append(dict(doc["data"])), "event")
    return told


def open_only(writer):
    (path,) = writer.files.values()
    assert validate(path).valid, [str(f) for f in validate(path).findings]
    return h5py.File(path)


def move_to(plan, **places):
    """The plan from where the motors stand then, as relative plans want it."""

    def wrapped(bench):
        for name, place in places.items():
            yield from bps.mv(getattr(bench, name), place)
        yield from plan(bench)

    return wrapped


def lines(first, last, n):
    return np.linspace(first, last, n).tolist()


# plan, and the setpoints of the lines of each axis, the slowest first
GRIDS = {
    "grid_scan": (
        lambda b: bp.grid_scan(b.dets, b.x, 0, 1, 3, b.y, -2, 2, 4),
        {"motor1": lines(0, 1, 3), "motor2": lines(-2, 2, 4)},
    ),
    "grid_scan_snaked": (
        lambda b: bp.grid_scan(b.dets, b.x, 0, 1, 3, b.y, -2, 2, 4, True),
        {"motor1": lines(0, 1, 3), "motor2": lines(-2, 2, 4)},
    ),
    "grid_scan_backwards": (
        lambda b: bp.grid_scan(b.dets, b.x, 1, 0, 3, b.y, 5, -5, 4, snake_axes=True),
        {"motor1": lines(1, 0, 3), "motor2": lines(5, -5, 4)},
    ),
    "grid_scan_square_snaked": (
        lambda b: bp.grid_scan(b.dets, b.x, 0, 1, 3, b.y, 0, 1, 3, True),
        {"motor1": lines(0, 1, 3), "motor2": lines(0, 1, 3)},
    ),
    "grid_scan_one_line": (
        lambda b: bp.grid_scan(b.dets, b.x, 2, 2, 1, b.y, 0, 1, 3, True),
        {"motor1": [2], "motor2": lines(0, 1, 3)},
    ),
    "grid_scan_of_three": (
        lambda b: bp.grid_scan(b.dets, b.x, 0, 1, 2, b.y, 0, 1, 3, b.z, 0, 3, 4),
        {"motor1": lines(0, 1, 2), "motor2": lines(0, 1, 3), "motor3": lines(0, 3, 4)},
    ),
    "grid_scan_of_three_snaked": (
        lambda b: bp.grid_scan(b.dets, b.x, 0, 1, 2, b.y, 0, 1, 3, b.z, 0, 3, 4, snake_axes=True),
        {"motor1": lines(0, 1, 2), "motor2": lines(0, 1, 3), "motor3": lines(0, 3, 4)},
    ),
    "grid_scan_of_three_one_snakes": (
        lambda b: bp.grid_scan(b.dets, b.x, 0, 1, 3, b.y, 0, 1, 3, b.z, 0, 3, 3, snake_axes=[b.z]),
        {"motor1": lines(0, 1, 3), "motor2": lines(0, 1, 3), "motor3": lines(0, 3, 3)},
    ),
    "rel_grid_scan": (
        move_to(lambda b: bp.rel_grid_scan(b.dets, b.x, -1, 1, 3, b.y, 0, 1, 2), x=10, y=-5),
        {"motor1": lines(9, 11, 3), "motor2": lines(-5, -4, 2)},
    ),
    "rel_grid_scan_snaked": (
        move_to(lambda b: bp.rel_grid_scan(b.dets, b.x, -1, 1, 3, b.y, 0, 1, 2, True), x=10, y=-5),
        {"motor1": lines(9, 11, 3), "motor2": lines(-5, -4, 2)},
    ),
    "list_grid_scan": (
        lambda b: bp.list_grid_scan(b.dets, b.x, [0, 3, 1], b.y, [2, 5]),
        {"motor1": [0, 3, 1], "motor2": [2, 5]},
    ),
    "list_grid_scan_snaked": (
        lambda b: bp.list_grid_scan(b.dets, b.x, [0, 3, 1], b.y, [2, 9, 5], snake_axes=True),
        {"motor1": [0, 3, 1], "motor2": [2, 9, 5]},
    ),
    "list_grid_scan_one_snakes": (
        lambda b: bp.list_grid_scan(b.dets, b.x, [0, 1], b.y, [2, 9], b.z, [4, 5, 7], snake_axes=[b.z]),
        {"motor1": [0, 1], "motor2": [2, 9], "motor3": [4, 5, 7]},
    ),
    "rel_list_grid_scan": (
        move_to(lambda b: bp.rel_list_grid_scan(b.dets, b.x, [0, 3, 1], b.y, [2, 5], snake_axes=True), x=1, y=1),
        {"motor1": [1, 4, 2], "motor2": [3, 6]},
    ),
    "spiral_square": (
        lambda b: bp.spiral_square(b.dets, b.x, b.y, 0, 0, 1, 3, 3, 4),
        {"motor2": lines(-1.5, 1.5, 4), "motor1": lines(-0.5, 0.5, 3)},
    ),
    "spiral_square_even": (
        lambda b: bp.spiral_square(b.dets, b.x, b.y, 0, 0, 3, 3, 4, 4),
        {"motor2": lines(-1.5, 1.5, 4), "motor1": lines(-1.5, 1.5, 4)},
    ),
    "rel_spiral_square": (
        move_to(lambda b: bp.rel_spiral_square(b.dets, b.x, b.y, 1, 3, 3, 4), x=2, y=4),
        {"motor2": lines(2.5, 5.5, 4), "motor1": lines(1.5, 2.5, 3)},
    ),
}


def cell(event, axes):
    """Place on the grid of an event, by its setpoints; some plans compute them with rounding errors."""
    return tuple(int(np.argmin(np.abs(np.subtract(v, event[f"{m}_setpoint"])))) for m, v in axes.items())


def check_grid(plot, told, axes):
    """Each event stands at its place, and nothing stands anywhere else."""
    shape = tuple(len(v) for v in axes.values())
    assert plot.attrs["signal"] == "hits"
    assert list(plot.attrs["auxiliary_signals"]) == ["root"]
    taken = np.zeros(shape, dtype=bool)
    for event in told:
        at = cell(event, axes)
        taken[at] = True
        for key in ("hits", "root"):
            assert plot[key].shape == shape
            assert plot[key][at] == event[key]
    if not taken.all():
        assert np.isnan(plot["hits"][()][~taken]).all()
        assert np.isnan(plot["root"][()][~taken]).all()
        np.testing.assert_array_equal(plot["mask"], ~taken)
        assert plot["hits"].attrs["mask"] == "mask"
    else:
        assert "mask" not in plot
        assert plot["hits"].dtype.kind == "i"
    return taken


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_reshaped(RE, writer, told, bench, name):
    plan, axes = GRIDS[name]
    RE(plan(bench))
    with open_only(writer) as file:
        plot = default_plot(file)
        assert check_grid(plot, told, axes).all()
        assert list(plot.attrs["axes"]) == list(axes)
        for i, (motor, positions) in enumerate(axes.items()):
            np.testing.assert_allclose(plot[motor], positions, rtol=0, atol=1e-12)
            assert list(plot.attrs[f"{motor}_indices"]) == [i]
        for key in ("hits", "root", *axes):  # in the order of acquisition
            np.testing.assert_array_equal(file["entry/measurement"][key], [event[key] for event in told])
        assert plot["title"].asstr()[()].endswith(": hits")


# plan, its axis, further coordinates, number of points (None: the plan decides)
FLAT = {
    "count": (lambda b: bp.count(b.dets, num=4), "elapsed_time", [], 4),
    "scan": (lambda b: bp.scan(b.dets, b.x, -1, 1, 5), "motor1", [], 5),
    "scan_of_two": (lambda b: bp.scan(b.dets, b.x, 0, 1, b.y, 0, 2, 5), "motor1", ["motor2"], 5),
    "scan_of_three": (
        lambda b: bp.scan(b.dets, b.x, 0, 1, b.y, 0, 2, b.z, 3, 1, 4),
        "motor1",
        ["motor2", "motor3"],
        4,
    ),
    "rel_scan": (move_to(lambda b: bp.rel_scan(b.dets, b.x, -1, 1, 3), x=7), "motor1", [], 3),
    "list_scan": (lambda b: bp.list_scan(b.dets, b.x, [1, 3, 2], b.y, [4, 4, 5]), "motor1", ["motor2"], 3),
    "log_scan": (lambda b: bp.log_scan(b.dets, b.x, 0, 2, 3), "motor1", [], 3),
    "x2x_scan": (lambda b: bp.x2x_scan(b.dets, b.x, b.y, 0, 1, 3), "motor1", ["motor2"], 3),
    "spiral": (lambda b: bp.spiral(b.dets, b.x, b.y, 0, 0, 1, 1, 0.5, 6), "motor1", ["motor2"], None),
    "spiral_fermat": (
        lambda b: bp.spiral_fermat(b.dets, b.x, b.y, 0, 0, 2, 2, 0.5, 1),
        "motor1",
        ["motor2"],
        None,
    ),
    "adaptive_scan": (
        lambda b: bp.adaptive_scan([b.det, *b.dets], "det", b.motor, -2, 2, 0.1, 1, 0.2, True),
        "motor",
        [],
        None,
    ),
    "tune_centroid": (
        lambda b: bp.tune_centroid([b.det, *b.dets], "det", b.motor, -2, 2, 0.5, 4),
        "motor",
        [],
        None,
    ),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_trajectory_stays_flat(RE, writer, told, bench, name):
    plan, axis, coordinates, points = FLAT[name]
    RE(plan(bench))
    assert points in (None, len(told))
    assert len(told) > 2
    with open_only(writer) as file:
        plot = default_plot(file)
        assert list(plot.attrs["axes"]) == [axis]
        for key in ("hits", "root", *coordinates, *([axis] if axis != "elapsed_time" else [])):
            np.testing.assert_array_equal(plot[key], [event[key] for event in told])
        for key in (axis, *coordinates):
            assert list(plot.attrs[f"{key}_indices"]) == [0]
        assert plot[axis].shape == (len(told),)


def test_a_fly_scan_is_drawn_over_time(RE, writer, bench):
    RE(bp.fly([bench.flyer]))
    with open_only(writer) as file:
        columns = file["entry/measurement/flyer1"]
        assert columns["det"].shape == columns["motor"].shape
        assert list(default_plot(file).attrs["axes"]) == ["elapsed_time"]


def test_a_jittering_motor_keeps_the_position_of_each_point(RE, writer, told, bench):
    RE(bp.grid_scan(bench.dets, bench.x, 0, 1, 3, bench.shaky, 0, 3, 4, True))
    axes = {"motor1": lines(0, 1, 3), "shaky": lines(0, 3, 4)}
    with open_only(writer) as file:
        plot = default_plot(file)
        assert check_grid(plot, told, axes).all()
        assert list(plot.attrs["axes"]) == ["motor1", "."]
        assert list(plot.attrs["shaky_indices"]) == [0, 1]
        assert plot["shaky"].shape == (3, 4)
        for event in told:
            assert plot["shaky"][cell(event, axes)] == event["shaky"]


def test_jitter_below_a_twentieth_of_a_step_is_one_position(RE, writer, told, bench):
    RE(bp.grid_scan(bench.dets, bench.x, 0, 1, 3, bench.steady, 0, 3, 4, True))
    axes = {"motor1": lines(0, 1, 3), "steady": lines(0, 3, 4)}
    with open_only(writer) as file:
        plot = default_plot(file)
        check_grid(plot, told, axes)
        assert list(plot.attrs["axes"]) == ["motor1", "steady"]
        said = [np.median([e["steady"] for e in told if e["steady_setpoint"] == line]) for line in axes["steady"]]
        np.testing.assert_array_equal(plot["steady"], said)


def paused_after(plan, points):
    """The plan with a pause after some points; the test then ends the run as a user would at the prompt."""
    saved = itertools.count(1)

    def pause(msg):
        return None, bps.pause() if msg.command == "save" and next(saved) == points else None

    return bpp.plan_mutator(plan, pause)


ENDED_EARLY = {
    "grid_scan_snaked": ["motor1", "motor2"],
    "grid_scan_backwards": ["motor1", "motor2"],
    "grid_scan_of_three_snaked": ["motor1", "motor2", "motor3"],
    "rel_grid_scan_snaked": ["motor1", "motor2"],
    "list_grid_scan_snaked": ["motor1", "motor2"],
    "rel_list_grid_scan": ["motor1", "motor2"],
    "spiral_square": ["motor2", "motor1"],
    "spiral_square_even": ["motor2", "motor1"],
    "rel_spiral_square": ["motor2", "motor1"],
}


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("name", ENDED_EARLY)
@pytest.mark.parametrize("end", ["stop", "abort"])
def test_a_grid_that_ends_early_keeps_its_shape(RE, writer, told, bench, name, end, k):
    plan, axes = GRIDS[name]
    with pytest.raises(RunEngineInterrupted):
        RE(paused_after(plan(bench), k))
    getattr(RE, end)()
    assert 0 < len(told) < np.prod([len(v) for v in axes.values()])
    with open_only(writer) as file:
        status = file["entry/bluesky/exit_status"].asstr()[()]
        assert status == {"stop": "success", "abort": "abort"}[end]
        plot = default_plot(file)
        assert check_grid(plot, told, axes).sum() == len(told)
        # Lines that were not reached stand where the plan would have gone, and say so.
        assert list(plot.attrs["axes"]) == ENDED_EARLY[name]
        for i, (motor, positions) in enumerate(axes.items()):
            np.testing.assert_allclose(plot[motor], positions, rtol=0, atol=1e-12)
            reached = {cell(event, axes)[i] for event in told}
            unreached = [line for line in range(len(positions)) if line not in reached]
            assert list(plot[motor].attrs.get("planned", [])) == unreached
        np.testing.assert_array_equal(file["entry/measurement/hits"], [event["hits"] for event in told])


def test_a_grid_that_fails_keeps_its_shape(RE, writer, told, bench):
    def watch(_, doc):
        if doc["seq_num"] == 7:
            raise RuntimeError("the beam is gone")

    RE.subscribe(watch, "event")
    with pytest.raises(RuntimeError, match="beam is gone"):
        RE(bp.grid_scan(bench.dets, bench.x, 0, 1, 3, bench.shaky, 0, 3, 4, True))
    axes = {"motor1": lines(0, 1, 3), "shaky": lines(0, 3, 4)}
    with open_only(writer) as file:
        assert file["entry/bluesky/exit_status"].asstr()[()] == "fail"
        plot = default_plot(file)
        taken = check_grid(plot, told, axes)
        assert taken.sum() == len(told) < 12
        assert np.isnan(plot["shaky"][()][~taken]).all()


def test_a_point_that_is_repeated_stands_once_on_the_grid(RE, writer, told, bench):
    """A pause in mid-grid: bluesky goes back to the last checkpoint, and measures that point anew."""

    def per_step(detectors, step, pos_cache):
        yield from bps.one_nd_step(detectors, step, pos_cache)
        if bench.last == 5:
            yield from bps.pause()

    with pytest.raises(RunEngineInterrupted):
        RE(bp.grid_scan(bench.dets, bench.x, 0, 1, 3, bench.y, 0, 3, 4, True, per_step=per_step))
    RE.resume()
    axes = {"motor1": lines(0, 1, 3), "motor2": lines(0, 3, 4)}
    assert len(told) == 13
    with open_only(writer) as file:
        stands = {cell(event, axes): event for event in told}
        assert len(stands) == 12
        assert check_grid(default_plot(file), list(stands.values()), axes).all()


def test_points_that_are_measured_twice_are_placed_by_their_position(RE, writer, told, bench):
    """Two readings a point: the order of the plan does not hold, the readback does; the later reading stands."""

    def per_step(detectors, step, pos_cache):
        yield from bps.move_per_step(step, pos_cache)
        for _ in range(2):
            yield from bps.trigger_and_read([*detectors, *step])

    RE(bp.grid_scan(bench.dets, bench.x, 0, 1, 3, bench.y, 0, 3, 4, True, per_step=per_step))
    axes = {"motor1": lines(0, 1, 3), "motor2": lines(0, 3, 4)}
    assert len(told) == 24
    with open_only(writer) as file:
        stands = {cell(event, axes): event for event in told}
        assert check_grid(default_plot(file), list(stands.values()), axes).all()
        assert file["entry/measurement/hits"].shape == (24,)


@pytest.mark.parametrize("points", [12, 5])
def test_images_in_events_lie_on_the_grid_too(RE, writer, told, bench, points):
    plan = bp.grid_scan([*bench.dets, bench.map], bench.x, 0, 1, 3, bench.y, 0, 3, 4, True)
    with pytest.raises(RunEngineInterrupted):
        RE(paused_after(plan, points))
    RE.stop()
    axes = {"motor1": lines(0, 1, 3), "motor2": lines(0, 3, 4)}
    with open_only(writer) as file:
        plot = file["entry/data_map"]
        assert list(plot.attrs["axes"]) == ["motor1", "motor2", ".", "."]
        assert plot["map"].shape == (3, 4, 2, 3)
        assert plot["map"].attrs["interpretation"] == "image"
        taken = check_grid(default_plot(file), told, axes)
        for event in told:
            np.testing.assert_array_equal(plot["map"][cell(event, axes)], event["map"])
        if not taken.all():
            assert np.isnan(plot["map"][()][~taken]).all()
            np.testing.assert_array_equal(plot["mask"], ~taken)


def test_images_alone_are_the_default_plot(RE, writer, told, bench):
    RE(bp.grid_scan([bench.map], bench.x, 0, 1, 2, bench.y, 0, 3, 4, True))
    with open_only(writer) as file:
        plot = default_plot(file)
        assert plot.attrs["signal"] == "map"
        assert plot["map"].shape == (2, 4, 2, 3)
        assert plot["map"].dtype.kind == "i"


def test_frames_in_a_file_of_their_own_stay_a_stack(writer, tmp_path):
    """Their rows are in the order of acquisition, with the motors beside them."""
    frames = np.arange(6 * 2 * 3, dtype="u2").reshape(6, 2, 3)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["entry/data/data"] = frames
    hints = {"gridding": "rectilinear", "dimensions": [(["x"], "primary"), (["y"], "primary")]}
    run = compose_run(metadata={"shape": (2, 3), "snaking": (False, True), "hints": hints, "plan_name": "grid_scan"})
    writer("start", run.start_doc)
    keys = {axis: {"dtype": "number", "shape": [], "source": "sim"} for axis in ("x", "y")}
    camera = {"dtype": "array", "shape": [1, 2, 3], "dtype_numpy": "<u2", "source": "sim", "external": "STREAM:"}
    stream = run.compose_descriptor(name="primary", data_keys={**keys, "camera": camera})
    writer("descriptor", stream.descriptor_doc)
    resource = run.compose_stream_resource(
        mimetype="application/x-hdf5",
        uri=f"file://localhost{tmp_path}/frames.h5",
        data_key="camera",
        parameters={"dataset": "/entry/data/data", "chunk_shape": [1, 2, 3]},
    )
    writer("stream_resource", resource.stream_resource_doc)
    ranges = {"indices": {"start": 0, "stop": 6}, "seq_nums": {"start": 1, "stop": 7}}
    writer("stream_datum", resource.compose_stream_datum(descriptor=stream.descriptor_doc, **ranges))
    x, y = [0, 0, 0, 1, 1, 1], [0, 1, 2, 2, 1, 0]
    for at in zip(x, y, strict=True):
        data = dict(zip("xy", at, strict=True))
        writer("event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0)))
    writer("stop", run.compose_stop())
    with open_only(writer) as file:
        plot = default_plot(file)
        assert plot.attrs["signal"] == "camera"
        assert list(plot.attrs["axes"]) == ["x", ".", "."]
        assert list(plot.attrs["y_indices"]) == [0]
        assert list(plot["y"]) == y
        np.testing.assert_array_equal(plot["camera"], frames)


def test_programs_read_the_grid(RE, writer, told, bench):
    """nexusformat reads a grid that ended early as a masked array."""
    from nexusformat.nexus import nxload

    with pytest.raises(RunEngineInterrupted):
        RE(paused_after(bp.grid_scan(bench.dets, bench.x, 0, 1, 3, bench.y, 0, 3, 4, True), 5))
    RE.stop()
    (path,) = writer.files.values()
    with nxload(path) as root:
        plot = root.plottable_data
        assert plot.nxsignal.nxname == "hits"
        assert [axis.nxname for axis in plot.nxaxes] == ["motor1", "motor2"]
        values = plot.nxsignal.nxdata
        assert np.ma.count(values) == len(told)
        assert sorted(values.compressed()) == [event["hits"] for event in told]
