"""What bytes are used for, giving unused ones back to the file system, copying a pool without gaps."""

import gc
import os
import random
import threading
from decimal import Decimal
from fractions import Fraction

import pytest
from full_pool import plain
from pool_files import pmempool_check, run_until_killed

import pmemobj
from pmemobj import PersistentDict, PersistentList, PersistentObject, PersistentTuple, _core


class Node(PersistentObject):
    def __init__(self, text=None):
        self.text = text
        self.next = None


def on_disk(path):
    return os.stat(path).st_blocks * 512


@pytest.fixture
def rich(pool):
    """Every kind of container and value, shared references, cycles, gaps and garbage."""
    rng = random.Random(3)
    shared = pool.new(PersistentList, ["shared", 2**100])
    node = pool.new(Node, "t" * 900)
    node.next = node
    pool.root = {
        "list": [
            1,
            2.5,
            1e300,
            "short",
            "é" * 40,
            "€" * 300,
            "🐍" * 50,
            b"b" * 5000,
            None,
            True,
            ...,
            (),
            3j,
            -(2**70),
        ],
        "long": list(range(70_000)),
        "tuple": (1, ("nested", ("deep", b"x" * 300)), frozenset({1, "text " * 5})),
        "dict": {f"key {i}": "v" * rng.randrange(200) for i in range(6000)},
        "set": {i * 7919 for i in range(9000)},
        "empty": [[], {}, set()],
        "texts": ["x" * rng.randrange(3000) for _ in range(2000)],
        "huge": "h" * 700_000,
    }
    root = pool.root
    root["shared"] = [shared, shared, pool.new(PersistentTuple, [shared, node])]
    root["node"] = node
    root["cycle"] = [root["list"]]
    root["cycle"].append(root["cycle"])
    for i in range(0, 6000, 2):
        del root["dict"][f"key {i}"]
    del root["texts"][::2]
    garbage = pool.new(PersistentList, ["g" * 100_000])
    garbage.append(garbage)
    return pool


# --- usage


def test_usage_adds_up(rich):
    used = rich.usage()
    assert sum(used[:7]) == used.max_size == os.stat(rich.path).st_size
    assert used.file == on_disk(rich.path)
    assert used.journal == on_disk(rich.path + "-journal")
    assert min(used) >= 0
    blocks, _ = _core.blocks_in_use(rich)
    assert abs(sum(blocks.values()) - used.objects - used.values - used.containers) <= 64 * used.max_size // (
        256 << 10
    )


def test_usage_tells_purposes_apart(pool):
    def more(change):
        before = pool.usage()
        change()
        after = pool.usage()
        return {name: getattr(after, name) - getattr(before, name) for name in after._fields}

    pool.root = [None] * 1000
    texts = more(lambda: pool.root.extend(["x" * 2000] * 1000))
    assert (texts["values"], texts["objects"]) == (2016 * 1000, 0)
    assert texts["unused"] < -1900 * 1000
    lists = more(lambda: pool.root.__setitem__(slice(0, 1000), [[] for _ in range(1000)]))
    assert (lists["objects"], lists["values"], lists["containers"]) == (64 * 1000, 0, 0)
    filled = more(lambda: pool.root[0].extend([0] * 100_000))
    assert filled["values"] == filled["objects"] == 0
    assert filled["containers"] >= 800_000
    tables = more(lambda: pool.root.__setitem__(1, {i: i for i in range(100_000)}))
    assert (tables["values"], tables["objects"]) == (0, 80 - 56)
    assert tables["containers"] >= 100_000 * 24 + 100_000 * 8
    huge = more(lambda: pool.root.__setitem__(2, "x" * 1_000_000))
    assert 1_000_000 <= huge["values"] <= 1_000_000 + (256 << 10)
    fields = more(lambda: pool.root.__setitem__(3, pool.new(Node)))
    assert fields["containers"] > 0
    pool.root.clear()
    gc.collect()
    assert pool.usage().values < 100  # the name of a class


# --- trim


@pytest.mark.parametrize("sync", ["manual", "commit", "interval"])
def test_trim_gives_disk_space_back(pool_path, sync):
    with pmemobj.open(pool_path, max_size=256 << 20, sync=sync) as pool:
        pool.root = {
            "kept": [str(i) * 20 for i in range(3000)],
            "gone": ["x" * 3000] * 10_000,
            "huge": "h" * (20 << 20),
        }
        pool.checkpoint()
        before = on_disk(pool_path)
        assert before > 50 << 20
        del pool.root["gone"], pool.root["huge"]
        given = pool.trim()
        assert given > 45 << 20
        assert on_disk(pool_path) <= before - given + 65536
        assert pool.trim() < 1 << 20
        assert pool.root == {"kept": [str(i) * 20 for i in range(3000)]}
        # what was given back is used again
        pool.root["again"] = ["y" * 3000] * 9_000
        pool.root["huge"] = "i" * (20 << 20)
        assert pool.check().ok
        pool.checkpoint()
        _core.drop_pages(pool)
        assert pool.root["again"] == ["y" * 3000] * 9_000
        assert pool.root["huge"] == "i" * (20 << 20)
    pmempool_check(pool_path)
    with pmemobj.open(pool_path) as pool:
        assert pool.root["again"] == ["y" * 3000] * 9_000
        assert pool.root["huge"] == "i" * (20 << 20)
        assert pool.check().ok


