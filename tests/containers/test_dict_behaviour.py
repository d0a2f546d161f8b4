"""PersistentDict does what dict does: constructors, views, comparisons, errors, keys of every kind."""

import collections
import math
import operator
import struct
from collections.abc import ItemsView, KeysView, MutableMapping, ValuesView
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_support import exact, keys, plain, values

from pmemobj import _list, _set  # noqa: F401 - what stored lists and sets become
from pmemobj._dict import PersistentDict

items = st.lists(st.tuples(keys, values), max_size=30)


def outcome(function, *args):
    """What a call gives or raises."""
    try:
        return plain(function(*args))
    except Exception as error:
        return type(error), str(error) if not isinstance(error, KeyError) else plain(error.args)


@given(items, items)
def test_operators_and_comparisons(pool, a, b):
    a, b = dict(a), dict(b)
    x, y = pool.new(PersistentDict, a), pool.new(PersistentDict, b)
    for left, right in ((x, y), (x, b), (a, y)):
        assert (left == right) is (a == b)
        assert (left != right) is (a != b)
        merged = left | right
        assert type(merged) is dict
        assert plain_items(merged) == plain_items(a | b)
    sides = (
        (x.keys(), b.keys()),
        (a.keys(), y.keys()),
        (x.keys(), set(b)),
        (set(a), y.keys()),
        (x.keys(), y.keys()),
    )
    a_keys, b_keys = set(a), set(b)
    for p, q in sides:
        for name, got in (("and", p & q), ("or", p | q), ("sub", p - q), ("xor", p ^ q)):
            assert type(got) is set
            assert got == getattr(a_keys, f"__{name}__")(b_keys)
        for name in ("eq", "ne", "le", "lt", "ge", "gt"):
            assert getattr(operator, name)(p, q) is getattr(operator, name)(a_keys, b_keys)
    assert x.keys().isdisjoint(y) == a.keys().isdisjoint(b)
    assert list(reversed(x)) == list(reversed(a))
    assert [k for k, _ in reversed(x.items())] == list(reversed(a))
    assert plain(list(reversed(list(x.values())))) == plain(list(map(plain, reversed(x.values()))))
    assert x == x.copy() and type(x.copy()) is dict


def plain_items(d):
    return [(key, plain(value)) for key, value in d.items()]


@given(items, keys)
def test_lookups(pool, a, key):
    x, a = pool.new(PersistentDict, a), dict(a)
    assert exact(x) == exact(a)
    assert outcome(x.__getitem__, key) == outcome(a.__getitem__, key)
    assert outcome(x.get, key, "none") == outcome(a.get, key, "none")
    assert (key in x, x.keys() >= {key}) == (key in a, key in a)
    assert ((key, 1) in x.items()) is ((key, 1) in a.items())
    assert outcome(x.pop, key) == outcome(a.pop, key)
    assert outcome(x.__delitem__, key) == outcome(a.__delitem__, key)


def test_constructors(pool):
    class Mapping:
        def keys(self):
            return ["a", "b"]

        def __getitem__(self, key):
            return key * 2

    def new(*args, **kwargs):
        return pool.new(PersistentDict, *args, **kwargs)

    assert new() == {}
    assert new({"a": 1}, b=2) == {"a": 1, "b": 2}
    assert new(a=1, pool=3) == {"a": 1, "pool": 3}
    d = new()
    d.update(self=1, other=2)
    assert d == {"self": 1, "other": 2}
    assert new([("a", 1), "bc", [1, 2]]) == {"a": 1, "b": "c", 1: 2}
    assert new(Mapping()) == {"a": "aa", "b": "bb"}
    assert new(new({1: 2}), x=1) == {1: 2, "x": 1}
    assert new(collections.OrderedDict(a=1)) == {"a": 1}
    for wrong in ([1], [(1, 2, 3)], 7, [([], 1)]):
        assert outcome(new, wrong) == outcome(dict, wrong)
    with pytest.raises(TypeError, match="at most 1 argument, got 2"):
        new({}, {})
    with pytest.raises(TypeError, match=r"pool\.new\(PersistentDict"):
        PersistentDict({})
    assert PersistentDict.fromkeys("ab", 1) == {"a": 1, "b": 1}
    nested = {"a": 1}
    nested["me"] = nested
    d = new(nested)
    assert d["me"] is d
    shared = [1]
    d.update(x=shared, y={"z": shared})
    assert d["x"] is d["y"]["z"]


