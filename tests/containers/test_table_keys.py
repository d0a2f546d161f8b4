"""Keys that are remembered with the str object that found them: the memory must never outlive what it is of."""

import gc
import os
import sys
import weakref

import pytest

import pmemobj
from pmemobj._dict import PersistentDict
from pmemobj._set import PersistentSet

LONG = [f"a key of text {i}" for i in range(50)]


def found(d, keys=LONG):
    """Looks up each several times, with the same object."""
    for _ in range(3):
        answer = [d.get(key) for key in keys]
    return answer


@pytest.fixture
def d(pool):
    pool.root = {key: i for i, key in enumerate(LONG)}
    found(pool.root)
    return pool.root


def test_found_again(d):
    assert found(d) == list(range(50))
    assert found(d, [bytes(key, "ascii").decode() for key in LONG]) == list(range(50))


def test_deleted_key(d):
    del d[LONG[3]]
    assert LONG[3] not in d
    assert d.get(LONG[3]) is None
    d[LONG[3]] = "again"
    assert d[LONG[3]] == "again"


def test_block_taken_by_another_key(d):
    """The entry number and the block of a popped key come back with another text."""
    last = LONG[-1]
    others = [f"a key of TEXT {i}" for i in range(5)]
    for other in others:
        assert last in d
        d.popitem()
        d[other] = other
        assert last not in d
        assert d.get(last) is None
        assert d[other] == other
        assert d.popitem() == (other, other)
        d[last] = 49
        assert other not in d
        assert d[last] == 49


def test_block_taken_in_another_table(pool):
    pool.root = [{}, {}]
    a, b = pool.root
    for i in range(200):
        one, other = f"one key in use {i}", f"the other one {i}"
        a[one] = 1
        assert a[one] == 1 and one not in b
        del a[one]
        b[other] = 2
        assert b[other] == 2 and other not in a
        assert one not in a and one not in b
        a[other] = 3
        assert found(b, [other]) == [2] and found(a, [other]) == [3]
        a.clear()
        assert other not in a
        b.clear()


def test_table_freed_and_its_memory_taken(pool):
    keys = ["x" * 20 + str(i) for i in range(20)]
    others = ["y" * 20 + str(i) for i in range(20)]
    for _ in range(10):
        pool.root = dict.fromkeys(keys, 1)
        assert found(pool.root, keys) == [1] * 20
        pool.root = None
        pool.root = dict.fromkeys(others, 2)
        assert found(pool.root, keys) == [None] * 20
        assert found(pool.root, others) == [2] * 20


def test_abort(pool):
    pool.root = {}
    d = pool.root
    ours, theirs = "a key that is undone", "a key that comes now"
    for _ in range(5):
        with pool.transaction() as tx:
            d[ours] = 1
            assert found(d, [ours]) == [1]
            tx.abort()
        d[theirs] = 2
        assert found(d, [ours, theirs]) == [None, 2]
        del d[theirs]


def test_savepoint(pool):
    pool.root = {}
    d = pool.root
    ours, theirs = "a key that is undone", "a key that comes now"
    with pool.transaction():
        for _ in range(5):
            with pool.transaction() as inner:
                d[ours] = 1
                assert found(d, [ours]) == [1]
                inner.abort()
            d[theirs] = 2
            assert found(d, [ours, theirs]) == [None, 2]
            del d[theirs]
            assert found(d, [ours, theirs]) == [None, None]


def test_operation_that_fails(pool_path):
    """What a failed operation had written is another text afterwards."""
    with pmemobj.open(pool_path, max_size=pmemobj.pool.MIN_POOL_SIZE, sync="manual") as pool:
        pool.root = {}
        d = pool.root
        ours, theirs = "a key that is undone", "a key that comes now"
        for _ in range(5):
            with pytest.raises(pmemobj.PoolFullError):
                d.update({ours: 1, "big": "x" * (1 << 24)})
            assert found(d, [ours]) == [None]
            d[theirs] = 2
            assert found(d, [ours, theirs]) == [None, 2]
            del d[theirs]


def test_restored_by_an_abort(d, pool):
    with pool.transaction() as tx:
        for key in LONG:
            del d[key]
        assert found(d) == [None] * 50
        tx.abort()
    assert found(d) == list(range(50))


