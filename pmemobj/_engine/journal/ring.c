/*
 * ring.c: room in the ring, and the merger (see ring.h).
 *
 * The merger keeps a table of 64-byte lines with the words that were changed in them.  It holds the changes of
 * whole records only, of all from `merged` to some point, and becomes one record of the log there.
 */
#define _GNU_SOURCE
#include "ring_append.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "journal_private.h"
#include "threads.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define MERGE_LINES 8192u           /* lines of one log record at most, but for the last ring record's */
#define INDEX_CELLS 32768u          /* a power of two, at least three times the lines */
#define LONG_RECORD 2048u           /* words: from here on a record is copied as it is, not merged */
#define POPULATE_PIECE 65536u
#define POPULATE_FROM 65536u         /* bytes of a log record; for less a few page faults will do */
#define HALF_FULL_STEP 1024u         /* words, until the appender looks around: some hundred operations */
#define FULL_STEP 64u                /* a few */
#define LAG_WORDS 3u                 /* that may wait for the merger, for each page of an eighth of the budget of memory */
#define WAIT_NS 1000000u             /* of an appender for the merger, until it looks again */

struct line {
    uint64_t number;                /* offset / 64 */
    uint64_t words[8];
    uint64_t mask;                  /* which of them are set */
};

struct jr_merger {
    pthread_mutex_t lock;           /* of draining, and of the log's appender with it */
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    pthread_cond_t progress;        /* of draining; for an appender without room */
    bool wanted, flush, stop;       /* wake_lock */
    _Atomic bool awaited;           /* somebody waits for progress */
    pthread_t thread;
    struct line lines[MERGE_LINES + LONG_RECORD];
    uint32_t index[INDEX_CELLS];    /* line number + 1, or 0 */
    uint32_t count;
    uint64_t merged_records, records;       /* in the table; in the log */
};

/* ------------------------------------------------------------------ merging ----------------------- */

static void forget(struct jr_merger *m)
{
    if (m->count)
        memset(m->index, 0, sizeof m->index);
    m->count = 0;
    m->merged_records = 0;
}

static struct line *line_of(struct jr_merger *m, uint64_t number)
{
    uint32_t at = (uint32_t)(number * 0x9e3779b97f4a7c15ull >> 32) & (INDEX_CELLS - 1);
    while (m->index[at]) {
        struct line *line = &m->lines[m->index[at] - 1];
        if (line->number == number)
            return line;
        at = (at + 1) & (INDEX_CELLS - 1);
    }
    struct line *line = &m->lines[m->count++];
    m->index[at] = m->count;
    line->number = number;
    line->mask = 0;
    return line;
}

static void merge(struct jr_merger *m, const uint64_t *payload, uint64_t words)
{
    const uint64_t *at = payload, *end = payload + words;
    while (at < end) {
        uint64_t word = *at >> 19, n = *at & JR_EXTENT_MAX;     /* of the pool: offset / 8 */
        at++;
        while (n) {
            struct line *line = line_of(m, word / 8);
            uint64_t first = word % 8, run = 8 - first < n ? 8 - first : n;
            for (uint64_t k = 0; k < run; k++)
                line->words[first + k] = at[k];
            line->mask |= ((1ull << run) - 1) << first;
            at += run;
            word += run;
            n -= run;
        }
    }
}

/* Words that put_lines needs at most. */
static uint64_t bound_of_lines(const struct jr_merger *m)
{
    uint64_t words = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        uint64_t mask = m->lines[i].mask;
        if (mask == 0xff)
            words += 1 + 8;
        else
            for (; mask; mask &= mask - 1)
                words += 1 + 1;
    }
    return words;
}

/* The table as extents: neighbouring words of lines that came one after the other are one. */
static uint64_t *put_lines(const struct jr_merger *m, uint64_t *to)
{
    uint64_t *extent = NULL, first = 0, next = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct line *line = &m->lines[i];
        for (uint64_t mask = line->mask; mask; mask &= mask + (mask & -mask)) {
            unsigned k = (unsigned)__builtin_ctzll(mask), run = (unsigned)__builtin_ctzll(~(mask >> k));
            uint64_t word = line->number * 8 + k;
            if (!extent || word != next || word + run - first > JR_EXTENT_MAX) {
                extent = to++;
                first = word;
            }
            for (unsigned n = 0; n < run; n++)
                to[n] = line->words[k + n];
            to += run;
            next = word + run;
            *extent = JR_EXTENT(first * 8, next - first);
        }
    }
    return to;
}

