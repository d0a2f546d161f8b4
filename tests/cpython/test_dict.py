"""The interpreter's own tests of dict, run against PersistentDict (see adapter.py)."""

import pytest
from adapter import MISSING, InPool, exclude

from pmemobj._dict import PersistentDict

try:
    from test import mapping_tests
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)

EXCLUDED = {
    "test_repr": "repr names the class: PersistentDict({1: 2}), not {1: 2}",
    "test_copy": "copy() gives a plain dict",
    "test_fromkeys": "fromkeys() gives a plain dict: the class has no pool to make a PersistentDict in",
}


class DictInPool(PersistentDict):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, args, kwargs)

    def __init__(self, *args, **kwargs):
        pass


class TestDict(InPool, mapping_tests.TestHashMappingProtocol):
    type2test = DictInPool


exclude(TestDict, EXCLUDED)
