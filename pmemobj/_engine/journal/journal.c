/*
 * journal.c: the running journal.  See journal.h for its invariants, journal_private.h for the file.
 *
 * The segments form a ring.  From the oldest live one (`oldest`) to the one being written (`current`) they
 * hold records, all others are free:
 *
 *     FREE -> CURRENT             the appender, when the one before it is full
 *     CURRENT -> SEALED           likewise; its last record is a "continued" record
 *     SEALED -> RECYCLED -> FREE  the checkpointer: applied and synced; new salt in memory -> header synced
 *     PREPARING -> FREE           the keeper: allocated and synced; in the ring in memory -> header synced
 *
 * The appender only ever takes a FREE segment, so what it writes to is named by a synced header.
 *
 * Threads and who owns what:
 *   appender       one at a time: with a ring whoever drains it; head, end, seq, salt, link, through of
 *                  struct jr; moves `current`
 *   checkpointer   applies sealed segments; moves `oldest`
 *   keeper         interval syncs; adds, moves and removes segments, so it alone changes the length of the file
 *   anybody        jr_sync
 * Locks, outermost first: header_lock (one header update at a time), then sync_lock or lock.  `lock` guards
 * the ring and all requests between the threads, and is never held during a file call.  pool_lock is held
 * during the syncs of the pool file and nothing else; change_lock while it is written to without a record.
 *
 * One sync at a time on each descriptor: the kernel reports a failed writeback to one caller only, so with
 * two at once the other would take its records for durable.  A failure is recorded in `failed` before the
 * next sync can start.
 */
#define _GNU_SOURCE
#include "journal_append.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "files/io.h"
#include "journal_private.h"
#include "layout.h"
#include "threads.h"

/* At one step of JR_STEP_WORDS, by slow_down. */
#define LONGEST_PAUSE_NS 8e6

/* ------------------------------------------------------------------ failure and sync -------------- */

int jr_fail(struct jr *j, int error)
{
    struct jr_private *p = j->priv;
    int none = 0;
    atomic_compare_exchange_strong(&j->failed, &none, error);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return jr_failed(j);
}

/* The pages the appender has done with, in all live segments.  With a ring also those it may be writing just now: the
 * merger does not mind a page fault.  Only between the start and the end of a sync: no segment can become free
 * meanwhile, and so none is unmapped, because that needs a sync of the header. */
static void drop_written_pages(struct jr_private *p)
{
    pthread_mutex_lock(&p->lock);
    for (struct segment *s = p->oldest;; s = s->next) {
        uint64_t from = s->dropped, done = s == p->current ? p->reached * 8 : s->bytes;
        uint64_t to = done = done / JR_SEGMENT_ALIGN * JR_SEGMENT_ALIGN;
        if (p->front && s == p->current)
            to = jr_round_up(p->may_reach * 8);
        if (from < to) {
            s->dropped = done;
            pthread_mutex_unlock(&p->lock);
            jr_drop_pages((char *)s->map + from, to - from);
            pthread_mutex_lock(&p->lock);
        }
        if (s == p->current)
            break;
    }
    pthread_mutex_unlock(&p->lock);
}

/* The part of a segment that may hold records which are not synced. */
struct unsynced {
    struct segment *segment;
    uint64_t salt, from, to;
    uint64_t complete;              /* up to here nothing will change any more */
};

