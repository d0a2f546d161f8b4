/*
 * journal_threads.c: the two background threads of a running journal.  The rules they keep (states of a
 * segment, locks, one sync at a time) open journal.c.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "files/io.h"
#include "files/poolfile.h"
#include "journal_private.h"
#include "layout.h"

/* New space is zero-filled in writes of this size.  The page cache keeps it in folios as large as the write, and a sync
 * writes a folio of which a word has changed as a whole: one big write makes each sync write megabytes, while small folios
 * cost a page fault each. */
#define FILL_PIECE 16384u

#define AT_LIMIT_SIZE 0u
#define SPARE_BYTES (1u << 20)      /* of the disk, for granules of the pool file that are begun */
#define HELD_PAUSE_NS 10000000u     /* until readers are looked for again */
#define BEHIND 5                    /* nice levels: a third of the others' share of a processor that is in demand */

/* ------------------------------------------------------------------ checkpointer ------------------ */

/* Applies `count` sealed segments from `first` on.  Their records are immutable, and durable by now. */
static int apply_segments(struct jr *j, const struct segment *first, uint64_t count)
{
    struct jr_private *p = j->priv;
    const uint64_t *payload;
    uint64_t words;
    for (; count; count--, first = first->next) {
        struct jr_cursor c = {first->map, first->used, first->salt, first->first_seq, first->link,
                              first->through};
        enum jr_found found;
        while ((found = jr_next(&c, &payload, &words)) == JR_RECORD) {
            int error = jr_apply(&p->pool, payload, words);
            if (error)
                return error;
        }
        if (found != JR_CONTINUED)
            return EBADMSG;     /* somebody has overwritten the mapped journal */
    }
    return 0;
}

/* The order is the safety; see invariants 2 and 3 of journal.h. */
static int checkpoint_segments(struct jr *j, struct segment *first, uint64_t count, uint64_t last_seq)
{
    struct jr_private *p = j->priv;
    int error = jr_sync_file(j, last_seq, JR_SYNC_RECORDS);
    if (error)
        return error;
    pthread_mutex_lock(&p->header_lock);
    error = jr_update_header(j, last_seq);
    pthread_mutex_unlock(&p->header_lock);
    if (error)
        return error;
    if ((error = jr_check_pool(j)))
        return error;
    if ((error = jr_lock_change(j, PF_RECORDS, last_seq)))
        return error;
    jr_target_prepare(&p->pool);
    if (!(error = apply_segments(j, first, count)))
        error = jr_mark_pool(j, offsetof(pm_root, applied), last_seq);
    jr_unlock_change(j, PF_RECORDS);    /* before the sync, which is long and changes nothing */
    if (error)
        return io_is_no_space(error) ? error : jr_fail(j, error);
    if ((error = jr_sync_pool(j)))
        return error;

    uint64_t salts[JR_MAX_SEGMENTS], recycled = 0;
    for (uint64_t i = 0; i < count; i++)
        if ((error = jr_new_salt(&salts[i])))
            return jr_fail(j, error);
    pthread_mutex_lock(&p->header_lock);
    pthread_mutex_lock(&p->lock);
    for (uint64_t i = 0; i < count; i++, p->oldest = p->oldest->next) {
        recycled += (uint64_t)(p->oldest->used - p->oldest->map) * 8;
        p->oldest->salt = salts[i];
        p->oldest->dropped = p->oldest->synced = 0;
        p->oldest->state = SEG_RECYCLED;
    }
    pthread_mutex_unlock(&p->lock);
    error = jr_update_header(j, 0);
    pthread_mutex_lock(&p->lock);
    if (!error) {
        for (struct segment *s = first; s != p->oldest; s = s->next) {
            atomic_store_explicit(&p->pages.applied, s->generation, memory_order_release);
            s->state = SEG_FREE;
        }
        p->sealed -= count;
        p->backlog -= recycled;
        p->bytes_applied += recycled;
        p->checkpoints++;
        if (p->answer != ANSWER_NONE)
            p->answer = ANSWER_PENDING;     /* a free segment may do now */
        pthread_cond_signal(&p->keeper_work);
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->header_lock);
    return error;
}

