"""pool.new(Class) is one transaction around __init__, whatever that does to transactions itself."""

import pytest

import pmemobj
from pmemobj import PersistentObject


class Acting(PersistentObject):
    def __init__(self, act):
        self.set_before = 1
        act(self._p_mm)
        self.set_after = 2


class Finished(PersistentObject):
    def __init__(self, act):
        act()


class Bare(PersistentObject):
    pass


class BareAgain(Bare):
    pass


@pytest.mark.parametrize("cls", [PersistentObject, Bare, BareAgain])
def test_without_init(pool, cls):
    """There is nothing to run, so one operation makes it."""
    pool.root = made = pool.new(cls)
    assert vars(made) == {}
    with pytest.raises(TypeError):
        pool.new(cls, 1)
    with pytest.raises(TypeError):
        pool.new(cls, x=1)
    made.x = 1
    with pool.transaction() as tx:
        undone = pool.new(cls)
        tx.abort()
    with pytest.raises(pmemobj.StaleObjectError):
        undone.x = 1
    del undone, made
    assert pool.root.x == 1


def test_init_that_appears_later(pool):
    class_with_init = BareAgain
    assert vars(pool.new(class_with_init)) == {}
    class_with_init.__init__ = lambda self: setattr(self, "x", 5)
    try:
        assert vars(pool.new(class_with_init)) == {"x": 5}
        class_with_init._v__init__ = lambda self: setattr(self, "_v_y", 6)
        pool.root = made = pool.new(class_with_init)
        assert made._v_y == 6
        del made, class_with_init.__init__
        assert pool.new(class_with_init)._v_y == 6
        assert pool.root._v_y == 6
    finally:
        del class_with_init._v__init__
    assert not hasattr(pool.root, "_v_y")


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("name", ["commit", "abort"])
def test_init_may_not_end_it(pool, name, around):
    pool.root = []

    def act(pool):
        pool.root.append(1)
        with pytest.raises(pmemobj.TransactionError):
            getattr(pool, name)()
        pool.root.append(2)

    if around:
        with pool.transaction():
            assert pool.new(Acting, act).set_after == 2
    else:
        assert pool.new(Acting, act).set_after == 2
    assert pool.root == [1, 2]
    assert not pool.in_transaction


@pytest.mark.parametrize("around", [False, True])
def test_init_leaves_a_transaction_open(pool, around):
    pool.root = []

    def act(pool):
        pool.begin()
        pool.root.append(1)

    def make():
        with pytest.raises(pmemobj.TransactionError):
            pool.new(Acting, act)

    if around:
        with pool.transaction():
            pool.root.append(0)
            make()
        assert pool.root == [0]
    else:
        make()
        assert pool.root == []
    assert not pool.in_transaction


def test_init_ends_the_transaction_around(pool):
    pool.root = []
    around = pool.transaction()
    around.begin()
    pool.root.append(1)
    with pytest.raises(pmemobj.StaleObjectError):
        pool.new(Acting, lambda pool: around.abort())
    assert not pool.in_transaction
    around.begin()
    pool.root.append(1)
    with pytest.raises(pmemobj.TransactionError):
        pool.new(Finished, around.abort)
    assert pool.root == []
    assert not pool.in_transaction


def test_callbacks_of_init(pool):
    told = []

    def act(pool):
        for note in "ab":
            with pool.transaction() as tx:
                tx.on_commit(lambda note=note: told.append(note))
                tx.on_abort(lambda note=note: told.append(note.upper()))
            with pytest.raises(pmemobj.TransactionError):
                pool.commit()

    pool.new(Acting, act)
    assert told == ["a", "b"]
    with pool.transaction():
        pool.new(Acting, act)
        assert told == ["a", "b"]
    assert told == ["a", "b"] * 2
    with pytest.raises(ZeroDivisionError):
        pool.new(Acting, lambda pool: (act(pool), 1 / 0))
    assert sorted(told[4:]) == ["A", "B"]
    told.clear()
    pool.new(Acting, lambda pool: None)
    assert told == []


def test_init_closes_the_pool(pool):
    with pytest.raises(pmemobj.TransactionError):
        pool.new(Acting, lambda pool: pool.close())
    assert not pool.in_transaction
