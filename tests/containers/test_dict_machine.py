"""A long random life of a dict beside a builtin one: transactions, savepoints, aborts, close and reopen.

The builtin one is compared in order, and its keys with their types.
"""

import copy

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from life import ContainerLife
from table_support import exact, keys, plain, values

from pmemobj import _list, _set  # noqa: F401 - what the values become
from pmemobj._dict import PersistentDict

batches = st.one_of(
    st.lists(st.tuples(keys, values), max_size=8),
    st.builds(lambda n, m: [(i, str(i)) for i in range(n, n + m)], st.integers(0, 50), st.integers(5, 60)),
    st.builds(
        lambda n, m: [(f"a longer key {i}", i) for i in range(n, n + m)], st.integers(0, 50), st.just(300)
    ),
)


class DictLife(ContainerLife):
    empty = dict
    plain = staticmethod(plain)

    # --- changes

    @rule(key=keys, value=values)
    def set(self, key, value):
        self.stored[key] = value
        self.model[key] = copy.deepcopy(value)

    @rule(key=keys)
    def delete(self, key):
        try:
            del self.model[key]
        except KeyError:
            key = next(iter(self.model), None)
            if self.model:
                del self.model[key]
                del self.stored[key]
        else:
            del self.stored[key]

    @rule(key=keys)
    def pop(self, key):
        assert plain(self.stored.pop(key, "none")) == self.model.pop(key, "none")

    @rule(n=st.integers(1, 30))
    def pop_items(self, n):
        for _ in range(min(n, len(self.model))):
            key, value = self.stored.popitem()
            assert (key, plain(value)) == self.model.popitem()

    @rule(n=st.integers(1, 200), first=st.booleans())
    def delete_many(self, n, first):
        gone = list(self.model)
        for key in gone[:n] if first else gone[-n:]:
            del self.stored[key]
            del self.model[key]

    @rule(key=keys, value=values)
    def setdefault(self, key, value):
        assert plain(self.stored.setdefault(key, value)) == self.model.setdefault(key, copy.deepcopy(value))

    @rule(new=batches, mapping=st.booleans())
    def update(self, new, mapping):
        self.stored.update(dict(new) if mapping else iter(new))
        self.model.update(copy.deepcopy(new))

    @rule(new=batches)
    def merge(self, new):
        self.stored |= new
        self.model |= copy.deepcopy(new)

    @rule()
    def clear(self):
        self.stored.clear()
        self.model.clear()

    @rule(new=batches)
    def replace(self, new):
        self.stored = self.pool.new(PersistentDict, new)
        self.pool.root = self.stored
        self.model = dict(copy.deepcopy(new))

    # --- looking

    @rule(key=keys)
    def look_up(self, key):
        assert (key in self.stored) == (key in self.model)
        assert plain(self.stored.get(key)) == self.model.get(key)

    # --- always

    @invariant()
    def equal(self):
        super().equal()
        assert exact(self.stored) == exact(self.model)

    def end(self):
        """It is destroyed as it is."""


TestDictLife = DictLife.TestCase
