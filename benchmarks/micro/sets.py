"""Sets: contains, add, discard, iterate, operators; PersistentFrozenSet."""

from functools import partial

import pmemobj
from benchmarks.harness import Case, Plan
from benchmarks.micro.dicts import contains, iterate
from benchmarks.micro.values import equal_keys, keys, new_keys

GROUP = "set"


def add(members, wanted):
    for key in wanted:
        members.add(key)


def add_again(members, rounds, wanted):
    for _ in range(rounds):
        for key in wanted:
            members.add(key)


def discard(members, wanted):
    for key in wanted:
        members.discard(key)


def intersect(members, rounds, other):
    for _ in range(rounds):
        members & other


def frozen(pool, members):
    pool.root = pool.new(pmemobj.PersistentFrozenSet, members)
    return pool.root


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    span, rounds = plan.times(plan.reads)
    changed, change_rounds = plan.times(plan.writes)
    known = keys(n)
    new = new_keys(plan.inserts)
    few = max(1, rounds // 10)

    def filled():
        return set(known)

    def reading(name, wanted, make=filled):
        run = partial(contains, rounds=rounds, wanted=wanted)
        return Case(GROUP, name, make, run, span * rounds)

    return [
        reading("set contains", known if span == n else known[:span]),
        reading("set contains, equal key objects", equal_keys(n)[:span]),
        reading("set contains, missing", new_keys(n)[:span]),
        reading("set contains, int", range(span), lambda: set(range(n))),
        Case(
            GROUP,
            "frozenset contains",
            lambda: frozenset(known),
            partial(contains, rounds=rounds, wanted=known[:span]),
            span * rounds,
            persist=frozen,
        ),
        Case(GROUP, "set iterate", filled, partial(iterate, rounds=rounds), n * rounds),
        Case(
            GROUP,
            "set & set, per member",
            filled,
            partial(intersect, rounds=few, other=set(known[::2])),
            (n + 1) // 2 * few,
        ),
        Case(GROUP, "set add", set, partial(add, wanted=new), len(new), fresh=True),
        Case(
            GROUP,
            "set add in a transaction",
            set,
            partial(add, wanted=new),
            len(new),
            fresh=True,
            transaction=True,
        ),
        Case(GROUP, "set add, int", set, partial(add, wanted=range(len(new))), len(new), fresh=True),
        Case(
            GROUP,
            "set add, there already",
            filled,
            partial(add_again, rounds=change_rounds, wanted=known[:changed]),
            changed * change_rounds,
        ),
        Case(GROUP, "set discard", partial(set, new), partial(discard, wanted=new), len(new), fresh=True),
    ]
