"""Mutators tried in a pool with every amount of free space below what they need."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TITLE = "Full pools"

TEXT = """\
A pool of 8 MiB is filled until not even a block of 16 bytes or an object fits. The mutator is tried, then one of the
filling blocks is deleted (the smallest first; several at a time once that has been done often), and so on until the
mutator succeeds. Each try before that must raise `PoolFullError`, leave contents and allocated bytes as they were, and
be followed by a successful deletion. At the end the contents must be what the same call makes of a builtin, `check()`
must find nothing, and a new handle the same contents. *Inside*: in a transaction, which goes on after the error,
changes something else, and commits. *Tries*: the last one of them succeeded, all others raised. *Wrong* counts
violations. The direct engine takes the file for persistent memory here."""


def swept(engine: str) -> dict[str, tuple[int, int]]:
    """Tries and violations by mutator; PMEM_IS_PMEM_FORCE has chosen the engine."""
    sys.path.insert(0, str(ROOT / "tests" / "pool"))
    from full_pool import MUTATORS, sweep

    found = {}
    for name, mutator in MUTATORS.items():
        for inside in (False, True):
            directory = Path(tempfile.mkdtemp(prefix="pmemobj-full-"))
            try:
                result = sweep(directory / "pool", mutator, inside, engine)
            finally:
                shutil.rmtree(directory)
            wrong = result.wrong + (result.succeeded != 1) + (result.raised != result.steps - 1)
            found[f"{name}|{'inside' if inside else 'alone'}"] = (result.steps, wrong)
    return found


def measure() -> tuple[list[str], list[list[object]]]:
    """One row for each mutator, alone and inside a transaction."""
    by_engine = {}
    for engine in ("journal", "direct"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.reliability.full_pool", engine],
            env={**os.environ, "PMEM_IS_PMEM_FORCE": str(int(engine == "direct")), "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        by_engine[engine] = json.loads(done.stdout)
    rows: list[list[object]] = [
        [
            f"`{name.rpartition('|')[0]}`",
            name.rpartition("|")[2],
            *by_engine["journal"][name],
            *by_engine["direct"][name],
        ]
        for name in by_engine["journal"]
    ]
    rows.append(["**all**", "", *(sum(row[i] for row in rows) for i in range(2, 6))])  # type: ignore[misc]
    heads = ["mutator", "transaction", "journal: tries", "wrong", "direct: tries", "wrong"]
    if any(row[3] or row[5] for row in rows):
        raise AssertionError(f"violations: {[row for row in rows if row[3] or row[5]]}")
    return heads, rows


if __name__ == "__main__":
    print(json.dumps(swept(sys.argv[1])))
