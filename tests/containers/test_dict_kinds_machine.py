"""The lives of an ordered dict, a counter and a defaultdict."""

import copy
from collections import Counter, OrderedDict, defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from life import ContainerLife
from list_support import items

keys = st.one_of(
    st.integers(0, 12), st.sampled_from(["a", "a longer key", 2.5, (1, "two"), None, frozenset({1})])
)


class OrderedLife(ContainerLife):
    empty = OrderedDict

    @rule(key=keys, value=items)
    def put(self, key, value):
        self.stored[key] = value
        self.model[key] = copy.deepcopy(value)

    @rule(new=st.dictionaries(keys, items, max_size=20))
    def update(self, new):
        self.stored.update(new)
        self.model.update(copy.deepcopy(new))

    @rule(key=keys)
    def delete(self, key):
        self.both(lambda d: d.__delitem__(key))

    # The builtin's KeyError of a missing None has no key.
    @rule(key=keys.filter(lambda key: key is not None), last=st.booleans())
    def move(self, key, last):
        self.both(lambda d: d.move_to_end(key, last))

    @rule(last=st.booleans(), count=st.integers(1, 8))
    def popitem(self, last, count):
        for _ in range(count):
            if self.model:
                key, value = self.stored.popitem(last)
                assert (key, self.plain(value)) == self.model.popitem(last)

    @rule(count=st.integers(1, 300))
    def many(self, count):
        for i in range(count):
            for subject in (self.stored, self.model):
                subject[i % 37] = i
                subject.move_to_end(i % 5, last=i % 50 != 0)

    @rule()
    def order(self):
        assert list(reversed(self.stored)) == list(reversed(self.model))
        assert list(self.stored.items())[:1] == list(self.stored.items())[:1]


class CounterLife(ContainerLife):
    empty = Counter

    @rule(counted=st.lists(keys, max_size=20))
    def update(self, counted):
        self.both(lambda c: c.update(counted))

    @rule(counted=st.dictionaries(keys, st.integers(-3, 3)))
    def subtract(self, counted):
        self.both(lambda c: c.subtract(counted))

    @rule(key=keys, count=st.integers(-2, 2**70))
    def put(self, key, count):
        self.both(lambda c: c.__setitem__(key, count))

    @rule(key=keys)
    def delete(self, key):
        self.both(lambda c: c.__delitem__(key))

    @rule(key=keys)
    def look(self, key):
        self.both(
            lambda c: (c[key], c.get(key), c.total(), c.most_common(3), +c, -c, sum(1 for _ in c.items()))
        )

    @rule(other=st.dictionaries(keys, st.integers(-3, 5)), operator=st.sampled_from("+-|&"))
    def operate(self, other, operator):
        other = Counter(other)
        names = {"+": "__iadd__", "-": "__isub__", "|": "__ior__", "&": "__iand__"}
        getattr(self.stored, names[operator])(other)
        getattr(self.model, names[operator])(other)


class DefaultLife(ContainerLife):
    def empty(self):
        return defaultdict(list)

    @rule(key=keys, value=items)
    def append(self, key, value):
        self.stored[key].append(value)
        self.model[key].append(copy.deepcopy(value))

    @rule(key=keys)
    def delete(self, key):
        self.both(lambda d: d.__delitem__(key))

    @rule(factory=st.sampled_from([list, None]))
    def change_factory(self, factory):
        self.stored.default_factory = self.model.default_factory = factory
        self.both(lambda d: d["not there yet"])
        self.stored.default_factory = self.model.default_factory = list


TestOrderedLife = OrderedLife.TestCase
TestOrderedLife.settings = settings.get_profile("fewer")
TestCounterLife = CounterLife.TestCase
TestCounterLife.settings = settings.get_profile("fewer")
TestDefaultLife = DefaultLife.TestCase
TestDefaultLife.settings = settings.get_profile("fewer")
