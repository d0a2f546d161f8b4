"""User code that runs inside of dict and set methods and changes, aborts or closes what they work on.

Whatever it does, the method gives a right answer or raises; it never crashes, and the table stays sound.
"""

import gc
import itertools
import numbers
import weakref

import pytest
from table_support import plain

import pmemobj
from pmemobj import _list, _values  # noqa: F401 - what a stored list becomes
from pmemobj._dict import PersistentDict
from pmemobj._set import PersistentSet

#: What may come out.  Not PoolDamagedError: that would be the answer of a table that is no more.
ERRORS = (RuntimeError, KeyError, pmemobj.PoolClosedError, pmemobj.StaleObjectError, ZeroDivisionError)


class Point:
    """Stored by a codec; `hook` runs wherever user code can."""

    hook = None

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        run_hook()
        return isinstance(other, Point) and self.x == other.x

    def __hash__(self):
        run_hook()
        return hash(self.x)

    def __repr__(self):
        run_hook()
        return f"Point({self.x})"


class Number(Point):
    """Cannot be stored; its hash and == are those of an int."""

    def __eq__(self, other):
        run_hook()
        return self.x == other

    __hash__ = Point.__hash__


numbers.Number.register(Number)


def run_hook():
    hook, Point.hook = Point.hook, None
    if hook is not None:
        try:
            hook()
        finally:
            if hook.again:
                Point.hook = hook


def encode(point):
    run_hook()
    return point.x


def decode(x):
    run_hook()
    return Point(x)


_values.add_codec(Point, _values.Codec("reentry-point", encode, decode))


class Text(str):
    def __eq__(self, other):
        run_hook()
        return str(self) == other

    __hash__ = str.__hash__


def texts():
    run_hook()
    yield "t1"
    run_hook()
    yield Point(3)
    run_hook()


def pairs():
    for item in texts():
        yield item, Point(8)


class Hook:
    def __init__(self, name, x, pool, again):
        self.name, self.x, self.pool, self.again, self.ran = name, x, pool, again, 0

    def __call__(self):
        self.ran += 1
        getattr(self, self.name)()

    def add(self):
        self.x.update({f"more {self.ran}-{i}": i for i in range(30)})

    def remove(self):
        for key in list(plain_keys(self.x)):
            self.x.discard(key) if isinstance(self.x, PersistentSet) else self.x.pop(key, None)

    def clear(self):
        self.x.clear()
        gc.collect()

    def refill(self):
        self.x.clear()
        self.x.update({i: i for i in range(12)})

    def abort(self):
        while self.pool.in_transaction:
            self.pool.abort()

    def close(self):
        self.abort()
        self.pool.close()

    def fail(self):
        raise ZeroDivisionError


def plain_keys(x):
    """Keys that are no Points."""
    hook, Point.hook = Point.hook, None
    try:
        return [key for key in x if not isinstance(key, Point)]
    finally:
        Point.hook = hook


