"""pool.gc(): what nothing leads to is destroyed, everything else stays; reference counts are right."""

import contextlib
import itertools
import random
import re
import signal
import struct

import pytest

import pmemobj
from pmemobj import (
    PersistentDeque,
    PersistentDict,
    PersistentFrozenSet,
    PersistentList,
    PersistentObject,
    PersistentSet,
    PersistentTuple,
)


class Node(PersistentObject):
    def __init__(self, payload="a string that needs a block"):
        self.payload = payload
        self.links = self._p_mm.new(PersistentList)


def cycle(pool, length=3):
    """Objects of every type in a ring, dropped."""
    first = pool.new(Node)
    at = first
    for _ in range(length):
        for make in (
            lambda o: [o, "a string that needs a block"],
            lambda o: {"key": (o, {"nested": o}), "other": 10**50},
            lambda o: pool.new(PersistentTuple, [o, (1, 2.5)]),
            lambda o: pool.new(PersistentFrozenSet, [pool.new(Node, o), "a text in a frozenset"]),
            lambda o: [o, {pool.new(Node), 1, "two"}],
            lambda o: pool.new(PersistentDeque, [1, "a text in a deque", (o, 2)]),
        ):
            holder = pool.new(PersistentList, [make(at)])
            at = holder
    first.links.append(at)
    first.self = first
    return first


def test_nothing_to_do(pool):
    assert pool.gc() == (0, 0, {}, True)
    pool.root = [1, {"a": [pool.new(Node)]}]
    count = pool._check_references()
    assert pool.gc().objects == 0
    assert pool._check_references() == count and pool.root[1]["a"][0].payload.startswith("a string")


def test_cycles_are_collected(pool):
    pool.root = ["kept", pool.new(Node)]
    cycle(pool)
    pool.gc()  # the type table knows all names from here on
    start, objects = pool._allocated(), pool._check_references()
    for _ in range(3):
        cycle(pool)
        assert pool._allocated() > start
        dropped = pool._check_references() - objects
        report = pool.gc()
        assert report.objects == dropped > 10 and report.bytes > 0
        assert pool._allocated()[0] == start[0] and pool._check_references() == objects
    assert pool.root[1].payload.startswith("a string")
    assert pool.check().ok


def test_every_type_as_the_link_of_a_cycle(pool):
    makers = {
        "list": lambda: pool.new(PersistentList),
        "dict": lambda: pool.new(PersistentDict),
        "object": lambda: pool.new(Node),
    }
    node = pool.new(Node)
    node.held = node.keys = node.set = None
    del node
    before, objects = pool._allocated()[0], pool._check_references()
    for name, make in makers.items():
        for wrap in (
            lambda o: o,
            lambda o: (o,),
            lambda o: (1, (o, (o, "a string that needs a block"))),
            lambda o: pool.new(PersistentTuple, [o]),
            lambda o: [o],
            lambda o: {"v": o},
        ):
            o = make()
            held = wrap(o)
            if name == "list":
                o.append(held)
            elif name == "dict":
                o["self"] = held
            else:
                o.held = held
                o.keys = {o: 1, (o, 1): o}
                o.set = {o, (o, frozenset({o}))}
            del o, held
            pool._check_references()
            assert pool.gc().objects >= 1
            assert (pool._allocated()[0], pool._check_references()) == (before, objects)


def test_python_variables_are_roots(pool):
    first = cycle(pool)
    inner = first.links[0]
    objects = pool._check_references()
    del first
    assert pool.gc().objects == 0  # inner leads to all of it
    assert pool._check_references() == objects
    assert inner[0] is not None
    kept = pool.new(PersistentList, [inner])
    del inner
    assert pool.gc().objects == 0
    kept.clear()
    assert pool.gc().objects > 10


def test_live_objects_that_garbage_refers_to(pool):
    shared = pool.new(Node)
    pool.root = {"shared": shared}
    only_python = pool.new(Node)
    ring = pool.new(PersistentList, [shared, (only_python, shared)])
    ring.append(ring)
    del ring
    assert pool.gc().objects == 1
    pool._check_references()
    assert shared.payload == only_python.payload and pool.root["shared"] is shared
    pool.root = only_python
    assert pool._limbo() == 1  # shared, held by the variable
    pool._check_references()


def test_garbage_of_an_earlier_process(pool, reopen):
    cycle(pool)
    pool.root = "kept"
    pool = reopen(pool)
    assert pool._check_references() > 10
    assert pool.gc().objects > 10
    assert pool.root == "kept" and pool._check_references() == 2  # the type table
    assert pool.gc().objects == 0
    assert reopen(pool).root == "kept"


def test_big_garbage(pool):
    """More items than one operation takes, in segments and in a hash index."""
    before = pool._allocated()[0]
    ring = pool.new(PersistentList, [["x" * 20, i] for i in range(40_000)])
    table = pool.new(PersistentDict, dict.fromkeys(range(5000), (ring, "y" * 20)))
    ring.append(table)
    ring.append(pool.new(PersistentSet, {(i, "z" * 20) for i in range(5000)}))
    del ring, table
    assert pool.gc().objects == 40_000 + 3
    assert pool._allocated()[0] == before
    pool._check_references()


