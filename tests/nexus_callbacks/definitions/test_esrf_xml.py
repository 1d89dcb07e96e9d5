from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from icat_esrf_definitions import DEFINITIONS_FILE

from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.definitions.definition import Field, Group, Link
from nexus_callbacks.definitions.links import circles
from nexus_callbacks.faults import FaultError, Place

ROOT = '<group groupName="${entry}" NX_class="NXentry">'


def read(body: str) -> Group:
    return esrf_xml.reads(f"{ROOT}\n{body}\n</group>", "mine.xml")


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(FaultError) as caught:
        esrf_xml.reads(text, "mine.xml")
    return [str(fault) for fault in caught.value.faults]


def test_the_real_file_is_read_whole() -> None:
    tree = esrf_xml.read(DEFINITIONS_FILE)
    groups = [node for _, node in tree.walk() if isinstance(node, Group)]
    assert (len(groups) + 1, len(list(tree.fields())), len(tree.variables())) == (153, 1267, 1261)
    by_path = dict(tree.fields())
    assert by_path["instrument/monochromator/energy"].units == "keV"
    assert "saxs_definition.version" in tree.variables()
    assert sum(field.mandatory for _, field in tree.fields()) == 6
    assert sum(field.record == "final" for _, field in tree.fields()) == 194
    assert sum(bool(field.deprecated) for _, field in tree.fields()) == 25
    assert sum(field.units is not None for _, field in tree.fields()) == 351


def test_the_real_file_survives_writing() -> None:
    tree = esrf_xml.read(DEFINITIONS_FILE)
    assert esrf_xml.reads(esrf_xml.write(tree), "again") == tree


def test_every_node_knows_its_line() -> None:
    tree = read('<title>${t}</title>\n<group groupName="sample" NX_class="NXsample">\n<name>${n}</name>\n</group>')
    assert [node.place for _, node in tree.walk()] == [Place("mine.xml", line) for line in (2, 3, 4)]


def test_attributes_links_and_comments() -> None:
    tree = read("""
        <!-- as tomography programs want it -->
        <attribute name="default">data</attribute>
        <definition NAPItype="NX_CHAR"> NXtomo <attribute name="version">v2026.01</attribute></definition>
        <link groupName="angle" ref="/sample/rotation_angle"/>
    """)
    assert tree.attributes == (("default", "data"),)
    assert tree.children == (
        Field("definition", "NXtomo", attributes=(("version", "v2026.01"),)),
        Link("angle", "/sample/rotation_angle"),
    )


def test_older_spellings_are_read() -> None:
    tree = read("""
        <duration NAPitype="NX_FLOAT64" NX_units="s">${d}</duration>
        <count NAPItype="NX_INT32" units="">${c}</count>
        <group groupName="mrt" NX_class="NXCollection"/>
    """)
    duration, count, mrt = tree.children
    assert isinstance(duration, Field)
    assert (duration.nx_type, duration.units) == ("NX_FLOAT", "s")
    assert isinstance(count, Field)
    assert (count.nx_type, count.units) == ("NX_INT", None)
    assert isinstance(mrt, Group)
    assert mrt.nx_class == "NXcollection"


def test_repeated_siblings_stay_as_they_stand() -> None:
    # The parcel of icat-esrf-definitions 1.0.0 has two fields 'id' with different variables.
    tree = read("<id>${a}</id><id>${b}</id>")
    assert [field.variable for _, field in tree.fields()] == ["a", "b"]


def test_what_a_later_release_may_add_is_no_fault() -> None:
    assert read('<a ESRF_origin="x" xmlns:y="urn:z">${a}</a>').children == (Field("a", "${a}"),)


