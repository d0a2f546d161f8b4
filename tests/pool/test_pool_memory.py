"""The memory that changed pages take: dropped when the pool file has them, without a change in what is read."""

import random

import pytest
from memory_use import written_end_to_end
from pool_files import pmempool_check, run_until_killed

import pmemobj
from pmemobj import PersistentObject, _core

LEAST = 4 << 20


class Thing(PersistentObject):
    pass


@pytest.mark.journal_engine("changed pages are private")
def test_memory_stays_within_its_budget(tmp_path):
    """256 MB written; what is asserted is far below what all pages together would take."""
    use = written_end_to_end(tmp_path / "pool", size=256 << 20, memory=24 << 20)
    assert use.ok
    assert use.stored >= 240 << 20
    assert use.peak_private - use.private_before < 80 << 20
    unlimited = written_end_to_end(tmp_path / "unlimited", size=256 << 20, memory=1 << 40)
    assert unlimited.peak_private - unlimited.private_before > 200 << 20


def random_value(rng):
    return rng.choice(
        [
            lambda: rng.randrange(2**70),
            lambda: "s" * rng.randrange(60),
            lambda: "m" * rng.randrange(3000),
            lambda: b"b" * rng.randrange(60_000),
            lambda: ("t" * 20, rng.randrange(10)),
        ]
    )()


def change(rng, root, model):
    """The same change to the pool and to its model."""
    kind, key, value = rng.randrange(9), rng.randrange(10), random_value(rng)
    if kind < 4:
        root["dict"][key] = model["dict"][key] = value
    elif kind == 4:
        root["dict"].pop(key, None)
        model["dict"].pop(key, None)
    elif kind == 5:
        root["list"].append(value)
        model["list"].append(value)
    elif kind == 6 and model["list"]:
        where = rng.randrange(len(model["list"]))
        del root["list"][where:]
        del model["list"][where:]
    elif kind == 7:
        root["list"][:0] = model["list"][:0] = [value] * rng.randrange(30)
    elif kind == 8:
        root["set"] ^= {key, str(key) * 10}
        model["set"] ^= {key, str(key) * 10}


@pytest.mark.parametrize("sync", ["manual", "commit", "interval"])
def test_dropping_changes_nothing(pool_path, sync):
    """All pages that can be are dropped after every few changes, undone ones among them."""
    rng = random.Random(11)
    model = {"dict": {}, "list": [], "set": set()}
    pool = pmemobj.open(pool_path, max_size=256 << 20, sync=sync)
    pool.root = model
    for step in range(400):
        if rng.random() < 0.3:
            with pool.transaction() as tx:
                for _ in range(rng.randrange(1, 6)):
                    change(rng, pool.root, {"dict": {}, "list": [0], "set": set()})
                if len(pool.root["list"]):
                    pool.root["list"].clear()
                tx.abort()
        if rng.random() < 0.3:
            with pool.transaction():
                for _ in range(rng.randrange(1, 6)):
                    change(rng, pool.root, model)
        else:
            change(rng, pool.root, model)
        if step % 3 == 0:
            _core.drop_pages(pool)
            assert pool.root == model
        if step % 40 == 0:
            assert pool.check().findings == []
            pool._check_references()
        if step % 100 == 99:
            pool.close()
            pmempool_check(pool_path)
            pool = pmemobj.open(pool_path, sync=sync)
    assert pool.root == model
    pool.close()
    with pmemobj.open(pool_path) as pool:
        assert pool.root == model
        assert pool.check().ok


@pytest.mark.journal_engine("changed pages are private")
def test_dropped_pages_are_counted_down(pool):
    pool.root = {"texts": ["x" * 900] * 20_000, "objects": [pool.new(Thing) for _ in range(1000)]}
    pool.sync()
    assert _core.changed_bytes(pool) > 18_000_000
    _core.drop_pages(pool)
    assert _core.changed_bytes(pool) < 1 << 20
    assert pool.root["texts"] == ["x" * 900] * 20_000
    assert pool.check().ok


