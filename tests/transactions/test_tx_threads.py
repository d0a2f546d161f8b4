"""One writer: access of other threads waits for an open transaction, and always comes to its end."""

import gc
import os
import signal
import threading
import time

import pytest

import pmemobj


class Worker(threading.Thread):
    """Runs a function; result() gives what it returned or raises what it raised."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function = function
        self.error = None
        self.begun = threading.Event()
        self.start()
        self.begun.wait()

    def run(self):
        self.begun.set()
        try:
            self.value = self.function()
        except BaseException as error:
            self.error = error

    def result(self):
        self.join(60)
        assert not self.is_alive(), "it waits for ever"
        if self.error:
            raise self.error
        return self.value


ACCESSES = [
    lambda pool, root: list(root),
    lambda pool, root: root[0],
    lambda pool, root: len(root),
    lambda pool, root: pool.root,
    lambda pool, root: root.append("late"),
    lambda pool, root: setattr(pool, "root", pool.root),
    lambda pool, root: pool.new(pmemobj.PersistentList),
    lambda pool, root: pool.transaction()(lambda: root.append("late"))(),
    lambda pool, root: (pool.begin(), pool.commit()),
    lambda pool, root: pool.sync(),
    lambda pool, root: pool.checkpoint(),
    lambda pool, root: pool.stats(),
    lambda pool, root: pool.check(),
]


@pytest.mark.parametrize("access", ACCESSES)
def test_access_waits_for_the_end_of_the_transaction(pool, access):
    pool.root = ["before"]
    root, done = pool.root, []

    with pool.transaction():
        root.append("inside")
        worker = Worker(lambda: (access(pool, root), done.append(1)))
        for _ in range(20):  # chances to pass wrongly
            time.sleep(0.001)
        assert done == []
        root.append("inside too")
    worker.join(60)
    assert done == [1]


def test_no_thread_sees_half_a_transaction(pool):
    """Pairs that are equal outside of transactions; readers and writers in both styles."""
    pool.root = {"a": 0, "b": 0}
    stop, wrong = threading.Event(), []

    def read():
        while not stop.is_set():
            with pool.transaction():
                if pool.root["a"] != pool.root["b"]:
                    wrong.append("read")

    def write():
        while not stop.is_set():
            with pool.transaction() as tx:
                pool.root["a"] += 1
                time.sleep(0)
                pool.root["b"] += 1
                if pool.root["a"] % 3 == 0:
                    tx.abort()

    def update():
        n = 0
        while not stop.is_set():
            n += 1
            pool.root.update(a=n, b=n)

    workers = [Worker(function) for function in (read, read, write, update)]
    for _ in range(50):
        values = dict(pool.root)
        if values["a"] != values["b"]:
            wrong.append(values)
        time.sleep(0.002)
    stop.set()
    for worker in workers:
        worker.result()
    assert wrong == []
    assert pool.check().ok


def test_ending_one_transaction_and_beginning_the_next_at_once(pool):
    """The thread that waits takes the pool's lock for a moment; the owner must not wait for it with the GIL."""
    pool.root = 0
    stop = threading.Event()

    def read():
        while not stop.is_set():
            assert pool.root is not None

    workers = [Worker(read) for _ in range(3)]
    for number in range(60):
        with pool.transaction():
            pool.root = number
            time.sleep(0.0005)  # somebody waits now
        for _ in range(5000):  # it has the lock now and wants the GIL
            pass
    stop.set()
    for worker in workers:
        worker.result()


def test_a_waiting_thread_comes_to_its_turn(pool):
    """Others begin one transaction after the other, and let go of the GIL only inside of them."""
    pool.root = 0
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            with pool.transaction():
                pool.root += 1
                time.sleep(0.001)

    workers = [Worker(keep_busy) for _ in range(3)]
    for _ in range(30):
        assert pool.root is not None
        with pool.transaction():
            pool.root += 1
    stop.set()
    for worker in workers:
        worker.result()


def test_counting_together(pool, reopen):
    pool.root = [0]

    def count():
        for i in range(300):
            if i % 2:
                with pool.transaction():
                    pool.root[0] += 1
            else:
                pool.begin()
                pool.root[0] += 1
                pool.commit()

    workers = [Worker(count) for _ in range(4)]
    for worker in workers:
        worker.result()
    assert pool.root == [1200]
    assert reopen(pool).root == [1200]


def test_close_waits_for_the_transaction_of_another_thread(pool, reopen):
    pool.root = 0
    inside, go_on = threading.Event(), threading.Event()

    def work():
        with pool.transaction():
            pool.root = 1
            inside.set()
            go_on.wait()
            pool.root = 2

    worker = Worker(work)
    inside.wait()
    closer = Worker(pool.close)
    time.sleep(0.01)
    assert not pool.closed
    go_on.set()
    worker.result()
    closer.result()
    assert pool.closed
    assert reopen(pool).root == 2


