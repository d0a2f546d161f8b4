"""PersistentList does what list does: same results, same exceptions, same messages."""

import collections.abc
import operator
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_support import common, items, plain, values

from pmemobj._list import PersistentList
from pmemobj._tuple import PersistentTuple

lists = st.lists(items, max_size=12)
indices = st.one_of(
    st.integers(-15, 15), st.sampled_from([2**63, -(2**63) - 1, 2**200, sys.maxsize, -sys.maxsize])
)
bounds = st.none() | indices
slices = st.builds(slice, bounds, bounds, bounds)


def outcome(function, *args):
    """What it returned, or the exception's type and message."""
    try:
        result = function(*args)
    except Exception as error:
        return type(error), str(error).replace("pmemobj._list.PersistentList", "list")
    return plain(result)


def same(pool, start, function, *args):
    """The function does the same to both: the result and what is left."""
    builtin, persistent = list(start), pool.new(PersistentList, start)
    assert outcome(function, persistent, *args) == outcome(function, builtin, *args)
    assert plain(persistent) == builtin
    persistent._check()
    return persistent


@given(start=lists, key=indices | slices)
def test_reading(pool, start, key):
    same(pool, start, operator.getitem, key)
    same(pool, start, lambda x: plain(x[key]) if isinstance(key, slice) else None)


@given(start=lists, value=common)
def test_searching(pool, start, value):
    same(pool, start, operator.contains, value)
    same(pool, start, operator.countOf, value)
    same(pool, start, lambda x: x.count(value))
    same(pool, start, lambda x: x.index(value))
    same(pool, start, lambda x: x.remove(value))


@given(start=lists, value=common, lo=indices, hi=indices)
def test_index_in_a_part(pool, start, value, lo, hi):
    same(pool, start, lambda x: x.index(value, lo))
    same(pool, start, lambda x: x.index(value, lo, hi))


@given(start=lists, key=indices, value=values)
def test_changing_one_item(pool, start, key, value):
    same(pool, start, operator.setitem, key, value)
    same(pool, start, operator.delitem, key)
    same(pool, start, lambda x: x.pop(key))
    same(pool, start, lambda x: x.pop())
    same(pool, start, lambda x: x.insert(key, value))
    same(pool, start, lambda x: x.append(value))


@given(start=lists, key=slices, new=lists)
def test_changing_slices(pool, start, key, new):
    same(pool, start, operator.delitem, key)
    same(pool, start, operator.setitem, key, new)
    same(pool, start, operator.setitem, key, tuple(new))
    same(pool, start, lambda x: x.__setitem__(key, iter(new)))
    same(
        pool, start, lambda x: x.__setitem__(key, new[: len(start[key])] + [0] * len(start[key][len(new) :]))
    )


@given(start=lists, key=slices)
def test_assigning_a_list_to_a_part_of_itself(pool, start, key):
    start = [x for x in start if not isinstance(x, list)]  # which would be shared by both, not copied
    same(pool, start, lambda x: x.__setitem__(key, x))
    same(pool, start, lambda x: x.__setitem__(key, x[key]))
    same(pool, start, lambda x: x.__setitem__(key, reversed(x)))


@given(start=lists, new=lists, n=st.integers(-2, 4))
def test_operators(pool, start, new, n):
    start = [x for x in start if not isinstance(x, list)]
    same(pool, start, lambda x: x + new)
    same(pool, start, lambda x: new + x)
    same(pool, start, lambda x: x + x)
    same(pool, start, lambda x: x * n)
    same(pool, start, lambda x: n * x)
    same(pool, start, lambda x: operator.iadd(x, new) is x)
    same(pool, start, lambda x: operator.iadd(x, x) is x)
    same(pool, start, lambda x: operator.imul(x, n) is x)
    same(pool, start, lambda x: x.extend(x))
    same(pool, start, lambda x: x.extend(iter(new)))
    same(pool, start, lambda x: x.copy())
    same(pool, start, lambda x: x.clear())
    same(pool, start, lambda x: x.reverse())
    same(pool, start, lambda x: list(reversed(x)))
    same(pool, start, lambda x: [*x])
    same(pool, start, bool)
    same(pool, start, len)


@given(
    a=st.lists(st.sampled_from([0, 1, 1.0, 2, True, "a", "b" * 20]), max_size=5),
    b=st.lists(st.sampled_from([0, 1, 2, 3.5, False, "a", "b" * 20]), max_size=5),
)
def test_comparisons(pool, a, b):
    one, other = pool.new(PersistentList, a), pool.new(PersistentList, b)
    for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        expected = outcome(compare, a, b)
        for x, y in ((one, other), (one, b)):
            assert outcome(compare, x, y) == expected, (compare, x, y)
        if expected in (True, False):  # otherwise the operator and sides are swapped in the message
            assert compare(a, other) is expected
        assert outcome(compare, one, one) == outcome(compare, a, a)


@given(
    start=st.lists(st.integers(-3, 3) | st.floats(-3, 3) | st.booleans(), max_size=100), reverse=st.booleans()
)
def test_sort_is_stable(pool, start, reverse):
    same(pool, start, lambda x: x.sort(reverse=reverse))
    same(pool, start, lambda x: x.sort(key=abs, reverse=reverse))
    left = pool.new(PersistentList, start)
    left.sort(key=abs, reverse=reverse)
    assert list(map(repr, left)) == list(
        map(repr, sorted(start, key=abs, reverse=reverse))
    )  # 1, 1.0 and True


