"""Sync policies: what they promise, and that they really sync; stats()."""

import itertools
import os
import shutil
import time
from pathlib import Path

import pytest
from pool_files import run_until_killed

import pmemobj
from pmemobj import durability

SMALL = 64 << 20


@pytest.fixture
def memory_path():
    """A place on a file system that is kept in memory."""
    directory = Path(f"/dev/shm/pmemobj-test-{os.getpid()}")
    directory.mkdir()
    yield directory / "pool"
    shutil.rmtree(directory)


def syncs(pool):
    return pool.stats()["journal"]["syncs"]


def settled(pool):
    """The same once the thread that adds segments to the log, and syncs them, has nothing more to do."""
    count = -1
    while count != (count := syncs(pool)):
        time.sleep(0.1)
    return count


@pytest.mark.journal_engine("what its policies promise")
@pytest.mark.parametrize(
    ("policy", "promise"),
    [
        ("commit", "nothing that was committed is lost"),
        ("interval", "consistent; at most the changes of the last 0.25 s are lost"),
        ("manual", "consistent as of the last pool.sync() or later"),
    ],
)
def test_promise_of_each_policy(pool_path, policy, promise, monkeypatch):
    monkeypatch.setattr(durability, "file_system_of", lambda path: "ext4")
    with pmemobj.open(pool_path, max_size=SMALL, sync=policy, sync_interval=0.25) as pool:
        says = pool.durability()
    assert (says.engine, says.sync, says.sync_interval) == ("journal", policy, 0.25)
    assert says.file_system == "ext4"
    assert says.program_killed == "nothing that was committed is lost"
    assert says.power_loss == promise
    assert says.warnings == ()
    lines = str(says).splitlines()
    assert len(lines) == 5
    assert f"power loss        {promise}" in lines
    assert ("every 0.25 s" in lines[1]) == (policy == "interval")


def test_default_policy(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL) as pool:
        says = pool.durability()
    assert (says.sync, says.sync_interval) == ("interval", 0.1)


@pytest.mark.journal_engine("the test switch of the other engine warns too")
@pytest.mark.parametrize("policy", ["commit", "interval", "manual"])
def test_in_memory_nothing_survives_a_power_loss(memory_path, policy):
    with pmemobj.open(memory_path, max_size=SMALL, sync=policy) as pool:
        says = pool.durability()
        pool.root = 1
        pool.sync()
    assert says.file_system == "tmpfs"
    assert says.power_loss == "everything is lost: this file system is kept in memory"
    assert says.warnings == ("tmpfs does not survive a reboot",)
    assert str(says).splitlines()[-1] == "warning           tmpfs does not survive a reboot"
    assert says.program_killed == "nothing that was committed is lost"


def test_in_memory_a_kill_loses_nothing(memory_path):
    run_until_killed("pool = pmemobj.open(path); pool.root = list(range(100000)); die()", memory_path)
    with pmemobj.open(memory_path) as pool:
        assert pool.root == list(range(100000))
        assert pool.check().ok


@pytest.mark.journal_engine("the test switch of the other engine warns too")
@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "9p", "cifs"])
def test_remote_file_systems_are_warned_of(pool, kind, monkeypatch):
    monkeypatch.setattr(durability, "file_system_of", lambda path: kind)
    [warning] = pool.durability().warnings
    assert warning.startswith(f"{kind} is a network or user-space file system")


def test_file_system_of(tmp_path):
    assert durability.file_system_of("/proc/self/status") == "proc"
    assert durability.file_system_of("/dev/shm") == "tmpfs"
    assert durability.file_system_of(tmp_path)


def test_commit_syncs_each_operation(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="commit") as pool:
        pool.root = [0]
        for change in (
            lambda: setattr(pool, "root", [1]),
            lambda: pool.root.append(1),
            lambda: pool.root.append("a string that needs a block of its own"),
            lambda: pool.root.pop(),
            lambda: pool.root.extend([5, 4]),
            lambda: pool.root.sort(),
            lambda: pool.root.insert(0, {}),
            lambda: pool.root[0].update(a=1),
            lambda: pool.root[0].__setitem__("a", 2),
            lambda: pool.root.clear(),
        ):
            before = syncs(pool)
            change()
            assert syncs(pool) > before, change


@pytest.mark.journal_engine("syncs are counted; the direct engine has no policies")
def test_commit_syncs_a_transaction_once_at_its_end(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="commit") as pool:
        pool.root = []
        before = syncs(pool)
        with pool.transaction():
            for i in range(100):
                with pool.transaction():
                    pool.root.append(i)
            assert syncs(pool) == before
        assert syncs(pool) == before + 1
        with pool.transaction() as tx:
            pool.root.append(1)
            tx.abort()
        assert syncs(pool) <= before + 2


