"""What changed between two definitions."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_callbacks.definitions import esrf_xml
from nexus_callbacks.definitions.definition import Field, Group, Link
from nexus_callbacks.definitions.difference import Change, difference, outermost

OLD = Path(__file__).parent / "esrf"
HEAD = '<group groupName="${entry}" NX_class="NXentry">'


def definition(body: str, source: str = "first.xml") -> Group:
    return esrf_xml.reads(f"{HEAD}\n{body}\n</group>", source)


def release(name: str) -> Group:
    return esrf_xml.reads(gzip.decompress((OLD / f"hdf5_cfg-{name}.xml.gz").read_bytes()), name)


def only(first: str, second: str, **renames: str) -> Change:
    (change,) = difference(definition(first), definition(second, "second.xml"), renames)
    return change


SAMPLE = '<group groupName="sample" NX_class="NXsample">{}</group>'


def test_nothing_changed() -> None:
    assert difference(definition("<a>${a}</a>"), definition("\n<a>${a}</a>", "other")) == ()


def test_how_it_is_spelled_and_described_is_no_change() -> None:
    first = '<a NAPitype="NX_FLOAT64" NX_units="µm" ESRF_description="old">${a}</a>'
    assert difference(definition(first), definition('<a NAPItype="NX_FLOAT" units="μm">${a}</a>')) == ()


@pytest.mark.parametrize(
    ("body", "node", "held"),
    [
        ("<b>${v}</b>", "field", "v"),
        ("<b>NXtomo</b>", "field", "NXtomo"),
        ('<link groupName="b" ref="/a"/>', "link", "a"),
        ('<group groupName="b" NX_class="NXnote"/>', "group", ""),
    ],
)
def test_what_is_added_or_removed_has_its_line(body: str, node: str, held: str) -> None:
    added, removed = only("<a>1</a>", f"<a>1</a>\n{body}"), only(f"<a>1</a>\n{body}", "<a>1</a>")
    assert (added.kind, added.node, added.path, added.variable, str(added.second)) == (
        "added",
        node,
        "b",
        held,
        "second.xml, line 3",
    )
    assert (removed.kind, removed.path, removed.first and removed.first.line, removed.second) == (
        "removed",
        "b",
        3,
        None,
    )


def test_a_variable_that_stands_elsewhere_is_moved() -> None:
    change = only(SAMPLE.format("<a>${a}</a>"), SAMPLE.format("") + '\n<b units="mm">${a}</b>')
    assert (change.kind, change.path, change.before, change.variable) == ("moved", "b", "sample/a", "a")
    assert change.what == (("units", "", "mm"),)
    assert (change.first and change.first.line, change.second and change.second.line) == (2, 3)


def test_another_variable_in_its_place_is_renamed() -> None:
    change = only("<a>${capaticy}</a>", "<a>${capacity}</a>")
    assert (change.kind, change.path, change.variable, change.was, change.before) == (
        "renamed",
        "a",
        "capacity",
        "capaticy",
        "",
    )


def test_what_a_table_calls_renamed_is_so_elsewhere_too() -> None:
    first, second = "<n>${projN}</n>", SAMPLE.format("<proj_n>${proj_n}</proj_n>")
    told = difference(definition(first), definition(second), {"projN": "proj_n"})
    assert [(c.kind, c.path, c.before) for c in told] == [("added", "sample", ""), ("renamed", "sample/proj_n", "n")]


def test_two_variables_that_change_places_are_moved() -> None:
    told = difference(definition("<a>${x}</a><b>${y}</b>"), definition("<a>${y}</a><b>${x}</b>"))
    assert [(c.kind, c.path, c.before, c.variable) for c in told] == [
        ("moved", "a", "b", "y"),
        ("moved", "b", "a", "x"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ('<a units="mm">${a}</a>', '<a units="m">${a}</a>', ("units", "mm", "m")),
        ('<a NAPItype="NX_INT">${a}</a>', "<a>${a}</a>", ("type", "NX_INT", "NX_CHAR")),
        ("<a>${a}</a>", '<a record="final">${a}</a>', ("record", "", "final")),
        ("<a>${a}</a>", '<a ESRF_mandatory="Mandatory">${a}</a>', ("mandatory", "", "Mandatory")),
        ("<a>${a}</a>", '<a ESRF_deprecated="Use b (b)">${a}</a>', ("deprecated", "", "Use b (b)")),
        ("<a>${a}</a>", '<a>${a}<attribute name="b">1</attribute></a>', ("attributes", "", "b='1'")),
        ("<a>1</a>", "<a>2</a>", ("value", "1", "2")),
        ("<a>${a}</a>", "<a>2</a>", ("value", "a", "2")),
        ('<link groupName="a" ref="/b"/>', '<link groupName="a" ref="/c"/>', ("target", "b", "c")),
        (SAMPLE.format(""), SAMPLE.format("").replace("NXsample", "NXnote"), ("class", "NXsample", "NXnote")),
    ],
)
def test_what_is_changed_is_told_with_both_lines(first: str, second: str, what: tuple[str, str, str]) -> None:
    change = only(first, f"\n{second}")
    assert (change.kind, change.what) == ("changed", (what,))
    assert (str(change.first), str(change.second)) == ("first.xml, line 2", "second.xml, line 3")


def test_the_roots_attributes_are_compared() -> None:
    change = only('<attribute name="definition">NXtomo</attribute>', "")
    assert (change.node, change.path, change.what) == ("group", "", (("attributes", "definition='NXtomo'", ""),))


def test_repeated_siblings_are_one_group() -> None:
    once = SAMPLE.format("<a>${a}</a><b>${b}</b>")
    assert difference(definition(once), definition(SAMPLE.format("<a>${a}</a>") + SAMPLE.format("<b>${b}</b>"))) == ()


def test_what_is_in_an_added_group_counts_with_it() -> None:
    told = difference(definition("<z>1</z>"), definition("<z>1</z>" + SAMPLE.format("<a>${a}</a>") + "<b>${b}</b>"))
    assert [(change.path, number) for change, number in outermost(told)] == [("sample", 2), ("b", 1)]


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        # Counted by hand from the lists of variables: 21 new fields in 7 new groups, DOI_abstract at another path.
        ("1.0.0", "2.0.0", {"added": 28, "moved": 1}),
        ("3.0.0", "3.0.0", {}),
    ],
)
def test_esrfs_releases(first: str, second: str, counts: dict[str, int]) -> None:
    assert Counter(change.kind for change in difference(release(first), release(second))) == counts


def test_nothing_is_lost_between_esrfs_releases(esrf: Group) -> None:
    first = release("2.0.0")
    told = difference(first, esrf)
    gone = {change.variable for change in told if change.kind == "removed"} | {c.was for c in told if c.was}
    new = {change.variable for change in told if change.kind in ("added", "renamed")}
    assert first.variables().keys() - esrf.variables().keys() <= gone
    assert esrf.variables().keys() - first.variables().keys() <= new
    moved = [change for change in told if change.kind == "moved"]
    assert {change.before for change in moved if change.variable == "DOI_abstract"} == set()
    assert ("EM/motioncorrection/total_dose", "EM/motion_correction/total_dose") in {(c.before, c.path) for c in moved}


names = st.sampled_from("abcd")
leaves = st.one_of(
    st.builds(Field, names, st.sampled_from(["${x}", "${y}", "${z}", "1", ""]), units=st.sampled_from([None, "mm"])),
    st.builds(Link, names, names),
)
trees = st.recursive(
    leaves,
    lambda inner: st.builds(Group, names, st.just("NXnote"), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=5,
)
roots = st.builds(Group, st.just("${entry}"), st.just("NXentry"), st.lists(trees, max_size=4).map(tuple))


@given(roots, roots)
def test_backwards_it_is_the_opposite(first: Group, second: Group) -> None:
    there, back = difference(first, second), difference(second, first)
    count, opposite = Counter(c.kind for c in there), Counter(c.kind for c in back)
    assert (count["added"], count["removed"]) == (opposite["removed"], opposite["added"])
    nodes = [
        len({p for p, n in tree.walk() if isinstance(n, Group)}) + sum(not isinstance(n, Group) for _, n in tree.walk())
        for tree in (first, second)
    ]
    assert nodes[1] - nodes[0] == count["added"] - count["removed"]
    assert difference(first, first) == ()
