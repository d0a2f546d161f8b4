"""Mutators tried in a pool with every amount of free space below what they need."""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pool"))

from full_pool import MUTATORS, sweep

TITLE = "Full pools"

TEXT = """\
A pool of 8 MiB is filled until not even a block of 16 bytes or an object fits. The mutator is tried, then one of the
filling blocks is deleted (the smallest first; several at a time once that has been done often), and so on until the
mutator succeeds. Each try before that must raise `PoolFullError`, leave contents and allocated bytes as they were, and
be followed by a successful deletion. At the end the contents must be what the same call makes of a builtin, `check()`
must find nothing, and a new handle the same contents. *Inside*: in a transaction, which goes on after the error,
changes something else, and commits. *Wrong* counts violations."""


def measure() -> tuple[list[str], list[list[object]]]:
    """One row for each mutator, alone and inside a transaction."""
    rows: list[list[object]] = []
    for name, mutator in MUTATORS.items():
        for inside in (False, True):
            directory = Path(tempfile.mkdtemp(prefix="pmemobj-full-"))
            try:
                found = sweep(directory / "pool", mutator, inside)
            finally:
                shutil.rmtree(directory)
            where = "inside" if inside else "alone"
            rows.append([f"`{name}`", where, found.steps, found.raised, found.succeeded, found.wrong])
    return ["mutator", "transaction", "tries", "raised", "succeeded", "wrong"], rows
