/* reader.c: see reader.h. */
#define _GNU_SOURCE
#include "reader.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "direct/undo.h"
#include "files/io.h"
#include "threads.h"

#define GROWTH ((uint64_t)64 << 30)         /* addresses set aside for a pool that is enlarged */
#define ANY_SIZE (UINT64_MAX / 2)            /* of a pool that may have been enlarged since */
#define KEEPER_PAUSE_NS 40000000u           /* between two looks */
#define ATTEMPTS 500                        /* to find a pool that does not change while it is looked at */
#define DELTA_WORDS ((uint64_t)8 << 20)     /* more is not added, the snapshot is taken anew */
#define OWN_PAGES ((uint64_t)16384)         /* likewise, when so many pages are our own and they are much more than ... */
#define OWN_TIMES 4                         /* ... those of a new snapshot would be */

static struct jr no_journal __attribute__((aligned(64)));

struct jr *rd_no_journal(void) { return &no_journal; }

static enum rd_result failed(struct rd *r, int error)
{
    r->error = error;
    return RD_SYSTEM;
}

static void pause_a_little(void)
{
    struct timespec t = {.tv_nsec = 1000000};
    nanosleep(&t, NULL);
}

/* ------------------------------------------------------------------ images ------------------------ */

static void drop_image(struct rd_image *m)
{
    if (m->base)
        munmap(m->base, m->size);
    free(m->touched);
    fl_close(&m->follow);
    memset(m, 0, sizeof *m);
    m->follow.fd = -1;
}

static int map_image(struct rd_image *m, int fd, const struct pf_info *info)
{
    memset(m, 0, sizeof *m);
    m->follow.fd = -1;
    m->size = info->size;
    m->state = info->state;
    m->ranges = info->ranges;
    m->touched = calloc(m->size / PM_PAGE_SIZE / 64 + 1, sizeof *m->touched);
    if (!m->touched)
        return ENOMEM;
    void *map = io.mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED)
        return errno;
    m->base = map;
    return 0;
}

static bool is_touched(const struct rd_image *m, uint64_t page) { return m->touched[page / 64] >> page % 64 & 1; }

static void touch(struct rd_image *m, uint64_t page)
{
    m->ntouched += !is_touched(m, page);
    m->touched[page / 64] |= 1ull << page % 64;
}

static void add_extents(struct rd_image *m, const uint64_t *at, uint64_t words)
{
    for (const uint64_t *end = at + words; at < end; at += 1 + (*at & JR_EXTENT_MAX)) {
        uint64_t offset = *at >> 16, bytes = (*at & JR_EXTENT_MAX) * 8;
        memcpy(m->base + offset, at + 1, bytes);
        for (uint64_t page = offset / PM_PAGE_SIZE; page <= (offset + bytes - 1) / PM_PAGE_SIZE; page++)
            touch(m, page);
    }
}

static int into_image(void *image, const uint64_t *payload, uint64_t words)
{
    struct rd_image *m = image;
    if (!jr_extents_are_sound(payload, payload + words, m->size))
        return EBADMSG;
    add_extents(m, payload, words);
    return 0;
}

static int line_into_image(void *image, const uint64_t *words, uint64_t offset)
{
    struct rd_image *m = image;
    memcpy(m->base + offset, words, PM_LINE);
    touch(m, offset / PM_PAGE_SIZE);
    return 0;
}

static uint64_t position_of(const struct rd_image *m)
{
    if (m->follow.fd >= 0)
        return pf_position(m->follow.header.epoch, m->follow.log.seq);
    return pf_position((m->state >> 1) + 1, 1);
}

static int read_word(const struct rd *r, size_t field, uint64_t *word)
{
    size_t got;
    int error = io_read_all(r->fd, word, sizeof *word, (off_t)(r->root_offset + field), &got);
    return error ? error : got == sizeof *word ? 0 : EIO;
}

static int read_state(const struct rd *r, uint64_t *state) { return read_word(r, offsetof(pm_root, state), state); }

/* What is written so is not seen in a page that has been made our own. */
static bool has_new_ranges(const struct rd *r)
{
    uint64_t ranges;
    return read_word(r, offsetof(pm_root, ranges), &ranges) || ranges != r->now.ranges;
}

