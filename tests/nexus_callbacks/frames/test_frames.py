"""Frames: hand-made documents of each kind of detector become a dataset which plain h5py reads, pixel for pixel."""

import json
import logging
import shutil

import h5py
import numpy as np
import pytest
from event_model import compose_run

from nexus_callbacks import NexusWriter, coverage, hdf5, validate
from nexus_callbacks.frames import links, stacks
from nexus_callbacks.frames.formats import HDF5_MIMETYPE, Series
from nexus_callbacks.frames.relink import relink
from nexus_callbacks.frames.stacks import Piece, Stack
from tests.nexus_callbacks.frames.test_formats import edf_text, tiff_bytes

SHAPE = (3, 4)
TIFF = "multipart/related;type=image/tiff"


def images(count, first=0, dtype="<u2"):
    """Frames that are all different."""
    return (np.arange(count * 12).reshape(count, *SHAPE) + 12 * first).astype(dtype)


def hdf5_file(path, data, dataset="/entry/data/data"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[dataset] = data


def tiff_files(folder, data, name="cam_{:04d}.tif", order="<", first=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(data, first):
        (folder / name.format(i)).write_bytes(tiff_bytes([image.astype(order + "u2")], order))


class Experiment:
    """One run in ``folder/scan``, with a detector of the key ``cam``."""

    def __init__(self, folder, rows=0, dtype_numpy="<u2", external="STREAM:", shape=(1, *SHAPE), **options):
        self.writer = NexusWriter(folder / "scan", **options)
        self.run = compose_run(metadata={"plan_name": "count"})
        self.writer("start", self.run.start_doc)
        cam = {"dtype": "array", "shape": list(shape), "source": "sim", "external": external}
        if dtype_numpy:
            cam["dtype_numpy"] = dtype_numpy
        keys = {"x": {"dtype": "number", "shape": [], "source": "sim"}}
        self.stream = self.run.compose_descriptor(name="primary", data_keys={**keys, "cam": cam})
        self.writer("descriptor", self.stream.descriptor_doc)
        for _ in range(rows):
            self.event()

    def event(self, **data):
        data = {"x": 0.0, **data}
        filled = {"filled": {"cam": False}} if "cam" in data else {}
        validated = {"validate": False}
        document = self.stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), **filled, **validated)
        self.writer("event", document)

    def resource(self, path, mimetype=HDF5_MIMETYPE, **parameters):
        if mimetype == HDF5_MIMETYPE:
            parameters = {"dataset": "/entry/data/data", "chunk_shape": [1, *SHAPE], **parameters}
        uri = f"file://localhost{path}"
        made = self.run.compose_stream_resource(mimetype=mimetype, uri=uri, data_key="cam", parameters=parameters)
        self.writer("stream_resource", made.stream_resource_doc)

        def datum(indices, seq_nums=None):
            indices, seq_nums = ({"start": a, "stop": b} for a, b in (indices, seq_nums or (n + 1 for n in indices)))
            document = made.compose_stream_datum(
                descriptor=self.stream.descriptor_doc, indices=indices, seq_nums=seq_nums
            )
            self.writer("stream_datum", document)

        return datum

    def legacy(self, spec, root, path, **kwargs):
        made = self.run.compose_resource(spec=spec, root=str(root), resource_path=path, resource_kwargs=kwargs)
        self.writer("resource", made.resource_doc)

        def point(**kwargs):
            document = made.compose_datum(datum_kwargs=kwargs)
            self.writer("datum", document)
            self.event(cam=document["datum_id"])

        return point

    def stop(self, **how):
        self.writer("stop", self.run.compose_stop(**how))
        (path,) = self.writer.files.values()
        return path


def read(path, name="entry/measurement/cam"):
    with h5py.File(path) as file:
        return file[name][()]


def kind(path, name="entry/measurement/cam"):
    with h5py.File(path) as file:
        if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
            return "external link"
        if file[name].is_virtual:
            return "virtual dataset"
        return "external raw storage" if file[name].external else "dataset"


def state(path):
    with h5py.File(path) as file:
        return file.attrs["state"]


def assert_valid(path):
    report = validate(path)
    assert report.valid, [str(finding) for finding in report.errors]


# -- HDF5 ----------------------------------------------------------------------------------------------------------


