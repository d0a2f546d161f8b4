"""The interpreter's own tests of defaultdict, OrderedDict and Counter, run against ours (see adapter.py)."""

import functools
import types
import unittest

import pytest
from adapter import MISSING, InPool, Tickets, exclude

from pmemobj._dict_kinds import PersistentCounter, PersistentDefaultDict, PersistentOrderedDict

try:
    from test import mapping_tests, test_collections
    from test import test_defaultdict as cpython_default
    from test import test_ordered_dict as cpython_ordered
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)

NO_PICKLE = "a persistent object lives in its pool: pickling or copying one is a TypeError"
BY_NAME = "its factory is a lambda or a local function, which no name leads to"
PLAIN = "copy() gives a plain one"


def in_pool(method, make):
    """What a method gives, a plain copy, is put into the pool."""

    @functools.wraps(method)
    def wrapped(self, *args):
        result = method(self, *args)
        return result if result is NotImplemented else make(self, result)

    return wrapped


def with_copies_in_pool(base, names, make):
    return {name: in_pool(getattr(base, name), make) for name in names}


class DefaultInPool(PersistentDefaultDict):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, args, kwargs)

    def __init__(self, *args, **kwargs):
        pass


class OrderedInPool(PersistentOrderedDict):
    def __new__(cls, /, *args, **kwargs):
        return cls._p_new(InPool.pool, (), {})

    def __init__(self, /, *args, **kwargs):
        PersistentOrderedDict.update(self, *args, **kwargs)

    @classmethod
    def fromkeys(cls, iterable, value=None):
        return cls((key, value) for key in iterable)


class CounterInPool(PersistentCounter):
    def __new__(cls, /, *args, **kwargs):
        return cls._p_new(InPool.pool, (), {})

    def __init__(self, /, *args, **kwargs):
        PersistentCounter.update(self, *args, **kwargs)


DefaultInPool.__name__, OrderedInPool.__name__, CounterInPool.__name__ = (
    "defaultdict",
    "OrderedDict",
    "Counter",
)


for cls, base, names, make in (
    (DefaultInPool, PersistentDefaultDict, "copy", lambda o, d: type(o)(d.default_factory, d)),
    (OrderedInPool, PersistentOrderedDict, "copy", lambda o, d: type(o)(d)),
    (
        CounterInPool,
        PersistentCounter,
        "copy __add__ __sub__ __or__ __and__ __pos__ __neg__",
        lambda o, d: type(o)(d),
    ),
):
    for name, method in with_copies_in_pool(base, names.split(), make).items():
        setattr(cls, name, method)


@pytest.fixture(autouse=True)
def _classes_in_pools(monkeypatch):
    monkeypatch.setattr(cpython_default, "defaultdict", DefaultInPool)
    monkeypatch.setattr(test_collections, "Counter", CounterInPool)


class TestDefaultDict(InPool, cpython_default.TestDefaultDict):
    codecs = Tickets


class TestOrderedDict(InPool, cpython_ordered.OrderedDictTests, unittest.TestCase):
    module = types.SimpleNamespace(OrderedDict=OrderedInPool)
    OrderedDict = OrderedInPool


class TestOrderedMapping(InPool, mapping_tests.BasicTestMappingProtocol):
    type2test = OrderedInPool

    def test_popitem(self):
        with pytest.raises(KeyError):
            self._empty_mapping().popitem()


class TestCounter(InPool, test_collections.TestCounter):
    pass


exclude(
    TestDefaultDict,
    {
        "test_shallow_copy": NO_PICKLE,
        "test_deep_copy": NO_PICKLE,
        "test_pickling": NO_PICKLE,
        "test_recursive_repr": BY_NAME,
        "test_union": "| gives a plain defaultdict, and ours is no subclass of dict",
    },
)
OF_DICT = "calls a method of dict on it, and ours is no subclass of dict"
REPR = "repr shows the items as a dict does, like OrderedDict from Python 3.12 on"
exclude(
    TestOrderedDict,
    {
        "test_copying": PLAIN,
        "test_delitem_hash_collision": "needs a key that is found by identity alone; the adapter stores its hash",
        "test_dict_clear": OF_DICT,
        "test_dict_delitem": OF_DICT,
        "test_dict_pop": OF_DICT,
        "test_dict_popitem": OF_DICT,
        "test_dict_setdefault": OF_DICT,
        "test_dict_setitem": OF_DICT,
        "test_dict_update": OF_DICT,
        "test_highly_nested_subclass": "asks for the end of an object which the adapter keeps for the pool",
        "test_issue24347": "needs keys whose hash changes; what is stored must have a stable hash",
        "test_merge_operator": "| gives a plain OrderedDict",
        "test_pickle_recursive": NO_PICKLE,
        "test_reduce_not_too_fat": NO_PICKLE,
        "test_reference_loop": "asks for the end of a class derived from it",
        "test_repr": REPR,
        "test_repr_recursive": REPR,
        "test_repr_recursive_values": REPR,
        "test_sizeof": "asks for the size of the builtin's structures",
        "test_yaml_linkage": NO_PICKLE,
    },
)
exclude(
    TestCounter,
    {
        "test_basics": "asks whether it is a dict, which has its items in memory",
        "test_copying": NO_PICKLE,
        "test_helper_function": "calls the C helper that counts into a dict",
    },
)
