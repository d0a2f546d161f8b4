"""The operations whose instructions are counted, and the program that callgrind runs.

    python benchmarks/hotpaths.py MARKS_LIBRARY DIRECTORY

Every path runs for a number of rounds and for twice as many; the difference, divided by the operations of the
extra rounds, has neither start-up nor set-up in it.
"""

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pmemobj
from benchmarks.harness import BUILTIN, OURS, own_copy, stored
from benchmarks.micro import dicts, lists, objects, sets
from benchmarks.micro.values import keys, new_keys, one

ENTRIES = 1000
ROUNDS = 3
NEW = 2048  # a path that makes its container grow inserts so many, and twice as many: one doubling more
SEPARATOR = " | "


@dataclass(frozen=True)
class HotPath:
    """run(container, rounds) does `operations` operations a round.  fresh: anew for each run, since it grows."""

    name: str
    make: Callable[[], Any]
    run: Callable[[Any, int], Any]
    operations: int = ENTRIES
    rounds: int = ROUNDS
    fresh: bool = False
    transaction: bool = False
    persist: Callable[[Any, Any], Any] = stored


def of_objects(run: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    """The functions of micro/objects.py count operations, not rounds."""
    alone = own_copy(run)
    return lambda item, rounds: alone(item, rounds * ENTRIES)


def with_rounds(run: Callable[..., Any], **more: Any) -> Callable[[Any, int], Any]:
    alone = own_copy(run)
    return lambda container, rounds: alone(container, rounds=rounds, **more)


def with_keys(run: Callable[..., Any]) -> Callable[[Any, int], Any]:
    alone, wanted = own_copy(run), new_keys(2 * NEW)
    return lambda container, rounds: alone(container, wanted=wanted[: rounds * NEW])


def append(items: Any, rounds: int) -> None:
    method = items.append
    for i in range(rounds * NEW):
        method(i)


def empty(_container: Any, rounds: int) -> None:
    for _ in range(rounds):
        for _i in range(ENTRIES):
            pass


def paths() -> list[HotPath]:
    """Made anew for each rival: bytecode that has seen one type would count otherwise for another."""
    known, places = keys(ENTRIES), range(ENTRIES)

    def ints():
        return list(places)

    def filled():
        return dict.fromkeys(known, 5)

    growing = partial(HotPath, operations=NEW, rounds=1, fresh=True)
    item = partial(HotPath, make=objects.Plain, persist=objects.persistent)
    list_set = partial(with_rounds, lists.set_index, indices=places)
    overwrite = partial(with_rounds, dicts.overwrite, wanted=known)
    return [
        HotPath("the loop alone", list, own_copy(empty)),
        HotPath("list get, small int", ints, with_rounds(lists.get, indices=places)),
        HotPath("list get, float", lambda: [i * 0.5 for i in places], with_rounds(lists.get, indices=places)),
        HotPath(
            "list get, 30-character str",
            lambda: [one("30-character str")] * ENTRIES,
            with_rounds(lists.get, indices=places),
        ),
        HotPath("list set", ints, list_set()),
        HotPath("list set in a transaction", ints, list_set(), transaction=True),
        growing("list append", list, own_copy(append)),
        growing("list append in a transaction", list, own_copy(append), transaction=True),
        HotPath("list iterate", ints, with_rounds(lists.iterate)),
        HotPath("dict get", filled, with_rounds(dicts.get, wanted=known)),
        HotPath("dict contains", filled, with_rounds(dicts.contains, wanted=known)),
        HotPath("dict overwrite", filled, overwrite()),
        HotPath("dict overwrite in a transaction", filled, overwrite(), transaction=True),
        growing("dict insert", dict, with_keys(dicts.insert)),
        growing("dict insert in a transaction", dict, with_keys(dicts.insert), transaction=True),
        HotPath("dict iterate", filled, with_rounds(dicts.iterate)),
        HotPath("dict items", filled, with_rounds(dicts.iterate_items)),
        HotPath("set contains", lambda: set(known), with_rounds(dicts.contains, wanted=known)),
        growing("set add", set, with_keys(sets.add)),
        item("attribute get", run=of_objects(objects.get_first)),
        item("attribute set", run=of_objects(objects.set_first)),
        item("attribute set in a transaction", run=of_objects(objects.set_first), transaction=True),
    ]


def count(path: HotPath, rival: str, make: Callable[[], Any], pool: Any, mark: Callable[[str], None]) -> None:
    container = make()
    path.run(container, 2 * path.rounds)  # hashes of keys are then known, and bytecode is specialised
    for times in (1, 2):
        if path.fresh:
            container = make()
        pool.sync()
        mark("set-up")
        if path.transaction and rival == OURS:
            with pool.transaction():
                path.run(container, times * path.rounds)
        else:
            path.run(container, times * path.rounds)
        mark(SEPARATOR.join((rival, path.name, str(times))))


def main(library: str, directory: str) -> None:
    call = ctypes.CDLL(library).mark
    call.argtypes = [ctypes.c_char_p]

    def mark(name: str) -> None:
        call(name.encode())

    gc.disable()
    # Nothing is synced in the background, and the checkpoints' thread has nothing to do for so little.
    with pmemobj.open(Path(directory, "count.pool"), sync="manual", max_size=256 << 20) as pool:
        for path in paths():
            count(path, BUILTIN, path.make, pool, mark)
        for path in paths():
            count(path, OURS, lambda path=path: path.persist(pool, path.make()), pool, mark)


if __name__ == "__main__":
    main(*sys.argv[1:])
