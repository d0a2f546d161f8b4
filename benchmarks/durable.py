"""What a durable commit costs, next to one bare fdatasync on the same disk.

The bare sync is that of a file that is allocated and has been written before, after 4 KiB of it were written
again: nothing but the data and the disk's flush.  A commit and a sync take turns, and who goes first changes, so
what else the disk has to do meets both.
"""

import os
import statistics
import time
from pathlib import Path

import pmemobj
from benchmarks.report import RATIO, Row

PAIRS = 500
BLOCK = bytes(range(256)) * 16
FILE_BLOCKS = 1024


class BareSync:
    """Calling it writes 4 KiB, somewhere else each time, and syncs; it gives the nanoseconds."""

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(self._file, 0, len(BLOCK) * FILE_BLOCKS)
        for turn in range(FILE_BLOCKS):
            os.pwrite(self._file, BLOCK, turn * len(BLOCK))
        os.fsync(self._file)
        self._turn = 0

    def __call__(self) -> int:
        self._turn += 1
        start = time.perf_counter_ns()
        os.pwrite(self._file, BLOCK, self._turn % FILE_BLOCKS * len(BLOCK))
        os.fdatasync(self._file)
        return time.perf_counter_ns() - start

    def close(self) -> None:
        os.close(self._file)


def commits(pool):
    """Ways to commit one change durably; each gives the nanoseconds."""
    pool.root = {"list": [0] * 1000, "dict": {}}
    items, mapping = pool.root["list"], pool.root["dict"]
    turn = 0

    def list_set():
        nonlocal turn
        turn += 1
        start = time.perf_counter_ns()
        items[turn % 1000] = turn
        return time.perf_counter_ns() - start

    def dict_insert():
        nonlocal turn
        turn += 1
        key = f"key-{turn:09d}"
        start = time.perf_counter_ns()
        mapping[key] = turn
        return time.perf_counter_ns() - start

    def transaction_of_ten():
        nonlocal turn
        turn += 1
        start = time.perf_counter_ns()
        with pool.transaction():
            for i in range(10):
                items[(turn * 10 + i) % 1000] = turn
        return time.perf_counter_ns() - start

    return {"list set": list_set, "dict insert": dict_insert, "transaction of 10": transaction_of_ten}


def measured(directory: Path, pairs: int = PAIRS) -> list[Row]:
    """One row for each way to commit; ratio: median to median."""
    bare = BareSync(directory / "bare.file")
    with pmemobj.open(directory / "durable.pool", sync="commit", max_size=1 << 30) as pool:
        ways = commits(pool)
        syncs: dict[str, list[int]] = {name: [] for name in ways}
        ours: dict[str, list[int]] = {name: [] for name in ways}
        for pair in range(pairs):
            for name, commit in ways.items():
                turns = [(syncs, bare), (ours, commit)]
                for times, run in reversed(turns) if pair % 2 else turns:
                    times[name].append(run())
    bare.close()
    rows = []
    for name in ways:
        base, mine = statistics.median(syncs[name]), statistics.median(ours[name])
        values = {"fdatasync": base / 1000, "pmemobj": mine / 1000, RATIO: mine / base}
        rows.append(Row("durable commit next to one fdatasync", name, "µs", values))
    return rows
