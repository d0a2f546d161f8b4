"""What can be done to every container, and the sizes at which that is something else (see matrix.py).

A Row is a container: how one of a given size is made, its sizes, and the operations on it.  Each operation is one
change, or one transaction, so that every crash leaves the state before or after it.  An operation that cannot be done
to a container of some size (pop from an empty list) raises and changes nothing, which is explored as well.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pmemobj
from pmemobj import PersistentObject

Operation = Callable[[Any, Any], object]  # of the pool and of the container

TEXT = "a text that needs a block of its own"
INLINE, SHORTEST_BLOCK = "seven c", "eight ch"


class Thing(PersistentObject):
    pass


class WrongError(AssertionError):
    """An operation did not do what it does to a builtin container; there was no crash at all."""


class Undone(Exception):
    pass


@dataclass(frozen=True)
class Row:
    """make(pool, size): the value; sizes: on each side of every boundary; large: sizes for which only the operations
    named in `at_large` are done, because there is much to do for each image; small: the size for pairs and triples;
    unlike: operations whose outcome a builtin container does not foretell, None: all of them; unchanged: operations
    that must leave everything as it was."""

    make: Callable[[Any, int], Any]
    sizes: tuple[int, ...]
    operations: dict[str, Operation]
    large: tuple[int, ...] = ()
    at_large: tuple[str, ...] = ()
    max_size: int = 8 << 20
    small: int = 3
    unlike: frozenset[str] | None = frozenset()
    unchanged: frozenset[str] = frozenset()


# --- what is stored


def item(number: int) -> Any:
    """Numbers, texts that fit a slot and texts that need a block."""
    return (number, f"i{number}", f"item number {number}", number + 0.5)[number % 4]


def items(count: int) -> list[Any]:
    """Of many, numbers only: nothing but the container itself is of interest."""
    return list(range(count)) if count > 1000 else [item(i) for i in range(count)]


def keys(count: int) -> list[Any]:
    return list(range(count)) if count > 1000 else [(i, f"key number {i}")[i % 2] for i in range(count)]


# --- lists


def cut(pool: Any, size: int) -> Any:
    """A list with room for 512 that is not far from giving three quarters of it back (after the last of 129)."""
    made = pool.new(pmemobj.PersistentList, range(512))
    del made[size:]
    return made


def set_slice(x: Any, where: slice, values: list[Any]) -> None:
    x[where] = values


def delete(x: Any, where: Any) -> None:
    del x[where]


def put(x: Any, where: Any, value: Any) -> None:
    x[where] = value


def grow_by(x: Any, values: Any) -> None:
    x += values


def times(x: Any, n: int) -> None:
    x *= n


LIST: dict[str, Operation] = {
    "append": lambda pool, x: x.append(TEXT),
    "append number": lambda pool, x: x.append(7),
    "extend": lambda pool, x: x.extend([TEXT, 1, None, [2], 1 << 80]),
    "+=": lambda pool, x: grow_by(x, [1, 2, 3]),
    "*= 2": lambda pool, x: times(x, 2),
    "*= 0": lambda pool, x: times(x, 0),
    "insert first": lambda pool, x: x.insert(0, TEXT),
    "insert in the middle": lambda pool, x: x.insert(len(x) // 2, 5),
    "set first": lambda pool, x: put(x, 0, INLINE),
    "set last": lambda pool, x: put(x, -1, [1, {2: SHORTEST_BLOCK}]),
    "write over a text": lambda pool, x: put(x, 2, "item no 2"),
    "set slice": lambda pool, x: set_slice(x, slice(1, 4), [TEXT]),
    "set longer slice": lambda pool, x: set_slice(x, slice(0, 1), [1.5, None, TEXT]),
    "set stepped": lambda pool, x: set_slice(x, slice(None, None, 2), [TEXT] * ((len(x) + 1) // 2)),
    "delete first": lambda pool, x: delete(x, 0),
    "delete slice": lambda pool, x: delete(x, slice(1, 3)),
    "delete stepped": lambda pool, x: delete(x, slice(None, None, 2)),
    "delete most": lambda pool, x: delete(x, slice(len(x) // 8, None)),
    "pop": lambda pool, x: x.pop(),
    "pop first": lambda pool, x: x.pop(0),
    "remove": lambda pool, x: x.remove("i1"),
    "reverse": lambda pool, x: x.reverse(),
    "sort": lambda pool, x: x.sort(key=repr),
    "clear": lambda pool, x: x.clear(),
}

# --- dicts and sets


def holes(pool: Any, size: int) -> Any:
    """A dict of that many entries, of which a quarter has been deleted: the next that needs room is compacted."""
    made = pool.new(pmemobj.PersistentDict, dict.fromkeys(keys(size), TEXT))
    for key in keys(size)[: (size + 3) // 4]:
        del made[key]
    return made


def set_with_holes(pool: Any, size: int) -> Any:
    made = pool.new(pmemobj.PersistentSet, keys(size))
    for key in keys(size)[: (size + 3) // 4]:
        made.remove(key)
    return made


def union(x: Any, other: Any) -> None:
    x |= other


def pop_many(pool: Any, x: Any) -> None:
    """In a divided index the cells behind a hole may have to move up."""
    with pool.transaction() if pool else contextlib.nullcontext():
        for _ in range(min(200, len(x))):
            x.popitem()


DICT: dict[str, Operation] = {
    "insert": lambda pool, x: put(x, "a new key, which is long", TEXT),
    "insert number": lambda pool, x: put(x, 1 << 40, 1),
    "overwrite": lambda pool, x: put(x, next(iter(x)), TEXT),
    "overwrite last": lambda pool, x: put(x, next(reversed(x)), [1, [2]]),
    "delete first": lambda pool, x: delete(x, next(iter(x))),
    "delete last": lambda pool, x: delete(x, next(reversed(x))),
    "pop": lambda pool, x: x.pop("key number 1"),
    "popitem": lambda pool, x: x.popitem(),
    "setdefault": lambda pool, x: x.setdefault("another new key", [TEXT]),
    "update": lambda pool, x: x.update({f"more {i}": (i, "x" * 20) for i in range(9)}),
    "fill": lambda pool, x: x.update(dict.fromkeys(range(1 << 30, (1 << 30) + 300))),
    "update known": lambda pool, x: x.update(dict.fromkeys(list(x)[:9], 1.25)),
    "update known with containers": lambda pool, x: x.update({key: [TEXT] for key in list(x)[:3]}),
    "delete many of the last": lambda pool, x: pop_many(pool, x),
    "|=": lambda pool, x: union(x, {1 << 41: 1, "and": TEXT}),
    "clear": lambda pool, x: x.clear(),
}

SET: dict[str, Operation] = {
    "add": lambda pool, x: x.add(TEXT),
    "add number": lambda pool, x: x.add(1 << 40),
    "add known": lambda pool, x: x.add(next(iter(x))),
    "discard": lambda pool, x: x.discard("key number 1"),
    "remove first": lambda pool, x: x.remove(next(iter(x))),
    "pop": lambda pool, x: x.pop(),
    "update": lambda pool, x: x.update([f"more {i}" for i in range(9)]),
    "|=": lambda pool, x: union(x, {1.5, "and one more"}),
    "&=": lambda pool, x: x.intersection_update(keys(2)),
    "-=": lambda pool, x: x.difference_update(keys(3)),
    "^=": lambda pool, x: x.symmetric_difference_update([0, "a new key"]),
    "clear": lambda pool, x: x.clear(),
}

# --- sorted dicts and sets: a leaf has room for 48 entries, a node for 60 children


def name_of(number: int) -> str:
    return f"key number {number:05}"


def appended(pool: Any, size: int) -> Any:
    """Each leaf but the last is full."""
    made = pool.new(pmemobj.PersistentSortedDict, {name_of(0): 0} if size else {})
    if size:
        made.update({name_of(i): i if size > 1000 else item(i) for i in range(1, size)})
    return made


def thin(pool: Any, size: int) -> Any:
    """Two leaves, or four, the first of which has as few entries as may be."""
    made = appended(pool, size + 49)
    made.popitem()
    for i in range(48):
        del made[name_of(i)]
    return made


def thin_nodes(pool: Any, size: int) -> Any:
    """Under the root are two nodes, the first of which has few children; deleting the first entry joins them."""
    made = pool.new(pmemobj.PersistentSortedDict, [(name_of(i), i) for i in range(42 * 49)])
    while made.minKey() != name_of(size):
        made.popitem(0)
    return made


def uneven_nodes(pool: Any, size: int) -> Any:
    """The same, but together they are too many for one node: the first gets some of the second's 33 children."""
    made = appended(pool, 93 * 48)
    while made.minKey() != name_of(size):
        made.popitem(0)
    return made


