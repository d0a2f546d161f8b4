"""The interpreter's own tests of set, run against PersistentSet.

They make sets by ``thetype(iterable)`` with objects of their own classes as elements.  So the adapter is
a subclass that makes its objects in a pool of this module, and the pool has a codec for every class that a pool
cannot store: the object stays in a Python dict by its hash, which is what is stored.
"""

import itertools
import unittest

import pytest

import pmemobj
from pmemobj import _values
from pmemobj._set import PersistentSet

try:
    from test import test_set as cpython
except ImportError as error:
    pytest.fail(
        f"the interpreter's own test suite is missing ({error}); Debian and Ubuntu have it in libpython3-testsuite",
        pytrace=False,
    )

#: Tests that do not apply, at most three: name -> reason.
EXCLUDED = {
    "test_pickling": "a persistent object lives in its pool: pickling one is a TypeError",
    "test_deepcopy": "the same for copying; pool.to_python() gives a plain copy",
    "test_do_not_rehash_dict_keys": "what is stored must have its stable hash, so the codec has to hash it",
}

current_pool = None


class HashCodecs(dict):
    """The pool's codecs by type: any class of the tests gets one when it is asked for."""

    numbers = itertools.count()

    def get(self, cls, default=None):
        if cls not in self:
            kept = {}

            def encode(value):
                kept.setdefault(hash(value), value)
                return hash(value)

            self[cls] = _values.Codec(f"{cls.__qualname__}-{next(self.numbers)}", encode, kept.__getitem__)
            _values.add_codec(cls, self[cls])
        return self[cls]


class SetInPool(PersistentSet):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(current_pool, args, kwargs)

    def __init__(self, *args, **kwargs):
        pass


class TestSet(cpython.TestJointOps, unittest.TestCase):
    thetype = SetInPool
    basetype = set

    @pytest.fixture(autouse=True)
    def _in_a_pool(self, tmp_path):
        global current_pool
        with pmemobj.open(tmp_path / "pool", max_size=64 << 20, sync="manual") as current_pool:
            current_pool.registry.codecs = HashCodecs()
            yield


def _excluded(name, reason):
    def excluded(self):
        pytest.skip(reason)

    excluded.__name__ = name
    return excluded


assert len(EXCLUDED) <= 3
for name, reason in EXCLUDED.items():
    assert hasattr(TestSet, name), name
    setattr(TestSet, name, _excluded(name, reason))
