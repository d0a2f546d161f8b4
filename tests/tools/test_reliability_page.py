"""tests/reliability/__main__.py: how docs/reliability.md is made of its tables."""

import sys
import types

import pytest

from tests.reliability import __main__ as reliability


@pytest.fixture
def tables(monkeypatch):
    """tables(name=rows or an exception): the only tables there are."""

    def there_are(**contents):
        monkeypatch.setattr(reliability, "names", lambda: sorted(contents))
        for name, rows in contents.items():
            module = types.ModuleType(name)
            module.TITLE, module.TEXT = f"Title of {name}", "What was done.\n"

            def measure(rows=rows):
                if isinstance(rows, Exception):
                    raise rows
                return ["what", "times"], rows

            module.measure = measure
            monkeypatch.setitem(sys.modules, f"tests.reliability.{name}", module)

    return there_are


def test_every_table_becomes_a_section_with_its_machine(tables, tmp_path):
    tables(b=[["x", 12345]], a=[["y|z", 2], ["w", True]])
    page = tmp_path / "page.md"
    assert reliability.main(["--output", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(reliability.HEAD)
    assert text.index("## Title of a") < text.index("## Title of b")
    assert "| what | times |\n| --- | --: |\n| x | 12,345 |\n\n" in text
    assert "| y\\|z | 2 |\n| w | yes |\n" in text
    assert text.count("Linux ") == 2


def test_what_is_not_measured_or_fails_stays_and_what_is_gone_goes(tables, tmp_path, capsys):
    page = tmp_path / "page.md"
    tables(a=[["first", 1]], b=[["first", 1]], gone=[["first", 1]])
    assert reliability.main(["--output", str(page)]) == 0
    tables(a=[["second", 2]], b=AssertionError("a promise was broken"))
    assert reliability.main(["--output", str(page)]) == 1
    text = page.read_text()
    assert "| second | 2 |" in text
    assert text.count("| first | 1 |") == 1
    assert "gone" not in text
    assert "a promise was broken" in capsys.readouterr().err
    tables(a=[["third", 3]], b=[["third", 3]])
    assert reliability.main(["--output", str(page), "b"]) == 0
    text = page.read_text()
    assert text.index("| second | 2 |") < text.index("| third | 3 |")
    assert text.count("third") == 1


def test_unknown_names_and_ragged_rows_are_mistakes(tables, capsys):
    tables(a=[["too", "many", "cells"]])
    with pytest.raises(SystemExit):
        reliability.main(["nonsense"])
    assert "nonsense" in capsys.readouterr().err
    with pytest.raises(ValueError, match="3 cells"):
        reliability.table(["what", "times"], [["too", "many", "cells"]])


def test_each_table_there_is_has_what_it_needs():
    for name in reliability.names():
        module = __import__(f"tests.reliability.{name}", fromlist=["TITLE"])
        assert module.TITLE and module.TEXT.strip(), name
        assert callable(module.measure), name
