"""The interpreter's own tests of list, run against PersistentList.

They make lists by ``type2test(iterable)`` and put objects of their own classes into them.  So the adapter is a
subclass that makes its objects in a pool of this module, and the pool has a codec for every class that a pool
cannot store: the object stays in a Python list, its number is what is stored.
"""

import itertools

import pytest

import pmemobj
from pmemobj import _values
from pmemobj._list import PersistentList

try:
    from test import list_tests
except ImportError as error:
    pytest.fail(
        f"the interpreter's own test suite is missing ({error}); Debian and Ubuntu have it in libpython3-testsuite",
        pytrace=False,
    )

#: Tests that do not apply, at most three: name -> reason.
EXCLUDED = {
    "test_repr": "repr names the class: PersistentList([0, 1]), not [0, 1]",
    "test_remove": "asks for the identity of a loaded str; values are copied in and out, only objects keep theirs",
    "test_pickle": "a persistent object lives in its pool: pickling one is a TypeError",
}

current_pool = None


class Tickets(dict):
    """The pool's codecs by type: any class of the tests gets one when it is asked for."""

    numbers = itertools.count()

    def get(self, cls, default=None):
        if cls not in self:
            kept = []

            def encode(value):
                kept.append(value)
                return len(kept) - 1

            self[cls] = _values.Codec(f"{cls.__qualname__}-{next(self.numbers)}", encode, kept.__getitem__)
            _values.add_codec(cls, self[cls])
        return self[cls]


class ListInPool(PersistentList):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(current_pool, (), {})

    def __init__(self, iterable=()):
        self[:] = iterable


class TestList(list_tests.CommonTest):
    type2test = ListInPool

    @pytest.fixture(autouse=True)
    def _in_a_pool(self, tmp_path):
        global current_pool
        with pmemobj.open(tmp_path / "pool", max_size=64 << 20, sync="manual") as current_pool:
            current_pool.registry.codecs = Tickets()
            yield


def _excluded(name, reason):
    def excluded(self):
        pytest.skip(reason)

    excluded.__name__ = name
    return excluded


assert len(EXCLUDED) <= 3
for name, reason in EXCLUDED.items():
    assert hasattr(TestList, name), name
    setattr(TestList, name, _excluded(name, reason))
