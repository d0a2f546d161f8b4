"""pool.resize() and opening with a larger max_size: the pool grows, everything in it stays what it is."""

import os
import random
import signal
import threading
import time

import pytest
from pool_files import pmempool_check, read_word, run, start

import pmemobj
from pmemobj import PersistentDeque, PersistentObject, PersistentSortedDict

SMALL, LARGE = 8 << 20, 24 << 20
HEAP_OFFSET_AT, HEAP_SIZE_AT = 5136, 6176


class Node(PersistentObject):
    def __init__(self):
        self.next = None


def fill(root):
    """Texts appended until nothing more fits."""
    with pytest.raises(pmemobj.PoolFullError):
        while True:
            root["texts"].append("t" * 5000)


@pytest.fixture
def full(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        pool.root = {"texts": [], "node": pool.new(Node), "dict": {i: str(i) * 9 for i in range(500)}}
        pool.root["node"].next = pool.root["node"]
        fill(pool.root)
        yield pool


def heap_reaches_the_end(path):
    return read_word(path, HEAP_OFFSET_AT) + read_word(path, HEAP_SIZE_AT) == os.stat(path).st_size


def test_iterators_go_on(pool_path):
    """Some remember where they are, which is elsewhere then."""
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        pairs = {f"key number {i}": [i] for i in range(3000)}
        pool.root = {
            "list": list(pairs.values()),
            "dict": pairs,
            "set": set(pairs),
            "deque": pool.new(PersistentDeque, pairs.values()),
            "sorted": pool.new(PersistentSortedDict, pairs),
        }
        walks = {name: (iter(items), list(items)) for name, items in pool.root.items()}
        for i in range(3):
            for name, (iterator, items) in walks.items():
                expected = items[1000 * i : 1000 * i + 1000]
                assert [next(iterator) for _ in range(1000)] == expected, name
            assert pool.root["dict"][f"key number {i}"] == [i]
            pool.resize(SMALL + (i + 1 << 20))
        assert [list(iterator) for iterator, _ in walks.values()] == [[]] * 5
        assert pool.check().ok


def test_objects_stay_valid(full, pool_path):
    root, node, texts = full.root, full.root["node"], full.root["texts"]
    count, iterator, keys = len(texts), iter(texts), iter(root["dict"])
    next(iterator), next(keys)
    held = full.new(Node) if full.trim() else None  # in limbo; no room for it anywhere else
    full.resize(LARGE)
    assert full.root is root
    assert root["node"] is node
    assert node.next is node
    assert next(iterator) == "t" * 5000
    assert next(keys) == 1
    assert len(texts) == count
    assert held is None or held.next is None
    fill(root)
    assert len(texts) > 4 * count
    assert full.check().ok
    full.close()
    with pytest.raises(pmemobj.PoolClosedError):
        len(texts)
    assert heap_reaches_the_end(pool_path)
    pmempool_check(pool_path)
    with pmemobj.open(pool_path) as pool:
        assert len(pool.root["texts"]) > 4 * count
        assert pool.check().ok


@pytest.mark.parametrize("sync", ["commit", "interval", "manual"])
def test_again_and_again(pool_path, sync):
    with pmemobj.open(pool_path, max_size=SMALL, sync=sync) as pool:
        pool.root = {"texts": []}
        sizes = range(SMALL + (1 << 20), LARGE, 3 << 20)
        for size in sizes:
            pool.root["texts"].append("x" * 300_000)
            pool.resize(size)
            pool.root["texts"].append("x" * 300_000)
            assert pool.stats()["max_size"] == size
        assert pool.durability().sync == sync
        assert pool.check().ok
    with pmemobj.open(pool_path) as pool:
        assert pool.root["texts"] == ["x" * 300_000] * (2 * len(sizes))
    pmempool_check(pool_path)


def test_into_further_zones(pool_path):
    """libpmemobj's heap has zones of 16 GiB."""
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        pool.root = ["first"]
        pool.resize(40 << 30)
        pool.root.append("x" * 1_000_000)
        assert pool.usage().unused > 39 << 30
    pmempool_check(pool_path)
    with pmemobj.open(pool_path, max_size=70 << 30) as pool:
        assert pool.root == ["first", "x" * 1_000_000]
        pool.root.append("y" * 1_000_000)
        assert pool.check().ok
    pmempool_check(pool_path)


def test_refused(full, pool_path):
    with pytest.raises(ValueError, match="must be at least"):
        full.resize(SMALL - 4096)
    with pytest.raises(ValueError, match="must be at least"):
        full.resize(1 << 47)
    with pytest.raises(pmemobj.TransactionError), full.transaction():
        full.resize(LARGE)
    full.resize(SMALL)
    assert os.stat(pool_path).st_size == SMALL
    full.resize(SMALL + (1 << 20))
    with pytest.raises(ValueError, match="below the present"):
        full.resize(SMALL)
    full.close()
    with pytest.raises(pmemobj.PoolClosedError):
        full.resize(LARGE)
    with pmemobj.open(pool_path, "r") as pool, pytest.raises(pmemobj.ReadOnlyPoolError):
        pool.resize(LARGE)


def test_opening_with_another_size(full, pool_path):
    count = len(full.root["texts"])
    full.close()
    with pmemobj.open(pool_path, "r", max_size=LARGE):
        pass
    assert os.stat(pool_path).st_size == SMALL
    with pmemobj.open(pool_path, max_size=LARGE) as pool:
        assert len(pool.root["texts"]) == count
        fill(pool.root)
        assert len(pool.root["texts"]) > 4 * count
    for size in SMALL, None:
        with pmemobj.open(pool_path, max_size=size) as pool:
            assert pool.stats()["max_size"] == LARGE
            assert pool.check().ok
    pmempool_check(pool_path)


def test_half_done(full, pool_path):
    """The file has been made longer, and no more: the next open goes on with it."""
    count = len(full.root["texts"])
    full.close()
    os.truncate(pool_path, LARGE)
    assert not heap_reaches_the_end(pool_path)
    with pmemobj.open(pool_path) as pool:
        assert heap_reaches_the_end(pool_path)
        fill(pool.root)
        assert len(pool.root["texts"]) > 4 * count
    pmempool_check(pool_path)


def test_after_a_kill_with_a_journal(pool_path):
    """The journal is replayed into the small pool first."""
    run(
        """
pool = pmemobj.open(path, max_size=8 << 20, sync="manual")
pool.root = {"texts": ["t" * 100] * 5000}
die()
""",
        pool_path,
        returncode=-signal.SIGKILL,
    )
    with pmemobj.open(pool_path, max_size=LARGE, sync="manual") as pool:
        assert pool.recovery is not None
        assert pool.root["texts"] == ["t" * 100] * 5000
        fill(pool.root)
        assert pool.check().ok
    pmempool_check(pool_path)


GROWING = """
pool = pmemobj.open(path, sync="manual")
size = pool.stats()["max_size"]
print("ready", flush=True)
while True:
    size += 1 << 20
    pool.root["resized"] = size
    pool.resize(size)
    pool.root["texts"].append("x" * 2000)
"""


def test_killed_anywhere(pool_path):
    rng = random.Random(4)
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        pool.root = {"texts": [], "resized": SMALL}
    for _ in range(10):
        process = start(GROWING, pool_path)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.002, 0.1))
        process.kill()
        process.communicate()
        with pmemobj.open(pool_path, sync="manual") as pool:
            size = pool.stats()["max_size"]
            assert pool.root["resized"] - size in (0, 1 << 20)
            assert (
                len(pool.root["texts"]) in (((size - SMALL) >> 20) - 1, (size - SMALL) >> 20) or size == SMALL
            )
            assert pool.check().ok
            while len(pool.root["texts"]) < (size - SMALL) >> 20:  # so that the next round's count is right
                pool.root["texts"].append("x" * 2000)
        assert heap_reaches_the_end(pool_path)
        pmempool_check(pool_path)


