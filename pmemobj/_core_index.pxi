# Index of a pm_table: building, growing, giving back (see table.h).  Everything runs inside an operation and is
# undone with it: memory is taken first, so that a full pool has changed nothing that the log does not know.

cdef enum:
    MAX_DEPTH = 26              # of a directory
    NEXT_CELLS = 16             # cells fetched ahead while a large index is filled


cdef uint64_t new_segment(Pool pool, unsigned log, unsigned depth) except 0:
    """Empty cells; the caller fills them and tells segment_done."""
    cdef uint64_t offset = alloc(pool, <uint64_t>8 << log)
    memset(pm_at(pool.p, offset), 0, <uint64_t>8 << log)
    return PM_SEGMENT(offset, log, depth)


cdef inline uint64_t *cells_of(pm_pool *p, uint64_t segment) noexcept:
    return <uint64_t *>pm_at(p, segment & PM_OFFSET_MASK)


cdef inline void segment_done(pm_pool *p, uint64_t segment) noexcept:
    pm_fresh(p, cells_of(p, segment), <uint64_t>8 << PM_SEGMENT_CELLS(segment))


cdef inline int segment_release(Pool pool, uint64_t segment) except -1:
    return release(pool, segment & PM_OFFSET_MASK, <uint64_t>8 << PM_SEGMENT_CELLS(segment))


cdef bint index_drop(Pool pool, pm_table *t, uint64_t budget) except -1:
    """Gives back the index, `budget` segments at most.  True when nothing is left."""
    cdef pm_pool *p = pool.p
    cdef uint64_t i = 0, words, segment, run
    cdef uint64_t *directory
    cdef bint at_once
    if t.index == 0:
        return True
    index_must_be_sound(pool, t)
    words = <uint64_t>1 << t.index_depth
    at_once = budget >= words
    if t.index_depth == 0:
        segment_release(pool, t.index)
    else:
        directory = pm_directory(p, t)
        while i < words:
            segment = directory[i]
            if segment == 0:
                i += 1
                continue
            if budget == 0:
                return False
            budget -= 1
            segment_release(pool, segment)
            run = words >> PM_SEGMENT_DEPTH(segment)
            while run:
                if not at_once:             # the next step must not meet it again
                    pm_store(p, directory + i, 0)
                i += 1
                run -= 1
        release(pool, t.index, words * 8)
    pm_store(p, &t.index, 0)
    pm_store(p, &t.index_depth, 0)
    return True


cdef inline unsigned log_for(uint64_t cells, unsigned log) noexcept:
    """So many cells are at most three quarters."""
    while 3 << log < 4 * cells:
        log += 1
    return log


cdef void count_tags(pm_pool *p, pm_table *t, unsigned stride, uint64_t *counts, unsigned depth) noexcept:
    """How many live entries there are for each segment of a directory of that depth."""
    cdef uint64_t i = 0, run
    cdef uint64_t *entry
    cdef uint64_t _
    while i < t.entries.size:
        entry = pm_vec_run(p, &t.entries, i, t.entries.size, stride, &run)
        for _ in range(run):
            if entry[1]:
                counts[pm_tag(entry[0]) >> (32 - depth)] += 1
            entry += stride
        i += run


cdef void fill_cells(pm_pool *p, pm_table *t, unsigned stride, uint64_t index, unsigned depth) noexcept:
    """Cells for all live entries in an empty index with room for them."""
    cdef uint64_t i = 0, run, k, tag, segment
    cdef uint64_t *directory = <uint64_t *>pm_at(p, index & PM_OFFSET_MASK)
    cdef uint64_t *entry
    while i < t.entries.size:
        entry = pm_vec_run(p, &t.entries, i, t.entries.size, stride, &run)
        for k in range(run):
            if depth and k + NEXT_CELLS < run:
                tag = pm_tag(entry[NEXT_CELLS * stride])
                segment = directory[tag >> (32 - depth)]
                pm_prefetch(cells_of(p, segment) + pm_tag_home(tag, PM_SEGMENT_CELLS(segment), depth))
            if entry[1]:
                tag = pm_tag(entry[0])
                segment = directory[tag >> (32 - depth)] if depth else index
                pm_cells_put(cells_of(p, segment), PM_SEGMENT_CELLS(segment), depth, tag << 32 | (i + k + 1))
            entry += stride
        i += run


cdef uint64_t new_directory(Pool pool, pm_table *t, unsigned stride, unsigned depth) except 0:
    """Offset of a filled directory with its segments."""
    cdef pm_pool *p = pool.p
    cdef uint64_t words = <uint64_t>1 << depth, offset = alloc(pool, words * 8), i
    cdef uint64_t *directory = <uint64_t *>pm_at(p, offset)
    cdef uint64_t *counts = <uint64_t *>calloc(words, 8)
    if counts == NULL:
        no_memory()
    try:
        count_tags(p, t, stride, counts, depth)
        for i in range(words):
            directory[i] = new_segment(pool, log_for(counts[i], PM_SEGMENT_LOG), depth)
    finally:
        free(counts)
    fill_cells(p, t, stride, offset, depth)
    for i in range(words):
        segment_done(p, directory[i])
    pm_fresh(p, directory, words * 8)
    return offset


