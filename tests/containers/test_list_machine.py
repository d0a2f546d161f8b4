"""A long random life of a list beside a builtin one: transactions, savepoints, aborts, close and reopen."""

import copy

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from life import SequenceLife
from list_support import common, items, plain, spelled

positions = st.integers(-100, 100)
steps = st.sampled_from([None, 1, 2, -1, -3, 7])
batches = st.one_of(
    st.lists(items, max_size=6), st.builds(lambda n, x: [x] * n, st.integers(60, 150), common)
)


class ListLife(SequenceLife):
    empty = list
    plain = staticmethod(plain)

    # --- changes

    @rule(value=items)
    def append(self, value):
        self.stored.append(value)
        self.model.append(copy.deepcopy(value))

    @rule(at=positions, value=items)
    def insert(self, at, value):
        self.stored.insert(at, value)
        self.model.insert(at, copy.deepcopy(value))

    @rule(new=batches)
    def extend(self, new):
        self.stored.extend(new)
        self.model.extend(copy.deepcopy(new))

    @precondition(lambda self: self.model)
    @rule(at=positions, value=items)
    def overwrite(self, at, value):
        at %= len(self.model)
        self.stored[at] = value
        self.model[at] = copy.deepcopy(value)

    @precondition(lambda self: self.model)
    @rule(at=positions)
    def pop(self, at):
        at %= len(self.model)
        assert plain(self.stored.pop(at)) == self.model.pop(at)

    @precondition(lambda self: self.model)
    @rule()
    def pop_last(self):
        assert plain(self.stored.pop()) == self.model.pop()

    @precondition(lambda self: self.model)
    @rule(at=positions)
    def remove(self, at):
        value = copy.deepcopy(self.model[at % len(self.model)])
        self.stored.remove(value)
        self.model.remove(value)

    @rule(lo=positions, hi=positions, step=steps)
    def delete_slice(self, lo, hi, step):
        del self.stored[lo:hi:step]
        del self.model[lo:hi:step]

    @rule(lo=positions, hi=positions, new=batches)
    def assign_slice(self, lo, hi, new):
        self.stored[lo:hi] = new
        self.model[lo:hi] = copy.deepcopy(new)

    @rule(lo=positions, hi=positions, step=steps, value=items)
    def assign_stepped(self, lo, hi, step, value):
        count = len(self.model[lo:hi:step])
        if step not in (None, 1):
            self.stored[lo:hi:step] = [value] * count
            self.model[lo:hi:step] = copy.deepcopy([value] * count)

    @rule(reverse=st.booleans())
    def sort(self, reverse):
        def key(item):
            return spelled(plain(item))

        self.stored.sort(key=key, reverse=reverse)
        self.model.sort(key=key, reverse=reverse)


TestListLife = ListLife.TestCase