static void fill_identity(struct jr_identity *identity, const struct pf_info *info)
{
    *identity = (struct jr_identity){.epoch = info->state >> 1, .run_id = info->run_id,
                                     .live = info->state & PM_STATE_LIVE, .applied = info->applied,
                                     .ranges = info->ranges, .root_at = info->root_offset};
    memcpy(identity->pool_uuid, info->uuid, sizeof identity->pool_uuid);
}

/* ------------------------------------------------------------------ taking one -------------------- */

__attribute__((format(printf, 3, 4)))
static enum rd_result journal_trouble(struct rd *r, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->report.message, sizeof r->report.message, format, args);
    va_end(args);
    r->journal_error = code;
    return RD_JOURNAL;
}

/* Of a session that is running: RD_WAIT where another look may help. */
static enum rd_result read_running(struct rd *r, struct rd_image *m)
{
    int error = fl_open(&m->follow, r->journal, m->size);
    if (error == EMEDIUMTYPE)
        return RD_OTHER_ENGINE;
    if (error && error != EBADMSG) {
        r->report.os_error = error;
        journal_trouble(r, JR_EIO, "opening the journal %s: %s", r->journal, strerror(error));
        return error == ENOENT ? RD_WAIT : RD_JOURNAL;
    }
    if (error) {
        journal_trouble(r, JR_EDAMAGED, "the journal %s cannot be read: it is damaged, or has a newer format", r->journal);
        return RD_WAIT;
    }
    const struct jr_header *h = &m->follow.header;
    if (memcmp(h->pool_uuid, r->info.uuid, sizeof h->pool_uuid))
        return journal_trouble(r, JR_EMISMATCH,
                               "the journal %s belongs to another pool: put the pool's own journal there", r->journal);
    if (h->epoch == (m->state >> 1) + 1) {      /* about to begin: the file has everything */
        fl_close(&m->follow);
        return RD_OK;
    }
    if (h->epoch != m->state >> 1)
        return RD_WAIT;
    error = fl_read(&m->follow, into_image, m);
    if (error == ENOMEM)
        return failed(r, error);
    if (error)
        journal_trouble(r, JR_EDAMAGED, "the journal %s is damaged", r->journal);
    return error || !fl_has(&m->follow, m->follow.first_seq) ? RD_WAIT : RD_OK;
}

static enum rd_result read_ended(struct rd *r, struct rd_image *m)
{
    struct jr_identity identity;
    fill_identity(&identity, &r->info);
    if (undo_is_log(r->journal))
        r->journal_error = undo_read_all(r->journal, r->fd, m->size, &identity, r->info.generation_at, line_into_image, m,
                                         &r->report);
    else
        r->journal_error = jr_read_all(r->journal, m->size, &identity, into_image, m, &r->report);
    return r->journal_error ? RD_JOURNAL : RD_OK;
}

/* One look.  The unplaced position is held, so nothing is applied; but sessions may begin and end. */
static enum rd_result look(struct rd *r, struct rd_image *m)
{
    int running, error;
    uint64_t state;
    memset(&r->report, 0, sizeof r->report);
    r->journal_error = 0;
    r->kind = pf_probe(r->fd, &r->info);
    if (r->kind != PF_OK)
        return RD_POOL;
    r->root_offset = r->info.root_offset;
    if ((error = map_image(m, r->fd, &r->info)) || (error = pf_is_running(r->fd, &running)))
        return failed(r, error);
    enum rd_result result = RD_OK;
    if (m->state & PM_STATE_LIVE)
        result = running ? read_running(r, m) : read_ended(r, m);
    if ((error = read_state(r, &state)))
        return failed(r, error);
    return state == m->state ? result : RD_WAIT;
}

static enum rd_result take(struct rd *r, struct rd_image *m)
{
    enum rd_result result = RD_WAIT;
    for (int i = 0; result == RD_WAIT && i < ATTEMPTS; i++) {
        if (i)
            pause_a_little();
        if ((result = look(r, m)))
            drop_image(m);
    }
    if (result == RD_WAIT)                  /* what was found at last does not pass */
        result = r->journal_error ? RD_JOURNAL : failed(r, EAGAIN);
    return result;
}

