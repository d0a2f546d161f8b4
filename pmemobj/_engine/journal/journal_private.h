/*
 * journal_private.h: what journal.c and journal_threads.c (writing), recovery.c (reading) and target.c (applying) share:
 * the header of the journal file, the reader of records, and the running journal.
 */
#ifndef PM_JOURNAL_PRIVATE_H
#define PM_JOURNAL_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "journal.h"
#include "files/locks.h"
#include "pages.h"
#include "target.h"

/* ------------------------------------------------------------------ the file: DO NOT CHANGE ------- */

/*
 * The file begins with two slots of JR_SLOT_BYTES that hold the same header; then, from JR_SEGMENTS_AT on,
 * the segments.  An update writes one slot, syncs, writes the other, syncs, and only then does anything
 * rely on it.  So at rest either slot alone is enough, and during an update the slot that is not being
 * written holds a header that is still true.  The newest valid slot counts.
 *
 *  OFFSET  SIZE  MEANING
 *       0     8  magic
 *       8     8  XXH3-64 of bytes 16..4095 (in every version, so that a newer one can be told from damage)
 *      16     4  format version
 *      20     4  state: JR_LIVE or JR_EMPTY
 *      24     8  generation: goes up by one at each update
 *      32    16  UUID of the pool
 *      48     8  epoch
 *      56     8  run id of the pool file when this journal was made
 *      64    40  boot id of the system, text, padded with NULs
 *     104     8  process id of the holder
 *     112     8  durable_through: records up to this one were synced, and may be in the pool file; 0: none
 *     120     8  sequence number of the first record of the first segment
 *     128     8  its link
 *     136     8  number of segments
 *     144     8  bytes of the ring, which lies at JR_SEGMENTS_AT, before the segments; 0: none
 *     152     8  its salt
 *     160     8  ring_through of the record before the first segment's first
 *     168     8  ring_durable: the ring was synced up to this position, and may be in the pool file; 0: not
 *     176     8  `applied` of the pool file when this journal was made
 *     184     8  zero
 *     192  24*n  segments {offset, bytes, salt} in ring order, the oldest live one first
 */
#define JR_MAGIC 0x314c4e4a4d454d50ull      /* "PMEMJNL1" */
#define JR_FORMAT_VERSION 1u
#define JR_SLOT_BYTES 4096u
#define JR_SEGMENTS_AT 65536u
#define JR_SEGMENT_ALIGN 65536u             /* of offset and bytes: a multiple of every page size */
#define JR_MAX_SEGMENTS 162u

enum jr_state {
    JR_LIVE = 1,        /* a program writes or wrote records */
    JR_EMPTY = 2        /* everything is in the pool file, synced */
};

struct jr_header_segment {
    uint64_t offset, bytes, salt;
};

struct jr_header {
    uint64_t magic, checksum;
    uint32_t version, state;
    uint64_t generation;
    uint8_t pool_uuid[16];
    uint64_t epoch, run_id;
    char boot_id[40];
    uint64_t pid;
    uint64_t durable_through, first_seq, link;
    uint64_t segments;
    uint64_t ring_bytes, ring_salt, ring_through, ring_durable;
    uint64_t base_applied, zero;
    struct jr_header_segment segment[JR_MAX_SEGMENTS];
    uint64_t pad[2];
};

_Static_assert(offsetof(struct jr_header, segment) == 192, "see the table above");
_Static_assert(sizeof(struct jr_header) == JR_SLOT_BYTES, "a header fills its slot");

/* Gives the header its next generation and puts it in both slots, `first` (0 or 1) before the other one.
 * `sync` makes the file durable; it gives 0 or an errno. */
int jr_header_update(int fd, struct jr_header *header, int first, int (*sync)(void *), void *context);

/* Reads both slots; *newest is the one that counts, or -1 when neither is valid.  0 or an errno. */
int jr_read_slots(int fd, struct jr_header slot[2], int *newest);
int jr_header_is_sound(const struct jr_header *h, uint64_t file_size);

int jr_boot_id(char out[40]);       /* 0 or an errno; all NULs where the system has none */
int jr_new_salt(uint64_t *salt);    /* 0 or an errno */

/* ------------------------------------------------------------------ reading records --------------- */