HOOKS = ["add", "remove", "clear", "refill", "abort", "close", "fail"]
P = Point
METHODS = {
    dict: {
        "get": lambda d: d[P(3)],
        "get value": lambda d: d["p"],
        "get tuple": lambda d: d.get((1, P(4))),
        "get number": lambda d: d[Number(7)],
        "get text": lambda d: d[Text("a longer string key")],
        "in": lambda d: P(5) in d,
        "set": lambda d: d.__setitem__(P(3), P(6)),
        "set new": lambda d: d.__setitem__(P(33), [P(6)]),
        "set value": lambda d: d.__setitem__("q", P(6)),
        "del": lambda d: d.__delitem__(P(3)),
        "setdefault": lambda d: d.setdefault(P(3), P(6)),
        "setdefault new": lambda d: d.setdefault("new", P(6)),
        "pop": lambda d: d.pop(P(3)),
        "pop value": lambda d: d.pop("p"),
        "popitem": lambda d: d.popitem(),
        "update": lambda d: d.update({P(3): P(4), P(44): 5, "x": P(1)}),
        "update iterator": lambda d: d.update(pairs()),
        "update itself": lambda d: d.update(d),
        "merge": lambda d: d.__ior__({P(3): P(4), P(44): 5}),
        "or": lambda d: d | {P(3): 5},
        "copy": lambda d: d.copy(),
        "==": lambda d: d == {P(3): P(1), **{i: i for i in range(len(d) - 1)}},
        "== itself": lambda d: d == d._p_mm.new(PersistentDict, d),
        "repr": lambda d: repr(d),
        "iterate": lambda d: [list(d), list(d.values()), list(d.items()), list(reversed(d.items()))],
        "views": lambda d: [
            d.keys() & {P(3)},
            d.items() | {P(4)},
            ("p", P(2)) in d.items(),
            d.keys() >= {P(3)},
        ],
        "new": lambda d: d._p_mm.new(PersistentDict, {P(3): P(4), (P(5),): [P(6)]}),
        "check": lambda d: d._check(),
    },
    set: {
        "in": lambda s: P(3) in s,
        "in number": lambda s: Number(7) in s,
        "in text": lambda s: Text("a longer string key") in s,
        "in set": lambda s: {P(9)} in s,
        "add": lambda s: s.add(P(3)),
        "add new": lambda s: s.add((P(33), "x")),
        "remove": lambda s: s.remove(P(3)),
        "discard": lambda s: s.discard((1, P(4))),
        "pop": lambda s: s.pop(),
        "update": lambda s: s.update([P(3), P(44)], texts()),
        "|=": lambda s: s.__ior__({P(3), P(44)}),
        "&=": lambda s: s.__iand__({P(3), "p", 7}),
        "-=": lambda s: s.__isub__({P(3), P(44), 7}),
        "^=": lambda s: s.__ixor__({P(3), P(44), 7}),
        "^= iterator": lambda s: s.symmetric_difference_update(texts()),
        "operators": lambda s: [s | {P(3)}, s & {P(3)}, {P(3)} - s, s ^ {P(3)}],
        "compare": lambda s: [s == set(range(len(s))), s <= {P(3)}, s >= {P(3)}, s.isdisjoint(texts())],
        "copy": lambda s: s.copy(),
        "repr": lambda s: repr(s),
        "new": lambda s: s._p_mm.new(PersistentSet, [P(3), P(33), P(3), frozenset([P(1)])]),
        "check": lambda s: s._check(),
    },
}
KEYS = ["a", "a longer string key", 7, 7.5, (1, Point(4)), frozenset([Point(9)]), "p", "z", Point(3)]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in METHODS for name in METHODS[kind]])
def test_never_a_crash(pool, pool_path, kind, name):
    pool.close()
    pool = pmemobj.open(pool_path, sync="manual")
    try:
        for action, again, inside in itertools.product(HOOKS, (False, True), (False, True)):
            if pool.closed:
                pool = pmemobj.open(pool_path, sync="manual")
            reentered(pool, METHODS[kind][name], kind, action, again, inside)
    finally:
        Point.hook = None
        pool.close()


def reentered(pool, method, kind, action, again, inside):
    pool.root = None
    items = {key: Point(i) for i, key in enumerate(KEYS)}
    x = pool.root = pool.new(*((PersistentDict, items) if kind is dict else (PersistentSet, KEYS)))
    if inside:
        pool.begin()
        x.update({"inside": 1, Point(10): 2})
    Point.hook = hook = Hook(action, x, pool, again)
    try:
        method(x)
    except ERRORS:
        assert hook.ran
    Point.hook = None
    if pool.closed:
        return
    if pool.in_transaction:
        x._check()
        pool.abort()
        assert plain(x) == (items if kind is dict else set(KEYS))
    x._check()


def test_finalizers_inside_an_operation(pool):
    """Garbage that holds proxies and is collected while a dict is being filled."""
    d = pool.root = pool.new(PersistentDict)

    class Holder:
        def __init__(self, proxy):
            self.proxy, self.me = proxy, self

        def __del__(self):
            len(self.proxy)

    old = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for i in range(300):
            Holder(pool.new(PersistentDict, {i: [i]}))
            d[f"a long enough key {i}"] = (i, [i], {"a": (i,)})
        d.update({i: (i, frozenset([i, (i,)])) for i in range(500)})
    finally:
        gc.set_threshold(*old)
    d._check()
    assert len(d) == 800
    gc.collect()
    pool._drain()
    assert pool._limbo() == 0


def test_values_go_when_nobody_holds_them(pool):
    d = pool.new(PersistentDict, a={"b": {}})
    inner = d["a"]
    gone = weakref.ref(inner)
    assert d.pop("a") is inner
    assert plain(inner) == {"b": {}}
    assert pool._limbo() == 2  # d, which nothing refers to either, and inner
    del inner
    assert gone() is None
    pool._drain()
    assert pool._limbo() == 1
