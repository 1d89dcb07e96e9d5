"""Values of every kind, as devices send them: what HDF5 holds is kept as it is, all else as text, and that is told.

Each column is written in one go, row by row, and from a page, and through a journal: the file is the same.
"""

import enum
import json
from pathlib import Path

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from event_model import compose_run, pack_event_page
from ophyd import Component, Device, Signal
from ophyd.sim import SynSignal
from typer.testing import CliRunner

from nexus_callbacks import NexusWriter, callback
from nexus_callbacks.cli import app
from tests.opened import only_file, opened


def said(**more):
    return {"dtype": "number", "shape": [], "source": "sim", **more}


def write(writer, keys, rows, *, page=False, md=None, **descriptor):
    """A run that is made by hand: what devices send is not always what the schema wants."""
    run = compose_run(metadata=md or {}, validate=False)
    stream = run.compose_descriptor(name="primary", data_keys=keys, validate=False, **descriptor)
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    stamps = dict.fromkeys(keys, 5.0)
    events = [stream.compose_event(data=row, timestamps=stamps, validate=False) for row in rows]
    if page:
        writer("event_page", pack_event_page(*events))
    else:
        for event in events:
            writer("event", event)
    writer("stop", run.compose_stop())


class Colour(enum.StrEnum):
    """A choice as ophyd-async has it."""

    RED = "red"
    BLUE = "blue"


class Odd:
    """An object of a device's own."""

    def __str__(self):
        return "an odd one"


TABLE = np.dtype([("time", "<f8"), ("position", "<i4"), ("label", "S4")])
RECORDS = np.array([(0.5, 1, b"a"), (1.5, 2, b"bc")], TABLE)
AS_LISTS = [[0.5, 1, "a"], [1.5, 2, "bc"]]
FIELDS = [["time", "<f8"], ["position", "<i4"], ["label", "S4"]]

# what the descriptor says, the values, their type in the file (O: text), what stands there, whether it is told
VALUES = {
    "bool": (said(dtype="boolean"), [True, False], "|b1", [True, False], False),
    "bool, announced": (said(dtype="boolean", dtype_numpy="|b1"), [True, False], "|b1", [True, False], False),
    "bool with a gap": (said(dtype="boolean"), [True, None], "O", ["true", "null"], True),
    "bool of numpy": (said(dtype="boolean"), [np.True_, np.False_], "|b1", [True, False], False),
    "integer": (said(dtype="integer"), [1, -2], "<i8", [1, -2], False),
    "integer, announced": (said(dtype="integer", dtype_numpy="<u2"), [1, 65535], "<u2", [1, 65535], False),
    "integer beyond": (said(dtype="integer", dtype_numpy="<u2"), [1, 65536], "<i8", [1, 65536], False),
    "integer with a gap": (said(dtype="integer", dtype_numpy="<i4"), [1, None], "<f8", [1, np.nan], False),
    "single": (said(dtype_numpy="<f4"), [0.5, 1.25], "<f4", [0.5, 1.25], False),
    "single that is not": (said(dtype_numpy="<f4"), [0.5, 0.1], "<f8", [0.5, 0.1], False),
    "nan and inf": (said(), [np.nan, np.inf, -np.inf], "<f8", [np.nan, np.inf, -np.inf], False),
    "never": (said(), [None, None], "<f8", [np.nan, np.nan], False),
    "complex": (said(), [1j, 2.0], "<c16", [1j, 2], False),
    "lies": (said(dtype="integer"), ["none", 3], "O", ["none", "3"], True),
    "infinite among words": (said(), ["x", np.inf, 1.5, 2.0], "O", ["x", "Infinity", "1.5", "2"], True),
    "string": (
        said(dtype="string"),
        ["a", "longer and longer", "µ", ""],
        "O",
        ["a", "longer and longer", "µ", ""],
        False,
    ),
    "string of ophyd-async": (said(dtype="string", dtype_numpy="|S40"), ["a", "b"], "O", ["a", "b"], False),
    "bytes": (said(dtype="string", dtype_numpy="|S40"), [b"a", b"b"], "O", ["a", "b"], False),
    "enum": (said(dtype="string", choices=["red", "blue"]), [Colour.RED, Colour.BLUE], "O", ["red", "blue"], False),
    "object": (said(), [Odd(), {"a": 1}], "O", ["an odd one", '{"a": 1}'], True),
    "array": (said(dtype="array", shape=[2]), [[1.5, 2], [3, 4]], "<f8", [[1.5, 2], [3, 4]], False),
    "image": (said(dtype="array", dtype_numpy="|u1"), [np.ones((2, 3), "u1")] * 2, "|u1", np.ones((2, 2, 3)), False),
    "ragged": (said(dtype="array"), [[1, 2], [3]], "O", ["[1, 2]", "[3]"], True),
    "ragged with nan": (said(dtype="array"), [[1, np.nan], [np.inf]], "O", ["[1, NaN]", "[Infinity]"], True),
    "empty": (said(dtype="array"), [[], []], "O", ["[]", "[]"], True),
    "empty at first": (said(dtype="array"), [[], [1.5]], "O", ["[]", "[1.5]"], True),
    "texts": (said(dtype="array"), [["a", "µ"], ["longer", ""]], "O", [["a", "µ"], ["longer", ""]], False),
    "texts of numpy": (said(dtype="array"), [np.array(["a", "b"])] * 2, "O", [["a", "b"]] * 2, False),
    "records": (said(dtype="array", dtype_numpy=FIELDS), [RECORDS, RECORDS], TABLE, [RECORDS.tolist()] * 2, False),
    "records as lists": (said(dtype="array", dtype_numpy=FIELDS), [AS_LISTS] * 2, TABLE, [RECORDS.tolist()] * 2, False),
    "one record": (said(dtype="array", dtype_numpy=FIELDS), [AS_LISTS[0]] * 2, TABLE, [RECORDS[0].tolist()] * 2, False),
    "unannounced records": (said(dtype="array"), [RECORDS, RECORDS], TABLE, [RECORDS.tolist()] * 2, False),
    "records that lie": (
        said(dtype="array", dtype_numpy=FIELDS),
        [[[0.5, 1.5, "a"]]],
        "O",
        ['[[0.5, 1.5, "a"]]'],
        True,
    ),
    "ragged records": (
        said(dtype="array", dtype_numpy=FIELDS),
        [RECORDS, RECORDS[:1]],
        "O",
        ['[[0.5, 1, "a"], [1.5, 2, "bc"]]', '[[0.5, 1, "a"]]'],
        True,
    ),
}