cdef int index_build(Pool pool, pm_table *t, unsigned stride, uint64_t items) except -1:
    """A fresh index for a table of up to `items` entries, with those that are there; takes the old one's place."""
    cdef pm_pool *p = pool.p
    cdef unsigned log = 4, depth = 0
    cdef uint64_t index
    vec_must_be_sound(pool, &t.entries, 0, t.entries.size, stride)
    index_must_be_sound(pool, t)
    while log < PM_SEGMENT_LOG and <uint64_t>2 << log < 3 * items:
        log += 1
    if <uint64_t>2 << log < 3 * items:
        depth = 1
        while <uint64_t>1 << (log - 1 + depth) < items:
            depth += 1
        index = new_directory(pool, t, stride, depth)
    else:
        index = new_segment(pool, log, 0)
        fill_cells(p, t, stride, index, 0)
        segment_done(p, index)
    index_drop(pool, t, ~<uint64_t>0)
    pm_store(p, &t.index, index)
    pm_store(p, &t.index_depth, depth)
    return 0


cdef uint64_t taken_cells(const uint64_t *cells, unsigned log) noexcept:
    cdef uint64_t i, taken = 0
    for i in range(<uint64_t>1 << log):
        taken += cells[i] != 0
    return taken


cdef int double_directory(Pool pool, pm_table *t) except -1:
    cdef pm_pool *p = pool.p
    cdef uint64_t words = <uint64_t>1 << t.index_depth, i
    cdef uint64_t offset = alloc(pool, words * 16)
    cdef uint64_t *old = pm_directory(p, t)
    cdef uint64_t *directory = <uint64_t *>pm_at(p, offset)
    for i in range(words):
        directory[2 * i] = directory[2 * i + 1] = old[i]
    pm_fresh(p, directory, words * 16)
    release(pool, t.index, words * 8)
    pm_store(p, &t.index, offset)
    pm_store(p, &t.index_depth, t.index_depth + 1)
    return 0


cdef int first_directory(Pool pool, pm_table *t) except -1:
    """The only segment gets a directory of one word; the caller doubles it."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset = alloc(pool, 16)
    cdef uint64_t *directory = <uint64_t *>pm_at(p, offset)
    directory[0] = directory[1] = t.index
    pm_fresh(p, directory, 16)
    pm_store(p, &t.index, offset)
    pm_store(p, &t.index_depth, 1)
    return 0


cdef int divide(Pool pool, pm_table *t, uint64_t tag) except -1:
    """Two segments take the place of the one for this tag.  Where too many tags are alike for that to help, one
    twice as large does, so that the directory stays in proportion to the table."""
    cdef pm_pool *p = pool.p
    cdef uint64_t halves[2]
    cdef uint64_t count[2]
    cdef uint64_t segment, run, first, i
    cdef unsigned log, depth
    segment = pm_table_segment(p, t, tag)
    if not pm_segment_is_sound(p, segment) or PM_SEGMENT_DEPTH(segment) > t.index_depth or \
            t.index_depth and not pm_inside_all(p, t.index, <uint64_t>1 << t.index_depth, 8):
        raise_damaged(pool, t, "its index makes no sense")
    if t.index_depth == 0:
        first_directory(pool, t)
    log = PM_SEGMENT_CELLS(segment)
    depth = PM_SEGMENT_DEPTH(segment)
    pm_cells_count(cells_of(p, segment), log, depth, count)
    if depth == t.index_depth and (depth >= MAX_DEPTH or <uint64_t>1 << depth + 10 > t.entries.size):
        halves[0] = new_segment(pool, log_for(count[0] + count[1], log), depth)
        halves[1] = 0
    else:
        if depth == t.index_depth:
            double_directory(pool, t)
        halves[0] = new_segment(pool, log_for(count[0], PM_SEGMENT_LOG), depth + 1)
        halves[1] = new_segment(pool, log_for(count[1], PM_SEGMENT_LOG), depth + 1)
    pm_cells_move(p, segment, halves[0], halves[1])
    run = <uint64_t>1 << (t.index_depth - depth)
    first = tag >> (32 - depth) << (t.index_depth - depth) if depth else 0
    for i in range(run):
        pm_store(p, pm_directory(p, t) + first + i, halves[1] if halves[1] and 2 * i >= run else halves[0])
    segment_done(p, halves[0])
    if halves[1]:
        segment_done(p, halves[1])
    segment_release(pool, segment)
    return 0


cdef int index_make_room(Pool pool, pm_table *t, unsigned stride, uint64_t hash, pm_probe *probe) except -1:
    """One more entry with that hash may come; the probe is left at its cell."""
    cdef pm_pool *p = pool.p
    cdef unsigned log, depth
    cdef uint64_t tag = pm_tag(hash), size = t.entries.size
    while True:
        if t.index == 0:
            if size < PM_TABLE_SMALL:
                pm_probe_start(p, t, hash, probe)
                return 0
            index_build(pool, t, stride, 2 * size)
        pm_probe_free(p, t, hash, probe)
        if pm_probe_has_room(t, probe):
            return 0
        if not pm_segment_is_sound(p, probe.segment):
            raise_damaged(pool, t, "its index makes no sense")
        log = PM_SEGMENT_CELLS(probe.segment)
        depth = PM_SEGMENT_DEPTH(probe.segment)
        if t.index_depth == 0:
            if log < PM_SEGMENT_LOG:
                index_build(pool, t, stride, 2 * size)
                continue
        elif size < pm_segment_limit(tag, log, depth):
            # Only the way is long: as many keys with one hash would have it, and nothing can be done about them.
            if 8 * taken_cells(probe.cells, log) < <uint64_t>7 << log:
                return 0
        divide(pool, t, tag)
