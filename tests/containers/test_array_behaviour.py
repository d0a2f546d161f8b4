"""PersistentArray: as NumPy's, but for what is undone, refused, or changed in the middle."""

import contextlib
import copy
import gc
import operator
import os
import pickle
import subprocess
import sys
import weakref
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
from list_support import in_use
from numpy.testing import assert_array_equal

import pmemobj
from pmemobj import PersistentArray

POINT = np.dtype([("name", "U5"), ("at", "<f8", (2,)), ("inner", [("flag", "?"), ("n", "<i2")])])
ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
DTYPES = [
    *"?bBhHiIlLqQefdgFDG",
    ">i4",
    "S5",
    "U3",
    "S0",
    "V7",
    "M8[us]",
    "m8[D]",
    "M8[25s]",
    POINT,
    ALIGNED,
]


def of_dtype(dtype, shape):
    """Bytes that make a value of every dtype."""
    dtype = np.dtype(dtype)
    made = np.zeros(shape, dtype)
    if made.size and dtype.itemsize:
        numbers = np.arange(made.size).reshape(shape)
        if dtype.names is None:
            made[...] = numbers if dtype.kind != "V" else b"xy"
        else:
            made[dtype.names[0]] = numbers
    return made


def check_equal(stored, model):
    """The same contents, shape and dtype."""
    assert type(stored) is PersistentArray
    assert stored.shape == model.shape
    assert stored.dtype == model.dtype
    if model.dtype.kind == "V" and model.dtype.names is None:
        assert np.asarray(stored).tobytes() == model.tobytes()
    assert_array_equal(stored, model)
    stored._check()


def fancy(a):
    a[[1, -1, 1]] = np.array([5, 6, 7]).reshape(3, *[1] * (a.ndim - 1))


MUTATORS = {
    "set all": lambda a: a.__setitem__(..., 5),
    "set item": lambda a: a.__setitem__((1,) * a.ndim, 77),
    "set row": lambda a: a.__setitem__(1, np.arange(a.shape[-1]) if a.ndim > 1 else 9),
    "set rows": lambda a: a.__setitem__(slice(1, 3), 8),
    "set stepped": lambda a: a.__setitem__(slice(None, None, 2), 4),
    "set backwards": lambda a: a.__setitem__(slice(None, None, -1), a.copy() + 1),
    "set column": lambda a: a.__setitem__((..., 1), 3),
    "set fancy": fancy,
    "set mask": lambda a: a.__setitem__(np.asarray(a) % 3 == 1, -1),
    "+=": lambda a: operator.iadd(a, 1),
    "*=": lambda a: operator.imul(a, 3),
    "-= itself shifted": lambda a: operator.isub(a, np.asarray(a)[::-1] + 1),
    "fill": lambda a: a.fill(12),
    "sort": lambda a: (a.__setitem__(..., -np.asarray(a)), a.sort(axis=0)),
    "out": lambda a: np.add(a, 5, out=a),
    "at": lambda a: np.add.at(a, ([0, 0, 1],), 5),
}
RESIZING = {
    "append": lambda a: a.append(np.full(a.shape[1:], 3)),
    "append many": lambda a: [a.append(np.full(a.shape[1:], i)) for i in range(40)],
    "extend": lambda a: a.extend(np.ones((5, *a.shape[1:]))),
    "extend by itself": lambda a: a.extend(a),
    "resize": lambda a: a.resize(len(a) + 7),
    "resize down": lambda a: a.resize(2),
    "resize to nothing": lambda a: a.resize(0),
    "resize by shape": lambda a: a.resize((1, *a.shape[1:])),
}


def on_plain(name, model):
    """What is left of a plain ndarray."""
    if name in MUTATORS:
        MUTATORS[name](model)
        return model
    tail = model.shape[1:]
    more = {
        "append": [np.full(tail, 3)],
        "append many": [np.full(tail, i) for i in range(40)],
        "extend": np.ones((5, *tail)),
        "extend by itself": model,
        "resize": np.zeros((7, *tail)),
    }
    if name in more:
        return np.concatenate([model, np.asarray(more[name], model.dtype).reshape(-1, *tail)])
    return model[: {"resize down": 2, "resize to nothing": 0, "resize by shape": 1}[name]]


SHAPES = [(6,), (5, 4), (400, 3), (3, 2, 2)]


