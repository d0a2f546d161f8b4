"""Programs written for pynvm's pmemobj, with only the import line changed.

Its tutorial's programs, written anew along its text: the names that a pool, a PersistentObject and the containers
have there, what is positional, which errors are OSError.
"""

import os
import random
import subprocess
import sys
import textwrap

import pytest

GREETING = """
    import sys
    from pmemobj import PersistentObjectPool

    with PersistentObjectPool('hello_world.pmem', flag='c') as pool:
        if pool.root is None:
            name = sys.argv[1]
            pool.root = name
        print("Hello, {}".format(pool.root))
"""

START_WITH_DICT = """
    import sys
    from pmemobj import create, PersistentList, PersistentDict

    try:
        pool = create('guessing_game.pmem')
    except OSError as err:
        print(err)
        print("Are you already in the middle of a game?")
        sys.exit(1)
    with pool:
        with pool.transaction():
            root = pool.root = pool.new(PersistentDict)
            root['number'] = int(sys.argv[1])
            root['name'] = 'David'
            root['guesses'] = pool.new(PersistentList)
    print("{}, I've picked a number.".format('David'))
"""

GUESS_WITH_DICT = """
    import os
    import sys
    from pmemobj import open

    guess = int(sys.argv[1])
    pool = open('guessing_game.pmem')
    if pool.root is None:
        print("aborted")
        pool.close()
        os.remove('guessing_game.pmem')
        sys.exit()
    done = False
    with pool:
        root = pool.root
        guesses, name, number = root['guesses'], root['name'], root['number']
        if guess in pool.root['guesses']:
            print("You already tried {}".format(guess))
        elif guess < number:
            print("too low")
        elif guess > number:
            print("too high")
        else:
            print('You guessed my number in {} tries, {}.'.format(len(guesses) + 1, name))
            done = True
        guesses.append(guess)
    if done:
        os.remove('guessing_game.pmem')
"""

GUESS_LIB = """
    import random
    from pmemobj import open, PersistentObject, PersistentList

    pool_fn = 'guessing_game2.pmem'

    def reopen_game():
        return open(pool_fn)

    class Guesser(PersistentObject):

        limit = 7

        def __init__(self, name, maximum=50):
            self.name = name
            self.maximum = maximum
            self.number = random.randint(1, maximum)
            self.guesses = self._p_mm.new(PersistentList)
            self.lost = False
            self.done = False

        def _v__init__(self):
            self._v_messages = {'LOW': 'too low', 'HIGH': 'too high', 'SEEN': 'again', 'EQUAL': 'right'}

        def check_guess(self, guess, die=False):
            guess = int(guess)
            if not 1 <= guess <= self.maximum:
                raise ValueError("out of range, {}".format(self.name))
            with self._p_mm.transaction():
                self.current_guess = guess
                seen = guess in self.guesses
                self.guesses.append(guess)
                if die:
                    raise RuntimeError('interrupted')
                if guess == self.number:
                    self.current_outcome = 'EQUAL'
                    self.done = True
                elif seen:
                    self.current_outcome = 'SEEN'
                else:
                    self.current_outcome = 'LOW' if guess < self.number else 'HIGH'
                if len(self.guesses) >= self.limit:
                    self.lost = self.done = True
            return self.current_outcome

        def message(self, key):
            return getattr(self, 'msg_' + key, lambda: self._v_messages[key])()

        def msg_EQUAL(self):
            return "{} guesses, {}".format(len(self.guesses), self.name)
"""

START_WITH_OBJECT = """
    import random
    import sys
    from pmemobj import create
    from guess_lib import Guesser, pool_fn

    random.seed(int(sys.argv[1]))
    try:
        pool = create(pool_fn)
    except OSError as err:
        print(err)
        sys.exit(err.errno)
    with pool:
        pool.root = game = pool.new(Guesser, 'David', maximum=20)
"""

GUESS_WITH_OBJECT = """
    import os
    import sys
    from guess_lib import reopen_game

    pool = reopen_game()
    with pool:
        guesser = pool.root
        try:
            outcome = guesser.check_guess(sys.argv[1], die=len(sys.argv) > 2)
        except (ValueError, RuntimeError) as err:
            print(err)
            print([guess for guess in guesser.guesses])
            sys.exit(1)
        print(guesser.message(outcome), guesser.done, guesser.lost)
    if guesser_done := outcome == 'EQUAL':
        os.remove('guessing_game2.pmem')
"""


@pytest.fixture
def run(tmp_path):
    def run(program, *args, code=0):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *map(str, args)],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout.strip()

    return run


def test_hello(run):
    assert run(GREETING, "David") == "Hello, David"
    assert run(GREETING, "nobody") == "Hello, David"


