/*
 * recovery.c: the journal's header, reading records back, and jr_recover.
 *
 * jr_recover keeps to this order; killing it anywhere and repeating it gives the same pool:
 *
 *  1. Check that the journal belongs to the pool, and read all of it: the log, and behind its last record what
 *     the ring holds, if this is still the boot that wrote it.  Nothing is written before both
 *     are known to be in order: an error leaves both files as they were.
 *  2. Write the valid records again that are not known to have been synced, and sync them.  What the page cache
 *     holds of them may never have reached the disk, also when an earlier sync failed and left the pages looking
 *     clean.
 *  3. Header: durable_through = the last valid record, ring_durable = the end of the ring's.  Sync.  From now on the pool file may hold parts
 *     of these records, so a later reader that finds fewer must call it damage.
 *  4. Apply to the pool file; sync the pool file.
 *  5. Header: empty, every segment with a new salt.  Sync.
 *
 * The first record that does not verify ends the valid records.  It is the torn tail of a crash, and is
 * discarded with all that follows, unless something proves that it had once been durable: durable_through
 * of the header, synced_through of a later valid record, or any later valid record when the system has
 * not been restarted since (the page cache then holds all that the program stored, in order).
 */
#define _GNU_SOURCE
#include "ring_append.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "files/io.h"
#include "journal_private.h"
#include "layout.h"

/* ------------------------------------------------------------------ header ------------------------ */

static uint64_t header_checksum(const struct jr_header *header)
{
    size_t from = offsetof(struct jr_header, version);
    return XXH3_64bits((const char *)header + from, sizeof *header - from);
}

int jr_header_update(int fd, struct jr_header *header, int first, int (*sync)(void *), void *context)
{
    header->magic = JR_MAGIC;
    header->version = JR_FORMAT_VERSION;
    header->generation++;
    header->checksum = header_checksum(header);
    for (int i = 0; i < 2; i++) {
        int error = io_write_all(fd, header, sizeof *header, (off_t)((first ^ i) * (int)JR_SLOT_BYTES));
        if (!error)
            error = sync(context);
        if (error)
            return error;
    }
    return 0;
}

static char pretended_boot[40];

void jr_pretend_boot(const char *boot_id) { strncpy(pretended_boot, boot_id, sizeof pretended_boot - 1); }

