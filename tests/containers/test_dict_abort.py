"""Mutators of dict and set that fail or are undone: everything is as before, and nothing leaks."""

import pytest
from table_support import KINDS, in_use, plain

import pmemobj
from pmemobj import _list  # noqa: F401 - what a stored list becomes
from pmemobj._dict import PersistentDict
from pmemobj._set import PersistentSet
from pmemobj.errors import PoolClosedError, StaleObjectError

LONG = "a long string that needs a block, number {}".format

DICT = {"a": 1, LONG(1): LONG(2), 2: (LONG(3),), (LONG(4), 5): None, **{i: i for i in range(10, 20)}}
# In this order whatever PYTHONHASHSEED is, so that pop() never takes what another change names.
MEMBERS = ["a", LONG(1), 2, (LONG(4), 5), frozenset([LONG(6)]), *range(10, 20)]
SET = set(MEMBERS)

CHANGES = {
    dict: {
        "set": lambda d: d.__setitem__("new", LONG(7)),
        "set list": lambda d: d.__setitem__(LONG(8), [1, [LONG(9)]]),
        "overwrite": lambda d: d.__setitem__(LONG(1), {"x": LONG(9)}),
        "del": lambda d: d.__delitem__((LONG(4), 5)),
        "setdefault": lambda d: d.setdefault("new", []),
        "pop": lambda d: d.pop(LONG(1)),
        "popitem": lambda d: d.popitem(),
        "popitems": lambda d: [d.popitem() for _ in range(8)],
        "all popitems": lambda d: [d.popitem() for _ in range(len(d))],
        "pop and put": lambda d: [d.pop(2), d.popitem(), d.update(p=1, q=LONG(3)), d.popitem()],
        "update": lambda d: d.update({2: LONG(1), "b": [LONG(2)], LONG(77): 3}, kw=LONG(1)),
        "update much": lambda d: d.update((i, str(i)) for i in range(1000)),
        "merge": lambda d: d.__ior__([(LONG(5), 6), ("a", 7)]),
        "clear": lambda d: d.clear(),
        "clear and fill": lambda d: [d.clear(), d.update(x=1, y=LONG(2))],
    },
    set: {
        "add": lambda s: s.add("new"),
        "add long": lambda s: s.add(LONG(99)),
        "add tuple": lambda s: s.add((1, LONG(99))),
        "discard": lambda s: s.discard(LONG(1)),
        "remove": lambda s: s.remove((LONG(4), 5)),
        "pop": lambda s: s.pop(),
        "pops": lambda s: [s.pop() for _ in range(8)],
        "pop and put": lambda s: [s.pop(), s.pop(), s.add("p"), s.add(LONG(5)), s.pop()],
        "clear": lambda s: s.clear(),
        "update": lambda s: s.update([LONG(7), "b"], {LONG(8), 2}),
        "update much": lambda s: s.update(range(1000), map(str, range(1000))),
        "|=": lambda s: s.__ior__({LONG(7), 2}),
        "&=": lambda s: s.__iand__({LONG(1), 2, 12}),
        "-=": lambda s: s.__isub__({LONG(1), 2, 12}),
        "^=": lambda s: s.__ixor__({LONG(1), 2, 12, "b", LONG(7)}),
        "^= last": lambda s: s.__ixor__({*range(10, 20), "b", LONG(7)}),
    },
}
EVERY = [(kind, name) for kind, changes in CHANGES.items() for name in changes]


def start(pool, kind):
    pool.root = pool.new(*((PersistentDict, DICT) if kind is dict else (PersistentSet, MEMBERS)))
    return pool.root


def state(x):
    return list(plain(x).items()) if isinstance(x, PersistentDict) else list(x)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_does_what_the_builtin_does(pool, reopen, kind, name):
    x = start(pool, kind)
    model = dict(DICT) if kind is dict else set(x)
    CHANGES[kind][name](x)
    if "pop" in name and kind is set:
        model = set(x)  # which element goes is another matter
        assert len(model) < len(SET)
    else:
        CHANGES[kind][name](model)
    assert plain(x) == model
    x._check()
    x = None
    pool = reopen(pool)
    assert plain(pool.root) == model
    pool.root._check()


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_abort(pool, kind, name):
    x = start(pool, kind)
    before, used = state(x), in_use(pool)
    with pool.transaction() as tx:
        CHANGES[kind][name](x)
        assert state(x) != before
        tx.abort()
    assert state(x) == before
    x._check()
    assert in_use(pool) == used
    assert pool._limbo() == 0


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_savepoint(pool, kind, name):
    x = start(pool, kind)
    with pool.transaction():
        (x.popitem if kind is dict else x.pop)()
        x.update({"outer": LONG(3)})
        middle, pool_used = state(x), in_use(pool)
        with pytest.raises(ZeroDivisionError), pool.transaction():
            CHANGES[kind][name](x)
            while len(x) > 2:
                (x.popitem if kind is dict else x.pop)()
            x.update({"inner": 1, LONG(4): 2})
            raise ZeroDivisionError
        assert state(x) == middle
        x._check()
        assert in_use(pool) == pool_used
    assert state(x) == middle
    x._check()


def failing(items, then):
    yield from items
    raise then


class Unsupported:
    pass


