"""How long the steps of `pool.gc(max_seconds=0.001)` take: in a pool where all is in use, and in one full of garbage.

    python benchmarks/collecting.py [--references 4e5]

The work is that of the references, so the pools have the same number of them: in many small objects, in one list, in
the entries of one dict. A step looks at its time between containers; what it takes beyond a millisecond is what one of
them takes.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pmemobj
from benchmarks import report
from benchmarks.report import Row

GROUP = "gc() in steps of a millisecond"
REFERENCES = 400_000
STEP = 0.001  # seconds
LONGEST = "the longest"


def small_objects(pool: Any, references: int) -> None:
    pool.root = [[] for _ in range(references)]


def one_list(pool: Any, references: int) -> None:
    pool.root = [[]]
    pool.root[0] = pool.new(pmemobj.PersistentList, [pool.root[0]] * references)


def one_dict(pool: Any, references: int) -> None:
    pool.root = {i: (i, "a text that is long") for i in range(references // 3)}


def cycles(pool: Any, references: int) -> None:
    """Pairs of lists that nothing else leads to."""
    for _ in range(references // 2):
        with pool.transaction():
            one, other = pool.new(pmemobj.PersistentList), pool.new(pmemobj.PersistentList)
            one.append(other)
            other.append(one)


#: name -> what makes such a pool
POOLS: dict[str, Callable[[Any, int], None]] = {
    "small objects, all in use": small_objects,
    "one list": one_list,
    "one dict of tuples": one_dict,
    "garbage, in cycles of two": cycles,
}


def collected(pool: Any) -> list[float]:
    """ms of each step of a collection."""
    steps, finished = [], False
    while not finished:
        start = time.perf_counter()
        finished = pool.gc(max_seconds=STEP).finished
        steps.append((time.perf_counter() - start) * 1e3)
    return steps


def measured(directory: Path, references: int = REFERENCES) -> list[Row]:
    rows = []
    for name, fill in POOLS.items():
        path = directory / "collecting.pool"
        with pmemobj.open(path, "x", sync="manual") as pool:
            fill(pool, references)
            steps = collected(pool)
        path.unlink()
        values = {"all of it": sum(steps), "steps": float(len(steps)), LONGEST: max(steps)}
        rows.append(Row(GROUP, f"{name}, {references:,} references", "ms", values))
    return rows


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--references", type=lambda text: int(float(text)), default=REFERENCES)
    parser.add_argument("--directory", help="where the pools are made (default: below build/)")
    parser.add_argument("--output", type=Path, default=report.DIRECTORY, help="where the results go")
    options = parser.parse_args(argv)
    with report.scratch(options.directory) as directory:
        rows = measured(Path(directory), options.references)
    print(report.markdown(rows))
    report.save("collecting", rows, options.output)


if __name__ == "__main__":
    main()
