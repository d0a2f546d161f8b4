/*
 * test_undo.c: the undo log and the direct engine, crashed at every flush and drain.
 *
 *   test_undo DIRECTORY NAME...
 *
 * A pool of some pages is changed by random levels.  What is flushed is durable after the next drain; what is not may
 * be written at any time before, and of that each word may be there or not when the machine stops.  At each flush and each drain such a state is made of the
 * pool file and the log, and recovered; it must be that of the last commit, or while one is being made that or the
 * next one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "direct/direct.h"
#include "files/io.h"

#define CHECK(condition, ...)                                                                             \
    do {                                                                                                  \
        if (!(condition)) {                                                                               \
            fprintf(stderr, "%s:%d: %s:", __FILE__, __LINE__, #condition);                               \
            fprintf(stderr, " " __VA_ARGS__);                                                             \
            fputc('\n', stderr);                                                                          \
            exit(1);                                                                                      \
        }                                                                                                 \
    } while (0)

#define PAGES 12u
#define BYTES (PAGES * PM_PAGE_SIZE)
#define WORDS (BYTES / 8)
#define ROOT_AT 64u                             /* not at a line's end or a page's start, as in real pools */
#define GENERATION_AT (ROOT_AT + offsetof(pm_root, generation))
#define GENERATION (GENERATION_AT / 8)
#define FIRST ((ROOT_AT + sizeof(pm_root)) / 8) /* words from here on are the test's */
#define LOG_BYTES (UNDO_ENTRIES_AT + 2048 * sizeof(struct undo_entry))
#define NOTES 20u

static const char *directory;
static char pool_path[512], log_path[512], crashed_pool[512], crashed_log[512];
static struct io_table real;
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed += 0x9e3779b97f4a7c15ull;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % below;
}

/* ------------------------------------------------------------------ media ------------------------- */

/* What is durable of the pool and of the log, and what a flush has picked up. */
static char pool_durable[BYTES], log_durable[LOG_BYTES], pool_flushed[BYTES], log_flushed[LOG_BYTES];
static uint64_t events, next_crash, crashes, flush_fails_at;
static pm_pool pool;
static int pool_fd;
static void (*at_event)(void);
static int flush_failed;

static void settle_all(void)
{
    CHECK(pread(pool_fd, pool_durable, BYTES, 0) == BYTES);
    int fd = open(log_path, O_RDONLY);
    CHECK(fd >= 0 && pread(fd, log_durable, LOG_BYTES, 0) == LOG_BYTES);
    close(fd);
    memcpy(pool_flushed, pool_durable, BYTES);
    memcpy(log_flushed, log_durable, LOG_BYTES);
}

/* Lines that a cache writes by itself. */
static void evict(void)
{
    for (uint64_t n = draw(6); n > 0; n--) {
        uint64_t at = draw(BYTES / PM_LINE) * PM_LINE;
        CHECK(pread(pool_fd, pool_durable + at, PM_LINE, (off_t)at) == PM_LINE);
        memcpy(pool_flushed + at, pool_durable + at, PM_LINE);
    }
}

/* The lines of a range, which lies in one of the two. */
static int flush(const void *at, size_t length)
{
    struct undo *u = pool.direct->undo;
    events++;
    evict();
    if (flush_fails_at && events >= flush_fails_at) {
        flush_failed = 1;
        return EIO;
    }
    const char *from = at;
    int in_log = from >= u->map && from < u->map + u->bytes;
    const char *base = in_log ? u->map : pool.base;
    uint64_t first = (uint64_t)(from - base) / PM_LINE * PM_LINE, end = (uint64_t)(from - base) + length;
    end = (end + PM_LINE - 1) / PM_LINE * PM_LINE;
    CHECK(in_log ? end <= LOG_BYTES : end <= BYTES);
    memcpy((in_log ? log_flushed : pool_flushed) + first, base + first, end - first);
    if (at_event)
        at_event();
    return 0;
}

static void drain(void)
{
    events++;
    memcpy(pool_durable, pool_flushed, BYTES);
    memcpy(log_durable, log_flushed, LOG_BYTES);
    if (at_event)
        at_event();
}

