/*
 * journal_append.h: appending to the log.  Apart from journal.h because of the size of <xxhash.h>;
 * include it before anything else that includes <xxhash.h>.
 */
#ifndef PM_JOURNAL_APPEND_H
#define PM_JOURNAL_APPEND_H

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include "journal.h"

/* Of a record whose words 1.. are filled in. */
static inline uint64_t jr_checksum(const uint64_t *record, uint64_t words, uint64_t salt, uint64_t seq)
{
    return XXH3_64bits_withSeed(record + 1, (JR_HEADER_WORDS - 1 + words) * 8, salt + seq);
}

/* Completes the record whose `words` payload words stand at jr_payload(j).  The checksum is stored last:
 * a program killed before that store has not committed.  `appended` follows it, so whoever reads
 * `appended` finds the records complete.  `through`: how far the ring is covered by it. */
static inline void jr_commit(struct jr *j, uint64_t words, uint64_t through)
{
    uint64_t *record = j->head, seq = j->seq;
    record[1] = seq;
    record[2] = atomic_load_explicit(&j->synced, memory_order_relaxed);
    record[3] = words | j->link << 32;
    record[4] = j->through = through;
    uint64_t checksum = jr_checksum(record, words, j->salt, seq);
    __atomic_store_n(record, checksum, __ATOMIC_RELEASE);
    j->head = record + JR_HEADER_WORDS + words;
    j->link = (uint32_t)checksum;
    j->seq = seq + 1;
    atomic_store_explicit(&j->appended, seq, memory_order_release);
}

#endif
