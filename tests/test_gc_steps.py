"""pool.gc(max_seconds=...): a collection in steps, between which the pool is used as always."""

import collections
import os
import random
import subprocess
import sys
import threading
import weakref

import pytest

import pmemobj
from pmemobj import (
    PersistentCounter,
    PersistentDefaultDict,
    PersistentDeque,
    PersistentDict,
    PersistentList,
    PersistentObject,
    PersistentOrderedDict,
    PersistentSet,
    PersistentSortedDict,
    PersistentSortedSet,
    PersistentTuple,
)


class Node(PersistentObject):
    pass


class Key(PersistentObject):
    def __lt__(self, other):
        return False


TEXT = "a text that needs a block"


def put_attribute(o, value):
    o.link = value


#: container -> how something is put into a new one
MAKERS = {
    PersistentList: lambda o, value: o.append(value),
    PersistentDict: lambda o, value: o.update({TEXT: value}),
    PersistentSet: lambda o, value: o.add(value),
    PersistentDeque: lambda o, value: o.appendleft(value),
    PersistentDefaultDict: lambda o, value: o.setdefault(1, value),
    PersistentCounter: lambda o, value: o.update({value: 1}),
    PersistentOrderedDict: lambda o, value: o.update({value: TEXT}),
    PersistentSortedDict: lambda o, value: o.update({1: value}),
    PersistentSortedSet: lambda o, value: o.add(value),
    Node: put_attribute,
}


def finish(pool, budget=0):
    """Steps to the end: (objects, steps)."""
    objects = steps = 0
    while True:
        report = pool.gc(max_seconds=budget)
        objects += report.objects
        steps += 1
        assert sum(report.classes.values()) == report.objects
        if report.finished:
            return objects, steps


def ring(pool, length=3):
    first = at = pool.new(Node)
    for _ in range(length):
        at.next = pool.new(Node)
        at = at.next
    at.next, at.text = first, TEXT
    return first


@pytest.mark.parametrize("kind", MAKERS, ids=lambda kind: kind.__name__)
def test_cycles_through_every_container(pool, kind):
    """Directly, through a tuple and through a PersistentTuple; reported under its name."""
    key, spare = pool.new(Key), pool.new(Key)
    key.back = spare.back = None
    del key, spare
    pool.root = pool.new(kind)
    MAKERS[kind](pool.root, pool.new(Key))
    before, objects = pool._allocated()[0], pool._check_references()
    for wrap in (lambda k: k, lambda k: (k, TEXT), lambda k: pool.new(PersistentTuple, [k])):
        o, key = pool.new(kind), pool.new(Key)
        try:
            MAKERS[kind](o, wrap(key))
        except TypeError:  # what has no order, or is no key
            o.clear()
            MAKERS[kind](o, key)
        key.back = [o, pool.new(pmemobj.PersistentByteArray, b"x" * 100)]
        del o, key
        assert pool._check_references() > objects
        report = pool.gc()
        name = kind.__name__ if kind is not Node else f"{__name__}.Node"
        assert report.classes[name] >= 1 and report.classes[f"{__name__}.Key"] == 1 and report.bytes > 100
        assert report.classes["PersistentByteArray"] == 1
        assert sum(report.classes.values()) == report.objects >= 3 and report.finished
        assert (pool._allocated()[0], pool._check_references()) == (before, objects)
    assert pool.gc() == (0, 0, {}, True)


def test_steps_come_to_an_end(pool):
    pool.root = [[TEXT] for _ in range(200)]
    objects = pool._check_references()
    for _ in range(50):
        ring(pool)
    objects += 2  # the type table
    assert finish(pool) == (50 * 4, pytest.approx(200, abs=60))
    assert pool._check_references() == objects and pool.check().ok
    for wrong in (-1, float("nan"), float("inf"), 1e10):
        with pytest.raises(ValueError, match="max_seconds must be"):
            pool.gc(max_seconds=wrong)
    with pytest.raises(TypeError):
        pool.gc(max_seconds="1")
    with pool.transaction(), pytest.raises(pmemobj.TransactionError):
        pool.gc(max_seconds=1)
    assert pool.gc(max_seconds=100) == (0, 0, {}, True)


def begin(pool):
    """A collection that has looked at one object only."""
    assert not pool.gc(max_seconds=0).finished


def test_what_is_taken_away_while_it_is_marked(pool):
    """The only way to something is moved to where the marking has been already, or is about to be."""
    pool.root = [[i, [TEXT]] for i in range(30)]
    for steps in range(0, 60, 3):
        pool.root = [[i, [TEXT]] for i in range(30)]
        for _ in range(steps):
            begin(pool)
        for i in range(29):
            pool.root[i][1], pool.root[i + 1][1] = pool.root[i + 1][1], pool.root[i][1]
        for i in range(15):
            pool.root[29 - i].append((pool.root[i].pop(), i))
        objects = pool._check_references()
        assert finish(pool)[0] == 0
        assert pool._check_references() == objects and pool.check().ok