def test_other_threads_wait(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, sync="interval", sync_interval=0.001) as pool:
        pool.root = {"counts": [0] * 3, "objects": []}
        errors, stop = [], threading.Event()

        def work(number):
            try:
                while not stop.is_set():
                    with pool.transaction():
                        pool.root["counts"][number] += 1
                    pool.root["objects"].append([number])
                    node = pool.new(Node)
                    assert node.next is None
                    del node
                    pool.root["objects"].pop()
                    pool.sync()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for i in range(1, 25):
            pool.resize(SMALL + (i << 20))
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []
        assert min(pool.root["counts"]) > 0
        assert pool.root["objects"] == []
        assert pool.check().ok
        pool._check_references()
    pmempool_check(pool_path)


def test_the_file_cannot_grow(pool_path):
    """Nothing has changed, and work goes on."""
    out = run(
        """
import resource
with pmemobj.open(path, max_size=8 << 20, sync="manual") as pool:
    pool.root = [1]
    limit = 64 << 20
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        pool.resize(1 << 30)
    except OSError as error:
        print(type(error).__name__, error.errno)
    pool.root.append(2)
    pool.resize(32 << 20)
    pool.root.append(3)
""",
        pool_path,
    )
    assert out == "OSError 27\n"
    with pmemobj.open(pool_path) as pool:
        assert pool.root == [1, 2, 3]
        assert pool.stats()["max_size"] == 32 << 20


