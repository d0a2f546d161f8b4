"""Fixtures shared by all tests, fixed hypothesis seeds, and the choice of the engine.

With --engine=direct libpmem takes every file for persistent memory, in this process and all that it starts.  So
engine="auto" means "direct", and nothing waits for a disk.
"""

import gc
import importlib
import os
import signal
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

import pmemobj
from tests.copies import copy_sparse

hypothesis.settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=60,
    stateful_step_count=40,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "long", hypothesis.settings.get_profile("default"), derandomize=False, max_examples=3000
)
hypothesis.settings.load_profile("default")

#: For machines of containers that are another one with more methods.
hypothesis.settings.register_profile("fewer", hypothesis.settings.get_profile("default"), max_examples=15)


def pytest_addoption(parser):
    parser.addoption("--engine", choices=["auto", "direct"], default="auto", help="the engine of every pool")


def pytest_configure(config):
    if config.getoption("--engine") == "direct":
        os.environ["PMEM_IS_PMEM_FORCE"] = "1"
    # A shell that runs us in the background has it ignored; tests send it.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--engine") != "direct":
        return
    about_the_journal = [item for item in items if item.get_closest_marker("journal_engine")]
    config.hook.pytest_deselected(items=about_the_journal)
    items[:] = [item for item in items if not item.get_closest_marker("journal_engine")]


@pytest.fixture(scope="module", autouse=True)
def frozen_heap():
    """What there is before a module's tests stays.  Many tests collect garbage again and again, in the midst of things:
    then only what they made themselves is gone over."""
    gc.collect()
    gc.freeze()


# --- what was explored, by all processes of the session (see tests/testing/tally.py)


def pytest_sessionfinish(session):
    if tally := sys.modules.get("tests.testing.tally"):
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["explored"] = dict(tally.seen)
        else:
            tally.save()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    if explored := getattr(node, "workeroutput", {}).get("explored"):
        importlib.import_module("tests.testing.tally").seen.update(explored)


def pytest_terminal_summary(terminalreporter):
    tally = sys.modules.get("tests.testing.tally")
    if tally and tally.seen:
        terminalreporter.write_line(f"explored: {tally.text()}")


MEMORY = "/dev/shm"
#: Enough for the tests, small enough to be made quickly.
POOL_SIZE = 256 << 20


@pytest.fixture
def memory_path(tmp_path):
    """As tmp_path, in memory where there is such a directory: a disk's syncs would be nothing but time."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="pmemobj-test-", dir=MEMORY) as directory:
        yield Path(directory)


@pytest.fixture
def pool_path(memory_path):
    """What is about files and disks has its pools below tmp_path."""
    return memory_path / "test.pool"


@pytest.fixture(scope="session")
def blank_pool(tmp_path_factory):
    """The file of an empty pool. To copy it takes half as long as to make another one."""
    path = tmp_path_factory.mktemp("blank") / "blank.pool"
    pmemobj.open(path, max_size=POOL_SIZE, sync="manual").close()
    return path


@pytest.fixture
def pool(blank_pool, pool_path):
    copy_sparse(blank_pool, pool_path)
    with pmemobj.open(pool_path, sync="manual") as pool:
        yield pool


@pytest.fixture
def reopen(pool_path):
    """reopen(pool) closes it and gives a fresh handle of the same pool; closed at the end of the test."""
    opened = []

    def again(pool):
        pool.close()
        opened.append(pmemobj.open(pool_path, sync="manual"))
        return opened[-1]

    yield again
    for pool in opened:
        pool.close()
