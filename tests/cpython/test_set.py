"""The interpreter's own tests of set, run against PersistentSet (see adapter.py)."""

import unittest

import pytest
from adapter import MISSING, InPool, exclude

from pmemobj._set import PersistentSet

try:
    from test import test_set as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)

EXCLUDED = {
    "test_pickling": "a persistent object lives in its pool: pickling one is a TypeError",
    "test_deepcopy": "the same for copying; pool.to_python() gives a plain copy",
    "test_do_not_rehash_dict_keys": "what is stored must have its stable hash, so the codec has to hash it",
}


class SetInPool(PersistentSet):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, args, kwargs)

    def __init__(self, *args, **kwargs):
        pass


class TestSet(InPool, cpython.TestJointOps, unittest.TestCase):
    thetype = SetInPool
    basetype = set


exclude(TestSet, EXCLUDED)
