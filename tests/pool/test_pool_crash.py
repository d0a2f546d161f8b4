"""SIGKILL at chosen moments: what was committed is there, what was not is not, and the heap is sound."""

import gc
import os
import random

import pytest
from pool_files import journal_of, pmempool_check, run, run_until_killed

import pmemobj


def recovered(path):
    """The handle after the recovery; everything in it has been checked."""
    pool = pmemobj.open(path, "w", sync="manual")
    try:
        assert pool.recovery is not None
        report = pool.check()
        assert report.ok, report
        assert pool.stats()["limbo"] == 0 or pool._drain() is None
        assert pool.stats()["limbo"] == 0
    except BaseException:
        pool.close()
        raise
    return pool


def close_and_check(pool):
    pool.close()
    pmempool_check(pool.path)
    with pmemobj.open(pool.path) as again:
        assert again.recovery is None
        assert again.check().ok


@pytest.mark.parametrize("policy", ["commit", "interval", "manual"])
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", None),
        ("pool.root = 1", 1),
        (
            "pool.root = [1]; pool.root.append('a longer string'); pool.root.append(3)",
            [1, "a longer string", 3],
        ),
        ("with pool.transaction(): pool.root = [1]; pool.root.append(2)", [1, 2]),
        ("pool.root = list(range(200000))", list(range(200000))),
        ("pool.root = 'x' * (20 << 20)", "x" * (20 << 20)),
        ("pool.root = {i: str(i) * 9 for i in range(999)}; pool.root = None", None),
    ],
    ids=["nothing", "number", "list", "transaction", "long-list", "long-string", "dropped"],
)
def test_killed_after_operations(pool_path, before, expected, policy):
    run_until_killed(f"pool = pmemobj.open(path, sync={policy!r})\n{before}\ndie()", pool_path)
    pool = recovered(pool_path)
    assert pool.root == expected
    close_and_check(pool)


@pytest.mark.parametrize(
    "inside",
    [
        "with pool.transaction(): pool.root['a'] = 2; pool.root['new'] = [1, 2, 3]; die()",
        "with pool.transaction():\n  with pool.transaction(): pool.root['a'] = 2\n  del pool.root['b']; die()",
        "pool.begin(); pool.root.clear(); pool.root = None; die()",
        "with pool.transaction() as tx: tx.on_commit(lambda: print('told')); pool.root = list(range(100000)); die()",
        "with pool.transaction():\n  for i in range(50000): pool.root[i] = 'v' * 40\n  die()",
        "with pool.transaction(): pool.root['a'] = 2\n"
        "with pool.transaction() as tx: tx.on_abort(die); pool.root = 3; tx.abort()",
    ],
)
def test_killed_inside_a_transaction(pool_path, inside):
    out = run_until_killed(
        f"pool = pmemobj.open(path)\npool.root = {{'a': 1, 'b': ['kept', (1, 2)]}}\npool.sync()\n{inside}",
        pool_path,
    )
    assert out == ""
    pool = recovered(pool_path)
    assert pool.root == {"a": 2 if "abort" in inside else 1, "b": ["kept", (1, 2)]}
    close_and_check(pool)


def test_on_commit_runs_when_a_kill_can_no_more_undo(pool_path):
    run_until_killed(
        """
pool = pmemobj.open(path, sync="commit")
with pool.transaction() as tx:
    tx.on_commit(die)
    pool.root = "committed"
""",
        pool_path,
    )
    pool = recovered(pool_path)
    assert pool.root == "committed"
    close_and_check(pool)


CLOSING = """
pool = pmemobj.open(path, sync="manual")
number = (pool.root or {"n": 0})["n"] + 1
pool.root = {"n": number, "items": [str(number) * 30] * 3000, "big": str(number) * 300000}
signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))    # its default action ends the process, in C code too
pool.close()
signal.pause()
"""


def test_killed_while_closing(pool_path):
    """Over and over at another moment; each time the pool is as it was when close() was called."""
    rng = random.Random(7)
    recoveries = 0

    for number in range(1, 13):
        run(CLOSING, pool_path, rng.random() ** 2 * 0.012 + 0.00001, returncode=-14)
        recoveries += journal_of(pool_path).exists()
        with pmemobj.open(pool_path, sync="manual") as pool:
            assert pool.root == {"n": number, "items": [str(number) * 30] * 3000, "big": str(number) * 300000}
            assert pool.check().ok
        pmempool_check(pool_path)
    assert recoveries


