"""PersistentDeque where it is not simply as the builtin: aborts, failures, reentrancy, blocks, plain copies."""

import gc
import weakref
from collections import deque
from collections.abc import MutableSequence
from contextlib import nullcontext

import pytest
from list_support import KINDS, in_use, plain

import pmemobj
from pmemobj import PersistentDeque

TEXT = "a long string, in a block"
MUTATORS = {
    "append": lambda d: d.append(TEXT),
    "append many": lambda d: [d.append(i) for i in range(700)],
    "append list": lambda d: d.append([1, [2]]),
    "appendleft": lambda d: d.appendleft(TEXT),
    "appendleft many": lambda d: [d.appendleft(str(i) * 9) for i in range(700)],
    "extend": lambda d: d.extend([TEXT] * 300),
    "extendleft": lambda d: d.extendleft(KINDS * 100),
    "pop": lambda d: d.pop(),
    "popleft": lambda d: d.popleft(),
    "pop all": lambda d: [d.pop() for _ in range(len(d))],
    "pop all left": lambda d: [d.popleft() for _ in range(len(d))],
    "a queue": lambda d: [d.append(d.popleft()) or d.append(i) for i in range(600)],
    "insert": lambda d: d.insert(3, TEXT),
    "insert near the end": lambda d: d.insert(-3, TEXT),
    "overwrite": lambda d: d.__setitem__(1, "another text, longer than seven"),
    "overwrite with list": lambda d: d.__setitem__(-1, [TEXT]),
    "delete": lambda d: d.__delitem__(2),
    "delete in the middle": lambda d: d.__delitem__(len(d) // 2),
    "remove": lambda d: d.remove(d[3]),
    "rotate": lambda d: d.rotate(3),
    "rotate back": lambda d: d.rotate(-3),
    "rotate far": lambda d: d.rotate(len(d) // 2 - 1),
    "reverse": lambda d: d.reverse(),
    "clear": lambda d: d.clear(),
    "clear and fill": lambda d: (d.clear(), d.extend(range(20)), d.appendleft(TEXT)),
    "+=": lambda d: d.__iadd__(KINDS),
    "*=": lambda d: d.__imul__(3),
}


def filled(pool, size, maxlen=None):
    """Its blocks are partly used at both ends."""
    pool.root = deque(maxlen=maxlen)
    pool.root.extend((i, TEXT + str(i), [i])[i % 3] for i in range(size))
    pool.root.appendleft(-1)
    return pool.root


@pytest.mark.parametrize("size", [5, 11, 600])
@pytest.mark.parametrize("name", MUTATORS)
def test_aborted(pool, reopen, name, size):
    d = filled(pool, size)
    before, used = plain(d), in_use(pool)
    with pool.transaction() as tx:
        MUTATORS[name](d)
        d._check()
        tx.abort()
    assert plain(d) == before
    d._check()
    assert in_use(pool) == used
    model = deque(before)
    MUTATORS[name](d)
    MUTATORS[name](model)
    assert plain(d) == plain(list(model)) != before
    pool = reopen(pool)
    assert plain(pool.root) == list(model)
    pool.root._check()
    assert pool.check().ok


@pytest.mark.parametrize("name", MUTATORS)
def test_aborted_savepoint(pool, name):
    d = filled(pool, 100)
    with pool.transaction():
        d.append("in the outer block")
        d.popleft()
        before = plain(d)
        with pool.transaction() as tx:
            MUTATORS[name](d)
            d.extendleft(range(300))
            tx.abort()
        assert plain(d) == before
        d._check()
    assert plain(d) == before
    assert pool.check().ok


class Broken:
    """A type that no pool can store."""


def failing():
    yield TEXT
    raise ZeroDivisionError


FAILURES = {
    "append": (TypeError, lambda d: d.append(Broken())),
    "appendleft": (TypeError, lambda d: d.appendleft([TEXT, Broken()])),
    "extend": (TypeError, lambda d: d.extend([TEXT, Broken()])),
    "extend iterator": (ZeroDivisionError, lambda d: d.extend(failing())),
    "extendleft iterator": (ZeroDivisionError, lambda d: d.extendleft(failing())),
    "insert": (TypeError, lambda d: d.insert(1, Broken())),
    "insert too many": (IndexError, lambda d: d.insert(1, 1)),
    "set": (TypeError, lambda d: d.__setitem__(1, Broken())),
    "set nowhere": (IndexError, lambda d: d.__setitem__(100, 1)),
    "slice": (TypeError, lambda d: d[0:1]),
    "set slice": (TypeError, lambda d: d.__setitem__(slice(0, 1), [1])),
    "delete nowhere": (IndexError, lambda d: d.__delitem__(100)),
    "remove": (ValueError, lambda d: d.remove("not there")),
    "repeat": (TypeError, lambda d: d.__imul__(2.5) is NotImplemented and d * 2.5),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", FAILURES)
def test_failure_changes_nothing(pool, name, inside):
    error, function = FAILURES[name]
    d = filled(pool, 8, maxlen=9)
    before, used = plain(d), in_use(pool)
    with pool.transaction() if inside else nullcontext(), pytest.raises(error):
        function(d)
    assert plain(d) == before
    assert in_use(pool) == used
    d._check()


def test_a_number_of_items_that_never_fits(pool):
    d = pool.new(PersistentDeque, [1, 2, 3])
    with pytest.raises((MemoryError, OverflowError)):
        d *= 2**62
    assert d == deque([1, 2, 3])


def test_maxlen_drops_what_it_pushes_out(pool):
    used = in_use(pool)
    d = pool.new(PersistentDeque, maxlen=3)
    for i in range(100):
        d.append(TEXT + str(i))
        d.appendleft([i])
    d.extend([TEXT] * 50)
    d.extendleft([[1], [2], [3], [4]])
    assert plain(d) == [[4], [3], [2]] and d.maxlen == 3
    d *= 10**9
    assert plain(d) == [[4], [3], [2]]
    d._check()
    del d
    assert in_use(pool) == used


@pytest.mark.parametrize("maxlen", [-1, "3", 2.0, 1 << 70])
def test_wrong_maxlen(pool, maxlen):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        pool.new(PersistentDeque, [1], maxlen)


def test_a_plain_deque_becomes_one(pool, reopen):
    inner = deque([TEXT], maxlen=5)
    pool.root = {"a": deque([1, [2], inner, {"x": inner}]), "empty": deque()}
    root = reopen(pool).root
    assert type(root["a"]) is type(root["empty"]) is PersistentDeque
    assert root["a"][2] is root["a"][3]["x"] and root["a"][2].maxlen == 5
    cycle = deque([1])
    cycle.append(cycle)
    root["a"] = cycle
    assert root["a"][1] is root["a"]
    copied = root._p_mm.to_python(root["a"])
    assert type(copied) is deque and copied[1] is copied
    root["a"].clear()


def test_a_subclass_does_not(pool):
    class Mine(deque):
        pass

    with pytest.raises(TypeError, match="subclass of deque"):
        pool.root = Mine([1])
    with pytest.raises(TypeError, match=r"value\[1\]\[0\]"):
        pool.root = [1, deque([Broken()])]


def test_what_comes_of_operators_is_plain(pool):
    d = pool.new(PersistentDeque, [1, 2], maxlen=3)
    e = pool.new(PersistentDeque, [3, 4])
    for result, expected, maxlen in (
        (d + e, [2, 3, 4], 3),
        (e + deque([5]), [3, 4, 5], None),
        (deque([0], maxlen=9) + d, [0, 1, 2], 9),
        (d * 2, [2, 1, 2], 3),
        (2 * e, [3, 4, 3, 4], None),
        (d.copy(), [1, 2], 3),
    ):
        assert type(result) is deque and list(result) == expected and result.maxlen == maxlen
    assert d == deque([1, 2]) and deque([1, 2]) == d and d != [1, 2] and d < e and d != e
    with pytest.raises(TypeError):
        d + [1]  # noqa: RUF005
    with pytest.raises(TypeError):
        d < [1]  # noqa: B015
    assert repr(d) == "PersistentDeque([1, 2], maxlen=3)"
    match d:
        case [first, second]:
            assert (first, second) == (1, 2)
        case _:
            raise AssertionError


@pytest.mark.parametrize("how", [iter, reversed])
def test_iteration_notices_changes(pool, how):
    for change in (
        lambda d: d.append(1),
        lambda d: d.popleft(),
        lambda d: d.rotate(),
        lambda d: d.insert(2, 1),
        lambda d: d.clear(),
        lambda d: d.__delitem__(2),
    ):
        d = pool.new(PersistentDeque, range(600))
        walking = how(d)
        next(walking)
        change(d)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="mutated during iteration"):
                next(walking)
    d = pool.new(PersistentDeque, range(3))
    walking = how(d)
    assert walking.__length_hint__() == 3
    d[1] = "replaced while it is walked over"
    assert list(walking) in ([0, d[1], 2], [2, d[1], 0])
    d.append(1)
    assert next(walking, None) is None


def undone(pool, d):
    with pool.transaction() as tx:
        d.clear()
        d.extend(range(5000, 7000))
        tx.abort()


BACK_AGAIN = {
    "append and pop": lambda pool, d: (d.append(1), d.pop()),
    "pop and append": lambda pool, d: d.append(d.pop()),
    "on the left": lambda pool, d: d.appendleft(d.popleft()),
    "insert and delete": lambda pool, d: (d.insert(5, 1), d.__delitem__(5)),
    "rotate": lambda pool, d: (d.rotate(900), d.rotate(-900)),
    "extend": lambda pool, d: (d.extend([[1]]), d.pop()),
    "replace all": lambda pool, d: (d.clear(), d.extend(range(2000))),
    "undone": undone,
}


@pytest.mark.parametrize("name", BACK_AGAIN)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_walk_notices_changes_that_leave_the_ends_where_they_were(pool, name, backwards):
    d = pool.new(PersistentDeque, range(2000))
    for count in (1, 700, 2000):
        walking = reversed(d) if backwards else iter(d)
        for _ in range(count):
            next(walking)
        BACK_AGAIN[name](pool, d)
        with pytest.raises(RuntimeError, match="mutated during iteration"):
            next(walking)
        assert d == deque(range(2000))


def test_a_walk_goes_on_after_what_adds_or_removes_nothing(pool):
    """As the builtin's: also an attempt that fails."""
    for make in (deque, lambda items: pool.new(PersistentDeque, items)):
        d = make([])
        d.extend(range(4))
        walking = iter(d)
        assert next(walking) == 0
        d.extend([])
        d.reverse()
        d[2] = 7
        with pytest.raises(IndexError):
            del d[9]
        assert list(walking) == [2, 7, 0]


def test_a_comparison_changes_the_deque(pool):
    class Evil:
        def __eq__(self, other):
            d.clear()
            d.extend(range(5000))
            return False

    d = pool.new(PersistentDeque)
    for ask in (d.__contains__, d.count, d.index, d.remove):
        d.clear()
        d.extend([[1], [2], 3.5])
        with pytest.raises((RuntimeError, IndexError), match="mutated during"):
            ask(Evil())
        d._check()

    class AsMany:
        def __eq__(self, other):
            d.append(d.popleft())
            return False

    for ask in (d.__contains__, d.count, d.index, d.remove):
        with pytest.raises((RuntimeError, IndexError), match="mutated during"):
            ask(AsMany())


def test_user_code_changes_the_deque_while_it_is_changed(pool):
    class Index:
        def __index__(self):
            d.clear()
            return 1

    def clearing():
        d.clear()
        yield TEXT

    d = pool.new(PersistentDeque, [1, 2, 3])
    for use in (d.__getitem__, d.__delitem__, lambda i: d.__setitem__(i, TEXT)):
        d.extend([1, 2, 3])
        with pytest.raises(IndexError):
            use(Index())
    d.extend([1, 2, 3])
    d.rotate(Index())
    d.insert(Index(), 7)
    assert d == deque([7])
    d.extend(clearing())
    assert d == deque([TEXT])
    d.extendleft(clearing())
    assert d == deque([TEXT])
    d.extend(d)
    d.extendleft(d)
    assert d == deque([TEXT] * 4)


def test_closed_by_the_iterable(pool):
    d = pool.new(PersistentDeque, [1])

    def closing():
        yield 1
        pool.close()
        yield 2

    with pytest.raises(pmemobj.PoolClosedError):
        d.extend(closing())


def test_the_ends_of_a_queue_wander(pool):
    """Blocks are given back as the items leave: the pool does not grow."""
    d = pool.new(PersistentDeque, range(500))
    used = None
    for i in range(20_000):
        d.append(i)
        d.popleft()
        if i == 1000:
            used = in_use(pool)
    assert in_use(pool) <= used + 2016
    for _ in range(20_000):
        d.appendleft(d.pop())
    d._check()
    assert in_use(pool) <= used + 2016
    while d:
        d.popleft()
    d.append(1)
    d.appendleft(0)
    assert list(d) == [0, 1]
    d._check()


def test_growing_and_shrinking_pools(pool, reopen):
    d = filled(pool, 3000)
    before = plain(d)
    compacted = pool.path + ".compact"
    pool.compact(compacted)
    with pmemobj.open(compacted, sync="manual") as other:
        assert plain(other.root) == before and other.check().ok
        other.root._check()
    usage = pool.usage()
    d.extend(range(10_000))
    assert pool.usage().containers - usage.containers >= 80_000
    d.append(d)
    pool.root = None
    del d
    assert pool.gc().objects >= 1
    assert pool.check().ok and pool.check().unreachable == (0, 0)


def test_weak_references_and_kinds(pool):
    d = pool.new(PersistentDeque, [1])
    reference = weakref.ref(d)
    assert reference() is d
    del d
    gc.collect()
    assert reference() is None
    assert isinstance(pool.new(PersistentDeque), MutableSequence)
    with pytest.raises(TypeError):
        hash(pool.new(PersistentDeque))
    assert list(type(reversed(d := pool.new(PersistentDeque, "abc")))(d)) == list("cba")
    assert list(type(iter(d))(d)) == list("abc")