struct jr_cursor {
    const uint64_t *at, *end;
    uint64_t salt, seq, link;       /* of the record expected at `at` */
    uint64_t through;               /* of the record before it */
};

enum jr_found {
    JR_RECORD,          /* the cursor stands behind it */
    JR_CONTINUED,       /* likewise; the next record is in the next segment */
    JR_INVALID,         /* the cursor has not moved */
    JR_UNCHAINED        /* a valid record with the expected number, but of another predecessor */
};

/* A record that says it is number `seq` and whose checksum agrees; its length in *words. */
int jr_verifies(const uint64_t *at, const uint64_t *end, uint64_t salt, uint64_t seq, uint64_t *words);

/* The extents of a payload lie inside a pool of that size. */
int jr_extents_are_sound(const uint64_t *at, const uint64_t *end, uint64_t pool_size);

enum jr_found jr_next(struct jr_cursor *c, const uint64_t **payload, uint64_t *words);

/* ------------------------------------------------------------------ the running journal ----------- */

/* See journal.c for the states, the threads and the locks. */
/* The appender calls jr_make_room at least once in so many words, which tells the keeper how far it is. */
#define JR_STEP_WORDS 32768u

enum segment_state { SEG_FREE, SEG_CURRENT, SEG_SEALED, SEG_RECYCLED, SEG_PREPARING };

struct segment {
    struct segment *next;           /* the ring */
    uint64_t *map;
    uint64_t offset, bytes, salt;
    uint64_t first_seq, link;       /* of its first record; from CURRENT on */
    uint64_t through;               /* of the record before that */
    uint64_t *used;                 /* one past its last record; from SEALED on */
    uint64_t dropped;               /* bytes from its start whose page table entries have been dropped */
    uint64_t synced;                /* bytes from its start that a sync has seen complete */
    uint32_t generation;            /* see pages.h; from CURRENT on */
    enum segment_state state;
};

enum answer { ANSWER_NONE, ANSWER_PENDING, ANSWER_BUSY, ANSWER_GIVEN };

struct jr_private {
    char *path;
    int fd;
    struct jr_options options;
    struct jr_target pool;          /* its descriptor is the caller's */
    struct jr_identity identity;
    uint64_t ranges;                /* written past the journal; the appender's */
    _Atomic bool ranges_owed;       /* the last one is in the page cache only; see jr_settle_ranges */
    _Atomic uint64_t owed_at, owed_length;
    pthread_t keeper, checkpointer;
    uint64_t nowhere[1];            /* where head and end point in a forked child */

    char *front;                    /* the headers and the ring, mapped; NULL without a ring */
    uint64_t ring_bytes, segments_at;
    bool flushed;                   /* the merger has done what the keeper asked for: sync it (lock) */

    pthread_mutex_t sync_lock;
    pthread_cond_t sync_ended;
    bool syncing;
    unsigned sync_what;             /* enum jr_sync_what, of the next sync */
    struct segment *added;          /* what JR_SYNC_SIZE is about; set by the keeper before it asks for that */
    uint64_t syncs_started, syncs_done;     /* the number of the last one */

    pthread_mutex_t pool_lock;
    pthread_mutex_t change_lock;    /* around PF_SNAPSHOTS: a lock of the file is the descriptor's, not the thread's.
                                     * PF_RECORDS is the checkpointer's */

    pthread_mutex_t header_lock;
    struct jr_header header;        /* as last written */

    pthread_mutex_t lock;
    pthread_cond_t changed;         /* for the appender: something it may be waiting for */
    pthread_cond_t keeper_work, checkpointer_work;
    bool stop;
    struct segment *oldest, *current;
    uint64_t segments, sealed;      /* sealed: those in SEALED or RECYCLED */
    uint64_t last_size;             /* of the last segment that was added */
    uint64_t file_end;
    uint64_t reached;               /* word of the current segment where the appender was last seen */
    uint64_t may_reach;             /* and as far as it may have come since */
    enum { AHEAD_NO, AHEAD_WANTED, AHEAD_DONE } ahead;     /* add a segment before it is needed */
    /* the appender's request to the keeper: a next segment of so many words */
    uint64_t ask;
    enum answer answer;
    int answer_error;
    /* The checkpointer meets a full disk: it waits until `kick` goes beyond what it has tried.  Or readers hold all
     * that is sealed (JR_HELD): it also tries again now and then. */
    uint64_t kick, tried;
    int stalled;

