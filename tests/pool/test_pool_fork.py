"""After fork(): the child's handles raise and do nothing; the parent goes on as if nothing had happened."""

import pytest
from pool_files import run

import pmemobj

FORK = """
import warnings
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
