"""Opens one damaged pool after the other, looks at everything, changes a little, and says what came of it.

It lives as long as nothing ends it: what does is a bug.  Run as `python -m tests.malformed.worker DIRECTORY`; cases
come pickled through stdin, each a (base, writes, lengths), answers go to stdout.

One case in SHARE is opened both ways, looked at entirely, and compacted, which takes as long as ten others; of the
others one half is opened for reading and looked at entirely, the other for writing, looked at a little and changed.
"""

import contextlib
import faulthandler
import gc
import os
import pickle
import resource
import sys
import warnings
import zlib

import pmemobj
from tests.malformed import bases

MOST = 3000  # steps of a walk
FEW = 600
SHARE = 16
#: What Python raises for its own mistakes is one of ours here.
FORBIDDEN = (SystemError, AssertionError)


class Wrong(Exception):
    """An outcome that is neither a valid answer nor a proper exception."""


def attempt(function, *arguments):
    try:
        return function(*arguments)
    except FORBIDDEN as error:
        raise Wrong(f"{function} raised {error!r}") from error
    except Exception:
        return None


class Walk:
    def __init__(self, most=MOST):
        self.seen = []
        self.steps = 0
        self.most = most

    def value(self, value, depth=0):
        self.steps += 1
        if self.steps > self.most or depth > 20:
            return
        if isinstance(value, str):
            attempt(lambda: value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass"))
            attempt(value.upper)
        elif isinstance(value, tuple | frozenset):
            for item in value:
                self.value(item, depth + 1)
        elif isinstance(value, pmemobj.PersistentList | pmemobj.PersistentTuple):
            self.once(value, self.sequence, depth)
        elif isinstance(value, pmemobj.PersistentDeque):
            self.once(value, self.deque, depth)
        elif isinstance(value, pmemobj.PersistentSortedDict):
            self.once(value, self.sorted_dict, depth)
        elif isinstance(value, pmemobj.PersistentSortedSet):
            self.once(value, self.sorted_set, depth)
        elif isinstance(value, pmemobj.PersistentDict):
            self.once(value, self.dict, depth)
        elif isinstance(value, pmemobj.PersistentSet | pmemobj.PersistentFrozenSet):
            self.once(value, self.set, depth)
        elif isinstance(value, pmemobj.PersistentByteArray):
            self.once(value, self.bytes, depth)
        elif isinstance(value, pmemobj.PersistentArray):
            self.once(value, self.array, depth)
        elif isinstance(value, pmemobj.PersistentObject):
            self.once(value, self.object, depth)

    def once(self, value, look, depth):
        if not any(value is other for other in self.seen):
            self.seen.append(value)
            attempt(len, value) if not isinstance(value, pmemobj.PersistentObject) else None
            attempt(repr, value)
            attempt(hash, value)
            look(value, depth)

    def iterate(self, iterable, depth):
        iterator = attempt(iter, iterable)
        for _ in range(self.most):
            if iterator is None:
                return
            try:
                item = next(iterator)
            except StopIteration:
                return
            except FORBIDDEN as error:
                raise Wrong(f"next() raised {error!r}") from error
            except Exception:
                return
            self.value(item, depth + 1)
            self.steps += 1
            if self.steps > self.most:
                return

    def sequence(self, items, depth):
        self.iterate(items, depth)
        for index in (0, 1, -1, 5, 1 << 30, slice(None), slice(None, None, -2), slice(1, 3)):
            self.value(attempt(items.__getitem__, index), depth + 1)
        for value in (1, "longer than seven", None):
            attempt(items.__contains__, value)
            attempt(items.count, value)
        attempt(items.__eq__, [1, 2])
        attempt(lambda: items == items[:])

    def dict(self, table, depth):
        self.iterate(table, depth)
        self.iterate(attempt(table.items), depth)
        attempt(lambda: list(reversed(table)))
        attempt(lambda: table == {1: 2})
        for key in ("key number 3", "list", 1, 4999, "none", ("a", 1), 1.5, b"x" * 9, None):
            self.value(attempt(table.get, key), depth + 1)

    def deque(self, items, depth):
        self.iterate(items, depth)
        self.iterate(attempt(reversed, items), depth)
        for index in (0, 1, -1, 10, -12, 1 << 40):
            self.value(attempt(items.__getitem__, index), depth + 1)
        attempt(items.__contains__, "none")
        attempt(items.index, 5, 1, 20)
        attempt(items.count, 1)
        attempt(lambda: items.maxlen)
        attempt(items.copy)

    def sorted_dict(self, table, depth):
        self.iterate(attempt(table.items), depth)
        self.positions(table, depth)
        for key in ("key number 003", "key number 149", "none", 4999, -1, 2.5, b"bytes" * 3, None, (1,)):
            self.value(attempt(table.get, key), depth + 1)
        attempt(table.peekitem, 0)
        attempt(table.peekitem, 100)
        attempt(table.minKey, "key number 1")

    def sorted_set(self, elements, depth):
        self.positions(elements, depth)
        for key in (1, 39, 0.5, 1e300, "none"):
            attempt(elements.__contains__, key)
            attempt(elements.index, key)
        for index in (0, -1, 20, slice(3, 30), slice(None, None, -5)):
            attempt(elements.__getitem__, index)

    def positions(self, container, depth):
        self.iterate(container, depth)
        self.iterate(attempt(reversed, container), depth)
        attempt(container.bisect_left, "key number 100")
        attempt(container.bisect_right, 17)
        attempt(lambda: list(container.irange("key number 010", "key number 050")))
        attempt(lambda: list(container.islice(5, 70, reverse=True)))

    def set(self, elements, depth):
        self.iterate(elements, depth)
        for key in (1, "two", "four" * 4, (3, "three" * 3), 2.5):
            attempt(elements.__contains__, key)
        attempt(lambda: elements | {1})

    def bytes(self, array, depth):
        attempt(bytes, array)
        attempt(array.find, b"none of that")
        for index in (0, -1, 1 << 40, slice(1, 3), slice(None, None, -7)):
            attempt(array.__getitem__, index)

    def array(self, array, depth):
        attempt(lambda: array.sum())
        for index in (0, -1, 1 << 40, slice(1, 3), (1, 1), [0, 2], "a"):
            attempt(lambda index=index: array[index])
        attempt(array.tolist)

    def object(self, o, depth):
        for name in ("number", "text", "items", "none"):
            self.value(attempt(getattr, o, name, None), depth + 1)
        self.value(attempt(lambda: list(vars(o).values())), depth + 1)


def change(pool, walk):
    """A little of everything."""
    for value in walk.seen:
        if isinstance(value, pmemobj.PersistentList):
            attempt(value.append, 1)
            attempt(value.append, "a text of its own")
            attempt(value.__setitem__, 0, "another text, quite long")
            attempt(value.insert, 0, 5)
            attempt(value.pop)
            attempt(value.__delitem__, slice(0, 1))
            attempt(value.reverse)
            attempt(value.extend, [[1], "text number two"])
        elif isinstance(value, pmemobj.PersistentDeque):
            for number in range(3):
                attempt(value.append, number)
                attempt(value.appendleft, "a text of its own")
            attempt(value.rotate, 2)
            attempt(value.insert, 3, [1])
            attempt(value.insert, -3, 1)
            attempt(value.__setitem__, 0, "another text, quite long")
            attempt(value.__delitem__, 2)
            attempt(value.__delitem__, -2)
            for _ in range(20):
                attempt(value.pop)
                attempt(value.popleft)
            attempt(value.reverse)
            attempt(value.extendleft, range(40))
            attempt(value.extend, [[1], "text number two"])
        elif isinstance(value, pmemobj.PersistentSortedDict):
            attempt(value.__setitem__, "key number 070+", "a value of its own")
            attempt(value.__setitem__, 17, 18)
            attempt(value.pop, "key number 003", None)
            attempt(value.popitem)
            attempt(value.popitem, 0)
            attempt(value.update, {f"key number {i:03}+": i for i in range(60)})
            for _ in range(60):
                attempt(value.popitem, 30)
        elif isinstance(value, pmemobj.PersistentSortedSet):
            attempt(value.add, 17.5)
            attempt(value.discard, 1)
            attempt(value.pop, 3)
            attempt(value.update, range(100, 130))
            attempt(value.__delitem__, slice(2, 20))
        elif isinstance(value, pmemobj.PersistentDict):
            attempt(value.__setitem__, "a key of its own", "a value of its own")
            attempt(value.__setitem__, 17, 18)
            attempt(value.pop, "key number 3", None)
            attempt(value.popitem)
            attempt(value.update, {f"new key {i}": i for i in range(20)})
            if isinstance(value, pmemobj.PersistentOrderedDict):
                attempt(value.move_to_end, "in order 12")
                attempt(value.move_to_end, "in order 15", False)
                attempt(value.popitem, False)
            elif isinstance(value, pmemobj.PersistentDefaultDict):
                attempt(value.__getitem__, "missing")
                attempt(setattr, value, "default_factory", dict)
        elif isinstance(value, pmemobj.PersistentSet):
            attempt(value.add, "an element of its own")
            attempt(value.discard, 1)
            attempt(value.update, range(100, 130))
        elif isinstance(value, pmemobj.PersistentArray):
            attempt(value.__setitem__, 0, 7)
            attempt(value.__setitem__, [0, 1], 8)
            attempt(lambda value=value: value.__iadd__(1))
            attempt(value.resize, 50)
            attempt(value.append, 1)
        elif isinstance(value, pmemobj.PersistentByteArray):
            attempt(value.append, 1)
            attempt(value.__setitem__, 0, 7)
            attempt(value.__setitem__, slice(1, 3), b"longer than that")
            attempt(value.pop, 0)
            attempt(value.extend, bytes(5000))
            attempt(value.reverse)
        elif isinstance(value, pmemobj.PersistentObject):
            attempt(setattr, value, "number", 5)
            attempt(setattr, value, "text", "another text, quite long")
            attempt(setattr, value, "added", [1])
            attempt(delattr, value, "items")
    attempt(in_a_transaction, pool, walk)
    attempt(pool.gc)
    for value in walk.seen[1:]:
        if hasattr(value, "clear"):
            attempt(value.clear)
    attempt(lambda: setattr(pool, "root", [pool.new(bases.Thing), {"a": "text of its own"}]))
    attempt(pool.gc)
    attempt(pool.check)


def in_a_transaction(pool, walk):
    with pool.transaction() as tx:
        for value in walk.seen[:5]:
            if isinstance(value, pmemobj.PersistentList):
                attempt(value.extend, range(50))
            elif isinstance(
                value, pmemobj.PersistentDict | pmemobj.PersistentSortedDict | pmemobj.PersistentDeque
            ):
                attempt(value.clear)
        tx.abort()


def look(pool, most):
    walk = Walk(most)
    walk.value(attempt(lambda: pool.root))
    report = attempt(pool.check)
    attempt(pool.stats)
    attempt(pool.usage)
    return walk, report


def copied(pool):
    """compact() reads a whole pool in a way of its own."""
    to = pool.path + ".compact"
    attempt(pool.compact, to)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(to)


def ways(case):
    """(flags, whether it is looked at in every way): by what the case is, so that it is repeated."""
    number = zlib.crc32(repr(case).encode()) % SHARE
    return ("rw", True) if number == 0 else ("r" if number % 2 else "w", False)


def opened(path, flag, engine, thorough):
    """(outcome, the check's report)."""
    try:
        pool = pmemobj.open(path, flag, sync="manual", engine=engine)
    except FORBIDDEN as error:
        raise Wrong(f"open raised {error!r}") from error
    except Exception:
        return "refused", None
    try:
        walk, report = look(pool, MOST if thorough or flag == "r" else FEW)
        if flag == "r":
            attempt(lambda: pool.to_python(pool.root))
        if thorough and flag == "w":
            copied(pool)
        if flag == "w":
            change(pool, walk)
    finally:
        walk = None
        attempt(pool.close)
        if not pool.closed:
            pool._abandon()
            attempt(pool.close)
    return "opened", report


def tried(directory, known, case):
    base, writes, lengths = case
    path = os.path.join(directory, "pool")
    found = known[base]
    for name, extents, size in found["files"]:
        if name in lengths:
            size = lengths[name]
        with open(path + name, "wb") as file:
            for at, data in extents:
                if at < size:
                    os.pwrite(file.fileno(), data[: size - at], at)
            for where, at, data in writes:
                if where == name:
                    os.pwrite(file.fileno(), data, at)
            os.truncate(file.fileno(), size)
    outcomes = []
    report = None
    flags, thorough = ways(case)
    for flag in flags:
        outcome, found_here = opened(path, flag, known[base]["engine"], thorough)
        outcomes.append(outcome)
        report = report or found_here
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    gc.collect(1)  # what a failure has left in cycles
    if "opened" not in outcomes:
        return "refused"
    return "found by check()" if report is None or not report.ok else "harmless"


def extents(image, step=4096):
    """The parts that are not zero."""
    zero = bytes(step)
    found = []
    for at in range(0, len(image), step):
        part = image[at : at + step]
        if part != zero[: len(part)]:
            if found and found[-1][0] + len(found[-1][1]) == at:
                found[-1] = (found[-1][0], found[-1][1] + part)
            else:
                found.append((at, part))
    return found


def main(directory):
    faulthandler.enable(sys.stderr)
    warnings.simplefilter("ignore")
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    bases.patched_journal()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    known = pickle.load(sys.stdin.buffer)
    for base in known.values():
        base["files"] = [(name, extents(image), len(image)) for name, image in base["files"].items()]
    with contextlib.suppress(EOFError):
        while True:
            case = pickle.load(sys.stdin.buffer)
            try:
                answer = tried(directory, known, case)
            except Wrong as error:
                answer = f"WRONG {error}"
            pickle.dump(answer, answers)
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
