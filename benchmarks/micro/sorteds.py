"""Sorted dicts beside sortedcontainers, and beside an OOBTree where BTrees is installed: at the size of the plan.

Those that are full have even numbers; odd ones are new keys, in no order, between them.
"""

import importlib
import random
from functools import partial

from sortedcontainers import SortedDict

from benchmarks.harness import Case, Plan
from benchmarks.micro.dicts import delete, get, insert, iterate, overwrite
from pmemobj import PersistentSortedDict

GROUP = "sorted dict"


def number(i):
    return 2 * i


def text(i):
    return f"key number {i:08}.0"


def shuffled(key, count):
    keys = [key(i) for i in range(count)]
    random.Random(count).shuffle(keys)
    return keys


def items_of(container, rounds):
    for _ in range(rounds):
        for _key, _value in container.items():
            pass


def ranges(container, wanted, width):
    find = container.irange if hasattr(container, "irange") else container.keys
    for key in wanted:
        for _key in find(key, key + 2 * width):
            pass


def makers(items):
    """The rivals; the first is what ours is compared with."""
    made = {"sortedcontainers": lambda: SortedDict(items())}
    try:
        tree = importlib.import_module("BTrees.OOBTree").OOBTree
    except ImportError:
        return made
    return made | {"OOBTree": lambda: tree(items())}


def persist(pool, rival):
    pool.root = pool.new(PersistentSortedDict, rival)
    return pool.root


def persist_shuffled(pool, rival):
    """One key after the other, so that neighbours in order do not lie side by side."""
    pool.root = ours = pool.new(PersistentSortedDict)
    keys = list(rival)
    random.Random(len(keys)).shuffle(keys)
    for key in keys:
        ours[key] = rival[key]
    return ours


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    span, rounds = plan.times(plan.reads)
    grown = max(plan.inserts, plan.writes // 4)
    found = []
    for kind, key in (("int", number), ("text", text)):
        full = makers(lambda key=key: {key(i): i for i in range(n)})
        empty = makers(dict)
        wanted = shuffled(key, n)[:span]
        new = shuffled(key, grown)
        between = random.Random(grown).sample(range(1, 2 * n, 2), min(grown, n))
        added = [i if kind == "int" else text((i - 1) // 2)[:-1] + "5" for i in between]
        for name, make, run, count, fresh in (
            ("get", full, partial(get, rounds=rounds, wanted=wanted), span * rounds, False),
            ("overwrite", full, partial(overwrite, rounds=rounds, wanted=wanted), span * rounds, False),
            ("insert", empty, partial(insert, wanted=new), grown, True),
            ("insert among others", full, partial(insert, wanted=added), len(added), True),
            ("append", empty, partial(insert, wanted=sorted(new)), grown, True),
            ("delete", full, partial(delete, wanted=wanted), span, True),
            ("iterate over keys", full, partial(iterate, rounds=rounds), n * rounds, False),
            (
                "iterate over items",
                full | {"dict": lambda key=key: {key(i): i for i in range(n)}},
                partial(items_of, rounds=rounds),
                n * rounds,
                False,
            ),
        ):
            found.append(
                Case(GROUP, f"sorted dict {name}, {kind} keys", make, run, count, fresh, persist=persist)
            )
    found.append(
        Case(
            GROUP,
            "sorted dict iterate over keys, text keys that came in no order",
            makers(lambda: {text(i): i for i in range(n)}),
            partial(iterate, rounds=rounds),
            n * rounds,
            persist=persist_shuffled,
        )
    )
    width = min(100, n)
    starts = [number(i) for i in range(0, max(n - width, 1), width)]
    full = makers(lambda: {number(i): i for i in range(n)})
    found.append(
        Case(
            GROUP,
            f"sorted dict ranges of {width} keys",
            full,
            partial(ranges, wanted=starts, width=width),
            len(starts) * width,
            persist=persist,
        )
    )
    return found
