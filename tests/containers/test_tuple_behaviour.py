"""PersistentTuple does what tuple does, also as a key, and cannot be changed."""

import collections.abc
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_support import SEGMENT, atoms, common, in_use

from pmemobj import PersistentList, PersistentTuple, PoolFullError

hashable = st.recursive(
    atoms | st.floats(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(st.integers(), max_size=3),
    max_leaves=4,
)
tuples = st.lists(
    st.one_of(common.filter(lambda x: x != [1]), atoms, st.tuples(atoms, atoms)), max_size=8
).map(tuple)
bounds = st.none() | st.integers(-12, 12) | st.sampled_from([2**100, -(2**100)])


def outcome(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return type(error), str(error)


@given(start=tuples, key=st.integers(-10, 10) | st.builds(slice, bounds, bounds, bounds), value=common)
def test_reading(pool, start, key, value):
    x = pool.new(PersistentTuple, start)
    for function in (
        lambda z: z[key],
        lambda z: value in z,
        lambda z: z.index(value),
        lambda z: z.count(value),
        lambda z: operator.add(z, (value,)),
        lambda z: operator.add((value,), z),
        lambda z: z + z,
        lambda z: z * 2,
        lambda z: 0 * z,
        lambda z: list(z),
        lambda z: list(reversed(z)),
        len,
        bool,
    ):
        assert outcome(function, x) == outcome(function, start)
    assert repr(x) == f"PersistentTuple({start!r})"
    assert type(x[:]) is tuple
    x._check()


@given(start=st.lists(hashable, max_size=6).map(tuple))
def test_hash_is_that_of_the_plain_tuple(pool, start):
    x = pool.new(PersistentTuple, start)
    if all(item == item for item in start):
        assert hash(x) == hash(x[:]) == hash(start)
        assert x == start and start == x and {x: 1}[start] == 1


@given(
    a=st.lists(st.sampled_from([0, 1, 1.0, True, "a", "b" * 20]), max_size=4).map(tuple),
    b=st.lists(st.sampled_from([0, 1, 2.5, False, "a", "b" * 20]), max_size=4).map(tuple),
)
def test_comparisons(pool, a, b):
    one, other = pool.new(PersistentTuple, a), pool.new(PersistentTuple, b)
    for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        expected = outcome(compare, a, b)
        assert outcome(compare, one, other) == outcome(compare, one, b) == expected
        if expected in (True, False):
            assert compare(a, other) is expected


def test_is_no_list(pool):
    x = pool.new(PersistentTuple, [1, 2])
    assert x != [1, 2] and x != pool.new(PersistentList, [1, 2])
    with pytest.raises(TypeError):
        operator.lt(x, [1])
    with pytest.raises(TypeError):
        operator.add(x, [1])
    assert isinstance(x, collections.abc.Sequence) and isinstance(x, collections.abc.Hashable)
    assert not isinstance(x, collections.abc.MutableSequence)
    for name in ("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "__setitem__"):
        assert not hasattr(x, name), name
    with pytest.raises(TypeError):
        x[0] = 1
    with pytest.raises(TypeError):
        del x[0]


def test_finds_the_same_keys(pool, reopen):
    long = ("a long string in a tuple", 2**80, (1.5, None))
    pool.root = {}
    pool.root[long] = "plain"
    x = pool.new(PersistentTuple, long)
    assert pool.root[x] == "plain" and x in pool.root
    other = pool.new(PersistentTuple, (*long, 1))
    pool.root[other] = "persistent"
    nested = pool.new(PersistentTuple, [other, 5])
    pool.root[nested] = "nested"
    del x, other, nested
    pool = reopen(pool)
    assert pool.root[(*long, 1)] == "persistent"
    assert pool.root[((*long, 1), 5)] == "nested"
    assert pool.root[pool.new(PersistentTuple, long)] == "plain"
    assert [type(key) for key in pool.root] == [tuple, PersistentTuple, PersistentTuple]


def test_unhashable_items(pool):
    x = pool.new(PersistentTuple, [1, [2]])
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    pool.root = {}
    with pytest.raises(TypeError):
        pool.root[x] = 1
    assert pool.root == {}


def test_cycle_through_a_list(pool):
    inner = pool.new(PersistentList)
    x = pool.new(PersistentTuple, [inner])
    inner.append(x)
    assert repr(x) == "PersistentTuple((PersistentList([PersistentTuple((...))]),))"
    inner.clear()


@pytest.mark.parametrize("size", [0, 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT + 1])
def test_big_ones(pool, reopen, size):
    before = in_use(pool)
    values = tuple(range(size))
    x = pool.new(PersistentTuple, values)
    x._check()
    assert x == values and x[:] == values and hash(x) == hash(values)
    pool.root = x
    del x
    pool = reopen(pool)
    assert pool.root == values and pool.root[-1:] == values[-1:]
    pool.root = None
    assert in_use(pool) == before and pool._limbo() == 0


def test_undone_with_its_transaction(pool):
    pool.root = []
    before = in_use(pool)
    with pool.transaction() as tx:
        pool.root.append(pool.new(PersistentTuple, ["a long string", (1, "x" * 50), [3]]))
        tx.abort()
    assert pool.root == [] and in_use(pool) == before


def test_failures_leave_nothing(pool, pool_path):
    def failing():
        yield "a long string"
        raise ZeroDivisionError

    before = in_use(pool)
    with pytest.raises(ZeroDivisionError):
        pool.new(PersistentTuple, failing())
    with pytest.raises(TypeError, match=r"value\[1\]"):
        pool.new(PersistentTuple, ["a long string", object()])
    with pytest.raises(TypeError, match="at most 1"):
        pool.new(PersistentTuple, 1, 2)
    with pytest.raises(PoolFullError):
        pool.new(PersistentTuple, ["x" * (50 << 20)] * 6)
    assert in_use(pool) == before


def test_stored_tuple_stays_plain(pool):
    pool.root = [(1, 2), pool.new(PersistentTuple, (1, 2))]
    assert [type(item) for item in pool.root] == [tuple, PersistentTuple]
    assert pool.root[0] == pool.root[1]
    assert pool.root.index(pool.root[1]) == 0 and pool.root.count((1, 2)) == 2
