/*
 * slab.c: pages and chunks of the small-block allocator (see slab.h).
 */
#include "slab.h"

#define BLOCK_SPACE (PM_PAGE_SIZE - sizeof(pm_page))

const uint16_t pm_class_size[PM_ALL_CLASSES] = {
    16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256,
    320, 384, 448, 504, 576, 672, 1008, 1344, 2016,
    32, 48, 64, 88, 96, 128, 192, 256,
};

const uint8_t pm_class_of[PM_SMALL_MAX / 8 + 1] = {
    [0 ... 2] = 0, [3] = 1, [4] = 2, [5] = 3, [6] = 4, [7] = 5, [8] = 6,
    [9 ... 10] = 7, [11 ... 12] = 8, [13 ... 14] = 9, [15 ... 16] = 10,
    [17 ... 20] = 11, [21 ... 24] = 12, [25 ... 28] = 13, [29 ... 32] = 14,
    [33 ... 40] = 15, [41 ... 48] = 16, [49 ... 56] = 17, [57 ... 63] = 18, [64 ... 72] = 19,
    [73 ... 84] = 20, [85 ... 126] = 21, [127 ... 168] = 22, [169 ... 252] = 23,
};

const uint8_t pm_object_class_of[PM_OBJECT_MAX / 8 + 1] = {
    [0 ... 4] = PM_CLASSES, [5 ... 6] = PM_CLASSES + 1, [7 ... 8] = PM_CLASSES + 2, [9 ... 11] = PM_CLASSES + 3,
    [12] = PM_CLASSES + 4, [13 ... 16] = PM_CLASSES + 5, [17 ... 24] = PM_CLASSES + 6,
    [25 ... 32] = PM_CLASSES + 7,
};

/* Doubly linked lists through the pool; every link is a logged word. */
static void push(pm_pool *p, uint64_t *head, uint64_t at, uint64_t *next, uint64_t *prev, size_t prev_field)
{
    pm_store(p, next, *head);
    pm_store(p, prev, 0);
    if (*head)
        pm_store(p, p->base + *head + prev_field, at);
    pm_store(p, head, at);
}

static void unlink_from(pm_pool *p, uint64_t *head, uint64_t next, uint64_t prev, size_t next_field,
                        size_t prev_field)
{
    if (prev)
        pm_store(p, p->base + prev + next_field, next);
    else
        pm_store(p, head, next);
    if (next)
        pm_store(p, p->base + next + prev_field, prev);
}

/* block_size, size_class and listed share one word. */
static void set_page_word(pm_pool *p, pm_page *page, uint32_t block_size, unsigned size_class, unsigned listed)
{
    pm_store(p, &page->block_size, block_size | (uint64_t)size_class << 32 | (uint64_t)listed << 48);
}

static void list_page(pm_pool *p, pm_page *page)
{
    push(p, &p->root->pages[page->size_class], pm_offset(p, page), &page->next, &page->prev,
         offsetof(pm_page, prev));
    set_page_word(p, page, page->block_size, page->size_class, 1);
}

static void unlist_page(pm_pool *p, pm_page *page)
{
    unlink_from(p, &p->root->pages[page->size_class], page->next, page->prev, offsetof(pm_page, next),
                offsetof(pm_page, prev));
    set_page_word(p, page, page->block_size, page->size_class, 0);
}

static void list_chunk(pm_pool *p, pm_chunk *chunk)
{
    push(p, &p->root->chunks, pm_offset(p, chunk), &chunk->next, &chunk->prev, offsetof(pm_chunk, prev));
    pm_store(p, &chunk->listed, 1);
}

static void unlist_chunk(pm_pool *p, pm_chunk *chunk)
{
    unlink_from(p, &p->root->chunks, chunk->next, chunk->prev, offsetof(pm_chunk, next),
                offsetof(pm_chunk, prev));
    pm_store(p, &chunk->listed, 0);
}

/* The bitmap word of a page without blocks in use: only the bits past the last block are set. */
static uint64_t empty_word(unsigned size_class, unsigned word)
{
    unsigned blocks = (unsigned)BLOCK_SPACE / pm_class_size[size_class], first = word * 64;
    if (blocks >= first + 64)
        return 0;
    return blocks <= first ? ~0ull : ~0ull << (blocks - first);
}

