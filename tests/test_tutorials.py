"""Every tutorial runs from top to bottom, and prints what it says it prints.

The convention, see CONTRIBUTING.md: a ```text block right after a code cell is what the cell prints, compared as
doctest does with ELLIPSIS and NORMALIZE_WHITESPACE. A cell without such a block may print anything.
"""

import doctest
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

TUTORIALS = Path(__file__).parents[1] / "tutorials"
EXPECTED = re.compile(r"\A\s*```text\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def printed(cell):
    """What a person sees below a cell as text: what it prints, then its value."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif output.output_type == "execute_result":
            parts.append(output.data.get("text/plain", "") + "\n")
    return "".join(parts)


def execute(notebook, folder):
    """The notebook with outputs, run in a folder."""
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def differences(notebook):
    """Each difference between what a cell printed and what stands below it."""
    checker = doctest.OutputChecker()
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        expected = EXPECTED.match(following.source) if following and following.cell_type == "markdown" else None
        if cell.cell_type != "code" or expected is None:
            continue
        want, got = expected.group(1), printed(cell)
        if not checker.check_output(want, got, FLAGS):
            yield f"after\n{cell.source}\n{checker.output_difference(doctest.Example(cell.source, want), got, FLAGS)}"


def check(source, folder):
    notebook = jupytext.reads(source, fmt="md:myst")
    told = list(differences(execute(nbformat.from_dict(notebook), folder)))
    assert not told, "\n".join(told)


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.md")), ids=lambda path: path.stem)
def test_a_tutorial_runs_and_prints_what_it_says(path, tmp_path, monkeypatch):
    # A reader has the environment activated, so that the command is found.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    check(path.read_text(encoding="utf-8"), tmp_path)


NOTEBOOK = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
```{code-cell} ipython3
import os
print("in", os.listdir())
6 * 7
```

```text
in [...]
ANSWER
```
"""


def test_the_runner_itself(tmp_path):
    check(NOTEBOOK.replace("ANSWER", "42"), tmp_path)
    with pytest.raises(AssertionError, match="Expected:"):
        check(NOTEBOOK.replace("ANSWER", "43"), tmp_path)
