/*
 * op.h: the end of an operation on the hot path: it stands alone, changed a few words and short fresh ranges,
 * and there is room in the journal.  Compiled into the container modules; everything else is op_end_slow's.
 */
#ifndef PM_OP_H
#define PM_OP_H

#include "engine.h"
#include "journal_append.h"

/* 1: the operation is committed.  0: nothing has been done. */
static inline int pm_op_commit_words(pm_pool *p)
{
    struct jr *j = p->journal;
    uint64_t most = 2 * p->nlog + p->fresh_words;
    if (p->depth | p->pending | p->ndirty | p->nranges || j->head + most + 2 * JR_HEADER_WORDS > j->end)
        return 0;
    uint64_t *payload = jr_payload(j), *to = payload;
    for (const pm_logged *entry = p->log, *end = entry + p->nlog; entry < end; entry++) {
        const uint64_t *from = (const uint64_t *)(p->base + (entry->extent >> 16));
        uint64_t words = entry->extent & JR_EXTENT_MAX;
        *to++ = entry->extent;
        do
            *to++ = *from++;
        while (--words);
    }
    if (to != payload)
        jr_commit(j, (uint64_t)(to - payload));
    p->nlog = 0;
    p->fresh_words = 0;
    p->write_gate &= ~(uint32_t)PM_GATE_IN_OP;
    return 1;
}

#endif
