"""explore(): right operations pass, wrong ones are found."""

import pytest

from pmemobj.testing import Budget, explore
from tests.testing import operations as op

QUICK = Budget(exhaustive=6, random=8, per_cut=60, nested=20)


@pytest.mark.parametrize("sync", ["commit", "manual"])
def test_operations_and_transactions_are_atomic(sync):
    report = explore([op.append, op.insert, op.transfer, op.undone], op.start, sync=sync, budget=QUICK)
    assert report.ok, report
    assert report.kills > 20
    assert report.power_losses > 100
    assert report.nested > 10
    assert report.states == 4  # undone() ends where it began


def test_crashes_inside_recovery_under_the_direct_engine():
    budget = Budget(exhaustive=2, random=2, per_cut=3, nested=40)
    report = explore(op.append, op.start, engine="direct", faults=["power"], budget=budget)
    assert report.ok, report
    assert report.nested > 20


def test_two_operations_are_not_one():
    report = explore(op.two_operations, op.start, budget=QUICK)
    assert not report.ok
    assert "[1, 2, 3, 4]" in report.bugs[0].what


def test_check_is_asked():
    report = explore(
        op.two_operations, op.start, observe=op.length, check=op.no_four, budget=QUICK, faults=["kill"]
    )
    assert any("there is a four" in bug.what for bug in report.bugs)


def test_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="there are 'power', 'kill'"):
        explore(op.append, op.start, faults=["meteor"])
