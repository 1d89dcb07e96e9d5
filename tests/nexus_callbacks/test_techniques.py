import hashlib
import io
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import pytest

from nexus_callbacks import techniques
from nexus_callbacks.beamline import bindings
from nexus_callbacks.definitions.definition import Group, Link
from nexus_callbacks.faults import FaultError, Place

ENTRY = '<group groupName="${entry}" NX_class="NXentry">'


def test_the_shipped_definitions() -> None:
    shipped = {"base", "esrf", "fluo", "generic", "holotomo", "measurement", "ptycho", "sxdm", "tomo"}
    assert set(techniques.names()) >= shipped
    assert list(techniques.names()) == sorted(techniques.names())
    for name in techniques.names():
        assert techniques.definition_path(name).is_file()
        assert techniques.bindings_path(name) is not None
    with pytest.raises(FaultError, match=r"unknown definition 'tom' \(did you mean 'tomo'\?\)"):
        techniques.definition_path("tom")


@pytest.mark.parametrize("name", techniques.names())
def test_every_default_fills_a_variable_of_its_definition(name: str) -> None:
    loaded = techniques.load([name] if name in ("base", "esrf") else ["esrf", name])
    bound = bindings.merge_bindings(loaded.bindings, None)
    assert bound.keys() - loaded.definition.variables().keys() == set()


def test_esrf_is_the_published_file() -> None:
    loaded = techniques.load(["esrf"])
    name, number, digest = loaded.sources[0]
    assert (name, number) == ("esrf", version("icat-esrf-definitions"))
    assert digest == hashlib.sha256(techniques.definition_path("esrf").read_bytes()).hexdigest()
    mandatory = {field.variable for _, field in loaded.definition.fields() if field.mandatory}
    assert mandatory <= bindings.merge_bindings(loaded.bindings, None).keys()


def test_the_three_merge_into_an_nxtomo() -> None:
    tree = techniques.load(["base", "esrf", "tomo"]).definition
    fields = dict(tree.fields())
    assert dict(tree.attributes) == {"definition": "NXtomo", "default": "data"}
    assert (fields["definition"].text, fields["definition"].variable) == ("NXtomo", None)
    assert fields["instrument/detector/data"].variable == "frames"
    assert fields["instrument/beam/incident_energy"].units == "keV"
    assert len(tree.variables()["TOMOAcquisition_sample_pixel_size"]) == 5
    assert fields["sample/name"].mandatory


def test_the_links_of_tomo_lead_somewhere() -> None:
    tree = techniques.load(["tomo"]).definition
    there = {path for path, _ in tree.walk()}
    links = {path: node.target.strip("/") for path, node in tree.walk() if isinstance(node, Link)}
    assert links.keys() == {
        "instrument/detector/image_key_control",
        *(f"data/{n}" for n in ("data", "rotation_angle", "image_key")),
    }
    assert set(links.values()) <= there
    (data,) = [node for path, node in tree.walk() if path == "data" and isinstance(node, Group)]
    assert dict(data.attributes)["signal"] == "data"
    assert dict(data.attributes)["axes"].split() == ["rotation_angle", ".", "."]


def test_the_technique_of_tomo_is_that_of_the_ontology() -> None:
    technique = pytest.importorskip("esrf_ontologies.technique")
    known = technique.get_technique_metadata("XRCT").get_dataset_metadata()
    bound = bindings.merge_bindings(techniques.load(["tomo"]).bindings, None)
    for name in ("technique_pid", "technique_pid_esrfet_version"):
        assert bound[name].source.value == known[name]


def test_base_has_only_what_nxdl_has() -> None:
    tree = techniques.load(["base"]).definition
    nexus = pytest.importorskip("nexusformat")
    folder = Path(nexus.__file__).parent / "definitions" / "base_classes"
    entry, sample = ((folder / f"{name}.nxdl.xml").read_text("utf-8") for name in ("NXentry", "NXsample"))
    for path, field in tree.fields():
        assert f'<field name="{field.name}"' in (sample if path.startswith("sample/") else entry)


# -- local definitions -------------------------------------------------------------------------------------------------


