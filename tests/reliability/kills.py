"""kill -9 at random moments, for the page docs/reliability.md: the rounds of tests/crash, more of them."""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))

import test_kill

ROUNDS = int(os.environ.get("PMEMOBJ_KILL_ROUNDS", "400"))

TITLE = "Programs that are killed"
TEXT = """\
A program that changes lists, dicts and sets, in single operations, transactions and savepoints, is killed with
SIGKILL at a random moment: while it opens the pool, works, makes a checkpoint, or closes. After each kill the pool is
opened, with either engine, all of its structures are verified, `pmempool check` looks at the heap, and the contents
are compared with a model: they must be those after the last operation that was acknowledged, or after the one that
was going on.

*kills*: how many; *recoveries*: how many opens found something to replay or to undo; *operations*: how many changes
were acknowledged in all; *lost*: of these.
"""


def measure() -> tuple[list[str], list[list[object]]]:
    rows: list[list[object]] = []
    for name, engines in (
        ("journal", test_kill.JOURNAL),
        ("direct, sometimes journal", test_kill.DIRECT),
    ):
        with tempfile.TemporaryDirectory() as directory, test_kill.running_starters() as starters:
            counts = test_kill.kill_rounds(Path(directory), ROUNDS, engines, starters)
        rows.append([name, *counts, 0])
    return ["engine", "kills", "recoveries", "operations", "lost"], rows
