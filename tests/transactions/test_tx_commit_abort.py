"""A block happens whole or not at all: commit, exceptions, tx.abort(), decorator, wrong order."""

import gc

import pytest

import pmemobj
from pmemobj import TransactionError


def state(pool):
    """Everything that an abort must bring back."""
    return pool._allocated()[0], pool._allocated()[2], pool._limbo(), pool.to_python(pool.root)


def fill(pool):
    pool.root = {
        "numbers": list(range(100)),
        "text": "a longer string " * 10,
        "nested": {"list": [[1], [2]], "set": {1, 2}},
        "tuple": (1, ("two", 3.5), b"x" * 50),
        "big": "x" * 100000,
    }


def spoil(pool):
    """Changes of every kind."""
    root = pool.root
    root["numbers"].extend(range(1000))
    root["numbers"][0] = ["an object of its own"]
    del root["numbers"][5:50]
    root["numbers"].sort(key=str)
    root["text"] = "another"
    root["nested"]["list"].clear()
    root["nested"]["set"] |= {str(i) * 5 for i in range(100)}
    root["nested"]["new"] = {i: [i] for i in range(50)}
    del root["tuple"], root["big"]
    root["big2"] = "y" * 200000
    pool.root = {"only": root["nested"]}


def test_commit(pool, reopen):
    fill(pool)
    with pool.transaction() as tx:
        assert tx.pool is pool
        assert pool.in_transaction
        spoil(pool)
        inside = pool.to_python(pool.root)
    assert not pool.in_transaction
    assert pool.to_python(pool.root) == inside
    assert pool.check().ok
    assert reopen(pool).root == inside


class Custom(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError,
        KeyboardInterrupt,
        SystemExit,
        GeneratorExit,
        Custom,
        StopIteration,
        MemoryError,
        pmemobj.PoolFullError,
    ],
)
def test_any_exception_undoes_the_block_and_goes_on(pool, error, reopen):
    fill(pool)
    before = state(pool)
    raised = error("reason")
    with pytest.raises(error) as caught, pool.transaction():
        spoil(pool)
        raise raised
    assert caught.value is raised
    assert not pool.in_transaction
    assert state(pool) == before
    assert pool.check().ok
    pool = reopen(pool)
    assert state(pool) == before


def test_abort_leaves_the_block_only(pool, reopen):
    fill(pool)
    before = state(pool)
    went_on = False
    with pool.transaction() as tx:
        spoil(pool)
        tx.abort()
        pytest.fail("not left")  # pragma: no cover
    went_on = True
    assert went_on
    assert state(pool) == before
    assert reopen(pool).check().ok


def test_abort_is_not_caught_by_except_exception(pool):
    pool.root = 1
    with pool.transaction() as tx:
        pool.root = 2
        try:
            tx.abort()
        except Exception:
            pytest.fail("caught")
    assert pool.root == 1


def test_finally_clauses_run_inside_the_block(pool):
    pool.root = [1]
    with pool.transaction() as tx:
        try:
            pool.root.append(2)
            tx.abort()
        finally:
            pool.root.append(3)
            seen = list(pool.root)
    assert seen == [1, 2, 3]
    assert pool.root == [1]


def test_empty_and_reading_blocks_write_nothing(pool):
    pool.root = [1]
    before = pool.stats()["journal"]["records"]
    with pool.transaction():
        pass
    with pool.transaction(), pool.transaction():
        assert pool.root == [1]
    assert pool.stats()["journal"]["records"] == before


def test_one_record_for_a_block(pool):
    pool.root = []
    before = pool.stats()["journal"]["records"]
    with pool.transaction():
        for i in range(100):
            pool.root.append({"n": i})
    assert pool.stats()["journal"]["records"] == before + 1


def test_root_in_transactions(pool, reopen):
    with pool.transaction():
        pool.root = 1
    assert pool.root == 1
    with pool.transaction() as tx:
        pool.root = ["a list"]
        tx.abort()
    assert pool.root == 1
    pool.root = ["a list"]
    kept = pool.root
    with pool.transaction() as tx:
        pool.root = None
        assert pool.root is None
        kept.append("still usable")
        pool.root = "other"
        tx.abort()
    assert pool.root is kept
    assert pool.root == ["a list"]
    with pool.transaction():
        pool.root = [pool.root]
        pool.root = [pool.root, kept]
    assert pool.root == [[["a list"]], ["a list"]]
    assert pool.root[0][0] is kept
    with pool.transaction():
        pool.root = None
    assert kept == ["a list"]
    del kept
    assert pool.stats()["allocated"] == 0 or pool.check().unreachable == (0, 0)
    assert reopen(pool).root is None


def test_decorator(pool):
    pool.root = []

    @pool.transaction()
    def change(value, *, fail=False):
        """Its text."""
        pool.root.append(value)
        assert pool.in_transaction
        if fail:
            raise LookupError(value)
        return value * 2

    assert change.__name__ == "change"
    assert change.__doc__ == "Its text."
    assert change(1) == 2
    assert change(2) == 4
    with pytest.raises(LookupError):
        change(3, fail=True)
    assert pool.root == [1, 2]
    with pool.transaction() as tx:
        change(4)
        with pytest.raises(LookupError):
            change(5, fail=True)
        assert pool.root == [1, 2, 4]
        tx.abort()
    assert pool.root == [1, 2]


