"""What the containers of cells share: values on their way into cells, and operations that change many of them."""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc

from pmemobj._core cimport level_abort, level_begin, level_commit, op_abort, op_begin, op_end
from pmemobj._values cimport encode_value, pm_immediate, prepare


cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX


# --- what is to be stored

@cython.final
@cython.auto_pickle(False)
cdef class Batch:
    """Values on their way into cells: slots[i] is 0 until items[i] has been encoded in the operation."""

    def __dealloc__(self):
        PyMem_Free(self.slots)


cdef uint64_t *new_slots(Py_ssize_t count) except NULL:
    cdef uint64_t *slots
    if count > PY_SSIZE_T_MAX // 16:
        raise MemoryError
    slots = <uint64_t *>PyMem_Malloc(8 * count + 8)
    if slots == NULL:
        raise MemoryError
    return slots


cdef Batch batch_of(Pool pool, tuple items):
    """May run user code.  Raises TypeError for what cannot be stored."""
    cdef Batch batch = Batch.__new__(Batch)
    cdef Py_ssize_t i
    cdef bint all_known = True
    batch.items = items
    batch.count = len(items)
    batch.slots = new_slots(batch.count)
    for i in range(batch.count):
        if not pm_immediate(items[i], &batch.slots[i]):
            batch.slots[i] = 0
            all_known = False
    if not all_known:
        batch.plan = prepare(pool, items)
    return batch


cdef int encode_batch(Pool pool, Batch batch) except -1:
    cdef Py_ssize_t i
    if batch.plan is None:
        return 0
    batch.plan.stored = None
    for i in range(batch.count):
        if batch.slots[i] == 0:
            batch.slots[i] = encode_value(pool, batch.plan, batch.items[i])
    return 0


# --- operations

cdef bint rewrite_begin(Pool pool, bint plain) except -1:
    """Begins an operation whose last steps are plain stores after snapshots.  True: with a level of its own."""
    cdef bint own = plain and pool.p.depth == 0
    if own:
        level_begin(pool)
        try:
            op_begin(pool)
        except BaseException:
            level_abort(pool)
            raise
    else:
        op_begin(pool)
    return own


cdef void rewrite_abort(Pool pool, bint own) noexcept:
    op_abort(pool)
    if own:
        level_abort(pool)


cdef int rewrite_end(Pool pool, bint own) except -1:
    """On an error everything is undone.  Inside a level ending an operation cannot fail."""
    op_end(pool)
    if own:
        level_commit(pool)
    return 0
