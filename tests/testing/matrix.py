"""Tables for exploration: every operation of every row (see rows.py) at every size, undone, in pairs, in triples.

A container that comes later adds its rows to rows.py or beside it; everything else is made of them.
"""

import contextlib
import copy
import hashlib
import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pmemobj
from pmemobj import PersistentObject
from tests.testing.rows import BASIC_ROWS, COPY, POOL, TEXT, Operation, Row, Undone, WrongError, canonical
from tests.testing.rows_buffers import BUFFER_ROWS
from tests.testing.rows_classes import CLASS_ROWS
from tests.testing.rows_kinds import KIND_ROWS
from tests.testing.rows_memory import MEMORY_ROWS

__all__ = ["POOL", "ROWS", "TEXT", "Case", "Step", "WrongError", "canonical"]  # and what is below

ROWS: dict[str, Row] = {**BASIC_ROWS, **KIND_ROWS, **BUFFER_ROWS, **CLASS_ROWS, **MEMORY_ROWS}

# --- what is explored: a Case is a start, and operations on containers of its own


ALLOWED = (IndexError, KeyError, ValueError, StopIteration, AttributeError, FileExistsError, Undone)


def attempt(operation: Operation, pool: Any, x: Any) -> bool:
    """What cannot be done raises, and must have changed nothing."""
    try:
        operation(pool, x)
    except ALLOWED:
        return False
    return True


@dataclass(frozen=True)
class Step:
    """One operation, or several in one transaction, on the container at that place.  undone: by an abort of its
    transaction, or of a savepoint of a transaction that is committed."""

    row: str
    names: tuple[str, ...]
    place: int
    undone: str = ""

    def __call__(self, pool: Any) -> None:
        row, x = ROWS[self.row], pool.root[self.place]
        if self.undone:
            self._undo(pool, row, x)
            return
        model = expected(row, self.names, pool, x)
        if len(self.names) == 1:
            attempt(row.operations[self.names[0]], pool, x)
        else:
            with pool.transaction():
                for name in self.names:
                    attempt(row.operations[name], pool, x)
        if model is not UNKNOWN and canonical(pool.to_python(x)) != canonical(model):
            raise WrongError(f"{self.row}, {self.names}: {pool.to_python(x)!r} instead of {model!r}")

    def _undo(self, pool: Any, row: Row, x: Any) -> None:
        before = observe(pool)
        with contextlib.suppress(Undone), pool.transaction() as outer:
            with contextlib.suppress(Undone), pool.transaction():
                for name in self.names:
                    attempt(row.operations[name], pool, x)
                if self.undone == "savepoint":
                    raise Undone
            if self.undone == "abort":
                outer.abort()
        if observe(pool) != before:
            raise WrongError(f"{self.row}, {self.names}, {self.undone}: {observe(pool)} instead of {before}")


UNKNOWN = object()


def expected(row: Row, names: tuple[str, ...], pool: Any, x: Any) -> Any:
    """What builtins make of the same operations."""
    if row.unlike is None or not row.unlike.isdisjoint(names):
        return pool.to_python(x) if row.unchanged.issuperset(names) else UNKNOWN
    model = pool.to_python(x)
    for name in names:
        before = copy.deepcopy(model)
        if not attempt(row.operations[name], None, model):
            model = before
    return model


def begin(make: Callable[[Any, int], Any], size: int, copies: int, pool: Any) -> None:
    pool.root = []
    for _ in range(copies):
        pool.root.append(make(pool, size))


@dataclass(frozen=True)
class Case:
    name: str
    start: Any  # of the pool; partial(begin, make, size, copies) where the steps are of a row
    steps: tuple[Any, ...]
    max_size: int


def case_of(name: str, row: str, size: int, sequences: Sequence[Sequence[tuple[str, ...]]]) -> Case:
    """Every sequence has a container of its own; it is a sequence of transactions, each of some operations."""
    steps = [Step(row, names, i) for i, sequence in enumerate(sequences) for names in sequence]
    of = ROWS[row]
    return Case(name, partial(begin, of.make, size, len(sequences)), tuple(steps), of.max_size)