/* Of so many sealed segments from `first` on, how many no reader needs to be left unapplied; *last_seq is the last
 * record of these. */
static uint64_t not_held(const struct jr_private *p, const struct segment *first, uint64_t count, uint64_t *last_seq)
{
    uint64_t may = pf_may_apply(p->pool.fd, p->header.epoch, *last_seq), n = 0;
    for (; n < count && first->next->first_seq - 1 <= may; first = first->next, n++)
        *last_seq = first->next->first_seq - 1;
    return n;
}

/* What the last attempt came to; lock held. */
static void note_attempt(struct jr_private *p, int error, uint64_t kick)
{
    if (error == JR_HELD && p->stalled != JR_HELD) {
        if (p->answer != ANSWER_NONE)
            p->answer = ANSWER_PENDING;     /* the limit does not count now */
        pthread_cond_signal(&p->keeper_work);
    }
    p->stalled = error;
    p->tried = kick;
    pthread_cond_broadcast(&p->changed);
}

void *jr_checkpointer_main(void *arg)
{
    struct jr *j = arg;
    prctl(PR_SET_NAME, "pm-checkpoint");
    /* Nobody waits for it before the log is half full: on few processors the program and the merger go first.  Linux
     * has a priority for each thread. */
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + BEHIND);
    struct jr_private *p = j->priv;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if (!p->sealed || jr_failed(j) || (p->stalled && p->stalled != JR_HELD && p->tried >= p->kick)) {
            pthread_cond_wait(&p->checkpointer_work, &p->lock);
            continue;
        }
        if (p->stalled == JR_HELD && p->tried >= p->kick) {
            struct timespec until = jr_monotonic_after(HELD_PAUSE_NS);
            pthread_cond_timedwait(&p->checkpointer_work, &p->lock, &until);
            if (p->stop || jr_failed(j))
                continue;
        }
        struct segment *first = p->oldest, *s = first;
        uint64_t count = 0, kick = p->kick;
        for (; s->state == SEG_SEALED; s = s->next)
            count++;
        uint64_t last_seq = s->first_seq - 1;
        pthread_mutex_unlock(&p->lock);
        count = not_held(p, first, count, &last_seq);
        int error = count ? checkpoint_segments(j, first, count, last_seq) : JR_HELD;
        pthread_mutex_lock(&p->lock);
        note_attempt(p, error, kick);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ------------------------------------------------------------------ keeper ------------------------ */

int jr_zero_fill(int fd, uint64_t from, uint64_t to)
{
    static char zeros[FILL_PIECE];
    int error = 0;
    for (; from < to && !error; from += FILL_PIECE)
        error = io_write_all(fd, zeros, to - from < FILL_PIECE ? to - from : FILL_PIECE, (off_t)from);
    return error;
}

int jr_make_space(struct jr_private *p, uint64_t from, uint64_t to)
{
    int error = p->front ? io_fallocate(p->fd, 0, (off_t)from, (off_t)(to - from)) : EOPNOTSUPP;
    return error == EOPNOTSUPP || error == ENOSYS ? jr_zero_fill(p->fd, from, to) : error;
}

struct segment *jr_new_segment(struct jr_private *p, uint64_t offset, uint64_t bytes, int *error)
{
    struct segment *s = calloc(1, sizeof *s);
    *error = s ? jr_new_salt(&s->salt) : ENOMEM;
    if (!*error) {
        s->offset = offset;
        s->bytes = bytes;
        s->map = io.mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, (off_t)offset);
        if (s->map != MAP_FAILED)
            return s;
        *error = errno;
    }
    free(s);
    return NULL;
}

/* How large a further segment for `need` words would be, or AT_LIMIT_SIZE when there may be none; lock
 * held.  A record larger than every segment gets one of its own whatever the limit. */