def test_close_while_others_work(pool_path):
    for policy in "commit", "interval", "manual":
        for _ in range(4):
            pool = pmemobj.open(pool_path, max_size=64 << 20, sync=policy, sync_interval=0.001)
            pool.root = {"n": 0, "list": []}

            def work(pool=pool):
                try:
                    while True:
                        pool.root["list"].append(pool.new(pmemobj.PersistentList, [1, "x" * 20]))
                        with pool.transaction():
                            pool.root["n"] += 1
                            pool.root["list"].clear()
                        pool.root["list"].extend([["y"]] * 3)
                        del pool.root["list"][-1:]
                        pool.sync()
                        pool.stats()
                except pmemobj.PoolClosedError:
                    return True

            workers = [Worker(work) for _ in range(3)]
            time.sleep(0.01)
            pool.close()
            assert all(worker.result() for worker in workers)
    with pmemobj.open(pool_path) as pool:
        assert pool.check().ok


#: All that waits for the end of another thread's transaction.
WAITS = {
    "read": lambda pool, path: pool.root,
    "write": lambda pool, path: setattr(pool, "root", 5),
    "begin": lambda pool, path: pool.begin(),
    "with": lambda pool, path: pool.transaction().__enter__(),
    "new": lambda pool, path: pool.new(pmemobj.PersistentList, [1]),
    "close": lambda pool, path: pool.close(),
    "checkpoint": lambda pool, path: pool.checkpoint(),
    "trim": lambda pool, path: pool.trim(),
    "gc": lambda pool, path: pool.gc(),
    "gc step": lambda pool, path: pool.gc(max_seconds=0),
    "check": lambda pool, path: pool.check(),
    "resize": lambda pool, path: pool.resize(1 << 30),
    "compact": lambda pool, path: pool.compact(path),
    "usage": lambda pool, path: pool.usage(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_interrupt_while_waiting(pool, tmp_path, wait):
    """Ctrl-C ends the wait of the main thread; the transaction it waited for is not touched."""
    pool.root = 0
    inside, go_on = threading.Event(), threading.Event()

    def work():
        with pool.transaction():
            pool.root = 1
            inside.set()
            go_on.wait()

    worker = Worker(work)
    inside.wait()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        with pytest.raises(KeyboardInterrupt):
            WAITS[wait](pool, tmp_path / "copy")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        go_on.set()
    assert not pool.closed
    worker.result()
    assert pool.root == 1
    assert not pool.in_transaction
    assert pool.check().ok
    assert os.listdir(tmp_path).count("copy") == 0


def test_thread_that_dies_inside_a_block(pool):
    pool.root = 0

    def work():
        with pool.transaction():
            pool.root = 1
            raise ZeroDivisionError

    worker = Worker(work)
    with pytest.raises(ZeroDivisionError):
        worker.result()
    assert (pool.root, pool.in_transaction) == (0, False)


def test_thread_that_ends_without_ending_its_transaction(pool):
    pool.root = {"a": [0]}

    def work():
        pool.begin()
        pool.root["a"].append(1)
        pool.begin()
        pool.root["b"] = [2]

    for use in (lambda: pool.root["a"], lambda: pool.root.update(c=1), pool.begin):
        Worker(work).result()
        with pytest.warns(
            ResourceWarning, match="has ended without ending its transaction, which has been undone"
        ):
            use()
        assert pool.root["a"] == [0]
        assert "b" not in pool.root
    pool.abort()
    assert pool.check().ok


def test_a_new_thread_does_not_inherit_an_orphaned_transaction(pool):
    """The address of a dead thread's state may be given to a new one."""
    pool.root = 0
    Worker(lambda: (pool.begin(), setattr(pool, "root", 1))).result()
    with pytest.warns(ResourceWarning):
        values = [Worker(lambda: pool.root).result() for _ in range(5)]
    assert values == [0] * 5


def test_transaction_of_a_generator_that_another_thread_finishes(pool):
    pool.root = 0

    def generate():
        with pool.transaction():
            pool.root = 1
            yield

    suspended = generate()
    Worker(lambda: next(suspended)).result()
    suspended.close()
    gc.collect()
    assert (pool.root, pool.in_transaction) == (0, False)
    pool.root = 2
    assert Worker(lambda: pool.root).result() == 2


def test_proxies_die_in_any_thread(pool):
    pool.root = []

    def make_and_lose():
        for i in range(200):
            made = pool.new(pmemobj.PersistentList, [i, "x" * 30])
            if i % 3 == 0:
                pool.root.append(made)
            if i % 4 == 0 and len(pool.root):
                pool.root.clear()

    workers = [Worker(make_and_lose) for _ in range(3)]
    while any(worker.is_alive() for worker in workers):
        with pool.transaction():
            for made in [pool.new(pmemobj.PersistentDict) for _ in range(10)]:
                made["a"] = 1
            del made
        gc.collect()
    for worker in workers:
        worker.result()
    pool.root = None
    pool._drain()
    assert pool.stats()["limbo"] == 0
    assert pool.check().ok
    assert pool.check().unreachable == (0, 0)


def test_two_pools_do_not_wait_for_each_other(pool, tmp_path):
    with pmemobj.open(tmp_path / "other", max_size=64 << 20) as other:
        with pool.transaction():
            pool.root = 1
            Worker(lambda: setattr(other, "root", 2)).result()
            assert other.root == 2
        assert pool.root == 1


def test_a_transaction_without_a_pool(pool):
    kind = type(pool.transaction())
    with pytest.raises(TypeError, match=r"use pool.transaction\(\)"):
        kind(pool)
    with pytest.raises(TypeError, match=r"use pool.transaction\(\)"), kind.__new__(kind):
        pass
    with pytest.raises(TypeError, match=r"use pool.transaction\(\)"):
        kind.__new__(kind)(len)([])
