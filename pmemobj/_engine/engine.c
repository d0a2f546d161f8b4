/*
 * engine.c: the dirty set, the word log, line images, and the record made of them (see engine.h).
 */
#include "engine.h"

#include <stdio.h>
#include <sys/mman.h>

#include "journal/ring_append.h"

/* The tables grow inside stores that cannot fail.  Without memory for an undo image the only safe way on
 * is to stop: the pool's last committed state is intact on media. */
static void *grow(void *old, size_t *cap, size_t item)
{
    size_t bigger = *cap ? 2 * *cap : 256;
    void *grown = realloc(old, bigger * item);
    if (grown == NULL) {
        fputs("pmemobj: out of memory for undo information; the pool keeps its last committed state\n",
              stderr);
        abort();
    }
    *cap = bigger;
    return grown;
}

void pm_pool_fini(pm_pool *p)
{
    if (p->lines != NULL)
        munmap(p->lines, (p->size / PM_PAGE_SIZE + 1) * sizeof(pm_lines));
    free(p->log);
    free(p->images);
    free(p->dirty);
    free(p->ranges);
    p->lines = NULL;
    p->log = NULL;
    p->images = NULL;
    p->dirty = NULL;
    p->ranges = NULL;
    p->log_cap = p->images_cap = p->dirty_cap = p->ranges_cap = 0;
}

void pm_log_grow(pm_pool *p) { p->log = grow(p->log, &p->log_cap, sizeof *p->log); }

/* Lines first..last (inclusive) of one page. */
static void mark_lines(pm_pool *p, uint64_t page, unsigned first, unsigned last)
{
    uint64_t mask = (~0ull << first) & (~0ull >> (63 - last));
    pm_lines *lines = &p->lines[page];
    if (lines->dirty == 0) {
        if (p->ndirty == p->dirty_cap)
            p->dirty = grow(p->dirty, &p->dirty_cap, sizeof *p->dirty);
        p->dirty[p->ndirty++] = (uint32_t)page;
    }
    lines->dirty |= mask;
}

void pm_mark_dirty(pm_pool *p, uint64_t offset, uint64_t length)
{
    if (length == 0 || offset >= p->size)
        return;
    uint64_t end = offset + length < p->size ? offset + length : p->size;
    while (offset < end) {
        uint64_t page = offset / PM_PAGE_SIZE;
        uint64_t stop = (page + 1) * PM_PAGE_SIZE < end ? (page + 1) * PM_PAGE_SIZE : end;
        mark_lines(p, page, (unsigned)(offset % PM_PAGE_SIZE / PM_LINE),
                   (unsigned)((stop - 1) % PM_PAGE_SIZE / PM_LINE));
        offset = stop;
    }
}

void pm_capture_image(pm_pool *p, uint64_t offset)
{
    uint64_t page = offset / PM_PAGE_SIZE;
    unsigned line = (unsigned)(offset / PM_LINE % 64);
    pm_lines *lines = &p->lines[page];
    if (lines->epoch != p->epoch) {
        lines->epoch = p->epoch;
        lines->captured = 0;
    }
    if (lines->captured >> line & 1)
        return;
    lines->captured |= 1ull << line;
    if (p->nimages == p->images_cap)
        p->images = grow(p->images, &p->images_cap, sizeof *p->images);
    pm_image *image = &p->images[p->nimages++];
    image->offset = offset & ~(uint64_t)(PM_LINE - 1);
    memcpy(image->words, p->base + image->offset, PM_LINE);
    mark_lines(p, page, line, line);
}

void pm_add_range(pm_pool *p, uint64_t offset, uint64_t length)
{
    if (p->nranges == p->ranges_cap)
        p->ranges = grow(p->ranges, &p->ranges_cap, sizeof *p->ranges);
    p->ranges[p->nranges].offset = offset;
    p->ranges[p->nranges++].length = length;
}

static int no_put_word(pm_pool *p, uint64_t *at, uint64_t value)
{
    (void)p, (void)at, (void)value;
    return 0;                   /* the journal had no room for it, or a transaction is open */
}

static const pm_engine journal_engine = {pm_log_grow, pm_capture_image, pm_mark_dirty, pm_add_range, no_put_word};

int pm_pool_init(pm_pool *p, uint64_t size)
{
    memset(p, 0, sizeof *p);
    p->engine = &journal_engine;
    p->size = size;
    /* Sparse: 24 bytes for each 4 KiB page that is ever changed. */
    size_t bytes = (size / PM_PAGE_SIZE + 1) * sizeof(pm_lines);
    p->lines = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->lines == MAP_FAILED) {
        p->lines = NULL;
        return errno;
    }
    p->log = grow(NULL, &p->log_cap, sizeof *p->log);
    p->images = grow(NULL, &p->images_cap, sizeof *p->images);
    p->dirty = grow(NULL, &p->dirty_cap, sizeof *p->dirty);
    return 0;
}