/* Has the pages of the record that is to be written at the log's head mapped in one go: a fault for each of them takes
 * several times as long.  They are allocated; where it is not possible nothing changes. */
static void populate_record(const struct jr *j, uint64_t words)
{
    uintptr_t from = pm_page_of((uintptr_t)j->head);
    uintptr_t to = pm_page_behind((uintptr_t)(j->head + JR_HEADER_WORDS + words));
    if (words * 8 >= POPULATE_FROM)
        (void)madvise((void *)from, to - from, MADV_POPULATE_WRITE);    /* since Linux 5.14 */
}

static void note_lines(struct jr_merger *m, struct jr_pages *pages)
{
    uint64_t last = UINT64_MAX;
    for (uint32_t i = 0; i < m->count; i++) {
        uint64_t page = m->lines[i].number / (PM_PAGE_SIZE / 64);
        if (page != last)
            jr_note_range(pages, page * PM_PAGE_SIZE, PM_PAGE_SIZE);
        last = page;
    }
}

/* Completes the log record that covers the ring up to `position`; only then may that part be used again. */
static void covered(struct jr *j, uint64_t words, uint64_t position, uint64_t records)
{
    jr_commit(j, words, position);
    struct jr_merger *m = j->ring.merger;
    atomic_store_explicit(&j->ring.merged, position, memory_order_release);
    m->records += records;
    if (atomic_load_explicit(&m->awaited, memory_order_relaxed)) {
        pthread_mutex_lock(&m->wake_lock);
        pthread_cond_signal(&m->progress);
        pthread_mutex_unlock(&m->wake_lock);
    }
}

/* What the table holds becomes a record of the log, which covers the ring up to `position`. */
static int write_lines(struct jr *j, uint64_t position)
{
    struct jr_merger *m = j->ring.merger;
    int error = 0;
    uint64_t bound = bound_of_lines(m);
    if (m->count && !(error = jr_reserve(j, bound))) {
        populate_record(j, bound);
        uint64_t *payload = jr_payload(j), *end = put_lines(m, payload);
        note_lines(m, &j->priv->pages);
        covered(j, (uint64_t)(end - payload), position, m->merged_records);
    }
    forget(m);
    return error;
}

static int write_long(struct jr *j, const uint64_t *payload, uint64_t words, uint64_t position)
{
    int error = jr_reserve(j, words);
    if (!error) {
        populate_record(j, words);
        memcpy(jr_payload(j), payload, words * 8);
        jr_note_payload(&j->priv->pages, payload, words);
        covered(j, words, position, 1);
    }
    return error;
}

/* The lock is held.  Ends with a record of the log that covers the ring up to `enough` at least. */
static int drain(struct jr *j, uint64_t enough)
{
    struct jr_ring *r = &j->ring;
    struct jr_merger *m = r->merger;
    const uint64_t *const map = r->map;
    const uint64_t size = r->words;
    uint64_t at = atomic_load_explicit(&r->merged, memory_order_relaxed);
    uint64_t end = atomic_load_explicit(&r->appended, memory_order_acquire);
    uint64_t place = at % size;
    int error = 0;
    if (end > enough)
        end = enough;
    if (at < end)
        error = jr_settle_ranges(j);
    for (uint64_t words; at < end && !error; at += 1 + words, place += 1 + words) {
        if (place >= size)
            place -= size;
        const uint64_t *record = map + place;
        words = *record & JR_RING_SKIP;
        if (words == JR_RING_SKIP) {
            words = size - place - 1;
            continue;
        }
        if (words >= LONG_RECORD) {
            if (!(error = write_lines(j, at)))
                error = write_long(j, record + 1, words, at + 1 + words);
        } else {
            merge(m, record + 1, words);
            m->merged_records++;
            if (m->count >= MERGE_LINES)
                error = write_lines(j, at + 1 + words);
        }
    }
    return error ? error : write_lines(j, at);
}