/* An error must not be taken for another boot: the ring would be thrown away. */
int jr_boot_id(char out[40])
{
    int fd;
    size_t got = 0;
    memcpy(out, pretended_boot, 40);
    if (out[0])
        return 0;
    int error = io_open(&fd, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    if (error)
        return error == ENOENT ? 0 : error;
    error = io_read_all(fd, out, 36, 0, &got);
    io.close(fd);
    return error ? error : got == 36 ? 0 : EIO;
}

int jr_new_salt(uint64_t *salt)
{
    while (getrandom(salt, sizeof *salt, 0) != sizeof *salt)
        if (errno != EINTR)
            return errno;
    return 0;
}

/* ------------------------------------------------------------------ records ----------------------- */

int jr_verifies(const uint64_t *at, const uint64_t *end, uint64_t salt, uint64_t seq, uint64_t *words)
{
    if (end - at < JR_HEADER_WORDS || at[1] != seq)
        return 0;
    *words = (uint32_t)at[3];
    return *words <= (uint64_t)(end - at - JR_HEADER_WORDS) && jr_checksum(at, *words, salt, seq) == at[0];
}

enum jr_found jr_next(struct jr_cursor *c, const uint64_t **payload, uint64_t *words)
{
    if (!jr_verifies(c->at, c->end, c->salt, c->seq, words))
        return JR_INVALID;
    if (c->at[3] >> 32 != c->link)
        return JR_UNCHAINED;
    *payload = c->at + JR_HEADER_WORDS;
    c->link = (uint32_t)c->at[0];
    c->through = c->at[4];
    c->at += JR_HEADER_WORDS + *words;
    c->seq++;
    return *words ? JR_RECORD : JR_CONTINUED;
}

int jr_extents_are_sound(const uint64_t *at, const uint64_t *end, uint64_t pool_size)
{
    while (at < end) {
        uint64_t offset = *at >> 16, n = *at & JR_EXTENT_MAX;
        if (n == 0 || n > (uint64_t)(end - at - 1) || offset % 8 || offset > pool_size ||
            n * 8 > pool_size - offset)
            return 0;
        at += 1 + n;
    }
    return 1;
}

/* ------------------------------------------------------------------ jr_recover -------------------- */

/* Words: how far to look for a record behind the ring's last one, and how long it may be.  Together a bound for the
 * time that this takes: behind the end lie old payloads, and any word of them may pass for the begin of a record. */
#define RING_LOOK_AHEAD 8192u
#define RING_LOOK_LENGTH 256u

struct recovery {
    const char *path;
    const struct jr_identity *pool;
    int fd;
    int pool_fd;
    uint64_t pool_size;
    struct jr_header header;
    int stale_slot;             /* the slot to write first: not the one `header` came from */
    int same_boot;
    uint64_t *words;            /* one segment at a time */
    uint64_t journal_bytes;     /* of all segments */
    /* where the valid records end */
    uint64_t last_segment;      /* index in the header's table */
    uint64_t next_seq;
    uint64_t first_seq[JR_MAX_SEGMENTS + 1];    /* of each segment's first record */
    uint64_t used[JR_MAX_SEGMENTS];             /* words of its valid records */
    uint64_t synced_through;    /* the last record that is known to be on disk */
    uint64_t later;             /* valid records found behind that */
    int misses_ranges;          /* the pool file does not hold what the records rely on */
    int ring_needs_ranges;      /* what records of the ring rely on may be in the page cache only */
    uint64_t *ring;             /* a copy of it, when it counts */
    uint64_t ring_from, ring_end;   /* positions of its records that the log does not cover */
    struct jr_report *report;
    jr_sink *sink;              /* of jr_read_all */
    void *context;
};

__attribute__((format(printf, 3, 4)))
static int refuse(struct jr_report *report, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->message, sizeof report->message, format, args);
    va_end(args);
    return code;
}

static int io_failure(struct recovery *r, int error, const char *doing)
{
    r->report->os_error = error;
    return refuse(r->report, JR_EIO, "%s the journal %s: %s. Nothing is lost; %s and open the pool again",
                  doing, r->path, strerror(error),
                  io_is_no_space(error) ? "free some disk space" : "mend the cause");
}

static int damaged(struct recovery *r, const char *what)
{
    return refuse(r->report, JR_EDAMAGED,
                  "the journal %s is damaged: %s. The pool cannot be brought to a committed state with it; "
                  "restore the pool from a backup", r->path, what);
}

/* How many ranges, written past the journal, the payload says that the pool file holds; 0: it says nothing. */
static uint64_t needed_ranges(const struct recovery *r, const uint64_t *at, const uint64_t *end)
{
    const struct jr_identity *pool = r->pool;
    uint64_t mark = pool->root_at + offsetof(pm_root, ranges_needed);
    for (; pool->root_at && at < end; at += 1 + (*at & JR_EXTENT_MAX)) {
        uint64_t offset = *at >> 16, n = *at & JR_EXTENT_MAX;
        if (offset <= mark && mark < offset + n * 8)
            return PM_MARK_NUMBER(at[1 + (mark - offset) / 8], pool->epoch);
    }
    return 0;
}

static int misses_ranges(const struct recovery *r, uint64_t needed)
{
    return needed > PM_MARK_NUMBER(r->pool->ranges, r->pool->epoch);
}

int jr_header_is_sound(const struct jr_header *h, uint64_t file_size)
{
    if (h->segments < 1 || h->segments > JR_MAX_SEGMENTS || h->first_seq == 0 ||
        (h->state != JR_LIVE && h->state != JR_EMPTY) || h->ring_bytes % JR_SEGMENT_ALIGN ||
        h->ring_bytes > file_size)
        return 0;
    for (uint64_t i = 0; i < h->segments; i++) {
        const struct jr_header_segment *s = &h->segment[i];
        if (s->offset < JR_SEGMENTS_AT + h->ring_bytes || s->offset % 8 || s->bytes % 8 || s->bytes == 0 ||
            s->offset > file_size || s->bytes > file_size - s->offset)
            return 0;
        for (uint64_t k = 0; k < i; k++)
            if (s->offset < h->segment[k].offset + h->segment[k].bytes &&
                h->segment[k].offset < s->offset + s->bytes)
                return 0;
    }
    return 1;
}

