"""Threads on shared containers: a million operations under each sync policy."""

import tempfile
from pathlib import Path

import pmemobj
from tests.transactions.thread_work import work_together

OPERATIONS = 1_000_000
THREADS = 8

TITLE = "Threads"

TEXT = """
Eight threads share a list, dicts, a set and objects of one pool, with a switch interval of one microsecond, and do
random operations until there were a million: transfers between accounts and moves between lists in transactions (some
with savepoints, one in eight undone, one in eight left by an exception), and single operations outside of them.
Meanwhile a ninth thread calls `sync`, `checkpoint`, `stats` and `gc`.

Transactions note their order; a plain model that does the same in that order must end up equal to the pool. What the
single operations did must not depend on an order: every ticket is taken once, each thread's items are all there in its
own order, pairs that are changed together are equal. All of that, and `pool.check()`, holds before and after a
reopening.

*Committed* and *undone* are transactions; *changes of thread* counts how often the next transaction was another
thread's; *background* counts the calls of the ninth thread.
"""


HEADS = ["sync", "threads", "operations", "committed", "undone", "changes of thread", "background"]


def row(sync: str, seed: int, engine: str = "journal") -> list[object]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pool"
        with pmemobj.open(path, max_size=256 << 20, sync=sync, engine=engine) as pool:
            result = work_together(pool, OPERATIONS, THREADS, seed, patience=3600)
        with pmemobj.open(path) as pool:
            result["check"](pool)
    names = "operations", "transactions", "undone", "switches", "background"
    return [sync, THREADS, *(result[name] for name in names)]


def measure() -> tuple[list[str], list[list[object]]]:
    return HEADS, [row(sync, seed) for seed, sync in enumerate(("interval", "manual", "commit"), 11)]
