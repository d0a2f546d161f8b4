"""The direct engine: chosen, what it promises, undone after a kill, on a full disk, and together with the other one.

What a kill may meet is swept in tests/crash and, with power losses, in tests/engine/test_undo.c.  `make test-direct`
runs all other tests with this engine.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from pool_files import (
    PRELUDE,
    ROOT_OFFSET_AT,
    journal_of,
    pmempool_check,
    read_word,
    run,
    run_until_killed,
    start,
    write_word,
)

import pmemobj
from pmemobj import durability

SMALL = 64 << 20
GENERATION = 88  # of the root block

#: libpmem takes every file for persistent memory: fast, and as safe against kills as the real thing.
MEMORY = "os.environ['PMEM_IS_PMEM_FORCE'] = '1'\n"
DISK = "os.environ['PMEM_IS_PMEM_FORCE'] = '0'\n"


def direct(path, **options):
    return pmemobj.open(path, max_size=SMALL, engine="direct", **options)


def generation(path):
    return read_word(path, read_word(path, ROOT_OFFSET_AT) + GENERATION)


# ------------------------------------------------------------------ which, and what it says


def test_unknown_engine(pool_path):
    with pytest.raises(ValueError, match="engine must be one of 'auto', 'journal', 'direct', not 'fast'"):
        pmemobj.open(pool_path, engine="fast")
    assert not pool_path.exists()


@pytest.mark.parametrize(
    ("environment", "asked", "engine", "reason"),
    [
        (DISK, "auto", "journal", "the file is not on persistent memory"),
        (DISK, "journal", "journal", 'engine="journal" was asked for'),
        (DISK, "direct", "direct", 'engine="direct" was asked for'),
        (MEMORY, "auto", "direct", "the file is on persistent memory"),
        (MEMORY, "journal", "journal", 'engine="journal" was asked for'),
        (MEMORY, "direct", "direct", 'engine="direct" was asked for'),
    ],
)
def test_choice_of_the_engine(pool_path, environment, asked, engine, reason):
    code = f"""