static uint64_t further_size(const struct jr_private *p, uint64_t need)
{
    uint64_t total = p->file_end - p->segments_at, least = jr_round_up(need * 8), largest = 0;
    uint64_t size = 2 * p->last_size, left = total < p->options.limit ? p->options.limit - total : 0;
    if (p->stalled == JR_HELD)
        left = UINT64_MAX;
    if (size > p->options.max_segment)
        size = p->options.max_segment;
    if (size > left)
        size = left / JR_SEGMENT_ALIGN * JR_SEGMENT_ALIGN;
    if (size < least)
        size = least;
    const struct segment *s = p->oldest;
    do {
        largest = s->bytes > largest ? s->bytes : largest;
        s = s->next;
    } while (s != p->oldest);
    if (p->segments == JR_MAX_SEGMENTS || (size > left && need * 8 <= largest))
        return AT_LIMIT_SIZE;
    return size;
}

/* Puts s behind the current segment and makes that durable; lock and header_lock are not held. */
static int insert_segment(struct jr *j, struct segment *s, bool is_new)
{
    struct jr_private *p = j->priv;
    pthread_mutex_lock(&p->header_lock);
    pthread_mutex_lock(&p->lock);
    if (is_new) {
        p->segments++;
        p->file_end += s->bytes;
        p->last_size = s->bytes < p->options.max_segment ? s->bytes : p->options.max_segment;
    } else if (s->state != SEG_FREE) {
        s = NULL;               /* the appender has taken it meanwhile */
    } else {
        struct segment *before = s;
        while (before->next != s)
            before = before->next;
        before->next = s->next;
    }
    if (s) {
        s->state = SEG_PREPARING;
        s->next = p->current->next;
        p->current->next = s;
    }
    pthread_mutex_unlock(&p->lock);
    int error = s ? jr_update_header(j, 0) : 0;
    pthread_mutex_lock(&p->lock);
    if (s && !error)
        s->state = SEG_FREE;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->header_lock);
    return error;
}

/* What is in the journal needs space in the pool file before it makes room again: a segment must not take that.  Without
 * it the appender waits for the checkpointer. */
static bool leaves_room(struct jr_private *p, uint64_t bytes)
{
    uint64_t left;
    pthread_mutex_lock(&p->lock);
    uint64_t live = p->backlog + p->reached * 8 + p->ring_bytes;
    pthread_mutex_unlock(&p->lock);
    return pf_free_space(p->fd, &left) || left >= 2 * bytes + live + SPARE_BYTES;
}

/* Nothing depends on the space before the header names it, so a full disk is no failure here: the file gets
 * back its length.  lock is not held. */
static int add_segment(struct jr *j, uint64_t bytes)
{
    struct jr_private *p = j->priv;
    uint64_t from = p->file_end;
    if (!leaves_room(p, bytes))
        return ENOSPC;
    int error = jr_make_space(p, from, from + bytes);
    if (error) {
        int cut = io_is_no_space(error) ? io_ftruncate(p->fd, (off_t)from) : error;
        return cut ? jr_fail(j, cut) : error;
    }
    struct segment *s = p->added = jr_new_segment(p, from, bytes, &error);
    /* when that fails the journal has failed, and jr_stop frees the segment: somebody else may be syncing it */
    if (!s || (error = jr_sync_file(j, 0, JR_SYNC_SIZE)))
        return error;
    p->added = NULL;
    return insert_segment(j, s, true);
}

/* Tries to make the segment behind the current one free and `need` words long; lock held on entry and exit,
 * released meanwhile.  0 or an errno. */
static int provide(struct jr *j, uint64_t need, bool only_add)
{
    struct jr_private *p = j->priv;
    struct segment *best = NULL, *s = p->current;
    uint64_t bytes = AT_LIMIT_SIZE;
    if (jr_takes(p->current->next, need))
        return 0;
    while (!only_add && (s = s->next) != p->current)
        if (jr_takes(s, need) && (!best || s->bytes < best->bytes))
            best = s;
    if (!best && (bytes = further_size(p, need)) == AT_LIMIT_SIZE)
        return p->stalled == JR_HELD ? JR_HELD : ENOSPC;
    pthread_mutex_unlock(&p->lock);
    int error = best ? insert_segment(j, best, false) : add_segment(j, bytes);
    pthread_mutex_lock(&p->lock);
    return error;
}

