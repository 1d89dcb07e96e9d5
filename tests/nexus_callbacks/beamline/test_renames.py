"""Old names of variables: the table, and what becomes of bindings under them."""

import gzip
from pathlib import Path

import pytest

from nexus_callbacks import units
from nexus_callbacks.beamline import renames
from nexus_callbacks.beamline.sources import Binding, Source
from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.definitions.definition import Group
from nexus_callbacks.faults import FaultError

OLD = Path(__file__).parents[1] / "definitions" / "esrf"
NOT_SHOWN = {"sample_positions", "sample_sensors_values", "vacuum_values", "detectors_positions"}
"""Variables of the listings' fields whose names no slide shows."""


def release(name: str) -> Group:
    if name == "talk":
        return esrf_xml.read(OLD / "talk.xml")
    return esrf_xml.reads(gzip.decompress((OLD / f"hdf5_cfg-{name}.xml.gz").read_bytes()), name)


@pytest.mark.parametrize("name", ["1.0.0", "2.0.0", "3.0.0", "talk"])
def test_the_table_knows_every_variable_that_is_gone(esrf: Group, name: str) -> None:
    gone = release(name).variables().keys() - esrf.variables().keys()
    assert gone - renames.shipped().keys() <= NOT_SHOWN


def test_the_table_leads_to_variables_that_are_there(esrf: Group) -> None:
    variables = esrf.variables()
    assert {old.to for old in renames.shipped().values() if old.to} <= variables.keys()
    assert not renames.shipped().keys() & variables.keys(), "what the definition has is renamed by nobody"
    assert all(bool(old.to) != bool(old.reason) for old in renames.shipped().values())


@pytest.mark.parametrize("name", ["1.0.0", "2.0.0", "talk"])
def test_the_tables_units_are_those_of_the_older_file_and_convert(esrf: Group, name: str) -> None:
    wrong = []
    for variable, fields in release(name).variables().items():
        old = renames.shipped().get(variable)
        if old is None or not old.to:
            continue
        was, now = fields[0][1].units, esrf.variables()[old.to][0][1].units
        if was != old.unit or (was and now and not units.compatible(was, now)):
            wrong.append((variable, was, old.unit, now))
    assert wrong == []


def test_every_successor_that_esrf_names_is_there(esrf: Group) -> None:
    texts = [field.deprecated for _, field in esrf.fields() if field.deprecated]
    named = [renames.successor(text) for text in texts]
    assert (len(texts), len(list(filter(None, named)))) == (25, 7)
    assert set(filter(None, named)) <= esrf.variables().keys()


def test_the_faults_of_a_table_have_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "table.yml"
    path.write_text('"1":\n  renamed:\n    a: {to: b, units: mm}\n    c: 3\n  replaced: {}\n')
    with pytest.raises(FaultError) as caught:
        renames.load(path)
    assert [fault.place.line for fault in caught.value.faults if fault.place] == [3, 4, 5]
    path.write_text('"1":\n  renamed: {a: b}\n  retired: {a: gone}\n"2":\n  renamed:\n    a: c\n')
    with pytest.raises(FaultError) as caught:
        renames.load(path)
    assert [str(fault).removeprefix(f"{path}, ") for fault in caught.value.faults] == [
        "line 3: 'a' stands in the table twice (keep one of them)",
        "line 6: 'a' stands in the table twice (keep one of them)",
    ]


def bound(*names: str, scheme: str = "const") -> dict[str, Binding]:
    return {name: Binding(name, Source(scheme, "1", 1)) for name in names}


