"""A long random life of a set beside a builtin one: transactions, savepoints, aborts, close and reopen."""

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from life import ContainerLife
from table_support import exact, keys

from pmemobj._set import PersistentSet

batches = st.one_of(
    st.lists(keys, max_size=8),
    st.builds(lambda n, m: list(range(n, n + m)), st.integers(0, 50), st.integers(5, 60)),
    st.builds(lambda n, m: [f"a longer key {i}" for i in range(n, n + m)], st.integers(0, 50), st.just(300)),
)
METHODS = ["update", "intersection_update", "difference_update", "symmetric_difference_update"]
OPERATORS = ["__ior__", "__iand__", "__isub__", "__ixor__"]


class SetLife(ContainerLife):
    empty = set

    # --- changes

    @rule(key=keys)
    def add(self, key):
        self.stored.add(key)
        self.model.add(key)

    @rule(key=keys)
    def discard(self, key):
        self.stored.discard(key)
        self.model.discard(key)

    @rule(n=st.integers(1, 30))
    def pop(self, n):
        for _ in range(min(n, len(self.model))):
            self.model.remove(self.stored.pop())

    @rule(n=st.integers(1, 200))
    def remove_many(self, n):
        for key in list(self.stored)[:n]:
            self.stored.remove(key)
            self.model.remove(key)

    @rule(name=st.sampled_from(METHODS), new=batches)
    def change(self, name, new):
        getattr(self.stored, name)(iter(new))
        getattr(self.model, name)(new)

    @rule(name=st.sampled_from(METHODS[:-1]), new=batches, more=batches)
    def change_by_two(self, name, new, more):
        getattr(self.stored, name)(new, set(more))
        getattr(self.model, name)(new, more)

    @rule(name=st.sampled_from(OPERATORS), new=batches, persistent=st.booleans())
    def change_in_place(self, name, new, persistent):
        other = self.pool.new(PersistentSet, new) if persistent else frozenset(new)
        assert getattr(self.stored, name)(other) is self.stored
        getattr(self.model, name)(set(new))

    @rule(name=st.sampled_from(OPERATORS))
    def change_by_itself(self, name):
        getattr(self.stored, name)(self.stored)
        getattr(self.model, name)(self.model)

    @rule()
    def clear(self):
        self.stored.clear()
        self.model.clear()

    # --- looking

    @rule(key=keys)
    def look_up(self, key):
        assert (key in self.stored) == (key in self.model)

    @rule(new=batches)
    def compare(self, new):
        other = set(new)
        assert (self.stored == other, self.stored <= other, self.stored > other) == (
            self.model == other,
            self.model <= other,
            self.model > other,
        )
        assert self.stored | other == self.model | other
        assert other & self.stored == other & self.model
        assert self.stored - other == self.model - other
        assert other - self.stored == other - self.model
        assert self.stored ^ other == self.model ^ other
        assert self.stored.isdisjoint(other) == self.model.isdisjoint(other)

    # --- always

    @invariant()
    def equal(self):
        super().equal()
        assert self.stored == self.model
        # Which of 1, 1.0 and True stays is the same, but for & and ^ that may keep either set's elements.
        assert len(exact(self.stored)) == len(self.model)

    def end(self):
        """It is destroyed as it is."""


TestSetLife = SetLife.TestCase
