"""A full pool: each operation happens or does not, and deleting still works."""

import pytest

import pmemobj
from pmemobj import PersistentObject, PoolFullError


class Node(PersistentObject):
    def __init__(self, size=0):
        self.data = "d" * size
        self.next = None


@pytest.fixture
def small(tmp_path):
    with pmemobj.open(tmp_path / "small.pool", max_size=16 << 20, sync="manual") as pool:
        yield pool


def fill(pool, chunk):
    """Until nothing of that size fits."""
    with pytest.raises(PoolFullError):
        while True:
            pool.root.append("f" * chunk)


def test_full(small):
    small.root = []
    o = small.new(Node)
    small.root.append(o)
    o.text = "x" * 100
    fill(small, 200_000)
    fill(small, 2_000)
    fill(small, 100)
    before = vars(o), len(small.root), small._allocated()
    with pytest.raises(PoolFullError):
        o.text = "y" * 300_000
    with pytest.raises(PoolFullError):
        o.new_name = "y" * 300_000
    with pytest.raises(PoolFullError):
        small.new(Node, 300_000)
    with pytest.raises(PoolFullError):
        while True:
            setattr(o, f"name{len(vars(o))}", "a string that needs a block")
    names = len(vars(o))
    assert o.text == "x" * 100 and not hasattr(o, "new_name")
    with pytest.raises(PoolFullError), small.transaction():
        o.data = "changed"
        while True:
            small.root.append(small.new(Node, 500))
    assert (o.data, len(vars(o)), len(small.root)) == ("", names, before[1])
    o._check()
    small._check_references()
    del o.text
    small.root = None
    del o
    small.gc()
    small._check_references()
    small.root = small.new(Node, 300_000)
    assert len(small.root.data) == 300_000
