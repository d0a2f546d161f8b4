"""How long an open takes: of a large pool that was closed, and of one whose program was killed.

Each open happens in a new process.  What is timed is `pmemobj.open` and the first look-up in the root; importing the
package is not.  The file is in the page cache, as it is after a crash of the program alone.
"""

import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pmemobj
from benchmarks.report import ROOT, Row

ENTRIES = 10_000_000
CHUNK = 1_000_000
GROUP = "open a pool"
CLOSED = "closed"
ORDERS = ("in order", "in random places")

OPEN = """
import sys, time
import pmemobj
path, key = sys.argv[1:]
start = time.perf_counter_ns()
pool = pmemobj.open(path, "w")
opened = time.perf_counter_ns()
pool.root[key]
read = time.perf_counter_ns()
recovery = pool.recovery or {"bytes": 0, "records": 0}
print(opened - start, read - opened, recovery["bytes"], recovery["records"])
pool.close()
"""

# Dies with as much in the journal as `changes` transactions of a thousand entries leave.  Where the entries are
# spread, nearly each one is on a page of its own, which replay has to write.
DIE = """
import os, random, signal, sys
import pmemobj
path, entries, changes, order = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
pool = pmemobj.open(path, "w", sync="manual")
mapping, choose = pool.root, random.Random(5)
for turn in range(changes):
    with pool.transaction():
        for i in range(1000):
            place = (turn * 1000 + i) % entries if order == "in order" else choose.randrange(entries)
            mapping[f"key-{place:09d}"] = -turn
os.kill(os.getpid(), signal.SIGKILL)
"""


def fill(path: Path, entries: int) -> None:
    with pmemobj.open(path, sync="manual") as pool:
        pool.root = {}
        for first in range(0, entries, CHUNK):
            last = min(first + CHUNK, entries)
            pool.root.update({f"key-{i:09d}": i for i in range(first, last)})


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def opened(path: Path) -> tuple[int, int, int, int]:
    """ns of the open, ns of the first look-up, bytes and records replayed."""
    done = run(OPEN, path, f"key-{5:09d}")
    done.check_returncode()
    open_ns, read_ns, replayed, records = map(int, done.stdout.split())
    return open_ns, read_ns, replayed, records


def kill(path: Path, entries: int, changes: int, order: str) -> None:
    done = run(DIE, path, entries, changes, order)
    if done.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the process that was to be killed ended otherwise: {done.stderr}")


def row(entries: int, name: str, found: list[tuple[int, int, int, int]], clean: float) -> Row:
    """clean: ns of an open after a close, which is what a replay adds to."""
    open_ns, read_ns, replayed, _ = (statistics.median(column) for column in zip(*found, strict=True))
    values = {"open": open_ns / 1e6, "first look-up": read_ns / 1e6}
    if replayed:
        values["replayed MB"] = replayed / 1e6
    if replayed > 1e6 and open_ns > clean:  # less says nothing about the speed
        values["replay MB/s"] = replayed / 1e6 / ((open_ns - clean) / 1e9)
    return Row(f"{GROUP} of {entries:,} entries", name, "ms", values)


def measured(
    directory: Path, entries: int = ENTRIES, amounts: tuple[int, ...] = (1, 300), repeats: int = 9
) -> list[Row]:
    """A row for clean opens, and one for each amount and order of the changes that the journal held at the kill."""
    path = directory / "opening.pool"
    fill(path, entries)
    closed = [opened(path) for _ in range(repeats)]
    clean = statistics.median(ns for ns, *_ in closed)
    rows = [row(entries, CLOSED, closed, clean)]
    for order in ORDERS:
        for amount in amounts:
            killed = []
            for _ in range(repeats):
                kill(path, entries, amount, order)
                killed.append(opened(path))
            rows.append(row(entries, f"killed, {amount},000 changes {order}", killed, clean))
    path.unlink()
    return rows
