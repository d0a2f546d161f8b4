"""Arrays: what NumPy computes of the pool's memory, single items, and changes, small and large."""

import os
import statistics
from functools import partial

import numpy as np

import pmemobj
from benchmarks.harness import BUILTIN, OURS, Case, Plan, Result, timed

GROUP = "array"
LARGE = 1 << 17  # numbers: 1 MiB
WRITTEN, MAPPED = "pwrite()", "np.memmap"


def items(array, indices):
    for i in indices:
        array[i]


def rows(array, indices):
    for i in indices:
        array[i]


def set_items(array, indices):
    for i in indices:
        array[i] = i


def total(array, count):
    for _ in range(count):
        np.add.reduce(array)


def total_of_view(array, count):
    view = np.asarray(array)
    for _ in range(count):
        view.sum()


def overwrite(array, new, count):
    for i in range(count):
        array[...] = new[i % len(new)]


def overwritten(directory, size, repeats):
    """All of a large array replaced now and then: the disk is given the time for what was there before.  Then the same
    bytes go to a plain file, and to an array that NumPy maps: both leave the disk work to do."""
    new = [np.full(size // 8, float(i)) for i in range(2)]
    plain, times = np.zeros(size // 8), {BUILTIN: [], WRITTEN: [], MAPPED: [], OURS: []}
    with pmemobj.open(directory / "overwritten.pool", max_size=8 * size + (64 << 20)) as pool:
        pool.root = plain
        ours = pool.root
        for i in range(2 * repeats):
            pool.sync()
            times[BUILTIN].append(timed(plain.__setitem__, ..., new[i & 1]))
            times[OURS].append(timed(ours.__setitem__, ..., new[i & 1]))
        ours = None
    with (directory / "written").open("wb", buffering=0) as file:
        for i in range(2 * repeats):
            os.fsync(file.fileno())
            times[WRITTEN].append(timed(os.pwrite, file.fileno(), new[i & 1], 0))
    mapped = np.memmap(directory / "overwritten", float, "w+", shape=(size // 8,))
    for i in range(2 * repeats):
        mapped.flush()
        times[MAPPED].append(timed(mapped.__setitem__, ..., new[i & 1]))
    ns = {name: statistics.median(found) for name, found in times.items()}
    return Result(GROUP, f"array overwrite {size // 1_000_000} MB", ns, ns[OURS] / ns[BUILTIN])


def increase(array, count):
    for _ in range(count):
        array += 1


def set_column(array, count):
    for i in range(count):
        array[:, 1] = i


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    indices = range(min(n, plan.reads, 1000))
    few = range(min(n, plan.writes, 1000))

    def numbers():
        return np.arange(n)

    def table():
        return np.zeros((n, 4))

    def large():
        return np.zeros(LARGE)

    different = [np.full(LARGE, float(i)) for i in range(2)]
    return [
        Case(GROUP, "array get item", numbers, partial(items, indices=indices), len(indices)),
        Case(GROUP, "array get row", table, partial(rows, indices=indices), len(indices)),
        Case(GROUP, "array set item", numbers, partial(set_items, indices=few), len(few), fresh=True),
        Case(GROUP, "array set column", table, partial(set_column, count=20), 20, fresh=True),
        Case(GROUP, "array np.add.reduce of 1 MiB", large, partial(total, count=20), 20),
        Case(GROUP, "array sum of a view of 1 MiB", large, partial(total_of_view, count=20), 20),
        Case(
            GROUP, "array overwrite 1 MiB", large, partial(overwrite, new=different, count=4), 4, fresh=True
        ),
        Case(GROUP, "array += of 1 MiB", large, partial(increase, count=4), 4, fresh=True),
    ]
