"""The interpreter's own tests of defaultdict, OrderedDict and Counter, run against ours (see adapter.py)."""

import contextlib
import functools
import types
from collections import _count_elements
from typing import ClassVar

import pytest
from adapter import (
    MISSING,
    POINTLESS,
    AnyDict,
    FilledLater,
    InPool,
    Rebuilt,
    Tickets,
    WeakTickets,
    adapted,
    exclude,
    refusals_are,
    rewritten,
)

from pmemobj._dict_kinds import PersistentCounter, PersistentDefaultDict, PersistentOrderedDict

try:
    from test import test_collections, test_ordered_dict
    from test import test_defaultdict as cpython_default
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


def in_pool(base, names):
    """A decorator: what these methods give, a plain copy, is put into the pool."""

    def changed(method):
        @functools.wraps(method)
        def wrapped(self, *args):
            result = method(self, *args)
            return result if result is NotImplemented else self.like(result)

        return wrapped

    def decorate(cls):
        for name in names.split():
            setattr(cls, name, changed(getattr(base, name)))
        return cls

    return decorate


@in_pool(PersistentDefaultDict, "copy __or__ __ror__")
class DefaultInPool(Rebuilt, PersistentDefaultDict):
    def __new__(cls, *args, **kwargs):
        return cls._p_new(InPool.pool, args, kwargs)

    def __init__(self, *args, **kwargs):
        pass

    def like(self, plain):
        return type(self)(plain.default_factory, plain)


@in_pool(PersistentOrderedDict, "copy __or__ __ror__")
class OrderedInPool(FilledLater, PersistentOrderedDict):
    def like(self, plain):
        return type(self)(plain)


@in_pool(PersistentCounter, "copy __add__ __sub__ __or__ __and__ __pos__ __neg__")
class CounterInPool(FilledLater, PersistentCounter):
    fromkeys = PersistentCounter.fromkeys

    def __init__(self, /, *args, **kwargs):
        if type(self) is CounterInPool or kwargs:
            super().__init__(*args, **kwargs)
        else:  # as Counter does, whose helper calls what a derived class has
            for iterable in args:
                _count_elements(self, iterable)

    def like(self, plain):
        made = type(self)()
        for key, count in plain.items():
            made[key] = count
        return made


class HoldingOrdered(OrderedInPool):
    """Its proxy holds those of the values, as the builtin one holds these."""

    def __init__(self, items=()):
        super().__init__(items)
        self.held = list(self.values())


DefaultInPool.__name__, OrderedInPool.__name__, CounterInPool.__name__ = (
    "defaultdict",
    "OrderedDict",
    "Counter",
)

cpython_ordered = rewritten(test_ordered_dict, dict=AnyDict)
cpython_counter = rewritten(test_collections, dict=AnyDict, OrderedDict=OrderedInPool, Counter=CounterInPool)


@pytest.fixture(autouse=True)
def _classes_in_pools(monkeypatch):
    monkeypatch.setattr(cpython_default, "defaultdict", DefaultInPool)


class TestDefaultDict(InPool, cpython_default.TestDefaultDict):
    codecs = Tickets

    def assertDictEqual(self, first, second, msg=None):
        assert isinstance(first, AnyDict) and isinstance(second, AnyDict), msg
        assert first == second, msg


class TestOrderedDict(InPool, cpython_ordered.CPythonOrderedDictTests):
    module = types.SimpleNamespace(OrderedDict=OrderedInPool)
    OrderedDict = OrderedInPool
    codecs = Tickets
    codecs_of: ClassVar = {"test_reference_loop": WeakTickets}
    assertDictEqual = TestDefaultDict.assertDictEqual

    def test_highly_nested_subclass(self):
        self.OrderedDict = HoldingOrdered
        super().test_highly_nested_subclass()


class TestOrderedMapping(InPool, cpython_ordered.CPythonGeneralMappingTests):
    type2test = OrderedInPool
    setUpClass = None


class TestOrderedSubclassMapping(InPool, cpython_ordered.CPythonSubclassMappingTests):
    setUpClass = None

    class type2test(OrderedInPool):
        pass


class TestOrderedAsCache(InPool, cpython_ordered.CSimpleLRUCacheTests):
    setUpClass = None

    class type2test(cpython_ordered.SimpleLRUCache, OrderedInPool):
        pass


class TestCounter(InPool, cpython_counter.TestCounter):
    pass


OF_DICT = "what it calls on dict is called on PersistentDict, whose instances ours are"
adapted(TestDefaultDict, "test_union", OF_DICT)
adapted(TestCounter, "test_basics", OF_DICT)
adapted(TestOrderedDict, "test_dict_clear test_dict_setdefault test_dict_setitem test_dict_update", OF_DICT)
adapted(
    TestOrderedDict,
    "test_reference_loop",
    "the adapter keeps no stored object alive, as a pool does not either",
)
adapted(TestOrderedDict, "test_highly_nested_subclass", "the adapter's proxies hold those of their values")
refusals_are(
    lambda error: contextlib.nullcontext(),
    TestOrderedDict,
    "test_dict_delitem test_dict_pop test_dict_popitem",
    "asks for the KeyError of an order and a table that have come apart; ours are one thing, and must work",
)
refusals_are(
    contextlib.suppress,
    TestOrderedDict,
    "test_issue24347",
    "keys whose hash changes may be found or not; that nothing crashes is asked",
)
exclude(
    TestOrderedDict,
    POINTLESS,
    {
        "test_sizeof": "asks for the size of the builtin's structures",
        "test_sizeof_exact": "asks for the size of the builtin's structures",
    },
)
