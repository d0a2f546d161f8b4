"""A writer and readers in processes of their own, for kill -9 and for the table of docs/reliability.md.

    python readers_workload.py writer POOL MARKS SYNC
    python readers_workload.py reader POOL MARKS NUMBER

MARKS is a mapped file of 8-byte words: transfers begun, transfers done, sessions, then for each reader: snapshots
verified, refreshes that brought something, and the highest transfer seen.
"""

import contextlib
import mmap
import sys
import time
from random import Random

import pmemobj
from pmemobj import pool as pool_module

ACCOUNTS, EACH = 64, 1000
BEGUN, DONE, SESSIONS, PER_READER = 0, 1, 2, 3
READERS = 8

#: So small that segments are sealed, applied and used again all the time.
JOURNAL = {"first_segment": 1 << 16, "max_segment": 1 << 18, "limit": 1 << 20, "ring": 1 << 16}


class Marks:
    def __init__(self, path):
        with open(path, "r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")

    @staticmethod
    def make(path):
        with open(path, "wb") as file:
            file.write(bytes(8 * (3 + PER_READER * READERS)))
        return Marks(path)

    def __getitem__(self, word):
        return self.words[word]

    def __setitem__(self, word, value):
        self.words[word] = value  # one store: nobody sees a part of it, also when this process is killed


def word_of(reader, which):
    return 3 + PER_READER * reader + which


def fill(pool):
    pool.root = {"accounts": [EACH] * ACCOUNTS, "count": 0, "texts": {}, "log": []}


def transfer(root, number):
    """Inside a transaction.  Rewrites words, makes and frees blocks and objects."""
    rng = Random(number)
    accounts, amount = root["accounts"], rng.randrange(1, 50)
    accounts[rng.randrange(ACCOUNTS)] -= amount
    accounts[rng.randrange(ACCOUNTS)] += amount
    key = f"key {rng.randrange(40)}"
    root["texts"][key] = f"{number} " + "x" * rng.randrange(2000)
    log = root["log"]
    log.append([number, f"transfer number {number}"])
    if len(log) > 50:
        del log[:25]
    if number % 500 == 0:
        root["large"] = [number] * rng.choice([1000, 600_000])
    root["count"] = number


def verify(root):
    """The number of the last transfer; AssertionError if it is not the state after that."""
    accounts, count, log = list(root["accounts"]), root["count"], list(root["log"])
    assert sum(accounts) == ACCOUNTS * EACH, (count, sum(accounts))
    if log:
        assert log[-1] == [count, f"transfer number {count}"], (count, log[-1])
        assert [entry[0] for entry in log] == list(range(count - len(log) + 1, count + 1))
    if "large" in root:
        large = root["large"]
        assert large[0] == large[-1] == large[len(large) // 2] == count - count % 500, (count, large[0])
    for key, text in root["texts"].items():
        number = int(text.split()[0])
        assert key == f"key {key_of(number)}", (key, number)
        assert number <= count
    return count


def key_of(number):
    rng = Random(number)
    rng.randrange(1, 50), rng.randrange(ACCOUNTS), rng.randrange(ACCOUNTS)
    return rng.randrange(40)


def write(path, marks, sync):
    pool_module.JOURNAL.update(JOURNAL)
    while True:
        pool = pmemobj.open(path, "w", sync=sync, sync_interval=0.005, timeout=60)
        marks[SESSIONS] += 1
        root = pool.root
        for step in range(1, 3000):
            number = root["count"] + 1
            marks[BEGUN] = number
            with pool.transaction():
                transfer(root, number)
            marks[DONE] = number
            if step % 100 == 0:
                with contextlib.suppress(pmemobj.PoolBusyError):
                    pool.checkpoint()
        del root
        pool.close()


def read(path, marks, number):
    rng, last = Random(number), 0
    while True:
        with pmemobj.open(path, "r") as pool:
            for _ in range(rng.randrange(1, 200)):
                done = marks[DONE]
                if pool.refresh():
                    marks[word_of(number, 1)] += 1
                count = verify(pool.root)
                # what was done before is seen; nothing that was seen is taken back
                assert count >= done and count >= last, (done, last, count)
                last = max(last, count)
                marks[word_of(number, 2)] = last
                marks[word_of(number, 0)] += 1
                if rng.random() < 0.02:
                    assert pool.check().ok, str(pool.check())
                if rng.random() < 0.1:
                    time.sleep(rng.random() * 0.2)
                    assert verify(pool.root) == count


if __name__ == "__main__":
    kind, path, marks_path, rest = sys.argv[1:]
    if kind == "writer":
        write(path, Marks(marks_path), rest)
    else:
        read(path, Marks(marks_path), int(rest))
