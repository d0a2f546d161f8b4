"""Rows of the matrix: what memory and limbo go through only when several things come together (see rows.py)."""

import itertools
from typing import Any

import pmemobj
from tests.testing.rows import DICT, SET, TEXT, Operation, Row, appended, keys, new_dict, put, texts

#: Proxies, which keep objects in limbo from one step to the next.
_held: list[Any] = []


def new_list(pool: Any) -> Any:
    return [] if pool is None else pool.new(pmemobj.PersistentList, [TEXT])


def hold(pool: Any, x: Any) -> None:
    """Three objects that nothing refers to."""
    _held[:] = [new_list(pool) for _ in range(3)]


def attach(number: int, pool: Any, x: Any) -> None:
    """The first, the last or the one between of those in limbo."""
    hold(pool, x)
    x.append(_held[number])


LIMBO: dict[str, Operation] = {
    "hold": hold,
    "attach the first": lambda pool, x: attach(0, pool, x),
    "attach the second": lambda pool, x: attach(1, pool, x),
    "attach the last": lambda pool, x: attach(2, pool, x),
    "detach": lambda pool, x: _held.append(x.pop()),
    "let go": lambda pool, x: _held.clear(),
}


def three_pages(pool: Any, size: int) -> Any:
    """Of three pages in a list the one in the middle has been given back, and is the next to be taken."""
    made = texts(pool, size)
    for at in (252 * 2, 252, 0):
        del made[at]
    del made[251 : 251 + 251]
    return made


PAGES: dict[str, Operation] = {
    "take it again": lambda pool, x: x.extend([(0.1, n) for n in range(300)]),
    "one more": lambda pool, x: x.append("text new"),
    "clear": lambda pool, x: x.clear(),
}


def many_holes(pool: Any, size: int) -> Any:
    """A dict whose entries take segments, and of which nearly all are gone: the next is compacted to one block."""
    made = pool.new(pmemobj.PersistentDict, dict.fromkeys(range(size)))
    for key in itertools.islice(range(size), 10, None):
        del made[key]
    put(made, 0, TEXT)
    return made


def with_room(pool: Any, size: int) -> Any:
    """A dict with places for three entries more: they are filled without a call."""
    made = new_dict(pool, size + 3)
    for _ in range(3):
        made.popitem()
    return made


def set_with_room(pool: Any, size: int) -> Any:
    made = pool.new(pmemobj.PersistentSet, keys(size + 3))
    for key in keys(size + 3)[size:]:
        made.remove(key)
    return made


def trees(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentList, [appended(pool, size), [TEXT]])


MEMORY_ROWS: dict[str, Row] = {
    "limbo": Row(lambda pool, size: pool.new(pmemobj.PersistentList, [[] for _ in range(size)]), (0, 1, 2), LIMBO,
                 small=1, unlike=None),
    "three pages": Row(three_pages, (252 * 3,), PAGES, small=252 * 3, max_size=16 << 20),
    # 10,920 entries are a segment
    "dict with many holes": Row(many_holes, (21_840,), {"insert": lambda pool, x: put(x, "a new key", TEXT)},
                                small=21_840, max_size=32 << 20),
    "dict with room": Row(with_room, (3, 12),
                          {n: DICT[n] for n in ("insert", "insert number", "overwrite", "popitem")}),
    "set with room": Row(set_with_room, (3, 12), {n: SET[n] for n in ("add", "add number", "discard")}),
    "owner of a tree": Row(trees, (3, 200), {"drop": lambda pool, x: x.pop(0), "replace": lambda pool, x: put(x, 0, 1)},
                           large=(5000,), at_large=("drop",), max_size=16 << 20),
}  # fmt: skip
