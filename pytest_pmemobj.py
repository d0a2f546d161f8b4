"""pytest plugin of pmemobj: a pool for a test, and how thoroughly crashes are explored.

It lies outside of the package, so that a test run without pools imports nothing of it.
"""

import os

import pytest


def pytest_addoption(parser):
    parser.getgroup("pmemobj").addoption(
        "--pmem-crash",
        choices=["quick", "exhaustive"],
        help="how many images explore() and CrashMachine make of a moment, whatever a test says",
    )


def pytest_configure(config):
    if chosen := config.getoption("--pmem-crash"):
        os.environ["PMEMOBJ_CRASH"] = chosen


def pytest_unconfigure(config):
    if config.getoption("--pmem-crash"):
        os.environ.pop("PMEMOBJ_CRASH", None)


@pytest.fixture
def pmem_options():
    """Options of pmemobj.open for pmem_pool; to be overridden."""
    return {"max_size": 64 << 20, "sync": "manual"}


@pytest.fixture
def pmem_pool(tmp_path, pmem_options):
    """A new, open pool.  After the test everything in it must be sound, and no block lost, or the test has an error.

    A test may close it; then nothing is checked.
    """
    import pmemobj

    with pmemobj.open(tmp_path / "pmem.pool", "x", **pmem_options) as pool:
        yield pool
        if pool.closed:
            return
        pool.gc()
        report = pool.check()
        assert report.ok, f"the pool is damaged: {'; '.join(report.findings[:5])}"
        blocks, lost = report.unreachable
        assert not blocks, f"leaked {blocks} blocks, {lost} bytes"
