"""Dicts: get, overwrite, insert, delete, contains, iterate."""

from functools import partial

from benchmarks.harness import Case, Plan
from benchmarks.micro.values import KINDS, equal_keys, keys, new_keys, one, short_keys

GROUP = "dict"


def get(mapping, rounds, wanted):
    for _ in range(rounds):
        for key in wanted:
            mapping[key]


def get_method(mapping, rounds, wanted):
    method = mapping.get
    for _ in range(rounds):
        for key in wanted:
            method(key)


def overwrite(mapping, rounds, wanted, value=5):
    for _ in range(rounds):
        for key in wanted:
            mapping[key] = value


def insert(mapping, wanted, value=5):
    for key in wanted:
        mapping[key] = value


def setdefault(mapping, wanted):
    method = mapping.setdefault
    for key in wanted:
        method(key, 5)


def delete(mapping, wanted):
    for key in wanted:
        del mapping[key]


def pop(mapping, wanted):
    method = mapping.pop
    for key in wanted:
        method(key)


def contains(container, rounds, wanted):
    for _ in range(rounds):
        for key in wanted:
            key in container  # noqa: B015 - the test itself is what is timed


def iterate(container, rounds):
    for _ in range(rounds):
        for _item in container:
            pass


def iterate_values(mapping, rounds):
    for _ in range(rounds):
        for _value in mapping.values():
            pass


def iterate_items(mapping, rounds):
    for _ in range(rounds):
        for _key, _value in mapping.items():
            pass


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    span, rounds = plan.times(plan.reads)
    changed, change_rounds = plan.times(plan.writes)
    known = keys(n)
    looked_up = known if span == n else known[:span]
    written = known if changed == n else known[:changed]
    new = new_keys(plan.inserts)
    short = short_keys(plan.inserts)

    def filled():
        return dict.fromkeys(known, 5)

    def reading(name, run, make=filled):
        return Case(GROUP, name, make, run, span * rounds)

    overwriting = partial(overwrite, rounds=change_rounds, wanted=written)
    reads = [
        reading("dict get, 13-character keys", partial(get, rounds=rounds, wanted=looked_up)),
        reading("dict get, equal key objects", partial(get, rounds=rounds, wanted=equal_keys(n)[:span])),
        reading(
            "dict get, 6-character keys",
            partial(get, rounds=rounds, wanted=short_keys(n)[:span]),
            lambda: dict.fromkeys(short_keys(n), 5),
        ),
        reading(
            "dict get, int keys",
            partial(get, rounds=rounds, wanted=range(span)),
            lambda: dict.fromkeys(range(n), 5),
        ),
        reading(
            "dict get, 30-character values",
            partial(get, rounds=rounds, wanted=looked_up),
            lambda: dict.fromkeys(known, one("30-character str")),
        ),
        reading("dict .get()", partial(get_method, rounds=rounds, wanted=looked_up)),
        reading("dict .get(), missing", partial(get_method, rounds=rounds, wanted=new_keys(n)[:span])),
        reading("dict contains", partial(contains, rounds=rounds, wanted=looked_up)),
        reading("dict contains, missing", partial(contains, rounds=rounds, wanted=new_keys(n)[:span])),
        Case(GROUP, "dict iterate", filled, partial(iterate, rounds=rounds), n * rounds),
        Case(GROUP, "dict values", filled, partial(iterate_values, rounds=rounds), n * rounds),
        Case(GROUP, "dict items", filled, partial(iterate_items, rounds=rounds), n * rounds),
    ]
    writes = [
        Case(GROUP, "dict overwrite", filled, overwriting, changed * change_rounds),
        Case(
            GROUP,
            "dict overwrite in a transaction",
            filled,
            overwriting,
            changed * change_rounds,
            transaction=True,
        ),
        *(
            Case(
                GROUP,
                f"dict overwrite, {kind}",
                filled,
                partial(overwrite, rounds=change_rounds, wanted=written, value=one(kind)),
                changed * change_rounds,
            )
            for kind in KINDS[1:]
        ),
        Case(GROUP, "dict insert", dict, partial(insert, wanted=new), len(new), fresh=True),
        Case(
            GROUP,
            "dict insert in a transaction",
            dict,
            partial(insert, wanted=new),
            len(new),
            fresh=True,
            transaction=True,
        ),
        Case(
            GROUP, "dict insert, 6-character keys", dict, partial(insert, wanted=short), len(new), fresh=True
        ),
        Case(
            GROUP,
            "dict insert, int keys",
            dict,
            partial(insert, wanted=range(len(new))),
            len(new),
            fresh=True,
        ),
        Case(
            GROUP,
            "dict insert, 100-character values",
            dict,
            partial(insert, wanted=new, value=one("100-character str")),
            len(new),
            fresh=True,
        ),
        Case(GROUP, "dict setdefault, new", dict, partial(setdefault, wanted=new), len(new), fresh=True),
        Case(
            GROUP,
            "dict delete",
            partial(dict.fromkeys, new, 5),
            partial(delete, wanted=new),
            len(new),
            fresh=True,
        ),
        Case(
            GROUP,
            "dict pop",
            partial(dict.fromkeys, new, 5),
            partial(pop, wanted=new),
            len(new),
            fresh=True,
        ),
    ]
    return reads + writes
