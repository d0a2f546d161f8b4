"""The interpreter's own tests of set, run against PersistentSet (see adapter.py)."""

import pytest
from adapter import MISSING, POINTLESS, InPool, Rebuilt, exclude

from pmemobj._set import PersistentSet

try:
    from test import test_set as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class SetInPool(Rebuilt, PersistentSet):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, (), {})

    def __init__(self, iterable=(), /):
        self.clear()
        self.update(iterable)


class TestSet(InPool, cpython.TestSet):
    thetype = SetInPool
    basetype = set


exclude(
    TestSet,
    POINTLESS,
    {
        "test_do_not_rehash_dict_keys": "counts calls of hash(), which the interpreter saves by keeping what it gave; "
        "what is stored has another hash, the same in every process"
    },
)
