"""The fast way from a name to its field or to the class's attribute must notice every change of either."""

import pytest

import pmemobj
from pmemobj import PersistentObject


class Thing(PersistentObject):
    kind = "thing"

    def describe(self):
        return f"{self.kind} {self.x}"


class Plain(PersistentObject):
    pass


@pytest.fixture
def thing(pool):
    pool.root = pool.new(Thing)
    pool.root.x = 1
    for _ in range(3):  # from the second time on the name is known
        assert pool.root.describe() == "thing 1"
    return pool.root


def test_a_stored_attribute_comes_before_one_of_the_class_but_no_method(pool, thing):
    thing.kind = 5
    assert thing.kind == 5
    del thing.kind
    assert thing.kind == "thing"
    thing.kind = None
    assert thing.kind is None
    assert pool.new(Thing).kind is Thing.kind
    with pytest.raises(AttributeError, match="has a method of that name"):
        thing.describe = 5
    assert thing.describe() == "None 1"


def test_undone(pool, thing):
    with pool.transaction() as tx:
        thing.kind = "other"
        assert thing.describe() == "other 1"
        tx.abort()
    assert thing.describe() == "thing 1"
    thing.y = 2
    thing.kind = "another"
    assert (thing.describe(), thing.y) == ("another 1", 2)


def test_the_class_changes(thing, monkeypatch):
    monkeypatch.setattr(Thing, "kind", "changed")
    assert thing.describe() == "changed 1"
    monkeypatch.setattr(Thing, "describe", lambda self: "new")
    assert thing.describe() == "new"
    monkeypatch.delattr(Thing, "describe")
    with pytest.raises(AttributeError):
        thing.describe()
    monkeypatch.setattr(Thing, "x", property(lambda self: "property"), raising=False)
    for _ in range(3):
        assert thing.x == "property"
    monkeypatch.undo()
    assert (thing.x, thing.describe()) == (1, "thing 1")


def test_many_class_attributes(pool, monkeypatch):
    for i in range(200):
        monkeypatch.setattr(Plain, f"a{i}", i, raising=False)
    o = pool.new(Plain)
    for _ in range(2):
        assert [getattr(o, f"a{i}") for i in range(200)] == list(range(200))
    for i in range(0, 200, 2):
        setattr(o, f"a{i}", -i)
    assert [getattr(o, f"a{i}") for i in range(200)] == [i if i % 2 else -i for i in range(200)]


def test_dict_is_never_a_plain_attribute(thing):
    for _ in range(3):
        assert thing.__dict__ == {"x": 1}
        assert thing.__class__ is Thing
    thing._v_a = 1
    assert thing.__dict__ == {"x": 1}
    assert thing._v_a == 1
    assert "_v_a" in dir(thing)


def test_a_name_that_was_undone_is_stored_anew(pool, reopen):
    """There is room for the field, and the process knows its number, but the class's record has no name for it."""
    pool.root = pool.new(Plain)
    pool.root.x = 1
    with pool.transaction() as tx:
        pool.root.y = 2
        tx.abort()
    pool.root.y = 3
    assert pool.root.y == 3
    pool.root._check()
    pool = reopen(pool)
    assert (pool.root.x, pool.root.y) == (1, 3)


def test_fields_that_are_not_set(pool, reopen):
    pool.root = [pool.new(Plain) for _ in range(3)]
    first, second, third = pool.root
    first.x, first.y, first.z = 1, 2, 3
    pool.root.append(pool.new(Plain))  # has room for all of them
    fresh = pool.root[3]
    for o in (second, third, fresh):
        with pytest.raises(AttributeError):
            o.z  # noqa: B018 - reading it is the test
    fresh.z = 5
    with pool.transaction() as tx:
        fresh.x = second.y = 6
        tx.abort()
    assert vars(fresh) == {"z": 5} and vars(second) == {}
    fresh.y = "a string that needs a block"
    pool = reopen(pool)
    assert vars(pool.root[3]) == {"y": "a string that needs a block", "z": 5}
    assert pool._check_references() > 0


def test_closed_and_stale(pool, thing):
    with pytest.raises(ZeroDivisionError), pool.transaction():
        stale = pool.new(Thing)
        stale.x = 1
        raise ZeroDivisionError
    for action in (lambda: stale.x, lambda: setattr(stale, "x", 2)):
        with pytest.raises(pmemobj.StaleObjectError):
            action()
    pool.close()
    for action in (lambda: thing.x, lambda: setattr(thing, "x", 2), lambda: thing.describe()):
        with pytest.raises(pmemobj.PoolClosedError):
            action()
