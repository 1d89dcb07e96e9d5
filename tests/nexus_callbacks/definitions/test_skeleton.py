from pathlib import Path

import pytest
from icat_esrf_definitions import DEFINITIONS_FILE

from nexus_callbacks import units
from nexus_callbacks.definitions import categories, check, esrf_xml, nxdl_xml, release
from nexus_callbacks.definitions.definition import Field, Group, Link, Node, merge
from nexus_callbacks.definitions.skeleton import skeleton
from nexus_callbacks.faults import FaultError

NEXUS = release.installed()
APPLICATIONS = [each.name for each in NEXUS.applications()]


def nodes(name: str, **options: bool) -> dict[str, Node]:
    return dict(skeleton(NEXUS.definition(name), NEXUS, **options).tree.walk())


def mine(body: str) -> list[str]:
    """Remarks on an application definition of one's own."""
    text = f'<definition name="NXmine" category="application" extends="NXobject">{body}</definition>'
    return [fault.message for fault in skeleton(nxdl_xml.reads(text.encode(), "mine"), NEXUS).remarks]


def test_nxtomo_becomes_what_a_beamline_has_to_bind() -> None:
    found = skeleton(NEXUS.definition("NXtomo"), NEXUS)
    assert found.remarks == ()
    assert set(found.tree.variables()) == {
        "detector_data",
        "detector_image_key",
        "sample_name",
        "sample_rotation_angle",
    }
    by_path = dict(found.tree.walk())
    assert by_path["definition"] == Field(
        "definition",
        "NXtomo",
        description="Official NeXus NXDL schema to which this file conforms",
        attributes=(("version", "v2026.01"),),
    )
    angle = by_path["sample/rotation_angle"]
    assert isinstance(angle, Field)
    assert (angle.units, angle.nx_type, angle.mandatory) == ("deg", "NX_FLOAT", True)
    assert angle.description.endswith("Shape (nFrames).")
    assert by_path["data/image_key"] == Link("image_key", "/instrument/detector/image_key")
    assert dict(found.tree.attributes) == {"definition": "NXtomo", "default": "data"}
    data = by_path["data"]
    assert isinstance(data, Group)
    assert dict(data.attributes) == {"signal": "data", "axes": "rotation_angle . .", "rotation_angle_indices": "0"}


def test_more_of_it_on_demand() -> None:
    required, recommended, optional = (
        set(nodes("NXmx", **options)) for options in ({}, {"recommended": True}, {"optional": True})
    )
    assert required < recommended < optional
    assert "start_time" in required
    assert "instrument/detector/bit_depth_readout" in recommended - required
    assert "instrument/attenuator/attenuator_transmission" in optional - recommended
    inside = nodes("NXmx", optional=True)["instrument/detector_group/group_names"]
    assert isinstance(inside, Field)
    assert not inside.mandatory, "required where its group is, and the group is not"


def test_what_a_link_leads_to_comes_with_it() -> None:
    names = nodes("NXxrot")
    link = names["name/rotation_angle"] if "name/rotation_angle" in names else names["data/rotation_angle"]
    assert isinstance(link, Link)
    assert link.target.strip("/") in names


def test_esrfs_variables_are_used_where_the_path_is_esrfs() -> None:
    esrf = esrf_xml.read(DEFINITIONS_FILE)
    found = skeleton(NEXUS.definition("NXsas"), NEXUS, optional=True, beside=esrf)
    by_path = dict(found.tree.fields())
    assert by_path["title"].variable == "datasetName"
    assert (by_path["instrument/monochromator/wavelength"].units, by_path["sample/name"].variable) == (
        "Å",
        "Sample_name",
    )
    assert by_path["instrument/detector/distance"].variable == "detector_distance"
    merged = dict(merge(esrf, found.tree).fields())
    assert merged["definition"].text == "NXsas"


