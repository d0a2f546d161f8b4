"""A full pool: what needs room raises PoolFullError and changes nothing, at any amount of free space below what it
needs; what removes works, with no free space at all, inside and outside of transactions."""

import pytest
from full_pool import CELLS, MUTATORS, T20, T600, T3000, Thing, fill, plain, sweep

import pmemobj
from pmemobj import PersistentDict, PersistentList, PersistentSet

#: These compare many items at each step.
SLOW = {"list.append second segment", "dict grows"}
NAMES = [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name for name in MUTATORS]


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "inside"])
@pytest.mark.parametrize("name", NAMES)
def test_sweep(pool_path, name, inside):
    result = sweep(pool_path, MUTATORS[name], inside)
    assert (result.wrong, result.succeeded) == (0, 1)
    assert result.raised == result.steps - 1 >= 1


ITEMS = [T20, 1, T600, (T20, 2**80), [T20, {"a": T600}], T3000, 2.5, {"b": [1]}]

REMOVING = {
    "sort": lambda root: root["large list"].sort(key=str),
    "reverse": lambda root: root["list"].reverse(),
    "overwrite": lambda root: root["list"].__setitem__(4, None),
    "overwrite value": lambda root: root["dict"].__setitem__(4, 7),
    "del": lambda root: root["dict"].__delitem__(3),
    "pop": lambda root: root["list"].pop(),
    "pop first": lambda root: root["list"].pop(0),
    "pop key": lambda root: root["dict"].pop(2),
    "popitem": lambda root: root["dict"].popitem(),
    "del slice": lambda root: root["list"].__delitem__(slice(1, -1)),
    "del stepped": lambda root: root["list"].__delitem__(slice(None, None, 2)),
    "discard": lambda root: root["set"].discard(T20),
    "&=": lambda root: root["set"].__iand__({1, T600}),
    "-=": lambda root: root["set"].__isub__({T600}),
    "delattr": lambda root: root["object"].__delattr__("a"),
    "setattr": lambda root: root["object"].__setattr__("a", None),
    "clear list": lambda root: root["list"].clear(),
    "clear dict": lambda root: root["dict"].clear(),
    "clear set": lambda root: root["set"].clear(),
    "clear a large list": lambda root: root["large list"].clear(),
    "clear a large dict": lambda root: root["large dict"].clear(),
    "clear a large set": lambda root: root["large set"].clear(),
    "pop all": lambda root: [root["dict 2"].popitem() for _ in range(len(root["dict 2"]))],
    "del all": lambda root: [root["dict 3"].__delitem__(k) for k in list(root["dict 3"])],
    "remove container": lambda root: root.pop("large dict"),
    "clear the filling": lambda root: root["filler"].clear(),
}


@pytest.fixture
def full(pool_path):
    with pmemobj.open(pool_path, max_size=pmemobj.MIN_POOL_SIZE, sync="manual") as pool:
        pool.root = {"filler": [None] * CELLS}
        root = pool.root
        root["list"] = ITEMS
        root["dict"] = dict(enumerate(ITEMS))
        root["set"] = {1, T20, T600, (1, T20)}
        root["object"] = pool.new(Thing)
        root["object"].a = T600
        root["large list"] = [T20, 5] * 2500
        root["large dict"] = dict.fromkeys(range(2500), T20)
        root["dict 2"] = dict.fromkeys(range(800), T20)
        root["dict 3"] = dict.fromkeys(range(800), T20)
        root["large set"] = set(range(3000))
        root["cycle"] = []
        fill(pool, root["filler"])
        with pytest.raises(pmemobj.PoolFullError):
            root["list"].append([T20])
        yield pool


@pytest.mark.parametrize("how", ["alone", "inside", "undone"])
def test_removing_always_works(full, how):
    for name, remove in REMOVING.items():
        before = plain(full.root)
        if how == "alone":
            remove(full.root)
        else:
            with full.transaction() as tx:
                remove(full.root)
                assert plain(full.root) != before, name
                if how == "undone":
                    tx.abort()
        assert (plain(full.root) == before) == (how == "undone"), name
        if name.startswith(("clear", "pop all")):
            assert not full.check().findings, name
    full._check_references()
    if how != "undone":
        full.root["list"].extend([T3000] * 20)


def test_many_freed_at_once(full, reopen):
    """More blocks of libpmemobj's are given back in one transaction than one of its logs takes."""
    with full.transaction():
        full.root["filler"].clear()
        full.root["large dict"].clear()
        full.root["large list"] = 0
    assert full.usage().unused > 2 << 20
    pool = reopen(full)
    assert not pool.check().findings
    pool.root["filler"].extend([T3000] * 500)


@pytest.mark.parametrize("kind", [PersistentList, PersistentDict, PersistentSet])
def test_gc_in_a_full_pool(pool_path, kind):
    with pmemobj.open(pool_path, max_size=pmemobj.MIN_POOL_SIZE, sync="manual") as pool:
        pool.root = {"filler": [None] * CELLS}
        for _ in range(50):
            one = pool.new(PersistentList)
            two = pool.new(PersistentDict, {1: one, 2: T600})
            one.append(two)
            if kind is not PersistentSet:
                one.append(pool.new(kind))
            del one, two
        fill(pool, pool.root["filler"])
        found = pool.gc()
        assert found.objects >= 100
        assert not pool.check().findings
        pool._check_references()
        pool.root["filler"][0] = T3000