@pytest.mark.parametrize("name", [*MUTATORS, *RESIZING])
def test_aborted(pool, reopen, name):
    change = (MUTATORS | RESIZING)[name]
    for dtype in ("i4", "f8"):
        for shape in SHAPES:
            model = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
            a = None
            pool.root = model
            a, used = pool.root, in_use(pool)
            with pool.transaction() as tx:
                change(a)
                assert not np.array_equal(a, model)
                a._check()
                tx.abort()
            check_equal(a, model)
            assert in_use(pool) == used
            with pool.transaction():
                with pool.transaction() as tx:
                    change(a)
                    tx.abort()
                check_equal(a, model)
                a[0] = 9
            model[0] = 9
            change(a)
            model = on_plain(name, model)
            check_equal(a, model)
    report = pool.check()
    assert report.ok and report.unreachable == (0, 0)
    pool = reopen(pool)
    check_equal(pool.root, model)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(pool, reopen, dtype):
    models = [of_dtype(dtype, shape) for shape in ((), (3,), (2, 3), (0, 4), (2, 0))]
    pool.root = models
    for stored, model in zip(pool.root, models, strict=True):
        check_equal(stored, model)
        assert type(pool.to_python(stored)) is np.ndarray
    a = pool.root[1]
    a[0] = a[2]
    models[1][0] = models[1][2]
    a.append(a[1:2].copy()[0])
    models[1] = np.append(models[1], models[1][1:2]).astype(dtype)
    with a.writing(slice(0, 2)) as view:
        view[1] = view[0]
    models[1][1] = models[1][0]
    pool.root[0][...] = models[1][2]
    models[0][...] = models[1][2]
    assert pool.check().ok
    pool = reopen(pool)
    for stored, model in zip(pool.root, models, strict=True):
        check_equal(stored, model)
        assert repr(stored.tolist()) == repr(model.tolist())


def test_dtypes_that_are_refused(pool):
    class Mine(np.ndarray):
        pass

    before = pool._allocated()
    with pytest.raises(TypeError, match=r"references to Python objects.* \(at value\['a'\]\[0\]\)"):
        pool.root = {"a": [np.array([1, None])]}
    with pytest.raises(TypeError, match="references to Python objects"):
        pool.new(PersistentArray, [{}])
    with pytest.raises(TypeError, match="references"):
        pool.new(PersistentArray, shape=3, dtype=[("a", "O")])
    with pytest.raises(TypeError, match=r"Mine cannot be stored"):
        pool.root = np.arange(3).view(Mine)
    with pytest.raises(TypeError, match="MaskedArray cannot be stored"):
        pool.root = np.ma.array([1, 2])
    if hasattr(np.dtypes, "StringDType"):
        with pytest.raises(TypeError, match="references"):
            pool.root = np.array(["a"], np.dtypes.StringDType())
    assert pool._allocated() == before


# --- reading


def test_reading_is_of_the_memory(pool):
    pool.root = np.arange(12.0).reshape(3, 4)
    a = pool.root
    view = np.asarray(a)
    assert type(view) is np.ndarray and not view.flags.owndata and not view.flags.writeable
    assert np.may_share_memory(view, a[1]) and np.may_share_memory(a[:, 2], view.T)
    assert np.may_share_memory(np.asarray(a), np.array(a, copy=None))
    a[1, 2] = 100
    assert view[1, 2] == 100
    for change in (
        lambda: view.__setitem__(0, 1),
        lambda: view.setflags(write=True),
        lambda: a[0].fill(3),
        lambda: a.T.sort(),
        lambda: a.flat.__setitem__(0, 1),
        lambda: np.copyto(view, 1),
    ):
        with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
            change()
    assert np.array(a).flags.writeable and np.array(a).flags.owndata
    assert np.asarray(a, dtype="i4").dtype == "i4"
    assert a.__array__(copy=True).flags.writeable
    with pytest.raises(ValueError, match="copy"):
        a.__array__("i4", copy=False)


