"""What was typed is what is written again: ESRF's releases, the talk's listings, and whatever else XML allows."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from icat_esrf_definitions import DEFINITIONS_FILE

from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.definitions.definition import Field, Group, Link, Node
from nexus_callbacks.faults import FaultError

HERE = Path(__file__).parent / "esrf"
RELEASES = {
    **{v: gzip.decompress((HERE / f"hdf5_cfg-{v}.xml.gz").read_bytes()) for v in ("1.0.0", "2.0.0", "3.0.0")},
    "3.8.0": Path(DEFINITIONS_FILE).read_bytes(),
    "talk": (HERE / "talk.xml").read_bytes(),
}
ROOT = '<group groupName="${entry}" NX_class="NXentry">'


@pytest.mark.parametrize("release", RELEASES)
def test_a_real_file_is_written_as_it_stood(release: str) -> None:
    tree = esrf_xml.reads(RELEASES[release], release)
    assert esrf_xml.write(tree).encode() == RELEASES[release]


@pytest.mark.parametrize(
    ("release", "groups", "fields", "links", "variables"),
    [
        ("1.0.0", 125, 949, 2, 949),
        ("2.0.0", 132, 970, 2, 970),
        ("3.0.0", 150, 1232, 0, 1232),
        ("3.8.0", 153, 1267, 0, 1261),
        ("talk", 28, 72, 4, 70),
    ],
)
def test_a_real_file_is_read_whole(release: str, groups: int, fields: int, links: int, variables: int) -> None:
    tree = esrf_xml.reads(RELEASES[release], release)
    nodes: list[Node] = [tree, *(node for _, node in tree.walk())]
    counts = tuple(sum(isinstance(node, kind) for node in nodes) for kind in (Group, Field, Link))
    assert (counts, len(tree.variables())) == ((groups, fields, links), variables)


def test_the_talk_means_what_todays_words_mean() -> None:
    tree = esrf_xml.reads(RELEASES["talk"], "talk")
    nodes = dict(tree.walk())
    duration, end, dwell = nodes["duration"], nodes["end_time"], nodes["scan/dwel_time"]
    assert isinstance(duration, Field)
    assert (duration.nx_type, duration.units, duration.record) == ("NX_FLOAT", "min", None)
    assert isinstance(end, Field)
    assert (end.nx_type, end.record, end.mandatory) == ("NX_DATE_TIME", "final", True)
    assert isinstance(dwell, Field)
    assert (dwell.variable, dwell.units) == ("dwellTime", "s")
    assert {n.nx_class for p, n in nodes.items() if p in ("mrt", "tomo") and isinstance(n, Group)} == {"NXcollection"}
    link = nodes["measurement/initial/SR_Current"]
    assert isinstance(link, Link)
    assert link.target.strip("/") in nodes


def changed(tree: Group, path: str, change: Callable[[Node], Node]) -> Group:
    """The tree with one node changed."""
    first, _, rest = path.partition("/")
    children = []
    for child in tree.children:
        if child.name == first:
            child = changed(child, rest, change) if rest and isinstance(child, Group) else change(child)  # noqa: PLW2901
        children.append(child)
    return replace(tree, children=tuple(children))


def lines_changed(old: str, new: str) -> list[tuple[str, str]]:
    pairs = zip(old.splitlines(), new.splitlines(), strict=True)
    return [(a.strip(), b.strip()) for a, b in pairs if a != b]


def test_only_what_has_changed_is_written_anew() -> None:
    text = RELEASES["talk"].decode()
    tree = esrf_xml.reads(text, "talk")
    new = changed(tree, "duration", lambda node: replace(node, units="s"))
    assert lines_changed(text, esrf_xml.write(new)) == [
        (
            '<duration ESRF_description="Total acquisition time" NAPitype="NX_FLOAT64" NX_units="min">'
            "${scanDuration}</duration>",
            '<duration ESRF_description="Total acquisition time" NAPitype="NX_FLOAT64" NX_units="s">'
            "${scanDuration}</duration>",
        )
    ]
    new = changed(tree, "scan/dwel_time", lambda node: replace(node, name="dwell_time", nx_type="NX_NUMBER"))
    ((_, after),) = lines_changed(text, esrf_xml.write(new))
    assert after == (
        '<dwell_time ESRF_description="Dwell time per step" NAPitype="NX_NUMBER" units="s">${dwellTime}</dwell_time>'
    )
    new = changed(tree, "scan", lambda node: replace(node, description="generic", nx_class="NXsubentry"))
    ((_, after),) = lines_changed(text, esrf_xml.write(new))
    assert after == '<group NX_class="NXsubentry" groupName="scan" ESRF_description="generic">'


def test_nodes_are_added_to_a_file_and_taken_out_of_it() -> None:
    text = f"{ROOT}\n    <!-- one -->\n    <a>${{a}}</a>\n    <!-- two -->\n    <b/>\n    <!-- end -->\n</group>\n"
    tree = esrf_xml.reads(text, "mine.xml")
    added = replace(tree, children=(*tree.children, Group("c", "NXnote", (Link("d", "/a"),))))
    assert esrf_xml.write(added) == text.replace(
        "<b/>",
        '<b/>\n    <group groupName="c" NX_class="NXnote">\n        <link groupName="d" ref="/a"/>\n    </group>',
    )
    left = replace(tree, children=tree.children[1:])
    assert esrf_xml.write(left) == text.replace("    <!-- one -->\n    <a>${a}</a>\n", "")


def test_what_an_element_that_was_empty_holds_now_is_written() -> None:
    tree = esrf_xml.reads(f'{ROOT}<group groupName="g" NX_class="NXnote" /><a units="" /></group>', "mine.xml")
    new = changed(tree, "g", lambda node: replace(node, children=(Field("b", "1"),), attributes=(("c", "2"),)))
    new = changed(new, "a", lambda node: replace(node, text="${a}", attributes=(("d", "3"),), units="mm"))
    again = esrf_xml.reads(esrf_xml.write(new), "again")
    assert again == new
    assert '<a units="mm">${a}<attribute name="d">3</attribute></a>' in esrf_xml.write(new)


def test_attributes_of_a_group_keep_their_places_until_one_changes() -> None:
    text = f'{ROOT}<a/> <attribute name="x">1</attribute><!-- c --><b/>\n<attribute name="y"> 2 </attribute></group>'
    tree = esrf_xml.reads(text, "mine.xml")
    assert tree.attributes == (("x", "1"), ("y", "2"))
    assert esrf_xml.write(tree) == text
    new = replace(tree, attributes=(("y", "2"), ("x", "3")))
    assert esrf_xml.reads(esrf_xml.write(new), "again") == new


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_other_encodings_are_read_and_become_utf_8(codec: str) -> None:
    declared = codec.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?>\n{ROOT}<a units="µm">${{a}}</a><!-- é --></group>\n'
    tree = esrf_xml.reads(text.encode(codec), "mine.xml")
    (a,) = tree.children
    assert isinstance(a, Field)
    assert a.units == "µm"
    written = esrf_xml.write(tree)
    assert written.lstrip("\ufeff") == text.replace(f'"{declared}"', '"utf-8"')
    assert esrf_xml.reads(written.encode(), "again") == tree


# -- whatever XML allows -----------------------------------------------------------------------------------------------

spaces = st.sampled_from(["", " ", "\n", "\t", "\r\n", "\n    "])
gaps = st.sampled_from(["", "\n", "\n    ", "<!-- a remark -->", " <?tool does this?> ", "\n<!-- ${x} <a> -->\n"])
names = st.sampled_from(["a", "b_1", "c.d", "Energy", "title", "x2"])
texts = st.sampled_from(
    ["", "${a}", " ${b.c} ", "1", "<![CDATA[a < b]]>", "&lt;&amp;&#233;&#x3bc;", "é μm", "\n  two\n  lines\n", "$ {"]
)
values = st.sampled_from(["", " ", "mm", "μm", "a &lt; b", "&#10;", "it&apos;s", "&quot;q&quot;", "1 &gt; 0"])


@st.composite
def given_as(draw: st.DrawFn, pairs: dict[str, st.SearchStrategy[str]]) -> str:
    """Attributes of a start tag in any order, with any white space and either quote."""
    found = ""
    for name in draw(st.permutations(list(pairs))):
        quote = draw(st.sampled_from("\"'"))
        space = draw(spaces.filter(bool))
        found += f"{space}{name}{draw(spaces)}={draw(spaces)}{quote}{draw(pairs[name])}{quote}"
    return found + draw(spaces)


@st.composite
def attribute_elements(draw: st.DrawFn, name: str) -> str:
    return f"<attribute{draw(given_as({'name': st.just(name)}))}>{draw(st.sampled_from(['1', ' a b ']))}</attribute>"


@st.composite
def field_elements(draw: st.DrawFn) -> str:
    some = {
        "NAPItype": st.sampled_from(["NX_CHAR", "NX_FLOAT64", "", "ISO8601"]),
        "NX_units": values,
        "record": st.sampled_from(["", "final", "initial"]),
        "ESRF_description": values,
        "ESRF_mandatory": st.sampled_from(["Mandatory", "Optional", ""]),
        "ESRF_origin": values,
    }
    keys = draw(st.lists(st.sampled_from(list(some)), unique=True))
    name, start = draw(names), draw(given_as({key: some[key] for key in keys}))
    if draw(st.booleans()):
        return f"<{name}{start}/>"
    inner = draw(texts) + draw(st.sampled_from(["", draw(attribute_elements("x"))]))
    return f"<{name}{start}>{inner}</{name}{draw(spaces)}>"


@st.composite
def group_elements(draw: st.DrawFn, children: st.SearchStrategy[str]) -> str:
    pairs = {"groupName": names, "NX_class": st.sampled_from(["NXCollection", "NXsample", " NXnote "])}
    start = draw(given_as(pairs))
    inside = [gap + child for gap, child in draw(st.lists(st.tuples(gaps, children), max_size=3))]
    if draw(st.booleans()):
        inside.insert(draw(st.integers(0, len(inside))), draw(gaps) + draw(attribute_elements("default")))
    return f"<group{start}>{''.join(inside)}{draw(gaps)}</group{draw(spaces)}>"


elements = st.recursive(field_elements(), group_elements, max_leaves=6)


@st.composite
def documents(draw: st.DrawFn) -> str:
    head = draw(
        st.sampled_from(["", '<?xml version="1.0"?>\n', "<!-- head -->", "<?xml version='1.0' encoding='UTF-8'?>"])
    )
    start = draw(given_as({"groupName": st.just("${entry}"), "NX_class": st.just("NXentry")}))
    body = "".join(gap + each for gap, each in draw(st.lists(st.tuples(gaps, elements), max_size=4)))
    return f"{head}<group{start}>{body}{draw(gaps)}</group>{draw(gaps)}"


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(documents())
def test_whatever_is_read_is_written_as_it_stood(text: str) -> None:
    tree = esrf_xml.reads(text, "any.xml")
    assert esrf_xml.write(tree) == text
    assert esrf_xml.reads(text.encode(), "any.xml") == tree


words = st.sampled_from(["", "mm", "two words", "<&>\"'", "é"])


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(documents(), st.data())
def test_a_changed_tree_is_read_again_as_it_was_changed(text: str, data: st.DataObject) -> None:
    def change(node: Node) -> Node:
        if isinstance(node, Link) or data.draw(st.integers(0, 2)):
            return replace(node, children=tuple(change(c) for c in node.children)) if isinstance(node, Group) else node
        attributes = data.draw(st.sampled_from([node.attributes, (), (("k", "v"), *node.attributes)]))
        if isinstance(node, Group):
            children = (*(change(child) for child in node.children), Field("new", "1"))
            return replace(node, description=data.draw(words), children=children, attributes=attributes)
        return replace(
            node,
            text=data.draw(words),
            units=data.draw(words) or None,
            record=data.draw(st.sampled_from([None, "final"])),
            mandatory=data.draw(st.booleans()),
            nx_type=data.draw(st.sampled_from(["NX_CHAR", "NX_INT"])),
            attributes=attributes,
        )

    tree = change(esrf_xml.reads(text, "any.xml"))
    assert isinstance(tree, Group)
    again = esrf_xml.reads(esrf_xml.write(tree), "again")
    assert again == tree


# -- whatever comes ----------------------------------------------------------------------------------------------------


def only_faults(data: bytes | str) -> None:
    """A definition that can be written again, or faults with their place."""
    try:
        tree = esrf_xml.reads(data, "any.xml")
    except FaultError as error:
        places = [fault.place for fault in error.faults]
    else:
        places = []
        assert esrf_xml.reads(esrf_xml.write(tree), "any.xml") == tree
    assert {place.source for place in places if place} <= {"any.xml"}
    assert None not in places


@given(st.binary(max_size=400) | st.text(max_size=400))
def test_no_bytes_but_faults(data: bytes | str) -> None:
    only_faults(data)


PIECES = [
    b"<",
    b">",
    b"/>",
    b'"',
    b"&",
    b"&a;",
    b"\0",
    b"\xff",
    b"]]>",
    b"<!--",
    b"<![CDATA[",
    b"<!DOCTYPE a>",
    b"<group>",
    b"</group>",
    b' NX_class=""',
    b'<?xml version="1.0" encoding="utf-16"?>',
    b'<?xml encoding="cp037"?>',
    b"<attribute/>",
    b'<link groupName="title" ref="/title"/>',
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["1.0.0", "talk"]),
    st.lists(
        st.tuples(st.integers(0, 9000), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=4)), max_size=3
    ),
)
def test_no_damaged_release_but_faults(release: str, damage: list[tuple[int, int, bytes]]) -> None:
    data = RELEASES["talk"] if release == "talk" else RELEASES[release][:6000] + b"</group>"
    for where, gone, new in damage:
        data = data[:where] + new + data[where + gone :]
    only_faults(data)


def test_what_a_text_says_is_escaped() -> None:
    tree = Group("${entry}", "NXentry", (Field("a", "1 < 2 & 3\r"),))
    assert escape("1 < 2 & 3") + "&#13;" in esrf_xml.write(tree)
