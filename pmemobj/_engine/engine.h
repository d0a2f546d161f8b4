/*
 * engine.h: one open pool as the engine sees it, and the verbs by which everything above changes it.
 *
 * Invariants:
 *  1. Reachable pool memory is changed only by pm_store (one word) or, inside a level, by pm_snapshot
 *     followed by plain stores.  Memory that nothing reachable refers to yet is filled by plain stores
 *     followed by pm_fresh.
 *  2. Changes happen inside an operation (pm_op_begin .. pm_op_end or pm_op_abort).  Operations do not
 *     nest.  One that stands alone is committed by pm_op_end, one inside a transaction with it.
 *  3. Undo lives in DRAM: the operation's word log puts back a failed operation, the level's line images
 *     put back an aborted transaction or savepoint.  With the journal engine a crash needs neither: nothing
 *     uncommitted ever leaves this process (see journal.h).  With the direct engine it does, and each line's
 *     image is made durable before the line changes (see direct.h).
 *  4. The dirty set is global: a record carries every changed word and every flushed line, whoever
 *     changed it, so a line shared by two objects is never half recorded.
 *
 * Threads: all of this runs with the GIL held, and only by the thread that owns the open transaction, if
 * there is one.
 */
#ifndef PM_ENGINE_H
#define PM_ENGINE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "journal/journal.h"
#include "layout.h"

#define PM_LINE 64u

/* Why a thread must stop and look before it goes on; see pm_pool.read_gate and write_gate. */
enum pm_gate {
    PM_GATE_TX = 1,             /* a transaction is open: only its own thread may pass */
    PM_GATE_CLOSED = 2,
    PM_GATE_FORKED = 4,
    PM_GATE_READONLY = 8,       /* write_gate only, as the following */
    PM_GATE_FAILED = 16,
    PM_GATE_IN_OP = 32,
    PM_GATE_DIRECT = 64,        /* the direct engine, no transaction is open: an operation makes a level of its own */
    PM_GATE_DOOMED = 128,       /* the undo log could not grow: what is open can only be undone */
    /* what a pool may show that is open, for writing, and in order */
    PM_GATE_WRITABLE = PM_GATE_TX | PM_GATE_IN_OP | PM_GATE_DIRECT | PM_GATE_DOOMED
};

typedef struct pm_logged {      /* one entry of the operation's log */
    uint64_t extent;            /* JR_EXTENT(offset, words); words > 1: a fresh range, nothing to undo */
    uint64_t old;               /* the word's former value */
} pm_logged;

typedef struct pm_image {       /* a line as it was when a level first touched it */
    uint64_t offset;
    uint64_t words[PM_LINE / 8];
} pm_image;

typedef struct pm_lines {       /* what is known of the 64 lines of a page */
    uint64_t dirty;             /* changed since the last record */
    uint64_t captured;          /* image taken by the level with this epoch */
    uint64_t epoch;
} pm_lines;

struct pm_pool;
struct pm_cache;
struct pm_known;
struct direct;

/* The out-of-line half of the verbs below.  Container modules reach it through the pool, since only _core
 * holds the engine; another engine is another such table. */
typedef struct pm_engine {
    void (*log_grow)(struct pm_pool *p);
    void (*capture_line)(struct pm_pool *p, uint64_t offset);
    void (*mark_dirty)(struct pm_pool *p, uint64_t offset, uint64_t length);
    void (*add_range)(struct pm_pool *p, uint64_t offset, uint64_t length);
    /* A whole operation that replaces one word, where that needs nothing but the store.  0: it has not been done. */
    int (*put_word)(struct pm_pool *p, uint64_t *at, uint64_t value);
} pm_engine;

/* Fresh ranges from this size on are kept apart until the commit, which may write them straight to the pool
 * file when they are many bytes together. */
#define PM_RANGE_BYTES (64u * 1024u)

typedef struct pm_range {
    uint64_t offset, length;
} pm_range;

