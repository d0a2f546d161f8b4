"""The life of a sorted dict and a sorted set, with keys that begin alike, and with numbers of all kinds.

The models are a dict and a set, sorted anew each time: they have no tree to go wrong.
"""

from bisect import bisect_left, bisect_right

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from life import ContainerLife
from list_support import items

import pmemobj

# Characters beside the ends of what a byte holds, zeros, which a shorter key seems to have at its end, and beginnings
# around the 24 bytes that a node knows of all its keys.
parts = st.sampled_from(
    ["", "a", "b", "ab", "\0", "\xff", "\xe9", "12345678", "x" * 23, "x" * 24, "x" * 25, "\u20ac"]
)
texts = st.lists(parts, max_size=4).map("".join) | st.integers(0, 999).map("key number {:04}".format)
numbers = st.integers(-20, 400) | st.integers() | st.floats(allow_nan=False) | st.booleans()
starts, counts = st.integers(0, 400), st.integers(1, 300)


class SortedLife(ContainerLife):
    keys = texts
    key_of = staticmethod("key number {:04}".format)

    def many(self, start, count):
        return [self.key_of(i) for i in range(start, start + count)]

    def new(self):
        return self.pool.new(self.kind)

    @invariant()
    def in_order(self):
        assert list(self.stored) == sorted(self.model)

    @rule(start=starts, count=counts)
    def remove_many(self, start, count):
        for key in self.many(start, count):
            self.both(lambda m, key=key: self.drop(m, key))

    @rule(at=st.integers(0, 10**6), count=counts)
    def remove_at(self, at, count):
        for _ in range(min(count, len(self.model))):
            key = sorted(self.model)[at % len(self.model)]
            self.both(lambda m, key=key: self.drop(m, key))

    @rule(data=st.data())
    def look(self, data):
        key, ordered = data.draw(self.keys), sorted(self.model)
        assert (key in self.stored) == (key in self.model)
        assert self.stored.bisect_left(key) == bisect_left(ordered, key)
        assert self.stored.bisect_right(key) == bisect_right(ordered, key)
        high = data.draw(self.keys)
        assert list(self.stored.irange(key, high)) == [x for x in ordered if key <= x <= high]

    @rule()
    def clear(self):
        self.stored.clear()
        self.model.clear()


DICT = pmemobj.PersistentSortedDict


class SortedDictLife(SortedLife):
    empty = dict
    kind = DICT

    @staticmethod
    def drop(mapping, key):
        return mapping.pop(key)

    @rule(data=st.data(), value=items)
    def store(self, data, value):
        key = data.draw(self.keys)
        self.stored[key] = value
        self.model[key] = value

    @rule(data=st.data())
    def pop(self, data):
        key = data.draw(self.keys)
        self.both(lambda m: m.pop(key, None))

    @rule(start=starts, count=counts, value=items)
    def update(self, start, count, value):
        keys = self.many(start, count)
        self.stored.update(dict.fromkeys(keys, value))
        self.model.update(dict.fromkeys(keys, value))


class SortedSetLife(SortedLife):
    empty = set
    kind = pmemobj.PersistentSortedSet

    @staticmethod
    def drop(members, key):
        return members.remove(key)

    @rule(data=st.data())
    def add(self, data):
        key = data.draw(self.keys)
        self.both(lambda m: m.add(key))

    @rule(start=starts, count=counts)
    def toggle(self, start, count):
        keys = self.many(start, count)
        self.both(lambda m: m.symmetric_difference_update(keys))


class NumberLife(SortedDictLife):
    keys = numbers
    key_of = staticmethod(float)


TestSortedDictLife = SortedDictLife.TestCase
TestSortedSetLife = SortedSetLife.TestCase
TestNumberLife = NumberLife.TestCase
TestSortedSetLife.settings = TestNumberLife.settings = settings.get_profile("fewer")
