"""Lists: get, set, append, insert, delete, iterate, contains, slices."""

import random
from functools import partial

from benchmarks.harness import Case, Plan
from benchmarks.micro.values import KINDS, one, values

GROUP = "list"


def get(items, rounds, indices):
    for _ in range(rounds):
        for i in indices:
            items[i]


def set_index(items, rounds, indices):
    for _ in range(rounds):
        for i in indices:
            items[i] = i


def set_value(items, rounds, indices, value):
    for _ in range(rounds):
        for i in indices:
            items[i] = value


def append(items, count):
    method = items.append
    for i in range(count):
        method(i)


def append_value(items, count, value):
    method = items.append
    for _ in range(count):
        method(value)


def insert_in_the_middle(items, count):
    middle = len(items) // 2
    for i in range(count):
        items.insert(middle, i)


def pop(items, count):
    method = items.pop
    for _ in range(count):
        method()


def delete_in_the_middle(items, count):
    middle = (len(items) - count) // 2
    for _ in range(count):
        del items[middle]


def iterate(items, rounds):
    for _ in range(rounds):
        for _item in items:
            pass


def contains_last(items, rounds, value):
    for _ in range(rounds):
        value in items  # noqa: B015 - the test itself is what is timed


def slices(items, count):
    for i in range(count):
        items[i : i + 100]


def set_slices(items, count, new):
    for i in range(count):
        items[i : i + 100] = new


def shuffled(span):
    """Indices in random order, the same in every run."""
    indices = list(range(span))
    random.Random(7).shuffle(indices)
    return indices


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    span, rounds = plan.times(plan.reads)
    changed, change_rounds = plan.times(plan.writes)
    grown = max(plan.inserts, plan.writes // 4)
    moves = min(n // 2, 1000, plan.writes)
    window = max(1, min(n - 100, 1000, plan.writes))

    def ints():
        return list(range(n))

    reads = [
        Case(
            GROUP,
            f"list get, {kind}",
            partial(values, kind, n),
            partial(get, rounds=rounds, indices=range(span)),
            span * rounds,
        )
        for kind in KINDS
    ]
    reads.append(
        Case(
            GROUP,
            "list get, small int, random order",
            ints,
            partial(get, rounds=rounds, indices=shuffled(span)),
            span * rounds,
        )
    )
    set_run = partial(set_index, rounds=change_rounds, indices=range(changed))
    writes = [
        Case(GROUP, "list set, small int", ints, set_run, changed * change_rounds),
        Case(GROUP, "list set in a transaction", ints, set_run, changed * change_rounds, transaction=True),
        *(
            Case(
                GROUP,
                f"list set, {kind}",
                ints,
                partial(set_value, rounds=change_rounds, indices=range(changed), value=one(kind)),
                changed * change_rounds,
            )
            for kind in KINDS[1:]
        ),
        Case(GROUP, "list append", list, partial(append, count=grown), grown, fresh=True),
        Case(
            GROUP,
            "list append in a transaction",
            list,
            partial(append, count=grown),
            grown,
            fresh=True,
            transaction=True,
        ),
        *(
            Case(
                GROUP,
                f"list append, {kind}",
                list,
                partial(append_value, count=grown, value=one(kind)),
                grown,
                fresh=True,
            )
            for kind in KINDS[1:]
        ),
        Case(GROUP, "list pop", ints, partial(pop, count=moves), moves, fresh=True),
        Case(
            GROUP,
            "list insert in the middle",
            ints,
            partial(insert_in_the_middle, count=moves),
            moves,
            fresh=True,
        ),
        Case(
            GROUP,
            "list delete in the middle",
            ints,
            partial(delete_in_the_middle, count=moves),
            moves,
            fresh=True,
        ),
        Case(
            GROUP,
            "list set slice of 100",
            ints,
            partial(set_slices, count=window, new=list(range(100))),
            window,
        ),
    ]
    whole = [
        *(
            Case(
                GROUP,
                f"list iterate, {kind}",
                partial(values, kind, n),
                partial(iterate, rounds=rounds),
                n * rounds,
            )
            for kind in KINDS
        ),
        Case(GROUP, "list slice of 100", ints, partial(slices, count=window), window),
        Case(
            GROUP,
            "list contains, per item passed",
            ints,
            partial(contains_last, rounds=max(1, rounds // 10), value=n - 1),
            n * max(1, rounds // 10),
        ),
    ]
    return reads + writes + whole
