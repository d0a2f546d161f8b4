"""The life of a deque, without and with maxlen."""

import copy
from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from life import SequenceLife
from list_support import common, items

positions = st.integers(-40, 40)
batches = st.one_of(
    st.lists(items, max_size=6), st.builds(lambda n, x: [x] * n, st.integers(10, 300), common)
)


class DequeLife(SequenceLife):
    empty = deque
    repeated = 400

    def both_with(self, change, value):
        """The value is a copy for each: the pool makes one anyway."""
        results = []
        for subject in (self.stored, self.model):
            try:
                change(subject, copy.deepcopy(value))
                results.append(None)
            except (IndexError, ValueError) as error:
                results.append((type(error), str(error)))
        assert results[0] == results[1]

    @rule(value=items)
    def append(self, value):
        self.both_with(lambda d, x: d.append(x), value)

    @rule(value=items)
    def append_left(self, value):
        self.both_with(lambda d, x: d.appendleft(x), value)

    @rule(new=batches)
    def extend(self, new):
        self.both_with(lambda d, x: d.extend(x), new)

    @rule(new=batches)
    def extend_left(self, new):
        self.both_with(lambda d, x: d.extendleft(x), new)

    @rule(count=st.integers(1, 200), left=st.booleans())
    def pop(self, count, left):
        for _ in range(count):
            self.both(lambda d: d.popleft() if left else d.pop())

    @rule(at=positions, value=items)
    def insert(self, at, value):
        self.both_with(lambda d, x: d.insert(at, x), value)

    @rule(at=positions, value=items)
    def overwrite(self, at, value):
        self.both_with(lambda d, x: d.__setitem__(at, x), value)

    @rule(at=positions)
    def delete(self, at):
        self.both(lambda d: d.__delitem__(at))

    @rule(at=positions)
    def get(self, at):
        self.both(lambda d: d[at])

    @precondition(lambda self: self.model)
    @rule(at=positions)
    def remove(self, at):
        value = copy.deepcopy(self.model[at % len(self.model)])
        self.both(lambda d: d.remove(value))

    @rule(value=common, lo=positions, hi=positions)
    def search(self, value, lo, hi):
        self.both(lambda d: (value in d, d.count(value)))
        for subject in (self.stored, self.model):
            try:
                found = subject.index(value, lo, hi)
            except ValueError:
                found = None
            if subject is self.stored:
                first = found
        assert first == found

    @rule(n=st.integers(-500, 500))
    def rotate(self, n):
        self.both(lambda d: d.rotate(n))


class BoundedDequeLife(DequeLife):
    def empty(self):
        return deque(maxlen=30)


TestDequeLife = DequeLife.TestCase
TestBoundedDequeLife = BoundedDequeLife.TestCase
TestBoundedDequeLife.settings = settings.get_profile("fewer")
