# What the bytes of a pool are used for, and giving back those of the file that nothing uses.

cdef inline uint64_t taken_by(uint64_t size) noexcept nogil:
    """Bytes of the block that a request for `size` gets."""
    return pm_usable(size) if size <= PM_SPAN_MAX else pm_whole_chunks(size)


cdef uint64_t vector_bytes(pm_vec *v, unsigned stride) noexcept:
    if v.cap == 0:
        return 0
    if v.dir_cap == 0:
        return taken_by(v.cap * stride * 8)
    return taken_by(v.dir_cap * 8) + v.cap // (PM_SEG_WORDS // stride) * taken_by(PM_SEG_WORDS * 8)


cdef uint64_t index_bytes(pm_pool *p, pm_table *t) noexcept:
    cdef uint64_t words, i = 0, segment, total
    if t.index == 0 or not pm_index_is_sound(p, t):
        return 0
    words = <uint64_t>1 << t.index_depth
    if t.index_depth == 0:
        return taken_by(<uint64_t>8 << PM_SEGMENT_CELLS(t.index))
    total = taken_by(words * 8)
    while i < words:
        segment = pm_directory(p, t)[i]
        if segment == 0:                    # half given back
            i += 1
            continue
        total += taken_by(<uint64_t>8 << PM_SEGMENT_CELLS(segment))
        i += words >> PM_SEGMENT_DEPTH(segment)
    return total


cdef uint64_t deque_bytes(pm_pool *p, pm_deque *d) noexcept:
    cdef pm_deque_block *block = pm_deque_sound(p, d.first)
    cdef uint64_t total = 0
    while block != NULL:
        total += taken_by(8 * (4 + block.cap))
        block = pm_deque_after(p, block)
    return total


cdef uint64_t container_bytes(pm_pool *p, uint64_t offset) noexcept:
    """Of the vectors and the index of the object, without its head."""
    cdef pm_object *o = <pm_object *>pm_at(p, offset)
    cdef pm_table *table
    if not pm_inside(p, offset, LARGEST_OBJECT):
        return 0
    if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
        return vector_bytes(&(<pm_list *>o).items, 1)
    if PM_IS_TABLE(o.type):
        table = <pm_table *>o
        return vector_bytes(&table.entries, PM_TABLE_STRIDE(o.type)) + index_bytes(p, table)
    if o.type == PM_TYPE_DEQUE:
        return deque_bytes(p, <pm_deque *>o)
    if PM_IS_BUFFER(o.type):
        return (<pm_buffer *>o).cap
    if o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
        return node_bytes(p, <pm_sorted *>o, (<pm_sorted *>o).root, (<pm_sorted *>o).height)
    if o.type == PM_TYPE_OBJECT and (<pm_instance *>o).cap:
        return taken_by(<uint64_t>(<pm_instance *>o).cap * 8)
    return 0


def usage_of(Pool pool not None):
    """Bytes of the pool file by what they are used for; see space.Usage.  O(chunks and objects)."""
    cdef pm_pool *p = pool.p
    cdef pm_zone_totals totals
    cdef uint64_t found[PM_PAGE_OBJECTS]
    cdef uint64_t objects = 0, containers = 0, blocks = 0, inside = 0, i, n
    cdef pm_chunk *chunk
    cdef pm_page *page
    cdef unsigned number
    cdef pm_allocation a
    pool_check_read(pool)
    if get_zone_totals(p, &totals):
        raise errors.PoolDamagedError(f"{pool.path}: libpmemobj's table of chunks is damaged")
    memset(&a, 0, sizeof(a))
    while next_allocation(pool, &a):
        if a.type != PM_ALLOC_CHUNK:
            blocks += pm_whole_chunks(a.size - (PM_CHUNK_STRIDE - PM_CHUNK_BYTES))
            continue
        chunk_must_be_sound(pool, a.offset)
        chunk = <pm_chunk *>pm_at(p, a.offset)
        blocks += pm_chunk_in_use(p, a.offset)
        for number in range(PM_CHUNK_PAGES):
            if not chunk.bitmap >> number & 1:
                inside += PM_PAGE_SIZE
                continue
            if not (chunk.bitmap & ~chunk.empty & ~chunk.spans) >> number & 1:
                continue
            page = <pm_page *>pm_at(p, chunk.first_page + <uint64_t>number * PM_PAGE_SIZE)
            for i in range(PM_PAGE_BITS * 64):
                inside += 0 if page.bitmap[i // 64] >> (i % 64) & 1 else page.block_size
            n = pm_chunk_objects(p, a.offset, number, found)
            objects += n * page.block_size
            for i in range(n):
                containers += container_bytes(p, found[i])
    return {
        "objects": objects,
        "values": blocks - objects - containers,
        "containers": containers,
        "unused_blocks": inside,
        "overhead": totals.used - blocks - inside,
        "metadata": totals.metadata,
        "unused": totals.unused,
    }


def trim(Pool pool not None):
    """Brings the pool file up to date and punches holes where nothing is; see pool.trim()."""
    cdef int error
    must_be_alone(pool, "trim")
    pool._drain()
    must_be_alone(pool, "trim")
    if pool.p.direct != NULL:
        trim_directly(pool)
        return
    error = jr_checkpoint(pool.p.journal)
    if not error:
        error = jr_begin_holes(pool.p.journal)
    if error == JR_HELD:
        raise_held(pool, "space cannot be given back")
    if error:
        pass_gate(pool, True)
        raise OSError(error, f"cannot give space back: {os.strerror(error)}", pool.path)
    try:
        error = punch_holes(pool)
    finally:
        jr_end_holes(pool.p.journal)
    if error:
        raise OSError(error, f"cannot give space back: {os.strerror(error)}", pool.path)


cdef int punch_holes(Pool pool) noexcept:
    """0 or an errno."""
    cdef pm_allocation a
    cdef int error = pm_trim_heap(pool.p)
    memset(&a, 0, sizeof(a))
    while not error and next_allocation(pool, &a):
        if a.type == PM_ALLOC_CHUNK and pm_chunk_is_sound(pool.p, a.offset):
            error = pm_trim_chunk(pool.p, a.offset)
    return error
