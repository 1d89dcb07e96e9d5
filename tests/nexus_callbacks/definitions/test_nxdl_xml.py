import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nexus_callbacks.definitions import nxdl, nxdl_xml, release, safe_xml
from nexus_callbacks.definitions.nxdl import Attribute, Choice, Dimension, Enumeration, Field, Group, Link, Shape
from nexus_callbacks.definitions.skeleton import skeleton
from nexus_callbacks.faults import FaultError

XMLNS = 'xmlns="http://definition.nexusformat.org/nxdl/3.1"'
FOLDER = release.installed().folder
TOMO = (FOLDER / "applications" / "NXtomo.nxdl.xml").read_bytes()


def read(body: str, category: str = "application") -> nxdl.Definition:
    text = f'<definition {XMLNS} name="NXmine" category="{category}" extends="NXobject">\n{body}\n</definition>'
    return nxdl_xml.reads(text.encode(), "mine.nxdl.xml")


def faults(data: bytes) -> list[str]:
    with pytest.raises(FaultError) as caught:
        nxdl_xml.reads(data, "mine.nxdl.xml")
    return [str(fault) for fault in caught.value.faults]


def test_every_shipped_file_is_read() -> None:
    paths = sorted(FOLDER.glob("*/*.nxdl.xml"))
    read_files = [nxdl_xml.read(path) for path in paths]
    assert [f"{each.name}.nxdl.xml" for each in read_files] == [path.name for path in paths]
    of_folder = {name: len(list((FOLDER / name).glob("*.nxdl.xml"))) for name in ("base_classes", "applications")}
    assert of_folder == {"base_classes": 142, "applications": 45}
    assert len(paths) == 280
    nodes = [node for each in read_files for _, node in each.walk()]
    counts = tuple(sum(isinstance(node, kind) for node in nodes) for kind in (Field, Group, Link, Choice))
    assert counts == (5055, 1939, 75, 2)
    assert sum(isinstance(node, Field) and node.enumeration is not None for node in nodes) == 417


def test_what_nxtomo_says_of_its_frames() -> None:
    tomo = nxdl_xml.reads(TOMO, "NXtomo.nxdl.xml")
    assert (tomo.category, tomo.extends) == ("application", "NXobject")
    assert tomo.symbols[0] == ("nFrames", "Number of frames")
    nodes = dict(tomo.walk())
    data = nodes["NXentry/instrument/detector/data"]
    assert isinstance(data, Field)
    assert (data.presence, data.nx_type, data.signal) == ("required", "NX_INT", 1)
    assert data.shape == Shape("3", (Dimension(1, "nFrames"), Dimension(2, "xSize"), Dimension(3, "ySize")))
    probe = nodes["NXentry/instrument/NXsource/probe"]
    assert isinstance(probe, Field)
    assert probe.presence == "optional"
    assert probe.enumeration == Enumeration(("neutron", "x-ray", "electron"))
    link = nodes["NXentry/data/image_key"]
    assert isinstance(link, Link)
    assert link.target == "/NXentry/NXinstrument/detector:NXdetector/image_key"


def test_nxdetector_offers_a_choice() -> None:
    detector = nxdl_xml.read(FOLDER / "base_classes" / "NXdetector.nxdl.xml")
    shape = next(node for node in detector.children if isinstance(node, Choice) and node.name == "pixel_shape")
    assert [(each.name, each.nx_class) for each in shape.options] == [
        ("pixel_shape", "NXoff_geometry"),
        ("pixel_shape", "NXcylindrical_geometry"),
    ]


@pytest.mark.parametrize(
    ("given", "application", "base"),
    [
        ("", "required", "optional"),
        ('minOccurs="0"', "optional", "optional"),
        ('minOccurs="1"', "required", "required"),
        ('optional="true"', "optional", "optional"),
        ('optional="false"', "required", "required"),
        ('recommended="true"', "recommended", "recommended"),
        ('recommended="true" minOccurs="0"', "recommended", "recommended"),
    ],
)
def test_what_has_to_be_there(given: str, application: str, base: str) -> None:
    for category, presence in (("application", application), ("base", base)):
        (field,) = read(f'<field name="a" {given}/>', category).children
        (group,) = read(f'<group type="NXnote" {given}/>', category).children
        assert isinstance(field, Field)
        assert isinstance(group, Group)
        assert (field.presence, group.presence) == (presence, presence)


