"""PersistentArray: as NumPy's, but for what is undone, refused, or changed in the middle."""

import contextlib
import gc
import operator
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
from array_support import ALIGNED, DTYPES, POINT, RESIZING, check_equal, of_dtype
from list_support import in_use
from numpy.testing import assert_array_equal

import pmemobj
from pmemobj import PersistentArray


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
    with pytest.raises(TypeError, match="expected str"):
        one.__format__(3)
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
    lambda a, evil: a.__setitem__((0, 1), evil),
    lambda a, evil: a.__setitem__((slice(None, None, 2), 1), evil),
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
