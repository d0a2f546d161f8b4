"""Each call of user code inside of each operation: python -m tests.reentry.sweep PART PARTS DIRECTORY [KIND ...]

Every method, operator and function of every kind of container, with all arguments of a list; first as it is, to see how
often it calls user code, and then again for each of these calls and each of a few things that happen in it.  Of many
operations every PARTS-th is tried.  Lines of JSON say what was wrong.
"""

import faulthandler
import gc
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from operator import methodcaller
from pathlib import Path
from typing import Any, NamedTuple

from tests.reentry.hooks import Anything, Dict, Int, Key, List, Set, Str, fuse, order, stepping
from tests.reentry.world import BINARY, KINDS, NOT_CALLED, UNARY, WRONG, World, begin

SECONDS = 60  # of an operation
MOST_CALLS = 12
HAPPENINGS = ("close", "drop_all", "clear_and_collect", "abort", "undo", "refill")
NUMBERS = range(5)
NOT_OF_POOL = {"backup", "compact"}  # which would make files with any name

#: name -> what makes one, from the world.
ARGUMENTS: dict[str, Callable[[World], Any]] = {
    "Key": lambda world: Key(3),
    "Anything": lambda world: Anything(3),
    "Int": lambda world: Int(1),
    "Str": lambda world: Str("k2"),
    "List": lambda world: List([Key(3), 1]),
    "Dict": lambda world: Dict({Key(3): Key(1), 1: 2}),
    "Set": lambda world: Set({Key(3), 1}),
    "iterator": lambda world: stepping([Key(3), 1]),
    "pairs": lambda world: stepping([(Key(3), Key(1)), (Key(7), 2)]),
    "slice": lambda world: slice(Anything(1), Anything(4)),
    "function": lambda world: order,
    "itself": lambda world: world.target,
    "equal one": lambda world: world.containers[1],
    "plain one": lambda world: world.pool.to_python(world.containers[1]),
}
PAIRS = [
    *(("Int", "Key"), ("Key", "Key"), ("Key", "Anything"), ("Anything", "Key"), ("slice", "List")),
    *(("slice", "iterator"), ("Key", "Int"), ("Anything", "Anything"), ("Key", "equal one")),
]


class Use(NamedTuple):
    name: str
    call: Callable[..., Any]
    arguments: tuple[str, ...]


def at_once(result: Any) -> Any:
    """What gives its results one by one gives two; what is entered is entered and written to."""
    if hasattr(result, "__next__"):
        return next(result, None), next(result, None)
    if hasattr(result, "__enter__"):
        with result as view:
            fuse("inside of with")
            view[...] = Anything(1)
    return result


def of_part(name: str, part: Callable[[Any], Any], example: Any) -> Iterator[Use]:
    """Of a container, or of something that it gives."""
    for function in UNARY:
        yield Use(f"{function.__name__}({name})", lambda o, f=function: at_once(f(part(o))), ())
    for function in BINARY:
        for other in ARGUMENTS:
            yield Use(
                f"{function.__name__}({name}, {other})", lambda o, x, f=function: f(part(o), x), (other,)
            )
            yield Use(
                f"{function.__name__}({other}, {name})", lambda o, x, f=function: f(x, part(o)), (other,)
            )
    for method in sorted(set(dir(type(example))) - NOT_CALLED):
        for arguments in [(), *((one,) for one in ARGUMENTS), *PAIRS]:
            call = lambda o, *given, method=method: at_once(getattr(part(o), method)(*given))  # noqa: E731
            yield Use(f"{name}.{method}({', '.join(arguments)})", call, arguments)
    for other in ARGUMENTS:
        yield Use(f"{name}.a = {other}", lambda o, x: setattr(part(o), "a", x), (other,))


def of_pool(o: Any) -> Iterator[Use]:
    for method in sorted(name for name in dir(o._p_mm) if name[0] != "_" and name not in NOT_OF_POOL):
        for arguments in [(), *((one,) for one in ARGUMENTS), *PAIRS]:
            call = lambda o, *given, method=method: at_once(getattr(o._p_mm, method)(*given))  # noqa: E731
            yield Use(f"pool.{method}({', '.join(arguments)})", call, arguments)


def uses(kind: str, o: Any) -> Iterator[Use]:
    yield from of_part(kind, lambda o: o, o)
    for name in ("keys", "values", "items"):
        if hasattr(o, name):
            yield from of_part(f"{kind}.{name}()", methodcaller(name), getattr(o, name)())
    if hasattr(o, "sort"):
        yield Use(f"{kind}.sort(key=)", lambda o: o.sort(key=order), ())
    for other in ARGUMENTS:
        yield Use(f"new({kind}, {other})", lambda o, x: o._p_mm.new(type(o), x), (other,))
    for name in ("to_python", "why"):
        yield Use(f"{name}({kind})", lambda o, name=name: getattr(o._p_mm, name)(o), ())
    if kind == "object":
        yield from of_pool(o)


class Sweep(World):
    def __init__(self, directory: Path, blank: Path, engine: str):
        super().__init__(directory, blank, engine, 1)
        self.found: list[Any] = []
        self.tried = 0

    def renew(self, kind: str) -> None:
        """Two equal containers of the kind."""
        if self.pool.closed:
            self.pool = self.opened()
        values = [Key(0), 1, "s2", Key(3), (4, Key(4))]
        keys = [Key(0), 1, "k2", Key(3), (4, Key(4))]
        self.put([kind, kind], values, keys, [Key(i) for i in NUMBERS])

    def run(self, kind: str, use: Use, number: int, happening: str) -> int:
        """Calls of user code."""
        self.renew(kind)
        arguments = [ARGUMENTS[one](self) for one in use.arguments]
        fuse.light({number: getattr(self, happening)})
        self.tried += 1
        told = {"use": use.name, "call": number, "happening": happening}
        print(json.dumps({"begins": told}), flush=True)
        try:
            with self.pool.transaction() if happening == "abort" else nullcontext():
                use.call(self.target, *arguments)
        except WRONG:
            self.found.append({**told, "error": traceback.format_exc()})
        except BaseException:
            pass
        calls = fuse.calls
        fuse.light({})
        if not self.pool.closed:
            self.abort()
        return calls

    def nothing(self) -> None:
        pass

    def sweep(self, kind: str, use: Use) -> None:
        calls = min(self.run(kind, use, 1, "nothing"), MOST_CALLS)
        for number in range(1, calls + 1):
            for happening in HAPPENINGS:
                self.run(kind, use, number, happening)
            if not self.pool.closed:
                self.found += self.checked(self.pool, use.name)


def main(part: int, parts: int, directory: Path, kinds: list[str]) -> None:
    world = Sweep(directory, begin(directory), "direct" if part % 3 == 0 else "journal")
    number = 0
    for kind in kinds or KINDS:
        world.renew(kind)
        for use in list(uses(kind, world.target)):
            number += 1
            if number % parts == part:
                faulthandler.dump_traceback_later(SECONDS, exit=True)
                world.sweep(kind, use)
                if number % 64 == 0:
                    gc.collect()
    world.found += world.end()
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({"tried": world.tried, "found": world.found}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
