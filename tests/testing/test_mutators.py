"""Crashes of our own operations; in larger numbers in tests/reliability/crashes.py."""

import pytest

from pmemobj.testing import Budget
from tests.reliability.crashes import explored
from tests.testing.mutators import WORK


@pytest.mark.parametrize("name", WORK)
def test_journal(name):
    report = explored("journal", name, Budget(exhaustive=4, random=8, per_cut=12, nested=0))
    assert report.images > 50


@pytest.mark.long
@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("engine", ["journal", "direct"])
def test_both_engines(engine, name):
    assert explored(engine, name, Budget(exhaustive=10, random=64, per_cut=300, nested=50)).images > 500