def test_what_cannot_merge_is_told() -> None:
    esrf = esrf_xml.read(DEFINITIONS_FILE)
    (remark,) = skeleton(NEXUS.definition("NXtas"), NEXUS, beside=esrf).remarks
    assert remark.message == (
        "instrument/monochromator has class NXmonochromator in the other definition: the two cannot be merged"
    )
    assert remark.place is not None
    assert remark.place.source.endswith("NXtas.nxdl.xml")


def test_what_nxdl_leaves_open_is_told() -> None:
    entry = '<group type="NXentry">{}</group>'
    assert mine(entry.format('<link name="a" target="/NXentry/NXnote/text"/>')) == [
        "the link a was left out: it leads to what NXDL does not define, /NXentry/NXnote/text"
    ]
    assert mine(entry.format('<link name="a" target="/NXentry"/>')) == [
        "the link a was left out: it leads to a group that holds it, /NXentry"
    ]
    assert mine(entry.format('<field name="a" type="NX_COMPLEX"/>')) == [
        "a is NX_COMPLEX, which ESRF's dialect does not have: NX_NUMBER was taken"
    ]
    assert mine(entry.format('<field name="a"><attribute name="b"/><attribute name="c"/></field>')) == [
        "a wants @b, @c: add what has one value for ever"
    ]
    choice = '<choice name="a"><group type="NXnote"/><group type="NXdata"/></choice>'
    assert mine(entry.format(choice)) == ["a may be of several classes: NXnote was taken"]


def test_links_in_a_circle_are_refused() -> None:
    with pytest.raises(FaultError, match="links in a circle: /a → /b → /a"):
        mine('<group type="NXentry"><link name="a" target="/NXentry/b"/><link name="b" target="/NXentry/a"/></group>')


def test_groups_without_a_name_get_one_each() -> None:
    text = """<definition name="NXmine" category="application" extends="NXobject"><group type="NXentry">
        <field name="slit"/><group type="NXslit"><field name="x"/></group>
        <group type="NXslit"><field name="x"/></group><group type="NXnote" name="noteTEXT" nameType="partial"/>
        <group type="NXnote" name="slit_3"/>
    </group></definition>"""
    found = skeleton(nxdl_xml.reads(text.encode(), "mine"), NEXUS).tree
    assert [node.name for node in found.children] == ["slit", "slit_2", "slit_4", "note", "slit_3"]
    assert set(found.variables()) == {"slit", "slit_2_x", "slit_4_x"}


def test_a_base_class_is_no_entry() -> None:
    with pytest.raises(FaultError, match=r"NXdetector is a base class: .* \(name an application definition"):
        skeleton(NEXUS.definition("NXdetector"), NEXUS)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_application_definition_becomes_a_definition_that_check_accepts(name: str, tmp_path: Path) -> None:
    for options in ({}, {"optional": True}):
        made = skeleton(NEXUS.definition(name), NEXUS, **options).tree
        path = tmp_path / f"{name}.xml"
        path.write_text(esrf_xml.write(made), encoding="utf-8")
        assert esrf_xml.read(path) == made
        findings = check.check_file(path, NEXUS)
        assert [str(each.fault) for each in findings if each.severity == "error"] == []
        outside = [each for each in findings if each.kind in ("field not in its class", "unit of another kind")]
        assert outside == [], "what NeXus says is known to NeXus"
        constants = {path: field.text for path, field in made.fields() if field.variable is None}
        assert constants["definition"] == name
        assert all(field.variable is None or field.text for _, field in made.fields())


def test_every_category_has_units_that_are_of_it() -> None:
    for category in categories.KINDS:
        unit = categories.usual(category)
        assert unit is not None
        assert units.known(unit)
        assert not categories.wrong(unit, category)
    used = {
        node.units
        for name in NEXUS.names()
        for _, node in NEXUS.definition(name).walk()
        if hasattr(node, "units") and node.units.startswith("NX_")
    }
    without = {category for category in used if categories.usual(category) is None}
    assert without == {"NX_ANY", "NX_COUNT", "NX_DIMENSIONLESS", "NX_PULSES", "NX_TRANSFORMATION", "NX_UNITLESS"}