def test_as_numpy_does(pool):
    model = np.arange(12.0).reshape(3, 4) + 1
    a = pool.root = model
    a = pool.root
    for use in (
        lambda a: a[1, 2],
        lambda a: a[-1],
        lambda a: a[[0, 2]],
        lambda a: a[a > 3],
        lambda a: a[:, None, ::2],
        lambda a: a[..., 1],
        lambda a: a + 1,
        lambda a: 1 - a,
        lambda a: a * a,
        lambda a: [1, 2, 3, 4] / a,
        lambda a: a // 2,
        lambda a: a % 5,
        lambda a: divmod(a, 3),
        lambda a: divmod(100, a),
        lambda a: a**2,
        lambda a: 2**a,
        lambda a: a @ np.arange(4),
        lambda a: np.arange(3) @ a,
        lambda a: -a,
        lambda a: +a,
        lambda a: abs(-a),
        lambda a: a == 5,
        lambda a: a != a,
        lambda a: a < 4,
        lambda a: np.arange(4) < a,
        lambda a: a <= 3,
        lambda a: np.sin(a),
        lambda a: np.add.reduce(a),
        lambda a: np.multiply.outer(a, a),
        lambda a: np.add.accumulate(a, axis=1),
        lambda a: np.sqrt(a, where=a > 2, out=np.zeros((3, 4))),
        lambda a: np.modf(a),
        lambda a: np.concatenate([a, a]),
        lambda a: np.where(a > 3, a, 0),
        lambda a: np.sum(a),
        lambda a: np.linalg.norm(a),
        lambda a: np.sort(a)[::-1],
        lambda a: a.sum(axis=0),
        lambda a: a.mean(),
        lambda a: a.T,
        lambda a: a.reshape(2, 6),
        lambda a: a.astype("i2"),
        lambda a: a.tolist(),
        lambda a: (*a.shape, a.ndim, a.size, a.nbytes, a.itemsize, len(a)),
        lambda a: a.dtype,
        lambda a: list(a)[1],
        lambda a: next(reversed(a)),
        lambda a: 5 in a,
        lambda a: 500 in a,
        lambda a: a.copy(),
        lambda a: str(a),
        lambda a: [int(a[0, 0]), float(a[1, 1])],
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=1),
        lambda a: (a.astype("i4") << 1, a.astype("i4") & 3, ~a.astype("i4")),
    ):
        ours, theirs = use(a), use(model)
        assert type(ours) is type(theirs)
        assert_array_equal(ours, theirs)
    assert repr(a) == repr(model).replace("array(", "PersistentArray(").replace("\n", "\n" + " " * 10)
    integers = pool.new(PersistentArray, np.arange(5))
    for use in (
        lambda a: a << 2, lambda a: 9 >> a, lambda a: a & 3, lambda a: 6 | a, lambda a: a ^ a, lambda a: ~a,
        lambda a: 1 << a, lambda a: a >> 1, lambda a: 5 & a, lambda a: a | 8, lambda a: 5 ^ a,
    ):  # fmt: skip
        assert_array_equal(use(integers), use(np.arange(5)))
    one = pool.new(PersistentArray, 3)
    assert (bool(one), int(one), float(one), complex(one), range(9)[one]) == (True, 3, 3.0, 3 + 0j, 3)
    assert one.shape == () and one[()] == 3 and f"{one}" == "3"
    with pytest.raises(TypeError, match="unsized"):
        len(one)
    with pytest.raises(TypeError):
        iter(one)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(a)
    with pytest.raises(AttributeError, match="no attribute 'setfield'"):
        a.setfield(1, 2)
    assert "mean" in dir(a) and "append" in dir(a)


def test_numpy_raises(pool):
    pool.root = np.arange(12).reshape(3, 4)
    a, model = pool.root, np.arange(12).reshape(3, 4)
    before = model.copy()
    for use in (
        lambda a: a[3],
        lambda a: a[0, 4],
        lambda a: a[0, 0, 0],
        lambda a: a["x"],
        lambda a: a[1.5],
        lambda a: a.__setitem__(5, 1),
        lambda a: a.__setitem__((1, 9), 1),
        lambda a: a.__setitem__(..., [1, 2, 3]),
        lambda a: a.__setitem__(0, "text"),
        lambda a: a.__setitem__([0, 7], 1),
        lambda a: a.__setitem__([0, 1], np.zeros((3, 4))),
        lambda a: a.__setitem__(np.ones((2, 2), bool), 1),
        lambda a: a.__setitem__(a > 5, [1, 2]),
        lambda a: a.__setitem__((slice(0, 0),), [1, 2, 3]),
        lambda a: operator.iadd(a, 1.5),
        lambda a: operator.iadd(a, np.zeros((2, 2), int)),
        lambda a: np.add(a, 1.5, out=a),
        lambda a: a.sort(axis=5),
        lambda a: a + np.zeros(3),
    ):
        errors = []
        for subject in (a, model):
            with pytest.raises((IndexError, ValueError, TypeError)) as caught:
                use(subject)
            errors.append(type(caught.value))
        assert errors[0] is errors[1]
        assert_array_equal(a, before)
        a._check()


