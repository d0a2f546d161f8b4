"""The interpreter's own tests of list, run against PersistentList (see adapter.py)."""

import pytest
from adapter import MISSING, InPool, Tickets, exclude

from pmemobj._list import PersistentList

try:
    from test import list_tests
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)

EXCLUDED = {
    "test_repr": "repr names the class: PersistentList([0, 1]), not [0, 1]",
    "test_remove": "asks for the identity of a loaded str; values are copied in and out, only objects keep theirs",
    "test_pickle": "a persistent object lives in its pool: pickling one is a TypeError",
}


class ListInPool(PersistentList):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, (), {})

    def __init__(self, iterable=()):
        self[:] = iterable


class TestList(InPool, list_tests.CommonTest):
    type2test = ListInPool
    codecs = Tickets


exclude(TestList, EXCLUDED)
