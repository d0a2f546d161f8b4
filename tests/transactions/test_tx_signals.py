"""Ctrl-C at any callback or wait: the operation is done or not done, and the pool goes on."""

import contextlib
import gc
import os
import random
import signal
import threading
import time
import warnings

import pytest

import pmemobj
from pmemobj import PersistentDict, PersistentFrozenSet, PersistentList, PersistentObject, PersistentSet

#: durability() reads it: an interrupt between open() and the `with` around it leaves the file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*/proc/self/mountinfo:ResourceWarning")


class Interrupt:
    """Raises SIGINT in the k-th callback."""

    def __init__(self):
        self.left = 0

    def __call__(self, value=None):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
            for _ in range(3):  # the handler runs at one of these
                pass
        return value


interrupt = Interrupt()


class Key(int):
    """A foreign key or value, whose methods are callbacks."""

    def __hash__(self):
        interrupt()
        return int.__hash__(self)

    def __eq__(self, other):
        interrupt()
        return int.__eq__(self, int(other))

    def __lt__(self, other):
        interrupt()
        return int.__lt__(self, other)


class Money:
    """A registered type: encoding and decoding are callbacks."""

    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self):
        return hash(self.cents)


class Pickled:
    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        interrupt()
        return Pickled, (self.number,)

    def __eq__(self, other):
        return isinstance(other, Pickled) and self.number == other.number

    __hash__ = None


class Thing(PersistentObject):
    def __init__(self, owner):
        interrupt()
        self.items = [1, 2]
        interrupt()
        owner.append(self)
        interrupt()
        self.done = True


def items(count=4):
    for i in range(count):
        yield interrupt(i)


def pairs(count=4):
    for i in range(count):
        yield interrupt((i, i))


def in_transaction(pool, root, *functions):
    with pool.transaction() as tx:
        for when in tx.on_commit, tx.on_abort:
            when(interrupt)
            when(interrupt)
        for function in functions:
            function(pool, root)
            interrupt()


OPERATIONS = {
    "extend": lambda pool, root: root["list"].extend(items()),
    "iadd": lambda pool, root: root["list"].__iadd__(items()),
    "slice": lambda pool, root: root["list"].__setitem__(slice(1, 2), items()),
    "long slice": lambda pool, root: root["list"].__setitem__(slice(None, None, 2), list(items(3))),
    "sort": lambda pool, root: root["list"].sort(key=interrupt),
    "sort foreign": lambda pool, root: root["list"].sort(key=Key),
    "remove": lambda pool, root: root["list"].remove(Key(2)),
    "index": lambda pool, root: root["list"].index(Key(9)),
    "contains": lambda pool, root: Key(8) in root["list"],
    "equal": lambda pool, root: root["list"] == [Key(3), Key(1), Key(2), 5, 9],
    "update": lambda pool, root: root["dict"].update(pairs()),
    "ior": lambda pool, root: root["dict"].__ior__(pairs()),
    "get": lambda pool, root: root["dict"].get(Key(1)),
    "pop": lambda pool, root: root["dict"].pop(Key(1)),
    "setdefault": lambda pool, root: root["dict"].setdefault(Money(5), [Money(6)]),
    "delete": lambda pool, root: root["dict"].__delitem__(Key(1)),
    "set update": lambda pool, root: root["set"].update(items(), items(6)),
    "set xor": lambda pool, root: root["set"].symmetric_difference_update(items()),
    "set and": lambda pool, root: root["set"].intersection_update(items()),
    "set discard": lambda pool, root: root["set"].discard(Key(1)),
    "set or": lambda pool, root: root["set"] | {Key(7)},
    "store money": lambda pool, root: root["list"].append({"a": Money(1), "b": [Money(2), (Money(3),)]}),
    "load money": lambda pool, root: root["money"][0] == Money(7),
    "money key": lambda pool, root: root["dict"].__setitem__(Money(1), Money(2)),
    "store pickled": lambda pool, root: root["list"].append([Pickled(1), Pickled(2)]),
    "new list": lambda pool, root: root["list"].append(pool.new(PersistentList, items())),
    "new dict": lambda pool, root: root["list"].append(pool.new(PersistentDict, pairs())),
    "new set": lambda pool, root: root["list"].append(pool.new(PersistentSet, items())),
    "new frozenset": lambda pool, root: root["list"].append(pool.new(PersistentFrozenSet, items())),
    "new thing": lambda pool, root: pool.new(Thing, root["list"]),
    "to_python": lambda pool, root: pool.to_python(root),
    "assign root": lambda pool, root: setattr(pool, "root", {**dict(root), "more": list(items()), "m": Money(1)}),
    "transaction": lambda pool, root: in_transaction(
        pool, root, OPERATIONS["extend"], OPERATIONS["update"], OPERATIONS["new thing"], OPERATIONS["store money"]
    ),
    "nested": lambda pool, root: in_transaction(
        pool, root, OPERATIONS["sort"], lambda pool, root: in_transaction(pool, root, OPERATIONS["pop"]),
    ),
    "decorated": lambda pool, root: pool.transaction()(lambda: OPERATIONS["extend"](pool, root))(),
}  # fmt: skip


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pmemobj.register(Money, lambda money: interrupt(money.cents), lambda cents: Money(interrupt(cents)))
    yield
    interrupt.left = 0
    signal.signal(signal.SIGINT, before)


