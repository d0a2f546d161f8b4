"""on_commit and on_abort: when, in which order, and what their errors do."""

import pytest

import pmemobj


@pytest.fixture
def log():
    return []


def registers(tx, log, name):
    tx.on_commit(lambda: log.append(f"commit {name}"))
    tx.on_abort(lambda: log.append(f"abort {name}"))


def test_they_give_back_the_function(pool):
    with pool.transaction() as tx:
        assert tx.on_commit(print and len.__class__) is len.__class__
        tx.abort()

    def nothing():
        pass

    with pool.transaction() as tx:
        assert tx.on_commit(nothing) is nothing
        assert tx.on_abort(nothing) is nothing


def test_commit_runs_them_in_order_and_outside(pool, log):
    with pool.transaction() as tx:
        pool.root = 1
        tx.on_commit(lambda: log.append((pool.root, pool.in_transaction)))
        registers(tx, log, "a")
        registers(tx, log, "b")
        pool.root = 2
        assert log == []
    assert log == [(2, False), "commit a", "commit b"]


def test_abort_runs_them_in_order_and_outside(pool, log):
    pool.root = 1
    with pool.transaction() as tx:
        pool.root = 2
        tx.on_abort(lambda: log.append((pool.root, pool.in_transaction)))
        registers(tx, log, "a")
        registers(tx, log, "b")
        tx.abort()
    assert log == [(1, False), "abort a", "abort b"]


def test_only_once(pool, log):
    tx = pool.transaction()
    with tx:
        registers(tx, log, "a")
    with tx:
        pass
    with tx:
        tx.abort()
    assert log == ["commit a"]


def test_commit_waits_for_the_outermost_block(pool, log):
    with pool.transaction() as outer:
        registers(outer, log, "outer 1")
        with pool.transaction() as inner:
            registers(inner, log, "inner")
            with pool.transaction() as innermost:
                registers(innermost, log, "innermost")
        assert log == []
        registers(outer, log, "outer 2")
    assert log == ["commit outer 1", "commit inner", "commit innermost", "commit outer 2"]


def test_inner_abort(pool, log):
    with pool.transaction() as outer:
        registers(outer, log, "outer")
        with pool.transaction() as inner:
            registers(inner, log, "inner")
            with pool.transaction() as kept:
                registers(kept, log, "kept in inner")
            inner.abort()
        assert log == ["abort inner", "abort kept in inner"]
    assert log == ["abort inner", "abort kept in inner", "commit outer"]


def test_outer_abort_after_inner_commit(pool, log):
    with pool.transaction() as outer:
        registers(outer, log, "outer")
        with pool.transaction() as inner:
            registers(inner, log, "inner")
        outer.abort()
    assert log == ["abort outer", "abort inner"]


def test_outer_abort_from_inside_runs_the_innermost_first(pool, log):
    with pool.transaction() as outer:
        registers(outer, log, "outer")
        with pool.transaction() as inner:
            registers(inner, log, "inner")
            outer.abort()
    assert log == ["abort inner", "abort outer"]


def test_several_levels_undone_at_once_run_the_innermost_first(pool, log):
    outer, inner = pool.transaction(), pool.transaction()
    outer.begin()
    registers(outer, log, "outer")
    inner.begin()
    registers(inner, log, "inner 1")
    registers(inner, log, "inner 2")
    outer.abort()
    assert log == ["abort inner 1", "abort inner 2", "abort outer"]


def test_blocks_inside_explicit_transactions(pool, log):
    for end, expected in (pool.commit, ["commit a", "commit b"]), (pool.abort, ["abort a", "abort b"]):
        pool.begin()
        for name in "ab":
            with pool.transaction() as tx:
                registers(tx, log, name)
        assert log == []
        end()
        assert log == expected
        log.clear()


def test_callbacks_may_change_the_pool(pool, log):
    pool.root = []
    with pool.transaction() as tx:
        tx.on_commit(lambda: pool.root.append("operation"))

        @tx.on_commit
        def _():
            with pool.transaction() as another:
                pool.root.append("transaction")
                another.on_commit(lambda: log.append("nested"))

    assert pool.root == ["operation", "transaction"]
    assert log == ["nested"]
    with pool.transaction() as outer:
        with pool.transaction() as inner:
            pool.root.append("undone")
            inner.on_abort(lambda: pool.root.append("in the outer block"))
            inner.abort()
        assert pool.root == ["operation", "transaction", "in the outer block"]
        outer.abort()
    assert pool.root == ["operation", "transaction"]


def test_callbacks_may_close_the_pool(pool_path):
    for end in "commit", "abort":
        pool = pmemobj.open(pool_path, max_size=64 << 20)
        with pool.transaction() as tx:
            pool.root = end
            tx.on_commit(pool.close)
            tx.on_abort(pool.close)
            if end == "abort":
                tx.abort()
        assert pool.closed
    with pmemobj.open(pool_path) as pool:
        assert pool.root == "commit"


class Odd(Exception):
    def __len__(self):
        return 0  # false, yet an error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Odd])
def test_error_in_on_commit_changes_nothing_any_more(pool, log, error):
    def fail():
        log.append("failed")
        raise error("first")

    def fail_too():
        raise LookupError("second")

    with pytest.raises(error, match="first"), pool.transaction() as tx:
        pool.root = "committed"
        tx.on_commit(fail)
        tx.on_commit(fail_too)
        registers(tx, log, "last")
    assert log == ["failed", "commit last"]
    assert pool.root == "committed"
    assert not pool.in_transaction


def test_error_in_on_abort(pool, log):
    def fail():
        raise ValueError("from the callback")

    pool.root = 1
    with pytest.raises(ValueError, match="from the callback") as caught, pool.transaction() as tx:
        pool.root = 2
        tx.on_abort(fail)
        registers(tx, log, "last")
        raise KeyError("reason")
    assert isinstance(caught.value.__context__, KeyError)
    assert log == ["abort last"]
    assert (pool.root, pool.in_transaction) == (1, False)
    with pytest.raises(ValueError), pool.transaction() as tx:
        pool.root = 2
        tx.on_abort(fail)
        tx.abort()
    assert (pool.root, pool.in_transaction) == (1, False)


def test_error_in_on_abort_of_an_inner_block_undoes_the_outer(pool):
    pool.root = 1
    with pytest.raises(ZeroDivisionError), pool.transaction():
        pool.root = 2
        with pool.transaction() as inner:
            pool.root = 3
            inner.on_abort(lambda: 1 // 0)
            inner.abort()
    assert (pool.root, pool.in_transaction) == (1, False)


def test_not_callable(pool):
    with pytest.raises(TypeError), pool.transaction() as tx:
        tx.on_commit(None)
    assert not pool.in_transaction


def test_a_full_pool_at_the_commit_counts_as_an_abort(tmp_path, log):
    with pmemobj.create(tmp_path / "small", pmemobj.MIN_POOL_SIZE) as pool:
        pool.root = []
        with pytest.raises(pmemobj.PoolFullError), pool.transaction() as tx:
            registers(tx, log, "a")
            for _ in range(1000):
                pool.root.append("x" * 100000)
        assert log == ["abort a"]
        assert pool.root == []
        assert pool.check().ok
