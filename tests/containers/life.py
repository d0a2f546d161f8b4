"""A long random life of a container beside a builtin one: transactions, savepoints, aborts, close and reopen."""

import copy
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from list_support import in_use

import pmemobj


class ContainerLife(RuleBasedStateMachine):
    """Subclasses have empty(), which gives a builtin container, and rules that change `stored` and `model` alike.
    Where storing the builtin one does not give the container they are about, new() does."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="container-life-"))
        self.pool = pmemobj.open(self.folder / "pool", max_size=64 << 20, sync="manual")
        self.before = in_use(self.pool)
        self.model = self.empty()
        self.pool.root = self.new()
        self.stored = self.pool.root
        self.saved = []  # the model at the start of each open transaction or savepoint

    def new(self):
        return self.model

    def both(self, change):
        """Does the same with both; either both raise the same, or both give the same."""
        results = []
        for subject in (self.stored, self.model):
            try:
                results.append(self.plain(change(subject)))
            except (IndexError, KeyError, ValueError, TypeError) as error:
                results.append((type(error), str(error)))
        assert results[0] == results[1]

    @staticmethod
    def plain(value):
        return value._p_mm.to_python(value) if hasattr(value, "_p_mm") else value

    @precondition(lambda self: len(self.saved) < 4)
    @rule()
    def begin(self):
        self.pool.begin()
        self.saved.append(copy.deepcopy(self.model))

    @precondition(lambda self: self.saved)
    @rule()
    def commit(self):
        self.pool.commit()
        self.saved.pop()

    @precondition(lambda self: self.saved)
    @rule()
    def abort(self):
        self.pool.abort()
        self.model = self.saved.pop()
        self.stored = self.pool.root

    @precondition(lambda self: not self.saved)
    @rule(checkpoint=st.booleans())
    def reopen(self, checkpoint):
        if checkpoint:
            self.pool.checkpoint()
        self.stored = None
        self.pool.close()
        self.pool = pmemobj.open(self.folder / "pool", sync="manual")
        self.stored = self.pool.root

    @invariant()
    def equal(self):
        assert len(self.stored) == len(self.model)
        assert self.plain(self.stored) == self.model
        self.stored._check()

    def end(self):
        """What becomes of the container before the pool lets go of it."""
        self.stored.clear()
        assert len(self.stored) == 0
        assert self.stored == self.empty()

    def teardown(self):
        try:
            while self.saved:
                self.abort()
            self.equal()
            assert self.pool.check().ok
            self.pool._check_references()
            self.end()
            self.pool.root = None
            self.stored = None
            assert in_use(self.pool) == self.before
            assert self.pool._limbo() == 0
        finally:
            while self.pool.in_transaction:
                self.pool.abort()
            self.stored = None
            self.pool.close()
            shutil.rmtree(self.folder)


class SequenceLife(ContainerLife):
    """What a list, a deque and a byte array have in common."""

    repeated = 300  # as long as it may be, to be repeated

    @precondition(lambda self: len(self.model) < self.repeated)
    @rule(n=st.integers(-1, 3))
    def repeat(self, n):
        self.stored *= n
        self.model *= n
        # A list in it is now there several times, as one object, in both.

    @rule()
    def reverse(self):
        self.both(lambda s: s.reverse())

    @rule()
    def clear(self):
        self.both(lambda s: s.clear())
