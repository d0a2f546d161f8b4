"""PersistentSet: a set that lives in a pool."""

cimport cython
from cpython.long cimport PyLong_CheckExact
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport int64_t, uint64_t

from pmemobj._cengine cimport pm_pool
from pmemobj._core cimport Persistent, Pool, check_read, op_abort, op_begin, op_end, plausible, register_class, vec_at
from pmemobj._layout cimport PM_TYPE_SET
from pmemobj._table cimport *
from pmemobj._values cimport encode, pm_immediate, slot_load

from collections.abc import Iterator, MutableSet
from types import GenericAlias

__all__ = ["PersistentSet"]

cdef extern from "_engine/objects/keys.h":
    void pm_prefetch_texts(const pm_pool *p, const uint64_t *entry, unsigned stride) noexcept

cdef extern from "Python.h":
    int Py_ReprEnter(object o) except -1
    void Py_ReprLeave(object o) noexcept


cdef inline uint64_t key_at(PersistentSet s, int64_t number) except? 0:
    return vec_at(s.pool, &table_of(s).entries, number, 2)[1]


cdef class PersistentSet(Persistent):
    """A set in a pool: made by pool.new(PersistentSet, iterable) or by storing a set.

    Has all methods and operators of set, also with builtin sets on either side, and iterates in insertion order.
    Elements are hashable builtin values, tuples and frozensets of them, persistent objects, and registered
    types; others raise TypeError when added and are not found when looked up.

    Every method is atomic alone, update() and its like included: when it raises, nothing has changed.  Inside a
    transaction an abort undoes it.  Methods and operators that make a new set give a plain set.

    Raises PoolClosedError, StaleObjectError (created in a transaction that was undone), PoolFullError.
    """

    __class_getitem__ = classmethod(GenericAlias)

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        if kwargs:
            raise TypeError("PersistentSet() takes no keyword arguments")
        if len(args) > 1:
            raise TypeError(f"PersistentSet expected at most 1 argument, got {len(args)}")
        return table_new(PersistentSet.__new__(cls), pool, PM_TYPE_SET, dict.fromkeys(*args) if args else {}, None)

    # --- one element

    def __contains__(self, element):
        check_read(self)
        return find(self, element) >= 0

    def add(self, element, /):
        """Adds an element; no effect if it is there already."""
        check_read(self)
        if PyUnicode_CheckExact(element) or PyLong_CheckExact(element):
            if pm_table_put(self.p, table_of(self), 2, element, NULL, 0):
                return
        add(self, element)

    def discard(self, element, /):
        """Removes an element if it is there."""
        cdef int64_t i
        check_read(self)
        i = find(self, element)
        if i >= 0:
            table_remove(self, 2, i)

    def remove(self, element, /):
        """Removes an element; KeyError if it is not there."""
        cdef int64_t i
        check_read(self)
        i = find(self, element)
        if i < 0:
            raise KeyError(element)
        table_remove(self, 2, i)

    def pop(self):
        """Removes and returns the element that was added last; KeyError when there is none."""
        cdef uint64_t slot
        cdef stamp seen
        cdef int _
        for _ in range(RETRIES):
            check_read(self)
            seen = stamp_of(self)
            if seen.used == 0:
                raise KeyError("pop from an empty set")
            slot = key_at(self, seen.size - 1)
            element = slot_load(self.pool, slot)
            if not quiet(slot):
                check_read(self)
                if not same_stamp(self, seen) or key_at(self, seen.size - 1) != slot:
                    continue
            table_remove(self, 2, seen.size - 1)
            return element
        raise RuntimeError("this PersistentSet is changed again and again while an element is loaded")

    # --- all elements

    def __len__(self):
        check_read(self)
        return plausible(self, table_of(self).used)

    def __bool__(self):
        check_read(self)
        return table_of(self).used != 0

    def __iter__(self):
        return elements(self)

    def clear(self):
        """Removes all elements."""
        check_read(self)
        table_clear(self, 2)

    def copy(self):
        """The elements as a plain set."""
        return plain(self)

    def __reduce__(self):
        return set, (list(elements(self)),)

    def __repr__(self):
        check_read(self)
        name = type(self).__name__
        if Py_ReprEnter(self):
            return f"{name}(...)"
        try:
            inner = ", ".join([repr(element) for element in list(elements(self))])
        finally:
            Py_ReprLeave(self)
        return f"{name}({{{inner}}})" if inner else f"{name}()"

    # --- comparison

    def isdisjoint(self, other, /):
        """True if no element is also in the iterable."""
        check_read(self)
        if other is self:
            return not len(self)
        for element in other:
            if element_in(self, element):
                return False
        return True

    def issubset(self, other, /):
        """True if every element is in the iterable."""
        return plain(self).issubset(plain_or_same(other))

    def issuperset(self, other, /):
        """True if every element of the iterable is in this set."""
        check_read(self)
        if other is self:
            return True
        for element in other:
            if not element_in(self, element):
                return False
        return True

    def __eq__(self, other):
        if not is_set(other):
            return NotImplemented
        check_read(self)
        if self is other:
            return True
        return len(self) == len(other) and plain(self) == plain_or_same(other)

    def __ne__(self, other):
        equal = PersistentSet.__eq__(self, other)
        return equal if equal is NotImplemented else not equal

    def __le__(self, other):
        if not is_set(other):
            return NotImplemented
        return len(self) <= len(other) and self.issubset(other)

    def __lt__(self, other):
        if not is_set(other):
            return NotImplemented
        return len(self) < len(other) and self.issubset(other)

    def __ge__(self, other):
        if not is_set(other):
            return NotImplemented
        return len(self) >= len(other) and self.issuperset(other)

    def __gt__(self, other):
        if not is_set(other):
            return NotImplemented
        return len(self) > len(other) and self.issuperset(other)

    # --- new sets

    def union(self, *others):
        """A plain set of the elements of this set and of all iterables."""
        return plain(self).union(*others)

    def intersection(self, *others):
        """A plain set of the elements that are also in every iterable."""
        if len(others) == 0:
            return plain(self)
        return common(self, others[0]).intersection(*others[1:])

    def difference(self, *others):
        """A plain set of the elements that are in none of the iterables."""
        return plain(self).difference(*others)

    def symmetric_difference(self, other, /):
        """A plain set of the elements that are either in this set or in the iterable."""
        return plain(self).symmetric_difference(plain_or_same(other))

    def __or__(self, other):
        return plain(self) | plain_or_same(other) if is_set(other) else NotImplemented

    def __ror__(self, other):
        return set(other) | plain(self) if is_set(other) else NotImplemented

    def __and__(self, other):
        return common(self, other) if is_set(other) else NotImplemented

    def __rand__(self, other):
        return common(self, other) if is_set(other) else NotImplemented

    def __sub__(self, other):
        return plain(self) - plain_or_same(other) if is_set(other) else NotImplemented

    def __rsub__(self, other):
        return set(other) - plain(self) if is_set(other) else NotImplemented

    def __xor__(self, other):
        return plain(self) ^ plain_or_same(other) if is_set(other) else NotImplemented

    def __rxor__(self, other):
        return set(other) ^ plain(self) if is_set(other) else NotImplemented

    # --- changes of many elements: computed first, then all or nothing

    def update(self, *others):
        """Adds the elements of all iterables, or none of them."""
        cdef dict added = {}
        check_read(self)
        for other in others:
            for element in other:
                added.setdefault(element)
        table_update(self, 2, added)

    def intersection_update(self, *others):
        """Keeps only the elements that are in every iterable."""
        check_read(self)
        keep_common(self, [a_set(other) for other in others])

    def difference_update(self, *others):
        """Removes the elements of all iterables."""
        cdef dict removed = {}
        check_read(self)
        for other in others:
            for element in other:
                removed.setdefault(element)
        change(self, removed, False)

    def symmetric_difference_update(self, other, /):
        """Removes the elements that are in the iterable, and adds those of it that are not in this set."""
        check_read(self)
        change(self, dict.fromkeys(other), True)

    def __ior__(self, other):
        if not is_set(other):
            return NotImplemented
        PersistentSet.update(self, other)
        return self

    def __iand__(self, other):
        if not is_set(other):
            return NotImplemented
        PersistentSet.intersection_update(self, other)
        return self

    def __isub__(self, other):
        if not is_set(other):
            return NotImplemented
        PersistentSet.difference_update(self, other)
        return self

    def __ixor__(self, other):
        if not is_set(other):
            return NotImplemented
        PersistentSet.symmetric_difference_update(self, other)
        return self

    def _check(self):
        """Raises AssertionError with the reason if the table is not what it should be."""
        table_check(self, 2)


