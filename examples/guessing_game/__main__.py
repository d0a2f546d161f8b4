"""The guessing game as commands: start NAME, guess N, status. Each is a process of its own.

Runs as `python examples/guessing_game COMMAND` and as `python -m examples.guessing_game COMMAND`.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

# A pool names the class of an object as "module:class". Whichever way this program is started, the
# module must be called the same, or the next start would not find the class: guessing_game.game.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guessing_game.game import Game

import pmemobj


def start(args):
    with pmemobj.open(args.pool) as pool:
        running = pool.root
        if running is not None and not running.done:
            raise SystemExit(f"{running.player} is in the middle of a game; guess on, or remove {args.pool}")
        pool.root = pool.new(Game, args.name, args.secret)
        print(f"{args.name}, I have picked a number between 1 and {pool.root.maximum}.")


def guess(args):
    with pmemobj.open(args.pool, "w") as pool:
        game = game_in(pool)
        with pool.transaction():  # around the one in Game.guess, which becomes a part of it
            hint = game.guess(args.number)
            if args.die_inside:
                print("Inside the transaction, about to be killed:")
                print(game.describe(), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        print(f"You found it in {game.tries} tries, {game.player}." if game.done else f"{hint}.")


def status(args):
    with pmemobj.open(args.pool, "w") as pool:
        print(game_in(pool).describe())


def game_in(pool):
    if pool.root is None:
        raise SystemExit("no game has been started")
    return pool.root


def parse(arguments):
    parser = argparse.ArgumentParser(prog="guessing_game", description="Guess a number between 1 and 50.")
    parser.add_argument("--pool", default="guessing_game.pool", help="file that keeps the game (%(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("start", help="start a game")
    command.add_argument("name", metavar="NAME")
    command.add_argument("--secret", type=int, metavar="N", help="the number to guess; random without this")
    command.set_defaults(run=start)

    command = commands.add_parser("guess", help="make a guess")
    command.add_argument("number", type=int, metavar="N")
    command.add_argument(
        "--die-inside", action="store_true", help="kill this process (SIGKILL) inside the guess's transaction"
    )
    command.set_defaults(run=guess)

    command = commands.add_parser("status", help="show the game")
    command.set_defaults(run=status)
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse(arguments)
    try:
        args.run(args)
    except FileNotFoundError:
        raise SystemExit(f"there is no game in {args.pool}; start one with: start NAME") from None
    except (pmemobj.PmemobjError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