def test_types(pool):
    d = pool.new(PersistentDict, a=1)
    assert isinstance(d, MutableMapping) and not isinstance(d, dict)
    assert (
        isinstance(d.keys(), KeysView)
        and isinstance(d.items(), ItemsView)
        and isinstance(d.values(), ValuesView)
    )
    assert type(d.keys().mapping) is MappingProxyType and d.items().mapping == {"a": 1}
    assert PersistentDict[str, int].__origin__ is PersistentDict
    match d:
        case {"a": found, **rest}:
            assert (found, rest) == (1, {})
        case _:
            pytest.fail("no match")
    for unhashable in (d, d.keys(), d.items()):
        with pytest.raises(TypeError, match="unhashable"):
            hash(unhashable)
    assert dict(d) == {**d} == {"a": 1}


def test_repr(pool):
    d = pool.new(PersistentDict, {"a": 1, 2: [3]})
    assert repr(d) == "PersistentDict({'a': 1, 2: PersistentList([3])})"
    assert repr(d.keys()) == "PersistentDictKeys(['a', 2])"
    assert repr(d.values()) == "PersistentDictValues([1, PersistentList([3])])"
    assert repr(d.items()) == "PersistentDictItems([('a', 1), (2, PersistentList([3]))])"
    d["a"] = d
    del d[2]
    assert repr(d) == "PersistentDict({'a': PersistentDict({...})})"
    assert repr(d.values()) == "PersistentDictValues([PersistentDict({...})])"
    assert repr(pool.new(PersistentDict)) == "PersistentDict({})"


def test_equal_keys_are_one(pool):
    pairs = [(1, "a"), (1.0, "a"), (True, "a")]
    for ones in ([1, 1.0, True, 1 + 0j], [2**70, float(2**70)], [0, -0.0, False, 0.0], pairs):
        for first in ones:
            d = pool.new(PersistentDict)
            d[first] = "first"
            for key in ones:
                assert d[key] == "first"
                d[key] = "again"
                assert exact(d) == exact([first])
                d.update({key: "first"})
                assert exact(d) == exact([first])
            d._check()
            del d[ones[-1]]
            assert not d


def test_nan(pool):
    one, same = math.nan, struct.unpack("d", struct.pack("d", math.nan))[0]
    other = struct.unpack("Q", struct.pack("d", math.nan))[0] + 1
    other = struct.unpack("d", struct.pack("Q", other))[0]
    d = pool.new(PersistentDict, {one: 1})
    d[same] = 2
    d.update({one: 3, same: 4})
    assert len(d) == 1 and d[one] == 4
    assert other not in d
    d[other] = 5
    d[(one, 1)] = 6
    d[complex(one, 1)] = 7
    assert (d[same], d[other], d[(same, 1)], d[complex(same, 1)]) == (4, 5, 6, 7)
    assert (one, 2) not in d and complex(one, 2) not in d
    d._check()
    d.update({(one, frozenset()): 8, (same, frozenset()): 9})
    assert len(d) == 5 and d[(same, frozenset())] == 9
    assert d == d


class Name(str):
    pass


class Exact(Decimal):
    """Decimal itself can be stored; so can Fraction, and IntEnum."""


class Ratio(Fraction):
    pass