def test_killed_while_opening_and_recovering(pool_path):

    run_until_killed(
        "pool = pmemobj.open(path, sync='manual'); pool.root = list(range(300000)); die()", pool_path
    )
    rng = random.Random(8)
    for _ in range(8):
        run(
            "signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))\npool = pmemobj.open(path)\nsignal.pause()",
            pool_path,
            rng.random() * 0.02 + 0.00001,
            returncode=-14,
        )
    with pmemobj.open(pool_path) as pool:
        assert pool.root == list(range(300000))
        assert pool.check().ok


def test_killed_while_creating(tmp_path):
    """There is no pool, or a whole one."""

    rng = random.Random(9)
    for number in range(8):
        path = tmp_path / str(number)
        run(
            "signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))\npool = pmemobj.create(path)\nsignal.pause()",
            path,
            rng.random() * 0.04 + 0.00001,
            returncode=-14,
        )
        with pmemobj.open(path) as pool:
            assert pool.root is None
            pool.root = number


def test_objects_that_only_variables_held_are_freed_by_the_next_open(pool_path):
    with pmemobj.open(pool_path, max_size=64 << 20) as pool:
        pool.root = [1]
        empty = pool.stats()["allocated"]
    run_until_killed(
        """
pool = pmemobj.open(path)
held = [pool.new(pmemobj.PersistentList, ["x" * 100] * 50) for _ in range(200)]
held.append(pool.new(pmemobj.PersistentDict, {i: str(i) * 9 for i in range(5000)}))
pool.root.append({"a": [1, 2]})
inner = pool.root[1]["a"]
pool.root.pop()                                             # inner is held by a variable only
assert pool.stats()["limbo"] == 202, pool.stats()["limbo"]
die()
""",
        pool_path,
    )
    with pmemobj.open(pool_path) as pool:
        assert pool.root == [1]
        assert pool.stats()["limbo"] == 202
        assert pool.check().ok
        pool.root.append(2)  # operations destroy a part of it each
        pool.root.pop()
        assert 0 < pool.stats()["limbo"] < 202
        pool._drain()
        assert pool.stats()["limbo"] == 0
        assert pool.stats()["allocated"] == empty
        assert pool.check().unreachable == (0, 0)


def test_killed_while_the_limbo_list_is_worked_off(pool_path):
    run_until_killed(
        """
pool = pmemobj.open(path)
held = [pool.new(pmemobj.PersistentList, ["x" * 100] * 50) for _ in range(200)]
pool.root = ["kept"]
die()
""",
        pool_path,
    )
    run_until_killed("pool = pmemobj.open(path)\npool.root.append(1)\ndie()", pool_path)
    pool = recovered(pool_path)
    assert pool.root == ["kept", 1]
    assert pool.check().unreachable == (0, 0)
    close_and_check(pool)


def test_large_dropped_object_is_destroyed_in_bounded_operations_and_a_kill_between_them_leaks_nothing(
    pool_path,
):
    with pmemobj.open(pool_path, max_size=256 << 20) as pool:
        pool.root = [0]
        empty = pool.stats()["allocated"]
        pool.root.append([str(i) * 5 for i in range(50000)])
    run_until_killed(
        """
pool = pmemobj.open(path)
signal.setitimer(signal.ITIMER_REAL, 60)
pool.begin(); pool.root.pop(); pool.commit()
die()
""",
        pool_path,
    )
    pool = recovered(pool_path)
    assert pool.root == [0]
    gc.collect()
    assert pool.stats()["allocated"] == empty
    close_and_check(pool)


def test_recovery_after_recovery_in_the_same_directory_listing(pool_path):
    for number in range(3):
        run_until_killed("pool = pmemobj.open(path)\npool.root = (pool.root or 0) + 1\ndie()", pool_path)
        assert sorted(os.listdir(pool_path.parent)) == [pool_path.name, journal_of(pool_path).name], number
    pool = recovered(pool_path)
    assert pool.root == 3
    close_and_check(pool)
