"""Live and replayed are one (design D1): the same documents, one by one, in pages or exported, give the same file.

What may differ is listed here (:data:`PLACES`, and links to files, which are told from where the file is): a file that
lies elsewhere says so. All else is compared: every object, type, shape, value and attribute.
"""

import contextlib
import functools
import itertools
import json
from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import event_model
import h5py
import msgpack
import msgpack_numpy
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import SynSignal, SynSignalWithRegistry
from ophyd.sim import hw as make_hardware
from typer.testing import CliRunner

from devices.id16a import simulated_id16a
from nexus_callbacks import NexusWriter, callback, validate
from nexus_callbacks.cli import app
from nexus_callbacks.export import export
from nexus_callbacks.replay import documents_of, replay
from plans.demos.tomo import METADATA
from plans.profile_folders import profile_folder
from plans.tomo import tomo_scan

# -- two files side by side ----------------------------------------------------------------------------------------

FRAMES = "/entry/nexus_callbacks/frames/data"
"""Where the detectors' files are, as links are: relative to the file."""
PLACES = {
    "/@file_name": "the file's own name, where it was given another",
    "/entry/folder_path": "its folder (run:folder)",
    f"{FRAMES}@folder": "its folder, from which relink sees where the detectors' files were",
}
"""What tells where a file is, and so may differ between two places; path in the file → why."""


def differences(one, other, allowed=PLACES):
    """Everything in which two files differ, as texts."""
    with h5py.File(one, locking=False) as first, h5py.File(other, locking=False) as second:
        contents = [dict(contents_of(file)) for file in (first, second)]
    found = []
    for path in sorted(contents[0].keys() | contents[1].keys()):
        mine, yours = (content.get(path, "is not there") for content in contents)
        if mine != yours and path not in allowed:
            found.append(f"{path}: {mine} != {yours}")
    return found


def contents_of(file):
    """Path → kind, type, shape, content of each object, link and attribute."""
    yield from attributes_of("/", file)
    waiting = ["/"]
    while waiting:
        group = waiting.pop()
        for name in file[group]:
            path = f"{group.rstrip('/')}/{name}"
            link = file.get(path, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield path, ("external", resolved(file, link.filename), link.path)
            elif isinstance(link, h5py.SoftLink):
                yield path, ("soft", link.path)
            elif isinstance(file[path], h5py.Group):
                yield path, ("group",)
                waiting.append(path)
                yield from attributes_of(path, file[path])
            else:
                yield path, dataset(file, file[path])
                yield from attributes_of(path, file[path])


def dataset(file, found):
    if found.is_virtual:
        sources = found.virtual_sources()
        where = [(resolved(file, s.file_name), s.dset_name, s.src_space.get_select_bounds()) for s in sources]
        return "virtual", found.shape, str(found.dtype), where, found[()].tobytes()
    if found.name == FRAMES:
        return "frames", json.dumps(placed(file, json.loads(found.asstr()[()])))
    return "dataset", found.shape, found.maxshape, found.external, *content(found[()], found.dtype)


def placed(file, record):
    """The record of where frames are, with what is relative to the file resolved."""
    if isinstance(record, list):
        return [placed(file, each) for each in record]
    if isinstance(record, dict):
        return {k: resolved(file, v) if k == "relative" else placed(file, v) for k, v in record.items()}
    return record


def attributes_of(path, node):
    for name in node.attrs:
        kind = node.attrs.get_id(name).dtype
        yield f"{path}@{name}", ("attribute", np.shape(node.attrs[name]), *content(node.attrs[name], kind))


def content(value, dtype):
    """Type and value; NaN is equal to itself, 1 is not 1.0, and the text's encoding counts."""
    text = h5py.check_string_dtype(dtype)
    array = np.asarray(value)
    return str(dtype), text and text.encoding, str(array.tolist()) if text else array.tobytes()


def resolved(file, name):
    return str((Path(file.filename).parent / name).resolve())


@pytest.fixture
def some_file(tmp_path):
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file.attrs["a"] = 1
        file["g/x"] = np.arange(3)
        file["g/x"].attrs["units"] = "mm"
        file["text"] = "µ"
        file["soft"] = h5py.SoftLink("/g/x")
        file["nan"] = np.nan
        file["far"] = h5py.ExternalLink("other.h5", "/x")
    return tmp_path / "one.h5"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda f: f.attrs.create("a", 1, dtype="i4"), "/@a"),
        (lambda f: f.attrs.create("a", [1]), "/@a"),
        (lambda f: f["g/x"].attrs.create("units", "m"), "/g/x@units"),
        (lambda f: f["g"].attrs.create("more", 1), "/g@more"),
        (lambda f: f["g/x"].__setitem__(1, 7), "/g/x"),
        (lambda f: f["text"].__setitem__((), "u"), "/text"),
        (lambda f: f.__setitem__("more", 1), "/more"),
        (lambda f: f.__delitem__("nan"), "/nan"),
        (lambda f: (f.__delitem__("nan"), f.__setitem__("nan", np.float32(np.nan))), "/nan"),
        (lambda f: (f.__delitem__("soft"), f.__setitem__("soft", h5py.SoftLink("/g"))), "/soft"),
        (lambda f: (f.__delitem__("soft"), f.__setitem__("soft", f["g/x"])), "/soft"),
        (lambda f: (f.__delitem__("far"), f.__setitem__("far", h5py.ExternalLink("o.h5", "/x"))), "/far"),
    ],
)
def test_the_comparison_sees_every_change(some_file, tmp_path, change, where):
    other = tmp_path / "other.h5"
    other.write_bytes(some_file.read_bytes())
    assert differences(some_file, other) == []
    with h5py.File(other, "r+") as file:
        change(file)
    assert [line.partition(":")[0] for line in differences(some_file, other)][:1] == [where]


