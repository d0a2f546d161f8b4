"""A pool with something of every kind, and what may happen to it in the middle of a call."""

import contextlib
import copy
import faulthandler
import gc
import operator
import pickle
import random
import shutil
import sys
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pmemobj
from tests.reentry.hooks import Thing, factory, order

#: Python's errors for mistakes of the library's own.
WRONG = (SystemError, pmemobj.PoolDamagedError, AssertionError, NameError, UnboundLocalError)

BINARY = (
    operator.eq, operator.ne, operator.lt, operator.le, operator.add, operator.iadd, operator.mul, operator.imul,
    operator.or_, operator.ior, operator.and_, operator.iand, operator.sub, operator.isub, operator.xor, operator.ixor,
    operator.contains, operator.getitem, operator.mod,
)  # fmt: skip
UNARY = (
    list, tuple, set, frozenset, dict, deque, Counter, bytes, str, repr, hash, bool, len, iter, reversed, sorted, min,
    max, sum, copy.copy, copy.deepcopy, pickle.dumps, np.asarray, memoryview,
)  # fmt: skip
#: Not the containers' own, or for tests alone.
NOT_CALLED = {
    "__class__", "__init_subclass__", "__subclasshook__", "__new__", "__del__", "__reduce_cython__",
    "__setstate_cython__", "__class_getitem__", "__getstate__", "_check",
}  # fmt: skip
ARRAYS = (np.arange(6).reshape(3, 2), np.arange(4.0), np.zeros(3, "M8[s]"), np.zeros(2, "i4,f8"))


class Contents(NamedTuple):
    """keys: one for each value; ordered: such as can be sorted."""

    values: list[Any]
    keys: list[Any]
    ordered: Sequence[Any]
    rng: random.Random

    def items(self) -> dict[Any, Any]:
        return dict(zip(self.keys, self.values, strict=True))

    def counts(self) -> dict[Any, Any]:
        return {key: self.rng.choice((1, 2, -3, 1 << 65, 1.5)) for key in self.keys}


#: (pool.new, Contents) -> a container.
KINDS: dict[str, Callable[[Any, Contents], Any]] = {
    "list": lambda new, of: new(pmemobj.PersistentList, of.values),
    "tuple": lambda new, of: new(pmemobj.PersistentTuple, of.values),
    "dict": lambda new, of: new(pmemobj.PersistentDict, of.items()),
    "defaultdict": lambda new, of: new(pmemobj.PersistentDefaultDict, factory, of.items()),
    "ordered dict": lambda new, of: new(pmemobj.PersistentOrderedDict, of.items()),
    "counter": lambda new, of: new(pmemobj.PersistentCounter, of.counts()),
    "set": lambda new, of: new(pmemobj.PersistentSet, of.keys),
    "frozenset": lambda new, of: new(pmemobj.PersistentFrozenSet, of.keys),
    "deque": lambda new, of: new(
        pmemobj.PersistentDeque, of.values, of.rng.choice((None, len(of.values) + 2))
    ),
    "sorted dict": lambda new, of: new(pmemobj.PersistentSortedDict, zip(of.ordered, of.values, strict=True)),
    "sorted set": lambda new, of: new(pmemobj.PersistentSortedSet, of.ordered),
    "sorted set by a key": lambda new, of: new(pmemobj.PersistentSortedSet, of.ordered, key=order),
    "bytearray": lambda new, of: new(pmemobj.PersistentByteArray, bytes(range(len(of.values)))),
    "array": lambda new, of: new(pmemobj.PersistentArray, of.rng.choice(ARRAYS)),
    "object": lambda new, of: new(Thing),
}


class BoomError(Exception):
    """Of user code."""


