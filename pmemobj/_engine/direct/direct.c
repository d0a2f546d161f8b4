/* direct.c: see direct.h. */
#define _GNU_SOURCE
#include "direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "files/io.h"
#include "files/poolfile.h"
#include "memory/zones.h"

static void fail(pm_pool *p, int error)
{
    int none = 0;
    atomic_compare_exchange_strong(&p->journal->failed, &none, error);
}

static int has_failed(const pm_pool *p) { return jr_has_failed(p->journal); }

/* The log could not take an entry.  A full disk is no failure, unless it was a sync that said so. */
static void note_log_error(pm_pool *p, int error)
{
    if (!io_is_no_space(error) || p->direct->undo->sync_failed)
        fail(p, error);
}

static int make_durable(struct direct *d, const void *at, size_t length)
{
    int error = d->media->flush(at, length);
    d->media->drain();
    d->syncs++;
    return error;
}

/* ------------------------------------------------------------------ lost files -------------------- */

int direct_look(pm_pool *p)
{
    struct direct *d = p->direct;
    const struct jr_identity *id = &d->identity;
    int failed = has_failed(p);
    if (failed)
        return failed;
    /* the length first: what is behind the end of a file cannot be read */
    if (pf_is_lost(d->fd, d->size) || memcmp(p->root->uuid, id->pool_uuid, sizeof p->root->uuid) ||
        p->root->state != (id->epoch << 1 | PM_STATE_LIVE))
        d->pool_is_lost = 1;
    else if (!pf_is_lost(d->undo->fd, d->undo->bytes))
        return 0;
    fail(p, ESTALE);
    return has_failed(p);
}

int direct_look_if_due(pm_pool *p)
{
    struct direct *d = p->direct;
    struct timespec now;
    if (d->look_every == DIRECT_NEVER)
        return has_failed(p);
    if (d->look_every) {
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        if (ns < d->next_look)
            return has_failed(p);
        d->next_look = ns + d->look_every;
    }
    return direct_look(p);
}

/* ------------------------------------------------------------------ the two mappings -------------- */

/* All of the pool anew, at the same place, with what the file holds. */
static void map_again(pm_pool *p, int flags)
{
    struct direct *d = p->direct;
    int prot = PROT_READ | PROT_WRITE;
    size_t bytes = p->size / PM_PAGE_SIZE * PM_PAGE_SIZE;
    if (io.mmap(p->base, bytes, prot, flags | MAP_FIXED | MAP_NORESERVE, d->fd, 0) == p->base)
        return;
    /* a mapping that failed may be gone: nothing can be read or put back here, but by the next open */
    fputs("pmemobj: no address space to undo a transaction; the pool keeps its last committed state\n", stderr);
    abort();
}

void direct_leave_file(pm_pool *p)
{
    struct direct *d = p->direct;
    if (!d->pool_is_lost)
        return;
    int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (io.mmap(p->base, p->size / PM_PAGE_SIZE * PM_PAGE_SIZE, prot, flags, -1, 0) == p->base)
        memcpy(p->base, d->descriptor, sizeof d->descriptor);
}

static void doom(pm_pool *p, int error)
{
    struct direct *d = p->direct;
    d->error = error;
    p->write_gate |= PM_GATE_DOOMED;
    note_log_error(p, error);
    map_again(p, MAP_PRIVATE);
}

static void end_doom(pm_pool *p)
{
    struct direct *d = p->direct;
    if (d->error == 0)
        return;
    map_again(p, d->synchronous ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED);
    d->error = 0;
    p->write_gate &= ~(uint32_t)PM_GATE_DOOMED;
}

/* ------------------------------------------------------------------ stores ------------------------ */

static void capture_line(pm_pool *p, uint64_t offset)
{
    struct direct *d = p->direct;
    struct logged *logged = &d->logged[offset / PM_PAGE_SIZE];
    uint64_t bit = 1ull << (offset / PM_LINE % 64), line = offset & ~(uint64_t)(PM_LINE - 1);
    pm_capture_image(p, offset);
    if (d->error)
        return;
    if (logged->generation != d->undo->generation) {
        logged->generation = d->undo->generation;
        logged->lines = 0;
    }
    if (logged->lines & bit)
        return;
    int error = undo_append(d->undo, line | UNDO_IMAGE, (const uint64_t *)(p->base + line));
    if (error)
        doom(p, error);
    else
        logged->lines |= bit;
}

/* Alone, with no level: what replaces one word needs no undo. */
static int put_word(pm_pool *p, uint64_t *at, uint64_t value)
{
    uint64_t old = *at;
    if (p->write_gate != PM_GATE_DIRECT || direct_look_if_due(p))
        return 0;
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
    int error = make_durable(p->direct, at, sizeof *at);
    if (error) {
        *at = old;
        fail(p, error);
        return 0;               /* and the long way raises */
    }
    return 1;
}

