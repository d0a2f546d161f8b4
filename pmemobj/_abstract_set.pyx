"""What PersistentSet and PersistentFrozenSet have in common: everything that reads."""

cimport cython
from cpython.object cimport Py_EQ, Py_GE, Py_LE, Py_LT, Py_NE
from libc.stdint cimport int64_t, uint64_t

from pmemobj._cengine cimport pm_pool
from pmemobj._core cimport Persistent, Pool, check_read, plausible, vec_at
from pmemobj._layout cimport PM_TYPE_FROZENSET
from pmemobj._table cimport *
from pmemobj._values cimport slot_load

from collections.abc import Iterator, Set
from types import GenericAlias

__all__ = ["PersistentAbstractSet"]

cdef extern from "_engine/objects/keys.h":
    void pm_prefetch_texts(const pm_pool *p, const uint64_t *entry, unsigned stride) noexcept

cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) except *
    void Py_LeaveRecursiveCall() noexcept
    int Py_ReprEnter(object o) except -1
    void Py_ReprLeave(object o) noexcept


cdef class PersistentAbstractSet(Persistent):
    """Methods and operators that make a new set give a builtin one: a set or a frozenset, as the left operand is."""

    __class_getitem__ = classmethod(GenericAlias)

    def __contains__(self, element):
        check_read(self)
        return find(self, element) >= 0

    def __len__(self):
        check_read(self)
        return plausible(self, table_of(self).used)

    def __bool__(self):
        check_read(self)
        return table_of(self).used != 0

    def __iter__(self):
        return elements(self)

    def copy(self):
        """The elements as a builtin set or frozenset."""
        return plain(self)

    def __reduce__(self):
        check_read(self)
        return frozenset if is_frozen(self) else set, (list(elements(self)),)

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
        return has_all(self, other)

    # --- new sets

    def union(self, *others):
        """A builtin set of the elements of this set and of all iterables."""
        return plain(self).union(*others)

    def intersection(self, *others):
        """A builtin set of the elements that are also in every iterable."""
        if len(others) == 0:
            return plain(self)
        return common(self, self, others[0]).intersection(*others[1:])

    def difference(self, *others):
        """A builtin set of the elements that are in none of the iterables."""
        return plain(self).difference(*others)

    def symmetric_difference(self, other, /):
        """A builtin set of the elements that are either in this set or in the iterable."""
        return plain(self).symmetric_difference(plain_or_same(other))

    def __or__(self, other):
        return plain(self) | plain_or_same(other) if is_set(other) else NotImplemented

    def __ror__(self, other):
        return builtin(other) | plain(self) if is_set(other) else NotImplemented

    def __and__(self, other):
        return common(self, self, other) if is_set(other) else NotImplemented

    def __rand__(self, other):
        return common(other, self, other) if is_set(other) else NotImplemented

    def __sub__(self, other):
        return plain(self) - plain_or_same(other) if is_set(other) else NotImplemented

    def __rsub__(self, other):
        return builtin(other) - plain(self) if is_set(other) else NotImplemented

    def __xor__(self, other):
        return plain(self) ^ plain_or_same(other) if is_set(other) else NotImplemented

    def __rxor__(self, other):
        return builtin(other) ^ plain(self) if is_set(other) else NotImplemented

    def _check(self):
        """Raises AssertionError with the reason if the table is not what it should be."""
        table_check(self, 2)


cdef object create(PersistentAbstractSet s, str name, Pool pool, unsigned type, tuple args, dict kwargs):
    if kwargs:
        raise TypeError(f"{name}() takes no keyword arguments")
    if len(args) > 1:
        raise TypeError(f"{name} expected at most 1 argument, got {len(args)}")
    return table_new(s, pool, type, dict.fromkeys(*args) if args else {}, None)


cdef inline bint is_frozen(PersistentAbstractSet s) noexcept:
    return s.head.type == PM_TYPE_FROZENSET


cdef bint is_set(object other):
    return isinstance(other, (set, frozenset, PersistentAbstractSet))


cdef object plain(PersistentAbstractSet s):
    it = elements(s)
    Py_EnterRecursiveCall(b" while hashing a set")      # a damaged frozen one may hold itself
    try:
        return frozenset(it) if is_frozen(s) else set(it)
    finally:
        Py_LeaveRecursiveCall()


cdef object plain_or_same(object other):
    return plain(other) if isinstance(other, PersistentAbstractSet) else other


cdef object builtin(object other):
    """What the operators of a builtin set on the left would begin with."""
    return other if isinstance(other, frozenset) else set(other)


cdef int64_t find(PersistentAbstractSet s, object element) except -2:
    """As table_find; a set, itself unhashable, is looked up as the frozenset of its elements."""
    if isinstance(element, (set, PersistentAbstractSet)) and type(element).__hash__ is None:
        element = frozenset(element)
        check_read(s)
    return table_find(s, 2, element)


cdef bint element_in(PersistentAbstractSet s, object element) except -1:
    """Unlike `in`, an unhashable element is an error whatever it is.  User code may have run before."""
    check_read(s)
    return table_find(s, 2, element) >= 0


cdef bint has_all(PersistentAbstractSet s, object other) except -1:
    check_read(s)
    if other is s:
        return True
    for element in other:
        if not element_in(s, element):
            return False
    return True


cdef object common(object left, PersistentAbstractSet s, object other):
    """A set or frozenset, as `left` is, of the elements of s that are in the iterable."""
    cdef set both
    check_read(s)
    frozen = isinstance(left, frozenset) or left is s and is_frozen(s)
    if other is s:
        both = set(elements(s))
    elif isinstance(other, (set, frozenset)) and len(other) > len(s):
        both = set(elements(s)).intersection(other)
    else:
        both = set()
        for element in other:
            if element_in(s, element):
                both.add(element)
    return frozenset(both) if frozen else both


cdef object compare(PersistentAbstractSet s, object other, int op):
    if not is_set(other):
        return NotImplemented
    check_read(s)
    mine, others = len(s), len(other)
    if op == Py_EQ or op == Py_NE:
        same = s is other or mine == others and plain(s) == plain_or_same(other)
        return same if op == Py_EQ else not same
    if op == Py_LE or op == Py_LT:
        return (mine < others or op == Py_LE and mine == others) and plain(s).issubset(plain_or_same(other))
    return (mine > others or op == Py_GE and mine == others) and has_all(s, other)


@cython.final
cdef class SetIterator:
    """Iterator over a PersistentSet or PersistentFrozenSet."""

    cdef PersistentAbstractSet s        # None when exhausted
    cdef stamp seen             # from which the set must not differ
    cdef uint64_t left          # live entries to come
    cdef uint64_t at            # next entry

    def __iter__(self):
        return self

    def __next__(self):
        cdef uint64_t slot = 0
        cdef uint64_t *entry
        cdef PersistentAbstractSet s = self.s
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
        cdef SetIterator rest
        if self.s is None:
            return iter, ([],)
        rest = elements(self.s)
        rest.seen = self.seen
        rest.left = self.left
        rest.at = self.at
        return iter, (list(rest),)


Iterator.register(SetIterator)


cdef SetIterator elements(PersistentAbstractSet s):
    cdef SetIterator it = SetIterator.__new__(SetIterator)
    check_read(s)
    it.s = s
    it.seen = stamp_of(s)
    it.left = it.seen.used
    it.at = 0
    return it


Set.register(PersistentAbstractSet)
