"""A full pool: whatever needs room raises PoolFullError and changes nothing; whatever removes works."""

from contextlib import nullcontext

import pytest
from list_support import plain

import pmemobj
from pmemobj._list import PersistentList
from pmemobj._tuple import PersistentTuple
from pmemobj.errors import PoolFullError

BIG = "x" * 4000


@pytest.fixture
def full(pool_path):
    """A pool of the smallest size whose list has taken all there is."""
    with pmemobj.open(pool_path, max_size=pmemobj.pool.MIN_POOL_SIZE, sync="manual") as pool:
        pool.root = pool.new(PersistentList)
        for text in ("x" * 100_000, BIG, "x" * 1900, "x" * 200, "x" * 20):
            while True:
                try:
                    pool.root.append(text)
                except PoolFullError:
                    break
        yield pool


GROWING = {
    "append": lambda x: x.append(BIG),
    "insert": lambda x: x.insert(0, BIG),
    "set": lambda x: x.__setitem__(0, "y" * 200_000),
    "extend": lambda x: x.extend([1, 2, BIG, 3]),
    "extend inline": lambda x: x.extend(range(100_000)),
    "slice": lambda x: x.__setitem__(slice(3, 4), [BIG] * 30),
    "slice inline": lambda x: x.__setitem__(slice(3, 4), range(100_000)),
    "stepped": lambda x: x.__setitem__(slice(0, 4, 2), [BIG, "y" * 500_000]),
    "repeat": lambda x: x.__imul__(3),
    "add": lambda x: x.__iadd__([BIG] * 5),
    "append list": lambda x: x.append([BIG, [BIG]]),
    "new list": lambda x: x._p_mm.new(PersistentList, [BIG] * 60),
    "new tuple": lambda x: x._p_mm.new(PersistentTuple, [BIG] * 60),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", GROWING)
def test_growing_changes_nothing(full, name, inside):
    x = full.root
    before = plain(x)
    with full.transaction() if inside else nullcontext():
        used = full._allocated()[0]
        with pytest.raises(PoolFullError):
            GROWING[name](x)
        assert full._allocated()[0] == used
    assert plain(x) == before
    x._check()


REMOVING = {
    "pop": lambda x: x.pop(),
    "pop first": lambda x: x.pop(0),
    "del": lambda x: x.__delitem__(5),
    "del slice": lambda x: x.__delitem__(slice(2, -2)),
    "del stepped": lambda x: x.__delitem__(slice(None, None, 2)),
    "remove": lambda x: x.remove(BIG),
    "clear": lambda x: x.clear(),
    "shorter slice": lambda x: x.__setitem__(slice(0, 20), [1]),
    "overwrite": lambda x: x.__setitem__(0, None),
    "reverse": lambda x: x.reverse(),
    "sort": lambda x: x.sort(),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", REMOVING)
def test_removing_works(full, name, inside):
    x = full.root
    y = plain(x)
    with full.transaction() if inside else nullcontext():
        REMOVING[name](x)
    REMOVING[name](y)
    assert plain(x) == y
    x._check()
    x.clear()
    x.append("x" * 100_000)  # there is room again
    assert x == ["x" * 100_000]
