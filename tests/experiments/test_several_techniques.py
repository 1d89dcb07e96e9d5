"""Several techniques in one run: the first shapes the entry, each further one a subentry; nothing is there twice."""

import shutil
from pathlib import Path

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import h5py
import numpy as np
import pytest
import silx.io
import silx.io.nxdata
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData
from nexusformat.nexus import nxload
from ophyd.sim import SynSignal

from devices.detectors import FrameCamera
from devices.quantity import Quantity
from nexus_callbacks import NexusWriter, coverage, hdf5, replay, validate
from nexus_callbacks.datasets import Target
from nexus_callbacks.faults import FaultError
from nexus_callbacks.files.writer import Writer
from nexus_callbacks.frames.relink import relink
from nexus_callbacks.journal.recovery import recover_from
from nexus_callbacks.journal.spool import Spool
from nexus_callbacks.recipes import Recipes
from nexus_callbacks.run import Run
from nexus_callbacks.techniques import load
from tests.comparison import assert_same, differences

POINTS, SHAPE, CHANNELS = 6, (4, 5), 16

PROFILE = """
beamline: id13
timezone: Europe/Paris
files: {dataset: "{sample}_{dataset}.h5", master: "master.h5"}
definitions: [esrf]
values:
  InstrumentSource_current: data:current
techniques:
  rocking:
    frames: data:camera_image
    tilt: data:rz
  tomo:
    frames: data:camera_image
    rotation_angle: data:rz
    image_key: data:kind
    x_translation: data:sy
  spectra:
    spectra: data:mca
    counts: data:hits
    whole: data:hits
    angle: data:rz
    FLUO_i0: {from: data:current, as: mean}
"""
# A technique of ours, without an application definition.
ROCKING = """
<group groupName="${entry}" NX_class="NXentry" ESRF_description="Frames over a tilt.">
  <attribute name="default">curve</attribute>
  <group groupName="camera" NX_class="NXcollection">
    <image NAPItype="NX_NUMBER">${frames}</image>
    <tilt NAPItype="NX_FLOAT" units="deg">${tilt}</tilt>
  </group>
  <group groupName="curve" NX_class="NXdata">
    <attribute name="signal">image</attribute>
    <attribute name="axes">tilt . .</attribute>
    <link groupName="image" ref="/camera/image"/>
    <link groupName="tilt" ref="/camera/tilt"/>
  </group>
</group>
"""
SPECTRA = """
<group groupName="${entry}" NX_class="NXentry">
  <attribute name="default">plot</attribute>
  <title NAPItype="NX_CHAR" ESRF_mandatory="Mandatory">${datasetName}</title>
  <group groupName="instrument" NX_class="NXinstrument">
    <group groupName="xia" NX_class="NXdetector">
      <data NAPItype="NX_INT">${spectra}<attribute name="interpretation">spectrum</attribute></data>
      <dead_time NAPItype="NX_FLOAT" units="s">${dead_time}</dead_time>
    </group>
    <group groupName="counter" NX_class="NXcollection">
      <rate NAPItype="NX_FLOAT">${counts}</rate>
      <hits NAPItype="NX_INT">${whole}</hits>
      <angle NAPItype="NX_FLOAT" units="rad">${angle}</angle>
    </group>
  </group>
  <group groupName="plot" NX_class="NXdata">
    <attribute name="signal">data</attribute>
    <attribute name="axes">. .</attribute>
    <link groupName="data" ref="instrument/xia/data"/>
  </group>
</group>
"""
DEFAULTS = "constants: {{technique_pid: pid-of-{}, technique_pid_esrfet_version: 0.1.0}}"


SHARED = ("tomo/sample/rotation_angle", "tomo/data/data", "spectra/plot/data", "spectra/instrument/counter/rate")


