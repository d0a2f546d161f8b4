"""PersistentSet: a set that lives in a pool."""

from cpython.long cimport PyLong_CheckExact
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport int64_t, uint64_t

from pmemobj._abstract_set cimport PersistentAbstractSet, compare, create, find, is_set, key_at
from pmemobj._core cimport Pool, check_read, op_abort, op_begin, op_end, register_class
from pmemobj._layout cimport PM_TYPE_SET
from pmemobj._table cimport *
from pmemobj._values cimport encode, pm_immediate, slot_load

from collections.abc import MutableSet

__all__ = ["PersistentSet"]


cdef class PersistentSet(PersistentAbstractSet):
    """A set in a pool: made by pool.new(PersistentSet, iterable) or by storing a set.

    Has all methods and operators of set, also with builtin sets on either side, and iterates in insertion order.
    Elements are hashable builtin values, tuples and frozensets of them, persistent objects, and registered
    types; others raise TypeError when added and are not found when looked up.

    Every method is atomic alone, update() and its like included: when it raises, nothing has changed.  Inside a
    transaction an abort undoes it.  Methods and operators that make a new set give a plain set.

    Raises PoolClosedError, StaleObjectError (created in a transaction that was undone), PoolFullError.
    """

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        return create(PersistentSet.__new__(cls), "PersistentSet", pool, PM_TYPE_SET, args, kwargs)

    # Here and not in the base: a class that sets its hash does not inherit the comparisons.
    def __richcmp__(self, other, int op):
        return compare(self, other, op)

    # --- one element

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

    def clear(self):
        """Removes all elements."""
        check_read(self)
        table_clear(self, 2)

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


cdef object a_set(object other):
    if isinstance(other, (set, frozenset)):
        return other
    return set(other)


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


register_class(PM_TYPE_SET, PersistentSet)
MutableSet.register(PersistentSet)
