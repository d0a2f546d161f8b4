"""Plays a game from separate processes, kills one of them inside a transaction, and plays on.

Says at each step what happened; ends with status 1 at the first thing that is not as promised.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the class of the game; see __main__.py

import pmemobj

HERE = Path(__file__).resolve().parent
SECRET = 37


def step(text):
    print(f"\n== {text}")


def promise(kept, text):
    print(f"  [{'ok' if kept else 'BROKEN'}] {text}", flush=True)
    if not kept:
        raise SystemExit(1)


class Player:
    """Gives commands to the game; each runs in a process of its own."""

    def __init__(self, pool):
        self.pool = pool

    def __call__(self, *command, status=0):
        print("  $ guessing_game", *command, flush=True)
        done = subprocess.run(
            [sys.executable, HERE, "--pool", self.pool, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        print("".join(f"    {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
        if done.returncode != status:
            promise(False, f"this command should have ended with status {status}, not with {done.returncode}")
        return done.stdout


def play(pool):
    run = Player(pool)
    journal = Path(f"{pool}-journal")

    step("A game is started, and two guesses are made. Every command is a process of its own.")
    run("start", "Ann", "--secret", SECRET)
    run("guess", 25)
    run("guess", 43)
    before = run("status")
    promise("guesses  25, 43\n" in before, "both guesses are there, read by a fourth process")

    step("A guess is made by a process that kills itself with SIGKILL inside its transaction.")
    inside = run("guess", 30, "--die-inside", status=-signal.SIGKILL)
    promise("tries    3\n" in inside, "the attribute 'tries' had been changed")
    promise("hint     30 is too low\n" in inside, "the attribute 'hint' had been changed")
    promise("guesses  25, 43, 30\n" in inside, "the list of guesses had been changed")
    promise(journal.exists(), f"the process left its journal behind: {journal.name}")

    step("The next process finds the state of before that transaction.")
    after = run("status")
    promise(after == before, "tries, hint and guesses are those of before the killed guess")
    promise(not journal.exists(), "the journal has been replayed and removed")

    step("The game goes on to its end.")
    run("guess", 30)
    last = run("guess", SECRET)
    promise("in 4 tries, Ann" in last, "four tries: the killed one never happened")
    run("status")

    step("What holds for this pool")
    with pmemobj.open(pool, "w") as opened:
        game = opened.root
        promise(game.done and list(game.guesses) == [25, 43, 30, SECRET], "the finished game is in the pool")
        print("".join(f"  {line}\n" for line in str(opened.durability()).splitlines()), end="")


def main():
    # Not /tmp, which often is a file system in memory: durability() should speak of a disk.
    parent = os.environ.get("TMPDIR", "/var/tmp")
    with tempfile.TemporaryDirectory(prefix="guessing-game-", dir=parent) as directory:
        print(f"The guessing game, in {directory}")
        play(os.path.join(directory, "game.pool"))
    print("\nAll promises were kept.")


if __name__ == "__main__":
    main()
