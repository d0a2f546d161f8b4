"""Sorted containers among the pool's services: aborts, savepoints, check, compact, gc, plain copies."""

import copy
import gc
import pickle
import weakref

import pytest
from table_support import KINDS, in_use, plain

import pmemobj
from pmemobj import PersistentList, PersistentObject, PersistentSortedDict, PersistentSortedSet

BOTH = [PersistentSortedDict, PersistentSortedSet]
SIZES = [1, 48, 49, 3000]


class Ranked(PersistentObject):
    def __init__(self, rank):
        self.rank = rank

    def __lt__(self, other):
        return self.rank < other.rank


def make(pool, cls, count, start=0):
    keys = [f"key number {i:06}" for i in range(start, start + count)]
    return pool.new(cls, dict.fromkeys(keys, "a value with a block") if cls is PersistentSortedDict else keys)


def add(container, key):
    if isinstance(container, PersistentSortedDict):
        container[key] = "another value"
    else:
        container.add(key)


def contents(container):
    container._check()
    return list(container.items()) if isinstance(container, PersistentSortedDict) else list(container)


CHANGES = {
    "add": lambda c: [add(c, f"key number {i:06}+") for i in range(0, 3000, 7)],
    "append": lambda c: [add(c, f"z{i:06}") for i in range(700)],
    "remove": lambda c: [c.discard(k) if hasattr(c, "discard") else c.pop(k) for k in list(c)[::2]],
    "remove first": lambda c: [c.pop(0) if hasattr(c, "add") else c.popitem(0) for _ in range(len(c) - 1)],
    "clear": lambda c: c.clear(),
    "update": lambda c: c.update(dict.fromkeys(map(str, range(900)), 1)),
    "clear and fill": lambda c: (c.clear(), c.update({"a": 1, "b": 2})),
}


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("change", CHANGES)
def test_abort_and_savepoint(pool, cls, change):
    for size in SIZES:
        container = pool.root = make(pool, cls, size)
        container = pool.root
        before, used = contents(container), in_use(pool)
        with pool.transaction() as tx:
            CHANGES[change](container)
            container._check()
            tx.abort()
        assert contents(container) == before
        with pool.transaction():
            add(container, "0 first")
            outer = contents(container)
            with pool.transaction() as tx:
                CHANGES[change](container)
                tx.abort()
            assert contents(container) == outer
            with pool.transaction():
                CHANGES[change](container)
                inner = contents(container)
        assert contents(container) == inner
        assert pool.check().ok and pool.check().unreachable == (0, 0)
        pool.root = make(pool, cls, size)
        container = None
        assert in_use(pool) == used


@pytest.mark.parametrize("cls", BOTH)
def test_nothing_is_left_behind(pool, cls):
    before = in_use(pool)
    for size in SIZES:
        for change in CHANGES.values():
            pool.root = make(pool, cls, size)
            change(pool.root)
            assert pool.check().unreachable == (0, 0)
            pool.root = None
            assert in_use(pool) == before and pool._limbo() == 0


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("size", [0, *SIZES, 12_000])
def test_check_usage_compact_and_reopen(tmp_path, cls, size):
    with pmemobj.open(tmp_path / "pool", max_size=64 << 20) as pool:
        pool.root = make(pool, cls, size)
        expected = contents(pool.root)
        report = pool.check()
        assert report.ok and report.unreachable == (0, 0)
        assert report.counts["sorted dict" if cls is PersistentSortedDict else "sorted set"] == 1
        usage = pool.usage()
        assert usage.values >= 0 and usage.containers >= size * 8
        pool.compact(tmp_path / "compact")
        pool.backup(tmp_path / "backup")
    for name in ("pool", "compact", "backup"):
        with pmemobj.open(tmp_path / name, "w") as pool:
            assert contents(pool.root) == expected
            assert pool.check().ok and pool.check().unreachable == (0, 0)
            add(pool.root, "key number 000000+")
            pool.root.clear()
            assert contents(pool.root) == [] and pool.check().ok