pool = pmemobj.open(path, max_size={SMALL}, engine={asked!r}, sync="manual")
says = pool.durability()
print(pool.engine, says.engine, says.program_killed, says.power_loss, *says.warnings, sep="|")
print(says.reason)
print(str(says).splitlines()[0])
pool.close()
"""
    facts, why, line = run(environment + code, pool_path).splitlines()
    promises = {
        (DISK, "journal"): "consistent as of the last pool.sync() or later",
        (MEMORY, "journal"): "consistent as of the last pool.sync() or later",
        (
            DISK,
            "direct",
        ): "nothing that was committed is lost|each change waits for the disk several times; the journal"
        " engine is much faster here",
        (
            MEMORY,
            "direct",
        ): "nothing is promised: the file is not on persistent memory|PMEM_IS_PMEM_FORCE=1 says that "
        "every file is on persistent memory; it is for tests",
    }
    kept = "nothing that was committed is lost"
    assert facts == f"{engine}|{engine}|{kept}|{promises[environment, engine]}"
    assert why == reason
    assert line == f"engine            {engine} ({reason})"


def test_on_real_persistent_memory_nothing_is_lost():
    says = durability.describe("/", "direct", "because", "persistent memory", "manual", 1.0)
    assert says.power_loss == says.program_killed == "nothing that was committed is lost"
    assert says.warnings == ()


@pytest.mark.parametrize("sync", ["manual", "interval", "commit"])
def test_policies_and_syncs_are_accepted(pool_path, sync):
    with direct(pool_path, sync=sync) as pool:
        assert pool.durability().sync == sync
        pool.root = [1]
        with pool.transaction(sync=True):
            pool.root.append(2)
        pool.sync()
        pool.checkpoint()
        pool.sync()
        with pool.transaction(), pytest.raises(pmemobj.TransactionError):
            pool.sync()
        assert pool.root == [1, 2]
        assert pool.check().ok


# ------------------------------------------------------------------ in place


def test_the_file_is_changed_at_once(pool_path):
    with direct(pool_path) as pool:
        pool.root = "a string that can be found in the file"
        assert b"can be found" in pool_path.read_bytes()[: 8 << 20]


def test_a_word_alone_is_not_logged(pool_path):
    with direct(pool_path) as pool:
        pool.root = [1, {"a": 1}]
        inner = pool.root[1]
        before = pool.stats()["journal"]
        pool.root[0] = 2
        inner["a"] = 3.5
        assert pool.stats()["journal"]["bytes_appended"] == before["bytes_appended"]
        pool.root.append(4)
        assert pool.stats()["journal"]["bytes_appended"] > before["bytes_appended"]
        assert pool.root == [2, {"a": 3.5}, 4]


def test_log_is_there_while_the_pool_is_open(pool_path):
    with direct(pool_path) as pool:
        assert journal_of(pool_path).read_bytes()[:8] == b"PMEMUND1"
        assert pool.stats()["journal"]["journal_bytes"] == journal_of(pool_path).stat().st_size
    assert not journal_of(pool_path).exists()
    pmempool_check(pool_path)


def test_each_line_is_logged_once(pool_path):
    with direct(pool_path) as pool:
        pool.root = list(range(8))
        with pool.transaction():
            pool.root[0] = -1
            once = pool.stats()["journal"]["bytes_appended"]
            for i in range(50):
                pool.root[0] = i
                with pool.transaction():
                    pool.root[0] = -i
            assert pool.stats()["journal"]["bytes_appended"] == once


def test_pool_goes_from_engine_to_engine(pool_path):
    model = []
    for i, engine in enumerate(["journal", "direct", "direct", "journal", "auto", "direct", "journal"]):
        with pmemobj.open(pool_path, max_size=SMALL, engine=engine, sync="manual") as pool:
            if i == 0:
                pool.root = []
            assert pool.root == model
            for value in (i, "x" * 400 * i, ["y" * 90000]):
                pool.root.append(value)
                model.append(value)
            with pool.transaction() as tx:
                pool.root.clear()
                tx.abort()
            assert pool.check().ok
        assert not journal_of(pool_path).exists()
        pmempool_check(pool_path)


# ------------------------------------------------------------------ kills

IN_A_TRANSACTION = """
pool = pmemobj.open(path, max_size=64 << 20, engine="direct")
pool.root = {"list": list(range(1000)), "n": 1}
with pool.transaction():
    pool.root["n"] = 2
    pool.root["list"].reverse()
    pool.root["new"] = ["z" * 100000] * 3
    with pool.transaction():
        del pool.root["list"][10:]
    die()
