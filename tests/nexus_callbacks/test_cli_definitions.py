"""Cli: ``definitions list``, ``show``, ``convert`` and ``check``."""

import gzip
import json
from pathlib import Path

import pytest
from icat_esrf_definitions import DEFINITIONS_FILE
from typer.testing import CliRunner

from nexus_callbacks import techniques
from nexus_callbacks.cli import app
from nexus_callbacks.definitions import esrf_xml

ROOT = '<group groupName="${entry}" NX_class="NXentry">'


def run(*arguments):
    return CliRunner().invoke(app, ["definitions", *map(str, arguments)])


def words(text):
    return " ".join(text.split())


@pytest.fixture
def faulty(tmp_path):
    path = tmp_path / "faulty.xml"
    path.write_text(f"""{ROOT}
        <group groupName="instrument" NX_class="NXinstrument"><group groupName="lens" NX_class="NXraylens"/></group>
        <title>${{a}}</title><run_cycle>${{a}}</run_cycle><nick>${{b}}</nick><nack>${{c}}</nack>
    </group>""")
    return path


def test_list_says_what_ships():
    listed = {each["name"]: each for each in json.loads(run("list", "--json").stdout)["definitions"]}
    assert tuple(listed) == techniques.names()
    assert listed["esrf"] == {
        "name": "esrf",
        "package": "icat-esrf-definitions",
        "version": "3.8.0",
        "application": "",
        "fields": 1267,
        "variables": 1261,
        "mandatory": 6,
        "description": "",
    }
    assert listed["tomo"]["application"] == "NXtomo"
    assert "3.8.0" in run("list").stdout


def test_list_knows_nexuss_application_definitions():
    listed = {each["name"]: each for each in json.loads(run("list", "--nexus", "--json").stdout)["definitions"]}
    assert len(listed) == 45
    assert listed["NXsas"] == {
        "name": "NXsas",
        "version": "v2026.01",
        "description": "Raw, monochromatic 2-D SAS data with an area detector.",
    }
    assert "NXtomo" in run("list", "--nexus").stdout


def test_show_draws_the_tree_of_a_definition():
    shown = run("show", "tomo").stdout
    assert "rotation_angle = ${rotation_angle} NX_FLOAT deg mandatory" in shown
    assert "detector [NXdetector]" in shown
    assert "image_key → /instrument/detector/image_key" in shown


def test_show_as_json_has_all_of_it():
    tree = json.loads(run("show", DEFINITIONS_FILE, "--json").stdout)
    assert tree["nx_class"] == "NXentry"
    title = next(child for child in tree["children"] if child["name"] == "title")
    assert (title["variable"], title["type"], title["mandatory"]) == ("datasetName", "NX_CHAR", True)
    assert "units" not in title, "what is not there is left out"


def test_show_of_a_nexus_class():
    shown = run("show", "NXsas").stdout
    assert "NXsas application definition, extends NXobject" in shown
    assert "wavelength NX_FLOAT NX_WAVELENGTH required" in shown
    assert "pixel_shape one of" in run("show", "NXdetector").stdout
    tree = json.loads(run("show", "NXsas", "--json").stdout)
    assert (tree["category"], tree["children"][0]["nx_class"]) == ("application", "NXentry")


def test_what_is_no_definition_is_wrong_use(tmp_path):
    for named, told in (
        ("qqqq", "there is no definition 'qqqq' (name a file, a NeXus class, or one of base"),
        ("NXtomoo", "no class 'NXtomoo' in NeXus v2026.01 (did you mean 'NXtomo'?)"),
        (tmp_path / "none.xml", "cannot be read: No such file or directory"),
    ):
        done = run("show", named)
        assert done.exit_code == 2
        assert told in words(done.stderr)


def test_convert_writes_a_file_or_shows_it(tmp_path):
    shown = run("convert", "NXtomo").stdout
    assert '<rotation_angle NAPItype="NX_FLOAT" units="deg"' in shown
    assert "made by: nexus-callbacks definitions convert NXtomo" in shown
    made = tmp_path / "nxtomo.xml"
    assert run("convert", "NXtomo", "-o", made).exit_code == 0
    assert made.read_text(encoding="utf-8") == shown
    assert run("check", made).exit_code == 0


def test_convert_replaces_nobodys_file_unasked(tmp_path):
    made = tmp_path / "mine.xml"
    made.write_text("mine")
    done = run("convert", "NXtomo", "-o", made)
    assert done.exit_code == 2
    assert "is there already" in done.stderr
    assert made.read_text() == "mine"
    assert run("convert", "NXtomo", "-o", made, "--force").exit_code == 0
    assert esrf_xml.read(made).variables()
    assert run("convert", "NXtomo", "-o", tmp_path / "nowhere" / "a.xml").exit_code == 2


