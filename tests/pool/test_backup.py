"""pool.backup(): a complete copy while the pool is in use, or nothing."""

import contextlib
import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest
from pool_files import journal_of, pmempool_check, run_until_killed, run_with_mounts

import pmemobj
from pmemobj import backup as module

SIZE = 256 << 20


@pytest.fixture
def filled(pool):
    pool.root = {
        "list": list(range(1000)),
        "texts": {f"key {i}": "x" * i for i in range(500)},
        "big": list(range(300_000)),
    }
    return pool


@pytest.fixture
def copy(tmp_path):
    return tmp_path / "copy.pool"


def is_complete(path, contents):
    """A clean pool, for libpmemobj too, that holds this and takes changes."""
    pmempool_check(path)
    assert not journal_of(path).exists()
    with pmemobj.open(path, "w", sync="manual") as pool:
        assert pool.recovery is None
        assert pool.to_python(pool.root) == contents
        assert pool.check().ok
        pool.root["new"] = ["in the copy"]
    pmempool_check(path)


def names(directory):
    return sorted(os.listdir(directory))


def test_of_a_pool_that_is_open(filled, copy):
    contents = filled.to_python(filled.root)
    filled.backup(copy)
    filled.root["later"] = 1
    is_complete(copy, contents)
    assert "new" not in filled.root
    for at in 24, 40:  # libpmemobj's, of the pool and of the file
        assert copy.read_bytes()[at : at + 16] != Path(filled.path).read_bytes()[at : at + 16]
    with pmemobj.open(copy) as other:
        assert other.uuid != filled.uuid
        other.root["both are open"] = filled.to_python(filled.root["list"])
    assert filled.check().ok


@pytest.mark.journal_engine("a snapshot beside a writer")
def test_of_a_snapshot(filled, copy, pool_path):
    contents = filled.to_python(filled.root)
    with pmemobj.open(pool_path, "r") as snapshot:
        filled.root["later"] = "x" * 1000
        filled.root["big"] = None
        snapshot.backup(copy)
        assert snapshot.root == contents
    is_complete(copy, contents)


def test_of_a_closed_and_of_a_killed_pool(tmp_path, copy):
    path = tmp_path / "pool"
    run_until_killed(
        "pool = pmemobj.open(path, max_size=64 << 20); pool.root = {'a': ['text ' * 9]}; die()", path
    )
    before = path.read_bytes()
    with pmemobj.open(path, "r") as snapshot:
        snapshot.backup(copy)
    assert path.read_bytes() == before
    is_complete(copy, {"a": ["text " * 9]})


@pytest.mark.parametrize("sync", ["commit", "interval", "manual"])
def test_as_often_as_one_likes(pool_path, tmp_path, sync):
    """Copies of copies, each with an identity of its own."""
    uuids, path = set(), pool_path
    for i in range(4):
        with pmemobj.open(path, max_size=SIZE, sync=sync) as pool:
            if i == 0:
                pool.root = {}
            pool.root[i] = f"the value of round number {i}"
            uuids.add(pool.uuid)
            pool.backup(tmp_path / f"copy {i}")
        path = tmp_path / f"copy {i}"
    is_complete(path, {i: f"the value of round number {i}" for i in range(4)})
    assert len(uuids) == 4


def test_it_stays_sparse(filled, copy, pool_path):
    filled.backup(copy)
    assert os.stat(copy).st_size == os.stat(pool_path).st_size
    assert os.stat(copy).st_blocks <= (filled._allocated()[1] + (4 << 20)) // 512


def test_permissions_are_those_of_the_pool(tmp_path, copy):
    with pmemobj.open(tmp_path / "pool", max_size=SIZE, mode=0o640) as pool:
        pool.backup(copy)
        assert os.stat(copy).st_mode == os.stat(tmp_path / "pool").st_mode


# --- while the pool is in use


def test_under_load(pool_path, tmp_path):
    """Transfers go on, with checkpoints; each copy has the same sum, and is no older than when it was begun."""
    stop, failures, begun = threading.Event(), [], 0
    with pmemobj.open(pool_path, max_size=SIZE) as pool:
        pool.root = {"accounts": [100] * 100, "count": 0, "texts": {}}

        def work():
            try:
                number = 0
                while not stop.is_set():
                    with pool.transaction():
                        accounts = pool.root["accounts"]
                        accounts[number % 100] -= 7
                        accounts[number * 31 % 100] += 7
                        pool.root["texts"][f"key {number % 500}"] = "x" * (number % 3000)
                        pool.root["count"] += 1
                    number += 1
                    if number % 200 == 0:
                        with contextlib.suppress(pmemobj.PoolBusyError):
                            pool.checkpoint()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        for i in range(8):
            begun = pool.root["count"]
            pool.backup(tmp_path / f"copy {i}")
            with pmemobj.open(tmp_path / f"copy {i}") as copy:
                assert sum(copy.root["accounts"]) == 10_000
                assert copy.root["count"] >= begun
                assert copy.check().ok
            pmempool_check(tmp_path / f"copy {i}")
        stop.set()
        thread.join()
        assert not failures, failures
        assert pool.root["count"] > begun
        assert pool.check().ok


@pytest.mark.journal_engine("a snapshot beside a writer")
def test_another_threads_transaction_is_not_waited_for(pool, copy):
    pool.root = {"a": 1}
    inside, done = threading.Event(), threading.Event()

    def work():
        with pool.transaction():
            pool.root["a"] = 2
            inside.set()
            done.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    with pmemobj.open(pool.path, "r") as snapshot:
        snapshot.backup(copy)
    done.set()
    thread.join()
    is_complete(copy, {"a": 1})


