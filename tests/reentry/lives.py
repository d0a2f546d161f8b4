"""Lives of a pool whose users do the worst at any moment: python -m tests.reentry.lives FIRST COUNT DIRECTORY

Each life makes some containers, time and again, and calls a method, function or operator of one with arguments from
hooks.py, while a fuse does something else to it from inside: clears, grows, aborts, collects, closes the pool.
Whatever comes of it, no call may end the interpreter or raise what says that the library is wrong; and what is left is
sound, after the next open too.  A life is repeated by its number.  Lines of JSON say what was wrong.
"""

import contextlib
import faulthandler
import gc
import json
import operator
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

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
)
from tests.reentry.world import BINARY, KINDS, NOT_CALLED, UNARY, WRONG, BoomError, World, begin

SECONDS = 60  # of a life; NumPy takes for ever to look at what contains itself twice
CALLS = 30
KINDS_AT_ONCE = 3


class Life(World):
    called = ""

    def value(self, i: int) -> Any:
        return self.rng.choice(
            (i, f"s{i}", Key(i), Key(i), 1.5 * i, (i, Key(i)), [i], {i: 1}, None, 1 << 70, frozenset({i}))
        )

    def key(self, i: int) -> Any:
        return self.rng.choice(
            (i, f"k{i}", Key(i), Key(i), Key(i), i + 0.5, (i, Key(i)), frozenset({i}), 1 << (64 + i % 9))
        )

    def make(self) -> None:
        rng = self.rng
        numbers = range(rng.choice((0, 1, 3, 3, 12, 12, 40)))
        ordered = rng.choice((numbers, [f"k{i}" for i in numbers], [Key(i) for i in numbers]))
        values, keys = [self.value(i) for i in numbers], [self.key(i) for i in numbers]
        self.put(rng.sample(list(KINDS), KINDS_AT_ONCE), values, keys, ordered)
        for name in ("__iter__", "__reversed__", "elements"):
            with contextlib.suppress(TypeError, AttributeError):
                self.iterators.append(getattr(self.target, name)())
        if hasattr(self.target, "values"):
            self.containers += self.target.keys(), self.target.values(), self.target.items()
            if rng.random() < 0.3:
                self.target = rng.choice(self.containers[KINDS_AT_ONCE:])

    def argument(self, depth: int = 0) -> Any:
        rng, i = self.rng, self.rng.choice((0, 0, 1, 1, 2, 2, 3, 5, -1, 11, 30))
        kinds = (
            lambda: i,
            lambda: i,
            lambda: Anything(i),
            lambda: Anything(i),
            lambda: Key(i),
            lambda: Key(i),
            lambda: rng.choice((Int, Float))(i),
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
            kind = type(rng.choice(self.containers[:KINDS_AT_ONCE]))
            self.called = f"new({kind.__name__})"
            return self.pool.new(kind, self.argument())
        if how < 0.47:
            name = rng.choice(("to_python", "why"))
            self.called = f"{name}({type(o).__name__})"
            return getattr(self.pool, name)(o)
        return self.call_method(o)

    another_call = call

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

    def happenings(self) -> dict[int, Any]:
        """What happens at which call of user code."""
        rng = self.rng
        often = (
            *(self.clear, self.clear_and_collect, self.grow, self.shrink, self.refill, self.undo, self.abort),
            self.another_call,
        )
        also = (
            *(self.clear_another, self.sort, self.resize, self.another_thread, self.iterate, self.show),
            *(self.deepcopy, self.why, self.boom, self.memory, self.interrupt, self.begin, self.commit),
            *(self.drop, self.drop_all, self.collect, self.collect_a_step, self.checkpoint, self.trim),
            *(self.export, self.release, self.close, self.close_at_once, self.reopen),
        )
        return {
            rng.choice((1, 1, 2, 3, 4, 6, 9, 15)): rng.choice(often if rng.random() < 0.6 else also)
            for _ in range(rng.randrange(1, 4))
        }

    def live(self) -> list[str]:
        """What was wrong."""
        found: list[str] = []
        for _ in range(CALLS):
            self.make()
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
            fuse.light({})
            if self.pool.closed:
                break
            self.abort()
        return found + self.end()


def main(first: int, count: int, directory: Path) -> None:
    blank = begin(directory)
    fired: Counter[str] = Counter()
    for number in range(first, first + count):
        print(json.dumps({"begins": number}), flush=True)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        fuse.fired.clear()
        life = Life(directory, blank, "direct" if number % 3 == 0 else "journal", number)
        try:
            found = life.live()
        except Exception:
            found = [traceback.format_exc()]
            life.pool.close()
        if found:
            told = {"life": number, "fired": fuse.fired}
            print(json.dumps({"found": [{**told, "wrong": one} for one in found]}), flush=True)
        fired.update(name for _where, name in fuse.fired)
        if number % 50 == 0:
            gc.collect()
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({"fired": fired}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
