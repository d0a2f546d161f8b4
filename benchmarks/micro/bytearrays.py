"""Byte arrays: single bytes, searching, slices, large changes."""

from functools import partial

from benchmarks.harness import Case, Plan
from benchmarks.micro.dicts import iterate
from benchmarks.micro.lists import append_value, get, pop

GROUP = "bytearray"
LARGE = 1 << 20


def set_bytes(items, rounds, indices):
    for _ in range(rounds):
        for i in indices:
            items[i] = i & 255


def find_last(items, count):
    for _ in range(count):
        items.find(b"\xff")


def sums(items, count):
    """What a reader does that takes the buffer."""
    for _ in range(count):
        memoryview(items).tobytes()


def overwrite(items, count):
    new = [bytes([i]) * len(items) for i in range(2)]
    for i in range(count):
        items[:] = new[i & 1]


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    span, rounds = plan.times(plan.reads)
    grown = max(plan.inserts, plan.writes // 4)
    indices = range(min(span, 1000))

    def filled():
        return bytearray(n)

    def large():
        return bytearray(LARGE)

    return [
        Case(
            GROUP,
            "bytearray get",
            filled,
            partial(get, rounds=rounds, indices=indices),
            len(indices) * rounds,
        ),
        Case(
            GROUP,
            "bytearray set",
            filled,
            partial(set_bytes, rounds=rounds, indices=indices),
            len(indices) * rounds,
            fresh=True,
        ),
        Case(
            GROUP,
            "bytearray append",
            bytearray,
            partial(append_value, count=grown, value=7),
            grown,
            fresh=True,
        ),
        Case(GROUP, "bytearray pop", partial(bytearray, grown), partial(pop, count=grown), grown, fresh=True),
        Case(GROUP, "bytearray iterate", filled, partial(iterate, rounds=rounds), n * rounds),
        Case(GROUP, "bytearray find in 1 MiB", large, partial(find_last, count=20), 20),
        Case(GROUP, "bytearray copy of 1 MiB", large, partial(sums, count=20), 20),
        Case(GROUP, "bytearray overwrite 1 MiB", large, partial(overwrite, count=4), 4, fresh=True),
    ]