cdef bint is_set(object other):
    return isinstance(other, (set, frozenset, PersistentSet))


cdef set plain(PersistentSet s):
    return set(elements(s))


cdef object plain_or_same(object other):
    return plain(other) if isinstance(other, PersistentSet) else other


cdef object a_set(object other):
    if isinstance(other, (set, frozenset)):
        return other
    return set(other)


cdef int64_t find(PersistentSet s, object element) except -2:
    """As table_find; a set, itself unhashable, is looked up as the frozenset of its elements."""
    if isinstance(element, (set, PersistentSet)) and type(element).__hash__ is None:
        element = frozenset(element)
        check_read(s)
    return table_find(s, 2, element)


cdef bint element_in(PersistentSet s, object element) except -1:
    """Unlike `in`, an unhashable element is an error whatever it is.  User code may have run before."""
    check_read(s)
    return table_find(s, 2, element) >= 0


cdef set common(PersistentSet s, object other):
    cdef set both = set()
    check_read(s)
    if other is s:
        return plain(s)
    if isinstance(other, (set, frozenset)) and len(other) > len(s):
        return plain(s) & other
    for element in other:
        if element_in(s, element):
            both.add(element)
    return both


cdef int add(PersistentSet s, object element) except -1:
    cdef Pool pool = s.pool
    cdef uint64_t hash, slot = 0
    cdef object plan = None
    if not pm_immediate(element, &slot):
        plan = prepare_key(pool, element)
    if table_find_storable(s, 2, element, &hash) >= 0:
        return 0
    op_begin(pool)
    try:
        if plan is not None:
            slot = encode(pool, plan)
        table_insert(pool, table_of(s), 2, hash, slot, 0)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int spoiled() except -1:
    raise RuntimeError("this PersistentSet is changed again and again while its elements are compared")


