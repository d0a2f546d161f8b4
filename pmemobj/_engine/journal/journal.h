/*
 * journal.h: the redo journal beside a pool file.
 *
 * The file has two stages: the ring, which commits go to first unless each of them is to be durable, and the
 * log, which is what is synced and applied.  This file is about the log; see ring.h for the other.
 *
 * The pool is mapped privately, so nothing that the program stores reaches the pool file by itself.
 * Instead every committed operation or transaction is appended here as one record.  Invariants:
 *
 *  1. A record that is complete in the journal is committed; one that is not never happened.  The header
 *     word with the checksum is stored last.
 *  2. The pool file only ever receives what complete records say (jr_apply), and only after these
 *     records were synced.  So the file plus the journal's valid prefix is always a committed state.
 *  3. A segment is reused only after: its records are synced -> applied to the pool file -> the pool file
 *     is fsynced -> the journal header gives the segment a new salt -> that header is synced.
 *  4. Applying is idempotent: it may be repeated from the oldest live segment on, at any time.
 *  5. A failed write or sync makes the journal *failed* for ever; nothing is retried.  So does a file that
 *     is found to have been deleted, cut or replaced (ESTALE).
 *  6. The pool file says how far it holds the journal, and the journal from where on it is needed: files that
 *     were copied at different times do not fit, and are refused.
 *  7. While a reader needs the pool file as it is, records are not applied (see locks.h).  The journal grows beyond
 *     its limit meanwhile.
 *
 * Threads: one appender at a time (the caller holds the GIL or the pool's lock); two background threads of
 * the journal, one of which applies sealed segments, while the other syncs (interval policy) and prepares
 * the next segment.  They never touch Python and never the pool's private memory, only the journal and the
 * pool file, take no signals, and do not exist in a forked child.
 *
 * Record, in 8-byte words:
 *   0  checksum: XXH3-64 of words 1..end, seeded with the segment's salt + sequence number; stored last
 *   1  sequence number
 *   2  synced_through: the last sequence number known durable when this record was written
 *   3  bits 0-31: number of payload words; bits 32-63: low half of the previous record's checksum
 *   4  ring_through: how far this record and those before it cover the ring (see ring.h); 0 without one
 *   5+ extents: word (offset << 16 | n), then n words of data, 1 <= n <= 65535; repeated
 * A payload of 0 words says "continued in the next segment of the ring".
 */
#ifndef PM_JOURNAL_H
#define PM_JOURNAL_H

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ring.h"

#define JR_HEADER_WORDS 5
#define JR_EXTENT_MAX 65535u
#define JR_EXTENT(offset, nwords) (((uint64_t)(offset) << 16) | (uint64_t)(nwords))

/* Readers hold the pool file as it is (see locks.h): a checkpoint or a direct write has to be put off. */
#define JR_HELD EBUSY

enum jr_sync_policy { JR_SYNC_COMMIT, JR_SYNC_INTERVAL, JR_SYNC_MANUAL };

struct jr_identity {            /* pairs a journal with its pool; checked before anything is replayed */
    uint8_t pool_uuid[16];
    uint64_t epoch;             /* goes up by one at each open */
    uint64_t run_id;            /* libpmemobj's, as in the pool file: before this open (jr_start), or now */
    int live;                   /* the pool file says that it needs its journal */
    uint64_t applied, ranges;   /* marks of the pool file (see layout.h) */
    uint64_t root_at;           /* where its root block lies; 0: it has none, and nothing is said of marks */
};

struct jr_options {
    enum jr_sync_policy sync;
    uint64_t interval_ns;       /* of the interval policy */
    uint64_t first_segment;     /* bytes, a multiple of 64 KiB; two of these exist from the start */
    uint64_t max_segment;       /* bytes; each further segment is twice the last, up to this */
    uint64_t limit;             /* bytes of all segments together; only larger single records exceed it */
    uint64_t ring;              /* bytes of the ring, a multiple of 64 KiB; 0: none */
    uint64_t memory;            /* bytes of changed pages of the mapping to aim at (see drop.h); 0: no limit */
};

struct jr_stats {
    uint64_t records, bytes_appended, syncs, checkpoints, bytes_applied, segments, journal_bytes, waits;
};

struct jr {
    struct jr_ring ring;
    /* the log's hot part: its appender's own */
    uint64_t *head;             /* where the next record's header goes */
    uint64_t *end;              /* how far records may go before jr_make_room is to be asked */
    uint64_t seq;               /* sequence number of the next record */
    uint64_t salt;              /* of this segment */
    uint64_t link;              /* low half of the previous record's checksum */
    uint64_t through;           /* ring_through of the last record */
    uint64_t pad[2];
    /* hardly ever written */
    _Atomic int failed;         /* errno of the failure, or 0 */
    enum jr_sync_policy sync;
    struct jr_private *priv;
    uint64_t more[6];
    /* shared with the background thread */
    _Atomic uint64_t appended;  /* last complete sequence number; 0 at first */
    _Atomic uint64_t synced;    /* last sequence number known durable */
};

_Static_assert(offsetof(struct jr, failed) % 64 == 0, "it is looked at by each commit");

/* Replays what a journal holds into the pool file; may be killed anywhere and repeated.  Afterwards the pool
 * file is a complete committed state by itself.  The caller holds the pool's lock.
 *   pool->epoch == the journal's       replays it
 *   pool->epoch == the journal's - 1   it was made for an open that never marked the pool: nothing to do; or, unless
 *                                      pool->live, it is what a clean close left
 *   anything else                      JR_EMISMATCH
 * Returns 0 with report filled in, or a JR_E* code with report->message saying what, where and what to do. */
