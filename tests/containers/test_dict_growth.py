"""Growing and shrinking tables of dict and set: index, segments, compaction, collisions, other processes."""

import os
import subprocess
import sys

import pytest
from table_support import DICT_SEGMENT, SET_SEGMENT, in_use

from pmemobj._dict import PersistentDict
from pmemobj._set import PersistentSet

SIZES = [0, 1, 2, 7, 8, 9, 10, 20, 21, 22, 42, 43, 1000, DICT_SEGMENT - 1, DICT_SEGMENT, DICT_SEGMENT + 1]


def key(i):
    return i if i % 2 else f"key number {i}"


@pytest.mark.parametrize("size", [*SIZES, 3 * DICT_SEGMENT + 5])
def test_dict_of_size(pool, reopen, size):
    one_by_one = pool.new(PersistentDict)
    for i in range(size):
        one_by_one[key(i)] = i
        if size < 50:
            one_by_one._check()
    model = {key(i): i for i in range(size)}
    at_once = pool.new(PersistentDict, model)
    updated = pool.new(PersistentDict, {key(0): 0} if size else {})
    updated.update(model)
    pool.root = [one_by_one, at_once, updated]
    del one_by_one, at_once, updated
    pool = reopen(pool)
    for d in pool.root:
        d._check()
        assert d == model
        assert list(d) == list(model)
        assert all(d[k] == v for k, v in model.items())
        assert not any(key(i) in d for i in range(size, size + 100))
        for i in range(size):
            assert d.popitem() == (key(size - 1 - i), size - 1 - i)
        assert not d
        d._check()
        d["again"] = 1
        assert d == {"again": 1}
        d._check()


@pytest.mark.parametrize("size", [9, 5000, SET_SEGMENT, 2 * SET_SEGMENT + 1])
def test_set_of_size(pool, reopen, size):
    pool.root = set()
    for i in range(size):
        pool.root.add(key(i))
    pool = reopen(pool)
    s = pool.root
    s._check()
    assert s == {key(i) for i in range(size)}
    assert key(size) not in s
    s -= {key(i) for i in range(0, size, 3)}
    s._check()
    assert s == {key(i) for i in range(size) if i % 3}
    s ^= {key(i) for i in range(size)}
    s._check()
    assert s == {key(i) for i in range(0, size, 3)}


@pytest.mark.parametrize("live", [3, 100, 6000])
def test_a_queue_stays_small(pool, live):
    """Taken from the front, added at the end: deleted entries are left out again and again."""
    d = pool.new(PersistentDict, {i: i for i in range(live)})
    biggest = before = in_use(pool)
    for i in range(live, 8 * live + 100):
        del d[i - live]
        d[i] = i
        if i % 100 == 0:
            biggest = max(biggest, pool._allocated()[0])
    d._check()
    assert list(d.items()) == [(i, i) for i in range(i + 1 - live, i + 1)]
    assert biggest <= 4 * before + 2_000_000


@pytest.mark.parametrize("inside", [False, True])
def test_compaction_undone(pool, inside):
    """Deletions, then insertions that rebuild the table, in a transaction that is aborted."""
    model = {i: str(i) for i in range(20_000)}
    d = pool.new(PersistentDict, model)
    pool.root = d
    used = in_use(pool)
    if inside:
        pool.begin()
    pool.begin()
    for i in range(0, 20_000, 2):
        del d[i]
    for i in range(20_000, 60_000):
        d[i] = i
    for i in range(60_000 - 1, 30_000, -1):
        assert d.popitem() == (i, i)
    d["x"] = "a new key where others were"
    pool.abort()
    assert list(d.items()) == list(model.items())
    d._check()
    if inside:
        pool.commit()
    assert in_use(pool) == used


def test_taken_and_given_back_inside_a_transaction(pool):
    """The place of a popped entry is used again; the abort must put the old one back."""
    d = pool.new(PersistentDict, a=1, b="a value in a block of its own", c=3)
    with pool.transaction() as tx:
        d.popitem()
        d.popitem()
        d["new"] = 4
        d["newer"] = "something else in a block"
        with pool.transaction() as inner:
            d.popitem()
            d["newest"] = 5
            inner.abort()
        assert list(d.items()) == [("a", 1), ("new", 4), ("newer", "something else in a block")]
        tx.abort()
    d._check()
    assert list(d.items()) == [("a", 1), ("b", "a value in a block of its own"), ("c", 3)]


def test_room_is_given_back(pool):
    before = in_use(pool)
    d = pool.new(PersistentDict)
    empty = in_use(pool)
    for drain in (
        lambda d: d.clear(),
        lambda d: [d.popitem() for _ in range(len(d))],
        lambda d: [d.pop(k) for k in list(d)],
        lambda d: [d.__delitem__(k) for k in sorted(d, key=str)],
    ):
        d.update({key(i): f"a value of its own {i}" for i in range(30_000)})
        drain(d)
        d._check()
        assert not d
        d["x"] = 1
        d.clear()
        assert in_use(pool) == empty
    del d
    assert in_use(pool) == before
    assert pool._limbo() == 0


MODULUS = 2**61 - 1  # Python's hash of an int is the int modulo this


def test_colliding_hashes(pool):
    """Ints of one hash, and the strings that Python's own hash would mix up."""
    same = [7 + i * MODULUS for i in range(300)]
    d = pool.new(PersistentDict, dict.fromkeys(same[:100], "old"))
    for i, k in enumerate(same):
        d[k] = i
    d._check()
    assert list(d) == same
    assert [d[k] for k in same] == list(range(300))
    assert 7 + 300 * MODULUS not in d
    for k in same[::2]:
        del d[k]
    assert list(d) == same[1::2]
    assert all((k in d) == bool(i % 2) for i, k in enumerate(same))
    d._check()
    s = pool.new(PersistentSet, [-1, -2, 0, MODULUS, -MODULUS, 2 * MODULUS, float(2**61), 2**61, 1.0, True])
    assert s == {-1, -2, 0, MODULUS, -MODULUS, 2 * MODULUS, 2**61, 1}
    s._check()


CHILD = """
import sys, pmemobj
from pmemobj import _dict, _set
KEYS = ["a", "a longer key of its own", "\\u20ac" * 9, b"bytes", b"b" * 20, 1, -1, 2**70, 0.5, None, True, 1 + 2j,
        ("a", 1, ("b", None)), frozenset(["x", "y", b"z", 3.5]), (frozenset("abc"), "abc"), float("nan")]
with pmemobj.open(sys.argv[1], max_size=64 << 20) as pool:
    if pool.root is None:
        pool.root = {"d": {k: i for i, k in enumerate(KEYS)}, "s": set(KEYS)}
        for i in range(50):
            pool.root["d"][f"another key, {i}"] = i
    else:
        d, s = pool.root["d"], pool.root["s"]
        d._check(), s._check()
        keys = {k: i for i, k in enumerate(KEYS)}
        assert all(d[k] == i for k, i in keys.items()) and len(d) == 50 + len(keys)
        assert all(k in s for k in keys) and len(s) == len(keys)
        assert all(d.pop(f"another key, {i}") == i for i in range(50))
        for k in keys:
            d[k] = "again"
            s.remove(k)
        assert len(d) == len(keys) and not s
        pool.root = None
"""


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_other_hash_seeds(tmp_path, seed):
    for value in ("random", seed):
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", CHILD, str(tmp_path / "pool")],
            env={**os.environ, "PYTHONHASHSEED": value},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