def test_a_dataset_that_fits_whole_is_linked(tmp_path):
    hdf5_file(tmp_path / "det/cam.h5", images(3))
    run = Experiment(tmp_path, rows=3, dtype_numpy=None)
    run.resource(tmp_path / "det/cam.h5")((0, 3))
    path = run.stop()
    assert kind(path) == "external link"
    np.testing.assert_array_equal(read(path), images(3))


def test_skipped_frames(tmp_path):
    hdf5_file(tmp_path / "det/cam.h5", images(6))
    run = Experiment(tmp_path, rows=3)
    datum = run.resource(tmp_path / "det/cam.h5")
    datum((0, 1), (1, 2))
    datum((3, 5), (2, 4))
    path = run.stop()
    assert kind(path) == "virtual dataset"
    np.testing.assert_array_equal(read(path), images(6)[[0, 3, 4]])
    assert_valid(path)


@pytest.mark.parametrize("counts_on", [False, True])
def test_hdf5_in_several_files(tmp_path, counts_on):
    run = Experiment(tmp_path, rows=6)
    for number, first in enumerate((0, 2, 4)):
        hdf5_file(tmp_path / f"det/50%_{number}.h5", images(2, first))
        datum = run.resource(tmp_path / f"det/50%_{number}.h5".replace("%", "%25"))
        datum((first, first + 2) if counts_on else (0, 2), (first + 1, first + 3))
    path = run.stop()
    np.testing.assert_array_equal(read(path), images(6))
    assert_valid(path)


def test_several_datasets_in_one_file(tmp_path):
    hdf5_file(tmp_path / "cam.h5", images(3))
    with h5py.File(tmp_path / "cam.h5", "a") as file:
        file["entry/sum"] = np.arange(3.0)
    run = compose_run(metadata={"plan_name": "fly"})
    writer = NexusWriter(tmp_path)
    writer("start", run.start_doc)
    cam = {"dtype": "array", "shape": [1, *SHAPE], "dtype_numpy": "<u2", "source": "", "external": "STREAM:"}
    total = {"dtype": "number", "shape": [1], "dtype_numpy": "<f8", "source": "", "external": "STREAM:"}
    stream = run.compose_descriptor(name="fly", data_keys={"cam": cam, "cam-sum": total})
    writer("descriptor", stream.descriptor_doc)
    span = {"indices": {"start": 1, "stop": 3}, "seq_nums": {"start": 1, "stop": 3}}
    for key, dataset in (("cam", "/entry/data/data"), ("cam-sum", "/entry/sum")):
        made = run.compose_stream_resource(
            mimetype=HDF5_MIMETYPE,
            uri=f"file://localhost{tmp_path}/cam.h5",
            data_key=key,
            parameters={"dataset": dataset},
        )
        writer("stream_resource", made.stream_resource_doc)
        writer("stream_datum", made.compose_stream_datum(descriptor=stream.descriptor_doc, **span))
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    np.testing.assert_array_equal(read(path, "entry/measurement/fly/cam"), images(3)[1:])
    np.testing.assert_array_equal(read(path, "entry/measurement/fly/cam_sum"), [1.0, 2.0])


def test_area_detectors_hdf5_that_rolls_over_in_mid_run(tmp_path):
    run = Experiment(tmp_path, external="FILESTORE:", shape=(2, *SHAPE))
    for number in range(2):
        hdf5_file(tmp_path / f"det/{number}.h5", images(4, 4 * number))
        point = run.legacy("AD_HDF5_SWMR", tmp_path / "det", f"{number}.h5", frame_per_point=2)
        point(point_number=0)
        point(point_number=1)
    path = run.stop()
    np.testing.assert_array_equal(read(path), images(8))


def test_one_hdf5_file_a_frame(tmp_path):
    run = Experiment(tmp_path, external="FILESTORE:", shape=SHAPE, dtype_numpy=None)
    point = run.legacy("AD_HDF5_SINGLE", tmp_path / "det", "", template="%s%s_%6.6d.h5", filename="cam")
    for number, stored in enumerate((images(1)[0], images(1, 1)[0], images(1, 2)[0])):
        hdf5_file(tmp_path / f"det/cam_{number:06}.h5", stored)
        point(point_number=number)
    path = run.stop()
    np.testing.assert_array_equal(read(path), images(3))


