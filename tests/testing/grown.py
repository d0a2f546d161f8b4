"""Steps for words.py that a container takes only when it is large: hundreds of small ones, each also undone.

The matrix has each side of every boundary of a small container; a crash in between is explored there.  What is here
would be too much to explore, and costs a second or two when only words are looked at.
"""

import contextlib
import os
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import pmemobj
from tests.testing.matrix import Case
from tests.testing.rows import Operation, Undone

MIB = 1 << 20


@dataclass(frozen=True)
class Part:
    """A step: some operations, or the same undone."""

    row: str
    names: tuple[str, ...]
    operation: Operation
    undone: str = ""

    def __call__(self, pool: Any) -> None:
        if not self.undone:
            self.operation(pool, pool.root)
            return
        with contextlib.suppress(Undone), pool.transaction() as tx:
            self.operation(pool, pool.root)
            tx.abort()


def parts(row: str, operations: Iterable[Operation], *, undone: bool = True) -> tuple[Part, ...]:
    """Each first in a transaction that is undone."""
    found = []
    for number, operation in enumerate(operations):
        if undone:
            found.append(Part(row, (f"part {number}",), operation, "abort"))
        found.append(Part(row, (f"part {number}",), operation))
    return tuple(found)


def each(items: list[Any], count: int, do: Callable[[Any, Any], None]) -> Iterator[Operation]:
    """Operations that do it for so many items, one by one."""
    for start in range(0, len(items), count):
        chosen = items[start : start + count]

        def operation(pool: Any, x: Any, chosen: list[Any] = chosen) -> None:
            for item in chosen:
                do(x, item)

        yield operation


def holding(value: Any) -> Any:
    """The start of a case: the value in the root."""

    def start(pool: Any) -> None:
        pool.root = value(pool) if callable(value) else value

    return start


class Old(pmemobj.PersistentObject):
    pass


def tables() -> Iterator[Case]:
    """Directories double, segments divide and go; an emptied table is compacted."""
    for kind, keys in {
        "numbers": list(range(12_000)),
        "texts": [f"key number {i}" for i in range(12_000)],
    }.items():
        mixed = random.Random(1).sample(keys[:9000], 8900)
        grow = each(keys, 400, lambda x, key: x.__setitem__(key, 1))
        pop = each(keys[9000:], 1000, lambda x, _: x.popitem())
        shrink = each(mixed, 900, lambda x, key: x.__delitem__(key))
        again = each(keys[:500], 250, lambda x, key: x.__setitem__(key, "a text that needs a block"))
        steps = (*parts("dict", grow), *parts("dict", pop), *parts("dict", shrink), *parts("dict", again))
        yield Case(
            f"a dict of {kind}",
            holding({}),
            (*steps, *parts("dict", [lambda _, x: x.clear()])),
            32 * MIB,
        )
    deletions = each(list(range(0, 24_000, 3)), 4000, lambda x, key: x.__delitem__(key))
    insertions = each(list(range(24_000, 31_000)), 1000, lambda x, key: x.__setitem__(key, 1))
    steps = parts("dict", deletions) + parts("dict", insertions)
    yield Case("a large dict", holding(dict.fromkeys(range(24_000), 1)), steps, 32 * MIB)
    ends = [lambda _, x: x.move_to_end(7, last=False), lambda _, x: x.move_to_end(5)]
    start = holding(OrderedDict.fromkeys(range(20_000)))
    yield Case("a large ordered dict", start, parts("ordered dict", ends), 32 * MIB)
    grow = each(list(range(9000)), 25, lambda x, key: x.add(key))
    shrink = each(list(range(8900)), 890, lambda x, _: x.pop())
    yield Case("a set", holding(set()), parts("set", grow, undone=False) + parts("set", shrink), 32 * MIB)


def trees() -> Iterator[Case]:
    """Nodes divide, fill each other, and go, three of them above each other."""
    for kind in (pmemobj.PersistentSortedDict, pmemobj.PersistentSortedSet):
        mapping = kind is pmemobj.PersistentSortedDict
        keys = list(range(0, 12_000, 2))

        def filled(pool: Any, kind: Any = kind, keys: Any = keys) -> Any:
            return pool.new(kind, dict.fromkeys(keys, 1) if kind is pmemobj.PersistentSortedDict else keys)

        def put(x: Any, key: Any, mapping: bool = mapping) -> None:
            x.__setitem__(key, [key]) if mapping else x.add(key)

        def drop(x: Any, key: Any, mapping: bool = mapping) -> None:
            x.pop(key) if mapping else x.discard(key)

        row = "sorted dict" if mapping else "sorted set"
        mixed = random.Random(2).sample(range(12_000), 12_000)
        steps = parts(row, each([n for n in mixed if n % 2][:3000], 300, put))
        steps += parts(row, each(list(range(12_000, 13_600)), 400, put))
        if mapping:
            steps += parts(row, [overwrite, fill])
        steps += parts(row, each(list(range(0, 3000, 2)), 300, drop))
        steps += parts(row, each(list(range(13_599, 11_999, -1)), 300, drop))
        steps += parts(row, each([n for n in mixed if n % 2 == 0 and n >= 3000], 400, drop))
        steps += parts(row, [lambda _, x: x.clear()])
        yield Case(f"a {row}", holding(filled), steps, 32 * MIB)

    for place in (1, 500, 1441, 2000, 2879):  # a node that is full, and a leaf below it, divide
        insert = each([place - 0.5], 1, lambda x, key: x.__setitem__(key, 1))
        yield Case(f"a full node, at {place}", full_node, parts("sorted dict", insert), 8 * MIB)


