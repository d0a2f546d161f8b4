/*
 * ring.h: the journal's first stage: a ring of committed records in the page cache, in front of the log.
 *
 * A record that stands alone in the log must reach the disk before it may be applied, so a program that
 * commits millions of words a second would be as fast as its disk.  Most of these words are overwritten again
 * soon.  So with the sync policies "interval" and "manual" a commit goes to this ring, which is a part of the
 * journal file that is never synced: a killed program loses nothing of it, a power loss loses all of it.  A
 * thread (the merger) takes the ring's records, keeps the last value of every word, and appends that to the
 * log as one record, which is all that is synced and applied.
 *
 *  1. A record in the ring is complete when its first word is stored, and committed then.
 *  2. A place in the ring is used again only when the log holds what stood there (in the page cache: that is
 *     as safe against a kill as the ring itself).  A log record says how far it covers the ring.
 *  3. The log record that covers the ring up to some point holds everything up to there: after a power loss
 *     the log alone gives a committed state, that of its last valid record.
 *  4. Recovery uses the ring only on the boot that wrote it, or when it has itself made the ring durable
 *     before it applied anything of it.
 *
 *  5. What a record relies on in the pool file (jr_write_direct) is in the page cache before the record is complete, and
 *     on disk before the record goes to the log, or is made durable in the ring by a recovery.
 *
 * Positions count words from the start of the session and are never reused; position p lies at word
 * p % words of the ring.  A record does not cross the ring's end: the rest is skipped.
 *
 * Record:  word 0   bits 0-19: number of payload words, or JR_RING_SKIP: go on at the ring's start
 *                   bits 20-63: of the XXH3-64 of the payload, seeded with the ring's salt + position
 *          word 1+  the payload, extents as in the log
 *
 * Threads: the appender owns head, end and lap.  Whoever drains holds the merger's lock.
 */
#ifndef PM_RING_H
#define PM_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define JR_RING_LENGTH_BITS 20
#define JR_RING_SKIP ((1u << JR_RING_LENGTH_BITS) - 1)

struct jr;
struct jr_merger;

/* What the appender writes at each commit fills a cache line of its own: a merger that looked at it, or wrote
 * beside it, at each record would make every commit wait for the line. */
struct jr_ring {
    uint64_t *head;             /* where the next record goes; with no ring head and end are NULL */
    uint64_t *end;              /* how far records may go before jr_ring_room is to be asked */
    uint64_t *map;
    uint64_t lap;               /* position of map[0] */
    uint64_t salt, words;
    _Atomic uint64_t appended;  /* position behind the last complete record */
    uint64_t direct;            /* the record in preparation goes to the log itself */
    /* the next line */
    _Atomic uint64_t merged;    /* position up to which the log holds everything */
    uint64_t direct_records;
    struct jr_merger *merger;
    uint64_t lag;               /* words that may wait for the merger before it is woken */
    uint64_t pad[4];
};

_Static_assert(offsetof(struct jr_ring, merged) == 64 && sizeof(struct jr_ring) == 128, "see above");

/* Room for one record of up to `words` words, in the ring or, when it is too long for it, in the log; fill it
 * from jr_room on, then call jr_done (ring_append.h).  0, or an errno with nothing changed; may wait. */
int jr_make_ready(struct jr *j, uint64_t words);

/* Tells pages.h of a record that goes to the log itself. */
void jr_note_direct(struct jr *j, const uint64_t *payload, uint64_t words);

/* Everything that is in the ring now goes to the log.  Any thread.  0 or an errno (ENOSPC: may be repeated). */
int jr_drain(struct jr *j);

#endif