/* At most `n` of them, the oldest first. */
static unsigned find_unsynced(struct jr_private *p, struct unsynced *out, unsigned n)
{
    unsigned found = 0;
    pthread_mutex_lock(&p->lock);
    for (struct segment *s = p->oldest; found < n; s = s->next) {
        uint64_t to = s == p->current ? p->may_reach * 8 : s->bytes;
        uint64_t complete = s == p->current ? p->reached * 8 : s->bytes;
        if (s->synced < to)
            out[found++] = (struct unsynced){s, s->salt, s->synced, to, complete};
        if (s == p->current)
            break;
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

/* With a ring the file is not synced as a whole, since that would write the ring, too.  What `sync` has to do
 * is found after `upto` was read: a record up to there lies in what is found.  The sync of a new part of the file
 * makes durable what is needed to find it again, so the length of the file as well. */
static int sync_parts(struct jr_private *p, unsigned what)
{
    struct unsynced parts[JR_MAX_SEGMENTS];
    unsigned n = find_unsynced(p, parts, JR_MAX_SEGMENTS);
    int error = what & JR_SYNC_HEADER ? io_msync(p->front, 2 * JR_SLOT_BYTES) : 0;
    if (!error && what & JR_SYNC_SIZE)
        error = io_msync(p->added->map, p->added->bytes);
    for (unsigned i = 0; i < n && !error; i++) {
        uint64_t from = parts[i].from / JR_SEGMENT_ALIGN * JR_SEGMENT_ALIGN;
        error = io_msync((char *)parts[i].segment->map + from, parts[i].to - from);
    }
    if (error)
        return error;
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < n; i++)
        if (parts[i].segment->salt == parts[i].salt)    /* else it has been recycled meanwhile */
            parts[i].segment->synced = parts[i].complete;
    pthread_mutex_unlock(&p->lock);
    return 0;
}

static int sync_all(struct jr_private *p, unsigned what)
{
    return p->front ? sync_parts(p, what) : io_fdatasync(p->fd);
}

int jr_sync_file(struct jr *j, uint64_t target, enum jr_sync_what what)
{
    struct jr_private *p = j->priv;
    int error;
    pthread_mutex_lock(&p->sync_lock);
    uint64_t ticket = what ? p->syncs_started + 1 : 0;
    p->sync_what |= what;
    while (!(error = jr_failed(j)) &&
           (p->syncs_done < ticket || atomic_load_explicit(&j->synced, memory_order_relaxed) < target)) {
        if (p->syncing) {
            pthread_cond_wait(&p->sync_ended, &p->sync_lock);
            continue;
        }
        uint64_t number = ++p->syncs_started;
        uint64_t upto = atomic_load_explicit(&j->appended, memory_order_acquire);
        unsigned all = p->sync_what;
        p->sync_what = 0;
        p->syncing = true;
        pthread_mutex_unlock(&p->sync_lock);
        drop_written_pages(p);
        if ((error = jr_files_are_lost(p) ? ESTALE : sync_all(p, all)))
            jr_fail(j, error);
        pthread_mutex_lock(&p->sync_lock);
        if (!error) {
            p->syncs_done = number;
            atomic_store_explicit(&j->synced, upto, memory_order_release);
        }
        p->syncing = false;
        pthread_cond_broadcast(&p->sync_ended);
    }
    pthread_mutex_unlock(&p->sync_lock);
    return error;
}

int jr_sync(struct jr *j)
{
    int error = jr_drain(j);
    uint64_t target = atomic_load_explicit(&j->appended, memory_order_acquire);
    if (error || atomic_load_explicit(&j->synced, memory_order_acquire) >= target)
        return error;
    return jr_sync_file(j, target, JR_SYNC_RECORDS);
}

/* After a sync that failed, what had not reached the disk counts as clean, and a later sync would prove nothing.  A
 * recovery applies records again, which makes their pages dirty, but nobody else knows the range that is owed. */
static void make_dirty_again(struct jr_private *p, uint64_t at, uint64_t length)
{
    char piece[JR_SEGMENT_ALIGN];
    for (uint64_t n, got; length; at += n, length -= n) {
        n = length < sizeof piece ? length : sizeof piece;
        if (io_read_all(p->pool.fd, piece, n, (off_t)at, &got) || got != n ||
            io_write_all(p->pool.fd, piece, n, (off_t)at))
            return;
    }
}

int jr_sync_pool(struct jr *j)
{
    struct jr_private *p = j->priv;
    pthread_mutex_lock(&p->pool_lock);
    int error = jr_failed(j);
    if (!error && (error = jr_target_sync(&p->pool))) {
        make_dirty_again(p, atomic_load(&p->owed_at), atomic_load(&p->owed_length));
        make_dirty_again(p, p->identity.root_at + offsetof(pm_root, ranges), p->identity.root_at ? 8 : 0);
        jr_fail(j, error);
    }
    pthread_mutex_unlock(&p->pool_lock);
    return error;
}

static int sync_header(void *j) { return jr_sync_file(j, 0, JR_SYNC_HEADER); }

int jr_update_header(struct jr *j, uint64_t durable_through)
{
    struct jr_private *p = j->priv;
    struct jr_header *h = &p->header;
    if (durable_through)
        h->durable_through = durable_through;
    pthread_mutex_lock(&p->lock);
    const struct segment *s = p->oldest;
    h->first_seq = s->first_seq;
    h->link = s->link;
    h->ring_through = s->through;
    memset(h->segment, 0, sizeof h->segment);
    h->segments = 0;
    do {
        h->segment[h->segments++] = (struct jr_header_segment){s->offset, s->bytes, s->salt};
        s = s->next;
    } while (s != p->oldest);
    pthread_mutex_unlock(&p->lock);
    int error = jr_header_update(p->fd, h, 0, sync_header, j);
    return error ? jr_fail(j, error) : 0;
}

int jr_lock_change(struct jr *j, enum pf_range range, uint64_t seq)
{
    struct jr_private *p = j->priv;
    if (range == PF_SNAPSHOTS)
        pthread_mutex_lock(&p->change_lock);
    int error = pf_lock_change(p->pool.fd, range, p->header.epoch, seq);
    if (error && range == PF_SNAPSHOTS)
        pthread_mutex_unlock(&p->change_lock);
    return error ? JR_HELD : 0;
}

void jr_unlock_change(struct jr *j, enum pf_range range)
{
    pf_unlock_change(j->priv->pool.fd, range);
    if (range == PF_SNAPSHOTS)
        pthread_mutex_unlock(&j->priv->change_lock);
}

int jr_begin_holes(struct jr *j) { return jr_lock_change(j, PF_SNAPSHOTS, j->seq - 1); }
void jr_end_holes(struct jr *j) { jr_unlock_change(j, PF_SNAPSHOTS); }

/* ------------------------------------------------------------------ appender ---------------------- */

/* Lets the appender go on in the current segment for at least `need` words, which are there; lock held. */
static void advance_end(struct jr *j, uint64_t need)
{
    struct jr_private *p = j->priv;
    uint64_t at = (uint64_t)(j->head - p->current->map), all = jr_words_of(p->current);
    uint64_t end = at + (need > JR_STEP_WORDS ? need : JR_STEP_WORDS);
    if (end > all || all - end < JR_STEP_WORDS / 2)
        end = all;
    j->end = p->current->map + end;
    p->reached = at;
    p->may_reach = end;
    if (p->current->next->state != SEG_FREE && p->ahead == AHEAD_NO)
        p->ahead = AHEAD_WANTED;
    if (p->ahead == AHEAD_WANTED)
        pthread_cond_signal(&p->keeper_work);
}

/* Ends the current segment and goes on in the next one, which is free; lock held. */
static void switch_segment(struct jr *j, uint64_t need)
{
    struct jr_private *p = j->priv;
    struct segment *old = p->current, *next = old->next;
    jr_commit(j, 0, j->through);
    old->used = j->head;
    old->state = SEG_SEALED;
    p->sealed++;
    p->continued++;
    uint64_t bytes = (uint64_t)(old->used - old->map) * 8;
    p->backlog += bytes;
    p->bytes_sealed += bytes;
    next->state = SEG_CURRENT;
    next->first_seq = j->seq;
    next->link = j->link;
    next->through = j->through;
    next->generation = ++p->pages.generation;
    p->current = next;
    p->ahead = AHEAD_NO;
    j->salt = next->salt;
    j->head = next->map;
    advance_end(j, need);
    pthread_cond_signal(&p->checkpointer_work);
}

/* True while the checkpointer may still free a segment for a request made at `kick`; lock held. */
static bool checkpointer_may_help(const struct jr_private *p, uint64_t kick)
{
    return p->sealed && !(p->stalled && p->tried >= kick);
}

static uint64_t kick_checkpointer(struct jr_private *p)
{
    pthread_cond_signal(&p->checkpointer_work);
    return ++p->kick;
}

/* Switches to a segment with room for `need` words, waiting for one to become free and, if `grow`, for the
 * keeper to provide one.  0 or an errno with nothing changed; lock held. */
static int next_segment(struct jr *j, uint64_t need, bool grow)
{
    struct jr_private *p = j->priv;
    uint64_t kick = 0;
    int error;
    while (!(error = jr_failed(j)) && !jr_takes(p->current->next, need)) {
        if (!kick) {
            kick = kick_checkpointer(p);
            p->waits++;
            if (grow) {
                p->ask = need;
                p->answer = ANSWER_PENDING;
                pthread_cond_signal(&p->keeper_work);
            }
        } else if (p->answer == ANSWER_PENDING || p->answer == ANSWER_BUSY ||
                   p->current->next->state == SEG_PREPARING || checkpointer_may_help(p, kick)) {
            pthread_cond_wait(&p->changed, &p->lock);
        } else if (!p->sealed && p->current->next->state == SEG_FREE && jr_words_of(p->current) >= need) {
            /* only the current segment is large enough: have it freed */
            switch_segment(j, 0);
            kick = kick_checkpointer(p);
            p->answer = ANSWER_PENDING;
            pthread_cond_signal(&p->keeper_work);   /* a checkpointer without disk space would not do that */
        } else {
            /* the keeper's is mostly that of the limit */
            error = p->stalled ? p->stalled : grow && p->answer_error ? p->answer_error : ENOSPC;
            break;
        }
    }
    p->ask = 0;
    p->answer = ANSWER_NONE;
    if (!error)
        switch_segment(j, need);
    return error;
}

/* An appender that outruns the disk waits a little at each step, the longer the fuller the journal is, rather
 * than for a whole segment when all are full; lock held, released meanwhile. */
static void slow_down(struct jr_private *p)
{
    uint64_t live = p->backlog + p->reached * 8, half = p->options.limit / 2;
    if (live <= half || !checkpointer_may_help(p, p->kick))
        return;
    double over = live >= 2 * half ? 1 : (double)(live - half) / (double)half;
    struct timespec until = jr_monotonic_after((uint64_t)(LONGEST_PAUSE_NS * over * over));
    p->waits++;
    pthread_cond_timedwait(&p->changed, &p->lock, &until);
}

int jr_make_room(struct jr *j, uint64_t words)
{
    struct jr_private *p = j->priv;
    int error = jr_failed(j);
    if (error)
        return error;
    if (words > UINT32_MAX)
        return EFBIG;
    uint64_t need = words + 2 * JR_HEADER_WORDS;
    pthread_mutex_lock(&p->lock);
    if (jr_words_of(p->current) - (uint64_t)(j->head - p->current->map) >= need) {
        advance_end(j, need);
        slow_down(p);
    } else {
        error = next_segment(j, need, true);
    }
    pthread_mutex_unlock(&p->lock);
    return error;
}

int jr_checkpoint(struct jr *j)
{
    struct jr_private *p = j->priv;
    int error = jr_drain(j);
    if (!error)
        error = jr_failed(j);
    if (!error)
        error = jr_check_pool(j);
    if (error)
        return error;
    pthread_mutex_lock(&p->lock);
    if (j->head != p->current->map)
        error = next_segment(j, 2 * JR_HEADER_WORDS, false);
    uint64_t kick = kick_checkpointer(p);
    while (!error && p->sealed && !(error = jr_failed(j))) {
        if (checkpointer_may_help(p, kick))
            pthread_cond_wait(&p->changed, &p->lock);
        else
            error = p->stalled;
    }
    pthread_mutex_unlock(&p->lock);
    return error;
}

void jr_begin_checkpoint(struct jr *j)
{
    struct jr_private *p = j->priv;
    pthread_mutex_lock(&p->lock);
    bool under_way = p->sealed;
    pthread_mutex_unlock(&p->lock);
    if (under_way || jr_drain(j))
        return;
    pthread_mutex_lock(&p->lock);
    if (!p->sealed && j->head != p->current->map && jr_takes(p->current->next, 2 * JR_HEADER_WORDS))
        switch_segment(j, 0);
    pthread_mutex_unlock(&p->lock);
}

void jr_await_checkpoint(struct jr *j, uint64_t ns)
{
    struct jr_private *p = j->priv;
    struct timespec until = jr_monotonic_after(ns);
    pthread_mutex_lock(&p->lock);
    uint64_t seen = p->checkpoints;
    while (p->checkpoints == seen && checkpointer_may_help(p, p->kick) && !jr_failed(j))
        if (pthread_cond_timedwait(&p->changed, &p->lock, &until))
            break;
    pthread_mutex_unlock(&p->lock);
}

static bool touches(const struct segment *s, const uint64_t *end, uint64_t from, uint64_t to)
{
    for (const uint64_t *at = s->map; at < end;) {
        const uint64_t *behind = at + JR_HEADER_WORDS + (uint32_t)at[3];
        for (at += JR_HEADER_WORDS; at < behind; at += 1 + (*at & JR_EXTENT_MAX)) {
            uint64_t offset = *at >> 16;
            if (offset < to && from < offset + (*at & JR_EXTENT_MAX) * 8)
                return true;
        }
    }
    return false;
}

/* True when a record that is still to be applied says something about the range.  Only the appender starts
 * new segments, so holding the lock keeps all that is read here as it is. */
static bool is_journalled(struct jr *j, uint64_t from, uint64_t to)
{
    struct jr_private *p = j->priv;
    bool found = false;
    pthread_mutex_lock(&p->lock);
    for (struct segment *s = p->oldest; !found; s = s->next) {
        found = touches(s, s == p->current ? j->head : s->used, from, to);
        if (s == p->current)
            break;
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

int jr_write_direct(struct jr *j, const void *data, uint64_t offset, uint64_t length, uint64_t *mark)
{
    struct jr_private *p = j->priv;
    int error = jr_failed(j);
    if (error || length == 0)
        return error;
    if (offset > p->pool.size || length > p->pool.size - offset)
        return EINVAL;
    /* The range may have been in use before.  What freed it must be durable before it is overwritten, and no
     * record about its former content may be applied, or replayed, after it. */
    if ((error = jr_sync(j)) || (error = jr_settle_ranges(j)))     /* of an operation that was undone, perhaps */
        return error;
    if (is_journalled(j, offset, offset + length) && (error = jr_checkpoint(j)))
        return error;
    if ((error = jr_check_pool(j)))
        return error;
    /* Who has read all records so far knows the range as free. */
    if ((error = jr_lock_change(j, PF_SNAPSHOTS, j->seq - 1)))
        return error;
    jr_note_range(&p->pages, offset, length);
    if (!(error = jr_target_store(&p->pool, data, offset, length)))
        error = jr_mark_pool(j, offsetof(pm_root, ranges), p->ranges + 1);
    jr_unlock_change(j, PF_SNAPSHOTS);
    if (!error)
        *mark = PM_MARK(p->identity.epoch, ++p->ranges);
    else
        return io_is_no_space(error) ? error : jr_fail(j, error);
    if (!j->ring.merger)
        return jr_sync_pool(j);
    /* The record goes to the ring, which counts for as long as the page cache does: until it goes to the log, that is
     * soon enough.  Before that record, so whoever sees it sees this. */
    atomic_store(&p->owed_at, offset);
    atomic_store(&p->owed_length, length);
    atomic_store_explicit(&p->ranges_owed, true, memory_order_release);
    return 0;
}

int jr_settle_ranges(struct jr *j)
{
    struct jr_private *p = j->priv;
    if (!atomic_exchange_explicit(&p->ranges_owed, false, memory_order_acq_rel))
        return 0;
    int error = jr_sync_pool(j);
    if (!error)
        atomic_store(&p->owed_length, 0);
    return error;
}

/* ------------------------------------------------------------------ start and stop ---------------- */

static void free_segments(struct jr_private *p)
{
    struct segment *s = p->oldest;
    if (p->added) {
        munmap(p->added->map, p->added->bytes);
        free(p->added);
    }
    for (uint64_t i = 0; i < p->segments; i++) {
        struct segment *next = s->next;
        munmap(s->map, s->bytes);
        free(s);
        s = next;
    }
}

static void free_journal(struct jr *j)
{
    struct jr_private *p = j->priv;
    if (p) {
        jr_ring_close(j);
        free_segments(p);
        if (p->front)
            munmap(p->front, p->segments_at);
        jr_target_close(&p->pool);
        jr_pages_close(&p->pages);
        if (p->fd >= 0)
            io.close(p->fd);
        pthread_cond_destroy(&p->changed);
        pthread_cond_destroy(&p->keeper_work);
        pthread_cond_destroy(&p->checkpointer_work);
        pthread_cond_destroy(&p->sync_ended);
        pthread_mutex_destroy(&p->lock);
        pthread_mutex_destroy(&p->sync_lock);
        pthread_mutex_destroy(&p->pool_lock);
        pthread_mutex_destroy(&p->change_lock);
        pthread_mutex_destroy(&p->header_lock);
        free(p->path);
    }
    free(p);
    free(j);
}

static struct jr *new_journal(const char *path, const struct jr_options *options)
{
    struct jr *j = aligned_alloc(64, (sizeof *j + 63) / 64 * 64);
    if (!j)
        return NULL;
    memset(j, 0, sizeof *j);
    j->sync = options->sync;
    j->seq = 1;
    struct jr_private *p = j->priv = calloc(1, sizeof *p);
    if (!p) {
        free(j);
        return NULL;
    }
    p->fd = -1;
    p->options = *options;
    p->options.first_segment = jr_round_up(options->first_segment ? options->first_segment : 1);
    p->last_size = p->options.first_segment;
    p->ring_bytes = jr_round_up(options->ring);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->keeper_work, &monotonic);
    pthread_cond_init(&p->changed, &monotonic);
    pthread_cond_init(&p->checkpointer_work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&p->sync_ended, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->sync_lock, NULL);
    pthread_mutex_init(&p->pool_lock, NULL);
    pthread_mutex_init(&p->change_lock, NULL);
    pthread_mutex_init(&p->header_lock, NULL);
    p->path = strdup(path);
    if (!p->path) {
        free_journal(j);
        return NULL;
    }
    return j;
}

static int no_sync(void *unused)
{
    (void)unused;
    return 0;
}

/* Space for the headers and the ring; the ring's is not written, so that the file's first sync is short. */
static int make_front(struct jr_private *p)
{
    int error = jr_zero_fill(p->fd, 0, JR_SEGMENTS_AT);
    if (error || !p->ring_bytes)
        return error;
    error = io_fallocate(p->fd, 0, JR_SEGMENTS_AT, (off_t)p->ring_bytes);
    if (error == EOPNOTSUPP || error == ENOSYS)
        error = jr_zero_fill(p->fd, JR_SEGMENTS_AT, p->segments_at);
    if (error)
        return error;
    p->front = io.mmap(NULL, p->segments_at, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    if (p->front == MAP_FAILED) {
        p->front = NULL;
        return errno;
    }
    return jr_new_salt(&p->header.ring_salt);
}

/* The complete file, synced, under a name that nobody reads. */
static int make_file(struct jr *j, const char *temporary, int pool_fd, const struct jr_identity *identity)
{
    struct jr_private *p = j->priv;
    struct jr_header *h = &p->header;
    struct stat st;
    if (fstat(pool_fd, &st) < 0)
        return errno;
    int error = io_open(&p->fd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, st.st_mode & 0666);
    if (error) {
        p->fd = -1;
        return error;
    }
    p->file_end = p->segments_at + 2 * p->options.first_segment;
    if ((error = make_front(p)) || (error = jr_make_space(p, p->segments_at, p->file_end)))
        return error;
    struct segment **link = &p->oldest;
    for (uint64_t i = 0; i < 2; i++) {
        struct segment *s = jr_new_segment(p, p->segments_at + i * p->options.first_segment,
                                           p->options.first_segment, &error);
        if (!s)
            return error;
        *link = s;
        link = &s->next;
        p->segments++;
        h->segment[i] = (struct jr_header_segment){s->offset, s->bytes, s->salt};
    }
    *link = p->oldest;
    memcpy(h->pool_uuid, identity->pool_uuid, sizeof h->pool_uuid);
    h->epoch = identity->epoch;
    h->run_id = identity->run_id;
    h->base_applied = identity->applied;
    h->pid = (uint64_t)getpid();
    h->state = JR_LIVE;
    h->ring_bytes = p->ring_bytes;
    h->first_seq = 1;
    h->segments = p->segments;
    if (!(error = jr_header_update(p->fd, h, 0, no_sync, NULL)))
        error = io_fsync(p->fd);
    return error;
}

static void stop_threads(struct jr_private *p, bool keeper_too)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->checkpointer_work);
    pthread_cond_broadcast(&p->keeper_work);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->checkpointer, NULL);
    if (keeper_too)
        pthread_join(p->keeper, NULL);
}

