"""Times the same loop over a builtin and over ours, interleaved in one process, and reports medians.

A case is a function that takes a container and does its work a known number of times in a loop; the loop's own
cost (6-8 ns a turn) is in both figures.  Each repetition times builtin and ours one after the other, so that what
else the machine does meets both; the ratio is the median of the repetitions' ratios.
"""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REPEATS = 9


@dataclass(frozen=True)
class Case:
    """One row: `run(container)` performs `operations` operations on what `make()` returned.

    make: builds the builtin container; persist: turns it into ours.  fresh: build both anew for each repetition
    (for cases that change their size).  wrap: context manager factory around our run, such as pool.transaction.
    """

    name: str
    make: Callable[[], Any]
    run: Callable[[Any], None]
    operations: int
    fresh: bool = False
    transaction: bool = False


@dataclass(frozen=True)
class Result:
    name: str
    builtin_ns: float
    ours_ns: float
    ratio: float


def timed(run, container) -> float:
    start = time.perf_counter_ns()
    run(container)
    return time.perf_counter_ns() - start


def measure(case: Case, pool, repeats: int = REPEATS) -> Result:
    """Medians over `repeats` interleaved repetitions, in ns per operation."""
    builtin, pool.root = case.make(), case.make()
    ours = pool.root
    times = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            if case.fresh:
                builtin, pool.root = case.make(), case.make()
                ours = pool.root
            theirs = timed(case.run, builtin)
            if case.transaction:
                with pool.transaction():
                    mine = timed(case.run, ours)
            else:
                mine = timed(case.run, ours)
            times.append((theirs / case.operations, mine / case.operations))
    finally:
        gc.enable()
    return Result(
        case.name,
        statistics.median(theirs for theirs, _ in times),
        statistics.median(mine for _, mine in times),
        statistics.median(mine / theirs for theirs, mine in times),
    )


def table(results: list[Result]) -> str:
    """A Markdown table."""
    lines = ["| operation | builtin ns | pmemobj ns | ratio |", "|---|--:|--:|--:|"]
    lines += [f"| {r.name} | {r.builtin_ns:.1f} | {r.ours_ns:.1f} | {r.ratio:.2f} |" for r in results]
    return "\n".join(lines)
