/* undo.c: see undo.h. */
#define _GNU_SOURCE
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include "undo.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "files/io.h"
#include "journal/journal_private.h"

#define ENTRY sizeof(struct undo_entry)
#define MAX_GROWTH (16u << 20)
#define LOOK_AHEAD 1024u                /* entries behind the last valid one that prove damage */
#define AT_ONCE 4096u                   /* entries that recovery reads at once */

/* ------------------------------------------------------------------ header ------------------------ */

static uint64_t header_checksum(const struct undo_header *h)
{
    size_t from = offsetof(struct undo_header, version);
    return XXH3_64bits((const char *)h + from, sizeof *h - from);
}

/* Both slots, `first` before the other one. */
static int update_header(int fd, struct undo_header *h, int first)
{
    h->magic = UNDO_MAGIC;
    h->version = UNDO_FORMAT_VERSION;
    h->update++;
    h->checksum = header_checksum(h);
    for (int i = 0; i < 2; i++) {
        int error = io_write_all(fd, h, sizeof *h, (off_t)((first ^ i) * (int)UNDO_SLOT_BYTES));
        if (!error)
            error = io_fdatasync(fd);
        if (error)
            return error;
    }
    return 0;
}

/* *newest is the slot that counts, or -1. */
static int read_header(int fd, struct undo_header *out, int *newest)
{
    *newest = -1;
    for (int i = 0; i < 2; i++) {
        struct undo_header h;
        size_t got;
        int error = io_read_all(fd, &h, sizeof h, (off_t)(i * (int)UNDO_SLOT_BYTES), &got);
        if (error)
            return error;
        if (got == sizeof h && h.magic == UNDO_MAGIC && h.checksum == header_checksum(&h) &&
            (*newest < 0 || h.update > out->update)) {
            *out = h;
            *newest = i;
        }
    }
    return 0;
}

/* ------------------------------------------------------------------ entries ----------------------- */

static uint64_t entry_checksum(const struct undo_entry *e, uint64_t salt, uint64_t number)
{
    return XXH3_64bits_withSeed(&e->generation, ENTRY - 8, salt + number);
}

static int is_valid(const struct undo_entry *e, uint64_t salt, uint64_t number)
{
    return e->generation != 0 && e->checksum == entry_checksum(e, salt, number);
}

static uint64_t room_of(uint64_t bytes) { return (bytes - UNDO_ENTRIES_AT) / ENTRY; }

static int grow(struct undo *u)
{
    uint64_t more = u->bytes < MAX_GROWTH ? u->bytes : MAX_GROWTH;
    more = pm_page_behind(more);
    if (u->bytes + more > u->map_bytes)
        return ENOSPC;
    int error = io_fallocate(u->fd, 0, (off_t)u->bytes, (off_t)more);
    if (error == EOPNOTSUPP || error == ENOSYS)
        error = jr_zero_fill(u->fd, u->bytes, u->bytes + more);
    if (error)
        return error;
    u->bytes += more;
    u->room = room_of(u->bytes);
    return 0;
}

int undo_append(struct undo *u, uint64_t what, const uint64_t *words)
{
    int error = u->sync_failed;
    if (error || (u->count + 1 >= u->room && (error = grow(u))))
        return error;
    struct undo_entry *e = (struct undo_entry *)undo_at(u, u->count);
    e->generation = u->generation;
    e->what = what;
    e->zero = 0;
    memcpy(e->words, words, sizeof e->words);
    e->checksum = entry_checksum(e, u->header.salt, u->count);
    if ((error = u->media->flush(e, ENTRY)))
        return u->sync_failed = error;
    u->media->drain();
    u->count++;
    u->appended++;
    return 0;
}

void undo_begin(struct undo *u, uint64_t generation)
{
    uint64_t keep = UNDO_ENTRIES_AT + UNDO_KEEP * u->first_bytes;
    u->generation = generation;
    u->count = 0;
    if (u->bytes > keep && !io_ftruncate(u->fd, (off_t)keep)) {
        u->bytes = keep;
        u->room = room_of(keep);
    }
}

