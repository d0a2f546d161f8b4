"""Crashes in every operation of the matrix; in larger numbers by tests/testing/campaign.py."""

import pytest

from pmemobj.testing import Budget
from tests.testing import matrix
from tests.testing.exploring import explored

FEW = {
    "journal": Budget(exhaustive=3, random=2, per_cut=6, nested=0),
    "direct": Budget(exhaustive=3, random=1, per_cut=2, nested=0),
}


def part_of(name, engine):
    """The operations at one of the sizes; under the direct engine, where each has many moments, some of them."""
    row = matrix.ROWS[name]
    names = list(row.operations)[:: 1 if engine == "journal" else 4]
    size = row.sizes[len(row.sizes) // 2]
    return matrix.case_of(f"{name} of {size}", name, size, [[(n,)] for n in names])


@pytest.mark.parametrize("engine", FEW)
@pytest.mark.parametrize("name", matrix.ROWS)
def test_every_row(engine, name):
    report = explored(part_of(name, engine), engine, FEW[engine])
    assert report.images > 20


def test_what_an_operation_did_is_compared_with_builtins(pool):
    pool.root = [[1, 2], [3]]
    matrix.Step("list", ("reverse",), 0)(pool)
    with pytest.raises(matrix.WrongError, match="instead of"):
        matrix.Step("list", ("append",), 1)(_Forgetful(pool))


class _Forgetful:
    """A pool whose second container loses what is appended to it."""

    def __init__(self, pool):
        self.root = [None, _Deaf([3])]
        self.to_python = list


class _Deaf(list):
    def append(self, value):
        pass


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("engine", FEW)
@pytest.mark.parametrize("name", matrix.ROWS)
def test_all_pairs(engine, name):
    for case in matrix.pairs(name):
        explored(case, engine, FEW[engine])
