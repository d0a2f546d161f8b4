"""PersistentFrozenSet does what frozenset does, also as a key, and cannot be changed."""

import collections.abc
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_support import exact, keys
from test_set_behaviour import METHODS, OPERATORS, UPDATES

import pmemobj
from pmemobj import PersistentFrozenSet, PersistentSet, PoolFullError, StaleObjectError

elements = st.lists(keys, max_size=25)


@given(elements, elements)
def test_operators_give_what_the_left_operand_is(pool, a, b):
    x, y, s = (
        pool.new(cls, of)
        for cls, of in ((PersistentFrozenSet, a), (PersistentFrozenSet, b), (PersistentSet, b))
    )
    a, b = frozenset(a), frozenset(b)
    for name, operator in OPERATORS.items():
        for left, right, p, q in (
            (x, y, a, b),
            (x, b, a, b),
            (a, y, a, b),
            (x, s, a, set(b)),
            (s, x, set(b), a),
            (set(a), y, set(a), b),
            (x, x, a, a),
            (a, s, a, b),
        ):
            got, expected = operator(left, right), operator(p, q)
            assert got == expected and type(got) is type(expected), (name, left, right)
    assert dict.fromkeys(b).keys() - x == b - a
    x._check()


@given(elements, elements, st.sampled_from([list, set, frozenset, iter, dict.fromkeys, "persistent"]))
def test_methods_take_iterables(pool, a, b, kind):
    def other():
        return pool.new(PersistentFrozenSet, b) if kind == "persistent" else kind(b)

    x, a = pool.new(PersistentFrozenSet, a), frozenset(a)
    for name in METHODS:
        got, expected = getattr(x, name)(other()), getattr(a, name)(b)
        assert got == expected and type(got) is type(expected), name
    assert x.union(other(), [1]) == a.union(b, [1])
    assert x.intersection() == a and x.difference() == a and x.union() == a
    assert len(x) == len(a) and bool(x) is bool(a) and all(element in x for element in a)
    assert list(pool.new(PersistentSet, x)) == list(x)


@given(elements)
def test_hash_is_that_of_the_plain_frozenset(pool, a):
    x, a = pool.new(PersistentFrozenSet, a), frozenset(a)
    assert hash(x) == hash(a) and {x: 1}[a] == {a: 1}[x] == 1


def test_is_immutable(pool):
    x = pool.new(PersistentFrozenSet, [1, 2])
    assert isinstance(x, collections.abc.Set) and isinstance(x, collections.abc.Hashable)
    assert not isinstance(x, collections.abc.MutableSet)
    for name in (
        "add",
        "discard",
        "remove",
        "pop",
        "clear",
        *UPDATES,
        "__ior__",
        "__iand__",
        "__isub__",
        "__ixor__",
    ):
        assert not hasattr(x, name), name
    y = x
    y |= {3}
    assert type(y) is frozenset and y == {1, 2, 3} and x == {1, 2}


def test_types(pool):
    x = pool.new(PersistentFrozenSet, [1])
    assert PersistentFrozenSet[int].__origin__ is PersistentFrozenSet
    assert (repr(x), repr(pool.new(PersistentFrozenSet))) == (
        "PersistentFrozenSet({1})",
        "PersistentFrozenSet()",
    )
    assert type(x.copy()) is frozenset
    assert exact(pool.new(PersistentFrozenSet, [1, True, 1.0])) == exact([1])
    for args, kwargs in (((1,), {}), (([[]],), {}), ((1, 2), {}), ((), {"a": 1})):
        with pytest.raises(TypeError):
            pool.new(PersistentFrozenSet, *args, **kwargs)
    with pytest.raises(TypeError, match=r"pool\.new\(PersistentFrozenSet"):
        PersistentFrozenSet()
    for wrong in ([1], (1,), {1: 1}, "a", 7, None):
        assert x != wrong
        for name in ("|", "&", "-", "^", "<=", "<", ">=", ">"):
            for left, right in ((x, wrong), (wrong, x)):
                with pytest.raises(TypeError):
                    OPERATORS[name](left, right)


