"""The command ``nexus-callbacks definitions diff``."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nexus_callbacks.cli import app

OLD = Path(__file__).parent / "definitions" / "esrf"
ENTRY = '<group groupName="${entry}" NX_class="NXentry">'


def run(*arguments: str, status: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["definitions", "diff", *arguments])
    assert result.exit_code == status, result.output
    return result.stdout, result.stderr


@pytest.fixture
def old(tmp_path: Path) -> str:
    """ESRF's release 2.0.0 as a file."""
    path = tmp_path / "old.xml"
    path.write_bytes(gzip.decompress((OLD / "hdf5_cfg-2.0.0.xml.gz").read_bytes()))
    return str(path)


def test_two_releases(old: str) -> None:
    told, _ = run(old, "esrf")
    lines = [line.strip() for line in told.splitlines()]
    assert lines[0].startswith(f"{old} → esrf: 9 removed, ")
    (number,) = [n for n, text in enumerate(Path(old).read_text().splitlines(), 1) if "${TOMO_projN}" in text]
    (renamed,) = [line for line in lines if "${TOMO_projN}" in line]
    assert renamed.startswith(
        "renamed: field /TOMO/acquisition/proj_n ${TOMOAcquisition_proj_n}, was ${TOMO_projN} at /TOMO/n"
        f" (old.xml, line {number} → hdf5_cfg.xml, line "
    )
    assert any(line.startswith("added: group /SCXRD with 9 below it (hdf5_cfg.xml, line ") for line in lines)
    assert not any("/SCXRD/wavelength" in line for line in lines)
    assert "/SCXRD/wavelength" in run(old, "esrf", "--all")[0]


def test_as_json_for_programs(old: str) -> None:
    out, err = run(old, "esrf", "--json")
    told = json.loads(out)
    assert told["counts"]["removed"] == 9
    assert sum(told["counts"].values()) == len(told["changes"])
    distance = next(change for change in told["changes"] if change["path"] == "sample/distance")
    assert distance["what"] == {"type": ["NX_CHAR", "NX_NUMBER"], "units": ["", "mm"]}
    assert distance["first"]["file"] == old
    assert "removed" in err


def test_two_beamlines(tmp_path: Path) -> None:
    for name, unit in (("one", "mm"), ("two", "m")):
        home = tmp_path / name
        (home / "definitions").mkdir(parents=True)
        (home / "profile.yml").write_text("definitions: [base, own]\n")
        (home / "definitions" / "own.xml").write_text(f'{ENTRY}\n<gap units="{unit}">${{gap}}</gap>\n</group>')
    told, _ = run(str(tmp_path / "one"), str(tmp_path / "two" / "profile.yml"))
    assert told.splitlines()[1:] == ["  changed: field /gap ${gap}, units mm → m (own.xml, line 2 → own.xml, line 2)"]
    told, _ = run(str(tmp_path / "one"), str(tmp_path / "one"))
    assert told.strip().endswith("no difference")
    (tmp_path / "one" / "profile.yml").write_text("definitions: [base, own]\ntechniques: {own: }\n")
    told, _ = run(str(tmp_path / "one"), str(tmp_path / "one"))
    assert "not compared: the techniques' own definitions (--technique own)" in told
    told, _ = run(str(tmp_path / "one"), str(tmp_path / "one"), "--technique", "tomo")
    assert told.strip().endswith("no difference")


def test_what_is_no_definition_is_wrong_use(tmp_path: Path) -> None:
    assert "there is no definition 'esfr'" in run("esfr", "base", status=2)[1]
    assert "cannot be read: No such file" in run("base", str(tmp_path / "none.xml"), status=2)[1]
    (tmp_path / "profile.yml").write_text("definitions: [nosuch]\n")
    assert "unknown definition 'nosuch'" in run("base", str(tmp_path), status=2)[1]
    (tmp_path / "profile.yml").write_text("definitons: [base]\n")
    assert "unknown key 'definitons'" in run("base", str(tmp_path), status=2)[1]


def test_a_nexus_class_beside_a_definition() -> None:
    told, _ = run("NXtomo", "tomo", "--json")
    paths = {change["path"]: change["kind"] for change in json.loads(told)["changes"]}
    assert paths["instrument/beam/incident_energy"] == "added"
    assert "definition" not in paths, "both hold NXtomo"
