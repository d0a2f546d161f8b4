"""PersistentByteArray where it is not simply as the builtin: aborts, failures, views, reentrancy, blocks, copies."""

import contextlib
import gc
import os
import weakref
from contextlib import nullcontext

import pytest
from list_support import check_freed_with_a_cycle, in_use

import pmemobj
from pmemobj import PersistentByteArray

LARGE = 3 << 20  # its changes are written to another block, past the journal
MUTATORS = {
    "append": lambda b: b.append(7),
    "append many": lambda b: [b.append(i & 255) for i in range(600)],
    "extend": lambda b: b.extend(b"xyz" * 5),
    "extend far": lambda b: b.extend(b"xyz" * 3000),
    "extend very far": lambda b: b.extend(os.urandom(LARGE)),
    "extend numbers": lambda b: b.extend(range(200)),
    "insert first": lambda b: b.insert(0, 1),
    "insert in the middle": lambda b: b.insert(len(b) // 2, 1),
    "overwrite": lambda b: b.__setitem__(3, 200),
    "set slice": lambda b: b.__setitem__(slice(1, 3), b"a longer one"),
    "set slice of its length": lambda b: b.__setitem__(slice(1, None), b"~" * (len(b) - 1)),
    "set slice at the front": lambda b: b.__setitem__(slice(0, 4), b""),
    "set stepped": lambda b: b.__setitem__(slice(None, None, 2), b"-" * ((len(b) + 1) // 2)),
    "delete": lambda b: b.__delitem__(2),
    "delete slice": lambda b: b.__delitem__(slice(1, 4)),
    "delete stepped": lambda b: b.__delitem__(slice(None, None, 3)),
    "delete most": lambda b: b.__delitem__(slice(2, None)),
    "pop": lambda b: b.pop(),
    "pop first": lambda b: b.pop(0),
    "pop all but one": lambda b: [b.pop() for _ in range(len(b) - 1)],
    "remove": lambda b: b.remove(b[3]),
    "reverse": lambda b: b.reverse(),
    "clear": lambda b: b.clear(),
    "+=": lambda b: b.__iadd__(b"12345678"),
    "*=": lambda b: b.__imul__(3),
    "front to back": lambda b: [b.append(b.pop(0)) for _ in range(3)],
    "resize": lambda b: b.resize(len(b) + 5),
    "resize down": lambda b: b.resize(2),
    "write": lambda b: write(b, slice(1, 5), b"view"),
    "write all": lambda b: write(b, None, b"\xff" * len(b)),
}


def write(b, key, values):
    with b.writing(key) as view:
        view[:] = values


def contents(size):
    return bytes((7 * i + i // 251) & 255 for i in range(size))


def filled(pool, size):
    pool.root = bytearray(b"--" + contents(size))
    del pool.root[:2]  # so that it does not begin with its block
    return pool.root


def on_builtin(name, before):
    """What a bytearray makes of it; the few methods that it has not are left to a second, empty one."""
    model = bytearray(before)
    if name == "resize":
        model.extend(bytes(5))
    elif name == "resize down":
        del model[2:]
    elif name == "write":
        model[1:5] = b"view"
    elif name == "write all":
        model[:] = b"\xff" * len(model)
    elif name != "extend very far":
        MUTATORS[name](model)
    return model


@pytest.mark.parametrize("name", MUTATORS)
def test_aborted(pool, reopen, name):
    for size in (5, 9, 600, 70_000):
        b = filled(pool, size)
        before, used = bytes(b), in_use(pool)
        with pool.transaction() as tx:
            MUTATORS[name](b)
            assert b != before
            b._check()
            tx.abort()
        assert b == before
        assert in_use(pool) == used
        MUTATORS[name](b)
        after = bytes(b)
        assert after != before
        if name != "extend very far":
            assert after == on_builtin(name, before)
        report = pool.check()
        assert report.ok and report.unreachable == (0, 0)
    pool = reopen(pool)
    assert pool.root == after


@pytest.mark.parametrize("name", MUTATORS)
def test_aborted_savepoint(pool, name):
    b = filled(pool, 600)
    with pool.transaction():
        b.extend(b"in the outer block" * 40)
        del b[:7]
        del b[-300:]  # what lies behind the end was in use before
        before = bytes(b)
        with pool.transaction() as tx:
            MUTATORS[name](b)
            b.extend(b"in the inner block" * 40)
            b.append(1)
            tx.abort()
        assert b == before
        b.extend(b"and on")
    assert b == before + b"and on"
    assert pool.check().ok


def test_what_was_cut_off_comes_back(pool):
    """What lies behind the end is nobody's, unless it was in use when the savepoint began."""
    b = filled(pool, 4000)
    with pool.transaction():
        with pool.transaction() as tx:
            del b[2000:]
            b.extend(b"!" * 1500)
            tx.abort()
        assert b == contents(4000)
    assert b == contents(4000)


@pytest.mark.parametrize("size", [LARGE, LARGE + 13])
def test_large(pool, reopen, size):
    model = bytearray(os.urandom(size))
    pool.root = model
    b = pool.root
    for change in (
        lambda b: b.__setitem__(slice(5, size // 2 + 20), b"1" * (size // 2 + 15)),
        lambda b: b.__setitem__(slice(100, 200_000), b"2" * 199_900),
        lambda b: b.__delitem__(slice(0, 1000)),
        lambda b: b.extend(b"3" * 100_000),
        lambda b: b.reverse(),
    ):
        change(b)
        change(model)
        assert b == model
    with pool.transaction() as tx:
        b[:] = b"4" * len(b)
        b[10:20] = b"5" * 10
        assert b[:21] == b"4" * 10 + b"5" * 10 + b"4"
        tx.abort()
    assert b == model
    pool = reopen(pool)
    assert pool.root == model
    pool.root.resize(9)
    assert in_use(pool) < 1 << 20
    assert pool.check().ok


# --- failures


def failing():
    yield 1
    raise ZeroDivisionError


class Adding:
    def __radd__(self, other):
        return 1


FAILURES = {
    "append": (ValueError, lambda b: b.append(256)),
    "append text": (TypeError, lambda b: b.append("a")),
    "extend": (ValueError, lambda b: b.extend([1, 2, -1])),
    "extend text": (TypeError, lambda b: b.extend("text")),
    "extend number": (TypeError, lambda b: b.extend(3)),
    "extend iterator": (ZeroDivisionError, lambda b: b.extend(failing())),
    "set": (ValueError, lambda b: b.__setitem__(0, 1000)),
    "set nowhere": (IndexError, lambda b: b.__setitem__(8, 1)),
    "set by text": (TypeError, lambda b: b.__setitem__("a", 1)),
    "set slice": (TypeError, lambda b: b.__setitem__(slice(0, 2), 5)),
    "set slice to text": (TypeError, lambda b: b.__setitem__(slice(0, 2), "ab")),
    "set slice, failing": (ZeroDivisionError, lambda b: b.__setitem__(slice(0, 2), failing())),
    "set stepped": (ValueError, lambda b: b.__setitem__(slice(0, 6, 2), b"12")),
    "set by a step of 0": (ValueError, lambda b: b.__setitem__(slice(0, 6, 0), b"12")),
    "delete nowhere": (IndexError, lambda b: b.__delitem__(-9)),
    "delete by text": (TypeError, lambda b: b.__delitem__("a")),
    "get by text": (TypeError, lambda b: b["a"]),
    "pop": (IndexError, lambda b: b.pop(8)),
    "remove": (ValueError, lambda b: b.remove(250)),
    "resize": (ValueError, lambda b: b.resize(-1)),
    "resize too far": (pmemobj.PoolFullError, lambda b: b.resize(1 << 40)),
    "repeat too often": (MemoryError, lambda b: b.__imul__(1 << 62)),
    "+=": (TypeError, lambda b: b.__iadd__([1])),
    "+= what adds itself": (TypeError, lambda b: b.__iadd__(Adding())),
    "%": (TypeError, lambda b: b % (1, 2)),
    "writing": (TypeError, lambda b: b.writing(3)),
    "writing by steps": (ValueError, lambda b: b.writing(slice(0, 4, 2))),
    "writing more": (ValueError, lambda b: write(b, slice(0, 4), b"12345")),
    "hash": (TypeError, hash),
    "__init__": (TypeError, lambda b: b.__init__(b"")),
}


@pytest.mark.parametrize("inside", [False, True])
def test_failure_changes_nothing(pool, inside):
    b = filled(pool, 8)
    before, used = bytes(b), in_use(pool)
    for name, (error, function) in FAILURES.items():
        with pool.transaction() if inside else nullcontext(), pytest.raises(error):
            function(b)
        assert b == before, name
        assert in_use(pool) == used, name
        b._check()


def test_shrinking_needs_no_room(pool_path):
    """What is left is copied to a smaller block where there is one; else it stays where it is."""
    with pmemobj.open(pool_path, max_size=pmemobj.MIN_POOL_SIZE, sync="manual") as pool:
        pool.root = [bytearray(contents(20_000)), bytearray()]
        b, filler = pool.root
        for step in (100_000, 1000, 10):
            with contextlib.suppress(pmemobj.PoolFullError):
                while True:
                    filler.extend(bytes(step))
        rest = []
        with contextlib.suppress(pmemobj.PoolFullError):
            while True:
                rest.append(pool.new(PersistentByteArray, 3000))
        del b[4000:]
        assert b == contents(20_000)[:4000]
        assert pool.check().ok


# --- buffers


def test_a_view_is_the_memory(pool):
    b = filled(pool, 100)
    with memoryview(b) as view:
        assert view.readonly and view.nbytes == 100 and view.format == "B"
        b[3] = 77
        assert view[3] == 77
        with pytest.raises(TypeError):
            view[0] = 1
        assert pool.root is b
    with open(os.devnull, "rb") as file, pytest.raises(TypeError, match="read-write"):
        file.readinto(b)


RESIZING = {
    name: MUTATORS[name]
    for name in (
        "append",
        "extend",
        "insert first",
        "set slice",
        "delete",
        "delete slice",
        "delete stepped",
        "pop",
        "remove",
        "clear",
        "+=",
        "*=",
        "resize",
    )
}


def test_a_view_keeps_the_size(pool):
    for name, resize in RESIZING.items():
        b = filled(pool, 100)
        before = bytes(b)
        with memoryview(b):
            with pytest.raises(BufferError):
                resize(b)
            assert b == before, name
            b[1:3] = b"ab"
            b.reverse()
            b.extend(b"")
            b[5:5] = b""
            b *= 1
        b.reverse()
        resize(b)
        assert len(b) != len(before), name


def test_a_view_keeps_the_pool_open(pool):
    b = filled(pool, 100)
    view, second = memoryview(b), memoryview(b)
    for function in (pool.close, lambda: pool.resize(1 << 29)):
        with pytest.raises(BufferError, match="2 memoryviews"):
            function()
    part = view[10:20]
    view.release()
    second.release()
    with pytest.raises(BufferError, match="1 memoryviews"):
        pool.close()
    assert not pool.closed
    b.append  # noqa: B018
    pool.root = {"and": "on"}
    assert part == contents(100)[10:20]
    del part
    pool.close()


def test_with_does_not_close_under_a_view(pool_path):
    with pytest.raises(BufferError), pmemobj.open(pool_path, max_size=1 << 26) as pool:
        pool.root = bytearray(b"abc")
        view = memoryview(pool.root)
    assert view == b"abc"
    view.release()
    pool.close()


def test_a_view_keeps_what_is_removed(pool):
    pool.root = [bytearray(contents(5000))]
    used = in_use(pool)
    view = memoryview(pool.root[0])
    pool.root.clear()
    pool.root.extend([bytearray(b"\xff" * 5000) for _ in range(10)])
    assert view == contents(5000)
    del pool.root[:]
    assert view == contents(5000)
    with pytest.raises(BufferError):
        view.obj.clear()
    view.release()
    assert in_use(pool) < used
    assert pool._limbo() == 0


def test_a_view_shows_what_is_undone(pool):
    b = filled(pool, 1000)
    before = bytes(b)
    with memoryview(b) as view:
        with pool.transaction() as tx:
            b[10:900] = b"!" * 890
            assert view[10:900] == b"!" * 890
            tx.abort()
        assert view == before
        with pool.transaction():
            b[0] = 1
            with contextlib.suppress(ZeroDivisionError), pool.transaction():
                b[:] = bytes(1000)
                raise ZeroDivisionError
            assert view[:2] == bytes([1, before[1]])


def test_a_view_of_what_is_undone_does_no_harm(pool):
    """It is of memory that belongs to nobody then, but it is memory, and of no other pool's."""
    with pool.transaction() as tx:
        b = pool.new(PersistentByteArray, contents(5000))
        view = memoryview(b)
        tx.abort()
    assert len(bytes(view)) == 5000
    with pytest.raises(pmemobj.StaleObjectError):
        memoryview(b)
    with pytest.raises(BufferError):
        pool.close()
    view.release()
    pool.root = bytearray(contents(5000))
    assert pool.check().ok


def test_views_survive_dropped_pages(pool_path):
    """Pages that the file has are given up and read again; a view does not notice."""
    with pmemobj.open(pool_path, max_size=1 << 28, memory=4 << 20) as pool:
        pool.root = [bytearray(contents(100_000)), None]
        view = memoryview(pool.root[0])
        for i in range(20):
            pool.root[1] = os.urandom(1 << 20)
            assert view == contents(100_000), i
        del view


def test_in_a_child(pool):
    """What a view showed when the child was made; the parent does not wait for the child to let go of it."""
    b = filled(pool, 100_000)
    small = pool.root = [b, bytearray(b"small")][1]
    pool.root = [b, bytearray(b"small")]
    small = pool.root[1]
    view, second = memoryview(b), memoryview(small)
    read, written = os.pipe()
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(written)
        os.write(begun, b".")
        os.read(read, 1)
        try:
            assert view == contents(100_000) and second == b"small"
            with pytest.raises(pmemobj.ForkedPoolError):
                b[0]
            with pytest.raises(pmemobj.ForkedPoolError):
                memoryview(small)
            view.release()
            assert second == b"small"
            second.release()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(read)
    os.read(ready, 1)  # under the direct engine the child has to look at the file for it
    b[:] = bytes(100_000)
    view.release()
    second.release()
    pool.close()
    with pmemobj.open(pool.path) as again:
        again.root[0].append(1)
    os.write(written, b".")
    for descriptor in (written, ready, begun):
        os.close(descriptor)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


EXIT = """
import sys
import pmemobj
pool = pmemobj.open(sys.argv[1], sync="manual")
pool.root = bytearray(b"abc" * 1000)
view = memoryview(pool.root)
class Late:
    def __del__(self, view=view, write=sys.stdout.write, flush=sys.stdout.flush):
        write(f"{bytes(view[:6])}")
        flush()
import builtins
builtins.late = Late()
"""


def test_at_exit(pool_path):
    """The pool is closed cleanly; what views show is a copy from then on."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", EXIT, pool_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'abcabc'", "")
    assert not os.path.exists(f"{pool_path}-journal")
    with pmemobj.open(pool_path) as pool:
        assert pool.recovery is None
        assert pool.root == b"abc" * 1000


def test_a_forgotten_handle(pool_path):
    """A cycle of a pool and views of it is collected."""
    pool = pmemobj.open(pool_path, max_size=1 << 26)
    pool.root = bytearray(contents(3000))
    pool.view = memoryview(pool.root)
    gone = weakref.ref(pool)
    with pytest.warns(ResourceWarning):
        del pool
        gc.collect()
    assert gone() is None
    with pmemobj.open(pool_path) as pool:
        assert pool.root == contents(3000)


# --- writing()


def test_writing(pool):
    b = filled(pool, 20)
    before = bytes(b)
    with b.writing(slice(2, -2)) as view:
        assert view == before[2:-2] and not view.readonly
        view[0:4] = b"abcd"
        assert b == before
        assert pool.in_transaction
        with pytest.raises(BufferError):
            b.append(1)
        other = view[1:3]
    assert b == before[:2] + b"abcd" + before[6:]
    with pytest.raises(ValueError, match="released"):
        view[0]
    other[0] = 0  # of memory of this process
    assert b == before[:2] + b"abcd" + before[6:]
    b.append(1)


def test_writing_is_undone(pool):
    b = filled(pool, 2000)
    before = bytes(b)
    with pytest.raises(ZeroDivisionError), b.writing() as view:
        view[:] = bytes(2000)
        pool.root = None
        raise ZeroDivisionError
    assert b == before and pool.root is b
    with pool.transaction() as tx:
        write(b, slice(10, 1500), bytes(1490))
        assert b[10:1500] == bytes(1490)
        tx.abort()
    assert b == before
    with pool.transaction():
        write(b, slice(0, 2), b"12")
        with pool.transaction() as tx:
            write(b, slice(1, 3), b"34")
            tx.abort()
    assert b == b"12" + before[2:]


def test_writing_twice(pool):
    b = filled(pool, 20)
    with b.writing(slice(0, 5)) as one, b.writing(slice(5, 10)) as other:
        one[:] = b"11111"
        other[:] = b"22222"
    assert b[:10] == b"1111122222"
    writing = b.writing()
    with writing, pytest.raises(RuntimeError, match="entered already"):
        writing.__enter__()
    with pytest.raises(RuntimeError):
        writing.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="not been entered"):
        b.writing().__exit__(None, None, None)
    with pytest.raises(TypeError):
        type(writing)()
    b.append(1)
    assert not pool.in_transaction


def test_writing_of_a_transaction_that_has_been_ended(pool):
    b = filled(pool, 20)
    before = bytes(b)
    with pytest.raises(pmemobj.TransactionError), b.writing() as view:
        view[0] = 255
        pool.begin()
    assert b == before and not pool.in_transaction
    b.append(1)


def test_writing_in_a_snapshot(pool, pool_path):
    filled(pool, 20)
    pool.checkpoint()
    if pool.engine == "direct":
        pool.close()
    with pmemobj.open(pool_path, "r") as reader, pytest.raises(pmemobj.ReadOnlyPoolError):
        write(reader.root, None, bytes(20))


# --- readers


@pytest.mark.journal_engine("a reader beside a writer")
def test_a_view_keeps_a_snapshot(pool, pool_path):
    b = filled(pool, 5000)
    before = bytes(b)
    with pmemobj.open(pool_path, "r") as reader:
        view = memoryview(reader.root)
        b[:] = bytes(5000)
        b.extend(b"more")
        with pytest.raises(BufferError, match="refresh"):
            reader.refresh()
        assert view == before
        with pytest.raises(pmemobj.ReadOnlyPoolError):
            reader.root[0] = 1
        view.release()
        assert reader.refresh()
        assert reader.root == bytes(5000) + b"more"


# --- user code in the middle


class Evil:
    """As a number, or as an iterator, it does something first."""

    def __init__(self, action, value=1):
        self.action, self.value = action, value

    def __index__(self):
        self.action()
        return self.value

    def __iter__(self):
        self.action()
        return iter([self.value])


USES = [
    lambda b, evil: b.append(evil),
    lambda b, evil: b.insert(0, evil),
    lambda b, evil: b.insert(evil, 1),
    lambda b, evil: b.pop(evil),
    lambda b, evil: b.remove(evil),
    lambda b, evil: b.__setitem__(evil, 1),
    lambda b, evil: b.__setitem__(0, evil),
    lambda b, evil: b.__setitem__(slice(evil, 50), b"abc"),
    lambda b, evil: b.__setitem__(slice(1, 50), evil),
    lambda b, evil: b.__setitem__(slice(0, 60, evil), evil),
    lambda b, evil: b.__delitem__(evil),
    lambda b, evil: b.__delitem__(slice(evil, None)),
    lambda b, evil: b.__delitem__(slice(None, None, evil)),
    lambda b, evil: b.__getitem__(evil),
    lambda b, evil: b.__getitem__(slice(evil, 60)),
    lambda b, evil: b.__getitem__(slice(0, evil, 2)),
    lambda b, evil: b.extend(evil),
    lambda b, evil: b.resize(evil),
    lambda b, evil: b.__imul__(evil),
    lambda b, evil: b * evil,
    lambda b, evil: b.find(evil),
    lambda b, evil: b.find(b"\0", evil),
    lambda b, evil: evil in b,
    lambda b, evil: b.join(evil),
    lambda b, evil: b.split(None, evil),
    lambda b, evil: write(b, slice(evil, None), bytes(59)),
    lambda b, evil: b % evil,
]


@pytest.mark.parametrize("what", ["clear", "grow", "close", "delete", "raise", "abort"])
def test_user_code(pool, pool_path, what):
    def grow():
        b.extend(contents(100_000))

    def delete():
        pool.root = None

    def fail():
        raise ZeroDivisionError

    allowed = (ValueError, IndexError, TypeError, BufferError, ZeroDivisionError, pmemobj.PmemobjError)
    for use in USES:
        b = filled(pool, 60)
        tx = pool.transaction()
        actions = {"clear": b.clear, "grow": grow, "close": pool.close, "delete": delete, "raise": fail}
        with contextlib.suppress(*allowed):
            if what == "abort":
                with tx:
                    b.extend(b"more" * 2000)
                    use(b, Evil(tx.abort))
            else:
                use(b, Evil(actions[what]))
        if pool.closed:
            pool = pmemobj.open(pool_path, sync="manual")
            continue
        assert not pool.in_transaction
        b._check()
        assert bytes(b) == bytes(iter(b))
    assert pool.check().ok
    pool.close()


# --- of a bytearray


def test_stored_bytearrays_become_these(pool, reopen):
    mine = bytearray(b"mine")
    pool.root = {"a": mine, "again": mine, "in": [bytearray(), (1, [bytearray(b"x" * 5000)])]}
    stored = pool.root["a"]
    assert type(stored) is PersistentByteArray and stored is pool.root["again"]
    mine.append(1)
    assert stored == b"mine"
    assert pool.to_python(pool.root) == {
        "a": b"mine",
        "again": b"mine",
        "in": [b"", (1, [b"x" * 5000])],
    }
    plain = pool.to_python(pool.root)
    assert type(plain["a"]) is bytearray and plain["a"] is plain["again"]
    pool = reopen(pool)
    assert pool.root["in"][1][1][0] == bytearray(b"x" * 5000)


def test_subclasses_are_refused(pool):
    class Mine(bytearray):
        pass

    with pytest.raises(TypeError, match="subclass of bytearray"):
        pool.root = [Mine(b"a")]


def test_new(pool):
    assert pool.new(PersistentByteArray) == b""
    assert pool.new(PersistentByteArray, 3) == b"\0\0\0"
    assert pool.new(PersistentByteArray, "é", "latin-1") == b"\xe9"
    assert pool.new(PersistentByteArray, source=[1, 2]) == b"\x01\x02"
    assert repr(pool.new(PersistentByteArray, b"a'b")) == 'PersistentByteArray(b"a\'b")'
    with pytest.raises(TypeError):
        pool.new(PersistentByteArray, "text")
    with pytest.raises(TypeError, match=r"pool\.new"):
        PersistentByteArray(b"abc")
    with pytest.raises(TypeError):
        len(PersistentByteArray.__new__(PersistentByteArray))


def test_with_builtins(pool):
    b = filled(pool, 10)
    plain = bytes(b)
    assert b"1" + b == b"1" + plain and type(b"1" + b) is bytes
    assert type(bytearray(b"1") + b) is bytearray
    assert b + b == plain * 2 and type(b + b) is bytearray
    assert bytes(b) == plain and bytearray(b) == plain and list(b) == list(plain)
    assert list(reversed(b)) == list(reversed(plain))
    assert b"".join([b, b]) == plain * 2
    assert b == b and b != plain + b"1" and b < plain + b"1" and plain == b
    assert int(pool.new(PersistentByteArray, b"42")) == 42
    other = pool.new(PersistentByteArray, b"ab")
    b[2:4] = other
    b[2:2] = b
    b += b
    b.extend(b)
    model = bytearray(plain)
    model[2:4] = b"ab"
    model[2:2] = model
    assert b == model * 4
    assert b.find(other) == 2 + model.index(b"ab") - 2
    assert b.center(100, pool.new(PersistentByteArray, b"*")) == (model * 4).center(100, b"*")


def test_as_a_sequence_of_c(pool):
    """Functions in C ask for positions of which a negative one has had the length added."""
    import ctypes

    b = filled(pool, 3)
    number = ctypes.c_ssize_t
    get, put = ctypes.pythonapi.PySequence_GetItem, ctypes.pythonapi.PySequence_SetItem
    get.argtypes, get.restype = (ctypes.py_object, number), ctypes.py_object
    put.argtypes, put.restype = (ctypes.py_object, number, ctypes.py_object), ctypes.c_int
    assert [get(b, i) for i in (0, 2, -3)] == [b[0], b[2], b[0]]
    put(b, -1, 9)
    assert b[2] == 9
    for i in (3, -4):
        with pytest.raises(IndexError):
            get(b, i)
        with pytest.raises(IndexError):
            put(b, i, 1)


def test_weak_references_and_iterators(pool):
    b = filled(pool, 3)
    gone = weakref.ref(b)
    iterator = iter(b)
    assert iterator.__length_hint__() == 3
    assert next(iterator) == 0
    b.clear()
    assert iterator.__length_hint__() == 0
    assert list(iterator) == []
    b.append(1)
    assert list(iterator) == []
    del b, iterator
    gc.collect()
    assert gone() is None
    pool.root = None
    assert pool._limbo() == 0


def test_in_a_cycle_with_garbage(pool):
    check_freed_with_a_cycle(pool, bytearray(contents(3000)), 3000)
    assert pool.check().ok


def test_copies_of_the_pool(pool, tmp_path):
    b = filled(pool, 70_000)
    pool.root = [b, bytearray(), bytearray(b"x")]
    pool.compact(tmp_path / "compact")
    pool.backup(tmp_path / "backup")
    assert pmemobj.repair(tmp_path / "backup", tmp_path / "repaired").ok
    for name in ("compact", "backup", "repaired"):
        with pmemobj.open(tmp_path / name, "r") as copied:
            assert copied.to_python(copied.root) == [contents(70_000), b"", b"x"]
            assert copied.check().ok
