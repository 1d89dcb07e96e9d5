"""Every kind of source, and every conversion, from a scan into a file."""

import json
from textwrap import dedent

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.plans import count, scan
from bluesky.preprocessors import SupplementalData

from devices.quantity import Quantity
from devices.stages import SimulatedMotor
from nexus_callbacks import NexusWriter, coverage, replay

DEFINITION = """<group groupName="${entry}" NX_class="NXentry">
    <title NAPItype="NX_CHAR">${datasetName}</title>
    <group groupName="gathered" NX_class="NXcollection">
%s
    </group>
    <group groupName="sample" NX_class="NXsample">
        <group groupName="positioner" NX_class="NXpositioner">
            <name NAPItype="NX_CHAR">${sample_motors}</name>
            <value NAPItype="NX_FLOAT" units="um">${sample_positions}</value>
        </group>
    </group>
</group>"""


class Published(Quantity):
    """A signal that says from which address it comes, as devices of a control system do."""

    def __init__(self, *args, source, **kwargs):
        super().__init__(*args, **kwargs)
        self._said = source

    def describe(self):
        found = super().describe()
        found[self.name]["source"] = self._said
        return found


def experiment(tmp_path, fields, bindings, plan, baseline=(), metadata=None):
    """File and outcomes of one run; fields: name → type and units of a variable of the same name."""
    folder = tmp_path / "profile"
    folder.mkdir()
    lines = [
        f'<{name} NAPItype="{kind}" units="{units}">${{{name}}}</{name}>' for name, (kind, units) in fields.items()
    ]
    (folder / "mine.xml").write_text(DEFINITION % "\n".join(lines).replace(' units=""', ""))
    (folder / "profile.yml").write_text(
        "definitions: [mine.xml]\nfrom_plan: []\nconstants: {datasetName: x}\n" + dedent(bindings)
    )
    (folder / "definitions").mkdir()
    (folder / "definitions" / "own.xml").write_text(
        """<group groupName="${entry}" NX_class="NXentry"><title NAPItype="NX_CHAR">${datasetName}</title></group>"""
    )
    documents = []
    engine = RunEngine(metadata or {})
    engine.preprocessors.append(SupplementalData(baseline=list(baseline)))
    with NexusWriter(tmp_path / "data", profile=folder) as writer:
        engine.subscribe(writer)
        engine.subscribe(lambda name, doc: documents.append((name, doc)))
        engine(plan)
    (path,) = writer.files.values()
    (again,) = replay(iter(documents), tmp_path / "again", profile=folder).values()
    return path, again, {outcome.variable: outcome for outcome in coverage(path)["entry"].outcomes}


def gathered(path):
    with h5py.File(path) as file:
        found = file.get("entry/gathered", {})
        plain = {name: (each.asstr()[()] if each.dtype.kind in "SO" else each[()]) for name, each in found.items()}
        return plain, {name: each.attrs.get("units") for name, each in found.items()}


def motor(name, **kwargs):
    return SimulatedMotor(name=name, units="mm", limits=(-10.0, 10.0), **kwargs)


def test_addresses_are_found_by_the_source_of_a_data_key(tmp_path):
    baseline = [
        Published(name="ring", value=0.2, units="A", source="tango://ORION:10000/fe/id/16/SR_Current#dbase=no"),
        Published(name="shutter", value="open", source="PV:FE:SHUTTER.VAL"),
        Published(name="gap", value=11.5, units="mm", source="ca://ID:GAP"),
    ]
    scanned = Published(name="it", value=3.0, units="A", source="pva://IT")
    fields = {
        "current": ("NX_NUMBER", "mA"),
        "shutter": ("NX_CHAR", ""),
        "gap": ("NX_NUMBER", "m"),
        "it": ("NX_FLOAT", "mA"),
    }
    path, again, found = experiment(
        tmp_path,
        {**fields, "nowhere": ("NX_NUMBER", "")},
        """
        tango: {fe: "orion:10000/fe/id/16"}
        values:
          current: tango:fe/SR_Current
          shutter: epics:FE:SHUTTER
          gap: epics:ID:GAP
          it: epics:IT
          nowhere: epics:NO
        """,
        count([scanned], 3),
        baseline,
    )
    values, units = gathered(path)
    assert values == {"current": 200.0, "shutter": "open", "gap": 0.0115, "it": 3000.0}
    assert units == {"current": "mA", "shutter": None, "gap": "m", "it": "mA"}
    assert found["it"].origin == "epics:IT (primary, initial)"
    assert found["nowhere"].reason == "epics:NO is not in the documents of this run"
    assert gathered(again) == (values, units)


