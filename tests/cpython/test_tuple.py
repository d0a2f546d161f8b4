"""The interpreter's own tests of sequences, run against PersistentTuple (see adapter.py)."""

import unittest

import pytest
from adapter import MISSING, InPool, Tickets, exclude

from pmemobj._tuple import PersistentTuple

try:
    from test import seq_tests
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class TupleInPool(PersistentTuple):
    def __new__(cls, iterable=()):
        return cls._p_new(InPool.pool, (iterable,), {})

    def __init__(self, iterable=()):
        pass


class TestTuple(InPool, seq_tests.CommonTest, unittest.TestCase):
    type2test = TupleInPool
    codecs = Tickets


exclude(
    TestTuple,
    {"test_pickle": "a persistent object lives in its pool: pickling or copying one is a TypeError"},
)
