"""The interpreter's own tests of deque, run against PersistentDeque (see adapter.py)."""

import pytest
from adapter import MISSING, InPool, Tickets, exclude

from pmemobj._deque import PersistentDeque

try:
    from test import test_deque as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)

NO_PICKLE = "a persistent object lives in its pool: pickling one is a TypeError"
NO_COPY = "the same for copy.copy() and deepcopy(): copy() and pool.to_python() give plain copies"


class DequeInPool(PersistentDeque):
    def __new__(cls, iterable=(), maxlen=None):
        return cls._p_new(InPool.pool, ((), maxlen), {})

    def __init__(self, iterable=(), maxlen=None):
        self.clear()
        self.extend(iterable)


DequeInPool.__name__ = "deque"  # what repr says, and the tests evaluate


@pytest.fixture(autouse=True)
def _make_deques(monkeypatch):
    """The tests find the class under the name deque of their module."""
    monkeypatch.setattr(cpython, "deque", DequeInPool)
    monkeypatch.setattr(cpython, "BIG", 10_000)


class TestDeque(InPool, cpython.TestBasic):
    codecs = Tickets


class TestDequeAsSequence(InPool, cpython.TestSequence):
    type2test = DequeInPool
    codecs = Tickets


class TestDequeIteratorArguments(InPool, cpython.TestVariousIteratorArgs):
    codecs = Tickets


exclude(
    TestDeque,
    {
        "test_container_iterator": "asks whether the collector frees an object which the adapter keeps for the pool",
        "test_copy": NO_COPY,
        "test_deepcopy": NO_COPY,
        "test_iterator_pickle": "the same for iterators",
        "test_pickle": NO_PICKLE,
        "test_pickle_recursive": NO_PICKLE,
        "test_reversed_new": "calls the type of an iterator, which only iter() and reversed() make",
        "test_sizeof": "asks for the size of the builtin's structures",
    },
)
exclude(TestDequeAsSequence, {"test_pickle": NO_PICKLE})
