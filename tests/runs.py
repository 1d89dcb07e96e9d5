"""Runs: what bluesky does, on simulated devices, for tests that need documents of every kind."""

import contextlib
import itertools
import json

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import event_model
import msgpack
import msgpack_numpy
import numpy as np
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from bluesky.utils import RequestAbort, RunEngineInterrupted
from ophyd import Signal
from ophyd.sim import SynSignal, SynSignalWithRegistry
from ophyd.sim import hw as make_hardware

from devices.detectors import FrameCamera
from nexus_callbacks import NexusWriter


class BeamIsGone(Exception):
    """What ends a plan."""


class Bench:
    """Motors and detectors of ophyd.sim, with values of every kind."""

    def __init__(self, folder):
        hw = make_hardware()
        self.x, self.y, self.det, self.flyer = hw.motor1, hw.motor2, hw.det, hw.flyer1
        number = itertools.count(1)
        self.hits = SynSignal(name="hits", func=lambda: next(number), kind="hinted")
        self.map = SynSignal(name="map", func=lambda: np.arange(6.0).reshape(2, 3) + next(number), kind="normal")
        self.mode = SynSignal(name="mode", func=lambda: ["in", "out and about", "µ"][next(number) % 3], kind="normal")
        self.open = SynSignal(name="open", func=lambda: bool(next(number) % 2), kind="normal")
        self.dark = SynSignal(name="dark", func=lambda: float("nan"), kind="normal")
        self.mixed = SynSignal(name="mixed", func=lambda: [1.5, 2, None][next(number) % 3], kind="normal")
        self.ragged = SynSignal(name="ragged", func=lambda: list(range(next(number) % 3)), kind="normal")

        self.temperature = Signal(name="temperature", value=290.0)
        self.camera = FrameCamera(
            name="camera",
            directory=folder / "camera",
            image=lambda exposure: np.full(exposure.shape, next(number), "u2"),
            shape=(4, 5),
        )
        self.image = SynSignalWithRegistry(
            name="image", func=lambda: np.full((4, 5), next(number), "<u2"), save_path=str(folder), kind="normal"
        )

    @property
    def dets(self):
        return [self.det, self.hits, self.map, self.mode, self.open, self.dark, self.mixed, self.ragged]


def nested(bench):
    @bpp.set_run_key_decorator("inner")
    @bpp.run_decorator(md={"plan_name": "inner"})
    def inner():
        for _ in range(2):
            yield from bps.trigger_and_read([bench.hits])

    @bpp.set_run_key_decorator("outer")
    @bpp.run_decorator(md={"plan_name": "outer"})
    def outer():
        for place in range(3):
            yield from bps.mv(bench.x, place)
            yield from bps.trigger_and_read([bench.x, bench.det])
            yield from inner()

    yield from outer()


def failed(bench):
    @bpp.run_decorator(md={"plan_name": "failed"})
    def points():
        for place in range(4):
            yield from bps.mv(bench.x, place)
            yield from bps.trigger_and_read([bench.x, *bench.dets])
        raise BeamIsGone

    yield from points()


def rewound(bench):
    """Two points are taken again after a suspension."""

    @bpp.run_decorator(md={"plan_name": "rewound"})
    def points():
        for place in range(5):
            yield from bps.checkpoint() if place != 3 else bps.null()
            yield from bps.mv(bench.x, place)
            yield from bps.trigger_and_read([bench.x, bench.hits])
            if place == 3 and not bench.paused:
                bench.paused = True
                yield from bps.pause()

    bench.paused = False
    yield from points()


def reconfigured(bench):
    """A second descriptor of the stream, in the middle."""

    @bpp.stage_decorator([bench.camera])
    @bpp.run_decorator(md={"plan_name": "reconfigured"})
    def points():
        for exposure in (0.1, 0.25):
            yield from bps.configure(bench.camera, {"exposure_time": exposure})
            for _ in range(2):
                yield from bps.mv(bench.x, exposure)
                yield from bps.trigger_and_read([bench.x, bench.hits, bench.camera])
        # Not between: bluesky 1.15 configures the devices of the stream that was read last, and no other.
        yield from bps.trigger_and_read([bench.det], name="other")

    yield from points()