def test_convert_leaves_a_definition_in_esrfs_xml_as_it_is(tmp_path):
    made = tmp_path / "copy.xml"
    assert run("convert", "esrf", "-o", made).exit_code == 0
    assert made.read_bytes() == Path(DEFINITIONS_FILE).read_bytes()


def test_convert_reads_nxdl_of_ones_own(tmp_path):
    own = tmp_path / "NXmine.nxdl.xml"
    own.write_text(
        '<definition name="NXmine" category="application" extends="NXxbase">'
        '<group type="NXentry"><field name="definition"/><field name="colour"/></group></definition>'
    )
    result = json.loads(run("convert", own, "--json").stdout)
    tree = esrf_xml.reads(result["xml"], "mine")
    constants = {path: field.text for path, field in tree.fields() if field.variable is None}
    assert constants == {"definition": "NXmine"}
    assert {"colour", "InstrumentSource_probe"} <= set(tree.variables()), "its own, and NXxbase's as ESRF calls it"


def test_convert_tells_what_it_left_out():
    done = run("convert", "NXxnb", "--json")
    (remark,) = json.loads(done.stdout)["remarks"]
    assert "NXxnb.nxdl.xml, line 93: the link name/tilt was left out" in remark
    assert "the link name/tilt was left out" in words(done.stderr)


def test_convert_of_a_base_class_is_wrong_use():
    done = run("convert", "NXdetector")
    assert done.exit_code == 2
    assert "NXdetector is a base class" in words(done.stderr)


def test_check_counts_warnings_and_ends_with_1_on_errors_only(faulty):
    done = run("check", DEFINITIONS_FILE)
    assert done.exit_code == 0
    assert "0 errors, 796 warnings" in done.stdout
    assert "field not in its class" in done.stdout
    assert "and 749 more (--all)" in words(done.stdout)
    assert len(done.stdout.splitlines()) == 5

    done = run("check", faulty)
    assert done.exit_code == 1
    assert "faulty.xml, line 2: instrument/lens has class 'NXraylens'" in words(done.stdout)
    assert "nack" not in done.stdout
    assert "nack" in run("check", faulty, "--all").stdout


def test_check_of_several_as_json(faulty):
    done = run("check", "tomo", faulty, "--json")
    result = json.loads(done.stdout)
    assert (done.exit_code, result["valid"]) == (1, False)
    tomo, bad = result["files"]
    assert {each["severity"] for each in tomo["findings"]} == {"warning"}
    (error,) = [each for each in bad["findings"] if each["severity"] == "error"]
    assert error == {
        "severity": "error",
        "kind": "unknown class",
        "path": "instrument/lens",
        "line": 2,
        "message": "instrument/lens has class 'NXraylens', which NeXus v2026.01 does not have",
        "remedy": "did you mean 'NXxraylens'?",
    }


def test_check_beside_the_definition_that_it_will_be_merged_with(tmp_path):
    local = tmp_path / "local.xml"
    local.write_text(f'{ROOT}<title>${{mine}}</title><link groupName="name" ref="/sample/name"/></group>')
    assert "leads to /sample/name, where nothing is" in words(run("check", local).stdout)
    told = words(run("check", local, "--beside", "esrf").stdout)
    assert "where nothing is" not in told
    assert "/title holds '${mine}', but '${datasetName}'" in told


@pytest.mark.parametrize("name", techniques.names())
def test_what_ships_has_no_errors(name):
    done = run("check", name, "--beside", "esrf")  # As profiles merge them; measurement links into ESRF's.
    assert done.exit_code == 0, done.stdout


def test_check_of_nxdl_of_ones_own(tmp_path):
    own = tmp_path / "NXmine.nxdl.xml"
    own.write_text('<definition name="NXmine" category="base" extends="NXnott"><field/></definition>')
    assert "line 1: <field> lacks name" in words(run("check", own).stdout)
    own.write_text('<definition name="NXmine" category="base" extends="NXnott"/>')
    done = run("check", own)
    assert done.exit_code == 1
    assert "NXmine extends 'NXnott', which NeXus does not have (did you mean 'NXnote'?)" in words(done.stdout)


def test_old_releases_are_looked_at_to_their_end(tmp_path):
    for path in (Path(__file__).parent / "definitions" / "esrf").glob("*.gz"):
        unpacked = tmp_path / path.stem
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
    done = run("check", *sorted(tmp_path.glob("*.xml")))
    assert done.exit_code == 1
    assert [line.split()[-4:] for line in done.stdout.splitlines() if "errors," in line] == [
        ["3", "errors,", "546", "warnings"],
        ["3", "errors,", "572", "warnings"],
        ["0", "errors,", "758", "warnings"],
    ]


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [("show", "flou", "fluo"), ("show", "ESRF", "esrf"), ("convert", "nxrefscan", "NXrefscan")],
)
def test_a_misspelt_name_is_answered_with_what_was_probably_meant(command, typed, meant):
    done = run(command, typed)
    assert done.exit_code == 2
    assert f"did you mean '{meant}'?" in words(done.stderr)