void pm_page_full(pm_pool *p, pm_page *page)
{
    for (unsigned word = 0; word < PM_PAGE_BITS; word++)
        if (page->bitmap[word] != ~0ull)
            return;
    unlist_page(p, page);
}

/* ------------------------------------------------------------------ is it sound? ------------------ */

static int is_page_or_none(const pm_pool *p, uint64_t at)
{
    return at == 0 || (at % PM_PAGE_SIZE == 0 && pm_inside(p, at, PM_PAGE_SIZE));
}

static int is_chunk_or_none(const pm_pool *p, uint64_t at)
{
    return at == 0 || ((at - p->chunk_phase) % PM_CHUNK_STRIDE == 0 && pm_inside(p, at, PM_CHUNK_BYTES));
}

static uint64_t first_page_of(uint64_t chunk)
{
    return pm_page_behind(chunk + sizeof(pm_chunk));
}

int pm_chunk_is_sound(const pm_pool *p, uint64_t offset)
{
    if (offset == 0 || !is_chunk_or_none(p, offset))
        return 0;
    const pm_chunk *chunk = (const pm_chunk *)pm_at(p, offset);
    uint64_t pages = (offset + PM_CHUNK_BYTES - first_page_of(offset)) / PM_PAGE_SIZE;
    return chunk->first_page == first_page_of(offset) && chunk->empty == ~0ull << pages &&
           (chunk->empty & ~chunk->bitmap) == 0 && is_chunk_or_none(p, chunk->next) && is_chunk_or_none(p, chunk->prev);
}

/* A page of small blocks, in a chunk, whose neighbours on its list are inside the pool. */
static int page_is_sound(const pm_pool *p, uint64_t at)
{
    if (at == 0 || !is_page_or_none(p, at))
        return 0;
    const pm_page *page = (const pm_page *)pm_at(p, at);
    if (page->size_class >= PM_ALL_CLASSES || page->block_size != pm_class_size[page->size_class] ||
        !is_page_or_none(p, page->next) || !is_page_or_none(p, page->prev) || !pm_chunk_is_sound(p, page->chunk))
        return 0;
    for (unsigned word = 0; word < PM_PAGE_BITS; word++)
        if (empty_word(page->size_class, word) & ~page->bitmap[word])
            return 0;
    uint64_t rest = at - ((const pm_chunk *)pm_at(p, page->chunk))->first_page;
    return rest < PM_CHUNK_PAGES * PM_PAGE_SIZE;
}

static int has_free_block(const pm_page *page)
{
    for (unsigned word = 0; word < PM_PAGE_BITS; word++)
        if (page->bitmap[word] != ~0ull)
            return 1;
    return 0;
}

/* The first page of a class. */
static int first_is_sound(const pm_pool *p, unsigned size_class)
{
    uint64_t at = p->root->pages[size_class];
    const pm_page *page = (const pm_page *)pm_at(p, at);
    return page_is_sound(p, at) && page->size_class == size_class && page->prev == 0 && has_free_block(page);
}

int pm_lists_are_sound(const pm_pool *p)
{
    for (unsigned i = 0; i < PM_ALL_CLASSES; i++)
        if (p->root->pages[i] && !first_is_sound(p, i))
            return 0;
    return p->root->chunks == 0 || pm_chunk_is_sound(p, p->root->chunks);
}

/* ------------------------------------------------------------------ chunks and pages -------------- */

int pm_chunk_add(pm_pool *p, uint64_t offset)
{
    if ((offset - p->chunk_phase) % PM_CHUNK_STRIDE)
        return -1;
    pm_chunk *chunk = (pm_chunk *)pm_at(p, offset);
    uint64_t first = first_page_of(offset);
    uint64_t pages = (offset + PM_CHUNK_BYTES - first) / PM_PAGE_SIZE;
    memset(chunk, 0, sizeof *chunk);
    chunk->first_page = first;
    chunk->empty = ~0ull << pages;
    chunk->bitmap = chunk->empty;
    pm_fresh(p, chunk, sizeof *chunk);
    list_chunk(p, chunk);
    return 0;
}

/* Takes these pages of a listed chunk. */
static void take_pages(pm_pool *p, pm_chunk *chunk, uint64_t mask)
{
    uint64_t bits = chunk->bitmap | mask;
    pm_store(p, &chunk->bitmap, bits);
    if (bits == ~0ull)
        unlist_chunk(p, chunk);
}