def test_a_binding_gets_the_name_of_today_and_keeps_the_unit_of_its_time(esrf: Group) -> None:
    found = renames.renew(bound("TOMO_ccdPixelSize", "scanDuration"), esrf, ())
    pixel = found.bindings["TOMOAcquisition_camera_pixel_size"]
    assert (pixel.variable, pixel.unit) == ("TOMOAcquisition_camera_pixel_size", "micron")
    assert pixel.remark == "bound as 'TOMO_ccdPixelSize', its name in release 2.0.0"
    assert found.bindings["TOMOAcquisition_duration"].unit == "min"
    assert found.remarks[1] == "'scanDuration' of the talk is called 'TOMOAcquisition_duration' today, and fills that"
    # A device says its unit itself.
    found = renames.renew(bound("scanDuration", scheme="data"), esrf, ())
    assert found.bindings["TOMOAcquisition_duration"].unit is None


def test_a_unit_that_was_never_said_is_told(esrf: Group) -> None:
    found = renames.renew(bound("TOMO_ZStart"), esrf, ())
    assert found.bindings["TOMOAcquisitionZseries_z_start"].remark.endswith("where no unit was said: taken in mm")


def test_what_nothing_took_the_place_of_is_listed(esrf: Group) -> None:
    found = renames.renew(bound("TOMO_ccdMode", "nobody_knows"), esrf, ())
    assert not found.bindings
    assert found.unmapped == {"TOMO_ccdMode": "known from release 2.0.0: a mode of CCD cameras (FTM, FFM)"}
    other = esrf_xml.reads('<group groupName="e" NX_class="NXentry"><a>${a}</a></group>', "other")
    found = renames.renew(bound("TOMO_projN"), other, ())
    assert "it became 'TOMOAcquisition_proj_n', which these definitions do not have" in found.unmapped["TOMO_projN"]
    assert not renames.renew(bound("TOMO_projN"), other, (), ["TOMOAcquisition_proj_n"]).unmapped


def test_the_name_of_today_goes_before_the_old_one_and_a_profile_before_defaults(esrf: Group) -> None:
    both = bound("sampleName", "Sample_name")
    found = renames.renew(both, esrf, ["sampleName", "Sample_name"])
    assert found.bindings == {"Sample_name": both["Sample_name"]}
    assert found.unmapped["sampleName"] == "'Sample_name', as it is called since the talk, is bound as well"
    found = renames.renew(both, esrf, ["sampleName"])
    assert found.bindings["Sample_name"].remark == "bound as 'sampleName', its name in the talk"


def test_two_old_names_of_one_variable_fill_it_once(esrf: Group) -> None:
    found = renames.renew(bound("TOMO_pixelSize", "pixelSize"), esrf, ())
    assert found.names == {"TOMO_pixelSize": "TOMOAcquisition_sample_pixel_size"}
    assert list(found.unmapped) == ["pixelSize"]


def test_a_variable_that_the_definition_has_is_never_renamed() -> None:
    tree = esrf_xml.reads('<group groupName="e" NX_class="NXentry"><a>${energy}</a></group>', "mine")
    found = renames.renew(bound("energy"), tree, ())
    assert found.bindings == bound("energy")
    assert not found.remarks


def test_a_start_document_of_then_satisfies_a_profile_of_today(esrf: Group) -> None:
    new = Binding("TOMOAcquisition_proj_n", Source("start", "TOMOAcquisition_proj_n"))
    start = {"uid": "1", "TOMO_projN": 900, "TOMO_refN": 21, "TOMO_ccdMode": "FTM", "energy": 3, "plan_name": "x"}
    older = renames.from_start({new.variable: new}, esrf, start)
    assert older["TOMOAcquisition_proj_n"].source == Source("start", "TOMO_projN")
    assert renames.from_start({new.variable: new}, esrf, {**start, new.variable: 1}) == {}
    assert renames.unbound(start, esrf.variables(), older.values()) == {
        "TOMO_refN": "in the start document, known from release 2.0.0: it is 'TOMOAcquisition_flat_n' now, which no"
        " binding takes from the start document",
        "TOMO_ccdMode": "in the start document, known from release 2.0.0: a mode of CCD cameras (FTM, FFM)",
    }
