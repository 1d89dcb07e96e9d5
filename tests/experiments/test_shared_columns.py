"""Columns that a definition takes as their devices give them: one dataset, to which `measurement` links."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
import silx.io
import silx.io.nxdata
from bluesky import RunEngine
from nexusformat.nexus import nxload
from ophyd.sim import SynSignal

from devices.quantity import Quantity
from nexus_callbacks import NexusWriter, coverage, hdf5, open_live, replay, validate
from nexus_callbacks.datasets import Target
from nexus_callbacks.files.content import Content
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.journal.recovery import recover_from
from nexus_callbacks.journal.spool import Spool
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.run import Run
from tests.comparison import assert_same, differences

POINTS, CHANNELS = 6, 16
PROFILE = """
beamline: id13
timezone: Europe/Paris
files: {dataset: "{dataset}.h5", master: "master.h5"}
definitions: []
values:
  datasetName: start:dataset
techniques:
  spectra: {angle: data:rz, counts: data:hits, number: data:hits, whole: data:hits}
"""
COLUMNS = {"angle": "rz", "along": "sy", "spectra": "mca", "flux": "i0", "real": "hits", "rate": "clock"}
DEFINITION = """
<group groupName="${entry}" NX_class="NXentry" ESRF_description="A map.">
  <attribute name="default">plot</attribute>
  <title NAPItype="NX_CHAR">${datasetName}</title>
  <group groupName="sample" NX_class="NXsample">
    <angle NAPItype="NX_FLOAT" units="deg" ESRF_description="Angle.">${angle}</angle>
    <along NAPItype="NX_FLOAT" units="m">${along}</along>
  </group>
  <group groupName="instrument" NX_class="NXinstrument">
    <group groupName="xia" NX_class="NXdetector">
      <data NAPItype="NX_INT">${spectra}<attribute name="interpretation">spectrum</attribute></data>
    </group>
    <group groupName="counters" NX_class="NXcollection">
      <flux NAPItype="NX_NUMBER" units="1/s">${flux}</flux>
      <real NAPItype="NX_FLOAT">${real}</real>
      <rate NAPItype="NX_INT">${rate}</rate>
    </group>
  </group>
  <group groupName="plot" NX_class="NXdata">
    <attribute name="signal">data</attribute>
    <attribute name="axes">angle .</attribute>
    <link groupName="data" ref="/instrument/xia/data"/>
    <link groupName="angle" ref="/sample/angle"/>
  </group>
</group>
"""
SPECTRA = """
<group groupName="${entry}" NX_class="NXentry">
  <group groupName="part" NX_class="NXcollection">
    <angle NAPItype="NX_FLOAT" units="deg">${angle}</angle>
    <counts NAPItype="NX_FLOAT">${counts}</counts>
    <number NAPItype="NX_NUMBER">${number}</number>
    <whole NAPItype="NX_INT">${whole}</whole>
  </group>
