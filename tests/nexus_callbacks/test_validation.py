"""A good file, and files that are each broken in one way."""

import json
import logging
import sys

import h5py
import numpy as np
import pytest

from nexus_callbacks.definition import Field, Group
from nexus_callbacks.validation import allowed, nxdl, validate

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
    "unknown units": (
        lambda f: put(f["entry/sample"], "thickness", 1.0, "furlongs_per_fortnoon"),
        "/entry/sample/thickness",
        "units 'furlongs_per_fortnoon' are unknown",
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
        coverage(entry, {"mandatory": mandatory, "variables": variables})
    return path


def test_the_whole_esrf_definition_is_valid_but_for_what_is_allowed(whole):
    report = validate(whole)
    assert report.errors == report.warnings == ()
    assert len(report.allowed) > 100
    assert all(f.severity == "info" for f in report.allowed)


def test_every_line_of_the_allow_list_is_needed_and_has_its_reason(whole):
    reasons = {finding.allowed for finding in validate(whole).allowed}
    for line in allowed.ALLOWED:
        assert line.reason in reasons, line


def test_the_allow_list_is_for_esrf_s_places_only(path):
    change(path, lambda f: group(f["entry/instrument"], "my_slit", "NXslit"))
    assert ("/entry/instrument/my_slit", "NXslit is an invalid class in NXinstrument") in errors(path)