@pytest.mark.unreadable("the detector's file is no HDF5 yet")
def test_a_detectors_hdf5_file_is_not_opened_at_stop(tmp_path):
    """A file that no program could read is linked like any other: nobody looked."""
    (tmp_path / "cam.h5").write_text("its detector has it open")
    run = Experiment(tmp_path, rows=2)
    run.resource(tmp_path / "cam.h5")((0, 2))
    path = run.stop()
    with h5py.File(path) as file:
        assert isinstance(file.get("entry/measurement/cam", getlink=True), h5py.ExternalLink)


# -- raw files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_files_of_a_template(tmp_path, order):
    tiff_files(tmp_path / "det", images(4), order=order)
    run = Experiment(tmp_path, rows=3, dtype_numpy=order + "u2")
    datum = run.resource(f"{tmp_path}/det/", TIFF, template="cam_{:04d}.tif", chunk_shape=[1, *SHAPE])
    datum((0, 1), (1, 2))
    datum((2, 4), (2, 4))
    path = run.stop()
    assert kind(path) == "external raw storage"
    np.testing.assert_array_equal(read(path), images(4)[[0, 2, 3]])
    with h5py.File(path) as file:
        assert "relink" in file["entry/measurement/cam"].attrs["external_storage"]
    assert_valid(path)


def test_area_detectors_tiff_files(tmp_path):
    tiff_files(tmp_path / "det/2026", images(4), "x_{:06d}.tiff")
    run = Experiment(tmp_path, external="FILESTORE:", shape=(2, *SHAPE), dtype_numpy=None)
    kwargs = {"template": "%s%s_%6.6d.tiff", "filename": "x", "frame_per_point": 2}
    point = run.legacy("AD_TIFF", tmp_path / "det", "2026", **kwargs)
    point(point_number=0)
    point(point_number=1)
    path = run.stop()
    np.testing.assert_array_equal(read(path), images(4))


def test_tiff_files_of_several_frames(tmp_path):
    (tmp_path / "det").mkdir()
    for number in range(2):
        (tmp_path / f"det/{number}.tif").write_bytes(tiff_bytes(images(3, 3 * number)))
    run = Experiment(tmp_path, shape=(2, *SHAPE))
    datum = run.resource(f"{tmp_path}/det", TIFF, template="{:d}.tif", chunk_shape=[3, *SHAPE])
    datum((0, 3))
    np.testing.assert_array_equal(read(run.stop()), images(6))


def test_edf_files(tmp_path):
    (tmp_path / "det").mkdir()
    for number, image in enumerate(images(3, dtype=">f4")):
        (tmp_path / f"det/cam{number:04}.edf").write_bytes(edf_text(image))
    run = Experiment(tmp_path, dtype_numpy=">f4", rows=3)
    run.resource(f"{tmp_path}/det/", "multipart/related;type=application/x-edf", template="cam%04d.edf")((0, 3))
    path = run.stop()
    assert kind(path) == "external raw storage"
    np.testing.assert_array_equal(read(path), images(3, dtype=">f4"))


def test_a_stack_in_one_edf_file_waits_until_its_detector_has_ended(tmp_path, caplog):
    (tmp_path / "cam.edf").write_bytes(b"".join(edf_text(image) for image in images(3)))
    run = Experiment(tmp_path, rows=3)
    run.resource(tmp_path / "cam.edf", "application/x-edf")((0, 3))
    path = run.stop()
    assert "may still be writing" in caplog.text
    assert list(read(path).astype(str)) == [str(tmp_path / "cam.edf")]
    (found,) = relink(path)
    assert found.how == "external raw storage"
    np.testing.assert_array_equal(read(path), images(3))
    assert_valid(path)


def test_more_files_than_one_dataset_of_hdf5_can_name(tmp_path, monkeypatch):
    monkeypatch.setattr(links, "MOST_SEGMENTS", 4)
    tiff_files(tmp_path / "det", images(10))
    run = Experiment(tmp_path, rows=10)
    run.resource(f"{tmp_path}/det/", TIFF, template="cam_{:04d}.tif")((0, 10))
    path = run.stop()
    np.testing.assert_array_equal(read(path), images(10))
    assert_valid(path)


def test_as_many_segments_as_are_allowed_fit(tmp_path):
    (tmp_path / "pixels").write_bytes(images(1).tobytes())
    with hdf5.open_file(tmp_path / "x.h5", "w") as file:
        run = [(str(tmp_path / "pixels"), 0, 1)] * links.MOST_SEGMENTS
        links._create_raw(file, "/entry/x", run, links._Plan(SHAPE, "<u2"), {})
        np.testing.assert_array_equal(file["entry/x"][-1], images(1)[0])