int jr_read_slots(int fd, struct jr_header slot[2], int *newest)
{
    size_t got;
    *newest = -1;
    memset(slot, 0, 2 * sizeof *slot);
    int error = io_read_all(fd, slot, 2 * sizeof *slot, 0, &got);
    for (int i = 0; i < 2 && !error; i++)
        if (slot[i].magic == JR_MAGIC && slot[i].checksum == header_checksum(&slot[i]) &&
            (*newest < 0 || slot[i].generation > slot[*newest].generation))
            *newest = i;
    return error;
}

uint64_t jr_holder(const char *path)
{
    struct jr_header slot[2];
    int fd, newest;
    if (io_open(&fd, path, O_RDONLY, 0))
        return 0;
    int error = jr_read_slots(fd, slot, &newest);
    io.close(fd);
    return error || newest < 0 || slot[newest].state != JR_LIVE ? 0 : slot[newest].pid;
}

static int read_header(struct recovery *r)
{
    struct jr_header slot[2];
    struct stat st;
    int newest, error = jr_read_slots(r->fd, slot, &newest);
    if (!error && fstat(r->fd, &st) < 0)
        error = errno;
    if (error)
        return io_failure(r, error, "reading");
    if (newest < 0)
        return damaged(r, "neither of its two headers is valid");
    r->header = slot[newest];
    r->stale_slot = !newest;
    if (r->header.version > JR_FORMAT_VERSION)
        return refuse(r->report, JR_EVERSION,
                      "the journal %s has format %u, this version reads up to %u: open the pool with a newer "
                      "version of pmemobj", r->path, r->header.version, JR_FORMAT_VERSION);
    if (!jr_header_is_sound(&r->header, (uint64_t)st.st_size))
        return damaged(r, "its header names segments that are not in the file");
    return JR_OK;
}

static int of_different_times(struct recovery *r, const char *which)
{
    return refuse(r->report, JR_EMISMATCH,
                  "the pool file and its journal %s were copied at different times (%s), while the pool was in use: put "
                  "the two files that belong together side by side, or restore both from a backup that was made when "
                  "the pool was closed", r->path, which);
}

/* must_be_empty: the pool file is complete without this journal, so a record in it has no place. */
static int check_identity(struct recovery *r, const struct jr_identity *pool, int *must_be_empty)
{
    const struct jr_header *h = &r->header;
    if (memcmp(h->pool_uuid, pool->pool_uuid, sizeof h->pool_uuid))
        return refuse(r->report, JR_EMISMATCH,
                      "the journal %s belongs to another pool: put the pool's own journal there", r->path);
    if (h->epoch != pool->epoch && h->epoch != pool->epoch + 1)
        return refuse(r->report, JR_EMISMATCH,
                      "the journal %s is of session %llu of this pool, the pool file of session %llu: one of "
                      "the two was copied or restored alone; put the files that belong together side by side",
                      r->path, (unsigned long long)h->epoch, (unsigned long long)pool->epoch);
    if (pool->live && pool->root_at &&
        (h->epoch == pool->epoch ? PM_MARK_NUMBER(pool->applied, pool->epoch) + 1 < h->first_seq
                                 : pool->applied != h->base_applied))
        return of_different_times(r, "the pool file is older");
    *must_be_empty = h->epoch != pool->epoch || h->state == JR_EMPTY;
    if (*must_be_empty)
        return JR_OK;
    /* libpmemobj adds 2 at each open (skipping 0).  Our own open's 2 arrives with the records; this copy of the journal
     * may be of a time when none had been applied, but the pool file says so. */
    uint64_t ours = h->run_id + 2 ? h->run_id + 2 : 2;
    uint64_t applied = pool->root_at ? PM_MARK_NUMBER(pool->applied, pool->epoch) : 0;
    if (pool->run_id != h->run_id &&
        (pool->run_id != ours || (h->durable_through | h->ring_durable | applied) == 0))
        return refuse(r->report, JR_EMISMATCH,
                      "another program has opened the pool since the journal %s was written (run id %llu, "
                      "expected %llu): restore both files from a backup", r->path,
                      (unsigned long long)pool->run_id, (unsigned long long)h->run_id);
    return JR_OK;
}

