# The blocks of a deque (see pm_deque in layout.h): made, filled and given back, inside an operation.
#
#  1. Cells outside of left..right-1 are not read, so an end moves with one store and nothing is cleaned up behind it.
#  2. Whoever gives a block back, or undoes something, raises `deque_generation`: an iterator that remembers a block
#     asks for it before it looks.
#  3. A block is verified before it is used (see deque.h).  Damage raises inside the operation, which is undone.

cdef pm_deque_block *deque_must_be(Pool pool, const pm_deque *d, pm_deque_block *block) except NULL:
    if block == NULL:
        raise_damaged(pool, d, "its blocks are not what they must be")
    return block


cdef pm_deque_block *deque_block_at(Pool pool, const pm_deque *d, uint64_t offset) except NULL:
    return deque_must_be(pool, d, pm_deque_sound(pool.p, offset))


cdef uint64_t deque_cells(uint64_t items) noexcept nogil:
    """Cells of the next block of a deque of so many items: they take as much again, up to the largest blocks."""
    cdef uint64_t cells = PM_DEQUE_FIRST
    while cells < items and cells < PM_DEQUE_CELLS:
        cells = 2 * cells + 4               # with the four words of the head a power of two
    if cells > PM_DEQUE_CELLS:
        cells = PM_DEQUE_CELLS
    return pm_usable(8 * (4 + cells)) // 8 - 4


cdef pm_deque_block *deque_block(Pool pool, uint64_t start, uint64_t cells, uint64_t prev, uint64_t next) except NULL:
    cdef uint64_t offset = alloc(pool, 8 * (4 + cells))
    cdef pm_deque_block *block = pm_deque_block_at(pool.p, offset)
    block.next = next
    block.prev = prev
    block.start = start
    block.cap = cells
    pm_fresh(pool.p, block, sizeof(pm_deque_block))
    return block


cdef int deque_first(Pool pool, pm_deque *d, uint64_t items) except -1:
    """The first block of all."""
    cdef pm_deque_block *block = deque_block(pool, PM_DEQUE_MIDDLE, deque_cells(items), 0, 0)
    pm_store(pool.p, &d.first, pm_offset(pool.p, block))
    pm_store(pool.p, &d.last, pm_offset(pool.p, block))
    pm_store(pool.p, &d.left, PM_DEQUE_MIDDLE)
    pm_store(pool.p, &d.right, PM_DEQUE_MIDDLE)
    return 0


cdef int deque_grow_right(Pool pool, pm_deque *d, uint64_t items) except -1:
    cdef pm_pool *p = pool.p
    cdef pm_deque_block *block
    cdef pm_deque_block *new
    if d.last == 0:
        return deque_first(pool, d, items)
    block = deque_block_at(pool, d, d.last)
    if d.right - block.start < block.cap:
        return 0
    if d.right - block.start != block.cap:
        deque_must_be(pool, d, NULL)
    if d.left == d.right:                   # it is empty: back to the begin of its only block
        pm_store(p, &d.left, block.start)
        pm_store(p, &d.right, block.start)
        return 0
    items += d.right - d.left
    new = deque_block(pool, block.start + block.cap, deque_cells(items), d.last, 0)
    pm_store(p, &block.next, pm_offset(p, new))
    pm_store(p, &d.last, pm_offset(p, new))
    return 0


cdef int deque_grow_left(Pool pool, pm_deque *d) except -1:
    cdef pm_pool *p = pool.p
    cdef pm_deque_block *block
    cdef pm_deque_block *new
    cdef uint64_t cells
    if d.first == 0:
        deque_first(pool, d, 1)
    block = deque_block_at(pool, d, d.first)
    if d.left - block.start - 1 < block.cap:
        return 0
    if d.left != block.start:
        deque_must_be(pool, d, NULL)
    if d.left == d.right:
        pm_store(p, &d.left, block.start + block.cap)
        pm_store(p, &d.right, block.start + block.cap)
        return 0
    cells = deque_cells(d.right - d.left)
    new = deque_block(pool, block.start - cells, cells, 0, d.first)
    pm_store(p, &block.prev, pm_offset(p, new))
    pm_store(p, &d.first, pm_offset(p, new))
    return 0


cdef int deque_release(Pool pool, const pm_deque_block *block) except -1:
    pool.p.deque_generation += 1
    return release(pool, pm_offset(pool.p, block), 8 * (4 + block.cap))


cdef int deque_cut(Pool pool, pm_deque *d) except -1:
    """Gives back the blocks at the ends that hold no item, but not the only one."""
    cdef pm_pool *p = pool.p
    cdef pm_deque_block *block
    cdef pm_deque_block *other
    while d.last != d.first:
        block = deque_block_at(pool, d, d.last)
        if d.right > block.start:
            break
        other = deque_must_be(pool, d, pm_deque_before(p, block))
        pm_store(p, &d.last, block.prev)
        pm_store(p, &other.next, 0)
        deque_release(pool, block)
    while d.first != d.last:
        block = deque_block_at(pool, d, d.first)
        if d.left - block.start < block.cap:
            break
        other = deque_must_be(pool, d, pm_deque_after(p, block))
        pm_store(p, &d.first, block.next)
        pm_store(p, &other.prev, 0)
        deque_release(pool, block)
    return 0


cdef int deque_push(Pool pool, pm_deque *d, const uint64_t *slots, uint64_t count) except -1:
    """Adds slots at the right end.  What is new is filled as such, other cells one by one."""
    cdef pm_pool *p = pool.p
    cdef pm_deque_block *block
    cdef uint64_t *cell
    cdef uint64_t run, k, last
    while count:
        last = d.last
        deque_grow_right(pool, d, count)
        block = deque_block_at(pool, d, d.last)
        cell = &block.cells[d.right - block.start]
        run = block.start + block.cap - d.right
        if run > count:
            run = count
        if d.last != last:
            memcpy(cell, slots, 8 * run)
            pm_fresh(p, cell, 8 * run)
        else:
            for k in range(run):
                pm_store(p, &cell[k], slots[k])
        pm_store(p, &d.right, d.right + run)
        slots += run
        count -= run
    return 0


cdef int deque_drop(Pool pool, pm_deque *d, uint64_t *budget) except -1:
    cdef pm_deque_block *block
    while d.left != d.right and budget[0]:
        slot_drop(pool, deque_cell(pool, d, d.right - 1)[0])
        pm_store(pool.p, &d.right, d.right - 1)
        deque_cut(pool, d)
        budget[0] -= 1
    if d.left == d.right and d.first:
        block = deque_block_at(pool, d, d.first)
        pm_store(pool.p, &d.first, 0)
        pm_store(pool.p, &d.last, 0)
        deque_release(pool, block)
    return 0
