/* trim.c: see trim.h. */
#define _GNU_SOURCE
#include "trim.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "files/io.h"
#include "journal/journal_private.h"
#include "zones.h"

#define LEAST_PAGES 4u              /* free pages of a chunk, side by side, that are worth a call */

static int punch(pm_pool *p, uint64_t from, uint64_t end)
{
    struct jr_target *t = &p->journal->priv->pool;
    from = pm_page_behind(from);
    end = pm_page_of(end);
    if (from >= end)
        return 0;
    while (io.fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(end - from)))
        if (errno != EINTR)
            return errno;
    for (uint64_t g = from >> JR_GRANULE_SHIFT; g <= (end - 1) >> JR_GRANULE_SHIFT; g++)
        atomic_fetch_and_explicit(&t->granules[g >> 6], ~(1ull << (g & 63)), memory_order_relaxed);
    return 0;
}

/* Rule 3.  `from` is behind what libpmemobj keeps at the start of a free block. */
static int punch_blocks(pm_pool *p, uint64_t from, uint64_t end)
{
    struct jr_pages *t = &p->journal->priv->pages;
    uint64_t first = (from + (1ull << JR_BLOCK_SHIFT) - 1) >> JR_BLOCK_SHIFT, last = end >> JR_BLOCK_SHIFT;
    if (first >= last || (uintptr_t)p->base & ((1ull << JR_BLOCK_SHIFT) - 1) || t->budget == 0)
        return 0;
    from = first << JR_BLOCK_SHIFT;
    end = last << JR_BLOCK_SHIFT;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    if (io.mmap(p->base + from, end - from, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
        return errno;
    for (uint64_t block = first; block < last; block++) {
        jr_set_covered(t, block, 1);
        for (uint64_t page = block * JR_BLOCK_PAGES; page < (block + 1) * JR_BLOCK_PAGES; page++)
            jr_forget_page(t, page);
    }
    return punch(p, from, end);
}

static int visit(void *context, uint64_t offset, uint64_t length, enum pm_zone_block kind)
{
    pm_pool *p = context;
    if (kind != PM_ZONE_FREE)
        return 0;
    if (p->journal->priv->pool.faults_allocate)
        return punch_blocks(p, offset + PM_ZONE_FREE_NODE, offset + length);
    return punch(p, offset, offset + length);
}

int pm_trim_heap(pm_pool *p)
{
    int error = pm_walk_zones(p, visit, p);
    return error < 0 ? EINVAL : error;
}

int pm_trim_chunk(pm_pool *p, uint64_t offset)
{
    const pm_chunk *chunk = (const pm_chunk *)pm_at(p, offset);
    int error = 0;
    if (p->journal->priv->pool.faults_allocate)
        return 0;
    for (unsigned i = 0; i < PM_CHUNK_PAGES && !error; i++) {
        unsigned from = i;
        while (i < PM_CHUNK_PAGES && !(chunk->bitmap >> i & 1))
            i++;
        if (i - from >= LEAST_PAGES)
            error = punch(p, chunk->first_page + (uint64_t)from * PM_PAGE_SIZE,
                          chunk->first_page + (uint64_t)i * PM_PAGE_SIZE);
    }
    return error;
}
