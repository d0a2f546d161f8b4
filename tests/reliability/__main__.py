"""Measures what docs/reliability.md shows, and writes that page.

    python -m tests.reliability [NAME ...] [--output FILE] [--list]

Without names, every table is measured.  Sections of tables that were not measured, or could not be, stay as they
are in the file.

A table is a module of this directory, tests/reliability/NAME.py, with

    TITLE: str                      its heading
    TEXT: str                       Markdown: what was done, what the columns mean
    def measure() -> tuple[list[str], list[list[object]]]       heads of the columns, rows

measure() raises when something that must never happen has happened: the page shows counts of what was seen, and is
no place for failures.
"""

import argparse
import importlib
import re
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import report

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"

HEAD = """\
# Reliability

What was done to pools, how often, and what came of it. `make reliability` does all of it again and writes this page;
`python -m tests.reliability NAME` does one part (`--list` names them). Whatever breaks a promise of
[Durability](durability.md) ends the run with an error, so every figure here counts cases that ended as they must.
The same code runs in the test suite, in smaller numbers.
"""

SECTION = re.compile(r"^<!-- begin (\w+) -->\n(.*?)^<!-- end \1 -->\n", re.MULTILINE | re.DOTALL)


def names(directory: Path = Path(__file__).parent) -> list[str]:
    """The modules that are tables."""
    found = (path.stem for path in directory.glob("*.py"))
    return sorted(name for name in found if not name.startswith(("_", "test_")))


def cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return (report.number(value) if isinstance(value, float) else str(value)).replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown; columns whose cells are all numbers stand to the right."""
    rows = [list(row) for row in rows]
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"{len(heads)} columns, but this row has {len(row)} cells: {row}")
    right = [all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(heads))]
    lines = [list(heads), ["--:" if numbers else "---" for numbers in right]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines + [[*map(cell, row)] for row in rows])


def section(
    module: ModuleType, seconds: float, heads: Sequence[str], rows: Sequence[Sequence[object]]
) -> str:
    about = report.machine_text(report.machine(directory=ROOT))
    return f"## {module.TITLE}\n\n{module.TEXT.strip()}\n\n{table(heads, rows)}\n\n{about} {seconds:.0f} s.\n"


def sections(page: str) -> dict[str, str]:
    """Name -> text, of a page written before."""
    return {match[1]: match[2] for match in SECTION.finditer(page)}


def page(parts: dict[str, str]) -> str:
    return HEAD + "".join(
        f"\n<!-- begin {name} -->\n{parts[name]}<!-- end {name} -->\n" for name in sorted(parts)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="which tables (default: all)", metavar="NAME")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--list", action="store_true", help="name the tables")
    options = parser.parse_args(arguments)
    known = names()
    if options.list:
        print("\n".join(known))
        return 0
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"no such table: {', '.join(unknown)}; there are {', '.join(known) or 'none'}")

    parts = sections(options.output.read_text()) if options.output.exists() else {}
    parts = {name: text for name, text in parts.items() if name in known}
    failed = []
    for name in options.names or known:
        print(f"{name} ...", file=sys.stderr, flush=True)
        start = time.monotonic()
        try:
            module = importlib.import_module(f"tests.reliability.{name}")
            heads, rows = module.measure()
            parts[name] = section(module, time.monotonic() - start, heads, rows)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        else:
            options.output.write_text(page(parts))  # at once: the next may take an hour, or fail
            print(table(heads, rows), file=sys.stderr, flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}; their sections are as they were", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