"""


@pytest.mark.parametrize("opener", ["journal", "direct"])
@pytest.mark.parametrize("environment", [MEMORY, DISK], ids=["memory", "disk"])
def test_kill_in_a_transaction(pool_path, environment, opener):
    run_until_killed(environment + IN_A_TRANSACTION, pool_path)
    before = generation(pool_path)
    with pmemobj.open(pool_path, engine=opener) as pool:
        assert pool.recovery["records"] > 10
        assert pool.recovery["bytes"] == 64 * pool.recovery["records"]
        assert pool.root == {"list": list(range(1000)), "n": 1}
        assert pool.check().ok
        assert pool.stats()["large_blocks"] == 0
    assert generation(pool_path) >= before + 2
    pmempool_check(pool_path)
    with pmemobj.open(pool_path, engine=opener) as pool:
        assert pool.recovery is None


def test_kill_with_the_other_engine(pool_path):
    code = "pool = pmemobj.open(path, max_size=64 << 20, engine='journal'); pool.root = [1, 'kept']; die()"
    run_until_killed(code, pool_path)
    with direct(pool_path) as pool:
        assert pool.recovery["records"] >= 1
        assert pool.root == [1, "kept"]


def test_reading_undoes_in_memory_only(pool_path, tmp_path):
    run_until_killed(MEMORY + IN_A_TRANSACTION, pool_path)
    before = pool_path.read_bytes(), journal_of(pool_path).read_bytes()
    for _ in range(2):
        with pmemobj.open(pool_path, "r", engine="direct") as pool:
            assert pool.recovery["records"] > 10
            assert pool.root == {"list": list(range(1000)), "n": 1}
            assert pool.check().ok
            assert not pool.refresh()
            pool.backup(tmp_path / "copy", overwrite=True)
    assert (pool_path.read_bytes(), journal_of(pool_path).read_bytes()) == before
    assert pmemobj.check(pool_path).ok
    for engine in "journal", "direct":
        with pmemobj.open(tmp_path / "copy", engine=engine) as copy:
            assert copy.root == {"list": list(range(1000)), "n": 1}
            assert copy.check().ok
            assert copy.recovery is None
    with pmemobj.open(pool_path, "w", engine="direct") as pool:
        assert pool.root["n"] == 1
    with pmemobj.open(pool_path, "r", engine="direct") as pool:
        assert pool.root["n"] == 1
        with pytest.raises(pmemobj.ReadOnlyPoolError):
            pool.root["n"] = 2


def test_allocations_of_a_commit_that_was_not_made_are_freed(pool_path, tmp_path):
    """The pool as it is when the allocations have been published, and the generation has not been raised."""
    crashed = tmp_path / "crashed"
    with direct(pool_path) as pool:
        pool.root = [1]
        empty = pool.stats()
        before = generation(pool_path)
        with pool.transaction():
            for i in range(40):  # more than libpmemobj publishes at once
                pool.root.append(bytes(300000 + i))
        assert generation(pool_path) == before + 1
        shutil.copy(pool_path, crashed)
        shutil.copy(journal_of(pool_path), journal_of(crashed))
    write_word(crashed, read_word(crashed, ROOT_OFFSET_AT) + GENERATION, before)
    with direct(crashed) as pool:
        assert pool.root == [1]
        assert pool.recovery["records"] > 0
        assert pool.check().ok
        found = pool.stats()
        assert found["large_blocks"] == 0
        assert found["heap"] == empty["heap"]
    assert generation(crashed) == before + 2
    pmempool_check(crashed)


def test_what_an_aborted_commit_was_to_free_stays(pool_path):
    """The kill comes right after: the log still names it, but of a generation that never was."""
    code = """
pool = pmemobj.open(path, max_size=16 << 20, engine="direct")
pool.root = [bytes(300000)]
try:
    with pool.transaction():
        pool.root.clear()
        pool.root.extend(bytes(300000 + i) for i in range(100))
except pmemobj.PoolFullError:
    pass
with pool.transaction() as tx:
    pool.root.clear()
    tx.abort()
die()
"""
    run_until_killed(MEMORY + code, pool_path)
    with direct(pool_path) as pool:
        assert pool.root == [bytes(300000)]
        assert pool.check().ok
        assert pool.stats()["large_blocks"] == 1


def test_kills_while_large_blocks_come_and_go(pool_path):
    """Between the commit and the end of its frees too: whatever is found, no block is lost."""
    code = """
pool = pmemobj.open(path, max_size=64 << 20, engine="direct")
if pool.root is None:
    pool.root = {}
root = pool.root
print("ready", flush=True)
while True:
    with pool.transaction():
        root.update({i: bytes(270000) for i in range(6)})
    root.clear()