void pm_pool_placed(pm_pool *p, uint64_t low)
{
    p->low = low;
    p->floor = p->base + low;
    p->room = p->size - low;
    p->reach = (p->room - PM_ITEM_BYTES) / 8;
}

void pm_log_undo(pm_pool *p, size_t mark)
{
    while (p->nlog > mark) {
        const pm_logged *entry = &p->log[--p->nlog];
        uint64_t words = entry->extent & JR_EXTENT_MAX;
        if (words == 1)
            *(uint64_t *)(p->base + (entry->extent >> 16)) = entry->old;
        else
            p->fresh_words -= words;
    }
}

void pm_images_undo(pm_pool *p, size_t mark)
{
    while (p->nimages > mark) {
        const pm_image *image = &p->images[--p->nimages];
        memcpy(p->base + image->offset, image->words, PM_LINE);
    }
}

/* Its whole pages are written to the pool file.  The ends go into the next record: the header of an allocation shares
 * the line of its first bytes, and what a record that is still to be applied speaks of cannot be written past it. */
static int write_range(pm_pool *p, const pm_range *range)
{
    uint64_t end = range->offset + range->length, first = pm_page_behind(range->offset), last = pm_page_of(end);
    int error = jr_write_direct(p->journal, p->base + first, first, last - first, &p->root->ranges_needed);
    if (!error) {
        pm_mark_dirty(p, range->offset, first - range->offset);
        pm_mark_dirty(p, last, end - last);
    }
    return error;
}

int pm_settle_ranges(pm_pool *p, uint64_t direct)
{
    uint64_t bytes = 0;
    int error = 0;
    for (size_t i = 0; i < p->nranges; i++)
        bytes += p->ranges[i].length;
    for (size_t i = 0; i < p->nranges && !error; i++) {
        const pm_range *range = &p->ranges[i];
        error = bytes < direct ? JR_HELD : write_range(p, range);
        if (error == JR_HELD) {
            pm_mark_dirty(p, range->offset, range->length);
            error = 0;
        }
    }
    if (bytes >= direct && !error)
        pm_mark_dirty(p, pm_offset(p, &p->root->ranges_needed), sizeof p->root->ranges_needed);
    if (!error)
        p->nranges = 0;
    return error;
}

uint64_t pm_record_bound(const pm_pool *p)
{
    uint64_t words = 2 * p->nlog + p->fresh_words;
    for (size_t i = 0; i < p->ndirty; i++)
        words += 9 * (uint64_t)__builtin_popcountll(p->lines[p->dirty[i]].dirty);
    return words;
}

uint64_t pm_dirty_end(const pm_pool *p)
{
    uint64_t end = 0;
    for (size_t i = 0; i < p->ndirty; i++)
        if ((p->dirty[i] + (uint64_t)1) * PM_PAGE_SIZE > end)
            end = (p->dirty[i] + (uint64_t)1) * PM_PAGE_SIZE;
    return end;
}

static uint64_t *put(uint64_t *to, const pm_pool *p, uint64_t offset, uint64_t words)
{
    *to++ = JR_EXTENT(offset, words);
    memcpy(to, p->base + offset, words * 8);
    return to + words;
}

/* Each run of neighbouring dirty lines of a page is one extent. */
static uint64_t *put_page(uint64_t *to, const pm_pool *p, uint64_t page, uint64_t dirty)
{
    while (dirty) {
        unsigned first = (unsigned)__builtin_ctzll(dirty);
        uint64_t rest = ~(dirty >> first);
        unsigned run = rest ? (unsigned)__builtin_ctzll(rest) : 64;
        to = put(to, p, page * PM_PAGE_SIZE + first * PM_LINE, (uint64_t)run * (PM_LINE / 8));
        if (first + run == 64)
            break;
        dirty &= ~0ull << (first + run);
    }
    return to;
}

void pm_record(pm_pool *p)
{
    uint64_t *payload = jr_room(p->journal), *to = payload;
    /* Inside a level the log is only the current operation's undo: all it touched is dirty lines too. */
    for (size_t i = 0; i < p->nlog; i++) {
        uint64_t extent = p->log[i].extent;
        if ((extent & JR_EXTENT_MAX) == 1) {
            *to++ = extent;
            *to++ = *(const uint64_t *)(p->base + (extent >> 16));
        } else {
            to = put(to, p, extent >> 16, extent & JR_EXTENT_MAX);
        }
    }
    for (size_t i = 0; i < p->ndirty; i++) {
        pm_lines *lines = &p->lines[p->dirty[i]];
        to = put_page(to, p, p->dirty[i], lines->dirty);
        lines->dirty = 0;
    }
    p->nlog = 0;
    p->fresh_words = 0;
    p->ndirty = 0;
    if (to != payload)
        jr_done(p->journal, (uint64_t)(to - payload));
}
