"""The interpreter's own tests of dict views, run against those of PersistentDict (see adapter.py)."""

import pytest
from adapter import MISSING, InPool, Tickets, exclude, with_displays
from test_dict import DictInPool

try:
    from test import test_dictviews
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)

# Its dicts are displays: {1: 2}.
cpython = with_displays(test_dictviews, dict=DictInPool)


class TestDictViews(InPool, cpython.DictSetTest):
    codecs = Tickets


exclude(
    TestDictViews,
    {
        "test_compare_error": "needs a key that is found by identity alone; what is stored has a stable hash",
        "test_dict_repr": "asks for dict_items(...) and the like: repr names our views",
    },
)
