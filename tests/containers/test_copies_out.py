"""Copies and pickles of what lives in a pool are builtin containers, or refused; weak references work."""

import copy
import dataclasses
import gc
import operator
import pickle
import sys
import weakref
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest

import pmemobj
from pmemobj import PersistentObject
from pmemobj._core import Persistent


class Thing(PersistentObject):
    pass


@pmemobj.persistent
class Record:
    number: int = 1
    items: list = dataclasses.field(default_factory=list)


@pmemobj.persistent
class Inner:
    number: int = 1


CLASSES = [
    pmemobj.PersistentByteArray,
    pmemobj.PersistentCounter,
    pmemobj.PersistentDefaultDict,
    pmemobj.PersistentDeque,
    pmemobj.PersistentDict,
    pmemobj.PersistentFrozenSet,
    pmemobj.PersistentList,
    pmemobj.PersistentOrderedDict,
    pmemobj.PersistentSet,
    pmemobj.PersistentSortedDict,
    pmemobj.PersistentSortedSet,
    pmemobj.PersistentTuple,
    Thing,
    Record,
]


#: kind of container -> what is given to pool.new(), and what the copy is equal to.
CONTAINERS = {
    pmemobj.PersistentArray: ((np.arange(6).reshape(2, 3),), np.arange(6).reshape(2, 3)),
    pmemobj.PersistentByteArray: ((b"bytes",), bytearray(b"bytes")),
    pmemobj.PersistentCounter: (("abca",), Counter("abca")),
    pmemobj.PersistentDefaultDict: ((list, {"k": [1], 2: None}), defaultdict(list, {"k": [1], 2: None})),
    pmemobj.PersistentDeque: (([1, [2]], 5), deque([1, [2]], 5)),
    pmemobj.PersistentDict: (({"k": [1], 2: None},), {"k": [1], 2: None}),
    pmemobj.PersistentFrozenSet: (([1, "two", (3,)],), frozenset({1, "two", (3,)})),
    pmemobj.PersistentList: (([1, "two", [3]],), [1, "two", [3]]),
    pmemobj.PersistentOrderedDict: (({"z": [1], "a": 2},), OrderedDict({"z": [1], "a": 2})),
    pmemobj.PersistentSet: (([1, "two", (3,)],), {1, "two", (3,)}),
    pmemobj.PersistentSortedDict: (({"z": [1], "a": 2},), {"a": 2, "z": [1]}),
    pmemobj.PersistentSortedSet: (([3, 1, 2],), {1, 2, 3}),
    pmemobj.PersistentTuple: (((1, [2], "three"),), (1, [2], "three")),
}
WAYS = [copy.copy, copy.deepcopy] + [
    lambda o, protocol=protocol: pickle.loads(pickle.dumps(o, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
]


def is_same(copied, expected):
    if isinstance(expected, np.ndarray):
        return copied.dtype == expected.dtype and np.array_equal(copied, expected)
    extra = [getattr(o, "maxlen", None) for o in (copied, expected)]
    extra += [getattr(o, "default_factory", None) for o in (copied, expected)]
    in_order = isinstance(expected, (set, frozenset)) or list(copied) == list(expected)
    return copied == expected and in_order and extra[0] == extra[1] and extra[2] == extra[3]


def all_plain(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return all(map(all_plain, value))
    return not isinstance(value, Persistent)


@pytest.mark.parametrize("cls", CONTAINERS, ids=lambda cls: cls.__name__)
def test_copies_and_pickles_of_containers_are_builtin_ones(pool, cls):
    args, expected = CONTAINERS[cls]
    o = pool.root = pool.new(cls, *args)
    objects = pool._check_references()
    for number, way in enumerate(WAYS):
        copied = way(o)
        assert type(copied) is type(expected) and is_same(copied, expected)
        assert number == 0 or all_plain(copied)  # copy.copy() copies one level
        inside = way([o])[0]
        assert is_same(inside, expected) if number else inside is o
        assert number == 0 or type(inside) is type(expected)
    assert b"pmemobj" not in pickle.dumps(o)  # whoever reads it needs no pmemobj
    assert pool._check_references() == objects
    pool.close()
    for way in WAYS:
        with pytest.raises(pmemobj.PoolClosedError):
            way(o)


def test_a_shallow_copy_holds_the_same_objects(pool):
    inner = pool.new(pmemobj.PersistentList, [1])
    for cls in (pmemobj.PersistentList, pmemobj.PersistentTuple, pmemobj.PersistentDeque):
        assert copy.copy(pool.new(cls, [inner]))[0] is inner
    for cls in (pmemobj.PersistentDict, pmemobj.PersistentOrderedDict, pmemobj.PersistentSortedDict):
        assert copy.copy(pool.new(cls, {"k": inner}))["k"] is inner
    assert copy.copy(pool.new(pmemobj.PersistentDefaultDict, None, {"k": inner}))["k"] is inner


@pytest.mark.parametrize("way", WAYS[1:])
def test_cycles_and_what_is_shared_stay(pool, way):
    items = pool.root = pool.new(pmemobj.PersistentList)
    table = pool.new(
        pmemobj.PersistentDict, {"items": items, "ring": pool.new(pmemobj.PersistentDeque, [items])}
    )
    row = pool.new(pmemobj.PersistentTuple, (items, table))
    items.extend([table, row, (row,), items])
    copied = way(items)
    assert type(copied) is list and all_plain(list(map(type, copied)))
    table, row, plain, itself = copied
    assert itself is copied and table["items"] is copied and table["ring"][0] is copied
    assert type(row) is tuple and row[0] is copied and row[1] is table and plain[0] is row


@pytest.mark.parametrize("cls", [Thing, Record], ids=lambda cls: cls.__name__)
def test_copying_an_object_is_refused_and_says_what_to_do(pool, cls):
    o = pool.root = pool.new(cls)
    o.items = [1]
    holder = pool.new(pmemobj.PersistentList, [o])
    objects = pool._check_references()
    for way in WAYS:
        for what in (o, [holder] if way is not copy.copy else o):
            with pytest.raises(
                TypeError, match=rf"a {cls.__name__} lives in its pool.*pool\.to_python\(vars\(obj\)\)"
            ):
                way(what)
    assert copy.copy(holder)[0] is o
    assert pool._check_references() == objects
    assert pool.to_python(vars(o))["items"] == [1]


class Rebuilt(PersistentObject):
    def __reduce__(self):
        return dict, (), None, None, iter(vars(self).items())


def test_a_class_may_say_what_its_copies_are(pool):
    o = pool.new(Rebuilt)
    o.items = [1, 2]
    assert copy.deepcopy(o) == pickle.loads(pickle.dumps(o)) == {"items": [1, 2]}
    assert type(copy.deepcopy(o)["items"]) is list


ITERATORS = {
    "list": lambda pool: iter(pool.new(pmemobj.PersistentList, range(5))),
    "list, reversed": lambda pool: reversed(pool.new(pmemobj.PersistentList, range(5))),
    "tuple": lambda pool: iter(pool.new(pmemobj.PersistentTuple, range(5))),
    "tuple, reversed": lambda pool: reversed(pool.new(pmemobj.PersistentTuple, range(5))),
    "deque": lambda pool: iter(pool.new(pmemobj.PersistentDeque, range(5))),
    "deque, reversed": lambda pool: reversed(pool.new(pmemobj.PersistentDeque, range(5))),
    "bytearray": lambda pool: iter(pool.new(pmemobj.PersistentByteArray, bytes(range(5)))),
    "dict": lambda pool: iter(pool.new(pmemobj.PersistentDict, dict.fromkeys(range(5))).items()),
    "frozenset": lambda pool: iter(pool.new(pmemobj.PersistentFrozenSet, range(5))),
    "set": lambda pool: iter(pool.new(pmemobj.PersistentSet, range(5))),
}


@pytest.mark.parametrize("kind", ITERATORS)
def test_copies_and_pickles_of_iterators_go_on_where_they_are(pool, kind):
    iterator = ITERATORS[kind](pool)
    expected = list(ITERATORS[kind](pool))
    for given in range(7):  # the last ones find it exhausted
        for way in (copy.copy, *WAYS[2:]):
            assert list(way(iterator)) == expected[given:]
            assert operator.length_hint(iterator) == max(5 - given, 0)
        assert next(iterator, None) == (expected[given] if given < 5 else None)


def test_positions_of_iterators_may_be_anything(pool):
    items = pool.new(pmemobj.PersistentList, range(3))
    array = pool.new(pmemobj.PersistentByteArray, b"abc")
    most = sys.maxsize
    for o in (items, array):
        for at, left in ((-1, 3), (-most - 1, 3), (0, 3), (2, 1), (3, 0), (most, 0)):
            iterator = iter(o)
            iterator.__setstate__(at)
            assert len(list(iterator)) == left
            iterator.__setstate__(0)
            assert list(iterator) == []  # exhausted for good
    for at, left in ((-most - 1, 0), (-2, 0), (-1, 0), (0, 1), (2, 3), (3, 3), (most, 3)):
        iterator = reversed(items)
        iterator.__setstate__(at)
        assert len(list(iterator)) == left
    for cls in (
        type(iter(pool.new(pmemobj.PersistentDeque))),
        type(reversed(pool.new(pmemobj.PersistentDeque))),
    ):
        with pytest.raises(TypeError):
            cls(None)
        with pytest.raises(TypeError):
            cls()
        assert list(cls.__new__(cls)) == [] == list(copy.copy(cls.__new__(cls)))
    assert copy.copy(reversed(pool.new(pmemobj.PersistentDeque, "abc"))).__next__() == "c"


@pytest.mark.parametrize("cls", [pmemobj.PersistentSortedDict, pmemobj.PersistentSortedSet])
def test_iterators_of_sorted_containers_are_not_copied(pool, cls):
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        copy.copy(iter(pool.new(cls)))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_weak_references_are_to_the_proxy(pool, cls):
    o = pool.root = pool.new(cls)
    ended = []
    weak = weakref.ref(o, ended.append)
    kept = weakref.WeakValueDictionary(o=o)
    assert weak() is o is kept["o"] is pool.root and ended == []
    del o
    gc.collect()
    assert weak() is None and ended == [weak] and "o" not in kept
    assert type(pool.root) is cls  # the object is where it was
    o = pool.root
    weak = weakref.ref(o)
    pool.close()
    assert weak() is o


def test_dataclass_helpers(pool):
    record, inner = pool.new(Record, 2), pool.new(Inner, 3)
    assert [field.name for field in dataclasses.fields(record)] == ["number", "items"]
    assert dataclasses.asdict(inner) == {"number": 3} and dataclasses.astuple(inner) == (3,)
    record.items.append([1])
    assert dataclasses.asdict(record) == {"number": 2, "items": [[1]]} and dataclasses.astuple(record) == (
        2,
        [[1]],
    )
    assert type(dataclasses.asdict(record)["items"]) is list
    record.items.clear()
    assert pool.to_python(dict(vars(record))) == {"number": 2, "items": []}
