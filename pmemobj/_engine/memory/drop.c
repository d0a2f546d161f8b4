/* drop.c: see drop.h. */
#define _GNU_SOURCE
#include "drop.h"

#include <sys/mman.h>

#include "files/io.h"
#include "journal/journal_private.h"
#include "files/poolfile.h"
#include "zones.h"

#define SLICE_PAGES 1024u           /* dropped at one opportunity, unless that takes longer than */
#define SLICE_NS 2000000u
#define LEAST_PAUSE_NS 1000000u     /* of a commit that finds the budget used up, and at twice the budget */
#define LONGEST_PAUSE_NS 10000000u
#define MOST_SPLITS 16384u          /* mappings that may be made of the pool's; the system allows 65530 in all */
#define TABLE_ITEMS 65536u          /* of a list that is kept */

int pm_is_data_page(const pm_pool *p, uint64_t page)
{
    uint64_t first = pf_first_zone(p->base), offset = page * PM_PAGE_SIZE;
    if (offset < first)
        return 0;
    uint64_t rest = (offset - first) % PMDK_ZONE_BYTES;
    return rest >= PMDK_ZONE_HEADER && rest + PM_PAGE_SIZE <= PMDK_ZONE_BYTES && offset + PM_PAGE_SIZE <= p->size;
}

int pm_wants_care(const pm_pool *p)
{
    return (p->journal->priv != NULL && atomic_load_explicit(&p->journal->priv->pages.crowded, memory_order_relaxed))
        || (p->log_cap | p->images_cap | p->dirty_cap | p->ranges_cap) > 2 * TABLE_ITEMS;
}

static void covered(void *pages, uint64_t block)
{
    struct jr_pages *t = pages;
    if (t->budget)
        jr_set_covered(t, block, 1);
}

int pm_cover_holes(pm_pool *p, int fd)
{
    /* What libpmemobj has written at open lies below; it is not in the file yet. */
    return pf_cover_holes(fd, p->base, pm_dirty_end(p), p->size, covered, &p->journal->priv->pages);
}

uint64_t pm_changed_bytes(const pm_pool *p)
{
    if (p->journal->priv == NULL)
        return 0;               /* the direct engine's are the file's */
    return atomic_load_explicit(&p->journal->priv->pages.changed, memory_order_relaxed) * PM_PAGE_SIZE;
}

/* One sweep over the pages that have been changed. */
struct sweep {
    pm_pool *p;
    struct jr_private *j;
    struct jr_pages *t;
    uint32_t applied;
    uint64_t most, dropped;
    struct timespec until;
};

/* Memory has nothing in this page that the file has not. */
static int file_has(const struct sweep *s, uint64_t page)
{
    return s->t->last[page] <= s->applied && s->p->lines[page].dirty == 0;
}

/* The pages of this block that neither hold metadata nor anything that the file has not, as bits. */
struct block_pages {
    uint64_t bits[JR_BLOCK_PAGES / 64];
};

static int has(const struct block_pages *set, uint64_t i) { return set->bits[i / 64] >> (i % 64) & 1; }

/* The file takes the place of anonymous memory; `same` are the pages that need not be kept.  0, or an errno with
 * nothing changed. */
static int uncover(struct sweep *s, uint64_t block, const struct block_pages *same)
{
    char *base = s->p->base + (block << JR_BLOCK_SHIFT);
    uint64_t offset = block << JR_BLOCK_SHIFT, length = 1ull << JR_BLOCK_SHIFT;
    int beside = (block > 0 && !s->t->covered[block - 1]) || (block + 1 < s->t->blocks && !s->t->covered[block + 1]);
    int error;
    if (offset + length > s->p->size)
        return EINVAL;
    if (!beside && s->j->splits >= MOST_SPLITS)
        return ENOMEM;
    /* where a fault in a hole takes space of the file system, it must be there */
    if (s->j->pool.faults_allocate && (error = jr_target_allocate(&s->j->pool, offset, length)))
        return error;
    char *kept = malloc(length), *to = kept;
    if (!kept)
        return ENOMEM;
    for (uint64_t i = 0; i < JR_BLOCK_PAGES; i++)
        if (!has(same, i)) {
            memcpy(to, base + i * PM_PAGE_SIZE, PM_PAGE_SIZE);
            to += PM_PAGE_SIZE;
        }
    if (io.mmap(base, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, s->j->pool.fd,
                (off_t)offset) == MAP_FAILED) {
        error = errno;
        free(kept);
        return error;
    }
    const char *from = kept;
    for (uint64_t i = 0; i < JR_BLOCK_PAGES; i++)
        if (!has(same, i)) {
            memcpy(base + i * PM_PAGE_SIZE, from, PM_PAGE_SIZE);
            from += PM_PAGE_SIZE;
        }
    free(kept);
    s->j->splits += !beside;
    jr_set_covered(s->t, block, 0);
    return 0;
}