@pytest.mark.parametrize(
    ("spec", "why"),
    [("AD_HDF5_TS", "two datasets"), ("AD_CBF", "compressed"), ("XSP3", "channel"), ("MY_OWN", "'MY_OWN' is unknown")],
)
def test_what_hdf5_cannot_show_is_listed_with_its_reason(tmp_path, caplog, spec, why):
    run = Experiment(tmp_path, external="FILESTORE:", shape=SHAPE)
    point = run.legacy(spec, tmp_path, "x", template="%s%s_%05d.cbf", filename="cam")
    point(point_number=0)
    path = run.stop()
    assert why in caplog.text
    (listed,) = read(path).astype(str)
    assert listed.startswith(str(tmp_path / "x"))
    with h5py.File(path) as file:
        assert why in file["entry/measurement/cam"].attrs["description"]
    assert state(path) == "complete"


# -- missing, shorter, longer --------------------------------------------------------------------------------------


def record(path):
    with h5py.File(path) as file:
        (found,) = json.loads(file["entry/nexus_callbacks/frames/data"].asstr()[()])["frames"]
    return found


def test_files_that_are_not_there_yet_are_linked_later(tmp_path, caplog):
    run = Experiment(tmp_path, rows=3)
    run.resource(tmp_path / "det/cam.h5")((0, 3))
    path = run.stop()
    assert "no file" in caplog.text
    assert state(path) == "complete"
    assert "not there" in record(path)["reason"]
    (found,) = relink(path)
    assert (found.how, "not there" in found.reason) == ("", True)
    hdf5_file(tmp_path / "det/cam.h5", images(3))
    (found,) = relink(path)
    assert found.how == "external link"
    np.testing.assert_array_equal(read(path), images(3))
    assert "reason" not in record(path)
    assert_valid(path)


def test_a_frame_that_is_missing_is_a_gap_and_told(tmp_path, caplog):
    tiff_files(tmp_path / "det", images(4))
    (tmp_path / "det/cam_0001.tif").unlink()
    run = Experiment(tmp_path, rows=4)
    run.resource(f"{tmp_path}/det/", TIFF, template="cam_{:04d}.tif")((0, 4))
    path = run.stop()
    assert "1 of 4 frames are missing, they read as 65535" in caplog.text
    expected = images(4)
    expected[1] = 65535
    np.testing.assert_array_equal(read(path), expected)
    with h5py.File(path) as file:
        assert file["entry/measurement/cam"].attrs["missing_frames"].tolist() == [[1, 1]]
    assert_valid(path)
    tiff_files(tmp_path / "det", images(1, 1), first=1)
    relink(path)
    assert kind(path) == "external raw storage"
    np.testing.assert_array_equal(read(path), images(4))
    with h5py.File(path) as file:
        assert "frames_parts" not in file["entry/nexus_callbacks"], "nothing is left of the gap's parts"


def test_one_hdf5_file_of_several_is_missing(tmp_path, caplog):
    run = Experiment(tmp_path, rows=4, dtype_numpy="<f4")
    for number in range(2):
        run.resource(tmp_path / f"{number}.h5")((0, 2), (2 * number + 1, 2 * number + 3))
    hdf5_file(tmp_path / "1.h5", images(2, 2, "<f4"))
    path = run.stop()
    assert "2 of 4 frames are missing, they read as nan" in caplog.text
    assert np.isnan(read(path)[:2]).all()
    np.testing.assert_array_equal(read(path)[2:], images(2, 2, "<f4"))


@pytest.mark.parametrize("there", [2, 5])
def test_relink_compares_what_is_there_with_what_was_announced(tmp_path, there):
    hdf5_file(tmp_path / "cam.h5", images(there))
    run = Experiment(tmp_path, rows=3)
    run.resource(tmp_path / "cam.h5")((0, 3))
    path = run.stop()
    (found,) = relink(path)
    assert found.how == "virtual dataset"
    (remark,) = found.remarks
    assert ("has 2 frames where 3 were announced" if there == 2 else "2 frames that were not announced") in remark
    assert read(path).shape == (3, *SHAPE)
    np.testing.assert_array_equal(read(path)[:there], images(3)[:there])