/* Reads a segment's first `bytes` bytes. */
static int load(struct recovery *r, uint64_t index, uint64_t bytes)
{
    size_t got;
    int error = io_read_all(r->fd, r->words, bytes, (off_t)r->header.segment[index].offset, &got);
    if (error)
        return io_failure(r, error, "reading");
    return got == bytes ? JR_OK : damaged(r, "it became shorter while it was read");
}

/* Records that are valid by themselves, numbered from r->next_seq + 1 on, in the loaded words from `from`:
 * how many, how long, and the highest synced_through among them.  The tests before the checksum are there
 * to make it rare: old records of the segment look real but have another salt. */
static uint64_t later_records(struct recovery *r, uint64_t salt, uint64_t from, uint64_t words,
                              uint64_t *synced_through)
{
    const uint64_t *at = r->words + from, *end = r->words + words;
    uint64_t found = 0, n, limit = r->next_seq + r->journal_bytes / (JR_HEADER_WORDS * 8);
    while (end - at >= JR_HEADER_WORDS) {
        uint64_t seq = at[1];
        if (seq > r->next_seq && seq <= limit && at[2] < seq && jr_verifies(at, end, salt, seq, &n)) {
            found++;
            r->report->discarded_bytes += (JR_HEADER_WORDS + n) * 8;
            if (at[2] > *synced_through)
                *synced_through = at[2];
            at += JR_HEADER_WORDS + n;
        } else {
            at++;
        }
    }
    return found;
}

/* Step 1: finds where the valid records end and decides whether what follows is damage. */
static int scan(struct recovery *r)
{
    const struct jr_header *h = &r->header;
    struct jr_cursor c = {.seq = h->first_seq, .link = h->link, .through = h->ring_through};
    const uint64_t *payload;
    uint64_t n, synced_through = h->durable_through;
    int ended = 0, rc;
    r->synced_through = h->durable_through;

    for (uint64_t i = 0; i < h->segments; i++) {
        uint64_t words = h->segment[i].bytes / 8, from = 0;
        if ((rc = load(r, i, words * 8)))
            return rc;
        if (!ended) {
            enum jr_found found;
            c.at = r->words;
            c.end = r->words + words;
            c.salt = h->segment[i].salt;
            r->first_seq[i] = c.seq;
            for (;;) {
                const uint64_t *record = c.at;
                if ((found = jr_next(&c, &payload, &n)) != JR_RECORD)
                    break;
                if (record[2] > r->synced_through)
                    r->synced_through = record[2];
                r->report->records++;
                if (!jr_extents_are_sound(payload, payload + n, r->pool_size))
                    return damaged(r, "a record names a range outside the pool");
                r->misses_ranges |= misses_ranges(r, needed_ranges(r, payload, payload + n));
            }
            from = (uint64_t)(c.at - r->words);
            r->report->bytes += from * 8;
            r->used[i] = from;
            r->last_segment = i;
            r->next_seq = c.seq;
            if (found == JR_UNCHAINED)
                return damaged(r, "a record does not follow from the one before it");
            ended = found == JR_INVALID;
            if (ended && words - from >= JR_HEADER_WORDS && r->words[from + 1] == c.seq)
                r->report->discarded_bytes += JR_HEADER_WORDS * 8;    /* begun; its length is not known */
        }
        if (ended)
            r->later += later_records(r, h->segment[i].salt, from, words, &synced_through);
    }
    if (!ended)
        return damaged(r, "its last segment is continued nowhere");
    r->report->last_seq = r->next_seq - 1;
    if (synced_through >= r->next_seq)
        return damaged(r, "a record that had been synced is no longer valid");
    if (r->later && r->same_boot)
        return damaged(r, "a record in the middle is not valid, although the system has not been restarted");
    r->ring_from = r->ring_end = c.through;
    return JR_OK;
}