def test_names_may_be_fixed_patterns_or_anything() -> None:
    tree = read("""
        <group type="NXnote"/>
        <group type="NXnote" name="note"/>
        <group type="NXnote" name="noteTEXT" nameType="partial"/>
        <field name="DATA" nameType="any"/>
    """)
    assert [node.name_type for node in tree.children if not isinstance(node, Link | Choice)] == [
        "any",
        "specified",
        "partial",
        "any",
    ]
    assert nxdl.fits("note_of_today", "noteTEXT", "partial")
    assert nxdl.fits("note", "noteTEXT", "partial")
    assert not nxdl.fits("Note", "noteTEXT", "partial")


def test_attributes_enumerations_and_deprecations() -> None:
    (field,) = read("""
        <field name="shape" units="NX_LENGTH" deprecated="Use that." maxOccurs="unbounded">
          <enumeration open="true"><item value="box"/><item value="ball"><doc>Round.</doc></item></enumeration>
          <attribute name="axes" type="NX_INT" optional="true" deprecated="no"/>
          <dimensions rank="dataRank"><dim index="2" ref="b" required="false"/><dim index="1" value="n"/></dimensions>
        </field>
    """).children
    assert field == Field(
        "shape",
        "required",
        units="NX_LENGTH",
        max_occurs=None,
        shape=Shape("dataRank", (Dimension(1, "n"), Dimension(2, "", "b", False))),
        enumeration=Enumeration(("box", "ball"), open=True),
        attributes=(Attribute("axes", "optional", nx_type="NX_INT", deprecated="no"),),
        deprecated="Use that.",
    )


def test_every_fault_is_told_with_its_line() -> None:
    body = """
        <group/>
        <group type="sample"/>
        <field/>
        <field name="a b"/>
        <field name="c" minOccurs="two"/>
        <field name="d" optional="perhaps"/>
        <field name="e" nameType="none"/>
        <link name="f"/>
        <choice name="g"/>
    """
    text = f'<definition {XMLNS} name="NXmine" category="facility">{body}</definition>'
    assert faults(text.encode()) == [
        "mine.nxdl.xml, line 1: category='facility' is not known (use one of base, application)",
        "mine.nxdl.xml, line 2: <group> lacks type",
        "mine.nxdl.xml, line 3: 'sample' is not a NeXus class",
        "mine.nxdl.xml, line 4: <field> lacks name",
        "mine.nxdl.xml, line 5: 'a b' is not a NeXus name",
        "mine.nxdl.xml, line 6: minOccurs='two' is no whole number",
        "mine.nxdl.xml, line 7: optional='perhaps' is neither true nor false",
        "mine.nxdl.xml, line 8: nameType='none' is not known (use one of specified, partial, any)",
        "mine.nxdl.xml, line 9: <link> lacks a target",
        "mine.nxdl.xml, line 10: the choice 'g' is one of nothing (give it groups)",
    ]


def test_what_is_no_nxdl_is_refused(tmp_path: Path) -> None:
    (told,) = faults(b'<group groupName="a" NX_class="NXentry"/>')
    assert told.startswith("mine.nxdl.xml, line 1: the root is <group>, expected <definition> of http://")
    assert faults(b"") == ["mine.nxdl.xml, line 1: not well-formed XML: no element found: line 1, column 0"]
    with pytest.raises(FaultError, match="cannot be read"):
        nxdl_xml.read(tmp_path / "none.nxdl.xml")
    assert not nxdl_xml.is_nxdl(tmp_path / "none.nxdl.xml")
    with pytest.raises(FaultError, match="cannot be read"):
        nxdl_xml.read(Path("a\0b"))


DECLARATIONS = [
    '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
    '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd">',
    '<!DOCTYPE d [<!ENTITY % p SYSTEM "file:///etc/hosts"> %p;]>',
]


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_entities_are_refused(declaration: str) -> None:
    data = TOMO.replace(b"<definition", declaration.encode() + b"<definition", 1)
    (told,) = faults(data)
    assert "a document type or entity declaration is not allowed" in told


