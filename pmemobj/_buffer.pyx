"""What PersistentByteArray and PersistentArray have in common: bytes in one block, which are exported as they are.

 1. While anybody holds a buffer (`exports`), the block stays where it is: what would change its size raises
    BufferError, and the pool can neither be closed nor mapped anew.  So there is no dangling view.
 2. Exported buffers are read-only.  What writing() gives is memory of this process, whose contents are stored at the
    end of the block: so the pool's memory changes in logged operations only, whoever keeps what view for how long.
 3. Bytes behind the last one in use hold nothing, but may have been in use when an open transaction began.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from pmemobj._batch cimport rewrite_begin, rewrite_end
from pmemobj._cengine cimport pm_at, pm_fresh, pm_pool, pm_store
from pmemobj._core cimport (
    buffer_block, buffer_fill_by_file, buffer_free, buffer_room,
    last_export_ended, op_abort, op_begin, op_end, release,
)
from pmemobj._layout cimport PM_TYPE_ARRAY

cdef enum:
    FRESH_BYTES = 32768         # of a block in use, noted as new memory at once
    MOST_OF_IT = 1 << 20        # so many bytes, and half of all, are written to another block


cdef void export_ends(PersistentBuffer o) noexcept:
    o.exports -= 1
    o.pool.exports -= 1
    if o.pool.exports == 0 and o.pool.remains != NULL:
        last_export_ended(o.pool)


cdef int must_not_move(PersistentBuffer o) except -1:
    if o.exports and o.head.type == PM_TYPE_ARRAY:
        raise BufferError(
            "the number of rows cannot change while memory of the array is in use: by NumPy arrays made of it without "
            "a copy, as np.asarray(), slices and single rows are, or by writing(); delete them, or use copies"
        )
    if o.exports:
        raise BufferError("Existing exports of data: object cannot be re-sized")
    return 0


# --- operations

cdef int overwrite(PersistentBuffer o, uint64_t lo, const char *source, uint64_t n) except -1:
    cdef Pool pool = o.pool
    cdef pm_buffer *b = buffer_of(o)
    cdef bint many = is_many(n), own
    if n >= MOST_OF_IT and n >= b.size // 2 and not o.exports:
        return move(o, lo, lo + n, source, n, b.cap)
    if n == 0:
        return 0
    own = rewrite_begin(pool, many)
    put_bytes(pool.p, many, pm_buffer_at(pool.p, b) + lo, source, n)
    return rewrite_end(pool, own)


cdef int move(PersistentBuffer o, uint64_t lo, uint64_t hi, const char *source, uint64_t n, uint64_t room) except -1:
    """All of it goes to a block of so many bytes, with n others in place of lo..hi-1."""
    cdef Pool pool = o.pool
    cdef pm_buffer *b = buffer_of(o)
    cdef uint64_t size = lo + n + b.size - hi, offset
    cdef const char *old = bytes_of(o)
    cdef char *to
    op_begin(pool)
    try:
        offset = buffer_block(pool, room)
        to = <char *>pm_at(pool.p, offset)
        if n < size or not buffer_fill_by_file(pool, offset, source, n):
            memcpy(to, old, lo)
            memcpy(to + lo, source, n)
            memcpy(to + lo + n, old + hi, b.size - hi)
            pm_fresh(pool.p, to, size)
        if b.cap:
            release(pool, b.data, b.cap)
        pm_store(pool.p, &b.data, offset)
        pm_store(pool.p, &b.cap, room)
        pm_store(pool.p, &b.start, 0)
        pm_store(pool.p, &b.size, size)
    except BaseException:
        op_abort(pool)
        raise
    return op_end(pool)


cdef int clear(PersistentBuffer o) except -1:
    op_begin(o.pool)
    try:
        buffer_free(o.pool, buffer_of(o))
    except BaseException:
        op_abort(o.pool)
        raise
    return op_end(o.pool)


cdef uint64_t grown_room(uint64_t size) noexcept:
    """For so many bytes, of which there will be more."""
    return buffer_room(2 * size if size < 4096 else size + size // 8)


cdef int splice(PersistentBuffer o, uint64_t lo, uint64_t hi, const char *source, uint64_t n) except -1:
    """n bytes take the place of lo..hi-1."""
    cdef pm_buffer *b = buffer_of(o)
    cdef uint64_t size
    if n == hi - lo:
        return overwrite(o, lo, source, n)
    must_not_move(o)
    size = b.size - (hi - lo) + n
    if size < b.size:
        return shrink(o, lo, hi, source, n, size)
    if b.start + size <= b.cap:
        if lo == b.size:
            return add_last(o, source, n)
        return change_in_place(o, lo, hi, source, n)
    if hi < b.size // 2 and b.start >= size - b.size:
        return change_head(o, lo, hi, source, n)
    return move(o, lo, hi, source, n, grown_room(size) if b.size else buffer_room(size))


cdef int shrink(PersistentBuffer o, uint64_t lo, uint64_t hi, const char *source, uint64_t n, uint64_t size) except -1:
    """Fails for want of room in no case: a block that is too large is kept then."""
    cdef pm_buffer *b = buffer_of(o)
    if size == 0:
        return clear(o)
    if b.cap > 128 and size < b.cap // 4:
        try:
            return move(o, lo, hi, source, n, grown_room(size))
        except (MemoryError, OSError):
            pass
    if hi < b.size // 2:
        return change_head(o, lo, hi, source, n)
    return change_in_place(o, lo, hi, source, n)


cdef int change_head(PersistentBuffer o, uint64_t lo, uint64_t hi, const char *source, uint64_t n) except -1:
    """The bytes before lo move, those from hi on stay.  For more bytes than before there is room at the start."""
    cdef Pool pool = o.pool
    cdef pm_buffer *b = buffer_of(o)
    cdef uint64_t start = b.start + (hi - lo) - n, size = b.size - (hi - lo) + n
    cdef bint many = is_many(lo + n), own
    cdef char *to = <char *>pm_at(pool.p, b.data + start)
    cdef char *kept = NULL
    if lo and start > b.start:              # up, over itself
        kept = <char *>PyMem_Malloc(lo)
        if kept == NULL:
            raise MemoryError
        memcpy(kept, bytes_of(o), lo)
    try:
        own = rewrite_begin(pool, many)
        put_bytes(pool.p, many, to, bytes_of(o) if kept == NULL else kept, lo)
        put_bytes(pool.p, many, to + lo, source, n)
        pm_store(pool.p, &b.start, start)
        pm_store(pool.p, &b.size, size)
        rewrite_end(pool, own)
    finally:
        PyMem_Free(kept)
    return 0


cdef int change_in_place(PersistentBuffer o, uint64_t lo, uint64_t hi, const char *source, uint64_t n) except -1:
    """The bytes from hi on move, those before lo stay.  The block has room for them."""
    cdef Pool pool = o.pool
    cdef pm_buffer *b = buffer_of(o)
    cdef uint64_t rest = b.size - hi, size = lo + n + rest
    cdef bint many = is_many(n + rest), own
    cdef char *at = pm_buffer_at(pool.p, b)
    cdef char *kept = NULL
    if rest and lo + n > hi:                # up, over itself
        kept = <char *>PyMem_Malloc(rest)
        if kept == NULL:
            raise MemoryError
        memcpy(kept, at + hi, rest)
    try:
        own = rewrite_begin(pool, many)
        if kept == NULL:
            put_bytes(pool.p, many, at + lo, source, n)
            put_bytes(pool.p, many, at + lo + n, at + hi, rest)
        else:
            put_bytes(pool.p, many, at + lo + n, kept, rest)
            put_bytes(pool.p, many, at + lo, source, n)
        pm_store(pool.p, &b.size, size)
        rewrite_end(pool, own)
    finally:
        PyMem_Free(kept)
    return 0


cdef int add_last(PersistentBuffer o, const char *source, uint64_t n) except -1:
    """The block has room.  Outside of a transaction nobody will want back what lies there: it is new memory."""
    cdef Pool pool = o.pool
    cdef pm_pool *p = pool.p
    cdef pm_buffer *b = buffer_of(o)
    cdef char *to = pm_buffer_at(p, b) + b.size
    cdef uint64_t size = b.size + n, run
    if p.depth or not is_many(n):
        return change_in_place(o, b.size, b.size, source, n)
    op_begin(pool)
    run = -<uint64_t>to & 7                 # of a word that is in use
    pm_store_bytes(p, to, source, run)
    to += run
    source += run
    n -= run
    while n:
        run = min(n, <uint64_t>FRESH_BYTES)
        memcpy(to, source, run)
        pm_fresh(p, to, run)
        to += run
        source += run
        n -= run
    pm_store(p, &b.size, size)
    return op_end(pool)


# --- writing()

@cython.final
@cython.no_gc_clear             # __dealloc__ needs the array
cdef class Writing:
    """What writing() of a PersistentByteArray or PersistentArray gives: a context manager."""

    def __init__(self):
        raise TypeError("the writing() of a PersistentByteArray or PersistentArray makes these")

    def __dealloc__(self):
        if self.entered:
            self.of.exports -= 1

    def __enter__(self):
        cdef uint64_t at
        if self.transaction is not None:
            raise RuntimeError("this writing() has been entered already; call writing() again")
        check_read(self.of)
        transaction = self.of.pool.transaction()
        transaction.__enter__()
        try:
            at, scratch, view = self.begin(self.of, self.key)
            check_read(self.of)
        except BaseException as error:
            transaction.__exit__(type(error), error, error.__traceback__)
            raise
        self.at = at
        self.scratch = scratch
        self.view = view
        self.transaction = transaction
        self.entered = True
        self.of.exports += 1                # not the pool's: the transaction keeps that open
        return view

    def __exit__(self, kind, value, traceback):
        cdef Py_buffer written
        transaction, scratch, view = self.transaction, self.scratch, self.view
        if not self.entered:
            raise RuntimeError("this writing() has not been entered")
        self.scratch = self.view = None
        self.entered = False
        self.of.exports -= 1
        if kind is not None:
            return transaction.__exit__(kind, value, traceback)
        try:
            if type(view) is memoryview:
                try:
                    view.release()
                except BufferError:
                    pass                    # somebody has made another view of it: of memory of this process
            else:
                view.flags.writeable = False
            transaction._must_be_open()
            look(self.of)
            PyObject_GetBuffer(scratch, &written, PyBUF_SIMPLE)
            try:
                if self.at + written.len > buffer_of(self.of).size:
                    raise RuntimeError("the bytes that were being written are not there any more")
                overwrite(self.of, self.at, <const char *>written.buf, written.len)
            finally:
                PyBuffer_Release(&written)
        except BaseException as error:
            transaction.__exit__(type(error), error, error.__traceback__)
            raise
        return transaction.__exit__(None, None, None)
