"""Operations that fail and processes that are killed, driven by explore(): right ones pass, wrong ones are found."""

import pytest

from pmemobj.testing import EVERYTHING, CrashError, CrashMachine, Faults, crash_rule, explore
from pmemobj.testing.trials import testcapi
from tests.testing import operations as op

NO_IMAGES = {"power": False, "kill": False}
IO = Faults(**NO_IMAGES, io=("EIO", "ENOSPC", "EDQUOT", "short"))
FULL = Faults(**NO_IMAGES, full=True)
MEMORY = Faults(**NO_IMAGES, memory=True)
PROCESSES = Faults(**NO_IMAGES, processes=6)


def wrongs(report):
    return {bug.what for bug in report.bugs}


@pytest.mark.parametrize("engine", ["journal", "direct"])
def test_right_operations_survive_every_failing_call_and_a_full_pool(engine):
    faults = Faults(**NO_IMAGES, io=("EIO", "short"), full=True)
    report = explore([op.append, op.transfer], op.start, engine=engine, faults=faults)
    assert report.ok, report
    assert report.failed_calls > 20 and report.full_pools > 8 and report.images == 0
    assert f"{report.failed_calls} file calls failed" in str(report)


def test_what_is_left_half_done_by_a_failing_call_is_found():
    report = explore(op.two_operations, op.start, faults=IO)
    assert any("[1, 2, 3, 4]" in what for what in wrongs(report)), report
    assert "file call" in report.bugs[0].moment


def test_what_is_left_half_done_in_a_full_pool_is_found():
    report = explore(op.two_texts, op.start, faults=FULL, observe=op.length)
    assert any("PoolFullError was raised" in what and "the state is 4" in what for what in wrongs(report))


@pytest.mark.skipif(testcapi is None, reason="this interpreter has no module _testcapi")
def test_failing_memory():
    report = explore([op.insert, op.append, op.remove_last, op.transfer, op.undone], op.start, faults=MEMORY)
    assert report.ok, report
    assert report.failed_memory > 0
    report = explore(op.two_insertions, op.start, faults=MEMORY)
    assert any("MemoryError was raised" in what for what in wrongs(report)), report


def test_without_testcapi_the_report_says_so(monkeypatch):
    from pmemobj.testing import faults

    explorer = __import__("importlib").import_module("pmemobj.testing.explore")
    monkeypatch.setattr(faults, "testcapi", None)
    monkeypatch.setattr(explorer, "testcapi", None)
    report = explore(op.append, op.start, faults=MEMORY)
    assert report.failed_memory == 0
    assert "NOT DONE: allocations of Python" in str(report)


@pytest.mark.parametrize("engine", ["journal", "direct"])
def test_processes_are_killed(engine):
    report = explore([op.append, op.transfer], op.start, engine=engine, faults=PROCESSES)
    assert report.ok, report
    assert report.killed_processes == 6


def test_what_a_killed_process_leaves_half_done_is_found():
    faults = Faults(**NO_IMAGES, processes=40)
    report = explore([op.two_operations], op.start, engine="direct", faults=faults)
    assert any("[1, 2, 3, 4]" in what for what in wrongs(report)), report
    assert "a process was killed at event" in report.bugs[0].moment


def test_operations_that_cannot_be_imported_are_refused():
    with pytest.raises(TypeError, match="must be importable"):
        explore(lambda pool: None, op.start, faults=FULL)


def test_names_of_faults():
    assert Faults.of({"power", "kill"}) == Faults()
    assert Faults.of(["io", "full", "memory", "processes", "power", "kill"]) == EVERYTHING
    with pytest.raises(ValueError, match="unknown errors"):
        Faults(io=("EPERM",))


class Machine(CrashMachine):
    faults = FULL

    @staticmethod
    def start(pool):
        pool.root = []

    @crash_rule()
    def pair(pool):
        pool.root.append("a text that needs a block")
        pool.root.append("another text " * 500)


def test_a_machine_tries_them_too():
    machine = Machine()
    machine.pair()
    with pytest.raises(CrashError, match="PoolFullError was raised"):
        machine.teardown()
    assert Machine.report.full_pools
