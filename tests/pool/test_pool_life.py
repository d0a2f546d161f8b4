"""The life of a handle: closing, dropping, the interpreter's exit, and use after the end."""

import copy
import gc
import os
import pickle
import warnings

import pytest
from pool_files import journal_of, pmempool_check, run

import pmemobj

SMALL = 64 << 20


def everything(pool):
    """One object of each kind, stored, and each proxy."""
    class_ = pmemobj.PersistentObject
    pool.root = [[1, 2], {"a": 1}, {1, 2}]
    pool.root.append(pool.new(pmemobj.PersistentTuple, (1, 2)))
    pool.root.append(pool.new(class_))
    return list(pool.root)


#: Ways to touch a proxy, for every kind of container.
USES = [
    repr,
    bool,
    list,
    len,
    iter,
    lambda o: o == o,
    lambda o: o != [],
    lambda o: o[0],
    lambda o: o["a"],
    lambda o: o.__setitem__(0, 1),
    lambda o: o.__delitem__(0),
    lambda o: 1 in o,
    lambda o: o.append(1),
    lambda o: o.add(1),
    lambda o: o.update(a=1),
    lambda o: o.clear(),
    lambda o: o.pop(),
    lambda o: o.copy(),
    lambda o: o.sort(),
    lambda o: o.attribute,
    lambda o: setattr(o, "attribute", 1),
    lambda o: o._p_mm,
]


def refuses_everything(proxy, error):
    """Every use that works for the type at all raises `error`; that must be most of them."""
    refused = 0
    for use in USES:
        try:
            use(proxy)
        except error:
            refused += 1
        except (AttributeError, TypeError, KeyError):
            continue
    return refused


def test_close_is_idempotent(pool_path):
    pool = pmemobj.open(pool_path, max_size=SMALL)
    assert not pool.closed
    assert repr(pool) == f"<PersistentObjectPool {str(pool_path)!r}, open>"
    assert journal_of(pool_path).exists()
    for _ in range(3):
        pool.close()
        assert pool.closed
    assert repr(pool) == f"<PersistentObjectPool {str(pool_path)!r}, closed>"
    assert os.listdir(pool_path.parent) == [pool_path.name]
    pmempool_check(pool_path)


def test_the_with_statement_closes(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL) as pool:
        pool.root = 1
    assert pool.closed
    with pytest.raises(ZeroDivisionError), pmemobj.open(pool_path) as pool:
        pool.root = 2
        _ = 1 / 0
    assert pool.closed
    with pmemobj.open(pool_path) as pool:
        assert pool.root == 2
        pool.close()


def test_close_inside_a_transaction(pool):
    pool.root = 1
    with pool.transaction():
        pool.root = 2
        with pytest.raises(
            pmemobj.TransactionError, match="a transaction is open; end it before closing the pool"
        ):
            pool.close()
        with pool.transaction(), pytest.raises(pmemobj.TransactionError):
            pool.close()
        assert not pool.closed
        pool.root += 1
    assert pool.root == 3
    pool.begin()
    with pytest.raises(pmemobj.TransactionError):
        pool.close()
    pool.abort()
    pool.close()


def test_with_block_left_by_an_exception_inside_a_transaction(pool_path):
    with pytest.raises(pmemobj.TransactionError), pmemobj.open(pool_path, max_size=SMALL) as pool:
        pool.root = 1
        pool.begin()
        pool.root = 2
    assert not pool.closed
    pool.abort()
    assert pool.root == 1
    pool.close()


def test_use_of_the_pool_after_close(pool):
    pool.close()
    uses = [
        lambda: pool.root,
        lambda: setattr(pool, "root", 1),
        lambda: pool.new(pmemobj.PersistentList),
        pool.transaction,
        pool.begin,
        pool.commit,
        pool.abort,
        pool.sync,
        pool.checkpoint,
        pool.stats,
        pool.check,
        pool.gc,
        pool.durability,
        lambda: pool.in_transaction,
    ]
    for use in uses:
        with pytest.raises(pmemobj.PoolClosedError, match="the pool is closed"):
            use()
    assert pool.path
    assert pool.closed


@pytest.mark.parametrize("kind", range(5))
def test_use_of_a_proxy_after_close(pool, kind):
    proxy = everything(pool)[kind]
    pool.close()
    assert refuses_everything(proxy, pmemobj.PoolClosedError) >= (2 if kind == 4 else 6)


def test_iterators_and_views_after_close(pool):
    items, mapping, group, *_ = everything(pool)
    iterators = [iter(items), reversed(items), iter(mapping), iter(mapping.items()), iter(group)]
    views = [mapping.keys(), mapping.values(), mapping.items()]
    for iterator in iterators:
        next(iterator)
    pool.close()
    for iterator in iterators:
        with pytest.raises(pmemobj.PoolClosedError):
            next(iterator)
    for view in views:
        for use in len, list, repr:
            with pytest.raises(pmemobj.PoolClosedError):
                use(view)


def test_a_transaction_made_before_close(pool):
    transaction = pool.transaction()
    decorated = pool.transaction()(lambda: 1)
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError), transaction:
        pytest.fail("entered")
    with pytest.raises(pmemobj.PoolClosedError):
        decorated()


def test_old_proxies_do_not_come_alive_with_a_new_handle(pool, reopen):
    old = everything(pool)
    new = reopen(pool)
    assert new.root[0] is not old[0]
    for proxy in old:
        assert refuses_everything(proxy, pmemobj.PoolClosedError) >= 2
    old_id = id(old[0])
    del old
    gc.collect()
    assert new.root[0] == [1, 2], old_id
    assert new.check().ok


