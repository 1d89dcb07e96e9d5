"""The Markdown pages do what they say: all blocks of one page in order, in one namespace and one empty folder.

- ```python runs; a block of ``>>>`` lines is a doctest.
- ```console is a session: a line ``$ nexus-callbacks …`` runs, and what follows it is what it prints (as in a doctest,
  ``...`` stands for anything). A command without lines after it may print anything, but must not fail.
- Any block after ``<!-- file: PATH -->`` is written to that file.

A block after ``<!-- no-run: reason -->`` is left out.
"""

import doctest
import re
import shlex
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from nexus_callbacks import demos
from nexus_callbacks.beamline import conversions, naming, sources
from nexus_callbacks.beamline.profile import Profile
from nexus_callbacks.beamline.typed import Axis, Files, Read, RunRule, Spec
from nexus_callbacks.cli import app
from nexus_callbacks.cli.definitions import summary
from nexus_callbacks.recipes import Recipes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NO_RUN = re.compile(r"<!--\s*no-run:\s*(\S.*?)\s*-->", re.DOTALL)
FILE = re.compile(r"<!--\s*file:\s*(\S+)\s*-->")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(markdown):
    """(line, language, file, text) of each block that is to run or to be written; line 1 is the first of the page."""
    before = ""
    for token in MarkdownIt().parse(markdown):
        if token.type == "fence" and not NO_RUN.search(before):
            language = (token.info.split() or [""])[0]
            file = FILE.search(before)
            if file or language in ("python", "console"):
                yield token.map[0] + 2, language, file and file.group(1), token.content
        if token.type in ("fence", "html_block", "inline"):
            before = token.content if token.type == "html_block" else ""


def run(path, block, namespace):
    line, language, file, text = block
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(text, "utf-8")
    elif language == "console":
        for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            shell(command, printed)
    elif text.lstrip().startswith(">>>"):
        told = []
        test = doctest.DocTestParser().get_doctest(text, namespace, path.name, str(path), line - 1)
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append, clear_globs=False)
        assert not told, "".join(told)
        namespace.update(test.globs)
    else:
        # Empty lines first, so that a traceback names the line of the page.
        exec(compile("\n" * (line - 1) + text, str(path), "exec"), namespace)


def shell(command, printed):
    """Run one command as from a terminal of 100 columns, and compare what it prints."""
    program, *arguments = shlex.split(command)
    assert program == "nexus-callbacks", command
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})
    if printed:
        assert doctest.OutputChecker().check_output(printed, done.output, FLAGS), f"{command}\n{done.output}"
    else:
        assert done.exit_code == 0, f"{command}\n{done.output}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_does_what_it_says(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in blocks(path.read_text(encoding="utf-8")):
        run(path, block, namespace)


LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]+))?\)")
READ = [*PAGES, *ROOT.glob("*.md"), *(ROOT / "tutorials").glob("*.md")]


@pytest.mark.parametrize("path", sorted(set(READ)), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(path):
    for target, heading in LINK.findall(path.read_text("utf-8")):
        if "://" in target:
            continue
        there = path.parent / target if target else path
        assert there.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings], heading


def test_every_demo_is_named_where_people_begin():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in demos.names() if f"`{name}`" not in readme] == []


def test_the_tables_of_techniques_are_those_of_the_definitions_and_profiles():
    text = (ROOT / "docs" / "techniques.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    what = {row[0].strip("`"): row for row in rows if len(row) == 7}
    filled = {row[0].strip("`"): row for row in rows if len(row) == 4}
    assert set(what) == {*filled, "measurement"} == set(demos.names())
    for name, row in filled.items():
        shape, beamline = what[name][3:5]
        assert shape.partition(",")[0].partition(";")[0] == (summary(name).application or "none"), name
        claim = Recipes(ROOT / "profiles" / beamline).claims()[name]
        assert f"of {claim.total}" in row[1], name


PROFILE = (ROOT / "docs" / "profile.md").read_text("utf-8")
MODELS = (Profile, Files, Read, RunRule, Spec, Axis)
KEYS = {field.alias or name for each in MODELS for name, field in each.model_fields.items()}
WORDS = {*KEYS, *conversions.NAMES, *sources.SCHEMES, *sources.FACTS, *naming.PLACEHOLDERS}
EXAMPLES = [token for token in MarkdownIt().parse(PROFILE) if token.type == "fence" and token.info == "yaml"]


def test_the_page_on_profiles_names_all_that_can_be_typed():
    tables = " ".join(line for line in PROFILE.splitlines() if line.startswith("|"))
    prose = PROFILE.partition("## Files and runs")[2]  # Placeholders are named there.
    named = {*re.findall(r"`(\w+)`", tables + prose)}
    assert sorted(WORDS - named) == []


def test_the_tables_of_the_page_on_profiles_name_nothing_else():
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PROFILE, re.MULTILINE)
    assert len(rows) > 30
    assert sorted({word for row in rows for word in re.findall(r"\w+", row)} - WORDS) == []


@pytest.mark.parametrize("token", EXAMPLES[2:], ids=lambda token: f"line {token.map[0] + 2}")
def test_the_examples_of_the_page_on_profiles_are_sound(token, tmp_path):
    """The first two are files that the page itself uses, one of them faulty."""
    (tmp_path / "profile.yml").write_text(f"definitions: [esrf]\n{token.content}", "utf-8")
    Recipes(tmp_path)


PAGE = """\
```python
x = 1
```
<!-- no-run: needs a beamline -->

```python
raise RuntimeError
```
<!-- a comment -->
```python
>>> x
2
```
<!-- file: mine/profile.yml -->
```yaml
definitions: [base]
```
```console
$ nexus-callbacks coverage --profile mine
runs without a technique: 7 of 7 variables have a source
...
$ nexus-callbacks coverage --profile yours
```
"""


def test_the_runner_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    python, example, file, console = found = list(blocks(PAGE))
    assert [line for line, *_ in found] == [2, 11, 16, 19]
    namespace = {}
    run(Path("page.md"), python, namespace)
    assert namespace["x"] == 1
    with pytest.raises(AssertionError, match=r"Expected:\s+2\s+Got:\s+1"):
        run(Path("page.md"), example, namespace)
    run(Path("page.md"), file, namespace)
    with pytest.raises(AssertionError, match="--profile yours"):
        run(Path("page.md"), console, namespace)
    with pytest.raises(AssertionError, match="7 of 7"):
        shell("nexus-callbacks coverage --profile mine", "something else\n")
