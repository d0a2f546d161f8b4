"""Containers inside containers: what a step inwards costs."""

from functools import partial

import pmemobj
from benchmarks.harness import Case, Plan
from benchmarks.micro.objects import Persistent, Plain
from benchmarks.micro.values import keys

GROUP = "nested"
INNER = 10


def get_cells(rows, rounds, count):
    for _ in range(rounds):
        for i in range(count):
            rows[i][3]


def set_cells(rows, rounds, count):
    for _ in range(rounds):
        for i in range(count):
            rows[i][3] = i


def iterate_cells(rows, rounds):
    for _ in range(rounds):
        for row in rows:
            for _cell in row:
                pass


def get_fields(records, rounds, wanted):
    for _ in range(rounds):
        for key in wanted:
            records[key]["age"]


def get_attributes(items, rounds, count):
    for _ in range(rounds):
        for i in range(count):
            items[i].first  # noqa: B018 - the load itself is what is timed


def append_rows(rows, count):
    for i in range(count):
        rows.append([i, i, i])


def append_records(rows, count):
    for i in range(count):
        rows.append({"name": "somebody", "age": i})


def of_objects(pool, items):
    pool.root = pool.new(pmemobj.PersistentList, [pool.new(Persistent) for _ in items])
    return pool.root


def cases(plan: Plan) -> list[Case]:
    n = max(1, plan.entries // INNER)
    rounds = max(1, plan.reads // n // 2)
    changed = min(n, plan.writes)
    change_rounds = max(1, plan.writes // changed // 2)
    iterations = max(1, plan.reads // (n * INNER))
    grown = max(1, plan.inserts // 5)
    known = keys(n)

    def rows():
        return [list(range(INNER)) for _ in range(n)]

    def records():
        return {key: {"name": "somebody", "age": 5} for key in known}

    return [
        Case(GROUP, "rows[i][3]", rows, partial(get_cells, rounds=rounds, count=n), n * rounds),
        Case(
            GROUP,
            "rows[i][3] = i",
            rows,
            partial(set_cells, rounds=change_rounds, count=changed),
            changed * change_rounds,
        ),
        Case(
            GROUP,
            "every cell of rows of ten",
            rows,
            partial(iterate_cells, rounds=iterations),
            n * INNER * iterations,
        ),
        Case(
            GROUP,
            'records[key]["age"]',
            records,
            partial(get_fields, rounds=rounds, wanted=known),
            n * rounds,
        ),
        Case(
            GROUP,
            "items[i].attribute",
            lambda: [Plain() for _ in range(n)],
            partial(get_attributes, rounds=rounds, count=n),
            n * rounds,
            persist=of_objects,
        ),
        Case(GROUP, "append a list of three", list, partial(append_rows, count=grown), grown, fresh=True),
        Case(GROUP, "append a dict of two", list, partial(append_records, count=grown), grown, fresh=True),
    ]
