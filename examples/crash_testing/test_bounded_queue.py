"""Run it with pytest: the broken queue fails in seconds, and is shown with the fewest operations that break it."""

from bounded_queue import BoundedQueue, BrokenQueue
from hypothesis import settings
from hypothesis import strategies as st

from pmemobj.testing import CrashMachine, crash_rule

ITEMS = st.integers(0, 9)


class QueueCrash(CrashMachine):
    @staticmethod
    def start(pool):
        pool.root = pool.new(BoundedQueue, 3)

    @staticmethod
    def observe(pool):
        return list(pool.root)

    @staticmethod
    def check(pool):
        queue = pool.root
        stored = [cell for cell in queue.cells if cell is not None]
        assert len(stored) == queue.number, f"{queue.number} items, but {len(stored)} are stored"

    @crash_rule(allowed=(IndexError,), item=ITEMS)
    def push(pool, item):
        pool.root.push(item)

    @crash_rule(allowed=(IndexError,))
    def pop(pool):
        pool.root.pop()


class BrokenQueueCrash(QueueCrash):
    @staticmethod
    def start(pool):
        pool.root = pool.new(BrokenQueue, 3)


QUICK = settings(max_examples=10, stateful_step_count=6, deadline=None, derandomize=True)
TestQueue = QueueCrash.TestCase
TestQueue.settings = QUICK
TestBrokenQueue = BrokenQueueCrash.TestCase
TestBrokenQueue.settings = QUICK