def test_random_graphs(pool):
    chance = random.Random(5)
    for _ in range(15):
        pool.root = nodes = pool.new(PersistentDict)
        for i in range(30):
            nodes[i] = chance.choice([[], {}, pool.new(PersistentList)])
        model = {i: [] for i in range(30)}
        for _ in range(60):
            a, b = chance.randrange(30), chance.randrange(30)
            target = nodes[b] if chance.random() < 0.5 else (nodes[b], 1)
            if isinstance(nodes[a], PersistentList):
                nodes[a].append(target)
            else:
                nodes[a][len(nodes[a])] = target
            model[a].append(b)
        kept = set(chance.sample(range(30), 5))
        for i in set(model) - kept:
            del nodes[i]
        todo, reachable = list(kept), set(kept)
        while todo:
            for b in model[todo.pop()]:
                if b not in reachable:
                    reachable.add(b)
                    todo.append(b)
        del nodes, target
        pool.gc()
        assert pool._check_references() == 1 + len(reachable)
        assert pool.check().ok
    pool.root = None
    pool.gc()
    assert pool._check_references() == 0 and pool._allocated()[0] == 0


def test_refused_inside_a_transaction_and_when_closed(pool):
    with pool.transaction(), pytest.raises(pmemobj.TransactionError):
        pool.gc()
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError):
        pool.gc()


def test_after_an_abort(pool):
    """What an undone block dropped is back, what it made is gone: nothing for the collector."""
    pool.root = {"ring": []}
    pool.root["ring"].append(pool.root)
    objects = pool._check_references()
    with pool.transaction() as tx:
        pool.root = None
        cycle(pool)
        tx.abort()
    assert pool.gc().objects == 0 and pool._check_references() == objects
    assert pool.root["ring"][0] is pool.root


def test_interrupted(pool):
    """Ctrl-C at any moment: the rest is found by the next call."""
    before = pool._allocated()[0]

    def interrupt(number, frame):
        raise KeyboardInterrupt

    old, interrupted = signal.signal(signal.SIGALRM, interrupt), 0
    try:
        for n in range(1, 20):
            rings = pool.new(PersistentList, [[["x" * 20]] for _ in range(3000)])
            for i in range(3000):
                rings[i].append(rings[i])
            del rings
            try:
                signal.setitimer(signal.ITIMER_REAL, n / 10_000)
                pool.gc()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            pool._check_references()
            pool.root = n  # the pool is as usable as ever
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert interrupted
    pool.root = None
    pool.gc()
    assert pool._check_references() == 0 and pool._allocated()[0] == before


def test_signal_handlers_that_use_the_pool(pool):
    """They run between two operations, when some of the garbage is empty and waits for its end."""
    handled, numbers, inside, going_on = [], itertools.count(), [], False

    def soon():
        """One in the midst of another's handler, too, but not for ever where that takes longer."""
        if going_on and len(inside) < 5:
            signal.setitimer(signal.ITIMER_REAL, 0.0002)

    def handler(number, frame):
        n = next(numbers)  # another signal may come at any bytecode
        handled.append(n)
        inside.append(n)
        soon()
        pool.root.append([n, [pool.new(Node)]])
        with contextlib.suppress(RuntimeError):  # inside the collection
            pool.gc()
        inside.pop()
        soon()

    pool.root = []
    old = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(5):
            rings = pool.new(PersistentList, [[["x" * 20]] for _ in range(3000)])
            for i in range(3000):
                rings[i].append(rings[i - 1])
                rings[i].append((rings[i], rings))
            del rings
            going_on = True
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            with contextlib.suppress(RuntimeError):  # inside the handler's
                pool.gc()
            going_on = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            pool._check_references()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert handled
    assert sorted(n for n, _ in pool.root) == sorted(handled)
    for _, (node,) in pool.root:
        assert node.payload.startswith("a string") and node.links == []
    del node
    pool.root = None
    pool.gc()
    assert pool._check_references() == 2 and pool.check().ok  # the type table


@pytest.mark.parametrize(
    "refs, flags, message",
    [(2, 0, "counts 2 references, has 1"), (0, 1, "counts 0 references, has 1"), (1, 1, "wrongly in limbo")],
)
def test_wrong_counts_are_reported(pool_path, refs, flags, message):
    with pmemobj.open(pool_path, max_size=8 << 20) as pool:
        pool.root = {"victim": [1, 2, 3]}
    data = pool_path.read_bytes()
    # pm_list: refs, type, flags, its number, limbo links, size
    victim = re.escape(struct.pack("<IHH", 1, 1, 0)) + rb".{8}" + re.escape(struct.pack("<QQQ", 0, 0, 3))
    (found,) = re.finditer(victim, data, re.DOTALL)
    with open(pool_path, "r+b") as file:
        file.seek(found.start())
        file.write(struct.pack("<IHH", refs, 1, flags))
    with pmemobj.open(pool_path) as pool, pytest.raises(pmemobj.PoolDamagedError, match=message):
        pool._check_references()