/* ------------------------------------------------------------------ start and end ----------------- */

static void free_log(struct undo *u)
{
    if (u->map)
        munmap(u->map, u->map_bytes);
    if (u->fd >= 0)
        io.close(u->fd);
    free(u->path);
    free(u);
}

static int map_log(struct undo *u, int synchronous)
{
    int prot = PROT_READ | PROT_WRITE, flags = synchronous ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
    void *map = io.mmap(NULL, u->map_bytes, prot, flags | MAP_NORESERVE, u->fd, 0);
    if (map == MAP_FAILED)
        return errno;
    u->map = map;
    return 0;
}

static int make_file(struct undo *u, const char *temporary, int pool_fd, const struct jr_identity *identity)
{
    struct stat st;
    struct undo_header *h = &u->header;
    if (fstat(pool_fd, &st) < 0)
        return errno;
    int error = io_open(&u->fd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, st.st_mode & 0666);
    if (error) {
        u->fd = -1;
        return error;
    }
    memcpy(h->pool_uuid, identity->pool_uuid, sizeof h->pool_uuid);
    h->epoch = identity->epoch;
    h->run_id = identity->run_id;
    h->pid = (uint64_t)getpid();
    h->state = UNDO_LIVE;
    if ((error = jr_new_salt(&h->salt)) || (error = jr_zero_fill(u->fd, 0, u->bytes)) ||
        (error = update_header(u->fd, h, 0)))
        return error;
    return io_fsync(u->fd);
}

int undo_start(struct undo **out, const char *path, int pool_fd, uint64_t pool_size, uint64_t first_bytes,
               const struct jr_identity *identity, const pm_media *media, int synchronous)
{
    struct undo *u = calloc(1, sizeof *u);
    char *temporary = malloc(strlen(path) + sizeof ".new");
    if (!u || !temporary || !(u->path = strdup(path))) {
        free(temporary);
        free(u);
        return ENOMEM;
    }
    sprintf(temporary, "%s.new", path);
    u->fd = -1;
    u->media = media;
    u->first_bytes = first_bytes ? first_bytes : UNDO_FIRST_BYTES;
    u->bytes = UNDO_ENTRIES_AT + u->first_bytes;
    u->room = room_of(u->bytes);
    /* every line once, and what is to be freed */
    u->map_bytes = u->bytes + 4 * (uint64_t)MAX_GROWTH + 2 * pool_size;
    int error = make_file(u, temporary, pool_fd, identity);
    if (!error)
        error = map_log(u, synchronous);
    if (!error && !(error = io_rename(temporary, path)))
        error = io_sync_directory_of(path);
    if (error) {
        if (u->fd >= 0)
            io_unlink(temporary);
        free_log(u);
    } else {
        *out = u;
    }
    free(temporary);
    return error;
}

/* And no other file that somebody has put there. */
static int has_its_name(const struct undo *u)
{
    struct stat ours, there;
    return !fstat(u->fd, &ours) && !stat(u->path, &there) && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

void undo_stop(struct undo *u, int clean)
{
    if (clean && has_its_name(u) && !io_unlink(u->path))
        io_sync_directory_of(u->path);
    free_log(u);
}

void undo_orphan(struct undo *u)
{
    munmap(u->map, u->map_bytes);
    io.close(u->fd);
    u->map = NULL;
    u->fd = -1;
}

/* ------------------------------------------------------------------ recovery ---------------------- */

struct recovery {
    const char *path;
    int fd, pool_fd;
    uint64_t pool_size, generation_at;
    struct undo_header header;
    uint64_t generation;        /* of the pool */
    uint64_t room;              /* entries in the file */
    uint64_t first;             /* generation of the first one; 0: there is none that counts */
    uint64_t count;             /* valid ones of that generation, from the first on */
    struct undo_entry *block;   /* AT_ONCE entries, of which some from number `at` on are loaded */
    uint64_t at, loaded;
    undo_put *put;              /* where a line goes */
    void *context;
    struct jr_report *report;
};

__attribute__((format(printf, 3, 4)))
static int refuse(struct recovery *r, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->report->message, sizeof r->report->message, format, args);
    va_end(args);
    return code;
}