static void drop_block(struct sweep *s, uint64_t block, const struct block_pages *same)
{
    uint64_t first = block * JR_BLOCK_PAGES;
    for (uint64_t i = 0; i < JR_BLOCK_PAGES; i++) {
        uint64_t from = i;
        while (i < JR_BLOCK_PAGES && has(same, i) && s->t->last[first + i])
            i++;
        if (i == from)
            continue;
        if (s->t->covered[block] && uncover(s, block, same))
            return;
        madvise(s->p->base + (first + from) * PM_PAGE_SIZE, (i - from) * PM_PAGE_SIZE, MADV_DONTNEED);
        s->dropped += i - from;
        for (; from < i; from++)
            jr_forget_page(s->t, first + from);
    }
}

/* Pages of a part of the heap that libpmemobj keeps words in which the file does not have. */
static void keep_pages(struct block_pages *same, uint64_t block, uint64_t from, uint64_t end)
{
    uint64_t first = block * JR_BLOCK_PAGES;
    for (uint64_t page = from / PM_PAGE_SIZE; page * PM_PAGE_SIZE < end; page++)
        if (page >= first && page < first + JR_BLOCK_PAGES)
            same->bits[(page - first) / 64] &= ~(1ull << ((page - first) % 64));
}

/* What is being looked at by visit_part: the blocks, in the order of the heap. */
struct cursor {
    struct sweep *s;
    uint64_t block;
    int open;                       /* `same` has been begun */
    struct block_pages same;
};

static void open_block(struct cursor *c)
{
    uint64_t first = c->block * JR_BLOCK_PAGES;
    memset(&c->same, 0, sizeof c->same);
    for (uint64_t i = 0; i < JR_BLOCK_PAGES && (first + i + 1) * PM_PAGE_SIZE <= c->s->p->size; i++)
        if (file_has(c->s, first + i))
            c->same.bits[i / 64] |= 1ull << (i % 64);
    if (c->block << JR_BLOCK_SHIFT < pf_first_zone(c->s->p->base))
        keep_pages(&c->same, c->block, 0, pf_first_zone(c->s->p->base));
    c->open = 1;
}

/* Non-zero when enough has been dropped. */
static int close_block(struct cursor *c)
{
    if (c->open)
        drop_block(c->s, c->block, &c->same);
    c->open = 0;
    c->s->j->next_block = ++c->block;
    return c->s->dropped >= c->s->most || (c->s->most != UINT64_MAX && jr_is_past(&c->s->until));
}

static int visit_part(void *context, uint64_t offset, uint64_t length, enum pm_zone_block kind)
{
    struct cursor *c = context;
    uint64_t end = offset + length, kept_end = end;
    if (kind == PM_ZONE_USED || kind == PM_ZONE_RUN)
        kept_end = offset;
    for (;;) {
        uint64_t from = c->block << JR_BLOCK_SHIFT, to = from + (1ull << JR_BLOCK_SHIFT);
        if (from >= end)
            return 0;
        if (to > offset && c->s->t->in_block[c->block]) {
            if (!c->open)
                open_block(c);
            if (kind == PM_ZONE_FREE) {
                /* what were blocks of their own may have been put together: each chunk's first page */
                for (uint64_t at = offset; at < end && at < to; at += PM_CHUNK_STRIDE)
                    if (at + PM_ZONE_FREE_NODE > from)
                        keep_pages(&c->same, c->block, at, at + PM_ZONE_FREE_NODE);
            } else if (offset < kept_end) {
                keep_pages(&c->same, c->block, offset, kept_end < to ? kept_end : to);
            }
        }
        if (to > end)
            return 0;               /* the next part begins in this block */
        if (close_block(c))
            return 1;
    }
}

/* Up to about `most` pages that the file has, from where the last call ended, and unless that is all of them for about
 * SLICE_NS.  False: there are no more. */
static int drop_some(pm_pool *p, uint64_t most)
{
    struct jr_private *j = p->journal->priv;
    struct sweep s = {p, j, &j->pages, atomic_load_explicit(&j->pages.applied, memory_order_acquire), most, 0,
                      jr_monotonic_after(SLICE_NS)};
    struct cursor c = {.s = &s, .block = j->next_block};
    return pm_walk_zones(p, visit_part, &c) == 1;
}

/* Whole pages show the file's contents.  False: not all of them do. */
static int show_file(pm_pool *p, uint64_t from, uint64_t end)
{
    struct jr_private *j = p->journal->priv;
    struct sweep s = {.p = p, .j = j, .t = &j->pages};
    for (uint64_t page = from / PM_PAGE_SIZE, behind; page < end / PM_PAGE_SIZE; page = behind) {
        uint64_t block = page / JR_BLOCK_PAGES, first = block * JR_BLOCK_PAGES;
        behind = first + JR_BLOCK_PAGES < end / PM_PAGE_SIZE ? first + JR_BLOCK_PAGES : end / PM_PAGE_SIZE;
        if (j->pages.covered[block]) {
            struct block_pages same = {{0}};
            for (uint64_t i = page - first; i < behind - first; i++)
                same.bits[i / 64] |= 1ull << (i % 64);
            if (uncover(&s, block, &same))
                return 0;
        } else if (madvise(p->base + page * PM_PAGE_SIZE, (behind - page) * PM_PAGE_SIZE, MADV_DONTNEED)) {
            return 0;
        }
        for (; page < behind; page++)
            jr_forget_page(&j->pages, page);
    }
    return 1;
}

