"""A beamline's own definition beside ESRF's: it may add and narrow; what redefines is refused before the scan."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import bluesky.plans as bp
import h5py
import pytest
from bluesky import RunEngine
from icat_esrf_definitions import DEFINITIONS_FILE
from ophyd import Signal

from nexus_callbacks import FaultError, NexusWriter
from nexus_callbacks.definitions import release
from nexus_callbacks.faults import Fault
from nexus_callbacks.recipes import Recipes

PROFILE = """
beamline: id16a
timezone: Europe/Paris
definitions: [esrf, local]
constants: {proposal: ma2210, datasetName: d1, Sample_name: Fe_Au_180N}
"""


@pytest.fixture
def beamline(tmp_path):
    """A profile with a local definition of this content."""

    def make(body):
        (tmp_path / "definitions").mkdir()
        text = f'<group groupName="${{entry}}" NX_class="NXentry">\n{body}\n</group>\n'
        (tmp_path / "definitions" / "local.xml").write_text(text, encoding="utf-8")
        (tmp_path / "profile.yml").write_text(PROFILE)
        return tmp_path

    return make


REDEFINITIONS = {
    "another variable": ("<title>${name}</title>", "/title holds '${name}', but '${datasetName}'"),
    "another type": ('<proposal NAPItype="NX_INT">${proposal}</proposal>', "/proposal is NX_INT, but NX_CHAR"),
    "a text for a number": (
        '<group groupName="HOLO" NX_class="NXsubentry"><n NAPItype="NX_CHAR">${HOLO_N}</n></group>',
        "/HOLO/n is NX_CHAR, but NX_INT",
    ),
    "other units": (
        '<group groupName="sample" NX_class="NXsample"><distance NAPItype="NX_NUMBER" units="m"/></group>',
        "/sample/distance has units 'm', but 'mm'",
    ),
    "another record": (
        '<group groupName="sample" NX_class="NXsample"><name record="initial"/></group>',
        "/sample/name wants the initial reading, but the final one",
    ),
    "another class": (
        '<group groupName="sample" NX_class="NXcollection"/>',
        "/sample has class NXcollection, but NXsample",
    ),
    "a link for a field": ('<link groupName="title" ref="/proposal"/>', "/title is a link, but a field"),
    "a field for a group": ("<sample>${s}</sample>", "/sample is a field, but a group"),
    "a group for a field": ('<group groupName="title" NX_class="NXnote"/>', "/title is a group, but a field"),
}


@pytest.mark.parametrize("kind", REDEFINITIONS)
def test_what_redefines_esrfs_definition_is_refused_with_both_places(beamline, kind):
    body, message = REDEFINITIONS[kind]
    folder = beamline(body)
    with pytest.raises(FaultError) as caught:
        NexusWriter(folder / "data", profile=folder)
    (told,) = [fault for fault in caught.value.faults if message in fault.message]
    assert str(told.place) == f"{folder / 'definitions' / 'local.xml'}, line 2"
    assert f" at {DEFINITIONS_FILE}, line " in told.message
    assert told.remedy == "a definition may add or narrow, not redefine"


def test_two_local_definitions_may_not_redefine_each_other(beamline):
    folder = beamline('<a>1<attribute name="x">1</attribute></a>\n<link groupName="b" ref="/a"/>')
    (folder / "profile.yml").write_text(PROFILE.replace("local]", "local, definitions/other.xml]"))
    other = '<a>2<attribute name="x">2</attribute></a><link groupName="b" ref="/title"/>'
    (folder / "definitions" / "other.xml").write_text(
        f'<group groupName="e" NX_class="NXentry"><attribute name="c">1</attribute>{other}</group>'
    )
    with pytest.raises(FaultError) as caught:
        NexusWriter(folder / "data", profile=folder)
    assert [fault.message.partition(" at ")[0] for fault in caught.value.faults] == [
        "/a holds '2', but '1'",
        "/a has the attribute x = '2', but '1'",
        "/b links to '/title', but '/a'",
    ]


def test_version_and_hash_of_each_definition_stand_in_the_file(beamline):
    folder = beamline("<remark>${remark}</remark>\n<machine>simulated</machine>")
    (folder / "profile.yml").write_text(PROFILE.replace("{proposal", "{remark: a first try, proposal"))
    writer = NexusWriter(folder / "data", profile=folder)
    engine = RunEngine()
    engine.subscribe(writer)
    (uid,) = engine(bp.count([Signal(name="counts", value=1)], 1))
    with h5py.File(writer.files[uid]) as file:
        home = file["entry/nexus_callbacks/definitions"]
        told = [list(home[name].asstr()) for name in ("name", "version", "sha256")]
        assert file["entry/remark"].asstr()[()] == "a first try"
        assert file["entry/machine"].asstr()[()] == "simulated"
    local = (folder / "definitions" / "local.xml").read_bytes()
    hashes = [hashlib.sha256(text).hexdigest() for text in (Path(DEFINITIONS_FILE).read_bytes(), local)]
    assert told == [["esrf", "local"], [version("icat-esrf-definitions"), ""], hashes]
    writer.close()


SLIPS = """<group groupName="sample" NX_class="NXsample">
<tilt units="degreees">${tilt}</tilt>
<link groupName="rotation" ref="/sample/tillt"/>
<speed unit="mm/s">${speed}</speed>
</group>
<group groupName="counter" NX_class="NXmoniter"/>"""


def test_slips_in_a_local_definition_are_told_before_the_scan_all_at_once(beamline):
    folder = beamline(SLIPS)
    (folder / "profile.yml").write_text(PROFILE + "techniques: {refl: }\n")
    (folder / "definitions" / "refl.xml").write_text(
        '<group groupName="${entry}" NX_class="NXentry">\n<link groupName="angle" ref="/sample/tilt"/>\n'
        '<link groupName="power" ref="/sample/powre"/>\n</group>\n'
    )
    with pytest.raises(FaultError) as refused:
        NexusWriter(folder, profile=folder)
    local, refl = (str(folder / "definitions" / name) for name in ("local.xml", "refl.xml"))
    assert [(fault.place.source, fault.place.line) for fault in refused.value.faults] == [
        *((local, line) for line in (3, 4, 5, 7)),
        (refl, 3),
    ]
    unit, link, attribute, nx_class, technique = map(str, refused.value.faults)
    assert "sample/tilt has the unit 'degreees', which is not known" in unit
    assert "leads to /sample/tillt, where nothing is (did you mean /sample/tilt?)" in link
    assert "unknown attribute 'unit' (did you mean 'units'?)" in attribute
    assert "counter has class 'NXmoniter'" in nx_class
    assert "did you mean 'NXmonitor'?" in nx_class
    assert "leads to /sample/powre" in technique


def test_without_the_nexus_classes_all_but_them_is_told(beamline, monkeypatch):
    def missing():
        raise FaultError([Fault("nexusformat is not installed")])

    monkeypatch.setattr(release, "installed", missing)
    folder = beamline(SLIPS)
    with pytest.raises(FaultError) as refused:
        NexusWriter(folder, profile=folder)
    assert [fault.place.line for fault in refused.value.faults] == [3, 4, 5]


def test_a_misspelt_technique_of_a_run_is_answered_with_what_was_probably_meant(beamline):
    folder = beamline("")
    (folder / "profile.yml").write_text(PROFILE + "techniques: {fluo: }\n")
    recipes = Recipes(folder)
    with pytest.raises(FaultError, match=r"'fluoo' is not in the profile.*did you mean 'fluo'"):
        recipes.recipe({"technique": "fluoo"}, folder / "a.h5")
    with pytest.raises(FaultError, match=r"'xas' is not in the profile.*add it under 'techniques:'"):
        recipes.recipe({"technique": "xas"}, folder / "a.h5")
