/* follow.c: see follow.h. */
#define _GNU_SOURCE
#include "journal/ring_append.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "follow.h"
#include "files/io.h"

#define WINDOW_WORDS 8192u          /* read at once */

/* ------------------------------------------------------------------ words of the file ------------- */

/* NULL and 0: the file has no such words; NULL and an errno in *error. */
static const uint64_t *words_at(struct follow *f, struct fl_window *w, uint64_t from, uint64_t need, uint64_t most,
                                int *error)
{
    *error = 0;
    if (from >= w->from && from + need * 8 <= w->from + w->count * 8)
        return w->words + (from - w->from) / 8;
    uint64_t count = need > WINDOW_WORDS ? need : WINDOW_WORDS;
    if (count > most)
        count = most;
    if (count > w->cap) {
        uint64_t *grown = realloc(w->words, count * 8);
        if (!grown) {
            *error = ENOMEM;
            return NULL;
        }
        w->words = grown;
        w->cap = count;
    }
    size_t got;
    w->count = 0;
    if ((*error = io_read_all(f->fd, w->words, count * 8, (off_t)from, &got)))
        return NULL;
    w->from = from;
    w->count = got / 8;
    return w->count >= need ? w->words : NULL;
}

/* One word as it is now. */
static int word_at(const struct follow *f, uint64_t from, uint64_t *word)
{
    size_t got;
    int error = io_read_all(f->fd, word, 8, (off_t)from, &got);
    return error ? error : got == 8 ? 0 : EBADMSG;
}

/* ------------------------------------------------------------------ the log ----------------------- */

static int read_header(struct follow *f)
{
    struct jr_header slot[2];
    struct stat st;
    int newest, error = jr_read_slots(f->fd, slot, &newest);
    if (!error && fstat(f->fd, &st) < 0)
        error = errno;
    if (error)
        return error;
    if (newest < 0)
        return slot[0].magic != JR_MAGIC && slot[1].magic != JR_MAGIC && slot[0].magic ? EMEDIUMTYPE : EBADMSG;
    f->header = slot[newest];
    return f->header.version == JR_FORMAT_VERSION && jr_header_is_sound(&f->header, (uint64_t)st.st_size) ? 0 : EBADMSG;
}

/* The record at this place, if it is there: its words from the header on, and the number of its payload's.  0 and
 * *record NULL: not yet. */
static int record_at(struct follow *f, const struct fl_place *place, const uint64_t **record, uint64_t *words)
{
    uint64_t from = place->offset + place->at * 8, room = place->bytes / 8 - place->at, number;
    struct fl_window *w = &f->log_window;
    int error;
    *record = NULL;
    if (room < JR_HEADER_WORDS)
        return EBADMSG;             /* there is always room for the record that says "continued" */
    for (int fresh = 0; fresh < 2; fresh++) {
        if (fresh) {
            w->count = 0;
            if ((error = word_at(f, from + 8, &number)))
                return error;
            if (number != place->seq)
                return 0;
        } else if (w->count == 0) {
            continue;
        }
        const uint64_t *at = words_at(f, w, from, JR_HEADER_WORDS, room, &error);
        if (!at || at[1] != place->seq || (uint32_t)at[3] > room - JR_HEADER_WORDS) {
            if (error)
                return error;
            continue;
        }
        *words = (uint32_t)at[3];
        at = words_at(f, w, from, JR_HEADER_WORDS + *words, room, &error);
        if (error)
            return error;
        if (at && jr_verifies(at, at + JR_HEADER_WORDS + *words, place->salt, place->seq, words)) {
            *record = at;
            return at[3] >> 32 == place->link ? 0 : EBADMSG;
        }
    }
    return 0;
}

/* To the segment behind this one.  The header has named it since before the record that says "continued". */
static int next_segment(struct follow *f, struct fl_place *place)
{
    int error = read_header(f);
    const struct jr_header *h = &f->header;
    for (uint64_t i = 0; !error && i < h->segments; i++) {
        if (h->segment[i].offset == place->offset && h->segment[i].salt == place->salt) {
            const struct jr_header_segment *next = &h->segment[(i + 1) % h->segments];
            place->offset = next->offset;
            place->bytes = next->bytes;
            place->salt = next->salt;
            place->at = 0;
            f->log_window.count = 0;
            return 0;
        }
    }
    return error ? error : EBADMSG;
}