def test_a_raw_file_that_is_too_short_is_a_gap(tmp_path, caplog):
    tiff_files(tmp_path / "det", images(2))
    whole = (tmp_path / "det/cam_0000.tif").read_bytes()
    (tmp_path / "det/cam_0001.tif").write_bytes(whole[:20])
    run = Experiment(tmp_path, rows=2)
    run.resource(f"{tmp_path}/det/", TIFF, template="cam_{:04d}.tif")((0, 2))
    path = run.stop()
    assert "cut off" in caplog.text or "beyond its end" in caplog.text
    np.testing.assert_array_equal(read(path)[0], images(1)[0])


def test_rows_without_frames_stay_beside_their_frames(tmp_path, caplog):
    hdf5_file(tmp_path / "cam.h5", images(3))
    run = Experiment(tmp_path, rows=5)
    datum = run.resource(tmp_path / "cam.h5")
    datum((0, 2), (1, 3))
    datum((2, 3), (4, 5))
    path = run.stop()
    assert "2 of 5 frames are missing" in caplog.text
    np.testing.assert_array_equal(read(path)[[0, 1, 3]], images(3))
    assert (read(path)[[2, 4]] == 65535).all()


def test_what_the_files_hold_counts_where_the_descriptor_lies(tmp_path, caplog):
    tiff_files(tmp_path / "det", images(2))
    run = Experiment(tmp_path, rows=2, dtype_numpy="<i8", shape=(1, 4, 3))
    run.resource(f"{tmp_path}/det/", TIFF, template="cam_{:04d}.tif")((0, 2))
    path = run.stop()
    np.testing.assert_array_equal(read(path), images(2))
    assert "announced were (4, 3)" in caplog.text


def test_a_document_of_too_many_files_is_told(tmp_path, caplog):
    run = Experiment(tmp_path)
    run.resource(f"{tmp_path}/det/", TIFF, template="cam_{:04d}.tif")((0, 10**12))
    path = run.stop()
    assert "more than" in caplog.text
    assert state(path) == "complete"


# -- moving --------------------------------------------------------------------------------------------------------


def test_links_survive_moving_the_experiments_folder(tmp_path):
    hdf5_file(tmp_path / "here/det/cam.h5", images(4))
    run = Experiment(tmp_path / "here", rows=2)
    run.resource(tmp_path / "here/det/cam.h5")((1, 3), (1, 3))
    path = run.stop()
    shutil.move(tmp_path / "here", tmp_path / "there")
    np.testing.assert_array_equal(read(tmp_path / "there" / path.relative_to(tmp_path / "here")), images(4)[1:3])


def test_raw_storage_is_mended_after_moving_the_experiments_folder(tmp_path):
    tiff_files(tmp_path / "here/det", images(3))
    run = Experiment(tmp_path / "here", rows=3)
    run.resource(f"{tmp_path}/here/det/", TIFF, template="cam_{:04d}.tif")((0, 3))
    path = run.stop()
    shutil.move(tmp_path / "here", tmp_path / "there")
    path = tmp_path / "there" / path.relative_to(tmp_path / "here")
    with pytest.raises(OSError, match="external raw data file"):
        read(path)
    (found,) = relink(path)
    assert found.how == "external raw storage"
    np.testing.assert_array_equal(read(path), images(3))
    assert_valid(path)


@pytest.mark.parametrize("mimetype", [HDF5_MIMETYPE, TIFF])
def test_files_that_moved_elsewhere_are_found_by_roots(tmp_path, mimetype):
    hdf5_file(tmp_path / "det/cam.h5", images(3))
    tiff_files(tmp_path / "det", images(3))
    run = Experiment(tmp_path, rows=3)
    if mimetype == TIFF:
        run.resource(f"{tmp_path}/det/", TIFF, template="cam_{:04d}.tif")((0, 3))
    else:
        run.resource(tmp_path / "det/cam.h5")((0, 3))
    path = run.stop()
    shutil.move(tmp_path / "det", tmp_path / "archive")
    before = path.read_bytes()
    (found,) = relink(path)
    assert "not there" in found.reason
    (found,) = relink(path, {str(tmp_path / "det"): str(tmp_path / "archive")})
    assert found.how
    np.testing.assert_array_equal(read(path), images(3))
    assert path.read_bytes() != before
    assert not list(path.parent.glob(".*.tmp"))
    (again,) = relink(path)
    assert again.how == found.how, "the record has the new places"