def test_a_column_of_a_control_system_grows_with_the_scan(tmp_path):
    scanned = Published(name="it", value=3.0, units="A", source="PV:IT")
    path, _, found = experiment(
        tmp_path, {"it": ("NX_FLOAT", "mA")}, "techniques: {own: {it: epics:IT}}", count([scanned], 3),
        metadata={"technique": "own"},
    )  # fmt: skip
    values, _ = gathered(path)
    np.testing.assert_allclose(values["it"], [3000.0] * 3)
    assert found["it"].origin == "epics:IT (primary)"


def test_every_conversion(tmp_path):
    x, y = motor("x"), motor("y")
    y.set(2.5)
    mode = Quantity(name="mode", value=2)
    kinds = {
        "number": ("NX_NUMBER", "um"), "text": ("NX_CHAR", ""), "count": ("NX_INT", ""), "s": ("NX_NUMBER", "ms"),
    }  # fmt: skip
    fields = {
        "column": kinds["number"], "joined": kinds["text"], "points": kinds["count"], "lowest": kinds["number"],
        "highest": kinds["number"], "middle": kinds["number"], "begin": kinds["number"], "end": kinds["number"],
        "both": kinds["number"], "both_last": kinds["number"], "names": kinds["text"], "number": kinds["count"],
        "duration": kinds["s"], "crystal": kinds["text"], "crystals": kinds["text"], "distances": ("NX_FLOAT", "um"),
    }  # fmt: skip
    path, again, found = experiment(
        tmp_path,
        fields,
        """
        values:
          column: {from: data:x, as: list}
          joined: {from: data:x, as: join}
          points: {from: data:x, as: count}
          lowest: {from: data:x, as: min}
          highest: {from: data:x, as: max}
          middle: {from: data:x, as: mean}
          begin: {from: data:x, as: first}
          end: {from: data:x, as: last}
          both: {from: [data:y, start:where.of_z], as: list, unit: mm}
          both_last: {from: [data:y, data:x], as: max, record: final}
          names: {from: start:motors, as: join}
          number: {from: start:where.all, as: count}
          duration: {from: [start:begun, start:ended], as: difference}
          crystal: {from: data:mode, as: {lookup: {1: Laue, 2: Bragg}}}
          crystals: {from: data:mode, as: {lookup: {1: Laue, 3: Bonse}}}
          distances: {from: start:where.all, as: list}
        """,
        scan([], x, -1, 3, 3),
        [mode, y, x],
        {"where": {"of_z": 7, "all": [1.5, 2]}, "begun": 100.0, "ended": "1970-01-01T00:01:42.500Z"},
    )
    values, units = gathered(path)
    expected = {
        "column": [-1000.0, 1000.0, 3000.0], "joined": "-1 1 3", "points": 3, "lowest": -1000.0, "highest": 3000.0,
        "middle": 1000.0, "begin": -1000.0, "end": 3000.0, "both": [2500.0, 7000.0], "both_last": 3000.0, "names": "x",
        "number": 2, "duration": 2500.0, "crystal": "Bragg", "distances": [1.5, 2.0],
    }  # fmt: skip
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(values[name], value, err_msg=name)
    assert (units["column"], units["both"], units["duration"], units["joined"]) == ("um", "um", "ms", None)
    assert found["crystals"].reason == ("data:mode (baseline, initial): 2 is not in the table, which has 1, 3"), (
        "a value that the table does not have is absent"
    )
    assert (found["duration"].unit_from, found["duration"].unit_to) == ("s", "ms")
    assert found["both_last"].origin == "max of data:y (baseline, final); data:x (baseline, final)"
    assert {name: str(value) for name, value in gathered(again)[0].items()} == {n: str(v) for n, v in values.items()}


