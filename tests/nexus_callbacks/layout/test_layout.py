"""Layout: documents in, additions out. No file is opened here."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from nexus_callbacks.beamline.sources import Binding, parse
from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.layout import additions
from nexus_callbacks.layout.layout import Layout, Recipe

DEFINITION = """
<group groupName="${entry}" NX_class="NXentry">
  <start_time NAPItype="NX_DATE_TIME">${start}</start_time>
  <definition NAPItype="NX_CHAR">NXscan<attribute name="version">v1</attribute></definition>
  <group groupName="sample" NX_class="NXsample">
    <name NAPItype="NX_CHAR" ESRF_mandatory="Mandatory">${name}</name>
    <angle NAPItype="NX_FLOAT" units="deg">${angle}</angle>
    <temperature NAPItype="NX_NUMBER" units="K" record="final">${temperature}</temperature>
    <count NAPItype="NX_INT">${count}</count>
  </group>
  <group groupName="data" NX_class="NXdata">
    <attribute name="axes">angle .</attribute>
    <link groupName="angle" ref="/sample/angle"/>
    <link groupName="lost" ref="/sample/temperature"/>
  </group>
</group>
"""
START = {"uid": "u", "time": 0.0, "sample": "Fe"}
DESCRIPTOR = {
    "uid": "d",
    "name": "primary",
    "data_keys": {
        "phi": {"dtype": "number", "shape": [], "units": "rad", "source": "s"},
        "heat": {"dtype": "number", "shape": [], "units": "degC", "source": "s"},
    },
}


class Readings:
    """What the run would answer."""

    def __init__(self, **rows):
        self._rows = rows

    def count(self, stream):
        return len(self._rows.get(stream, ()))

    def first(self, stream):
        return self._rows[stream][0] if self.count(stream) else {}

    def last(self, stream):
        return self._rows[stream][-1] if self.count(stream) else {}

    def column(self, stream, key):
        return np.array([row[key] for row in self._rows[stream]])

    def length(self, stream, key):
        return 0

    def descriptors(self, stream):
        return []

    def written(self, stream, key):
        return ("f", ()) if self.count(stream) and key in self._rows[stream][0] else None


def layout(*columns, **sources):
    conversions = {"count": "count"} if "count" in sources else {}
    bindings = {name: Binding(name, parse(text), convert=conversions.get(name)) for name, text in sources.items()}
    tree = esrf_xml.reads(DEFINITION, "test.xml")
    return Layout(Recipe(tree, bindings, frozenset(columns), zone=ZoneInfo("Europe/Paris")))


def by_path(found):
    return {addition.path: addition for addition in found}


def test_constants_and_the_start_document_come_first_with_their_groups():
    found = by_path(layout(name="start:sample", start="start:time").begin(START))
    assert found["/entry/sample/name"].value == "Fe"
    assert found["/entry/start_time"].value == "1970-01-01T01:00:00.000000+01:00"
    assert found["/entry/definition"].value == "NXscan"
    assert found["/entry/definition"].attributes["version"] == "v1"
    paths = list(found)
    assert paths.index("/entry/sample") < paths.index("/entry/sample/name")
    assert found["/entry/sample"].nx_class == "NXsample"


def test_a_group_of_which_nothing_is_filled_is_absent():
    assert "/entry/sample" not in by_path(layout(start="start:time").begin(START))


def test_a_technique_variable_grows_in_the_definitions_unit():
    made = layout("angle", angle="data:phi")
    made.begin(START)
    _, found = made.extend(DESCRIPTOR)
    column = by_path(found)["/entry/sample/angle"]
    assert isinstance(column, additions.Column)
    assert column.attributes["units"] == "deg"
    np.testing.assert_allclose(column.convert(np.array([np.pi, 0.0])), [180, 0])


def test_a_value_is_one_reading_of_the_recorded_kind():
    made = layout(temperature="data:heat")
    made.begin(START)
    made.extend({**DESCRIPTOR, "name": "baseline"})
    first, last = {"phi": 0.0, "heat": 20.0}, {"phi": 0.0, "heat": 30.0}
    assert "/entry/sample/temperature" not in by_path(made.first("baseline", first))
    found = by_path(made.finish({"time": 1.0}, Readings(baseline=[first, last])))
    assert found["/entry/sample/temperature"].value == pytest.approx(303.15)
    assert found["/entry/sample/temperature"].attributes["units"] == "K"


def test_a_single_baseline_reading_is_no_final_one():
    made = layout(temperature="data:heat")
    made.begin(START)
    made.extend({**DESCRIPTOR, "name": "baseline"})
    row = {"phi": 0.0, "heat": 20.0}
    made.first("baseline", row)
    found = by_path(made.finish({"time": 1.0}, Readings(baseline=[row])))
    assert "/entry/sample/temperature" not in found
    (outcome,) = [o for o in made.coverage.outcomes if o.variable == "temperature"]
    assert "before the final reading" in outcome.reason


def test_a_conversion_takes_the_whole_column():
    made = layout(count="data:phi")
    made.begin(START)
    made.extend(DESCRIPTOR)
    rows = [{"phi": 1.0, "heat": 1.0}] * 3
    made.first("primary", rows[0])
    found = by_path(made.finish({"time": 1.0}, Readings(primary=rows)))
    assert found["/entry/sample/count"].value == 3


def test_links_are_made_only_where_they_lead_somewhere():
    made = layout("angle", angle="data:phi")
    made.begin(START)
    made.extend(DESCRIPTOR)
    found = by_path(made.finish({"time": 1.0}, Readings(primary=[{"phi": 1.0, "heat": 2.0}])))
    assert found["/entry/data/angle"].target == "/entry/sample/angle"
    assert "/entry/data/lost" not in found
    assert found["/entry/data"].attributes["axes"] == ["angle", "."]
    assert found["/entry/data_primary"].nx_class == "NXdata", "the generic plot keeps clear of the definition's"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("entry", [("/entry_1", "/entry"), ("/angle", "/entry/sample/angle")]),
        ("entry_0002", []),  # The first run of a file has these names.
    ],
)
def test_links_at_the_root_lead_to_what_is_there(entry, expected):
    links = '<attribute name="root_links">entry_1=/ angle=/sample/angle lost=/sample/temperature</attribute>'
    tree = esrf_xml.reads(DEFINITION.replace('"NXentry">', f'"NXentry">{links}', 1), "test.xml")
    bindings = {"angle": Binding("angle", parse("data:phi"))}
    made = Layout(Recipe(tree, bindings, frozenset({"angle"}), entry=entry))
    found = made.begin(START)
    found += made.extend(DESCRIPTOR)[1]
    found += made.finish({"time": 1.0}, Readings(primary=[{"phi": 0.0, "heat": 1.0}]))

    at_root = [
        (each.path, each.target) for each in found if isinstance(each, additions.Link) and each.path.count("/") == 1
    ]
    assert at_root == expected
    attributes = [each.attributes for each in found if isinstance(each, additions.Attribute)]
    assert not any("root_links" in each for each in attributes)


@pytest.mark.parametrize(
    ("units", "reason"), [("mm", "convert"), ("nonsense", "nonsense")], ids=["incompatible", "unknown"]
)
def test_units_that_do_not_fit_cost_that_value_only(units, reason):
    made = layout("angle", angle="data:phi", name="start:sample")
    made.begin(START)
    keys = {"phi": {**DESCRIPTOR["data_keys"]["phi"], "units": units}}
    _, found = made.extend({**DESCRIPTOR, "data_keys": keys})
    assert "/entry/sample/angle" not in by_path(found)
    assert "/entry/measurement/phi" in by_path(found)
    outcomes = {o.variable: o for o in made.coverage.outcomes}
    assert not outcomes["angle"].filled
    assert reason in outcomes["angle"].reason
    assert outcomes["name"].filled


def test_a_device_without_units_is_written_without_and_told():
    made = layout("angle", angle="data:phi")
    made.begin(START)
    _, found = made.extend({**DESCRIPTOR, "data_keys": {"phi": {"dtype": "number", "shape": [], "source": "s"}}})
    assert "units" not in by_path(found)["/entry/sample/angle"].attributes
    made.finish({"time": 1.0}, Readings(primary=[{"phi": 1.0}]))
    (outcome,) = [o for o in made.coverage.outcomes if o.variable == "angle"]
    assert outcome.filled
    assert "without units" in outcome.reason


def test_a_column_of_which_no_row_came_is_not_filled():
    made = layout("angle", angle="data:phi")
    made.begin(START)
    made.extend(DESCRIPTOR)
    made.finish({"time": 1.0}, Readings())
    (outcome,) = [o for o in made.coverage.outcomes if o.variable == "angle"]
    assert not outcome.filled
    assert "before the first row" in outcome.reason


def test_a_mandatory_variable_without_a_source_is_missing_in_the_coverage():
    made = layout(start="start:time")
    made.begin(START)
    assert made.coverage.missing_mandatory == ("name",)
    assert made.coverage.total == 5


def test_documents_are_not_changed():
    descriptor = {**DESCRIPTOR, "data_keys": {k: dict(v) for k, v in DESCRIPTOR["data_keys"].items()}}
    before = repr(descriptor)
    made = layout("angle", angle="data:phi")
    made.begin(START)
    made.extend(descriptor)
    assert repr(descriptor) == before
