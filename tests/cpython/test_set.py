"""The interpreter's own tests of set and frozenset, run against ours (see adapter.py)."""

import pytest
from adapter import MISSING, POINTLESS, InPool, MadeWhole, Rebuilt, exclude, renamed

from pmemobj import PersistentFrozenSet, PersistentSet

try:
    from test import test_set as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class SetInPool(Rebuilt, PersistentSet):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, (), {})

    def __init__(self, iterable=(), /, **kwargs):
        if kwargs:
            raise TypeError("set() takes no keyword arguments")
        self.clear()
        self.update(iterable)


class SetSubclass(SetInPool):
    pass


class FrozenSetInPool(MadeWhole, PersistentFrozenSet):
    pass


class FrozenSetSubclass(FrozenSetInPool):
    pass


class TestSet(InPool, cpython.TestSet):
    thetype = SetInPool
    basetype = set


class TestSetSubclass(InPool, cpython.TestSetSubclass):
    thetype = SetSubclass
    basetype = set
    test_keywords_in_subclass = renamed(cpython.TestSetSubclass.test_keywords_in_subclass, set=SetInPool)


class TestFrozenSet(InPool, cpython.TestFrozenSet):
    thetype = FrozenSetInPool
    basetype = frozenset


class TestFrozenSetSubclass(InPool, cpython.TestFrozenSetSubclass):
    thetype = FrozenSetSubclass
    basetype = frozenset
    test_keywords_in_subclass = renamed(
        cpython.TestFrozenSetSubclass.test_keywords_in_subclass, frozenset=FrozenSetInPool
    )


REHASH = {
    "test_do_not_rehash_dict_keys": "counts calls of hash(), which the interpreter saves by keeping what it gave; what "
    "is stored has another hash, the same in every process"
}
exclude(TestSet, POINTLESS, REHASH)
exclude(TestSetSubclass, POINTLESS, REHASH)
exclude(TestFrozenSet, POINTLESS, REHASH)
exclude(TestFrozenSetSubclass, POINTLESS, REHASH)
exclude(
    TestFrozenSet,
    POINTLESS,
    {
        "test_copy": "asks for the same object; what is derived from a container is a builtin one, its copy too"
    },
)
