"""One call for many entries; ns for one entry."""

from functools import partial

from benchmarks.harness import Case, Plan
from benchmarks.micro.values import KINDS, keys, values

GROUP = "bulk, per entry"


def extend(items, new):
    items.extend(new)


def update(container, new):
    container.update(new)


def to_list(container):
    list(container)


def to_dict(mapping):
    dict(mapping)


def clear(container):
    container.clear()


def sort(items):
    items.sort()


def store(holder, value):
    holder[0] = value


def set_whole_slice(items, new):
    items[:] = new


def cases(plan: Plan) -> list[Case]:
    n = max(plan.entries, 10_000)
    known = keys(n)
    pairs = dict.fromkeys(known, 5)

    def fresh(name, make, run):
        return Case(GROUP, name, make, run, n, fresh=True)

    return [
        *(fresh(f"list extend, {kind}", list, partial(extend, new=values(kind, n))) for kind in KINDS),
        fresh("list[:] = list", lambda: list(range(n)), partial(set_whole_slice, new=list(range(n)))),
        fresh("list sort, reversed", lambda: list(range(n))[::-1], sort),
        fresh("list clear", lambda: list(range(n)), clear),
        Case(GROUP, "list(list)", lambda: list(range(n)), to_list, n),
        fresh("dict update", dict, partial(update, new=pairs)),
        fresh("dict update, int keys", dict, partial(update, new=dict.fromkeys(range(n), 5))),
        fresh("dict clear", lambda: dict.fromkeys(known, 5), clear),
        Case(GROUP, "dict(dict)", lambda: dict.fromkeys(known, 5), to_dict, n),
        fresh("set update", set, partial(update, new=set(known))),
        fresh("store a dict (the builtin stores a reference)", lambda: [None], partial(store, value=pairs)),
        fresh(
            "store a list (the builtin stores a reference)",
            lambda: [None],
            partial(store, value=list(range(n))),
        ),
    ]