class Bench:
    """A camera that writes a file of its own, spectra and counts in the events, and what moves."""

    def __init__(self, folder):
        rng = np.random.default_rng(7)
        self.loses_frames = False
        self.rz = Quantity(name="rz", value=0.0, units="deg")
        self.sy = Quantity(name="sy", value=0.0, units="mm")
        self.kind = Quantity(name="kind", value=0)
        self.current = Quantity(name="current", value=190.0, units="mA")
        self.hits = SynSignal(name="hits", func=lambda: int(rng.integers(100)))  # It does not say of what type.
        self.mca = SynSignal(name="mca", func=lambda: rng.poisson(5, CHANNELS))
        self.camera = FrameCamera(
            name="camera",
            directory=folder / "camera",
            image=lambda exposure: rng.integers(0, 99, exposure.shape).astype("u2"),
            shape=SHAPE,
        )

    def scan(self, **md):
        read = [self.rz, self.sy, self.kind, self.hits, self.mca, self.camera]

        @bpp.stage_decorator([self.camera])
        @bpp.run_decorator(md={"plan_name": "scan", "num_points": POINTS, **md})
        def points():
            for angle in range(POINTS):
                yield from bps.mv(self.rz, float(angle))
                yield from bps.trigger_and_read(read)
            for file in self.camera.files if self.loses_frames else ():
                file.rename(file.with_suffix(".lost"))

        yield from points()


class Session:
    def __init__(self, folder, *more):
        self.profile = folder / "id13"
        (self.profile / "definitions").mkdir(parents=True)
        for name, text in {"rocking": ROCKING, **dict.fromkeys(["spectra", *more], SPECTRA)}.items():
            (self.profile / "definitions" / f"{name}.xml").write_text(text.strip())
            (self.profile / "definitions" / f"{name}.yml").write_text(DEFAULTS.format(name))
        others = "".join(f"  {name}: {{spectra: data:mca, counts: data:hits}}\n" for name in more)
        (self.profile / "profile.yml").write_text(PROFILE + others)
        self.bench = Bench(folder)
        self.folder = folder
        self.documents = []
        self.engine = RunEngine({"proposal": "ma1", "sample": "Fe"}, call_returns_result=False)
        self.engine.preprocessors.append(SupplementalData(baseline=[self.bench.current]))
        self.writer = NexusWriter(folder / "live", profile=self.profile, journal=False)
        self.engine.subscribe(self.writer)
        self.engine.subscribe(lambda name, doc: self.documents.append((name, doc)))

    def scan(self, *techniques, **md):
        (uid,) = self.engine(self.bench.scan(technique=techniques, **{"dataset": "1", **md}))
        self.writer.wait()
        return self.writer.files[uid]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def written(session):
    return session.scan("rocking", "tomo", "spectra")


@pytest.fixture
def entry(written):
    with h5py.File(written) as file:
        yield file["entry"]


def soft(group, path):
    """Where a soft link leads; None of what is none."""
    link = group.get(path, getlink=True)
    return link.path if isinstance(link, h5py.SoftLink) else None


def of_first_run(documents):
    end = next(number for number, (name, _) in enumerate(documents) if name == "stop")
    return documents[: end + 1]


def test_the_first_shapes_the_entry_and_each_further_one_a_subentry(entry):
    assert "definition" not in entry, "the first has no application definition"
    assert "definition" not in entry.attrs
    assert entry["camera/image"].shape == (POINTS, *SHAPE)
    for name in ("tomo", "spectra"):
        assert entry[name].attrs["NX_class"] == "NXsubentry"
    assert entry["tomo/definition"].asstr()[()] == "NXtomo"
    assert entry["tomo"].attrs["definition"] == "NXtomo"
    assert entry["tomo/sample/name"].asstr()[()] == "Fe", "of the general bindings"
    assert "definition" not in entry["spectra"]
    assert entry["FLUO/i0"][()] == 190, "what only a further one binds of ESRF's definition"