FAILURES = {
    "append wrong shape": (ValueError, lambda a: a.append(np.zeros(3))),
    "append text": (ValueError, lambda a: a.append(["x", "y"])),
    "extend wrong shape": (ValueError, lambda a: a.extend(np.zeros((2, 3)))),
    "extend one": (ValueError, lambda a: a.extend(5)),
    "resize negative": (ValueError, lambda a: a.resize(-1)),
    "resize other axes": (ValueError, lambda a: a.resize((3, 3))),
    "resize by text": (TypeError, lambda a: a.resize("3")),
    "resize too far": (pmemobj.PoolFullError, lambda a: a.resize(1 << 40)),
    "resize much too far": (pmemobj.PoolFullError, lambda a: a.resize(1 << 61)),
    "delete": (ValueError, lambda a: a.__delitem__(0)),
    "writing fancy": (IndexError, lambda a: a.writing([0, 1]).__enter__()),
    "writing nowhere": (IndexError, lambda a: a.writing(17).__enter__()),
    "hash": (TypeError, hash),
    "pickle": (TypeError, pickle.dumps),
    "copy": (TypeError, copy.copy),
    "deepcopy": (TypeError, copy.deepcopy),
    "__init__": (TypeError, lambda a: a.__init__([1])),
}


@pytest.mark.parametrize("inside", [False, True])
def test_failure_changes_nothing(pool, inside):
    model = np.arange(8.0).reshape(4, 2)
    pool.root = model
    a, used = pool.root, in_use(pool)
    for name, (error, function) in FAILURES.items():
        with pool.transaction() if inside else nullcontext(), pytest.raises(error):
            function(a)
        check_equal(a, model)
        assert in_use(pool) == used, name
        assert not pool.in_transaction


def test_new(pool):
    assert_array_equal(pool.new(PersistentArray, [[1, 2], [3, 4]]), [[1, 2], [3, 4]])
    assert pool.new(PersistentArray, [1, 2], "f4").dtype == "f4"
    zeros = pool.new(PersistentArray, shape=(2, 3), dtype="M8[s]")
    assert zeros.shape == (2, 3) and zeros.dtype == "M8[s]"
    assert pool.new(PersistentArray, shape=4).dtype == float
    again = pool.new(PersistentArray, zeros)
    assert again is not zeros and again.shape == (2, 3)
    fortran = np.asfortranarray(np.arange(6).reshape(2, 3))
    check_equal(pool.new(PersistentArray, fortran), fortran.copy(order="C"))
    assert pool.new(PersistentArray).shape == (0,)
    with pytest.raises(TypeError, match="shape"):
        pool.new(PersistentArray, [1], shape=1)
    with pytest.raises(TypeError, match=r"pool\.new"):
        PersistentArray([1])
    with pytest.raises(TypeError):
        len(PersistentArray.__new__(PersistentArray))


def test_stored_arrays_become_these(pool):
    mine = np.arange(5)
    pool.root = {"a": mine, "again": mine, "in": [(1, mine[::2]), np.float64(3)]}
    stored = pool.root["a"]
    assert stored is pool.root["again"]
    mine[0] = 100
    assert_array_equal(stored, np.arange(5))
    assert_array_equal(pool.root["in"][0][1], [0, 2, 4])
    assert type(pool.root["in"][1]) is np.float64
    plain = pool.to_python(pool.root)
    assert type(plain["a"]) is np.ndarray and plain["a"] is plain["again"]
    plain["a"][0] = 7
    assert stored[0] == 0


# --- indices: the same bytes change as in NumPy's


def test_random_indices(pool):
    rng = np.random.default_rng(1)

    def index(n):
        kind = rng.integers(0, 9)
        if kind == 0:
            return int(rng.integers(-n, n))
        if kind == 1:
            return rng.integers(-n, n, rng.integers(0, 5))
        if kind == 2:
            return rng.random(n) < 0.4
        if kind == 3:
            return np.array(rng.integers(-n, n))
        lo, hi = (None if rng.random() < 0.2 else int(rng.integers(-n - 2, n + 3)) for _ in "12")
        return slice(lo, hi, [None, 1, 2, -1, -2][rng.integers(0, 5)])

    for _ in range(400):
        shape = tuple(rng.integers(1, 7, rng.integers(1, 4)))
        model = rng.integers(0, 100, shape)
        key = [index(n) for n in shape[: rng.integers(0, len(shape) + 1)]]
        if rng.random() < 0.3:
            key.insert(rng.integers(0, len(key) + 1), None)
        if rng.random() < 0.3:
            key.append(...)
        key = tuple(key) if len(key) != 1 or rng.random() < 0.5 else key[0]
        pool.root = model
        try:
            there = model[key].shape
        except IndexError:
            with pytest.raises(IndexError):
                pool.root[key] = 1
            continue
        value = rng.integers(100, 200, there) if rng.random() < 0.5 else 250
        pool.root[key] = value
        assert_array_equal(pool.root[key], (np.asarray(pool.root)[key]))
        model[key] = value
        check_equal(pool.root, model)


