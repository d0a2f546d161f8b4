"""The interpreter's own tests of bisect and heapq, whose functions get a PersistentList for each list (adapter.py)."""

import bisect
import functools
import types
import unittest

import pytest
from adapter import MISSING, InPool, Rebuilt, Tickets, rewritten

from pmemobj._list import PersistentList

try:
    from test import test_bisect, test_heapq
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


def with_persistent_lists(function):
    """Lists among the arguments are copied to the pool, and back when the call has ended."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        kept = []

        def persistent(value):
            if type(value) is not list:
                return value
            kept.append((value, InPool.pool.new(PersistentList, value)))
            return kept[-1][1]

        try:
            return function(*map(persistent, args), **{name: persistent(arg) for name, arg in kwargs.items()})
        finally:
            for plain, stored in kept:
                plain[:] = stored

    return call


def module_of(module, names):
    functions = {name: with_persistent_lists(getattr(module, name)) for name in names}
    return types.SimpleNamespace(**functions)


BISECT = module_of(bisect, ["bisect", "bisect_left", "bisect_right", "insort", "insort_left", "insort_right"])
#: The one in C takes nothing but a list.
HEAPQ = module_of(
    test_heapq.py_heapq,
    [
        "heapify",
        "heappush",
        "heappop",
        "heapreplace",
        "heappushpop",
        "nlargest",
        "nsmallest",
        "merge",
        "_heappop_max",
        "_heapreplace_max",
        "_heapify_max",
    ],
)


class TestBisect(InPool, test_bisect.TestBisect, unittest.TestCase):
    module = BISECT
    codecs = Tickets


class TestInsort(InPool, test_bisect.TestInsort, unittest.TestCase):
    module = BISECT
    codecs = Tickets


class TestBisectErrors(InPool, test_bisect.TestErrorHandling, unittest.TestCase):
    module = BISECT
    codecs = Tickets


class TestHeap(InPool, test_heapq.TestHeap, unittest.TestCase):
    module = HEAPQ
    codecs = Tickets


class ListInPool(Rebuilt, PersistentList):
    def __new__(cls, iterable=()):
        return cls._p_new(InPool.pool, (iterable,), {})

    def __init__(self, iterable=()):
        pass


# Their comparisons change the lists, which so are made in the pool.
ERRORS = rewritten(test_heapq, ["list"], list=ListInPool)


class TestHeapErrors(InPool, ERRORS.TestErrorHandling, unittest.TestCase):
    module = test_heapq.py_heapq
    codecs = Tickets


BISECT.bisect, BISECT.insort = BISECT.bisect_right, BISECT.insort_right  # as one of the tests asks
