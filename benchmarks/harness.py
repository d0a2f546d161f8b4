"""Times the same loop over a builtin and over ours, interleaved in one process, and reports medians.

A case is a function that takes a container and does its work a known number of times in a loop; the loop's own
cost (6-8 ns a turn) is in every figure.  Each repetition times the rivals one after the other, so that what else
the machine does meets all of them; the ratio is the median of the repetitions' ratios.

Each rival runs its own copy of the function.  The interpreter specialises bytecode for the types it meets, so a
function shared between a list and ours would be slow for both in a way that no program is.
"""

import functools
import gc
import statistics
import time
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report import RATIO, Row

REPEATS = 9

OURS = "pmemobj"
BUILTIN = "builtin"


def stored(pool: Any, value: Any) -> Any:
    """The usual way to get ours: a builtin container, stored as the root."""
    pool.root = value
    return pool.root


@dataclass(frozen=True)
class Case:
    """One row: `run(container)` performs `operations` operations on what `make()` returned.

    make: builds the builtin; a dict of such functions, by name, if there are several.
    persist: persist(pool, builtin) gives ours.
    fresh: build all anew for each repetition (for cases that change their size).
    transaction: ours runs in one transaction, and its commit is part of the time.
    ours: ours(container, pool) replaces run for ours, for loops that open transactions themselves.
    """

    group: str
    name: str
    make: Callable[[], Any] | dict[str, Callable[[], Any]]
    run: Callable[[Any], Any]
    operations: int
    fresh: bool = False
    transaction: bool = False
    persist: Callable[[Any, Any], Any] = stored
    ours: Callable[[Any, Any], Any] | None = None


@dataclass(frozen=True)
class Result:
    """ns: nanoseconds of one operation, by rival, the base of the ratio first, ours last."""

    group: str
    name: str
    ns: dict[str, float]
    ratio: float

    def row(self) -> Row:
        return Row(self.group, self.name, "ns", {**self.ns, RATIO: self.ratio})


@dataclass(frozen=True)
class Plan:
    """How much a case does.  entries: size of containers.  reads, writes: operations in a repetition that leave
    the size as it is.  inserts: operations that start with an empty container and make it grow."""

    entries: int = 1000
    reads: int = 200_000
    writes: int = 200_000
    inserts: int = 20_000

    def times(self, operations: int) -> tuple[int, int]:
        """Entries that a loop goes through, and how often, so as to do about so many operations."""
        span = min(self.entries, operations)
        return span, max(1, operations // span)

    @classmethod
    def for_sync(cls, sync: str, entries: int) -> "Plan":
        """A plan that ends within a second even if every write waits for the disk."""
        if sync == "commit":
            return cls(entries=entries, writes=100, inserts=100)
        return cls(entries=entries, inserts=max(20_000, entries))


def own_copy(run: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with inline caches of its own."""
    if isinstance(run, functools.partial):
        return functools.partial(own_copy(run.func), *run.args, **run.keywords)
    code = run.__code__.replace()
    return types.FunctionType(code, run.__globals__, run.__name__, run.__defaults__, run.__closure__)


def timed(run: Callable[..., Any], *arguments: Any) -> int:
    start = time.perf_counter_ns()
    run(*arguments)
    return time.perf_counter_ns() - start


def in_transaction(run: Callable[[Any], Any], container: Any, pool: Any) -> None:
    with pool.transaction():
        run(container)


def measure(case: Case, pool: Any, repeats: int = REPEATS) -> Result:
    """Medians over `repeats` interleaved repetitions, in ns per operation."""
    makers = case.make if isinstance(case.make, dict) else {BUILTIN: case.make}
    runs = {name: own_copy(case.run) for name in makers}
    if case.ours is not None:
        mine = own_copy(case.ours)
    elif case.transaction:
        mine = functools.partial(in_transaction, own_copy(case.run))
    else:
        alone = own_copy(case.run)

        def mine(container: Any, pool: Any) -> None:
            alone(container)

    def build() -> tuple[dict[str, Any], Any]:
        rivals = {name: make() for name, make in makers.items()}
        return rivals, case.persist(pool, next(iter(makers.values()))())

    rivals, ours = build()
    times: dict[str, list[float]] = {name: [] for name in (*makers, OURS)}
    gc.collect()
    gc.disable()
    try:
        for repeat in range(repeats):
            if case.fresh and repeat:
                rivals = ours = None  # the old ones go before the new ones come
                rivals, ours = build()
            for name, container in rivals.items():
                times[name].append(timed(runs[name], container) / case.operations)
            times[OURS].append(timed(mine, ours, pool) / case.operations)
    finally:
        gc.enable()
    base = times[next(iter(makers))]
    ratio = statistics.median(mine / theirs for theirs, mine in zip(base, times[OURS], strict=True))
    return Result(case.group, case.name, {name: statistics.median(t) for name, t in times.items()}, ratio)


def find(cases: Iterable[Case], name: str) -> Case:
    """The case of that name."""
    for case in cases:
        if case.name == name:
            return case
    raise LookupError(f"no case is called {name!r}")


def table(results: Sequence[Result]) -> str:
    """A Markdown table of one group."""
    names = list(dict.fromkeys(name for result in results for name in result.ns))
    lines = [f"| {results[0].group} | {' | '.join(f'{name} ns' for name in names)} | ratio |"]
    lines.append("|---" + "|--:" * (len(names) + 1) + "|")
    for result in results:
        cells = [f"{result.ns[name]:.1f}" if name in result.ns else "" for name in names]
        lines.append(f"| {result.name} | {' | '.join(cells)} | {result.ratio:.2f} |")
    return "\n".join(lines)