@pytest.mark.parametrize("count", [6, 5000])
def test_from_its_own_memory(pool, count):
    """What is assigned overlaps where it goes."""
    model = np.arange(count)
    pool.root = model
    a = pool.root
    for to, source in ((slice(1, None), slice(-1)), (slice(-3), slice(3, None)), (slice(9, None), slice(-9))):
        if count > 9 or to.start != 9:
            a[to] = a[source]
            model[to] = model[source].copy()
            check_equal(a, model)


def test_fields(pool, reopen):
    model = of_dtype(POINT, (6,))
    pool.root = model
    a = pool.root
    for change in (
        lambda a: a.__setitem__("name", ["x", "yy", "zzz", "a", "b", "c"]),
        lambda a: a["name"].__len__() and a.__setitem__((2,), ("new", [1, 2], (True, 5))),
        lambda a: a.__setitem__("at", [[1, 2]]),
        lambda a: a.__setitem__(["name", "inner"], a[["name", "inner"]][::-1].copy()),
    ):
        change(a)
        change(model)
        check_equal(a, model)
    with a.writing("at") as view:
        view[:, 1] = 9
    model["at"][:, 1] = 9
    item = a[3]
    with pytest.raises(BufferError):
        a.append(item)  # a structure is a view, as with NumPy
    copied = item.copy()
    del item
    a.append(copied)
    pool = reopen(pool)
    check_equal(pool.root, np.append(model, model[3:4]))


def test_padding_is_zero(pool):
    """What no field holds is not what happened to lie in memory."""
    pool.root = np.zeros(40, ALIGNED)
    structures = pool.root
    for _ in range(5):
        structures[...] = (1, 2.0)
        structures[3:9] = [(i, i) for i in range(6)]
        junk = np.full(4000, 255, "u1")
        del junk
    assert not np.asarray(structures).view("u1").reshape(40, 16)[:, 1:8].any()


def test_many_scattered_items(pool, reopen):
    model = np.arange(200_000)
    pool.root = model
    a = pool.root
    rng = np.random.default_rng(5)
    for count in (3, 200, 5000):
        where = rng.integers(0, len(model), count)
        values = rng.integers(0, 1000, count)
        a[where] = values
        model[where] = values
        check_equal(a, model)
    pool = reopen(pool)
    check_equal(pool.root, model)


@pytest.mark.parametrize("count", [400_000, 1_000_003])
def test_large(pool, reopen, count):
    """Such changes go to another block, and past the journal."""
    model = np.arange(count, dtype="f8")
    pool.root = model
    a = pool.root
    for change in (
        lambda a: a.__setitem__(..., np.arange(count) * 2.0),
        lambda a: operator.iadd(a, 1),
        lambda a: a.__setitem__(slice(10, 60_000), 5),
        lambda a: a.__setitem__(slice(1, None, 2), 6),
    ):
        change(a)
        change(model)
        check_equal(a, model)
    with pool.transaction() as tx:
        a[...] = 0
        a.resize(count * 2)
        a[5:9] = 1
        tx.abort()
    check_equal(a, model)
    view = np.asarray(a)
    a[...] = model * 3
    assert_array_equal(view, model * 3)
    del view
    pool = reopen(pool)
    check_equal(pool.root, model * 3)
    assert pool.check().ok


# --- memory in use