def monitored(bench):
    """A temperature that tells its changes while a scan runs."""

    @bpp.monitor_during_decorator([bench.temperature])
    @bpp.run_decorator(md={"plan_name": "monitored"})
    def points():
        for place in range(4):
            yield from bps.mv(bench.x, place, bench.temperature, 290.0 + place)
            yield from bps.trigger_and_read([bench.x, bench.hits])

    yield from points()


def aborted(bench):
    """A grid that ends in its third line."""
    inner = bp.grid_scan([bench.hits], bench.y, -1, 1, 4, bench.x, 0, 1, 3, snake_axes=True)
    points = itertools.count(1)

    def ended(message):
        if message.command == "create" and message.kwargs["name"] == "primary" and next(points) == 9:
            raise RequestAbort("the beam is gone")
        return message

    yield from bpp.msg_mutator(inner, ended)


PLANS = {
    "count": lambda b: bp.count(b.dets, 7),
    "scan": lambda b: bp.scan(b.dets, b.x, 0, 1, b.y, 2, 4, 5),
    "grid_scan": lambda b: bp.grid_scan(b.dets, b.x, 0, 1, 3, b.y, -2, 2, 4, snake_axes=True),
    "images in files": lambda b: bp.scan([b.hits, b.image], b.x, 0, 1, 4),
    "fly": lambda b: bp.fly([b.flyer]),
    "nested": nested,
    "failed": failed,
    "rewound": rewound,
    "reconfigured": reconfigured,
    "monitored": monitored,
    "aborted": aborted,
    "frames of a stream": lambda b: bp.scan([b.hits, b.camera], b.x, 0, 1, 5),
}


class Recorded:
    """Runs that were written live, and their documents."""

    def __init__(self, folder, engine, writer, plan):
        self.documents = []
        self.folder = folder
        # A recorder serialises at once, as a document may be changed afterwards.
        engine.subscribe(lambda name, doc: self.documents.append((name, copied(doc))))
        engine.subscribe(writer)
        with contextlib.suppress(RunEngineInterrupted, RequestAbort, BeamIsGone):
            engine(plan)
        if engine.state == "paused":
            engine.resume()
        assert engine.state == "idle"
        writer.close()
        self.files = dict(writer.files)
        self.masters = dict(writer.masters)
        self.directory = writer.directory

    def as_json_lines(self):
        path = self.folder / "docs.jsonl"
        items = ({"name": name, "doc": doc} for name, doc in self.documents)
        path.write_text("".join(json.dumps(item, cls=event_model.NumpyEncoder) + "\n" for item in items))
        return path

    def as_msgpack(self):
        path = self.folder / "docs.msgpack"
        path.write_bytes(b"".join(msgpack.packb(item, default=msgpack_numpy.encode) for item in self.documents))
        return path


def copied(doc):
    return msgpack.unpackb(
        msgpack.packb(doc, default=msgpack_numpy.encode), object_hook=msgpack_numpy.decode, strict_map_key=False
    )


def paged(documents, size):
    """The same with events packed into pages of a size, and datums as well.

    As event-model's RunRouter and databroker have it: a page is given when it is full, or before its run or its stream
    goes on with something else than events.
    """
    waiting = {}

    def given(descriptors):
        for uid in descriptors:
            events = waiting.pop(uid, ())
            if events:
                yield "event_page", event_model.pack_event_page(*events)

    of_run = {}
    for name, doc in documents:
        if name == "descriptor":
            of_run.setdefault(doc["run_start"], []).append(doc["uid"])
            yield from given(of_run[doc["run_start"]])
        if name == "stop":
            yield from given(of_run.get(doc["run_start"], ()))
        if name == "event":
            waiting.setdefault(doc["descriptor"], []).append(doc)
            if len(waiting[doc["descriptor"]]) == size:
                yield from given([doc["descriptor"]])
        elif name == "datum":
            yield "datum_page", event_model.pack_datum_page(doc)
        else:
            yield name, doc


def record(plan, folder, journal=False):
    bench = Bench(folder)
    engine = RunEngine({}, call_returns_result=False)
    engine.preprocessors.append(SupplementalData(baseline=[bench.y, bench.mode]))
    return Recorded(folder, engine, NexusWriter(folder / "live", journal=journal), PLANS[plan](bench))