@pytest.mark.journal_engine("syncs are counted; the direct engine has no policies")
def test_manual_syncs_on_request_only(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        before = syncs(pool)
        for i in range(100):
            pool.root = [i]
        with pool.transaction():
            pool.root = 1
        assert syncs(pool) == before
        pool.sync()
        assert syncs(pool) == before + 1
        pool.sync()  # nothing new
        assert syncs(pool) == before + 1


def test_interval_syncs_by_itself(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="interval", sync_interval=0.01) as pool:
        before = syncs(pool)
        pool.root = 1
        for _ in itertools.count():
            if syncs(pool) > before:
                break
            time.sleep(0.01)  # ends with the test's own limit if it never does
        pool.sync()


@pytest.mark.journal_engine("syncs are counted; the direct engine has no policies")
def test_interval_of_an_hour_syncs_on_request(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="interval", sync_interval=3600) as pool:
        before = syncs(pool)
        pool.root = 1
        assert syncs(pool) == before
        pool.sync()
        assert syncs(pool) == before + 1


@pytest.mark.journal_engine("syncs are counted; the direct engine has no policies")
@pytest.mark.parametrize("policy", ["manual", "commit", "interval"])
def test_transaction_that_asks_for_a_sync(pool_path, policy):
    with pmemobj.open(pool_path, max_size=SMALL, sync=policy, sync_interval=3600) as pool:
        pool.root = []
        pool.sync()
        before = settled(pool)
        with pool.transaction(sync=True):
            pool.root.append(1)
        assert syncs(pool) == before + 1
        with pool.transaction():
            with pool.transaction(sync=True):
                pool.root.append(2)
            assert syncs(pool) == before + 1  # the outermost block decides when
        assert syncs(pool) == before + 2
        decorated = pool.transaction(sync=True)(lambda: pool.root.append(3))
        decorated()
        decorated()
        assert syncs(pool) == before + 4


@pytest.mark.journal_engine("syncs are counted; the direct engine has no policies")
def test_the_wish_for_a_sync_ends_with_its_transaction(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        before = syncs(pool)
        with pool.transaction(sync=True) as tx:
            pool.root = 1
            tx.abort()
        with pool.transaction():
            pool.root = 2
        assert syncs(pool) == before
        with pool.transaction(sync=True):
            pool.root = 3
        with pool.transaction():
            pool.root = 4
        assert syncs(pool) == before + 1


def test_sync_and_checkpoint_inside_a_transaction(pool):
    with pool.transaction():
        with pytest.raises(pmemobj.TransactionError, match=r"use transaction\(sync=True\)"):
            pool.sync()
        with pytest.raises(pmemobj.TransactionError):
            pool.checkpoint()
        pool.root = 1
    assert pool.root == 1


@pytest.mark.journal_engine("the file is behind the memory")
def test_checkpoint_brings_the_file_up_to_date(pool, pool_path):
    pool.root = "a string that can be found in the file"
    assert b"can be found" not in pool_path.read_bytes()[: 8 << 20]
    before = pool.stats()["journal"]
    pool.checkpoint()
    after = pool.stats()["journal"]
    assert b"can be found" in pool_path.read_bytes()[: 8 << 20]
    assert after["checkpoints"] == before["checkpoints"] + 1
    assert after["bytes_applied"] > before["bytes_applied"]
    pool.checkpoint()
    pool.root = 2
    assert pool.root == 2


def test_checkpoint_with_proxies_and_limbo_alive(pool):
    pool.root = {"list": [1]}
    held, inner = pool.new(pmemobj.PersistentList, [5]), pool.root["list"]
    pool.checkpoint()
    inner.append(held)
    held.append(6)
    assert pool.root == {"list": [1, [5, 6]]}
    assert pool.root["list"] is inner
    pool.checkpoint()
    assert pool.check().ok


def test_stats(pool, pool_path):
    pool.root = ["x" * 300000] * 20
    stats = pool.stats()
    assert set(stats) == {
        "allocated",
        "heap",
        "large_blocks",
        "limbo",
        "file",
        "max_size",
        "journal",
        "recovery",
    }
    assert set(stats["journal"]) == {
        "records",
        "bytes_appended",
        "syncs",
        "checkpoints",
        "bytes_applied",
        "segments",
        "journal_bytes",
        "waits",
    }
    assert 6000000 < stats["allocated"] <= stats["heap"]
    assert stats["large_blocks"] == 20
    assert stats["max_size"] == pool_path.stat().st_size
    assert stats["journal"]["journal_bytes"] == os.stat(f"{pool_path}-journal").st_size
    held = pool.new(pmemobj.PersistentList)
    assert pool.stats()["limbo"] == 1
    records = pool.stats()["journal"]["records"]
    pool.root = 1
    assert pool.stats()["large_blocks"] == 0
    assert pool.stats()["journal"]["records"] > records
    del held
    assert pool.stats()["limbo"] == 0