/* Gives pages back to their chunk; *empty_chunk as in pm_small_free. */
static void give_pages(pm_pool *p, pm_chunk *chunk, uint64_t mask, uint64_t *empty_chunk)
{
    pm_store(p, &chunk->bitmap, chunk->bitmap & ~mask);
    if (!chunk->listed)
        list_chunk(p, chunk);
    if (chunk->bitmap == chunk->empty && (chunk->next || chunk->prev)) {
        unlist_chunk(p, chunk);
        *empty_chunk = pm_offset(p, chunk);
    }
}

/* Takes a page from the first chunk with room.  Its 64 header bytes are logged words, not fresh memory: an
 * abort must bring back the header of the page's former life, which a listed page may still point to. */
static pm_page *take_page(pm_pool *p, unsigned size_class)
{
    if (!pm_chunk_is_sound(p, p->root->chunks))
        return NULL;
    pm_chunk *chunk = (pm_chunk *)pm_at(p, p->root->chunks);
    if (chunk->bitmap == ~0ull)
        return NULL;
    unsigned bit = (unsigned)__builtin_ctzll(~chunk->bitmap);
    take_pages(p, chunk, 1ull << bit);
    pm_page *page = (pm_page *)pm_at(p, chunk->first_page + (uint64_t)bit * PM_PAGE_SIZE);
    for (unsigned word = 0; word < PM_PAGE_BITS; word++)
        pm_store(p, &page->bitmap[word], empty_word(size_class, word));
    pm_store(p, &page->chunk, pm_offset(p, chunk));
    set_page_word(p, page, pm_class_size[size_class], size_class, 0);
    list_page(p, page);
    return page;
}

uint64_t pm_small_alloc_slow(pm_pool *p, unsigned size_class)
{
    if (p->root->pages[size_class] == 0 && take_page(p, size_class) == NULL)
        return 0;
    if (!first_is_sound(p, size_class))
        return 0;
    p->sound_pages[size_class] = p->root->pages[size_class];
    return pm_class_alloc(p, size_class);
}

int pm_small_free(pm_pool *p, uint64_t offset, uint64_t *empty_chunk)
{
    uint64_t at = pm_page_of(offset);
    pm_page *page = (pm_page *)pm_at(p, at);
    *empty_chunk = 0;
    if (!page_is_sound(p, at) || offset < at + sizeof(pm_page) || !is_chunk_or_none(p, p->root->chunks)
            || !is_page_or_none(p, p->root->pages[page->size_class]))
        return -1;
    uint64_t rest = offset - at - sizeof(pm_page), block = rest / page->block_size;
    if (rest % page->block_size || block >= PM_PAGE_BITS * 64 || !(page->bitmap[block / 64] >> (block % 64) & 1))
        return -1;
    pm_store(p, &page->bitmap[block / 64], page->bitmap[block / 64] & ~(1ull << (block % 64)));
    if (!page->listed)
        list_page(p, page);
    if (page->bitmap[block / 64] != empty_word(page->size_class, (unsigned)(block / 64))
            || (page->next == 0 && page->prev == 0 && page->chunk == p->root->chunks))
        return 0;
    for (unsigned word = 0; word < PM_PAGE_BITS; word++)
        if (page->bitmap[word] != empty_word(page->size_class, word))
            return 0;
    unlist_page(p, page);
    pm_chunk *chunk = (pm_chunk *)pm_at(p, page->chunk);
    give_pages(p, chunk, 1ull << ((at - chunk->first_page) / PM_PAGE_SIZE), empty_chunk);
    return 0;
}

/* ------------------------------------------------------------------ spans -------------------------- */

/* Chunks that are looked at for a span. */
#define SPAN_SEARCH 16u

static uint64_t span_mask(unsigned first, unsigned pages)
{
    return (pages < 64 ? (1ull << pages) - 1 : ~0ull) << first;
}

/* The places where so many ones stand side by side, as a bit at the first of them.  Each step doubles the length
 * that is known to be there. */
static uint64_t runs_of(uint64_t ones, unsigned length)
{
    while (length > 1) {
        unsigned half = length / 2;
        ones &= ones >> half;
        length -= half;
    }
    return ones;
}

