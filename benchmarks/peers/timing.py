"""Times one operation after the other, each over all stores of one class of durability.

Within an operation the stores take turns: a repetition is one timed piece of work on each of them, and each
repetition has another order, so that what else the machine does, and what a store leaves behind in the caches and on
the disk's queue, meets all alike.  Collection of garbage
is off.  Reported are the median of a store's repetitions, in ns per operation, and the median of the repetitions'
ratios to pmemobj.
"""

import contextlib
import gc
import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.peers.catalogue import POWER, RATIO, REFERENCE, Variant, usable
from benchmarks.peers.store import BATCH, Items, Store, key
from benchmarks.report import Row

SEED = 20240229


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    entries: in each store (less where Variant.shrink says so).  repeats: of each operation.  builds: of the filling
    of empty stores, which takes longest.  piece: seconds that one timed piece should take.  single: the most
    transactions in a piece of single puts.  clean: what filling left dirty is written out first, so that nobody's
    sync has to wait for it.
    """

    entries: int = 100_000
    repeats: int = 9
    builds: int = 5
    piece: float = 0.04
    single: int = 5000
    clean: bool = True


QUICK = Plan(entries=2000, repeats=3, builds=2, piece=0.002, single=50, clean=False)


class Subject:
    """A variant under measurement: its store, open and filled, and what has been timed on it."""

    def __init__(self, variant: Variant, plan: Plan, directory: Path):
        self.variant = variant
        self.entries = max(plan.entries // variant.shrink, min(plan.entries, BATCH))
        self.directory = directory / variant.name.replace(" ", "-")
        self.random = random.Random(SEED)
        self.store: Store | None = None

    def renew(self) -> Store:
        """An empty store; the one before is gone."""
        self.discard()
        self.store = self.variant.make(self.directory)
        self.store.open()
        return self.store

    def discard(self) -> None:
        if self.store is not None:
            self.store.close()
            shutil.rmtree(self.directory)
            self.store = None

    # Stored are even numbers; odd ones are new keys that belong between them.

    def everything(self, *, shuffled: bool) -> list[tuple[str, int]]:
        numbers = list(range(0, 2 * self.entries, 2))
        if shuffled:
            self.random.shuffle(numbers)
        return [(key(number), number) for number in numbers]

    def some(self, count: int, odd: int = 0) -> list[int]:
        """Different ones, in no order."""
        return [2 * i + odd for i in self.random.sample(range(self.entries), min(count, self.entries))]

    def neighbours(self, count: int) -> list[int]:
        start = self.random.randrange(max(1, self.entries - count))
        return list(range(2 * start, 2 * min(start + count, self.entries), 2))


def batches(items: list[Any], size: int = BATCH) -> list[list[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


@dataclass(frozen=True)
class Operation:
    """prepare(subject, count) makes what run(store, work) is timed with, and undo(store, work) what it changed.

    batched: the count is a whole number of batches, where the store is large enough.
    """

    name: str
    prepare: Callable[[Subject, int], Any]
    run: Callable[[Store, Any], None]
    undo: Callable[[Store, Any], None] | None = None
    size: Callable[[Any], int] = len
    batched: bool = False


def get(store: Store, keys: list[str]) -> None:
    store.get(keys)


def put_batches(store: Store, work: list[Items]) -> None:
    for items in work:
        store.put_batch(items)


def put_in_bulk(store: Store, work: list[Items]) -> None:
    for items in work:
        store.put_bulk(items)


def delete_batches(store: Store, work: list[list[str]]) -> None:
    for keys in work:
        store.delete(keys)


def put_back(store: Store, work: list[list[str]]) -> None:
    for keys in work:
        store.put_batch([(name, int(name[-9:])) for name in keys])


def remove(store: Store, work: Items) -> None:
    delete_batches(store, batches([name for name, _ in work]))


def total(work: list[Any]) -> int:
    return sum(len(batch) for batch in work)


def overwrites(subject: Subject, count: int) -> list[list[tuple[str, int]]]:
    return batches([(key(number), number + 1) for number in subject.some(count)])


def deletions(subject: Subject, count: int) -> list[list[str]]:
    return batches([key(number) for number in subject.some(count)], subject.store.delete_batch)


SINGLE_PUT = Operation(
    "single put",
    lambda subject, count: [(key(number), number) for number in subject.some(count, odd=1)],
    lambda store, work: store.put_single(work),
    remove,
)
RANDOM_GET = Operation("random get", lambda subject, count: [key(i) for i in subject.some(count)], get)
SEQUENTIAL_GET = Operation(
    "sequential get", lambda subject, count: [key(i) for i in subject.neighbours(count)], get
)
ITERATE = Operation(
    "iterate items",
    lambda subject, _count: subject.entries,
    lambda store, _work: store.iterate(),
    size=lambda entries: entries,
)
OVERWRITE = Operation("overwrite, 1000 per transaction", overwrites, put_batches, size=total, batched=True)
DELETE = Operation(
    "delete, 1000 per transaction", deletions, delete_batches, put_back, size=total, batched=True
)

IN_ORDER = "batch put of 1000, keys in order"
RANDOM_ORDER = "batch put of 1000, keys in random order"
BULK = "batch put of 1000 in one call, keys in random order"
AFTER_ORDER = ", stored in order"
AFTER_RANDOM = ", stored in random order"


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def timed(function: Callable[..., None], *arguments: Any) -> int:
    start = time.perf_counter_ns()
    function(*arguments)
    return time.perf_counter_ns() - start


def in_turns(
    subjects: list[Subject], repeats: int, piece: Callable[[Subject], float]
) -> dict[str, list[float]]:
    """What `piece` returns, for each subject and repetition; it is called for the subjects by turns."""
    times: dict[str, list[float]] = {subject.variant.name: [] for subject in subjects}
    order = random.Random(SEED)
    with no_collection():
        for _ in range(repeats):
            for subject in order.sample(subjects, len(subjects)):
                times[subject.variant.name].append(piece(subject))
                subject.store.settle()
    return times


def fill(subject: Subject, *, shuffled: bool, bulk: bool) -> float:
    """Fills an empty store; ns per put."""
    store = subject.renew()
    work = batches(subject.everything(shuffled=shuffled))
    return timed(put_in_bulk if bulk else put_batches, store, work) / subject.entries


def perform(subject: Subject, operation: Operation, count: int) -> tuple[float, float]:
    """ns per operation, and the seconds that all of it took."""
    start = time.perf_counter()
    work = operation.prepare(subject, count)
    spent = timed(operation.run, subject.store, work)
    if operation.undo is not None:
        operation.undo(subject.store, work)
    return spent / operation.size(work), time.perf_counter() - start


def piece_size(subject: Subject, operation: Operation, plan: Plan) -> int:
    """So many that a piece takes about plan.piece, and not much more than that for preparing and undoing it."""
    pilot = min(BATCH if operation.batched else 20, subject.entries)
    perform(subject, operation, pilot)
    each, altogether = perform(subject, operation, pilot)
    count = int(min(plan.piece * 1e9 / each, 4 * plan.piece * pilot / altogether))
    if operation is SINGLE_PUT:
        return max(10, min(count, plan.single))
    if operation.batched:
        # A store whose batch takes longer than a piece gets one all the same, unless its batches are small.
        return max(min(subject.store.delete_batch, BATCH), count // BATCH * BATCH)
    return max(10, count)


def verify(subject: Subject) -> None:
    expected = dict(subject.everything(shuffled=False))
    found = dict(subject.store.items())
    if found != expected:
        raise AssertionError(f"{subject.variant.name}: {len(found)} items are not the {len(expected)} stored")
    names = [key(number) for number in subject.some(50)]
    if list(subject.store.values(names)) != [expected[name] for name in names]:
        raise AssertionError(f"{subject.variant.name}: it reads what was not stored")


def rows(durability: str, operation: str, times: dict[str, list[float]]) -> list[Row]:
    reference = times[REFERENCE[durability]]
    return [
        Row(
            f"{durability}: {operation}",
            name,
            "ns",
            {
                "median": statistics.median(mine),
                RATIO: statistics.median(a / b for a, b in zip(mine, reference, strict=True)),
            },
        )
        for name, mine in times.items()
    ]


def compare(subjects: list[Subject], operation: Operation, plan: Plan, suffix: str = "") -> list[Row]:
    counts = {subject.variant.name: piece_size(subject, operation, plan) for subject in subjects}
    if plan.clean:
        os.sync()
    times = in_turns(subjects, plan.repeats, lambda s: perform(s, operation, counts[s.variant.name])[0])
    return rows(subjects[0].variant.durability, operation.name + suffix, times)


def compare_filling(
    subjects: list[Subject], name: str, plan: Plan, *, shuffled: bool, bulk: bool = False
) -> list[Row]:
    times = in_turns(subjects, plan.builds, lambda subject: fill(subject, shuffled=shuffled, bulk=bulk))
    return rows(subjects[0].variant.durability, name, times)


def measure(variants: list[Variant], plan: Plan, directory: Path) -> list[Row]:
    """All operations on variants of one class, in this process."""
    subjects = [Subject(variant, plan, directory) for variant in variants]
    whole = [subject for subject in subjects if not subject.variant.only]
    with_bulk = [subject for subject in whole if subject.variant.store_class().has_bulk]
    # Reading does not depend on how commits are synced: one class is enough.
    reads = [] if variants[0].durability == POWER else [RANDOM_GET, SEQUENTIAL_GET]
    result = compare_filling(whole, IN_ORDER, plan, shuffled=False)
    for operation in reads:
        result += compare(whole, operation, plan, AFTER_ORDER)
    result += compare_filling(with_bulk, BULK, plan, shuffled=True, bulk=True)
    result += compare_filling(whole, RANDOM_ORDER, plan, shuffled=True)
    for subject in subjects:
        if subject.variant.only:
            fill(subject, shuffled=True, bulk=False)
        else:
            verify(subject)
    for operation in reads:
        result += compare(whole, operation, plan, AFTER_RANDOM)
    if reads:
        result += compare(whole, ITERATE, plan)
    for operation in (SINGLE_PUT, OVERWRITE, DELETE):
        who = [s for s in subjects if not s.variant.only or operation.name in s.variant.only]
        # The time of a sync changes from one moment to the next: more turns, and shorter ones.
        waits = operation is SINGLE_PUT and variants[0].durability == POWER
        turns = replace(plan, repeats=3 * plan.repeats, piece=plan.piece / 3) if waits else plan
        result += compare(who, operation, turns)
    for subject in subjects:
        subject.discard()
    return result


def measure_usable(
    variants: list[Variant], plan: Plan, directory: Path
) -> tuple[list[Row], list[tuple[str, str]]]:
    """The same for those that are installed; and for the others, name and reason."""
    notes: list[tuple[str, str]] = []
    found = usable(variants, lambda name, reason: notes.append((name, f"not measured: {reason}")))
    return measure(found, plan, directory), notes