</group>
"""
SHARED = {
    "rz": "/entry/sample/angle",
    "mca": "/entry/instrument/xia/data",
    "i0": "/entry/instrument/counters/flux",
}
HITS, RATE = "entry/instrument/counters/real", "entry/instrument/counters/rate"


class Said(SynSignal):
    """A signal that announces something of its own, whatever it gives."""

    def __init__(self, says, **rest):
        self._says = says
        super().__init__(**rest)

    def describe(self):
        return {name: {**key, **self._says} for name, key in super().describe().items()}


class Session:
    def __init__(self, folder):
        self.folder, self.profile, self.documents = folder, folder / "id13", []
        (self.profile / "definitions").mkdir(parents=True)
        (self.profile / "definitions" / "map.xml").write_text(DEFINITION.strip())
        (self.profile / "definitions" / "spectra.xml").write_text(SPECTRA.strip())
        columns = ", ".join(f"{variable}: data:{key}" for variable, key in COLUMNS.items())
        (self.profile / "profile.yml").write_text(f"{PROFILE}  map: {{{columns}}}\n")
        rng = np.random.default_rng(3)
        self.rz = Quantity(name="rz", value=0.0, units="deg")
        self.sy = Quantity(name="sy", value=0.0, units="mm")
        self.mca = SynSignal(name="mca", func=lambda: rng.poisson(5, CHANNELS))
        about = {"units": "1/s", "precision": 3, "limits": {"control": {"low": 0.0, "high": 1e9}}}
        self.i0 = Said(about, name="i0", func=lambda: float(rng.integers(100)))
        self.hits = Said({"dtype": "number"}, name="hits", func=lambda: int(rng.integers(100)))
        self.clock = Said({"dtype": "integer"}, name="clock", func=lambda: float(rng.integers(100)))
        self.engine = RunEngine({}, call_returns_result=False)
        self.writer = NexusWriter(folder / "live", profile=self.profile, journal=False)
        self.engine.subscribe(self.writer)
        self.engine.subscribe(lambda name, doc: self.documents.append((name, doc)))

    def points(self, rows=POINTS, **md):
        read = [self.rz, self.sy, self.mca, self.i0, self.hits, self.clock]
        start = {"plan_name": "scan", "motors": ["rz"], "detectors": ["mca"], "hints": {}, **md}
        start["hints"] = {"dimensions": [(["rz"], "primary")]}

        @bpp.run_decorator(md=start)
        def points():
            for angle in range(rows):
                yield from bps.mv(self.rz, float(angle))
                yield from bps.trigger_and_read(read)

        return points()

    def scan(self, *techniques, dataset="1", **md):
        del self.documents[:]
        (uid,) = self.engine(self.points(dataset=dataset, technique=techniques or "map", **md))
        self.writer.wait()
        return self.writer.files[uid]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def scanned(session):
    path = session.scan("map", "spectra")
    return path, list(session.documents)


@pytest.fixture
def written(scanned):
    return scanned[0]


@pytest.fixture
def documents(scanned):
    return scanned[1]


@pytest.fixture
def entry(written):
    with h5py.File(written) as file:
        yield file["entry"]


def soft(group, path):
    """Where a soft link leads; None of what is none."""
    link = group.get(path, getlink=True)
    return link.path if isinstance(link, h5py.SoftLink) else None


def test_a_column_is_there_once(entry):
    for key, target in SHARED.items():
        assert soft(entry, f"measurement/{key}") == target
        assert soft(entry, target) is None, "the definition's is the dataset"
        assert entry[target].attrs["target"] == target
        assert entry[target].shape[0] == POINTS


def test_links_lead_straight_to_the_dataset(entry):
    assert soft(entry, "data/rz") == SHARED["rz"], "the generic plot"
    assert soft(entry, "instrument/rz/value") == SHARED["rz"]
    assert soft(entry, "plot/angle") == SHARED["rz"]
    assert soft(entry, "spectra/part/angle") == SHARED["rz"]
    assert soft(entry, "instrument/mca/columns/mca") or soft(entry, "instrument/mca/data") == SHARED["mca"]


def test_it_has_the_attributes_of_both(entry):
    flux = dict(entry[SHARED["i0"]].attrs)
    assert (flux["units"], flux["precision"]) == ("1/s", 3)
    assert (flux["limits_control_low"], flux["limits_control_high"]) == (0.0, 1e9)
    assert entry[SHARED["mca"]].attrs["interpretation"] == "spectrum"
    angle = entry[SHARED["rz"]].attrs
    assert (angle["units"], angle["ESRF_description"]) == ("deg", "Angle.")


def test_other_units_are_a_dataset_of_its_own(entry):
    assert soft(entry, "measurement/sy") is None
    assert (entry["measurement/sy"].attrs["units"], entry["sample/along"].attrs["units"]) == ("mm", "m")
    np.testing.assert_allclose(entry["sample/along"], entry["measurement/sy"][()] / 1000)


def test_what_came_of_another_type_than_announced_is_right_in_both(entry):
    file = entry.file
    for path, key, kind, as_came in ((HITS, "hits", "f", "iu"), (RATE, "clock", "i", "f")):
        own = entry[f"measurement/{key}"]
        assert soft(entry, f"measurement/{key}") is None
        assert file[path].dtype.kind == kind
        assert own.dtype.kind in as_came
        np.testing.assert_array_equal(file[path], own)
        assert own.maxshape == file[path].maxshape == (POINTS,), "neither grows any more"
    assert soft(entry, "spectra/part/counts") == f"/{HITS}", "of the same type"
    for name in ("number", "whole"):
        assert soft(entry, f"spectra/part/{name}") == "/entry/measurement/hits", "as it came"


def test_programs_read_it(written):
    report = validate(written)
    assert report.valid, report.errors
    assert not report.warnings, [str(finding) for finding in report.warnings]
    with silx.io.open(str(written)) as root:
        assert silx.io.nxdata.get_default(root, validate=True).signal.shape == (POINTS, CHANNELS)
        assert root["entry/measurement/mca"].shape == (POINTS, CHANNELS)
    with nxload(written, "r") as root:
        assert root["entry/measurement/mca"].nxdata.shape == (POINTS, CHANNELS)
        assert root["entry"].get_default().nxsignal.nxdata.shape == (POINTS, CHANNELS)
    assert {o.variable for o in coverage(written)["entry"].outcomes if o.filled} >= set(COLUMNS)


def test_replayed_documents_give_the_same_file(session, written, documents, tmp_path):
    replayed = replay(documents, tmp_path / "again", profile=session.profile)
    assert_same(dict.fromkeys(replayed, written), replayed)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_the_file_does_not_depend_on_when_rows_were_flushed(session, written, documents, tmp_path, every):
    path = tmp_path / "growing.h5"
    path.write_bytes(hdf5.skeleton("entry"))
    run = Run(Writer(path), Recipes(session.profile).recipe(documents[0][1], path), print)
    events = 0
    for name, doc in documents:
        run.feed(name, doc)
        events += name == "event"
        if name == "event" and events % every == 0:
            run.write_rows()
            with open_live(path) as live:
                shape = live.read(lambda file: file["entry/measurement/mca"].shape)
            assert shape == (events, CHANNELS)
    assert differences(written, path) == []


def test_a_journal_gives_the_same_file(session, written, documents, tmp_path):
    """What a session left that died after its last document, and before."""
    uid, file = documents[0][1]["uid"], tmp_path / "data" / written.name
    spool = Spool(tmp_path / "spool")
    header = {"uid": uid, "target": Target(file, file).to_dict(), "directory": str(file.parent)}
    dying = spool.session()
    journal = dying.journal("r", {**header, "created": 1.0, "profile": str(session.profile)})
    for name, doc in documents:
        journal.append(name, doc)
    journal.close()
    dying.close()
    (recovered,) = recover_from(spool, print)
    assert recovered.complete
    assert_same({uid: written}, {uid: recovered.path})


def test_a_run_that_was_broken_off_has_the_rows_that_came(session, documents, tmp_path):
    path = tmp_path / "broken.h5"
    path.write_bytes(hdf5.skeleton("entry"))
    run = Run(Writer(path), Recipes(session.profile).recipe(documents[0][1], path), print)
    for name, doc in documents[:-3]:
        run.feed(name, doc)
    run.abandon("the session died")
    with h5py.File(path) as file:
        assert file["entry/measurement/mca"].shape == (POINTS - 2, CHANNELS)
        assert file[HITS].dtype.kind == "f"
        assert file["entry/measurement/hits"].dtype.kind == "i"


def test_a_rewound_point_stands_once(session, documents, tmp_path):
    """As after a pause: the second and third point again, after all were flushed."""
    path = tmp_path / "rewound.h5"
    path.write_bytes(hdf5.skeleton("entry"))
    run = Run(Writer(path), Recipes(session.profile).recipe(documents[0][1], path), print)
    events = [doc for name, doc in documents if name == "event"]
    for name, doc in documents:
        if name == "stop":
            run.write_rows()
            for again in events[1:3]:
                run.feed("event", {**again, "data": {**again["data"], "rz": -1.0}})
            run.write_rows()
        run.feed(name, doc)
    with h5py.File(path) as file:
        assert file["entry/measurement/rz"][()].tolist() == [0, -1, -1]
        assert file["entry/sample/angle"][()].tolist() == [0, -1, -1]


def test_by_swmr_the_file_is_the_same(session, written, documents, tmp_path):
    with NexusWriter(tmp_path, profile=session.profile, journal=False, swmr=True) as writer:
        for name, doc in documents:
            writer(name, doc)
    (path,) = writer.files.values()
    with h5py.File(path) as file, h5py.File(written) as plain:
        for key, target in SHARED.items():
            assert soft(file["entry"], f"measurement/{key}") == target
        for place in (HITS, RATE, "entry/measurement/hits", "entry/measurement/mca", "entry/spectra/part/counts"):
            np.testing.assert_array_equal(file[place], plain[place])
            assert file[place].dtype == plain[place].dtype


def test_runs_of_one_dataset_share_a_file(tmp_path):
    session = Session(tmp_path)
    for _ in range(2):
        path = session.scan(dataset_uid="of-both")
    assert validate(path).valid
    with h5py.File(path) as file:
        for name in ("entry", "entry_0002"):
            assert soft(file[name], "measurement/mca") == f"/{name}/instrument/xia/data"
            assert file[name]["measurement/mca"].shape == (POINTS, CHANNELS)
    with h5py.File(tmp_path / "live" / "master.h5") as master:
        assert [entry["measurement/mca"].shape for entry in master.values()] == [(POINTS, CHANNELS)] * 2


@pytest.mark.parametrize("kept", ["start", "descriptor"])
def test_a_run_that_ends_before_its_first_row_links_to_nothing(session, documents, tmp_path, kept):
    few = [each for each in documents if each[0] in {"start", kept, "stop"}]
    (path,) = replay(few, tmp_path, profile=session.profile).values()
    with h5py.File(path) as file:
        assert "mca" not in file["entry"].get("measurement", {})
        assert "sample" not in file["entry"] or "angle" not in file["entry/sample"]
    assert not [each for each in validate(path).errors if "link" in each.message], "none leads nowhere"


def changed(documents, key, values, **says):
    """The documents with other values of a key; and with what else its descriptor says."""
    values = iter(values)
    found = []
    for name, doc in documents:
        change = {}
        if name == "event":
            change = {"data": {**doc["data"], key: next(values)}}
        if name == "descriptor":
            change = {"data_keys": {**doc["data_keys"], key: {**doc["data_keys"][key], **says}}}
        found.append((name, {**doc, **change}))
    return found


@pytest.mark.unreadable("the definition wants numbers")
def test_values_that_are_text_are_text_in_both(session, documents, tmp_path):
    mixed = changed(documents, "hits", [1, 2, "none", 3, 4, 5])
    (path,) = replay(mixed, tmp_path, profile=session.profile).values()
    with h5py.File(path) as file:
        assert list(file[HITS].asstr()) == ["1", "2", "none", "3", "4", "5"]
        assert soft(file, "entry/measurement/hits") == f"/{HITS}"
    told = {o.variable: o for o in coverage(path)["entry"].outcomes}["real"]
    assert told.filled
    assert "text" in told.reason


@pytest.mark.unreadable("the definition wants integers")
@pytest.mark.parametrize("swmr", [False, True])
def test_values_that_widen_are_right_in_both(session, documents, tmp_path, swmr):
    wide = changed(documents, "clock", [1, 2, 3, 4.5, 5, 6])
    with NexusWriter(tmp_path, profile=session.profile, journal=False, swmr=swmr) as writer:
        for name, doc in wide:
            writer(name, doc)
    (path,) = writer.files.values()
    with h5py.File(path) as file:
        assert file[RATE][()].tolist() == [1, 2, 3, 4.5, 5, 6]
        assert soft(file, "entry/measurement/clock") == f"/{RATE}", "no integers can be made of them"


@pytest.mark.unreadable("HDF5 refuses a column")
def test_what_a_device_says_of_itself_never_costs_the_definitions_field(session, documents, tmp_path):
    odd = changed(documents, "mca", [np.arange(CHANNELS)] * POINTS, dims=["x" * 70_000])
    (path,) = replay(odd, tmp_path, profile=session.profile).values()
    with h5py.File(path) as file:
        assert file["entry/instrument/xia/data"].shape == (POINTS, CHANNELS)
        assert soft(file, "entry/measurement/mca") is None


@pytest.mark.unreadable("HDF5 refuses a column")
def test_a_column_that_hdf5_refuses_in_mid_run_is_accounted_for(session, documents, tmp_path, monkeypatch):
    append = Content.append

    def refuse(content, path, rows, attributes, start, **rest):
        if path == SHARED["mca"] and start >= 3:
            raise ValueError("not this one")
        append(content, path, rows, attributes, start, **rest)

    monkeypatch.setattr(Content, "append", refuse)
    path = tmp_path / "refused.h5"
    path.write_bytes(hdf5.skeleton("entry"))
    run, told = Run(Writer(path), Recipes(session.profile).recipe(documents[0][1], path), print), []
    run._tell = told.append
    for name, doc in documents:
        run.feed(name, doc)
        if name == "event" and doc["seq_num"] == 3:
            run.write_rows()
    assert [each for each in told if "not this one" in each] == [
        f"refused.h5: {SHARED['mca']}: cannot be written from row 3 on: not this one"
    ]
    with h5py.File(path) as file:
        assert file["entry/measurement/mca"].shape == file[SHARED["mca"]].shape == (3, CHANNELS), "what was there"
        assert file["entry/sample/angle"].shape == (POINTS,)
        assert file.attrs["state"] == "complete"
        assert "plot" not in file["entry"], "no plot of a part"
    found = {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}["spectra"]
    assert not found.filled
    assert "not this one" in found.reason


def test_units_that_change_in_mid_run_are_those_of_neither(session, documents, tmp_path):
    descriptor = next(doc for name, doc in documents if name == "descriptor")
    keys = {**descriptor["data_keys"], "hits": {**descriptor["data_keys"]["hits"], "units": "1/s"}}
    again = ("descriptor", {**descriptor, "uid": "other", "data_keys": keys})
    (path,) = replay([*documents[:-3], again, *documents[-3:]], tmp_path, profile=session.profile).values()
    with h5py.File(path) as file:
        for place in (HITS, "entry/measurement/hits"):
            assert "units" not in file[place].attrs