def full_node(pool: Any) -> None:
    """Appended one by one, so there is no room in any leaf."""
    pool.root = pool.new(pmemobj.PersistentSortedDict)
    for number in range(2880):
        pool.root[number] = 1


def overwrite(pool: Any, x: Any) -> None:
    x.update({n: n + 0.5 for n in range(0, 12_000, 7)})


def fill(pool: Any, x: Any) -> None:
    x.update({n: "t" * n for n in range(60)})


def lists() -> Iterator[Case]:
    def over(pool: Any, x: Any) -> None:
        for i, value in enumerate(
            (None, True, 1.5, "inline", 7, b"b", 2, "a text that needs a block", 3, None)
        ):
            x[i] = value
            x[-1 - i] = value
            x[40_000 + i] = value

    def slices(pool: Any, x: Any) -> None:
        x[10:20] = range(10)
        x[30_000:40_000:3] = [None] * len(range(30_000, 40_000, 3))
        del x[100:200]
        x.reverse()

    start = holding(lambda pool: list(range(70_000)))
    yield Case(
        "a list",
        start,
        parts("list", [lambda _, x: x.sort(reverse=True), over, slices, over]),
        32 * MIB,
    )


def garbage() -> Iterator[Case]:
    """Rings of large containers, collected in steps: what a step leaves half done is as sound as anything.  Eight of
    each, so that one has its words in two lines of the cache."""
    texts = [f"text number {i:05}" for i in range(700)]
    makers: dict[str, Callable[[Any], Any]] = {
        "list": lambda pool: pool.new(pmemobj.PersistentList, texts),
        "dict": lambda pool: pool.new(
            pmemobj.PersistentDict, dict.fromkeys(texts, "a text that needs a block")
        ),
        "set": lambda pool: pool.new(pmemobj.PersistentSet, texts),
        "deque": lambda pool: pool.new(pmemobj.PersistentDeque, texts),
        "sorted dict": lambda pool: pool.new(pmemobj.PersistentSortedDict, dict.fromkeys(texts, 1)),
        "sorted set": lambda pool: pool.new(pmemobj.PersistentSortedSet, texts),
    }

    def join(kind: str, x: Any, ring: Any) -> None:
        if kind in ("list", "deque"):
            x.append(ring)
        elif kind == "set":
            x.add(ring)
        elif kind != "sorted set":
            x["text number"] = ring

    for kind, make in makers.items():

        def rings(pool: Any, _: Any, kind: str = kind, make: Callable[[Any], Any] = make) -> None:
            ring = pool.new(Old)
            ring.containers = [make(pool) for _ in range(8)]
            ring.last = pool.new(Old)  # emptied first, and referred to until the end
            ring.last.text = "a text that needs a block"
            ring.itself = ring
            for x in ring.containers:
                join(kind, x, ring)

        steps = [Part(kind, ("rings",), rings)]
        steps += [Part(kind, (f"step {i}",), lambda pool, _: pool.gc(max_seconds=0)) for i in range(40)]
        yield Case(f"garbage: {kind}s", holding(0), tuple(steps), 32 * MIB)


def emptied() -> Iterator[Case]:
    """An object that is emptied by one step, while what refers to it is by later ones."""

    def lists(pool: Any, _: Any) -> None:
        made = [pool.new(pmemobj.PersistentList, range(700)) for _ in range(8)]
        last = pool.new(Old)  # behind them, where emptying begins
        last.text = "a text that needs a block"
        for x in made:
            x[0] = last
            x.append(x)

    steps = [Part("object", ("lists",), lists)]
    steps += [Part("object", (f"step {i}",), lambda pool, _: pool.gc(max_seconds=0)) for i in range(20)]
    yield Case("garbage: an object", holding(0), tuple(steps), 8 * MIB)