static int drain_locked(struct jr *j, uint64_t enough)
{
    int error = jr_failed(j);
    return error ? error : drain(j, enough);
}

int jr_drain(struct jr *j)
{
    struct jr_merger *m = j->ring.merger;
    if (!m)
        return jr_failed(j);
    pthread_mutex_lock(&m->lock);
    int error = drain_locked(j, UINT64_MAX);
    pthread_mutex_unlock(&m->lock);
    return error;
}

void jr_note_direct(struct jr *j, const uint64_t *payload, uint64_t words)
{
    jr_note_payload(&j->priv->pages, payload, words);
}

/* ------------------------------------------------------------------ room -------------------------- */

static void wake(struct jr_merger *m)
{
    pthread_mutex_lock(&m->wake_lock);
    m->wanted = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->wake_lock);
}

/* How far the appender may come until it looks around again.  Where memory is short, small steps: each of them gives
 * some back, or waits a little, so that none has to do much of that. */
static uint64_t step_of(const struct jr *j)
{
    const struct jr_ring *r = &j->ring;
    uint32_t crowded = atomic_load_explicit(&j->priv->pages.crowded, memory_order_relaxed);
    if (crowded != JR_ROOMY)
        return crowded == JR_FULL ? FULL_STEP : HALF_FULL_STEP;
    return r->lag < r->words / 16 ? r->lag : r->words / 16;
}

/* Lets the appender go on for `need` words at least.  False: they are not free. */
static bool advance(struct jr *j, uint64_t need)
{
    struct jr_ring *r = &j->ring;
    uint64_t at = (uint64_t)(r->head - r->map), step = step_of(j);
    uint64_t merged = atomic_load_explicit(&r->merged, memory_order_acquire), limit = merged + r->words;   /* positions */
    if (r->lag < r->words / 4 && r->lap + at - merged > 4 * r->lag)
        return false;               /* the merger has not come to run: too much is not known of memory */
    if (at + need > r->words) {
        /* the skip's own place is free: every record leaves one word behind it */
        if (limit < r->lap + r->words + need)
            return false;
        __atomic_store_n(r->head, jr_ring_skip_word(r->salt, r->lap + at), __ATOMIC_RELEASE);
        r->lap += r->words;
        r->head = r->map;
        atomic_store_explicit(&r->appended, r->lap, memory_order_release);
        at = 0;
    }
    uint64_t room = limit - r->lap - at;
    if (room > r->words - at)
        room = r->words - at;
    if (room < need)
        return false;
    r->end = r->head + (need > step ? need : step < room ? step : room);
    if (limit - r->lap - at < r->words - r->lag)
        wake(r->merger);
    return true;
}

/* For an appender that has no room: some of the ring becomes free.  It waits no longer than it must: neither for all
 * that the merger has to do, nor does it do all of that itself. */
static int make_progress(struct jr *j)
{
    struct jr_ring *r = &j->ring;
    struct jr_merger *m = r->merger;
    uint64_t seen = atomic_load_explicit(&r->merged, memory_order_acquire);
    if (pthread_mutex_trylock(&m->lock) == 0) {
        int error = drain_locked(j, seen + r->words / 16);
        pthread_mutex_unlock(&m->lock);
        return error;
    }
    struct timespec until = jr_monotonic_after(WAIT_NS);
    pthread_mutex_lock(&m->wake_lock);
    atomic_store_explicit(&m->awaited, true, memory_order_relaxed);
    if (atomic_load_explicit(&r->merged, memory_order_acquire) == seen)
        pthread_cond_timedwait(&m->progress, &m->wake_lock, &until);
    atomic_store_explicit(&m->awaited, false, memory_order_relaxed);
    pthread_mutex_unlock(&m->wake_lock);
    if (atomic_load_explicit(&r->merged, memory_order_acquire) != seen)
        return jr_failed(j);
    /* The merger is stuck: what it meets, a full disk perhaps, is for the appender to know. */
    pthread_mutex_lock(&m->lock);
    int error = drain_locked(j, seen + r->words / 16);
    pthread_mutex_unlock(&m->lock);
    return error;
}