static int start_threads(struct jr *j)
{
    struct jr_private *p = j->priv;
    int error = pm_thread_start(&p->checkpointer, jr_checkpointer_main, j);
    if (error)
        return error;
    error = pm_thread_start(&p->keeper, jr_keeper_main, j);
    bool keeper = !error;
    if (error || (error = jr_ring_start(j)))
        stop_threads(p, keeper);
    return error;
}

static int publish(struct jr_private *p, const char *temporary)
{
    int error = io_rename(temporary, p->path);
    return error ? error : io_sync_directory_of(p->path);
}

int jr_start(struct jr **out, const char *path, int pool_fd, uint64_t pool_size,
             const struct jr_identity *identity, const struct jr_options *options)
{
    struct jr *j = new_journal(path, options);
    if (!j)
        return ENOMEM;
    struct jr_private *p = j->priv;
    int error = jr_boot_id(p->header.boot_id);
    char *temporary = error ? NULL : malloc(strlen(path) + sizeof ".new");
    if (!temporary) {
        free_journal(j);
        return error ? error : ENOMEM;
    }
    /* What is in the ring counts only while the system can be told to be the same. */
    if (!p->header.boot_id[0])
        p->ring_bytes = 0;
    p->segments_at = JR_SEGMENTS_AT + p->ring_bytes;
    sprintf(temporary, "%s.new", path);
    p->identity = *identity;
    error = make_file(j, temporary, pool_fd, identity);
    if (!error)
        error = jr_target_open(&p->pool, pool_fd, pool_size);
    if (!error && options->memory)
        error = jr_pages_open(&p->pages, pool_size, options->memory);
    if (!error && p->front)
        error = jr_ring_open(j, (uint64_t *)(p->front + JR_SEGMENTS_AT), p->ring_bytes, p->header.ring_salt);
    if (!error) {
        p->current = p->oldest;
        p->current->state = SEG_CURRENT;
        p->current->first_seq = 1;
        p->current->generation = p->pages.generation;
        j->head = p->current->map;
        j->salt = p->current->salt;
        advance_end(j, 0);
        if (!(error = publish(p, temporary)))
            error = start_threads(j);
    }
    if (error && p->fd >= 0)
        io_unlink(temporary);   /* unless it has its final name */
    free(temporary);
    if (error)
        free_journal(j);
    else
        *out = j;
    return error;
}