typedef struct pm_pool {
    const pm_engine *engine;
    char *base;                 /* offset 0 of the pool file; mapped privately, or shared by the direct engine */
    uint64_t size;
    uint64_t low, room;         /* where offsets that are read from the pool may lead to: [low, low + room) */
    uint64_t reach;             /* words from low on; see pm_leads_inside */
    const char *floor;          /* base + low */
    uint64_t sound_pages[PM_ALL_CLASSES];   /* the first page of a class, when it has been found sound: see slab.h */
    pm_root *root;
    uint64_t chunk_phase;       /* offset of every chunk modulo PM_CHUNK_STRIDE */
    uint32_t read_gate, write_gate;
    uint32_t depth;             /* open levels: transactions and savepoints */
    uint32_t pending;           /* work for the slow path of pm_op_end: frees, actions, dying objects, sync */
    uint64_t epoch;             /* of the innermost level; never reused */
    uint64_t last_epoch;
    uint64_t births;            /* pm_object.born of the next object */
    void *owner;                /* thread state of the open transaction */
    uint64_t turn;              /* and that thread's turn in which it was last seen; see op.h */
    struct jr *journal;         /* never NULL while open; under the direct engine an empty one that has no room */
    struct pm_cache *cache;     /* NULL or see cache.h */
    uint32_t cache_rest;
    uint64_t overwritten;       /* how often a block has been written anew: see text.h */
    struct pm_known *known;     /* see known.h */

    pm_logged *log;
    size_t nlog, log_cap;
    size_t fresh_words;         /* of the log's fresh ranges together */
    pm_image *images;
    size_t nimages, images_cap;
    pm_lines *lines;            /* one per page of the pool; sparse */
    uint32_t *dirty;            /* pages with a dirty line */
    size_t ndirty, dirty_cap;
    pm_range *ranges;           /* large fresh ranges, not in the dirty set yet */
    size_t nranges, ranges_cap;

    void *keys;                 /* see keys.h; NULL while there are none */
    uint64_t key_mask;          /* number of its rows - 1, a power of two - 1 */
    uint64_t key_generation;    /* what `keys` says holds only while this is the same */
    uint64_t key_conflicts;     /* keys that met a row of another one, since there are so many rows */
    uint64_t deque_generation;  /* while this is the same, every block of a deque is where it was */

    struct direct *direct;      /* NULL: the journal engine */
} pm_pool;

static inline uint64_t pm_offset(const pm_pool *p, const void *at)
{
    return (uint64_t)((const char *)at - p->base);
}

/* The offset may be anything that a damaged pool says, as long as nothing is read there before it has been
 * looked at: so the sum is one of numbers, and may wrap around. */
static inline void *pm_at(const pm_pool *p, uint64_t offset) { return (void *)((uintptr_t)p->base + offset); }

/* The base and the size are known: so is where blocks may lie, which is behind libpmemobj's first table. */
void pm_pool_placed(pm_pool *p, uint64_t low);

/* Offsets that are read from the pool may be anything.  Is this one of a word inside the pool?  With this one compare
 * up to PM_ITEM_BYTES from there on may be looked at: libpmemobj's chunks end with more bytes that no block has. */
#define PM_ITEM_BYTES 40u

static inline int pm_leads_inside(const pm_pool *p, uint64_t offset)
{
    uint64_t way = offset - p->low;
    return __builtin_expect((way >> 3 | way << 61) <= p->reach, 1);
}

/* Where it is, or NULL. */
static inline uint64_t *pm_word(const pm_pool *p, uint64_t offset)
{
    return pm_leads_inside(p, offset) ? (uint64_t *)pm_at(p, offset) : NULL;
}

/* The same for an address that was made of one. */
static inline int pm_is_inside(const pm_pool *p, const void *at)
{
    uint64_t way = (uintptr_t)at - (uintptr_t)p->floor;
    return __builtin_expect((way >> 3 | way << 61) <= p->reach, 1);
}

/* What lies at the offset is `bytes` long, at most PM_CHUNK_STRIDE, and all of it inside the pool. */
static inline int pm_inside(const pm_pool *p, uint64_t offset, uint64_t bytes)
{
    return offset - p->low <= p->room - bytes;
}

/* The same for any number of items of a size. */
static inline int pm_inside_all(const pm_pool *p, uint64_t offset, uint64_t count, uint64_t size)
{
    return count <= p->room / size && offset - p->low <= p->room - count * size;
}

int pm_pool_init(pm_pool *p, uint64_t size);    /* tables for a pool of that size; 0 or errno */
void pm_pool_fini(pm_pool *p);

