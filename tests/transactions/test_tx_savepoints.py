"""Inner blocks are exact savepoints: values, allocations, frees, sizes and identity."""

import gc
import random

import pytest

import pmemobj
from pmemobj import TransactionError


def plain(pool):
    return pool.to_python(pool.root)


def state(pool):
    allocated, _, large = pool._allocated()
    return allocated, large, pool._limbo(), plain(pool)


def test_inner_abort_keeps_the_outer_changes(pool, reopen):
    pool.root = {"a": 1}
    with pool.transaction():
        pool.root["a"] = 2
        with pool.transaction() as inner:
            pool.root["a"] = 3
            pool.root["b"] = [1] * 100
            inner.abort()
        assert plain(pool) == {"a": 2}
        with pytest.raises(KeyError), pool.transaction():
            pool.root["c"] = 1
            raise KeyError
        assert plain(pool) == {"a": 2}
        with pool.transaction():
            pool.root["d"] = 4
    assert plain(pool) == {"a": 2, "d": 4}
    assert plain(reopen(pool)) == {"a": 2, "d": 4}


def test_outer_abort_undoes_committed_inner_blocks(pool):
    pool.root = {"a": [1, 2, 3]}
    before = state(pool)
    with pool.transaction() as outer:
        with pool.transaction():
            pool.root["a"].append(4)
            with pool.transaction():
                pool.root["b"] = "x" * 5000
        with pool.transaction():
            pool.root["a"].clear()
        outer.abort()
    assert state(pool) == before


def test_abort_of_the_outer_block_from_inside_an_inner_one(pool):
    pool.root = [0]
    reached = []
    with pool.transaction() as outer:
        pool.root.append(1)
        with pool.transaction() as middle:
            pool.root.append(2)
            with pool.transaction():
                pool.root.append(3)
                middle.abort()
            reached.append("middle")  # pragma: no cover
        assert pool.root == [0, 1]
        with pool.transaction():
            pool.root.append(4)
            with pool.transaction():
                pool.root.append(5)
                outer.abort()
            reached.append("inner")  # pragma: no cover
        reached.append("outer")  # pragma: no cover
    assert reached == []
    assert not pool.in_transaction
    assert pool.root == [0]


def test_fifty_levels(pool):
    """Each level checks, after the one inside it was undone, that everything is as it was before that one."""
    pool.root = {"list": [], "text": "x" * 300, "objects": {}}
    start = state(pool)

    def down(depth):
        root = pool.root
        root["list"].append(depth)
        root["text"] = str(depth) * 300
        root["objects"][depth] = [depth, {"big": "y" * (depth * 100)}]
        if depth % 5 == 0:
            root["list"].insert(0, "front")
            root["objects"].pop(depth - 1, None)
        here = state(pool)
        if depth < 50:
            with pool.transaction() as inner:
                down(depth + 1)
                inner.abort()
        assert state(pool) == here

    with pool.transaction() as outer:
        down(1)
        outer.abort()
    assert state(pool) == start
    assert pool.check().ok


def test_fifty_levels_kept(pool, reopen):
    pool.root = []

    def down(depth):
        with pool.transaction():
            pool.root.append({"depth": depth})
            if depth < 50:
                down(depth + 1)

    down(1)
    assert len(pool.root) == 50
    assert plain(reopen(pool)) == [{"depth": n} for n in range(1, 51)]


@pytest.mark.parametrize("seed", range(6))
def test_random_blocks_against_copies(pool, seed, reopen):
    """A model that copies everything at the begin of a block and puts it back at its abort."""
    rng = random.Random(seed)
    pool.root = [[], {}, set()]

    def change():
        items, mapping, group = pool.root
        value = rng.choice(
            [
                rng.randrange(1 << 70),
                "s" * rng.randrange(3000),
                [rng.random()] * rng.randrange(300),
                (1, "2" * 20),
                {str(k): [k] for k in range(rng.randrange(20))},
                None,
            ]
        )
        action = rng.randrange(9)
        if action == 0:
            items.append(value)
        elif action == 1 and items:
            items.pop(rng.randrange(len(items)))
        elif action == 2:
            items[rng.randrange(len(items) + 1) :] = [value] * rng.randrange(4)
        elif action == 3:
            mapping[rng.randrange(30)] = value
        elif action == 4 and mapping:
            mapping.popitem()
        elif action == 5:
            group ^= {rng.randrange(40), "k" * rng.randrange(30)}
        elif action == 6 and items:
            mapping["shared"] = items[rng.randrange(len(items))]
        elif action == 7:
            pool.root = [items, mapping, group]
        else:
            items.reverse()

    def block(depth):
        saved = state(pool)
        with pool.transaction() as tx:
            for _ in range(rng.randrange(12)):
                if depth < 5 and rng.random() < 0.3:
                    block(depth + 1)
                else:
                    change()
            kept = rng.random() < 0.5
            inside = plain(pool)
            if not kept:
                tx.abort()
        if kept:
            assert plain(pool) == inside
        else:
            assert state(pool) == saved

    for _ in range(12):
        block(0)
        change()
        gc.collect()
    report = pool.check()
    assert report.ok, report
    assert report.unreachable == (0, 0)
    expected = plain(pool)
    assert plain(reopen(pool)) == expected