@pytest.mark.parametrize("way", ["at once", "row by row", "page", "journal"])
@pytest.mark.parametrize("name", VALUES)
def test_a_value_stands_in_the_file_as_it_came(tmp_path, monkeypatch, caplog, name, way):
    writer = NexusWriter(tmp_path / "data", journal=way == "journal" and tmp_path / "spool")
    monkeypatch.setattr(callback, "FLUSH_INTERVAL", 0.0 if way == "row by row" else 100.0)
    spec, values, dtype, expected, told = VALUES[name]
    rows = [{"x": value, "beside": number} for number, value in enumerate(values)]
    write(writer, {"x": spec, "beside": said()}, rows, page=way == "page")
    writer.close()
    with opened(writer) as file:
        assert file.attrs["state"] == "complete"
        assert list(file["entry/measurement/beside"]) == list(range(len(values)))
        column = file["entry/measurement/x"]
        if h5py.check_string_dtype(column.dtype):
            assert dtype == "O"
            assert column.asstr()[()].tolist() == expected
        else:
            assert column.dtype == dtype
            got = column[()]
            if got.dtype.names:
                assert got.tolist() == expected
            else:
                np.testing.assert_array_equal(got, expected)
    assert ("not every value is what its device announced" in caplog.text) == told
    assert caplog.text.count("not every value") == told, "told once"


def test_a_large_array_of_objects_is_kept_whole(writer):
    """numpy's own text of an array leaves out its middle."""
    many = np.array([complex(i, 1) for i in range(3000)], dtype="c16")
    write(writer, {"x": said(dtype="array")}, [{"x": many}, {"x": many[:-1]}], md={"many": many})
    with opened(writer) as file:
        first = json.loads(file["entry/measurement/x"].asstr()[0])
        assert [complex(v) for v in first] == many.tolist()
        start = json.loads(file["entry/bluesky/start/data"].asstr()[()])
        assert [complex(v) for v in start["many"]] == many.tolist()


# -- what data keys say --------------------------------------------------------------------------------------------