/* The record at this position: its payload in *payload and its length in *words, which is JR_RING_SKIP for a
 * skip; false when there is none. */
static int ring_record(const struct recovery *r, uint64_t position, const uint64_t **payload, uint64_t *words)
{
    uint64_t size = r->header.ring_bytes / 8, at = position % size, salt = r->header.ring_salt;
    uint64_t first = r->ring[at];
    *words = first & JR_RING_SKIP;
    *payload = r->ring + at + 1;
    if (*words == JR_RING_SKIP)
        return first == jr_ring_skip_word(salt, position);
    return *words && *words < size - at && first == jr_ring_word(*payload, *words, salt, position);
}

static uint64_t ring_next(const struct recovery *r, uint64_t position, uint64_t words)
{
    uint64_t size = r->header.ring_bytes / 8;
    return words == JR_RING_SKIP ? position + size - position % size : position + 1 + words;
}

/* Is there a record in the ring not far behind the last valid one?  The appender never leaves a gap.  Old
 * records do not count: their positions are others. */
static int ring_goes_on(const struct recovery *r, uint64_t limit)
{
    const uint64_t *payload;
    uint64_t words, end = r->ring_end + RING_LOOK_AHEAD < limit ? r->ring_end + RING_LOOK_AHEAD : limit;
    for (uint64_t at = r->ring_end + 1; at < end; at++)
        if ((r->ring[at % (r->header.ring_bytes / 8)] & JR_RING_SKIP) <= RING_LOOK_LENGTH &&
            ring_record(r, at, &payload, &words))
            return 1;
    return 0;
}

/* Step 1 for the ring: what follows the log's last record. */
static int scan_ring(struct recovery *r)
{
    const struct jr_header *h = &r->header;
    const uint64_t *payload;
    uint64_t words, limit = r->ring_from + h->ring_bytes / 8;
    size_t got;
    if (h->ring_bytes == 0 || (!r->same_boot && h->ring_durable == 0))
        return JR_OK;
    if (!(r->ring = malloc(h->ring_bytes)))
        return io_failure(r, ENOMEM, "reading");
    int error = io_read_all(r->fd, r->ring, h->ring_bytes, JR_SEGMENTS_AT, &got);
    if (error)
        return io_failure(r, error, "reading");
    if (got != h->ring_bytes)
        return damaged(r, "it ends within its ring");
    while (r->ring_end < limit && ring_record(r, r->ring_end, &payload, &words)) {
        r->ring_end = ring_next(r, r->ring_end, words);
        if (words == JR_RING_SKIP)
            continue;
        if (!jr_extents_are_sound(payload, payload + words, r->pool_size))
            return damaged(r, "a record of the ring names a range outside the pool");
        uint64_t needed = needed_ranges(r, payload, payload + words);
        r->misses_ranges |= misses_ranges(r, needed);
        r->ring_needs_ranges |= needed != 0;
        r->report->records++;
        r->report->bytes += (1 + words) * 8;
    }
    if (r->ring_end < h->ring_durable)
        return damaged(r, "a record of the ring that had been synced is no longer valid");
    if (ring_goes_on(r, limit))
        return damaged(r, "a record in the middle of the ring is not valid");
    return JR_OK;
}

static int has_ring_records(const struct recovery *r) { return r->ring_end > r->ring_from; }

/* Bytes of the loaded segment, up to `end`, before its first record that is not known to be on disk. */
static uint64_t synced_bytes(const struct recovery *r, uint64_t end)
{
    uint64_t at = 0;
    while (at * 8 < end && r->words[at + 1] <= r->synced_through)
        at += JR_HEADER_WORDS + (uint32_t)r->words[at + 3];
    return at * 8;
}

/* The ring's records that count, from a copy of it. */
static int rewrite_ring(struct recovery *r)
{
    uint64_t size = r->header.ring_bytes / 8;
    for (uint64_t at = r->ring_from, n; at < r->ring_end; at += n) {
        uint64_t place = at % size;
        n = r->ring_end - at < size - place ? r->ring_end - at : size - place;
        int error = io_write_all(r->fd, r->ring + place, n * 8, (off_t)(JR_SEGMENTS_AT + place * 8));
        if (error)
            return io_failure(r, error, "writing");
    }
    return JR_OK;
}