def test_trim_between_random_changes(pool_path):
    rng = random.Random(8)
    model = {}
    pool = pmemobj.open(pool_path, max_size=128 << 20, sync="manual")
    pool.root = {}
    for step in range(300):
        key = rng.randrange(30)
        if rng.random() < 0.5:
            model[key] = [str(rng.random()) * rng.randrange(1, 400) for _ in range(rng.randrange(40))]
            pool.root[key] = model[key]
        elif rng.random() < 0.3:
            model[key] = chr(97 + step % 26) * rng.randrange(2_000_000)
            pool.root[key] = model[key]
        elif key in model:
            del model[key], pool.root[key]
        if step % 4 == 0:
            pool.trim()
        if step % 9 == 0:
            _core.drop_pages(pool)
        assert pool.root == model
        if step % 75 == 74:
            assert pool.check().findings == []
            pool.close()
            pmempool_check(pool_path)
            pool = pmemobj.open(pool_path, sync="manual")
            assert pool.root == model
    pool.close()


def test_killed_after_a_trim(pool_path):
    """The journal's records that are replayed are of what came after it."""
    run_until_killed(
        """
pool = pmemobj.open(path, max_size=256 << 20, sync="manual")
pool.root = {"gone": ["x" * 3000] * 5000, "kept": list(range(1000))}
pool.sync()
del pool.root["gone"]
pool.trim()
pool.root["new"] = ["y" * 2500] * 4000
pool.root["kept"].reverse()
die()
""",
        pool_path,
    )
    with pmemobj.open(pool_path, sync="manual") as pool:
        assert pool.root["new"] == ["y" * 2500] * 4000
        assert pool.root["kept"] == list(range(999, -1, -1))
        assert pool.check().ok
    pmempool_check(pool_path)


def test_trim_refused(pool, pool_path):
    with pytest.raises(pmemobj.TransactionError), pool.transaction():
        pool.trim()
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError):
        pool.trim()
    with pmemobj.open(pool_path, "r") as again, pytest.raises(pmemobj.ReadOnlyPoolError):
        again.trim()


# --- compact


def same(source, copy):
    """Contents, order and identity; both have a cycle, which is looked at by hand."""
    assert list(source) == list(copy)
    for name in source:
        if name not in ("cycle", "node", "shared"):
            assert plain(source[name]) == plain(copy[name]), name
    assert list(source["dict"]) == list(copy["dict"])
    for i, (ours, theirs) in enumerate(zip(source["list"], copy["list"], strict=True)):
        assert type(ours) is type(theirs), i
    assert copy["cycle"][1] is copy["cycle"]
    assert copy["cycle"][0] is copy["list"]
    assert copy["node"].next is copy["node"]
    assert copy["node"].text == source["node"].text
    first, second, third = copy["shared"]
    assert first is second
    assert third[0] is first
    assert third[1] is copy["node"]
    assert first == source["shared"][0]


def test_compact(rich, tmp_path):
    seen = []
    before = plain(rich.root["dict"])
    result = rich.compact(tmp_path / "copy", progress=lambda done, total: seen.append((done, total)))
    assert (result.before, result.after) == (on_disk(rich.path), on_disk(tmp_path / "copy"))
    assert result.after < result.before
    assert sorted(seen) == seen
    assert seen[-1][0] <= seen[-1][1]
    assert len(seen) > 20
    assert sorted(os.listdir(tmp_path)) == ["copy", "test.pool", "test.pool-journal"]
    pmempool_check(tmp_path / "copy")
    with pmemobj.open(tmp_path / "copy", sync="manual") as copy:
        assert copy.uuid != rich.uuid
        report = copy.check()
        assert (report.findings, report.unreachable) == ([], (0, 0))
        copy._check_references()
        same(rich.root, copy.root)
        assert copy.stats()["limbo"] == 0
        assert copy.usage().values < rich.usage().values
        copy.root["dict"].update({f"more {i}": i for i in range(5000)})
        copy.root["list"].clear()
        assert copy.gc().objects == 0
        assert copy.check().ok
        assert len(rich.root["list"]) == 14
    assert plain(rich.root["dict"]) == before
    rich.root["list"].append("goes on")
    assert rich.check().ok


