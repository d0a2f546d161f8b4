"""Threads that share one pool, and what must be true of it afterwards.

Operations of three kinds:

  transactions    each notes in `history` what it does; since one excludes all others, that is a serial order, and
                  the pool must be as a plain model that did the same in that order
  single          outside of transactions: their results do not depend on the order (unique tickets, own keys), or
                  are pairs that one operation keeps equal
  background      sync, checkpoint, statistics, garbage collection, proxies that come and go
"""

import random
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise

import pmemobj

ACCOUNTS = 50
START = 1000


class Counters(pmemobj.PersistentObject):
    def __init__(self):
        self.total = 0
        self.text = "0"


class Undone(Exception):
    """Raised in a transaction on purpose."""


def prepare(pool):
    pool.root = {
        "accounts": dict.fromkeys(range(ACCOUNTS), START),
        "queue": list(range(200)),
        "done": [],
        "pairs": {"a": 0, "b": 0},
        "tickets": [],
        "claims": {},
        "appended": [],
        "members": set(),
        "slots": [None] * 40,
    }
    pool.root["counters"] = pool.new(Counters)


class Model:
    """What the transactions of `history` do, on plain objects."""

    def __init__(self):
        self.accounts = dict.fromkeys(range(ACCOUNTS), START)
        self.queue, self.done = list(range(200)), []
        self.total = 0

    def replay(self, history):
        for _, kind, *arguments in history:
            getattr(self, kind)(*arguments)

    def transfer(self, source, target, amount):
        self.accounts[source] -= amount
        self.accounts[target] += amount

    def move(self, index):
        self.done.append(self.queue.pop(index))

    def back(self):
        self.queue.extend(self.done[:5])
        del self.done[:5]

    def count(self, by):
        self.total += by

    def compare(self, root):
        assert dict(root["accounts"]) == self.accounts
        assert list(root["queue"]) == self.queue
        assert list(root["done"]) == self.done
        assert (root["counters"].total, root["counters"].text) == (self.total, str(self.total))


class Worker:
    def __init__(self, pool, number, operations, history, seed):
        self.pool, self.number, self.left, self.history = pool, number, operations, history
        self.random = random.Random(seed * 1000 + number)
        self.root = pool.root
        for name, shared in self.root.items():
            setattr(self, name, shared)
        self.appends = self.claimed = self.undone = 0
        self.taken, self.mine = [], set()

    def work(self, barrier):
        barrier.wait()
        kinds = (
            [self.transfer] * 4 + [self.move, self.back, self.count, self.nested, self.audit]
            + [self.append] * 2 + [self.claim, self.ticket, self.ticket, self.member, self.pair, self.slot, self.read]
        )  # fmt: skip
        while self.left:
            self.left -= 1
            self.pause()
            self.random.choice(kinds)()

    def pause(self):
        """Now and then another thread is let in for sure: on a busy machine the switch interval does not do it."""
        if self.random.randrange(6) == 0:
            time.sleep(1e-6)

    # --- transactions

    @contextmanager
    def noting(self, *entry):
        """A transaction, one in eight of which is undone."""
        undo = self.random.randrange(8)
        try:
            with self.pool.transaction() as tx:
                yield
                if undo == 0:
                    tx.abort()
                if undo == 1:
                    raise Undone
                self.history.append((self.number, *entry))
        except Undone:
            pass
        self.undone += undo < 2

    def transfer(self):
        source, target = self.random.sample(range(ACCOUNTS), 2)
        amount = self.random.randrange(100)
        with self.noting("transfer", source, target, amount):
            before = self.accounts[source]
            self.pause()
            self.accounts[source] = before - amount
            self.accounts[target] += amount

    def move(self):
        with self.pool.transaction():
            if self.queue:
                index = self.random.randrange(len(self.queue))
                self.done.append(self.queue.pop(index))
                self.history.append((self.number, "move", index))

    def back(self):
        with self.noting("back"):
            self.queue.extend(self.done[:5])
            self.pause()
            del self.done[:5]

    def count(self):
        by = self.random.randrange(5)
        with self.noting("count", by):
            total = self.counters.total + by
            self.counters.total = total
            self.pause()
            self.counters.text = str(total)

    def nested(self):
        with self.noting("count", 1):
            self.counters.total += 1
            with self.pool.transaction() as inner:
                self.accounts[0] -= 7
                self.counters.text = "undone"
                inner.abort()
            self.counters.text = str(self.counters.total)

    def audit(self):
        with self.pool.transaction():
            assert sum(self.accounts.values()) == ACCOUNTS * START
            assert len(self.queue) + len(self.done) == 200
            assert self.counters.text == str(self.counters.total)
            assert self.pairs["a"] == self.pairs["b"]

    # --- single operations

    def append(self):
        self.appended.append(self.number << 32 | self.appends)
        self.appends += 1

    def ticket(self):
        if self.random.randrange(2):
            self.tickets.append(f"{self.number} {self.left}")
            return
        with suppress(IndexError):
            self.taken.append(self.tickets.pop())

    def claim(self):
        self.claimed += self.claims.setdefault(self.random.randrange(1 << 16), self.number) == self.number

    def member(self):
        member = self.random.randrange(500) * 8 + self.number
        if member in self.mine:
            self.members.discard(member)
            self.mine.discard(member)
        else:
            self.members.add(member)
            self.mine.add(member)

    def pair(self):
        value = self.random.randrange(1 << 30)
        self.pairs.update(a=value, b=value)

    def slot(self):
        index = self.random.randrange(40)
        self.slots[index] = self.pool.new(pmemobj.PersistentList, [index, "x" * self.random.randrange(60)])

    def read(self):
        index = self.random.randrange(40)
        found = self.slots[index]
        if found is not None:
            assert found[0] == index
        assert self.accounts.get(index) is not None
        assert -1 - index not in self.queue