def blocks() -> Iterator[Case]:
    """Chunks are filled, and listed again; objects are in limbo, and come back."""
    texts = [f"{i:4}" * 240 for i in range(800)]

    def change(pool: Any, x: Any, number: int) -> None:
        if number % 2:
            x[number % 8] = []
        else:
            x[number % 8].extend(texts[number * 20 : number * 20 + 300])

    def numbered() -> Iterator[Operation]:
        for number in range(24):
            yield lambda pool, x, number=number: change(pool, x, number)

    yield Case("chunks", holding([[] for _ in range(8)]), parts("memory", numbered()), 32 * MIB)

    held: list[Any] = []

    def limbo(pool: Any, x: Any) -> None:
        held.extend(pool.new(pmemobj.PersistentList, [i]) for i in range(4))
        x.extend(held)

    def back(pool: Any, x: Any) -> None:
        x.clear()
        x.extend(held[1:3])
        x.clear()

    def forget(pool: Any, x: Any) -> None:
        held.clear()

    steps = tuple(Part("memory", (step.__name__,), step) for step in (limbo, back, back, forget) * 2)
    yield Case("limbo", holding([]), steps, 8 * MIB)


def arrays() -> Iterator[Case]:
    none = np.zeros((3, 0))
    yield Case("an array of no bytes", holding(none), parts("array", [lambda _, x: x.resize(7)]), 8 * MIB)
    ends = [
        lambda _, x: x.appendleft("a text of its own"),
        lambda _, x: x.append(1),
        lambda _, x: x.rotate(700),
    ]
    yield Case("a deque", holding(deque(range(3000))), parts("deque", ends), 8 * MIB)


def aged(version: int) -> type[pmemobj.PersistentObject]:
    """The class Aging of that version."""

    class Aging(pmemobj.PersistentObject):
        __p_version__ = version

        def __p_upgrade__(self, old: int) -> None:
            """Its number of the version is all that changes."""

    Aging.__qualname__, Aging.__module__ = "Aging", __name__
    globals()["Aging"] = Aging
    return Aging


def aging(pool: Any) -> None:
    """Objects of the first version of a class that is there in the second one, without a new field."""
    cls = aged(1)
    pool.root = []
    for _ in range(9):
        thing = pool.new(cls)
        thing.count = 1
        pool.root.append(thing)
    aged(2)


def use(pool: Any, x: Any) -> None:
    assert [type(thing).__p_version__ for thing in list(x) if thing.count == 1] == [2] * 9


def classes() -> Iterator[Case]:
    """A class is renamed; objects of an older version are used, of which the class has no field for the version yet."""

    def start(pool: Any) -> None:
        pool.root = [pool.new(Old) for _ in range(20)]
        for number, thing in enumerate(pool.root):
            thing.number, thing.text = number, f"text number {number}"

    def rename(pool: Any, x: Any) -> None:
        pool.rename_class(f"{__name__}:Old", f"{__name__}:AnotherNameThatIsLonger")

    def back(pool: Any, x: Any) -> None:
        pool.rename_class(f"{__name__}:AnotherNameThatIsLonger", f"{__name__}:Old")

    yield Case("a class", start, parts("object", [rename, back], undone=False), 8 * MIB)
    yield Case("a class of two versions", aging, parts("object", [use]), 8 * MIB)


def ranges() -> Iterator[Case]:
    """What is written past the journal, to where something else was, for exploration."""
    size = 5 * MIB

    def over(letter: bytes) -> Part:
        return Part("list", (f"{letter!r}",), lambda pool, x: x.__setitem__(0, letter * size))

    def all_over(letter: bytes) -> Part:
        return Part(
            "bytearray", (f"{letter!r}",), lambda pool, x: x[0].__setitem__(slice(None), letter * size)
        )

    yield Case("bytes", holding([b"a" * size]), tuple(over(bytes([n])) for n in b"bcde"), 32 * MIB)
    yield Case(
        "a bytearray",
        holding([bytearray(b"a" * size)]),
        tuple(all_over(bytes([n])) for n in b"bcd"),
        32 * MIB,
    )


def files() -> Iterator[Case]:
    """A pool that is full is enlarged, and the new space is used; a log that has become long is cut, and written on.
    For exploration."""

    def full(pool: Any) -> None:
        pool.root = []
        with contextlib.suppress(pmemobj.PoolFullError):
            while True:
                pool.root.append(bytes([65 + len(pool.root)]) * 250_000)

    def enlarge(pool: Any, x: Any) -> None:
        pool.resize(os.stat(pool.path).st_size + 2 * MIB)

    def use(pool: Any, x: Any) -> None:
        x.append(b"z" * 250_000)

    steps = (Part("list", ("enlarge",), enlarge), Part("list", ("use",), use), Part("list", ("use",), use))
    yield Case("a pool that grows", full, steps, 8 * MIB)

    def much(pool: Any, x: Any) -> None:
        with pool.transaction():
            x[:] = [n << 40 for n in range(100_000)]

    def less(pool: Any, x: Any) -> None:
        pool.checkpoint()
        time.sleep(0.1)  # for who looks after the log
        x[:] = range(len(x) % 7)

    steps = (Part("list", ("much",), much), Part("list", ("less",), less), Part("list", ("less",), less))
    yield Case("a log that shrinks", holding([1, 2, 3]), steps, 16 * MIB)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "arrays": arrays,
    "classes": classes,
    "lists": lists,
    "garbage": garbage,
    "emptied": emptied,
    "trees": trees,
    "blocks": blocks,
    "tables": tables,
}
