"""The interpreter's own tests of bytearray, run against PersistentByteArray (see adapter.py)."""

import pytest
from adapter import IMPOSSIBLE, MISSING, InPool, Rebuilt, adapted, exclude

from pmemobj import PersistentByteArray

try:
    from test import test_bytes as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class ByteArrayInPool(Rebuilt, PersistentByteArray):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, args, kwargs)

    def __init__(self, *args, **kwargs):
        pass

    # What is derived is a plain bytearray; two tests ask for the class.

    def __mod__(self, values):
        return type(self)(super().__mod__(values))

    def translate(self, *args, **kwargs):
        return type(self)(super().translate(*args, **kwargs))


ByteArrayInPool.__name__ = "bytearray"  # what repr says, and the tests evaluate


@pytest.fixture(autouse=True)
def _make_byte_arrays(monkeypatch):
    """The tests find the class under the name bytearray of their module."""
    monkeypatch.setattr(cpython, "bytearray", ByteArrayInPool, raising=False)


class TestByteArray(InPool, cpython.ByteArrayTest):
    type2test = ByteArrayInPool

    def test_sq_item(self):
        self.type2test = lambda items: InPool.pool.new(PersistentByteArray, items)
        super().test_sq_item()


class TestByteArrayAsString(InPool, cpython.ByteArrayAsStringTest):
    type2test = ByteArrayInPool


class TestByteArrayPEP3137(InPool, cpython.BytearrayPEP3137Test):
    def marshal(self, x):
        return ByteArrayInPool(x)


adapted(
    TestByteArray,
    "test_sq_item",
    "made by pool.new(), since a class made in Python has other C slots",
)
exclude(
    TestByteArray,
    IMPOSSIBLE,
    {
        "test_bytearray_api": "reads a file into the array, whose memory cannot be written to without a log; "
        "writing() gives a view for that",
        "test_init_alloc": "looks at what a filling array holds; ours holds all that it is given, or nothing",
    },
)