def test_frames_and_columns_are_there_once(entry):
    assert entry.attrs["default"] == "curve"
    first = "/entry/camera/image"
    assert isinstance(entry.get("camera/image", getlink=True), h5py.ExternalLink)
    assert soft(entry, "tomo/instrument/detector/data") == first
    assert soft(entry, "tomo/data/data") == first, "not by a chain of links"
    assert soft(entry, "tomo/sample/rotation_angle") == "/entry/camera/tilt"
    assert soft(entry, "spectra/instrument/xia/data") == "/entry/measurement/mca"
    assert soft(entry, "spectra/plot/data") == "/entry/measurement/mca"
    assert entry["measurement/mca"].attrs["interpretation"] == "spectrum", "what the technique asks for is there, too"
    assert entry["tomo"].attrs["default"] == "data"
    assert entry["spectra"].attrs["default"] == "plot"
    np.testing.assert_array_equal(entry["tomo/data/data"][:], entry["measurement/camera_image"][:])


def test_what_wants_other_units_or_another_type_is_a_dataset_of_its_own(entry):
    assert entry["tomo/sample/x_translation"].attrs["units"] == "m"
    assert soft(entry, "tomo/sample/x_translation") is None
    assert entry["spectra/instrument/counter/angle"].attrs["units"] == "rad"
    np.testing.assert_allclose(entry["spectra/instrument/counter/angle"], np.deg2rad(entry["measurement/rz"]))
    rate, hits = entry["spectra/instrument/counter/rate"], entry["spectra/instrument/counter/hits"]
    assert rate.dtype.kind == "f", "the device did not say that it counts"
    np.testing.assert_array_equal(rate, hits)
    assert soft(entry, "spectra/instrument/counter/hits") == "/entry/measurement/hits"


def test_the_identifiers_of_all_are_in_the_entry_and_each_has_its_own(entry):
    of_tomo = "https://w3id.org/PaN/ESRFET#XRCT"
    assert entry["technique_pid"].asstr()[()] == f"pid-of-rocking {of_tomo} pid-of-spectra"
    assert entry["technique_pid_esrfet_version"].asstr()[()] == "0.1.0"
    assert entry["tomo/technique_pid"].asstr()[()] == of_tomo
    assert entry["spectra/technique_pid"].asstr()[()] == "pid-of-spectra"


def test_every_definition_is_named_once(entry):
    assert list(entry["nexus_callbacks/definitions/name"].asstr()) == ["esrf", "rocking", "tomo", "spectra"]
    assert len(set(entry["nexus_callbacks/definitions/sha256"].asstr())) == 4


def test_each_part_accounts_for_its_own_variables(session, written, entry):
    found = {outcome.variable: outcome for outcome in coverage(written)["entry"].outcomes}
    assert found["frames"].paths == ("camera/image",)
    assert found["tomo/frames"].paths == ("tomo/instrument/detector/data",)
    assert found["tomo/frames"].filled
    assert found["spectra/datasetName"].mandatory
    assert "spectra/dead_time" not in found, "nobody claims it"
    total = len(load(["esrf", "rocking"], session.profile).definition.variables())
    alone = [len(load([name], session.profile).definition.variables()) for name in ("tomo", "spectra")]
    assert coverage(written)["entry"].total == total + sum(alone) + 2 * 2, "and the two identifiers of each"
    for outcome in found.values():
        there = [path for path in outcome.paths if path in entry]
        assert bool(there) == outcome.filled, outcome


def test_programs_check_each_subentry_by_its_own_definition(written, tmp_path):
    report = validate(written)
    assert report.valid, report.errors
    assert not report.warnings, [str(finding) for finding in report.warnings]
    with h5py.File(written, "r+") as file:
        del file["entry/tomo/instrument/detector/image_key"]
    errors = {each.path for each in validate(written).errors}
    with h5py.File(written, "r+") as file:
        file["entry/tomo/instrument/detector/image_key"] = h5py.SoftLink("/entry/measurement/kind")
    assert "/entry/tomo/instrument/detector/image_key" in errors