ATTRIBUTES = {
    "event-model's limits": (
        {
            "limits": {
                "control": {"low": -5.0, "high": 5},
                "display": {"low": None, "high": 10.0},
                "warning": None,
                "alarm": {"low": -9.0, "high": 9.0},
                "hysteresis": 0.5,
                "rds": {"time_difference": 100.0, "value_difference": 0.1},
            }
        },
        {
            "limits_control_low": -5.0,
            "limits_control_high": 5,
            "limits_display_high": 10.0,
            "limits_alarm_low": -9.0,
            "limits_alarm_high": 9.0,
            "limits_hysteresis": 0.5,
            "limits_rds_time_difference": 100.0,
            "limits_rds_value_difference": 0.1,
        },
    ),
    "ophyd's limits": (
        {"lower_ctrl_limit": -1.0, "upper_ctrl_limit": 1.0, "precision": 4, "units": "mm"},
        {"limits_control_low": -1.0, "limits_control_high": 1.0, "precision": 4, "units": "mm"},
    ),
    "no limits": ({"lower_ctrl_limit": None, "upper_ctrl_limit": "x", "limits": 7, "precision": None}, {}),
    "choices": ({"choices": ["in", "out"], "dims": ["t"]}, {"choices": ["in", "out"], "dims": ["t"]}),
    "ophyd's choices": ({"enum_strs": ("in", "out")}, {"choices": ["in", "out"]}),
    "units None": ({"units": None}, {}),
    "units ''": ({"units": ""}, {}),
    "units of another kind": ({"units": 5}, {"units": "5"}),
    "dims of another kind": ({"dims": [None, 1]}, {}),
    "choices without end": ({"choices": [str(i) for i in range(20_000)]}, {}),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_what_a_data_key_says_stands_beside_its_values(writer, name):
    spec, expected = ATTRIBUTES[name]
    configuration = {
        "dev": {"data": {"dev_c": 1.0}, "timestamps": {"dev_c": 0.0}, "data_keys": {"dev_c": said(**spec)}}
    }
    write(writer, {"x": said(**spec)}, [{"x": 1.0}], configuration=configuration)
    with opened(writer) as file:
        for path in ("entry/measurement/x", "entry/bluesky/primary/configuration/dev/dev_c"):
            found = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in file[path].attrs.items()}
            found.pop("target", None)
            assert found == expected
        assert file["entry/measurement/x"][0] == 1.0
        descriptor = json.loads(file["entry/bluesky/primary/descriptor/data"].asstr()[()])
        assert spec.keys() <= descriptor["data_keys"]["x"].keys()


def test_an_ophyd_device_tells_its_choices(RE, writer):
    class Shutter(Device):
        """One that has words for its states."""

        state = Component(Signal, value="in", kind="hinted")

        def describe(self):
            found = super().describe()
            found["shutter_state"] |= {"enum_strs": ("in", "out"), "precision": 2}
            return found

    RE(bp.count([Shutter(name="shutter")], 2))
    with opened(writer) as file:
        column = file["entry/measurement/shutter_state"]
        assert list(column.attrs["choices"]) == ["in", "out"]
        assert list(column.asstr()) == ["in", "in"]


def test_names_that_nexus_cannot_have_and_names_that_collide(RE, writer):
    names = ["a-b", "a_b", "a b", "θ", "π", "9lives", "data", "elapsed_time", "_"]
    signals = [SynSignal(name=name, func=lambda n=number: n, kind="hinted") for number, name in enumerate(names)]
    RE(bp.count(signals, 2))
    with opened(writer) as file:
        by_key = {d.attrs.get("data_key", n): list(d) for n, d in file["entry/measurement"].items()}
        assert {name: by_key[name] for name in names} == {name: [n, n] for n, name in enumerate(names)}
        devices = {d["local_name"].asstr()[()]: list(d["data"]) for d in file["entry/instrument"].values()}
        assert devices == {name: [n, n] for n, name in enumerate(names)}
        configured = file["entry/bluesky/primary/configuration"]
        assert len(configured) == len(names)


def test_names_with_slashes_and_dots(writer):
    """event-model refuses them as names of devices, but not of data keys."""
    write(
        writer,
        {"a/b": said(), "a_b": said(), "a.b": said(), "..": said(), "": said()},
        [{"a/b": 1.0, "a_b": 2.0, "a.b": 3.0, "..": 4.0, "": 5.0}],
    )
    with opened(writer) as file:
        by_key = {d.attrs.get("data_key", n): d[0] for n, d in file["entry/measurement"].items() if n != "elapsed_time"}
        assert by_key == {"a/b": 1, "a_b": 2, "a.b": 3, "..": 4, "": 5}


@pytest.mark.parametrize(
    ("hint", "path", "nx_class", "column"),
    [
        ("NXmonitor", "i0", "NXmonitor", "data"),
        ("NXdetector", "instrument/i0", "NXdetector", "data"),
        ("NXsensor", "instrument/i0", "NXsensor", "value"),
        ("NXaperture", "instrument/i0", "NXaperture", "columns/i0"),
        ("NXsample", "instrument/i0", "NXdetector", "data"),
        ("monitor", "instrument/i0", "NXdetector", "data"),
        (["NXmonitor"], "instrument/i0", "NXdetector", "data"),
        *[
            (f"NX{name}", "instrument/i0", f"NX{name}", "columns/i0")
            for name in ("source", "mirror", "filter", "flipper")
        ],
    ],
    ids=str,
)
def test_the_class_that_a_device_hints_at(writer, hint, path, nx_class, column):
    keys = {"i0": said(object_name="i0")}
    more = {"hints": {"i0": {"fields": ["i0"], "NX_class": hint}}, "object_keys": {"i0": ["i0"]}}
    write(writer, keys, [{"i0": 1.0}], md={"detectors": ["i0"]}, **more)
    with opened(writer) as file:
        assert file[f"entry/{path}"].attrs["NX_class"] == nx_class
        assert list(file[f"entry/{path}/{column}"]) == [1.0]
        descriptor = json.loads(file["entry/bluesky/primary/descriptor/data"].asstr()[()])
        assert descriptor["hints"]["i0"]["NX_class"] == hint


