# The block of a byte array or array (see pm_buffer in layout.h): made and given back, inside an operation.

cdef int buffer_must_be_sound(Pool pool, const pm_buffer *b) except -1:
    if not pm_buffer_is_sound(pool.p, b):
        raise_damaged(pool, b, "its bytes are not inside the pool")
    return 0


cdef uint64_t buffer_room(uint64_t size) noexcept nogil:
    """Bytes of the block that a request for so many gets."""
    return pm_usable(size) if size <= PM_SPAN_MAX else pm_whole_chunks(size)


cdef uint64_t buffer_block(Pool pool, uint64_t size) except 0:
    """As alloc(), for sizes that the program names."""
    if size >= pool.p.size:
        raise errors.PoolFullError(
            f"{pool.path}: {size} bytes are more than the pool can hold, and nothing has changed; enlarge it with "
            f"resize(), above max_size {pool.p.size}"
        )
    return alloc(pool, size)


cdef bint buffer_fill_by_file(Pool pool, uint64_t offset, const char *source, uint64_t size) noexcept:
    """So many bytes of a fresh block get these contents, and are recorded.  False: nothing has been done."""
    return size >= DIRECT_BYTES and pm_fill_by_file(pool.p, offset, source, size)


cdef int buffer_fill(Pool pool, pm_buffer *b, const char *source, uint64_t size) except -1:
    """Of a new object: a block of its own, with these bytes; zeros if there is no source."""
    cdef uint64_t room = buffer_room(size)
    if size == 0:
        return 0
    b.data = buffer_block(pool, room)
    b.cap = room
    b.size = size
    if source == NULL:
        memset(pm_at(pool.p, b.data), 0, size)
    elif buffer_fill_by_file(pool, b.data, source, size):
        return 0
    else:
        memcpy(pm_at(pool.p, b.data), source, size)
    pm_fresh(pool.p, pm_at(pool.p, b.data), size)
    return 0


cdef int buffer_free(Pool pool, pm_buffer *b) except -1:
    """Gives the block back; the buffer is empty then."""
    buffer_must_be_sound(pool, b)
    if b.cap == 0:
        return 0
    release(pool, b.data, b.cap)
    pm_store(pool.p, &b.size, 0)
    pm_store(pool.p, &b.start, 0)
    pm_store(pool.p, &b.cap, 0)
    pm_store(pool.p, &b.data, 0)
    return 0


# --- exports: while somebody holds an address, the memory must stay where it is

cdef int must_not_be_exported(Pool pool, str what) except -1:
    if pool.exports:
        raise BufferError(
            f"{pool.path}: {what} while memory of it is in use: {pool.exports} memoryviews, NumPy arrays or the like "
            "of PersistentByteArray or PersistentArray objects; delete or release() them first"
        )
    return 0


# When the handle, the interpreter or the parent of a forked child ends, nobody can be told.  Then a copy of what was
# held takes the place of the pool's memory, until the last address is given back.

cdef void copy_exported(Pool pool) noexcept:
    """Of the blocks of all proxies of byte arrays and arrays, at another place, if anybody holds an address."""
    cdef pm_pool *p = pool.p
    cdef pm_buffer *b
    cdef size_t i
    if pool.exports == 0 or p.base == NULL or pool.known.cells == NULL:
        return
    pool.copy = pm_remains_new(p.size)
    if pool.copy == NULL:
        return
    for i in range(pool.known.mask + 1):
        if pool.known.cells[i].offset == 0 or pool.known.cells[i].proxy == NULL:
            continue
        b = <pm_buffer *>pm_at(p, pool.known.cells[i].offset)
        if PM_IS_BUFFER(b.head.type) and pm_buffer_is_sound(p, b):
            memcpy(pool.copy + b.data, p.base + b.data, b.cap)


cdef void keep_copy(Pool pool, char *base) noexcept:
    """Right after the pool has been unmapped: what is mapped next may be placed there."""
    if pool.copy != NULL and pm_remains_put(pool.copy, base, pool.p.size) == 0:
        pool.remains = base
        pool.remains_size = pool.p.size
    pool.copy = NULL


cdef void last_export_ended(Pool pool) noexcept:
    if pool.remains != NULL:
        pm_remains_free(pool.remains, pool.remains_size)
        pool.remains = NULL
