import pytest

from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.definitions.definition import Field, Group, merge
from nexus_callbacks.faults import FaultError


def definition(body: str, source: str = "esrf.xml") -> Group:
    return esrf_xml.reads(f'<group groupName="${{entry}}" NX_class="NXentry">\n{body}\n</group>', source)


ESRF = definition("""<title>${datasetName}</title>
<definition>${definition}</definition>
<group groupName="sample" NX_class="NXsample">
<name ESRF_mandatory="Mandatory">${Sample_name}</name>
<distance NAPItype="NX_NUMBER" units="mm" record="final">${Sample_distance}</distance>
</group>
<link groupName="angle" ref="/sample/angle"/>""")


def conflicts(body: str) -> list[str]:
    with pytest.raises(FaultError) as caught:
        merge(ESRF, definition(body, "mine.xml"))
    remedy = " (a definition may add or narrow, not redefine)"
    assert all(str(fault).endswith(remedy) for fault in caught.value.faults)
    return [str(fault).removesuffix(remedy) for fault in caught.value.faults]


def test_nodes_are_added_by_path_and_keep_their_order() -> None:
    mine = definition("""<group groupName="sample" NX_class="NXsample"><angle>${angle}</angle></group>
        <extra>1</extra>""")
    paths = [path for path, _ in merge(ESRF, mine).walk()]
    assert paths == [
        "title",
        "definition",
        "sample",
        "sample/name",
        "sample/distance",
        "sample/angle",
        "angle",
        "extra",
    ]


def test_a_constant_with_attributes_narrows_a_variable() -> None:
    mine = definition('<definition>NXtomo<attribute name="version">v1</attribute></definition>', "mine.xml")
    found = dict(merge(ESRF, mine).fields())["definition"]
    assert (found.text, found.attributes, found.variable) == ("NXtomo", (("version", "v1"),), None)
    assert str(found.place) == "mine.xml, line 2"


def test_a_type_units_and_record_are_narrowed_and_the_rest_is_kept() -> None:
    mine = definition("""<title record="initial" units="1"/>
        <group groupName="sample" NX_class="NXsample"><distance NAPItype="NX_FLOAT"/></group>""")
    fields = dict(merge(ESRF, mine).fields())
    assert fields["sample/distance"] == Field("distance", "${Sample_distance}", "NX_FLOAT", units="mm", record="final")
    assert (fields["title"].record, fields["title"].units, fields["title"].text) == ("initial", "1", "${datasetName}")
    assert fields["sample/name"].mandatory


def test_a_wider_type_does_not_widen() -> None:
    narrow, wide = definition('<a NAPItype="NX_INT">${a}</a>'), definition('<a NAPItype="NX_NUMBER">${a}</a>')
    assert dict(merge(narrow, wide).fields())["a"].nx_type == "NX_INT"


def test_every_conflict_is_told_with_both_places() -> None:
    assert conflicts("""<title>${other}</title>
<group groupName="sample" NX_class="NXcollection">
<name NAPItype="NX_INT">${Sample_name}</name>
<distance NAPItype="NX_NUMBER" units="m" record="initial">${Sample_distance}</distance>
</group>
<link groupName="definition" ref="/title"/>
<link groupName="angle" ref="/sample/other"/>""") == [
        "mine.xml, line 2: /title holds '${other}', but '${datasetName}' at esrf.xml, line 2",
        "mine.xml, line 3: /sample has class NXcollection, but NXsample at esrf.xml, line 4",
        "mine.xml, line 4: /sample/name is NX_INT, but NX_CHAR at esrf.xml, line 5",
        "mine.xml, line 5: /sample/distance has units 'm', but 'mm' at esrf.xml, line 6",
        "mine.xml, line 5: /sample/distance wants the initial reading, but the final one at esrf.xml, line 6",
        "mine.xml, line 7: /definition is a link, but a field at esrf.xml, line 3",
        "mine.xml, line 8: /angle links to '/sample/other', but '/sample/angle' at esrf.xml, line 8",
    ]


def test_a_constant_is_not_redefined_by_another_nor_widened_to_a_variable() -> None:
    constant = definition('<a>1<attribute name="x">1</attribute></a>', "one.xml")
    for text in ("2", "${a}"):
        with pytest.raises(FaultError, match=r"one\.xml, line 2"):
            merge(constant, definition(f"<a>{text}</a>", "two.xml"))
    with pytest.raises(FaultError, match="attribute x = '2', but '1'"):
        merge(constant, definition('<a>1<attribute name="x">2</attribute></a>', "two.xml"))


def test_repeated_siblings_of_one_file_are_joined_or_refused() -> None:
    twice = '<group groupName="a" NX_class="NXnote"><{0}>${{{0}}}</{0}></group>'
    joined = merge(definition(twice.format("b") + twice.format("c")))
    assert [path for path, _ in joined.walk()] == ["a", "a/b", "a/c"]
    with pytest.raises(FaultError, match=r"mine.xml, line 3: /id holds '\$\{b\}', but '\$\{a\}' at mine.xml, line 2"):
        merge(definition("<id>${a}</id>\n<id>${b}</id>", "mine.xml"))


def test_merging_changes_neither_definition() -> None:
    mine = definition("<extra>1</extra>")
    merge(ESRF, mine)
    assert "extra" not in dict(ESRF.fields())
    assert [path for path, _ in mine.walk()] == ["extra"]


def test_merging_with_itself_changes_nothing() -> None:
    assert merge(ESRF, ESRF, ESRF) == merge(ESRF) == ESRF


def test_one_unit_in_two_characters_is_no_conflict() -> None:
    # A keyboard's micro sign is U+00B5, ESRF's 3.8.0 has the letter U+03BC, 3.0.0 had the sign; Å has two as well.
    for one, other in (("\u00b5m", "\u03bcm"), ("\u212b", "\u00c5")):
        first, second = definition(f'<a units="{one}">${{a}}</a>'), definition(f'<a units="{other}">${{a}}</a>')
        assert dict(merge(first, second).fields())["a"].units == one
    with pytest.raises(FaultError, match="has units 'mm'"):
        merge(definition('<a units="\u00b5m">${a}</a>'), definition('<a units="mm">${a}</a>'))
