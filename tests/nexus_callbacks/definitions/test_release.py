import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_callbacks.definitions import nxdl_xml, release
from nexus_callbacks.definitions.nxdl import Definition, Field, Group
from nexus_callbacks.definitions.release import Release
from nexus_callbacks.faults import FaultError

NEXUS = release.installed()


def field(definition: Definition, path: str) -> Field:
    found = dict(definition.walk())[path]
    assert isinstance(found, Field)
    return found


def test_the_installed_release_has_every_class() -> None:
    assert NEXUS.version == "v2026.01"
    assert len(NEXUS.names()) == 280
    assert len(NEXUS.applications()) == 45
    for name in NEXUS.names():
        assert NEXUS.definition(name).name == name


def test_the_definitions_are_found_without_loading_nexusformat() -> None:
    code = (
        "import sys; from nexus_callbacks.definitions import release; release.installed().definition('NXmx');"
        "print(any(name.startswith('nexusformat') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_nexusformat_a_fault_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    release.installed.cache_clear()
    with pytest.raises(FaultError, match=r'nexusformat, which is not installed \(pip install "nexus-callbacks\[val'):
        release.installed()
    monkeypatch.undo()
    release.installed.cache_clear()
    assert release.installed() == NEXUS


@pytest.mark.parametrize(
    ("name", "near"),
    [("NXraylens", "NXxraylens"), ("NXCollection", "NXcollection"), ("NXtomoo", "NXtomo"), ("NXcharacterization", "")],
)
def test_the_class_that_was_meant(name: str, near: str) -> None:
    assert NEXUS.nearest(name) == near
    with pytest.raises(FaultError, match=f"no class '{name}' in NeXus v2026.01" + (f".*'{near}'" if near else "$")):
        NEXUS.definition(name)


def test_nxdetector_has_what_it_extends() -> None:
    assert list(NEXUS.parents("NXdetector")) == ["NXdetector", "NXcomponent", "NXobject"]
    scope = NEXUS.scope("NXdetector")
    own = {name: scope.field(name) for name in ("x_pixel_size", "name", "data_errors", "field_of_view")}
    assert own["x_pixel_size"] is not None
    assert own["x_pixel_size"].units == "NX_LENGTH"
    assert own["name"] is not None, "of NXcomponent"
    assert scope.field("anything_weights") is not None, "FIELDNAME_weights of NXobject"
    assert own["field_of_view"] is None, "what nabu reads, and NeXus does not know"


def test_an_exact_name_goes_before_a_pattern() -> None:
    found = NEXUS.scope("NXdetector").field("data_errors")
    assert found is not None
    assert found.name == "data_errors"


def test_what_a_group_holds_depends_on_the_groups_around_it() -> None:
    (entry,) = (n for n in NEXUS.definition("NXmx").children if isinstance(n, Group) and n.nx_class == "NXentry")
    detector = NEXUS.scope("NXentry", entry).inner("instrument", "NXinstrument").inner("eiger", "NXdetector")
    said = detector.field("sensor_thickness")
    alone = NEXUS.scope("NXdetector").field("sensor_thickness")
    assert said is not None
    assert alone is not None
    assert (said.presence, alone.presence) == ("required", "optional")
    assert detector.field("x_pixel_size") is not None, "NXmx does not name it, its class does"


def test_a_member_takes_from_its_class_what_the_application_leaves_open() -> None:
    sas = NEXUS.definition("NXsas")
    path = "NXentry/NXinstrument/NXsource/type"
    assert field(sas, path).enumeration is None
    filled = field(NEXUS.filled(sas), path).enumeration
    assert filled is not None
    assert "Synchrotron X-ray Source" in filled.items
    probe = field(NEXUS.filled(sas), "NXentry/NXinstrument/NXsource/probe").enumeration
    assert probe is not None
    assert probe.items == ("neutron", "x-ray"), "what the application says itself stands"


def test_an_application_extends_another() -> None:
    euler = NEXUS.definition("NXxeuler")
    paths = [path for path, _ in euler.walk()]
    assert field(euler, "NXentry/definition").enumeration.items == ("NXxeuler",)  # type: ignore[union-attr]
    assert "NXentry/instrument/detector/data" in paths, "NXxbase's"
    assert "NXentry/sample/chi" in paths, "its own"
    assert len(paths) == len(set(paths)), "nothing stands twice"
    assert field(euler, "NXentry/sample/orientation_matrix").nx_type == "NX_FLOAT"


def made(folder: Path, **extends: str) -> Release:
    (folder / "base_classes").mkdir()
    for name, parent in extends.items():
        text = f'<definition name="{name}" category="base" extends="{parent}"><field name="of_{name}"/></definition>'
        (folder / "base_classes" / f"{name}.nxdl.xml").write_text(text)
    return Release(folder, "made")


def test_classes_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    circle = made(tmp_path, NXa="NXb", NXb="NXc", NXc="NXa")
    with pytest.raises(FaultError, match="NXc extends NXa, which extends it"):
        circle.definition("NXa")
    assert len(list(circle.parents("NXa"))) == release.MAX_PARENTS


def test_a_class_that_extends_nothing_known_is_refused(tmp_path: Path) -> None:
    release_ = made(tmp_path, NXa="NXnote2", NXnote="")
    with pytest.raises(FaultError, match=r"NXa extends 'NXnote2', which NeXus does not have \(did you mean 'NXnote'"):
        release_.definition("NXa")


def test_a_file_of_ones_own_extends_the_classes_of_the_release() -> None:
    text = b'<definition name="NXmine" category="application" extends="NXxbase"><group type="NXentry"/></definition>'
    own = NEXUS.extended(nxdl_xml.reads(text, "mine.nxdl.xml"))
    assert "NXentry/instrument/source/probe" in dict(own.walk())
