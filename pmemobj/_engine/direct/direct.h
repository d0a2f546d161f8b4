/*
 * direct.h: the direct engine: the pool file is mapped shared, and changed in place.
 *
 * What the program stores may reach the media at any moment, in any order, until it is flushed.  So:
 *
 *  1. Before the first store to a line in an outermost level, its content is made durable in the undo log (undo.h);
 *     `logged` says which lines have that behind them.  Lines of fresh memory need none.
 *  2. An operation that stands alone is a level of its own.  One aligned word that replaces another one needs no log
 *     (put_word): it is there or it is not.
 *  3. Commit: what is to be freed and what libpmemobj has reserved is noted in the log -> every line that has changed
 *     is flushed -> libpmemobj publishes the reserved allocations, in parts that need no memory of the pool -> the
 *     generation goes up by one and is flushed: this is the commit -> what is to be freed is freed.
 *  4. Abort: the log's images are put back and flushed -> the generation goes up by two.
 *  5. When the log cannot take an entry, the store that it should protect cannot be refused.  So the whole pool is
 *     mapped privately at this moment ("doomed"): what is stored from then on stays in this process, all that is open
 *     can only be undone, and the abort maps the file again.  libpmemobj must not be called meanwhile.
 *  6. A write to a hole of the file would be a SIGBUS on a full disk.  So disk space is allocated before: for
 *     everything up to the end of the last allocation when the pool is opened, and before libpmemobj is asked for
 *     more.  Whoever gives file space back (by punching holes) must leave that alone while the pool is open.
 *     So trim punches only what libpmemobj has free, and what is reserved from then on gets its space at once.
 *  7. A failed sync or write makes the pool *failed*, in journal->failed.  Nothing is flushed any more; the log stays
 *     as it is, and the next open undoes.
 *  8. A file that somebody deletes, cuts or overwrites cannot be held on to.  It is looked for when a sync is asked for,
 *     at each commit with the policy "commit", and now and then with "interval"; then the pool has failed with ESTALE.
 *
 * Threads: as in engine.h.
 */
#ifndef PM_DIRECT_H
#define PM_DIRECT_H

#include "undo.h"

struct logged {
    uint64_t generation;        /* `lines` holds for this one */
    uint64_t lines;             /* of the page: their images are in the log */
};

struct direct {
    struct undo *undo;
    const pm_media *media;
    int fd;                     /* of the pool file; the caller's */
    int synchronous;            /* DAX: see undo_start */
    uint64_t size;
    struct logged *logged;      /* one per page of the pool; sparse */
    int error;                  /* why what is open is doomed; 0: it is not */
    uint64_t first_zone, top;   /* no allocation ends behind `top` */
    uint64_t backed;            /* up to here the file has no holes, but for those of trim */
    int trimmed;                /* there are such */
    struct jr_identity identity;
    uint64_t look_every;        /* ns between two looks at the files; 0: at each commit */
    uint64_t next_look;
    int pool_is_lost;           /* not only the log */
    uint64_t commits, syncs;
    /* libpmemobj's description of the open pool, which lies in its first pages.  For a forked child: those of the
     * file are the parent's, and change when that closes the pool. */
    char descriptor[8192];
};

/* Of look_every: nobody looks but who calls direct_look. */
#define DIRECT_NEVER UINT64_MAX

/* The engine's part of opening: before libpmemobj maps the pool, and when it has.  p is pm_pool_init'ed.  0 or an
 * errno; what direct_start gives is ended by direct_stop. */
int direct_start(pm_pool *p, const char *path, int pool_fd, const struct jr_identity *identity, enum jr_sync_policy sync,
                 uint64_t look_every, uint64_t log_bytes, const pm_media *media, int synchronous);
int direct_mapped(pm_pool *p);

/* Disk space for a reservation; to be called before and after it.  0 or an errno. */
int direct_before_reserve(pm_pool *p, uint64_t bytes);
int direct_reserved(pm_pool *p, uint64_t offset, uint64_t bytes);

/* Gives the disk space of libpmemobj's free blocks back, outside of levels.  0 or an errno (EOPNOTSUPP: the file system
 * cannot). */
int direct_trim(pm_pool *p);

/* Both files are still the pool's: 0; or the errno with which the pool has failed, ESTALE if they are not. */
int direct_look(pm_pool *p);
int direct_look_if_due(pm_pool *p);     /* after a commit; mostly it does nothing */

/* Before libpmemobj lets go of a pool whose file is lost: it finds its own description in memory again. */
void direct_leave_file(pm_pool *p);

/* Everything in the pool file is durable.  A pool that has lost nothing but its log is still complete. */
int direct_sync(pm_pool *p);

void direct_stop(pm_pool *p, int clean);    /* libpmemobj has unmapped the pool */
void direct_orphan(pm_pool *p);             /* in a forked child: nothing of it reaches the file any more */

/* --- levels */

/* An operation that stands alone begins or ends. */
void direct_level_begin(pm_pool *p);
void direct_level_end(pm_pool *p);

/* Notes allocations in the log.  0 or an errno. */
int direct_note(pm_pool *p, enum undo_kind kind, const uint64_t *offsets, uint64_t count);

/* Everything that has been stored in this level is durable.  0 or an errno: abort, then. */
int direct_settle(pm_pool *p);

/* The commit.  It cannot be undone any more, also when it could not be made durable: then the pool has failed. */
void direct_commit(pm_pool *p);

/* Puts everything back as it was when the outermost level began. */
void direct_abort(pm_pool *p);

/* For statistics. */
void direct_get_stats(pm_pool *p, struct jr_stats *out);

#endif