def test_killed_while_pages_are_dropped(pool_path):
    """What is read after a kill is what was committed, whatever had been dropped."""
    run_until_killed(
        f"""
pool = pmemobj.open(path, max_size=1 << 30, memory={LEAST})
pool.root = {{"texts": [], "last": 0}}
texts = pool.root["texts"]
for i in range(40_000):
    texts.append(f"{{i:08}}" * 100)
    if i % 7 == 0:
        texts[i // 2] = str(i) * 50
assert pool.usage().memory < 16 << 20
die()
""",
        pool_path,
    )
    with pmemobj.open(pool_path) as pool:
        texts = pool.root["texts"]
        assert len(texts) == 40_000
        expected = [f"{i:08}" * 100 for i in range(40_000)]
        for i in range(0, 40_000, 7):
            expected[i // 2] = str(i) * 50
        assert texts == expected
        assert pool.check().ok


def test_an_undone_transaction_leaves_nothing_to_write(pool):
    pool.root = {"list": list(range(50_000)), "after": 0}
    pool.sync()
    with pool.transaction() as tx:
        for i in range(0, 50_000, 5):
            pool.root["list"][i] = -i
        pool.root["text"] = "x" * 3000
        tx.abort()
    before = pool.stats()["journal"]["bytes_appended"]
    pool.root["after"] = 1
    assert pool.stats()["journal"]["bytes_appended"] - before < 4096
    assert pool.root["list"] == list(range(50_000))


def test_what_an_undone_transaction_reserved_is_recorded(pool_path):
    """libpmemobj writes headers of chunks when it reserves, also when that is undone; they must be in the file."""
    with pmemobj.open(pool_path, max_size=64 << 20, sync="manual") as pool:
        pool.root = []
        for i in range(30):
            with pool.transaction() as tx:
                pool.root.extend(["x" * (300_000 * (1 + i % 5))] * 3)
                if i % 2:
                    tx.abort()
            if i % 3 == 2:
                del pool.root[: len(pool.root) // 2]
            if i % 5 == 4:
                _core.drop_pages(pool)
        expected = list(pool.root)
        pool.checkpoint()
    pmempool_check(pool_path)
    with pmemobj.open(pool_path) as pool:
        assert pool.root == expected
        assert pool.check().ok


@pytest.mark.parametrize("memory", [0, LEAST - 1, 1 << 47, -1])
def test_what_memory_may_be(pool_path, memory):
    with pytest.raises(ValueError, match="memory must be at least"):
        pmemobj.open(pool_path, memory=memory)
    assert not pool_path.exists()


def test_what_is_only_in_the_ring_stays(pool_path):
    """Words that are changed all the time, in pages that older records have left in the file."""
    with pmemobj.open(pool_path, max_size=1 << 30, sync="manual", memory=LEAST) as pool:
        pool.root = {"hot": [0] * 3_000_000, "texts": []}
        hot, texts, model = pool.root["hot"], pool.root["texts"], [0] * 3_000_000
        for i in range(4000):
            changed = [(i * 7919 + k * 1_104_729) % 3_000_000 for k in range(10)]
            for k in changed:
                hot[k] = model[k] = i
            with pool.transaction():
                texts.append("x" * 9000)
            assert [hot[k] for k in changed] == [i] * 10
        assert hot == model
        assert pool.usage().memory < 64 << 20


@pytest.mark.journal_engine("changed pages are private")
def test_pages_of_single_words(pool_path):
    """Some words of the ring may be as many pages.  Who counts them when, tests/engine/test_space.c tries."""
    with pmemobj.open(pool_path, max_size=1 << 30, sync="manual", memory=LEAST) as pool:
        pool.root = list(range(2_000_000))
        items, most = pool.root, 0
        pool.checkpoint()
        _core.drop_pages(pool)
        items.extend([0] * 50_000)  # for which much room is made, which is not all needed
        for i in range(40_000):
            items[i * 7919 % 2_000_000] = -i
            if i % 64 == 0:
                most = max(most, _core.changed_bytes(pool))
        assert most < 2 * LEAST
        assert [items[i * 7919 % 2_000_000] for i in range(0, 40_000, 97)] == [
            -i for i in range(0, 40_000, 97)
        ]