static int io_failure(struct recovery *r, int error, const char *doing)
{
    r->report->os_error = error;
    return refuse(r, JR_EIO, "%s the undo log %s: %s. Nothing is lost; %s and open the pool again", doing, r->path,
                  strerror(error), io_is_no_space(error) ? "free some disk space" : "mend the cause");
}

static int damaged(struct recovery *r, const char *what)
{
    return refuse(r, JR_EDAMAGED,
                  "the undo log %s is damaged: %s. The pool cannot be brought to a committed state with it; "
                  "restore the pool from a backup", r->path, what);
}

/* *done: the pool file is complete without this log. */
static int check_header(struct recovery *r, const struct jr_identity *pool, int live, int *done)
{
    int newest, error = read_header(r->fd, &r->header, &newest);
    const struct undo_header *h = &r->header;
    if (error)
        return io_failure(r, error, "reading");
    if (newest < 0)
        return damaged(r, "neither of its two headers is valid");
    if (h->version > UNDO_FORMAT_VERSION)
        return refuse(r, JR_EVERSION,
                      "the undo log %s has format %u, this version reads up to %u: open the pool with a newer "
                      "version of pmemobj", r->path, h->version, UNDO_FORMAT_VERSION);
    if (memcmp(h->pool_uuid, pool->pool_uuid, sizeof h->pool_uuid))
        return refuse(r, JR_EMISMATCH,
                      "the undo log %s belongs to another pool: put the pool's own journal there", r->path);
    if (h->epoch != pool->epoch && h->epoch != pool->epoch + 1)
        return refuse(r, JR_EMISMATCH,
                      "the undo log %s is of session %llu of this pool, the pool file of session %llu: one of "
                      "the two was copied or restored alone; put the files that belong together side by side",
                      r->path, (unsigned long long)h->epoch, (unsigned long long)pool->epoch);
    *done = !live || h->epoch != pool->epoch || h->state == UNDO_EMPTY;
    if (*done)
        return JR_OK;
    /* libpmemobj adds 2 at each open (skipping 0); ours has or has not come to that */
    uint64_t ours = h->run_id + 2 ? h->run_id + 2 : 2;
    if (pool->run_id != h->run_id && pool->run_id != ours)
        return refuse(r, JR_EMISMATCH,
                      "another program has opened the pool since the undo log %s was written (run id %llu, "
                      "expected %llu): restore both files from a backup", r->path,
                      (unsigned long long)pool->run_id, (unsigned long long)ours);
    return JR_OK;
}

static int read_generation(int pool_fd, uint64_t generation_at, uint64_t *generation)
{
    size_t got;
    int error = io_read_all(pool_fd, generation, sizeof *generation, (off_t)generation_at, &got);
    return error ? error : got == sizeof *generation ? 0 : EIO;
}

/* Entry number i, which is in the file; NULL after a failure. */
static const struct undo_entry *entry(struct recovery *r, uint64_t i, int *rc)
{
    if (i < r->at || i >= r->at + r->loaded) {
        size_t got;
        r->at = i / AT_ONCE * AT_ONCE;
        r->loaded = r->room - r->at < AT_ONCE ? r->room - r->at : AT_ONCE;
        int error = io_read_all(r->fd, r->block, r->loaded * ENTRY, (off_t)(UNDO_ENTRIES_AT + r->at * ENTRY), &got);
        if (error || got != r->loaded * ENTRY) {
            *rc = error ? io_failure(r, error, "reading") : damaged(r, "it became shorter while it was read");
            return NULL;
        }
    }
    return &r->block[i - r->at];
}

