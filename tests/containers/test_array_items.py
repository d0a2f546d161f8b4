"""Items, rows and slices of PersistentArray that are stored without an ndarray of the pool's memory: as NumPy would."""

import operator
import threading

import numpy as np
import pytest
from array_support import DTYPES, POINT, check_equal, of_dtype
from list_support import in_use
from numpy.testing import assert_array_equal

import pmemobj
from pmemobj import PersistentArray

SCALARS = [
    *(
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        255,
        256,
        2**15,
        2**31,
        -(2**31) - 1,
        2**32,
        2**53,
        2**53 + 1,
        2**63 - 1,
    ),
    *(
        -(2**63),
        2**63,
        2**64 - 1,
        2**64,
        10**400,
        True,
        False,
        0.0,
        -0.0,
        1.5,
        -1.5,
        0.1,
        3.5e38,
        1e300,
        1e-320,
    ),
    *(float("inf"), float("nan"), 1j, "7", "ä", b"8", None, [], [1], [1, 2, 3], (4, 5, 6), {}),
    *(np.dtype(code).type(3) for code in "?bBhHiIlLqQefdgFDG"),
    *(np.float64("nan"), np.float64(1e300), np.int8(-3), np.uint64(2**64 - 1), np.str_("9"), np.bytes_(b"9")),
    *(np.datetime64("2020-01-01"), np.timedelta64(5, "s"), np.array(6), np.array([7]), np.array(6.5)),
]
KEYS = [
    0,
    1,
    -1,
    2,
    -3,
    99,
    -99,
    2**70,
    (0,),
    (1, 2),
    (-2, -1),
    (0, 3),
    (-4, 0),
    (1, 2, 3),
    (1, ...),
    (),
    ...,
]
KEYS += [
    slice(None),
    slice(1, 3),
    slice(-2, None),
    slice(2, 1),
    slice(0, 99),
    slice(0, 2, 1),
    slice(None, None, -1),
]
KEYS += [
    (slice(None), 1),
    (slice(None, None, 2), slice(None, None, -2)),
    (None, 1),
    slice(2**70),
    np.int64(1),
    None,
    True,
    1.0,
    "a",
]


def outcome(a, key, value):
    """What is raised, if anything.  NumPy may have stored something then; ours has not."""
    before = a.copy()
    try:
        a[key] = value
    except (ValueError, TypeError, IndexError, OverflowError, RuntimeError, Warning) as error:
        if type(a) is np.ndarray:
            a[...] = before
        return ValueError if a.dtype.names and type(error) is TypeError else type(error)
    return None


def check_same(stored, model):
    """Bit by bit, but for bits that no number has."""
    if model.dtype.char in "gG" or model.dtype.names:
        check_equal(stored, model)
    else:
        assert np.asarray(stored).tobytes() == model.tobytes()


def test_each_value_at_one_item(pool):
    for dtype in DTYPES:
        for shape, key in (((3,), 1), ((), ...), ((3, 2), (1, 1))):
            model = of_dtype(dtype, shape)
            pool.root = model
            a = pool.root
            for value in SCALARS:
                assert outcome(a, key, value) == outcome(model, key, value), (dtype, value)
                check_same(a, model)


@pytest.mark.parametrize("shape", [(4, 3), (5,), (3, 2, 4), (0, 3), (3, 0), (600, 3)], ids=str)
def test_each_key(pool, shape):
    for dtype in ("i2", "f8", "f4", ">i4", "U3", "M8[s]", "c16", "?", POINT):
        model = of_dtype(dtype, shape)
        pool.root = model
        a = pool.root
        used = in_use(pool)
        for key in KEYS:
            try:
                part = np.asarray(model[key])
            except (IndexError, TypeError, ValueError):
                part = model[:1]
            one = model.ravel()[-1] if model.size else 1
            values = [one, 5, 2.0, part.copy(), part.T[::-1].T if part.ndim else part, part.tolist()]
            values += [np.asfortranarray(part), np.repeat(part[..., None], 2)]
            if np.dtype(dtype).kind in "if":
                values.append(part.astype("f8"))
            for value in values:
                assert outcome(a, key, value) == outcome(model, key, value), (dtype, key, value)
                check_same(a, model)
        assert in_use(pool) == used
    assert pool.check().ok


def test_rows_of_its_own_and_of_others(pool):
    model = np.arange(40.0).reshape(10, 4)
    pool.root = [model, model + 100]
    a, b = pool.root
    for to, source in ((3, 4), (0, 9), (slice(0, 5), slice(1, 6)), (slice(2, 9), slice(0, 7))):
        a[to] = a[source]
        model[to] = model[source].copy()
        check_equal(a, model)
        a[to] = b[source]
        model[to] = np.asarray(b)[source]
        check_equal(a, model)
    a[...] = b
    check_equal(a, np.asarray(b))


