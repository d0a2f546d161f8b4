"""The interpreter's own tests of deque, run against PersistentDeque (see adapter.py)."""

from typing import ClassVar

import pytest
from adapter import (
    IMPOSSIBLE,
    MISSING,
    POINTLESS,
    InPool,
    Rebuilt,
    Tickets,
    WeakTickets,
    adapted,
    exclude,
    rewritten,
)
from test_list import ListInPool

from pmemobj._deque import PersistentDeque

try:
    from test import test_deque as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class DequeInPool(Rebuilt, PersistentDeque):
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


with_lists_in_pool = rewritten(cpython, ["list"], list=ListInPool)
with_lists_in_pool.deque = DequeInPool


class TestDeque(InPool, cpython.TestBasic):
    codecs = Tickets
    test_deepcopy = with_lists_in_pool.TestBasic.test_deepcopy
    codecs_of: ClassVar = {"test_container_iterator": WeakTickets}


class TestDequeAsSequence(InPool, cpython.TestSequence):
    type2test = DequeInPool
    codecs = Tickets


class TestDequeIteratorArguments(InPool, cpython.TestVariousIteratorArgs):
    codecs = Tickets


adapted(
    TestDeque,
    "test_container_iterator",
    "the adapter keeps no stored object alive, as a pool does not either",
)
adapted(TestDeque, "test_deepcopy", "its list is made in the pool, where a plain one would only be copied")
exclude(
    TestDeque,
    IMPOSSIBLE,
    {
        "test_copy": "asks for the identity of loaded floats; values are copied in and out, only objects keep theirs"
    },
)
exclude(TestDeque, POINTLESS, {"test_sizeof": "asks for the size of the builtin's structures"})