def test_views_keep_size_and_pool(pool):
    pool.root = np.arange(20).reshape(10, 2)
    a = pool.root
    holders = (
        lambda: np.asarray(a),
        lambda: a[2:4],
        lambda: a[3],
        lambda: a.T,
        lambda: a.reshape(-1)[::3],
        lambda: memoryview(np.asarray(a)),
        lambda: iter(a),
        lambda: a.flat,
        lambda: np.frombuffer(np.asarray(a), "u1"),
    )
    for make in holders:
        held = make()
        for name in RESIZING:
            if name == "append many":
                continue
            with pytest.raises(BufferError):
                RESIZING[name](a)
        for function in (pool.close, lambda: pool.resize(1 << 30)):
            with pytest.raises(BufferError):
                function()
        a[1] = [5, 6]
        a += 1
        del held
        a.append([1, 2])
        a.resize(10)
    for none in (a[1, 1], a[[1, 2]], a + 1, a.sum(), a.copy(), a.tolist(), str(a), repr(a), a == 1, a[a > 1]):
        a.append([1, 2])
        a.resize(10)
        del none
    pool.close()


def test_a_view_keeps_what_is_removed(pool):
    pool.root = [np.arange(5000)]
    used = in_use(pool)
    view = pool.root[0][10:]
    pool.root.clear()
    for i in range(20):
        pool.root.append(np.full(5000, i))
    assert_array_equal(view, np.arange(10, 5000))
    pool.root = None
    del view
    assert in_use(pool) < used
    assert pool._limbo() == 0


def test_what_a_view_shows(pool):
    pool.root = np.zeros(1000)
    a = pool.root
    view = np.asarray(a)
    with pool.transaction() as tx:
        a[3:700] = 4
        assert view[3] == 4
        with pool.transaction() as inner:
            a += 1
            assert view[0] == 1
            inner.abort()
        assert view[3] == 4 and view[0] == 0
        tx.abort()
    assert not view.any()
    a[0] = 3
    assert view[0] == 3


def test_a_view_of_what_is_undone_does_no_harm(pool):
    with pool.transaction() as tx:
        a = pool.new(PersistentArray, np.arange(3000))
        view = np.asarray(a)
        tx.abort()
    assert view.sum() is not None
    for use in (lambda: a[0], lambda: np.asarray(a), lambda: a.append(1), lambda: a + 1, lambda: a.shape):
        with pytest.raises(pmemobj.StaleObjectError):
            use()
    del view
    pool.root = np.arange(3000)
    assert pool.check().ok


def test_single_items_after_all_that_moves(pool, reopen):
    """They are read through an ndarray that is kept; it must not outlive what it shows."""
    pool.root = [np.arange(10), np.arange(10.0).reshape(5, 2)]
    a, b = pool.root
    assert (a[3], b[4, 1], a[-1]) == (3, 9, 9)
    for i in range(300):
        a.append(i)
        assert a[9 + i] == (i - 1 if i else 9) and a[-1] == i and type(a[3]) is np.int64
    with pool.transaction() as tx:
        a.resize(100_000)
        assert a[99_999] == 0
        tx.abort()
    assert a[3] == 3
    with pytest.raises(IndexError):
        a[310]
    with pytest.raises(IndexError):
        b[5, 0]
    pool.resize(1 << 29) if pool.engine == "journal" else None
    assert (a[3], b[4, 1]) == (3, 9)
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError):
        a[3]


def test_in_a_child(pool):
    pool.root = np.arange(50_000)
    view = pool.root[5:]
    child = os.fork()
    if child == 0:
        try:
            assert view.sum() == sum(range(5, 50_000))
            with pytest.raises(pmemobj.ForkedPoolError):
                pool.root  # noqa: B018
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    del view


EXIT = """
import sys
import numpy as np
import pmemobj
pool = pmemobj.open(sys.argv[1], sync="manual")
pool.root = np.arange(100_000)
view = pool.root[5:]
"""


