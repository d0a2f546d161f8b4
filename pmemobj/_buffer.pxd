# What PersistentByteArray and PersistentArray have in common: see _buffer.pyx.

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from pmemobj._cengine cimport pm_pool
from pmemobj._core cimport Persistent, Pool, buffer_must_be_sound, check_read
from pmemobj._layout cimport pm_buffer, pm_object


cdef extern from "_engine/objects/bytes.h":
    bint pm_buffer_is_sound(const pm_pool *p, const pm_buffer *b) noexcept
    char *pm_buffer_at(const pm_pool *p, const pm_buffer *b) noexcept
    const char *pm_buffer_bytes(const pm_pool *p, const pm_buffer *b) noexcept
    bint pm_put_byte(pm_pool *p, char *at, unsigned char byte) noexcept
    bint pm_put_bytes(pm_pool *p, char *at, const char *source, uint64_t length) noexcept
    bint pm_append_byte(pm_pool *p, pm_buffer *b, unsigned char byte) noexcept
    void pm_store_bytes(pm_pool *p, char *to, const char *source, uint64_t length) noexcept
    void pm_rewrite_bytes(pm_pool *p, char *to, const char *source, uint64_t length) noexcept


cdef enum:
    FEW_BYTES = 512             # up to here word by word, beyond it line by line in a level


cdef class PersistentBuffer(Persistent):
    cdef Py_ssize_t exports     # buffers that others hold: the block must stay where it is


cdef inline pm_buffer *buffer_of(PersistentBuffer o) noexcept:
    """Valid after check_read(o), until Python code runs."""
    return <pm_buffer *>o.head

cdef inline pm_buffer *look(PersistentBuffer o) except NULL:
    """As that, when this thread may look, and what the head says can be followed."""
    check_read(o)
    if not pm_buffer_is_sound(o.p, <pm_buffer *>o.head):
        buffer_must_be_sound(o.pool, <pm_buffer *>o.head)
    return <pm_buffer *>o.head

cdef inline const char *bytes_of(PersistentBuffer o) noexcept:
    """The first byte; never NULL."""
    return pm_buffer_bytes(o.p, <pm_buffer *>o.head)

# The bytes are being looked at, by what may run user code, or by somebody else: they stay where they are until the end.
cdef inline void export_begins(PersistentBuffer o) noexcept:
    o.exports += 1
    o.pool.exports += 1

cdef void export_ends(PersistentBuffer o) noexcept

# BufferError while somebody holds a buffer.
cdef int must_not_move(PersistentBuffer o) except -1
# Each is one operation, after look().  The source is not memory of this buffer.
cdef int overwrite(PersistentBuffer o, uint64_t lo, const char *source, uint64_t n) except -1
cdef int splice(PersistentBuffer o, uint64_t lo, uint64_t hi, const char *source, uint64_t n) except -1


# Inside an operation of rewrite_begin(pool, many).
cdef inline bint is_many(uint64_t n) noexcept:
    return n > FEW_BYTES

cdef inline void put_bytes(pm_pool *p, bint many, char *to, const char *source, uint64_t n) noexcept:
    if many:
        pm_rewrite_bytes(p, to, source, n)
    else:
        pm_store_bytes(p, to, source, n)


cdef class Writing:
    """``with x.writing(...) as view:``"""
    cdef PersistentBuffer of
    cdef object key             # as given to writing()
    cdef object begin           # called with `of` and it: (first byte, a copy of the bytes, a view of the copy)
    cdef object transaction, scratch, view
    cdef uint64_t at
    cdef bint entered           # and not left
