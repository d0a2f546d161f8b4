"""Does the exploration notice a mutant?  Run inside the mutant: python -m tests.mutants.probe FOCUS ...

Prints what was noticed first, or nothing.  --seconds=N: no case begins later.  FOCUS is HOW:WHAT, and they run in that
order:

    words:GROUP, flushed:GROUP      of rows, word by word; see tests/testing/words.py
    journal:, ring:, direct:GROUP   of cases, explored; ring is the journal engine whose commits go through the ring
    manual:GROUP                    the same without a sync() after each operation
    kills:GROUP                     the same, but the program only dies
    thorough:GROUP                  the direct engine, with many images of each cut
    tests:PATH                      files of the test suite
"""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from pmemobj.testing import Budget
from tests.testing import grown, matrix, words
from tests.testing.campaign import CREATED, random_case, whole
from tests.testing.exploring import FAULTS, dismiss, explored
from tests.testing.matrix import Case, case_of

BUDGET = {
    "journal": Budget(exhaustive=3, random=1, per_cut=5, nested=0),
    "direct": Budget(exhaustive=3, random=4, per_cut=10, nested=0),
}
THOROUGH = Budget(exhaustive=8, random=64, per_cut=400, nested=0)
NESTED = {
    "journal": Budget(exhaustive=3, random=2, per_cut=6, nested=5),
    "direct": Budget(exhaustive=2, random=2, per_cut=6, nested=7),
}

#: What to try for a source file: rows of the matrix, in this order.
ROWS = {
    "list": ("list", "list that shrinks", "transactions"),
    "table": (
        "dict",
        "dict with holes",
        "dict with many holes",
        "dict with room",
        "set with room",
        "set",
        "set with holes",
    ),
    "kinds": ("ordered dict", "ordered dict with a gap", "counter", "defaultdict"),
    "object": ("object",),
    "values": ("values", "tuple", "list"),
    "sorted": (
        "sorted dict",
        "thin sorted dict",
        "sorted set",
        "sorted dict of thin nodes",
        "sorted dict of uneven nodes",
    ),
    "deque": ("emptied deque", "deque", "deque of blocks", "bounded deque"),
    "buffers": ("bytearray", "array"),
    "memory": (
        "shared",
        "pages of texts",
        "pages of objects",
        "spans",
        "limbo",
        "three pages",
        "owner",
        "owner of a tree",
        "list",
        "pool",
        "dict with holes",
    ),
    "engine": ("transactions", "dict", "object", "list", "set", "spans"),
    "pool": ("pool", "copies", "transactions", "spans"),
    "classes": ("upgraded", "collected"),
    "copies": ("copies",),
    "first": ("transactions", "spans", "object", "pages of texts", "dict"),
    "all": tuple(matrix.ROWS),
}


def parts(case: Case, most: int = 8) -> Iterator[Case]:
    """The same in smaller pieces: the first bug ends it sooner."""
    for i in range(0, len(case.steps), most):
        yield dataclasses.replace(case, steps=case.steps[i : i + most])


def quick() -> Case:
    """A little of everything."""
    names = ("append", "set last", "pop", "insert first", "extend", "delete slice")
    return case_of("a list", "list", 9, [[(n,)] for n in names])


def cases(focus: str) -> Iterator[tuple[Case, bool]]:
    """(case, whether also the open and the close and crashes inside recovery are explored)."""
    if focus == "quick":
        yield quick(), False
        yield (
            case_of("a dict", "dict", 8, [[(n,)] for n in ("insert", "overwrite", "delete first", "clear")]),
            False,
        )
    elif focus == "one by one":
        yield from ((dataclasses.replace(quick(), steps=(step,)), False) for step in quick().steps[:3])
        yield CREATED, False
    elif focus == "recovery":
        yield case_of("a list", "list", 9, [[("append",)]]), True
        yield CREATED, True
        yield case_of("much", "transactions", 4, [[("much",)]]), True
        yield (
            case_of("the pool", "pool", 3, [[(n,)] for n in ("append", "checkpoint", "trim", "resize")]),
            True,
        )
        yield case_of("copies", "copies", 3, [[("compact",)], [("backup",)]]), False
        yield case_of("the pool", "pool", 3, [[(n,)] for n in matrix.POOL]), True
    elif focus == "large":
        for size in (2730, 2729, 2731):
            yield case_of(f"a dict of {size}", "dict", size, [[("insert",)], [("update",)]]), False
        yield case_of("a list of 32760", "list", 32760, [[("append",)], [("extend",)]]), False
        for name in ("owner", "dict", "list", "set"):
            yield from ((case, False) for case in matrix.single(name, large=True))
    elif focus == "freed":
        yield from ((case, False) for case in matrix.single("owner", large=True))
    elif focus == "trees":
        yield from ((case, False) for case in matrix.single("owner of a tree", large=True))
    elif focus == "pending":  # allocations of libpmemobj's own, made and freed
        yield case_of("spans", "spans", 1, [[("600000 bytes",), ("free",)]]), True
    elif focus == "ranges":  # that are written to the pool file past the journal, where others were
        yield from ((case, False) for case in grown.ranges())
    elif focus == "files":  # that grow and shrink
        yield from ((case, True) for case in grown.files())
    elif focus == "random":
        import random

        yield from ((random_case(random.Random(i)), False) for i in range(4))
    else:
        rows = ROWS[focus]
        for name in rows:
            small = matrix.ROWS[name].small
            yield from ((case, False) for case in matrix.single(name) if case.name == f"{name} of {small}")
        for name in rows:
            for case in matrix.undone(name):
                yield from ((part, False) for part in parts(case))
        for name in rows:
            yield from ((part, False) for case in matrix.single(name) for part in parts(case))


