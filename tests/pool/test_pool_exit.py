"""The interpreter's end, in whatever state the program is: no crash, no loss, and a standard error that helps."""

import os
import re
from typing import NamedTuple

import pytest
from pool_files import start

import pmemobj

OPEN = """
import atexit, logging, warnings, weakref
pool = pmemobj.open(path, max_size=64 << 20)
pool.root = ["kept"]
root = pool.root
"""

#: What threads print of the PoolClosedError they get may be mixed up, and ends where the process does.
CUT_SHORT = r"(Exception in thread (?![^$]*Fatal Python error)[^$]*)?"


class Script(NamedTuple):
    code: str
    found: object = ("kept",)  # what is in the pool afterwards
    returncode: int = 0
    stderr: str = ""  # a pattern for all of it
    recovered: bool = False  # it had no chance to close
    options: tuple[str, ...] = ()


SCRIPTS = {
    "not closed": Script("root.append(1)", ("kept", 1)),
    "global, local, attribute and closure": Script(
        """
class Holder: pass
holder = Holder()
holder.pool, holder.items = pool, [root, iter(root), root[0]]
def keep(pool=pool): return pool
root.append(2)
del pool
""",
        ("kept", 2),
    ),
    "in a transaction": Script("pool.begin(); root.append(1); pool.begin(); root.append(2)"),
    "sys.exit in a transaction": Script(
        "with pool.transaction():\n    root.append(1)\n    sys.exit(3)", returncode=3
    ),
    "exception in a transaction": Script(
        "with pool.transaction():\n    root.append(1)\n    1 / 0",
        returncode=1,
        stderr=r"Traceback [^$]*ZeroDivisionError: division by zero\n",
    ),
    "exception in a callback": Script(
        """
with pool.transaction() as tx:
    root.append(1)
    tx.on_commit(lambda: 1 / 0)
""",
        ("kept", 1),
        1,
        r"Traceback [^$]*ZeroDivisionError: division by zero\n",
    ),
    "exception in an operation": Script(
        "root.extend(1 // (2 - i) for i in range(9))",
        returncode=1,
        stderr=r"Traceback [^$]*ZeroDivisionError: .*\n",
    ),
    "os._exit in a transaction": Script(
        "root.append(1)\nwith pool.transaction():\n    root.append(2)\n    os._exit(0)",
        ("kept", 1),
        recovered=True,
    ),
    "os.abort": Script(
        "import faulthandler; faulthandler.disable(); root.append(1); os.abort()",
        ("kept", 1),
        -6,
        recovered=True,
    ),
    "daemon threads at work": Script(
        """
def work():
    while True:
        with pool.transaction():
            root[0] = "kept"
        root.append(1); root.pop(); pool.sync(); pool.stats()
        list(root); pool.new(pmemobj.PersistentDict, {1: [2]})
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""",
        found=None,
        stderr=CUT_SHORT,
    ),
    "daemon thread in a transaction": Script(
        """
begun = threading.Event()
def work():
    with pool.transaction():
        root.append("thread")
        begun.set()
        time.sleep(1000)
threading.Thread(target=work, daemon=True).start()
begun.wait()
"""
    ),
    "daemon thread that waits for a transaction": Script(
        """
pool.begin()
root.append(1)
threading.Thread(target=lambda: root.append("thread"), daemon=True).start()
time.sleep(0.05)
""",
        found=None,  # it may get in when the transaction is undone
        stderr=CUT_SHORT,
    ),
    "daemon thread in a callback": Script(
        """
begun = threading.Event()
def items():
    yield 1
    begun.set()
    time.sleep(1000)
threading.Thread(target=lambda: root.extend(items()), daemon=True).start()
begun.wait()
"""
    ),
    "thread that works on after the main one": Script(
        """
def work():
    time.sleep(0.05)
    root.append("late")
threading.Thread(target=work).start()
""",
        ("kept", "late"),
    ),
    "__del__ after close": Script(
        """
class Last:
    def __init__(self): self.pool, self.root = pool, root
    def __del__(self):
        for use in (lambda: self.root.append(1), lambda: self.pool.root, self.pool.begin, self.pool.close):
            try:
                use()
            except Exception as error:
                print(type(error).__name__)
last = Last()
last.itself = last
"""
    ),
    "__del__ that raises": Script(
        """
class Last:
    def __del__(self, root=root): root.append(1)
last = Last()
""",
        stderr=r"Exception ignored in: .*\n[^$]*PoolClosedError: .*: the pool is closed\n",
    ),
    "handlers at exit, before and after": Script(
        """
atexit.register(lambda: root.append("handler"))
atexit.register(pool.transaction()(lambda: root.append("first")))
def fails():
    with pool.transaction():
        root.append(1)
        1 / 0
atexit.register(fails)
""",
        ("kept", "first", "handler"),
        stderr=r"Exception ignored in atexit callback[^$]*ZeroDivisionError: .*\n",
    ),
    "a pool that is opened by a handler, and left open": Script(
        """
atexit.unregister(pmemobj.pool._close_all)
def late():
    global again
    pool.close()
    again = pmemobj.open(path)
    again.root.append("late")
atexit.register(late)
""",
        ("kept", "late"),
        stderr=r"(.*ResourceWarning: .*\n.*\n?)?",
        recovered=True,
    ),
    "a cycle": Script(
        """
pool.itself = pool
pool.things = [root, pool.transaction(), iter(root), pool]
root_of = weakref.ref(pool)
del pool, root
""",
    ),
    "a cycle that is collected": Script(
        """
pool.itself = [pool, root]
del pool, root
gc.collect()
""",
        stderr=r"[^$]*ResourceWarning: pool .* was never closed; use 'with' or close\(\)\n[^$]*",
        options=("-W", "always::ResourceWarning"),
    ),
    "dropped, warnings are errors": Script(
        "root.append(1)\ndel root, pool\ngc.collect()",
        ("kept", 1),
        stderr=r"Exception ignored in: .*\n[^$]*ResourceWarning: pool .* was never closed; use 'with' or close\(\)\n",
        options=("-W", "error"),
    ),
    "dropped in a transaction, warnings are errors": Script(
        "pool.begin()\nroot.append(1)\ndel root, pool\ngc.collect()",
        stderr=r"Exception ignored in: .*\n[^$]*ResourceWarning: pool .* was never closed; use 'with' or close\(\)\n",
        options=("-W", "error"),
    ),
    "warnings go to the log": Script(
        """
logging.basicConfig(format="%(name)s %(message)s")
logging.captureWarnings(True)
warnings.simplefilter("always")
del root, pool
gc.collect()
""",
        stderr=r"py\.warnings .*ResourceWarning: pool .* was never closed[^$]*",
    ),
    "generators and their blocks": Script(
        """
def generate():
    with pool.transaction():
        root.append(1)
        yield
waiting = generate()
next(waiting)
"""
    ),
    "fork at exit": Script(
        """
def fork():
    try:
        child = os.fork()
    except RuntimeError:                # of Python 3.12, which forks no more by then
        child = None
    if child == 0:
        try:
            root.append("child")
        except pmemobj.ForkedPoolError:
            return
        os._exit(9)
    assert child is None or os.waitpid(child, 0)[1] == 0
    root.append("parent")
warnings.simplefilter("ignore", DeprecationWarning)
atexit.register(fork)
""",
        ("kept", "parent"),
    ),
    "many pools, one in use by a thread": Script(
        """
others = [pmemobj.open(path + str(i), max_size=8 << 20) for i in range(3)]
for i, other in enumerate(others):
    other.root = [i]
    other.begin() if i == 1 else None
    other.root.append("more")
assert [list(other.root) for other in others] == [[0, "more"], [1, "more"], [2, "more"]]
""",
    ),
    "asyncio task in a transaction": Script(
        """
import asyncio
async def work():
    with pool.transaction():
        root.append(1)
        await asyncio.sleep(1000)
async def main():
    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
asyncio.run(main())
root.append("after")
""",
        ("kept", "after"),
    ),
    "a signal": Script(
        """
with pool.transaction():
    root.append(1)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(100)
""",
        returncode=-2,
        stderr=r"Traceback [^$]*KeyboardInterrupt\n",
    ),
    "modules are gone": Script(
        """
class Late:
    def __del__(self, pool=pool, root=root):
        try:
            pool.close()
            repr(pool)
            root.append(1)
        except ValueError:              # PoolClosedError is one
            pass
sys.modules["kept alive to the very end"] = Late()
pmemobj.kept = Late()
"""
    ),
    "the class is subclassed": Script(
        """
class Mine(pmemobj.PersistentObjectPool):
    def close(self):
        print("closing", flush=True)
        super().close()
pool.close()
mine = Mine(path)
mine.root.append("mine")
""",
        ("kept", "mine"),
    ),
    "close that fails": Script(
        """
class Mine(pmemobj.PersistentObjectPool):
    def close(self):
        raise OSError("meant")
pool.close()
mine = Mine(path)
mine.root.append("mine")
""",
        ("kept", "mine"),
        stderr=r"pmemobj: closing .* at exit: meant\n[^$]*",
        recovered=True,
    ),
    "a subinterpreter's thread state is gone": Script(
        """
done = []
def work():
    pool.begin()
    root.append(1)
    done.append(1)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(pool_path, name):
    script = SCRIPTS[name]
    process = start(OPEN + script.code, pool_path, python_options=script.options)
    _, err = process.communicate(timeout=60)
    assert process.returncode == script.returncode, err
    assert "Fatal Python error" not in err
    assert re.fullmatch(script.stderr, err), err
    assert os.path.exists(f"{pool_path}-journal") == script.recovered or script.recovered
    with pmemobj.open(pool_path) as pool:
        assert (pool.recovery is not None) <= script.recovered
        found = tuple(pool.root)
        assert pool.check().ok
        assert pool.check().unreachable == (0, 0)
    if script.found is None:
        assert found[0] == "kept"
        assert set(found) <= {"kept", 1, "thread"}
    else:
        assert found == script.found
