"""The larger benchmarks run, with little to do."""

from array import array

import pytest

from benchmarks import against_c, applications, collecting, durable, latency, opening
from benchmarks.against_c import COMMIT, DURABLE, STOCK, Work


def test_percentiles():
    times = array("q", range(1, 10_001))
    found = latency.percentiles(times)
    assert found == {
        "p50": 5001,
        "p99": 9901,
        "p99.9": 9991,
        "p99.99": 10_000,
        "worst": 10_000,
        "mean": 5000.5,
    }


def test_latency_of_all_works(tmp_path):
    rows = latency.measured(tmp_path, 80, filled=20)
    assert [row.name for row in rows] == ["builtin", "pmemobj"] * len(latency.WORKS) + ["nothing"]


def test_collections_of_all_pools(tmp_path):
    rows = collecting.measured(tmp_path, 300)
    assert len(rows) == len(collecting.POOLS)
    assert all(row.values["steps"] >= 1 for row in rows)


@pytest.mark.parametrize("name", applications.APPLICATIONS)
def test_all_versions_of_an_application_find_the_same(name, tmp_path):
    application = applications.APPLICATIONS[name]
    (row,) = applications.compare(name, application, 2, rounds=1, directory=tmp_path)
    assert list(row.values) == list(application.VERSIONS)


def test_durable_commits_and_bare_syncs(tmp_path):
    rows = durable.measured(tmp_path, pairs=4)
    assert {row.name for row in rows} == {"list set", "dict insert", "transaction of 10"}


@pytest.mark.parametrize("program", ["list_set", "hashmap_insert"])
def test_the_same_from_c(program, tmp_path):
    try:
        times, faster = against_c.compare(Work(program, "tiny", 3, 1, 1), tmp_path, rounds=1)
    except against_c.NoCompilerError as error:
        pytest.skip(str(error))
    assert {STOCK, COMMIT} < set(times.values)
    assert DURABLE in faster.values
    assert list(tmp_path.iterdir()) == []


def test_opens_after_closes_and_kills(tmp_path):
    rows = opening.measured(tmp_path, 1000, amounts=(2,), repeats=1)
    assert [row.name for row in rows] == [
        "closed",
        "killed, 2,000 changes in order",
        "killed, 2,000 changes in random places",
    ]
    assert "replayed MB" not in rows[0].values
    assert all(row.values["replayed MB"] > 0 for row in rows[1:])