static enum rd_result hold_still(struct rd *r)
{
    int error = r->unplaced ? 0 : pf_lock_position(r->fd, PF_RECORDS, PF_UNPLACED);
    if (!error && !r->unplaced && (error = pf_lock_position(r->fd, PF_SNAPSHOTS, PF_UNPLACED)))
        pf_unlock_position(r->fd, PF_RECORDS, PF_UNPLACED);
    if (error)
        return error == EAGAIN ? RD_WAIT : failed(r, error);
    r->unplaced = true;
    return RD_OK;
}

static void let_go(struct rd *r)
{
    for (int i = 0; r->unplaced && i < 2; i++)
        pf_unlock_position(r->fd, (enum pf_range)i, PF_UNPLACED);
    r->unplaced = false;
}

/* ------------------------------------------------------------------ the snapshot ------------------ */

/* The image takes the place of `now`, at the same addresses. */
static int place_image(struct rd *r, struct rd_image *m)
{
    if (m->size > r->reserved)
        return ENOSPC;
    if (mremap(m->base, m->size, m->size, MREMAP_MAYMOVE | MREMAP_FIXED, r->now.base) == MAP_FAILED)
        return errno;
    m->base = r->now.base;
    return 0;
}

static int move_one(struct rd *r, enum pf_range range, uint64_t position)
{
    uint64_t old = r->position[range];
    if (position == old)
        return 0;
    int error = pf_lock_position(r->fd, range, position);
    if (!error) {
        if (old != PF_UNPLACED)
            pf_unlock_position(r->fd, range, old);
        r->position[range] = position;
    }
    return error;
}

/* Both positions are those of what memory holds now; the keeper begins there. */
static int settle(struct rd *r)
{
    uint64_t position = position_of(&r->now);
    int error = move_one(r, PF_RECORDS, position);
    if (!error)
        error = move_one(r, PF_SNAPSHOTS, position);
    if (!error)
        let_go(r);                          /* else it still holds everything */
    fl_close(&r->kept);
    r->ended = r->now.follow.fd < 0 && r->now.state & PM_STATE_LIVE ? r->now.state : 0;
    return error;
}

/* ------------------------------------------------------------------ the keeper -------------------- */

/* A page becomes our own when it is written to; that it is written what it holds is seen by nobody. */
static int own_pages(void *reader, const uint64_t *at, uint64_t words)
{
    struct rd *r = reader;
    struct rd_image *m = &r->now;
    uint64_t pages = m->size / PM_PAGE_SIZE;    /* what an enlarged pool has beyond is not in the snapshot */
    for (const uint64_t *end = at + words; at < end; at += 1 + (*at & JR_EXTENT_MAX)) {
        uint64_t offset = *at >> 16, last = (offset + (*at & JR_EXTENT_MAX) * 8 - 1) / PM_PAGE_SIZE;
        for (uint64_t page = offset / PM_PAGE_SIZE; page <= last && page < pages; page++) {
            if (!is_touched(m, page)) {
                volatile char *byte = m->base + page * PM_PAGE_SIZE;
                *byte = *byte;
                touch(m, page);
            }
        }
    }
    return 0;
}

/* The log of the session `epoch`, from where our pages are not our own yet. */
static int keep_running(struct rd *r, uint64_t epoch)
{
    struct follow *k = &r->kept;
    int error;
    if (k->fd >= 0 && k->header.epoch != epoch)
        fl_close(k);
    if (k->fd < 0) {
        if ((error = fl_open(k, r->journal, ANY_SIZE)))
            return error;
        if (memcmp(k->header.pool_uuid, r->info.uuid, sizeof r->info.uuid)) {
            fl_close(k);
            return EAGAIN;
        }
        if (k->header.epoch == epoch + 1)   /* about to begin: the file has everything before */
            return move_one(r, PF_RECORDS, pf_position(epoch + 1, 1));
        if (k->header.epoch != epoch) {
            fl_close(k);
            return EAGAIN;
        }
        if (r->now.follow.fd >= 0 && r->now.follow.header.epoch == epoch)
            k->log = r->now.follow.log;     /* settle() has put the position there */
        else if (k->first_seq != 1) {       /* cannot be, as long as we hold its first */
            fl_close(k);
            return EBADMSG;
        }
    }
    if ((error = fl_read_log(k, own_pages, r)))
        return error;
    return move_one(r, PF_RECORDS, pf_position(epoch, k->log.seq));
}

