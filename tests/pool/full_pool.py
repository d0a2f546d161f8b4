"""Pools that are full to the last block, and mutators tried at every amount of free space up to what they need."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pmemobj
from pmemobj import (
    PersistentArray,
    PersistentByteArray,
    PersistentCounter,
    PersistentDeque,
    PersistentDict,
    PersistentFrozenSet,
    PersistentList,
    PersistentObject,
    PersistentOrderedDict,
    PersistentSet,
    PersistentSortedDict,
    PersistentSortedSet,
    PersistentTuple,
)

#: Lengths of filling texts, largest first: spans of many pages and of one, then the classes of small blocks.
LENGTHS = [
    *(258_040, 65_528, 16_376, 4_088),
    *(
        2_008,
        1_336,
        1_000,
        664,
        568,
        496,
        440,
        376,
        312,
        248,
        216,
        184,
        152,
        120,
        104,
        88,
        72,
        56,
        48,
        40,
        32,
        24,
        16,
        8,
    ),
]
#: How many of the larger ones at most, so that some of each size are there to be released.
MOST = {258_040: 9, 65_528: 8, 16_376: 12}
CELLS = 8_000


class Thing(PersistentObject):
    pass


class Other(PersistentObject):
    def __init__(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)


def text(length: int, letter: str = "f") -> str:
    return letter * max(length, 8)


def fill(pool: Any, filler: Any) -> list[int]:
    """Takes all room there is; gives the cells that hold something, in the order in which to release them."""
    used = []
    for length in LENGTHS:
        for _ in range(MOST.get(length, CELLS)):
            try:
                filler[len(used)] = text(length)
            except pmemobj.PoolFullError:
                break
            used.append(len(used))
    for make in (list, dict, Thing):
        while True:
            try:
                filler[len(used)] = pool.new(Thing) if make is Thing else make()
            except pmemobj.PoolFullError:
                break
            used.append(len(used))
    # few of each size: the small ones go first, and by the hundred once they are many
    return used[::-1]


def plain(value: Any) -> Any:
    """A comparable copy; objects of classes as dicts."""
    if isinstance(value, PersistentObject):
        return {name: plain(field) for name, field in sorted(vars(value).items())}
    if isinstance(value, (PersistentList, list)):
        return [plain(item) for item in value]
    if isinstance(value, PersistentArray):
        return value.shape, value.tolist()
    if isinstance(value, (PersistentByteArray, bytearray)):
        return bytearray(value)
    if isinstance(value, (PersistentDeque, deque)):
        return deque(plain(item) for item in value)
    if isinstance(value, (PersistentTuple, tuple)):
        return tuple(plain(item) for item in value)
    if isinstance(value, (PersistentOrderedDict, OrderedDict)):
        return OrderedDict((key, plain(item)) for key, item in value.items())
    if isinstance(value, (PersistentCounter, Counter)):
        return Counter(dict(value.items()))
    if isinstance(value, (PersistentDict, PersistentSortedDict, dict)):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (PersistentFrozenSet, frozenset)):
        return frozenset(value)
    if isinstance(value, (PersistentSet, PersistentSortedSet, set)):
        return set(value)
    return value


@dataclass(frozen=True)
class Mutator:
    """subject: what stands in the root before; act(pool, subject) needs room; model gives what comes of it."""

    subject: Callable[[Any], Any]
    act: Callable[[Any, Any], Any]
    model: Callable[[Any], Any] | None = None


def on(kind: Callable[[], Any], act: Callable[[Any], Any]) -> Mutator:
    """A mutator that a builtin understands as well: it serves as the model."""

    def model(before: Any) -> Any:
        act(before)
        return before

    return Mutator(lambda pool: kind(), lambda pool, x: act(x), model)


def numbers(n: int) -> Callable[[], Any]:
    return lambda: list(range(n))


def table(n: int) -> Callable[[], Any]:
    return lambda: {i: i for i in range(n)}


def names(n: int) -> Callable[[], Any]:
    return lambda: set(range(n))


def queue(n: int) -> Callable[[], Any]:
    return lambda: deque(range(n))


def on_sorted(n: int, act: Callable[[Any], Any]) -> Mutator:
    """A sorted dict whose leaves are full; a dict is the model."""

    def subject(pool: Any) -> Any:
        made = pool.new(PersistentSortedDict)
        for i in range(n):
            made[f"{i:05}"] = i
        return made

    def model(before: Any) -> Any:
        act(before)
        return before

    return Mutator(subject, lambda pool, x: act(x), model)


def on_sorted_set(n: int, act: Callable[[Any], Any]) -> Mutator:
    def subject(pool: Any) -> Any:
        made = pool.new(PersistentSortedSet)
        for i in range(n):
            made.add(f"{i:05}")
        return made

    def model(before: Any) -> Any:
        act(before)
        return before

    return Mutator(subject, lambda pool, x: act(x), model)


def to_front(ordered: Any) -> None:
    ordered.move_to_end(20, last=False)


T20, T600, T3000, T90K = (text(n, "t") for n in (20, 600, 3000, 90_000))


def keep(pool: Any, x: Any, kind: type, *args: Any, **fields: Any) -> None:
    with pool.transaction():
        x.append(pool.new(kind, *args, **fields))


def many(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.append(T600)
        with pool.transaction():
            x.append([T20, {"k": T3000}])
        x[0] = pool.new(PersistentDict, {T20: (T20, 2**90)})


def new_root(pool: Any, x: Any) -> None:
    pool.root["x"] = {"a": [T20, {T3000: T90K}], "b": {1, 2, T20}}


def set_many_names(pool: Any, x: Any) -> None:
    with pool.transaction():
        for i in range(30):
            setattr(x, f"name{i}", T20)


MUTATORS: dict[str, Mutator] = {
    "list.append text": on(numbers(3), lambda x: x.append(T20)),
    "list.append long text": on(numbers(3), lambda x: x.append(T90K)),
    "list.append grows": on(numbers(72), lambda x: x.append(1)),
    "list.append second segment": on(numbers(32_760), lambda x: x.append(1)),
    "list.append list": on(numbers(3), lambda x: x.append([T20, [T3000, {}]])),
    "list.append tuple": on(numbers(3), lambda x: x.append((T20, (T600, 2**100)))),
    "list.insert": on(numbers(64), lambda x: x.insert(5, T600)),
    "list.extend": on(numbers(10), lambda x: x.extend([1, T20, T600, T3000])),
    "list.extend numbers": on(numbers(10), lambda x: x.extend(range(9000))),
    "list[i] = text": on(numbers(10), lambda x: x.__setitem__(4, T3000)),
    "list[i] = longer": on(lambda: [T20] * 10, lambda x: x.__setitem__(4, T90K)),
    "list[i:j] =": on(numbers(100), lambda x: x.__setitem__(slice(3, 5), [T600] * 10)),
    "list[i:j:k] =": on(numbers(100), lambda x: x.__setitem__(slice(0, 20, 5), [T600, T3000, T20, 5])),
    "list +=": on(numbers(100), lambda x: x.__iadd__([T600] * 5)),
    "list *=": on(lambda: [T20, T600, 3], lambda x: x.__imul__(4)),
    "dict[k] = number": on(table(8), lambda x: x.__setitem__("new", 1)),
    "dict[k] = text": on(table(3), lambda x: x.__setitem__("new", T600)),
    "dict[text] =": on(table(40), lambda x: x.__setitem__(T3000, T20)),
    "dict[k] = dict": on(table(40), lambda x: x.__setitem__(T20, {T600: {1: T3000}})),
    "dict[k] = over": on(lambda: {1: T20}, lambda x: x.__setitem__(1, T90K)),
    "dict.setdefault": on(table(3), lambda x: x.setdefault("new", [T600])),
    "dict.update": on(table(30), lambda x: x.update({1: T20, "new": T600, T20: T3000})),
    "dict.update numbers": on(table(30), lambda x: x.update((i, i) for i in range(3000))),
    "dict |=": on(table(30), lambda x: x.__ior__({T600: 1, 2: T600})),
    "dict grows": on(table(4096), lambda x: x.update((i, i) for i in range(4096, 8000))),
    "set.add": on(names(8), lambda x: x.add(T20)),
    "set.add long": on(names(30), lambda x: x.add(T3000)),
    "set.update": on(names(30), lambda x: x.update([1, T20, T600, T3000])),
    "set.update numbers": on(names(30), lambda x: x.update(range(3000))),
    "set |=": on(names(30), lambda x: x.__ior__({T20, T600})),
    "set ^=": on(names(30), lambda x: x.__ixor__({1, T600})),
    "deque.append first": on(deque, lambda x: x.append(1)),
    "deque.append text": on(queue(3), lambda x: x.append(T600)),
    "deque.append grows": on(queue(12), lambda x: x.append(1)),
    "deque.appendleft grows": on(queue(3), lambda x: x.appendleft([T20, T3000])),
    "deque.extend": on(queue(10), lambda x: x.extend([1, T20, T600, T3000])),
    "deque.extend numbers": on(queue(10), lambda x: x.extend(range(2000))),
    "deque.extendleft": on(queue(10), lambda x: x.extendleft([T20] * 300)),
    "deque.insert": on(queue(12), lambda x: x.insert(9, T600)),
    "deque[i] =": on(queue(10), lambda x: x.__setitem__(4, T90K)),
    "deque.rotate": on(queue(12), lambda x: x.rotate(3)),
    "deque *=": on(lambda: deque([T20, T600, 3]), lambda x: x.__imul__(4)),
    "bytearray.append first": on(bytearray, lambda x: x.append(1)),
    "bytearray.append grows": on(lambda: bytearray(16), lambda x: x.append(1)),
    "bytearray.extend": on(lambda: bytearray(16), lambda x: x.extend(b"1" * 5000)),
    "bytearray[i:j] =": on(lambda: bytearray(5000), lambda x: x.__setitem__(slice(9, 99), b"1" * 90_000)),
    "bytearray *=": on(lambda: bytearray(b"12345"), lambda x: x.__imul__(600)),
    "array.append": Mutator(lambda pool: pool.new(PersistentArray, shape=2), lambda pool, x: x.append(1)),
    "array.extend": Mutator(
        lambda pool: pool.new(PersistentArray, shape=(3, 2)), lambda pool, x: x.extend(np.ones((900, 2)))
    ),
    "array.resize": Mutator(
        lambda pool: pool.new(PersistentArray, shape=(3, 2)), lambda pool, x: x.resize(9000)
    ),
    "new array": Mutator(lambda pool: [], lambda pool, x: keep(pool, x, PersistentArray, shape=700)),
    "list.append array": Mutator(lambda pool: [], lambda pool, x: x.append(np.arange(70_000, dtype="i2"))),
    "list.append bytearray": on(numbers(3), lambda x: x.append(bytearray(3000))),
    "sorted dict[k] = first": on_sorted(0, lambda x: x.__setitem__(T20, T600)),
    "sorted dict[k] = divides": on_sorted(56, lambda x: x.__setitem__("10+", T20)),
    "sorted dict[k] = appends": on_sorted(56, lambda x: x.__setitem__("z", [T20])),
    "sorted dict[k] = over": on_sorted(9, lambda x: x.__setitem__("00003", T90K)),
    "sorted dict.update": on_sorted(9, lambda x: x.update({T20: T600, T3000: 1, "00003": [T20]})),
    "sorted dict.update numbers": on_sorted(0, lambda x: x.update((i, i) for i in range(3000))),
    "sorted dict.update inserts": on_sorted(200, lambda x: x.update((f"{i:05}+", i) for i in range(200))),
    "sorted set.add divides": on_sorted_set(56, lambda x: x.add(T20)),
    "sorted set.update": on_sorted_set(100, lambda x: x.update([f"{i:05}+" for i in range(300)])),
    "counter.update": on(lambda: Counter(range(30)), lambda x: x.update({T600: 1, 2: 5, T20: 7})),
    "counter +=": on(lambda: Counter(range(8)), lambda x: x.__iadd__(Counter(range(1, 3000)))),
    "ordered.move_to_end": on(lambda: OrderedDict.fromkeys(range(40)), to_front),
    "object.name =": Mutator(lambda pool: pool.new(Thing), lambda pool, x: setattr(x, "first", T600)),
    "object.name = over": Mutator(lambda pool: pool.new(Other, a=T20), lambda pool, x: setattr(x, "a", T90K)),
    "object names": Mutator(lambda pool: pool.new(Other, a=1), set_many_names),
    "new list": Mutator(lambda pool: [], lambda pool, x: keep(pool, x, PersistentList, [T600] * 30)),
    "new dict": Mutator(lambda pool: [], lambda pool, x: keep(pool, x, PersistentDict, {T20: T600, 1: {}})),
    "new set": Mutator(
        lambda pool: [], lambda pool, x: keep(pool, x, PersistentSet, [T20, T600, *range(99)])
    ),
    "new frozenset": Mutator(
        lambda pool: [], lambda pool, x: keep(pool, x, PersistentFrozenSet, [T20, T600, *range(99)])
    ),
    "new tuple": Mutator(lambda pool: [], lambda pool, x: keep(pool, x, PersistentTuple, [T20, T3000, [1]])),
    "new deque": Mutator(
        lambda pool: [], lambda pool, x: keep(pool, x, PersistentDeque, [T20, T3000, [1]], 2)
    ),
    "new object": Mutator(lambda pool: [], lambda pool, x: keep(pool, x, Other, a=T20, b=[T600], c=T3000)),
    "root[k] = tree": Mutator(lambda pool: 1, new_root),
    "root =": Mutator(
        lambda pool: 1,
        lambda pool, x: setattr(pool, "root", {"x": [T600, T90K], "filler": pool.root["filler"], "count": 0}),
    ),
    "transaction": Mutator(lambda pool: [1, 2], many),
}


@dataclass
class Sweep:
    """What came of trying one mutator, and what was not as it must be."""

    steps: int = 0
    raised: int = 0
    succeeded: int = 0
    wrong: int = 0


def sweep(path: Any, mutator: Mutator, inside: bool, engine: Any = "auto") -> Sweep:
    """Tries at no free space at all, then with one block more each time, until it succeeds.

    inside: in a transaction that goes on after the error, and commits.
    """
    result = Sweep()
    with pmemobj.open(path, "x", max_size=pmemobj.MIN_POOL_SIZE, sync="manual", engine=engine) as pool:
        pool.root = {"x": None, "filler": [None] * CELLS, "count": 0}
        pool.root["x"] = mutator.subject(pool)
        cells = fill(pool, pool.root["filler"])
        before, used = plain(pool.root["x"]), pool._allocated()[0]
        if mutator.model is not None:
            expected = mutator.model(plain(pool.root["x"]))
        step, done = 1, 0
        while True:
            root = pool.root
            if inside:
                pool.begin()
            try:
                mutator.act(pool, root["x"])
                full = False
            except pmemobj.PoolFullError as error:
                full = isinstance(error, MemoryError)
            result.steps += 1
            if inside:
                if full:
                    result.wrong += plain(root["x"]) != before or pool._allocated()[0] != used
                pool.root["count"] = result.steps  # goes on, and is committed
                pool.commit()
                result.wrong += pool.root["count"] != result.steps
            if not full:
                break
            result.raised += 1
            result.wrong += plain(root["x"]) != before or pool._allocated()[0] != used
            if done == len(cells):
                result.wrong += 1  # the whole pool is not enough
                break
            if done >= 100 * step:  # many small ones: in larger steps
                step *= 2
            for cell in cells[done : done + step]:
                root["filler"][cell] = None
            done += step
            used = pool._allocated()[0]
        result.succeeded += not full
        after = plain(pool.root["x"])
        if mutator.model is not None:
            result.wrong += after != expected
        else:
            result.wrong += after == before
        result.wrong += len(pool.check().findings)
        pool._check_references()
    with pmemobj.open(path, "w", sync="manual", engine=engine) as pool:
        result.wrong += plain(pool.root["x"]) != after or not pool.check().ok
    return result
