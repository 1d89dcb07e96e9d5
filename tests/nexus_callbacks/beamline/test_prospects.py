"""Before beam time: where each variable of a definition will come from."""

import json

import pytest
from typer.testing import CliRunner

from nexus_callbacks.beamline.bindings import Signals, write_signals
from nexus_callbacks.cli import app
from nexus_callbacks.faults import FaultError
from nexus_callbacks.recipes import Recipes

DEFINITION = """<group groupName="${entry}" NX_class="NXentry">
  <title ESRF_mandatory="Mandatory">${title}</title>
  <group groupName="instrument" NX_class="NXinstrument">
    <group groupName="mono" NX_class="NXmonochromator">
      <energy NAPItype="NX_NUMBER" units="keV">${energy}</energy>
      <energy_end NAPItype="NX_NUMBER" units="keV" record="final">${energy_end}</energy_end>
      <wavelength NAPItype="NX_NUMBER" units="angstrom" ESRF_deprecated="use energy">${wavelength}</wavelength>
      <spread NAPItype="NX_NUMBER">${spread}</spread>
    </group>
    <group groupName="detector" NX_class="NXdetector">
      <count_time NAPItype="NX_NUMBER" units="s">${count_time}</count_time>
      <data NAPItype="NX_NUMBER">${frames}</data>
    </group>
  </group>
</group>
"""
PROFILE = """definitions: [mine]
values:
  energy: data:mono_energy
  energy_end: data:mono_energy
  wavelength: {from: data:mono_lambda, unit: nm}
  count_time: config:eiger.count_time
techniques:
  look: {frames: data:eiger_image}
"""
SIGNALS = Signals(
    {"mono_energy": {"units": "eV"}, "mono_lambda": {}, "eiger_image": {}},
    {"eiger": {"eiger_count_time": {"units": None}}},
)


@pytest.fixture
def profile(tmp_path):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "mine.xml").write_text(DEFINITION)
    look = '<group groupName="${entry}" NX_class="NXentry"></group>'
    (tmp_path / "definitions" / "look.xml").write_text(look)
    (tmp_path / "profile.yml").write_text(PROFILE)
    write_signals(tmp_path / "signals.json", SIGNALS)
    return tmp_path


@pytest.fixture
def told(profile):
    return {each.variable: each for each in Recipes(profile).prospects("look")}


def test_each_source_stands_with_its_units_and_its_conversion(told):
    energy, wavelength = told["energy"], told["wavelength"]

    assert (energy.source, energy.unit_from, energy.unit_to) == ("data:mono_energy", "eV", "keV")
    assert (wavelength.unit_from, wavelength.unit_to) == ("nm", "angstrom")
    assert wavelength.deprecated == "use energy"
    assert energy.place.endswith("profile.yml, line 3")


def test_initial_final_and_columns_are_told_apart(told):
    assert [told[name].record for name in ("energy", "energy_end", "frames")] == ["initial", "final", "column"]
    assert told["count_time"].record == "", "a configuration is no reading"


def test_a_device_without_units_is_remarked(told):
    assert told["count_time"].remark == "the device gives no units"
    assert told["count_time"].unit_to is None


def test_what_nobody_binds_has_no_source(told):
    assert told["spread"].source == ""
    assert not told["spread"].listed
    assert told["title"].listed, "it is mandatory"


def test_the_table_lists_what_is_claimed_and_counts_the_rest(profile):
    run = CliRunner().invoke(
        app, ["coverage", "--profile", str(profile), "--technique", "look"], env={"COLUMNS": "150"}
    )

    assert run.exit_code == 1, "the title has no source"
    assert "mandatory variables without a source: title" in run.output
    assert "eV → keV" in run.output
    assert "spread" not in run.output
    assert "1 more, which nobody asks for" in run.output


def test_all_lists_every_variable(profile):
    arguments = ["coverage", "--profile", str(profile), "--technique", "look", "--all"]
    assert "spread" in CliRunner().invoke(app, arguments).output


def test_json_has_each_claimed_variable(profile):
    run = CliRunner().invoke(app, ["coverage", "--profile", str(profile), "--technique", "look", "--json"])

    (technique,) = json.loads(run.stdout).items()
    assert technique[0] == "look"
    variables = technique[1]["variables"]
    assert variables["energy"]["unit_from"] == "eV"
    assert variables["title"] == {"paths": ["title"], "mandatory": True}
    assert technique[1]["missing_mandatory"] == ["title"]


def test_an_unknown_technique_is_wrong_use(profile):
    run = CliRunner().invoke(app, ["coverage", "--profile", str(profile), "--technique", "lok"])

    assert run.exit_code == 2
    assert "did you mean 'look'?" in run.output


def test_of_a_file_no_technique_is_asked(tmp_path):
    run = CliRunner().invoke(app, ["coverage", str(tmp_path / "x.h5"), "--technique", "tomo"])
    assert run.exit_code == 2


def test_a_general_binding_may_serve_one_technique_only(profile):
    """`count_time` stands in the technique's definition alone, and is bound for every run."""
    (profile / "definitions" / "look.xml").write_text(
        '<group groupName="${entry}" NX_class="NXentry"><name>${look_name}</name></group>'
    )
    text = (profile / "profile.yml").read_text()
    (profile / "profile.yml").write_text(text.replace("values:\n", "constants: {look_name: far}\nvalues:\n"))

    recipes = Recipes(profile)
    assert {p.variable: p.source for p in recipes.prospects("look")}["look_name"] == "const:far"
    assert "look_name" not in {p.variable for p in recipes.prospects(None)}


def test_a_general_binding_of_what_no_definition_has_is_a_fault(profile):
    text = (profile / "profile.yml").read_text()
    (profile / "profile.yml").write_text(text.replace("values:\n", "constants: {enrgy: 1.0}\nvalues:\n"))

    with pytest.raises(FaultError, match=r"unknown variable 'enrgy' \(did you mean 'energy'\?\)"):
        Recipes(profile)
