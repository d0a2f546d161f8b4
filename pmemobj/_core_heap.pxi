# Blocks and vectors.  Everything here runs inside an operation and is undone with it.

cdef int no_memory() except -1:
    raise MemoryError("out of memory for the list of changes")


cdef int push_free(Pool pool, uint64_t offset, uint64_t size) except -1:
    cdef freed *grown
    if pool.nfrees == pool.frees_cap:
        grown = <freed *>realloc(pool.frees, (2 * pool.frees_cap + 64) * sizeof(freed))
        if grown == NULL:
            no_memory()
        pool.frees = grown
        pool.frees_cap = 2 * pool.frees_cap + 64
    pool.frees[pool.nfrees].offset = offset
    pool.frees[pool.nfrees].size = size
    pool.nfrees += 1
    pool.p.pending = 1
    return 0


cdef pobj_action *next_action(Pool pool) except NULL:
    """Room for one more; it counts once nactions is raised."""
    cdef void *grown
    if pool.nactions == pool.actions_cap:
        grown = realloc(pool.actions, (2 * pool.actions_cap + 16) * sizeof(pobj_action))
        if grown == NULL:
            no_memory()
        pool.actions = grown
        pool.actions_cap = 2 * pool.actions_cap + 16
    return <pobj_action *>pool.actions + pool.nactions


cdef uint64_t alloc_large(Pool pool, uint64_t size, uint64_t type_num) except 0:
    """Whole chunks.  Reserved: libpmemobj's metadata changes only when the commit publishes it."""
    cdef uint64_t offset
    if pool.p.direct != NULL:
        offset = reserve_directly(pool, next_action(pool), pm_whole_chunks(size), type_num)
    else:
        offset = obj_reserve(pool, next_action(pool), pm_whole_chunks(size), type_num)
    pool.nactions += 1
    pool.p.pending = 1
    return offset


cdef int slab_gave(Pool pool, uint64_t offset) except -1:
    if offset == 0:
        raise errors.PoolDamagedError(
            f"{pool.path}: the lists of free blocks are damaged, so that nothing can be stored; pool.check() tells "
            "more, pmemobj.repair() saves what can be read"
        )
    return 0


cdef int large_must_be_ours(Pool pool, uint64_t offset, uint64_t size, uint64_t type_num) except -1:
    """libpmemobj is about to be told that it is free: it is an allocation of ours, or one made in this transaction."""
    cdef pobj_action *action = <pobj_action *>pool.actions
    cdef size_t i
    if pm_is_allocation(pool.p.base, pool.p.size, offset, size, type_num):
        return 0
    for i in range(pool.nactions):
        if action[i].heap.offset == offset:
            return 0
    raise errors.PoolDamagedError(f"{pool.path}: the block at {offset:#x} is not in use")


cdef int add_chunk(Pool pool) except -1:
    """It becomes the first of the list."""
    slab_gave(pool, pm_lists_are_sound(pool.p))
    if pm_chunk_add(pool.p, alloc_large(pool, PM_CHUNK_BYTES, PM_ALLOC_CHUNK)):
        raise errors.PoolDamagedError(f"{pool.path}: libpmemobj has placed an allocation where none can be")
    return 0


cdef uint64_t alloc(Pool pool, uint64_t size) except 0:
    """A block of at least `size` bytes, contents undefined.  Fill it, then pm_fresh."""
    cdef uint64_t offset
    if size <= PM_SMALL_MAX:
        offset = pm_small_alloc(pool.p, size)
        if offset == 0:
            add_chunk(pool)
            offset = pm_small_alloc(pool.p, size)
            slab_gave(pool, offset)
    elif size <= PM_SPAN_MAX:
        offset = pm_span_alloc(pool.p, pm_span_pages(size))
        if offset == 0:
            add_chunk(pool)
            offset = pm_span_alloc(pool.p, pm_span_pages(size))
            slab_gave(pool, offset)
    else:
        offset = alloc_large(pool, size, PM_ALLOC_BLOCK)
    return offset


cdef uint64_t alloc_object(Pool pool, uint64_t size) except 0:
    """As alloc(), on a page of objects."""
    cdef uint64_t offset = pm_object_alloc(pool.p, size)
    if offset == 0:
        add_chunk(pool)
        offset = pm_object_alloc(pool.p, size)
        slab_gave(pool, offset)
    return offset


cdef int release(Pool pool, uint64_t offset, uint64_t size) except -1:
    """Gives back a block that was allocated with that size, when the operation or transaction commits."""
    return push_free(pool, offset, size)


cdef int free_now(Pool pool, freed block) except -1:
    """At commit only."""
    cdef uint64_t chunk = block.offset
    pool.freed += block.size
    pool.p.overwritten += 1             # its address may be another value's soon
    pm_cache_forget(pool.p, block.offset)
    cdef int error = 0
    if block.size <= PM_SMALL_MAX:
        error = pm_small_free(pool.p, block.offset, &chunk)
    elif block.size <= PM_SPAN_MAX:
        error = pm_span_free(pool.p, block.offset, pm_span_pages(block.size), &chunk)
    else:
        large_must_be_ours(pool, block.offset, block.size, PM_ALLOC_BLOCK)
    if error:
        raise errors.PoolDamagedError(f"{pool.path}: the block at {block.offset:#x} is not in use")
    if chunk == 0:
        return 0
    if chunk != block.offset:
        large_must_be_ours(pool, chunk, PM_CHUNK_BYTES, PM_ALLOC_CHUNK)
    if pool.p.direct != NULL:
        return push_gone(pool, chunk)
    obj_defer_free(pool, next_action(pool), chunk)
    pool.nactions += 1
    return 0


