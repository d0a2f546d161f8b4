"""Deques: both ends, a queue, the middle, iteration."""

from collections import deque
from functools import partial

from benchmarks.harness import Case, Plan
from benchmarks.micro.dicts import iterate
from benchmarks.micro.lists import append, append_value, get, pop
from benchmarks.micro.values import one

GROUP = "deque"


def append_left(items, count):
    method = items.appendleft
    for i in range(count):
        method(i)


def pop_left(items, count):
    method = items.popleft
    for _ in range(count):
        method()


def queue(items, count):
    put, take = items.append, items.popleft
    for i in range(count):
        put(i)
        take()


def rotate(items, count):
    for _ in range(count):
        items.rotate(1)


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    span, rounds = plan.times(plan.reads)
    grown = max(plan.inserts, plan.writes // 4)
    text = one("30-character str")

    def numbers():
        return deque(range(n))

    def changing(name, make, run, count=grown, transaction=False):
        return Case(GROUP, name, make, run, count, fresh=True, transaction=transaction)

    return [
        changing("deque append", deque, partial(append, count=grown)),
        changing("deque append in a transaction", deque, partial(append, count=grown), transaction=True),
        changing("deque append, 30-character str", deque, partial(append_value, count=grown, value=text)),
        changing("deque appendleft", deque, partial(append_left, count=grown)),
        changing("deque pop", partial(deque, range(grown)), partial(pop, count=grown)),
        changing("deque popleft", partial(deque, range(grown)), partial(pop_left, count=grown)),
        changing(
            "deque popleft, 30-character str", partial(deque, [text] * grown), partial(pop_left, count=grown)
        ),
        changing("deque as a queue: append and popleft", numbers, partial(queue, count=grown)),
        changing("deque rotate by one", numbers, partial(rotate, count=grown)),
        Case(
            GROUP,
            "deque get near an end",
            numbers,
            partial(get, rounds=rounds, indices=range(min(span, 100))),
            min(span, 100) * rounds,
        ),
        Case(GROUP, "deque iterate", numbers, partial(iterate, rounds=rounds), n * rounds),
    ]