def test_cleared_and_compacted(d):
    d.clear()
    assert found(d) == [None] * 50
    d.update({key: -i for i, key in enumerate(reversed(LONG))})
    assert found(d, LONG[::-1]) == [-i for i in range(50)]
    for key in LONG[1::2]:
        del d[key]
    for i in range(200):
        d[i] = i
    assert found(d)[1::2] == [None] * 25
    assert found(d)[::2] == [-i for i in range(49, 0, -2)]


def test_garbage_collection_of_a_pool(pool):
    keys = [f"collected key {i}" for i in range(20)]
    pool.root = dict.fromkeys(keys, 1)
    d = pool.root
    d["self"] = d
    assert found(d, keys) == [1] * 20
    del d
    pool.root = None
    assert pool.gc().objects == 1
    pool.root = {key.upper(): 2 for key in keys}
    assert found(pool.root, keys) == [None] * 20


@pytest.mark.parametrize("make", [PersistentDict, PersistentSet])
def test_one_object_in_many_tables(pool, make):
    some = [dict.fromkeys(LONG[: i % 7], 1) for i in range(3000)]
    tables = pool.root = [pool.new(make, {"first of them": 1, **keys}) for keys in some]
    for _ in range(3):
        for i, table in enumerate(tables):
            assert [key in table for key in LONG[:7]] == [k < i % 7 for k in range(7)]


def test_subclasses_are_not_taken_for_the_text(d):
    class Other(str):
        def __eq__(self, other):
            return False

        def __hash__(self):
            return hash(str(self))

    assert Other(LONG[0]) not in d
    assert d[str(Other(LONG[0]))] == 0


def test_close_releases_the_keys(pool_path):
    with pmemobj.open(pool_path, sync="manual") as pool:
        keys = [f"released {i} at the end" for i in range(300)]
        before = [sys.getrefcount(key) for key in keys]
        pool.root = dict.fromkeys(keys, 1)
        assert found(pool.root, keys) == [1] * 300
        held = [sys.getrefcount(key) for key in keys]
        assert sum(held) > sum(before)
    assert [sys.getrefcount(key) for key in keys] == before
    with pmemobj.open(pool_path, sync="manual") as pool:
        assert found(pool.root, keys) == [1] * 300
        pool.root = {key.upper(): 2 for key in keys}
        assert found(pool.root, keys) == [None] * 300
    del pool
    gc.collect()
    assert [sys.getrefcount(key) for key in keys] == before


def test_more_keys_than_rows(pool):
    """There come to be more rows for them; the old ones hold no key any more, and each key is found as before."""
    count = 40_000
    keys = [f"one of many keys {i}" for i in range(count)]
    pool.root = {key: i for i, key in enumerate(keys)}
    d = pool.root
    before = [sys.getrefcount(key) for key in keys]
    for _ in range(4):
        assert [d[key] for key in keys] == list(range(count))
    held = [sys.getrefcount(key) for key in keys]
    assert sum(held) - sum(before) > 2 * 8192  # of 8192 rows
    assert max(map(int.__sub__, held, before)) == 1
    for i in range(0, count, 2):
        del d[keys[i]]
    assert [key in d for key in keys] == [False, True] * (count // 2)
    pool.close()
    assert [sys.getrefcount(key) for key in keys] == before


def test_temporary_and_very_long_keys_are_not_held(pool):
    big = "x" * 100_000
    count = sys.getrefcount(big)
    pool.root = {big: 1, "a temporary one": 2}
    assert found(pool.root, [big]) == [1]
    assert sys.getrefcount(big) == count
    for _ in range(3):
        assert pool.root["a temporary ".strip() + " one"] == 2


def test_fork(d, pool):
    pid = os.fork()
    if pid == 0:
        try:
            d[LONG[0]]
        except pmemobj.ForkedPoolError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert found(d) == list(range(50))


def test_pool_handle_goes_while_keys_are_held(pool_path):
    pool = pmemobj.open(pool_path, sync="manual")
    pool.root = dict.fromkeys(LONG, 1)
    d = pool.root
    assert found(d) == [1] * 50
    handle = weakref.ref(pool)
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError):
        d[LONG[0]]
    del pool, d
    gc.collect()
    assert handle() is None