/* Inside a level: keeps the image of the line at `offset`, unless the innermost level has it. */
static inline void pm_capture(pm_pool *p, uint64_t offset)
{
    const pm_lines *lines = &p->lines[offset >> PM_PAGE_SHIFT];
    if (lines->epoch != p->epoch || !(lines->captured >> (offset / PM_LINE % 64) & 1))
        p->engine->capture_line(p, offset);
}

/* Replaces one word of reachable memory. */
static inline void pm_store(pm_pool *p, void *at, uint64_t value)
{
    uint64_t offset = pm_offset(p, at);
    if (__builtin_expect(p->nlog == p->log_cap, 0))
        p->engine->log_grow(p);
    pm_logged *entry = &p->log[p->nlog++];
    entry->extent = JR_EXTENT(offset, 1);
    entry->old = *(uint64_t *)at;
    if (p->depth)
        pm_capture(p, offset);
    *(uint64_t *)at = value;
}

/* Fresh memory has been filled; make it part of the next record.  At a word boundary, whole words. */
static inline void pm_fresh(pm_pool *p, const void *at, uint64_t length)
{
    uint64_t offset = pm_offset(p, at), words = (length + 7) / 8;
    if (words == 0)
        return;
    if (p->depth || words > PM_PAGE_SIZE / 8) {
        if (words < PM_RANGE_BYTES / 8)
            p->engine->mark_dirty(p, offset, words * 8);
        else
            p->engine->add_range(p, offset, words * 8);
        return;
    }
    if (__builtin_expect(p->nlog == p->log_cap, 0))
        p->engine->log_grow(p);
    p->log[p->nlog].extent = JR_EXTENT(offset, words);
    p->log[p->nlog++].old = *(const uint64_t *)at;
    p->fresh_words += words;
}

/* Inside a level: keeps the images of a reachable range, which may then be changed by plain stores. */
static inline void pm_snapshot(pm_pool *p, const void *at, uint64_t length)
{
    uint64_t offset = pm_offset(p, at);
    for (uint64_t line = offset & ~(uint64_t)(PM_LINE - 1); line < offset + length; line += PM_LINE)
        pm_capture(p, line);
}

/* Puts the log's words back, newest first, down to entry `mark`. */
void pm_log_undo(pm_pool *p, size_t mark);
/* Puts the images back, newest first, down to image `mark`; their lines stay dirty. */
void pm_images_undo(pm_pool *p, size_t mark);

/* The large fresh ranges join the dirty set, or if they are `direct` bytes or more together and no reader is in the
 * way go straight to the pool file.  After everything else is in place, before the record.  0 or errno; on an error nothing is
 * lost, the ranges are still there. */
int pm_settle_ranges(pm_pool *p, uint64_t direct);

/* Payload words that a record of everything changed needs at most. */
uint64_t pm_record_bound(const pm_pool *p);
/* End of the last page that has been changed since the last record; 0: none. */
uint64_t pm_dirty_end(const pm_pool *p);
/* Appends that record and forgets the dirty set and the log.  jr_make_ready has made the room. */
void pm_record(pm_pool *p);

/* The parts of engines. */
void pm_log_grow(pm_pool *p);
void pm_capture_image(pm_pool *p, uint64_t offset);
void pm_mark_dirty(pm_pool *p, uint64_t offset, uint64_t length);
void pm_add_range(pm_pool *p, uint64_t offset, uint64_t length);

/* --- persist.c: libpmemobj's flushes find their pool here ------------------------------------------ */

/* How what the processor holds becomes durable in a mapping that is shared. */
typedef struct pm_media {
    int (*flush)(const void *at, size_t length);    /* 0 or an errno; durable after drain() */
    void (*drain)(void);
    int by_page;                /* flush() is a system call: where there is much to do, one sync of the file serves all */
} pm_media;

extern const pm_media pm_persistent_memory, pm_page_cache;

/* Flushes of this thread between the two calls come from pmemobj_open, before its base address is
 * known.  Without media they are kept and become part of the pool's first record; with it they are done. */
void pm_opening(const pm_media *media);
int pm_opened(pm_pool *p);      /* p->base and p->size are set; 0 or errno */
int pm_open_failed(void);       /* the errno of a sync that failed meanwhile, or 0 */
void pm_closing(pm_pool *p);    /* flushes no longer reach this pool */

#endif