@pytest.mark.parametrize("shape", [(6,), (2000,), (40, 3), (3, 700)], ids=str)
def test_spread_parts(pool, reopen, shape):
    """Word by word and line by line; undone, too."""
    model = np.arange(np.prod(shape)).reshape(shape)
    keys = [
        np.s_[::2],
        np.s_[::-1],
        np.s_[1::3],
        np.s_[..., 1],
        np.s_[..., ::2],
        np.s_[1:, ::-2],
        np.s_[::2, None, 1:],
    ]
    for key in keys[: 5 if model.ndim == 1 else 7]:
        pool.root = model
        a = pool.root
        with pool.transaction() as tx:
            a[key] = -7
            with pool.transaction() as inner:
                a[key] = 8
                inner.abort()
            changed = model.copy()
            changed[key] = -7
            check_equal(a, changed)
            tx.abort()
        check_equal(a, model)
        changed[key] = np.arange(changed[key].size).reshape(changed[key].shape)
        a[key] = changed[key]
        check_equal(a, changed)
    a = None
    pool = reopen(pool)
    check_equal(pool.root, changed)


def test_an_item_in_a_transaction(pool, reopen):
    model = np.arange(20, dtype="i2")
    pool.root = model
    a = pool.root
    with pool.transaction() as tx:
        for i in range(20):
            a[i] = i * 3
        tx.abort()
    check_equal(a, model)
    with pool.transaction():
        a[3] = 7
        with pool.transaction() as inner:
            a[3] = a[4] = 8
            a += 1
            inner.abort()
        assert (a[3], a[4]) == (7, 4)
        a[2:5] = 9
    model[2:5] = 9
    a = None
    pool = reopen(pool)
    check_equal(pool.root, model)


def test_where_nothing_can_be_changed(pool, pool_path):
    pool.root = np.arange(5.0)
    pool.close()
    with pmemobj.open(pool_path, "r") as readonly:
        a = readonly.root
        for change in (
            lambda: operator.setitem(a, 1, 5.0),
            lambda: operator.setitem(a, slice(1, 3), 5),
            lambda: operator.setitem(a, slice(1, 3), np.ones(2)),
            lambda: operator.setitem(a, slice(None, None, 2), 1),
            lambda: operator.iadd(a, 1),
        ):
            with pytest.raises(pmemobj.ReadOnlyPoolError):
                change()
        assert a.tolist() == [0, 1, 2, 3, 4]
    for change in (lambda: operator.setitem(a, 1, 5.0), lambda: operator.iadd(a, 1)):
        with pytest.raises(pmemobj.PoolClosedError):
            change()
    with pytest.raises(TypeError, match="not created by"):
        PersistentArray.__new__(PersistentArray)[0] = 1


@pytest.mark.parametrize(
    "key", [5000, slice(4000, 5000), slice(0, None, 2), (slice(None, None, -1), 1)], ids=str
)
def test_what_is_stored_to_is_undone_meanwhile(pool, key):
    class Aborts:
        def __float__(self):
            tx.abort()
            return 1.0

    pool.root = np.zeros((3, 2))
    a = pool.root
    tx = pool.transaction()
    tx.begin()
    a.resize(6000)
    with pytest.raises(RuntimeError, match="changed while something was being stored"):
        a[key] = Aborts() if isinstance(key, tuple) else [Aborts(), 2.0]
    assert not pool.in_transaction
    check_equal(a, np.zeros((3, 2)))
    assert pool.check().ok


# --- in-place operators of few items


@pytest.mark.parametrize("dtype", ["i4", "f8", "u1", "?", "c16", "M8[s]", "U3"])
def test_in_place(pool, dtype):
    for function in (operator.iadd, operator.imul, operator.ifloordiv, operator.ipow):
        for shape in ((), (1,), (5,), (30, 4), (0,), (700, 3)):
            model = of_dtype(dtype, shape)
            pool.root = model
            a = pool.root
            for other in (
                2,
                2.5,
                1j,
                True,
                np.float32(3),
                np.ones(shape),
                np.ones((4,)),
                [1] * 5,
                "x",
                None,
                300,
            ):
                results = []
                for subject in (a, model):
                    try:
                        with np.errstate(all="ignore"):
                            function(subject, other)
                        results.append(None)
                    except (TypeError, ValueError, OverflowError) as error:
                        results.append(type(error))
                assert results[0] == results[1], (function, shape, other)
                check_same(a, model)


def test_changed_by_an_error_handler(pool):
    """NumPy calls it in the middle: what it changes is not lost."""
    pool.root = np.array([8.0, 1.0, 4.0])
    a = pool.root
    calls = []

    def handler(kind, flag):
        calls.append(kind)
        a[0] = 100.0

    before = np.seterrcall(handler)
    try:
        with np.errstate(divide="call"):
            a /= np.array([2.0, 0.0, 2.0])
    finally:
        np.seterrcall(before)
    assert calls
    assert a.tolist() == [50, float("inf"), 2]


@pytest.mark.parametrize("count", [10, 2000])
def test_in_place_by_threads(pool, count):
    pool.root = np.zeros(count)
    a = pool.root

    def work():
        here = pool.root
        for _ in range(300):
            here += 1
            here[3] += 0

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    a = np.asarray(a).copy()
    a[3] = a[0]  # an item that is read and stored again is no atomic change
    assert_array_equal(a, np.full(count, 900.0))
