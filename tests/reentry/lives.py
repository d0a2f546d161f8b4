"""Lives of a pool whose users do the worst at the worst moment: python -m tests.reentry.lives FIRST COUNT DIRECTORY

Each life makes one container of every kind and calls some of their methods, functions and operators with arguments
from hooks.py, while a fuse does something else to them from inside: clears, grows, aborts, collects, closes the pool.
Whatever comes of it, no call may end the interpreter or raise what says that the library is wrong; and what is left is
sound, after the next open too.  A life is repeated by its number.  Lines of JSON say what was wrong.
"""

import contextlib
import copy
import faulthandler
import gc
import json
import operator
import pickle
import random
import shutil
import sys
import threading
import traceback
import warnings
from collections import Counter, deque
from pathlib import Path
from typing import Any

import numpy as np

import pmemobj
from tests.reentry.hooks import (
    Anything,
    Dict,
    Float,
    Int,
    Key,
    List,
    Set,
    Str,
    Thing,
    Tuple,
    factory,
    fuse,
    order,
    stepping,
)  # fmt: skip

#: Python's errors for mistakes of the library's own.
WRONG = (SystemError, pmemobj.PoolDamagedError, AssertionError, NameError, UnboundLocalError)
SECONDS = 60  # of a life; NumPy takes for ever to look at what contains itself twice
CALLS = 6

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
NEW = tuple(
    getattr(pmemobj, f"Persistent{kind}")
    for kind in (
        "List", "Dict", "Set", "Tuple", "FrozenSet", "Deque", "Counter", "OrderedDict", "ByteArray", "Array",
        "SortedDict", "SortedSet",
    )
)  # fmt: skip


class BoomError(Exception):
    """Of user code."""