/* Of a session that was killed, or closed while somebody needed the file as it is: recovery will apply all of it. */
static int keep_ended(struct rd *r, uint64_t state)
{
    struct pf_info info;
    struct jr_report report;
    struct jr_identity identity;
    if (pf_probe(r->fd, &info) != PF_OK || info.state != state)
        return EAGAIN;
    fill_identity(&identity, &info);
    if (jr_read_all(r->journal, info.size, &identity, own_pages, r, &report))
        return EBADMSG;
    r->ended = state;
    return move_one(r, PF_RECORDS, pf_position((state >> 1) + 1, 1));
}

/* One look.  What our position forbids has not happened, so whatever session is under way or ended, the file has no
 * more of it than our own pages hide.  Errors leave the position where it is; refresh() will tell of them. */
static void look_after(struct rd *r)
{
    uint64_t state, again;
    int running;
    if (read_state(r, &state) || pf_is_running(r->fd, &running) || read_state(r, &again) || state != again)
        return;
    if (!(state & PM_STATE_LIVE)) {
        fl_close(&r->kept);
        move_one(r, PF_RECORDS, pf_position((state >> 1) + 1, 1));
    } else if (running) {
        if (state != r->ended)              /* else the next session is about to begin */
            keep_running(r, state >> 1);
    } else if (state != r->ended) {
        fl_close(&r->kept);
        keep_ended(r, state);
    }
}

