"""The interpreter's own tests of dict views, run against those of PersistentDict (see adapter.py)."""

import pytest
from adapter import MISSING, HashedTickets, InPool, adapted, rewritten
from test_dict import DictInPool

try:
    from test import test_dictviews
except ImportError as error:
    pytest.fail(MISSING(error), pytrace=False)


def builtin_repr(view):
    """With the name that the builtin view has."""
    text = repr(view)
    for name in ("keys", "values", "items"):
        text = text.replace(f"PersistentDict{name.title()}(", f"dict_{name}(")
    return text


cpython = rewritten(test_dictviews, ["dict"], dict=DictInPool, repr=builtin_repr)


class TestDictViews(InPool, cpython.DictSetTest):
    codecs = HashedTickets


adapted(TestDictViews, "test_dict_repr", "our views have names of their own, as PersistentDictKeys")
