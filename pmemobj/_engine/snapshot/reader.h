/*
 * reader.h: a snapshot of a pool: the pool file mapped privately, with the journal's records in it.
 *
 *  1. Nothing is written, to no file.
 *  2. A snapshot is what was committed when it was taken.  The file does not change where it still shows through:
 *     that is what the position is for (see locks.h), which is moved on only after memory has the records before it.
 *  3. Memory changes only in rd_finish, all at once, by a caller who keeps everybody from looking.  The addresses
 *     stay.
 *  4. Of a running session the records that have come since are read and added.  In all other cases (another
 *     session, a direct write, or too many pages that were made our own) the snapshot is taken anew, beside the old
 *     one, which stays as it is if that fails.
 *  5. A thread, the keeper, looks now and then at what has been committed since, and makes the pages that it concerns
 *     our own, as they are.  Then these records may be applied, and the position moves on, while the snapshot stays
 *     what it is: so one that is held for long costs memory here, and does not hold up the writer.
 *  6. A pool that nobody has open is looked through as recovery would, so damage is found rather than passed over.  That
 *     holds for what the direct engine has left, too: its undo log is applied to our own pages.
 */
#ifndef PM_READER_H
#define PM_READER_H

#include <pthread.h>

#include "follow.h"
#include "files/locks.h"
#include "files/poolfile.h"

enum rd_result {
    RD_OK = 0,
    RD_SAME,            /* nothing has been committed since */
    RD_WAIT,            /* the file is being changed: try again soon */
    RD_SYSTEM,          /* r->error, an errno */
    RD_POOL,            /* r->kind says what is wrong with the pool file */
    RD_JOURNAL,         /* r->journal_error, r->report: what is wrong with the journal */
    RD_OTHER_ENGINE,    /* a program that writes without a journal has it open */
    RD_REPLACED,        /* another file has this name now */
    RD_TOO_LARGE        /* the pool has grown beyond the addresses that were set aside: open it anew */
};

struct rd_image {
    char *base;
    uint64_t size;
    uint64_t *touched;              /* pages that are our own, a bit each */
    uint64_t ntouched;
    uint64_t state;                 /* the pool's state word */
    uint64_t ranges;                /* and how often something has been written to it without a record (see layout.h) */
    struct follow follow;           /* of a running session; fd -1: everything of the last one is here */
};

struct rd {
    int fd;                         /* of the pool file, read-only; holds the locks; the caller's */
    char *path, *journal;
    uint64_t reserved;              /* bytes of addresses from now.base on */
    uint64_t position[2];           /* held; by enum pf_range */
    bool unplaced;                  /* the first of both is held, too */
    struct rd_image now, fresh;     /* fresh.base NULL: there is none */
    uint64_t *delta;                /* extents to be added to `now` */
    uint64_t ndelta, delta_cap;
    struct fl_place before;         /* where `now` had come when the delta was read */
    uint64_t ring_before;
    bool moved;
    pthread_mutex_t lock;           /* of all this */
    pthread_cond_t wake;
    pthread_t keeper;
    bool has_keeper, stop;
    struct follow kept;             /* the keeper's; its own windows, and its own descriptor */
    uint64_t ended;                 /* state word of a session that ended unclean, all of whose pages are our own; or 0 */
    uint64_t root_offset;
    /* of the last call */
    struct pf_info info;
    struct jr_report report;        /* of a journal that was replayed because its program had died */
    enum pf_kind kind;
    int journal_error, error;
};

/* Threads: all functions but rd_open and rd_close take the lock; between rd_prepare and rd_finish or rd_cancel it is
 * held, by one thread. */
struct jr *rd_no_journal(void);     /* what a pool without one has: no room, not failed */

/* Takes the first snapshot.  On an error *out is NULL, unless that is needed to say what it is. */
enum rd_result rd_open(struct rd **out, const char *path, const char *journal, int fd);

/* Finds out what has been committed since.  RD_OK: rd_finish or rd_cancel follows. */
enum rd_result rd_prepare(struct rd *r);
enum rd_result rd_finish(struct rd *r);
void rd_cancel(struct rd *r);

void rd_close(struct rd *r);        /* lets go of memory and positions, not of fd */
void rd_orphan(struct rd *r);       /* in a forked child: the positions are the parent's */

/* Copies up to `limit` bytes of the snapshot, from *at on, to the same place of `out`, and moves *at on; holes are
 * left out.  *copied: how many bytes.  At the end *at is the pool's size.  0 or an errno. */
int rd_copy(struct rd *r, int out, uint64_t *at, uint64_t limit, uint64_t *copied);
/* A mapping of the file that is all there is, for rd_copy and rd_data_bytes only; NULL without memory. */
struct rd *rd_borrow(int fd, char *base, uint64_t size);
void rd_give_back(struct rd *r);

/* Bytes that rd_copy would copy altogether. */
uint64_t rd_data_bytes(struct rd *r);

#endif