/* Step 2, without its sync. */
static int rewrite(struct recovery *r)
{
    for (uint64_t i = 0; i <= r->last_segment; i++) {
        uint64_t bytes = r->used[i] * 8;
        if (i < r->last_segment && r->first_seq[i + 1] - 1 <= r->synced_through)
            continue;
        int rc = load(r, i, bytes);
        if (rc)
            return rc;
        uint64_t from = synced_bytes(r, bytes);
        int error = io_write_all(r->fd, (char *)r->words + from, bytes - from,
                                 (off_t)(r->header.segment[i].offset + from));
        if (error)
            return io_failure(r, error, "writing");
    }
    return has_ring_records(r) ? rewrite_ring(r) : JR_OK;
}

/* Step 4, without its sync.  Verifies again: what is applied is what was read just now. */
static int apply_all(struct recovery *r, jr_sink *sink, void *context)
{
    struct jr_cursor c = {.seq = r->header.first_seq, .link = r->header.link};
    for (uint64_t i = 0; i <= r->last_segment; i++) {
        uint64_t bytes = r->used[i] * 8, n;
        const uint64_t *payload;
        int rc = load(r, i, bytes);
        if (rc)
            return rc;
        c.at = r->words;
        c.end = r->words + bytes / 8;
        c.salt = r->header.segment[i].salt;
        while (jr_next(&c, &payload, &n) == JR_RECORD) {
            int error = sink(context, payload, n);
            if (error)
                return io_failure(r, error, "applying");
        }
    }
    if (c.seq != r->next_seq)
        return damaged(r, "it changed while it was read");
    for (uint64_t at = r->ring_from, words; at < r->ring_end; at = ring_next(r, at, words)) {
        const uint64_t *payload;
        int error = 0;
        if (!ring_record(r, at, &payload, &words))
            return damaged(r, "it changed while it was read");
        if (words != JR_RING_SKIP && (error = sink(context, payload, words)))
            return io_failure(r, error, "applying");
    }
    return JR_OK;
}

static int apply_to_file(void *target, const uint64_t *payload, uint64_t words)
{
    return jr_apply(target, payload, words);
}

static int sync_fd(void *fd) { return io_fdatasync(*(int *)fd); }

static int replay(struct recovery *r)
{
    struct jr_target target;
    int error, rc;
    /* before the ring's records count on their own */
    if (r->ring_needs_ranges && (error = io_fdatasync(r->pool_fd)))
        return io_failure(r, error, "syncing the pool file for");
    if ((rc = rewrite(r)))
        return rc;
    if ((error = io_fdatasync(r->fd)))
        return io_failure(r, error, "syncing");
    r->header.durable_through = r->report->last_seq;
    if (has_ring_records(r))
        r->header.ring_durable = r->ring_end;
    if ((error = jr_header_update(r->fd, &r->header, r->stale_slot, sync_fd, &r->fd)))
        return io_failure(r, error, "writing");
    if ((error = jr_target_open(&target, r->pool_fd, r->pool_size)))
        return io_failure(r, error, "applying");
    jr_target_prepare(&target);
    rc = apply_all(r, apply_to_file, &target);
    uint64_t mark = PM_MARK(r->pool->epoch, r->report->last_seq), at = r->pool->root_at + offsetof(pm_root, applied);
    if (!rc && r->pool->root_at && (error = io_write_all(r->pool_fd, &mark, sizeof mark, (off_t)at)))
        rc = io_failure(r, error, "applying");
    if (!rc && (error = jr_target_sync(&target)))
        rc = io_failure(r, error, "syncing the pool file after applying");
    jr_target_close(&target);
    return rc;
}

static int mark_empty(struct recovery *r)
{
    struct jr_header *h = &r->header;
    int error = 0;
    h->state = JR_EMPTY;
    h->first_seq = r->next_seq;
    h->link = 0;
    h->ring_bytes = h->ring_durable = 0;
    for (uint64_t i = 0; i < h->segments && !error; i++)
        error = jr_new_salt(&h->segment[i].salt);
    if (!error)
        error = jr_header_update(r->fd, h, r->stale_slot, sync_fd, &r->fd);
    return error ? io_failure(r, error, "writing") : JR_OK;
}

