"""Attributes of a PersistentObject, of a plain object and of one with __slots__.

The ratio is that to the plain object.
"""

from functools import partial

import pmemobj
from benchmarks.harness import Case, Plan

GROUP = "object"


class Methods:
    """What all three classes share."""

    __slots__ = ()

    def __init__(self):
        self.first = 5
        self.second = 1_000_000
        self.third = 2.5
        self.fourth = "short"
        self.fifth = "a string of thirty characters."
        self.sixth = None
        self.seventh = 7
        self.last = 8

    def method(self):
        return self.first

    def add_one(self):
        self.first += 1


class Plain(Methods):
    pass


class Slotted(Methods):
    __slots__ = ("fifth", "first", "fourth", "last", "second", "seventh", "sixth", "third")


class Persistent(pmemobj.PersistentObject):
    __init__ = Methods.__init__
    method = Methods.method
    add_one = Methods.add_one


class Typed(pmemobj.PersistentObject):
    """The same, with types that are checked when a field is set."""

    __init__ = Methods.__init__
    first: int
    second: int
    third: float
    fourth: str
    fifth: str
    sixth: int | None
    seventh: int
    last: int


def get_first(item, count):
    for _ in range(count):
        item.first  # noqa: B018 - the load itself is what is timed


def get_last(item, count):
    for _ in range(count):
        item.last  # noqa: B018


def get_big_int(item, count):
    for _ in range(count):
        item.second  # noqa: B018


def get_float(item, count):
    for _ in range(count):
        item.third  # noqa: B018


def get_short_str(item, count):
    for _ in range(count):
        item.fourth  # noqa: B018


def get_long_str(item, count):
    for _ in range(count):
        item.fifth  # noqa: B018


def call_method(item, count):
    method = item.method
    for _ in range(count):
        method()


def look_up_and_call(item, count):
    for _ in range(count):
        item.method()


def set_first(item, count):
    for _ in range(count):
        item.first = 5


def set_last(item, count):
    for _ in range(count):
        item.last = 8


def set_float(item, count):
    for _ in range(count):
        item.third = 2.5


def set_short_str(item, count):
    for _ in range(count):
        item.fourth = "short"


def set_long_str(item, count):
    for _ in range(count):
        item.fifth = "a string of thirty characters."


def increment(item, count):
    for _ in range(count):
        item.add_one()


def delete_and_set(item, count):
    for _ in range(count):
        del item.last
        item.last = 8


READS = [
    ("attribute get", get_first),
    ("attribute get, the last of eight", get_last),
    ("attribute get, int 1,000,000", get_big_int),
    ("attribute get, float", get_float),
    ("attribute get, 5-character str", get_short_str),
    ("attribute get, 30-character str", get_long_str),
    ("bound method that reads an attribute", call_method),
    ("method that reads an attribute", look_up_and_call),
]

WRITES = [
    ("attribute set", set_first),
    ("attribute set, the last of eight", set_last),
    ("attribute set, float", set_float),
    ("attribute set, 5-character str", set_short_str),
    ("attribute set, 30-character str", set_long_str),
    ("method with self.first += 1", increment),
    ("attribute delete and set", delete_and_set),
]


def persistent(pool, _plain):
    pool.root = pool.new(Persistent)
    return pool.root


def typed(pool, _plain):
    pool.root = pool.new(Typed)
    return pool.root


def make_objects(items, make, count):
    for _ in range(count):
        items.append(make())


def make_ours(items, pool, count):
    for _ in range(count):
        items.append(pool.new(Persistent))


def cases(plan: Plan) -> list[Case]:
    makers = {"plain": Plain, "slots": Slotted}
    made = max(1, min(2000, plan.inserts // 5))

    def case(name, run, count, **more):
        return Case(GROUP, name, makers, partial(run, count=count), count, persist=persistent, **more)

    found = [case(name, run, plan.reads) for name, run in READS]
    found += [case(name, run, plan.writes) for name, run in WRITES]
    found += [
        Case(GROUP, f"typed {name}", makers, partial(run, count=count), count, persist=typed)
        for rows, count in ((READS[:1], plan.reads), (WRITES[:5], plan.writes))
        for name, run in rows
    ]
    found.append(case("attribute set in a transaction", set_first, plan.writes, transaction=True))
    found.append(
        Case(
            GROUP,
            "make an object of eight attributes, append it",
            {"plain": list},  # a list of plain objects
            partial(make_objects, make=Plain, count=made),
            made,
            fresh=True,
            ours=partial(make_ours, count=made),
        )
    )
    return found
