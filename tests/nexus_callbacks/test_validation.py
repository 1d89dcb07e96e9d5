"""A good file, and files that are each broken in one way."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from nexus_callbacks.definitions.definition import Field, Group
from nexus_callbacks.validation import allowed, nodes, nxdl, validate
from nexus_callbacks.validation.report import Finding

N = 6
START, END = "2026-01-31T12:00:00.5+01:00", "2026-01-31T11:30:00Z"  # half an hour later, in another zone


def group(parent, name, nx_class, **fields):
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    for field, value in fields.items():
        put(made, field, value)
    return made


def put(parent, name, value, units=None):
    if name in parent:
        del parent[name]
    parent[name] = value
    if units is not None:
        parent[name].attrs["units"] = units


def coverage(entry, record):
    process = group(entry, "nexus_callbacks", "NXprocess", program="nexus-callbacks", version="0.1.0", date=START)
    group(process, "coverage", "NXnote", type="application/json", data=json.dumps(record))


def tomo(entry):
    """What NXtomo asks for, with frames in a file of the camera's own."""
    with h5py.File(entry.file.filename.replace("scan.h5", "camera.h5"), "w") as raw:
        raw["frames"] = np.ones((N, 3, 4), "u2")
    entry["definition"] = "NXtomo"
    entry["definition"].attrs["version"] = "v2026.01"
    entry.attrs["definition"] = "NXtomo"
    put(entry, "title", "a scan")
    put(entry, "start_time", START)
    put(entry, "end_time", END)
    instrument = entry.require_group("instrument")
    instrument.attrs["NX_class"] = "NXinstrument"
    detector = group(instrument, "detector", "NXdetector", image_key=np.zeros(N, int))
    layout = h5py.VirtualLayout((N, 3, 4), "u2")
    layout[:] = h5py.VirtualSource("camera.h5", "frames", shape=(N, 3, 4))
    detector.create_virtual_dataset("data", layout)
    put(detector, "x_pixel_size", 1e-6, "m")
    put(detector, "distance", 120.0, "mm")
    sample = entry.require_group("sample")
    sample.attrs["NX_class"] = "NXsample"
    put(sample, "name", "phantom")
    put(sample, "rotation_angle", np.linspace(0, 180, N), "deg")
    data = group(entry, "data", "NXdata")
    data.attrs.update({"signal": "data", "axes": ["rotation_angle", ".", "."]})
    data["data"] = h5py.SoftLink("/entry/instrument/detector/data")
    data["image_key"] = h5py.SoftLink("/entry/instrument/detector/image_key")
    data["rotation_angle"] = h5py.SoftLink("/entry/sample/rotation_angle")


@pytest.fixture
def path(tmp_path):
    """A good file."""
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = group(file, "entry", "NXentry")
        entry.attrs["default"] = "data"
        tomo(entry)
        coverage(entry, {"mandatory": {"Sample_name": "sample/name"}, "variables": {}})
    return path


def change(path, how):
    with h5py.File(path, "r+") as file:
        how(file)


def errors(path):
    return [(finding.path, finding.message) for finding in validate(path).errors]


def test_a_good_file_is_valid(path):
    report = validate(path)
    assert report.valid
    assert report.errors == report.warnings == ()
    assert json.loads(json.dumps(report.as_dict()))["valid"] is True


def test_nothing_is_printed_and_nexusformat_stays_as_it_was(path, capfd):
    from nexusformat.nexus import tree
    from nexusformat.nexus import validate as module

    before = module.Validator.log, module.GroupValidator.validate, tree.NXFile, logging.getLogger("NXValidate").level
    change(path, lambda f: f["entry/instrument/detector/x_pixel_size"].attrs.update(units="s"))
    assert not validate(path).valid
    assert capfd.readouterr() == ("", "")
    assert before == (
        module.Validator.log,
        module.GroupValidator.validate,
        tree.NXFile,
        logging.getLogger("NXValidate").level,
    )


