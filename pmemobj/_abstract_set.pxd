# What PersistentSet and PersistentFrozenSet have in common: reading a table of elements.

from libc.stdint cimport int64_t, uint64_t

from pmemobj._core cimport Persistent, Pool, vec_at
from pmemobj._table cimport table_of


cdef class PersistentAbstractSet(Persistent):
    pass


cdef inline uint64_t key_at(PersistentAbstractSet s, int64_t number) except? 0:
    return vec_at(s.pool, &table_of(s).entries, number, 2)[1]

# The entry of an element, or PM_NOT_FOUND.  Runs user code.
cdef int64_t find(PersistentAbstractSet s, object element) except -2
cdef bint is_set(object other)
# Makes the object that s, a new proxy, stands for, from the arguments of pool.new().
cdef object create(PersistentAbstractSet s, str name, Pool pool, unsigned type, tuple args, dict kwargs)
# All elements, as a set or a frozenset.
cdef object plain(PersistentAbstractSet s)
# One of the six comparisons, or NotImplemented.  Runs user code.
cdef object compare(PersistentAbstractSet s, object other, int op)