int pm_fill_by_file(pm_pool *p, uint64_t offset, const char *from, uint64_t length)
{
    uint64_t mark, end = offset + length, first = pm_page_behind(offset), last = pm_page_of(end);
    if (p->journal->priv == NULL || p->journal->priv->pages.budget == 0 || first >= last ||
        jr_write_direct(p->journal, from + (first - offset), first, last - first, &mark))
        return 0;               /* a failure shows at the commit */
    if (!show_file(p, first, last))
        memcpy(p->base + first, from + (first - offset), last - first);
    /* the ends go into the record: see write_range in engine.c */
    memcpy(p->base + offset, from, first - offset);
    memcpy(p->base + last, from + (last - offset), end - last);
    pm_fresh(p, p->base + offset, first - offset);
    pm_fresh(p, p->base + last, end - last);
    pm_store(p, &p->root->ranges_needed, mark);
    return 1;
}

static void drop_tables(pm_pool *p)
{
    if (p->ndirty == 0)
        madvise(p->lines, (p->size / PM_PAGE_SIZE + 1) * sizeof(pm_lines), MADV_DONTNEED);
}

int pm_drop_all(pm_pool *p)
{
    if (p->journal->priv == NULL)
        return 0;
    struct jr_private *j = p->journal->priv;
    int error = jr_checkpoint(p->journal);
    if (error)
        return error;
    j->next_block = 0;
    drop_some(p, UINT64_MAX);
    j->dropped_through = atomic_load_explicit(&j->pages.applied, memory_order_relaxed);
    drop_tables(p);
    return 0;
}

/* Nobody waits for a whole checkpoint: the more is above the budget, the longer each commit waits, so that what comes
 * while the checkpointer is at work is little.  At twice the budget memory counts for more than time. */
static void hold_back(pm_pool *p, uint64_t limit, uint64_t budget)
{
    struct jr_private *j = p->journal->priv;
    uint64_t changed = pm_changed_bytes(p), over = changed - limit;
    if (over <= budget) {
        jr_await_checkpoint(p->journal, LEAST_PAUSE_NS + (LONGEST_PAUSE_NS - LEAST_PAUSE_NS) * over / budget);
        return;
    }
    j->dropping = false;
    /* a full disk: not at each commit again */
    j->relief_at = pm_drop_all(p) || pm_changed_bytes(p) > budget / 2 ? pm_changed_bytes(p) + budget / 2 : 0;
}

void pm_relieve(pm_pool *p)
{
    if (p->journal->priv == NULL)
        return;
    struct jr_private *j = p->journal->priv;
    struct jr_pages *t = &j->pages;
    uint64_t half = t->budget / 2, limit = j->relief_at > t->budget ? j->relief_at : t->budget;
    uint32_t applied = atomic_load_explicit(&t->applied, memory_order_acquire);
    if (j->dropping || applied != j->dropped_through) {
        /* what is in the ring has not been noted yet */
        if (jr_drain(p->journal))
            return;
        if (!j->dropping) {
            j->dropping = true;
            j->dropped_through = applied;
            j->next_block = 0;
        }
        if (!drop_some(p, SLICE_PAGES)) {
            j->dropping = false;
            drop_tables(p);
        }
    }
    if (pm_changed_bytes(p) > half)
        jr_begin_checkpoint(p->journal);
    if (pm_changed_bytes(p) > limit)
        hold_back(p, limit, t->budget);
    uint64_t changed = pm_changed_bytes(p);
    atomic_store_explicit(&t->crowded, changed > t->budget ? JR_FULL : changed > half ? JR_HALF_FULL : JR_ROOMY,
                          memory_order_relaxed);
}

void pm_forget_undone(pm_pool *p)
{
    if (p->journal->priv == NULL)
        return;                 /* has been made durable, all of it */
    size_t kept = 0;
    for (size_t i = 0; i < p->ndirty; i++) {
        uint32_t page = p->dirty[i];
        if (pm_is_data_page(p, page))
            p->lines[page].dirty = 0;
        else
            p->dirty[kept++] = page;
    }
    p->ndirty = kept;
}

static void *shrink(void *old, size_t *cap, size_t item)
{
    if (*cap <= TABLE_ITEMS)
        return old;
    void *smaller = realloc(old, TABLE_ITEMS * item);
    if (smaller == NULL)
        return old;
    *cap = TABLE_ITEMS;
    return smaller;
}

void pm_shrink_tables(pm_pool *p)
{
    if (p->nlog == 0)
        p->log = shrink(p->log, &p->log_cap, sizeof *p->log);
    if (p->nimages == 0)
        p->images = shrink(p->images, &p->images_cap, sizeof *p->images);
    if (p->ndirty == 0)
        p->dirty = shrink(p->dirty, &p->dirty_cap, sizeof *p->dirty);
    if (p->nranges == 0)
        p->ranges = shrink(p->ranges, &p->ranges_cap, sizeof *p->ranges);
}
