# The operators of PersistentArray.

from pmemobj._buffer cimport PersistentBuffer


cdef class ArrayNumbers(PersistentBuffer):
    pass
