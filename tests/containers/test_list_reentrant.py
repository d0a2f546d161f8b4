"""User code that is called by a method of a list and does something to the very list, its transaction or its pool.

Any exception is fine, and so is any result that list could give; the list must stay sound.
"""

import contextlib
import gc
import itertools

import pytest
from list_support import plain

import pmemobj
from pmemobj import PersistentList, PersistentTuple

DEEDS = {
    "append": lambda x: x.append("a new string at the end"),
    "grow": lambda x: x.extend(["a new string"] * 3000),
    "insert": lambda x: x.insert(0, [1]),
    "pop": lambda x: x.pop(),
    "pop first": lambda x: x.pop(0),
    "clear": lambda x: x.clear(),
    "clear and refill": lambda x: (x.clear(), x.extend(["other strings"] * 20)),
    "overwrite": lambda x: x.__setitem__(slice(None), ["short now"]),
    "sort": lambda x: x.sort(key=repr),
    "drop everything": lambda x: setattr(x._p_mm, "root", None),
    "abort": lambda x: x._p_mm.abort(),
    "commit": lambda x: x._p_mm.commit(),
    "begin": lambda x: x._p_mm.begin(),
    "close": lambda x: (x._p_mm.abort() if x._p_mm.in_transaction else None, x._p_mm.close()),
    "collect": lambda x: gc.collect(),
}


class Meddler:
    """Does the deed whenever it is compared, asked for an index, iterated, called or encoded."""

    def __init__(self, deed=None, victim=None):
        self.deed, self.victim, self.left = deed, victim, 2

    def act(self):
        if self.deed is not None and self.left:
            self.left -= 1
            self.deed(self.victim)

    def __eq__(self, other):
        self.act()
        return False

    def __lt__(self, other):
        self.act()
        return True

    __hash__ = None

    def __index__(self):
        self.act()
        return 1

    def __iter__(self):
        for i in range(4):
            yield f"an iterated string {i}"
            self.act()

    def __call__(self, item):
        self.act()
        return 0


class Value:
    """A value whose encoder and decoder do the deed."""

    on_encode = on_decode = None

    def __eq__(self, other):
        return isinstance(other, Value)

    def __lt__(self, other):
        return False

    __hash__ = None


def encode(value):
    if Value.on_encode is not None:
        Value.on_encode()
    return "the payload of a value"


def decode(payload):
    if Value.on_decode is not None:
        Value.on_decode()
    return Value()


pmemobj.register(Value, encode, decode)

METHODS = {
    "in": lambda x, m: m in x,
    "index": lambda x, m: x.index(m),
    "index from": lambda x, m: x.index(5, m),
    "count": lambda x, m: x.count(m),
    "remove": lambda x, m: x.remove(m),
    "eq": lambda x, m: x == [m] * len(x),
    "lt": lambda x, m: x < [m] * len(x),
    "getitem": lambda x, m: x[m],
    "slice": lambda x, m: x[m:],
    "slice step": lambda x, m: x[::m],
    "setitem": lambda x, m: x.__setitem__(m, 1),
    "delitem": lambda x, m: x.__delitem__(m),
    "delete slice": lambda x, m: x.__delitem__(slice(m, None)),
    "delete stepped": lambda x, m: x.__delitem__(slice(None, None, m)),
    "pop": lambda x, m: x.pop(m),
    "insert": lambda x, m: x.insert(m, 1),
    "extend": lambda x, m: x.extend(m),
    "iadd": lambda x, m: x.__iadd__(m),
    "assign slice": lambda x, m: x.__setitem__(slice(-3, None), m),
    "assign stepped": lambda x, m: x.__setitem__(slice(0, 8, 2), m),
    "assign self": lambda x, m: x.__setitem__(slice(m, None), x),
    "sort": lambda x, m: x.sort(key=m),
    "sort comparison": lambda x, m: x.sort(key=lambda item: m),
    "repeat": lambda x, m: x.__imul__(m),
    "mul": lambda x, m: x * m,
    "append value": lambda x, m: x.append(Value()),
    "insert value": lambda x, m: x.insert(3, Value()),
    "set value": lambda x, m: x.__setitem__(-1, Value()),
    "extend value": lambda x, m: x.extend(["a string", x[3], Value(), [Value()]]),
    "assign value": lambda x, m: x.__setitem__(slice(1, 3), ["a string", Value()]),
    "new": lambda x, m: x._p_mm.new(PersistentList, [x, Value()]),
    "new tuple": lambda x, m: x._p_mm.new(PersistentTuple, [x, Value()]),
}
READING = {
    "copy": lambda x: x.copy(),
    "slice": lambda x: x[::2],
    "iterate": lambda x: list(itertools.islice(x, 500)),
    "reversed": lambda x: list(reversed(x)),
    "repr": repr,
    "get": lambda x: x[4],
    "pop": lambda x: x.pop(4),
    "pop last": lambda x: (x.append(Value()), x.pop()),
    "index": lambda x: x.index(Value()),
    "remove": lambda x: x.remove(Value()),
    "eq": lambda x: x == [*range(4), Value(), 6],
    "eq itself": lambda x: x == x._p_mm.new(PersistentList, [1, "a long string of it", (), [5], Value()]),
    "add": lambda x: x + x,
    "sort": lambda x: x.sort(key=lambda item: 0),
    "repeat": lambda x: x.__imul__(2),
    "extend": lambda x: x.extend(x),
}
START = [1, "a long string of it", (), [5], 6, "another long string", 7.5]