class Life:
    def __init__(self, number: int, directory: Path, blank: Path):
        self.rng = random.Random(number)
        self.engine = self.rng.choice(("journal", "journal", "direct"))
        self.path = directory / "life.pool"
        for left in directory.glob("life.pool*"):
            left.unlink()
        shutil.copy(blank, self.path)
        self.pool = self.opened()
        self.exported: list[Any] = []
        self.iterators: list[Any] = []
        self.containers = self.made()
        self.target = self.containers[0]
        self.called = ""

    def opened(self) -> Any:
        return pmemobj.open(self.path, "w", sync="manual", engine=self.engine)

    # --- what there is

    def made(self) -> list[Any]:
        rng, new, size = self.rng, self.pool.new, self.rng.choice((0, 1, 3, 12, 12, 40))

        def value(i: int) -> Any:
            return rng.choice(
                (i, f"s{i}", Key(i), 1.5 * i, (i, "x"), [i], {i: 1}, None, 1 << 70, b"bytes", frozenset({i}))
            )

        def key(i: int) -> Any:
            return rng.choice(
                (
                    i,
                    f"k{i}",
                    Key(i),
                    i + 0.5,
                    (i, Key(i)),
                    frozenset({i}),
                    1 << (64 + i % 9),
                    Thing.__name__ + str(i),
                )
            )

        def values() -> list[Any]:
            return [value(i) for i in range(size)]

        def items() -> dict[Any, Any]:
            return {key(i): value(i) for i in range(size)}

        ordered = rng.choice((range(size), [f"k{i}" for i in range(size)], [Key(i) for i in range(size)]))
        arrays = (np.arange(6).reshape(3, 2), np.arange(4.0), np.zeros(3, "M8[s]"), np.zeros(2, "i4,f8"))
        with self.pool.transaction():
            self.bytes = new(pmemobj.PersistentByteArray, bytes(range(size)))
            self.array = new(pmemobj.PersistentArray, rng.choice(arrays))
            made = [
                new(pmemobj.PersistentList, values()),
                new(pmemobj.PersistentTuple, values()),
                new(pmemobj.PersistentDict, items()),
                new(pmemobj.PersistentDefaultDict, factory, items()),
                new(pmemobj.PersistentOrderedDict, items()),
                new(pmemobj.PersistentCounter, {k: rng.choice((1, 2, -3, 1 << 65, 1.5)) for k in items()}),
                new(pmemobj.PersistentSet, items()),
                new(pmemobj.PersistentFrozenSet, items()),
                new(pmemobj.PersistentDeque, values(), rng.choice((None, size + 2))),
                new(pmemobj.PersistentSortedDict, {k: value(i) for i, k in enumerate(ordered)}),
                new(pmemobj.PersistentSortedSet, ordered, key=rng.choice((None, order))),
                self.bytes,
                self.array,
                new(Thing),
            ]
            self.pool.root = made
        made.append(self.pool.root)
        for o in rng.sample(made, 3):
            for name in ("__iter__", "__reversed__", "elements"):
                with contextlib.suppress(TypeError, AttributeError):
                    self.iterators.append(getattr(o, name)())
            for name in ("keys", "values", "items"):
                if hasattr(o, name):
                    made.append(getattr(o, name)())
        return made

    def argument(self, depth: int = 0) -> Any:
        rng, i = self.rng, self.rng.choice((0, 1, 2, 3, 5, -1, 11, 30))
        kinds = (
            lambda: i,
            lambda: i,
            lambda: Anything(i),
            lambda: Anything(i),
            lambda: rng.choice((Key, Int, Float))(i),
            lambda: Str(f"k{i}"),
            lambda: Tuple((i, Key(i))),
            lambda: List([Key(i), Anything(i), 1, "a"]) if i & 1 else List([1, Key(2), "k1"]),
            lambda: Dict({1: 2, Key(1): Key(2), Str("k1"): 3}),
            lambda: Set({1, 2, Key(3), Str("k2")}),
            lambda: stepping([Key(i), 1, 2, "k1"]),
            lambda: [(Key(i), 1), List([1, 2])],
            lambda: slice(*(rng.choice((None, 0, 1, Anything(2), Int(1), -1)) for _ in range(3))),
            lambda: rng.choice(self.containers),
            lambda: self.target,
            lambda: rng.choice((None, b"ab", {1, Key(1)}, Counter([1, Key(1)]), 1 << 65, float("nan"))),
            lambda: rng.choice((order, factory, list, lambda *arguments: fuse("lambda"))),
            lambda: self.pool.new(Thing),
            lambda: rng.choice(self.iterators or [i]),
            lambda: [self.argument(depth + 1)] if depth < 2 else i,
            lambda: (self.argument(depth + 1), self.argument(depth + 1)) if depth < 2 else i,
        )
        return rng.choice(kinds)()

    # --- what is called

    def call(self) -> Any:
        rng = self.rng
        o = self.target if rng.random() < 0.75 else rng.choice(self.containers)
        how = rng.random()
        if how < 0.2:
            function, other = rng.choice(BINARY), self.argument()
            self.called = f"{function.__name__} of {type(o).__name__}"
            return function(o, other) if rng.random() < 0.6 else function(other, o)
        if how < 0.3:
            function = rng.choice(UNARY)
            self.called = f"{function.__name__}({type(o).__name__})"
            return function(o)
        if how < 0.36:
            self.called = f"{type(o).__name__}[] ="
            return operator.setitem(o, self.argument(), self.argument())
        if how < 0.38 and self.iterators:
            self.called = "next()"
            return next(rng.choice(self.iterators))
        if how < 0.40:
            self.called = f"{type(o).__name__}. ="
            return setattr(o, rng.choice(("a", "b", "c", "default_factory")), self.argument())
        if how < 0.45:
            kind = rng.choice(NEW)
            self.called = f"new({kind.__name__})"
            return self.pool.new(kind, self.argument())
        if how < 0.47:
            name = rng.choice(("to_python", "why"))
            self.called = f"{name}({type(o).__name__})"
            return getattr(self.pool, name)(o)
        return self.call_method(o)

    def call_method(self, o: Any) -> Any:
        rng = self.rng
        name = rng.choice([name for name in dir(type(o)) if name not in NOT_CALLED])
        self.called = f"{type(o).__name__}.{name}"
        found = getattr(o, name)
        if not callable(found):
            return found
        arguments = [self.argument() for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3)))]
        options = {"key": rng.choice((order, Anything(1)))} if name == "sort" else {}
        result = found(*arguments if name != "sort" else (), **options)
        if hasattr(result, "__enter__"):
            with result as view:
                fuse("inside of with")
                view[...] = self.argument()
        elif hasattr(result, "__next__"):
            self.iterators.append(result)
            next(result)
        return result

    # --- what happens meanwhile

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

    def another_call(self) -> None:
        self.call()

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
        self.exported += memoryview(self.bytes), np.asarray(self.array)

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

    def happenings(self) -> dict[int, Any]:
        """What happens at which call of user code."""
        rng = self.rng
        often = (self.clear, self.clear_and_collect, self.grow, self.shrink, self.refill, self.undo, self.abort,
                 self.another_call)  # fmt: skip
        also = (
            self.clear_another, self.sort, self.resize, self.another_thread, self.iterate, self.show, self.deepcopy,
            self.why, self.boom, self.memory, self.interrupt, self.begin, self.commit, self.drop, self.drop_all,
            self.collect, self.collect_a_step, self.checkpoint, self.trim, self.export, self.release, self.close,
            self.close_at_once, self.reopen,
        )  # fmt: skip
        return {
            rng.choice((1, 1, 2, 3, 4, 6, 9, 15)): rng.choice(often if rng.random() < 0.6 else also)
            for _ in range(rng.randrange(1, 4))
        }

    # --- the life

    def live(self) -> list[str]:
        """What was wrong."""
        found: list[str] = []
        for _ in range(CALLS):
            self.target = self.rng.choice(self.containers)
            fuse.light(self.happenings())
            try:
                if self.rng.random() < 0.35:
                    with self.pool.transaction():
                        self.call()
                        if self.rng.random() < 0.3:
                            raise BoomError
                else:
                    self.call()
            except WRONG:
                found.append(f"{self.called}: {traceback.format_exc()}")
            except BaseException:  # of any kind: what came of it is looked at below
                pass
            if self.pool.closed:
                break
        fuse.light({})
        with contextlib.suppress(pmemobj.PoolClosedError):
            self.abort()
        return found + self.end()

    def end(self) -> list[str]:
        """Is what is left sound?"""
        found = []
        self.exported.clear()
        if not self.pool.closed:
            found += self.checked(self.pool, "at the end")
            try:
                self.pool.close()
            except BufferError:
                self.containers.clear()
                self.iterators.clear()
                self.target = self.bytes = self.array = None
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


def main(first: int, count: int, directory: Path) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(400)
    gc.disable()  # it would come at other moments when a life is repeated
    blank = directory / "blank.pool"
    blank.unlink(missing_ok=True)
    pmemobj.open(blank, "x", max_size=16 << 20, sync="manual").close()
    fired: Counter[str] = Counter()
    for number in range(first, first + count):
        print(json.dumps({"begins": number}), flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        fuse.fired.clear()
        life = Life(number, directory, blank)
        try:
            found = life.live()
        except Exception:
            found = [traceback.format_exc()]
        if found:
            told = {
                "number": number,
                "engine": life.engine,
                "fired": fuse.fired[:],
                "called": life.called,
                "found": found,
            }
            print(json.dumps(told), flush=True)
        fired.update(name for _where, name in fuse.fired)
        if number % 50 == 0:
            gc.collect()
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({"fired": fired}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
