"""Directories of explorations: gone after a close, after a kill gone with the next exploration, never taken away."""

import os
import subprocess
import sys

import pytest

from pmemobj.testing import scratch
from pmemobj.testing.scratch import Scratch

KILLED = """
import os, sys
from pmemobj.testing import scratch
scratch._place = lambda: sys.argv[1]
made = scratch.Scratch()
open(os.path.join(made.path, "image"), "w").close()
print(made.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "_place", lambda: str(tmp_path))
    return tmp_path


def test_removed_by_close(place):
    one, two = Scratch(), Scratch()
    assert sorted(os.listdir(place)) == sorted(map(os.path.basename, [one.path, two.path]))
    os.mkdir(os.path.join(one.path, "0"))
    one.close()
    two.close()
    assert os.listdir(place) == []


def test_removed_after_a_kill_and_not_before(place):
    (place / "pmemobj-explored-file").touch()
    (place / "another").mkdir()
    program = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with program:
        path = program.stdout.readline().strip()
        Scratch().close()
        assert os.listdir(path) == ["image"]
        program.kill()
    Scratch().close()
    assert sorted(os.listdir(place)) == ["another", "pmemobj-explored-file"]


def test_taken_away_before_it_was_locked(place, monkeypatch):
    make = scratch.tempfile.mkdtemp
    made = []

    def swept(**options):
        made.append(make(**options))
        if len(made) == 1:
            scratch._sweep(str(place))
        return made[-1]

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", swept)
    one = Scratch()
    assert one.path == made[1] and os.listdir(place) == [os.path.basename(one.path)]
    one.close()
