"""The pytest plugin: a pool for a test, leaks that are errors, the option, and nothing imported when it is not used."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def outcome_of(directory, text, *options):
    """What a run of pytest of its own says of a file with these tests."""
    (directory / "test_it.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PMEMOBJ_CRASH", None)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_pmemobj", "-p", "no:cacheprovider", *options],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return run.stdout + run.stderr


def test_the_fixture_gives_an_empty_pool(tmp_path):
    text = """
def test_one(pmem_pool):
    assert pmem_pool.root is None
    pmem_pool.root = {"a": [1, 2]}
    kept = pmem_pool.root["a"]
    del pmem_pool.root["a"]

def test_two(pmem_pool):
    assert pmem_pool.root is None
    pmem_pool.close()
"""
    assert "2 passed" in outcome_of(tmp_path, text)


def test_options_can_be_overridden(tmp_path):
    text = """
import pytest

@pytest.fixture
def pmem_options():
    return {"max_size": 8 << 20, "engine": "direct"}

def test_one(pmem_pool):
    assert pmem_pool.engine == "direct"
"""
    assert "1 passed" in outcome_of(tmp_path, text)


def test_a_leak_is_an_error(tmp_path):
    text = """
from dataclasses import replace

def test_leak(monkeypatch, pmem_pool):
    report = pmem_pool.check()
    monkeypatch.setattr(type(pmem_pool), "check", lambda pool: replace(report, unreachable=(2, 64)))

def test_damage(monkeypatch, pmem_pool):
    report = pmem_pool.check()
    monkeypatch.setattr(type(pmem_pool), "check", lambda pool: replace(report, findings=["root: is damaged"]))
"""
    said = outcome_of(tmp_path, text)
    assert "leaked 2 blocks, 64 bytes" in said
    assert "the pool is damaged: root: is damaged" in said
    assert "2 passed, 2 errors" in said


def test_the_option_chooses_the_budget(tmp_path):
    text = """
from pmemobj.testing import Budget

def test_budget():
    print("exhaustive:", Budget.chosen(None).exhaustive, Budget.chosen(Budget(exhaustive=1)).exhaustive)
    assert False
"""
    assert "exhaustive: 12 1" in outcome_of(tmp_path, text)
    assert "exhaustive: 6 6" in outcome_of(tmp_path, text, "--pmem-crash=quick")
    assert "exhaustive: 16 16" in outcome_of(tmp_path, text, "--pmem-crash=exhaustive")


def test_nothing_is_imported_when_it_is_not_used(tmp_path):
    text = """
import sys

def test_modules():
    assert not [name for name in sys.modules if name == "pmemobj" or name.startswith("pmemobj.")]
"""
    assert "1 passed" in outcome_of(tmp_path, text)
