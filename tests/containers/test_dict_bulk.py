"""update() and assignment of whole dicts, and iteration over items, on their short cuts for plain keys and values."""

import gc

import pytest
from table_support import in_use

import pmemobj
from pmemobj._dict import PersistentDict
from pmemobj.errors import PoolFullError

VALUES = [
    1,
    -(2**70),
    2.5,
    1e300,
    None,
    True,
    "short",
    "a longer text",
    "é" * 9,
    "\u20ac" * 5,
    "x" * 500,
    b"bytes" * 3,
]


def items(n, start=0):
    return {
        (
            i if i % 5 == 0 else 2**62 + i if i % 5 == 1 else f"k{i}" if i % 5 == 2 else f"a longer key {i}"
        ): VALUES[i % len(VALUES)]
        for i in range(start, start + n)
    }


@pytest.mark.parametrize("size", [1, 2, 8, 9, 255, 257, 3000, 12_000])
def test_all_ways_to_store_many(pool, reopen, size):
    model = items(size)
    pool.root = [model, {}, {"there": 1}, pool.new(PersistentDict, model)]
    pool.root[1].update(model)
    pool.root[2].update(model)
    pool.root[1].update(model)
    pool = reopen(pool)
    assert pool.root[2].pop("there") == 1
    for d in pool.root:
        d._check()
        assert d == model
        assert [type(value) for value in d.values()] == [type(value) for value in model.values()]
    assert list(pool.root[0]) == list(model)
    assert pool.check().ok


def test_update_of_a_table_with_equal_numbers(pool):
    d = pool.root = pool.new(PersistentDict, {1.0: "float", 2**61: "big", 0.5: "half"})
    model = {1.0: "float", 2**61: "big", 0.5: "half"}
    more = {1: "int", 2**61: "again", 2: "two"}
    d.update(more)
    model.update(more)
    assert d == model
    assert [type(key) for key in d] == [type(key) for key in model]
    d._check()


@pytest.mark.parametrize("size", [10, 3000])
def test_undone_updates(pool, size):
    pool.root = [{}, items(100, 50)]
    empty, d = pool.root
    model = d.copy()
    before = in_use(pool)
    with pool.transaction() as tx:
        empty.update(items(size))
        d.update(items(size))
        with pool.transaction() as inner:
            empty.update(items(size, size))
            d.clear()
            d.update(items(size, size))
            inner.abort()
        assert empty == items(size)
        assert d == {**model, **items(size)}
        tx.abort()
    for x in (empty, d):
        x._check()
    assert empty == {}
    assert d == model
    assert in_use(pool) == before


def test_cleared_and_filled_in_a_transaction(pool):
    """The places of the entries are those of before, which an abort brings back."""
    d = pool.root = pool.new(PersistentDict, items(60))
    with pool.transaction() as tx:
        while d:
            d.popitem()
        d.update(items(60, 1000))
        tx.abort()
    d._check()
    assert d == items(60)


def test_full_pool(pool_path):
    with pmemobj.open(pool_path, max_size=24 << 20, sync="manual") as pool:
        pool.root = [items(100), {}]
        for d in pool.root:
            model = d.copy()
            before = in_use(pool)
            with pytest.raises(PoolFullError):
                d.update({f"a longer key {i}": "x" * 100 for i in range(400_000)})
            d._check()
            assert d == model
            assert in_use(pool) == before
            d.update(items(500))
            assert d == {**model, **items(500)}
        with pytest.raises(PoolFullError):
            pool.root = {f"a longer key {i}": "x" * 100 for i in range(400_000)}
        assert len(pool.root) == 2
        assert pool.check().ok


def test_source_that_contains_the_table_or_itself(pool):
    d = pool.root = pool.new(PersistentDict)
    d.update({"a": 1, "me": d})
    assert d["me"] is d
    source = {"plain": 1}
    source["itself"] = source
    pool.root = source
    assert pool.root["itself"] is pool.root


def test_items_that_are_kept(pool):
    model = items(50)
    d = pool.root = pool.new(PersistentDict, model)
    assert list(d.items()) == list(model.items())
    kept = []
    for number, item in enumerate(d.items()):
        if number % 3 == 0:
            kept.append(item)
    assert kept == list(model.items())[::3]
    it = iter(d.items())
    first = next(it)
    second = next(it)
    assert first is not second
    assert (first, second) == tuple(list(model.items())[:2])


def test_pair_given_again_is_tracked(pool):
    """A pair of scalars may be untracked by a collection; the next one may hold what can be part of a cycle."""
    pool.root = {"a": 1, "b": [1], "c": 2}
    it = iter(pool.root.items())
    next(it)
    gc.collect()
    key, value = next(it)
    assert key == "b"
    assert value == [1]
    next(it)
    with pytest.raises(StopIteration):
        next(it)


def test_user_code_when_a_pair_is_given_again(pool):
    class Ends:
        def __init__(self, value):
            self.value = value

        def __del__(self):
            if it is not None:
                seen.append(next(it, None))

    pmemobj.register(Ends, name="test.Ends", encode=lambda x: x.value, decode=Ends)
    seen = []
    it = None
    d = pool.root = pool.new(PersistentDict, {"a": Ends(1), "b": 2, "c": 3, "d": 4})
    it = iter(d.items())
    next(it)
    assert next(it) == ("b", 2)
    assert seen == [("c", 3)]
    assert next(it) == ("d", 4)