def test_what_vanishes_while_it_is_marked_and_swept(pool):
    """And what takes its place."""
    for steps in range(0, 100, 7):
        pool.root = {i: [[TEXT], (1, [TEXT])] for i in range(20)}
        for _ in range(10):
            ring(pool)
        for _ in range(steps):
            pool.gc(max_seconds=0)
        for i in range(0, 20, 2):
            del pool.root[i]
            pool.root[i + 100] = {"new": [TEXT, [i]]}
        finish(pool)
        assert pool.root[100] == {"new": [TEXT, [0]]} and pool.root[1] == [[TEXT], (1, [TEXT])]
        assert pool._check_references() and pool.check().ok
    pool.root = None
    pool.gc()
    assert pool._check_references() == 2


@pytest.mark.parametrize("kind", [PersistentList, PersistentDict, PersistentDeque, PersistentSortedDict])
def test_a_large_container_is_many_steps(pool, kind):
    """Its tuples are looked at some hundred at a time; what is in one that goes meanwhile is live all the same."""
    count = 4000
    items = [(TEXT, [i], (i, [TEXT])) for i in range(count)]
    pool.root = [pool.new(kind, enumerate(items) if "Dict" in kind.__name__ else items), []]
    large, kept = pool.root
    del items
    ring(pool)
    begin(pool)
    for i in range(count // 4):
        one, two = (i, 3 * count // 4 + i) if "Dict" in kind.__name__ else (0, -1)
        for at in (one, two):
            gone = large[at]
            if i % 2:
                kept.append(gone[1])
                kept.append((gone[2][1], "in another tuple"))
            del large[at], gone
        if "Dict" in kind.__name__:
            large[-i - 1] = (kept, [TEXT])
        else:
            large.insert(len(large) // 2, (kept, [TEXT]))
        if i % 300 == 0:
            begin(pool)
    objects, steps = finish(pool)
    assert objects == 4 and steps > count // 2 // 256
    assert all(len(one) == 1 for one in kept[::2]) and all(one[0] == [TEXT] for one in kept[1::2])
    assert pool._check_references() and pool.check().ok


def test_pages_of_objects_that_become_something_else(pool):
    """What was noted to be looked at lies in the middle of a text when its turn comes."""
    pool.root = [[i] for i in range(2000)]
    begin(pool)
    begin(pool)
    pool.root.clear()
    pool.root.extend(["\U0010ffff" * 300 for _ in range(400)])
    assert finish(pool)[0] == 0 and len(pool.root[0]) == 300
    assert pool.check().ok


def test_garbage_that_vanishes_before_its_turn(pool):
    """One of a pair is emptied, which lets the other one go; live objects take their places."""
    pool.root = []
    for _ in range(60):
        a, b = pool.new(PersistentList, [TEXT] * 300), pool.new(PersistentList, [TEXT] * 300)
        a.append(b)
        b.append(a)
    del a, b
    objects = steps = 0
    while not (report := pool.gc(max_seconds=0)).finished:
        pool.root += [[TEXT, i] for i in range(report.objects)]
        objects += report.objects
        steps += 1
    assert objects + report.objects == 120 and steps > 30
    assert all(o[0] == TEXT and len(o) == 2 for o in pool.root)
    assert pool._check_references() == 1 + len(pool.root) and pool.check().ok


def test_garbage_made_after_the_beginning_waits(pool):
    pool.root = [[] for _ in range(20)]
    ring(pool)
    begin(pool)
    ring(pool, 7)
    assert finish(pool)[0] == 4
    assert pool.gc().objects == 8
    ring(pool)
    begin(pool)
    assert pool.gc().objects == 4  # without a limit: one of its own
    assert pool.gc(max_seconds=10) == (0, 0, {}, True)


def test_aborts_between_steps(pool):
    pool.root = [[TEXT, [i]] for i in range(30)]
    ring(pool)
    objects = pool._check_references()
    for n in range(25):
        with pool.transaction() as tx:
            for o in list(pool.root):
                o.clear()
            made = [pool.new(PersistentList, [TEXT, o]) for o in pool.root]
            pool.root = made
            pool.root[3].append(ring(pool))
            del made, o
            pool.root = [1, [2]]
            tx.abort()
        report = pool.gc(max_seconds=0)
        assert pool.root[n] == [TEXT, [n]] and not report.finished
    assert finish(pool)[0] == 4
    assert pool._check_references() == objects - 4 and pool.check().ok


def test_variables_and_weak_references(pool):
    """A proxy that is there at the beginning keeps what it leads to; one that comes later got it from there."""
    pool.root = [[] for _ in range(10)]
    first = ring(pool)
    inner, weak = first.next.next, weakref.ref(first)
    del first
    assert weak() is None
    begin(pool)
    first = inner.next.next
    del inner
    assert finish(pool)[0] == 0 and first.next.next.next.next is first and first.next.next.next.text == TEXT
    del first
    begin(pool)
    assert finish(pool)[0] == 4


def test_a_failure_begins_anew(pool, monkeypatch):
    """Ctrl-C, and the end of the handle."""
    import signal

    pool.root = [[] for _ in range(10)]
    for _ in range(2000):
        ring(pool, 1)
    objects = pool._check_references()

    def interrupt(number, frame):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGUSR1, interrupt)
    try:
        begin(pool)
        with pytest.raises(KeyboardInterrupt):
            while True:
                timer = threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGUSR1))
                timer.start()
                try:
                    pool.gc()
                finally:
                    timer.join()
    finally:
        signal.signal(signal.SIGUSR1, old)
    pool._check_references()
    pool.gc()
    assert pool._check_references() <= objects - 4000 + 2000
    begin(pool)
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError):
        pool.gc(max_seconds=1)


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_between_steps(pool, seed):
    """A model says what is reachable; nothing of it may be lost, and all garbage is found in the end."""
    chance = random.Random(seed)
    pool.root = [pool.new(PersistentDict) for _ in range(12)]

    def somewhere():
        at = chance.choice(pool.root)
        for _ in range(chance.randrange(4)):
            nested = [value for value in at.values() if isinstance(value, PersistentDict)]
            if nested:
                at = chance.choice(nested)
        return at

    def walk():
        """How many can be reached."""
        keep = []
        todo, seen = list(pool.root), set()
        while todo:
            o = todo.pop()
            if id(o) in seen:
                continue
            seen.add(id(o))
            keep.append(o)
            for value in o.values():
                todo += [
                    v
                    for v in (value if isinstance(value, tuple) else (value,))
                    if isinstance(v, PersistentDict)
                ]
        return len(seen)

    for _ in range(40):
        for _ in range(30):
            a, b, key = somewhere(), somewhere(), chance.randrange(5)
            what = chance.randrange(6)
            if what == 0:
                a[key] = {"new": TEXT}
            elif what == 1:
                a[key] = b
            elif what == 2:
                a[key] = (b, TEXT, (b,))
            elif what == 3:
                a.pop(key, None)
            elif what == 4 and key in a:
                b[chance.randrange(5)] = a.pop(key)
            else:
                with pool.transaction() as tx:
                    a.clear()
                    b[key] = pool.new(PersistentDict, {1: a})
                    if chance.random() < 0.5:
                        tx.abort()
        del a, b
        for _ in range(chance.randrange(20)):
            pool.gc(max_seconds=0)
        walk()
        pool._check_references()
    pool.gc()
    assert pool._check_references() == walk() + 1
    assert pool.check().ok