# -- recorded runs -------------------------------------------------------------------------------------------------


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
    @bpp.run_decorator(md={"plan_name": "reconfigured"})
    def points():
        for exposure in (0.0, 0.1):
            yield from bps.configure(bench.hits, {}) if hasattr(bench.hits, "configure") else bps.null()
            yield from bps.mv(bench.x, exposure)
            yield from bps.trigger_and_read([bench.x, bench.hits])
            yield from bps.trigger_and_read([bench.det], name="other")

    yield from points()


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
}


class Recorded:
    """Runs that were written live, and their documents."""

    def __init__(self, folder, engine, writer, plan):
        self.documents = []
        self.folder = folder
        # A recorder serialises at once, as a document may be changed afterwards.
        engine.subscribe(lambda name, doc: self.documents.append((name, copied(doc))))
        engine.subscribe(writer)
        with contextlib.suppress(RunEngineInterrupted, BeamIsGone):
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


def exported(documents, folder, profile):
    return {path.stem: path for path in export(documents, folder, profile=profile)["stream_data"]}


WAYS = {
    "one by one": replay,
    "pages of 1": lambda documents, folder, profile: replay(paged(documents, 1), folder, profile),
    "pages of 3": lambda documents, folder, profile: replay(paged(documents, 3), folder, profile),
    "pages of 1000": lambda documents, folder, profile: replay(paged(documents, 1000), folder, profile),
    "exported": exported,
    "exported pages": lambda documents, folder, profile: exported(paged(documents, 4), folder, profile),
}