def fill(pool):
    pool.persist_via_pickle(Pickled)
    pool.root = {
        "list": [3, 1, 2, 5, 9],
        "dict": {1: "one", "a": [1]},
        "set": {1, 2, 9},
        "money": [Money(7)],
    }


def state(value):
    """Plain, and comparable."""
    if isinstance(value, (PersistentList, list, tuple)):
        return [state(item) for item in value]
    if isinstance(value, PersistentDict):
        return {key: state(item) for key, item in value.items()}
    if isinstance(value, PersistentObject):
        return {"thing": {name: state(item) for name, item in vars(value).items()}}
    if isinstance(value, (PersistentSet, PersistentFrozenSet, set)):
        return set(value)
    return value


@pytest.mark.parametrize("name", OPERATIONS)
def test_at_each_callback(pool, reopen, name):
    operation, interrupted = OPERATIONS[name], 0
    fill(pool)
    before = state(pool.root)
    interrupt.left = 0
    operation(pool, pool.root)
    assert interrupt.left < 0
    after = state(pool.root)
    callbacks = -interrupt.left
    for number in range(1, callbacks + 3):
        fill(pool)
        assert state(pool.root) == before
        gc.collect()
        interrupt.left = number
        try:
            operation(pool, pool.root)
        except KeyboardInterrupt:
            interrupted += 1
        fired, interrupt.left = interrupt.left <= 0, 0
        assert not pool.in_transaction
        found = state(pool.root)
        assert found in (before, after), f"at callback {number}"
        if not fired:
            assert found == after
            break
        pool.root["dict"]["next"] = number
        del pool.root["dict"]["next"]
    else:
        pytest.fail("it never came to its end")
    assert interrupted >= 1
    pool._drain()
    pool._check_references()
    assert pool.check().ok
    pool = reopen(pool)
    pool.persist_via_pickle(Pickled)
    assert state(pool.root) == after


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("transaction", "nested")])
def test_at_each_callback_inside_a_transaction(pool, name):
    """Whoever catches it there goes on in the transaction, and finds the operation done or not."""
    operation = OPERATIONS[name]
    fill(pool)
    before = state(pool.root)
    interrupt.left = 0
    operation(pool, pool.root)
    after = state(pool.root)
    fill(pool)
    for number in range(1, 40):
        with pool.transaction() as tx:
            interrupt.left = number
            with contextlib.suppress(KeyboardInterrupt):
                operation(pool, pool.root)
            fired, interrupt.left = interrupt.left <= 0, 0
            assert state(pool.root) in (before, after), f"at callback {number}"
            tx.abort()
        assert state(pool.root) == before
        if not fired:
            break
    assert pool.check().ok


@pytest.mark.parametrize("kind", ["on_commit", "on_abort"])
def test_all_calls_after_the_end_are_made(pool, kind):
    pool.root, called = 0, []
    with pytest.raises(KeyboardInterrupt), pool.transaction() as tx:
        register = getattr(tx, kind)
        register(lambda: called.append(1))
        register(lambda: signal.raise_signal(signal.SIGINT))
        register(lambda: called.append(2))
        pool.root = 1
        if kind == "on_abort":
            tx.abort()
    assert called == [1, 2]
    assert pool.root == (1 if kind == "on_commit" else 0)


# --- at any moment


class Alarm:
    """Raises KeyboardInterrupt in the main thread, once, some time after it was set."""

    def __init__(self, seed):
        self.random, self.armed, self.hits = random.Random(seed), False, 0
        self.before = signal.signal(signal.SIGALRM, self.handle)

    def handle(self, *_):
        if self.armed:
            self.armed = False
            self.hits += 1
            raise KeyboardInterrupt

    def during(self, function, longest):
        """Whether it was interrupted."""
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, self.random.random() ** 2 * longest))
            function()
            self.armed = False
        except KeyboardInterrupt:
            return True
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        return False

    def end(self):
        signal.signal(signal.SIGALRM, self.before)


