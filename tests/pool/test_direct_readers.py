"""The direct engine changes the pool file itself: no snapshot beside it; a backup waits for nobody to change it."""

import threading

import pytest
from pool_files import journal_of, pmempool_check, run_until_killed

import pmemobj
from pmemobj import backup as module

SIZE = 64 << 20


@pytest.fixture
def direct(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE, engine="direct") as pool:
        pool.root = {"a": list(range(1000)), "text": "x" * 1000}
        yield pool


def test_no_snapshot_beside_it(direct, pool_path):
    with pytest.raises(pmemobj.PoolBusyError, match="a program that writes directly, without a journal"):
        pmemobj.open(pool_path, "r")
    direct.close()
    with pmemobj.open(pool_path, "r") as snapshot:
        assert snapshot.root["a"] == list(range(1000))
        assert snapshot.check().ok


def test_it_does_not_begin_while_a_snapshot_is_held(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE, engine="journal") as pool:
        pool.root = [1]
    with pmemobj.open(pool_path, "r") as snapshot:
        with pytest.raises(pmemobj.PoolBusyError, match=r"the direct engine .*a reader in this process"):
            pmemobj.open(pool_path, engine="direct")
        with pmemobj.open(pool_path, engine="journal") as pool:
            pool.root.append(2)
        assert snapshot.refresh()
        assert snapshot.root == [1, 2]
    with pmemobj.open(pool_path, engine="direct") as pool:
        pool.root.append(3)
    with pmemobj.open(pool_path, "r") as snapshot:
        assert snapshot.root == [1, 2, 3]


def test_after_a_kill_a_writer_waits_for_the_readers(pool_path):
    """It has to undo, in the file on which they rest."""
    run_until_killed(
        "pool = pmemobj.open(path, max_size=64 << 20, engine='direct'); pool.root = [1]; pool.begin(); "
        "pool.root.append('undone'); die()",
        pool_path,
    )
    with pmemobj.open(pool_path, "r") as snapshot:
        assert snapshot.root == [1]
        for engine in "journal", "direct":
            with pytest.raises(
                pmemobj.PoolBusyError, match="a reader in this process holds an older snapshot"
            ):
                pmemobj.open(pool_path, engine=engine)
        assert not snapshot.refresh()
        assert snapshot.root == [1]
    with pmemobj.open(
        pool_path, engine="journal"
    ) as pool:  # undone by the undo log; readers may come from now on
        pool.root.append(2)
        with pmemobj.open(pool_path, "r") as snapshot:
            assert snapshot.root == [1, 2]
    assert not journal_of(pool_path).exists()


@pytest.mark.parametrize("engine", ["journal", "direct"])
def test_backup(direct, tmp_path, engine):
    copy = tmp_path / "copy"
    calls = []
    contents = direct.to_python(direct.root)
    direct.backup(copy, lambda done, total: calls.append((done, total)))
    direct.root["later"] = 1
    assert calls[-1][0] == calls[-1][1] > 0
    pmempool_check(copy)
    with pmemobj.open(copy, engine=engine) as other:
        assert other.uuid != direct.uuid
        assert other.recovery is None
        assert other.to_python(other.root) == contents
        other.root["new"] = [1]
        assert other.check().ok
    assert direct.check().ok
    with direct.transaction(), pytest.raises(pmemobj.TransactionError):
        direct.backup(tmp_path / "another")


def test_others_wait_for_a_backup(direct, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 20_000)
    contents, changed = direct.to_python(direct.root), threading.Event()

    def work():
        direct.root["a"][0] = -1
        changed.set()

    thread = threading.Thread(target=work)

    def progress(done, total):
        if not thread.ident:
            thread.start()
        assert not changed.wait(0.01)

    direct.backup(tmp_path / "copy", progress)
    thread.join()
    assert changed.is_set()
    with pmemobj.open(tmp_path / "copy", "r") as copy:
        assert copy.root == contents


def test_a_backup_is_not_changed_by_its_own_progress(direct, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SLICE", 20_000)
    with pytest.raises(pmemobj.TransactionError, match=r"progress\(\) has changed the pool"):
        direct.backup(tmp_path / "copy", lambda done, total: direct.root.update(a=1))
    assert not (tmp_path / "copy").exists()
    assert len(direct.root["a"]) == 1000


def test_backup_while_others_work(direct, tmp_path):
    stop, failures = threading.Event(), []
    direct.root = {"accounts": [100] * 20, "texts": {}}

    def work():
        try:
            number = 0
            while not stop.is_set():
                with direct.transaction():
                    direct.root["accounts"][number % 20] -= 7
                    direct.root["texts"][number % 50] = "x" * (number % 3000)
                    direct.root["accounts"][number * 7 % 20] += 7
                number += 1
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for i in range(4):
        direct.backup(tmp_path / f"copy {i}")
        pmempool_check(tmp_path / f"copy {i}")
        with pmemobj.open(tmp_path / f"copy {i}", "r") as copy:
            assert sum(copy.root["accounts"]) == 2000
            assert copy.check().ok
    stop.set()
    thread.join()
    assert not failures
