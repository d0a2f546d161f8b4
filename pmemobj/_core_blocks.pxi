# What the allocator says is in use, for check.py: every block, and whether chunks, pages and their lists agree.

cdef set walk_list(Pool pool, uint64_t first, bint chunks, list findings):
    """The offsets on a list of chunks or pages; a broken link ends the walk with a finding."""
    cdef uint64_t at = first, before = 0, previous
    found = set()
    while at:
        if at in found or at & 7 or not pm_inside(pool.p, at, PM_PAGE_SIZE if not chunks else PM_CHUNK_BYTES):
            findings.append(f"a list of {'chunks' if chunks else 'pages'} is broken at {at:#x}")
            break
        previous = (<pm_chunk *>pm_at(pool.p, at)).prev if chunks else (<pm_page *>pm_at(pool.p, at)).prev
        if previous != before:
            findings.append(f"the {'chunk' if chunks else 'page'} at {at:#x} names {previous:#x} as the one before it")
        found.add(at)
        before = at
        at = (<pm_chunk *>pm_at(pool.p, at)).next if chunks else (<pm_page *>pm_at(pool.p, at)).next
    return found


cdef int page_blocks(Pool pool, uint64_t offset, uint64_t chunk, set listed, dict blocks, list findings) except -1:
    cdef pm_page *page = <pm_page *>pm_at(pool.p, offset)
    cdef uint64_t i, count
    cdef bint has_room = False
    if page.block_size < 16 or page.block_size > PM_SMALL_MAX or page.chunk != chunk:
        findings.append(f"the page at {offset:#x} has a damaged header")
        return 0
    count = (PM_PAGE_SIZE - sizeof(pm_page)) // page.block_size
    for i in range(PM_PAGE_BITS * 64):
        if not page.bitmap[i // 64] >> (i % 64) & 1:
            has_room = True
            if i >= count:
                findings.append(f"the page at {offset:#x} has a free block past its end")
        elif i < count:
            blocks[offset + sizeof(pm_page) + i * page.block_size] = page.block_size
    if has_room != page.listed or has_room != (offset in listed):
        findings.append(f"the page at {offset:#x} {'has' if has_room else 'has no'} room but is wrongly listed")
    listed.discard(offset)
    return 0


cdef int chunk_blocks(Pool pool, uint64_t offset, set chunks, set pages, dict blocks, list findings) except -1:
    cdef pm_chunk *chunk = <pm_chunk *>pm_at(pool.p, offset)
    cdef bint has_room = chunk.bitmap != ~<uint64_t>0
    cdef unsigned i
    cdef uint64_t first = pm_page_behind(offset + sizeof(pm_chunk))
    cdef uint64_t pages_here = (offset + PM_CHUNK_BYTES - first) // PM_PAGE_SIZE
    if chunk.first_page != first or chunk.empty != ~<uint64_t>0 << pages_here or chunk.empty & ~chunk.bitmap:
        findings.append(f"the chunk at {offset:#x} has a damaged header")
        return 0
    if chunk.spans & (~chunk.bitmap | chunk.empty) or chunk.starts & ~chunk.spans or \
            chunk.spans & ~chunk.starts & ~(chunk.spans << 1):
        findings.append(f"the chunk at {offset:#x} has damaged spans")
        return 0
    if has_room != chunk.listed or has_room != (offset in chunks):
        findings.append(f"the chunk at {offset:#x} {'has' if has_room else 'has no'} room but is wrongly listed")
    chunks.discard(offset)
    for i in range(64):
        if chunk.starts >> i & 1:
            blocks[chunk.first_page + <uint64_t>i * PM_PAGE_SIZE] = pm_chunk_span(chunk, i) * PM_PAGE_SIZE
        elif (chunk.bitmap & ~chunk.empty & ~chunk.spans) >> i & 1:
            page_blocks(pool, chunk.first_page + <uint64_t>i * PM_PAGE_SIZE, offset, pages, blocks, findings)
    return 0


cdef bint next_allocation(Pool pool, pm_allocation *a) noexcept:
    """The next of libpmemobj's allocations that are ours; all zero before the first."""
    return pm_next_allocation(pool.p.base, pool.p.size, a)


cdef str heap_fault(Pool pool):
    """What is wrong with libpmemobj's own structures, or None."""
    cdef char fault[256]
    cdef int error = pm_check_heap_in_memory(pool.p.base, pool.p.size, fault, sizeof(fault))
    if error > 0:
        raise MemoryError()
    return (<const char *>fault).decode("ascii") if error else None


def blocks_in_use(Pool pool not None):
    """({offset: usable bytes} of every block in use, list of findings).  Walks the whole heap."""
    cdef pm_allocation found
    cdef size_t i
    pool_check_read(pool)
    blocks = {}
    findings = []
    fault = heap_fault(pool)
    if fault is not None:
        findings.append(f"heap: {fault}")
    chunks = walk_list(pool, pool.p.root.chunks, True, findings)
    pages = set()
    for i in range(sizeof(pool.p.root.pages) // 8):
        pages |= walk_list(pool, pool.p.root.pages[i], False, findings)
    memset(&found, 0, sizeof(found))
    left = {pool.gone[i] for i in range(pool.nleft)}
    while next_allocation(pool, &found):
        if found.offset in left:
            continue
        if found.type == PM_ALLOC_CHUNK:
            chunk_blocks(pool, found.offset, chunks, pages, blocks, findings)
        else:
            blocks[found.offset] = found.size
    for offset in chunks | pages:
        findings.append(f"a list names {offset:#x}, which is not in use")
    return blocks, findings


def object_at(Persistent o not None):
    """Offset of the object in its pool.  For tests."""
    check_read(o)
    return pm_offset(o.p, o.head)
