/*
 * slab.h: blocks of up to PM_SPAN_MAX bytes.
 *
 * libpmemobj's own allocation costs 360-1300 ns; a logged word costs 5.  So a few large allocations
 * (chunks) are cut into pages, a page into equal blocks, and a block is taken or given back by changing one
 * bit of its page's bitmap with pm_store: undone by an abort, recorded by a commit, like any other word.
 * A block of more than PM_SMALL_MAX bytes is a span: some pages of a chunk, side by side.
 * A block's contents are never touched by this allocator.
 *
 * libpmemobj is asked for whole chunks only, never for less.  What it makes of smaller requests (runs) was seen
 * to be handed out again while it was in use, after a reopen (PMDK 1.12.1; see tests/pool/test_pool_heap.py).
 *
 *  1. Full pages and chunks are on no list; the others are on the list of their class (pages) or pool.
 *  2. A page without blocks in use goes back to its chunk, unless it is the last listed one of its class and its
 *     chunk the first one, of which the next page would be taken.
 *  3. A block freed in an operation is free again only when the operation or its outermost transaction
 *     commits (the caller defers), so fresh stores never overwrite what an abort brings back.
 *  4. What the pool says may be damaged.  A page is looked at when it becomes the first one of its class, by the next
 *     allocation: p->sound_pages[class] is its offset then.  Neighbours on a list are looked at before they are
 *     changed.
 */
#ifndef PM_SLAB_H
#define PM_SLAB_H

#include "engine.h"

extern const uint16_t pm_class_size[PM_ALL_CLASSES];
extern const uint8_t pm_class_of[PM_SMALL_MAX / 8 + 1];     /* by (size + 7) / 8 */
extern const uint8_t pm_object_class_of[PM_OBJECT_MAX / 8 + 1];

/* The chunk at this offset, which may be anything, is one, and its neighbours on the list are inside the pool. */
int pm_chunk_is_sound(const pm_pool *p, uint64_t offset);

/* The first pages and chunks of all lists are sound. */
int pm_lists_are_sound(const pm_pool *p);

/* Offset of a free block, or 0 when no chunk has room for it, or a list is damaged: add a chunk and call again. */
uint64_t pm_small_alloc_slow(pm_pool *p, unsigned size_class);

void pm_page_full(pm_pool *p, pm_page *page);   /* takes it off its list */

static inline uint64_t pm_class_alloc(pm_pool *p, unsigned size_class)
{
    uint64_t at = p->root->pages[size_class];
    if (__builtin_expect(at != p->sound_pages[size_class] || at == 0, 0))
        return pm_small_alloc_slow(p, size_class);
    pm_page *page = (pm_page *)pm_at(p, at);
    unsigned word = 0;
    while (page->bitmap[word] == ~0ull && word < PM_PAGE_BITS - 1)    /* a listed page has a free block */
        word++;
    uint64_t bits = page->bitmap[word];
    unsigned bit = (unsigned)__builtin_ctzll(~bits);
    bits |= 1ull << bit;
    pm_store(p, &page->bitmap[word], bits);
    if (bits == ~0ull)
        pm_page_full(p, page);
    return at + sizeof(pm_page) + (uint64_t)(word * 64 + bit) * page->block_size;
}

/* For blocks of 2 to 8 words, whose classes are the first ones: the bitmap word of which so many may be taken,
 * by the caller, and its page would still not be full.  NULL: go the long way. */
#define PM_CLASS_OF_WORDS(words) ((unsigned)(words) - 2)

static inline uint64_t *pm_class_bits(const pm_pool *p, unsigned size_class, unsigned blocks)
{
    uint64_t at = p->root->pages[size_class];
    if (__builtin_expect(at != p->sound_pages[size_class] || at == 0, 0))
        return NULL;
    uint64_t *bits = ((pm_page *)pm_at(p, at))->bitmap;
    while (*bits == ~0ull)                      /* a listed page has a free block; and behind the bitmap stands no ~0 */
        bits++;
    uint64_t unused = ~*bits;
    for (; blocks; blocks--)
        unused &= unused - 1;
    return unused ? bits : NULL;
}

static inline uint64_t pm_small_alloc(pm_pool *p, uint64_t size)
{
    return pm_class_alloc(p, pm_class_of[(size + 7) / 8]);
}

/* A block for a pm_object of `size` bytes, on a page that holds nothing else: so the collector finds every
 * object, also those that no slot leads to.  pm_small_free takes it back. */
static inline uint64_t pm_object_alloc(pm_pool *p, uint64_t size)
{
    return pm_class_alloc(p, pm_object_class_of[(size + 7) / 8]);
}

/* Offset of `pages` free pages side by side, or 0 when no chunk is known to have them: add a chunk and call again. */
uint64_t pm_span_alloc(pm_pool *p, unsigned pages);

static inline unsigned pm_span_pages(uint64_t size) { return (unsigned)((size + PM_PAGE_SIZE - 1) / PM_PAGE_SIZE); }

/* As pm_small_free, for a span of that many pages. */
int pm_span_free(pm_pool *p, uint64_t offset, unsigned pages, uint64_t *empty_chunk);

/* Gives a block back.  *empty_chunk is the offset of a chunk that holds nothing any more and was taken off
 * the list: the caller frees it; else 0.  -1: `offset` is not a block in use. */
int pm_small_free(pm_pool *p, uint64_t offset, uint64_t *empty_chunk);

/* Size of the block that a request of `size` bytes gets. */
static inline uint64_t pm_usable(uint64_t size)
{
    if (size <= PM_SMALL_MAX)
        return pm_class_size[pm_class_of[(size + 7) / 8]];
    return size <= PM_SPAN_MAX ? (uint64_t)pm_span_pages(size) * PM_PAGE_SIZE : size;
}

/* What libpmemobj is asked for instead of `size`, so that it gives whole chunks of its own and makes no run. */
static inline uint64_t pm_whole_chunks(uint64_t size)
{
    uint64_t spare = PM_CHUNK_STRIDE - PM_CHUNK_BYTES;
    return (size + spare + PM_CHUNK_STRIDE - 1) / PM_CHUNK_STRIDE * PM_CHUNK_STRIDE - spare;
}

/* A new libpmemobj allocation of PM_CHUNK_BYTES at `offset` becomes a chunk and is listed.  -1: it does not lie where
 * chunks lie. */
int pm_chunk_add(pm_pool *p, uint64_t offset);

/* Pages of the span that starts at page `first`. */
unsigned pm_chunk_span(const pm_chunk *chunk, unsigned first);

/* Blocks in use: bytes of the small blocks allocated in this chunk. */
uint64_t pm_chunk_in_use(pm_pool *p, uint64_t offset);

#define PM_PAGE_OBJECTS 126u    /* objects on a page at most: 32 bytes each */

/* Offsets of the objects on page `page_number` of the chunk, and their number; 0 for a page of
 * blocks or of a span. */
uint64_t pm_chunk_objects(const pm_pool *p, uint64_t offset, unsigned page_number, uint64_t *offsets);

#endif