static const pm_media media = {flush, drain, 0};
const pm_media pm_page_cache = {flush, drain, 0};      /* the shipped one is in persist.c */

/* ------------------------------------------------------------------ the world --------------------- */

/* What a committed state holds.  Words that are free may hold anything. */
struct state {
    uint64_t words[WORDS];
    uint8_t used[WORDS];
    uint64_t freed[NOTES], nfreed;      /* noted to be freed after this commit */
};

static struct state before, after;              /* committed, and to be committed */
static uint8_t taken[WORDS];                    /* by what is open */
static int committing;                          /* 1: it may be either of them; 2: it is the second */
static uint64_t allocated[NOTES], nallocated;   /* noted for what is open */
static uint64_t noted;                          /* of these, surely in the log */
static uint64_t hot;                            /* words from here on are chosen more often */
static struct jr_identity identity;
static uint64_t epoch;

static struct jr_identity who(void)
{
    struct jr_identity id = {.epoch = epoch, .run_id = 7};
    memcpy(id.pool_uuid, "the pool's UUID.", 16);
    return id;
}

static void open_pool(void)
{
    epoch++;
    identity = who();
    CHECK(!pm_pool_init(&pool, BYTES));
    CHECK(!direct_start(&pool, log_path, pool_fd, &identity, JR_SYNC_MANUAL, DIRECT_NEVER, 0, &media, 0));
    pool.base = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, pool_fd, 0);
    CHECK(pool.base != MAP_FAILED);
    pool.root = (pm_root *)(pool.base + ROOT_AT);
    pool.write_gate = PM_GATE_DIRECT;
    settle_all();
    CHECK(!direct_mapped(&pool) && pool.root->generation);
}

static void close_pool(int clean)
{
    munmap(pool.base, BYTES);
    direct_stop(&pool, clean);
    pm_pool_fini(&pool);
}