def sorted_set(pool: Any, size: int) -> Any:
    made = pool.new(pmemobj.PersistentSortedSet, [name_of(0)] if size else [])
    if size:
        made.update([name_of(i) for i in range(1, size)])
    return made


SORTED_DICT: dict[str, Operation] = {
    "insert last": lambda pool, x: put(x, "key that is last", TEXT),
    "insert first": lambda pool, x: put(x, "a", 1),
    "insert in the middle": lambda pool, x: put(x, x.peekitem(len(x) // 2)[0] + "+", [TEXT]),
    "overwrite": lambda pool, x: put(x, x.minKey(), TEXT),
    "delete first": lambda pool, x: x.popitem(0),
    "delete last": lambda pool, x: x.popitem(),
    "delete in the middle": lambda pool, x: x.popitem(len(x) // 2),
    "delete many": lambda pool, x: delete(x.keys(), slice(len(x) // 4, None)),
    "setdefault": lambda pool, x: x.setdefault("key number", [TEXT]),
    "update": lambda pool, x: x.update({f"{name_of(i)}+": (i, TEXT) for i in range(60)}),
    "update last": lambda pool, x: x.update({f"m{i:03}": i for i in range(60)}),
    "insert what is not ASCII": lambda pool, x: put(x, "kÿ", 1),
    "insert what has no such bytes": lambda pool, x: put(x, "k\N{SNOWMAN}", 1),
    "clear": lambda pool, x: x.clear(),
}

SORTED_SET: dict[str, Operation] = {
    "add last": lambda pool, x: x.add("key that is last"),
    "add first": lambda pool, x: x.add("a"),
    "add in the middle": lambda pool, x: x.add(x[len(x) // 2] + "+"),
    "remove": lambda pool, x: x.remove(name_of(1)),
    "pop": lambda pool, x: x.pop(),
    "pop first": lambda pool, x: x.pop(0),
    "delete slice": lambda pool, x: delete(x, slice(None, None, 2)),
    "update": lambda pool, x: x.update([f"{name_of(i)}+" for i in range(60)]),
    "&=": lambda pool, x: x.intersection_update(map(name_of, range(5, 20))),
    "^=": lambda pool, x: x.symmetric_difference_update([name_of(0), "a new key", "another"]),
    "clear": lambda pool, x: x.clear(),
}

# --- objects with attributes


def thing(pool: Any, size: int) -> Any:
    made = pool.new(Thing)
    for i in range(size):
        setattr(made, f"field{i}", item(i))
    return made


OBJECT: dict[str, Operation] = {
    "set": lambda pool, x: setattr(x, "field0", TEXT),
    "set to a container": lambda pool, x: setattr(x, "field0", {"nested": [1, 2]}),
    "add": lambda pool, x: setattr(x, f"field{len(vars(x))}", 1),
    "add many": lambda pool, x: setattr(x, "field31", TEXT),
    "add a name": lambda pool, x: setattr(x, "a name that no object has", 1),
    "delete": lambda pool, x: delattr(x, "field0"),
    "link": lambda pool, x: setattr(x, "field1", x),
}

# --- blocks: pages of equal ones, spans of pages, allocations of libpmemobj


def texts(pool: Any, size: int) -> Any:
    """All of one size class: 252 blocks of 16 bytes are a page."""
    return pool.new(pmemobj.PersistentList, [f"text {i:03}" for i in range(size)])


def lists(pool: Any, size: int) -> Any:
    """63 objects of 64 bytes are a page."""
    return pool.new(pmemobj.PersistentList, [[] for _ in range(size)])


BLOCKS: dict[str, Operation] = {
    "one more": lambda pool, x: x.append("text new"),
    "two more": lambda pool, x: x.extend(["text ne1", "text ne2"]),
    "an object more": lambda pool, x: x.append([]),
    "one less": lambda pool, x: x.pop(),
    "first less": lambda pool, x: x.pop(0),
    "all less": lambda pool, x: x.clear(),
    "replaced": lambda pool, x: put(x, 0, "text new"),
}

SPANS: dict[str, Operation] = {
    f"{size} bytes": lambda pool, x, size=size: x.append(b"x" * (size - 8))
    for size in (2016, 2017, 4096, 4097, 8192, 63 * 4096, 63 * 4096 + 1, 600_000)
} | {"free": lambda pool, x: x.clear(), "replace": lambda pool, x: put(x, 0, b"y" * 5000)}


def spans(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentList, [b"z" * 5000 for _ in range(size)])


# --- texts on each side of what fits a slot, and values of every kind

VALUES: dict[str, Any] = {
    "text of 0": "",
    "text of 7": INLINE,
    "text of 8": SHORTEST_BLOCK,
    "Latin text": "é" * 9,
    "wide text": "€" * 9,
    "widest text": "😀" * 9,
    "bytes of 7": b"1234567",
    "bytes of 8": b"12345678",
    "small int": (1 << 62) - 1,
    "large int": 1 << 62,
    "float": 1.5,
    "rare float": 1e300,
    "complex": 1j,
    "tuple": (1, (TEXT, ())),
    "frozenset": frozenset({1, TEXT}),
    "None": None,
    "list": [1, [2, [3]]],
    "dict": {1: {2: {3}}},
}


def one_value(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentList, [list(VALUES.values())[size]])


def replacing(value: Any) -> Operation:
    return lambda pool, x: put(x, 0, value)


# --- transactions


def moved(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.append(x.pop(0))


def several(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.append([TEXT])
        x[-1].append({1: TEXT})
        x.extend(range(20))
        x[0] = TEXT
        del x[1:3]


def savepoint(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.append(1)
        with pool.transaction():
            x.append(TEXT)
            x.append([])


def undone_savepoint(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.append(1)
        with contextlib.suppress(Undone), pool.transaction():
            x.clear()
            x.extend([TEXT] * 30)
            raise Undone
        x.append(TEXT)


def abort(pool: Any, x: Any) -> None:
    with pool.transaction() as tx:
        x.extend(TEXT for _ in range(5))
        x.append({1: [TEXT]})
        tx.abort()


def left_by_an_exception(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.clear()
        raise Undone


def nested_aborts(pool: Any, x: Any) -> None:
    with pool.transaction():
        for i in range(3):
            with contextlib.suppress(Undone), pool.transaction():
                x.append([i])
                with pool.transaction():
                    x.append(TEXT)
                if i != 1:
                    raise Undone


def much(pool: Any, x: Any) -> None:
    """More than a segment of the small journal of these tests, and ranges that are written past it."""
    with pool.transaction():
        x.append(b"x" * 80_000)
        x.extend(f"text number {i}" for i in range(300))


TRANSACTIONS: dict[str, Operation] = {
    "moved": moved,
    "several": several,
    "savepoint": savepoint,
    "undone savepoint": undone_savepoint,
    "abort": abort,
    "left by an exception": left_by_an_exception,
    "nested aborts": nested_aborts,
    "much": much,
}

# --- the pool itself, and copies of it beside it


def cycle(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.append([TEXT])
        x[-1].append(x[-1])
        x.pop()


def unreferenced(pool: Any, x: Any) -> None:
    """An object that only a proxy holds, and then nothing."""
    with pool.transaction():
        kept = pool.new(pmemobj.PersistentList, [TEXT])
        x.append(kept)
        x.pop()
    del kept


def set_root(pool: Any, x: Any) -> None:
    with pool.transaction():
        kept = list(pool.root)
        pool.root = {"other": TEXT}
        pool.root = kept


def backup(pool: Any, x: Any) -> None:
    pool.backup(os.path.join(os.path.dirname(pool.path), COPY), overwrite=True)
    compare_copy(pool)


def compacted(pool: Any, x: Any) -> None:
    pool.compact(os.path.join(os.path.dirname(pool.path), COPY))
    compare_copy(pool)


def compare_copy(pool: Any) -> None:
    with pmemobj.open(os.path.join(os.path.dirname(pool.path), COPY), "r") as copied:
        if canonical(copied.to_python(copied.root)) != canonical(pool.to_python(pool.root)):
            raise WrongError(f"the copy holds {copied.to_python(copied.root)!r}")


COPY = "copy.pool"

POOL: dict[str, Operation] = {
    "append": LIST["append"],
    "checkpoint": lambda pool, x: pool.checkpoint(),
    "sync": lambda pool, x: pool.sync(),
    "cycle": cycle,
    "gc": lambda pool, x: pool.gc(),
    "unreferenced": unreferenced,
    "trim": lambda pool, x: pool.trim(),
    "set root": set_root,
    "resize": lambda pool, x: pool.resize(os.stat(pool.path).st_size + (1 << 20)),
    "append again": LIST["append number"],
    "checkpoint again": lambda pool, x: pool.checkpoint(),
}


COPIES: dict[str, Operation] = {"compact": compacted, "backup": backup, "append": LIST["append"]}


def new_list(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentList, items(size))


def new_dict(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentDict, dict(zip(keys(size), items(size), strict=True)))


def new_set(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentSet, keys(size))


def everything(pool: Any, size: int) -> Any:
    """A list of all that there is."""
    made = pool.new(pmemobj.PersistentList, items(size))
    made.extend([new_dict(pool, size), new_set(pool, size), new_tuple(pool, size), list(VALUES.values())])
    return made


def new_tuple(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentList, [pool.new(pmemobj.PersistentTuple, items(size))])


def owner(pool: Any, size: int) -> Any:
    """What is large is freed in steps."""
    made = [new_dict(pool, size), new_list(pool, 3 * size), new_set(pool, size), appended(pool, size)]
    return pool.new(pmemobj.PersistentList, [*made, pool.new(pmemobj.PersistentDeque, items(size))])


OWNER: dict[str, Operation] = {
    "drop": lambda pool, x: x.clear(),
    "drop the dict": lambda pool, x: x.pop(0),
    "replace": lambda pool, x: put(x, 0, None),
}


def shared(pool: Any, size: int) -> Any:
    """Slots that refer to the same object."""
    made = pool.new(pmemobj.PersistentList, [[TEXT]])
    made.extend([made[0]] * size)
    return made


SHARED: dict[str, Operation] = {
    "one more": lambda pool, x: x.append(x[0]),
    "one less": lambda pool, x: x.pop(),
    "replaced": lambda pool, x: put(x, 0, TEXT),
    "none": lambda pool, x: x.clear(),
}


def new_frozenset(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentList, [pool.new(pmemobj.PersistentFrozenSet, keys(size))])


FROZENSET: dict[str, Operation] = {
    f"new of {size}": lambda pool, x, size=size: x.append(pool.new(pmemobj.PersistentFrozenSet, keys(size)))
    for size in (0, 1, 8, 9, 126, 127, 3000)
} | {"free": lambda pool, x: x.clear()}

TUPLE: dict[str, Operation] = {
    f"new of {size}": lambda pool, x, size=size: x.append(pool.new(pmemobj.PersistentTuple, items(size)))
    for size in (0, 1, 8, 9, 252, 253, 3000)
} | {"free": lambda pool, x: x.clear()}

#: Segments: 32,760 words.  A block has room for 2, 3, ... 8, 10, ... 252 words, then for whole pages of 512.
BASIC_ROWS: dict[str, Row] = {
    "list": Row(
        new_list,
        (0, 1, 2, 3, 7, 8, 9, 10, 64, 65, 252, 253),
        LIST,
        large=(32759, 32760, 32761, 65520, 98_281),
        at_large=("append", "extend", "insert first", "delete slice", "delete most", "pop", "clear"),
        max_size=32 << 20,
    ),
    "list that shrinks": Row(
        cut,
        (128, 129, 130),
        {name: LIST[name] for name in ("pop", "pop first", "delete slice", "delete most", "append", "clear")},
        small=129,
    ),
    # entries: 4, 8, 10 ...; an index from the ninth on, which grows at 2/3 of 16, 32, 64 cells, and is divided
    # into segments of 4,096 cells at 2,730
    "dict": Row(
        new_dict,
        (0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 20, 21, 22, 42, 43, 64, 65),
        DICT,
        large=(2729, 2730, 2731, 10919, 10920, 10921),
        at_large=(
            "insert",
            "update",
            "fill",
            "delete first",
            "delete last",
            "delete many of the last",
            "clear",
        ),
        max_size=32 << 20,
    ),
    "dict with holes": Row(
        holes,
        (4, 8, 9, 10, 11, 21, 22, 64, 65, 85),
        {n: DICT[n] for n in ("insert", "update", "popitem", "|=", "clear")},
        large=(21_840,),  # two segments of entries, of which one stays full
        at_large=("insert",),
        max_size=32 << 20,
        small=8,
    ),
    "set": Row(
        new_set,
        (0, 1, 4, 5, 8, 9, 10, 11, 21, 22, 42, 43),
        SET,
        large=(2730, 2731, 16380, 16381),
        at_large=("add", "update", "remove first", "clear"),
        max_size=32 << 20,
        unlike=frozenset({"pop", "remove first"}),
    ),
    "set with holes": Row(
        set_with_holes,
        (4, 8, 9, 21, 22),
        {n: SET[n] for n in ("add", "update", "pop", "clear")},
        small=8,
        unlike=frozenset({"pop"}),
    ),
    # 48, 97: the last leaf is full; 49: it has one entry; 2,880, 2,881: the same of a node of leaves
    "sorted dict": Row(
        appended,
        (0, 1, 11, 12, 47, 48, 49, 50, 97),
        SORTED_DICT,
        large=(2879, 2880, 2881, 2928),
        at_large=(
            "insert last",
            "insert in the middle",
            "delete last",
            "delete first",
            "update last",
            "clear",
        ),
        max_size=16 << 20,
        small=48,
        unlike=None,
    ),
    "thin sorted dict": Row(
        thin,
        (23, 24, 36, 37, 60),
        {n: SORTED_DICT[n] for n in ("delete first", "delete last", "delete many", "insert first", "clear")},
        small=36,
        unlike=None,
    ),
    "sorted dict of thin nodes": Row(
        thin_nodes,
        (431,),
        {n: SORTED_DICT[n] for n in ("delete first", "delete many", "insert first", "clear")},
        large=(),
        max_size=16 << 20,
        small=431,
        unlike=None,
    ),
    "sorted dict of uneven nodes": Row(
        uneven_nodes,
        (2223,),
        {n: SORTED_DICT[n] for n in ("delete first", "delete last", "insert first", "overwrite")},
        max_size=16 << 20,
        small=2223,
        unlike=None,
    ),
    "sorted set": Row(
        sorted_set,
        (0, 1, 12, 47, 48, 49, 97),
        SORTED_SET,
        large=(2880, 2881),
        at_large=("add last", "add in the middle", "pop", "pop first", "delete slice", "clear"),
        max_size=16 << 20,
        small=48,
        unlike=None,
    ),
    "tuple": Row(new_tuple, (1,), TUPLE, small=1, unlike=None),
    "frozenset": Row(new_frozenset, (1,), FROZENSET, small=1, unlike=None),
    "object": Row(thing, (0, 1, 2, 3, 4, 5, 8, 9), OBJECT, unlike=None),
    "values": Row(
        one_value,
        tuple(range(len(VALUES))),
        {name: replacing(value) for name, value in VALUES.items()},
        small=2,
    ),
    "owner": Row(owner, (0, 3, 300), OWNER, large=(11_000,), at_large=("drop",), max_size=32 << 20),
    "shared": Row(shared, (0, 1, 2), SHARED, small=2),
    "pages of texts": Row(texts, (0, 1, 251, 252, 253), BLOCKS, small=1),
    "pages of objects": Row(lists, (0, 1, 62, 63, 64), BLOCKS, small=1),
    "spans": Row(spans, (0, 1, 2), SPANS, small=1, max_size=16 << 20),
    "transactions": Row(
        new_list,
        (0, 1, 4, 9),
        TRANSACTIONS,
        small=4,
        unlike=None,
        unchanged=frozenset({"abort", "left by an exception"}),
    ),
    "pool": Row(
        new_list,
        (3,),
        POOL,
        unlike=None,
        unchanged=frozenset(POOL) - {"append", "append again"},
    ),
    "copies": Row(everything, (3, 40), COPIES, unlike=None, unchanged=frozenset({"compact", "backup"})),
}

# --- plain values


def canonical(value: Any) -> Any:
    """Plain values, equal exactly when the containers are, with the order of a dict and without that of a set."""
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value] if any(type(v) not in (int, str) for v in value) else value
    if isinstance(value, np.ndarray):
        return "array", value.shape, str(value.dtype), value.tolist()
    if isinstance(value, deque):
        return "deque", value.maxlen, [canonical(v) for v in value]
    if isinstance(value, dict):
        kind = type(value).__name__, str(getattr(value, "default_factory", ""))
        return *kind, [(key, canonical(v)) for key, v in value.items()]
    if isinstance(value, (set, frozenset)):
        return "set", sorted(map(repr, value))
    return value
