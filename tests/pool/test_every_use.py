"""The table of every_use.py is complete, and each use is refused once the pool is closed."""

from collections.abc import Mapping, MappingView

import pytest
from every_use import (
    ARRAY,
    BYTEARRAY,
    COUNTER,
    DEFAULTDICT,
    DEQUE,
    DICT,
    FROZENSET,
    HARMLESS,
    HARMLESS_OF_POOL,
    KEYS,
    LIST,
    ORDEREDDICT,
    POOL,
    SET,
    SORTED_DICT,
    SORTED_ITEMS,
    SORTED_KEYS,
    SORTED_SET,
    SORTED_VALUES,
    THING,
    TUPLE,
    VALUES,
    World,
)

import pmemobj


def attributes(cls):
    return {name for name in dir(cls) if getattr(cls, name) is not getattr(object, name, None)}


def test_the_table_names_everything(pool):
    world = World(pool)
    for proxy, table in (
        (world.list, LIST),
        (world.tuple, TUPLE),
        (world.dict, DICT),
        (world.set, SET),
        (world.frozenset, FROZENSET),
        (world.deque, DEQUE),
        (world.defaultdict, DEFAULTDICT),
        (world.counter, COUNTER),
        (world.ordered, ORDEREDDICT),
        (world.bytes, BYTEARRAY),
        (world.array, ARRAY),
        (pool.new(pmemobj.PersistentObject), THING),
        (world.keys, KEYS),
        (world.items, KEYS),
        (world.values, VALUES),
        (world.sorted_dict, SORTED_DICT),
        (world.sorted_set, SORTED_SET),
        (world.sorted_keys, SORTED_KEYS),
        (world.sorted_items, SORTED_ITEMS),
        (world.sorted_values, SORTED_VALUES),
    ):
        cls = type(proxy)
        missing = attributes(cls) - HARMLESS - set(table)
        missing -= {"keys"} if proxy is world.sorted_set else set()
        if isinstance(proxy, Mapping | MappingView):  # no order, and views that are made look at nothing
            missing -= {"__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__", "keys", "items", "values"}
        assert missing == set(), cls
    public = {name for name in attributes(type(pool)) if not name.startswith("_")}
    assert public - HARMLESS_OF_POOL == set(POOL)


def test_each_use_works_or_fails_for_its_own_reasons(pool):
    """So that a refusal is one."""
    world, works = World(pool), 0
    for name, use in list(world.uses()):
        with pool.transaction() as tx:
            try:
                use()
                works += 1
            except (KeyError, TypeError, ValueError, StopIteration, pmemobj.TransactionError) as error:
                assert "pool is closed" not in str(error), name
            except RuntimeError as error:  # a deque's iterator notices changes that were undone, too
                assert name.endswith("of deque)") and "mutated" in str(error), name
            tx.abort()
        while pool.in_transaction:
            pool.abort()
    assert works > 130


def test_after_close(pool):
    world = World(pool)
    pool.close()
    assert world.refused(pmemobj.PoolClosedError) > 150


def test_after_close_with_pytest_raises(pool):
    """What `refused` says is true."""
    world = World(pool)
    with pytest.raises(AssertionError, match=r"^pool\.abort raised TransactionError"):
        world.refused(pmemobj.PoolClosedError)
