import gzip
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from icat_esrf_definitions import DEFINITIONS_FILE

from nexus_callbacks.definitions import esrf_xml, release
from nexus_callbacks.definitions.check import Finding, check, check_file

NEXUS = release.installed()
RELEASES = Path(__file__).parent / "esrf"
ROOT = '<group groupName="${entry}" NX_class="NXentry">'


def found(body: str, beside: str = "") -> list[tuple[str, str, str]]:
    """(severity, kind, what is said) of a definition."""
    tree = esrf_xml.reads(f"{ROOT}\n{body}\n</group>", "mine.xml")
    other = esrf_xml.reads(f"{ROOT}\n{beside}\n</group>", "site.xml") if beside else None
    return [told(finding) for finding in check(tree, NEXUS, other)]


def told(finding: Finding) -> tuple[str, str, str]:
    return finding.severity, finding.kind, str(finding.fault)


def test_the_real_file_has_warnings_and_no_error() -> None:
    findings = check_file(Path(DEFINITIONS_FILE), NEXUS)
    assert {finding.severity for finding in findings} == {"warning"}
    assert Counter(finding.kind for finding in findings) == {
        "field not in its class": 750,
        "group not in its class": 38,
        "variable used twice": 6,
        "deprecated class": 2,
    }
    outside = [finding for finding in findings if finding.kind == "field not in its class"]
    assert sum(finding.fault.message.startswith("NXcollection") for finding in outside) == 335
    assert all(finding.fault.place and finding.fault.place.line for finding in findings)


