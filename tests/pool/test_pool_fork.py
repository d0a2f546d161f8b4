"""After fork(): the child's handles raise and do nothing; the parent goes on as if nothing had happened."""

import os
import subprocess
import sys
from pathlib import Path

import every_use
import pytest
from pool_files import run, start

import pmemobj

FORK = f"""
import warnings
sys.path.insert(0, {str(Path(every_use.__file__).parent)!r})
from every_use import World
"""
FORK += """
warnings.simplefilter("ignore", DeprecationWarning)         # fork() while the journal's threads run is meant here
pool = pmemobj.open(path)
pool.root = [[1, 2], {"a": 1}]
root = pool.root

def in_child(use):
    '''Runs use() in a forked child, which then exits as Python programs do.'''
    child = os.fork()
    if child == 0:
        use()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0

def refused(use):
    try:
        use()
    except pmemobj.ForkedPoolError as error:
        assert "this handle came through fork()" in str(error), error
    else:
        raise AssertionError("nothing was raised")
"""


def after(path):
    with pmemobj.open(path) as pool:
        assert pool.recovery is None
        assert pool.check().ok
        return pool.to_python(pool.root)


@pytest.mark.parametrize(
    "use",
    [
        "pool.root",
        "setattr(pool, 'root', 1)",
        "pool.transaction()",
        "pool.begin()",
        "pool.sync()",
        "pool.checkpoint()",
        "pool.stats()",
        "pool.check()",
        "pool.gc()",
        "pool.new(pmemobj.PersistentList)",
        "root[0]",
        "root.append(1)",
        "len(root)",
        "list(root)",
        "repr(root)",
        "root == root",
        "inner.get('a')",
        "iterator.__next__()",
        "transaction.__enter__()",
    ],
)
def test_every_use_in_the_child_is_refused(pool_path, use):
    run(
        FORK
        + f"""
inner, iterator, transaction = root[1], iter(root), pool.transaction()
next(iterator)
in_child(lambda: refused(lambda: {use}))
root.append("parent")
pool.close()
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, "parent"]


def test_the_child_says_closed_and_closes_nothing(pool_path):
    run(
        FORK
        + """
def child():
    assert pool.closed
    pool.close()
    pool.close()
    with pool:
        pass
    del globals()["root"]
    gc.collect()
in_child(child)
root.append(3)
pool.close()
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, 3]


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "die()"])
def test_the_end_of_the_child_does_no_harm(pool_path, end):
    run(
        FORK
        + f"""
held = pool.new(pmemobj.PersistentList, [1])
child = os.fork()
if child == 0:
    {end}
os.waitpid(child, 0)
root.append(held)
with pool.transaction():
    root.append(4)
pool.close()
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, [1], 4]


def test_the_parent_closes_and_opens_again_while_a_child_lives(pool_path):
    run(
        FORK
        + """
child = os.fork()
if child == 0:
    signal.alarm(30)
    signal.pause()
pool.close()
pool = pmemobj.open(path, timeout=20)                       # in case the child has not even begun
pool.root.append("again")
pool.close()
assert os.path.exists(f"/proc/{child}")
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, "again"]


def test_the_child_opens_the_pool_after_the_parent_closed_it(pool_path):
    run(
        FORK
        + """
reading, writing = os.pipe()
seen, tell = os.pipe()
child = os.fork()
if child == 0:
    try:
        pmemobj.open(path)
    except pmemobj.PoolBusyError as error:
        assert f"process {os.getppid()}" in str(error), error
    else:
        raise AssertionError("opened twice")
    os.write(tell, b"!")
    os.close(writing)
    os.read(reading, 1)
    with pmemobj.open(path, timeout=20) as mine:
        mine.root.append("child")
    refused(lambda: pool.root)
    sys.exit(0)
root.append("parent")
os.read(seen, 1)
pool.close()
os.close(writing)
assert os.waitpid(child, 0)[1] == 0
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, "parent", "child"]


def test_fork_inside_a_transaction(pool_path):
    run(
        FORK
        + """
with pool.transaction():
    root.append(3)
    child = os.fork()
    if child == 0:
        refused(lambda: root.append(4))
        sys.exit(0)         # leaves the block with SystemExit
    os.waitpid(child, 0)
    root.append(5)
child = os.fork()
if child == 0:
    try:
        with pool.transaction():
            pass
    except pmemobj.ForkedPoolError:
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
pool.close()
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, 3, 5]


