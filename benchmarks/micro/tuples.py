"""PersistentTuple, whose items are loaded one by one, and the plain tuple, which is stored as a value."""

from functools import partial

import pmemobj
from benchmarks.harness import Case, Plan
from benchmarks.micro.lists import contains_last, get, iterate, set_value, slices
from benchmarks.micro.values import values

GROUP = "tuple"


def persistent(pool, items):
    pool.root = pool.new(pmemobj.PersistentTuple, items)
    return pool.root


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    span, rounds = plan.times(plan.reads)
    changed, change_rounds = plan.times(plan.writes)
    few = max(1, rounds // 10)
    window = max(1, min(n - 100, 1000))

    def ints():
        return tuple(range(n))

    def case(name, run, operations, make=ints):
        return Case(GROUP, name, make, run, operations, persist=persistent)

    return [
        case("tuple get, small int", partial(get, rounds=rounds, indices=range(span)), span * rounds),
        case(
            "tuple get, 30-character str",
            partial(get, rounds=rounds, indices=range(span)),
            span * rounds,
            lambda: tuple(values("30-character str", n)),
        ),
        case("tuple iterate", partial(iterate, rounds=rounds), n * rounds),
        case("tuple slice of 100", partial(slices, count=window), window),
        case(
            "tuple contains, per item passed",
            partial(contains_last, rounds=few, value=n - 1),
            n * few,
        ),
        # A plain tuple as a value: encoded when it is stored, made again when it is read.
        Case(
            GROUP,
            "list set, value (1, 2.5, 'three')",
            lambda: list(range(n)),
            partial(set_value, rounds=change_rounds, indices=range(changed), value=(1, 2.5, "three")),
            changed * change_rounds,
        ),
        Case(
            GROUP,
            "list get, value (1, 2.5, 'three')",
            lambda: [(1, 2.5, "three")] * n,
            partial(get, rounds=rounds, indices=range(span)),
            span * rounds,
        ),
    ]
