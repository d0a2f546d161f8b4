"""PersistentSet does what set does, alone and with builtin sets on either side."""

from collections.abc import MutableSet

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_support import exact, keys

from pmemobj._set import PersistentSet

elements = st.lists(keys, max_size=25)
OPERATORS = {
    "|": lambda a, b: a | b,
    "&": lambda a, b: a & b,
    "-": lambda a, b: a - b,
    "^": lambda a, b: a ^ b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}
METHODS = [
    "union",
    "intersection",
    "difference",
    "symmetric_difference",
    "isdisjoint",
    "issubset",
    "issuperset",
]
UPDATES = ["update", "intersection_update", "difference_update", "symmetric_difference_update"]


@given(elements, elements)
def test_operators(pool, a, b):
    x, y, a, b = pool.new(PersistentSet, a), pool.new(PersistentSet, b), set(a), set(b)
    for name, operator in OPERATORS.items():
        for left, right in ((x, y), (x, b), (a, y), (x, frozenset(b)), (frozenset(a), y), (x, x)):
            got = operator(left, right)
            assert got == operator(a, a if right is x else b), name
            assert type(got) in (frozenset if type(left) is frozenset else set, bool)
    assert x & dict.fromkeys(b).keys() == a & b
    assert dict.fromkeys(b).keys() - x == b - a
    x._check()


@given(elements, elements, st.sampled_from([list, set, frozenset, iter, dict.fromkeys, "persistent"]))
def test_methods_take_iterables(pool, a, b, kind):
    def other():
        return pool.new(PersistentSet, b) if kind == "persistent" else kind(b)

    x, a = pool.new(PersistentSet, a), set(a)
    for name in METHODS:
        got = getattr(x, name)(other())
        assert got == getattr(a, name)(b), name
        assert type(got) in (set, bool)
    assert x.union(other(), [1]) == a.union(b, [1])
    assert x.intersection() == a and x.difference() == a and x.union() == a
    for name in UPDATES:
        y, c = pool.new(PersistentSet, x), set(a)
        assert getattr(y, name)(other()) is None
        getattr(c, name)(b)
        assert y == c, name
        y._check()


def test_the_first_of_equal_elements_stays(pool):
    s = pool.new(PersistentSet, [1, True, 1.0])
    assert exact(s) == exact([1])
    s.add(1.0)
    s |= {True}
    assert exact(s) == exact([1])


def test_constructor(pool):
    assert pool.new(PersistentSet) == set()
    assert list(pool.new(PersistentSet, "hello")) == ["h", "e", "l", "o"]
    for args, kwargs in (((1,), {}), (([[]],), {}), ((1, 2), {}), ((), {"a": 1})):
        with pytest.raises(TypeError):
            set(*args, **kwargs)
        with pytest.raises(TypeError):
            pool.new(PersistentSet, *args, **kwargs)
    with pytest.raises(TypeError, match=r"pool\.new\(PersistentSet"):
        PersistentSet()


def test_types(pool):
    s = pool.new(PersistentSet, [1])
    assert isinstance(s, MutableSet) and not isinstance(s, set)
    assert PersistentSet[int].__origin__ is PersistentSet
    with pytest.raises(TypeError, match="unhashable"):
        hash(s)
    assert (repr(s), repr(pool.new(PersistentSet))) == ("PersistentSet({1})", "PersistentSet()")
    assert type(s.copy()) is set


def test_a_set_is_looked_up_as_frozenset(pool):
    s = pool.new(PersistentSet, [frozenset([1, 2]), 3])
    assert {1, 2} in s
    assert pool.new(PersistentSet, [2, 1]) in s
    assert {1} not in s
    s.discard({1})
    with pytest.raises(KeyError) as error:
        s.remove({1})
    assert error.value.args == ({1},)
    with pytest.raises(TypeError, match="unhashable type: 'set'"):
        s.add({1, 2})
    with pytest.raises(TypeError):
        s.issuperset([{1, 2}])
    s.remove({1, 2})
    assert s == {3}


@pytest.mark.parametrize("wrong", [[], {}, (1, []), bytearray()], ids=repr)
def test_unhashable(pool, wrong):
    for s in (pool.new(PersistentSet), pool.new(PersistentSet, range(20))):
        for use in (s.__contains__, s.add, s.discard, s.remove):
            with pytest.raises(TypeError, match="unhashable type"):
                use(wrong)
        for use in (
            s.update,
            s.intersection_update,
            s.difference_update,
            s.symmetric_difference_update,
            s.issuperset,
        ):
            with pytest.raises(TypeError, match="unhashable type"):
                use([wrong])


def test_operators_refuse_other_iterables(pool):
    s = pool.new(PersistentSet, [1])
    for other in ([1], (1,), {1: 1}, "a", 7, None):
        for name in ("|", "&", "-", "^", "<=", "<", ">=", ">"):
            for left, right in ((s, other), (other, s)):
                with pytest.raises(TypeError):
                    OPERATORS[name](left, right)
        for name in ("__ior__", "__iand__", "__isub__", "__ixor__"):
            assert getattr(s, name)(other) is NotImplemented
        assert s != other
    assert s == {1}


def test_changes_while_iterating(pool):
    for change in (
        lambda s: s.add("new"),
        lambda s: s.pop(),
        lambda s: s.clear(),
        lambda s: s.update(range(99)),
    ):
        s = pool.new(PersistentSet, range(5))
        it = iter(s)
        next(it)
        change(s)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="Set changed size during iteration"):
                next(it)
    s = pool.new(PersistentSet, [1])
    it = iter(s)
    assert list(it) == [1]
    s.add(2)
    assert list(it) == []


def test_pop_takes_the_last(pool):
    s = pool.new(PersistentSet, range(30))
    s.discard(28)
    assert [s.pop() for _ in range(3)] == [29, 27, 26]
    s.clear()
    with pytest.raises(KeyError, match="pop from an empty set"):
        s.pop()