def test_end_of_a_block_in_the_child_is_refused(pool_path):
    run(
        FORK
        + """
child = None
try:
    with pool.transaction():
        root.append(3)
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
except pmemobj.ForkedPoolError:
    os._exit(0 if child == 0 else 1)
assert child
pool.close()
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, 3]


def test_fork_while_another_thread_is_inside_a_transaction(pool_path):
    run(
        FORK
        + """
inside, go_on = threading.Event(), threading.Event()
def work():
    with pool.transaction():
        root.append("thread")
        inside.set()
        go_on.wait()
thread = threading.Thread(target=work)
thread.start()
inside.wait()
in_child(lambda: refused(lambda: pool.root))
go_on.set()
thread.join()
pool.close()
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, "thread"]


def test_multiprocessing_with_fork(pool_path):
    run(
        FORK
        + """
import multiprocessing
context = multiprocessing.get_context("fork")
with context.Pool(2) as workers:
    assert workers.map(abs, [-1, -2]) == [1, 2]
    root.append("used")
pool.close()
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, "used"]


def test_child_of_a_closed_pool_is_free(pool_path):
    run(
        FORK
        + """
pool.close()
def child():
    try:
        pool.root
    except pmemobj.PoolClosedError:
        pass
    with pmemobj.open(path) as mine:
        mine.root.append("child")
in_child(child)
""",
        pool_path,
    )
    assert after(pool_path) == [[1, 2], {"a": 1}, "child"]


# --- every use, whatever was held


EVERY = """
world = World(pool)
before = pool.to_python(pool.root)
def child():
    assert world.refused(pmemobj.ForkedPoolError) > 150
    world.__dict__.clear()
    gc.collect()
"""


def unchanged(path):
    with pmemobj.open(path) as pool:
        assert pool.recovery is None
        assert pool.check().ok
        return pool.to_python(pool.root)


def test_everything_is_refused(pool_path):
    run(
        FORK
        + EVERY
        + "in_child(child)\nassert repr(pool.to_python(pool.root)) == repr(before)\npool.close()",
        pool_path,
    )
    assert unchanged(pool_path)["list"] == [1, 2, [3]]


def test_everything_is_refused_inside_a_transaction_of_the_parent(pool_path):
    """Its thread goes on in the child, where the transaction is neither open nor can be ended."""
    run(
        FORK
        + EVERY
        + """
def child_in_block():
    for use in (lambda: tx.on_commit(print), lambda: tx.on_abort(print), tx.abort, explicit.commit, explicit.abort,
                explicit.begin, lambda: explicit.__exit__(None, None, None), lambda: tx.__exit__(None, None, None)):
        refused(use)
    child()
explicit = pool.transaction()
with pool.transaction() as tx:
    world.list.append("outer")
    explicit.begin()
    world.list.append("inner")
    in_child(child_in_block)
    in_child(child)
    world.list.append("after")
    explicit.commit()
pool.close()
""",
        pool_path,
    )
    assert unchanged(pool_path)["list"] == [1, 2, [3], "outer", "inner", "after"]


@pytest.mark.parametrize(
    "opened_with", ["sync='commit'", "sync='interval', sync_interval=0.001", "sync='manual'"]
)
def test_fork_while_threads_work(pool_path, opened_with):
    """Some hold locks of the journal at that moment: inside sync(), in the middle of a commit that waits."""
    run(
        FORK.replace("pmemobj.open(path)", f"pmemobj.open(path, max_size=256 << 20, {opened_with})")
        + """
import faulthandler
sys.setswitchinterval(1e-6)
stop = threading.Event()
def work(number):
    mine = pool.new(pmemobj.PersistentList, [])
    with pool.transaction():
        root.append(mine)
    while not stop.is_set():
        with pool.transaction():
            mine.append(len(mine))
        mine.append(len(mine))
        if number == 0:
            pool.sync()
        elif number == 1:
            pool.checkpoint()
        elif number == 2:
            pool.stats()
threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
for thread in threads:
    thread.start()
def child():
    faulthandler.dump_traceback_later(20, exit=True)        # a deadlock would be seen
    refused(lambda: pool.root)
    refused(pool.sync)
    refused(pool.begin)
    pool.close()
for i in range(20):
    pid = os.fork()
    if pid == 0:
        child()
        if i % 3 == 0:
            os._exit(0)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
for mine in root[2:]:
    assert list(mine) == list(range(len(mine)))
assert pool.check().ok
pool.close()
""",
        pool_path,
    )
    unchanged(pool_path)


def test_fork_while_another_thread_opens_and_closes(pool_path):
    """An idle child must not keep the lock of a handle that was about to be opened or closed."""
    run(
        FORK
        + """
pool.close()
sys.setswitchinterval(1e-6)
stop, wrong = threading.Event(), []
def work():
    try:
        while not stop.is_set():
            with pmemobj.open(path, sync="manual", timeout=20) as mine:    # a child begins holding the lock
                mine.root.append(1)
                mine.sync()
    except BaseException as error:
        wrong.append(error)
thread = threading.Thread(target=work)
thread.start()
children = []
for _ in range(40):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        signal.pause()
    children.append(child)
    time.sleep(0.003)
stop.set()
thread.join()
assert not wrong, wrong
pmemobj.open(path, timeout=20).close()      # the last child may not have begun yet
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
""",
        pool_path,
    )
    unchanged(pool_path)


def test_fork_while_another_thread_recovers(pool_path, tmp_path):
    """The journal is being written to the pool file, without the GIL, by a thread that the child has not."""
    run(
        FORK
        + """
for i in range(40):
    pool.root.append("x" * 200000)
die()
""",
        pool_path,
        returncode=-9,
    )
    run(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
opened = []
thread = threading.Thread(target=lambda: opened.append(pmemobj.open(path)))
thread.start()
children = []
while thread.is_alive():
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        signal.pause()
    children.append(child)
    thread.join(0.001)
opened[0].close()
pmemobj.open(path, timeout=20).close()              # no child keeps the lock
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
""",
        pool_path,
    )
    unchanged(pool_path)


