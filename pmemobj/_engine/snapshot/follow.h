/*
 * follow.h: reads the journal of a session that is running, in another process or in this one.
 *
 *  1. The reader holds a position (see locks.h) at or before the record that it needs next.  So no segment that it
 *     still needs is applied, and none is given another salt.
 *  2. A record is copied first and verified then: what is overwritten meanwhile does not verify.
 *  3. Commits are in the ring or in the log.  The log from `log` on, and then the ring from where the log's last
 *     record covers it, is a prefix of all commits if the chain of the ring's records is unbroken and no record went
 *     to the log directly since the log was read to its end.
 *  4. The chain ends where nothing has been written yet, or where the appender has come round.  It has only if the log
 *     goes further by then: so a look at the log, after the ring, tells.  Hence a reader sees each commit that was
 *     complete when it began.
 */
#ifndef PM_FOLLOW_H
#define PM_FOLLOW_H

#include "journal/journal_private.h"

struct fl_place {                   /* in the log */
    uint64_t offset, bytes, salt;   /* of the segment */
    uint64_t at;                    /* word in it */
    uint64_t seq, link, through;    /* of the record expected there; `through` of the one before */
};

struct fl_window {                  /* a copy of some words of the file */
    uint64_t *words, cap;
    uint64_t from, count;           /* which: offset in bytes, words; 0: none */
};

struct follow {
    int fd;                         /* of the journal; -1: none */
    struct jr_header header;
    uint64_t size;                  /* of the pool; what records speak of lies in it */
    struct fl_place log;
    uint64_t ring_at;               /* position behind the last record of the ring that was read */
    uint64_t first_seq;             /* of the log, at the beginning */
    struct fl_window log_window, ring_window;
};

/* Opens the journal at `path`.  0 or an errno; EBADMSG: it is not whole (now), EMEDIUMTYPE: another engine's file. */
int fl_open(struct follow *f, const char *path, uint64_t pool_size);
void fl_close(struct follow *f);

/* Hands all records that are complete when it begins, perhaps more, to `sink`; together they lead to a committed
 * state, but one by one they may go back and forth.  0, an errno of the sink or a file call, or EBADMSG. */
int fl_read(struct follow *f, jr_sink *sink, void *context);

/* Nothing of the log from record number `seq` on had been given up when this was called: so nothing that was read
 * before has been overwritten meanwhile. */
int fl_has(struct follow *f, uint64_t seq);

/* Hands the log's records alone to `sink`.  0, an errno or EBADMSG. */
int fl_read_log(struct follow *f, jr_sink *sink, void *context);

#endif
