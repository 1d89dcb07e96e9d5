"""The repository itself: what must never stand in it, and that its pins are complete."""

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SKIPPED = {"__pycache__", "build", "data", "demo-data", "dist"}
TEXT = {"", ".cfg", ".in", ".json", ".md", ".py", ".toml", ".txt", ".xml", ".yaml", ".yml"}


def texts():
    """Every text file of the checkout, but for what is made there."""
    waiting = [ROOT]
    while waiting:
        for path in waiting.pop().iterdir():
            name = path.name
            if path.is_dir() and name not in SKIPPED and (not name.startswith(".") or name == ".ci"):
                waiting.append(path)
            elif path.is_file() and path.suffix in TEXT and name != ".git":  # A file in a worktree.
                yield path


def test_the_search_finds_the_files_it_is_to_look_at():
    found = {str(path.relative_to(ROOT)) for path in texts()}
    assert {"Makefile", "constraints.txt", "pyproject.toml", ".ci/run", "tests/test_housekeeping.py"} <= found


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        # Each pattern is written so that it does not find itself.
        ("the host of a package index", r"pypi[.]org|pythonhosted[.]|extra-index-ur[l]|index-ur[l]|find-link[s]"),
        ("a path of one machine", r"/root[/]|/home/(?!USER)\w|/Users/\w|(?<![\w{.])/work[/]|(?<![\w{.])/tmp/[w]/"),
    ],
)
def test_no_file_names(what, pattern):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found, f"{what}: {found}"


PACKAGES = [ROOT / folder for folder in ("devices", "plans")]
PACKAGES += sorted(init.parent for package in PACKAGES for init in package.glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_package_says_what_each_of_its_modules_is(package):
    described = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")))
    folders = {init.parent.name for init in package.glob("*/__init__.py")}
    modules = {path.stem for path in package.glob("*.py")} | folders
    named = {name for line in re.findall(r"^- (.*?):", described, re.M) for name in re.findall("``(.*?)``", line)}
    assert named == modules - {"__init__"}


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_each_constraint_is_one_exact_version():
    for line in pins():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_every_dependency_is_pinned_and_so_are_theirs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {canonicalize_name(line.partition("==")[0]) for line in pins()}
    waiting = [Requirement(r) for r in project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        waiting += [Requirement(r) for r in extra]
    seen = set()
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        key = (name, frozenset(needed.extras))
        if key in seen or name == canonicalize_name(project["name"]):
            continue
        seen.add(key)
        assert name in pinned, f"{name} is missing from constraints.txt: make constraints"
        for line in metadata.requires(name) or []:
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": e}) for e in (needed.extras or {""})):
                waiting.append(further)


def test_the_installed_versions_are_the_pinned_ones():
    for line in pins():
        name, _, version = line.partition("==")
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:  # needed on another platform or Python only
            continue
        assert installed == version, f"{name}: make clean test"


def test_every_extra_and_script_has_its_target():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    targets = [*project["scripts"].values(), *project["entry-points"]["nexus_callbacks.demos"].values()]
    for target in targets:
        module, _, name = target.partition(":")
        path = ROOT / module.replace(".", "/")
        source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        assert re.search(rf"^(def )?{name}\b", source.read_text(encoding="utf-8"), re.MULTILINE), target
