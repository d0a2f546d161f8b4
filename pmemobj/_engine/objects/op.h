/*
 * op.h: operations on the hot path: they stand alone or in this thread's transaction, change a few words and
 * short fresh ranges, and there is room in the journal.  Compiled into the container modules; everything else
 * is left to op_begin_slow and op_end_slow of _core.
 */
#ifndef PM_OP_H
#define PM_OP_H

#include <Python.h>

#include "engine.h"
#include "journal/ring_append.h"

/* Who runs.  The owner of a transaction is told by the number of its thread state, which is never given out
 * again; its address may be. */
static inline void *pm_thread_number(const PyThreadState *state) { return (void *)(uintptr_t)(state->id + 1); }

static inline PyThreadState *pm_thread_state(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

static inline void *pm_this_thread(void) { return pm_thread_number(pm_thread_state()); }

/* A thread's turn is what it does until it enters or leaves a context (contextvars), as it does for each step of
 * an asyncio task.  In the same turn the same task runs; in another one _core_tasks.pxi has to look.  Turns of a
 * thread have different numbers. */
static inline uint64_t pm_this_turn(void) { return pm_thread_state()->context_ver; }

/* A thread that never had a context runs no task. */
static inline int pm_has_context(void) { return pm_thread_state()->context != NULL; }

/* The only thing at this gate is a transaction of this thread, and of the task that runs. */
static inline int pm_is_mine(const pm_pool *p, uint32_t gate)
{
    const PyThreadState *state = pm_thread_state();
    return gate == PM_GATE_TX && p->turn == state->context_ver &&
           p->owner == pm_thread_number(state);
}

/* An operation that stands alone may be committed here, if it takes no more than `words` of the journal. */
static inline int pm_may_commit(const pm_pool *p, uint64_t words)
{
    return (p->depth | p->pending | p->ndirty | p->nranges) == 0 && jr_ring_has_room(&p->journal->ring, words);
}

/* The rest of the record made of the log.  1: the operation is committed.  0: nothing has been done. */
static inline int pm_op_commit_words(pm_pool *p)
{
    struct jr_ring *r = &p->journal->ring;
    if (!pm_may_commit(p, 2 * p->nlog + p->fresh_words))
        return 0;
    uint64_t *payload = r->head + 1, *to = payload;
    for (const pm_logged *entry = p->log, *end = entry + p->nlog; entry < end; entry++) {
        const uint64_t *from = (const uint64_t *)(p->base + (entry->extent >> 16));
        uint64_t words = entry->extent & JR_EXTENT_MAX;
        *to++ = entry->extent;
        do
            *to++ = *from++;
        while (--words);
    }
    if (to != payload)
        jr_ring_commit(r, (uint64_t)(to - payload));
    p->nlog = 0;
    p->fresh_words = 0;
    p->write_gate &= ~(uint32_t)PM_GATE_IN_OP;
    return 1;
}

/* A whole operation that stores and fills a few words and cannot fail, so it needs no log: it is written straight into the journal's
 * next record, or into this thread's transaction.  pm_direct_begin gives 0 when it must go the long way; after
 * that everything up to pm_direct_end succeeds, and no Python code runs. */
typedef struct pm_direct {
    pm_pool *p;
    uint64_t *to;               /* where the record goes on; NULL in a transaction */
} pm_direct;

/* `words`: what the payload takes at most. */
static inline int pm_direct_begin(pm_direct *d, pm_pool *p, uint64_t words)
{
    d->p = p;
    d->to = NULL;
    if (jr_has_failed(p->journal))
        return 0;
    if (p->write_gate != 0)
        return pm_is_mine(p, p->write_gate);
    if (!pm_may_commit(p, words))
        return 0;
    d->to = p->journal->ring.head + 1;
    return 1;
}

static inline void pm_direct_store(pm_direct *d, uint64_t *at, uint64_t value)
{
    uint64_t offset = pm_offset(d->p, at);
    if (d->to) {
        *d->to++ = JR_EXTENT(offset, 1);
        *d->to++ = value;
    } else {
        pm_capture(d->p, offset);
    }
    *at = value;
}

/* Two neighbours. */
static inline void pm_direct_store_two(pm_direct *d, uint64_t *at, uint64_t value, uint64_t next)
{
    uint64_t offset = pm_offset(d->p, at);
    if (d->to) {
        *d->to++ = JR_EXTENT(offset, 2);
        *d->to++ = value;
        *d->to++ = next;
    } else {
        pm_capture(d->p, offset);
        pm_capture(d->p, offset + 8);
    }
    at[0] = value;
    at[1] = next;
}

/* Before memory is filled that was in use when the transaction began. */
static inline void pm_direct_keep(pm_direct *d, const uint64_t *at, uint64_t words)
{
    if (d->to == NULL)
        pm_snapshot(d->p, at, words * 8);
}

/* These bytes, at least one and all in one page, are in the dirty set already. */
static inline int pm_is_dirty(const pm_pool *p, uint64_t offset, uint64_t length)
{
    uint64_t first = offset / PM_LINE % 64, last = (offset + length - 1) / PM_LINE % 64;
    uint64_t lines = ((2ull << (last - first)) - 1) << first;
    return (p->lines[offset >> PM_PAGE_SHIFT].dirty & lines) == lines;
}

/* After some words, at least one and all in one page, have been filled. */
static inline void pm_direct_filled(pm_direct *d, const uint64_t *at, uint64_t words)
{
    uint64_t offset = pm_offset(d->p, at);
    if (d->to) {
        uint64_t *to = d->to;
        *to++ = JR_EXTENT(offset, words);
        do
            *to++ = *at++;
        while (--words);
        d->to = to;
        return;
    }
    if (!pm_is_dirty(d->p, offset, words * 8))
        d->p->engine->mark_dirty(d->p, offset, words * 8);
}

static inline void pm_direct_end(pm_direct *d)
{
    if (d->to)
        jr_ring_commit(&d->p->journal->ring, (uint64_t)(d->to - d->p->journal->ring.head - 1));
}

/* A whole operation that replaces one word.  1: done.  0: nothing has been done, go the long way. */
static inline int pm_put(pm_pool *p, uint64_t *at, uint64_t value)
{
    pm_direct d;
    if (!pm_direct_begin(&d, p, 2))
        return p->engine->put_word(p, at, value);
    pm_direct_store(&d, at, value);
    pm_direct_end(&d);
    return 1;
}

/* The same with two words. */
static inline int pm_put_two(pm_pool *p, uint64_t *at, uint64_t value, uint64_t *other, uint64_t other_value)
{
    pm_direct d;
    if (!pm_direct_begin(&d, p, 4))
        return 0;
    pm_direct_store(&d, at, value);
    pm_direct_store(&d, other, other_value);
    pm_direct_end(&d);
    return 1;
}

#endif
