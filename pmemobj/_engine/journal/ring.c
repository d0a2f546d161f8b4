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

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define MERGE_LINES 8192u           /* lines of one log record at most, but for the last ring record's */
#define INDEX_CELLS 32768u          /* a power of two, at least three times the lines */
#define LONG_RECORD 2048u           /* words: from here on a record is copied as it is, not merged */
#define LINE_WORDS 10u               /* of a log record, for one line, at most */
#define POPULATE_PIECE 65536u

struct line {
    uint64_t number;                /* offset / 64 */
    uint64_t words[8];
    uint64_t mask;                  /* which of them are set */
};

struct jr_merger {
    pthread_mutex_t lock;           /* of draining, and of the log's appender with it */
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool wanted, flush, stop;       /* wake_lock */
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

/* The table as extents: neighbouring words of lines that came one after the other are one. */
static uint64_t *put_lines(const struct jr_merger *m, uint64_t *to)
{
    uint64_t *extent = NULL, next = 0, n = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct line *line = &m->lines[i];
        for (uint64_t mask = line->mask; mask; mask &= mask - 1) {
            unsigned k = (unsigned)__builtin_ctzll(mask);
            uint64_t word = line->number * 8 + k;
            if (!extent || word != next || n == JR_EXTENT_MAX) {
                extent = to++;
                n = 0;
            }
            *to++ = line->words[k];
            n++;
            *extent = JR_EXTENT((word - n + 1) * 8, n);
            next = word + 1;
        }
    }
    return to;
}

/* Completes the log record that covers the ring up to `position`; only then may that part be used again. */
static void covered(struct jr *j, uint64_t words, uint64_t position, uint64_t records)
{
    jr_commit(j, words, position);
    atomic_store_explicit(&j->ring.merged, position, memory_order_release);
    j->ring.merger->records += records;
}

/* What the table holds becomes a record of the log, which covers the ring up to `position`. */
static int write_lines(struct jr *j, uint64_t position)
{
    struct jr_merger *m = j->ring.merger;
    int error = 0;
    if (m->count && !(error = jr_reserve(j, LINE_WORDS * (uint64_t)m->count))) {
        uint64_t *payload = jr_payload(j), *end = put_lines(m, payload);
        for (uint32_t i = 0; i < m->count; i++)
            jr_note_range(&j->priv->pages, m->lines[i].number * 64, 64);
        covered(j, (uint64_t)(end - payload), position, m->merged_records);
    }
    forget(m);
    return error;
}

static int write_long(struct jr *j, const uint64_t *payload, uint64_t words, uint64_t position)
{
    int error = jr_reserve(j, words);
    if (!error) {
        memcpy(jr_payload(j), payload, words * 8);
        jr_note_payload(&j->priv->pages, payload, words);
        covered(j, words, position, 1);
    }
    return error;
}

/* The lock is held. */
static int drain(struct jr *j)
{
    struct jr_ring *r = &j->ring;
    struct jr_merger *m = r->merger;
    const uint64_t *const map = r->map;
    const uint64_t size = r->words;
    uint64_t at = atomic_load_explicit(&r->merged, memory_order_relaxed);
    uint64_t end = atomic_load_explicit(&r->appended, memory_order_acquire);
    uint64_t place = at % size;
    int error = 0;
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

int jr_drain(struct jr *j)
{
    struct jr_merger *m = j->ring.merger;
    if (!m)
        return jr_failed(j);
    pthread_mutex_lock(&m->lock);
    int error = jr_failed(j);
    if (!error)
        error = drain(j);
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

/* Lets the appender go on for `need` words at least.  False: they are not free. */
static bool advance(struct jr_ring *r, uint64_t need)
{
    uint64_t at = (uint64_t)(r->head - r->map), step = r->words / 16;
    uint64_t limit = atomic_load_explicit(&r->merged, memory_order_acquire) + r->words;     /* a position */
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
    if (limit - r->lap - at < r->words / 4 * 3)
        wake(r->merger);
    return true;
}

int jr_make_ready(struct jr *j, uint64_t words)
{
    struct jr_ring *r = &j->ring;
    int error = jr_failed(j);
    if (error)
        return error;
    r->direct = !r->merger || words + 2 > r->words / 4;
    if (!r->direct) {
        while (!jr_ring_has_room(r, words) && !advance(r, words + 2))
            if ((error = jr_drain(j)))
                return error;
        return 0;
    }
    /* With an empty ring nobody else has anything to append to the log. */
    return (error = jr_drain(j)) ? error : jr_reserve(j, words);
}

/* ------------------------------------------------------------------ thread ------------------------ */

/* Faults in the ring's pages ahead of the appender's first turn.  Not before the first wake: an open that is not
 * followed by many commits does not need them. */
static void populate(const struct jr_ring *r)
{
    for (uint64_t at = 0; at < r->words * 8; at += POPULATE_PIECE)
        if (madvise((char *)r->map + at, POPULATE_PIECE, MADV_POPULATE_WRITE))     /* since Linux 5.14 */
            break;
}

static void *merger_main(void *journal)
{
    struct jr *j = journal;
    struct jr_merger *m = j->ring.merger;
    bool populated = false;
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
        jr_drain(j);            /* an error shows when the appender needs the room */
        if (flush)
            jr_flushed(j);
        else if (!populated)
            populate(&j->ring);
        populated |= !flush;
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
    r->merger = m;
    r->map = r->head = r->end = map;
    r->words = bytes / 8;
    r->salt = salt;
    return 0;
}

int jr_ring_start(struct jr *j)
{
    struct jr_merger *m = j->ring.merger;
    return m ? pthread_create(&m->thread, NULL, merger_main, j) : 0;
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
