"""What comes of failing file calls: the sweep of tests/faults/sweep.py, counted by fault and by call."""

import os
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults import sweep

TITLE = "Failing file calls"
TEXT = """
A workload (creating a pool; single operations, transactions with savepoints, records longer than a segment, ranges
written past the journal, `sync()`, `checkpoint()`; closing or being killed; recovering) runs in a child process while
one of its file calls fails, under each of the three sync policies. Afterwards no acknowledged commit was lost and no
other state was found, neither in memory nor by the next open; a pool that had failed refused every change and could be
read; closing neither hung nor crashed; no failed sync was ever repeated; every structure was sound and no file was left
behind.

Of each function that the workload calls, the first call fails, the last one, and one or more between: *once*; or
*always*, that function from then on; or, from then on, *all calls* of any function that can meet the error.

Further columns: *unnoticed*: the workload met no error, because the call is repeated (EINTR, short transfers), is not
needed (a hole that cannot be punched), or has another way to be done. *error, went on*: an operation raised `OSError`,
nothing had changed, and the pool went on once the fault was gone. *open refused*: `open()` raised, and the next one,
without the fault, succeeded. *failed*: the pool failed (`PoolFailedError`), *at close*: found when it was closed.
"""

#: Of each function, so many calls: FAULTS_CALLS=20 takes some hours.
MOST = int(os.environ.get("FAULTS_CALLS", "3"))


def counted(engine: str, results: tuple[str, ...]) -> tuple[list[str], list[list[object]]]:
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    with tempfile.TemporaryDirectory(dir="build", prefix="faults-") as name:
        directory = Path(name).absolute()
        for scenario in sweep.scenarios(directory, engine):
            for fault, lasting, outcome in sweep.sweep_functions(scenario, directory / "run", MOST):
                assert outcome.kind is not None
                counts.setdefault((outcome.kind, fault, lasting), Counter())[outcome.result] += 1
    heads = ["first call that failed", "fault", "how long", "cases", *results]
    rows: list[list[object]] = []
    for key in sorted(counts):
        found = counts[key]
        rows.append([*key, found.total(), *(found[result] for result in results)])
    total: Counter[str] = sum(counts.values(), Counter())
    rows.append(["**all**", "", "", total.total(), *(total[result] for result in results)])
    return heads, rows


def measure() -> tuple[list[str], list[list[object]]]:
    return counted("journal", sweep.RESULTS)