/* Goes on to where the log ends now.  sink NULL: only looks.  *alone: a record that did not come through the ring. */
static int read_log(struct follow *f, struct fl_place *place, jr_sink *sink, void *context, bool *alone)
{
    const uint64_t *record;
    uint64_t words;
    int error;
    while (!(error = record_at(f, place, &record, &words)) && record) {
        uint64_t through = record[4];
        if (words && !jr_extents_are_sound(record + JR_HEADER_WORDS, record + JR_HEADER_WORDS + words, f->size))
            return EBADMSG;
        if (words && sink && (error = sink(context, record + JR_HEADER_WORDS, words)))
            return error;
        *alone |= words && through == place->through;
        place->link = (uint32_t)record[0];
        place->through = through;
        place->seq++;
        place->at += JR_HEADER_WORDS + words;
        if (!words && (error = next_segment(f, place)))
            return error;
    }
    return error;
}

/* ------------------------------------------------------------------ the ring ---------------------- */

/* The record at that position: JR_RING_SKIP words for a skip, 0 when it is not there (any more). */
static int ring_record(struct follow *f, uint64_t position, const uint64_t **payload, uint64_t *words)
{
    uint64_t size = f->header.ring_bytes / 8, place = position % size, salt = f->header.ring_salt, first;
    uint64_t from = JR_SEGMENTS_AT + place * 8, room = size - place;
    struct fl_window *w = &f->ring_window;
    int error;
    for (int fresh = 0; fresh < 2; fresh++) {
        if (fresh) {
            w->count = 0;
            if ((error = word_at(f, from, &first)))
                return error;
        } else if (from < w->from || from + 8 > w->from + w->count * 8) {
            continue;
        } else {
            first = w->words[(from - w->from) / 8];
        }
        *words = first & JR_RING_SKIP;
        if (*words == JR_RING_SKIP) {
            if (first == jr_ring_skip_word(salt, position))
                return 0;
            continue;
        }
        if (*words == 0 || *words >= room)
            continue;
        const uint64_t *at = words_at(f, w, from, 1 + *words, room, &error);
        if (error)
            return error;
        if (at && *at == jr_ring_word(at + 1, *words, salt, position)) {
            *payload = at + 1;
            return 0;
        }
    }
    *words = 0;
    return 0;
}

static int read_ring(struct follow *f, uint64_t from, jr_sink *sink, void *context)
{
    uint64_t size = f->header.ring_bytes / 8, words;
    const uint64_t *payload = NULL;
    int error;
    f->ring_at = from;
    while (!(error = ring_record(f, f->ring_at, &payload, &words)) && words) {
        if (words == JR_RING_SKIP) {
            f->ring_at += size - f->ring_at % size;
            continue;
        }
        if (!jr_extents_are_sound(payload, payload + words, f->size))
            return EBADMSG;
        if ((error = sink(context, payload, words)))
            return error;
        f->ring_at += 1 + words;
    }
    return error;
}

/* ------------------------------------------------------------------ both -------------------------- */

/* Goes on in the log as far as the sink knows its records from the ring.  *known: that is to the log's end. */
static int skip_known(struct follow *f, bool *known)
{
    struct fl_place ahead = f->log;
    bool alone = false;
    int error = read_log(f, &ahead, NULL, NULL, &alone);
    *known = !error && !alone && ahead.through <= f->ring_at;
    if (*known)
        f->log = ahead;
    return error;
}

int fl_read(struct follow *f, jr_sink *sink, void *context)
{
    uint64_t before = f->ring_at;
    bool alone, known = false;
    int error;
    if (f->header.ring_bytes == 0)
        return read_log(f, &f->log, sink, context, &alone);
    if ((error = skip_known(f, &known)))
        return error;
    do {
        uint64_t from = f->ring_at;
        if (!known) {
            if ((error = read_log(f, &f->log, sink, context, &alone)))
                return error;
            from = f->log.through;
        }
        if ((error = read_ring(f, from, sink, context)) || (error = skip_known(f, &known)))
            return error;
    } while (!known);
    return f->ring_at >= before ? 0 : EBADMSG;
}

int fl_open(struct follow *f, const char *path, uint64_t pool_size)
{
    memset(f, 0, sizeof *f);
    f->size = pool_size;
    int error = io_open(&f->fd, path, O_RDONLY, 0);
    if (error) {
        f->fd = -1;
        return error;
    }
    if (!(error = read_header(f))) {
        const struct jr_header *h = &f->header;
        f->log = (struct fl_place){h->segment[0].offset, h->segment[0].bytes, h->segment[0].salt, 0,
                                   h->first_seq, h->link, h->ring_through};
        f->first_seq = h->first_seq;
        return 0;
    }
    fl_close(f);
    return error;
}

int fl_has(struct follow *f, uint64_t seq) { return !read_header(f) && f->header.first_seq <= seq; }

int fl_read_log(struct follow *f, jr_sink *sink, void *context)
{
    bool alone;
    return read_log(f, &f->log, sink, context, &alone);
}

void fl_close(struct follow *f)
{
    if (f->fd >= 0)
        io.close(f->fd);
    free(f->log_window.words);
    free(f->ring_window.words);
    memset(f, 0, sizeof *f);
    f->fd = -1;
}
