"""See lives.py.  Each process lives some; a life that ends its process, or leaves something wrong, is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNT = 100


def lives(first, count, directory):
    """What was wrong, and how often each thing happened."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.reentry.lives", str(first), str(count), str(directory)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    told = [json.loads(line) for line in process.stdout.splitlines()]
    wrong = [one for one in told if "found" in one]
    if process.returncode:
        wrong.append({**told[-1], "ended with": process.returncode, "stderr": process.stderr[-3000:]})
    return wrong, told[-1].get("fired", {})


@pytest.mark.parametrize("first", range(0, 4 * COUNT, COUNT))
def test_whatever_user_code_does_in_the_middle(memory_path, first):
    wrong, fired = lives(first, COUNT, memory_path)
    assert not wrong, wrong
    assert sum(fired.values()) > COUNT


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(10_000, 210_000, 10_000))
def test_whatever_user_code_does_in_many_lives(memory_path, first):
    wrong, _fired = lives(first, 10_000, memory_path)
    assert not wrong, wrong