enum jr_error {
    JR_OK = 0,
    JR_EIO = 1,                 /* a system call failed: report->os_error */
    JR_EMISSING = 2,            /* no journal although one is expected */
    JR_EMISMATCH = 3,           /* of another pool, an older epoch, another program opened the pool meanwhile */
    JR_EDAMAGED = 4,            /* bad header, or a bad record that had been synced */
    JR_EVERSION = 5             /* a newer journal format */
};

struct jr_report {
    int os_error;
    uint64_t records, bytes, last_seq;
    uint64_t discarded_bytes;   /* of the torn tail, as far as records can be told there */
    double seconds;
    char message[512];
};

int jr_recover(const char *path, int pool_fd, uint64_t pool_size, const struct jr_identity *pool,
               struct jr_report *report);

/* What becomes of a record's payload.  0 or an errno. */
typedef int jr_sink(void *context, const uint64_t *payload, uint64_t words);

/* As jr_recover, but writes nothing: the records go to `sink`.  The caller holds off whoever would recover. */
int jr_read_all(const char *path, uint64_t pool_size, const struct jr_identity *pool, jr_sink *sink, void *context,
                struct jr_report *report);
/* For tests of power loss: what is taken for the system's boot id, if it is not empty. */
void jr_pretend_boot(const char *boot_id);

/* The process that made this journal, or 0: whom to name when the pool is locked. */
uint64_t jr_holder(const char *path);

/* Makes a fresh journal (temporary name, allocated, fsync, rename, fsync of the directory), replacing an
 * old one at that path, maps it and starts the background threads.  The caller guarantees that the pool
 * file is a complete committed state, keeps pool_fd open until jr_stop and syncs it nowhere else meanwhile.
 * Returns 0 or an errno. */
int jr_start(struct jr **out, const char *path, int pool_fd, uint64_t pool_size,
             const struct jr_identity *identity, const struct jr_options *options);

static inline int jr_has_failed(const struct jr *j) { return atomic_load_explicit(&j->failed, memory_order_relaxed); }

/* Nothing has been committed since the start. */
static inline int jr_is_untouched(struct jr *j)
{
    return atomic_load(&j->appended) == 0 && atomic_load(&j->ring.appended) == 0;
}

/* Room in the log for a record of up to `words` payload words in one segment: switches to a free segment, waits for
 * the background threads to free or add one, and slows down an appender that outruns the disk.  May wait, so
 * it is best called without the GIL.  0, or an errno with nothing changed (ENOSPC: the disk is full; JR_HELD: readers
 * hold the pool file, and there can be no more segments; the journal is still usable). */
int jr_make_room(struct jr *j, uint64_t words);

static inline int jr_reserve(struct jr *j, uint64_t words)
{
    /* one more header stays free for the "continued" record */
    if (__builtin_expect(words + 2 * JR_HEADER_WORDS <= (uint64_t)(j->end - j->head) &&
                         !jr_has_failed(j), 1))
        return 0;
    return jr_make_room(j, words);
}

/* After jr_reserve: fill the payload from jr_payload(j) on, then call jr_commit (journal_append.h) with its
 * length, which is never 0. */
static inline uint64_t *jr_payload(struct jr *j) { return j->head + JR_HEADER_WORDS; }

/* Durable through everything committed so far.  Any thread, without the GIL; concurrent callers share one
 * fdatasync.  0; or an errno: ENOSPC when the log has no room for what is in the ring, and may be repeated;
 * after any other the journal has failed. */
int jr_sync(struct jr *j);

/* Large fresh ranges that nothing committed refers to: writes them to the pool file, before the record that links them
 * is appended; without a ring they are synced at once, else when that record goes to the log.  Called by the appender with no record in preparation: it syncs the
 * journal first, and checkpoints when unapplied records speak of the range's former content.  0 or an errno;
 * after ENOSPC the journal is still usable and the range's content undefined; after JR_HELD nothing has been done.
 * *mark becomes what the record that links the range must store in `ranges_needed` of the root block: a pool file
 * without the range is known by it. */
int jr_write_direct(struct jr *j, const void *data, uint64_t offset, uint64_t length, uint64_t *mark);

/* Around writing holes into what is free, after jr_checkpoint.  0 or JR_HELD: a snapshot may still use it. */
int jr_begin_holes(struct jr *j);
void jr_end_holes(struct jr *j);

/* Everything appended is applied to the pool file, and that is synced; the journal is then empty.  Called by
 * the appender with no record in preparation.  0 or an errno (ENOSPC, JR_HELD: the journal is still usable). */
int jr_checkpoint(struct jr *j);

/* Has everything appended so far applied in the background, unless that is under way.  Called by the appender
 * with no record in preparation. */
void jr_begin_checkpoint(struct jr *j);

/* Returns when one has ended, or none can, and after `ns` at the latest. */
void jr_await_checkpoint(struct jr *j, uint64_t ns);

/* Ends the background threads and unmaps.  clean: after jr_checkpoint succeeded; removes the journal file
 * (the caller has marked the pool clean before).  Not clean: the file stays for recovery. */
void jr_stop(struct jr *j, int clean);

/* In a forked child: closes the journal and unmaps, writes nothing, frees nothing; every jr_* call that may
 * fail gives ECHILD from then on. */
void jr_orphan(struct jr *j);

/* Called by the appender. */
void jr_get_stats(struct jr *j, struct jr_stats *out);

#endif