def test_finds_the_same_keys(pool, reopen):
    members = frozenset(["a long string in a frozenset", 2**80, (1.5, None), *range(20)])
    pool.root = {members: "plain"}
    x = pool.new(PersistentFrozenSet, members)
    assert pool.root[x] == "plain" and x in pool.root and set(members) in pool.new(PersistentSet, [x])
    more = pool.new(PersistentFrozenSet, members | {1000})
    pool.root[more] = "persistent"
    pool.root[members | {1000}] = "still"
    pool.root[1, more] = "nested"
    pool.root[pool.new(PersistentFrozenSet, [more])] = "in a frozenset"
    del x, more
    pool = reopen(pool)
    assert pool.root[members] == "plain"
    assert pool.root[members | {1000}] == "still"
    assert pool.root[1, members | {1000}] == "nested"
    assert pool.root[frozenset([members | {1000}])] == "in a frozenset"
    assert [type(key) for key in pool.root] == [frozenset, PersistentFrozenSet, tuple, PersistentFrozenSet]
    del pool.root[members | {1000}]
    assert len(pool.root) == 3 and pool.check().ok


def test_identity_and_what_it_holds(pool, reopen):
    child = pool.new(PersistentSet, [1])
    pool.root = {"x": pool.new(PersistentFrozenSet, [(1, 2), "text"]), "plain": frozenset([1])}
    assert pool.root["x"] is pool.root["x"] and type(pool.root["plain"]) is frozenset
    pool.root["again"] = pool.root["x"]
    with pytest.raises(TypeError, match="unhashable"):
        pool.new(PersistentFrozenSet, [child])
    del child
    pool = reopen(pool)
    assert pool.root["again"] is pool.root["x"] == {(1, 2), "text"}


def test_frees_what_it_held(pool):
    pool.root = []
    pool.new(PersistentFrozenSet, ["x" * 50])
    before = pool._allocated()[0]
    pool.root.append(pool.new(PersistentFrozenSet, ["y" * 5000, *range(5000)]))
    assert pool._allocated()[0] > before + 40_000
    pool.root.clear()
    gc.collect()
    pool.root.append(1)
    pool.root.clear()
    assert pool._allocated()[0] <= before + 64
    assert pool.check().ok


def test_an_abort_undoes_it(pool):
    pool.root = [1]
    with pytest.raises(ZeroDivisionError), pool.transaction():
        x = pool.new(PersistentFrozenSet, range(100))
        pool.root.append(x)
        assert pool.root[1] == frozenset(range(100))
        raise ZeroDivisionError
    assert pool.root == [1]
    for use in (len, hash, list, lambda x: 1 in x, lambda x: x | {1}, lambda x: x == {1}):
        with pytest.raises(StaleObjectError):
            use(x)
    with pool.transaction() as tx:
        kept = pool.new(PersistentFrozenSet, [1])
        pool.root.append(kept)
        with pytest.raises(ZeroDivisionError), pool.transaction():
            pool.root.append(pool.new(PersistentFrozenSet, [2]))
            raise ZeroDivisionError
        assert pool.root == [1, {1}]
        tx.abort()
    assert pool.root == [1]
    assert pool.check().ok


def test_made_whole_or_not_at_all(pool):
    def failing():
        yield from ("a long string", 1)
        raise ZeroDivisionError

    before = pool._allocated()[0], pool._limbo()
    with pytest.raises(ZeroDivisionError):
        pool.new(PersistentFrozenSet, failing())
    with pytest.raises(TypeError):
        pool.new(PersistentFrozenSet, ["a long string", object()])
    with pytest.raises(PoolFullError):
        pool.new(PersistentFrozenSet, [str(i) + "x" * (50 << 20) for i in range(6)])
    assert (pool._allocated()[0], pool._limbo()) == before
    assert pool.check().ok


class Closing(set):
    def __init__(self, elements, close):
        super().__init__(elements)
        self.close = close

    def __len__(self):
        self.close()
        return 3


class Nosy:
    def __init__(self, close):
        self.close = close

    def __hash__(self):
        self.close()
        return 1

    def __eq__(self, other):
        self.close()
        return False


def test_closed_by_what_it_asks(pool_path):
    for number, use in enumerate(
        (
            lambda x, o: o in x,
            lambda x, o: x.isdisjoint([o]),
            lambda x, o: x.issuperset([o]),
            lambda x, o: x.intersection([o, 1]),
            lambda x, o: x.union(y for y in [o]),
            lambda x, o: x == Closing([1, 2, 3], o.close),
            lambda x, o: x <= Closing([1, 2, 3], o.close),
            lambda x, o: x >= Closing([1, 2, 3], o.close),
        )
    ):
        pool = pmemobj.create(f"{pool_path}{number}", 8 << 20)
        x = pool.root = pool.new(PersistentFrozenSet, [1, 2, 3])
        with pytest.raises(pmemobj.PoolClosedError):
            use(x, Nosy(pool.close))
            list(x)
        with pmemobj.open(pool.path) as pool:
            assert pool.root == {1, 2, 3}
