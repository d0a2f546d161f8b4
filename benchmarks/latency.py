"""How long the slowest single operations take, while containers grow and syncs and checkpoints go on.

    python benchmarks/latency.py [--operations 1e7] [--sync interval]

Each operation is timed by itself, and no time is left out. The clock's own cost is in every figure and has a row of
its own; so has the builtin under the same loop, because the operating system interrupts it as well. Ours runs alone,
not in turns with the builtin: its background thread would otherwise get rests that it does not have in a program.
"""

import argparse
import random
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pmemobj
from benchmarks import report
from benchmarks.report import Row

OPERATIONS = 10_000_000
POINTS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999, "worst": 1.0}
FILLED = 1_000_000  # entries of the list that is changed in random places


def nothing(_container, times):
    clock = time.perf_counter_ns
    for i in range(len(times)):
        start = clock()
        times[i] = clock() - start


def dict_insert(mapping, times):
    clock = time.perf_counter_ns
    for i in range(len(times)):
        key = f"key-{i:09d}"
        start = clock()
        mapping[key] = i
        times[i] = clock() - start


def dict_overwrite(mapping, times):
    clock = time.perf_counter_ns
    choose, count = random.Random(3).random, len(mapping)
    for i in range(len(times)):
        key = f"key-{int(choose() * count):09d}"
        start = clock()
        mapping[key] = i
        times[i] = clock() - start


def list_append(items, times):
    clock = time.perf_counter_ns
    append = items.append
    for i in range(len(times)):
        start = clock()
        append(i)
        times[i] = clock() - start


def list_set(items, times):
    clock = time.perf_counter_ns
    choose, count = random.Random(3).random, len(items)
    for i in range(len(times)):
        place = int(choose() * count)
        start = clock()
        items[place] = i
        times[i] = clock() - start


# In this order: a dict that has been filled is then changed in random places.
WORKS: list[tuple[str, str, Callable]] = [
    ("dict insert of new keys", "dict", dict_insert),
    ("dict overwrite, random keys", "dict", dict_overwrite),
    ("list append", "appended", list_append),
    ("list set, random places", "list", list_set),
]


def percentiles(times: array) -> dict[str, float]:
    ordered = sorted(times)
    last = len(ordered) - 1
    found = {name: float(ordered[min(last, int(part * len(ordered)))]) for name, part in POINTS.items()}
    found["mean"] = sum(ordered) / len(ordered)
    return found


def start_values(filled: int) -> dict:
    return {"dict": {}, "appended": [], "list": list(range(filled))}


def run_works(containers, each: int, column: str) -> list[Row]:
    rows = []
    for name, container, work in WORKS:
        times = array("q", bytes(8 * each))
        work(containers[container], times)
        rows.append(Row(f"{name}: latency of one operation", column, "ns", percentiles(times)))
    return rows


def measured(
    directory: Path, operations: int = OPERATIONS, sync: str = "interval", filled: int = FILLED
) -> list[Row]:
    """Rows of each work: the builtin, ours, and the clock alone."""
    each = operations // len(WORKS)
    builtin = run_works(start_values(filled), each, "builtin")
    with pmemobj.open(directory / "latency.pool", sync=sync) as pool:
        pool.root = start_values(filled)
        ours = run_works(pool.root, each, "pmemobj")
    rows = [row for pair in zip(builtin, ours, strict=True) for row in pair]
    times = array("q", bytes(8 * each))
    nothing(None, times)
    return [*rows, Row("the clock alone", "nothing", "ns", percentiles(times))]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=lambda text: int(float(text)), default=OPERATIONS)
    parser.add_argument("--sync", default="interval", choices=("commit", "interval", "manual"))
    parser.add_argument("--directory", help="where the pool is made (default: below build/)")
    parser.add_argument("--output", type=Path, default=report.DIRECTORY, help="where the results go")
    options = parser.parse_args(argv)
    start = time.monotonic()
    with report.scratch(options.directory) as directory:
        rows = measured(Path(directory), options.operations, options.sync)
    print(report.markdown(rows))
    report.save("latency", rows, options.output, sync=options.sync, operations=f"{options.operations:,}")
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
