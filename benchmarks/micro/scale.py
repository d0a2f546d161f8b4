"""What becomes of an operation when there are ten million entries instead of ten thousand.

Entries are picked at random, so that caches miss for the builtin as for ours; the picks and the loop are the same.
`growth` is the factor by which an operation gets dearer; `ratio` ours to builtin at one size; and what a program
that moved from builtins notices is ratio at the large size to ratio at the small one.
"""

import random
from functools import partial

from benchmarks.harness import BUILTIN, OURS, REPEATS, Case, Result, measure
from benchmarks.micro import dicts, lists
from benchmarks.report import Row

SMALL, LARGE = 10_000, 10_000_000
PICKS = 200_000


def cases(entries: int, picks: int = PICKS) -> list[Case]:
    choose = random.Random(11)
    indices = [choose.randrange(entries) for _ in range(picks)]
    # Keys that are equal to the stored ones and not the same objects, as from a file or a socket.
    wanted = [f"key-{i:09d}" for i in indices]
    in_order = range(min(entries, picks))

    def ints():
        return list(range(entries))

    def filled():
        return {f"key-{i:09d}": 5 for i in range(entries)}

    group = f"{entries:,} entries"
    return [
        Case(
            group, "list get, in order", ints, partial(lists.get, rounds=1, indices=in_order), len(in_order)
        ),
        Case(group, "list get, random", ints, partial(lists.get, rounds=1, indices=indices), picks),
        Case(group, "list set, random", ints, partial(lists.set_index, rounds=1, indices=indices), picks),
        Case(group, "dict get, random", filled, partial(dicts.get, rounds=1, wanted=wanted), picks),
        Case(
            group, "dict overwrite, random", filled, partial(dicts.overwrite, rounds=1, wanted=wanted), picks
        ),
    ]


def compare(small: Result, large: Result) -> Row:
    builtin = large.ns[BUILTIN] / small.ns[BUILTIN]
    ours = large.ns[OURS] / small.ns[OURS]
    return Row(
        "scale: growth from the small size to the large one",
        small.name,
        "x",
        {
            "growth of builtin": builtin,
            "growth of pmemobj": ours,
            "ratio, small": small.ratio,
            "ratio, large": large.ratio,
            "ratio, large to small": large.ratio / small.ratio,
        },
    )


def measured(
    pool, small: int = SMALL, large: int = LARGE, repeats: int = REPEATS, picks: int = PICKS
) -> tuple[list[Row], list[Row]]:
    """Times at each size, and how they compare."""
    first = [measure(case, pool, repeats) for case in cases(small, picks)]
    second = [measure(case, pool, repeats) for case in cases(large, picks)]
    times = [result.row() for result in first + second]
    return times, [compare(one, other) for one, other in zip(first, second, strict=True)]