static const pm_engine direct_engine = {pm_log_grow, capture_line, pm_mark_dirty, pm_add_range, put_word};

/* ------------------------------------------------------------------ levels ------------------------ */

void direct_level_begin(pm_pool *p)
{
    p->epoch = ++p->last_epoch;
    p->depth = 1;
}

void direct_level_end(pm_pool *p)
{
    p->depth = 0;
    p->nimages = 0;
}

int direct_note(pm_pool *p, enum undo_kind kind, const uint64_t *offsets, uint64_t count)
{
    struct undo *u = p->direct->undo;
    for (uint64_t i = 0; i < count; i += PM_LINE / 8) {
        uint64_t words[PM_LINE / 8] = {0}, n = count - i < PM_LINE / 8 ? count - i : PM_LINE / 8;
        memcpy(words, offsets + i, n * 8);
        int error = undo_append(u, kind, words);
        if (error) {
            note_log_error(p, error);
            return error;
        }
    }
    return 0;
}

static void forget_changes(pm_pool *p)
{
    for (size_t i = 0; i < p->ndirty; i++)
        p->lines[p->dirty[i]].dirty = 0;
    p->ndirty = 0;
    p->nranges = 0;
    p->nlog = 0;
    p->fresh_words = 0;
}

/* Each run of neighbouring dirty lines of a page. */
static int flush_page(pm_pool *p, uint64_t page)
{
    uint64_t dirty = p->lines[page].dirty;
    int error = 0;
    while (dirty && !error) {
        unsigned first = (unsigned)__builtin_ctzll(dirty);
        uint64_t rest = ~(dirty >> first);
        unsigned run = rest ? (unsigned)__builtin_ctzll(rest) : 64;
        error = p->direct->media->flush(p->base + page * PM_PAGE_SIZE + first * PM_LINE, (size_t)run * PM_LINE);
        dirty = first + run == 64 ? 0 : dirty & (~0ull << (first + run));
    }
    return error;
}

static int flush_changes(pm_pool *p)
{
    struct direct *d = p->direct;
    int error = 0;
    if (p->ndirty + p->nranges == 0)
        return 0;
    d->syncs++;
    if (d->media->by_page)
        return io_fdatasync(d->fd);
    for (size_t i = 0; i < p->ndirty && !error; i++)
        error = flush_page(p, p->dirty[i]);
    for (size_t i = 0; i < p->nranges && !error; i++)
        error = d->media->flush(p->base + p->ranges[i].offset, p->ranges[i].length);
    d->media->drain();
    return error;
}

int direct_settle(pm_pool *p)
{
    int error = p->direct->error ? p->direct->error : has_failed(p);
    if (!error && (error = flush_changes(p)))
        fail(p, error);
    return error;
}

/* 0 or an errno; the entries of before are void then. */
static int raise_generation(pm_pool *p, uint64_t by)
{
    struct direct *d = p->direct;
    uint64_t *at = &p->root->generation;
    __atomic_store_n(at, d->undo->generation + by, __ATOMIC_RELAXED);
    int error = make_durable(d, at, sizeof *at);
    if (error)
        fail(p, error);
    else
        undo_begin(d->undo, *at);
    return error;
}

void direct_commit(pm_pool *p)
{
    if (p->direct->undo->count) {
        raise_generation(p, 1);
        p->direct->commits++;
    }
    forget_changes(p);
}

void direct_abort(pm_pool *p)
{
    struct undo *u = p->direct->undo;
    end_doom(p);
    for (uint64_t i = u->count; i-- > 0;) {
        const struct undo_entry *e = undo_at(u, i);
        if (e->what % PM_LINE == UNDO_IMAGE)
            memcpy(p->base + e->what, e->words, PM_LINE);
    }
    p->nimages = 0;
    if (u->count && !has_failed(p)) {
        int error = flush_changes(p);
        if (error)
            fail(p, error);
        else
            raise_generation(p, 2);
    }
    forget_changes(p);
}

/* ------------------------------------------------------------------ space ------------------------- */

int direct_before_reserve(pm_pool *p, uint64_t bytes)
{
    struct direct *d = p->direct;
    uint64_t reach = pf_reach(d->first_zone, d->top, bytes, p->size);
    int error = 0;
    if (reach > d->backed)
        error = io_fallocate(d->fd, 0, (off_t)d->backed, (off_t)(reach - d->backed));
    if (error && error != EOPNOTSUPP && error != ENOSYS)
        return error;
    if (reach > d->backed)
        d->backed = reach;
    return 0;
}

int direct_reserved(pm_pool *p, uint64_t offset, uint64_t bytes)
{
    struct direct *d = p->direct;
    uint64_t end = offset + bytes + PM_CHUNK_STRIDE - PM_CHUNK_BYTES;       /* of the chunk */
    int error = d->trimmed ? io_fallocate(d->fd, 0, (off_t)offset, (off_t)bytes) : 0;
    if (end > d->top)
        d->top = end;
    return error == EOPNOTSUPP || error == ENOSYS ? 0 : error;
}

