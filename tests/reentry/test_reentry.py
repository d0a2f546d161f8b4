"""User code in the middle of every call: see sweep.py and lives.py.  What ends a process, or leaves something wrong, is
named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reentry import world

ROOT = Path(__file__).parents[2]
LIVES = 60
PARTS = 80  # of the sweep; in the default suite one of them for each engine


def told(module, *arguments):
    """What was wrong, and what the process has said last."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.reentry.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    wrong = [one for line in lines if "found" in line for one in line["found"]]
    if process.returncode:
        wrong.append({"ended with": process.returncode, "at": lines[-1:], "stderr": process.stderr[-3000:]})
    return wrong, lines[-1]


def sweep(part, parts, directory, *kinds):
    wrong, last = told("sweep", part, parts, directory, *kinds)
    assert not wrong, wrong
    return last["tried"]


def live(first, count, directory):
    wrong, last = told("lives", first, count, directory)
    assert not wrong, wrong
    return sum(last["fired"].values())


@pytest.mark.parametrize("part", [0, 1])
def test_each_call_of_user_code(memory_path, part):
    assert sweep(part, PARTS, memory_path) > 1000


@pytest.mark.parametrize("first", [0, LIVES])
def test_whatever_it_does(memory_path, first):
    assert live(first, LIVES, memory_path) > LIVES


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", world.KINDS)
def test_each_call_of_user_code_in_all_operations(memory_path, kind):
    assert sweep(0, 1, memory_path, kind) > 1000


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(10_000, 50_000, 10_000))
def test_whatever_it_does_in_many_lives(memory_path, first):
    assert live(first, 10_000, memory_path) > 10_000
