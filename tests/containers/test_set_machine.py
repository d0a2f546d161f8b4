"""A long random life of a set beside a builtin one: transactions, savepoints, aborts, close and reopen."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from table_support import exact, in_use, keys

import pmemobj
from pmemobj._set import PersistentSet

batches = st.one_of(
    st.lists(keys, max_size=8),
    st.builds(lambda n, m: list(range(n, n + m)), st.integers(0, 50), st.integers(5, 60)),
    st.builds(lambda n, m: [f"a longer key {i}" for i in range(n, n + m)], st.integers(0, 50), st.just(300)),
)
METHODS = ["update", "intersection_update", "difference_update", "symmetric_difference_update"]
OPERATORS = ["__ior__", "__iand__", "__isub__", "__ixor__"]


class SetLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="set-life-"))
        self.pool = pmemobj.open(self.folder / "pool", max_size=64 << 20, sync="manual")
        self.before = in_use(self.pool)
        self.pool.root = set()
        self.set = self.pool.root
        self.model = set()
        self.saved = []  # the model at the start of each open transaction or savepoint

    # --- changes

    @rule(key=keys)
    def add(self, key):
        self.set.add(key)
        self.model.add(key)

    @rule(key=keys)
    def discard(self, key):
        self.set.discard(key)
        self.model.discard(key)

    @rule(n=st.integers(1, 30))
    def pop(self, n):
        for _ in range(min(n, len(self.model))):
            self.model.remove(self.set.pop())

    @rule(n=st.integers(1, 200))
    def remove_many(self, n):
        for key in list(self.set)[:n]:
            self.set.remove(key)
            self.model.remove(key)

    @rule(name=st.sampled_from(METHODS), new=batches)
    def change(self, name, new):
        getattr(self.set, name)(iter(new))
        getattr(self.model, name)(new)

    @rule(name=st.sampled_from(METHODS[:-1]), new=batches, more=batches)
    def change_by_two(self, name, new, more):
        getattr(self.set, name)(new, set(more))
        getattr(self.model, name)(new, more)

    @rule(name=st.sampled_from(OPERATORS), new=batches, persistent=st.booleans())
    def change_in_place(self, name, new, persistent):
        other = self.pool.new(PersistentSet, new) if persistent else frozenset(new)
        assert getattr(self.set, name)(other) is self.set
        getattr(self.model, name)(set(new))

    @rule(name=st.sampled_from(OPERATORS))
    def change_by_itself(self, name):
        getattr(self.set, name)(self.set)
        getattr(self.model, name)(self.model)

    @rule()
    def clear(self):
        self.set.clear()
        self.model.clear()

    # --- looking

    @rule(key=keys)
    def look_up(self, key):
        assert (key in self.set) == (key in self.model)

    @rule(new=batches)
    def compare(self, new):
        other = set(new)
        assert (self.set == other, self.set <= other, self.set > other) == (
            self.model == other,
            self.model <= other,
            self.model > other,
        )
        assert self.set | other == self.model | other
        assert other & self.set == other & self.model
        assert self.set - other == self.model - other
        assert other - self.set == other - self.model
        assert self.set ^ other == self.model ^ other
        assert self.set.isdisjoint(other) == self.model.isdisjoint(other)

    # --- transactions

    @precondition(lambda self: len(self.saved) < 4)
    @rule()
    def begin(self):
        self.pool.begin()
        self.saved.append(set(self.model))

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
        self.set = None
        self.pool.close()
        self.pool = pmemobj.open(self.folder / "pool", sync="manual")
        self.set = self.pool.root

    # --- always

    @invariant()
    def equal(self):
        self.set._check()
        assert len(self.set) == len(self.model)
        assert self.set == self.model
        # Which of 1, 1.0 and True stays is the same, but for & and ^ that may keep either set's elements.
        assert len(exact(self.set)) == len(self.model)

    def teardown(self):
        try:
            while self.saved:
                self.abort()
            self.equal()
            self.pool.root = None
            self.set = None
            assert in_use(self.pool) == self.before
            assert self.pool._limbo() == 0
        finally:
            while self.pool.in_transaction:
                self.pool.abort()
            self.set = None
            self.pool.close()
            shutil.rmtree(self.folder)


TestSetLife = SetLife.TestCase
