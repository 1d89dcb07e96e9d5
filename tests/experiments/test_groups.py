"""Groups of a facility's definition that are about a technique are in the files of that technique alone."""

import bluesky.plans as bp
import h5py
import pytest

from nexus_callbacks import NexusWriter, coverage

DEFINITION = """<group groupName="${entry}" NX_class="NXentry">
  <title>${datasetName}</title>
  <group groupName="LOOK" NX_class="NXsubentry"><lens>${LOOK_lens}</lens><both>${both}</both></group>
  <group groupName="HEAR" NX_class="NXsubentry"><tone>${HEAR_tone}</tone><both>${both}</both></group>
</group>"""
TECHNIQUE = '<group groupName="${entry}" NX_class="NXentry"><x NAPItype="NX_NUMBER">${%s}</x></group>'
PROFILE = """
files: {dataset: "{uid}.h5"}
definitions: [site]
groups: {LOOK: [look], HEAR: [hear]}
constants: {LOOK_lens: flat, HEAR_tone: low, both: 3}
techniques:
  look: {look_x: data:motor}
  hear: {hear_x: data:motor}
  other: {other_x: data:motor}
"""


@pytest.fixture
def profile(tmp_path):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "site.xml").write_text(DEFINITION)
    for name in ("look", "hear", "other"):
        (tmp_path / "definitions" / f"{name}.xml").write_text(TECHNIQUE % f"{name}_x")
    (tmp_path / "profile.yml").write_text(PROFILE)
    return tmp_path


@pytest.fixture
def groups(RE, hw, profile):
    """Scan with some techniques; which of the two groups are in the entry."""
    writer = NexusWriter(profile / "data", profile, journal=False)
    RE.subscribe(writer)

    def scanned(*techniques):
        (uid,) = RE(bp.scan([hw.det], hw.motor, 0, 1, 2, md={"technique": list(techniques)} if techniques else {}))
        with h5py.File(writer.files[uid]) as file:
            return {name: set(file["entry"][name]) for name in ("HEAR", "LOOK") if name in file["entry"]}, uid

    scanned.writer = writer
    return scanned


@pytest.mark.parametrize(
    ("techniques", "wanted"),
    [
        ((), {}),
        (("look",), {"LOOK": {"lens", "both"}}),
        (("hear",), {"HEAR": {"tone", "both"}}),
        (("other",), {}),
        (("look", "hear"), {"LOOK": {"lens", "both"}, "HEAR": {"tone", "both"}}),
        (("other", "hear"), {"HEAR": {"tone", "both"}}),
    ],
)
def test_a_group_is_made_in_the_runs_of_its_technique(groups, techniques, wanted):
    assert groups(*techniques)[0] == wanted


def test_what_is_about_another_technique_is_not_called_missing(groups):
    _, uid = groups("other")
    assert "LOOK_lens" not in {o.variable for o in coverage(groups.writer.files[uid])["entry"].outcomes}


def test_a_group_that_is_about_none_of_the_profiles_techniques_may_be_in_any_run(groups, profile, RE, hw):
    text = (profile / "profile.yml").read_text()
    (profile / "profile.yml").write_text(text.replace("HEAR: [hear]", "HEAR: [listen]"))

    writer = NexusWriter(profile / "more", profile, journal=False)
    RE.subscribe(writer)
    (uid,) = RE(bp.scan([hw.det], hw.motor, 0, 1, 2))
    with h5py.File(writer.files[uid]) as file:
        assert file["/entry/HEAR/tone"].asstr()[()] == "low"


def test_a_technique_that_binds_a_groups_variable_itself_fills_it(groups, profile, RE, hw):
    text = (profile / "profile.yml").read_text()
    text = text.replace("groups: {LOOK: [look], HEAR: [hear]}", "groups: {LOOK: [look, other], HEAR: [hear]}")
    (profile / "profile.yml").write_text(text)
    writer = NexusWriter(profile / "more", profile, journal=False)
    RE.subscribe(writer)
    (uid,) = RE(bp.scan([hw.det], hw.motor, 0, 1, 2, md={"technique": "other"}))
    with h5py.File(writer.files[uid]) as file:
        assert file["/entry/LOOK/lens"].asstr()[()] == "flat"
