"""The examples run, and a promise that the demo sees broken makes it fail."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pmemobj

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(*command, cwd, status=0, **environment):
    """What the program prints; it must end with that status."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, command)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(Path(pmemobj.__file__).resolve().parents[1])} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.fixture
def game(tmp_path):
    """game("guess", 25) runs that command of the guessing game."""

    def command(*arguments, status=0):
        return run(EXAMPLES / "guessing_game", *arguments, cwd=tmp_path, status=status)

    return command


def test_hello_counts_its_runs(tmp_path):
    assert "Hello for the 1. time" in run(EXAMPLES / "hello.py", tmp_path / "hello.pool", cwd=tmp_path)
    again = run(EXAMPLES / "hello.py", tmp_path / "hello.pool", cwd=tmp_path)
    assert "Hello for the 2. time" in again
    assert "I remember: world, run 1, run 2\n" in again


def test_hello_has_a_default_path(tmp_path):
    assert str(tmp_path) in run(EXAMPLES / "hello.py", cwd=tmp_path, TMPDIR=str(tmp_path))


def test_a_game_is_played(game):
    assert game("start", "Ann", "--secret", 37) == "Ann, I have picked a number between 1 and 50.\n"
    assert "guesses  none yet\n" in game("status")
    assert game("guess", 25) == "25 is too low.\n"
    assert game("guess", 40) == "40 is too high.\n"
    assert re.findall(r"^(\w+) +(.*)$", game("status"), re.MULTILINE) == [
        ("player", "Ann"), ("tries", "2"), ("guesses", "25, 40"), ("hint", "40 is too high"), ("done", "no"),
    ]  # fmt: skip
    assert game("guess", 37) == "You found it in 3 tries, Ann.\n"
    assert "done     yes\n" in game("status")
    game("start", "Bob")  # a finished game makes room for another one
    assert "player   Bob\n" in game("status")


def test_a_guess_that_is_killed_never_happened(game):
    game("start", "Ann", "--secret", 37)
    game("guess", 25)
    before = game("status")
    inside = game("guess", 40, "--die-inside", status=-signal.SIGKILL)
    assert "tries    2\nguesses  25, 40\nhint     40 is too high\n" in inside
    assert game("status") == before


def test_mistakes_are_told_without_a_traceback(game, tmp_path):
    assert "there is no game in" in game("status", status=1)
    assert not list(tmp_path.iterdir())
    assert "between 1 and 50" in game("start", "Ann", "--secret", 99, status=1)
    assert "no game has been started" in game("status", status=1)
    game("start", "Ann", "--secret", 37)
    assert "in the middle of a game" in game("start", "Bob", status=1)
    assert "between 1 and 50" in game("guess", 51, status=1)
    game("guess", 37)
    assert "the game is over" in game("guess", 38, status=1)
    assert "tries    1\n" in game("status")
    with pmemobj.open(tmp_path / "guessing_game.pool", "w"):
        assert "the pool is open in process" in game("status", status=1)


def test_script_and_module_share_a_game(game, tmp_path):
    game("start", "Ann", "--secret", 37)
    pool = tmp_path / "guessing_game.pool"
    assert run("-m", "examples.guessing_game", "--pool", pool, "guess", 25, cwd=ROOT) == "25 is too low.\n"
    assert "guesses  25\n" in game("status")


def test_demo(tmp_path):
    told = run(EXAMPLES / "guessing_game" / "demo.py", cwd=tmp_path, TMPDIR=str(tmp_path))
    assert "BROKEN" not in told
    assert told.endswith("All promises were kept.\n")
    assert "program killed" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "instead", "broken"),
    [
        # The guess commits before the process dies.
        ("        with pool.transaction():  #", "        if True:  #", "those of before the killed guess"),
        # The process does not die.
        ("os.kill(os.getpid(), signal.SIGKILL)", "pass", "with status -9, not with 0"),
        # The list is not changed.
        ("self.guesses.append(number)", "pass", "both guesses are there"),
    ],
)
def test_demo_sees_a_broken_promise(tmp_path, line, instead, broken):
    copy = tmp_path / "guessing_game"
    copy.mkdir()
    changed = 0
    for name in ("__main__.py", "demo.py", "game.py"):
        source = (EXAMPLES / "guessing_game" / name).read_text()
        changed += line in source
        (copy / name).write_text(source.replace(line, instead))
    assert changed == 1
    told = run(copy / "demo.py", cwd=tmp_path, status=1, TMPDIR=str(tmp_path))
    assert "[BROKEN]" in told.splitlines()[-1]
    assert broken in told.splitlines()[-1]


def test_crash_testing_finds_the_broken_queue(tmp_path):
    command = ["-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", "test_bounded_queue.py"]
    said = run(*command, cwd=EXAMPLES / "crash_testing", status=1, HYPOTHESIS_STORAGE_DIRECTORY=str(tmp_path))
    assert "1 failed, 1 passed" in said
    assert "BrokenQueueCrash()\nE           state.push(item=0)\nE           state.teardown()" in said
