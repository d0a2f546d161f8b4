"""The interpreter's own tests of sequences, run against PersistentTuple (see adapter.py)."""

import pytest
from adapter import MISSING, InPool, Tickets, exclude

from pmemobj._tuple import PersistentTuple

try:
    from test import seq_tests
    from test import test_tuple as cpython
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class TupleInPool(PersistentTuple):
    def __new__(cls, iterable=()):
        return cls._p_new(InPool.pool, (iterable,), {})

    def __init__(self, iterable=()):
        pass


TupleInPool.__name__ = "tuple"  # what messages say


@pytest.fixture(autouse=True)
def _make_tuples(monkeypatch):
    """The tests find the class under the name tuple."""
    monkeypatch.setattr(cpython, "tuple", TupleInPool, raising=False)


class TestTuple(InPool, cpython.TupleTest):
    type2test = TupleInPool
    codecs = Tickets
    test_constructors_of_sequences = seq_tests.CommonTest.test_constructors


NO_PICKLE = "a persistent object lives in its pool: pickling or copying one is a TypeError"
TRACKED = "asks which tuples the interpreter's collector looks at"
exclude(
    TestTuple,
    {
        "test_bug7466": TRACKED,
        "test_constructors": "asks for tuple(t) being t: each call makes an object; the rest is run on its own",
        "test_iterator_pickle": "the same for iterators",
        "test_keywords_in_subclass": "gives keywords to derived classes; objects of a pool are made by pool.new()",
        "test_pickle": NO_PICKLE,
        "test_repr": "repr names the class: PersistentTuple((0, 1)), not (0, 1)",
        "test_reversed_pickle": "the same for iterators",
        "test_track_dynamic": TRACKED,
    },
)