    struct jr_pages pages;
    /* drop.c's */
    bool dropping;                  /* next_block is where to go on */
    uint32_t dropped_through;       /* generation */
    uint64_t next_block, splits, relief_at;

    uint64_t backlog;               /* bytes of records in sealed segments */
    uint64_t bytes_sealed, continued, checkpoints, bytes_applied, waits;
};

static inline int jr_failed(struct jr *j) { return atomic_load_explicit(&j->failed, memory_order_acquire); }

static inline uint64_t jr_words_of(const struct segment *s) { return s->bytes / 8; }

static inline bool jr_takes(const struct segment *s, uint64_t need)
{
    return s->state == SEG_FREE && jr_words_of(s) >= need;
}

static inline uint64_t jr_round_up(uint64_t bytes)
{
    return (bytes + JR_SEGMENT_ALIGN - 1) / JR_SEGMENT_ALIGN * JR_SEGMENT_ALIGN;
}

static inline struct timespec jr_monotonic_after(uint64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    ns += (uint64_t)t.tv_nsec;
    t.tv_sec += (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    return t;
}

static inline bool jr_is_past(const struct timespec *t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

/* Gives the error the journal failed with, which may be an earlier one.  `lock` is not held. */
int jr_fail(struct jr *j, int error);

/* What a sync makes durable beside the records. */
enum jr_sync_what { JR_SYNC_RECORDS = 0, JR_SYNC_HEADER = 1, JR_SYNC_SIZE = 2 };

/* Returns when `synced` has reached target and, unless `what` is JR_SYNC_RECORDS, a sync of that has ended which
 * began after this call. */
int jr_sync_file(struct jr *j, uint64_t target, enum jr_sync_what what);
int jr_sync_pool(struct jr *j);

/* The same if a range has been written since that the ring's records may rely on: before they go to the log. */
int jr_settle_ranges(struct jr *j);

/* Whoever relies on a sync relies on files that can be found again.  A journal that has been exchanged for another
 * one is found when it is to be removed.  `lock` is not held. */
bool jr_files_are_lost(struct jr_private *p);
bool jr_has_its_name(const struct jr_private *p);   /* which leads to no other file that somebody has put there */

/* 0, or ESTALE when the pool file is no longer what it was.  Before anything is written to it. */
int jr_check_pool(struct jr *j);
int jr_mark_pool(struct jr *j, size_t field, uint64_t number);      /* field: offset in pm_root; 0 or an errno */

/* Writes the ring as it is now; header_lock is held.  durable_through 0 leaves that field as it was. */
int jr_update_header(struct jr *j, uint64_t durable_through);

/* Leave to apply the records up to `seq`, or to write to what they leave free, or JR_HELD: see locks.h. */
int jr_lock_change(struct jr *j, enum pf_range range, uint64_t seq);
void jr_unlock_change(struct jr *j, enum pf_range range);

/* The merger is to drain the ring, and then to have the keeper sync the log.  Without a ring: false. */
bool jr_ring_flush(struct jr *j);
void jr_flushed(struct jr *j);          /* its answer */

/* Keeps everybody from appending to the log until the release.  False: there is no ring, and nothing is held. */
bool jr_ring_hold(struct jr *j, uint64_t *records);
void jr_ring_release(struct jr *j);

int jr_ring_open(struct jr *j, uint64_t *map, uint64_t bytes, uint64_t salt);
int jr_ring_start(struct jr *j);        /* the merger, if there is a ring */
void jr_ring_stop(struct jr *j);
void jr_ring_close(struct jr *j);       /* when no thread of the journal runs */

int jr_zero_fill(int fd, uint64_t from, uint64_t to);

/* Disk space for segments.  Where each commit waits for a sync it is filled with zeros: a sync of blocks that have
 * never been written changes the file system's metadata as well, and takes twice as long.  With a ring nobody waits
 * for that, and an appender may wait for the space. */
int jr_make_space(struct jr_private *p, uint64_t from, uint64_t to);
struct segment *jr_new_segment(struct jr_private *p, uint64_t offset, uint64_t bytes, int *error);

void *jr_checkpointer_main(void *journal);
void *jr_keeper_main(void *journal);

#endif