/* libpmemobj keeps words of its own at the start of a free block; blocks that have been put together are still told
 * apart by nothing, so each chunk's first page stays. */
static int punch_block(void *pool, uint64_t offset, uint64_t length, enum pm_zone_block kind)
{
    struct direct *d = ((pm_pool *)pool)->direct;
    for (uint64_t at = offset; kind == PM_ZONE_FREE && at < offset + length; at += PM_CHUNK_STRIDE) {
        uint64_t from = pm_page_behind(at + PM_ZONE_FREE_NODE), end = pm_page_of(at + PM_CHUNK_STRIDE);
        if (from >= d->backed)
            break;              /* never had any */
        d->trimmed = 1;
        int error = io_fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(end - from));
        if (error)
            return error;
    }
    return 0;
}

int direct_trim(pm_pool *p)
{
    int error = pm_walk_zones(p, punch_block, p);
    return error < 0 ? EINVAL : error;
}

/* ------------------------------------------------------------------ start and end ----------------- */

/* It is never committed to: no ring, no room.  What is left of a journal is whether it has failed. */
static struct jr *no_journal(enum jr_sync_policy sync)
{
    struct jr *j = aligned_alloc(64, (sizeof *j + 63) / 64 * 64);
    if (j) {
        memset(j, 0, sizeof *j);
        j->sync = sync;
    }
    return j;
}

static void free_direct(pm_pool *p)
{
    struct direct *d = p->direct;
    if (d->logged)
        munmap(d->logged, (d->size / PM_PAGE_SIZE + 1) * sizeof *d->logged);
    free(d);
    free(p->journal);
    p->direct = NULL;
    p->journal = NULL;
}

int direct_start(pm_pool *p, const char *path, int pool_fd, const struct jr_identity *identity,
                 enum jr_sync_policy sync, uint64_t look_every, uint64_t log_bytes, const pm_media *media, int synchronous)
{
    struct direct *d = calloc(1, sizeof *d);
    if (!d)
        return ENOMEM;
    p->direct = d;
    d->identity = *identity;
    d->look_every = look_every;
    d->media = media;
    d->fd = pool_fd;
    d->synchronous = synchronous;
    d->size = p->size;
    d->first_zone = pf_first_zone_in_file(pool_fd);
    int prot = PROT_READ | PROT_WRITE, error = direct_before_reserve(p, 0);    /* for libpmemobj's open */
    if (error) {
        free_direct(p);
        return error;
    }
    error = ENOMEM;
    size_t bytes = (p->size / PM_PAGE_SIZE + 1) * sizeof *d->logged;
    d->logged = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (d->logged == MAP_FAILED)
        d->logged = NULL;
    else if ((p->journal = no_journal(sync)))
        error = undo_start(&d->undo, path, pool_fd, p->size, log_bytes, identity, media, synchronous);
    if (error == EOPNOTSUPP && synchronous)     /* a file system whose files are DAX one by one */
        error = undo_start(&d->undo, path, pool_fd, p->size, log_bytes, identity, &pm_page_cache, 0);
    if (error)
        free_direct(p);
    else
        p->engine = &direct_engine;
    return error;
}

int direct_mapped(pm_pool *p)
{
    struct direct *d = p->direct;
    uint64_t *generation = &p->root->generation;
    memcpy(d->descriptor, p->base, sizeof d->descriptor);
    d->top = pf_heap_top(p->base, d->first_zone, p->size);
    int error = direct_before_reserve(p, 0);
    if (!error && *generation == 0) {   /* of a pool that has never been opened so; 0 is no entry's */
        *generation = 1;
        if ((error = make_durable(d, generation, sizeof *generation)))
            fail(p, error);
    }
    if (!error)
        undo_begin(d->undo, *generation);
    return error;
}

int direct_sync(pm_pool *p)
{
    struct direct *d = p->direct;
    int error = has_failed(p);
    if (error == ESTALE && !d->pool_is_lost)
        error = 0;
    if (!error && (error = io_fdatasync(d->fd)))
        fail(p, error);
    return error;
}

void direct_stop(pm_pool *p, int clean)
{
    undo_stop(p->direct->undo, clean);
    free_direct(p);
}

void direct_orphan(pm_pool *p)
{
    struct direct *d = p->direct;
    fail(p, ECHILD);
    if (p->base) {
        map_again(p, MAP_PRIVATE);
        memcpy(p->base, d->descriptor, sizeof d->descriptor);
    }
    undo_orphan(d->undo);
}

void direct_get_stats(pm_pool *p, struct jr_stats *out)
{
    const struct direct *d = p->direct;
    memset(out, 0, sizeof *out);
    out->records = d->commits;
    out->bytes_appended = d->undo->appended * sizeof(struct undo_entry);
    out->syncs = d->syncs + d->undo->appended;
    out->segments = 1;
    out->journal_bytes = d->undo->bytes;
}
