"""A long random life of a list beside a builtin one: transactions, savepoints, aborts, close and reopen."""

import copy
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from list_support import common, in_use, items, plain

import pmemobj

positions = st.integers(-100, 100)
steps = st.sampled_from([None, 1, 2, -1, -3, 7])
batches = st.one_of(
    st.lists(items, max_size=6), st.builds(lambda n, x: [x] * n, st.integers(60, 150), common)
)


class ListLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="list-life-"))
        self.pool = pmemobj.open(self.folder / "pool", max_size=64 << 20, sync="manual")
        self.before = in_use(self.pool)
        self.pool.root = []
        self.list = self.pool.root
        self.model = []
        self.saved = []  # the model at the start of each open transaction or savepoint

    # --- changes

    @rule(value=items)
    def append(self, value):
        self.list.append(value)
        self.model.append(copy.deepcopy(value))

    @rule(at=positions, value=items)
    def insert(self, at, value):
        self.list.insert(at, value)
        self.model.insert(at, copy.deepcopy(value))

    @rule(new=batches)
    def extend(self, new):
        self.list.extend(new)
        self.model.extend(copy.deepcopy(new))

    @precondition(lambda self: self.model)
    @rule(at=positions, value=items)
    def overwrite(self, at, value):
        at %= len(self.model)
        self.list[at] = value
        self.model[at] = copy.deepcopy(value)

    @precondition(lambda self: self.model)
    @rule(at=positions)
    def pop(self, at):
        at %= len(self.model)
        assert plain(self.list.pop(at)) == self.model.pop(at)

    @precondition(lambda self: self.model)
    @rule()
    def pop_last(self):
        assert plain(self.list.pop()) == self.model.pop()

    @precondition(lambda self: self.model)
    @rule(at=positions)
    def remove(self, at):
        value = copy.deepcopy(self.model[at % len(self.model)])
        self.list.remove(value)
        self.model.remove(value)

    @rule(lo=positions, hi=positions, step=steps)
    def delete_slice(self, lo, hi, step):
        del self.list[lo:hi:step]
        del self.model[lo:hi:step]

    @rule(lo=positions, hi=positions, new=batches)
    def assign_slice(self, lo, hi, new):
        self.list[lo:hi] = new
        self.model[lo:hi] = copy.deepcopy(new)

    @rule(lo=positions, hi=positions, step=steps, value=items)
    def assign_stepped(self, lo, hi, step, value):
        count = len(self.model[lo:hi:step])
        if step not in (None, 1):
            self.list[lo:hi:step] = [value] * count
            self.model[lo:hi:step] = copy.deepcopy([value] * count)

    @precondition(lambda self: len(self.model) < 300)
    @rule(n=st.integers(-1, 3))
    def repeat(self, n):
        self.list *= n
        self.model *= n
        # A list in the list is now there several times, as one object, in both.

    @rule()
    def reverse(self):
        self.list.reverse()
        self.model.reverse()

    @rule(reverse=st.booleans())
    def sort(self, reverse):
        def key(item):
            return repr(plain(item))

        self.list.sort(key=key, reverse=reverse)
        self.model.sort(key=key, reverse=reverse)

    @rule()
    def clear(self):
        self.list.clear()
        self.model.clear()

    # --- transactions

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

    @precondition(lambda self: not self.saved)
    @rule(checkpoint=st.booleans())
    def reopen(self, checkpoint):
        if checkpoint:
            self.pool.checkpoint()
        self.list = None
        self.pool.close()
        self.pool = pmemobj.open(self.folder / "pool", sync="manual")
        self.list = self.pool.root

    # --- always

    @invariant()
    def equal(self):
        assert len(self.list) == len(self.model)
        assert plain(self.list) == self.model
        self.list._check()

    def teardown(self):
        try:
            while self.saved:
                self.abort()
            assert plain(self.list) == self.model
            self.list.clear()
            assert self.list == []
            self.pool.root = None
            self.list = None
            assert in_use(self.pool) == self.before
            assert self.pool._limbo() == 0
        finally:
            while self.pool.in_transaction:
                self.pool.abort()
            self.list = None
            self.pool.close()
            shutil.rmtree(self.folder)


TestListLife = ListLife.TestCase
