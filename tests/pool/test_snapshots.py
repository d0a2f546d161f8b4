"""flag="r" beside a writer: what a snapshot shows, refresh(), and what it holds up."""

import errno
import gc
import os
import random
import shutil
import threading
import time

import pytest
from pool_files import journal_of, run_until_killed, start

import pmemobj
from pmemobj import PoolBusyError, StaleObjectError

pytestmark = pytest.mark.journal_engine("snapshots")  # the direct engine lets no snapshot be

SIZE = 256 << 20
POLICIES = ["commit", "interval", "manual"]
SMALL_JOURNAL = {"first_segment": 65536, "max_segment": 262144, "limit": 1 << 20, "ring": 65536}
TINY_JOURNAL = {"first_segment": 65536, "max_segment": 65536, "limit": 131072, "ring": 65536}


class Thing(pmemobj.PersistentObject):
    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)


@pytest.fixture(params=POLICIES)
def writer(request, pool_path):
    with pmemobj.open(pool_path, max_size=SIZE, sync=request.param) as pool:
        yield pool


@pytest.fixture
def snapshot(writer, pool_path):
    """snapshot() opens one of the writer's pool."""
    opened = []

    def take():
        opened.append(pmemobj.open(pool_path, "r"))
        return opened[-1]

    yield take
    for pool in opened:
        pool.close()


def positions(path):
    """What this process holds for its snapshots of the pool."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.path.samefile(f"/proc/self/fd/{number}", path):
                with open(f"/proc/self/fdinfo/{number}") as lines:
                    found += [line.split()[-1] for line in lines if "OFDLCK" in line and " READ " in line]
        except OSError:
            pass
    return found


def holding_process(path):
    """A process with a snapshot.  It has been stopped, so it can do nothing about what it holds up."""
    process = start(
        """