def test_identity_across_aborts(pool):
    pool.root = {"a": [1], "b": {"c": [2]}}
    a, b, root = pool.root["a"], pool.root["b"], pool.root
    with pool.transaction() as outer:
        assert pool.root["a"] is a
        with pool.transaction() as inner:
            pool.root["b"]["moved"] = pool.root.pop("a")
            assert pool.root["b"]["moved"] is a
            a.append("inside")
            inner.abort()
        assert pool.root["a"] is a
        assert a == [1]
        del pool.root["b"]
        assert b == {"c": [2]}
        pool.root = None
        outer.abort()
    assert pool.root is root
    assert (pool.root["a"], pool.root["b"]) == ([1], {"c": [2]})
    assert pool.root["a"] is a
    assert pool.root["b"] is b


def test_dropped_objects_come_back(pool):
    pool.root = {"keep": [1, ["deep", {"er": "x" * 100}]]}
    before = state(pool)
    for proxy in False, True:
        held = pool.root["keep"][1] if proxy else None
        with pool.transaction() as tx:
            del pool.root["keep"]
            gc.collect()
            tx.abort()
        assert state(pool) == before
        with pool.transaction() as outer:
            with pool.transaction():
                pool.root["keep"].clear()
                del pool.root["keep"]
            pool.root["new"] = [2] * 1000
            outer.abort()
        assert state(pool) == before
        if proxy:
            assert held is pool.root["keep"][1]
            assert held == ["deep", {"er": "x" * 100}]
    assert pool.check().ok


def test_dropped_and_stored_again(pool):
    pool.root = {"a": ["x" * 50]}
    with pool.transaction():
        taken = pool.root.pop("a")
        with pool.transaction() as inner:
            pool.root["b"] = taken
            inner.abort()
        assert taken == ["x" * 50]
        pool.root["c"] = taken
    assert plain(pool) == {"c": ["x" * 50]}
    assert pool.root["c"] is taken
    with pool.transaction() as tx:
        taken = pool.root.pop("c")
        del taken
        gc.collect()
        pool.root["d"] = 1
        tx.abort()
    assert plain(pool) == {"c": ["x" * 50]}
    assert pool.check().ok


def test_freed_memory_is_not_used_again_before_the_commit(pool):
    """What an abort brings back must not have been overwritten meanwhile."""
    pool.root = {i: str(i) * 100 for i in range(300)}
    before = state(pool)
    with pool.transaction() as tx:
        for i in range(300):
            del pool.root[i]
        for i in range(300):
            pool.root[-i - 1] = "z" * 300
        pool.root.clear()
        pool.root["big"] = "b" * 3_000_000
        tx.abort()
    assert state(pool) == before


# --- explicit begin, commit, abort


def test_explicit(pool):
    pool.root = 0
    pool.begin()
    assert pool.in_transaction
    pool.root = 1
    pool.begin()
    pool.root = 2
    pool.abort()
    assert pool.root == 1
    pool.begin()
    pool.root = 3
    pool.commit()
    assert pool.root == 3
    pool.commit()
    assert pool.root == 3
    assert not pool.in_transaction
    pool.begin()
    pool.root = 4
    pool.abort()
    assert pool.root == 3


def test_end_without_begin(pool):
    for end in pool.commit, pool.abort:
        with pytest.raises(TransactionError, match=r"no transaction is open; call begin\(\) first"):
            end()


def test_explicit_end_of_a_with_block(pool):
    pool.root = 0
    with pool.transaction():
        pool.root = 1
        for end in pool.commit, pool.abort:
            with pytest.raises(TransactionError, match="belongs to a with block, which ends it"):
                end()
        pool.begin()
        pool.root = 2
        pool.commit()
        with pytest.raises(TransactionError):
            pool.commit()
        pool.begin()
        pool.root = 3
        pool.abort()
    assert pool.root == 2


