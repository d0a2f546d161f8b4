"""What comes of damaged pools: cases of tests/malformed, by what was damaged and how it ended."""

import itertools
import os
import tempfile
from collections import Counter
from pathlib import Path

from tests.malformed import bases, mutate, runner

TITLE = "Damaged files"
TEXT = """
Pools, small and large, closed and killed under each engine, were damaged: single bits, bytes, other lengths
of the files; and words of every structure replaced by what a damaged word might be (zero, another structure's
offset, one outside of the pool, another kind, depth or count, ...), in pool files, and in records and headers
whose checksums were made to agree. About one half was opened for reading, looked at entirely (every item, length,
lookup, `repr`, comparison) and `check()`ed, the other for writing, looked at, `check()`ed, changed a little, collected
and closed; one in sixteen both, and compacted. No process ended, no case took longer than a minute, no error was one
of Python's own (`SystemError`), no class or pickle was loaded that was not asked for.

Columns: *refused*: no open succeeded. *found by check()*: it was opened, and `check()` named the damage.
*harmless*: it was opened, and nothing is wrong, because what was damaged is not used, or was recovered from,
or says something else that is as valid.
"""

#: Six of ten are of all bits, bytes and lengths, a share of each kind; the environment may say otherwise.
CASES = int(os.environ.get("MALFORMED_CASES", "10000"))


def measure() -> tuple[list[str], list[list[object]]]:
    with tempfile.TemporaryDirectory() as directory:
        found = bases.make(Path(directory))
        systematic = mutate.sample(found, CASES * 6 // 10, every_length=True)
        damage = mutate.random_cases(found, CASES * 4 // 10, seed=3)
        result = runner.run(found, itertools.chain(systematic, damage))
    if result.failures:
        raise AssertionError(f"{len(result.failures)} cases went wrong, such as {result.failures[0]}")
    kinds: dict[str, Counter[str]] = {}
    for (kind, outcome), count in result.counts.items():
        kinds.setdefault(kind, Counter())[outcome] += count
    outcomes = ["refused", "found by check()", "harmless"]
    rows: list[list[object]] = [
        [kind, counts.total(), *(counts[outcome] for outcome in outcomes)]
        for kind, counts in sorted(kinds.items())
    ]
    total: Counter[str] = sum(kinds.values(), Counter())
    rows.append(["**all**", total.total(), *(total[outcome] for outcome in outcomes)])
    return ["what was damaged", "cases", *outcomes], rows