def test_depth_size_and_number_are_bounded() -> None:
    root = f'<definition {XMLNS} name="NXmine" category="base">'
    deep = '<group type="NXnote">' * 10_000
    assert faults(f"{root}{deep}".encode()) == ["mine.nxdl.xml, line 1: more than 100 elements inside one another"]
    huge = root.encode() + b" " * 100_000_000 + b"</definition>"
    assert faults(huge) == ["mine.nxdl.xml: larger than 20 MB"]
    crowded = " ".join(f"a{i}='1'" for i in range(safe_xml.MAX_ATTRIBUTES + 1))
    with pytest.raises(FaultError, match=f"more than {safe_xml.MAX_ATTRIBUTES} attributes"):
        nxdl_xml.reads(f"{root}<field {crowded}/></definition>", "mine")
    many = f"{root}{'<doc/>' * safe_xml.MAX_ELEMENTS}</definition>"
    assert faults(many.encode()) == ["mine.nxdl.xml, line 1: more than 100000 elements"]
    wrong = root + "\n<field/>" * 5000 + "</definition>"
    told = faults(wrong.encode())
    assert len(told) == nxdl_xml.MAX_FAULTS + 1
    assert told[-1] == "mine.nxdl.xml, line 1001: too many faults; the rest was not read"


def test_a_file_of_100_mb_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "huge.nxdl.xml").open("wb") as file:
        file.truncate(100_000_000)
    assert len(safe_xml.read(tmp_path / "huge.nxdl.xml")) == safe_xml.MAX_BYTES + 1


def read_or_refused(data: bytes) -> None:
    """Nothing but a FaultError may come out, and what is read is sound."""
    try:
        found = nxdl_xml.reads(data, "fuzzed.nxdl.xml")
    except FaultError:
        return
    assert found.name.startswith("NX")
    assert all(node.name or isinstance(node, Group) for _, node in found.walk())


@given(st.binary(max_size=200))
@example(b'<?xml version="1.0" encoding="klingon"?><definition/>')
@example(b"\xff\xfe<\x00a\x00/\x00>\x00")
def test_no_bytes_do_harm(data: bytes) -> None:
    read_or_refused(data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(TOMO) - 1), st.integers(0, 12), st.binary(max_size=12)), min_size=1, max_size=6
    )
)
def test_a_mutated_file_is_read_or_refused(changes: list[tuple[int, int, bytes]]) -> None:
    data = TOMO
    for at, length, inserted in changes:
        data = data[:at] + inserted + data[at + length :]
    read_or_refused(data)


words = st.sampled_from(
    ["", "NXnote", "NX_INT", "a", "A_b", "0", "1", "-1", "unbounded", "true", "9" * 400, "²", "${x}"]
)
KEYS = """name type minOccurs maxOccurs optional recommended nameType units axis signal index value ref required rank
open target extends category deprecated"""
keys = st.sampled_from(KEYS.split())
tags = st.sampled_from(
    ["group", "field", "link", "choice", "attribute", "enumeration", "item", "dimensions", "dim", "doc", "symbols", "x"]
)


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    given_ = st.dictionaries(keys, words, max_size=4).map(lambda d: "".join(f' {k}="{v}"' for k, v in d.items()))
    body = st.lists(inner, max_size=4).map("".join)
    return st.builds(lambda tag, attributes, text: f"<{tag}{attributes}>{text}</{tag}>", tags, given_, body)


@given(st.recursive(st.just("text"), element, max_leaves=12), st.booleans())
def test_elements_in_any_order_are_read_or_refused(body: str, application: bool) -> None:
    category = "application" if application else "base"
    entry = f'<definition {XMLNS} name="NXmine" category="{category}"><group type="NXentry">{body}</group></definition>'
    with contextlib.suppress(FaultError):
        skeleton(nxdl_xml.reads(entry.encode(), "fuzzed.nxdl.xml"), release.installed(), optional=True)
    read_or_refused(f'<definition {XMLNS} name="NXmine" category="{category}">{body}</definition>'.encode())
