"""Crashes in every operation of the matrix; in larger numbers by tests/testing/campaign.py."""

import itertools
import random

import pytest

from pmemobj.testing import Budget
from tests.testing import campaign, matrix, rows_classes
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
    case = part_of(name, engine)
    report = explored(case, engine, FEW[engine])
    assert report.images > (10 if len(case.steps) > 1 else 3)


def test_what_an_operation_did_is_compared_with_builtins(pool):
    pool.root = [[1, 2], [3]]
    matrix.Step("list", ("reverse",), 0)(pool)
    with pytest.raises(matrix.WrongError, match="instead of"):
        matrix.Step("list", ("append",), 1)(_Forgetful(pool))


def test_a_part_of_a_case_has_the_containers_of_its_steps_only(pool):
    case = next(matrix.undone("list"))
    part = matrix.part(case, 3, random.Random(5))
    part.start(pool)
    assert len(pool.root) == 3
    assert [step.place for step in part.steps] == [0, 0, 1, 1, 2, 2]
    assert {(step.names, step.undone) for step in part.steps} < {(s.names, s.undone) for s in case.steps}


def test_the_row_of_upgrades_begins_with_objects_of_the_older_class(pool, reopen):
    pool.root = [rows_classes.old(pool, 2)]
    assert set(vars(pool.root[0])) == {"text", "before"}
    pool = reopen(pool)
    upgraded = pool.root[0]
    assert type(upgraded) is rows_classes.Upgraded
    assert upgraded.plain()[-1] == "1"
    assert set(vars(upgraded)) == {"parts", "count", "before"}


def test_the_campaign_of_ci_goes_through_all_rows():
    cases = itertools.islice(campaign.ci_cases("direct"), 2 * len(matrix.ROWS))
    assert [case.steps[0].row for case in cases] == [*matrix.ROWS] * 2


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


def test_a_crash_between_two_steps_of_freeing_a_large_table():
    """Each step is an operation of its own; the table counts its entries right after each of them."""
    case = next(matrix.single("owner", large=True))
    report = explored(case, "journal", FEW["journal"], sync="synced", faults=frozenset({"kill"}))
    assert report.kills > 5


@pytest.mark.parametrize("name", ["list", "dict", "transactions"])
def test_commits_that_go_through_the_ring(name):
    """A sync() at the end of each step makes it durable, under a policy that promises nothing by itself."""
    row = matrix.ROWS[name]
    case = matrix.case_of(name, name, row.small, [[(n,)] for n in list(row.operations)[::3]])
    report = explored(case, "journal", FEW["journal"], sync="synced")
    assert report.power_losses > 20


def test_direct_engine_on_a_disk(monkeypatch):
    """A flush is an msync, and many of them are one sync of the file."""
    monkeypatch.setenv("PMEM_IS_PMEM_FORCE", "0")
    case = matrix.case_of("list of 8", "list", 8, [[(n,)] for n in ("append", "extend", "pop", "sort")])
    report = explored(case, "direct", FEW["direct"])
    assert report.images > 20


def test_allocations_of_libpmemobj_on_a_disk(monkeypatch):
    """What a commit has reserved or wanted to free is freed by recovery, which may be cut short."""
    monkeypatch.setenv("PMEM_IS_PMEM_FORCE", "0")
    case = matrix.case_of("spans", "spans", 1, [[("600000 bytes",), ("free",)]])
    report = explored(case, "direct", Budget(exhaustive=1, random=1, per_cut=3, nested=25))
    assert report.images > 20 and report.nested > 20