def probe(engine: str, case: Case, deep: bool) -> str | None:
    """engine: "ring" is the journal engine whose commits go through the ring; "kills" that without power losses."""
    created = case is CREATED
    real = "direct" if engine in ("direct", "thorough") else "journal"
    report = explored(
        case,
        real,
        THOROUGH if engine == "thorough" else (NESTED if deep else BUDGET)[real],
        sync="manual"
        if engine == "manual"
        else "synced"
        if engine in ("ring", "kills") and not created
        else "commit",
        faults=frozenset({"kill"}) if engine == "kills" else FAULTS,
        observe=whole if case.name.startswith("operations") else matrix.observe,
        around=deep,
        create=created,
        stops=True,
        workers=1,
    )
    return None if report.ok else f"{report.bugs[0]}"


def by_words(how: str, group: str) -> str | None:
    """Small sizes first, then large ones."""
    if group == "order":
        return found_in(how, [words.behind()])
    if group == "grown":
        return found_in(how, [case for make in grown.GROUPS.values() for case in make()])
    if group == "quick":
        return found_in(
            how, [quick(), *(case for name in ROWS["first"] for case in list(matrix.single(name))[:1])]
        )
    rows = [name for name in ROWS[group] if name not in words.NOT_HERE]
    tried = [case for name in rows for case in matrix.single(name) if case.name == f"{name} of {small(name)}"]
    tried += [case for name in rows for case in matrix.undone(name)]
    tried += [case for name in rows for case in matrix.single(name) if case not in tried]
    tried += [case for name in rows for case in matrix.single(name, large=True)] if group != "all" else []
    return found_in(how, tried)


def found_in(how: str, cases: list[Case]) -> str | None:
    for case in cases:
        if late():
            return None
        for wrong in words.recorded(case) if how == "words" else words.flushed(case):
            return f"{case.name}: {wrong}"
    return None


def small(name: str) -> int:
    return matrix.ROWS[name].small


def by_tests(paths: str) -> str | None:
    """The first that fails."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--tb=line",
        "--timeout=120",
        *paths.split(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return next(
        (line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))),
        done.stdout[-300:],
    )


_begun = time.monotonic()
_seconds = 1e9


def late() -> bool:
    return time.monotonic() - _begun > _seconds


def main(arguments: list[str]) -> int:
    global _seconds
    if arguments[0].startswith("--seconds="):
        _seconds = float(arguments.pop(0).split("=")[1])
    try:
        for name in arguments:
            engine, _, focus = name.partition(":")
            if engine in QUICKER:
                try:
                    found = QUICKER[engine](focus)
                except Exception as error:
                    found = f"{type(error).__name__}: {error}"
                if found is not None:
                    print(f"{engine}, {found}"[:600])
                    return 0
                continue
            for case, deep in cases(focus):
                if late():
                    return 0
                try:
                    found = probe(engine, case, deep)
                except Exception as error:  # in the run itself, without a crash
                    found = f"{type(error).__name__}: {error}"
                if found is not None:
                    print(f"{engine}, {case.name}: {found}"[:600])
                    return 0
    finally:
        dismiss()
    return 0


QUICKER: dict[str, Callable[[str], str | None]] = {
    "words": partial(by_words, "words"),
    "flushed": partial(by_words, "flushed"),
    "tests": by_tests,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