cdef int change(PersistentSet s, dict given, bint toggle) except -1:
    """Removes the given elements that are there; adds the others if asked to."""
    cdef stamp seen
    cdef int64_t i
    cdef int _
    cdef list numbers
    for _ in range(RETRIES):
        check_read(s)
        seen = stamp_of(s)
        numbers = []
        added = {}
        for element in given:
            i = table_find(s, 2, element)
            if i >= 0:
                numbers.append(i)
            elif toggle:
                added[element] = None
        if same_stamp(s, seen) and table_apply(s, 2, seen, numbers, added):
            return 0
    spoiled()


cdef int keep_common(PersistentSet s, list others) except -1:
    cdef stamp seen
    cdef uint64_t i, slot
    cdef int _
    cdef list numbers
    for _ in range(RETRIES):
        check_read(s)
        seen = stamp_of(s)
        numbers = []
        for i in range(seen.size):
            slot = key_at(s, i)
            if slot == 0:
                continue
            element = slot_load(s.pool, slot)
            for other in others:
                if element not in other:
                    numbers.append(i)
                    break
            check_read(s)
            if not same_stamp(s, seen):
                break
        if same_stamp(s, seen) and table_apply(s, 2, seen, numbers, {}):
            return 0
    spoiled()


@cython.final
cdef class PersistentSetIterator:
    """Iterator over a PersistentSet."""

    cdef PersistentSet s        # None when exhausted
    cdef stamp seen             # from which the set must not differ
    cdef uint64_t left          # live entries to come
    cdef uint64_t at            # next entry

    def __iter__(self):
        return self

    def __next__(self):
        cdef uint64_t slot = 0
        cdef uint64_t *entry
        cdef PersistentSet s = self.s
        if s is None:
            raise StopIteration
        check_read(s)
        if not same_stamp(s, self.seen):
            self.seen.used = <uint64_t>-1       # for good, as with set
            raise RuntimeError("Set changed size during iteration")
        if self.left == 0:
            self.s = None
            raise StopIteration
        self.left -= 1
        while slot == 0:
            if self.at >= table_of(s).entries.size:     # other elements in the same place, with holes elsewhere
                raise RuntimeError("Set changed during iteration")
            entry = vec_at(s.pool, &table_of(s).entries, self.at, 2)
            slot = entry[1]
            self.at += 1
            if self.at & 7 == 0:
                pm_prefetch_texts(s.p, entry, 2)
        return slot_load(s.pool, slot)

    def __length_hint__(self):
        if self.s is None or self.s.head == NULL or not same_stamp(self.s, self.seen):
            return 0
        return self.left

    def __reduce__(self):
        cdef PersistentSetIterator rest
        if self.s is None:
            return iter, ([],)
        rest = elements(self.s)
        rest.seen = self.seen
        rest.left = self.left
        rest.at = self.at
        return iter, (list(rest),)


Iterator.register(PersistentSetIterator)


cdef PersistentSetIterator elements(PersistentSet s):
    cdef PersistentSetIterator it = PersistentSetIterator.__new__(PersistentSetIterator)
    check_read(s)
    it.s = s
    it.seen = stamp_of(s)
    it.left = it.seen.used
    it.at = 0
    return it


register_class(PM_TYPE_SET, PersistentSet)
MutableSet.register(PersistentSet)
