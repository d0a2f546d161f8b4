"""The life of an array beside a plain one, of one axis and of several."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from life import ContainerLife

numbers = st.integers(-(2**31), 2**31 - 1)
rows = st.integers(-40, 40)
slices = st.builds(slice, st.none() | rows, st.none() | rows, st.sampled_from([None, None, 1, 2, -1, -3]))


class Plain:
    """An ndarray that can be replaced by a longer one, with the methods of ours."""

    def __init__(self, items):
        self.items = items

    def __deepcopy__(self, memo):
        return Plain(self.items.copy())

    def __len__(self):
        return len(self.items)

    def __eq__(self, other):
        return np.array_equal(self.items, other)

    __hash__ = None
    __array_ufunc__ = None  # so that ndarray == Plain asks us


class ArrayLife(ContainerLife):
    tail = ()

    def empty(self):
        return np.zeros((3, *self.tail), "i4")

    def __init__(self):
        super().__init__()
        self.model = Plain(self.model)

    @staticmethod
    def plain(value):
        return value.copy() if hasattr(value, "_p_mm") else value

    def change(self, function):
        """The same with both; either both raise the same, or neither does."""
        results = []
        for subject in (self.stored, self.model.items):
            try:
                function(subject)
                results.append(None)
            except (IndexError, ValueError, TypeError, OverflowError) as error:
                results.append(type(error))
        assert results[0] == results[1]

    def row(self, number):
        return (np.arange(np.prod(self.tail, dtype=int)) + number).astype("i4").reshape(self.tail)

    def extended(self, more):
        self.model.items = np.concatenate([self.model.items, more])

    @rule(number=numbers)
    def append(self, number):
        self.stored.append(self.row(number))
        self.extended(self.row(number)[None])

    @rule(number=numbers, count=st.sampled_from([0, 1, 3, 100, 700]))
    def extend(self, number, count):
        more = (
            np.stack([self.row(number + i) for i in range(count)])
            if count
            else np.zeros((0, *self.tail), "i4")
        )
        self.stored.extend(more)
        self.extended(more)

    @precondition(lambda self: len(self.model) < 3000)
    @rule()
    def extend_by_itself(self):
        self.stored.extend(self.stored)
        self.extended(self.model.items)

    @rule(count=st.integers(0, 900))
    def resize(self, count):
        self.stored.resize(count)
        more = np.zeros((max(0, count - len(self.model)), *self.tail), "i4")
        self.model.items = np.concatenate([self.model.items[:count], more])

    @rule(key=rows | slices, number=numbers)
    def assign(self, key, number):
        self.change(lambda a: a.__setitem__(key, number))

    @rule(key=slices, number=numbers)
    def assign_items(self, key, number):
        self.change(lambda a: a.__setitem__(key, np.asarray(a)[key] // 2 + number % 1000))

    @rule(keys=st.lists(rows, max_size=6), number=numbers)
    def assign_fancy(self, keys, number):
        self.change(lambda a: a.__setitem__(np.array(keys, int), number))

    @rule(modulus=st.integers(2, 9), number=numbers)
    def assign_mask(self, modulus, number):
        self.change(lambda a: a.__setitem__(np.asarray(a) % modulus == 1, number))

    @rule(key=slices, number=st.integers(-1000, 1000), ends=st.booleans())
    def write(self, key, number, ends):
        with self.pool.transaction() as tx:
            with self.stored.writing(key) as view:
                view //= 3
                view += number
            if not ends:
                tx.abort()
        if ends:
            self.model.items[key] = self.model.items[key] // 3 + number

    @rule(number=st.integers(-100, 100))
    def in_place(self, number):
        def change(a):
            a //= 2
            a += number

        self.change(change)

    @rule()
    def sort(self):
        self.change(lambda a: a.sort(axis=0))

    @rule(key=rows | slices)
    def get(self, key):
        self.change(lambda a: a[key])
        if isinstance(key, slice):
            assert np.array_equal(self.stored[key], self.model.items[key])

    @rule()
    def view(self):
        view = np.asarray(self.stored)
        try:
            self.stored.append(self.row(1))
        except BufferError:
            pass
        else:
            raise AssertionError("it has moved under a view")
        if len(view):
            self.change(lambda a: a.__setitem__(0, 5))
        assert np.array_equal(view, self.model.items)

    def end(self):
        self.stored.resize(0)
        assert len(self.stored) == 0


class TableLife(ArrayLife):
    tail = (3, 2)


class LargeRowLife(ArrayLife):
    """Rows that are changed line by line."""

    tail = (200,)


TestArrayLife = ArrayLife.TestCase
TestTableLife = TableLife.TestCase
TestTableLife.settings = settings.get_profile("fewer")
TestLargeRowLife = LargeRowLife.TestCase
TestLargeRowLife.settings = settings.get_profile("fewer")