@pytest.mark.parametrize("hints", [{"x": ["x"]}, {"x": None}, {"x": {"fields": "x"}}, [1], "x"], ids=str)
def test_hints_without_sense_cost_nothing(writer, hints):
    write(writer, {"x": said()}, [{"x": 1.0}], hints=hints)
    with opened(writer) as file:
        assert list(file["entry/measurement/x"]) == [1.0]


def test_projections_of_the_start_document_are_kept(writer):
    projection = {"type": "linked", "location": "event", "stream": "primary", "field": "x"}
    projections = [{"name": "nx", "version": "1", "configuration": {}, "projection": {"entry/x": projection}}]
    write(writer, {"x": said()}, [{"x": 1.0}], md={"projections": projections})
    with opened(writer) as file:
        start = json.loads(file["entry/bluesky/start/data"].asstr()[()])
        assert start["projections"] == projections


# -- many ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "where"), [(3, "attribute"), (5_000, "dataset")])
def test_any_number_of_keys_has_its_timestamps(writer, count, where):
    keys = {f"key_{i}": said() for i in range(count)}
    write(writer, keys, [dict.fromkeys(keys, 1.0)])
    writer.close()
    with h5py.File(only_file(writer)) as file:
        assert file.attrs["state"] == "complete"
        told = file["entry/bluesky/primary"]
        assert told["timestamps"].shape == (1, count)
        assert (told["timestamps"][0] == 5).all()
        if where == "attribute":
            named = list(told["timestamps"].attrs["data_keys"])
            assert "timestamps_data_keys" not in told
        else:
            named = list(told["timestamps_data_keys"].asstr())
        assert named == list(keys)
        assert file[f"entry/measurement/key_{count - 1}"][0] == 1.0


# -- what is to be known of a value --------------------------------------------------------------------------------

PROFILE = """
beamline: bm99
definitions: [tomo]
techniques:
  tomo: {frames: data:cam, rotation_angle: data:angle}
"""


@pytest.mark.unreadable("the profile leaves out what NXtomo and its definition require")
def test_remarks_stand_beside_variables_that_are_filled(tmp_path, monkeypatch):
    """Raw storage has absolute paths, a frame is missing, and a number is a word: the coverage says so."""
    (tmp_path / "det").mkdir()
    for number in range(3):
        np.save(tmp_path / "det" / f"cam_{number}.npy", np.full((2, 3), number, "<u2"))
    (tmp_path / "det" / "cam_1.npy").unlink()
    (tmp_path / "profile.yml").write_text(PROFILE)
    writer = NexusWriter(tmp_path / "data", profile=tmp_path / "profile.yml")
    run = compose_run(metadata={"technique": "tomo"})
    cam = said(dtype="array", shape=[2, 3], dtype_numpy="<u2", external="FILESTORE:")
    stream = run.compose_descriptor(name="primary", data_keys={"cam": cam, "angle": said()})
    resource = run.compose_resource(
        spec="NPY_SEQ", root=str(tmp_path), resource_path="det/cam", resource_kwargs={}, path_semantics="posix"
    )
    writer("start", run.start_doc)
    writer("descriptor", stream.descriptor_doc)
    writer("resource", resource.resource_doc)
    for number, angle in enumerate([1, 2, "far"]):
        datum = resource.compose_datum(datum_kwargs={"index": number})
        writer("datum", datum)
        data = {"cam": datum["datum_id"], "angle": angle}
        writer("event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 0.0), filled={"cam": False}))
    writer("stop", run.compose_stop())
    path = only_file(writer)
    done = CliRunner().invoke(app, ["coverage", str(path), "--json"])
    (told,) = json.loads(done.stdout).values()
    frames, angle = told["variables"]["frames"], told["variables"]["rotation_angle"]
    assert frames["filled"]
    assert angle["filled"]
    assert "1 of 3 frames are missing" in frames["reason"]
    assert "paths are absolute" in frames["reason"]
    assert "not every value is what its device announced (number)" in angle["reason"]
    monkeypatch.setenv("COLUMNS", "300")
    shown = CliRunner().invoke(app, ["coverage", str(path)]).stdout
    assert "1 of 3 frames are missing" in shown
    assert Path(path).exists()