@given(start=lists)
def test_sort_of_what_cannot_be_compared(pool, start):
    builtin = list(start)
    persistent = pool.new(PersistentList, start)
    result = outcome(persistent.sort)
    assert result == outcome(builtin.sort)
    assert plain(persistent) == (builtin if result is None else start)
    same(pool, start, lambda x: x.sort(key=repr) if not any(isinstance(i, list) for i in start) else None)


def test_sort_moves_objects_instead_of_copying_them(pool):
    rows = pool.new(PersistentList, [[3], [1], [2]])
    first, second, third = rows
    rows.sort()
    assert rows[0] is second and rows[1] is third and rows[2] is first


def test_repr(pool):
    x = pool.new(PersistentList, [1, "a", [2]])
    assert repr(x) == "PersistentList([1, 'a', PersistentList([2])])"
    x.append(x)
    assert repr(x) == "PersistentList([1, 'a', PersistentList([2]), PersistentList([...])])"
    x.clear()
    assert repr(x) == "PersistentList([])"


def test_cycles_and_shared_parts_are_kept(pool):
    shared = [1]
    source = [shared, shared]
    source.append(source)
    x = pool.new(PersistentList)
    x.extend(source)
    assert x[0] is x[1]
    assert x[2][0] is x[0] and x[2][2] is x[2]
    x.clear()


@pytest.mark.parametrize("bad", [None, 1.5, "a", object()])
def test_wrong_index_types(pool, bad):
    same(pool, [1, 2], lambda x: x[bad])
    same(pool, [1, 2], lambda x: x.__setitem__(bad, 1))
    same(pool, [1, 2], lambda x: x.__delitem__(bad))
    for call in (
        lambda x: x.pop(bad),
        lambda x: x.insert(bad, 1),
        lambda x: x.index(1, bad),
        lambda x: x * bad,
    ):
        with pytest.raises(TypeError):
            call(pool.new(PersistentList, [1, 2]))


@pytest.mark.parametrize("wrong", [5, None, object()])
def test_wrong_values(pool, wrong):
    same(pool, [1, 2], lambda x: x.extend(wrong))
    # CPython 3.13 has the next one's message here
    with pytest.raises(TypeError, match=r"^can only assign an iterable$"):
        pool.new(PersistentList, [1, 2])[0:1] = wrong
    same(pool, [1, 2], lambda x: x.__setitem__(slice(0, 2, 2), wrong))
    for other in (wrong, (1,), "a", PersistentTuple):
        with pytest.raises(TypeError):
            pool.new(PersistentList) + other
    assert (pool.new(PersistentList) == wrong) is False
    with pytest.raises(TypeError):
        operator.lt(pool.new(PersistentList), wrong)


def test_constructor(pool):
    assert pool.new(PersistentList) == []
    assert pool.new(PersistentList, "abc") == ["a", "b", "c"]
    assert pool.new(PersistentList, pool.new(PersistentList, [1])) == [1]
    with pytest.raises(TypeError, match="at most 1 argument, got 2"):
        pool.new(PersistentList, [], [])
    with pytest.raises(TypeError, match="keyword"):
        pool.new(PersistentList, iterable=[])
    with pytest.raises(TypeError, match="not iterable"):
        pool.new(PersistentList, 5)
    with pytest.raises(TypeError, match="use pool"):
        PersistentList([1])
    with pytest.raises(TypeError, match="not created by"):
        len(PersistentList.__new__(PersistentList))


def test_iterators_tolerate_changes(pool):
    x = pool.new(PersistentList, range(3))
    ahead = iter(x)
    assert operator.length_hint(ahead) == 3
    assert next(ahead) == 0
    x.append(9)
    assert operator.length_hint(ahead) == 3
    del x[1:]
    assert operator.length_hint(ahead) == 0
    assert list(ahead) == []
    x.extend([5, 6])
    assert list(ahead) == []  # once exhausted, always

    back = reversed(x)
    assert operator.length_hint(back) == 3
    assert next(back) == 6
    x.clear()
    assert operator.length_hint(back) == 0
    assert list(back) == []
    x.extend(range(5))
    assert list(back) == []

    for n, _ in enumerate(x):  # as with list, one that grows while it is walked goes on
        if n < 20:
            x.append(n)
    assert len(x) == 25


def test_types_of_iterators_make_none(pool):
    x = pool.new(PersistentList, range(3))
    for kind in (type(iter(x)), type(reversed(x))):
        with pytest.raises(TypeError):
            kind()
        assert list(kind.__new__(kind)) == []


def test_is_a_mutable_sequence(pool):
    x = pool.new(PersistentList, [1, 2])
    assert isinstance(x, collections.abc.MutableSequence)
    assert not isinstance(x, collections.abc.Hashable)
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    match x:
        case [first, *rest]:
            assert (first, rest) == (1, [2])
        case _:
            pytest.fail("not matched as a sequence")
    assert PersistentList[int].__origin__ is PersistentList


def test_identity_of_the_same_object(pool):
    x = pool.new(PersistentList, [[1], 5])
    inner = x[0]
    assert x[0] is inner and next(iter(x)) is inner and x[:][0] is inner
    x.append(inner)
    assert x.index(inner) == 0 and x.count(inner) == 2
    assert x.pop() is inner


def test_methods_check_their_self(pool):
    for wrong in (5, [], pool.new(PersistentTuple)):
        for method in (
            PersistentList.append,
            PersistentList.insert,
            PersistentList.extend,
            PersistentList.sort,
        ):
            with pytest.raises(TypeError):
                method(wrong, 0)
        with pytest.raises(TypeError):
            PersistentList.__getitem__(5, 0)