int jr_make_ready(struct jr *j, uint64_t words)
{
    struct jr_ring *r = &j->ring;
    int error = jr_failed(j);
    if (error)
        return error;
    r->direct = !r->merger || words + 2 > r->words / 4;
    if (!r->direct) {
        while (!jr_ring_has_room(r, words) && !advance(j, words + 2))
            if ((error = make_progress(j)))
                return error;
        return 0;
    }
    /* With an empty ring nobody else has anything to append to the log. */
    if ((error = jr_drain(j)) || (error = jr_settle_ranges(j)))
        return error;
    return jr_reserve(j, words);
}

/* ------------------------------------------------------------------ thread ------------------------ */

/* Maps the ring's pages ahead of the appender's first turn, up to byte `to`; gives how far it has come.  Not before
 * the first wake: an open that is not followed by many commits does not need them. */
static uint64_t populate(const struct jr_ring *r, uint64_t from, uint64_t to)
{
    for (; from < to; from += POPULATE_PIECE)
        if (madvise((char *)r->map + from, POPULATE_PIECE, MADV_POPULATE_WRITE))
            return r->words * 8;
    return from;
}

static void *merger_main(void *journal)
{
    struct jr *j = journal;
    struct jr_ring *r = &j->ring;
    struct jr_merger *m = r->merger;
    uint64_t populated = 0, size = r->words * 8;
    prctl(PR_SET_NAME, "pm-merger");
    pthread_mutex_lock(&m->wake_lock);
    while (!m->stop) {
        if (!m->wanted) {
            pthread_cond_wait(&m->wake, &m->wake_lock);
            continue;
        }
        bool flush = m->flush;
        m->wanted = m->flush = false;
        pthread_mutex_unlock(&m->wake_lock);
        if (!flush && populated < size) {
            uint64_t reached = atomic_load_explicit(&r->appended, memory_order_relaxed) * 8;
            populated = populate(r, populated, size - reached > size / 2 ? reached + size / 2 : size);
        }
        jr_drain(j);            /* an error shows when the appender needs the room */
        if (flush)
            jr_flushed(j);
        pthread_mutex_lock(&m->wake_lock);
    }
    pthread_mutex_unlock(&m->wake_lock);
    return NULL;
}

int jr_ring_open(struct jr *j, uint64_t *map, uint64_t bytes, uint64_t salt)
{
    struct jr_ring *r = &j->ring;
    struct jr_merger *m = calloc(1, sizeof *m);
    if (!m)
        return ENOMEM;
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->wake_lock, NULL);
    pthread_cond_init(&m->wake, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&m->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r->merger = m;
    r->map = r->head = r->end = map;
    r->words = bytes / 8;
    r->salt = salt;
    /* Which pages have been changed is known when it is merged.  At worst each few words are a page. */
    uint64_t pages = j->priv->options.memory / PM_PAGE_SIZE;
    r->lag = r->words / 4;
    if (pages && pages / 8 * LAG_WORDS < r->lag)
        r->lag = pages / 8 * LAG_WORDS;
    return 0;
}

int jr_ring_start(struct jr *j)
{
    struct jr_merger *m = j->ring.merger;
    return m ? pm_thread_start(&m->thread, merger_main, j) : 0;
}

void jr_ring_stop(struct jr *j)
{
    struct jr_merger *m = j->ring.merger;
    if (!m)
        return;
    pthread_mutex_lock(&m->wake_lock);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->wake_lock);
    pthread_join(m->thread, NULL);
}

void jr_ring_close(struct jr *j)
{
    struct jr_merger *m = j->ring.merger;
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->wake_lock);
    pthread_cond_destroy(&m->wake);
    pthread_cond_destroy(&m->progress);
    free(m);
}

bool jr_ring_flush(struct jr *j)
{
    struct jr_merger *m = j->ring.merger;
    if (!m)
        return false;
    pthread_mutex_lock(&m->wake_lock);
    m->wanted = m->flush = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->wake_lock);
    return true;
}

bool jr_ring_hold(struct jr *j, uint64_t *records)
{
    struct jr_merger *m = j->ring.merger;
    if (!m)
        return false;
    pthread_mutex_lock(&m->lock);
    *records = m->records + j->ring.direct_records;
    return true;
}

void jr_ring_release(struct jr *j)
{
    if (j->ring.merger)
        pthread_mutex_unlock(&j->ring.merger->lock);
}
