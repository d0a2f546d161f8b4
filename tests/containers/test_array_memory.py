"""The memory of a PersistentArray while others look at it: views, children, exit, readers, copies, garbage, damage."""

import contextlib
import gc
import operator
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from array_support import POINT, RESIZING, check_equal, of_dtype
from list_support import check_freed_with_a_cycle, in_use
from numpy.testing import assert_array_equal

import pmemobj
from pmemobj import PersistentArray, _core

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
    check_freed_with_a_cycle(pool, np.arange(3000), 3000)
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


def replace_array(pool, number):
    if number == 0:
        pool.root = np.zeros(1 << 20)
    pool.root[...] = np.full(1 << 20, number)
    assert pool.root[0] == pool.root[-1] == number


def replace_bytes(pool, number):
    new = bytes([number]) * (8 << 20)
    pool.root = new
    assert pool.root == new


@pytest.mark.journal_engine("of the direct engine no block goes past a journal")
@pytest.mark.parametrize("replace", [replace_array, replace_bytes])
def test_replaced_without_a_wait(pool_path, replace):
    """The header of a block is journalled with the line that it shares with the block's first bytes; nevertheless a
    block that has been in use before is written without a checkpoint first."""
    _core._faults_install()
    try:
        with pmemobj.open(pool_path, max_size=1 << 28, sync="manual") as pool:
            replace(pool, 0)
            for number in range(1, 8):
                pool.sync()
                before = _core._faults_counts()
                replace(pool, number)
                after = _core._faults_counts()
                assert after["pwrite"] > before["pwrite"], "it was not written past the journal"
                syncs = {name: after[name] - before[name] for name in ("fdatasync", "msync")}
                assert syncs == {"fdatasync": 0, "msync": 0}, number
    finally:
        _core._faults_remove()