FAILURES = {
    dict: {
        "set value": (TypeError, lambda d: d.__setitem__("a", Unsupported())),
        "set nested value": (TypeError, lambda d: d.__setitem__("a", [LONG(1), {"x": Unsupported()}])),
        "set key": (TypeError, lambda d: d.__setitem__(Unsupported(), 1)),
        "set unhashable key": (TypeError, lambda d: d.__setitem__([], 1)),
        "set tuple key": (TypeError, lambda d: d.__setitem__((1, Unsupported()), 1)),
        "setdefault": (TypeError, lambda d: d.setdefault("new", Unsupported())),
        "setdefault key": (TypeError, lambda d: d.setdefault(Unsupported(), 1)),
        "del": (KeyError, lambda d: d.__delitem__("nope")),
        "pop": (KeyError, lambda d: d.pop("nope")),
        "update iterator": (OSError, lambda d: d.update(failing([("a", 2), ("new", LONG(1))], OSError()))),
        "update value": (TypeError, lambda d: d.update({"a": 2, "new": LONG(1), "b": Unsupported()})),
        "update key": (TypeError, lambda d: d.update({"a": 2, "new": LONG(1), Unsupported(): 1})),
        "update keyword": (TypeError, lambda d: d.update({"a": 2}, new=Unsupported())),
        "update pair": (ValueError, lambda d: d.update([("a", 2), ("b",)])),
        "update twice": (TypeError, lambda d: d.update({}, {})),
        "update number": (TypeError, lambda d: d.update(7)),
        "merge": (TypeError, lambda d: d.__ior__([("a", 2), ("b", Unsupported())])),
    },
    set: {
        "add": (TypeError, lambda s: s.add(Unsupported())),
        "add unhashable": (TypeError, lambda s: s.add([])),
        "add set": (TypeError, lambda s: s.add({1})),
        "remove": (KeyError, lambda s: s.remove("nope")),
        "remove unhashable": (TypeError, lambda s: s.remove([])),
        "update iterator": (OSError, lambda s: s.update(failing(["b", LONG(9)], OSError()))),
        "update second": (OSError, lambda s: s.update(["b"], failing([], OSError()))),
        "update element": (TypeError, lambda s: s.update(["b", Unsupported()])),
        "update unhashable": (TypeError, lambda s: s.update(["b", []])),
        "&=": (OSError, lambda s: s.intersection_update([1], failing([2], OSError()))),
        "-=": (OSError, lambda s: s.difference_update([2], failing(["a"], OSError()))),
        "- unhashable": (TypeError, lambda s: s.difference_update([2, "a", []])),
        "^=": (TypeError, lambda s: s.symmetric_difference_update([2, "a", "new", Unsupported()])),
        "|= list": (TypeError, lambda s: s.__ior__([1]) is NotImplemented and _raise(TypeError)),
    },
}


def _raise(error):
    raise error


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in FAILURES for name in FAILURES[kind]])
def test_failure_changes_nothing(pool, kind, name, inside):
    x = start(pool, kind)
    before, used = state(x), in_use(pool)
    error, change = FAILURES[kind][name]
    if inside:
        pool.begin()
    with pytest.raises(error):
        change(x)
    assert state(x) == before
    x._check()
    if inside:
        pool.commit()
    assert in_use(pool) == used


USES = {
    dict: [
        len, bool, iter, reversed, repr, list, lambda d: d["a"], lambda d: d.get("a"), lambda d: "a" in d,
        lambda d: d == {}, lambda d: d != {}, lambda d: d == d, lambda d: d.copy(), lambda d: list(d.keys()),
        lambda d: list(d.values()), lambda d: d | {}, lambda d: {} | d, lambda d: d.update(),
        lambda d: d.setdefault("a"),
        *CHANGES[dict].values(),
    ],
    set: [
        len, bool, iter, repr, list, lambda s: "a" in s, lambda s: s == set(), lambda s: s != set(), lambda s: s <= s,
        lambda s: s.copy(), lambda s: s | {1}, lambda s: {1} - s, lambda s: s.isdisjoint([]), lambda s: s.update(),
        lambda s: s.issuperset([]), lambda s: s.issubset([]), lambda s: s.union(), *CHANGES[set].values(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", [dict, set])
def test_closed(pool, kind):
    x = start(pool, kind)
    it = iter(x)
    views = [x.keys(), x.values(), x.items()] if kind is dict else []
    pool.close()
    for use in USES[kind]:
        with pytest.raises(PoolClosedError):
            use(x)
    for use in (next, list):
        with pytest.raises(PoolClosedError):
            use(it)
    for view in views:
        for use in (len, list, repr, reversed, lambda v: 1 in v.mapping):
            with pytest.raises(PoolClosedError):
                use(view)


@pytest.mark.parametrize("kind", [dict, set])
def test_stale(pool, kind):
    with pool.transaction() as tx:
        x = start(pool, kind)
        it = iter(x)
        tx.abort()
    for use in USES[kind]:
        with pytest.raises(StaleObjectError):
            use(x)
    with pytest.raises(StaleObjectError):
        next(it)
    assert pool.root is None


@pytest.mark.parametrize("kind", [dict, set])
def test_read_only(pool, pool_path, kind):
    x = start(pool, kind)
    before = state(x)
    pool.close()
    with pmemobj.open(pool_path, "r") as pool:
        for name, change in CHANGES[kind].items():
            with pytest.raises(pmemobj.ReadOnlyPoolError):
                change(pool.root)
            assert state(pool.root) == before, name


@pytest.mark.parametrize("value", KINDS)
def test_values_are_given_back(pool, value):
    d = pool.new(PersistentDict, {1: 1})
    used = in_use(pool)
    for change in (
        lambda: d.__setitem__("k", value),
        lambda: d.__setitem__("k", value),
        lambda: d.update(k=value),
        lambda: d.setdefault("k", value),
    ):
        change()
        change()
        assert plain(d["k"]) == value
        assert plain(d.pop("k")) == value
        assert in_use(pool) == used