def test_threads_and_steps(pool):
    """One thread collects, others change; nothing that can be reached is lost."""
    pool.root = {i: [TEXT, [i]] for i in range(8)}
    stop, failed = threading.Event(), []

    def change(number):
        try:
            for n in range(150):
                with pool.transaction():
                    a = pool.root[number]
                    a.append([n, [TEXT]])
                    pool.root[number] = [TEXT, [number], *a[2:]]
                    a.append(a)  # garbage
                del a
                assert pool.root[number][-1] == [n, [TEXT]] and pool.root[number][1] == [number]
        except BaseException as error:
            failed.append(error)

    def collect():
        while not stop.is_set():
            pool.gc(max_seconds=0.0005)

    threads = [threading.Thread(target=change, args=(i,)) for i in range(3)]
    collector = threading.Thread(target=collect)
    for thread in (collector, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    collector.join()
    assert failed == []
    pool.gc()
    assert pool._check_references() == 1 + 8 + 8 + 3 * 150 * 2 and pool.check().ok


KILLED = """
import os, sys, pmemobj
pool = pmemobj.open(sys.argv[1], max_size=32 << 20, sync="manual")
pool.root = [[i] for i in range(50)]
for i in range(100):
    a, b = pool.new(pmemobj.PersistentList, ["x" * 50]), pool.new(pmemobj.PersistentDict)
    a.append(b)
    b["a"] = (a, "y" * 50)
del a, b
for _ in range(int(sys.argv[2])):
    pool.gc(max_seconds=0)
os._exit(1)
"""


@pytest.mark.parametrize("steps", [0, 30, 52, 53, 60])
def test_killed_after_any_step(tmp_path, steps):
    """What is left is found by the next program."""
    path = tmp_path / "p"
    subprocess.run([sys.executable, "-c", KILLED, str(path), str(steps)], timeout=60, check=False)
    with pmemobj.open(path) as pool:
        pool._check_references()
        assert pool.check().ok
        pool.gc()
        assert pool._check_references() == 51 and [list(o) for o in pool.root] == [[i] for i in range(50)]


def test_a_large_container_is_swept_in_steps(pool):
    o = pool.new(PersistentList)
    o.append(o)  # keeps it until it is empty
    o.append([o])
    o.extend(range(20_000))
    del o
    steps = 0
    found = collections.Counter()
    while not (report := pool.gc(max_seconds=0)).finished:
        steps += 1
        pool.root = steps
        found.update(report.classes)
    assert found + collections.Counter(report.classes) == {"PersistentList": 2} and steps >= 20_000 // 512
    assert pool._check_references() == 0


def test_the_collection_does_not_keep_its_pool(pool_path):
    """Nor does a dropped handle fail to be closed."""
    pool = pmemobj.open(pool_path, max_size=16 << 20)
    pool.root = collections.deque([[1], [2]])
    begin(pool)
    pool.close()
    gone = weakref.ref(pool)
    del pool
    assert gone() is None
