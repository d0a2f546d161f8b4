# PersistentArray: see _array.pyx.

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from pmemobj._array_numbers cimport ArrayNumbers


cdef class PersistentArray(ArrayNumbers):
    # What never changes in the life of an array, once it has been read: its type, and all axes but the first.
    cdef object dtype_of, tail
    cdef Py_ssize_t axes
    cdef bint is_solid          # an item is more than nothing, and has no parts with room in between
    cdef char kind              # of numbers as the processor has them: as in dtype.kind; 0: none of these
    cdef Py_ssize_t width       # of an item of such a kind
    cdef object scalar          # NumPy's type of one
    # An ndarray of the block for reading single items, which is never handed out; right while block and size are
    # these.
    cdef PyObject *peek
    cdef const char *peek_at
    cdef uint64_t peek_size
