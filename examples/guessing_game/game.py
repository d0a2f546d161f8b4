"""The state of a game. It lives in the pool, so there is nothing to save and nothing to load."""

import random

from pmemobj import PersistentList, PersistentObject


class Game(PersistentObject):
    """One game: guess the secret number. Every attribute is kept in the pool."""

    def __init__(self, player, secret=None, maximum=50):
        # Runs once, when the game is started. Later programs find the game as it was left.
        if secret is None:
            secret = random.randint(1, maximum)
        if not 1 <= secret <= maximum:
            raise ValueError(f"the secret must be between 1 and {maximum}, not {secret}")
        self.player = player
        self.maximum = maximum
        self.secret = secret
        self.tries = 0
        self.hint = "make a guess"
        self.guesses = self._p_mm.new(PersistentList)  # self.guesses = [] does the same
        self.done = False

    def guess(self, number):
        """One guess, as one transaction: all of it happens, or nothing of it. Returns the hint."""
        if not 1 <= number <= self.maximum:
            raise ValueError(f"guess a number between 1 and {self.maximum}")
        if self.done:
            raise ValueError("the game is over; start another one")
        with self._p_mm.transaction():
            self.tries += 1
            self.guesses.append(number)
            if number == self.secret:
                self.hint = "that is it"
                self.done = True
            else:
                self.hint = f"{number} is too {'low' if number < self.secret else 'high'}"
        return self.hint

    def describe(self):
        """The game in a few lines."""
        guesses = ", ".join(map(str, self.guesses)) or "none yet"
        return "\n".join(
            [
                f"player   {self.player}",
                f"tries    {self.tries}",
                f"guesses  {guesses}",
                f"hint     {self.hint}",
                f"done     {'yes' if self.done else 'no'}",
            ]
        )
