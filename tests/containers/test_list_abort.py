"""Every mutator of a list is undone with its transaction or savepoint, and by itself when it fails."""

from contextlib import nullcontext

import pytest
from list_support import KINDS, SEGMENT, in_use, plain

from pmemobj._list import PersistentList
from pmemobj.errors import StaleObjectError

MUTATORS = {
    "append": lambda x: x.append("a long string, in a block"),
    "append many": lambda x: [x.append(i) for i in range(200)],
    "append list": lambda x: x.append([1, [2]]),
    "insert": lambda x: x.insert(1, "another long string"),
    "extend": lambda x: x.extend(["a long string"] * 100),
    "extend itself": lambda x: x.extend(x),
    "set": lambda x: x.__setitem__(1, "a new string there"),
    "set object": lambda x: x.__setitem__(-1, 0),
    "set slice": lambda x: x.__setitem__(slice(1, 3), KINDS * 30),
    "shorten slice": lambda x: x.__setitem__(slice(1, -1), [5]),
    "set stepped": lambda x: x.__setitem__(slice(None, None, 2), ["new string here"] * ((len(x) + 1) // 2)),
    "del": lambda x: x.__delitem__(0),
    "del slice": lambda x: x.__delitem__(slice(1, 3)),
    "del stepped": lambda x: x.__delitem__(slice(None, None, -2)),
    "del all": lambda x: x.__delitem__(slice(None)),
    "pop": lambda x: x.pop(),
    "pop and append": lambda x: [x.pop(), x.pop(), x.append(1), x.append(2), x.extend(range(9))],
    "pop all and append": lambda x: [[x.pop() for _ in range(len(x))], x.extend(range(100))],
    "clear and append": lambda x: [x.clear(), x.append(5)],
    "pop first": lambda x: x.pop(0),
    "remove": lambda x: x.remove(7),
    "clear": lambda x: x.clear(),
    "sort": lambda x: x.sort(key=repr),
    "sort reversed": lambda x: x.sort(key=repr, reverse=True),
    "reverse": lambda x: x.reverse(),
    "repeat": lambda x: x.__imul__(3),
    "repeat zero": lambda x: x.__imul__(0),
    "add": lambda x: x.__iadd__([8] * 100),
}
SIZES = [4, 40, 400]


def filled(pool, size):
    pool.root = None
    pool.root = (KINDS * size)[:size]
    return pool.root


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MUTATORS)
def test_aborted_transaction(pool, reopen, name, size):
    x = filled(pool, size)
    before, used = plain(x), in_use(pool)
    with pool.transaction() as tx:
        MUTATORS[name](x)
        x._check()
        tx.abort()
    assert plain(x) == before
    x._check()
    assert in_use(pool) == used
    MUTATORS[name](x)  # and it still works afterwards, and lasts
    after = plain(x)
    assert name == "sort" or after != before
    del x
    pool = reopen(pool)
    assert plain(pool.root) == after
    pool.root._check()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MUTATORS)
def test_aborted_savepoint(pool, reopen, name, size):
    x = filled(pool, size)
    with pool.transaction():
        x.append("in the outer block")
        del x[1]
        before = plain(x)
        with pool.transaction() as tx:
            MUTATORS[name](x)
            tx.abort()
        assert plain(x) == before
        with pool.transaction():
            MUTATORS[name](x)
            with pool.transaction() as tx:
                x.clear()
                x.extend(KINDS * 20)
                tx.abort()
        after = plain(x)
    assert plain(x) == after
    x._check()
    del x
    assert plain(reopen(pool).root) == after


@pytest.mark.parametrize("name", MUTATORS)
def test_abort_around_a_kept_savepoint(pool, name):
    x = filled(pool, 40)
    before, used = plain(x), in_use(pool)
    with pool.transaction() as tx:
        MUTATORS[name](x)
        with pool.transaction():
            x[:2] = ["string that is kept for now"] * 5
        with pool.transaction():
            x.extend(KINDS)
        tx.abort()
    assert plain(x) == before
    assert in_use(pool) == used


