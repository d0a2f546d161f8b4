"""A full pool: what needs room in a dict or set raises PoolFullError and changes nothing; removing works."""

import pytest
from table_support import plain

import pmemobj
from pmemobj import _list  # noqa: F401 - what a stored list becomes
from pmemobj._dict import PersistentDict
from pmemobj._set import PersistentSet
from pmemobj.errors import PoolFullError

BIG = "x" * 60_000


@pytest.fixture(params=[dict, set])
def full(pool_path, request):
    """A dict or set that has taken all there is in a pool of the smallest size."""
    with pmemobj.open(pool_path, max_size=pmemobj.pool.MIN_POOL_SIZE, sync="manual") as pool:
        x = pool.root = pool.new(PersistentDict if request.param is dict else PersistentSet)
        n = 0
        if request.param is dict:
            x.update(dict.fromkeys(range(1, 1500)))  # values will fill the pool, not the growing table
        for length in (60_000, 4000, 1900, 200, 20):
            while True:
                try:
                    if request.param is set:
                        x.add(f"{n:06} {'x' * length}")
                    else:
                        x[n + 1] = "x" * (length + 8)
                except PoolFullError:
                    break
                n += 1
        while True:
            try:
                x.update({f"key {n}": 0})
            except PoolFullError:
                break
            n += 1
        x._check()
        yield x


GROWING = {
    dict: {
        "set": lambda d: d.__setitem__("new", BIG),
        "set big key": lambda d: d.__setitem__(BIG, 1),
        "overwrite": lambda d: d.__setitem__(1, "y" * 200_000),
        "set list": lambda d: d.__setitem__(1, [BIG, [BIG]]),
        "setdefault": lambda d: d.setdefault("new", BIG),
        "update": lambda d: d.update({1: 2, "new": 3, "newer": BIG}),
        "update inline": lambda d: d.update((-i, i) for i in range(1, 100_000)),
        "merge": lambda d: d.__ior__({1: 2, "new": BIG}),
        "new": lambda d: d._p_mm.new(PersistentDict, {1: BIG}),
        "new inline": lambda d: d._p_mm.new(PersistentDict, {i: i for i in range(100_000)}),
    },
    set: {
        "add": lambda s: s.add(BIG),
        "update": lambda s: s.update([1, 2, BIG]),
        "update inline": lambda s: s.update(range(100_000)),
        "^=": lambda s: s.__ixor__({*list(s)[-5:], BIG}),
        "new": lambda s: s._p_mm.new(PersistentSet, [1, BIG]),
    },
}
REMOVING = {
    dict: {
        "del": lambda d: d.__delitem__(1),
        "pop": lambda d: d.pop(2),
        "popitem": lambda d: d.popitem(),
        "popitems": lambda d: [d.popitem() for _ in range(len(d))],
        "delete all": lambda d: [d.__delitem__(k) for k in list(d)],
        "overwrite": lambda d: d.__setitem__(1, None),
        "clear": lambda d: d.clear(),
        "update": lambda d: d.update({1: 2, 2: 3, 3: None}),
    },
    set: {
        "pop": lambda s: s.pop(),
        "pops": lambda s: [s.pop() for _ in range(len(s))],
        "remove all": lambda s: [s.remove(k) for k in list(s)],
        "-=": lambda s: s.__isub__(set(list(s)[::2])),
        "&=": lambda s: s.__iand__(set(list(s)[::2])),
        "clear": lambda s: s.clear(),
    },
}


def kind_of(x):
    return dict if isinstance(x, PersistentDict) else set


@pytest.mark.parametrize("inside", [False, True])
def test_growing_changes_nothing(full, inside):
    before = plain(full)
    pool = full._p_mm
    if inside:
        pool.begin()
    used = pool._allocated()[0]
    for name, grow in GROWING[kind_of(full)].items():
        with pytest.raises(PoolFullError):
            grow(full)
            pytest.fail(name)
        assert pool._allocated()[0] == used, name
        assert plain(full) == before, name
        full._check()
    if inside:
        pool.commit()
    assert plain(full) == before


@pytest.mark.parametrize("inside", [False, True])
def test_removing_works(full, inside):
    pool, before = full._p_mm, plain(full)
    for name, remove in REMOVING[kind_of(full)].items():
        with pool.transaction() as tx:
            remove(full)
            full._check()
            assert plain(full) != before, name
            tx.abort()
        assert plain(full) == before, name
        full._check()
    if inside:
        pool.begin()
    for _ in range(len(full) // 2):
        (full.popitem if kind_of(full) is dict else full.pop)()
    if inside:
        pool.commit()
    full._check()
    full.clear()
    full.update({"x" * 4000: 1})  # there is room again
    assert list(full) == ["x" * 4000]
