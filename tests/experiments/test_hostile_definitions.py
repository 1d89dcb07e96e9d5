"""Definitions that are wrong in one place: refused with the line, or that place alone is without a value."""

from textwrap import dedent

import bluesky.plans as bp
import h5py
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import SupplementalData

from devices.quantity import Quantity
from nexus_callbacks import FaultError, NexusWriter, coverage


@pytest.fixture
def profile(tmp_path):
    """A profile of this text, with a definition of this content."""

    def make(body, text):
        (tmp_path / "mine.xml").write_text(f'<group groupName="e" NX_class="NXentry">\n{body}\n</group>')
        (tmp_path / "profile.yml").write_text("definitions: [mine.xml]\n" + dedent(text))
        return tmp_path

    return make


def count(profile, *baseline, detectors=()):
    """File and outcomes of a run of one reading."""
    engine = RunEngine({})
    engine.preprocessors.append(SupplementalData(baseline=baseline))
    with NexusWriter(profile / "data", profile=profile) as writer:
        engine.subscribe(writer)
        (uid,) = engine(bp.count([Quantity(name="q", value=1.5), *detectors]))
    return writer.files[uid], {each.variable: each for each in coverage(writer.files[uid])["entry"].outcomes}


class Breaking(Quantity):
    """Takes the value of another quantity away when it is triggered, as if its server answered no more."""

    def __init__(self, other):
        super().__init__(name="breaking")
        self._other = other

    def trigger(self):
        self._other.read = lambda: {self._other.name: {"value": None, "timestamp": 1.0}}
        return super().trigger()


def test_a_lists_names_are_those_of_its_values_whichever_reading_they_are_of(profile):
    folder = profile(
        '<names>${L_name}</names>\n<values NAPItype="NX_FLOAT" record="final">${L_value}</values>',
        "lists: {L: {first: data:a, second: data:b}}",
    )
    fading = Quantity(name="a", value=5.0)
    path, found = count(folder, fading, Quantity(name="b", value=6.0), detectors=[Breaking(fading)])
    with h5py.File(path) as file:
        assert file["entry/names"].asstr()[()] == "second"
        assert list(file["entry/values"][()]) == [6.0]
    assert "first is absent" in found["L_name"].reason


def test_members_with_spaces_can_be_told_apart(profile):
    folder = profile(
        "<names>${L_name}</names>\n<values>${L_value}</values>",
        'lists: {L: {front end: data:a, "n": data:b}}',
    )
    path, _ = count(folder, Quantity(name="a", value="wide open"), Quantity(name="b", value="shut"))
    with h5py.File(path) as file:
        assert list(file["entry/names"].asstr()[()]) == ["front end", "n"]
        assert list(file["entry/values"].asstr()[()]) == ["wide open", "shut"]


REFUSED = {
    "a second unit": (
        '<x NAPItype="NX_FLOAT" units="mm">${a}<attribute name="units">km</attribute></x>',
        "the units of x stand in an <attribute>",
        'write <x units="km">',
    ),
    "a unit beside the tag": (
        '<x NAPItype="NX_FLOAT">${a}<attribute name="units">mm</attribute></x>',
        "the units of x stand in an <attribute>",
        'write <x units="mm">',
    ),
    "an index that is no digit": (
        '<x NAPItype="NX_FLOAT">${a}<attribute name="q_indices">²</attribute></x>',
        "attribute 'q_indices' is no list of dimensions: '²'",
        "write their numbers, from 0 to 31: 0 1",
    ),
    "a dimension that HDF5 has not": (
        '<x NAPItype="NX_FLOAT">${a}<attribute name="q_indices">99999999999999999999999</attribute></x>',
        "attribute 'q_indices' is no list of dimensions: '99999999999999999999999'",
        "write their numbers, from 0 to 31: 0 1",
    ),
    "a field in the writer's place": (
        "<nexus_callbacks>${a}</nexus_callbacks>",
        "nexus_callbacks stands in the entry, where the writer keeps its own",
        "rename it",
    ),
    "a group in the writer's place": (
        '<group groupName="bluesky" NX_class="NXcollection"><uid>${a}</uid></group>',
        "bluesky stands in the entry, where the writer keeps its own",
        "rename it",
    ),
    "another class by an attribute": (
        '<attribute name="NX_class">NXroot</attribute><x>${a}</x>',
        "NX_class stands in an <attribute>",
        'write <group NX_class="…">',
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_file_can_be_of_is_refused_with_its_line(profile, what):
    body, message, remedy = REFUSED[what]
    folder = profile(body, "values: {a: data:m}\n")
    with pytest.raises(FaultError) as caught:
        NexusWriter(folder / "data", profile=folder)
    (told,) = caught.value.faults
    assert (told.message, told.remedy, str(told.place)) == (message, remedy, f"{folder / 'mine.xml'}, line 2")


def test_a_value_keeps_the_units_of_its_device_where_the_definition_calls_them_arbitrary(profile):
    body = '<x NAPItype="NX_FLOAT">${a}<attribute name="units">arbitrary units</attribute></x>'
    path, _ = count(profile(body, "values: {a: data:m}\n"), Quantity(name="m", value=5.0, units="mm"))
    with h5py.File(path) as file:
        assert (file["entry/x"][()], file["entry/x"].attrs["units"]) == (5.0, "mm")


def test_an_empty_array_is_no_value(profile):
    folder = profile('<x NAPItype="NX_FLOAT">${a}</x>', "values: {a: start:a}\n")
    engine = RunEngine({})
    with NexusWriter(folder / "data", profile=folder) as writer:
        engine.subscribe(writer)
        (uid,) = engine(bp.count([Quantity(name="q", value=1.5)]), a=[])
    (found,) = coverage(writer.files[uid])["entry"].outcomes
    assert (found.filled, found.reason) == (False, "start:a: an empty list")
    with h5py.File(writer.files[uid]) as file:
        assert "x" not in file["entry"]


@pytest.mark.parametrize("typed", [".nan", ".inf", "[1, -.inf]", "1e999"])
def test_what_is_no_finite_number_is_no_constant(profile, typed):
    folder = profile("<x>${a}</x>", f"constants: {{a: {typed}}}\n")
    with pytest.raises(FaultError, match=r"line 2: constants.a: expected a finite number"):
        NexusWriter(folder / "data", profile=folder)


def test_a_text_of_too_many_digits_is_no_number(profile):
    folder = profile('<x NAPItype="NX_FLOAT">${a}</x>', f'constants: {{a: "{"9" * 400}"}}\n')
    with pytest.raises(FaultError, match=r"line 2: a: expected a finite number"):
        NexusWriter(folder / "data", profile=folder)


@pytest.mark.parametrize("links", ["../y=/title", "foo =/title", "a=/title a=/", ".=/title", "entry=/", "a=/x//y", " "])
def test_links_at_the_root_that_are_none_are_refused_with_their_line(profile, links):
    folder = profile(f'<attribute name="root_links">{links}</attribute><title>a</title>', "")
    with pytest.raises(FaultError, match=r"mine\.xml, line 2: "):
        NexusWriter(folder / "data", profile=folder)


def test_a_link_at_the_root_that_leads_nowhere_is_left_out(profile):
    folder = profile('<attribute name="root_links">b=/title c=/nowhere</attribute><title>a</title>', "")
    path, _ = count(folder)
    with h5py.File(path) as file:
        assert file["b"].asstr()[()] == "a"
        assert "c" not in file
        assert file.attrs["state"] == "complete"