def background(pool, stop):
    work = (pool.sync, pool.stats, pool.checkpoint, lambda: pool.in_transaction, pool.sync, pool.gc)
    turn = 0
    while not stop.wait(0.002):
        work[turn % len(work)]()
        turn += 1
    return turn


class Thread(threading.Thread):
    def __init__(self, function):
        super().__init__(daemon=True)
        self.function, self.error, self.result = function, None, None
        self.start()

    def run(self):
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error


def work_together(pool, operations, threads=8, seed=1, interval=1e-6, patience=600):
    """Does it, and checks everything but a reopening; gives counts."""
    prepare(pool)
    history = []
    workers = [Worker(pool, number, operations // threads, history, seed) for number in range(threads)]
    stop, before = threading.Event(), sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        start = time.monotonic()
        behind = Thread(lambda: background(pool, stop))
        barrier = threading.Barrier(threads)
        running = [Thread(partial(worker.work, barrier)) for worker in workers]
        for thread in running:
            thread.join(max(0, patience - (time.monotonic() - start)))
        seconds = time.monotonic() - start
        stop.set()
        behind.join(60)
    finally:
        sys.setswitchinterval(before)
        stop.set()
    for thread in [*running, behind]:
        if thread.error:
            raise thread.error
        assert not thread.is_alive(), "a thread waits for ever"
    verify(pool, workers, history)
    return {
        "operations": sum(1 for _ in workers) * (operations // threads),
        "transactions": len(history),
        "switches": sum(a[0] != b[0] for a, b in pairwise(history)),
        "undone": sum(worker.undone for worker in workers),
        "background": behind.result,
        "seconds": seconds,
        "check": lambda pool: verify(pool, workers, history),
    }


def verify(pool, workers, history):
    root = pool.root
    model = Model()
    model.replay(history)
    model.compare(root)
    assert root["pairs"]["a"] == root["pairs"]["b"]
    for worker in workers:
        own = [number & 0xFFFFFFFF for number in root["appended"] if number >> 32 == worker.number]
        assert own == list(range(worker.appends))
    tickets = [ticket for worker in workers for ticket in worker.taken] + list(root["tickets"])
    assert len(tickets) == len(set(tickets))
    claims = list(root["claims"].values())
    for worker in workers:
        assert worker.claimed >= claims.count(worker.number)  # a claim may be found again by its owner
    assert set(root["members"]) == set().union(*[worker.mine for worker in workers])
    assert all(found is None or found[0] == i for i, found in enumerate(root["slots"]))
    report = pool.check()
    assert report.ok, report
