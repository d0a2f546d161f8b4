"""Every case of the micro benchmarks runs, and does as much as it says."""

import numpy as np
import pytest

import pmemobj
from benchmarks import harness, hotpaths, micro, run
from benchmarks.harness import OURS, Case, Plan
from benchmarks.micro import scale

TINY = Plan(entries=120, reads=240, writes=240, inserts=100)
CASES = micro.cases(TINY)


def test_names_are_unique():
    names = [(case.group, case.name) for case in CASES]
    assert len(names) == len(set(names))


def test_every_case_runs(pool):
    for case in CASES:
        result = harness.measure(case, pool, repeats=2)
        assert list(result.ns)[-1] == OURS, case.name
        assert case.operations > 0, case.name
    assert pool.check().ok


@pytest.mark.parametrize("entries", [10, 100])
def test_small_containers_do(entries):
    assert all(case.operations > 0 for case in micro.cases(Plan(entries, 50, 50, 50)))


def test_plans_that_wait_for_the_disk_write_little():
    plan = Plan.for_sync("commit", 1_000_000)
    assert plan.writes <= 1000
    assert plan.inserts <= 1000


def test_counts_of_operations_are_true(pool):
    class Counting(list):
        gets = 0

        def __getitem__(self, index):
            self.gets += 1
            return super().__getitem__(index)

    case = harness.find(CASES, "list get, small int")
    items = Counting(case.make())
    case.run(items)
    assert items.gets == case.operations


def test_builtin_and_ours_end_up_equal(pool):
    """Of the cases that change a container."""
    for case in CASES:
        if case.ours is None and not isinstance(case.make, dict) and case.persist is harness.stored:
            builtin, ours = case.make(), harness.stored(pool, case.make())
            case.run(builtin)
            case.run(ours)
            assert np.all(pool.to_python(ours) == builtin), case.name


def test_fresh_containers_are_new_in_every_repetition(pool):
    sizes = []

    def work(container):
        sizes.append(len(container))
        container.append(1)

    harness.measure(Case("group", "name", list, work, 1, fresh=True), pool, repeats=3)
    assert sizes == [0] * 6


def test_a_transaction_is_around_ours_only(pool):
    seen = []
    case = Case("group", "name", list, lambda _: seen.append(pool.in_transaction), 1, transaction=True)
    harness.measure(case, pool, repeats=1)
    assert seen == [False, True]


def test_scale_compares_two_sizes(pool):
    times, compared = scale.measured(pool, 100, 1000, repeats=1, picks=50)
    assert len(times) == 2 * len(compared)


def test_the_program_prints_and_saves(tmp_path, capsys):
    options = ["--match", "tuple get", "--sizes", "100", "--repeats", "1", "--sync", "manual", "interval"]
    run.main([*options, "--directory", str(tmp_path), "--output", str(tmp_path / "out")])
    assert "tuple (sync='manual')" in capsys.readouterr().out
    assert "tuple get" in (tmp_path / "out" / "micro.md").read_text()


def test_every_hot_path_runs_as_often_as_it_is_counted(pool):
    marks = []
    for path in hotpaths.paths():
        hotpaths.count(path, OURS, lambda path=path: path.persist(pool, path.make()), pool, marks.append)
    assert marks.count("set-up") == 2 * len(hotpaths.paths())
    assert len(set(marks)) == 2 * len(hotpaths.paths()) + 1


def test_objects_of_the_benchmarks_can_be_stored(pool_path):
    from benchmarks.micro.objects import Persistent

    with pmemobj.open(pool_path) as pool:
        pool.root = pool.new(Persistent)
    with pmemobj.open(pool_path) as pool:
        assert pool.root.method() == 5