static int counts(struct recovery *r, uint64_t i, int *rc)
{
    const struct undo_entry *e = entry(r, i, rc);
    return e && e->generation == r->first && is_valid(e, r->header.salt, i);
}

/* Finds the entries that count. */
static int scan(struct recovery *r)
{
    struct stat st;
    int rc = JR_OK, error = read_generation(r->pool_fd, r->generation_at, &r->generation);
    if (error)
        return io_failure(r, error, "reading the pool's generation for");
    if (fstat(r->fd, &st) < 0)
        return io_failure(r, errno, "reading");
    if (!(r->block = malloc(AT_ONCE * ENTRY)))
        return io_failure(r, ENOMEM, "reading");
    r->room = (uint64_t)st.st_size < UNDO_ENTRIES_AT ? 0 : room_of((uint64_t)st.st_size);
    const struct undo_entry *e = r->room ? entry(r, 0, &rc) : NULL;
    if (!e || (e->generation != r->generation && e->generation + 1 != r->generation))
        return rc;
    r->first = e->generation;
    while (r->count < r->room && counts(r, r->count, &rc))
        r->count++;
    if (r->first != r->generation)
        return rc;
    if (r->count == r->room)
        return damaged(r, "it has been cut, and entries may be missing");
    /* each entry was durable before the next one was written */
    for (uint64_t i = r->count + 1; i < r->room && i < r->count + LOOK_AHEAD && !rc; i++)
        if (counts(r, i, &rc))
            return damaged(r, "an entry in the middle is not valid");
    return rc;
}

static int put_into_file(void *recovery, const uint64_t *words, uint64_t offset)
{
    return io_write_all(((struct recovery *)recovery)->pool_fd, words, PM_LINE, (off_t)offset);
}

static int apply(struct recovery *r)
{
    int rc = JR_OK, error;
    for (uint64_t i = r->count; i-- > 0;) {
        const struct undo_entry *e = entry(r, i, &rc);
        if (!e)
            return rc;
        if (e->what % PM_LINE != UNDO_IMAGE)
            continue;
        if (e->what > r->pool_size || r->pool_size - e->what < PM_LINE)
            return damaged(r, "an entry names a line outside the pool");
        if ((error = r->put(r->context, e->words, e->what)))
            return io_failure(r, error, "applying");
        r->report->records++;
        r->report->bytes += PM_LINE;
    }
    return JR_OK;
}

static int collect(struct recovery *r, enum undo_kind kind, struct undo_pending *pending)
{
    int rc = JR_OK;
    uint64_t room = 0;
    for (uint64_t i = 0; i < r->count; i++) {
        const struct undo_entry *e = entry(r, i, &rc);
        if (!e)
            return rc;
        for (unsigned k = 0; k < PM_LINE / 8 && e->what == (uint64_t)kind; k++) {
            if (e->words[k] == 0)
                continue;
            if (pending->count == room) {
                room = 2 * room + 64;
                uint64_t *grown = realloc(pending->offsets, room * 8);
                if (!grown)
                    return io_failure(r, ENOMEM, "reading");
                pending->offsets = grown;
            }
            pending->offsets[pending->count++] = e->words[k];
        }
    }
    return JR_OK;
}

/* *undone: it is of what was never committed, and has been applied.  *done: recovery has nothing more to do. */
static int look_through(struct recovery *r, const struct jr_identity *pool, int live, int *undone, int *done)
{
    int rc = check_header(r, pool, live, done);
    if (rc || (rc = scan(r)))
        return rc;
    *undone = r->count && r->first == r->generation;
    if (*done)
        return *undone ? damaged(r, "it holds entries that the pool file does not need") : JR_OK;
    return *undone ? apply(r) : JR_OK;
}