def test_inside_a_transaction(pool, copy):
    with (
        pool.transaction(),
        pytest.raises(pmemobj.TransactionError, match=r"backup\(\) inside a transaction"),
    ):
        pool.backup(copy)
    assert not copy.exists()


@pytest.mark.journal_engine("a snapshot beside a writer")
def test_snapshot_that_is_refreshed_or_closed_meanwhile(filled, copy, pool_path, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 100_000)
    with pmemobj.open(pool_path, "r") as snapshot:
        with pytest.raises(pmemobj.PoolBusyError, match=r"being copied by backup\(\)"):
            snapshot.backup(copy, lambda done, total: snapshot.refresh())
        snapshot.refresh()
        with pytest.raises(pmemobj.PoolClosedError):
            snapshot.backup(copy, lambda done, total: snapshot.close())
    assert names(copy.parent) == ["test.pool", "test.pool-journal"]


# --- progress


def test_progress(filled, copy, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 100_000)
    calls = []
    filled.backup(copy, lambda done, total: calls.append((done, total)))
    assert len(calls) > 10
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1][0] == calls[-1][1]
    assert all(0 <= done <= total for done, total in calls)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_in_progress_cancels(filled, copy, monkeypatch, error):
    monkeypatch.setattr(module, "SLICE", 100_000)
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == 3:
            raise error("enough")

    before = names(copy.parent)
    with pytest.raises(error, match="enough"):
        filled.backup(copy, progress=progress)
    assert names(copy.parent) == before
    filled.backup(copy)
    assert copy.exists()


# --- where it goes


def test_existing_file(filled, copy):
    copy.write_text("precious")
    with pytest.raises(FileExistsError, match="there is a file already; use overwrite=True"):
        filled.backup(copy)
    assert copy.read_text() == "precious"
    filled.backup(copy, overwrite=True)
    is_complete(copy, filled.to_python(filled.root))


def test_file_that_appears_meanwhile(filled, copy):
    with pytest.raises(FileExistsError):
        filled.backup(copy, lambda done, total: copy.write_text("precious"))
    assert copy.read_text() == "precious"
    assert names(copy.parent) == ["copy.pool", "test.pool", "test.pool-journal"]


def test_onto_itself_or_onto_an_open_pool(filled, copy, pool_path, tmp_path):
    os.symlink(pool_path, tmp_path / "link")
    os.link(pool_path, tmp_path / "other name")
    for target in pool_path, tmp_path / "link", tmp_path / "other name":
        with pytest.raises(ValueError, match="this is the pool itself"):
            filled.backup(target, overwrite=True)
    with pmemobj.open(copy, max_size=SIZE), pytest.raises(FileExistsError, match="a journal is there"):
        filled.backup(copy, overwrite=True)
    filled.backup(copy, overwrite=True)


def test_into_a_directory_that_is_not_there(filled, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        filled.backup(tmp_path / "missing" / "copy")
    assert caught.value.filename == str(tmp_path / "missing" / "copy")


def test_remains_of_a_killed_backup(pool_path, copy):
    """Nothing has the name; the next backup removes what is left, but not what another one is writing."""
    run_until_killed(
        """
import pmemobj.backup
pmemobj.backup.SLICE = 100_000
pool = pmemobj.open(path, max_size=64 << 20)
pool.root = list(range(100_000))
pool.backup(sys.argv[2], lambda done, total: die() if done > 500_000 else None)
""",
        pool_path,
        copy,
    )
    left = [name for name in names(copy.parent) if name.endswith(".backup")]
    assert len(left) == 1 and not copy.exists()
    busy = copy.parent / f".{copy.name}.1.beef.backup"
    with open(busy, "w") as other, pmemobj.open(pool_path) as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        pool.root = {"list": 1}
        pool.backup(copy)
        assert [name for name in names(copy.parent) if name.endswith(".backup")] == [busy.name]
    is_complete(copy, {"list": 1})


def test_full_disk(pool_path, copy, tmp_path):
    """The copy that does not fit is removed, and the pool goes on."""
    small = tmp_path / "small"
    small.mkdir()
    out = run_with_mounts(
        """
mount(sys.argv[2], "size=1m")
pool = pmemobj.open(path, max_size=64 << 20)
pool.root = {"big": list(range(300_000))}
try:
    pool.backup(sys.argv[2] + "/copy")
except OSError as error:
    print(error.errno, error.filename == sys.argv[2] + "/copy", os.listdir(sys.argv[2]))
pool.root["goes on"] = 1
pool.backup(sys.argv[3])
pool.close()
""",
        pool_path,
        small,
        copy,
    )
    assert out == f"{errno.ENOSPC} True []\n"
    is_complete(copy, {"big": list(range(300_000)), "goes on": 1})


@pytest.mark.parametrize(("where", "call"), [(module, "sync_file"), (os, "link")])
def test_errors_at_the_end(filled, copy, monkeypatch, where, call):
    def fail(*args, **kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = names(copy.parent)
    with monkeypatch.context() as patched:
        patched.setattr(where, call, fail)
        with pytest.raises(OSError, match="Input/output error") as caught:
            filled.backup(copy)
    assert caught.value.filename == str(copy)
    assert names(copy.parent) == before
    filled.backup(copy)
