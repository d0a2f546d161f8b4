"""Keys whose comparison runs Python code that changes, closes or aborts what it is part of."""

import gc
import operator
from contextlib import suppress

import pytest

import pmemobj
from pmemobj import PersistentObject, PersistentSortedDict, PersistentSortedSet

#: What the next comparisons do, one each; then nothing.
PLANS = []


class Key(PersistentObject):
    def __init__(self, rank):
        self.rank = rank

    def __lt__(self, other):
        rank = self.rank
        if PLANS:
            PLANS.pop()()
        return rank < other.rank


@pytest.fixture(autouse=True)
def no_plans():
    yield
    PLANS.clear()


@pytest.fixture
def sorted_keys(pool):
    pool.root = pool.new(PersistentSortedDict)
    keys = [pool.new(Key, rank) for rank in range(300)]
    pool.root.update(dict.fromkeys(keys, "a value in a block"))
    return keys


USES = {
    "get": lambda d, key: d.get(key),
    "set": lambda d, key: d.__setitem__(key, "another"),
    "set new": lambda d, key: d.__setitem__(d._p_mm.new(Key, key.rank + 0.5), [1]),
    "delete": lambda d, key: d.pop(key, None),
    "setdefault": lambda d, key: d.setdefault(d._p_mm.new(Key, key.rank - 0.5), "new"),
    "update": lambda d, key: d.update({d._p_mm.new(Key, key.rank + 0.25): 1, key: 2}),
    "bisect": lambda d, key: d.bisect(key),
    "irange": lambda d, key: list(d.irange(key, None)),
    "index": lambda d, key: d.index(key),
    "in items": lambda d, key: (key, "a value in a block") in d.items(),
    "view with bounds": lambda d, key: len(d.keys(key, None)),
}
CHANGES = {
    "clear": lambda d, keys: d.clear(),
    "remove first": lambda d, keys: d.popitem(0) if d else None,
    "remove most": lambda d, keys: d.keys().__delitem__(slice(5, None)),
    "insert": lambda d, keys: d.__setitem__(d._p_mm.new(Key, len(d) + 0.125), 1),
    "abort": lambda d, keys: d._p_mm.abort() if d._p_mm.in_transaction else None,
    "collect": lambda d, keys: (d._p_mm.gc() if not d._p_mm.in_transaction else None, gc.collect()),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("use", USES)
def test_a_comparison_changes_the_container(pool, sorted_keys, use, change):
    for inside in (False, True):
        for times, wanted in ((1, 150), (2, 3), (5, 299), (1000, 40)):
            d = pool.root
            if inside:
                pool.begin()
            PLANS[:] = [lambda d=d: CHANGES[change](d, sorted_keys)] * times
            with suppress(
                RuntimeError, TypeError, ValueError, pmemobj.TransactionError, pmemobj.StaleObjectError
            ):
                USES[use](d, sorted_keys[wanted])
            PLANS.clear()
            if pool.in_transaction:
                pool.abort()
            d = pool.root
            d._check()
            assert [key.rank for key in d] == sorted(key.rank for key in d)
            assert pool.check().ok
            d.clear()
            d.update(dict.fromkeys(sorted_keys, "a value in a block"))


def test_a_comparison_that_never_lets_it_rest(pool, sorted_keys):
    d = pool.root
    PLANS[:] = [lambda: d.popitem(0)] * 200
    with pytest.raises(RuntimeError, match="changed again and again"):
        d[sorted_keys[200]]
    PLANS.clear()
    d._check()


@pytest.mark.parametrize("use", USES)
def test_a_comparison_closes_the_pool(pool, sorted_keys, use):
    d, key = pool.root, sorted_keys[9]
    new = [pool.new(Key, 1.5)]
    PLANS[:] = [pool.close]
    with pytest.raises(pmemobj.PoolClosedError):
        USES[use](d, key)
    with pytest.raises(pmemobj.PoolClosedError):
        d.get(new[0])


BY_OTHERS = {
    "update": (PersistentSortedDict, lambda x, given: x.update(given)),
    "|=": (PersistentSortedDict, operator.ior),
    "update a set": (PersistentSortedSet, lambda x, given: x.update(given)),
    "symmetric_difference_update": (
        PersistentSortedSet,
        lambda x, given: x.symmetric_difference_update(given),
    ),
}


@pytest.mark.parametrize("use", BY_OTHERS)
@pytest.mark.parametrize("filled", [False, True])
def test_what_gives_the_keys_closes_the_pool(pool, use, filled):
    cls, function = BY_OTHERS[use]
    x = pool.root = pool.new(cls, [(1, 2), (3, 4)] if filled else [])

    def given():
        yield 5, 6
        pool.close()

    with pytest.raises(pmemobj.PoolClosedError):
        function(x, given())


def test_a_comparison_fails(pool, sorted_keys):
    def fail():
        raise ZeroDivisionError

    d = pool.root
    before = list(d.items())
    for name, use in USES.items():
        for calls in range(3):
            PLANS[:] = [fail, *[lambda: None] * calls]
            with pytest.raises(ZeroDivisionError):
                use(d, sorted_keys[33])
            PLANS.clear()
            assert list(d.items()) == before, name
            d._check()


@pmemobj.register_key
def rank_of(word):
    if PLANS:
        PLANS.pop()()
    return len(word)


def drop_first(container):
    return container.pop(0) if isinstance(container, PersistentSortedSet) else container.popitem(0)


USES_BY_RANK = {
    "in": lambda c: "aaa3" in c,
    "bisect": lambda c: c.bisect("aaa"),
    "irange": lambda c: list(c.irange("aa", "aaaaaaa")),
    "remove": lambda c: c.discard("aaa3") if isinstance(c, PersistentSortedSet) else c.pop("aaa3", None),
    "update": lambda c: c.update(dict.fromkeys(["x", "yy", "a" * 50])),
}


@pytest.mark.parametrize("cls", [PersistentSortedDict, PersistentSortedSet])
@pytest.mark.parametrize("use", USES_BY_RANK)
def test_a_key_function_changes_the_container(pool, cls, use):
    words = dict.fromkeys("a" * (i % 40) + str(i) for i in range(400))
    if cls is PersistentSortedDict:
        pool.root = pool.new(cls, rank_of, words)
    else:
        pool.root = pool.new(cls, words, key=rank_of)
    made = pool.root
    for times in (1, 3, 7, 500):
        PLANS[:] = [lambda: drop_first(made)] * times
        with suppress(RuntimeError, KeyError, IndexError):
            USES_BY_RANK[use](made)
        PLANS.clear()
        made._check()
        assert [len(word) for word in made] == sorted(len(word) for word in made)
        made.update(words)