# --- vectors (see pm_vec in layout.h)

cdef inline uint64_t block_items(uint64_t items, unsigned stride) noexcept nogil:
    """Items that fit the block which a request for `items` gets."""
    return pm_usable(items * stride * 8) // (stride * 8)


cdef int copy_block(Pool pool, pm_vec *v, uint64_t items, unsigned stride) except -1:
    """Moves the items of a one-block vector to a block for `items` items."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset = alloc(pool, items * stride * 8), length = v.size * stride * 8
    if length:
        memcpy(pm_at(p, offset), pm_at(p, v.data), length)
        pm_fresh(p, pm_at(p, offset), length)
    if v.data:
        release(pool, v.data, v.cap * stride * 8)
    pm_store(p, &v.data, offset)
    pm_store(p, &v.cap, items)
    return 0


cdef int grow_directory(Pool pool, pm_vec *v, uint64_t segments) except -1:
    """Room for `segments` entries.  A one-block vector becomes segment 0; its block already has that size."""
    cdef pm_pool *p = pool.p
    cdef uint64_t words = v.dir_cap * 2 if v.dir_cap * 2 > segments else segments + 7
    cdef uint64_t offset = alloc(pool, words * 8)
    cdef uint64_t *directory = <uint64_t *>pm_at(p, offset)
    memset(directory, 0, words * 8)
    if v.dir_cap:
        memcpy(directory, pm_at(p, v.data), v.dir_cap * 8)
        release(pool, v.data, v.dir_cap * 8)
    else:
        directory[0] = v.data
    pm_fresh(p, directory, words * 8)
    pm_store(p, &v.data, offset)
    pm_store(p, &v.dir_cap, words)
    return 0


cdef int vec_reserve(Pool pool, pm_vec *v, uint64_t items, unsigned stride) except -1:
    """Capacity for at least `items` items.  A grown vector copies at most one segment, ever."""
    cdef pm_pool *p = pool.p
    cdef uint64_t segment_items = PM_SEG_WORDS // stride, wanted, segments
    if items <= v.cap:
        return 0
    vec_must_be_sound(pool, v, 0, v.cap, stride)
    if items >= (<uint64_t>1 << 40):
        raise MemoryError(f"{items} items are more than a pool can hold")
    if v.dir_cap == 0:
        wanted = items if v.cap == 0 or items > 2 * v.cap else 2 * v.cap
        wanted = block_items(wanted, stride)
        if wanted <= segment_items and items <= segment_items:
            return copy_block(pool, v, wanted, stride)
        if v.cap < segment_items:
            copy_block(pool, v, segment_items, stride)
        if items <= segment_items:
            return 0
    segments = (items + segment_items - 1) // segment_items
    if segments > v.dir_cap:
        grow_directory(pool, v, segments)
    while v.cap < items:
        pm_store(p, <uint64_t *>pm_at(p, v.data) + v.cap // segment_items, alloc(pool, PM_SEG_WORDS * 8))
        pm_store(p, &v.cap, v.cap + segment_items)
    return 0


cdef int vec_shrink(Pool pool, pm_vec *v, unsigned stride) except -1:
    """Gives back room that a much smaller vector does not need.  Never fails for want of room in the pool or disk."""
    cdef pm_pool *p = pool.p
    cdef uint64_t segment_items = PM_SEG_WORDS // stride, last
    vec_must_be_sound(pool, v, v.size, v.cap, stride)
    if v.dir_cap == 0:
        if v.cap * stride <= 64 or v.size * 4 > v.cap:
            return 0
        try:
            return copy_block(pool, v, block_items(v.size * 2, stride), stride) if v.size else vec_free(pool, v, stride)
        except (errors.PoolFullError, OSError):
            return 0
    while v.cap > 2 * segment_items and v.size + 2 * segment_items <= v.cap:
        last = v.cap // segment_items - 1
        release(pool, (<uint64_t *>pm_at(p, v.data))[last], PM_SEG_WORDS * 8)
        pm_store(p, &v.cap, v.cap - segment_items)
    return 0


cdef int vec_free(Pool pool, pm_vec *v, unsigned stride) except -1:
    """Gives back every block; the vector is empty then.  What the items own is the caller's business."""
    cdef pm_pool *p = pool.p
    cdef uint64_t i
    cdef uint64_t *directory
    if v.cap == 0:
        return 0
    vec_must_be_sound(pool, v, 0, v.cap, stride)
    if v.dir_cap:
        directory = <uint64_t *>pm_at(p, v.data)
        for i in range(v.cap // (PM_SEG_WORDS // stride)):
            release(pool, directory[i], PM_SEG_WORDS * 8)
        release(pool, v.data, v.dir_cap * 8)
    else:
        release(pool, v.data, v.cap * stride * 8)
    pm_store(p, &v.size, 0)
    pm_store(p, &v.cap, 0)
    pm_store(p, &v.data, 0)
    pm_store(p, &v.dir_cap, 0)
    return 0
