# Values on their way into cells, and operations that change many cells: see _batch.pyx.

from libc.stdint cimport uint64_t

from pmemobj._core cimport Pool
from pmemobj._values cimport Plan


cdef enum:
    FEW = 64                # cells: up to here one pm_store each, beyond it a snapshot of the range

cdef class Batch:
    cdef tuple items
    cdef Plan plan                      # None when every slot is known
    cdef uint64_t *slots
    cdef Py_ssize_t count

cdef uint64_t *new_slots(Py_ssize_t count) except NULL
cdef Batch batch_of(Pool pool, tuple items)
# Inside an operation.
cdef int encode_batch(Pool pool, Batch batch) except -1

# An operation whose last steps are plain stores after snapshots.
cdef bint rewrite_begin(Pool pool, bint plain) except -1
cdef void rewrite_abort(Pool pool, bint own) noexcept
cdef int rewrite_end(Pool pool, bint own) except -1