@pytest.mark.parametrize("one", MUTATORS)
@pytest.mark.parametrize("other", ["pop", "del slice", "clear", "extend", "insert", "sort", "shorten slice"])
def test_two_after_each_other_undone_together(pool, one, other):
    x = filled(pool, 90)
    before = plain(x)
    with pool.transaction() as tx:
        MUTATORS[other](x)
        x.extend([7, 7, 7])
        MUTATORS[one](x)
        tx.abort()
    assert plain(x) == before
    x._check()


@pytest.mark.parametrize(
    "name", ["pop all and append", "del all", "insert", "sort", "shorten slice", "del stepped"]
)
def test_abort_with_several_segments(pool, name):
    x = filled(pool, 2 * SEGMENT + 10)
    before = plain(x)
    with pool.transaction() as tx:
        MUTATORS[name](x)
        tx.abort()
    assert plain(x) == before
    x._check()


class Broken:
    """A type that no pool can store."""


def failing():
    yield 1
    yield "a long string in the middle"
    raise ZeroDivisionError


def fail(item):
    if type(item) is tuple:
        raise ZeroDivisionError
    return repr(item)


FAILURES = {
    "append": (TypeError, lambda x: x.append(Broken())),
    "append nested": (TypeError, lambda x: x.append(["a long string", [Broken()]])),
    "insert": (TypeError, lambda x: x.insert(0, Broken())),
    "set": (TypeError, lambda x: x.__setitem__(0, Broken())),
    "extend value": (TypeError, lambda x: x.extend(["a long string", Broken()])),
    "extend iterator": (ZeroDivisionError, lambda x: x.extend(failing())),
    "add iterator": (ZeroDivisionError, lambda x: x.__iadd__(failing())),
    "slice value": (TypeError, lambda x: x.__setitem__(slice(1, 3), ["a long string", Broken()])),
    "slice iterator": (ZeroDivisionError, lambda x: x.__setitem__(slice(1, 3), failing())),
    "stepped iterator": (ZeroDivisionError, lambda x: x.__setitem__(slice(0, 3, 2), failing())),
    "stepped value": (TypeError, lambda x: x.__setitem__(slice(0, 3, 2), ["a long string", Broken()])),
    "stepped length": (ValueError, lambda x: x.__setitem__(slice(0, 3, 2), ["a long string"] * 3)),
    "sort key": (ZeroDivisionError, lambda x: x.sort(key=fail)),
    "sort comparison": (TypeError, lambda x: x.sort()),
    "sort modified": (ValueError, lambda x: x.sort(key=lambda item: x.append(1) or 0)),
    "pop": (IndexError, lambda x: x.pop(1000)),
    "remove": (ValueError, lambda x: x.remove("not there")),
    "repeat": (MemoryError, lambda x: x.__imul__(2**62)),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", FAILURES)
def test_failure_changes_nothing(pool, name, inside):
    error, function = FAILURES[name]
    x = filled(pool, 8)
    before, used = plain(x), in_use(pool)
    with pool.transaction() if inside else nullcontext(), pytest.raises(error):
        function(x)
    if name != "sort modified":  # where the key function itself changed the list
        assert plain(x) == before
        assert in_use(pool) == used
    x._check()


def test_error_names_the_path(pool):
    x = pool.new(PersistentList)
    with pytest.raises(TypeError, match=r"Broken cannot be stored .*value\[1\]\['k'\]\[0\]"):
        x.extend([0, {"k": [Broken()]}])
    assert x == []


def test_object_made_in_an_undone_block_is_stale(pool):
    with pool.transaction() as tx:
        x = pool.new(PersistentList, [1])
        walking = iter(x)
        tx.abort()
    with pytest.raises(StaleObjectError):
        x.append(1)
    with pytest.raises(StaleObjectError):
        next(walking)