def test_compact_into_a_smaller_pool(rich, tmp_path):
    rich.compact(tmp_path / "copy", max_size=32 << 20)
    assert os.stat(tmp_path / "copy").st_size == 32 << 20
    with pmemobj.open(tmp_path / "copy") as copy:
        same(rich.root, copy.root)
    with pytest.raises(pmemobj.PoolFullError):
        rich.compact(tmp_path / "too small", max_size=8 << 20)
    assert sorted(os.listdir(tmp_path)) == ["copy", "test.pool", "test.pool-journal"]
    assert rich.root["cycle"][1] is rich.root["cycle"]


def test_compact_keeps_registered_and_pickled_types(pool, tmp_path):
    def prepare(some):
        some.persist_via_pickle(Decimal)
        some.registry.register(Fraction, lambda f: (f.numerator, f.denominator), lambda t: Fraction(*t))

    values = [Decimal("1.5"), (Decimal("2.5"), Fraction(1, 3)), Fraction(22, 7), {"a": Fraction(5)}]
    try:
        prepare(pool)
    except (AttributeError, TypeError):
        pool.persist_via_pickle(Decimal, Fraction)
        prepare = lambda some: some.persist_via_pickle(Decimal, Fraction)  # noqa: E731
    pool.root = values
    pool.compact(tmp_path / "copy")
    with pmemobj.open(tmp_path / "copy") as copy:
        prepare(copy)
        assert plain(copy.root) == values
        assert copy.check().ok


@pytest.mark.parametrize("root", [None, 5, "text", "long enough for a block", (), [], {}, ("a" * 50, ["x"])])
def test_compact_small_roots(pool, tmp_path, root):
    if isinstance(root, tuple) and root and isinstance(root[-1], list):
        root = ("a" * 50, ("x",))
    pool.root = root
    pool.compact(tmp_path / "copy")
    with pmemobj.open(tmp_path / "copy") as copy:
        assert plain(copy.root) == root
        assert copy.check().ok


def test_what_only_python_holds_is_left_out(pool, tmp_path):
    held = pool.new(PersistentDict, {"a": "x" * 5000})
    pool.root = [1]
    pool.compact(tmp_path / "copy")
    with pmemobj.open(tmp_path / "copy") as copy:
        assert copy.usage().values == 0
        assert copy.stats()["limbo"] == 0
    assert held["a"] == "x" * 5000


def test_compact_of_tables_in_segments(pool, tmp_path):
    """The last segment of their entries is not full."""
    values = {i: i for i in range(11_000)}, set(range(16_500)), list(range(33_000))
    pool.root = list(values)
    pool.compact(tmp_path / "copy")
    with pmemobj.open(tmp_path / "copy", "w") as copy:
        assert copy.check().ok
        assert tuple(copy.to_python(copy.root)) == values


def test_compact_refused(pool, tmp_path):
    pool.root = [1, 2]
    (tmp_path / "there").write_text("mine")
    with pytest.raises(FileExistsError):
        pool.compact(tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
    with pytest.raises(FileNotFoundError):
        pool.compact(tmp_path / "no such directory" / "copy")
    with pytest.raises(pmemobj.TransactionError), pool.transaction():
        pool.compact(tmp_path / "copy")
    assert sorted(os.listdir(tmp_path)) == ["test.pool", "test.pool-journal", "there"]


def test_progress_may_read_and_stop_it(rich, tmp_path):
    def read(done, total):
        assert rich.root["list"][3] == "short"
        with pytest.raises(RuntimeError):
            rich.root["list"].append(1)
        with pytest.raises(RuntimeError):
            rich.begin()
        with pytest.raises(pmemobj.TransactionError):
            rich.close()

    rich.compact(tmp_path / "copy", progress=read)

    def stop(done, total):
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rich.compact(tmp_path / "stopped", progress=stop)
    assert sorted(os.listdir(tmp_path)) == ["copy", "test.pool", "test.pool-journal"]
    rich.root["list"].append(1)
    with rich.transaction():
        rich.root["list"].append(2)
    assert rich.check().ok


def test_other_threads_wait_for_compact(pool, tmp_path):
    pool.root = {"pairs": [[0, 0] for _ in range(3000)]}
    errors, stop = [], threading.Event()

    def work():
        rng = random.Random(1)
        try:
            while not stop.is_set():
                with pool.transaction():
                    pair = pool.root["pairs"][rng.randrange(3000)]
                    pair[0] += 1
                    pair[1] += 1
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for i in range(5):
        pool.compact(tmp_path / f"copy {i}", progress=lambda done, total: None)
    stop.set()
    thread.join()
    assert errors == []
    for i in range(5):
        with pmemobj.open(tmp_path / f"copy {i}") as copy:
            assert all(a == b for a, b in copy.root["pairs"])
            assert copy.check().ok