def test_hooks_of_others_run_in_the_child_before_ours(pool_path):
    """Even they cannot use the pool, whichever module was imported first."""
    program = """
import os, sys
seen = []
def hook():
    try:
        pool.root.append("child")
    except BaseException as error:
        seen.append(type(error).__name__)
os.register_at_fork(after_in_child=hook)
import pmemobj
os.register_at_fork(after_in_child=hook)
pool = pmemobj.open(sys.argv[1])
pool.root = ["parent"]
child = os.fork()
if child == 0:
    os._exit(0 if seen == ["ForkedPoolError"] * 2 else 1)
assert os.waitpid(child, 0)[1] == 0
assert pool.root == ["parent"]
pool.close()
"""
    package = str(Path(pmemobj.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", program, pool_path], check=True, env=os.environ | {"PYTHONPATH": package}
    )
    assert unchanged(pool_path) == ["parent"]


def test_fork_inside_callbacks(pool_path):
    """In the middle of an operation: its rest is refused in the child and goes on in the parent."""
    run(
        FORK
        + """
here = os.getpid()
def fork(value=0):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
    return value

class Key:
    def __hash__(self):
        return hash(1)
    def __eq__(self, other):
        fork()
        return other == 1

class Thing(pmemobj.PersistentObject):
    def __init__(self):
        self.a = 1
        fork()
        self.b = 2

def items():
    yield 1
    fork()
    yield 2

mapping = pool.new(pmemobj.PersistentDict, {1: "one"})
numbers = pool.new(pmemobj.PersistentList, [2, 1, 3])
pool.root = [mapping, numbers]
for use in (
    lambda: mapping.get(Key()),
    lambda: mapping.update((i, i) for i in items()),
    lambda: numbers.extend(items()),
    lambda: numbers.sort(key=fork),
    lambda: numbers.index(Key()),
    lambda: pool.root.append(pool.new(Thing)),
    lambda: pool.transaction()(fork)(),
):
    try:
        use()
    except pmemobj.ForkedPoolError:
        os._exit(0 if os.getpid() != here else 1)
    if os.getpid() != here:             # nothing was left to be done
        refused(lambda: pool.root)
        os._exit(0)
assert pool.root[:2] == [{1: 1, 2: 2}, [1, 1, 2, 2, 3]]
assert vars(pool.root[2]) == {"a": 1, "b": 2}
pool.root.pop()
pool.close()
""",
        pool_path,
    )
    assert unchanged(pool_path)[1] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "sys.exit(0)",
        "os._exit(0)",
        "raise ValueError('meant')",
        "import atexit; atexit.register(lambda: refused(lambda: pool.root)); sys.exit(0)",
        "import threading; threading.Thread(target=lambda: refused(root.pop)).start(); sys.exit(0)",
        "import os; globals().clear(); import gc, os; gc.collect()",
        "die()",
        "pool.__del__(); del pool, root; import gc; gc.collect()",
        "pool.__init__(path) if False else None; pool.close()",
    ],
)
def test_each_end_of_a_child_inside_a_transaction(pool_path, end):
    """The parent's transaction, its journal and its files are what they were."""
    code = (
        FORK
        + f"""
held = pool.new(pmemobj.PersistentList, [1])
with pool.transaction():
    root.append("parent")
    child = os.fork()
    if child == 0:
        {end}
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    root.append(held)
assert os.path.exists(path + "-journal")
pool.sync()
pool.close()
print(status)
"""
    )
    process = start(code, pool_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    if "ValueError" in end:
        assert (out, err.splitlines()[-1]) == ("256\n", "ValueError: meant")
    else:
        assert (out, err) == ("9\n" if end == "die()" else "0\n", "")
    assert unchanged(pool_path) == [[1, 2], {"a": 1}, "parent", [1]]


def test_a_child_of_a_child(pool_path):
    run(
        FORK
        + """
def child():
    refused(lambda: pool.root)
    in_child(lambda: refused(lambda: pool.root))
in_child(child)
pool.close()
in_child(lambda: pmemobj.open(path).close())
""",
        pool_path,
    )
    unchanged(pool_path)


# --- other ways to start a process


def test_multiprocessing_with_spawn(pool_path):
    """Containers are sent as plain ones; what cannot be sent says why, in the process that tries to send it."""
    process = start(
        """
import multiprocessing
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with pmemobj.open(path) as pool:
        pool.root = [[1], {"a": 1}, {1}]
        pool.root.append(pool.new(pmemobj.PersistentTuple, (1,)))
        pool.root.append(pool.new(pmemobj.PersistentObject))
        root = pool.root
        for each in (root[0], root[1], root[2], root[3], iter(root[0])):
            process = context.Process(target=print, args=(each,))
            process.start()
            process.join()
        made = [pool, root[4], root, iter(root), root[1].keys(), root[1].values(), root[1].items(), pool.transaction()]
        for each in made:
            try:
                context.Process(target=print, args=(each,)).start()
            except TypeError as error:
                print(error)
            else:
                print("sent", type(each))
""",
        pool_path,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    lines = out.splitlines()
    assert lines[:4] == ["[1]", "{'a': 1}", "{1}", "(1,)"] and lines[4].startswith("<list_iterator object")
    lines = lines[5:]
    assert lines[0] == "a pool handle cannot be pickled; pass the path and open the pool where it is needed"
    for line in lines[1:4]:  # the object itself, and what it is in
        assert line.startswith(
            "a PersistentObject lives in its pool and cannot be pickled or copied; pool.to_python"
        )
    assert len(lines) == 8
    for line in lines[4:]:
        assert "pickle" in line, line
        assert "sent" not in line


def test_programs_started_by_subprocess(pool_path):
    """Neither is a descriptor passed on, nor does anything of the pool's run in between."""
    run(
        FORK
        + """
import subprocess
with pool.transaction():
    root.append("subprocess")
    for options in {}, {"close_fds": False}, {"close_fds": False, "preexec_fn": os.getpid}:
        done = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True, **options)
        assert path not in done.stdout, done.stdout
pool.close()
""",
        pool_path,
    )
    assert unchanged(pool_path) == [[1, 2], {"a": 1}, "subprocess"]


def test_a_pool_of_workers_that_open_it_in_turn(pool_path):
    """The way that works: pass the path, open it where it is needed."""
    run(
        """
import multiprocessing
def work(number):
    with pmemobj.open(path, timeout=60) as pool:
        pool.root.append(number)
if __name__ == "__main__":
    with pmemobj.open(path, max_size=64 << 20) as pool:
        pool.root = []
    with multiprocessing.get_context("fork").Pool(3) as workers:
        workers.map(work, range(12), chunksize=1)
""",
        pool_path,
    )
    assert sorted(unchanged(pool_path)) == list(range(12))
