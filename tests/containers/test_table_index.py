"""The index of large tables: segments that are divided, directories that double, and what undoes that."""

import itertools

import pytest
from table_support import in_use

import pmemobj
from pmemobj._dict import PersistentDict
from pmemobj._set import PersistentSet
from pmemobj.errors import PoolFullError

FIRST = 2730  # entries of a table that still has one segment
SAME_HASH = 2**61 - 1  # multiples of it have the hash 0


def text(i):
    return f"key number {i}"


def numbers(i):
    return i * 3


def mixed(i):
    return text(i) if i % 3 else i


KEYS = [text, numbers, mixed]


@pytest.mark.parametrize("key", KEYS)
def test_growth_entry_by_entry(pool, reopen, key):
    d = pool.root = pool.new(PersistentDict)
    for i in range(20_000):
        d[key(i)] = i
        if i in (FIRST - 2, FIRST - 1, FIRST, FIRST + 1) or i % 1999 == 0:
            d._check()
            assert all(d[key(k)] == k for k in range(max(0, i - 3), i + 1))
            assert key(i + 1) not in d
    pool = reopen(pool)
    d = pool.root
    d._check()
    assert pool.check().ok
    assert d == {key(i): i for i in range(20_000)}


def test_set_grows(pool):
    s = pool.root = pool.new(PersistentSet)
    for i in range(15_000):
        s.add(text(i))
    s._check()
    assert s == {text(i) for i in range(15_000)}
    assert text(15_000) not in s


@pytest.mark.parametrize("size", [FIRST, FIRST + 1, 4096, 4097, 8192, 8193, 30_000])
def test_growth_after_being_made_at_once(pool, size):
    d = pool.root = pool.new(PersistentDict, {text(i): i for i in range(size)})
    d._check()
    for i in range(size, size + 3000):
        d[text(i)] = i
    d._check()
    d.update((text(i), i) for i in range(size + 3000, 3 * size + 6000))
    d._check()
    assert d == {text(i): i for i in range(3 * size + 6000)}
    assert pool.check().ok


def test_last_entries_leave(pool):
    """Their cells are taken away from between others."""
    d = pool.root = pool.new(PersistentDict)
    for i in range(9000):
        d[text(i)] = i
    for i in reversed(range(9000)):
        assert d.popitem() == (text(i), i)
        if i % 997 == 0:
            d._check()
            assert all(text(k) in d for k in range(i))
            for k in range(i, i + 500):
                d[-k] = k
            d._check()
            assert all(text(k) in d for k in range(i))
            for k in reversed(range(i, i + 500)):
                assert d.popitem() == (-k, k)
    assert len(d) == 0


def test_many_deletions(pool):
    d = pool.root = pool.new(PersistentDict, {text(i): i for i in range(12_000)})
    for i in range(0, 12_000, 2):
        del d[text(i)]
    d._check()
    for i in range(12_000, 24_000):
        d[text(i)] = i
    d._check()
    assert d == {text(i): i for i in itertools.chain(range(1, 12_000, 2), range(12_000, 24_000))}


@pytest.mark.parametrize("at_once", [False, True])
def test_equal_hashes(pool, at_once):
    """They cannot be told apart by their tags: the directory stays small, the segment grows."""
    size = 4500
    model = {i * SAME_HASH: i for i in range(size)}
    if at_once:
        d = pool.root = pool.new(PersistentDict, model)
    else:
        d = pool.root = pool.new(PersistentDict)
        for i in range(8000):
            d[text(i)] = i
        d.update(model)
        for i in range(8000):
            assert d.pop(text(i)) == i
    assert len(d) == size
    for i in (0, 1, size // 2, size - 1):
        assert d[i * SAME_HASH] == i
    assert size * SAME_HASH not in d
    assert in_use(pool) < 4 << 20


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [FIRST - 50, 4096 - 50, 5000])
def test_undone_growth(pool, key, size):
    d = pool.root = pool.new(PersistentDict)
    for i in range(size):
        d[key(i)] = i
    model = d.copy()
    before = in_use(pool)
    for count in (100, 2000, 9000):
        with pool.transaction() as tx:
            for i in range(size, size + count):
                d[key(i)] = -i
            assert all(d[key(i)] == -i for i in range(size, size + count))
            tx.abort()
        d._check()
        assert d == model
        assert key(size) not in d
        assert in_use(pool) == before
    assert pool.check().ok


def test_undone_savepoints(pool):
    d = pool.root = pool.new(PersistentDict, {text(i): i for i in range(2700)})
    with pool.transaction():
        for i in range(2700, 4000):
            d[text(i)] = i
        for _ in range(3):
            with pool.transaction() as inner:
                for i in range(4000, 9000):
                    d[text(i)] = i
                while len(d) > 100:
                    d.popitem()
                d._check()
                inner.abort()
            d._check()
            assert len(d) == 4000
        with pool.transaction():
            for i in range(4000, 6000):
                d[text(i)] = i
    d._check()
    assert d == {text(i): i for i in range(6000)}
    assert pool.check().ok


@pytest.mark.parametrize("filler", [40_000, 20_000, 5000])
def test_pool_full_while_growing(pool_path, filler):
    with pmemobj.open(pool_path, max_size=24 << 20, sync="manual") as pool:
        pool.root = {"d": {}, "fill": []}
        d, fill = pool.root["d"], pool.root["fill"]
        for i in range(2000):
            d[text(i)] = i
        while True:
            try:
                fill.append("x" * filler)
            except PoolFullError:
                break
        n = 2000
        while True:
            try:
                d[text(n)] = n
            except PoolFullError:
                break
            n += 1
        d._check()
        assert len(d) == n
        assert all(d[text(i)] == i for i in range(n))
        with pytest.raises(PoolFullError), pool.transaction():
            d["before"] = 1
            while True:
                d[text(n)] = n
                n += 1
        d._check()
        assert "before" not in d
        fill.clear()
        for i in range(len(d), n + 5000):
            d[text(i)] = i
        d._check()
        assert pool.check().ok


def test_large_table_is_destroyed(pool):
    pool.root = None
    before = in_use(pool)
    pool.root = dict.fromkeys(range(300_000))
    assert in_use(pool) > before
    pool.root = None
    assert in_use(pool) == before
    pool.root = pool.new(PersistentSet, range(100_000))
    pool.root.clear()
    pool.root._check()
    pool.root = None
    assert in_use(pool) == before


def test_iteration_while_the_index_grows(pool):
    d = pool.root = pool.new(PersistentDict, {text(i): i for i in range(FIRST)})
    it = iter(d)
    next(it)
    d["one more"] = 1
    with pytest.raises(RuntimeError):
        next(it)
