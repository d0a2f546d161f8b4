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
(`tests/cpython/`): a class under test takes no pool as argument, what copies and pickles give is put into the pool
again, and objects of the tests' own classes, which no pool could hold, are found by a number. This page is written by
`python -m tests.compatibility`.

*Excluded* are tests that do not apply: what they ask for is impossible for something that stays, or pointless.
*Adapted* are tests that run with one more thing changed than all others. Each is listed below with its reason.
*Share* is what has passed, of all that were run or excluded. Tests that the suite itself skips here, because they need
8 GiB of memory or another build of the interpreter, are not counted.

"""


#: The suites, and the classes of tests/cpython with their tests.
SUITES = {
    "list_tests, seq_tests, test_list": ["TestList"],
    "mapping_tests, test_dict": ["TestDict", "TestGeneralMapping", "TestSubclassMapping"],
    "test_bisect": ["TestBisect", "TestInsort", "TestBisectErrors"],
    "test_bytes (bytearray)": ["TestByteArray", "TestByteArrayAsString", "TestByteArrayPEP3137"],
    "test_collections (Counter)": ["TestCounter"],
    "test_defaultdict": ["TestDefaultDict"],
    "test_deque": ["TestDeque", "TestDequeAsSequence", "TestDequeIteratorArguments"],
    "test_dictviews": ["TestDictViews"],
    "test_heapq": ["TestHeap", "TestHeapErrors"],
    "test_ordered_dict": [
        "TestOrderedDict",
        "TestOrderedMapping",
        "TestOrderedSubclassMapping",
        "TestOrderedAsCache",
    ],
    "test_set": ["TestSet", "TestSetSubclass", "TestFrozenSet", "TestFrozenSetSubclass"],
    "test_tuple, seq_tests": ["TestTuple"],
}
SUITE_OF = {name: suite for suite, names in SUITES.items() for name in names}


class Results:
    def __init__(self) -> None:
        self.passed: defaultdict[str, int] = defaultdict(int)
        self.failed: defaultdict[str, int] = defaultdict(int)
        self.excluded: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        self.adapted: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, tests, name = report.nodeid.split("::")
        group = SUITE_OF[tests]
        if report.failed:
            self.failed[group] += 1
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if reason.startswith(EXCLUDED):
                self.excluded[group][tests, name] = reason.removeprefix(EXCLUDED)
        elif report.when == "call" and report.passed and not hasattr(report, "context"):  # a test, no subtest
            self.passed[group] += 1
            if how := sys.modules["adapter"].ADAPTED.get((tests, name)):
                self.adapted[group][tests, name] = how

    def page(self) -> str:
        groups = sorted({*self.passed, *self.failed, *self.excluded})
        lines = [
            f"Python {sys.version.split()[0]}.",
            "",
            "| suite | run | passed | excluded | share | adapted |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for group in groups:
            run = self.passed[group] + self.failed[group]
            excluded = len(self.excluded[group])
            share = f"{100 * self.passed[group] / (run + excluded):.1f} %"
            lines.append(
                f"| {group} | {run} | {self.passed[group]} | {excluded} | {share} | {len(self.adapted[group])} |"
            )
        for title, tests in (("Excluded", self.excluded), ("Adapted", self.adapted)):
            lines += ["", f"## {title}", ""]
            for group in groups:
                if tests[group]:
                    reasons = {name: reason for (_, name), reason in tests[group].items()}
                    lines += [f"### {title}: {group}", ""]
                    lines += [
                        f"- `{name}`: {reason.replace('|', chr(92) + '|')}"
                        for name, reason in sorted(reasons.items())
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