BROKEN = {
    "required field of NXtomo": (
        lambda f: f["entry/sample"].pop("rotation_angle"),
        "/entry/sample/rotation_angle",
        "required field is not in",
    ),
    "required group of NXtomo": (lambda f: f["entry"].pop("sample"), "/entry", "NXsample: This required group"),
    "unknown application definition": (
        lambda f: put(f["entry"], "definition", "NXtomography"),
        "/entry/definition",
        "no NeXus application definition of this release",
    ),
    "unknown class": (
        lambda f: group(f["entry"], "thing", "NXthing"),
        "/entry/thing",
        "NXthing is not a valid base class",
    ),
    "class in the wrong place": (
        lambda f: group(f["entry/sample"], "source", "NXsource"),
        "/entry/sample/source",
        "NXsource is an invalid class in NXsample",
    ),
    "group without a class": (
        lambda f: f["entry/sample"].create_group("thing"),
        "/entry/sample/thing",
        "no NeXus base class",
    ),
    "value outside the enumeration": (
        lambda f: put(f["entry/sample"], "situation", "under the table"),
        "/entry/sample/situation",
        "not a member of the enumerated list",
    ),
    "a fault below two groups of one class": (
        lambda f: group(group(group(f["entry"], "a", "NXcollection"), "b", "NXcollection"), "c", "NXthing"),
        "/entry/a/b/c",
        "NXthing is not a valid base class",
    ),
    "mandatory field missing": (
        lambda f: f["entry/sample"].pop("name"),
        "/entry/sample/name",
        "mandatory Sample_name is missing",
    ),
    "mandatory field empty": (
        lambda f: put(f["entry/sample"], "name", " "),
        "/entry/sample/name",
        "mandatory Sample_name is empty",
    ),
    "coverage no JSON": (
        lambda f: put(f["entry/nexus_callbacks/coverage"], "data", "{"),
        "/entry/nexus_callbacks/coverage",
        "no coverage record",
    ),
    "soft link to nothing": (
        lambda f: f["entry/sample"].__setitem__("other", h5py.SoftLink("/entry/nowhere")),
        "/entry/sample/other",
        "link to /entry/nowhere, where there is nothing",
    ),
    "external link to no file": (
        lambda f: f["entry/sample"].__setitem__("other", h5py.ExternalLink("gone.h5", "/x")),
        "/entry/sample/other",
        "links to gone.h5, which does not exist",
    ),
    "external link into nothing": (
        lambda f: f["entry/sample"].__setitem__("other", h5py.ExternalLink("camera.h5", "/x")),
        "/entry/sample/other",
        "links to /x in camera.h5, where there is nothing",
    ),
    "no signal": (lambda f: f["entry/data"].attrs.pop("signal"), "/entry/data", "no attribute 'signal'"),
    "signal not there": (
        lambda f: f["entry/data"].attrs.update(signal="counts"),
        "/entry/data",
        "signal 'counts' is not there",
    ),
    "too few axes": (lambda f: f["entry/data"].attrs.update(axes=["rotation_angle"]), "/entry/data", "3 dimensions"),
    "axis not there": (
        lambda f: f["entry/data"].attrs.update(axes=["omega", ".", "."]),
        "/entry/data",
        "axis 'omega' is not there",
    ),
    "axis too long": (
        lambda f: put(f["entry/sample"], "rotation_angle", np.zeros(N + 2), "deg"),
        "/entry/data",
        f"has {N + 2} values along dimension 0, the signal {N}",
    ),
    "axis of two dimensions": (
        lambda f: put(f["entry/sample"], "rotation_angle", np.zeros((N, 3)), "deg"),
        "/entry/data",
        "2 dimensions cannot span dimensions [0]",
    ),
    "no default in the entry": (lambda f: f["entry"].attrs.pop("default"), "/entry", "no attribute 'default'"),
    "no default at the root": (lambda f: f.attrs.pop("default"), "/", "no attribute 'default'"),
    "default names nothing": (lambda f: f["entry"].attrs.update(default="plot"), "/entry", "'plot', which is no group"),
    "default of the root names nothing": (lambda f: f.attrs.update(default="scan"), "/", "'scan', which is no entry"),
    "default in a circle": (
        lambda f: [f["entry"].attrs.update(default="sample"), f["entry/sample"].attrs.update(default="/entry")],
        "/entry/sample",
        "leads back to /entry",
    ),
    "time without a zone": (
        lambda f: put(f["entry"], "start_time", "2026-01-31T12:00:00"),
        "/entry/start_time",
        "no time as ISO 8601 with a zone",
    ),
    "time that does not exist": (
        lambda f: put(f["entry"], "end_time", "2026-02-31T12:00:00Z"),
        "/entry/end_time",
        "no time as ISO 8601",
    ),
    "end before start": (
        lambda f: put(f["entry"], "end_time", "2026-01-31T12:00:00+02:00"),
        "/entry",
        "is before start_time",
    ),
    "units of another dimension": (
        lambda f: f["entry/instrument/detector/distance"].attrs.update(units="s"),
        "/entry/instrument/detector/distance",
        "units 's' are not of NX_LENGTH",
    ),
    "group at the root": (lambda f: group(f, "extra", "NXcollection"), "/extra", "where NeXus has NXentry only"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_told_with_its_path(path, name):
    how, where, message = BROKEN[name]
    change(path, how)
    assert any(p == where and message in m for p, m in errors(path)), errors(path)


def test_frames_whose_file_is_gone_would_read_as_zeros_and_are_told(path):
    (path.parent / "camera.h5").unlink()
    assert errors(path) == [("/entry/instrument/detector/data", "takes frames from camera.h5, which does not exist")]


def test_frames_that_the_camera_did_not_write_are_told(path):
    with h5py.File(path.parent / "camera.h5", "w") as raw:
        raw["frames"] = np.ones((N - 1, 3, 4), "u2")
    ((where, message),) = errors(path)
    assert where == "/entry/instrument/detector/data"
    assert "beyond the end of frames in camera.h5" in message


def test_a_folder_that_was_moved_as_a_whole_stays_valid(path, tmp_path_factory, monkeypatch):
    target = tmp_path_factory.mktemp("elsewhere") / "moved"
    path.parent.rename(target)
    monkeypatch.chdir("/")
    assert validate(target / path.name).valid


def test_a_file_of_that_name_in_the_reader_s_folder_does_not_hide_a_dangling_link(path, tmp_path_factory, monkeypatch):
    change(path, lambda f: f["entry/sample"].__setitem__("other", h5py.ExternalLink("other.h5", "/x")))
    here = tmp_path_factory.mktemp("here")
    with h5py.File(here / "other.h5", "w") as other:
        other["x"] = 1
    monkeypatch.chdir(here)
    assert ("/entry/sample/other", "links to other.h5, which does not exist") in errors(path)


def test_absolute_links_are_warned_of(path):
    name = str(path.parent / "camera.h5")
    change(path, lambda f: f["entry"].create_group("c").attrs.update(NX_class="NXcollection"))
    change(path, lambda f: f["entry/c"].__setitem__("raw", h5py.ExternalLink(name, "/frames")))
    report = validate(path)
    assert report.valid
    assert [f.path for f in report.warnings] == ["/entry/c/raw"]


def test_raw_data_shorter_than_the_dataset_is_told(path):
    raw = path.parent / "frames.raw"
    raw.write_bytes(b"\0" * 10)
    segments = [(str(raw), 0, 12)]
    change(
        path,
        lambda f: group(f["entry"], "c", "NXcollection").create_dataset("raw", (6,), "u2", external=segments),
    )
    assert [(p, m.split(", ")[1]) for p, m in errors(path)] == [("/entry/c/raw", "which is shorter than it should be")]


@pytest.mark.parametrize("target", [h5py.SoftLink("/entry/sample"), h5py.SoftLink("/entry"), "/entry/sample"])
def test_a_link_in_a_circle_is_told(path, target):
    change(path, lambda f: f["entry/sample"].__setitem__("again", f[target] if isinstance(target, str) else target))
    assert [p for p, m in errors(path) if "circle" in m] == ["/entry/sample/again"]


def test_frames_mapped_beyond_their_source_one_by_one_are_told(path):
    layout = h5py.VirtualLayout((N, 3, 4), "u2")
    for i in range(N):
        layout[i] = h5py.VirtualSource("camera.h5", "frames", shape=(N + 1, 3, 4))[i + 1]
    change(path, lambda f: f["entry/instrument/detector"].pop("data"))
    change(path, lambda f: f["entry/instrument/detector"].create_virtual_dataset("data", layout))
    assert [p for p, m in errors(path) if "beyond the end" in m] == ["/entry/instrument/detector/data"]


def test_a_virtual_dataset_that_grows_with_its_source_is_valid(path):
    more = slice(0, h5py.h5s.UNLIMITED)
    with h5py.File(path.parent / "growing.h5", "w") as raw:
        raw.create_dataset("frames", (N, 3, 4), "u2", maxshape=(None, 3, 4))
    layout = h5py.VirtualLayout((1, 3, 4), "u2", maxshape=(None, 3, 4))
    source = h5py.VirtualSource("growing.h5", "frames", shape=(1, 3, 4), maxshape=(None, 3, 4))
    layout[more, :, :] = source[more, :, :]
    change(path, lambda f: f["entry/instrument/detector"].pop("data"))
    change(path, lambda f: f["entry/instrument/detector"].create_virtual_dataset("data", layout))
    assert validate(path).valid
    (path.parent / "growing.h5").unlink()
    assert not validate(path).valid


def master(path, *targets):
    made = path.parent / "master.h5"
    with h5py.File(made, "w") as file:
        file.attrs["default"] = "entry_0001"
        for number, target in enumerate(targets, 1):
            file[f"entry_{number:04}"] = h5py.ExternalLink(target, "/entry")
    return made


def test_a_master_is_valid_if_its_datasets_are(path):
    assert validate(master(path, "scan.h5")).valid


def test_a_fault_of_a_dataset_stands_under_the_master_s_path(path):
    change(path, lambda f: f["entry/sample"].pop("name"))
    assert ("/entry_0001/sample/name", "the mandatory Sample_name is missing") in errors(master(path, "scan.h5"))


def test_a_dataset_missing_from_a_master_is_told(path):
    assert errors(master(path, "scan.h5", "gone.h5")) == [("/entry_0002", "links to gone.h5, which does not exist")]


@pytest.mark.parametrize("content", [None, b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n and no more"])
def test_what_is_no_hdf5_gives_one_error(tmp_path, content):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    ((where, message),) = errors(path)
    assert where == "/"
    assert "no such file" in message or "cannot be read as HDF5" in message


def test_a_folder_is_no_file(tmp_path):
    assert len(errors(tmp_path)) == 1


def test_hdf5_without_an_entry_is_no_nexus(tmp_path):
    path = tmp_path / "x.h5"
    h5py.File(path, "w").close()
    assert errors(path) == [("/", "has no entry (a group of class NXentry)")]


def test_a_file_that_is_open_for_writing_is_validated(path):
    with h5py.File(path, "r+", locking=False) as file:
        file["entry/sample"].pop("name")
        file.flush()
        assert ("/entry/sample/name", "the mandatory Sample_name is missing") in errors(path)


def test_without_nexusformat_there_is_one_error_that_names_the_extra(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nexusformat.nexus", None)
    (error,) = validate(path).errors
    assert error == nxdl.MISSING
    assert "nexus-callbacks[validate]" in error.remedy


def test_a_technique_s_name_as_definition_is_told_and_no_more(path):
    change(path, lambda f: put(f["entry"], "definition", "TOMO"))
    report = validate(path)
    assert report.valid
    assert any(f.path == "/entry/definition" and f.severity == "info" for f in report.findings)


def test_a_subentry_is_checked_against_its_own_definition(path):
    change(path, lambda f: group(f["entry"], "fluo", "NXsubentry", definition="NXfluo"))
    assert any(p.startswith("/entry/fluo") and "required" in m for p, m in errors(path))


def test_units_that_nobody_knows_are_a_warning_for_a_device_may_say_anything(path):
    change(path, lambda f: put(f["entry/sample"], "thickness", 1.0, "furlongs_per_fortnoon"))
    report = validate(path)
    assert report.valid
    assert [(f.path, f.message) for f in report.warnings] == [
        ("/entry/sample/thickness", "the units 'furlongs_per_fortnoon' are unknown")
    ]


# Files that were not written to their end


def test_a_file_that_is_being_written_or_was_left_so_is_told(path):
    change(path, lambda f: f.attrs.update(state="writing"))
    (warning,) = validate(path).warnings
    assert (warning.path, warning.message) == ("/", "the file is being written, or its session was killed")
    assert warning.remedy


def test_an_incomplete_file_is_told_with_its_reason_and_also_below_its_master(path):
    change(path, lambda f: f.attrs.update(state="incomplete", state_reason="rows: the disk is full"))
    message = "the file is incomplete: rows: the disk is full"
    assert [(f.path, f.message) for f in validate(path).warnings] == [("/", message)]
    assert [(f.path, f.message) for f in validate(master(path, "scan.h5")).warnings] == [("/entry_0001", message)]


@pytest.mark.parametrize("reason", ["", "rows: no room; final readings, plots and links: OSError: no room"])
def test_a_file_without_a_reason_or_without_its_final_readings_is_no_valid_one(path, reason):
    change(path, lambda f: f.attrs.update(state="incomplete", state_reason=reason))
    (error,) = validate(path).errors
    assert error.message == f"the file is incomplete: {reason or 'no reason is given'}"


def test_a_complete_file_says_nothing_of_it(path):
    change(path, lambda f: f.attrs.update(state="complete"))
    assert validate(path).warnings == ()


# Files in use


@pytest.mark.parametrize("locking", [None, True, False, "best-effort"])
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_notebook_of_this_process_may_hold_the_file_open(path, mode, locking):
    with h5py.File(path, mode, locking=locking):
        report = validate(path)
    assert report.findings == validate(path).findings
    assert report.valid


def test_a_notebook_may_hold_the_dataset_open_below_a_master(path):
    top = master(path, "scan.h5")
    with h5py.File(path):
        assert validate(top).errors == ()


def test_files_held_open_in_two_ways_are_told_as_such(path):
    frames_by_link(path)
    with h5py.File(path, locking=False), h5py.File(path.parent / "camera.h5", locking=True):
        found = validate(path).errors
    assert any(f.path == "/entry/instrument/detector/data" and "held open" in f.message for f in found)
    assert all("damaged" not in f.remedy for f in found)


def test_another_program_s_lock_is_told_as_that(path):
    program = "import sys; from nexus_callbacks.validation import validate; print(validate(sys.argv[1]).errors)"
    with h5py.File(path, "r+", locking=True):
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            env={**os.environ, "HDF5_USE_FILE_LOCKING": "TRUE", "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert "is locked by another program" in done.stdout
    assert "cannot be read as HDF5" not in done.stdout


# Frames by external link


def frames_by_link(path, folder="."):
    def link(file):
        detector = file["entry/instrument/detector"]
        del detector["data"]
        detector["data"] = h5py.ExternalLink(f"{folder}/camera.h5", "/frames")

    change(path, link)


def test_frames_by_external_link_are_valid_also_through_a_master(path):
    frames_by_link(path)
    assert [str(f) for f in (*validate(path).errors, *validate(path).warnings)] == []
    report = validate(master(path, "scan.h5"))
    assert [str(f) for f in (*report.errors, *report.warnings)] == []


def test_frames_by_external_link_move_with_their_folder(path, tmp_path_factory, monkeypatch):
    frames_by_link(path)
    master(path, "scan.h5")
    target = tmp_path_factory.mktemp("elsewhere") / "moved"
    path.parent.rename(target)
    monkeypatch.chdir("/")
    for name in ("scan.h5", "master.h5"):
        report = validate(target / name)
        assert report.errors == report.warnings == ()


def test_frames_by_external_link_whose_file_is_gone_are_told_with_a_remedy(path):
    frames_by_link(path)
    (path.parent / "camera.h5").unlink()
    for report, entry in ((validate(path), "/entry"), (validate(master(path, "scan.h5")), "/entry_0001")):
        where, message = f"{entry}/instrument/detector/data", "links to ./camera.h5, which does not exist"
        (error,) = [f for f in report.errors if (f.path, f.message) == (where, message)]
        assert "put the file back" in error.remedy
        assert any(f.path == f"{entry}/data" and "the signal 'data' is not there" in f.message for f in report.errors)


def test_no_remedy_names_a_command_that_does_not_exist(path):
    from nexus_callbacks.cli import app

    commands = {c.name or c.callback.__name__ for c in app.registered_commands}
    frames_by_link(path)
    (path.parent / "camera.h5").unlink()
    for finding in validate(path).findings:
        words = finding.remedy.replace(",", " ").split()
        named = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "nexus-callbacks"]
        assert set(named) <= commands


# Virtual datasets that do not fit their source


def virtual(path, shape, source_shape, declared=None):
    """A virtual dataset of the shape, of one source that was declared to have another shape than it has."""
    with h5py.File(path.parent / "odd.h5", "w") as raw:
        raw["x"] = np.arange(np.prod(source_shape), dtype="i8").reshape(source_shape)
    layout = h5py.VirtualLayout(shape, "i8")
    layout[:] = h5py.VirtualSource("odd.h5", "x", shape=declared or shape)
    change(path, lambda f: group(f["entry"], "c", "NXcollection").create_virtual_dataset("v", layout))
    report = validate(path)
    return [f.severity for f in report.findings if f.path == "/entry/c/v" and f.severity != "info"]


@pytest.mark.parametrize(
    ("shape", "source", "told"),
    [
        ((5, 6), (5, 6), []),
        ((5, 1, 6), (5, 6), []),  # HDF5 reads it, and no value is elsewhere
        ((5, 6), (7, 6), ["error"]),  # unreadable: more than there is place for
        ((5, 6), (4, 6), ["error"]),
        ((5, 6), (6, 5), ["error"]),  # readable, and garbled
        ((5, 6), (30,), ["warning"]),  # a map of a list
    ],
)
def test_a_source_that_is_mapped_as_a_whole_must_have_the_shape_of_its_place(path, shape, source, told):
    assert virtual(path, shape, source) == told


def test_a_part_of_a_source_of_another_rank_is_told(path):
    with h5py.File(path.parent / "odd.h5", "w") as raw:
        raw["x"] = np.zeros((5, 6), "i8")
    layout = h5py.VirtualLayout((5, 1, 6), "i8")
    layout[0:5] = h5py.VirtualSource("odd.h5", "x", shape=(5, 1, 6))[0:5]
    change(path, lambda f: group(f["entry"], "c", "NXcollection").create_virtual_dataset("v", layout))
    assert ("/entry/c/v", "takes frames of 3 dimensions from x in odd.h5, which has 2") in errors(path)


def test_a_growing_source_of_another_rank_or_smaller_frames_is_told(path):
    more = slice(0, h5py.h5s.UNLIMITED)
    for number, real in enumerate([(5, 6), (5, 1, 4)]):
        with h5py.File(path.parent / f"odd{number}.h5", "w") as raw:
            raw.create_dataset("x", real, "i8", maxshape=(None, *real[1:]))
        layout = h5py.VirtualLayout((1, 1, 6), "i8", maxshape=(None, 1, 6))
        source = h5py.VirtualSource(f"odd{number}.h5", "x", shape=(1, 1, 6), maxshape=(None, 1, 6))
        layout[more, :, :] = source[more, :, :]
        name = f"v{number}"
        change(path, lambda f, name=name, layout=layout: f["entry"].create_virtual_dataset(name, layout))
    assert {p for p, _ in errors(path)} == {"/entry/v0", "/entry/v1"}


# Files without end


def test_groups_nested_without_end_are_one_warning(path):
    def nest(file):
        inner = group(file["entry"], "c", "NXcollection")
        for _ in range(nodes.DEEPEST + 200):
            inner = group(inner, "g", "NXcollection")

    change(path, nest)
    report = validate(path)
    assert report.errors == ()
    (warning,) = report.warnings
    assert f"below {nodes.DEEPEST} groups" in warning.message


def test_groups_nested_as_deep_as_is_looked_at_are_no_trouble_to_nexusformat(path):
    def nest(file):
        inner = group(file["entry"], "c", "NXcollection")
        for _ in range(nodes.DEEPEST - 2):
            inner = group(inner, "g", "NXcollection")

    change(path, nest)
    report = validate(path)
    assert report.errors == report.warnings == ()


def test_links_that_multiply_are_one_warning(path):
    """Forty groups, each with two links to the next: 2⁴⁰ ways to go."""

    def multiply(file):
        top = group(file["entry"], "c", "NXcollection")
        for number in range(40):
            made = group(top, f"g{number}", "NXcollection")
            for name in "xy" if number < 39 else "":
                made[name] = h5py.SoftLink(f"/entry/c/g{number + 1}")

    change(path, multiply)
    report = validate(path)
    assert report.errors == ()
    assert [f"first {nodes.MOST} objects" in f.message for f in report.warnings] == [True]


# Hostile files


def timed(parent, name):
    """An attribute of a type that numpy does not have."""
    if name in parent.attrs:
        del parent.attrs[name]
    h5py.h5a.create(parent.id, name.encode(), h5py.h5t.UNIX_D64LE, h5py.h5s.create(h5py.h5s.SCALAR))


def timed_field(parent, name):
    if name in parent:
        del parent[name]
    h5py.h5d.create(parent.id, name.encode(), h5py.h5t.UNIX_D64LE, h5py.h5s.create(h5py.h5s.SCALAR))


def pointing_to(parent, source):
    layout = h5py.VirtualLayout((5,), "f8")
    layout[:] = h5py.VirtualSource(*source, (5,))
    parent.create_virtual_dataset("v", layout)


def indices(value):
    return lambda f: f["entry/data"].attrs.__setitem__("rotation_angle_indices", value)


def record(text):
    return lambda f: put(f["entry/nexus_callbacks/coverage"], "data", text)


NO_LIST = "'rotation_angle_indices' is no list of whole numbers"
NO_RECORD = "is no coverage record"
HOSTILE = {
    "a class of H5T_TIME": (lambda f: timed(f["entry"], "NX_class"), "/entry", "has the class None"),
    "a default of H5T_TIME": (lambda f: timed(f["entry"], "default"), "/entry", "no attribute 'default'"),
    "a time of H5T_TIME": (lambda f: timed_field(f["entry"], "start_time"), "/entry", ""),
    "a record of H5T_TIME": (
        lambda f: timed_field(f["entry/nexus_callbacks/coverage"], "data"),
        "/entry/nexus_callbacks/coverage",
        NO_RECORD,
    ),
    "a name that is not UTF-8": (
        lambda f: h5py.h5g.create(f["entry"].id, b"\xff"),
        "/entry",
        "names that are not UTF-8",
    ),
    "a name at the root that is not UTF-8": (lambda f: h5py.h5g.create(f.id, b"\xff"), "/", "names that are not UTF-8"),
    "indices that are nothing": (indices(h5py.Empty("i")), "/entry/data", NO_LIST),
    "indices that are infinite": (indices(float("inf")), "/entry/data", NO_LIST),
    "indices that are complex": (indices(1j), "/entry/data", NO_LIST),
    "indices that are text": (indices("abc"), "/entry/data", NO_LIST),
    "indices that are a compound": (indices(np.zeros((), [("a", int)])), "/entry/data", NO_LIST),
    "indices of H5T_TIME": (lambda f: timed(f["entry/data"], "rotation_angle_indices"), "/entry/data", NO_LIST),
    "indices that are a reference": (
        lambda f: f["entry/data"].attrs.__setitem__("rotation_angle_indices", f["entry"].ref),
        "/entry/data",
        NO_LIST,
    ),
    "a signal that is nothing": (
        lambda f: put(f["entry/data"], "data", h5py.Empty("f")),
        "/entry/data",
        "the signal 'data' holds no values",
    ),
    "an axis that is nothing": (
        lambda f: put(f["entry/data"], "rotation_angle", h5py.Empty("f")),
        "/entry/data",
        "the axis 'rotation_angle' holds no values",
    ),
    "a mandatory field that is nothing": (
        lambda f: put(f["entry/sample"], "name", h5py.Empty("f")),
        "/entry/sample/name",
        "mandatory Sample_name is empty",
    ),
    "frames of nothing": (
        lambda f: [put(f["entry"], "n", h5py.Empty("f")), pointing_to(f["entry"], (".", "/entry/n"))],
        "/entry/v",
        "takes frames from /entry/n in this file, which holds no values",
    ),
    "frames of a file with a long name": (
        lambda f: pointing_to(f["entry"], ("x" * 5000, "/")),
        "/entry/v",
        "which does not exist",
    ),
    "frames of a folder": (lambda f: pointing_to(f["entry"], ("..", "/")), "/entry/v", "which is no regular file"),
    "a link to a file with a long name": (
        lambda f: f["entry"].__setitem__("l", h5py.ExternalLink("x" * 5000, "/")),
        "/entry/l",
        "which does not exist",
    ),
    "a link at the root to a file with a long name": (
        lambda f: f.__setitem__("l", h5py.ExternalLink("x" * 5000, "/")),
        "/l",
        "which does not exist",
    ),
    "a link to itself": (lambda f: f["entry"].__setitem__("l", h5py.SoftLink("/entry/l")), "/entry/l", "is a link to"),
    "a link at the root to nothing": (
        lambda f: f.__setitem__("l", h5py.SoftLink("/nothing")),
        "/l",
        "is a link that leads nowhere",
    ),
    "raw data in a file with a long name": (
        lambda f: f["entry"].create_dataset("r", (5,), "f8", external=[("/x" + "x" * 300, 0, 40)]),
        "/entry/r",
        "which does not exist",
    ),
    "paths that are a number": (
        record('{"mandatory": {}, "variables": {"a": {"paths": 5}}}'),
        "/entry/nexus_callbacks/coverage",
        NO_RECORD,
    ),
    "paths in paths": (
        record('{"mandatory": {}, "variables": {"a": {"paths": [[1]]}}}'),
        "/entry/nexus_callbacks/coverage",
        NO_RECORD,
    ),
    "a record of brackets": (record("[" * 100_000), "/entry/nexus_callbacks/coverage", NO_RECORD),
    "a record of digits": (record("9" * 5000), "/entry/nexus_callbacks/coverage", NO_RECORD),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_told_of_and_raises_nothing(path, name):
    how, where, message = HOSTILE[name]
    change(path, how)
    found = [(f.path, f.message) for f in validate(path).findings if f.severity != "info"]
    assert any(p == where and message in m for p, m in found), found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
@pytest.mark.parametrize("link", ["entry/l", "l", None])
def test_a_pipe_is_not_waited_at(path, link):
    pipe = path.parent / "pipe.h5"
    os.mkfifo(pipe)
    if link is not None:
        change(path, lambda f: f.__setitem__(link, h5py.ExternalLink("pipe.h5", "/")))
    assert [(p, m.split("which ")[-1]) for p, m in errors(path if link else pipe)] == [
        (f"/{link or ''}", "is no regular file")
    ]


@pytest.mark.parametrize("name", ["a\0b.h5", "x" * 5000])
def test_a_name_that_no_file_can_have_is_no_file(name):
    assert errors(name) == [("/", "there is no such file")]


def test_an_unforeseen_exception_in_one_check_leaves_the_others(path, monkeypatch):
    from nexus_callbacks.validation import plot

    def fall(data):
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(plot, "check_data", fall)
    change(path, lambda f: put(f["entry"], "start_time", "yesterday"))
    found = errors(path)
    assert ("/entry/data", "cannot be checked: ZeroDivisionError: unforeseen") in found
    assert any(p == "/entry/start_time" for p, _ in found)


def test_a_finding_holds_nothing_that_a_terminal_obeys(path):
    change(path, lambda f: group(f["entry"], "bell\a\x1b[31m", "NXcollection"))
    change(path, lambda f: f["entry/sample"].__setitem__("l", h5py.SoftLink("/\x1b[2J\n")))
    change(path, lambda f: f["entry"].attrs.create("default", np.bytes_(b"\xff\xfe")))
    report = validate(path)
    assert not report.valid
    for finding in report.findings:
        assert str(finding).isprintable()
        assert str(finding).encode("utf-8")


VARIANTS = 240
FUZZ = """
import faulthandler, random, sys
from pathlib import Path
from nexus_callbacks import coverage
from nexus_callbacks.validation import Report, validate

good, path, first, last = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
for number in range(first, last):
    faulthandler.dump_traceback_later(30, exit=True)
    dice, content = random.Random(number), bytearray(good)
    if number % 4 == 0:
        del content[dice.randrange(len(content)):]
    else:
        for _ in range(dice.choice([1, 3, 10, 50, 300])):
            place = dice.randrange(len(content) if dice.random() < 0.5 else 8000)
            content[place] = {1: content[place] ^ 1 << dice.randrange(8), 2: 0, 3: dice.randrange(256)}[number % 4]
    path.write_bytes(content)
    print(number, flush=True)
    assert type(validate(path)) is Report
    try:
        coverage(path)
    except (OSError, ValueError):
        pass
"""


def test_damaged_files_give_a_report_and_no_exception(path):
    """Where HDF5 itself crashes or waits for ever, which no program can mend, the innermost frame is h5py's."""
    damaged, number, crashes = path.parent / "damaged.h5", 0, 0
    child = [sys.executable, "-X", "faulthandler", "-W", "ignore", "-c", FUZZ, str(path), str(damaged)]
    while number < VARIANTS:
        done = subprocess.run(
            [*child, str(number), str(VARIANTS)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        if done.returncode == 0:
            break
        number = int(done.stdout.split()[-1])
        frames = [line for line in done.stderr.splitlines() if line.startswith("  File ")]
        died = "Fatal Python error" in done.stderr or "Timeout (" in done.stderr
        assert died, f"variant {number}: {done.stderr}"
        assert frames, f"variant {number}: {done.stderr}"
        assert "h5py" in Path(frames[0].split('"')[1]).parts, f"variant {number}: {done.stderr}"
        number, crashes = number + 1, crashes + 1
    assert crashes < VARIANTS / 20


# ESRF's own shape

# Values that NXDL lists. All that is text below is a dummy, and these fields take no dummies.
LISTED = {
    "acquisition_mode": "triggered",
    "fabrication": "etched",
    "focus_type": "point",
    "interior_atmosphere": "vacuum",
    "layout": "area",
    "lens_geometry": "paraboloid",
    "probe": "x-ray",
    "situation": "air",
    "usage": "Bragg",
}
DUMMIES = {
    "NX_CHAR": "dummy",
    "NX_NUMBER": 1.5,
    "NX_FLOAT": 1.5,
    "NX_INT": 3,
    "NX_BOOLEAN": True,
    "NX_DATE_TIME": START,
}


def write(parent, definition):
    for node in definition.children:
        if isinstance(node, Group):
            write(group(parent, node.name, node.nx_class), node)
        elif isinstance(node, Field):
            put(parent, node.name, LISTED.get(node.name, DUMMIES[node.nx_type]), node.units)
        parent[node.name].attrs["ESRF_description"] = node.description


@pytest.fixture(scope="module")
def whole(tmp_path_factory, esrf):
    """Every group and field of ESRF's definition, with an entry in NXtomo's shape over it."""
    path = tmp_path_factory.mktemp("esrf") / "scan.h5"
    variables = {name: {"paths": [p for p, _ in uses]} for name, uses in esrf.variables().items()}
    mandatory = {field.variable: p for p, field in esrf.fields() if field.mandatory}
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = group(file, "entry", "NXentry")
        entry.attrs["default"] = "data"
        write(entry, esrf)
        put(entry["mirror"], "type", "single")
        del entry["definition"]
        tomo(entry)
        group(group(entry, "saxs", "NXsubentry"), "reduced", "NXsubentry")
        coverage(entry, {"mandatory": mandatory, "variables": variables})
    return path


def test_the_whole_esrf_definition_is_valid_but_for_what_is_allowed(whole):
    report = validate(whole)
    assert report.errors == report.warnings == ()
    assert len(report.allowed) > 100
    assert all(f.severity == "info" for f in report.allowed)
    assert sum(report.allowed_reasons.values()) == len(report.allowed)
    counts = list(report.allowed_reasons.values())
    assert counts == sorted(counts, reverse=True)
    assert report.allowed_reasons["ESRF keeps a device's motors with the device"] > 1
    assert json.loads(json.dumps(report.as_dict()))["allowed_reasons"] == report.allowed_reasons


def ptycho(entry):
    instrument = group(entry, "instrument_1", "NXinstrument")
    group(instrument, "source_1", "NXsource", probe="x-ray", type="Synchrotron X-ray Source")
    detector = group(instrument, "detector_1", "NXdetector", data_1=np.ones((N, 3, 4), int))
    detector.attrs.update({"signal": "data_1", "axes": "."})


def fluo(entry):
    detector = group(group(entry, "instrument", "NXinstrument"), "fluorescence", "NXdetector")
    put(detector, "data", np.ones((N, 16), int))
    put(detector, "energy", np.ones(16), "keV")


def mx(entry):
    group(entry, "source", "NXsource")


def xrot(entry):
    group(entry, "sample", "NXsample", orientation_matrix=np.eye(3), unit_cell=np.ones(6))


def tomography(entry):
    group(group(entry, "instrument", "NXinstrument"), "detector", "NXdetector", image_key_control=np.zeros(N, int))


def cansas(entry):
    entry.attrs.update({"canSAS_class": "SASentry", "version": "1.1"})


@pytest.fixture(scope="module")
def applications(tmp_path_factory):
    """Entries with what some application definitions ask for, and no more: each needs its lines of the list."""
    path = tmp_path_factory.mktemp("applications") / "scan.h5"
    with h5py.File(path, "w") as file:
        shapes = {"cxi_ptycho": ptycho, "fluo": fluo, "mx": mx, "xrot": xrot, "canSAS": cansas, "tomo": tomography}
        for name, fill in shapes.items():
            entry = group(file, name, "NXentry")
            put(entry, "definition", f"NX{name}")
            fill(entry)
    return path


@pytest.mark.unreadable("the entries lack nearly all that their application definitions ask for")
def test_every_line_of_the_allow_list_is_needed_and_has_its_reason(whole, applications):
    reasons = {finding.allowed for path in (whole, applications) for finding in validate(path).allowed}
    for line in allowed.ALLOWED:
        assert line.reason in reasons, line


def test_each_line_of_the_allow_list_has_a_reason_of_its_own():
    assert len({line.reason for line in allowed.ALLOWED}) == len(allowed.ALLOWED)


OF_ONE_DEFINITION = [
    ("NXtomo", "instrument", "NXsource: This group has more occurrences than allowed"),
    ("NXmx", "source", "NXsource is an invalid class in NXentry"),
    ("NXcxi_ptycho", "instrument_1/source_1/type", "The field value is not a valid NX_FLOAT"),
    ("NXcxi_ptycho", "instrument_1/detector_1", '"@axes" is not defined as an attribute in NXdetector'),
    ("NXcxi_ptycho", "instrument_1/detector_1/data_1", "This field is not defined in NXdetector"),
    ("NXfluo", "instrument/fluorescence/data", "data: 5"),
    ("NXxrot", "sample", "unit_cell: 6"),
    ("NXcanSAS", "data", '"@canSAS_class" is not defined as an attribute in NXdata'),
]


@pytest.mark.parametrize(("definition", "path", "message"), OF_ONE_DEFINITION)
def test_a_line_for_one_application_definition_holds_there_and_below_only(definition, path, message):
    def severity(path, homes):
        return allowed.sort(Finding(f"/entry/{path}", "error", message), "/entry", homes=homes).severity

    other = "NXscan"
    assert severity(path, {"": definition}) == "info"
    assert severity(path, {"": other}) == severity(path, {"": ""}) == "error"
    inner = {"": other, "further": definition}
    assert (severity(f"further/{path}", inner), severity(path, inner)) == ("info", "error")
    outer = {"": definition, "further": other}
    assert (severity(f"further/{path}", outer), severity(path, outer)) == ("info", "info")


def test_every_line_for_one_application_definition_has_its_case():
    for line in (each for each in allowed.ALLOWED if each.definition):
        cases = [message for definition, _, message in OF_ONE_DEFINITION if re.fullmatch(line.definition, definition)]
        assert any(re.fullmatch(line.message, message) for message in cases), line


def test_the_allow_list_is_for_esrf_s_places_only(path):
    change(path, lambda f: group(f["entry/instrument"], "my_slit", "NXslit"))
    assert ("/entry/instrument/my_slit", "NXslit is an invalid class in NXinstrument") in errors(path)


def scan_entry(entry, *detectors):
    """NXscan, which asks for "an NXdetector with data", beside detectors of the beamline; True for one with data."""
    put(entry, "definition", "NXscan")
    for name, value in (("title", "a scan"), ("start_time", START), ("end_time", END)):
        put(entry, name, value)
    frames = np.ones((N, 3, 4), int)
    instrument = group(entry, "instrument", "NXinstrument")
    for number, has_data in enumerate(detectors):
        group(instrument, f"detector{number}", "NXdetector", **({"data": frames} if has_data else {}))
    sample = group(entry, "sample", "NXsample")
    put(sample, "rotation_angle", np.linspace(0, 180, N), "deg")
    group(entry, "monitor", "NXmonitor", data=np.ones(N, int))
    data = group(entry, "data", "NXdata")
    data.attrs.update({"signal": "data", "axes": ["rotation_angle", ".", "."]})
    data["data"] = h5py.SoftLink("/entry/instrument/detector0/data") if detectors[0] else frames
    data["rotation_angle"] = h5py.SoftLink("/entry/sample/rotation_angle")
    entry.attrs["default"] = "data"


@pytest.mark.unreadable("one of the two files lacks what NXscan asks for")
@pytest.mark.parametrize(("detectors", "errors"), [((True, False), 0), ((False, False), 2)])
def test_what_a_definition_asks_of_one_group_is_not_asked_of_each(tmp_path, detectors, errors):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.attrs["default"] = "entry"
        scan_entry(group(file, "entry", "NXentry"), *detectors)

    report = validate(tmp_path / "scan.h5")
    missing = [f for f in report.findings if f.message == "This required field is not in the NeXus file"]
    assert len([f for f in missing if f.severity == "error" and "detector" in f.path]) == errors
    if not errors:
        (excused,) = missing
        assert (excused.path, excused.allowed) == ("/entry/instrument/detector1/data", nxdl.ONE_OF_SEVERAL)


def test_a_second_name_of_an_entry_at_the_root_is_no_fault(path):
    before = validate(path).findings
    with h5py.File(path, "r+") as file:
        file["entry_1"] = h5py.SoftLink("/entry")
        file["title"] = h5py.SoftLink("/entry/title")

    assert validate(path).findings == before


def test_a_second_name_that_leads_nowhere_is_one(path):
    with h5py.File(path, "r+") as file:
        file["entry_1"] = h5py.SoftLink("/entry/missing")

    assert [(each.path, each.message) for each in validate(path).errors] == [
        ("/entry_1", "is a link that leads nowhere")
    ]


REMEDIES = {
    "a value that is not listed": (
        lambda f: put(f["entry/sample"], "situation", "under the table"),
        "'under the table' is none of air, vacuum",
        "listed values",
    ),
    "a field that the class lacks": (
        lambda f: put(f["entry/sample"], "nmae", "x"),
        "This field is not defined in NXsample",
        "definitions show NXsample",
    ),
}


@pytest.mark.parametrize("what", REMEDIES)
def test_what_nexusformat_finds_has_a_remedy(path, what):
    spoil, message, remedy = REMEDIES[what]
    change(path, spoil)
    (found,) = [each for each in validate(path).findings if message in each.message]
    assert remedy in found.remedy