def test_all_faults_are_told_at_once_with_their_lines() -> None:
    body = """
        <group NX_class="NXsample"/>
        <group groupName="b" NX_class="sample"/>
        <c NAPItype="NX_COMPLEX">${c}</c>
        <d record="middle">${d}</d>
        <e unit="mm">${e}</e>
        <f>${f} ${g}</f>
        <group groupName="../h" NX_class="NXnote"/>
        <link groupName="i"/>
        <link groupName="j" ref="/../j"/>
        <k><l/></k>
        <m><attribute name="n">${n}</attribute></m>
        <group groupName="${o}" NX_class="NXnote">text</group>
        <p><attribute name="q">1</attribute><attribute name="q">2</attribute></p>
    """
    told = faults(f"{ROOT}{body}</group>")
    assert told == [
        "mine.xml, line 2: <group> lacks groupName",
        "mine.xml, line 3: 'sample' is not a NeXus class (name a class such as NXcollection)",
        "mine.xml, line 4: unknown NAPItype 'NX_COMPLEX' (use one of NX_CHAR, NX_NUMBER, NX_FLOAT, NX_INT, NX_BOOLEAN,"
        " NX_DATE_TIME)",
        "mine.xml, line 5: unknown record 'middle' (use initial or final)",
        "mine.xml, line 6: <e> has an unknown attribute 'unit' (did you mean 'units'?)",
        "mine.xml, line 7: '${f} ${g}' is neither one variable nor a constant",
        "mine.xml, line 8: '../h' is not a NeXus name (use letters, digits, '_' and, inside, '.')",
        "mine.xml, line 9: <link> lacks ref",
        "mine.xml, line 10: '/../j' is not a path within the entry (write /group/field)",
        "mine.xml, line 11: <l> cannot stand inside <k>",
        "mine.xml, line 12: attribute 'n' holds a variable (give a constant)",
        "mine.xml, line 13: text 'text' directly in a group",
        "mine.xml, line 13: '${o}' is not a NeXus name (use letters, digits, '_' and, inside, '.')",
        "mine.xml, line 14: attribute 'q' is given twice",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "mine.xml, line 1: not well-formed XML: no element found: line 1, column 0"),
        (
            f"{ROOT}\n<a>\n</group>",
            "mine.xml, line 3: not well-formed XML: mismatched tag: line 3, column 2; "
            "</group> stands where <a> of line 2 is to be closed",
        ),
        (
            f"{ROOT}\n<a>\n",
            "mine.xml, line 3: not well-formed XML: no element found: line 3, column 0; <a> of line 2 is not closed",
        ),
        ("<definition/>", "mine.xml, line 1: the root is <definition>, expected <group>"),
        (
            '<group groupName="a" NX_class="NXsample"/>',
            "mine.xml, line 1: the root has class 'NXsample', expected NXentry",
        ),
        (b"\xff\xfe\x00", "mine.xml, line 1: not well-formed XML: 'utf-16-le' codec can't decode byte 0x00"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "mine.xml, line 1: its encoding cannot be read: "),
        (f"{ROOT}\ud800</group>", "mine.xml, line 1: not well-formed XML: not well-formed (invalid token)"),
        (f"{ROOT}&who;</group>", "mine.xml, line 1: not well-formed XML: undefined entity"),
    ],
)
def test_what_is_no_definition_is_refused_with_its_line(text: str | bytes, fault: str) -> None:
    (told,) = faults(text)
    assert told.startswith(fault)


BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [
 <!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<group groupName="${entry}" NX_class="NXentry"><title>&c;</title></group>"""


@pytest.mark.parametrize(
    "text",
    [
        BILLION_LAUGHS,
        '<?xml version="1.0"?>\n<!DOCTYPE g [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n' + ROOT + "&x;</group>",
        '<?xml version="1.0"?>\n<!DOCTYPE g SYSTEM "http://127.0.0.1:9/x.dtd">\n' + ROOT + "</group>",
        '<?xml version="1.0"?>\n<!DOCTYPE g [<!ENTITY % p SYSTEM "file:///etc/hosts"> %p;]>\n' + ROOT + "</group>",
    ],
)
def test_entities_are_refused(text: str) -> None:
    expected = "mine.xml, line 2: a document type or entity declaration is not allowed"
    assert faults(text) == [f"{expected} (remove the declaration and what uses it)"]


def test_depth_and_size_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = '<group groupName="a" NX_class="NXnote">' * 10_000
    remedy = " (put the inner groups further out)"
    assert faults(f"{ROOT}{deep}") == ["mine.xml, line 1: more than 100 elements inside one another" + remedy]
    remedy = " (name a definition, which has some 100 kB, or split it in several)"
    for text in (ROOT + " " * esrf_xml.MAX_BYTES, (ROOT + " " * 100_000_000).encode("utf-16")):
        assert faults(text) == ["mine.xml: larger than 20 MB" + remedy]
    monkeypatch.setattr("nexus_callbacks.definitions.esrf_reader.MAX_NODES", 3)
    remedy = " (split it: a profile may name several definitions)"
    assert faults(f"{ROOT}\n<a/><b/>\n<c/></group>") == ["mine.xml, line 3: more than 3 elements" + remedy]


def test_a_file_of_100_mb_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(FaultError, match=r"large\.xml: larger than 20 MB"):
        esrf_xml.read(path)


def test_one_attribute_in_two_spellings_is_a_fault() -> None:
    (told,) = faults(f'{ROOT}<a units="mm" NX_units="m">${{a}}</a></group>')
    assert told == "mine.xml, line 1: <a> has one attribute in two spellings (keep one of them)"


@pytest.mark.parametrize(
    ("body", "circle", "line"),
    [
        ('<link groupName="a" ref="/b"/>\n<link groupName="b" ref="/a"/>', "/a → /b → /a", 3),
        ('<link groupName="a" ref="a"/>', "/a → /a", 2),
        ('<link groupName="a" ref="/a/b"/>', " → ".join("/a" + "/b" * n for n in range(8)) + " …", 2),
        ('<group groupName="g" NX_class="NXdata">\n<link groupName="a" ref="/g"/></group>', "/g/a → /g → /g/a", 3),
        (
            '<group groupName="g" NX_class="NXdata"><link groupName="a" ref="/h"/></group>\n'
            '<group groupName="h" NX_class="NXdata"><link groupName="b" ref="/g"/></group>',
            "/g/a → /h → /h/b → /g → /g/a",
            3,
        ),
    ],
)
def test_links_in_a_circle_are_refused(body: str, circle: str, line: int) -> None:
    (told,) = faults(f"{ROOT}\n{body}\n</group>")
    remedy = "link to a field, or to a group that holds no such link"
    assert told == f"mine.xml, line {line}: links in a circle: {circle} ({remedy})"


def test_a_link_by_way_of_another_that_ends_is_no_circle() -> None:
    tree = read("""<group groupName="d" NX_class="NXdata"><c>1</c><link groupName="x" ref="/b/c"/></group>
        <link groupName="b" ref="/d"/>""")
    assert sum(isinstance(node, Link) for _, node in tree.walk()) == 2


def test_a_file_of_nothing_but_faults_is_not_read_to_its_end() -> None:
    told = faults(ROOT + "\n<a record='x'/>" * 5000 + "</group>")
    assert len(told) == esrf_xml.MAX_FAULTS + 1
    assert told[-1] == "mine.xml, line 1002: too many faults; the rest was not read"


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match=r"none\.xml: cannot be read: No such file"):
        esrf_xml.read(tmp_path / "none.xml")


def test_what_xml_cannot_say_is_not_written() -> None:
    tree = Group("${entry}", "NXentry", (Field("2theta", "1"), Field("link", "1"), Field("a", "\0")))
    with pytest.raises(FaultError) as caught:
        esrf_xml.write(tree)
    assert [fault.message for fault in caught.value.faults] == [
        "a field cannot be called '2theta' in ESRF's XML",
        "a field cannot be called 'link' in ESRF's XML",
        "'a' holds a character that XML does not allow",
    ]


# Any text that XML can hold; the reader strips it and a dollar would begin a variable.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="$\ufffe\uffff"))
plain = (texts | st.sampled_from(["a\nb", "a\tb", "a\rb", "]]>", "<&>\"'", "--"])).map(str.strip)
names = st.from_regex(r"[A-Za-z_]([A-Za-z0-9_.]{0,8}[A-Za-z0-9_])?", fullmatch=True)
tags = names.filter(lambda name: name not in ("group", "link", "attribute"))
attributes = st.dictionaries(names, plain, max_size=3).map(lambda found: tuple(found.items()))
fields = st.builds(
    Field,
    name=tags,
    text=plain | names.map("${{{}}}".format),
    nx_type=st.sampled_from(esrf_xml.NX_TYPES),
    units=st.none() | plain.filter(bool),
    record=st.sampled_from([None, "initial", "final"]),
    mandatory=st.booleans(),
    description=plain,
    deprecated=plain,
    attributes=attributes,
)
links = st.builds(Link, names, st.lists(names, min_size=1, max_size=3).map("/".join))


def groups(children: st.SearchStrategy[object]) -> st.SearchStrategy[Group]:
    classes = st.sampled_from(["NXsample", "NXcollection"])
    return st.builds(Group, names, classes, st.lists(children, max_size=4).map(tuple), plain, attributes)


@given(st.lists(st.recursive(fields | links, groups, max_leaves=8), max_size=4).map(tuple), plain, attributes)
def test_whatever_is_written_is_read_again(
    children: tuple[Field | Group | Link, ...], text: str, given: object
) -> None:
    tree = Group("${entry}", "NXentry", children, text, given)  # type: ignore[arg-type]
    assume(not circles(tree))
    assert esrf_xml.reads(esrf_xml.write(tree), "again") == tree