def test_dropping_an_open_pool_warns_and_closes(pool_path):
    pool = pmemobj.open(pool_path, max_size=SMALL)
    pool.root = 7
    with pytest.warns(ResourceWarning, match=r"pool .*test\.pool was never closed; use 'with' or close\(\)"):
        del pool
        gc.collect()
    assert os.listdir(pool_path.parent) == [pool_path.name]
    with pmemobj.open(pool_path) as pool:
        assert pool.root == 7
        assert pool.recovery is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_dropping_closes_also_when_the_warning_is_an_error(pool_path):
    pool = pmemobj.open(pool_path, max_size=SMALL)
    pool.root = 7
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del pool
        gc.collect()
    with pmemobj.open(pool_path) as pool:
        assert pool.root == 7


def test_dropping_with_an_open_transaction_undoes_it(pool_path):
    pool = pmemobj.open(pool_path, max_size=SMALL)
    pool.root = 7
    pool.begin()
    pool.root = 8
    with pytest.warns(ResourceWarning):
        del pool
        gc.collect()
    with pmemobj.open(pool_path) as pool:
        assert pool.root == 7


def test_a_proxy_keeps_its_pool_open(pool_path):
    root = pmemobj.open(pool_path, max_size=SMALL)
    root.root = [1]
    root = root.root
    gc.collect()
    root.append(2)
    assert root == [1, 2]
    root._p_mm.close()


def test_pool_and_proxy_in_a_cycle(pool_path):
    pool = pmemobj.open(pool_path, max_size=SMALL)
    pool.root = [1]
    pool.cycle = [pool, pool.root]
    with pytest.warns(ResourceWarning):
        del pool
        gc.collect()
    with pmemobj.open(pool_path) as pool:
        assert pool.root == [1]


def test_neither_pool_nor_object_nor_transaction_is_pickled(pool):
    with pytest.raises(TypeError, match="a pool handle cannot be pickled; pass the path"):
        pickle.dumps(pool)
    with pytest.raises(TypeError, match="a pool handle cannot be pickled"):
        copy.copy(pool)
    one = pool.new(pmemobj.PersistentObject)
    for attempt in pickle.dumps, copy.copy, copy.deepcopy:
        with pytest.raises(
            TypeError, match=r"lives in its pool and cannot be pickled or copied; pool\.to_python"
        ):
            attempt(one)
    with pytest.raises(TypeError):
        pickle.dumps(pool.transaction())


# --- the interpreter's exit


@pytest.mark.parametrize("end", ["", "sys.exit()", "raise SystemExit(0)"])
def test_exit_closes(pool_path, end):
    run(f"pool = pmemobj.open(path, sync='manual'); pool.root = [1]; pool.root.append(2)\n{end}", pool_path)
    assert os.listdir(pool_path.parent) == [pool_path.name]
    with pmemobj.open(pool_path) as pool:
        assert pool.recovery is None
        assert pool.root == [1, 2]


def test_exit_closes_many(tmp_path):
    run(
        """
pools = [pmemobj.open(f"{path}{i}", max_size=64 << 20) for i in range(4)]
for i, pool in enumerate(pools):
    pool.root = {"number": i}
keep = [pool.root for pool in pools]
""",
        tmp_path / "p",
    )
    assert len(os.listdir(tmp_path)) == 4
    for i in range(4):
        with pmemobj.open(tmp_path / f"p{i}") as pool:
            assert pool.root == {"number": i}


def test_exit_with_an_open_transaction(pool_path):
    """It is undone; a generator that holds one is finalised after the pool is closed."""
    run(
        """
pool = pmemobj.open(path)
pool.root = 1
def generate():
    with pool.transaction():
        pool.root = 2
        yield
suspended = generate()
next(suspended)
pool.begin()
pool.root = 3
""",
        pool_path,
    )
    with pmemobj.open(pool_path) as pool:
        assert (pool.root, pool.recovery) == (1, None)


def test_exit_with_a_daemon_thread_inside_a_transaction(pool_path):
    run(
        """
pool = pmemobj.open(path)
pool.root = 1
inside = threading.Event()
def work():
    with pool.transaction():
        pool.root = 2
        inside.set()
        threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
inside.wait()
""",
        pool_path,
    )
    with pmemobj.open(pool_path) as pool:
        assert (pool.root, pool.recovery) == (1, None)


def test_exit_with_daemon_threads_at_work(pool_path):
    """They meet a closed pool, or never run again; nothing hangs and nothing crashes."""
    run(
        """
pool = pmemobj.open(path, sync="commit")
pool.root = [0]
def work():
    try:
        while True:
            with pool.transaction():
                pool.root.append(1)
            pool.root.pop()
    except pmemobj.PoolClosedError:
        pass
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""",
        pool_path,
    )
    with pmemobj.open(pool_path) as pool:
        assert pool.root[0] == 0
        assert pool.check().ok


def test_exit_handlers_of_the_program_may_still_use_the_pool(pool_path):
    run(
        """
import atexit
pool = pmemobj.open(path)
atexit.register(lambda: setattr(pool, "root", "from the handler"))
""",
        pool_path,
    )
    with pmemobj.open(pool_path) as pool:
        assert pool.root == "from the handler"


def test_os_exit_leaves_a_journal_and_loses_nothing(pool_path):
    run("pool = pmemobj.open(path, sync='manual'); pool.root = 5; os._exit(0)", pool_path)
    assert journal_of(pool_path).exists()
    with pmemobj.open(pool_path) as pool:
        assert pool.root == 5
        assert pool.recovery is not None