@pytest.fixture
def alarm():
    alarm = Alarm(3)
    yield alarm
    alarm.end()


def test_operations_at_any_moment(pool, alarm, reopen):
    """Each as one that takes a while, so that it is hit in the middle."""
    many = list(range(1500))

    def transfer():
        with pool.transaction(sync=True):
            pool.root["list"].append(-1)
            for i in range(100):
                pool.root["dict"][i] = i
            pool.root["list"].append(-2)

    operations = [
        lambda: pool.root["list"].extend(iter(many)),
        lambda: pool.root["list"].sort(key=lambda n: -n),
        lambda: pool.root["dict"].update((n, str(n)) for n in many),
        lambda: pool.root["set"].update(n * 3 for n in many),
        lambda: pool.root["list"].__setitem__(slice(10, 20), (n for n in many)),
        lambda: setattr(pool, "root", {"list": many, "dict": {}, "set": {0}}),
        lambda: pool.root["list"].append(pool.new(PersistentList, (n for n in many))),
        transfer,
    ]
    for number in range(160):
        operation = operations[number % len(operations)]
        pool.root = {"list": [3, 1, 2] * 200, "dict": {}, "set": {1}}
        before = state(pool.root)
        operation()
        after = state(pool.root)
        pool.root = {"list": [3, 1, 2] * 200, "dict": {}, "set": {1}}
        alarm.during(operation, 0.002)
        assert not pool.in_transaction
        assert state(pool.root) in (before, after)
        pool.root["list"].append("next")
    assert alarm.hits > 20
    pool._drain()
    pool._check_references()
    assert pool.check().ok
    again = reopen(pool)
    assert again.root["list"][-1] == "next"


def test_services_at_any_moment(pool, alarm):
    """Nothing is changed by them, whether they come to their end or not."""
    pool.root = [[i, {"a": i}] for i in range(300)]
    before = state(pool.root)
    for number in range(120):
        pool.root.append(number)
        pool.root.pop()
        cycle = pool.new(PersistentList, range(2000))
        cycle.append(cycle)
        del cycle
        gc.collect()
        service = (pool.sync, pool.checkpoint, pool.stats, pool.gc, pool.check, pool.durability)[number % 6]
        alarm.during(service, 0.003)
        assert state(pool.root) == before
    assert alarm.hits > 10
    pool.gc()
    assert pool.gc().objects == 0
    assert pool.check().ok


def test_close_and_open_at_any_moment(pool_path, alarm):
    """After an interrupted close the pool is open or closed, and after an open it is not kept by nobody.

    Threads that are inside sync() have to be waited for, which is where close() spends its time.
    """
    pmemobj.create(pool_path, 64 << 20).close()
    files = len(os.listdir("/proc/self/fd"))
    pools: list = [None]

    def open_it():
        pools[0] = pmemobj.open(pool_path, sync="commit")

    def keep_syncing(pool):
        try:
            while True:
                with pool.transaction():
                    pool.root[0] += 1
        except pmemobj.PoolClosedError:
            pass

    with pmemobj.open(pool_path) as pool:
        pool.root = [0]
    interrupted = {"open": 0, "close": 0}
    for _ in range(40):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # one that came when open() had just returned
            interrupted["open"] += alarm.during(open_it, 0.006)
            gc.collect()
        if pools[0] is None:
            open_it()
        pool = pools[0]
        threads = [threading.Thread(target=keep_syncing, args=(pool,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.001)
        interrupted["close"] += alarm.during(pool.close, 0.006)
        if not pool.closed:
            assert pool.root[0] >= 0
        pool.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert pool.closed
        pools[0] = pool = None
        assert len(os.listdir("/proc/self/fd")) == files
        with pmemobj.open(pool_path) as pool:
            assert pool.recovery is None
    assert min(interrupted.values()) > 2
    with pmemobj.open(pool_path) as pool:
        assert pool.check().ok


def test_making_a_pool_at_any_moment(tmp_path, alarm):
    """It is there, whole, or not at all; nothing else is left behind."""
    for number in range(25):
        path = tmp_path / str(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            alarm.during(lambda path=path: pmemobj.create(path, 64 << 20).close(), 0.02)
            gc.collect()
        names = os.listdir(tmp_path)
        assert set(names) <= {str(number)}
        with pmemobj.open(path, max_size=64 << 20) as pool:
            pool.root = 1
            assert pool.check().ok
        os.unlink(path)
    assert alarm.hits > 3