class World:
    def __init__(self, directory: Path, blank: Path, engine: str, seed: int):
        self.rng = random.Random(seed)
        self.engine = engine
        self.path = directory / "world.pool"
        for left in directory.glob("world.pool*"):
            left.unlink()
        shutil.copy(blank, self.path)
        self.pool = self.opened()
        self.exported: list[Any] = []
        self.iterators: list[Any] = []
        self.containers: list[Any] = []
        self.target: Any = None

    def opened(self) -> Any:
        return pmemobj.open(self.path, "w", sync="manual", engine=self.engine)

    def another_call(self) -> None:
        """As the one that is under way."""

    def put(self, kinds: list[str], values: list[Any], keys: list[Any], ordered: Sequence[Any]) -> None:
        """New containers in the place of what was there.  The first is the one to which things happen."""
        contents = Contents(values, keys, ordered, self.rng)
        self.iterators.clear()
        with self.pool.transaction():
            self.containers = [KINDS[kind](self.pool.new, contents) for kind in kinds]
            self.pool.root = self.containers
        self.target = self.containers[0]

    # --- what happens

    def clear(self) -> None:
        self.target.clear()

    def clear_and_collect(self) -> None:
        self.target.clear()
        gc.collect()

    def clear_another(self) -> None:
        self.rng.choice(self.containers).clear()

    def grow(self) -> None:
        o = self.target
        if hasattr(o, "extend"):
            o.extend([i % 200 for i in range(300)])
        else:
            o.update({key: [1] for key in range(1000, 1300)})

    def shrink(self) -> None:
        for _ in range(50):
            (getattr(self.target, "popitem", None) or self.target.pop)()

    def refill(self) -> None:
        self.clear()
        self.grow()

    def undo(self) -> None:
        with contextlib.suppress(BoomError), self.pool.transaction():
            self.refill()
            raise BoomError

    def sort(self) -> None:
        self.target.sort()

    def resize(self) -> None:
        self.target.resize(self.rng.randrange(5))

    def clear_quietly(self) -> None:
        with contextlib.suppress(Exception):
            self.target.clear()

    def another_thread(self) -> None:
        if not self.pool.in_transaction:  # for whose end the other one would wait
            thread = threading.Thread(target=self.clear_quietly)
            thread.start()
            thread.join()

    def iterate(self) -> None:
        next(self.rng.choice(self.iterators))

    def show(self) -> None:
        repr(self.target)

    def deepcopy(self) -> None:
        copy.deepcopy(self.target)

    def why(self) -> None:
        self.pool.why(self.target)

    def boom(self) -> None:
        raise BoomError

    def memory(self) -> None:
        raise MemoryError

    def interrupt(self) -> None:
        raise KeyboardInterrupt

    def begin(self) -> None:
        self.pool.begin()

    def commit(self) -> None:
        self.pool.commit()

    def abort(self) -> None:
        while self.pool.in_transaction:
            self.pool.abort()

    def drop(self) -> None:
        self.pool.root = None
        gc.collect()

    def drop_all(self) -> None:
        self.pool.root = None
        self.containers[:] = self.containers[:1]
        gc.collect()
        self.pool.gc()

    def collect(self) -> None:
        self.pool.gc()

    def collect_a_step(self) -> None:
        self.pool.gc(max_seconds=0)

    def checkpoint(self) -> None:
        self.pool.checkpoint()

    def trim(self) -> None:
        self.pool.trim()

    def export(self) -> None:
        self.exported += [memoryview(self.target), np.asarray(self.target)]

    def release(self) -> None:
        self.exported.clear()

    def close(self) -> None:
        self.abort()
        self.pool.close()

    def close_at_once(self) -> None:
        self.pool.close()

    def reopen(self) -> None:
        self.close()
        self.pool = self.opened()

    # --- what is left

    def end(self) -> list[str]:
        """What is wrong with the pool, now and after the next open.  Closes it."""
        found = []
        self.exported.clear()
        if not self.pool.closed:
            self.abort()
            found += self.checked(self.pool, "at the end")
            try:
                self.pool.close()
            except BufferError:
                self.containers.clear()
                self.iterators.clear()
                self.target = None
                gc.collect()
                self.pool.close()
        with self.opened() as pool:
            pool.gc()
            found += self.checked(pool, "after the next open")
            if pool.check().unreachable[0]:
                found.append(f"leaked {pool.check().unreachable}")
        return found

    @staticmethod
    def checked(pool: Any, when: str) -> list[str]:
        pool._check_references()
        report = pool.check()
        return [] if report.ok else [f"{when}: {report.findings[:3]}"]


def begin(directory: Path) -> Path:
    """For a process that shall do the same each time.  The file of an empty pool."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(400)
    gc.disable()
    blank = directory / "blank.pool"
    blank.unlink(missing_ok=True)
    pmemobj.open(blank, "x", max_size=16 << 20, sync="manual").close()
    return blank
