"""Arrays: what NumPy computes of the pool's memory, single items, and changes, small and large."""

from functools import partial

import numpy as np

from benchmarks.harness import Case, Plan

GROUP = "array"
LARGE = 1 << 17  # numbers: 1 MiB


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
