/*
 * op.h: operations on the hot path: they stand alone or in this thread's transaction, change a few words and
 * short fresh ranges, and there is room in the journal.  Compiled into the container modules; everything else
 * is left to op_begin_slow and op_end_slow of _core.
 */
#ifndef PM_OP_H
#define PM_OP_H

#include <Python.h>

#include "engine.h"
#include "ring_append.h"

/* Who runs.  The owner of a transaction is told by the number of its thread state, which is never given out
 * again; its address may be. */
static inline void *pm_thread_number(PyThreadState *state) { return (void *)(uintptr_t)(state->id + 1); }

static inline void *pm_this_thread(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return pm_thread_number(PyThreadState_GetUnchecked());
#else
    return pm_thread_number(_PyThreadState_UncheckedGet());
#endif
}

/* The only thing at this gate is a transaction of this thread. */
static inline int pm_is_mine(const pm_pool *p, uint32_t gate)
{
    return gate == PM_GATE_TX && p->owner == pm_this_thread();
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

/* A whole operation that replaces one word: nothing in it can fail, so it needs no log.  1: done.  0: nothing
 * has been done, go the long way. */
static inline int pm_put(pm_pool *p, uint64_t *at, uint64_t value)
{
    struct jr_ring *r = &p->journal->ring;
    if (jr_has_failed(p->journal))
        return 0;
    if (p->write_gate == 0) {
        if (!pm_may_commit(p, 2))
            return 0;
        uint64_t *payload = r->head + 1;
        payload[0] = JR_EXTENT(pm_offset(p, at), 1);
        payload[1] = value;
        *at = value;
        jr_ring_commit(r, 2);
        return 1;
    }
    if (!pm_is_mine(p, p->write_gate))
        return 0;
    pm_capture(p, pm_offset(p, at));
    *at = value;
    return 1;
}

/* The same with two words. */
static inline int pm_put_two(pm_pool *p, uint64_t *at, uint64_t value, uint64_t *other, uint64_t other_value)
{
    struct jr_ring *r = &p->journal->ring;
    if (jr_has_failed(p->journal))
        return 0;
    if (p->write_gate == 0) {
        if (!pm_may_commit(p, 4))
            return 0;
        uint64_t *payload = r->head + 1;
        payload[0] = JR_EXTENT(pm_offset(p, at), 1);
        payload[1] = value;
        payload[2] = JR_EXTENT(pm_offset(p, other), 1);
        payload[3] = other_value;
        *at = value;
        *other = other_value;
        jr_ring_commit(r, 4);
        return 1;
    }
    if (!pm_is_mine(p, p->write_gate))
        return 0;
    pm_capture(p, pm_offset(p, at));
    pm_capture(p, pm_offset(p, other));
    *at = value;
    *other = other_value;
    return 1;
}

#endif