def record(plan, folder, journal=False):
    bench = Bench(folder)
    engine = RunEngine({}, call_returns_result=False)
    engine.preprocessors.append(SupplementalData(baseline=[bench.y, bench.mode]))
    return Recorded(folder, engine, NexusWriter(folder / "live", journal=journal), PLANS[plan](bench))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Plan → what was recorded of it."""
    return functools.cache(lambda plan: record(plan, tmp_path_factory.mktemp(plan)))


def assert_same(live, files, allowed=PLACES):
    assert live.keys() == files.keys()
    for uid, path in live.items():
        assert path != files[uid]
        assert differences(path, files[uid], allowed) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("plan", PLANS)
def test_a_recording_gives_the_file_that_was_written_live(recorded, tmp_path, plan, way):
    runs = recorded(plan)
    assert_same(runs.files, WAYS[way](documents_of(runs.as_json_lines()), tmp_path, None))


@pytest.mark.parametrize("plan", PLANS)
def test_a_recording_gives_the_file_that_was_written_from_a_journal(tmp_path, plan):
    runs = record(plan, tmp_path, journal=tmp_path / "spool")
    assert_same(runs.files, replay(runs.documents, tmp_path / "again"))


@pytest.mark.parametrize("plan", ["grid_scan", "rewound"])
def test_how_often_rows_are_flushed_does_not_matter(recorded, tmp_path, monkeypatch, plan):
    runs = recorded(plan)
    monkeypatch.setattr(callback, "FLUSH_INTERVAL", 0.0)
    assert_same(runs.files, replay(runs.documents, tmp_path))


VALUES = [
    [1, 2.5, 3],
    [1, 2, None],
    [None, None, 4],
    [None, None],
    [True, 2, False],
    [True, None],
    [[], [], [1]],
    [[1, 2], [3, 4], [5]],
    ["a", "longer", 1, None],
    [{"a": 1}, [2], 3],
    ["a\0b", "µ", ""],
    [float("nan"), float("inf"), 1],
    [0.1, "x"],
    [None, "x"],
    [[1.0, 2.0], [3.0]],
    [1 + 1j, 1.0],
    [1, 2.5, "a"],
    [1.0, None, "a", float("inf"), -0.0],
    [[1, 2], [2.5, float("nan")], "a"],
    [1, 1j, "a"],
    [["a", "b"], ["longer", "µ"], ["c"]],
    [2**60 + 1, 1.5],
    [2**63 + 1, -1],
]


@pytest.mark.parametrize("values", VALUES, ids=repr)
def test_what_a_value_becomes_does_not_depend_on_when_rows_are_flushed(tmp_path, monkeypatch, values):
    run = event_model.compose_run()
    stream = run.compose_descriptor(name="primary", data_keys={"x": {"dtype": "number", "shape": [], "source": "sim"}})
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    documents += [("event", stream.compose_event(data={"x": x}, timestamps={"x": 0.0}, validate=False)) for x in values]
    documents.append(("stop", run.compose_stop()))
    at_once = replay(documents, tmp_path / "at once")
    monkeypatch.setattr(callback, "FLUSH_INTERVAL", 0.0)
    assert_same(at_once, replay(documents, tmp_path / "row by row"))


def test_recorded_runs_are_valid(recorded, tmp_path):
    files = replay(recorded("grid_scan").documents, tmp_path)
    assert all(validate(path).valid for path in files.values())


def test_msgpack_gives_the_same_file_too(recorded, tmp_path):
    runs = recorded("grid_scan")
    assert_same(runs.files, replay(documents_of(runs.as_msgpack()), tmp_path))


def test_json_loses_numpys_types_where_the_descriptor_does_not_tell_them(tmp_path):
    narrow = SynSignal(name="narrow", func=lambda: np.arange(3, dtype="<u2"), kind="normal")
    engine = RunEngine({}, call_returns_result=False)
    runs = Recorded(tmp_path, engine, NexusWriter(tmp_path / "live"), bp.count([narrow], 3))
    assert_same(runs.files, replay(documents_of(runs.as_msgpack()), tmp_path / "msgpack"))
    (live,), (replayed,) = (
        files.values() for files in (runs.files, replay(documents_of(runs.as_json_lines()), tmp_path / "json"))
    )
    assert {line.partition(":")[0] for line in differences(live, replayed)} == {
        "/entry/measurement/narrow",
        "/entry/bluesky/primary/configuration/narrow/narrow",
    }
    with h5py.File(live) as first, h5py.File(replayed) as second:
        assert first["entry/measurement/narrow"].dtype == "<u2"
        assert second["entry/measurement/narrow"].dtype == "<i8"
        np.testing.assert_array_equal(first["entry/measurement/narrow"], second["entry/measurement/narrow"])


# -- the tomography ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tomography(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    beamline = simulated_id16a(folder / "ma2210" / "id16a" / "detectors", seed=7)
    engine = RunEngine({**METADATA, "dataset": "tomo_0001"}, call_returns_result=False)
    engine.preprocessors.append(SupplementalData(baseline=beamline.baseline))
    writer = NexusWriter(folder, profile=profile_folder("id16a"))
    plan = tomo_scan(beamline, projections=12, ref_on=6, darks=2, flats=2, y_step=-0.3)
    return Recorded(folder, engine, writer, plan)


@pytest.mark.parametrize("way", ["one by one", "pages of 3", "exported"])
def test_a_tomography_is_the_same_with_its_profile(tomography, tmp_path, way):
    files = WAYS[way](documents_of(tomography.as_json_lines()), tmp_path / "again", profile_folder("id16a"))
    assert_same(tomography.files, files)


def test_the_command_replays_a_tomography_into_a_master_file_of_its_own(tomography, tmp_path):
    docs, profile = str(tomography.as_json_lines()), str(profile_folder("id16a"))
    done = CliRunner().invoke(app, ["replay", docs, "-o", str(tmp_path), "--profile", profile, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    ((uid, path),) = told["files"].items()
    assert_same(tomography.files, {uid: Path(path)})
    inside = tomography.masters[uid].relative_to(tomography.directory)
    assert told["masters"] == {uid: str(tmp_path / inside)}
    assert validate(tmp_path / inside).valid