def test_foreign_keys_are_only_looked_up(pool):
    d = pool.new(
        PersistentDict, {1: "one", "a": "letter", 0.5: "half", (1, "a"): "pair", frozenset([1]): "set"}
    )
    pair = collections.namedtuple("Pair", "x y")
    found = [
        Exact(1),
        Ratio(1),
        Name("a"),
        Ratio(1, 2),
        pair(1, "a"),
        (Exact(1), Name("a")),
    ]
    for key in [*found, frozenset([Exact(1)])]:
        assert key in d, key
        assert d.get(key) is not None
        with pytest.raises(TypeError, match="cannot be"):
            d[key] = 1
    for key in (object(), Name("b"), Exact(2), (object(),), pair(1, Name("c")), (1, Ratio(7))):
        assert key not in d
        assert d.get(key, 7) == 7
        assert d.pop(key, 7) == 7
        with pytest.raises(KeyError):
            del d[key]
        with pytest.raises(TypeError):
            d[key] = 1
    assert len(d) == 5
    assert d.pop(Ratio(1, 2)) == "half"


@pytest.mark.parametrize("key", [[], {}, set(), bytearray(), ([],), (1, ({},)), [1, 2]], ids=repr)
def test_unhashable_keys(pool, key):
    for d in (pool.new(PersistentDict), pool.new(PersistentDict, {i: i for i in range(20)})):
        for use in (d.get, d.pop, d.setdefault, d.__getitem__, d.__delitem__, d.__contains__):
            assert outcome(use, key) == outcome({}.get, key)
        assert outcome(d.__setitem__, key, 1) == outcome({}.get, key)
        assert outcome(d.update, [(key, 1)]) == outcome({}.get, key)


def test_persistent_keys(pool):
    inner = pool.new(PersistentDict)
    d = pool.new(PersistentDict)
    with pytest.raises(TypeError, match="unhashable type"):
        d[inner] = 1
    with pytest.raises(TypeError, match="unhashable type"):
        d.get(inner)


def test_changes_while_iterating(pool):
    for change in (
        lambda d: d.__setitem__("new", 1),
        lambda d: d.popitem(),
        lambda d: d.clear(),
        lambda d: d.update({i: i for i in range(100)}),
    ):
        for view in (iter, reversed, lambda d: iter(d.values()), lambda d: iter(d.items())):
            d = pool.new(PersistentDict, {i: str(i) for i in range(5)})
            it = view(d)
            next(it)
            change(d)
            for _ in range(2):
                with pytest.raises(RuntimeError, match="dictionary changed size during iteration"):
                    next(it)
    d = pool.new(PersistentDict, {i: str(i) for i in range(5)})
    for key in d:
        d[key] = "values may change"
    it = iter(d)
    next(it)
    d["x"] = d.pop(0)
    with pytest.raises(RuntimeError, match="dictionary keys changed during iteration"):
        next(it)
    it = iter(d.items())
    with pool.transaction() as tx:
        next(it)
        tx.abort()
    assert len(list(it)) == 4


def test_iterators_end_for_good(pool):
    d = pool.new(PersistentDict, a=1)
    it = iter(d)
    assert (list(it), it.__length_hint__()) == (["a"], 0)
    d["b"] = 2
    assert list(it) == []
    it = iter(d.items())
    next(it)
    constructor, args = it.__reduce__()
    assert list(constructor(*args)) == [("b", 2)] == list(it)


def test_setdefault_gives_what_is_stored(pool):
    d = pool.new(PersistentDict)
    d.setdefault("list", []).append(1)
    assert d == {"list": [1]}
    assert d.setdefault("list", []) is d["list"]
    text = "a long string of its own"
    assert d.setdefault(text) is None
    assert d.setdefault("t", text) == text


def test_arguments(pool):
    d = pool.new(PersistentDict, a=1)
    for call in (
        lambda d: d.get(), lambda d: d.get(1, 2, 3), lambda d: d.get(key=1), lambda d: d.pop(),
        lambda d: d.pop(1, 2, 3), lambda d: d.popitem(1), lambda d: d.setdefault(), lambda d: d.clear(1),
        lambda d: d.copy(1), lambda d: d.keys(1), lambda d: d.update(1, 2), lambda d: d < d, lambda d: d | [],
        lambda d: d & {}, lambda d: d.keys() & 1, lambda d: d.keys() < [], lambda d: d.values() & set(),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            call({"a": 1})
        with pytest.raises(TypeError):
            call(d)
    assert (d == [], d == 1, d == None) == (False, False, False)  # noqa: E711
