"""Opens hostile pools and uses everything in them; says what came of it: python -m tests.hostile.worker DIRECTORY

Words come through stdin, one a line; for each, lines of JSON go to stdout: what begins, and what came of it.  It lives
as long as nothing ends it.  An audit hook notes what the interpreter is asked to run, import or start.
"""

import contextlib
import copy
import decimal
import gc
import importlib
import json
import operator
import os
import pathlib
import pickle
import resource
import signal
import sys
import warnings
import zoneinfo

import pmemobj
from pmemobj import fields, native
from tests.hostile import words
from tests.malformed.worker import extents

#: Ways to run what is not the program's own.
ALARMING = (
    "os.",
    "subprocess.",
    "exec",
    "compile",
    "import",
    "pickle.find_class",
    "ctypes.",
    "socket.",
    "shutil.",
)
HARMLESS_EVENTS = {
    "os.listdir", "os.scandir", "os.remove", "os.rename", "os.truncate", "os.putenv", "os.fwalk", "os.walk", "os.chmod",
    "os.utime", "os.lockf", "os.mkdir", "os.rmdir", "os.link", "shutil.copyfile", "shutil.rmtree",
}  # fmt: skip
#: zoneinfo looks for a zone in the package tzdata, and nowhere else.
OUR_IMPORTS = ("pmemobj.", "encodings.", "tzdata")
#: What Python raises for its own mistakes is one of ours here.
FORBIDDEN = (SystemError, AssertionError, NameError, AttributeError, MemoryError, ImportError)
SECONDS = 20
MOST = 400  # steps of an iteration

noted: list = []
watching = [False]


def watch(event, arguments):
    if not watching[0] or not event.startswith(ALARMING) or event in HARMLESS_EVENTS:
        return
    if event == "pickle.find_class" and arguments[0] in ("builtins", "copyreg", "tests.hostile.words"):
        return
    if event == "import" and (arguments[0] in sys.modules or arguments[0].startswith(OUR_IMPORTS)):
        return
    noted.append(f"{event} {str(arguments)[:200]}")


class TooLong(BaseException):
    pass


def too_long(*_):
    raise TooLong


def swallow(function, *args):
    """Errors are answers; those of ours are not."""
    try:
        return function(*args)
    except pmemobj.PmemobjError:
        return None
    except FORBIDDEN as error:
        noted.append(f"{type(error).__name__}: {error} ({getattr(function, '__name__', function)!s:.80})")
    except Exception:
        return None


def some(iterable):
    iterator = swallow(iter, iterable)
    found = []
    while iterator is not None and len(found) < MOST:
        try:
            found.append(next(iterator))
        except (StopIteration, pmemobj.PmemobjError):
            break
        except FORBIDDEN as error:
            noted.append(f"{type(error).__name__}: {error} (next)")
            break
        except Exception:
            break
    return found


def holders(pool):
    """Everything in the places, as far as it can be read."""
    found = []
    for places in some(swallow(lambda: pool.root["places"]) or ()):
        for name in some(places):
            found.append(swallow(places.get, name))
    return [holder for holder in found if holder is not None]


def items(holder):
    if isinstance(holder, pmemobj.PersistentObject):
        return [swallow(getattr, holder, name, None) for name in ("number", "text", "other", "balance")]
    if hasattr(holder, "items"):
        return [part for pair in some(swallow(holder.items) or ()) for part in pair] + some(holder)
    return some(holder) + [swallow(lambda at=at: holder[at]) for at in (0, 1, -1)]


def each(use):
    def all_of_them(pool, directory):
        for holder in holders(pool):
            swallow(use, holder)
            for item in items(holder):
                swallow(use, item)

    return all_of_them


def compare(value):
    for other in (1, "text", [1], {1: 2}, (1, 2), None, {1}, decimal.Decimal(1)):
        swallow(lambda other=other: value == other)
        swallow(lambda other=other: other != value)
        swallow(lambda other=other: value < other)
    swallow(lambda: value == copy.copy(value))


def as_key(pool, directory):
    for holder in holders(pool):
        for item in items(holder):
            for table in ({}, pool.new(pmemobj.PersistentDict), pool.new(pmemobj.PersistentSortedDict)):
                swallow(table.__setitem__, item, 1)
                swallow(table.get, item)
            for elements in (pool.new(pmemobj.PersistentSet), pool.new(pmemobj.PersistentSortedSet), holder):
                swallow(lambda elements=elements, item=item: item in elements)
                swallow(getattr(elements, "add", len), item)
            swallow(getattr(holder, "index", len), item)
            swallow(getattr(holder, "get", len), item)


def store(pool, directory):
    for holder in holders(pool):
        for item in items(holder):
            for use in (
                lambda item=item: pool.root.__setitem__("again", [item, (item,), {"k": item}]),
                lambda item=item: pool.new(words.Typed).__setattr__("number", item),
                lambda item=item: pool.new(words.Account).__setattr__("x", item),
                lambda item=item: pool.new(pmemobj.PersistentDeque, [item]),
            ):
                swallow(use)


def forget_one(o):
    with contextlib.suppress(AttributeError):  # the class has something of that name, which nobody deletes
        delattr(o, next(iter(vars(o))))