@pytest.mark.parametrize(("part", "shape"), [("tomo", (POINTS, *SHAPE)), ("spectra", (POINTS, CHANNELS))])
def test_viewers_draw_each_subentry(written, part, shape):
    with silx.io.open(str(written)) as root:
        plot = silx.io.nxdata.get_default(root[f"entry/{part}"], validate=True)
        assert plot.is_valid
        assert plot.signal.shape == shape
    with nxload(written, "r") as root:
        data = root[f"entry/{part}"].get_default()
        assert data.nxsignal.nxdata.shape == shape


def test_the_order_is_that_of_the_start_document(session):
    with h5py.File(session.scan("tomo", "rocking", "tomo", dataset="2")) as file:
        entry = file["entry"]
        assert entry.attrs["definition"] == "NXtomo"
        assert entry.attrs["default"] == "data"
        assert "tomo" not in entry, "named twice, it is there once"
        assert soft(entry, "rocking/camera/image") == "/entry/instrument/detector/data"
        assert soft(entry, "rocking/curve/tilt") == "/entry/sample/rotation_angle"
        assert entry["rocking"].attrs["ESRF_description"] == "Frames over a tilt."
        assert "definition" not in entry["rocking"]


def test_unknown_techniques_are_refused_at_once_before_anything_is_measured(session):
    before = len(session.documents)
    with pytest.raises(FaultError) as refused:
        session.scan("rockin", "tomo", "spectre")
    assert [fault.message.split("'")[1] for fault in refused.value.faults] == ["rockin", "spectre"]
    assert not [name for name, _ in session.documents[before:] if name == "event"]


@pytest.mark.parametrize("technique", [5, 0, True, float("nan"), b"mine", {"mine": 1}, {"name": "tomo"}])
def test_what_is_no_name_of_a_technique_is_refused_at_the_start(session, technique):
    before = len(session.documents)
    with pytest.raises(FaultError, match=r"start document: technique is .*, no name \(set RE.md\['technique'\] to"):
        session.engine(session.bench.scan(technique=technique, dataset="1"))
    assert not [name for name, _ in session.documents[before:] if name == "event"]


def test_a_technique_of_none_is_none(session):
    recipe = Recipes(session.profile).recipe({"technique": None, "uid": "u", "time": 0.0}, Path("x.h5"))
    assert recipe.facts["technique"] is None


def test_replayed_documents_give_the_same_file(session, written, tmp_path):
    replayed = replay(of_first_run(session.documents), tmp_path / "again", profile=session.profile)
    (uid,) = replayed
    assert_same({uid: written}, replayed)


def test_a_journal_gives_the_same_file(session, written, tmp_path):
    """What a session left that died after its last document."""
    documents = of_first_run(session.documents)
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


def test_shared_columns_can_be_read_while_the_run_goes_on(session, written, tmp_path):
    documents = of_first_run(session.documents)
    path = tmp_path / "growing.h5"
    path.write_bytes(hdf5.skeleton("entry"))
    recipe = Recipes(session.profile).recipe(documents[0][1], path)
    run = Run(Writer(path), recipe, print)
    for name, doc in documents[:-4]:
        run.feed(name, doc)
    run.write_rows()
    with h5py.File(path, locking=False) as file:
        assert 0 < len(file["entry/tomo/sample/rotation_angle"]) < POINTS
        assert file["entry/spectra/instrument/xia/data"].shape[1:] == (CHANNELS,)
    for name, doc in documents[-4:]:
        run.feed(name, doc)
    assert differences(written, path) == []


