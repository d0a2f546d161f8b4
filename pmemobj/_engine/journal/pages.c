/* pages.c: see pages.h. */
#define _GNU_SOURCE
#include "pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "journal.h"

static void *sparse(uint64_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

int jr_pages_open(struct jr_pages *t, uint64_t pool_size, uint64_t budget)
{
    memset(t, 0, sizeof *t);
    t->budget = budget;
    t->generation = 1;
    t->pages = pool_size / PM_PAGE_SIZE + 1;
    t->blocks = (pool_size >> JR_BLOCK_SHIFT) + 1;
    t->last = sparse(t->pages * sizeof *t->last);
    t->in_block = sparse(t->blocks * sizeof *t->in_block);
    t->covered = sparse(t->blocks);
    if (t->last && t->in_block && t->covered)
        return 0;
    jr_pages_close(t);
    return ENOMEM;
}

void jr_pages_close(struct jr_pages *t)
{
    if (t->last)
        munmap(t->last, t->pages * sizeof *t->last);
    if (t->in_block)
        munmap(t->in_block, t->blocks * sizeof *t->in_block);
    if (t->covered)
        munmap(t->covered, t->blocks);
    t->last = NULL;
    t->in_block = NULL;
    t->covered = NULL;
    t->budget = 0;
}

static uint64_t weight(const struct jr_pages *t, uint64_t block)
{
    if (!t->covered[block])
        return 1;
    return t->in_block[block] == 0 ? JR_BLOCK_PAGES : 0;
}

static void note(struct jr_pages *t, uint64_t page)
{
    if (t->last[page] == t->generation)
        return;
    if (t->last[page] == 0) {
        uint64_t block = page / JR_BLOCK_PAGES, more = weight(t, block);
        t->in_block[block]++;
        if (atomic_fetch_add_explicit(&t->changed, more, memory_order_relaxed) + more >
                t->budget / 2 / PM_PAGE_SIZE)
            atomic_store_explicit(&t->crowded, JR_HALF_FULL, memory_order_relaxed);
    }
    t->last[page] = t->generation;
}

void jr_note_range(struct jr_pages *t, uint64_t offset, uint64_t length)
{
    if (t->budget == 0 || length == 0)
        return;
    uint64_t last = (offset + length - 1) / PM_PAGE_SIZE;
    for (uint64_t page = offset / PM_PAGE_SIZE; page <= last && page < t->pages; page++)
        note(t, page);
}

void jr_note_payload(struct jr_pages *t, const uint64_t *payload, uint64_t words)
{
    for (const uint64_t *at = payload, *end = payload + words; at < end; at += 1 + (*at & JR_EXTENT_MAX))
        jr_note_range(t, *at >> 16, (*at & JR_EXTENT_MAX) * 8);
}

void jr_forget_page(struct jr_pages *t, uint64_t page)
{
    if (t->last[page] == 0)
        return;
    uint64_t block = page / JR_BLOCK_PAGES;
    t->last[page] = 0;
    t->in_block[block]--;
    atomic_fetch_sub_explicit(&t->changed, weight(t, block), memory_order_relaxed);
}

void jr_set_covered(struct jr_pages *t, uint64_t block, int covered)
{
    uint64_t n = t->in_block[block];
    if (t->covered[block] == covered)
        return;
    t->covered[block] = (uint8_t)covered;
    if (n == 0)
        return;
    if (covered)
        atomic_fetch_add_explicit(&t->changed, JR_BLOCK_PAGES - n, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&t->changed, JR_BLOCK_PAGES - n, memory_order_relaxed);
}