@pytest.mark.unreadable("its profile binds a part of NXtomo only")
def test_relink_fills_the_coverage(tmp_path):
    profile = tmp_path / "profile.yml"
    profile.write_text("beamline: b\ndefinitions: [tomo]\ntechniques:\n  tomo: {frames: 'data:cam'}\n")
    writer = NexusWriter(tmp_path, profile=profile)
    run = compose_run(metadata={"technique": "tomo", "plan_name": "fly"})
    writer("start", run.start_doc)
    cam = {"dtype": "array", "shape": [1, *SHAPE], "dtype_numpy": "<u2", "source": "", "external": "STREAM:"}
    stream = run.compose_descriptor(name="primary", data_keys={"cam": cam})
    writer("descriptor", stream.descriptor_doc)
    made = run.compose_stream_resource(
        mimetype=HDF5_MIMETYPE,
        uri=f"file://localhost{tmp_path}/cam.h5",
        data_key="cam",
        parameters={"dataset": "/d"},
    )
    writer("stream_resource", made.stream_resource_doc)
    span = {"indices": {"start": 0, "stop": 2}, "seq_nums": {"start": 1, "stop": 3}}
    writer("stream_datum", made.compose_stream_datum(descriptor=stream.descriptor_doc, **span))
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    (before,) = [o for o in coverage(path)["entry"].outcomes if o.variable == "frames"]
    assert not before.filled
    assert "not there" in before.reason
    hdf5_file(tmp_path / "cam.h5", images(2), "/d")
    assert [each.how for each in relink(path)] == ["external link", "external link"]
    (after,) = [o for o in coverage(path)["entry"].outcomes if o.variable == "frames"]
    assert after.filled
    assert "frames" not in coverage(path)["entry"].missing_mandatory
    np.testing.assert_array_equal(read(path, "entry/instrument/detector/data"), images(2))


# -- relink and what it must not do --------------------------------------------------------------------------------


def test_a_run_without_frames_has_nothing_to_relink(tmp_path):
    writer = NexusWriter(tmp_path)
    run = compose_run()
    writer("start", run.start_doc)
    writer("stop", run.compose_stop())
    (path,) = writer.files.values()
    before = path.read_bytes()
    assert relink(path) == []
    assert path.read_bytes() == before


def test_a_file_that_is_being_written_is_left_alone(tmp_path):
    run = Experiment(tmp_path, rows=1)
    (path,) = run.writer.files.values()
    with pytest.raises(ValueError, match="is being written"):
        relink(path)
    run.stop()


@pytest.mark.parametrize("text", ["", "[]", '{"frames": 1}', '{"frames": [{"path": "/entry/x"}]}'])
def test_a_damaged_record_is_refused_and_the_file_left_as_it_was(tmp_path, text):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["entry/nexus_callbacks/frames/data"] = text
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no record of frames"):
        relink(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_cannot_reach_outside_its_entry(tmp_path):
    path = tmp_path / "x.h5"
    stack = Stack("/other/data", (), "<u2", (Piece(Series("/x", "AD_HDF5"), 0, 1),))
    with h5py.File(path, "w") as file:
        file["other/data"] = 1
        file["entry/nexus_callbacks/frames/data"] = stacks.to_json([stack.as_dict()])
    with pytest.raises(ValueError, match="stands in entry"):
        relink(path)


def test_a_record_is_read_as_it_was_written():
    series = [Series("/d/a.h5", "AD_HDF5", "/x"), Series("/d/", "AD_TIFF", "", "%s_%d", "n", 3, 1)]
    pieces = (Piece(series[0], 1, 3), Piece(None, 0, 2), Piece(series[1], 0, 9), Piece(series[0], 7, 8))
    stack = Stack("/entry/x", (2, 3), None, pieces, {"units": "s"}, whole=True)
    (found,) = stacks.from_json(stacks.to_json([stack.as_dict()]))
    assert Stack.from_dict(found) == stack


def test_nothing_of_a_stack_stays_that_hdf5_refused(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    hdf5_file(tmp_path / "cam.h5", images(2))
    stack = Stack("/entry/x", (3, 4), "no type", (Piece(Series(str(tmp_path / "cam.h5"), "AD_HDF5", "/x"), 1, 2),))
    with hdf5.open_file(tmp_path / "x.h5", "w") as file:
        with pytest.raises(TypeError):
            links.link(file, stack, "/entry/parts")
        assert "entry/x" not in file
