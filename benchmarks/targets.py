"""Measures all that docs/performance.md promises, and writes that page.

    python benchmarks/targets.py [--only GROUP] [--quick] [--output docs/performance.md]

With --only, the other rows keep what was measured before, if that was at the same commit; else they are empty.
Why a missed target is missed stands in benchmarks/explanations.md, by the name of the row.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import goals, report

PAGE = report.ROOT / "docs" / "performance.md"
EXPLANATIONS = Path(__file__).resolve().parent / "explanations.md"
FIGURES = "targets.json"
PACKAGES = ["lmdb", "ZODB", "pynvm"]

HEAD = """\
# Performance

What pmemobj promises, and what was measured. `make bench-targets` measures all of it again and writes this page.
"Must" is what a release has to reach, "aim" what it could; `x` is a multiple of the other's time or size, so less is
better, and `x faster` is the other's time in multiples of ours. Times against builtins include the loop that makes
the calls. Of several figures behind one row, the worst is shown. Where the time of missed rows goes is on a page of its
own, [Profiles](profiles.md).

"""


def explanations(path: Path = EXPLANATIONS) -> dict[str, str]:
    """Heading -> text.  A heading that is no row is a mistake, such as a row that has been renamed."""
    parts = re.split(r"^## (.*)$", path.read_text(), flags=re.MULTILINE)[1:]
    found = {name.strip(): text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
    known = {goal.name for part in goals.PARTS for goal in part.goals}
    unknown = sorted(found.keys() - known)
    if unknown:
        raise ValueError(f"{path.name} explains rows that there are not: {', '.join(unknown)}")
    return found


def row(goal: goals.Goal, figure: list | tuple | None) -> str:
    # Ratios with two decimals, since 1.15 and 1.20 are different answers.
    def text(value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:.2f}" if goal.unit == "x" else report.number(value)

    measured, note = figure or (None, "")
    cells = [
        f"{goal.name} ({goal.unit})",
        f"**{text(measured)}**" if measured is not None else "",
        text(goal.must),
        text(goal.aim),
        goal.verdict(measured) if measured is not None else "not measured",
        note,
    ]
    return f"| {' | '.join(cells)} |"


def page(figures: dict, about: dict, command: str, why: dict[str, str]) -> str:
    lines = [
        HEAD + f"Command: `{command}`. Date: {about['date']}. Machine: {report.machine_text(about)}",
        "",
    ]
    missed = []
    for part in goals.PARTS:
        lines += [f"## {part.group}", "", "| what | measured | must | aim | | remarks |"]
        lines.append("|---|--:|--:|--:|---|---|")
        for goal in part.goals:
            figure = figures.get(goal.name)
            lines.append(row(goal, figure))
            if figure is not None and not goal.reached(figure[0], goal.must):
                missed.append(goal.name)
        lines.append("")
    if missed:
        lines += ["## What is missed, and why", ""]
        for name in missed:
            lines += [f"**{name}.** {why.get(name, 'Not explained yet.')}", ""]
    return "\n".join(lines)


def kept(path: Path, commit: str) -> dict:
    """What was measured before, if it was this commit, without changes."""
    if path.exists():
        before = json.loads(path.read_text())
        if before["commit"] == commit and not commit.endswith("+"):
            return before["figures"]
    return {}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="only parts whose heading contains this")
    parser.add_argument(
        "--quick", action="store_true", help="see that everything works; figures mean nothing"
    )
    parser.add_argument("--directory", help="where pools are made (default: below build/)")
    parser.add_argument("--results", type=Path, default=report.DIRECTORY, help="where all rows go")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args(argv)
    why = explanations()  # before an hour of measuring
    effort = goals.SMOKE if options.quick else goals.Effort()
    about = report.machine(PACKAGES, options.directory)
    store = options.results / FIGURES
    figures = kept(store, about["commit"]) if options.only else {}
    rows = []
    for part in goals.PARTS:
        if options.only and options.only.lower() not in part.group.lower():
            continue
        start = time.monotonic()
        with report.scratch(options.directory) as directory:
            found, measured = part.measure(Path(directory), effort)
        rows += found
        figures |= measured
        print(f"{part.group}: {time.monotonic() - start:.0f} s", flush=True)
    command = "make bench-targets"
    if options.quick or options.only:
        arguments = ["--quick"] * options.quick + ([f"--only {options.only!r}"] if options.only else [])
        command += f" BENCH_ARGS={' '.join(arguments)!r}"
    report.save("targets-rows", rows, options.results, PACKAGES)
    store.write_text(json.dumps({"commit": about["commit"], "figures": figures}, indent=1) + "\n")
    options.output.write_text(page(figures, about, command, why))
    print(options.output.read_text())


if __name__ == "__main__":
    main()
