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
one of its file calls fails: the first, the second, and so on until the run is free of faults; once, or from then on
always; under each of the three sync policies. Afterwards no acknowledged commit was lost and no other state was found,
neither in memory nor by the next open; a pool that had failed refused every change and could be read; closing neither
hung nor crashed; no failed sync was ever repeated; every structure was sound and no file was left behind.

Columns: *unnoticed*: the workload met no error, because the call is repeated (EINTR, short transfers), is not needed
(a hole that cannot be punched), or has another way to be done. *error, went on*: an operation raised `OSError`, nothing
had changed, and the pool went on once the fault was gone. *open refused*: `open()` raised, and the next one, without
the fault, succeeded. *failed*: the pool failed (`PoolFailedError`), *at close*: found when it was closed.
"""

#: Creating a pool reads each of its pages, so of these reads only some fail.
READ_STRIDE = 23
#: Of the other calls one in so many, chosen by the environment: all of them take half an hour.
STRIDE = int(os.environ.get("FAULTS_STRIDE", "1"))
if STRIDE > 1:
    SAMPLED = f"\nOf the calls of each kind one in {STRIDE} was made to fail (FAULTS_STRIDE={STRIDE}).\n"
else:
    SAMPLED = ""
TEXT += SAMPLED


def counted(engine: str, results: tuple[str, ...]) -> tuple[list[str], list[list[object]]]:
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    with tempfile.TemporaryDirectory(dir="build", prefix="faults-") as name:
        directory = Path(name).absolute()
        for scenario in sweep.scenarios(directory, engine):
            for fault in sweep.faults_of(engine):
                reads = scenario.name == "create" and fault.kinds == sweep.READS
                stride = max(STRIDE, READ_STRIDE) if reads else STRIDE
                for outcome in sweep.sweep(scenario, fault, directory / "run", stride):
                    key = fault.name, "always" if fault.sticky else "once", outcome.kind
                    counts.setdefault(key, Counter())[outcome.result] += 1
    heads = ["fault", "from then on", "first call that failed", "cases", *results]
    rows: list[list[object]] = []
    for key in sorted(counts):
        found = counts[key]
        rows.append([*key, found.total(), *(found[result] for result in results)])
    total: Counter[str] = sum(counts.values(), Counter())
    rows.append(["**all**", "", "", total.total(), *(total[result] for result in results)])
    return heads, rows


def measure() -> tuple[list[str], list[list[object]]]:
    return counted("journal", sweep.RESULTS)
