"""Export: the suitcases' convention, as databroker's users know it."""

import json
import sys
from pathlib import Path

import event_model
import h5py
import pytest
from suitcase.utils import MemoryBuffersManager, MultiFileManager, SuitcaseUtilsTypeError

from nexus_callbacks import validate
from nexus_callbacks.export import Serializer, export
from nexus_callbacks.faults import FaultError


def a_run(points=3, *, rows="event", time=1.7e9, **metadata):
    run = event_model.compose_run(time=time, metadata=metadata)
    keys = {"x": {"dtype": "number", "shape": [], "source": "sim"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    events = [stream.compose_event(data={"x": i / 2}, timestamps={"x": 1.7e9 + i}) for i in range(points)]
    yield "start", run.start_doc
    yield "descriptor", stream.descriptor_doc
    if rows == "event":
        yield from (("event", event) for event in events)
    else:
        yield "event_page", event_model.pack_event_page(*events)
    yield "stop", run.compose_stop()


def values_of(path):
    with h5py.File(path) as file:
        return file["entry/measurement/x"][:].tolist()


@pytest.mark.parametrize("rows", ["event", "event_page"])
def test_a_run_becomes_a_file_named_by_its_uid(tmp_path, rows):
    documents = list(a_run(rows=rows))
    artifacts = export(documents, tmp_path)
    path = tmp_path / f"{documents[0][1]['uid']}.h5"
    assert artifacts == {"stream_data": [path]}
    assert values_of(path) == [0.0, 0.5, 1.0]
    assert validate(path).valid
    with h5py.File(path) as file:
        assert file.attrs["state"] == "complete"
        assert file.attrs["file_name"] == path.name


def test_an_empty_directory_is_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    export(a_run(), "", "run")
    assert values_of(tmp_path / "run.h5") == [0.0, 0.5, 1.0]


def test_the_prefix_is_a_template_over_the_start_document(tmp_path):
    metadata = {"plan_name": "scan", "scan_id": 7, "motors": ["x", "y"]}
    prefix = "{start[plan_name]}/{start[scan_id]:03d}-{start[motors][0]}-{start[time]:%Y-%m}-"
    (path,) = export(a_run(**metadata), tmp_path, prefix)["stream_data"]
    assert path == tmp_path / "scan" / "007-x-2023-11-.h5"


@pytest.mark.parametrize("name", ["../../up", "/etc/passwd", "a/b", "..", "a\0b", "~root"])
def test_a_hostile_document_names_no_file_elsewhere(tmp_path, name):
    (path,) = export(a_run(plan_name=name), tmp_path / "a" / "b", "{start[plan_name]}")["stream_data"]
    assert path.parent == tmp_path / "a" / "b"
    assert path.is_file()


@pytest.mark.parametrize(
    "prefix", ["{start[sample]}", "{stop[uid]}", "{start[uid].x}", "{0}", "{start[time]:%Y", "{start[uid]:d}", "{"]
)
def test_a_prefix_that_cannot_be_filled_in_is_a_fault(tmp_path, prefix):
    with pytest.raises(FaultError, match="file_prefix"):
        export(a_run(), tmp_path, prefix)
    assert not list(tmp_path.rglob("*"))


def test_an_existing_file_is_left_alone(tmp_path):
    (tmp_path / "mine.h5").write_text("precious")
    with pytest.raises(FileExistsError, match=r"mine\.h5"):
        export(a_run(), tmp_path, "mine")
    assert (tmp_path / "mine.h5").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_manager_decides_where_files_are(tmp_path):
    manager = MultiFileManager(tmp_path / "deep")
    artifacts = export(a_run(), manager, "run")
    assert artifacts == manager.artifacts == {"stream_data": [tmp_path / "deep" / "run.h5"]}
    assert values_of(tmp_path / "deep" / "run.h5") == [0.0, 0.5, 1.0]
    with pytest.raises(FaultError, match="already been used"):
        export(a_run(), manager, "run")


class NoPaths:
    artifacts: dict = {}  # noqa: RUF012

    def reserve_name(self, label, postfix):
        raise SuitcaseUtilsTypeError("no names here")

    def close(self):
        pass


class OnlyHandles:
    def open(self, label, postfix, mode):
        raise AssertionError("HDF5 is given no handle")


@pytest.mark.parametrize("manager", [MemoryBuffersManager(), NoPaths(), OnlyHandles(), None])
def test_a_manager_without_paths_on_disk_is_refused(manager):
    with pytest.raises(SuitcaseUtilsTypeError, match=r"gives no paths on disk.*suitcase\.utils\.MultiFileManager"):
        export(a_run(), manager)


def test_runs_that_interleave_each_have_their_artifact(tmp_path):
    runs = [list(a_run(points)) for points in (2, 3, 4)]
    uids = [run[0][1]["uid"] for run in runs]
    mixed = []
    while any(runs):
        mixed += [run.pop(0) for run in runs if run]
    paths = export(mixed, tmp_path)["stream_data"]
    assert [path.stem for path in paths] == uids
    assert [values_of(path)[-1] for path in paths] == [0.5, 1.0, 1.5]


def test_rows_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["nexus_callbacks.export"], "FLUSH_DOCUMENTS", 10)
    *documents, stop = a_run(50)
    with Serializer(tmp_path, "run") as serializer:
        for name, doc in documents:
            serializer(name, doc)
        with h5py.File(tmp_path / "run.h5", locking=False) as file:
            assert len(file["entry/measurement/x"]) >= 40
        serializer(*stop)
    assert len(values_of(tmp_path / "run.h5")) == 50


def test_a_run_without_a_stop_document_ends_as_incomplete(tmp_path):
    *documents, _ = a_run()
    (path,) = export(documents, tmp_path)["stream_data"]
    with h5py.File(path) as file:
        assert file.attrs["state"] == "incomplete"
        assert file.attrs["state_reason"] == "the export ended before the run's stop document"
    assert values_of(path) == [0.0, 0.5, 1.0]


def test_a_source_that_fails_leaves_a_closed_file(tmp_path):
    def failing():
        *documents, _ = a_run()
        yield from documents
        raise ConnectionError("the catalogue is gone")

    with pytest.raises(ConnectionError):
        export(failing(), tmp_path, "run")
    assert values_of(tmp_path / "run.h5") == [0.0, 0.5, 1.0]


def test_a_serializer_returns_documents_as_it_got_them_and_validates_on_demand(tmp_path):
    with Serializer(tmp_path) as serializer:
        for name, doc in a_run():
            before = json.dumps(doc)
            assert serializer(name, doc, validate=True) == (name, doc)
            assert json.dumps(doc) == before
        assert serializer.artifacts["stream_data"]


def test_serializers_are_what_a_run_router_makes(tmp_path):
    made = []

    def factory(name, doc):
        made.append(Serializer(tmp_path))
        return [made[-1]], []

    router = event_model.RunRouter([factory])
    for name, doc in [*a_run(2), *a_run(3)]:
        router(name, doc)
    assert [len(values_of(s.artifacts["stream_data"][0])) for s in made] == [2, 3]


def test_metadata_that_does_not_do_is_a_fault_and_leaves_nothing(tmp_path):
    with pytest.raises(FaultError, match="no 'time'"):
        export([("start", {"uid": "u"})], tmp_path)
    with pytest.raises(FaultError, match="start document"):
        export([("start", {"uid": "u", "time": "soon"})], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_document_costs_only_itself_and_is_told(tmp_path, caplog):
    start, descriptor, first, second, *others = a_run()
    broken = ("event", {"descriptor": first[1]["descriptor"]})
    stray = ("event", {"descriptor": "of another run"})
    with caplog.at_level("WARNING", logger="nexus_callbacks"):
        (path,) = export([start, descriptor, first, broken, stray, second, *others], tmp_path)["stream_data"]
    assert values_of(path) == [0.0, 0.5, 1.0]
    assert "could not be written: KeyError" in caplog.text
    assert "belongs to no run" in caplog.text


def test_a_profile_shapes_the_file_but_does_not_name_it(tmp_path):
    profile = tmp_path / "profile.yml"
    profile.write_text(
        "beamline: bl1\nfacility: A\nfiles: {dataset: '{data_root}/no/{uid}.h5', master: '{data_root}/no/m.h5'}\n"
    )
    artifacts = export(a_run(), tmp_path / "out", "run", profile=profile)
    assert artifacts == {"stream_data": [tmp_path / "out" / "run.h5"]}
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == [tmp_path / "out" / "run.h5"]


def test_a_folder_may_be_text_or_path(tmp_path):
    for name, directory in (("a", str(tmp_path)), ("b", Path(tmp_path))):
        assert export(a_run(), directory, name) == {"stream_data": [tmp_path / f"{name}.h5"]}