def test_the_duration_of_a_run_is_known_at_its_end(tmp_path):
    path, _, found = experiment(
        tmp_path,
        {"duration": ("NX_NUMBER", "min")},
        "values: {duration: {from: [start:time, stop:time], as: difference}}",
        count([Quantity(name="q")], 2),
    )
    with h5py.File(path) as file:
        start, stop = (json.loads(file[f"entry/bluesky/{name}/data"].asstr()[()])["time"] for name in ("start", "stop"))
    assert gathered(path)[0]["duration"] == pytest.approx((stop - start) / 60)
    assert (found["duration"].origin, found["duration"].record) == ("difference of start:time; stop:time", "final")


@pytest.mark.parametrize(
    ("metadata", "value", "origin"),
    [
        ({"support": "needle"}, "needle", "start:support"),
        ({}, "none", "default, as the start document has no 'support'"),
    ],
)
def test_a_default_holds_where_the_start_document_is_silent(tmp_path, metadata, value, origin):
    path, _, found = experiment(
        tmp_path,
        {"support": ("NX_CHAR", "")},
        "values: {support: {from: start:support, default: none}}",
        count([Quantity(name="q")], 1),
        metadata=metadata,
    )
    assert gathered(path)[0]["support"] == value
    assert (found["support"].filled, found["support"].origin) == (True, origin)


def test_parts_that_do_not_fit_together_are_told(tmp_path):
    angle, length = Quantity(name="angle", value=1.0, units="deg"), Quantity(name="length", value=1.0, units="mm")
    fields = dict.fromkeys(("mixed", "partly", "letters"), ("NX_NUMBER", "mm")) | {"times": ("NX_NUMBER", "s")}
    path, _, found = experiment(
        tmp_path,
        fields,
        """
        values:
          mixed: {from: [data:length, data:angle], as: max}
          partly: {from: [data:length, data:nothing], as: list}
          times: {from: [data:length, start:plan_name], as: difference}
          letters: {from: start:plan_name, as: join}
        """,
        count([Quantity(name="q")], 1),
        [angle, length],
    )
    assert gathered(path) == ({}, {})
    assert "mm" in found["mixed"].reason
    assert "deg" in found["mixed"].reason
    assert found["partly"].reason == "data:length, data:nothing is not in the documents of this run"
    assert "expected a time in ISO 8601, got 'count'" in found["times"].reason
    assert "wants a list, got 'count'" in found["letters"].reason


def test_a_list_takes_members_of_every_kind_in_its_order(tmp_path):
    """Into the two variables of an NXpositioner, whose names need not be X_name and X_value."""
    x = motor("x")
    gap = Published(name="gap", value=11.5, units="mm", source="tango://h:1/d/f/m/gap")
    height = Published(name="height", value=40.0, units="um", source="PV:HEIGHT")
    path, again, found = experiment(
        tmp_path,
        {},
        """
        lists:
          sample_motors:
            x: data:x
            gap: tango://h:1/d/f/m/gap
            lag: config:x.acceleration
            height: epics:HEIGHT
            nowhere: epics:NO
        """,
        scan([height], x, 1, 2, 2),
        [gap],
    )
    for each in (path, again):
        with h5py.File(each) as file:
            group = file["entry/sample/positioner"]
            assert group["name"].asstr()[()] == "x gap lag height"
            np.testing.assert_allclose(group["value"][()], [1.0, 11.5, 0.1, 40.0])
            assert list(group["value"].attrs["member_units"]) == ["mm", "mm", "s", "um"]
    assert found["sample_positions"].origin == (
        "list:data:x (primary, initial), tango://h:1/d/f/m/gap (baseline, initial),"
        " config:x.acceleration, epics:HEIGHT (primary, initial)"
    )


def test_a_list_of_one_unit_is_converted(tmp_path):
    x, y = motor("x", position=1.0), motor("y", position=2.0)
    path, _, found = experiment(
        tmp_path,
        {},
        "lists: {sample_motors: {x: data:x, y: data:y}}",
        count([Quantity(name="q")], 1),
        [x, y],
    )
    with h5py.File(path) as file:
        value = file["entry/sample/positioner/value"]
        np.testing.assert_allclose(value[()], [1000.0, 2000.0])
        assert dict(value.attrs)["units"] == "um"
        assert "member_units" not in value.attrs
    assert (found["sample_positions"].unit_from, found["sample_positions"].unit_to) == ("mm", "um")
