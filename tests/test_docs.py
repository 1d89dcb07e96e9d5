"""Every ```python block of the Markdown pages runs, those of one page in one namespace, in an empty folder.

A block after ``<!-- no-run: reason -->`` is left out. A block of ``>>>`` lines is a doctest.
"""

import doctest
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NO_RUN = re.compile(r"<!--\s*no-run:\s*(\S.*?)\s*-->", re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(markdown):
    """(line, code) of each block that is to run; line 1 is the first of the page."""
    before = None
    for token in MarkdownIt().parse(markdown):
        python = token.type == "fence" and token.info.split()[:1] == ["python"]
        if python and not (before and NO_RUN.search(before)):
            yield token.map[0] + 2, token.content
        if token.type in ("fence", "html_block", "inline"):
            before = token.content if token.type == "html_block" else None


def run(path, line, code, namespace):
    if code.lstrip().startswith(">>>"):
        told = []
        test = doctest.DocTestParser().get_doctest(code, namespace, path.name, str(path), line - 1)
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append, clear_globs=False)
        assert not told, "".join(told)
        namespace.update(test.globs)
    else:
        # Empty lines first, so that a traceback names the line of the page.
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_python_of_a_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for line, code in blocks(path.read_text(encoding="utf-8")):
        run(path, line, code, namespace)


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
"""


def test_the_runner_itself():
    found = list(blocks(PAGE))
    assert [line for line, _ in found] == [2, 11]
    namespace = {}
    run(Path("page.md"), *found[0], namespace)
    assert namespace["x"] == 1
    with pytest.raises(AssertionError, match=r"Expected:\s+2\s+Got:\s+1"):
        run(Path("page.md"), *found[1], namespace)
