# What the other dicts are made of: see _dict_kinds.pyx.

from libc.stdint cimport int64_t, uint64_t

from pmemobj._core cimport Persistent
from pmemobj._table cimport stamp


cdef class PersistentDict(Persistent):
    pass

# The items as a plain dict; those that dict(*args, **kwargs) would have.
cdef dict dict_of(PersistentDict d)
cdef object plain(object mapping)       # the same of a PersistentDict; anything else as it is
cdef dict items_of(tuple args, dict kwargs, str name)
# d[key] = value; the value's slot.  only_new: an equal key keeps its value.
cdef uint64_t store(PersistentDict d, object key, object value, bint only_new=*) except 0
# After user code: is this still entry `number` of the same table?
cdef bint same_item(PersistentDict d, stamp seen, int64_t number, uint64_t key, uint64_t value) except -1
