/*
 * ring_append.h: the hot path of a commit.  Apart from ring.h because of the size of <xxhash.h>.
 */
#ifndef PM_RING_APPEND_H
#define PM_RING_APPEND_H

#include "journal_append.h"

/* First word of a record at this position. */
static inline uint64_t jr_ring_word(const uint64_t *payload, uint64_t words, uint64_t salt, uint64_t position)
{
    return XXH3_64bits_withSeed(payload, words * 8, salt + position) << JR_RING_LENGTH_BITS | words;
}

/* That of a skip. */
static inline uint64_t jr_ring_skip_word(uint64_t salt, uint64_t position)
{
    return ~(salt + position) << JR_RING_LENGTH_BITS | JR_RING_SKIP;
}

/* `words` payload words, and the skip that may follow, fit without asking. */
static inline int jr_ring_has_room(const struct jr_ring *r, uint64_t words)
{
    return r->head + words + 2 <= r->end;
}

/* Completes the record whose payload stands behind the head.  Its first word is stored last: a program killed
 * before that store has not committed. */
static inline void jr_ring_commit(struct jr_ring *r, uint64_t words)
{
    uint64_t *record = r->head, position = r->lap + (uint64_t)(record - r->map);
    __atomic_store_n(record, jr_ring_word(record + 1, words, r->salt, position), __ATOMIC_RELEASE);
    r->head = record + 1 + words;
    atomic_store_explicit(&r->appended, position + 1 + words, memory_order_release);
}

/* After jr_make_ready. */
static inline uint64_t *jr_room(struct jr *j) { return j->ring.direct ? jr_payload(j) : j->ring.head + 1; }

static inline void jr_done(struct jr *j, uint64_t words)
{
    if (j->ring.direct) {
        jr_note_direct(j, jr_payload(j), words);
        jr_commit(j, words, j->through);    /* of an empty ring */
        j->ring.direct_records++;
    } else {
        struct jr_ring *r = &j->ring;
        jr_ring_commit(r, words);
        if (r->end > r->head + r->lag)      /* room that a long record has not needed */
            r->end = r->head + r->lag;
    }
}

#endif