@pytest.mark.parametrize(
    ("version", "errors"),
    [("1.0.0", {"link to nowhere": 2, "conflict": 1}), ("2.0.0", {"link to nowhere": 2, "conflict": 1}), ("3.0.0", {})],
)
def test_older_releases(version: str, errors: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "hdf5_cfg.xml"
    path.write_bytes(gzip.decompress((RELEASES / f"hdf5_cfg-{version}.xml.gz").read_bytes()))
    findings = check_file(path, NEXUS)
    assert Counter(finding.kind for finding in findings if finding.severity == "error") == errors
    mis_cased = [finding.fault.message for finding in findings if finding.kind == "mis-cased class"]
    assert ("instrument/optics has class NXCollection" in mis_cased) is (version != "3.0.0")


def test_a_class_that_nexus_does_not_have_is_an_error_with_the_nearest_one() -> None:
    body = (
        '<group groupName="instrument" NX_class="NXinstrument"><group groupName="lens" NX_class="NXraylens"/></group>'
    )
    assert found(body) == [
        (
            "error",
            "unknown class",
            "mine.xml, line 2: instrument/lens has class 'NXraylens', which NeXus v2026.01 does not have (did you mean"
            " 'NXxraylens'?)",
        )
    ]
    ((_, _, text),) = found('<group groupName="c" NX_class="NXcharacterization"/>')
    assert text.endswith("(use NXcollection, which may hold anything)")


def test_a_mis_cased_class_is_taken_for_what_it_means() -> None:
    body = '<group groupName="sample" NX_class="NXSample"><name>${n}</name><nick>${k}</nick></group>'
    kinds = found(body)
    assert kinds[0] == ("warning", "mis-cased class", "mine.xml, line 2: sample has class NXSample (write NXsample)")
    assert [kind for _, kind, _ in kinds[1:]] == ["field not in its class"], "its name is NXsample's, its nick is not"


def test_deprecated_classes_and_fields() -> None:
    body = """<group groupName="control" NX_class="NXmonitor"><distance units="m">${d}</distance></group>
        <group groupName="instrument" NX_class="NXinstrument"><group groupName="beam_stop" NX_class="NXbeam_stop">
        <group groupName="geometry" NX_class="NXgeometry"/></group></group>"""
    assert found(body) == [
        (
            "warning",
            "deprecated field",
            "mine.xml, line 2: control/distance is deprecated in NXmonitor (Use transformations/distance instead)",
        ),
        (
            "warning",
            "deprecated class",
            "mine.xml, line 4: instrument/beam_stop/geometry is an NXgeometry, which is deprecated (as decided at 2014"
            " NIAC meeting, convert to use NXtransformations)",
        ),
    ]


def test_units_that_nobody_knows_are_errors_and_those_of_another_kind_warnings() -> None:
    body = """<group groupName="sample" NX_class="NXsample">
        <distance units="furlongz">${a}</distance>
        <thickness units="keV">${b}</thickness>
        <temperature units="°C">${c}</temperature>
        <rotation_angle units="μm">${d}</rotation_angle></group>
        <group groupName="instrument" NX_class="NXinstrument"><group groupName="beam" NX_class="NXbeam">
        <incident_wavelength units="Å">${e}</incident_wavelength><flux units="photons/s">${f}</flux></group></group>"""
    assert [each for each in found(body) if "unit" in each[1]] == [
        (
            "error",
            "unknown unit",
            "mine.xml, line 3: sample/distance has the unit 'furlongz', which is not known (write a unit as UDUNITS or"
            " pint name it, such as mm, keV, 1/s)",
        ),
        (
            "warning",
            "unit of another kind",
            "mine.xml, line 4: sample/thickness has the unit 'keV', which is not of NX_LENGTH (give a unit such as m)",
        ),
        (
            "warning",
            "unit of another kind",
            "mine.xml, line 6: sample/rotation_angle has the unit 'μm', which is not of NX_ANGLE (give a unit such as"
            " deg)",
        ),
    ]


def test_links_have_to_lead_somewhere() -> None:
    body = """<group groupName="instrument" NX_class="NXinstrument">
        <group groupName="detector" NX_class="NXdetector"><distance>${d}</distance></group></group>
        <group groupName="data" NX_class="NXdata"><link groupName="a" ref="/instrument/detector/distance"/>
        <link groupName="b" ref="/detector/distance"/>
        <link groupName="c" ref="/sample/name"/>
        <link groupName="d" ref="/data/e/distance"/><link groupName="e" ref="/instrument/detector"/></group>"""
    nowhere = [
        "mine.xml, line 5: the link data/b leads to /detector/distance, where nothing is (did you mean"
        " /instrument/detector/distance?)",
        "mine.xml, line 6: the link data/c leads to /sample/name, where nothing is (link to a path of this"
        " definition, or name the one it will be merged with: --beside esrf)",
    ]
    assert [text for _, kind, text in found(body) if kind == "link to nowhere"] == nowhere
    beside = '<group groupName="sample" NX_class="NXsample"><name>${n}</name></group>'
    assert [text for _, kind, text in found(body, beside) if kind == "link to nowhere"] == nowhere[:1]


def test_siblings_of_one_name_are_doubtful_and_wrong_if_they_conflict() -> None:
    twice = '<group groupName="sample" NX_class="NXsample"><name>${n}</name></group>\n'
    assert found(twice + twice) == [
        (
            "warning",
            "duplicate sibling",
            "mine.xml, line 3: sample stands here again, after line 2 (write the two as one)",
        )
    ]
    assert [each[:2] for each in found("<title>${a}</title>\n<title>${b}</title>")] == [("error", "conflict")]
    ((severity, kind, text),) = found("<title>${a}</title>", beside="<title>${b}</title>")
    assert (severity, kind) == ("error", "conflict")
    assert "site.xml, line 2" in text


def test_a_variable_in_two_places_is_doubtful() -> None:
    ((severity, kind, text),) = found("<title>${a}</title>\n<run_cycle>${a}</run_cycle>")
    assert (severity, kind) == ("warning", "variable used twice")
    assert text == "mine.xml, line 3: ${a} fills run_cycle and title (line 2) (link the one to the other)"


def test_what_the_application_definition_says_is_known() -> None:
    field = '<group groupName="sample" NX_class="NXsample"><x_translation units="m">${x}</x_translation></group>'
    detector = """<group groupName="instrument" NX_class="NXinstrument">
        <group groupName="detector" NX_class="NXdetector">
        <x_rotation_axis_pixel_position>1</x_rotation_axis_pixel_position></group></group>"""
    assert "field not in its class" in [kind for _, kind, _ in found(field + detector)]
    assert found(f"<definition>NXtomo</definition>{field}{detector}") == []


def test_all_is_told_at_once_even_of_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "faulty.xml"
    path.write_text(f"""{ROOT}
        <title unit="mm">${{a}}</title>
        <group groupName="lens" NX_class="NXraylens"/>
        <group groupName="../b" NX_class="sample"/>
        <link groupName="c" ref="/nothing/here"/>
        <group groupName="sample" NX_class="NXsample"><distance units="parsnip">${{d}}</distance></group>
    </group>""")
    findings = check_file(path, NEXUS)
    errors = [each for each in findings if each.severity == "error"]
    assert [(each.kind, each.fault.place and each.fault.place.line) for each in errors] == [
        ("malformed", 2),
        ("unknown class", 3),
        ("malformed", 4),
        ("malformed", 4),
        ("link to nowhere", 5),
        ("unknown unit", 6),
    ]


def test_links_in_a_circle_and_broken_xml_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "faulty.xml"
    path.write_text(f'{ROOT}<link groupName="a" ref="/b"/>\n<link groupName="b" ref="/a"/></group>')
    assert [(each.kind, each.fault.message) for each in check_file(path, NEXUS)] == [
        ("cyclic link", "links in a circle: /a → /b → /a")
    ]
    beside = esrf_xml.reads(f'{ROOT}<link groupName="b" ref="/a"/></group>', "site.xml")
    path.write_text(f'{ROOT}<link groupName="a" ref="/b"/></group>')
    assert [each.kind for each in check_file(path, NEXUS, beside)] == ["cyclic link"]
    path.write_text(ROOT)
    ((severity, kind, _),) = map(told, check_file(path, NEXUS))
    assert (severity, kind) == ("error", "malformed")
    ((_, _, text),) = map(told, check_file(tmp_path / "none.xml", NEXUS))
    assert "cannot be read: No such file" in text


words = st.sampled_from(
    ["", "a", "b", "../c", "${a}", "${b", "NXsample", "NXnote", "NXSample", "NX", "x", "mm", "/a/b", "/"]
)
keys = st.sampled_from(["groupName", "NX_class", "ref", "units", "NAPItype", "name", "record", "ESRF_mandatory"])
tags = st.sampled_from(["group", "link", "attribute", "a", "b", "definition"])


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    given_ = st.dictionaries(keys, words, max_size=4).map(lambda d: "".join(f' {k}="{v}"' for k, v in d.items()))
    body = st.lists(inner, max_size=4).map("".join)
    return st.builds(lambda tag, attributes, text: f"<{tag}{attributes}>{text}</{tag}>", tags, given_, body)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.recursive(words, element, max_leaves=15))
def test_whatever_is_wrong_is_a_finding_and_no_crash(tmp_path: Path, body: str) -> None:
    path = tmp_path / "fuzzed.xml"
    path.write_text(f"{ROOT}{body}</group>", encoding="utf-8")
    for finding in check_file(path, NEXUS):
        assert finding.fault.message
        assert finding.fault.place is not None