def test_at_exit(pool_path):
    done = subprocess.run(
        [sys.executable, "-c", EXIT, pool_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with pmemobj.open(pool_path) as pool:
        assert pool.recovery is None
        assert_array_equal(pool.root, np.arange(100_000))


NO_NUMPY = """
import sys
sys.modules["numpy"] = None
import pmemobj
with pmemobj.open(sys.argv[1]) as pool:
    a = pool.root[0]
    try:
        a[0]
    except ImportError as error:
        print(error)
    pool.root.append(a)
    assert pool.check().ok
    pool.gc()
"""


def test_without_numpy(pool, pool_path):
    pool.root = [np.arange(5)]
    pool.close()
    done = subprocess.run(
        [sys.executable, "-c", NO_NUMPY, pool_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "pmemobj[arrays]" in done.stdout
    lazy = "import sys, pmemobj; assert 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", lazy], check=False).returncode == 0


# --- writing()


def test_writing(pool):
    model = np.arange(30).reshape(6, 5)
    pool.root = model
    a = pool.root
    for key in (
        ...,
        2,
        slice(1, 4),
        (slice(None), 3),
        np.s_[::2, ::-2],
        np.s_[None, 1:3],
        (),
        (3, 4),
        np.s_[2:2],
    ):
        with a.writing(key) as view:
            assert view.flags.writeable
            assert_array_equal(view, model[key])
            view += 100
            assert_array_equal(a, model)
            with pytest.raises(BufferError):
                a.append(np.zeros(5))
        part = model[(*key, ...) if isinstance(key, tuple) else (key, ...)] if key is not ... else model
        part += 100
        check_equal(a, model)
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0
    with pytest.raises(ZeroDivisionError), a.writing() as view:
        view[...] = 0
        raise ZeroDivisionError
    check_equal(a, model)
    with pool.transaction() as tx:
        with a.writing(1) as view:
            view[:] = 0
        assert not a[1].any()
        tx.abort()
    check_equal(a, model)
    with a.writing(slice(0, 2)) as one, a.writing(slice(2, 4)) as other:
        one[...] = 1
        other[...] = 2
        kept = one[0]
    model[:2], model[2:4] = 1, 2
    kept[...] = 50
    check_equal(a, model)


# --- ufuncs that fill


def test_out(pool):
    pool.root = [np.arange(6.0), np.zeros(6), np.zeros(6)]
    a, b, c = pool.root
    assert np.multiply(a, 2, out=b) is b
    assert_array_equal(b, np.arange(6) * 2)
    np.add(a, 1, out=b, where=np.asarray(a) > 3)
    assert_array_equal(b, [0, 2, 4, 6, 5, 6])
    result = np.modf(a / 2, out=(b, c))
    assert result[0] is b and result[1] is c
    assert_array_equal(c, np.arange(6) // 2)
    plain = np.zeros(6)
    assert np.add(a, 1, out=plain) is plain and plain[5] == 6
    plain += a
    assert plain[5] == 11
    np.add.at(a, [0, 0], b[1])
    assert a[0] == 1
    np.add.at(plain, [0], a[:1])
    with pytest.raises(TypeError), pool.transaction():
        np.modf(a, out=(b, pool.new(PersistentArray, shape=6, dtype=int)))
    assert_array_equal(c, np.arange(6) // 2)
    before = b.copy()
    with pytest.raises(ValueError):
        np.add(a, np.zeros((2, 6)), out=b)
    assert_array_equal(b, before)


# --- user code in the middle


class Evil:
    def __init__(self, action):
        self.action = action

    def __index__(self):
        self.action()
        return 1

    def __float__(self):
        self.action()
        return 1.0

    def __array__(self, dtype=None, copy=None):
        self.action()
        return np.ones(4)


USES = [
    lambda a, evil: a[evil],
    lambda a, evil: a[evil:],
    lambda a, evil: a.__setitem__(evil, 1),
    lambda a, evil: a.__setitem__(slice(evil, None), 1),
    lambda a, evil: a.__setitem__(slice(evil, None, evil), evil),
    lambda a, evil: a.__setitem__([evil, 0], 1),
    lambda a, evil: a.__setitem__(0, evil),
    lambda a, evil: a.__setitem__(..., evil),
    lambda a, evil: a.__setitem__([0, 1], evil),
    lambda a, evil: a.__setitem__(np.asarray(a) > 3, evil),
    lambda a, evil: operator.iadd(a, evil),
    lambda a, evil: a + evil,
    lambda a, evil: np.add(a, evil, out=a),
    lambda a, evil: np.add.at(a, [0], evil),
    lambda a, evil: a.append(evil),
    lambda a, evil: a.extend(evil),
    lambda a, evil: a.extend([[evil] * 4]),
    lambda a, evil: a.resize(evil),
    lambda a, evil: a.fill(evil),
    lambda a, evil: a.writing(slice(evil, None)).__enter__(),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("what", ["resize", "shrink", "close", "delete", "raise", "set", "abort"])
def test_user_code(pool, pool_path, what):
    def fail():
        raise ZeroDivisionError

    allowed = (
        ValueError, IndexError, TypeError, BufferError, ZeroDivisionError, RuntimeError, pmemobj.PmemobjError,
    )  # fmt: skip
    for number, use in enumerate(USES):
        pool.root = np.arange(20_000.0).reshape(5000, 4)
        a = pool.root
        actions = {
            "resize": partial(a.resize, 9000),
            "shrink": partial(a.resize, 2),
            "close": pool.close,
            "delete": partial(setattr, pool, "root", None),
            "raise": fail,
            "set": partial(a.__setitem__, slice(100, 4000), -1),
        }
        tx = pool.transaction()
        with contextlib.suppress(*allowed):
            if what == "abort":
                with tx:
                    a.resize(6000)
                    a[...] = 3
                    use(a, Evil(tx.abort))
            else:
                use(a, Evil(actions[what]))
        if pool.closed:
            pool = pmemobj.open(pool_path, sync="manual")
            continue
        if pool.in_transaction:  # of the writing() that is never left
            assert number == len(USES) - 1
            pool._abandon()
        a._check()
        assert np.asarray(a).size == a.size
        a = actions = None
        gc.collect()
    assert pool.check().ok
    pool.close()


# --- readers, copies, garbage


@pytest.mark.journal_engine("a reader beside a writer")
def test_readers(pool, pool_path):
    pool.root = np.arange(5000)
    a = pool.root
    with pmemobj.open(pool_path, "r") as reader:
        seen = reader.root
        view = seen[10:]
        a += 1
        a.append(7)
        assert view[0] == 10 and seen.shape == (5000,) and seen[0] == 0
        with pytest.raises(BufferError, match="refresh"):
            reader.refresh()
        for change in (
            lambda: seen.__setitem__(0, 1), lambda: operator.iadd(seen, 1), lambda: seen.__setitem__([0, 1], 1),
            lambda: seen.writing().__enter__(),
        ):  # fmt: skip
            with pytest.raises(pmemobj.ReadOnlyPoolError):
                change()
        del view
        with pytest.raises(pmemobj.ReadOnlyPoolError):
            seen.append(1)
        assert reader.refresh()
        assert seen.shape == (5001,) and seen[0] == 1 and seen[5000] == 7
        assert reader.check().ok


def test_copies_of_the_pool(pool, tmp_path):
    models = [np.arange(70_000.0).reshape(-1, 7), of_dtype(POINT, (3,)), np.zeros((0, 2)), np.array("x")]
    pool.root = models
    pool.root[0].resize(2000)
    models[0] = models[0][:2000]
    pool.compact(tmp_path / "compact")
    pool.backup(tmp_path / "backup")
    assert pmemobj.repair(tmp_path / "backup", tmp_path / "repaired").ok
    for name in ("compact", "backup", "repaired"):
        with pmemobj.open(tmp_path / name, "r") as copied:
            for stored, model in zip(copied.root, models, strict=True):
                check_equal(stored, model)
            assert copied.check().ok
            del stored


def test_garbage(pool):
    pool.root = [[np.arange(3000)]]
    inner = pool.root[0]
    inner.append(inner)
    used = in_use(pool)
    del inner
    pool.root.clear()
    assert pool.gc().objects == 2
    assert in_use(pool) < used - 3000
    a = pool.new(PersistentArray, shape=10)
    gone = weakref.ref(a)
    del a
    gc.collect()
    assert gone() is None
    assert pool._limbo() == 0
    assert pool.check().ok


ROW, ROWS_WORD, SHAPE, DTYPE = 64, 72, 80, 88  # of an array
SIZE, CAP, DATA = 32, 48, 56


@pytest.mark.parametrize("field", [ROW, SHAPE, DTYPE, SIZE, CAP, DATA])
def test_damage(pool, pool_path, field):
    """Nothing that the head of an array may say ends the program; check() tells."""
    pool.root = np.arange(900).reshape(300, 3)
    at = pmemobj._core.object_at(pool.root)
    pool.close()
    with open(pool_path, "r+b") as file:
        file.seek(at + field)
        before = int.from_bytes(file.read(8), "little")
        for value in (0, 1, before + 1, before - 1, before ^ 1 << 20, 1 << 62, 3 << 48, before | 9 << 48):
            if value == before:
                continue
            file.seek(at + field)
            file.write(value.to_bytes(8, "little"))
            file.flush()
            with pmemobj.open(pool_path, "r") as damaged:
                a = damaged.root
                for use in (
                    lambda a: a[0], lambda a: a[0, 0], lambda a: np.asarray(a).sum(), lambda a: a.shape, repr, len,
                    lambda a: a.nbytes, lambda a: a.dtype, lambda a: a + 1, lambda a: a.tolist(),
                ):  # fmt: skip
                    with contextlib.suppress(pmemobj.PoolDamagedError, IndexError, TypeError):
                        use(a)
                damaged.check()
                a = None