static int recover_opened(struct recovery *r, const struct jr_identity *pool, int live, struct undo_pending *pending)
{
    int done, undone, rc = look_through(r, pool, live, &undone, &done), error;
    if (rc || done)
        return rc;
    if (undone && (error = io_fdatasync(r->pool_fd)))
        return io_failure(r, error, "syncing the pool file after applying");
    rc = collect(r, undone ? UNDO_ALLOCATED : UNDO_FREE, pending);
    if (!rc && pending->count == 0 && (error = undo_finish(r->path, r->pool_fd, r->generation_at)))
        rc = io_failure(r, error, "ending");
    return rc;
}

int undo_recover(const char *path, int pool_fd, uint64_t pool_size, const struct jr_identity *pool, int live,
                 uint64_t generation_at, struct jr_report *report, struct undo_pending *pending)
{
    struct recovery r = {.path = path, .pool_fd = pool_fd, .pool_size = pool_size, .generation_at = generation_at,
                         .report = report};
    struct timespec from, to;
    r.put = put_into_file;
    r.context = &r;
    memset(report, 0, sizeof *report);
    memset(pending, 0, sizeof *pending);
    clock_gettime(CLOCK_MONOTONIC, &from);
    int error = io_open(&r.fd, path, O_RDWR, 0);
    if (error)
        return io_failure(&r, error, "opening");
    int rc = recover_opened(&r, pool, live, pending);
    free(r.block);
    io.close(r.fd);
    clock_gettime(CLOCK_MONOTONIC, &to);
    report->seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    return rc;
}

int undo_read_all(const char *path, int pool_fd, uint64_t pool_size, const struct jr_identity *pool,
                  uint64_t generation_at, undo_put *put, void *context, struct jr_report *report)
{
    struct recovery r = {.path = path, .pool_fd = pool_fd, .pool_size = pool_size, .generation_at = generation_at,
                         .put = put, .context = context, .report = report};
    int done, undone;
    memset(report, 0, sizeof *report);
    int error = io_open(&r.fd, path, O_RDONLY, 0);
    if (error)
        return io_failure(&r, error, "opening");
    int rc = look_through(&r, pool, 1, &undone, &done);
    free(r.block);
    io.close(r.fd);
    return rc;
}

uint64_t undo_holder(const char *path)
{
    struct undo_header h;
    int fd, newest;
    if (io_open(&fd, path, O_RDONLY, 0))
        return 0;
    int error = read_header(fd, &h, &newest);
    io.close(fd);
    return error || newest < 0 || h.state != UNDO_LIVE ? 0 : h.pid;
}

int undo_is_log(const char *path)
{
    struct undo_header slot[2];
    size_t got;
    int fd;
    memset(slot, 0, sizeof slot);
    if (io_open(&fd, path, O_RDONLY, 0))
        return 0;
    for (int i = 0; i < 2; i++)
        if (io_read_all(fd, &slot[i], sizeof slot[i], (off_t)(i * (int)UNDO_SLOT_BYTES), &got))
            slot[i].magic = 0;
    io.close(fd);
    return slot[0].magic == UNDO_MAGIC || slot[1].magic == UNDO_MAGIC;
}

/* state 0: as it is. */
static int change_header(const char *path, uint64_t run_id, enum undo_state state)
{
    struct undo_header h;
    int fd, newest, error = io_open(&fd, path, O_RDWR, 0);
    if (error)
        return error;
    error = read_header(fd, &h, &newest);
    if (!error && newest < 0)
        error = EIO;
    if (!error) {
        if (state)
            h.state = state;
        else
            h.run_id = run_id;
        error = update_header(fd, &h, !newest);
    }
    io.close(fd);
    return error;
}

int undo_note_run(const char *path, uint64_t run_id) { return change_header(path, run_id, 0); }

int undo_finish(const char *path, int pool_fd, uint64_t generation_at)
{
    uint64_t generation;
    int error = read_generation(pool_fd, generation_at, &generation);
    generation += 2;
    if (!error)
        error = io_write_all(pool_fd, &generation, sizeof generation, (off_t)generation_at);
    if (!error)
        error = io_fdatasync(pool_fd);
    return error ? error : change_header(path, 0, UNDO_EMPTY);
}
