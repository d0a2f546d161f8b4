"""The README and every page of docs/ tell the truth: what they show is run.

The blocks of a page build on each other and run in a directory of the page's own, which holds the examples:

    ```python     with >>> a doctest; a block that starts with "# FILE" must stand in that file of the
                  repository word for word; any other is executed
    ```console    lines that start with "$ " are given to a shell, and what they print is compared

In expected output, "..." stands for anything.  Other blocks (sh, text) are only read.
"""

import doctest
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

import pmemobj

#: The pages show the default engine.
pytestmark = pytest.mark.journal_engine("the pages show it")

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS


class Page:
    """Runs the blocks of a page, one after the other."""

    def __init__(self, name):
        # A module that can be found by its name, so that its classes can be stored.
        self.module = types.ModuleType(re.sub(r"\W", "_", f"page_{name}"))
        sys.modules[self.module.__name__] = self.module
        self.ran = 0

    def close(self):
        del sys.modules[self.module.__name__]
        for value in list(vars(self.module).values()):
            if isinstance(value, pmemobj.PersistentObjectPool):
                value.close()

    def python(self, text, place):
        quoted = re.match(r"# (\S+\.py)\n", text)
        if ">>> " in text:
            self.doctest(text, place)
        elif quoted:
            source = (ROOT / quoted[1]).read_text()
            assert text[quoted.end() :].strip("\n") in source, f"{place}: not what {quoted[1]} says"
        else:
            exec(compile("\n" * place[1] + text, place[0], "exec", dont_inherit=True), vars(self.module))

    def doctest(self, text, place):
        test = doctest.DocTestParser().get_doctest(text, {}, place[0], place[0], place[1])
        test.globs = vars(self.module)  # not a copy: the blocks of a page share their names
        report = []
        failed = (
            doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append, clear_globs=False).failed
        )
        assert not failed, "".join(report)

    def console(self, text, place):
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(pmemobj.__file__).resolve().parents[1]),
        }
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", command], env=environment, text=True, timeout=60,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            # What an interactive shell adds.
            got = done.stdout + ("Killed\n" if done.returncode == -signal.SIGKILL else "")
            if not doctest.OutputChecker().check_output(expected, got, OPTIONS):
                pytest.fail(f"{place[0]}:{place[1]}: $ {command}\nexpected:\n{expected}\ngot:\n{got}")


def blocks(path):
    text = path.read_text()
    for match in FENCE.finditer(text):
        yield match[1], match[2], (str(path.relative_to(ROOT)), text.count("\n", 0, match.start()) + 1)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_the_page_shows_happens(path, tmp_path, monkeypatch):
    shutil.copytree(
        ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.pool*")
    )
    monkeypatch.chdir(tmp_path)
    page = Page(path.stem)
    try:
        for kind, text, place in blocks(path):
            if kind in ("python", "console"):
                getattr(page, kind)(text, place)
    finally:
        page.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    outside_code = FENCE.sub("", path.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", outside_code):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), f"{path.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", FENCE.sub("", found.read_text()), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, f"{path.name}: {target}"


def test_a_page_that_lies_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = Page("lies")
    try:
        with pytest.raises(AssertionError, match=r"Expected:\n +3\n"):
            page.python(">>> 1 + 1\n3\n", ("lies.md", 1))
        with pytest.raises(AssertionError, match="not what"):
            page.python("# examples/hello.py\nprint('something else')\n", ("lies.md", 1))
        with pytest.raises(pytest.fail.Exception, match="expected:\nno\n"):
            page.console("$ echo yes\nno\n", ("lies.md", 1))
        with pytest.raises(pytest.fail.Exception, match="Killed"):
            page.console("$ kill -9 $$\n", ("lies.md", 1))
    finally:
        page.close()
