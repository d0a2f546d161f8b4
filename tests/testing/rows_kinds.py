"""Rows of the matrix: deques, and the dict's kinds (see rows.py)."""

from collections import Counter
from typing import Any

import pmemobj
from tests.testing.rows import (
    DICT,
    INLINE,
    SHORTEST_BLOCK,
    TEXT,
    Operation,
    Row,
    delete,
    grow_by,
    items,
    keys,
    put,
    times,
)

# --- deques: the first block has 12 cells, then 28, 60, 124; from then on 248


def new_deque(pool: Any, size: int) -> Any:
    """As few blocks as may be."""
    return pool.new(pmemobj.PersistentDeque, items(size))


def in_blocks(pool: Any, size: int) -> Any:
    """`size` items at each end of a block that is full: further ones stand in blocks of their own."""
    made = pool.new(pmemobj.PersistentDeque, items(12))
    made.extend(items(size))
    made.extendleft(items(size))
    return made


def emptied(pool: Any, size: int) -> Any:
    """No item, and the place for the next one at the end of the only block: the right one, or with 0 the left one."""
    made = pool.new(pmemobj.PersistentDeque, items(size or 1))
    while made:
        made.popleft() if size else made.pop()
    return made


def bounded(pool: Any, size: int) -> Any:
    """Full: what comes pushes something out."""
    return pool.new(pmemobj.PersistentDeque, items(size), size)