/* Step 1.  must_be_empty: the pool file is complete by itself. */
static int look_through(struct recovery *r, const struct jr_identity *pool, int *must_be_empty)
{
    char boot_id[40];
    int rc = read_header(r);
    if (!rc)
        rc = check_identity(r, pool, must_be_empty);
    if (rc)
        return rc;
    int error = jr_boot_id(boot_id);
    if (error || (!boot_id[0] && r->header.boot_id[0] && r->header.ring_bytes)) {
        r->report->os_error = error ? error : ENOENT;
        return refuse(r->report, JR_EIO,
                      "cannot tell whether the system has been restarted since the journal %s was written, because "
                      "/proc/sys/kernel/random/boot_id cannot be read: %s. Nothing is lost; make it readable and open "
                      "the pool again", r->path, strerror(r->report->os_error));
    }
    r->same_boot = boot_id[0] && !memcmp(boot_id, r->header.boot_id, sizeof boot_id);

    uint64_t largest = 0;
    for (uint64_t i = 0; i < r->header.segments; i++) {
        uint64_t bytes = r->header.segment[i].bytes;
        r->journal_bytes += bytes;
        largest = bytes > largest ? bytes : largest;
    }
    r->words = malloc(largest);
    if (!r->words)
        return io_failure(r, ENOMEM, "reading");

    if ((rc = scan(r)) || (rc = scan_ring(r)))
        return rc;
    if (pool->live && r->header.epoch == pool->epoch) {
        if (r->misses_ranges)
            return of_different_times(r, "the pool file is older");
        if (pool->root_at && PM_MARK_NUMBER(pool->applied, pool->epoch) > r->report->last_seq)
            return of_different_times(r, "the journal is older");
    }
    return *must_be_empty && (r->report->bytes || r->later)
               ? damaged(r, "it holds records that the pool file does not need")
               : JR_OK;
}

static int recover_opened(struct recovery *r, const struct jr_identity *pool)
{
    int must_be_empty, rc = look_through(r, pool, &must_be_empty);
    if (rc || must_be_empty)
        return rc;
    if (r->report->bytes && (rc = replay(r)))
        return rc;
    return mark_empty(r);
}

/* Opens the journal, has `work` done and says how long it took. */
static int with_journal(struct recovery *r, int flags, const struct jr_identity *pool,
                        int (*work)(struct recovery *, const struct jr_identity *))
{
    struct timespec from, to;
    memset(r->report, 0, sizeof *r->report);
    clock_gettime(CLOCK_MONOTONIC, &from);
    int rc, error = io_open(&r->fd, r->path, flags, 0);
    if (error == ENOENT)
        return refuse(r->report, JR_EMISSING,
                      "the pool was not closed cleanly, and its journal %s is missing: put it beside the pool "
                      "file again; without it the pool is not in a committed state", r->path);
    if (error)
        return io_failure(r, error, "opening");
    rc = work(r, pool);
    free(r->words);
    free(r->ring);
    io.close(r->fd);
    clock_gettime(CLOCK_MONOTONIC, &to);
    r->report->seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    return rc;
}

int jr_recover(const char *path, int pool_fd, uint64_t pool_size, const struct jr_identity *pool,
               struct jr_report *report)
{
    struct recovery r = {.path = path, .pool = pool, .pool_fd = pool_fd, .pool_size = pool_size, .report = report};
    return with_journal(&r, O_RDWR, pool, recover_opened);
}

static int read_opened(struct recovery *r, const struct jr_identity *pool)
{
    int must_be_empty, rc = look_through(r, pool, &must_be_empty);
    return rc || must_be_empty ? rc : apply_all(r, r->sink, r->context);
}

int jr_read_all(const char *path, uint64_t pool_size, const struct jr_identity *pool, jr_sink *sink, void *context,
                struct jr_report *report)
{
    struct recovery r = {.path = path, .pool = pool, .pool_size = pool_size, .report = report, .sink = sink, .context = context};
    return with_journal(&r, O_RDONLY, pool, read_opened);
}