"""
    rng = Random(5)
    for _ in range(25):
        process = start(MEMORY + code, pool_path)
        process.stdout.readline()
        time.sleep(rng.random() * 0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
        with pmemobj.open(pool_path, "r") as pool:
            seen = dict(pool.root)
            assert pool.check().ok
        with pmemobj.open(pool_path, engine=rng.choice(["direct", "journal"])) as pool:
            assert pool.root == seen
            assert len(pool.root) in (0, 6)
            assert pool.stats()["large_blocks"] == len(pool.root)
            assert pool.check().ok


def test_a_log_without_its_session_is_refused(pool_path, tmp_path):
    run_until_killed(MEMORY + IN_A_TRANSACTION, pool_path)
    other = tmp_path / "other"
    run_until_killed(MEMORY + IN_A_TRANSACTION, other)
    journal_of(other).rename(tmp_path / "elsewhere")
    with pytest.raises(pmemobj.JournalError, match=f"its journal {journal_of(other)} is missing"):
        pmemobj.open(other)
    shutil.copy(journal_of(pool_path), journal_of(other))
    with pytest.raises(pmemobj.JournalError, match=f"{other}: the undo log .* belongs to another pool"):
        pmemobj.open(other)
    log = bytearray((tmp_path / "elsewhere").read_bytes())
    log[8192 + 3 * 96 + 50] ^= 1
    journal_of(other).write_bytes(log)
    for flag in "wr":
        with pytest.raises(
            pmemobj.JournalError, match=r"undo log .* is damaged: an entry in the middle is not valid"
        ):
            pmemobj.open(other, flag)
    (tmp_path / "elsewhere").rename(journal_of(other))
    with pmemobj.open(other) as pool:
        assert pool.root["n"] == 1


# ------------------------------------------------------------------ full disk


def run_on_small_disk(directory, size, code):
    """Runs `code` with a file system of that size, whose pool is `path`, and of which nothing is left."""
    script = Path(directory, "script.py")
    script.write_text(PRELUDE + code)
    disk = Path(directory, "disk")
    disk.mkdir()
    command = [sys.executable, "-X", "faulthandler", str(script), str(disk / "pool")]
    mount = f"mount -t tmpfs -o size={size} none {shlex.quote(str(disk))} && exec {shlex.join(command)}"
    package = str(Path(pmemobj.__file__).parents[1])
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount],
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


FULL = """
import errno
pool = pmemobj.open(path, max_size=256 << 20, engine="direct")
filler = os.open(os.path.dirname(path) + "/filler", os.O_RDWR | os.O_CREAT)

def fill():
    end = os.fstat(filler).st_size
    for piece in (1 << 20, 1 << 16, 1 << 12):
        try:
            while True:
                os.posix_fallocate(filler, end, piece)
                end += piece
        except OSError as error:
            assert error.errno == errno.ENOSPC

def empty():
    os.ftruncate(filler, 0)

def no_space(use):
    try:
        use()
    except OSError as error:
        assert error.errno == errno.ENOSPC and not isinstance(error, pmemobj.PoolFailedError), error
        return str(error)
    raise AssertionError("nothing was raised")
"""


@pytest.mark.parametrize("environment", [MEMORY, DISK], ids=["memory", "disk"])
def test_disk_without_room_for_new_blocks(tmp_path, environment):
    code = """
pool.root = {"keep": list(range(100))}
fill()
said = no_space(lambda: pool.root.update(new=bytes(1 << 20)))
assert "no disk space for the pool" in said, said
n = 0
def small():
    global n
    while n < 100000:
        pool.root[n] = "s" * 1000
        n += 1
no_space(small)
assert 0 < n < 100000 and len(pool.root) == n + 1
pool.root["keep"][0] = "changed"
with pool.transaction():
    pool.root["keep"].append(1)
    no_space(lambda: pool.root.update(new=bytes(1 << 20)))
    pool.root["keep"].append(2)
assert pool.root["keep"] == ["changed", *range(1, 100), 1, 2]
for k in range(n):
    del pool.root[k]
empty()
pool.root["new"] = bytes(1 << 20)
assert pool.check().ok
pool.close()
with pmemobj.open(path, engine="direct") as pool:
    assert pool.root["keep"][-1] == 2 and len(pool.root) == 2
"""
    run_on_small_disk(tmp_path, "9m", environment + FULL + code)


def test_disk_without_room_for_the_log(tmp_path):
    """A transaction that the log cannot take is undone, whatever it goes on to do meanwhile."""
    code = """
pool.root = {"list": list(range(300000)), "n": 1}
items = pool.root["list"]
fill()
said = no_space(items.reverse)
assert "no room for the undo log" in said, said
assert items[0] == 0 and items[-1] == 299999
items[0] = "after"
pool.root["n"] = 2
with pool.transaction():
    items[1] = "transaction"
tx = pool.transaction()
def whole():
    with tx:
        pool.root["n"] = 3
        items.reverse()         # what has begun goes on, and what comes next is told
        for use in (items.clear, items.reverse, lambda: items.append(1), lambda: items.__setitem__(5, 5),
                    lambda: pool.root.update(a="b" * 100), lambda: pool.new(pmemobj.PersistentList)):
            no_space(use)
        no_space(pool.begin)
        assert pool.root["n"] == 3 and items[-3:] == [2, "transaction", "after"]
