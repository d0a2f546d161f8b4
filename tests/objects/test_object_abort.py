"""Undone transactions and savepoints: values, names of attributes and classes are what they were."""

import threading

import pytest

from pmemobj import PersistentObject, StaleObjectError


class Undone(Exception):
    pass


class Thing(PersistentObject):
    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


class Other(PersistentObject):
    pass


class Third(PersistentObject):
    pass


def undo(pool, action, *args):
    with pytest.raises(Undone), pool.transaction():
        result = action(*args)
        raise Undone
    return result


def test_values_come_back(pool):
    o = pool.root = pool.new(Thing, a=1, b="a string that needs a block", c=[1])
    before = vars(o), o.c, pool._allocated()

    def change():
        o.a = "another string that needs a block"
        del o.b
        o.c = {"other": 1}
        assert (o.a, o.c) == ("another string that needs a block", {"other": 1})
        assert not hasattr(o, "b")

    undo(pool, change)
    assert (vars(o), o.c, pool._allocated()) == before
    o._check()
    pool._check_references()


def test_savepoints(pool, reopen):
    o = pool.root = pool.new(Thing, a=1)
    with pool.transaction():
        o.a, o.outer = 2, "outer"
        with pytest.raises(Undone), pool.transaction():
            o.a, o.inner = 3, "inner"
            raise Undone
        assert vars(o) == {"a": 2, "outer": "outer"}
        o.after = "after"
        assert vars(o) == {"a": 2, "outer": "outer", "after": "after"}
    assert vars(reopen(pool).root) == {"a": 2, "outer": "outer", "after": "after"}


def test_a_name_of_an_undone_block_is_forgotten(pool, reopen):
    o = pool.root = pool.new(Thing, a=1)
    undo(pool, setattr, o, "x", "x")
    assert not hasattr(o, "x")
    with pytest.raises(AttributeError):
        _ = o.x
    o.y = "y"  # takes the number that x had
    assert not hasattr(o, "x") and o.y == "y"
    o.x = "x again"
    assert (o.x, o.y) == ("x again", "y")
    undo(pool, setattr, o, "p", 1)
    assert vars(reopen(pool).root) == {"a": 1, "y": "y", "x": "x again"}


@pytest.mark.parametrize("value", [5, "a string that needs a block", [1]])
def test_names_undone_in_savepoints_of_savepoints(pool, value):
    o = pool.root = pool.new(Thing, a=1)
    with pytest.raises(Undone), pool.transaction():
        o.p = value
        undo(pool, setattr, o, "q", value)
        o.r = value
        undo(pool, lambda: [setattr(o, f"s{i}", value) for i in range(50)])
        assert vars(o) == {"a": 1, "p": value, "r": value}
        raise Undone
    assert vars(o) == {"a": 1}
    o.r = o.q = value
    assert vars(o) == {"a": 1, "r": value, "q": value}
    assert not hasattr(o, "p") and not hasattr(o, "s3")
    o._check()
    pool._check_references()


def test_a_class_of_an_undone_block_is_forgotten(pool, reopen):
    pool.root = [pool.new(Thing, a=1)]
    stale = undo(pool, pool.new, Other)
    b = pool.new(Third)  # takes the number that Other had
    b.name = "third"
    a = pool.new(Other)
    a.name = "other"
    pool.root.extend([a, b])
    with pytest.raises(StaleObjectError):
        stale.name = 1
    for again in (False, True):
        del a, b
        pool = reopen(pool) if again else pool
        thing, a, b = pool.root
        assert [type(o) for o in (thing, a, b)] == [Thing, Other, Third]
        assert (vars(a), vars(b)) == ({"name": "other"}, {"name": "third"})


def test_the_first_class_of_a_pool_undone(pool, reopen):
    undo(pool, pool.new, Other)
    assert pool._allocated()[0] == 0
    undo(pool, pool.new, Thing)
    pool.root = pool.new(Thing, a=1)
    assert reopen(pool).root.a == 1


def test_stale_objects(pool):
    with pool.transaction() as tx:
        o = pool.new(Thing, a=1)
        tx.abort()
    for use in (
        lambda: o.a,
        lambda: o.never,
        lambda: setattr(o, "a", 1),
        lambda: delattr(o, "a"),
        lambda: vars(o),
        lambda: setattr(pool, "root", o),
        lambda: o._p_mm,
    ):
        with pytest.raises(StaleObjectError):
            use()
    assert "stale" in repr(o) and o.__class__ is Thing


def test_an_object_made_in_a_kept_block_around_an_undone_one(pool):
    with pool.transaction():
        o = pool.new(Thing, a=1)
        inner = undo(pool, pool.new, Thing)
        o.b = 2
        pool.root = o
    assert vars(pool.root) == {"a": 1, "b": 2}
    with pytest.raises(StaleObjectError):
        _ = inner.a


def test_init_inside_a_transaction_is_undone_with_it(pool):
    before = pool._allocated()
    made = undo(pool, lambda: pool.new(Thing, a="a string that needs a block", b=[1]))
    assert pool._allocated()[0] == before[0]
    with pytest.raises(StaleObjectError):
        _ = made.a


def test_aborting_the_transaction_around_from_init(pool):
    class_setattr = Thing.__setattr__
    with pool.transaction() as tx:
        pool.root = "lost"
        Thing.__setattr__ = lambda self, name, value: tx.abort()
        try:
            pool.new(Thing, a=1)
        finally:
            Thing.__setattr__ = class_setattr
    assert pool.root is None and not pool.in_transaction


def test_an_encoder_that_undoes_the_owner(pool):
    """User code in the middle of a store aborts the very transaction that created the object."""
    import pmemobj

    class Evil:
        pass

    def encode(value):
        pool.abort()
        return 1

    pmemobj.register(Evil, encode, lambda n: n, name="test_object_abort evil")
    for keep in (False, True):
        pool.begin()
        o = pool.new(Thing, a=1)
        with pytest.raises(StaleObjectError):
            o.a = [o, Evil()] if keep else Evil()
        assert not pool.in_transaction
    pool.begin()
    o = pool.new(Thing)
    with pytest.raises(StaleObjectError):
        pool.root = [o, Evil()]
    assert pool.root is None
    pool._check_references()


def test_other_threads_wait(pool):
    o = pool.root = pool.new(Thing, a=1)
    seen = []
    with pytest.raises(Undone), pool.transaction():
        o.b = "undone"

        def other():
            seen.append((hasattr(o, "b"), o.a))
            o.c = "c"
            o.b = "b"

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.05)
        assert not seen and not hasattr(o, "c")
        raise Undone
    thread.join()
    assert seen == [(False, 1)]
    assert vars(o) == {"a": 1, "c": "c", "b": "b"}