def test_values_of_every_kind(pool):
    container = pool.root = pool.new(PersistentSortedDict)
    for i, value in enumerate(KINDS):
        container[i] = value
        container.update({i + 10: value})
        assert container.setdefault(i + 20, value) is not None
    assert [plain(value) for value in container.values()] == KINDS * 3
    assert type(container[3]) is PersistentList and container[3] is container.peekitem(3)[1]
    for i, value in enumerate(reversed(KINDS)):
        container[i] = value
    assert [plain(container[i]) for i in range(4)] == KINDS[::-1]
    assert plain(container.pop(0)) == KINDS[3] and container.popitem(0) == (1, KINDS[2])
    assert pool.check().ok


def test_cycles_are_collected(pool):
    before = in_use(pool)
    for size in (1, 500):
        container = pool.new(PersistentSortedDict, dict.fromkeys(range(size)))
        container[size // 2] = container
        ranked = pool.new(PersistentSortedSet, [pool.new(Ranked, i) for i in range(size)])
        ranked[0].other = ranked
        pool.root = [container, ranked]
        pool.root = None
        container = ranked = None
        gc.collect()
        assert pool.check().unreachable != (0, 0)
        assert pool.gc().objects >= 2
    pool.gc()
    assert in_use(pool) - before < 4096  # the class of Ranked
    assert pool.check().unreachable == (0, 0)


def test_objects_as_keys(pool):
    ranked = [pool.new(Ranked, i) for i in (5, 1, 4, 2, 3)]
    elements = pool.root = pool.new(PersistentSortedSet, ranked)
    assert [element.rank for element in elements] == [1, 2, 3, 4, 5]
    assert all(element in elements for element in ranked)
    with pytest.raises(TypeError, match="neither"):
        elements.add(pool.new(Ranked, 3))
    elements.discard(ranked[0])
    assert ranked[0] not in elements and elements[-1] is ranked[2]
    assert pool.check().ok


@pytest.mark.parametrize("cls", BOTH)
def test_plain_copies(pool, cls):
    container = make(pool, cls, 100)
    expected = dict(contents(container)) if cls is PersistentSortedDict else set(contents(container))
    assert pool.to_python(container) == container.copy() == expected
    assert type(container.copy()) is type(expected) is type(pool.to_python(container))
    assert pool.to_python([container])[0] == expected
    assert list(pool.to_python(container))[:1] == list(expected)[:1]
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            refused(iter(container))
        with pytest.raises(TypeError):
            refused(container.keys())


@pytest.mark.parametrize("cls", BOTH)
def test_weak_references(pool, cls):
    pool.root = make(pool, cls, 3)
    container = pool.root
    reference = weakref.ref(container)
    assert reference() is pool.root
    container = None
    assert reference() is None and len(pool.root) == 3


@pytest.mark.parametrize("cls", BOTH)
def test_iterators_of_a_changed_container(pool, cls):
    container = make(pool, cls, 200)
    changes = (
        lambda: add(container, "new"),
        lambda: container.discard("new") if cls is PersistentSortedSet else container.pop("new"),
        lambda: (add(container, "new"), container.__delitem__(-1 if cls is PersistentSortedSet else "new")),
        container.clear,
    )
    for change in changes:
        iterators = [iter(container), reversed(container), container.irange("k"), container.islice(3)]
        for iterator in iterators:
            next(iterator)
        change()
        for iterator in iterators:
            for _ in range(2):
                with pytest.raises(RuntimeError, match="changed during iteration"):
                    next(iterator)
    container = pool.new(PersistentSortedDict, {1: 1, 2: 2})
    iterator = iter(container.items())
    container[1] = 3  # no key has come or gone
    assert list(iterator) == [(1, 3), (2, 2)]


def test_iterators_and_aborts(pool):
    container = pool.root = make(pool, PersistentSortedDict, 500)
    container = pool.root
    before = iter(container)
    with pool.transaction() as tx:
        container["new"] = 1
        inside = iter(container)
        next(inside)
        tx.abort()
    assert list(before) == list(container)
    container["other"] = 1
    with pytest.raises(RuntimeError):
        next(inside)