def test_a_local_file_adds_to_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "mine.xml").write_text(f"{ENTRY}<mood>${{mood}}</mood></group>")
    (tmp_path / "definitions" / "mine.yml").write_text("constants: {mood: good}")
    for name in ("definitions/mine.xml", "mine"):
        loaded = techniques.load(["base", name, "base"], tmp_path)
        assert [source[:2] for source in loaded.sources][1] == (name, "")
        assert len(loaded.sources) == 2
        assert loaded.definition.variables().keys() >= {"mood", "datasetName"}
        assert bindings.merge_bindings(loaded.bindings, None)["mood"].source.value == "good"


def test_all_faults_of_all_definitions_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text(f"{ENTRY}\n<a record='x'>1</a></group>")
    (tmp_path / "worse.xml").write_text(f"{ENTRY}</group>")
    (tmp_path / "worse.yml").write_text("vals: {}")
    with pytest.raises(FaultError) as caught:
        techniques.load(["bad.xml", "esrv", "none.xml", "worse.xml"], tmp_path, [None, Place("profile.yml", 7)])
    told = [str(fault).replace(f"{tmp_path}/", "") for fault in caught.value.faults]
    assert sorted(told) == [
        "bad.xml, line 2: unknown record 'x' (use initial or final)",
        "definition 'none.xml' cannot be read: No such file or directory",
        "profile.yml, line 7: unknown definition 'esrv' (did you mean 'esrf'?)",
        "worse.yml, line 1: unknown key 'vals' (did you mean 'values'?)",
    ]


def test_a_conflict_with_a_shipped_definition_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "mine.xml").write_text(f"{ENTRY}\n<title>${{other}}</title></group>")
    with pytest.raises(FaultError, match=r"mine\.xml, line 2: /title holds '\$\{other\}', but '\$\{datasetName\}' at "):
        techniques.load(["esrf", "mine.xml"], tmp_path)


def test_no_definition_at_all_is_a_fault() -> None:
    with pytest.raises(FaultError, match="no definition is named"):
        techniques.load([])


def test_links_of_two_files_that_make_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(f'{ENTRY}\n<link groupName="a" ref="/b"/>\n</group>')
    (tmp_path / "two.xml").write_text(f'{ENTRY}\n\n<link groupName="b" ref="/a"/>\n</group>')
    with pytest.raises(FaultError, match=r"two\.xml, line 3: links in a circle: /a → /b → /a \(link to a field"):
        techniques.load(["one.xml", "two.xml"], tmp_path)


def test_no_shipped_default_says_how_a_detector_stands():
    """Nobody stated it: a beamline's profile does."""
    defaults = resources.files("nexus_callbacks.techniques").joinpath("ptycho.yml").read_text("utf-8")
    assert "detector_normal" not in defaults


def test_a_definition_that_is_too_large_is_a_fault_however_large(tmp_path: Path) -> None:
    path = tmp_path / "huge.xml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # Sparse: it takes no room on the disk, and more than any memory if it is read whole.
    loaded, faults = techniques.read(["huge.xml"], tmp_path)
    assert loaded is None
    assert [(fault.message, str(fault.place)) for fault in faults] == [("larger than 20 MB", str(path))]


def test_the_checksum_is_that_of_the_bytes_that_were_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that somebody saves between two readings of it."""
    path = tmp_path / "mine.xml"
    texts = [f"{ENTRY}<title>{text}</title></group>" for text in ("one", "two", "three")]
    path.write_text(texts[0])
    later = iter(texts[1:])
    opened = io.open

    def changing(file, *given, **named):
        found = opened(file, *given, **named)
        if file == path:
            data = found.read()
            found.close()
            with opened(path, "w") as again:
                again.write(next(later))
            return io.BytesIO(data)
        return found

    monkeypatch.setattr(io, "open", changing)  # What Path.open and Path.read_bytes call.
    loaded = techniques.load(["mine.xml"], tmp_path)
    title = dict(loaded.definition.fields())["title"].text
    parsed = next(text for text in texts if f">{title}<" in text)
    assert loaded.sources == [("mine.xml", "", hashlib.sha256(parsed.encode()).hexdigest())]