/* A segment beyond the limit that is free and lies at the end of the file; lock held. */
static struct segment *surplus(const struct jr_private *p)
{
    struct segment *s = p->oldest;
    if (p->file_end - p->segments_at <= p->options.limit || p->segments <= 2 || p->ask || p->stalled == JR_HELD)
        return NULL;
    do {
        if (s->state == SEG_FREE && s->offset + s->bytes == p->file_end)
            return s;
        s = s->next;
    } while (s != p->oldest);
    return NULL;
}

/* Gives the file back to the limit after a record larger than all segments; lock is not held. */
static int remove_surplus(struct jr *j)
{
    struct jr_private *p = j->priv;
    pthread_mutex_lock(&p->header_lock);
    pthread_mutex_lock(&p->lock);
    struct segment *s = surplus(p), *before = s;
    if (s) {
        while (before->next != s)
            before = before->next;
        before->next = s->next;
        p->segments--;
    }
    pthread_mutex_unlock(&p->lock);
    int error = s ? jr_update_header(j, 0) : 0;
    pthread_mutex_unlock(&p->header_lock);
    if (!s)
        return 0;
    munmap(s->map, s->bytes);
    pthread_mutex_lock(&p->lock);
    p->file_end = s->offset;
    pthread_mutex_unlock(&p->lock);
    if (!error && (error = io_ftruncate(p->fd, (off_t)s->offset)))
        jr_fail(j, error);
    free(s);
    return error;
}

static void answer(struct jr_private *p, int error)
{
    p->answer_error = error;
    p->answer = ANSWER_GIVEN;
    pthread_cond_broadcast(&p->changed);
}

/* The keeper does not drain the ring itself: that may have to wait for the keeper. */
void jr_flushed(struct jr *j)
{
    struct jr_private *p = j->priv;
    pthread_mutex_lock(&p->lock);
    p->flushed = true;
    pthread_cond_signal(&p->keeper_work);
    pthread_mutex_unlock(&p->lock);
}

void *jr_keeper_main(void *arg)
{
    struct jr *j = arg;
    prctl(PR_SET_NAME, "pm-keeper");
    struct jr_private *p = j->priv;
    bool timed = p->options.sync == JR_SYNC_INTERVAL;
    struct timespec due = jr_monotonic_after(p->options.interval_ns);
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if (jr_failed(j)) {
            pthread_cond_wait(&p->keeper_work, &p->lock);
        } else if (p->answer == ANSWER_PENDING) {
            uint64_t need = p->ask;
            p->answer = ANSWER_BUSY;        /* pending again as soon as something may change the answer */
            int error = provide(j, need, false);
            if (p->answer == ANSWER_BUSY)
                answer(p, error);
        } else if (p->flushed) {
            p->flushed = false;
            pthread_mutex_unlock(&p->lock);
            jr_sync_file(j, atomic_load_explicit(&j->appended, memory_order_acquire), JR_SYNC_RECORDS);
            pthread_mutex_lock(&p->lock);
        } else if (timed && jr_is_past(&due)) {
            due = jr_monotonic_after(p->options.interval_ns);
            pthread_mutex_unlock(&p->lock);
            bool asked = jr_ring_flush(j);
            pthread_mutex_lock(&p->lock);
            p->flushed |= !asked;
        } else if (p->ahead == AHEAD_WANTED) {
            p->ahead = AHEAD_DONE;
            provide(j, 2 * JR_HEADER_WORDS, true);
        } else if (surplus(p)) {
            pthread_mutex_unlock(&p->lock);
            remove_surplus(j);
            pthread_mutex_lock(&p->lock);
        } else if (timed) {
            pthread_cond_timedwait(&p->keeper_work, &p->lock, &due);
        } else {
            pthread_cond_wait(&p->keeper_work, &p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}
