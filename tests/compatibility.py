"""Writes docs/compatibility.md from a run of the interpreter's own tests: python -m tests.compatibility

Run from the root of the checkout.  The exit status is that of the tests.
"""

import sys
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "compatibility.md"
EXCLUDED = "excluded: "  # see cpython/adapter.py

TEXT = """\
# Compatibility

The containers run the interpreter's own tests of the builtin ones, through an adapter that makes them in a pool
(`tests/cpython/`). *Excluded* are tests of what a container in a pool cannot be or does not want to be; each reason is
listed below. This page is written by `python -m tests.compatibility`.

"""


class Results:
    def __init__(self) -> None:
        self.passed: defaultdict[str, int] = defaultdict(int)
        self.failed: defaultdict[str, int] = defaultdict(int)
        self.excluded: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path, suite, name = report.nodeid.split("::")
        group = f"{Path(path).stem.removeprefix('test_')}: {suite.removeprefix('Test')}"
        if report.failed:
            self.failed[group] += 1
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if reason.startswith(EXCLUDED):
                self.excluded[group][name] = reason.removeprefix(EXCLUDED)
        elif report.when == "call" and report.passed:
            self.passed[group] += 1

    def page(self) -> str:
        groups = sorted({*self.passed, *self.failed, *self.excluded})
        lines = [
            f"Python {sys.version.split()[0]}.",
            "",
            "| suite | run | passed | share | excluded |",
            "|---|---|---|---|---|",
        ]
        for group in groups:
            run = self.passed[group] + self.failed[group]
            share = f"{100 * self.passed[group] / run:.0f} %" if run else "-"
            lines.append(
                f"| {group} | {run} | {self.passed[group]} | {share} | {len(self.excluded[group])} |"
            )
        lines += ["", "## Excluded", ""]
        for group in groups:
            if self.excluded[group]:
                lines += [f"### {group}", ""]
                lines += [
                    f"- `{name}`: {reason.replace('|', chr(92) + '|')}"
                    for name, reason in sorted(self.excluded[group].items())
                ]
                lines.append("")
        return TEXT + "\n".join(lines).rstrip() + "\n"


def main() -> int:
    results = Results()
    status = pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", str(HERE / "cpython")], [results])
    PAGE.write_text(results.page())
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