no_space(whole)
assert pool.root["n"] == 2 and items[:3] == ["after", "transaction", 2] and items[-1] == 299999
def bit_by_bit():
    with pool.transaction():
        for i in range(300000):
            items[i] = -i
no_space(bit_by_bit)
assert items[:3] == ["after", "transaction", 2] and items[-1] == 299999
assert pool.check().ok
empty()
items.reverse()
bit_by_bit()
assert items[-1] == -299999
assert pool.check().ok
pool.close()
with pmemobj.open(path) as pool:
    assert pool.root["n"] == 2 and pool.root["list"][-1] == -299999
"""
    run_on_small_disk(tmp_path, "16m", MEMORY + FULL + code)


def test_kill_while_the_log_has_no_room(tmp_path):
    code = """
pool.root = {"list": list(range(300000)), "n": 1}
fill()
pool.begin()
pool.root["n"] = 2
pool.root["list"].reverse()
no_space(lambda: pool.root.update(n=3))
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
import shutil, tempfile
with tempfile.TemporaryDirectory() as there:            # as a kill would leave them
    for name in (path, path + "-journal"):
        shutil.copy(name, there)
    import subprocess
    subprocess.run([sys.executable, "-c", '''
import sys, pmemobj
with pmemobj.open(sys.argv[1]) as pool:
    assert pool.recovery["records"] > 1000
    assert pool.root["n"] == 1 and pool.root["list"] == list(range(300000))
    assert pool.check().ok
''', there + "/pool"], check=True)
pool.abort()
assert pool.root["n"] == 1
pool.close()
"""
    run_on_small_disk(tmp_path, "16m", MEMORY + FULL + code)


# ------------------------------------------------------------------ a log that somebody cuts


def test_a_log_that_was_cut_is_refused(pool_path):
    """Where it ends now there may have been more to undo; behind its last entry there must be room for another one."""
    run_until_killed(MEMORY + IN_A_TRANSACTION, pool_path)
    log = journal_of(pool_path)
    whole, first, entry = log.read_bytes(), 8192, 96
    generations = [whole[at + 8 : at + 16] for at in range(first, len(whole) - entry, entry)]
    count = next(i for i, number in enumerate(generations) if number != generations[0])
    assert count > 10
    for entries in (count, count // 2, 1):
        os.truncate(log, first + entries * entry)
        with pytest.raises(pmemobj.JournalError, match=r"undo log .* is damaged: it has been cut"):
            pmemobj.open(pool_path)
    log.write_bytes(whole[: first + (count + 1) * entry])
    with pmemobj.open(pool_path) as pool:
        assert pool.recovery["records"] > 10
        assert pool.root == {"list": list(range(1000)), "n": 1}


# ------------------------------------------------------------------ giving space back


def test_trimmed_space_is_allocated_again_before_it_is_used(tmp_path):
    """A store to a hole on a full disk would be a SIGBUS."""
    code = """
pool.root = {"keep": list(range(100)), "low": bytes(3 << 20), "high": bytes(300000)}
del pool.root["low"]
pool.root["again"] = bytes(3 << 20)    # in its place, while there is space behind all the others
del pool.root["again"]
before = os.stat(path).st_blocks
given = pool.trim()
assert given > 2 << 20 and os.stat(path).st_blocks <= before - given // 512 + 16
fill()
said = no_space(lambda: pool.root.update(new=bytes(1 << 20)))
assert "no disk space for the pool" in said, said
with pool.transaction():
    pool.root["keep"].append(1)
    no_space(lambda: pool.root.update(new=bytes(300000)))
    pool.root["keep"].append(2)
assert pool.root["keep"][-2:] == [1, 2] and pool.check().ok
empty()
pool.root["new"] = [bytes(300000)] * 8
assert pool.trim() < 1 << 20
assert pool.root["new"] == [bytes(300000)] * 8 and pool.check().ok
pool.close()
with pmemobj.open(path, engine="direct") as pool:
    assert pool.root["new"] == [bytes(300000)] * 8 and len(pool.root["keep"]) == 102
"""
    run_on_small_disk(tmp_path, "16m", MEMORY + FULL + code)
