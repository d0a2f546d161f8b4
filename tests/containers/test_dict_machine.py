"""A long random life of a dict beside a builtin one: transactions, savepoints, aborts, close and reopen.

The builtin one is compared in order, and its keys with their types.
"""

import copy
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from table_support import exact, in_use, keys, plain, values

import pmemobj
from pmemobj import _list, _set  # noqa: F401 - what the values become
from pmemobj._dict import PersistentDict

batches = st.one_of(
    st.lists(st.tuples(keys, values), max_size=8),
    st.builds(lambda n, m: [(i, str(i)) for i in range(n, n + m)], st.integers(0, 50), st.integers(5, 60)),
    st.builds(
        lambda n, m: [(f"a longer key {i}", i) for i in range(n, n + m)], st.integers(0, 50), st.just(300)
    ),
)


class DictLife(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="dict-life-"))
        self.pool = pmemobj.open(self.folder / "pool", max_size=64 << 20, sync="manual")
        self.before = in_use(self.pool)
        self.pool.root = {}
        self.dict = self.pool.root
        self.model = {}
        self.saved = []  # the model at the start of each open transaction or savepoint

    # --- changes

    @rule(key=keys, value=values)
    def set(self, key, value):
        self.dict[key] = value
        self.model[key] = copy.deepcopy(value)

    @rule(key=keys)
    def delete(self, key):
        try:
            del self.model[key]
        except KeyError:
            key = next(iter(self.model), None)
            if self.model:
                del self.model[key]
                del self.dict[key]
        else:
            del self.dict[key]

    @rule(key=keys)
    def pop(self, key):
        assert plain(self.dict.pop(key, "none")) == self.model.pop(key, "none")

    @rule(n=st.integers(1, 30))
    def pop_items(self, n):
        for _ in range(min(n, len(self.model))):
            key, value = self.dict.popitem()
            assert (key, plain(value)) == self.model.popitem()

    @rule(n=st.integers(1, 200), first=st.booleans())
    def delete_many(self, n, first):
        gone = list(self.model)
        for key in gone[:n] if first else gone[-n:]:
            del self.dict[key]
            del self.model[key]

    @rule(key=keys, value=values)
    def setdefault(self, key, value):
        assert plain(self.dict.setdefault(key, value)) == self.model.setdefault(key, copy.deepcopy(value))

    @rule(new=batches, mapping=st.booleans())
    def update(self, new, mapping):
        self.dict.update(dict(new) if mapping else iter(new))
        self.model.update(copy.deepcopy(new))

    @rule(new=batches)
    def merge(self, new):
        self.dict |= new
        self.model |= copy.deepcopy(new)

    @rule()
    def clear(self):
        self.dict.clear()
        self.model.clear()

    @rule(new=batches)
    def replace(self, new):
        self.dict = self.pool.new(PersistentDict, new)
        self.pool.root = self.dict
        self.model = dict(copy.deepcopy(new))

    # --- looking

    @rule(key=keys)
    def look_up(self, key):
        assert (key in self.dict) == (key in self.model)
        assert plain(self.dict.get(key)) == self.model.get(key)

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
        self.dict = self.pool.root

    @precondition(lambda self: not self.saved)
    @rule(checkpoint=st.booleans())
    def reopen(self, checkpoint):
        if checkpoint:
            self.pool.checkpoint()
        self.dict = None
        self.pool.close()
        self.pool = pmemobj.open(self.folder / "pool", sync="manual")
        self.dict = self.pool.root

    # --- always

    @invariant()
    def equal(self):
        self.dict._check()
        assert len(self.dict) == len(self.model)
        assert exact(self.dict) == exact(self.model)
        assert plain(self.dict) == self.model

    def teardown(self):
        try:
            while self.saved:
                self.abort()
            self.equal()
            self.pool.root = None
            self.dict = None
            assert in_use(self.pool) == self.before
            assert self.pool._limbo() == 0
        finally:
            while self.pool.in_transaction:
                self.pool.abort()
            self.dict = None
            self.pool.close()
            shutil.rmtree(self.folder)


TestDictLife = DictLife.TestCase