@pytest.fixture
def fresh(pool_path):
    """fresh() gives the pool, opened again if the last deed closed it."""
    pool = None

    def fresh():
        nonlocal pool
        if pool is None or pool.closed:
            pool = pmemobj.open(pool_path, max_size=256 << 20, sync="manual")
        return pool

    yield fresh
    pool.close()


def survive(monkeypatch, pool, x, call):
    with contextlib.suppress(Exception):
        call()
    monkeypatch.undo()
    if pool.closed:
        return
    while pool.in_transaction:
        pool.commit()
    x._check()
    plain(x)
    x.clear()
    x.append("still works")
    assert x == ["still works"]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_user_code_in_arguments(fresh, monkeypatch, method, inside):
    for deed in DEEDS.values():
        pool = fresh()
        pool.root = START
        x = pool.root
        if inside:
            pool.begin()
            x.append([1, 2])  # stale after an abort
        meddler = Meddler(deed, x)
        monkeypatch.setattr(Value, "on_encode", staticmethod(meddler.act))
        survive(monkeypatch, pool, x, lambda meddler=meddler, x=x: METHODS[method](x, meddler))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("method", READING)
def test_user_code_in_decoders(fresh, monkeypatch, method, inside):
    for deed in DEEDS.values():
        pool = fresh()
        pool.root = [*START[:4], Value(), 6, (Value(), "a long string of it"), [7]]
        x = pool.root
        if inside:
            pool.begin()
            x.append([1, 2])
        monkeypatch.setattr(Value, "on_decode", staticmethod(Meddler(deed, x).act))
        survive(monkeypatch, pool, x, lambda x=x: READING[method](x))


def test_sort_notices_a_change(pool):
    x = pool.new(PersistentList, [3, 1, 2])
    for key in (lambda i: x.append(0), lambda i: x.__setitem__(0, "x" * 9), lambda i: x.clear()):
        with pytest.raises(ValueError, match="list modified during sort"):
            x.sort(key=lambda i, key=key: key(i) or 0)
        x[:] = [3, 1, 2]


def test_stale_object_beside_an_encoder_that_aborts(pool, monkeypatch):
    x = pool.new(PersistentList)
    pool.begin()
    made = pool.new(PersistentList, [1])
    monkeypatch.setattr(Value, "on_encode", staticmethod(pool.abort))
    with pytest.raises(pmemobj.StaleObjectError):
        x.extend([made, Value()])
    assert x == []


def test_finalizer_runs_while_items_are_loaded(pool):
    """A collection may start whenever a proxy is made."""
    x = pool.new(PersistentList, [[i] for i in range(3000)])
    ran = []

    class Cycle:
        def __del__(self):
            ran.append(loading)
            x.append([0])
            x.pop(0)

    loading = False
    thresholds = gc.get_threshold()
    gc.set_threshold(50, 1, 1)
    try:
        for _ in range(20):
            gc.disable()
            trash = Cycle()
            trash.self = trash
            trash = [[] for _ in range(100)]
            loading = True
            gc.enable()
            copies = [x[:] for _ in range(3)]
            loading = False
            assert [len(copy) for copy in copies] == [3000] * 3
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    assert len(ran) == 20 and any(ran)
    assert len(x) == 3000
    x._check()