def change(pool, directory):
    for holder in holders(pool):
        with contextlib.suppress(Exception), pool.transaction() as tx:
            swallow(getattr(holder, "sort", len))
            swallow(getattr(holder, "reverse", len))
            swallow(getattr(holder, "pop", len))
            swallow(getattr(holder, "popitem", len))
            swallow(lambda holder=holder: operator.getitem(holder, "missing"))
            swallow(operator.delitem, holder, 0)
            if isinstance(holder, pmemobj.PersistentObject):
                swallow(setattr, holder, "number", 5)
                swallow(setattr, holder, "text", "t")
                swallow(forget_one, holder)
            swallow(getattr(holder, "clear", len))
            tx.abort()
    for holder in holders(pool):
        swallow(getattr(holder, "clear", len))
    swallow(pool.root.__delitem__, "places")
    swallow(pool.gc)
    swallow(setattr, pool, "root", None)


def methods(pool, directory):
    for holder in holders(pool):
        if type(holder) is words.Account and swallow(holder.balance) != "its own":
            noted.append("a stored attribute stands before a method")


def to(directory, name):
    path = os.path.join(directory, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return path


def rename(pool, directory):
    for name in [*words.NAMES.values(), "tests.hostile.words:Account", "zzzz:z"]:
        swallow(pool.rename_class, name, "tests.hostile.words:Typed")
        swallow(pool.rename_class, "tests.hostile.words:Account", name)


#: Ways in: name -> use(pool, directory).
ENTRIES = {
    "read": lambda pool, directory: [items(holder) for holder in holders(pool)],
    "iterate": each(some),
    "compare": each(compare),
    "hash": each(hash),
    "repr": each(repr),
    "str": each(str),
    "len, bool": each(lambda value: (swallow(len, value), bool(value))),
    "call a method": methods,
    "vars": each(vars),
    "copy": each(copy.copy),
    "deepcopy": each(copy.deepcopy),
    "pickle.dumps": each(pickle.dumps),
    "to_python": lambda pool, directory: each(pool.to_python)(pool, directory),
    "as key": as_key,
    "store": store,
    "gc": lambda pool, directory: (swallow(pool.gc), swallow(lambda: pool.gc(max_seconds=0))),
    "check": lambda pool, directory: swallow(pool.check),
    "why": lambda pool, directory: each(pool.why)(pool, directory),
    "usage": lambda pool, directory: (swallow(pool.usage), swallow(pool.stats)),
    "compact": lambda pool, directory: swallow(pool.compact, to(directory, "compacted")),
    "backup": lambda pool, directory: swallow(pool.backup, to(directory, "copied")),
    "rename_class": rename,
    "change": change,
}
#: Those that need no handle.
CLOSED = {
    "open": lambda path, directory: swallow(lambda: pmemobj.open(path, "w", sync="manual").close()),
    "check the file": lambda path, directory: swallow(pmemobj.check, path),
    "repair": lambda path, directory: swallow(pmemobj.repair, path, to(directory, "repaired")),
    "snapshot": lambda path, directory: swallow(in_snapshot, path, directory),
}


def in_snapshot(path, directory):
    with pmemobj.open(path, "r") as pool:
        for name in ("read", "iterate", "repr", "hash", "compare", "check"):
            ENTRIES[name](pool, directory)


def opened(path, use, directory):
    pool = swallow(lambda: pmemobj.open(path, "w", sync="manual"))
    if pool is None:
        return
    swallow(pool.persist_via_pickle, words.Nominated)
    try:
        use(pool, directory)
    finally:
        swallow(pool.close)
        if not pool.closed:
            gc.collect()
            pool._abandon()


def guarded(use, *args):
    """What was noted meanwhile."""
    noted.clear()
    words.Harm.done.clear()
    signal.alarm(SECONDS)
    watching[0] = True
    try:
        use(*args)
    except TooLong:
        noted.append(f"took more than {SECONDS} s")
    except Exception as error:
        noted.append(f"{type(error).__name__}: {error} (the use itself)")
    finally:
        watching[0] = False
        signal.alarm(0)
    if words.Harm.done:
        noted.append(f"called what the pool named, with {words.Harm.done}")
    return noted[:5]


def tried(directory, word):
    original, path, marker = (os.path.join(directory, name) for name in ("original", "pool", "marker"))
    words.make_any(original, word, marker)
    image = pathlib.Path(original).read_bytes()
    os.unlink(original)
    parts = extents(image)
    for name, use in [*CLOSED.items(), *ENTRIES.items()]:
        with open(path, "wb") as file:
            for at, data in parts:
                os.pwrite(file.fileno(), data, at)
            file.truncate(len(image))
        yield {"word": word, "entry": name}
        if name in CLOSED:
            found = guarded(use, path, directory)
        else:
            found = guarded(opened, path, use, directory)
        if os.path.exists(marker):
            found.append("a command was run")
            os.unlink(marker)
        for left in os.listdir(directory):
            os.unlink(os.path.join(directory, left))
        yield {"word": word, "entry": name, "noted": found}


def main(directory):
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for home in set(native.HOMES.values()):
        importlib.import_module(f"pmemobj.native.{home}")
    pmemobj.register_factory(words.harmful)
    words.Harm.done.clear()
    for key in ("NoZone", "No/Zone"):  # which imports what it needs for that
        with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError):
            zoneinfo.ZoneInfo(key)
    for cls in (words.Account, words.Typed):
        fields.declared(cls)  # evaluates annotations
    signal.signal(signal.SIGALRM, too_long)
    sys.addaudithook(watch)
    for line in sys.stdin:
        for answer in tried(directory, json.loads(line)):
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