void jr_stop(struct jr *j, int clean)
{
    struct jr_private *p = j->priv;
    jr_ring_stop(j);            /* first: it may be waiting for the others */
    stop_threads(p, true);
    /* the pool has been marked clean: a journal that stays is of no more use and does no harm */
    if (clean && jr_has_its_name(p) && !io_unlink(p->path))
        io_sync_directory_of(p->path);
    free_journal(j);
}

void jr_orphan(struct jr *j)
{
    struct jr_private *p = j->priv;
    struct segment *s = p->oldest;
    atomic_store(&j->failed, ECHILD);
    j->head = j->end = p->nowhere;
    j->ring.merger = NULL;
    j->ring.head = j->ring.end = NULL;      /* no room for anything */
    if (p->front)
        munmap(p->front, p->segments_at);
    for (uint64_t i = 0; i < p->segments; i++, s = s->next)
        munmap(s->map, s->bytes);
    if (p->added)
        munmap(p->added->map, p->added->bytes);
    io.close(p->fd);            /* the mapping of the pool file has not come along */
}

void jr_get_stats(struct jr *j, struct jr_stats *out)
{
    struct jr_private *p = j->priv;
    uint64_t from_ring;
    jr_drain(j);
    bool ring = jr_ring_hold(j, &from_ring);
    pthread_mutex_lock(&p->sync_lock);
    out->syncs = p->syncs_done;
    pthread_mutex_unlock(&p->sync_lock);
    pthread_mutex_lock(&p->lock);
    out->records = ring ? from_ring : j->seq - 1 - p->continued;
    out->bytes_appended = p->bytes_sealed + (uint64_t)(j->head - p->current->map) * 8;
    out->checkpoints = p->checkpoints;
    out->bytes_applied = p->bytes_applied;
    out->segments = p->segments;
    out->journal_bytes = p->file_end;
    out->waits = p->waits;
    pthread_mutex_unlock(&p->lock);
    jr_ring_release(j);
}
