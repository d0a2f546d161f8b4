"""The interpreter's own tests of dict, run against PersistentDict (see adapter.py)."""

import pytest
from adapter import MISSING, FilledLater, InPool, adapted

from pmemobj._dict import PersistentDict

try:
    from test import mapping_tests
    from test import test_dict as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class DictInPool(FilledLater, PersistentDict):
    def __repr__(self):
        return super().__repr__()[len(type(self).__name__) + 1 : -1]  # without the name of the class


class TestDict(InPool, mapping_tests.TestHashMappingProtocol):
    type2test = DictInPool


class TestGeneralMapping(InPool, cpython.GeneralMappingTests):
    type2test = DictInPool


class TestSubclassMapping(InPool, cpython.SubclassMappingTests):
    class type2test(DictInPool):
        pass


adapted(TestDict, "test_repr", "our repr() without the name of the class, PersistentDict({1: 2})")
