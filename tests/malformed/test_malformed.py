"""Damaged pools: an exception or a valid answer, never a crash, a hang, an abort or somebody else's code.

`make test-long` tries many more of the same; MALFORMED_CASES says how many are tried otherwise.  Each of the pools is
opened, looked at, checked, changed, collected and closed by a worker process, which lives as long as nothing ends it.
"""

import os
import struct

import pytest

import pmemobj
from tests.malformed import bases, mutate, runner

CASES = int(os.environ.get("MALFORMED_CASES", "10000"))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return bases.make(tmp_path_factory.mktemp("bases"))


def tried(found, cases):
    result = runner.run(found, cases)
    assert not result.failures, "\n\n".join(f"{outcome}\n{case}" for outcome, case in result.failures[:3])
    return result


def test_damage_of_what_all_depends_on(found):
    """A share of each kind; the long test tries all of them."""
    cases = list(mutate.sample(found, CASES * 6 // 10))
    assert len({kind for kind, *_ in cases}) > 12
    result = tried(found, cases)
    outcomes = {outcome for _, outcome in result.counts}
    assert {"refused", "harmless", "found by check()"} <= outcomes


def test_damage_with_checksums_that_agree(found):
    count = CASES * 4 // 10
    result = tried(found, mutate.random_cases(found, count))
    totals = {}
    for (_, outcome), number in result.counts.items():
        totals[outcome] = totals.get(outcome, 0) + number
    assert totals["found by check()"] > count // 4  # the damage is no fiction
    assert totals["refused"] > count // 20


@pytest.mark.long
@pytest.mark.timeout(0)
def test_every_bit_byte_and_length(found):
    tried(found, mutate.exhaustive(found, dense=True, every_length=True))


@pytest.mark.long
@pytest.mark.timeout(0)
def test_much_damage_with_checksums_that_agree(found):
    tried(found, mutate.random_cases(found, 100_000, seed=2))


# --- what was once found


def damaged(path, value, at, word):
    """A closed pool with that root, one word of whose object is another."""
    with pmemobj.create(path, 8 << 20, sync="manual") as pool:
        pool.root = value
    with pmemobj.open(path, "r") as pool:
        where = pmemobj._core.object_at(pool.root) + at
    with open(path, "r+b") as file:
        file.seek(where)
        file.write(struct.pack("<Q", word))
    return path


@pytest.mark.parametrize("value", [[1, 2], {1: 2}, {1}])
def test_length_that_cannot_be(pool_path, value):
    """len() raised SystemError."""
    damaged(pool_path, value, 32, 1 << 63)
    with (
        pmemobj.open(pool_path, "r") as pool,
        pytest.raises(pmemobj.PoolDamagedError, match="more items than"),
    ):
        len(pool.root)


FAR = [8, 1 << 40, 1 << 63, (1 << 64) - 8, 3]


@pytest.mark.parametrize("data", FAR)
def test_list_whose_items_are_elsewhere(pool_path, data):
    """What vec.data says was followed without a look: a segmentation fault."""
    damaged(pool_path, [1, 2, 3], 48, data)
    all_raise(pool_path, "r", False)
    all_raise(pool_path, "w", True)


def all_raise(path, flag, changes):
    with pmemobj.open(path, flag, sync="manual") as pool:
        root = pool.root
        uses = [
            lambda: root[0],
            lambda: list(root),
            lambda: root[:],
            lambda: root.index(2),
            lambda: root == [1, 2, 3],
        ]
        if changes:
            uses += [
                lambda: root.append(1),
                lambda: root.append("a text of its own"),
                lambda: root.__setitem__(0, 1),
                lambda: root.insert(0, 1),
                lambda: root.extend(range(100)),
                root.pop,
                root.reverse,
                root.sort,
                root.clear,
            ]
        for use in uses:
            with pytest.raises(pmemobj.PoolDamagedError, match="not inside the pool"):
                use()


@pytest.mark.parametrize("data", FAR)
def test_table_whose_entries_are_elsewhere(pool_path, data):
    damaged(pool_path, {"a key of its own": 1, 2: 3}, 56, data)
    with pmemobj.open(pool_path, "w", sync="manual") as pool:
        root = pool.root
        for use in (
            lambda: root["a key of its own"],
            lambda: root.get(2),
            lambda: 5 in root,
            lambda: list(root),
            lambda: root.__setitem__(7, 1),
            lambda: root.update({i: i for i in range(10)}),
            root.popitem,
            root.clear,
        ):
            with pytest.raises(pmemobj.PoolDamagedError, match="not inside the pool"):
                use()


@pytest.mark.parametrize(
    "index", [8, 12 << 56 | 8, 12 << 56 | 1 << 47, 255 << 56, 63 << 56 | 4096, 12 << 56 | 200 << 48]
)
def test_table_whose_index_is_elsewhere(pool_path, index):
    damaged(pool_path, {i: i for i in range(100)}, 72, index)
    with pmemobj.open(pool_path, "w", sync="manual") as pool:
        root = pool.root
        for use in (lambda: root[5], lambda: root.get("none"), lambda: root.__setitem__("a", 1), root.clear):
            with pytest.raises(pmemobj.PoolDamagedError, match="index"):
                use()


@pytest.mark.parametrize(
    "slot", [8, 1 << 40, 1 << 48 | 8, 1 << 48 | 1 << 47, 200 << 48 | 4096, 31 << 3 | 4, 0xFF << 8 | 12]
)
def test_slot_that_holds_no_value(pool_path, slot):
    damaged(pool_path, [[1], 2], 48, 0)
    with pmemobj.create(os.fspath(pool_path) + "2", 8 << 20, sync="manual") as pool:
        pool.root = [[1], 2]
    path = os.fspath(pool_path) + "2"
    with pmemobj.open(path, "r") as pool:
        at = pmemobj._core.object_at(pool.root) + 48
    with open(path, "r+b") as file:
        file.seek(at)
        (cells,) = struct.unpack("<Q", file.read(8))
        file.seek(cells)
        file.write(struct.pack("<Q", slot))
    with pmemobj.open(path, "w", sync="manual") as pool:
        for use in (lambda: pool.root[0], lambda: list(pool.root), lambda: repr(pool.root)):
            with pytest.raises(pmemobj.PoolDamagedError):
                use()