static void make_world(void)
{
    unlink(log_path);
    pool_fd = open(pool_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(pool_fd >= 0 && !ftruncate(pool_fd, BYTES));
    memset(&before, 0, sizeof before);
    for (uint64_t i = FIRST; i < WORDS; i++) {
        before.used[i] = draw(2) == 0;          /* free words and used ones in every line */
        before.words[i] = draw(~0ull);
    }
    CHECK(pwrite(pool_fd, before.words + FIRST, (WORDS - FIRST) * 8, FIRST * 8) == (ssize_t)((WORDS - FIRST) * 8));
    after = before;
    memset(taken, 0, sizeof taken);
    committing = 0;
    epoch = 0;
    hot = FIRST;
    nallocated = noted = 0;
    at_event = NULL;
    flush_fails_at = 0;
    open_pool();
}

static void remove_world(void)
{
    at_event = NULL;
    close_pool(1);
    close(pool_fd);
    unlink(pool_path);
}

/* The words of `found` that are used in this state hold what they must. */
static int is_state(const struct state *s, const uint64_t *found)
{
    for (uint64_t i = FIRST; i < WORDS; i++)
        if (s->used[i] && s->words[i] != found[i])
            return 0;
    return 1;
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static int recover(int fd, struct jr_report *report, struct undo_pending *pending)
{
    return undo_recover(crashed_log, fd, BYTES, &identity, 1, GENERATION_AT, report, pending);
}

/* What was pending is what the state calls for. */
static void check_pending(const struct undo_pending *pending, int is_after)
{
    uint64_t least = is_after ? after.nfreed : noted, most = is_after ? after.nfreed : nallocated;
    const uint64_t *wanted = is_after ? after.freed : allocated;
    if (!is_after && pending->count == before.nfreed && !noted &&
        (pending->count == 0 || !memcmp(pending->offsets, before.freed, before.nfreed * 8)))
        return;                 /* no entry has reached the log yet, so the last commit's are still there */
    if (pool.depth == 0)
        return;                 /* nothing is open: what the last commit frees may be named again */
    CHECK(pending->count >= least && pending->count <= most, "%lu pending, %lu to %lu expected, after %d, committing %d",
          (unsigned long)pending->count, (unsigned long)least, (unsigned long)most, is_after, committing);
    for (uint64_t i = 0; i < pending->count; i++)
        CHECK(pending->offsets[i] == wanted[i]);
}

static void check_recovered(int fd, const struct undo_pending *pending)
{
    static uint64_t found[WORDS];
    CHECK(pread(fd, found, BYTES, 0) == BYTES);
    int old = is_state(&before, found), new = is_state(&after, found);
    CHECK(committing == 2 ? new : old || (committing && new), "event %lu, crash %lu, committing %d",
          (unsigned long)events, (unsigned long)crashes, committing);
    if (pending && old != new)
        check_pending(pending, new);
}

static uint64_t recovery_calls, recovery_stops_at;
static char file_durable[BYTES];
static int recovered_fd;

static int stops(void) { return recovery_stops_at && ++recovery_calls >= recovery_stops_at; }

static ssize_t stopping_pwrite(int fd, const void *from, size_t n, off_t at)
{
    if (stops()) {
        errno = EIO;
        return -1;
    }
    return real.pwrite(fd, from, n, at);
}

static int stopping_fdatasync(int fd)
{
    if (stops()) {
        errno = EIO;
        return -1;
    }
    if (fd == recovered_fd)
        CHECK(pread(fd, file_durable, BYTES, 0) == BYTES);
    return 0;
}

/* Recovery stops at its k-th call; what it wrote since its last sync may be there or not. */
static void stop_recovery(int fd, uint64_t k)
{
    static uint64_t now[WORDS];
    struct jr_report report;
    struct undo_pending pending;
    recovered_fd = fd;
    recovery_calls = 0;
    recovery_stops_at = k;
    CHECK(pread(fd, file_durable, BYTES, 0) == BYTES);
    io.pwrite = stopping_pwrite;
    io.fdatasync = stopping_fdatasync;
    recover(fd, &report, &pending);
    free(pending.offsets);
    io.pwrite = real.pwrite;
    io.fdatasync = real.fdatasync;
    recovery_stops_at = 0;
    CHECK(pread(fd, now, BYTES, 0) == BYTES);
    for (uint64_t i = 0; i < WORDS; i++)
        if (draw(2))
            memcpy(&now[i], file_durable + i * 8, 8);
    CHECK(pwrite(fd, now, BYTES, 0) == BYTES);
}

static int stop_recoveries;

static void mix(uint64_t *to, const char *durable, const char *flushed, const char *current, uint64_t words)
{
    for (uint64_t i = 0; i < words; i++) {
        uint64_t choice = draw(3);
        memcpy(&to[i], (choice == 0 ? durable : choice == 1 ? flushed : current) + i * 8, 8);
    }
}

/* The machine stops here; the program goes on as if it had not. */
static void crash_now(void)
{
    static uint64_t words[WORDS], log[LOG_BYTES / 8];
    static char current[LOG_BYTES];
    struct jr_report report;
    struct undo_pending pending;
    if (next_crash && crashes >= next_crash && draw(20))
        return;
    crashes++;
    CHECK(pread(pool_fd, current, BYTES, 0) == BYTES);
    mix(words, pool_durable, pool_flushed, current, WORDS);
    write_file(crashed_pool, words, BYTES);
    mix(log, log_durable, log_flushed, pool.direct->undo->map, LOG_BYTES / 8);
    write_file(crashed_log, log, LOG_BYTES);
    int fd = open(crashed_pool, O_RDWR);
    CHECK(fd >= 0);
    if (stop_recoveries)
        for (int i = 0; i < 3; i++)
            stop_recovery(fd, 1 + draw(12));
    int rc = recover(fd, &report, &pending);
    CHECK(rc == JR_OK, "%d: %s", rc, report.message);
    check_recovered(fd, &pending);
    if (pending.count)
        CHECK(!undo_finish(crashed_log, fd, GENERATION_AT));
    free(pending.offsets);
    CHECK(recover(fd, &report, &pending) == JR_OK && report.records == 0 && pending.count == 0);
    check_recovered(fd, NULL);
    close(fd);
}

/* ------------------------------------------------------------------ levels ------------------------ */

struct mark {                   /* where an inner level began */
    size_t images, ranges;
    uint64_t epoch;
    struct state state;
};

static uint64_t *word(uint64_t i) { return (uint64_t *)(pool.base + i * 8); }

/* What is given back can be used again after the commit. */
static int is_free(uint64_t i) { return !after.used[i] && !before.used[i] && !taken[i]; }

static uint64_t some_word(int used)
{
    for (unsigned tries = 0;; tries++) {
        /* most of them in a few lines */
        uint64_t i = tries < 20 && draw(4) ? hot + draw(24) : FIRST + draw(WORDS - FIRST);
        if (used ? after.used[i] : is_free(i))
            return i;
    }
}

static void change(void)
{
    uint64_t i, n, value;
    switch (draw(4)) {
    case 0:                     /* words that nothing refers to yet */
        i = some_word(0);
        for (n = 0; n < 1 + draw(12) && i + n < WORDS && is_free(i + n); n++)
            after.words[i + n] = *word(i + n) = draw(~0ull);
        if (draw(3))
            pm_fresh(&pool, word(i), n * 8);
        else                    /* as large ones are */
            pm_add_range(&pool, i * 8, n * 8);
        memset(after.used + i, 1, n);
        memset(taken + i, 1, n);
        break;
    case 1:                     /* a range, whole */
        i = some_word(1);
        n = 1 + draw(20);
        n = i + n > WORDS ? WORDS - i : n;
        pm_snapshot(&pool, word(i), n * 8);
        for (uint64_t k = i; k < i + n; k++)
            if (after.used[k])
                after.words[k] = *word(k) = draw(~0ull);
        break;
    case 2:                     /* given back when this is committed */
        after.used[some_word(1)] = 0;
        break;
    default:
        i = some_word(1);
        after.words[i] = value = draw(~0ull);
        pm_store(&pool, word(i), value);
        pool.nlog = 0;          /* each is an operation of its own */
    }
}

/* Stores and levels inside the open one, some of them undone. */
static void work(unsigned depth)
{
    static struct mark marks[4];
    for (uint64_t n = draw(6); n > 0; n--) {
        if (depth == 4 || draw(4)) {
            change();
            continue;
        }
        struct mark *m = &marks[depth];
        *m = (struct mark){pool.nimages, pool.nranges, pool.epoch, after};
        pool.depth++;
        pool.epoch = ++pool.last_epoch;
        work(depth + 1);
        if (draw(2)) {
            pm_images_undo(&pool, m->images);
            pool.nranges = m->ranges;
            after = m->state;
        }
        pool.depth--;
        pool.epoch = m->epoch;
    }
}

static void note(void)
{
    uint64_t n = draw(3) ? 0 : draw(NOTES);
    for (nallocated = 0; nallocated < n; nallocated++)
        allocated[nallocated] = 16 + 64 * draw(1000);
    CHECK(!direct_note(&pool, UNDO_ALLOCATED, allocated, nallocated));
    noted = nallocated;
    n = draw(3) ? 0 : draw(NOTES);
    for (after.nfreed = 0; after.nfreed < n; after.nfreed++)
        after.freed[after.nfreed] = 32 + 64 * draw(1000);
    CHECK(!direct_note(&pool, UNDO_FREE, after.freed, after.nfreed));
}

static void end_level(void)
{
    direct_level_end(&pool);
    nallocated = noted = 0;
    committing = 0;
    memset(taken, 0, sizeof taken);
    CHECK(is_state(&before, (const uint64_t *)pool.base));
}

static void one_level(void)
{
    after = before;
    after.nfreed = 0;
    hot = FIRST + draw(WORDS - FIRST - 24);
    if (draw(8) == 0) {         /* no level at all */
        uint64_t i = some_word(1);
        after.words[i] = draw(~0ull);
        after.nfreed = before.nfreed;
        committing = 1;
        CHECK(pool.engine->put_word(&pool, word(i), after.words[i]));
        before = after;
        committing = 0;
        return;
    }
    direct_level_begin(&pool);
    pool.write_gate = PM_GATE_TX;
    work(0);
    note();
    if (draw(3)) {
        CHECK(!direct_settle(&pool));
        committing = 1;
        direct_commit(&pool);
        committing = 2;
        if (at_event)
            at_event();
        before = after;
    } else {
        noted = 0;              /* void once the lines are back */
        direct_abort(&pool);
        if (at_event)
            at_event();
        nallocated = 0;
        after = before;
    }
    pool.write_gate = PM_GATE_DIRECT;
    end_level();
}

/* ------------------------------------------------------------------ tests ------------------------- */

static void test_crash(void)
{
    for (seed = 1; seed < 40; seed += 13) {
        make_world();
        crashes = 0;
        next_crash = 400;
        at_event = crash_now;
        for (int i = 0; i < 60; i++)
            one_level();
        CHECK(crashes > 300);
        remove_world();
    }
}

static void test_crash_in_recovery(void)
{
    stop_recoveries = 1;
    test_crash();
    stop_recoveries = 0;
}

static void test_sessions(void)
{
    struct jr_report report;
    struct undo_pending pending;
    seed = 5;
    make_world();
    for (int session = 0; session < 20; session++) {
        for (int i = 0; i < 30; i++)
            one_level();
        int open = session % 3;
        if (open) {             /* killed in a transaction */
            after = before;
            direct_level_begin(&pool);
            pool.write_gate = PM_GATE_TX;
            for (int i = 0; i < 20; i++)
                change();
        }
        uint64_t logged = pool.direct->undo->count;
        close_pool(0);
        memset(taken, 0, sizeof taken);
        int rc = undo_recover(log_path, pool_fd, BYTES, &identity, 1, GENERATION_AT, &report, &pending);
        CHECK(rc == JR_OK, "%s", report.message);
        CHECK(!open || report.records == logged);
        if (pending.count)
            CHECK(!undo_finish(log_path, pool_fd, GENERATION_AT));
        free(pending.offsets);
        static uint64_t found[WORDS];
        CHECK(pread(pool_fd, found, BYTES, 0) == BYTES && is_state(&before, found));
        open_pool();
    }
    remove_world();
}

static int no_fallocate(int fd, int mode, off_t offset, off_t length)
{
    (void)fd, (void)mode, (void)offset, (void)length;
    errno = ENOSPC;
    return -1;
}

/* The log is full in the middle of a level, and the disk too: nothing of what follows reaches the file. */
static void test_doomed(void)
{
    static uint64_t found[WORDS];
    for (seed = 1; seed < 30; seed++) {
        make_world();
        crashes = 0;
        next_crash = 50;
        at_event = crash_now;
        for (int i = 0; i < 5; i++)
            one_level();
        uint64_t room = pool.direct->undo->room;
        io.fallocate = no_fallocate;
        after = before;
        direct_level_begin(&pool);
        pool.write_gate = PM_GATE_TX;
        pool.direct->undo->room = pool.direct->undo->count + draw(4);
        for (int i = 0; i < 30 || !pool.direct->error; i++)
            change();
        CHECK(pool.direct->error == ENOSPC && pool.write_gate & PM_GATE_DOOMED);
        CHECK(is_state(&after, (const uint64_t *)pool.base));
        crash_now();
        CHECK(direct_settle(&pool) == ENOSPC);
        CHECK(pread(pool_fd, found, BYTES, 0) == BYTES && !is_state(&after, found));
        direct_abort(&pool);
        CHECK(pool.write_gate == PM_GATE_TX && !pool.direct->error && !pool.journal->failed);
        pool.write_gate = PM_GATE_DIRECT;
        after = before;
        end_level();
        io.fallocate = real.fallocate;
        pool.direct->undo->room = room;
        for (int i = 0; i < 5; i++)
            one_level();
        CHECK(pread(pool_fd, found, BYTES, 0) == BYTES && is_state(&before, found));
        remove_world();
    }
}

static int no_flush(const void *at, size_t length)
{
    (void)at, (void)length;
    return 0;
}

static void no_drain(void) {}

static const pm_media no_media = {no_flush, no_drain, 0};

/* The log grows, and is cut back afterwards. */
static void test_growth(void)
{
    uint64_t words[8] = {0};
    seed = 3;
    make_world();
    struct undo *u = pool.direct->undo;
    uint64_t many = 2 * (UNDO_KEEP * UNDO_FIRST_BYTES) / sizeof(struct undo_entry);
    u->media = &no_media;       /* the model holds less */
    for (uint64_t i = 0; i < many; i++) {
        words[0] = i;
        CHECK(!undo_append(u, UNDO_IMAGE | (i % (BYTES / 64) * 64), words));
    }
    CHECK(u->bytes > 2 * (UNDO_KEEP * UNDO_FIRST_BYTES) && undo_at(u, many - 1)->words[0] == many - 1);
    undo_begin(u, u->generation + 1);
    CHECK(u->bytes == UNDO_ENTRIES_AT + (UNDO_KEEP * UNDO_FIRST_BYTES) && u->count == 0);
    u->media = &media;
    remove_world();
}

/* A word alone that could not be made durable is what it was. */
static void test_failing_word(void)
{
    seed = 29;
    make_world();
    uint64_t old = *word(FIRST);
    events = 0;
    flush_fails_at = 1;
    CHECK(!pool.engine->put_word(&pool, word(FIRST), ~old) && *word(FIRST) == old && pool.journal->failed == EIO);
    flush_fails_at = 0;
    remove_world();
}

/* A flush that fails ends all changes; what was committed before is found by the next open. */
static void test_failing_flush(void)
{
    static uint64_t found[WORDS];
    struct jr_report report;
    struct undo_pending pending;
    for (uint64_t k = 1; k < 60; k++) {
        seed = 11;
        make_world();
        for (int i = 0; i < 3; i++)
            one_level();
        events = 0;
        flush_fails_at = k;
        flush_failed = 0;
        after = before;
        direct_level_begin(&pool);
        pool.write_gate = PM_GATE_TX;
        for (int i = 0; i < 20; i++)
            change();
        int failed = direct_settle(&pool), committed = 0;
        if (!failed) {
            direct_commit(&pool);
            committed = 1;
            CHECK(is_state(&after, (const uint64_t *)pool.base));
        } else {
            CHECK(pool.journal->failed == EIO);
            direct_abort(&pool);
            CHECK(is_state(&before, (const uint64_t *)pool.base));
        }
        int broken = pool.journal->failed != 0;
        CHECK(broken == flush_failed);
        pool.write_gate = PM_GATE_DIRECT;
        direct_level_end(&pool);
        if (broken)
            CHECK(!pool.engine->put_word(&pool, word(FIRST), 1));
        at_event = NULL;
        close_pool(0);
        int rc = undo_recover(log_path, pool_fd, BYTES, &identity, 1, GENERATION_AT, &report, &pending);
        CHECK(rc == JR_OK, "%s", report.message);
        free(pending.offsets);
        CHECK(pread(pool_fd, found, BYTES, 0) == BYTES);
        CHECK(is_state(&before, found) || (committed && is_state(&after, found)));
        flush_fails_at = 0;
        open_pool();
        remove_world();
    }
}

static void damage(uint64_t entry, uint64_t flip)
{
    int fd = open(crashed_log, O_RDWR);
    uint64_t at = UNDO_ENTRIES_AT + entry * sizeof(struct undo_entry) + 40, word_there;
    CHECK(fd >= 0 && pread(fd, &word_there, 8, (off_t)at) == 8);
    word_there ^= flip;
    CHECK(pwrite(fd, &word_there, 8, (off_t)at) == 8);
    close(fd);
}

static void copy_to_crashed(void)
{
    static char bytes[LOG_BYTES];
    CHECK(pread(pool_fd, bytes, BYTES, 0) == BYTES);
    write_file(crashed_pool, bytes, BYTES);
    int fd = open(log_path, O_RDONLY);
    CHECK(fd >= 0 && pread(fd, bytes, LOG_BYTES, 0) == LOG_BYTES);
    close(fd);
    write_file(crashed_log, bytes, LOG_BYTES);
}

static void test_refusals(void)
{
    struct jr_report report;
    struct undo_pending pending;
    seed = 17;
    make_world();
    direct_level_begin(&pool);
    for (int i = 0; i < 40; i++)
        change();
    uint64_t count = pool.direct->undo->count;
    CHECK(count > 5);
    copy_to_crashed();
    int fd = open(crashed_pool, O_RDWR);
    struct jr_identity right = identity;

    identity.pool_uuid[0] ^= 1;
    CHECK(recover(fd, &report, &pending) == JR_EMISMATCH && strstr(report.message, "another pool"));
    identity = right;
    identity.epoch += 1;
    CHECK(recover(fd, &report, &pending) == JR_EMISMATCH && strstr(report.message, "of session"));
    identity = right;
    identity.run_id += 4;
    CHECK(recover(fd, &report, &pending) == JR_EMISMATCH && strstr(report.message, "another program"));
    CHECK(!undo_note_run(crashed_log, identity.run_id - 2));
    identity.run_id -= 2;       /* noted before the pool is opened once more */
    copy_to_crashed();
    identity = right;

    damage(1, 1);
    CHECK(recover(fd, &report, &pending) == JR_EDAMAGED && strstr(report.message, "in the middle"));
    damage(1, 1);
    damage(count - 1, 1);       /* the last one: it had not been written completely */
    CHECK(recover(fd, &report, &pending) == JR_OK && report.records == count - 1);
    copy_to_crashed();
    CHECK(undo_is_log(crashed_log) && !undo_is_log(crashed_pool));
    CHECK(!truncate(crashed_log, 600));
    CHECK(recover(fd, &report, &pending) == JR_OK && report.records == 0);
    CHECK(!truncate(crashed_log, 100));
    CHECK(recover(fd, &report, &pending) == JR_EDAMAGED && strstr(report.message, "header"));
    /* one header is enough */
    copy_to_crashed();
    int log = open(crashed_log, O_RDWR);
    CHECK(pwrite(log, "xxxxxxxxxxxxxxxxxxxxxxxxx", 24, 8) == 24);
    CHECK(recover(fd, &report, &pending) == JR_OK && report.records == count);
    CHECK(pwrite(log, "xxxxxxxxxxxxxxxxxxxxxxxxx", 24, 8) == 24);
    CHECK(pwrite(log, "xxxxxxxxxxxxxxxxxxxxxxxxx", 24, UNDO_SLOT_BYTES + 8) == 24);
    CHECK(recover(fd, &report, &pending) == JR_EDAMAGED);
    close(log);
    close(fd);
    direct_abort(&pool);
    direct_level_end(&pool);
    remove_world();
}

/* A forked child that lets go of the pool leaves the file as it is, whatever it stores afterwards. */
static void test_fork(void)
{
    static uint64_t found[WORDS];
    seed = 23;
    make_world();
    one_level();
    pid_t child = fork();
    if (child == 0) {
        direct_orphan(&pool);
        memset(pool.base, 0xee, BYTES);
        _exit(!pool.journal->failed);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(pread(pool_fd, found, BYTES, 0) == BYTES && is_state(&before, found));
    one_level();
    CHECK(pread(pool_fd, found, BYTES, 0) == BYTES && is_state(&before, found));
    remove_world();
}

/* What is durable is for the model to say. */
static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"crash", test_crash},
    {"crash_in_recovery", test_crash_in_recovery},
    {"sessions", test_sessions},
    {"doomed", test_doomed},
    {"growth", test_growth},
    {"failing_word", test_failing_word},
    {"failing_flush", test_failing_flush},
    {"refusals", test_refusals},
    {"fork", test_fork},
};

int main(int argc, char **argv)
{
    CHECK(argc > 2, "usage: test_undo DIRECTORY NAME...");
    directory = argv[1];
    snprintf(pool_path, sizeof pool_path, "%s/pool", directory);
    snprintf(log_path, sizeof log_path, "%s/pool-journal", directory);
    snprintf(crashed_pool, sizeof crashed_pool, "%s/crashed", directory);
    snprintf(crashed_log, sizeof crashed_log, "%s/crashed-journal", directory);
    io.fdatasync = no_sync;
    io.fsync = no_sync;
    real = io;
    for (int i = 2; i < argc; i++) {
        int found = 0;
        for (size_t k = 0; k < sizeof tests / sizeof *tests; k++) {
            if (strcmp(argv[i], tests[k].name))
                continue;
            tests[k].run();
            found = 1;
        }
        CHECK(found, "no test %s", argv[i]);
    }
    return 0;
}
