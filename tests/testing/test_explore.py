"""explore(): right operations pass, wrong ones are found."""

import importlib
import re

import pytest

import pmemobj
from pmemobj.testing import Budget, explore, replay
from pmemobj.testing.explore import fewest
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


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Images of bugs are kept in the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("engine", "faults"), [("journal", "kill"), ("journal", "power"), ("direct", "power")]
)
def test_a_token_gives_the_same_image_again(here, engine, faults):
    budget = Budget(exhaustive=4, random=4, per_cut=8, nested=0)
    report = explore(op.two_operations, op.start, engine=engine, budget=budget, faults=[faults])
    bug = report.bugs[0]
    assert f"replay({bug.token!r})" in str(report)
    assert replay(bug.token) == bug.what
    assert replay(bug.token, observe=op.nothing) is not None  # not one of the states that were observed
    assert replay(bug.token, lay_out=here / "files") == bug.what
    with pmemobj.open(here / "files" / "explored.pool", "w") as pool:
        assert pool.to_python(pool.root["items"]) == [1, 2, 3, 4]


def test_a_token_that_is_not_there(here):
    with pytest.raises(FileNotFoundError):
        replay("crash-000000000000")


def test_a_bug_names_the_line_of_the_program(here):
    report = explore(op.two_operations, op.start, budget=QUICK, faults=["kill"])
    first = report.bugs[0]
    assert re.fullmatch(r'operations.py:\d+: pool.root\["items"\].append\([45]\)', first.line), first.line
    assert f"(moment {first.event})" in str(first)


def test_a_lost_write_names_the_line_that_made_it(here, monkeypatch):
    """Told of a sync to believe that it did nothing, the explorer loses what the line before it has written."""
    explorer = importlib.import_module("pmemobj.testing.explore")
    disk = explorer.Disk

    monkeypatch.setattr(explorer, "Disk", lambda unit, ignored=None: Deaf(disk, unit))
    budget = Budget(exhaustive=6, random=8, per_cut=60, nested=0)
    report = explore(op.append, op.start, budget=budget, faults=["power"])
    lost = [text for bug in report.bugs for text in bug.lost]
    assert any("written at operations.py" in text and "append(" in text for text in lost), report


class Deaf:
    """A disk that ignores every sync from an event of that kind on."""

    def __init__(self, disk, unit, since="MARK"):
        self.disk = disk(unit)
        self.cut = self.disk.cut
        self.since = since

    def replay(self, trace):
        for event in self.disk.replay(trace):
            if event.kind.name == self.since:
                self.disk._is_ignored = lambda: True
            yield event


@pytest.mark.parametrize("engine", ["journal", "direct"])
def test_a_crash_inside_recovery_is_reported_and_replayed(here, monkeypatch, engine):
    """Told to believe that recovery syncs nothing, the explorer finds what only a second crash shows."""
    explorer = importlib.import_module("pmemobj.testing.explore")
    disk = explorer.Disk

    def made(unit, *ignored):
        return disk(unit, *ignored) if ignored else Deaf(disk, unit, "START")

    monkeypatch.setattr(explorer, "Disk", made)
    budget = Budget(exhaustive=4, random=4, per_cut=6, nested=7 if engine == "journal" else 40)
    report = explore(op.transfer, op.start, engine=engine, budget=budget, faults=["power"])
    assert report.bugs
    assert all(bug.nested and "crash inside recovery" in str(bug) for bug in report.bugs)
    kept = [bug for bug in report.bugs if bug.token]
    assert kept
    assert all(replay(bug.token) == bug.what for bug in kept)
    assert all(bug.lost for bug in kept)


@pytest.mark.parametrize("needed", [(), (0,), (9999,), (1, 5000), (17, 18, 19, 4711), tuple(range(20))])
def test_the_fewest_that_fail(needed):
    asked = []

    def fails(items):
        asked.append(items)
        return set(needed) <= set(items)

    assert tuple(fewest(list(range(10_000)), fails)) == needed
    assert len(asked) <= 2 * 14 * max(1, len(needed))
    assert fewest([], fails) == [] and fewest([7], lambda items: True) == []
    assert fewest([7], lambda items: bool(items)) == [7]