def test_guessing_with_a_dict(run):
    run(START_WITH_DICT, 37)
    assert "middle of a game" in run(START_WITH_DICT, 5, code=1)
    answers = [run(GUESS_WITH_DICT, n) for n in (25, 45, 25, 37)]
    assert answers == [
        "too low",
        "too high",
        "You already tried 25",
        "You guessed my number in 4 tries, David.",
    ]
    run(START_WITH_DICT, 1)


def test_guessing_with_an_object(run, tmp_path):
    (tmp_path / "guess_lib.py").write_text(textwrap.dedent(GUESS_LIB))
    run(START_WITH_OBJECT, 5)
    run(START_WITH_OBJECT, 5, code=17)
    number = random.Random(5).randint(1, 20)
    wrong = number - 1 if number > 1 else number + 1
    first = "too low" if wrong < number else "too high"
    assert run(GUESS_WITH_OBJECT, wrong) == f"{first} False False"
    assert run(GUESS_WITH_OBJECT, wrong) == "again False False"
    assert run(GUESS_WITH_OBJECT, 99, code=1) == f"out of range, David\n{[wrong, wrong]}"
    assert run(GUESS_WITH_OBJECT, number, "die", code=1) == f"interrupted\n{[wrong, wrong]}"
    assert run(GUESS_WITH_OBJECT, number) == "3 guesses, David True False"


# --- the documented idioms, in one process

IDIOMS = """
    import gc
    import pmemobj
    from pmemobj import PersistentDict, PersistentList, PersistentObject, PersistentSet, PersistentTuple
    from decimal import Decimal

    class Alien(PersistentObject):
        alive = True

        def __init__(self, x, y):
            self.x = x
            self.y = y

    class Aliens(PersistentObject):
        def __init__(self):
            self.aliens = self._p_mm.new(PersistentList)

        def create_aliens(self):
            for x in range(3):
                self.aliens.append(self._p_mm.new(Alien, x=x, y=0))

        def move(self, dx):
            with self._p_mm.transaction():
                for alien in self.aliens:
                    alien.x += dx

    class Screen(PersistentObject):
        calls = 0

        def __init__(self):
            self.width = self._v_width              # _v__init__ has run before

        def _v__init__(self):
            Screen.calls += 1
            self._v_width = 50

    pool = pmemobj.create('idioms.pmem', pool_size=pmemobj.MIN_POOL_SIZE, debug=True)
    try:
        pmemobj.create('idioms.pmem')
    except OSError:
        pass
    else:
        raise AssertionError("created twice")
    pool.root = pool.new(PersistentDict, a=1)
    pool.root['aliens'] = pool.new(Aliens)
    pool.root['aliens'].create_aliens()
    pool.root['aliens'].move(10)
    pool.root['screen'] = pool.new(Screen)
    pool.root['set'] = pool.new(PersistentSet, [1, 2])
    pool.root['tuple'] = pool.new(PersistentTuple, (1, 'two'))
    pool.root['list'] = pool.new(PersistentList, [1, 2, 3])
    pool.persist_via_pickle(Decimal)
    pool.root['pickled'] = Decimal('1.5')
    try:
        with pool.transaction():
            pool.root['a'] = 2
            pool.root['list'].append(4)
            raise ValueError
    except ValueError:
        pass
    assert pool.root['a'] == 1 and pool.root['list'] == [1, 2, 3]
    ring = pool.new(PersistentList)
    ring.append(ring)
    del ring
    pool.gc()
    pool.gc(debug=True)
    pool.close()
    pool.close()
    assert pool.closed

    pool = pmemobj.PersistentObjectPool('idioms.pmem', 'w', debug=False)
    pool.persist_via_pickle(Decimal)
    root = pool.root
    aliens = [(alien.x, alien.y, alien.alive) for alien in root['aliens'].aliens]
    assert aliens == [(10, 0, True), (11, 0, True), (12, 0, True)]
    assert Screen.calls == 1 and root['screen'].width == 50 and Screen.calls == 2 and root['screen']._v_width == 50
    assert root['set'] == {1, 2} and root['tuple'] == (1, 'two') and root['pickled'] == Decimal('1.5')
    assert root['screen']._p_mm.new(Alien, 1, 2).y == 2
    assert hasattr(root['screen'], '_p_mm') and not hasattr(root['screen'], 'nothing')
    with root._p_mm.transaction():
        root['a'] += 1
    assert pool.root['a'] == 2
    with pool:
        pass
    for flag, error in (('w', OSError), ('x', OSError)):
        try:
            pmemobj.PersistentObjectPool('missing.pmem' if flag == 'w' else 'idioms.pmem', flag=flag)
        except error:
            continue
        raise AssertionError(flag)
    print("all is as in pynvm")
"""


def test_idioms(run):
    assert run(IDIOMS) == "all is as in pynvm"