def test_with_block_inside_an_explicit_transaction(pool):
    pool.root = 0
    pool.begin()
    with pool.transaction() as tx:
        pool.root = 1
        tx.abort()
    with pool.transaction():
        pool.root = 2
    pool.abort()
    assert pool.root == 0


def test_explicit_transaction_left_open_in_a_block(pool):
    pool.root = 0
    with pytest.raises(TransactionError, match="was not ended; all is undone"), pool.transaction():
        pool.root = 1
        pool.begin()
        pool.root = 2
    assert (pool.root, pool.in_transaction) == (0, False)
    with pytest.raises(KeyError), pool.transaction():
        pool.root = 1
        pool.begin()
        pool.begin()
        raise KeyError
    assert (pool.root, pool.in_transaction) == (0, False)
    with pool.transaction() as tx:
        pool.begin()
        pool.root = 2
        tx.abort()
    assert (pool.root, pool.in_transaction) == (0, False)


def test_begin_of_a_transaction_object(pool):
    """pynvm's tx.begin(), tx.commit(), tx.abort()."""
    pool.root = 0
    tx = pool.transaction()
    tx.begin()
    pool.root = 1
    with pytest.raises(TransactionError, match="open already"):
        tx.begin()
    tx.commit()
    assert (pool.root, pool.in_transaction) == (1, False)
    tx.begin()
    pool.root = 2
    tx.abort()
    assert (pool.root, pool.in_transaction) == (1, False)
    for end in tx.commit, tx.abort:
        with pytest.raises(TransactionError, match="not open"):
            end()
    with tx, pytest.raises(TransactionError, match="the end of the with block commits"):
        tx.commit()
    tx.begin()
    pool.begin()
    pool.root = 3
    with pytest.raises(TransactionError, match="was not ended; all is undone"):
        tx.commit()
    assert (pool.root, pool.in_transaction) == (1, False)


def test_begin_survives_the_frame_that_called_it(pool):
    pool.root = 0

    def open_it():
        pool.begin()
        pool.root = 1

    open_it()
    gc.collect()
    assert pool.in_transaction
    pool.commit()
    assert pool.root == 1


# --- objects of undone blocks


def make_all(pool):
    P = pmemobj
    return [
        pool.new(P.PersistentList, [1]),
        pool.new(P.PersistentDict, {"a": 1}),
        pool.new(P.PersistentSet, {1}),
        pool.new(P.PersistentTuple, (1,)),
        pool.new(P.PersistentFrozenSet, (1,)),
        pool.new(P.PersistentObject),
    ]


USES = [
    len,
    repr,
    list,
    bool,
    lambda o: o[0],
    lambda o: o["a"],
    lambda o: 1 in o,
    lambda o: o.append(1),
    lambda o: o.add(1),
    lambda o: o.update({}),
    lambda o: o.x,
    lambda o: setattr(o, "x", 1),
    lambda o: o == o,
    lambda o: o._p_mm,
    hash,
]


def stale_uses(o):
    count = 0
    for use in USES:
        try:
            use(o)
        except pmemobj.StaleObjectError as error:
            assert "was created in a transaction that has been undone; it does not exist any more" in str(
                error
            )
            count += 1
        except (TypeError, AttributeError, KeyError):
            pass
    return count


@pytest.mark.parametrize("nested", [False, True])
def test_objects_of_an_undone_block_are_stale(pool, nested):
    pool.root = []
    before = state(pool)
    pool.begin()
    with pool.transaction() as tx:
        made = make_all(pool)
        pool.root.extend(made)
        pool.root.append([["implicit"]])
        made += [pool.root[-1], pool.root[-1][0]]
        iterator = iter(made[0])
        if not nested:
            with pool.transaction():
                made.append(pool.new(pmemobj.PersistentList))
        tx.abort()
    for o in made:
        assert stale_uses(o) >= (3 if isinstance(o, pmemobj.PersistentObject) else 5), type(o)
        with pytest.raises(pmemobj.StaleObjectError):
            pool.root.append(o)
        with pytest.raises(pmemobj.StaleObjectError):
            pool.root = [o]
        with pytest.raises(pmemobj.StaleObjectError):
            assert {"a": o} == pool.new(pmemobj.PersistentDict, a=o)
    with pytest.raises(pmemobj.StaleObjectError):
        next(iterator)
    if nested:
        pool.abort()
    else:
        pool.commit()
    pool.root.extend([[1], [2], [3]])  # takes the places of the stale ones
    for o in made:
        assert stale_uses(o) >= 3
    del made, o, iterator
    gc.collect()
    pool.root.clear()
    assert state(pool)[2:] == before[2:]
    assert pool.check().ok


