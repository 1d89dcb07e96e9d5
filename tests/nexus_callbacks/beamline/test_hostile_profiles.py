"""Whatever stands in a profile: it is read, or refused with every fault and its line; never anything else."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_callbacks.beamline import yaml_lines
from nexus_callbacks.beamline.profile import Profile, read_profile
from nexus_callbacks.faults import FaultError
from nexus_callbacks.recipes import Recipes
from plans.profile_folders import profile_folder

REAL = (profile_folder("id16a") / "profile.yml").read_text("utf-8")
KEYS = [*Profile.model_fields, "from", "unit", "record", "as", "tomo", "plans", "dataset", "timeout", "x"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["data:x", "const:1", "start:", "tango:a/b", "list:names", "{uid}", "{", "final", "mean", "mm", "ø"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), inner),
    max_leaves=12,
)


def dumped(value) -> str:
    """As YAML in one line; a JSON text is YAML."""
    import json

    return json.dumps(value)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile") / "profile.yml"


def look_at(path, text):
    """Read as the writer does; every fault must stand in this file, or say which file it is about."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    found, faults = read_profile(path)
    assert found is not None or faults
    assert all(str(fault.place).startswith(str(path)) for fault in faults), faults
    return found, faults


@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=6))
def test_keys_of_a_profile_with_anything_below_them(path, content):
    look_at(path, "\n".join(f"{key}: {dumped(value)}" for key, value in content.items()))


@given(st.data())
def test_the_real_profile_with_pieces_taken_out_and_put_in(path, data):
    text = REAL
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 60)))
        piece = data.draw(st.text(alphabet=string.printable + "\x00\x85\u2028ü", max_size=8))
        text = text[:start] + piece + text[stop:]
    look_at(path, text)


@given(st.binary(max_size=200))
def test_any_bytes(path, content):
    look_at(path, content)


@given(
    st.dictionaries(st.sampled_from(["values", "constants", "lists", "from_plan", "techniques"]), values, max_size=4)
)
def test_a_profile_that_is_read_makes_recipes_or_is_refused(path, content):
    found, faults = look_at(path, "\n".join(f"{key}: {dumped(value)}" for key, value in content.items()))
    try:
        Recipes(path)
        accepted = True
    except FaultError:
        accepted = False
    assert not (accepted and (faults or found is None))


def test_a_file_of_100_mb_is_not_read(tmp_path):
    path = tmp_path / "profile.yml"
    with path.open("wb") as file:
        file.truncate(100_000_000)

    _, faults = read_profile(path)
    assert [fault.message for fault in faults] == [f"larger than {yaml_lines.MAX_BYTES // 1_000_000} MB"]


@pytest.mark.parametrize("text", ["definitions:\n- [{}]", "constants:\n  {{{}}}"])
def test_a_file_of_very_many_values_is_not_read_to_its_end(tmp_path, text):
    path = tmp_path / "profile.yml"
    path.write_text(text.format(", ".join(f"v{i}: 1" for i in range(yaml_lines.MAX_VALUES))))

    _, (fault,) = read_profile(path)
    assert fault.message == f"more than {yaml_lines.MAX_VALUES} keys and values"
    assert fault.place.line == 2


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_ten_thousand_levels_are_refused_where_they_get_too_deep(tmp_path, opening, closing):
    path = tmp_path / "profile.yml"
    path.write_text(f"constants: {opening * 10_000}1{closing * 10_000}")

    _, (fault,) = read_profile(path)
    assert fault.message == f"more than {yaml_lines.MAX_DEPTH} levels inside one another"
    assert fault.place.line == 1


def test_ten_thousand_levels_by_indentation(tmp_path):
    path = tmp_path / "profile.yml"
    path.write_text("\n".join(f"{' ' * depth}a:" for depth in range(2_000)))

    _, faults = read_profile(path)
    assert faults[-1].message == f"more than {yaml_lines.MAX_DEPTH} levels inside one another"


def test_half_a_character_is_refused_with_its_line(tmp_path):
    path = tmp_path / "profile.yml"
    path.write_text('beamline: a\nfacility: "\\ud800"\nconstants: {"\\udc00": 1}\n')

    _, faults = read_profile(path)
    assert [(fault.place.line, fault.message) for fault in faults] == [
        (2, "half of a character (a surrogate)"),
        (3, "half of a character (a surrogate)"),
    ]