def test_links_of_subentries_outlive_a_move(written, session, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(session.folder / "camera", moved / "raw")
    shutil.copy(written, moved)
    results = relink(moved / written.name, {str(session.folder / "camera"): str(moved / "raw")})
    assert [each.how for each in results] == ["external link"] * 2, "of entry and columns, none of a subentry"
    with h5py.File(moved / written.name) as file, h5py.File(written) as before:
        assert file.get("entry/camera/image", getlink=True).filename == "raw/camera_0001.h5"
        np.testing.assert_array_equal(file["entry/tomo/data/data"], before["entry/tomo/data/data"])


def test_by_swmr_the_file_is_the_same(session, written, tmp_path):
    with NexusWriter(tmp_path, profile=session.profile, journal=False, swmr=True) as writer:
        for name, doc in of_first_run(session.documents):
            writer(name, doc)
    (path,) = writer.files.values()
    with h5py.File(path) as file, h5py.File(written) as plain:
        found = {name: file[f"entry/{name}"].shape for name in SHARED}
        assert found == {name: plain[f"entry/{name}"].shape for name in SHARED}
        assert soft(file["entry"], "tomo/sample/rotation_angle") == "/entry/camera/tilt"


def test_runs_of_one_dataset_share_a_file(tmp_path):
    session = Session(tmp_path)
    for _ in range(2):
        path = session.scan("rocking", "tomo", dataset_uid="of-both")
    assert validate(path).valid
    with h5py.File(path) as file:
        for name in ("entry", "entry_0002"):
            assert soft(file[name], "tomo/data/data") == f"/{name}/camera/image"
            assert file[name]["tomo/data/data"].shape == (POINTS, *SHAPE)
        over = file["entry_dataset/tomo"]
        assert over.attrs["NX_class"] == "NXsubentry"
        assert over["sample/name"].asstr()[()] == "Fe"
    with h5py.File(tmp_path / "live" / "master.h5") as master:
        assert [entry["tomo/data/data"].shape for entry in master.values()] == [(POINTS, *SHAPE)] * 2
    assert validate(tmp_path / "live" / "master.h5").valid


@pytest.mark.unreadable("its frames are gone")
def test_frames_that_are_not_there_are_absent_in_every_part(tmp_path):
    session = Session(tmp_path)
    session.bench.loses_frames = True
    path = session.scan("rocking", "tomo")
    with h5py.File(path) as file:
        assert "image" not in file["entry/camera"]
        assert "data" not in file["entry/tomo/instrument/detector"]
        assert "data" not in file["entry/tomo"], "no plot without its signal"
    found = {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}
    for name in ("frames", "tomo/frames"):
        assert not found[name].filled
        assert "not there" in found[name].reason


def test_a_technique_that_is_called_as_a_group_of_the_entry_gets_another_name(tmp_path):
    session = Session(tmp_path, "sample", "bluesky", "data")
    path = session.scan("tomo", "sample", "bluesky", "data")
    with h5py.File(path) as file:
        entry = file["entry"]
        found = {name for name in entry if entry[name].attrs.get("NX_class") == "NXsubentry"}
        assert found == {"sample_2", "bluesky_2", "data_2"}
        assert entry["sample"].attrs["NX_class"] == "NXsample"
        assert entry["sample_2/plot/data"].shape == (POINTS, CHANNELS)
    assert {o.variable for o in coverage(path)["entry"].outcomes} >= {"sample_2/spectra", "data_2/spectra"}


@pytest.mark.unreadable("mandatory columns never came")
@pytest.mark.parametrize("kept", ["start", "descriptor"])
def test_a_run_that_ends_before_its_first_row_links_to_nothing(session, written, tmp_path, kept):
    """Stopped before anything was described, and before anything was read."""
    documents = [each for each in of_first_run(session.documents) if each[0] in {"start", kept, "stop"}]
    (path,) = replay(documents, tmp_path, profile=session.profile).values()
    with h5py.File(path) as file:
        entry = file["entry"]
        assert entry["tomo/definition"].asstr()[()] == "NXtomo"
        assert "data" not in entry["tomo"]
        assert "rotation_angle" not in entry["tomo"].get("sample", {})
    found = {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}
    for name in ("tilt", "tomo/rotation_angle", "tomo/frames", "spectra/spectra"):
        assert not found[name].filled
        assert found[name].reason
    assert not [each for each in validate(path).errors if "link" in each.message], "none leads nowhere"