DEQUE: dict[str, Operation] = {
    "append": lambda pool, x: x.append(TEXT),
    "append number": lambda pool, x: x.append(7),
    "append left": lambda pool, x: x.appendleft(TEXT),
    "append number left": lambda pool, x: x.appendleft(7),
    "extend": lambda pool, x: x.extend([TEXT, 1, None, [2], 1 << 80]),
    "extend left": lambda pool, x: x.extendleft([TEXT, 1, None, [2], 1 << 80]),
    "+=": lambda pool, x: grow_by(x, range(30)),
    "*= 2": lambda pool, x: times(x, 2),
    "*= 0": lambda pool, x: times(x, 0),
    "pop": lambda pool, x: x.pop(),
    "pop left": lambda pool, x: x.popleft(),
    "insert first": lambda pool, x: x.insert(0, TEXT),
    "insert in the first half": lambda pool, x: x.insert(len(x) // 3, 5),
    "insert in the second half": lambda pool, x: x.insert(len(x) * 2 // 3, [TEXT]),
    "set first": lambda pool, x: put(x, 0, INLINE),
    "set last": lambda pool, x: put(x, -1, [1, {2: SHORTEST_BLOCK}]),
    "delete in the first half": lambda pool, x: delete(x, len(x) // 3),
    "delete in the second half": lambda pool, x: delete(x, len(x) * 2 // 3),
    "remove": lambda pool, x: x.remove("i1"),
    "rotate": lambda pool, x: x.rotate(),
    "rotate back": lambda pool, x: x.rotate(-3),
    "rotate by half": lambda pool, x: x.rotate(len(x) // 2),
    "reverse": lambda pool, x: x.reverse(),
    "clear": lambda pool, x: x.clear(),
}
AT_THE_ENDS = ("append", "append left", "extend left", "pop", "pop left", "rotate", "rotate back", "clear")

# --- the dict's kinds


def new_defaultdict(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentDefaultDict, list, dict(zip(keys(size), items(size), strict=True)))


def new_counter(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentCounter, {key: i for i, key in enumerate(keys(size))})


def new_ordered(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentOrderedDict, zip(keys(size), items(size), strict=True))


def queue(pool: Any, size: int) -> Any:
    """An ordered dict whose first entries are gone, as many as are left."""
    made = new_ordered(pool, 2 * size)
    for _ in range(size):
        made.popitem(last=False)
    return made


def set_factory(x: Any, factory: Any) -> None:
    x.default_factory = factory


def without(x: Any, other: Any) -> None:
    x -= other


def both(x: Any, other: Any) -> None:
    x &= other


def either(x: Any, other: Any) -> None:
    x |= other


DEFAULTDICT: dict[str, Operation] = {
    "missing": lambda pool, x: x["a key that is missing"],
    "missing number": lambda pool, x: x[1 << 40],
    "no factory": lambda pool, x: set_factory(x, None),
    "another factory": lambda pool, x: set_factory(x, dict),
    **{name: DICT[name] for name in ("insert", "overwrite", "delete first", "update", "|=", "clear")},
}

COUNTER: dict[str, Operation] = {
    "update": lambda pool, x: x.update(["key number 1", "a key that is new", "a key that is new", 0]),
    "update many": lambda pool, x: x.update({f"more {i}": i for i in range(9)}),
    "subtract": lambda pool, x: x.subtract({"key number 1": 5, "another new key": 1}),
    "+=": lambda pool, x: grow_by(x, Counter({"key number 1": 2, "a key that is new": 1 << 80})),
    "-=": lambda pool, x: without(x, Counter({"key number 1": 1, 2: 1})),
    "|=": lambda pool, x: either(x, Counter({"key number 1": 7, "a key that is new": 1})),
    "&=": lambda pool, x: both(x, Counter({"key number 1": 1, 2: 5})),
    "count one more": lambda pool, x: put(x, "key number 3", x["key number 3"] + 1),
    "insert a large count": lambda pool, x: put(x, "a key of its own, long", 1 << 80),
    "delete": lambda pool, x: delete(x, "key number 1"),
    "delete what is not there": lambda pool, x: delete(x, "no key"),
    "popitem": lambda pool, x: x.popitem(),
    "clear": lambda pool, x: x.clear(),
}

ORDERED: dict[str, Operation] = {
    "first to the end": lambda pool, x: x.move_to_end(next(iter(x))),
    "middle to the end": lambda pool, x: x.move_to_end(list(x)[len(x) // 2]),
    "last to the end": lambda pool, x: x.move_to_end(next(reversed(x))),
    "last to the front": lambda pool, x: x.move_to_end(next(reversed(x)), last=False),
    "middle to the front": lambda pool, x: x.move_to_end(list(x)[len(x) // 2], last=False),
    "first to the front": lambda pool, x: x.move_to_end(next(iter(x)), last=False),
    "pop first": lambda pool, x: x.popitem(last=False),
    "pop last": lambda pool, x: x.popitem(),
    **{
        name: DICT[name]
        for name in (
            "insert",
            "overwrite",
            "delete first",
            "delete last",
            "setdefault",
            "update",
            "|=",
            "clear",
        )
    },
}

KIND_ROWS: dict[str, Row] = {
    "deque": Row(
        new_deque,
        (0, 1, 2, 11, 12, 13, 28, 29, 60, 61, 124, 125, 248, 249),
        DEQUE,
        large=(1200,),
        at_large=AT_THE_ENDS,
        small=12,
    ),
    # 12 in the middle, and blocks of 28 cells and then of 60 beside them
    "deque of blocks": Row(in_blocks, (0, 1, 27, 28, 29, 88), DEQUE, small=1),
    "emptied deque": Row(
        emptied, (0, 12), {n: DEQUE[n] for n in ("append", "append left", "extend")}, small=12
    ),
    "bounded deque": Row(bounded, (0, 1, 12, 13, 29), DEQUE, small=12),
    "defaultdict": Row(new_defaultdict, (0, 3, 4, 8, 9, 10, 21, 22, 42, 43), DEFAULTDICT, small=8),
    "counter": Row(new_counter, (0, 3, 4, 8, 9, 10, 21, 22), COUNTER, small=8),
    "ordered dict": Row(new_ordered, (0, 1, 3, 4, 7, 8, 9, 10, 11, 21, 22, 42, 43), ORDERED, small=8),
    "ordered dict with a gap": Row(queue, (1, 4, 5, 8, 9, 11, 22, 43), ORDERED, small=5),
}
