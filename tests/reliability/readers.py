"""What readers cost a writer, and what they have seen while everybody was killed."""

import os
import random
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

import pmemobj

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "crash"))

import test_readers_kill  # noqa: E402

TITLE = "Readers beside a writer"
TEXT = """\
A writer sets items of a list of a million at random places, one operation after the other, each timed by itself, while
other processes hold, refresh or open snapshots (`flag="r"`) of the pool. The columns p50 to worst are the time of one
operation of the writer, in microseconds; *above 1 ms together* is what all operations longer than that took in sum.
The machine's other work is in the figures, so the row without readers is what to compare with. *Opening* is a reader
that opens a snapshot, looks at it and closes it, over and over; *refreshing* one that refreshes every 5 ms; *held* one
that keeps the state from before the first operation, whose pages become its own meanwhile.

The last row is another run: a writer of transfers with a constant sum, whose journal is so small that it is recycled
all the time, and readers that verify each snapshot: the sum, that it is no older than what was acknowledged before, and
that nothing is taken back. Writer and readers are killed with SIGKILL, and every other time the pool is recovered and
checked while readers hold it."""

OPERATIONS = 1_000_000
ITEMS = 1_000_000
ROUNDS, READERS = 100, 3

READER = """
import sys, time
import pmemobj
path, kind = sys.argv[1:]
print(flush=True)
pool = pmemobj.open(path, "r")
count = 0
first = pool.root[0]
print(flush=True)
while True:
    if kind == "opening":
        pool.close()
        pool = pmemobj.open(path, "r")
        len(pool.root)
    elif kind == "refreshing":
        pool.refresh()
        time.sleep(0.005)
    else:
        time.sleep(0.05)
        assert pool.root[0] == first
    count += 1
    print(count, flush=True)
"""

KINDS: dict[str, list[str]] = {
    "no reader": [],
    "1 held": ["held"],
    "1 refreshing": ["refreshing"],
    "3 refreshing": ["refreshing"] * 3,
    "1 opening": ["opening"],
}


def start(path: Path, kind: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(path), kind],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    return process


def stop(process: subprocess.Popen[str]) -> int:
    """How often the reader did what it does."""
    assert process.poll() is None, "a reader has ended by itself"
    process.kill()
    out, _ = process.communicate()
    done = out.rpartition("\n")[0].rpartition("\n")[2]
    return int(done or 0)


def timed(pool: pmemobj.PersistentObjectPool, operations: int) -> "array[int]":
    times = array("q", bytes(8 * operations))
    clock, choose, items = time.perf_counter_ns, random.Random(3).random, pool.root
    for i in range(operations):
        place = int(choose() * ITEMS)
        begun = clock()
        items[place] = i
        times[i] = clock() - begun
    return times


def row(name: str, times: "array[int]", done: int) -> list[object]:
    ordered = sorted(times)
    points = [ordered[int(part * (len(ordered) - 1))] / 1000 for part in (0.5, 0.99, 0.9999, 1)]
    slow = sum(t for t in ordered if t > 1_000_000) / 1e6
    return [name, len(times), *points, f"{slow:.0f} ms", done]


def measure(operations: int = OPERATIONS, rounds: int = ROUNDS) -> tuple[list[str], list[list[object]]]:
    heads = [
        "readers",
        "operations",
        "p50",
        "p99",
        "p99.99",
        "worst",
        "above 1 ms together",
        "times refreshed or opened",
    ]
    rows = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("PMEMOBJ_SCRATCH")) as directory:
        for name, kinds in KINDS.items():
            path = Path(directory) / "pool"
            with pmemobj.open(path, "x") as pool:
                pool.root = list(range(ITEMS))
                pool.checkpoint()
                readers = [start(path, kind) for kind in kinds]
                times = timed(pool, operations)
                rows.append(row(name, times, sum(map(stop, readers))))
                assert pool.check().ok
            path.unlink()
        counts = test_readers_kill.rounds_of(Path(directory), rounds, READERS, 1.0)
    told = f"{counts['rounds']} kills of the writer, {counts['killed readers']} of readers"
    rows.append(
        [
            told,
            counts["transfers"],
            "",
            "",
            "",
            "",
            "",
            f"{counts['snapshots verified']:,} snapshots verified",
        ]
    )
    return heads, rows