def test_the_new_mapping_fails(full, pool_path):
    """The pool is closed then, and complete."""
    texts, count = full.root["texts"], len(full.root["texts"])
    os.mkdir(f"{pool_path}-journal.new")
    with pytest.raises(OSError, match="journal"):
        full.resize(LARGE)
    assert full.closed
    with pytest.raises(pmemobj.PoolClosedError):
        len(texts)
    os.rmdir(f"{pool_path}-journal.new")
    with pmemobj.open(pool_path) as pool:
        assert len(pool.root["texts"]) == count
        assert read_word(pool_path, HEAP_SIZE_AT) > SMALL
        fill(pool.root)
        assert pool.check().ok
    pmempool_check(pool_path)


def test_proxies_that_vanish_meanwhile(pool_path, monkeypatch):
    """Between the two mappings other threads run, when a name is encoded, say; they let go of what they held."""
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        pool.root = [[i] for i in range(200)]
        kept, held = list(pool.root)[::2], list(pool.root) + [pool.new(Node) for _ in range(50)]
        encode = os.fsencode

        def let_go_and_encode(name):
            del held[-10:]
            return encode(name)

        monkeypatch.setattr(os, "fsencode", let_go_and_encode)
        for i in range(1, 20):
            pool.resize(SMALL + (i << 20))
        monkeypatch.undo()
        assert len(held) < 100
        assert [list(item) for item in kept] == [[i] for i in range(0, 200, 2)]
        assert all(pool.root[2 * i] is item for i, item in enumerate(kept))
        held.clear()
        assert pool.stats()["limbo"] == 0
        assert pool.check().ok
        pool._check_references()


def lose_a_cycle(pool):
    node = pool.new(Node)
    node.next = node


def test_garbage_from_before(pool_path):
    """Objects are numbered at their birth, and gc() judges those that have lower numbers than the next one."""
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        pool.root = [[i] for i in range(200)]
        lose_a_cycle(pool)
        pool.resize(SMALL + (1 << 20))
        assert pool.gc().objects == 1
        lose_a_cycle(pool)
        assert pool.gc().objects == 1
        assert pool.root == [[i] for i in range(200)]
        assert pool.check().ok


def test_collection_under_way(pool_path):
    """It knows nothing of what is born afterwards, and leaves that alone."""
    with pmemobj.open(pool_path, max_size=SMALL, sync="manual") as pool:
        pool.root = {"old": [[i] for i in range(200)]}
        lose_a_cycle(pool)
        for _ in range(100):  # it has passed by where new ones will be
            assert not pool.gc(max_seconds=0).finished
        pool.resize(SMALL + (1 << 20))
        pool.root["new"] = [[i] for i in range(200)]
        while not pool.gc(max_seconds=0).finished:
            pass
        assert pool.root == {"old": [[i] for i in range(200)], "new": [[i] for i in range(200)]}
        assert pool.stats()["limbo"] == 0
        assert pool.check().ok
        pool._check_references()