uint64_t pm_span_alloc(pm_pool *p, unsigned pages)
{
    uint64_t at = p->root->chunks;
    for (unsigned tries = 0; at && tries < SPAN_SEARCH; tries++) {
        if (!pm_chunk_is_sound(p, at))
            return 0;
        pm_chunk *chunk = (pm_chunk *)pm_at(p, at);
        uint64_t places = runs_of(~chunk->bitmap, pages);
        if (places) {
            /* from the end of the chunk, single pages are taken from its start */
            unsigned first = 63 - (unsigned)__builtin_clzll(places);
            take_pages(p, chunk, span_mask(first, pages));
            pm_store(p, &chunk->spans, chunk->spans | span_mask(first, pages));
            pm_store(p, &chunk->starts, chunk->starts | 1ull << first);
            return chunk->first_page + (uint64_t)first * PM_PAGE_SIZE;
        }
        at = chunk->next;
    }
    return 0;
}

int pm_span_free(pm_pool *p, uint64_t offset, unsigned pages, uint64_t *empty_chunk)
{
    uint64_t at = offset - (offset - p->chunk_phase) % PM_CHUNK_STRIDE, mask;
    *empty_chunk = 0;
    if (!pm_chunk_is_sound(p, at) || !is_chunk_or_none(p, p->root->chunks))
        return -1;
    pm_chunk *chunk = (pm_chunk *)pm_at(p, at);
    uint64_t rest = offset - chunk->first_page;
    if (rest % PM_PAGE_SIZE || rest / PM_PAGE_SIZE + pages > PM_CHUNK_PAGES)
        return -1;
    unsigned first = (unsigned)(rest / PM_PAGE_SIZE);
    mask = span_mask(first, pages);
    if ((chunk->spans & mask) != mask || (chunk->starts & mask) != 1ull << first)
        return -1;
    pm_store(p, &chunk->spans, chunk->spans & ~mask);
    pm_store(p, &chunk->starts, chunk->starts & ~mask);
    give_pages(p, chunk, mask, empty_chunk);
    return 0;
}

unsigned pm_chunk_span(const pm_chunk *chunk, unsigned first)
{
    uint64_t rest = chunk->spans & ~chunk->starts, ends;
    ends = first == 63 ? 0 : ~rest >> (first + 1);
    return ends ? 1 + (unsigned)__builtin_ctzll(ends) : 64 - first;
}

uint64_t pm_chunk_in_use(pm_pool *p, uint64_t offset)
{
    const pm_chunk *chunk = (const pm_chunk *)pm_at(p, offset);
    uint64_t bytes = (uint64_t)__builtin_popcountll(chunk->spans) * PM_PAGE_SIZE;
    uint64_t pages = chunk->bitmap & ~chunk->empty & ~chunk->spans;
    while (pages) {
        const pm_page *page = (const pm_page *)pm_at(
            p, chunk->first_page + (uint64_t)__builtin_ctzll(pages) * PM_PAGE_SIZE);
        pages &= pages - 1;
        if (page->size_class >= PM_ALL_CLASSES)
            continue;
        for (unsigned word = 0; word < PM_PAGE_BITS; word++)
            bytes += (uint64_t)page->block_size * (uint64_t)__builtin_popcountll(
                page->bitmap[word] & ~empty_word(page->size_class, word));
    }
    return bytes;
}

uint64_t pm_chunk_objects(const pm_pool *p, uint64_t offset, unsigned page_number, uint64_t *offsets)
{
    const pm_chunk *chunk = (const pm_chunk *)pm_at(p, offset);
    uint64_t at = chunk->first_page + (uint64_t)page_number * PM_PAGE_SIZE, count = 0;
    if (!((chunk->bitmap & ~chunk->empty & ~chunk->spans) >> page_number & 1))
        return 0;
    const pm_page *page = (const pm_page *)pm_at(p, at);
    if (page->size_class < PM_CLASSES || page->size_class >= PM_ALL_CLASSES ||
        page->block_size != pm_class_size[page->size_class])
        return 0;
    for (unsigned word = 0; word < PM_PAGE_BITS; word++) {
        uint64_t blocks = page->bitmap[word] & ~empty_word(page->size_class, word);
        for (; blocks; blocks &= blocks - 1)
            offsets[count++] = at + sizeof(pm_page)
                + (word * 64u + (uint64_t)__builtin_ctzll(blocks)) * page->block_size;
    }
    return count;
}
