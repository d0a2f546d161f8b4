"""The explorer notices when a sync is left out: here it is told of each to believe that it did nothing."""

import importlib

import pytest

from pmemobj.testing import Budget
from pmemobj.testing.crew import Crew
from pmemobj.testing.disk import SECTOR, WORD, Disk, Kind
from pmemobj.testing.record import record
from pmemobj.testing.worker import Questions
from tests.testing import operations as op

explorer = importlib.import_module("pmemobj.testing.explore")
QUICK = Budget(exhaustive=6, random=30, per_cut=150, nested=0)


@pytest.fixture(params=["journal", pytest.param("direct", marks=pytest.mark.long)])
def traced(request):
    """(the run, its workers, numbers of the syncs that make the first step durable)."""
    questions = Questions(
        explorer.NAME, {**explorer.OPTIONS, "engine": request.param}, explorer.whole_root, None
    )
    run = record([op.append, op.insert], op.start, questions, create=False)
    disk, mark, needed = Disk(SECTOR if request.param == "journal" else WORD), None, []
    for event in disk.replay(run.trace):
        if event.kind is Kind.MARK:
            mark = event.offset
        ends = event.kind in (Kind.SYNC_END, Kind.FENCE)
        if mark == 0 and ends and any(sync.contents for sync in disk._syncs if sync.ends_with(event)):
            needed.append(disk.syncs)
    workers = Crew(2, questions)
    yield run, workers, needed
    workers.close()


def explored(run, workers, ignored):
    return explorer._Explorer(
        run,
        workers,
        QUICK,
        frozenset({"power"}),
        durable=True,
        create=False,
        around=False,
        ignored_sync=ignored,
    ).explore()


def test_a_sync_that_is_left_out_is_noticed(traced):
    run, workers, needed = traced
    assert needed
    assert explored(run, workers, None).ok
    unnoticed = [number for number in needed if explored(run, workers, number).ok]
    assert unnoticed == []


@pytest.mark.parametrize("durable", [True, False])
def test_a_commit_that_was_acknowledged_must_not_be_lost(durable):
    """Under the policy "manual" a power loss may take commits: right only where nothing was promised."""
    options = {**explorer.OPTIONS, "sync": "manual"}
    questions = Questions(explorer.NAME, options, explorer.whole_root, None)
    run = record([op.append, op.insert], op.start, questions, create=False)
    workers = Crew(2, questions)
    try:
        report = explorer._Explorer(
            run, workers, QUICK, frozenset({"power"}), durable=durable, create=False, around=False
        ).explore()
    finally:
        workers.close()
    assert report.ok is not durable
    assert not durable or "after none of the operations that may count" in report.bugs[0].what
