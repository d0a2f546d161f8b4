"""Every method of a list or tuple of a closed pool, or made in an undone transaction, raises and nothing else."""

import copy
import inspect
import operator

import pytest

import pmemobj
from pmemobj import PersistentList, PersistentTuple, PoolClosedError, StaleObjectError

READING = {
    "__add__": lambda x: x + x,
    "__bool__": bool,
    "__contains__": lambda x: 1 in x,
    "__eq__": lambda x: x == [],
    "__ge__": lambda x: x >= [],
    "__getitem__": lambda x: x[0],
    "__getitem__ slice": lambda x: x[:],
    "__gt__": lambda x: x > [],
    "__iter__": iter,
    "__le__": lambda x: x <= [],
    "__len__": len,
    "__lt__": lambda x: x < [],
    "__mul__": lambda x: x * 2,
    "__ne__": lambda x: x != [],
    "__radd__": lambda x: operator.add([], x),
    "__reduce__": copy.copy,
    "__repr__": repr,
    "__reversed__": reversed,
    "__rmul__": lambda x: 2 * x,
    "_check": lambda x: x._check(),
    "_p_mm": lambda x: x._p_mm,
    "count": lambda x: x.count(1),
    "index": lambda x: x.index(1),
}
LIST = READING | {
    "__delitem__": lambda x: x.__delitem__(0),
    "__delitem__ slice": lambda x: x.__delitem__(slice(None)),
    "__iadd__": lambda x: operator.iadd(x, [1]),
    "__imul__": lambda x: operator.imul(x, 2),
    "__setitem__": lambda x: x.__setitem__(0, 1),
    "__setitem__ slice": lambda x: x.__setitem__(slice(None), [1]),
    "append": lambda x: x.append(1),
    "append long": lambda x: x.append("a long string"),
    "clear": lambda x: x.clear(),
    "copy": lambda x: x.copy(),
    "extend": lambda x: x.extend([1]),
    "insert": lambda x: x.insert(0, 1),
    "pop": lambda x: x.pop(),
    "remove": lambda x: x.remove(1),
    "reverse": lambda x: x.reverse(),
    "sort": lambda x: x.sort(),
}
TUPLE = READING | {
    "__deepcopy__": copy.deepcopy,
    "__hash__": hash,
    "_p_stable_hash": lambda x: x._p_stable_hash(),
}
#: What does not look at the object.
OTHERS = {"__class_getitem__", "__reduce_ex__", "__hash__", "_p_new", "__new__", "__init__"}
CASES = [(PersistentList, name) for name in LIST] + [(PersistentTuple, name) for name in TUPLE]


@pytest.mark.parametrize(("kind", "table"), [(PersistentList, LIST), (PersistentTuple, TUPLE)])
def test_no_method_is_forgotten(kind, table):
    named = {name.split()[0] for name in table} | OTHERS
    for cls in kind.__mro__[:-1]:
        for name, value in vars(cls).items():
            made_by_cython = name.startswith(("__pyx", "__reduce_", "__setstate"))
            if callable(value) and not inspect.isclass(value) and not made_by_cython:
                assert name in named, name


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_closed(pool, kind, name):
    x = pool.new(kind, [1, "a long string", [2]])
    pool.close()
    with pytest.raises(PoolClosedError):
        (LIST if kind is PersistentList else TUPLE)[name](x)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_stale(pool, kind, name):
    with pool.transaction() as tx:
        x = pool.new(kind, [1, "a long string", [2]])
        tx.abort()
    with pytest.raises(StaleObjectError):
        (LIST if kind is PersistentList else TUPLE)[name](x)


@pytest.mark.parametrize("kind", [PersistentList, PersistentTuple])
@pytest.mark.parametrize("walk", [iter, reversed])
def test_iterators_end_with_their_pool(pool, kind, walk):
    walking = walk(pool.new(kind, [1, 2, 3]))
    next(walking)
    pool.close()
    with pytest.raises(PoolClosedError):
        next(walking)
    with pytest.raises(PoolClosedError):
        operator.length_hint(walking)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_never_made(kind, name):
    """An object that pool.new() did not make."""
    with pytest.raises(TypeError):
        (LIST if kind is PersistentList else TUPLE)[name](kind.__new__(kind))


def test_stored_into_another_pool(pool, tmp_path):
    x = pool.new(PersistentList, [1])
    with pmemobj.open(tmp_path / "other", max_size=16 << 20) as other:
        y = other.new(PersistentList, [0])
        for call in (y.append, y.extend, lambda v: y.insert(0, v), lambda v: y.__setitem__(0, v)):
            with pytest.raises(pmemobj.CrossPoolError):
                call([x] if call == y.extend else x)
        assert y == [0] and y != x and x not in y
        y.extend(x)  # its items are plain values
        assert y == [0, 1]


def test_read_only(pool_path):
    with pmemobj.open(pool_path, max_size=16 << 20) as pool:
        pool.root = [3, 1, "a long string"]
    with pmemobj.open(pool_path, "r") as pool:
        x = pool.root
        for name in LIST.keys() - READING.keys() - {"copy", "sort"}:
            with pytest.raises(pmemobj.ReadOnlyPoolError):
                LIST[name](x)
        with pytest.raises(pmemobj.ReadOnlyPoolError):
            x.sort(key=str)
        assert x == [3, 1, "a long string"]
