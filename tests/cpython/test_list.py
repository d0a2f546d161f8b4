"""The interpreter's own tests of list, run against PersistentList (see adapter.py)."""

import pytest
from adapter import MISSING, POINTLESS, InPool, Rebuilt, Tickets, adapted, exclude, rewritten

from pmemobj._list import PersistentList

try:
    from test import test_list
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class ListInPool(Rebuilt, PersistentList):
    def __new__(cls, *args, **kwargs):
        if kwargs and cls.__new__ is ListInPool.__new__ and cls.__init__ is ListInPool.__init__:
            raise TypeError("list() takes no keyword arguments")
        return cls._p_new(InPool.pool, (), {})

    def __init__(self, iterable=(), **kwargs):
        self[:] = iterable

    def __repr__(self):
        return super().__repr__()[len(type(self).__name__) + 1 : -1]  # without the name of the class


class TestList(InPool, rewritten(test_list, ["list"], list=ListInPool).ListTest):
    type2test = ListInPool
    codecs = Tickets


adapted(
    TestList, "test_repr test_repr_large", "our repr() without the name of the class, PersistentList([0, 1])"
)
exclude(TestList, POINTLESS, {"test_preallocation": "asks for the size of the builtin's structures"})
