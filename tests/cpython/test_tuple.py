"""The interpreter's own tests of sequences, run against PersistentTuple (see adapter.py)."""

import functools
import gc
import types

import pytest
from adapter import MISSING, POINTLESS, InPool, MadeWhole, Tickets, adapted, exclude, rewritten

from pmemobj._tuple import PersistentTuple

try:
    from test import test_tuple
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


class TupleInPool(MadeWhole, PersistentTuple):
    def __repr__(self):
        return super().__repr__()[len(type(self).__name__) + 1 : -1]  # without the name of the class


TupleInPool.__name__ = "tuple"  # what messages say


# A collection of what is young, which a tuple in the making is, takes less time.
young = types.SimpleNamespace(collect=functools.partial(gc.collect, 0))
cpython = rewritten(test_tuple, ["tuple"], tuple=TupleInPool, gc=young)


class TestTuple(InPool, cpython.TupleTest):
    type2test = TupleInPool
    codecs = Tickets

    def _tracked(self, value):
        before = list(value)
        young.collect()
        self.assertEqual(list(value), before)

    _not_tracked = _tracked


adapted(
    TestTuple,
    "test_repr test_repr_large",
    "our repr() without the name of the class, PersistentTuple((0, 1))",
)
adapted(
    TestTuple,
    "test_bug7466 test_track_literals test_track_subtypes",
    "which tuples the interpreter's collector looks at is its own affair; that it harms none is asked instead",
)
exclude(
    TestTuple,
    POINTLESS,
    {"test_track_dynamic": "asks which tuples the interpreter's collector looks at, and nothing else"},
)