static void *keeper_main(void *reader)
{
    struct rd *r = reader;
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        struct timespec until = jr_monotonic_after(KEEPER_PAUSE_NS);
        pthread_cond_timedwait(&r->wake, &r->lock, &until);
        if (!r->stop)
            look_after(r);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* Without it the snapshot is as good, but holds the writer up. */
static void start_keeper(struct rd *r)
{
    r->has_keeper = !pm_thread_start(&r->keeper, keeper_main, r);
}

/* ------------------------------------------------------------------ opening and closing ----------- */

static struct rd *new_reader(const char *path, const char *journal, int fd)
{
    struct rd *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->path = strdup(path);
    r->journal = strdup(journal);
    if (!r->path || !r->journal) {
        free(r->path);
        free(r->journal);
        free(r);
        return NULL;
    }
    r->fd = fd;
    r->now.follow.fd = r->fresh.follow.fd = r->kept.fd = -1;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

enum rd_result rd_open(struct rd **out, const char *path, const char *journal, int fd)
{
    struct rd *r = *out;
    if (!r && !(*out = r = new_reader(path, journal, fd)))
        return RD_SYSTEM;
    enum rd_result result = hold_still(r);
    if (result == RD_WAIT) {                /* who writes without a journal lets nobody in */
        struct follow other;
        if (fl_open(&other, journal, 0) == EMEDIUMTYPE)
            result = RD_OTHER_ENGINE;
        fl_close(&other);
    }
    if (result || (result = take(r, &r->fresh)))
        return result;
    r->reserved = r->fresh.size + GROWTH;
    void *base = io.mmap(NULL, r->reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return failed(r, errno);
    r->now.base = base;
    int error = place_image(r, &r->fresh);
    if (error) {
        munmap(base, r->reserved);
        r->now.base = NULL;
        return failed(r, error);
    }
    r->now = r->fresh;
    memset(&r->fresh, 0, sizeof r->fresh);
    r->fresh.follow.fd = -1;
    if ((error = settle(r)))
        return failed(r, error);
    start_keeper(r);
    return RD_OK;
}

static void unmap(struct rd *r)
{
    if (r->now.base) {
        munmap(r->now.base, r->reserved);
        r->now.base = NULL;
    }
    drop_image(&r->now);
    drop_image(&r->fresh);
    fl_close(&r->kept);
    free(r->delta);
    free(r->path);
    free(r->journal);
    free(r);
}

void rd_close(struct rd *r)
{
    if (r->has_keeper) {
        pthread_mutex_lock(&r->lock);
        r->stop = true;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->keeper, NULL);
    }
    let_go(r);
    for (int i = 0; i < 2; i++)
        if (r->position[i] != PF_UNPLACED)
            pf_unlock_position(r->fd, (enum pf_range)i, r->position[i]);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    unmap(r);
}

void rd_orphan(struct rd *r) { unmap(r); }

/* ------------------------------------------------------------------ refreshing -------------------- */

static int into_delta(void *reader, const uint64_t *payload, uint64_t words)
{
    struct rd *r = reader;
    if (r->ndelta + words > DELTA_WORDS)
        return EFBIG;
    if (r->ndelta + words > r->delta_cap) {
        uint64_t cap = r->ndelta + words + r->delta_cap;
        uint64_t *grown = realloc(r->delta, cap * 8);
        if (!grown)
            return ENOMEM;
        r->delta = grown;
        r->delta_cap = cap;
    }
    memcpy(r->delta + r->ndelta, payload, words * 8);
    r->ndelta += words;
    return 0;
}

static bool was_replaced(const struct rd *r)
{
    struct stat held, named;
    return fstat(r->fd, &held) || stat(r->path, &named) || held.st_ino != named.st_ino || held.st_dev != named.st_dev;
}

/* Pages of a snapshot taken anew, at most: those of the journal. */
static uint64_t pages_anew(const struct jr_header *h)
{
    uint64_t bytes = h->ring_bytes;
    for (uint64_t i = 0; i < h->segments; i++)
        bytes += h->segment[i].bytes;
    return bytes / PM_PAGE_SIZE;
}

/* What was read has not been added. */
static void cancel_delta(struct rd *r)
{
    r->ndelta = 0;
    if (r->moved) {
        r->now.follow.log = r->before;
        r->now.follow.ring_at = r->ring_before;
        r->moved = false;
    }
}

static void cancel(struct rd *r)
{
    drop_image(&r->fresh);
    cancel_delta(r);
    let_go(r);
}

static enum rd_result take_anew(struct rd *r)
{
    enum rd_result result = hold_still(r);
    cancel_delta(r);
    if (!result && !(result = take(r, &r->fresh)) && r->fresh.size > r->reserved)
        result = RD_TOO_LARGE;
    if (result)
        cancel(r);
    return result;
}

static enum rd_result prepare(struct rd *r)
{
    struct follow *f = &r->now.follow;
    uint64_t state;
    int running, error;
    r->ndelta = 0;
    r->journal_error = 0;
    if (was_replaced(r))
        return RD_REPLACED;
    if ((error = read_state(r, &state)) || (error = pf_is_running(r->fd, &running)))
        return failed(r, error);
    if (state == r->now.state && f->fd < 0)
        return RD_SAME;
    if (state != r->now.state || f->fd < 0 || !running || has_new_ranges(r))
        return take_anew(r);
    r->before = f->log;
    r->ring_before = f->ring_at;
    r->moved = true;
    if (!fl_has(f, r->before.seq) || fl_read(f, into_delta, r) || !fl_has(f, r->before.seq) || has_new_ranges(r))
        return take_anew(r);
    if (r->now.ntouched > OWN_PAGES && r->now.ntouched > OWN_TIMES * pages_anew(&f->header))
        return take_anew(r);
    if (r->ndelta || r->before.seq != f->log.seq)
        return RD_OK;
    r->moved = false;
    return RD_SAME;
}

static enum rd_result finish(struct rd *r)
{
    int error;
    if (r->fresh.base) {
        r->moved = false;
        if ((error = place_image(r, &r->fresh))) {
            cancel(r);
            return failed(r, error);
        }
        uint64_t old = r->now.size;
        r->now.base = NULL;
        drop_image(&r->now);
        r->now = r->fresh;
        memset(&r->fresh, 0, sizeof r->fresh);
        r->fresh.follow.fd = -1;
        if (old > r->now.size)              /* no pool becomes smaller; but nothing old may be seen */
            mmap(r->now.base + r->now.size, old - r->now.size, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    } else {
        add_extents(&r->now, r->delta, r->ndelta);
    }
    r->ndelta = 0;
    r->moved = false;
    settle(r);
    return RD_OK;
}

enum rd_result rd_prepare(struct rd *r)
{
    pthread_mutex_lock(&r->lock);
    enum rd_result result = prepare(r);
    if (result)
        pthread_mutex_unlock(&r->lock);
    return result;
}

enum rd_result rd_finish(struct rd *r)
{
    enum rd_result result = finish(r);
    pthread_mutex_unlock(&r->lock);
    return result;
}

void rd_cancel(struct rd *r)
{
    cancel(r);
    pthread_mutex_unlock(&r->lock);
}

/* ------------------------------------------------------------------ copying ----------------------- */

/* From `from` on: where the next data begin, how far they go on in the same way, and whether they are our own. */
static uint64_t next_run(const struct rd *r, uint64_t from, uint64_t *end, bool *own)
{
    const struct rd_image *m = &r->now;
    uint64_t pages = (m->size + PM_PAGE_SIZE - 1) / PM_PAGE_SIZE, page = from / PM_PAGE_SIZE;
    while (page < pages && !is_touched(m, page))
        page = m->touched[page / 64] >> page % 64 ? page + 1 : (page / 64 + 1) * 64;
    uint64_t first_own = page < pages ? page * PM_PAGE_SIZE : m->size;
    if (first_own <= from && page < pages) {
        while (page < pages && is_touched(m, page))
            page++;
        *own = true;
        *end = page < pages ? page * PM_PAGE_SIZE : m->size;
        return from;
    }
    off_t data = lseek(r->fd, (off_t)from, SEEK_DATA);
    if (data < 0 && errno == EINVAL)        /* a file system that does not know of holes */
        data = (off_t)from;
    if (data < 0 || (uint64_t)data >= first_own) {
        *own = true;
        if (first_own >= m->size)
            return *end = m->size;
        while (page < pages && is_touched(m, page))
            page++;
        *end = page < pages ? page * PM_PAGE_SIZE : m->size;
        return first_own;
    }
    off_t hole = lseek(r->fd, data, SEEK_HOLE);
    *own = false;
    *end = hole < 0 || (uint64_t)hole > first_own ? first_own : (uint64_t)hole;
    return (uint64_t)data;
}

/* Of what is not our own: the kernel copies it, or shares it where the file system can. */
static int copy_file(struct rd *r, int out, uint64_t from, uint64_t length)
{
    while (length) {
        off_t source = (off_t)from, target = (off_t)from;
        ssize_t done = copy_file_range(r->fd, &source, out, &target, length, 0);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && io_is_no_space(errno))
            return errno;
        if (done <= 0)
            return io_write_all(out, r->now.base + from, length, (off_t)from);
        from += (uint64_t)done;
        length -= (uint64_t)done;
    }
    return 0;
}

static int copy(struct rd *r, int out, uint64_t *at, uint64_t limit, uint64_t *copied)
{
    uint64_t end;
    bool own;
    *copied = 0;
    while (*copied < limit && *at < r->now.size) {
        uint64_t from = next_run(r, *at, &end, &own);
        if (end - from > limit - *copied)
            end = from + (limit - *copied);
        int error = own ? io_write_all(out, r->now.base + from, end - from, (off_t)from)
                        : copy_file(r, out, from, end - from);
        if (error)
            return error;
        *copied += end - from;
        *at = end;
    }
    return 0;
}

int rd_copy(struct rd *r, int out, uint64_t *at, uint64_t limit, uint64_t *copied)
{
    pthread_mutex_lock(&r->lock);           /* what is not our own now must not change while it is copied */
    int error = copy(r, out, at, limit, copied);
    pthread_mutex_unlock(&r->lock);
    return error;
}

uint64_t rd_data_bytes(struct rd *r)
{
    uint64_t at = 0, bytes = 0, end;
    bool own;
    pthread_mutex_lock(&r->lock);
    while (at < r->now.size) {
        uint64_t from = next_run(r, at, &end, &own);
        bytes += end - from;
        at = end;
    }
    pthread_mutex_unlock(&r->lock);
    return bytes;
}

struct rd *rd_borrow(int fd, char *base, uint64_t size)
{
    struct rd *r = new_reader("", "", fd);
    if (r) {
        r->now.base = base;
        r->now.size = size;
        r->now.touched = calloc(size / PM_PAGE_SIZE / 64 + 1, sizeof *r->now.touched);
        if (r->now.touched)
            return r;
        rd_give_back(r);
    }
    return NULL;
}

void rd_give_back(struct rd *r)
{
    r->now.base = NULL;
    r->now.size = 0;
    rd_close(r);
}
