"""Rows of the matrix: byte arrays and arrays, whose items are no slots (see rows.py)."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

import pmemobj
from tests.testing.rows import Operation, Row, delete, put, set_slice, times

# --- byte arrays: up to 512 bytes are stored word by word, and others line by line


def byte_array(pool: Any, size: int) -> Any:
    """Behind the start of its block."""
    made = pool.new(pmemobj.PersistentByteArray, b"--" + bytes(i * 7 & 255 for i in range(size)))
    del made[:2]
    return made


def written(x: Any, where: slice, byte: int) -> None:
    """Through a view, where there is one."""
    if isinstance(x, bytearray):
        x[where] = bytes([byte]) * len(x[where])
        return
    with x.writing(where) as view:
        view[:] = bytes([byte]) * len(view)


BYTEARRAY: dict[str, Operation] = {
    "append": lambda pool, x: x.append(7),
    "extend": lambda pool, x: x.extend(b"0123456789" * 3),
    "extend far": lambda pool, x: x.extend(b"0123456789" * 70),
    "insert first": lambda pool, x: x.insert(0, 1),
    "insert in the middle": lambda pool, x: x.insert(len(x) // 2, 1),
    "set first": lambda pool, x: put(x, 0, 255),
    "set slice": lambda pool, x: set_slice(x, slice(1, 4), b"longer than it was"),
    "set all": lambda pool, x: set_slice(x, slice(0, None), b"!" * len(x)),
    "set stepped": lambda pool, x: set_slice(x, slice(None, None, 2), b"-" * ((len(x) + 1) // 2)),
    "delete first": lambda pool, x: delete(x, 0),
    "delete slice": lambda pool, x: delete(x, slice(1, 3)),
    "delete stepped": lambda pool, x: delete(x, slice(None, None, 3)),
    "delete most": lambda pool, x: delete(x, slice(len(x) // 8, None)),
    "pop": lambda pool, x: x.pop(),
    "reverse": lambda pool, x: x.reverse(),
    "write": lambda pool, x: written(x, slice(1, 9), 200),
    "write all": lambda pool, x: written(x, slice(None), 201),
    "*= 2": lambda pool, x: times(x, 2),
    "clear": lambda pool, x: x.clear(),
}

# --- arrays: what is stored is chosen as for byte arrays; fancy indices change pieces


def array(pool: Any, size: int) -> Any:
    return pool.new(pmemobj.PersistentArray, np.arange(3 * size).reshape(-1, 3))


def in_place(x: Any, function: Callable[[Any, Any], Any], value: Any) -> None:
    function(x, value)


def far_apart(x: Any) -> None:
    x[[0, len(x) // 2, -1, 0]] = [[-1], [-2], [-3], [-4]]


def view_of(x: Any) -> None:
    with x.writing(np.s_[1:9, ::2]) as view:
        view[...] = 99


def reverse_and_sort(pool: Any, x: Any) -> None:
    with pool.transaction():
        x[...] = -np.asarray(x)
        x.sort(axis=0)


ARRAY: dict[str, Operation] = {
    "append": lambda pool, x: x.append([7, 8, 9]),
    "extend": lambda pool, x: x.extend(np.ones((30, 3), int)),
    "resize": lambda pool, x: x.resize(len(x) + 5),
    "resize down": lambda pool, x: x.resize(len(x) // 8),
    "set first": lambda pool, x: put(x, 0, -1),
    "set item": lambda pool, x: put(x, (-1, 1), -1),
    "set all": lambda pool, x: put(x, ..., np.asarray(x) + 1),
    "set rows": lambda pool, x: put(x, slice(1, 4), 6),
    "set column": lambda pool, x: put(x, (..., 1), 5),
    "set fancy": lambda pool, x: far_apart(x),
    "set mask": lambda pool, x: put(x, np.asarray(x) % 5 == 1, -1),
    "+=": lambda pool, x: in_place(x, operator.iadd, 3),
    "reverse and sort": lambda pool, x: reverse_and_sort(pool, x),
    "write": lambda pool, x: view_of(x),
}

BUFFER_ROWS: dict[str, Row] = {
    # a block that is a quarter full is made smaller; from a megabyte on most of a change goes to another block
    "bytearray": Row(
        byte_array,
        (0, 1, 5, 6, 7, 13, 14, 15, 120, 511, 512, 513, 2013, 2014, 2015, 9000),
        BYTEARRAY,
        large=(258_046, 1 << 20, 5 << 20),
        at_large=("append", "set all", "delete first", "delete most", "write", "clear"),
        max_size=48 << 20,
        small=14,
    ),
    "array": Row(
        array,
        (0, 1, 5, 21, 22, 83, 84, 400),
        ARRAY,
        large=(44_000, 220_000),
        at_large=("append", "set all", "set column", "set fancy", "resize down", "write"),
        max_size=48 << 20,
        small=5,
        unlike=None,
    ),
}