pool = pmemobj.open(path, "r")
print(pool.root, flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
print(pool.root, flush=True)
print(pool.refresh(), pool.root, flush=True)
sys.stdin.readline()
pool.close()
""",
        path,
    )
    process.seen = process.stdout.readline().strip()
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    return process


def resume(process):
    os.kill(process.pid, 18)  # SIGCONT
    return [process.stdout.readline().strip() for _ in range(2)]


def end(process):
    out, err = process.communicate("\n", timeout=60)
    assert (process.returncode, err) == (0, ""), out + err


# --- what is seen


def test_a_snapshot_stays_what_it_is_until_refreshed(writer, snapshot):
    writer.root = {"a": 1, "list": [1]}
    reader = snapshot()
    writer.root["a"] = 2
    writer.root["list"].append("a text that needs a block")
    assert reader.root == {"a": 1, "list": [1]}
    assert reader.refresh() is True
    assert reader.root == {"a": 2, "list": [1, "a text that needs a block"]}
    assert reader.refresh() is False
    assert reader.check().ok
    assert reader._allocated() == writer._allocated()


def test_commits_are_seen_at_once_and_uncommitted_changes_never(writer, snapshot):
    writer.root = [0]
    reader = snapshot()
    with writer.transaction():
        writer.root.append(1)
        assert not reader.refresh()
        assert snapshot().root == [0]
    assert reader.refresh()
    assert reader.root == [0, 1]
    for i in range(300):
        writer.root.append(i)
        assert reader.refresh()
        assert reader.root[-1] == i


def test_several_snapshots_of_several_times(writer, snapshot):
    writer.root = {}
    readers = []
    for i in range(5):
        writer.root[f"a key of this dict {i}"] = list(range(i))
        readers.append(snapshot())
    for i, reader in enumerate(readers):
        assert len(reader.root) == i + 1
        assert reader.check().ok
    for reader in readers[:-1]:
        assert reader.refresh()
        assert reader.root == writer.root


def test_large_and_many_changes(writer, snapshot):
    """Through several segments, with ranges that go to the file directly, and taken anew now and then."""
    rng = random.Random(5)
    writer.root = {}
    reader = snapshot()
    for step in range(12):
        key = f"key number {rng.randrange(6)}"
        kind = rng.randrange(4)
        if kind == 0:
            writer.root[key] = list(range(rng.choice([1000, 100_000, 600_000])))
        elif kind == 1:
            writer.root[key] = {f"another key {i}": i for i in range(rng.randrange(5000))}
        elif kind == 2:
            writer.root.pop(key, None)
        else:
            writer.root[key] = "x" * rng.randrange(3_000_000)
        if rng.random() < 0.5:
            reader.refresh()
            assert reader.to_python(reader.root) == writer.to_python(writer.root)
            assert reader.check().ok
        if rng.random() < 0.3 and step % 2:
            fresh = snapshot()
            assert fresh.to_python(fresh.root) == writer.to_python(writer.root)
            assert fresh.check().ok
            fresh.close()
            gc.collect()


def applied(writer, reader=None):
    """Everything is in the pool file; the reader, if it is given, knows that."""
    for _ in range(1000):
        try:
            writer.checkpoint()
            break
        except PoolBusyError:
            time.sleep(0.01)
    else:
        raise AssertionError("the pool file is held for ever")
    if reader is not None:
        reader.refresh()


def appended(writer):
    return writer.stats()["journal"]["bytes_appended"]


@pytest.mark.parametrize("sync", POLICIES)
def test_a_direct_write_into_a_page_that_was_made_our_own(pool_path, monkeypatch, sync):
    """The range was in use, and the reader has followed the records about it, before it is written without one."""
    monkeypatch.setattr("pmemobj.pool.JOURNAL", SMALL_JOURNAL)
    with pmemobj.open(pool_path, max_size=SIZE, sync=sync) as writer, pmemobj.open(pool_path, "r") as reader:
        writer.root = {"list": list(range(700_000)), "filler": None}
        for first in range(3):
            with writer.transaction():
                for i in range(0, 700_000, 256):
                    writer.root["list"][i] = -1
            writer.sync()
            assert reader.refresh()
            target = appended(writer)
            while writer.stats()["journal"]["bytes_applied"] < target:
                writer.root["filler"] = "x" * 8000
                writer.sync()
                reader.refresh()
                time.sleep(0.005)
            writer.root["list"] = None
            writer._drain()
            writer.sync()
            reader.refresh()
            before = appended(writer)
            writer.root["list"] = list(range(first, 700_000 + first))
            assert appended(writer) - before < 1 << 20
            assert reader.refresh()
            assert reader.to_python(reader.root["list"]) == list(range(first, 700_000 + first))


def test_no_direct_write_into_what_an_old_snapshot_uses(writer, snapshot):
    writer.root = [list(range(700_000))]
    applied(writer)
    reader = snapshot()
    for first in range(3):
        writer.root.pop()
        writer._drain()
        applied(writer)
        before = appended(writer)
        writer.root.append(list(range(first, 700_000 + first)))
        assert appended(writer) - before > 5 << 20
    applied(writer)
    assert reader.to_python(reader.root[0]) == list(range(700_000))
    reader.refresh()
    assert reader.to_python(reader.root[0]) == list(range(2, 700_002))


def test_a_writer_is_always_up_to_date(writer):
    writer.root = 1
    assert writer.refresh() is False
    assert writer.root == 1


# --- proxies


def test_proxies_keep_their_identity(writer, snapshot):
    writer.root = {"list": [[1], [2]], "dict": {"a": {}}, "set": {1}, "thing": writer.new(Thing, x=1)}
    reader = snapshot()
    held = {key: reader.root[key] for key in reader.root}
    inner = reader.root["list"][1]
    writer.root["list"].insert(0, "first")
    writer.root["dict"]["b"] = 2
    writer.root["set"].add("two")
    writer.root["thing"].y = [1]
    writer.root["moved"] = writer.root["list"].pop()  # out of one container, into another
    reader.refresh()
    assert {key: reader.root[key] is value for key, value in held.items()} == dict.fromkeys(held, True)
    assert held["list"] == ["first", [1]]
    assert held["dict"] == {"a": {}, "b": 2}
    assert held["set"] == {1, "two"}
    assert held["thing"].x == 1 and held["thing"].y == [1]
    assert reader.root["moved"] is inner


@pytest.mark.parametrize("kind", [list, dict, set, Thing])
def test_an_object_that_is_gone_is_stale(writer, snapshot, kind):
    """Also when another one of the same kind has taken its place at once."""
    make = {
        list: lambda: ["old"],
        dict: lambda: {"old": 1},
        set: lambda: {"old"},
        Thing: lambda: writer.new(Thing, x="old"),
    }
    writer.root = {"here": make[kind](), "kept": make[kind]()}
    reader = snapshot()
    gone, kept = reader.root["here"], reader.root["kept"]
    for _ in range(5):
        del writer.root["here"]
        gc.collect()
        writer.root["here"] = make[kind]()
    assert reader.refresh()
    use = (lambda o: o.x) if kind is Thing else len
    with pytest.raises(StaleObjectError, match="does not exist any more since refresh"):
        use(gone)
    assert use(kept)
    assert use(reader.root["here"])
    assert reader.root["here"] is not gone
    del gone
    assert use(reader.root["here"])


def test_attributes_and_classes_that_came_later(writer, snapshot):
    class_name = Thing.__qualname__
    writer.root = [writer.new(Thing, a=1)]
    reader = snapshot()
    first = reader.root[0]
    assert first.a == 1 and not hasattr(first, "later")
    writer.root[0].later = "a value that came later"
    writer.root.append(writer.new(pmemobj.PersistentObject))
    writer.root[1].other = 2
    reader.refresh()
    assert first.later == "a value that came later"
    assert reader.root[1].other == 2
    assert type(first).__qualname__ == class_name


def test_texts_and_keys_that_were_read_before(writer, snapshot):
    """What is remembered of blocks and keys holds no more: another text lies in the same block."""
    keys = [f"a rather long key {i}" for i in range(50)]
    writer.root = {key: f"its first long value {key}" for key in keys}
    reader = snapshot()
    for _ in range(3):
        for key in keys:
            assert reader.root[key].endswith(key)
    for round_number in range(4):
        for key in keys[::2]:
            del writer.root[key]
        for key in reversed(keys[::2]):
            writer.root[key] = f"its {round_number} long value {key}"
        reader.refresh()
        assert reader.to_python(reader.root) == writer.to_python(writer.root)
        assert all(reader.root[key] == writer.root[key] for key in keys)


def test_a_key_in_the_place_of_another(writer, snapshot):
    """The same block, the same entry: what found the old key must not find the new one."""
    old, new = "a rather long key, the old", "a rather long key, the new"
    writer.root = {old: 1}
    reader = snapshot()
    assert [reader.root[old] for _ in range(3)] == [1, 1, 1]
    for _ in range(4):
        writer.root.clear()
        writer.root[new] = 2
        assert reader.refresh()
        assert old not in reader.root
        assert reader.root[new] == 2
        writer.root.clear()
        writer.root[old] = 1
        assert reader.refresh()
        assert new not in reader.root
        assert reader.root[old] == 1


# --- iteration


@pytest.mark.parametrize("kind", ["keys", "values", "items"])
def test_iteration_over_a_dict_that_changes(writer, snapshot, kind):
    writer.root = {i: str(i) * 10 for i in range(20)}
    reader = snapshot()
    walking = iter(getattr(reader.root, kind)())
    next(walking)
    writer.root[3] = "a value is replaced"
    reader.refresh()
    next(walking)
    writer.root["another"] = 1
    reader.refresh()
    with pytest.raises(RuntimeError, match="changed size during iteration"):
        next(walking)


def test_iteration_over_other_containers_that_change(writer, snapshot):
    writer.root = [set(range(20)), list(range(20))]
    reader = snapshot()
    members, items, back = iter(reader.root[0]), iter(reader.root[1]), reversed(reader.root[1])
    next(members), next(items), next(back)
    writer.root[0].add("another")
    del writer.root[1][3:]
    reader.refresh()
    with pytest.raises(RuntimeError, match="Set changed size during iteration"):
        next(members)
    assert list(items) == [1, 2]
    assert list(back) == []


def test_iteration_over_what_is_gone(writer, snapshot):
    writer.root = [{1: 1, 2: 2}, {1, 2}, [1, 2]]
    reader = snapshot()
    walks = [iter(o) for o in reader.root]
    for walk in walks:
        next(walk)
    writer.root.clear()
    writer._drain()
    reader.refresh()
    for walk in walks:
        with pytest.raises(StaleObjectError):
            next(walk)


@pytest.mark.parametrize("seed", range(6))
def test_refresh_inside_iteration_and_callbacks(writer, snapshot, seed):
    """Whatever has changed: an answer or an exception, and the snapshot is sound afterwards."""
    rng = random.Random(seed)

    def change():
        for _ in range(rng.randrange(1, 12)):
            kind = rng.randrange(7)
            if kind == 0:
                writer.root["dict"].clear()
            elif kind == 1:
                writer.root["dict"].update(
                    (f"key {rng.randrange(30)}", [rng.random()]) for _ in range(rng.randrange(12))
                )
            elif kind == 2:
                writer.root["set"].clear()
            elif kind == 3:
                writer.root["set"].update(Key(rng.randrange(30)) for _ in range(12))
            elif kind == 4:
                writer.root["list"] = [Key(rng.randrange(9)) for _ in range(rng.randrange(30))]
            elif kind == 5:
                writer.root["dict"].pop(f"key {rng.randrange(30)}", None)
            else:
                writer.root["set"].discard(Key(rng.randrange(30)))
        reader.refresh()

    global on_compare
    on_compare = None
    writer.root = {
        "dict": {f"key {i}": [i] for i in range(8)},
        "set": {Key(i) for i in range(8)},
        "list": [Key(i) for i in range(9)],
    }
    reader = snapshot()
    seen = 0
    for _ in range(40):
        uses = [
            lambda: [change() for _ in reader.root["dict"].items()],
            lambda: [change() for _ in reversed(reader.root["dict"])],
            lambda: [change() for _ in reader.root["set"]],
            lambda: [change() for _ in reader.root["list"]],
            lambda: Key(rng.randrange(30)) in reader.root["set"],
            lambda: reader.root["list"].index(Key(7)),
            lambda: reader.root["set"] & {Key(1), Key(2), Key(3)},
            lambda: reader.root["list"] == [Key(i) for i in range(9)],
            lambda: sorted(reader.root["list"], key=lambda k: k.n),
        ]
        on_compare = change
        try:
            rng.choice(uses)()
        except (RuntimeError, StaleObjectError, ValueError):
            seen += 1
        on_compare = None
        reader.refresh()
        assert reader.check().ok
        assert reader.to_python(reader.root) == writer.to_python(writer.root)
    assert seen


on_compare = None


class Key:
    def __init__(self, n):
        self.n = n

    def __hash__(self):
        return self.n % 4

    def __eq__(self, other):
        global on_compare
        if on_compare is not None:
            once, on_compare = on_compare, None
            once()
        return type(other) is Key and self.n == other.n


pmemobj.register(Key, lambda k: k.n, Key, "test_snapshots.Key")


# --- threads


def test_each_operation_of_other_threads_sees_one_state(writer, snapshot):
    writer.root = {"pair": (0, 0), "texts": ["0"] * 50}
    reader = snapshot()
    stop, wrong = threading.Event(), []

    def look():
        root, texts = reader.root, reader.root["texts"]
        while not stop.is_set():
            one, other = root["pair"]
            seen = texts[:]
            if one != other or len(set(seen)) != 1 or len(seen) != 50:
                wrong.append((one, other, seen))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(60):
        with writer.transaction():
            writer.root["pair"] = (i, i)
            writer.root["texts"][:] = [f"text number {i}"] * 50
        reader.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


def test_closing_while_others_refresh(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE) as writer:
        writer.root = []
        for _ in range(20):
            reader = pmemobj.open(pool_path, "r")
            failures = []

            def work(reader=reader, failures=failures):
                try:
                    while True:
                        reader.refresh()
                        len(reader.root)
                except pmemobj.PoolClosedError:
                    pass
                except BaseException as error:
                    failures.append(error)

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            for i in range(20):
                writer.root.append(i)
            reader.close()
            for thread in threads:
                thread.join()
            assert not failures, failures


# --- what it holds up


def test_a_writer_opens_and_closes_while_snapshots_are_held(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE) as pool:
        pool.root = 0
    with pmemobj.open(pool_path, "r") as reader:
        for i in range(1, 4):
            with pmemobj.open(pool_path, "w") as writer:
                assert writer.root == i - 1
                writer.root = i
            assert reader.root == i - 1
            assert reader.refresh()
            assert reader.root == i
            assert reader.refresh() is False


def test_an_old_snapshot_holds_nothing_up(pool_path):
    """Its pages become its own, so everything can be applied; sessions end clean, and the journal stays small."""
    contents = {"texts": {f"key {i}": "x" * i for i in range(1000)}, "list": [[i] for i in range(1000)]}
    with pmemobj.open(pool_path, max_size=SIZE) as pool:
        pool.root = contents
    with pmemobj.open(pool_path, "r") as old:
        first = old.root["list"][0]
        for sync in POLICIES:
            with pmemobj.open(pool_path, "w", sync=sync) as pool:
                assert pool.recovery is None
                for i in range(1000):
                    pool.root["texts"][f"key {i}"] = sync * (i % 300)
                    pool.root["list"][i] = [sync, i]
                pool.root["large"] = list(range(700_000))
                assert pool.stats()["journal"]["journal_bytes"] < 80 << 20
            assert not journal_of(pool_path).exists()
            run_until_killed(
                f"pool = pmemobj.open(path, 'w'); pool.root['killed'] = [{sync!r}] * 1000; die()", pool_path
            )
            with pmemobj.open(pool_path, "w", timeout=20) as pool:
                assert pool.root["killed"] == [sync] * 1000
                del pool.root["large"]
        assert old.to_python(old.root) == contents
        assert first == [0]
        assert old.check().ok
        assert old.refresh()
        assert old.root["killed"] == ["manual"] * 1000
        assert old.check().ok
        with pytest.raises(StaleObjectError):
            len(first)
        assert old.refresh() is False


def test_clean_close_with_an_older_snapshot_leaves_the_journal(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE) as pool:
        pool.root = ["before"]
    process = holding_process(pool_path)
    with pmemobj.open(pool_path, "w") as pool:
        pool.root.append("after")
    assert journal_of(pool_path).exists()
    with pytest.raises(
        PoolBusyError, match=rf"cannot be recovered, because a reader \(process {process.pid}\) holds"
    ):
        pmemobj.open(pool_path, "w")
    with pmemobj.open(pool_path, "r") as pool:  # another reader does not mind
        assert pool.root == ["before", "after"]
    assert resume(process) == ["PersistentList(['before'])", "True PersistentList(['before', 'after'])"]
    end(process)
    with pmemobj.open(pool_path, "w", timeout=20) as pool:
        assert pool.recovery is not None
        assert pool.root == ["before", "after"]
    assert not journal_of(pool_path).exists()


@pytest.mark.parametrize("sync", POLICIES)
def test_the_journal_grows_while_a_snapshot_is_held(pool_path, sync):
    """And nothing is lost when the writer is killed with a journal far beyond its limit."""
    with pmemobj.open(pool_path, max_size=SIZE) as pool:
        pool.root = ["kept"]
    process = holding_process(pool_path)
    run_until_killed(
        f"""
from pmemobj import pool as module
module.JOURNAL = {SMALL_JOURNAL}
pool = pmemobj.open(path, "w", sync={sync!r})
for i in range(300):
    pool.root.append("x" * 12000 + str(i))
    pool.root[0] = i
assert pool.stats()["journal"]["journal_bytes"] > 3 << 20, pool.stats()
pool.root.append(list(range(600_000)))  # too much for a record: goes to the file directly, but not now
die()
""",
        pool_path,
    )
    with pytest.raises(PoolBusyError):
        pmemobj.open(pool_path, "w")
    resume(process)
    with pmemobj.open(pool_path, "w", timeout=20) as pool:
        assert pool.root[0] == 299
        assert [text[12000:] for text in pool.root[1:-1]] == [str(i) for i in range(300)]
        assert len(pool.root[-1]) == 600_000
        assert pool.check().ok
    end(process)


def test_the_journal_shrinks_again(pool_path, monkeypatch):
    monkeypatch.setattr("pmemobj.pool.JOURNAL", SMALL_JOURNAL)
    with pmemobj.open(pool_path, max_size=SIZE, sync="manual") as pool:
        pool.root = []
        process = holding_process(pool_path)
        for i in range(1500):
            pool.root.append("x" * 2000 + str(i))
        grown = pool.stats()["journal"]["journal_bytes"]
        assert grown > 3 << 20
        with pytest.raises(PoolBusyError, match="cannot be brought up to date"):
            pool.checkpoint()
        resume(process)
        end(process)
        for _ in range(1000):
            pool.checkpoint()
            for i in range(20):
                pool.root[i] = "y" * 2000
            if pool.stats()["journal"]["journal_bytes"] < 2 << 20:
                break
        else:
            raise AssertionError(pool.stats()["journal"])
    assert not journal_of(pool_path).exists()


def test_the_journal_at_its_largest(pool_path, monkeypatch):
    """162 segments are all there can be: then the writer is told who is in its way, and loses nothing."""
    monkeypatch.setattr("pmemobj.pool.JOURNAL", TINY_JOURNAL)
    with pmemobj.open(pool_path, max_size=SIZE, sync="commit") as pool:
        pool.root = {}
        process = holding_process(pool_path)
        done = 0
        with pytest.raises(
            PoolBusyError, match=rf"the journal can grow no more.*process {process.pid}"
        ) as caught:
            for done in range(10_000):
                pool.root[done] = "x" * 20_000
        assert caught.value.errno == errno.EAGAIN
        assert list(pool.root) == list(range(done))
        with pytest.raises(PoolBusyError):
            pool.root[done] = "x" * 20_000
        assert resume(process)[1].startswith("True")
        for i in range(done, done + 50):
            pool.root[i] = "y" * 20_000
        end(process)
        assert list(pool.root) == list(range(done + 50))
        assert pool.check().ok


def fill_journal(pool):
    """Until there is room for the smallest changes only."""
    for size in (20_000, 1000):
        with pytest.raises(PoolBusyError):
            while True:
                pool.root["text"] = "x" * size


@pytest.mark.parametrize("sync", POLICIES)
def test_what_finds_no_room_is_destroyed_later(pool_path, monkeypatch, sync):
    """The change that nothing refers to it any more is made, and does not say otherwise."""
    monkeypatch.setattr("pmemobj.pool.JOURNAL", TINY_JOURNAL)
    with pmemobj.open(pool_path, max_size=SIZE, sync=sync) as pool:
        pool.root = {"lists": [[i] for i in range(20_000)]}
        process = holding_process(pool_path)
        fill_journal(pool)
        del pool.root["lists"]
        assert list(pool.root) == ["text"]
        assert pool._check_references() > 10_000
        assert pool.check().ok
        resume(process)
        end(process)
        pool.root["text"] = 1
        assert pool._check_references() == 1


def test_garbage_that_finds_no_room_is_collected_later(pool_path, monkeypatch):
    monkeypatch.setattr("pmemobj.pool.JOURNAL", TINY_JOURNAL)
    with pmemobj.open(pool_path, max_size=SIZE, sync="manual") as pool:
        pool.root = {"rings": [[] for _ in range(10_000)]}
        with pool.transaction():
            for ring in pool.root["rings"]:
                ring.append([ring, [1]])
            del ring
        del pool.root["rings"]
        process = holding_process(pool_path)
        fill_journal(pool)
        for seconds in (None, 0, 0.01):
            with pytest.raises(PoolBusyError):
                while not pool.gc(seconds).finished:
                    pass
        assert pool._check_references() > 10_000
        resume(process)
        end(process)
        pool.gc()
        assert pool._check_references() == 1
        assert pool.check().unreachable[0] == 0


def test_a_pool_is_closed_where_there_is_no_room_to_destroy_what_is_left(pool_path, monkeypatch):
    monkeypatch.setattr("pmemobj.pool.JOURNAL", TINY_JOURNAL)
    pool = pmemobj.open(pool_path, max_size=SIZE, sync="manual")
    pool.root = {"lists": [[i] for i in range(20_000)]}
    process = holding_process(pool_path)
    fill_journal(pool)
    del pool.root["lists"]
    pool.close()
    resume(process)
    end(process)
    with pmemobj.open(pool_path) as pool:
        pool._drain()
        assert pool._check_references() == 1


# --- files


def test_another_file_under_the_name(pool_path, tmp_path):
    with pmemobj.open(pool_path, max_size=SIZE) as pool:
        pool.root = 1
    with pmemobj.open(pool_path, "r") as reader:
        shutil.copy(pool_path, tmp_path / "copy")
        os.replace(tmp_path / "copy", pool_path)
        with pytest.raises(OSError, match="another file has taken the place of this pool") as caught:
            reader.refresh()
        assert caught.value.errno == errno.ESTALE
        assert reader.root == 1


def test_a_journal_that_is_missing_or_foreign(tmp_path):
    path, other = tmp_path / "pool", tmp_path / "other"
    for name in path, other:
        run_until_killed("pool = pmemobj.open(path, max_size=64 << 20); pool.root = [1]; die()", name)
    journal_of(path).rename(tmp_path / "away")
    with pytest.raises(pmemobj.JournalError, match=r"its journal .* is missing"):
        pmemobj.open(path, "r")
    shutil.copy(journal_of(other), journal_of(path))
    with pytest.raises(pmemobj.JournalError, match="belongs to another pool"):
        pmemobj.open(path, "r")


def test_a_killed_writer_and_the_next_one(pool_path):
    """A snapshot goes on through the end of a session that was not closed, and the recovery of the next one."""
    pmemobj.create(pool_path, SIZE).close()
    for i in range(3):
        with pmemobj.open(pool_path, "r") as before:
            run_until_killed(
                f"pool = pmemobj.open(path, 'w'); pool.root = [{i}, 'text ' * 9]; die()", pool_path
            )
            assert before.refresh()
            assert before.root == [i, "text " * 9]
            with pmemobj.open(pool_path, "w") as writer:
                assert writer.recovery["records"]
                assert before.root == [i, "text " * 9]
                writer.root.append(i)
                before.refresh()
                assert before.root == [i, "text " * 9, i]


def test_in_a_forked_child(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE) as writer:
        writer.root = [1]
        with pmemobj.open(pool_path, "r") as reader:
            items = reader.root
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    for use in (lambda: items[0], reader.refresh, lambda: reader.root):
                        try:
                            use()
                        except pmemobj.ForkedPoolError:
                            code = 0
                        else:
                            code = 2
                            break
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert len(positions(pool_path)) == 2  # the child's end has not given up the parent's
            writer.root.append(2)
            reader.refresh()
            assert items == [1, 2]