def test_created_outside_stored_inside(pool):
    """The creation is kept, the storing is undone."""
    pool.root = []
    made = pool.new(pmemobj.PersistentList, ["x" * 100])
    with pool.transaction() as tx:
        pool.root.append(made)
        made.append("inside")
        tx.abort()
    assert pool.root == []
    assert made == ["x" * 100]
    assert pool._limbo() == 1
    pool.root.append(made)
    assert pool.root == [["x" * 100]]
    assert pool.root[0] is made
    assert pool._limbo() == 0


def test_created_in_the_outer_block_stored_in_the_inner(pool):
    pool.root = []
    with pool.transaction():
        made = pool.new(pmemobj.PersistentDict, {"k": ["v"]})
        with pool.transaction() as inner:
            pool.root.append(made)
            made["inside"] = 1
            inner.abort()
        assert made == {"k": ["v"]}
        with pool.transaction():
            pool.root.append(made)
    assert pool.root == [{"k": ["v"]}]
    assert pool.root[0] is made


def test_a_new_object_may_take_the_place_of_a_stale_one(pool):
    pool.root = []
    with pool.transaction() as tx:
        stale = pool.new(pmemobj.PersistentList, [1])
        tx.abort()
    fresh = [pool.new(pmemobj.PersistentList, [2]) for _ in range(3)]
    with pytest.raises(pmemobj.StaleObjectError):
        len(stale)
    del stale  # must not take the new one's entry away
    gc.collect()
    pool.root.extend(fresh)
    assert pool.root == [[2], [2], [2]]
    assert all(a is b for a, b in zip(pool.root, fresh, strict=True))


# --- objects that only variables hold


def test_never_stored_objects_are_freed_with_their_variable(pool):
    pool.root = []
    before = pool._allocated()[0]
    for make in (
        lambda: pool.new(pmemobj.PersistentList, ["x" * 100] * 100),
        lambda: pool.new(pmemobj.PersistentDict, {i: [i] for i in range(100)}),
        lambda: pool.new(pmemobj.PersistentSet, {"y" * i for i in range(100)}),
        lambda: pool.new(pmemobj.PersistentTuple, ("x" * 3000, [1])),
        lambda: pool.new(pmemobj.PersistentFrozenSet, ["x" * 3000, *range(100)]),
    ):
        made = make()
        assert pool._allocated()[0] > before
        assert pool._limbo() == 1
        del made
        assert (pool._allocated()[0], pool._limbo()) == (before, 0)
        with pool.transaction():
            made = make()
            del made
        assert (pool._allocated()[0], pool._limbo()) == (before, 0)
        with pool.transaction() as tx:
            made = make()
            del made
            tx.abort()
        assert (pool._allocated()[0], pool._limbo()) == (before, 0)


def test_popped_objects_live_as_long_as_their_variable(pool):
    pool.root = [1]
    pool.root.clear()
    pool.root.append(1)  # has room for one from here on
    pool.root.pop()
    before = pool._allocated()[0]
    pool.root.append([["inner"]])
    popped = pool.root.pop()
    inner = popped[0]
    del popped
    assert inner == ["inner"]
    inner.append(1)
    assert pool._limbo() == 1
    del inner
    assert (pool._allocated()[0], pool._limbo()) == (before, 0)


def test_proxy_lost_inside_a_block_that_is_undone(pool, reopen):
    """An object in limbo, stored and forgotten inside the block: after the abort nobody has it.  It stays in
    limbo, and the next open frees it."""
    pool.root = []
    before = pool._allocated()[0]
    made = pool.new(pmemobj.PersistentList, ["x" * 100])
    with pool.transaction() as tx:
        pool.root.append(made)
        del made
        tx.abort()
    assert pool.check().ok
    pool = reopen(pool)
    pool._drain()
    assert (pool._allocated()[0], pool._limbo()) == (before, 0)


def test_million_times_the_same_proxy_in_a_block(pool):
    """Making and losing proxies inside a transaction must not pile up anything that slows or fails later."""
    pool.root = {"a": [1]}
    with pool.transaction() as tx:
        for _ in range(50000):
            assert pool.root["a"][0] == 1
        tx.abort()
    assert pool.root == {"a": [1]}