def test_decorated_method(pool):
    pool.root = []

    class Account:
        @pool.transaction()
        def put(self, value):
            pool.root.append(value)
            return self

        @staticmethod
        @pool.transaction(sync=True)
        def other(value):
            pool.root.append(value)

    account = Account()
    assert account.put(1) is account
    account.other(2)
    assert pool.root == [1, 2]


def test_decorated_recursion(pool):
    pool.root = []

    @pool.transaction()
    def down(n):
        pool.root.append(n)
        if n:
            try:
                down(n - 1)
                if n % 2:
                    raise ValueError
            finally:
                pool.root.append(-n)

    with pytest.raises(ValueError):
        down(5)
    assert pool.root == []
    down(0)
    assert pool.root == [0]


def test_a_transaction_object_can_be_used_again_but_not_at_once(pool):
    pool.root = 0
    tx = pool.transaction()
    for _ in range(3):
        with tx as entered:
            assert entered is tx
            pool.root += 1
            with pytest.raises(TransactionError, match="open already; ask the pool for another one"), tx:
                pytest.fail("entered")  # pragma: no cover
            pool.root += 1
    assert pool.root == 6
    with tx:
        tx.abort()
    with tx:
        pool.root += 1
    assert pool.root == 7


@pytest.mark.parametrize("use", ["abort", "on_commit", "on_abort"])
def test_use_outside_of_the_block(pool, use):
    tx = pool.transaction()
    arguments = [] if use == "abort" else [print]
    with pytest.raises(TransactionError, match="this transaction is not open"):
        getattr(tx, use)(*arguments)
    with tx:
        pass
    with pytest.raises(TransactionError, match="this transaction is not open"):
        getattr(tx, use)(*arguments)


def test_blocks_left_in_the_wrong_order(pool):
    """As two generators can do it."""
    pool.root = []
    outer, inner = pool.transaction(), pool.transaction()
    outer.__enter__()
    pool.root.append("outer")
    inner.__enter__()
    pool.root.append("inner")
    with pytest.raises(
        TransactionError, match="a transaction begun inside this block was not ended; all is undone"
    ):
        outer.__exit__(None, None, None)
    assert pool.root == []
    assert not pool.in_transaction
    with pytest.raises(TransactionError, match="has been ended inside its block"):
        inner.__exit__(None, None, None)
    assert pool.root == []
    pool.root.append("afterwards")
    assert pool.check().ok


def test_errors_of_operations_inside_leave_the_block_as_it_was(pool):
    pool.root = {"list": [3, 1, 2]}
    with pool.transaction():
        pool.root["list"].append(4)
        for wrong in (
            lambda: pool.root["list"].append(object()),
            lambda: pool.root["list"].extend(iter([5, object()])),
            lambda: pool.root["list"].sort(key=lambda n: 1 // (n - 1)),
            lambda: pool.root["list"].__setitem__(9, 1),
            lambda: pool.root.update(a=1, b=object()),
            lambda: pool.root["missing"],
            lambda: setattr(pool, "root", [1, {2: object()}]),
            lambda: pool.new(pmemobj.PersistentList, [object()]),
        ):
            before = state(pool)
            with pytest.raises((TypeError, ZeroDivisionError, IndexError, KeyError)):
                wrong()
            gc.collect()
            assert state(pool) == before
        pool.root["list"].append(5)
    assert pool.root == {"list": [3, 1, 2, 4, 5]}
    assert pool.check().ok


def test_generator_that_holds_a_transaction(pool):
    pool.root = []

    def generate():
        with pool.transaction():
            pool.root.append(1)
            yield "inside"
            pool.root.append(2)

    finished = generate()
    assert next(finished) == "inside"
    assert pool.in_transaction
    assert list(finished) == []
    assert pool.root == [1, 2]
    for end in "close", "drop", "throw":
        suspended = generate()
        next(suspended)
        assert pool.root == [1, 2, 1]
        if end == "close":
            suspended.close()
        elif end == "throw":
            with pytest.raises(KeyError):
                suspended.throw(KeyError())
        del suspended
        gc.collect()
        assert not pool.in_transaction
        assert pool.root == [1, 2]


def test_a_pool_is_not_mixed_up_with_another(pool, tmp_path):
    with pmemobj.open(tmp_path / "other", max_size=64 << 20) as other:
        pool.root, other.root = [], []
        with pool.transaction() as first, other.transaction():
            pool.root.append(1)
            other.root.append(1)
            with pool.transaction():
                pool.root.append(2)
            first.abort()
        assert pool.root == []
        assert other.root == []  # the inner block was left by an exception, too
        with pool.transaction():
            with other.transaction():
                other.root.append(1)
            assert not other.in_transaction
            assert pool.in_transaction