def single(name: str, *, large: bool = False) -> Iterator[Case]:
    """Every operation of a row at every size."""
    row = ROWS[name]
    for size in row.large if large else row.sizes:
        names = row.at_large if large else tuple(row.operations)
        yield case_of(f"{name} of {size}", name, size, [[(n,)] for n in names])


def pairs(name: str) -> Iterator[Case]:
    """Every operation after every one, on a small container."""
    row = ROWS[name]
    for first in row.operations:
        sequences = [[(first,), (second,)] for second in row.operations]
        yield case_of(f"{name}: {first}, then each", name, row.small, sequences)


#: A checkpoint, a collection, or an exception that ends the transaction, cannot be part of another one; and what has
#: been looked at is upgraded.
ALONE = ("pool", "transactions", "copies", "upgraded", "collected")


def undone(name: str) -> Iterator[Case]:
    """Every operation, undone by an abort and by that of a savepoint; some of them first in another container."""
    row = ROWS[name]
    for size in sorted({row.small, row.sizes[len(row.sizes) // 2]} if name not in ALONE else ()):
        steps = [
            Step(name, (n,), place, how)
            for place, n in enumerate(row.operations)
            for how in ("abort", "savepoint")
        ]
        start = partial(begin, row.make, size, len(row.operations))
        yield Case(f"{name} of {size}, undone", start, tuple(steps), row.max_size)


def part(case: Case, most: int, rng: random.Random) -> Case:
    """At most so many of a case's sequences, and no containers but theirs: each image is looked at as a whole."""
    places = sorted({step.place for step in case.steps})
    kept = sorted(rng.sample(places, min(most, len(places))))
    steps = [replace(step, place=kept.index(step.place)) for step in case.steps if step.place in kept]
    start = partial(begin, *case.start.args[:2], len(kept))
    return replace(case, start=start, steps=tuple(steps))


def triples(name: str, count: int, seed: int) -> Case:
    """So many sequences of three; the last two of each in one transaction, where that can be."""
    row, rng = ROWS[name], random.Random(f"{seed} {name}")
    sequences: list[list[tuple[str, ...]]] = []
    for _ in range(count):
        first, *last = rng.choices(list(row.operations), k=3)
        sequences.append([(first,), *((n,) for n in last)] if name in ALONE else [(first,), tuple(last)])
    size = rng.choice((row.small, *row.sizes[:4]))
    return case_of(f"{name} of {size}: {count} triples, seed {seed}", name, size, sequences)


# --- the state


def of_things(pool: Any) -> list[Any]:
    """Objects may lead to themselves."""
    if hasattr(pool.root[0], "plain"):
        return [x.plain() for x in pool.root]
    return [
        {name: "itself" if value is x else pool.to_python(value) for name, value in vars(x).items()}
        if isinstance(x, PersistentObject)
        else pool.to_python(x)
        for x in pool.root
    ]


def observe(pool: Any) -> str | None:
    """The root's items; of many only a digest."""
    if pool.root is None:
        return None  # as explore() has it of a pool that has just been made
    things = len(pool.root) and isinstance(pool.root[0], PersistentObject)
    text = repr(canonical(of_things(pool) if things else pool.to_python(pool.root)))
    copied = os.path.join(os.path.dirname(pool.path), COPY)
    if os.path.exists(copied):
        with pmemobj.open(copied, "r") as copy_of_it:
            text += f" and a copy {canonical(copy_of_it.to_python(copy_of_it.root))}"
    return shortened(text)


def shortened(text: str) -> str:
    return text if len(text) < 900 else f"{text[:200]} ... {hashlib.blake2b(text.encode()).hexdigest()}"


def all_cases(seed: int = 1) -> Iterator[Case]:
    """Everything once: sizes, large sizes, pairs, triples."""
    for name in ROWS:
        yield from itertools.chain(single(name), single(name, large=True))
        yield from undone(name)
        yield from pairs(name)
        yield triples(name, 20, seed)
