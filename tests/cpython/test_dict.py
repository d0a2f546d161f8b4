"""The interpreter's own tests of dict, run against PersistentDict.

They make dicts by ``type2test(...)`` and use objects of their own classes as keys and values.  So the adapter is
a subclass that makes its objects in a pool of this module, and the pool has a codec for every class that a pool
cannot store: the object stays in a Python dict by its hash, which is what is stored.
"""

import itertools

import pytest

import pmemobj
from pmemobj import _list, _values  # noqa: F401 - a list stored becomes a PersistentList
from pmemobj._dict import PersistentDict

try:
    from test import mapping_tests
except ImportError as error:
    pytest.fail(
        f"the interpreter's own test suite is missing ({error}); Debian and Ubuntu have it in libpython3-testsuite",
        pytrace=False,
    )

#: Tests that do not apply, at most three: name -> reason.
EXCLUDED = {
    "test_repr": "repr names the class: PersistentDict({1: 2}), not {1: 2}",
    "test_copy": "copy() gives a plain dict",
    "test_fromkeys": "fromkeys() gives a plain dict: the class has no pool to make a PersistentDict in",
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


class DictInPool(PersistentDict):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(current_pool, args, kwargs)

    def __init__(self, *args, **kwargs):
        pass


class TestDict(mapping_tests.TestHashMappingProtocol):
    type2test = DictInPool

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
    assert hasattr(TestDict, name), name
    setattr(TestDict, name, _excluded(name, reason))
