/*
 * test_crash.c: the journal against power loss, kill -9, failing calls and full disks.
 *
 * The oracle is the same everywhere: what is recovered is exactly one committed state, not older than what
 * was acknowledged and not newer than what was begun.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

/* ------------------------------------------------------------------ power loss -------------------- */

static struct {
    struct world *w;
    _Atomic uint64_t acknowledged;
    _Atomic uint64_t rng, images;
    atomic_bool started;                /* there is a journal to recover */
    unsigned one_in;
    pthread_mutex_t lock;
} power = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lose_power(void)
{
    char pool[300], journal[300];
    struct jr_report report;
    pthread_mutex_lock(&power.lock);
    crash_bypass(true);
    snprintf(pool, sizeof pool, "%s/image", directory);
    snprintf(journal, sizeof journal, "%s/image.journal", directory);
    uint64_t least = atomic_load(&power.acknowledged), seed = atomic_fetch_add(&power.rng, 0x1234567);
    crash_power_loss(seed, pool, journal);
    uint64_t most = atomic_load(&power.w->begun);
    int fd = open(pool, O_RDWR);
    struct jr_identity id = world_identity(power.w, fd);
    bool boot = ctl.other_boot;
    ctl.other_boot = true;
    int rc = jr_recover(journal, fd, POOL_BYTES, &id, &report);
    CHECK(rc == JR_OK, "seed %lu: %d: %s", seed, rc, report.message);
    world_state(power.w, fd, least, most);
    ctl.other_boot = boot;
    close(fd);
    crash_bypass(false);
    atomic_fetch_add(&power.images, 1);
    pthread_mutex_unlock(&power.lock);
}

static void maybe_lose_power(enum crash_op op, enum crash_file file, const void *data, size_t n, uint64_t at)
{
    (void)op, (void)data, (void)n, (void)at;
    uint64_t draw = atomic_fetch_add(&power.rng, 1);
    if (atomic_load(&power.started) && file != FILE_OTHER && random_next(&draw) % power.one_in == 0)
        lose_power();
}

void test_power_loss(void)
{
    struct world w;
    for (uint64_t round = 0; round < 6; round++) {
        uint64_t rng = 1000 + round;
        world_make(&w, "power", round % 2 ? HUGE_RECORDS : DIRECT_WRITES, rng);
        ctl.other_boot = ctl.disks = true;
        ctl.no_pool_map = round >= 4;
        crash_settle_pool();
        w.options.limit = 1 << 19;
        w.options.max_segment = round > 2 ? 131072 : 65536;
        w.options.sync = round == 3 ? JR_SYNC_INTERVAL : JR_SYNC_MANUAL;
        w.options.interval_ns = 2000000;
        power.w = &w;
        power.one_in = 4;
        power.started = false;
        atomic_store(&power.acknowledged, 0);
        atomic_store(&power.rng, rng);
        ctl.before = maybe_lose_power;
        CHECK(!world_start(&w));
        atomic_store(&power.started, true);
        for (int i = 0; i < 2500; i++) {
            world_append_many(&w, 1);
            uint64_t draw = random_next(&rng) % 512;
            if (draw < 6) {
                CHECK(!(draw ? jr_sync(w.j) : jr_checkpoint(w.j)));
                atomic_store(&power.acknowledged, w.n);
            } else if (draw < 14) {
                lose_power();
            }
        }
        CHECK(!ring_bytes || !jr_sync(w.j));    /* of another boot, what is in the ring does not count */
        world_die(&w);
        ctl.before = NULL;
        world_recovers_to(&w, 2500);
        world_remove(&w);
    }
    CHECK(atomic_load(&power.images) > 300, "%lu images", atomic_load(&power.images));
    printf("  %lu images\n", atomic_load(&power.images));
}

/* A session of w that ended uncleanly with `count` synced records over several segments.  Nothing has been
 * applied to the pool file: it is full. */
static void make_unapplied(struct world *w, uint64_t count)
{
    world_make(w, "unapplied", HUGE_RECORDS, 7);
    w->options.limit = 4 << 20;
    ctl.pool_full = ENOSPC;
    CHECK(!world_start(w));
    world_append_many(w, count);
    CHECK(!jr_sync(w->j));
    struct jr_stats stats;
    jr_get_stats(w->j, &stats);
    CHECK(stats.segments > 2 && stats.checkpoints == 0 && stats.records == count);
    world_die(w);
    ctl.pool_full = 0;
}

void test_power_loss_during_recovery(void)
{
    struct world w;
    make_unapplied(&w, 1200);
    for (int mapped = 0; mapped < 2; mapped++) {
        char journal[300];
        snprintf(journal, sizeof journal, "%s.saved", w.journal);
        copy_file(mapped ? journal : w.journal, mapped ? w.journal : journal);
        CHECK(!ftruncate(w.fd, 0) && !ftruncate(w.fd, POOL_BYTES));
        ctl.other_boot = ctl.disks = ctl.settled = true;
        ctl.no_pool_map = !mapped;
        crash_settle_pool();
        power.w = &w;
        power.started = true;
        power.one_in = mapped ? 1 : 20;
        atomic_store(&power.acknowledged, 1200);
        atomic_store(&power.images, 0);
        ctl.before = maybe_lose_power;
        struct jr_report report;
        CHECK(world_recover(&w, &report) == JR_OK, "%s", report.message);
        ctl.before = NULL;
        world_state(&w, w.fd, 1200, 1200);
        CHECK(atomic_load(&power.images) > 10);
    }
    world_remove(&w);
}

/* The program ends with unsynced records, in one round after a sync that failed; then the power fails while
 * the records are recovered. */
void test_power_loss_after_kill(void)
{
    for (uint64_t round = 0; round < 8; round++) {
        struct world w;
        struct jr_report report;
        world_make(&w, "killed", DIRECT_WRITES, 30 + round);
        ctl.disks = true;
        ctl.no_pool_map = round & 1;
        crash_settle_pool();
        CHECK(!world_start(&w));
        world_append_many(&w, 100);
        if (round & 2)
            CHECK(!jr_sync(w.j));
        atomic_store(&power.acknowledged, atomic_load(&w.j->synced) ? w.n : 0);
        world_append_many(&w, 100);
        if (round & 4) {
            ctl.fail_at = crash_calls() + 1;
            ctl.error = EIO;
            CHECK(jr_sync(w.j) == EIO);
        }
        world_die(&w);
        power.w = &w;
        power.started = true;
        power.one_in = 1;
        atomic_store(&power.images, 0);
        ctl.before = maybe_lose_power;
        for (int again = 0; again < 2; again++) {
            CHECK(world_recover(&w, &report) == JR_OK, "%s", report.message);
            world_state(&w, w.fd, 200, 200);
            atomic_store(&power.acknowledged, 200);
        }
        ctl.before = NULL;
        CHECK(atomic_load(&power.images) > 10);
        world_remove(&w);
    }
}

/* ------------------------------------------------------------------ kill -9 ----------------------- */

struct shared {
    _Atomic uint64_t acknowledged, begun;
    _Atomic int live;
};

static void work_until_killed(struct world *w, struct shared *s, uint64_t rng)
{
    if (world_start(w))
        _exit(3);
    atomic_store(&s->live, 1);
    for (;;) {
        atomic_store(&s->begun, w->n + 1);
        if (world_append(w))
            _exit(4);
        atomic_store(&s->acknowledged, w->n);
        uint64_t draw = random_next(&rng) % 4096;
        if (draw < 3 && (draw ? jr_sync(w->j) : jr_checkpoint(w->j)))
            _exit(5);
    }
}

void test_kill(void)
{
    struct world w;
    uint64_t rng = 20240229;
    struct shared *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    printf("  seed %lu\n", rng);
    world_make(&w, "kill", DIRECT_WRITES | HUGE_RECORDS, rng);
    w.options.limit = 1 << 20;
    w.options.max_segment = 1 << 18;
    w.options.sync = JR_SYNC_INTERVAL;
    w.options.interval_ns = 3000000;
    for (int round = 0; round < 100; round++) {
        ctl.fast_syncs = round % 2;
        uint64_t child_rng = random_next(&rng), nap = random_next(&rng) % 16000;
        atomic_store(&s->acknowledged, w.n);
        atomic_store(&s->begun, w.n);
        atomic_store(&s->live, 0);
        pid_t pid = fork();
        if (pid == 0)
            work_until_killed(&w, s, child_rng);
        usleep((useconds_t)nap);
        kill(pid, SIGKILL);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "child's status %#x", status);
        w.epoch = world_identity(&w, w.fd).epoch;
        struct jr_report report;
        int rc = world_recover(&w, &report);
        CHECK(rc == JR_OK || (rc == JR_EMISSING && w.epoch == 1), "round %d: %s", round, report.message);
        w.n = world_state(&w, w.fd, atomic_load(&s->acknowledged), atomic_load(&s->begun));
    }
    CHECK(w.n > 100, "%lu records", w.n);
    printf("  %lu records\n", w.n);
    munmap(s, 4096);
    world_remove(&w);
}

static void save(struct world *w, const char *suffix, bool back)
{
    char pool[300], journal[300];
    snprintf(pool, sizeof pool, "%s.%s", w->pool, suffix);
    snprintf(journal, sizeof journal, "%s.%s", w->journal, suffix);
    copy_file(back ? pool : w->pool, back ? w->pool : pool);
    copy_file(back ? journal : w->journal, back ? w->journal : journal);
}

/* A recovery that is killed before its k-th call; true when it came to its end instead. */
static bool recovery_ends(struct world *w, long k)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct jr_report report;
        crash_reset(w->fd);
        ctl.kill_at = k;
        ctl.fast_syncs = true;
        _exit(world_recover(w, &report));
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == JR_OK, "exit %d", WEXITSTATUS(status));
    return WIFEXITED(status);
}

void test_kill_during_recovery(void)
{
    struct world w;
    uint64_t rng = 5;
    make_unapplied(&w, 700);
    save(&w, "saved", false);
    for (long k = 1;; k++) {
        save(&w, "saved", true);
        bool ended = recovery_ends(&w, k);
        if (random_next(&rng) % 2)
            recovery_ends(&w, 1 + (long)(random_next(&rng) % (uint64_t)(k + 3)));
        world_recovers_to(&w, 700);
        world_recovers_to(&w, 700);
        if (ended)
            break;
        CHECK(k < 1000);
    }
    world_remove(&w);
}

/* ------------------------------------------------------------------ failing calls ----------------- */

/* One session with everything in it.  Gives the number of records acknowledged as synced; *error is the
 * first error of the engine. */
static uint64_t session(struct world *w, int *error)
{
    uint64_t acknowledged = 0;
    if ((*error = world_start(w)))
        return 0;
    while (w->n < 1500 && !*error) {
        *error = world_append(w);
        if (!*error && w->n % 100 == 50 && !(*error = jr_sync(w->j)))
            acknowledged = w->n;
        if (!*error && w->n % 700 == 0 && !(*error = jr_checkpoint(w->j)))
            acknowledged = w->n;
    }
    if (!*error && !(*error = jr_checkpoint(w->j)))
        acknowledged = w->n;
    return acknowledged;
}

static bool fails_at(long k, int code, bool sticky)
{
    struct world w;
    uint64_t mark;
    int error;
    world_make(&w, "failing", DIRECT_WRITES | HUGE_RECORDS, 77);
    w.options.limit = 1 << 18;
    ctl.fail_at = k;
    ctl.error = code;
    ctl.sticky = sticky;
    uint64_t acknowledged = session(&w, &error);
    enum crash_op op;
    bool started = w.j, fired = crash_fired(&op);
    CHECK(!error || error == code || (!sticky && error == ENOMEM), "call %ld: %s", k, strerror(error));
    CHECK(error || w.n == 1500);
    if (started) {
        bool fatal = fired && (op == OP_FDATASYNC || (op == OP_PWRITE && code == EIO));
        int failed = atomic_load(&w.j->failed);
        /* a background thread may have the error in its hands, and not have recorded it yet */
        for (int ms = 0; fatal && !failed && ms < 5000; ms++) {
            usleep(1000);
            failed = atomic_load(&w.j->failed);
        }
        CHECK(!fatal || failed, "call %ld, %d: nobody noticed", k, op);
        CHECK(!failed || failed == error || !error);
        CHECK(!failed || (jr_sync(w.j) == failed && jr_make_ready(w.j, 2) == failed &&
                          jr_checkpoint(w.j) == failed && jr_write_direct(w.j, "", 0, 1, &mark) == failed));
        jr_stop(w.j, acknowledged == 1500);
    }
    ctl.fail_at = 0;
    if (started && acknowledged < 1500)
        world_recovers_to(&w, w.n);         /* the program ended, the page cache did not: nothing is lost */
    else
        world_state(&w, w.fd, w.n, w.n);
    CHECK(w.n >= acknowledged);
    world_remove(&w);
    return fired;
}

void test_failing_calls(void)
{
    static const int codes[] = {EIO, ENOSPC};
    long runs = 0;
    for (int variant = 0; variant < 4; variant++)
        for (long k = 1; fails_at(k, codes[variant / 2], variant % 2); k++)
            runs++;
    printf("  %ld runs\n", runs);
    CHECK(runs > 200);
}

/* The pool's disk is full: the journal grows to its limit, then says so; with space again all goes on. */
void test_full_pool(void)
{
    struct world w;
    struct jr_stats stats;
    uint64_t mark;
    int error = 0;
    world_make(&w, "full", PLAIN, 3);
    w.options.limit = 1 << 19;
    w.options.max_segment = 1 << 18;
    ctl.pool_full = ENOSPC;
    CHECK(!world_start(&w));
    while (w.n < 20000 && !(error = world_append(&w)))
        ;
    CHECK(error == ENOSPC && !atomic_load(&w.j->failed), "%d", error);
    CHECK(jr_checkpoint(w.j) == ENOSPC && jr_write_direct(w.j, "", 64, 1, &mark) == ENOSPC);
    while (ring_bytes && !(error = world_append(&w)))
        ;                       /* what was asked since may have brought some of the ring to the log */
    CHECK(world_append(&w) == ENOSPC);
    error = jr_sync(w.j);
    CHECK(!error || (ring_bytes && error == ENOSPC));
    jr_get_stats(w.j, &stats);
    CHECK(stats.journal_bytes - JR_SEGMENTS_AT - ring_bytes == w.options.limit, "%lu", stats.journal_bytes);
    CHECK(ring_bytes || stats.bytes_appended > w.options.limit * 9 / 10);
    CHECK(ring_bytes || stats.checkpoints == 0);
    __atomic_store_n(&ctl.pool_full, 0, __ATOMIC_RELEASE);
    world_append_many(&w, 5000);
    CHECK(!jr_checkpoint(w.j));
    world_state(&w, w.fd, w.n, w.n);
    jr_stop(w.j, 1);
    CHECK(access(w.journal, F_OK) != 0);

    /* recovery onto a full disk changes nothing and may be repeated */
    ctl.pool_full = ENOSPC;
    CHECK(!world_start(&w));
    world_append_many(&w, 100);
    world_die(&w);
    struct jr_report report;
    CHECK(world_recover(&w, &report) == JR_EIO && report.os_error == ENOSPC, "%s", report.message);
    world_state(&w, w.fd, w.n - 100, w.n - 100);
    ctl.pool_full = 0;
    world_recovers_to(&w, w.n);
    world_remove(&w);
}

void test_interrupted_calls(void)
{
    struct world w;
    int error;
    world_make(&w, "interrupted", DIRECT_WRITES | HUGE_RECORDS, 4);
    ctl.interrupted = true;
    ctl.no_pool_map = true;
    CHECK(session(&w, &error) == 1500, "%s", strerror(error));
    world_state(&w, w.fd, 1500, 1500);
    world_append_many(&w, 300);
    world_die(&w);
    world_recovers_to(&w, 1800);
    world_remove(&w);
}

/* ------------------------------------------------------------------ order of calls ---------------- */

static struct {
    bool pool_dirty;            /* written since its last sync began */
    uint64_t first_seq;         /* of the last header written */
    uint64_t pool_writes, moves;
} order;

static void synced_headers(struct jr_header h[2])
{
    crash_synced_journal(h, 2 * sizeof *h, 0);
}

static void check_order(enum crash_op op, enum crash_file file, const void *data, size_t n, uint64_t offset)
{
    struct jr_header h[2];
    if (file == FILE_POOL && op == OP_PWRITE) {
        synced_headers(h);
        for (int i = 0; i < 2; i++)
            CHECK(h[i].durable_through >= h[i].first_seq, "the pool is written before a header announces it");
        order.pool_dirty = true;
        order.pool_writes++;
    }
    if (file == FILE_POOL && op == OP_FDATASYNC)
        order.pool_dirty = false;
    if (file == FILE_JOURNAL && op == OP_PWRITE && offset < 2 * JR_SLOT_BYTES) {
        const struct jr_header *now = data;
        usleep(200);                /* time for an appender that does not wait as it must */
        CHECK(n == sizeof *now);
        if (now->first_seq != order.first_seq) {
            CHECK(!order.pool_dirty, "the header lets go of records that are not synced in the pool");
            order.first_seq = now->first_seq;
            order.moves++;
        }
        if (now->generation > 1) {
            synced_headers(h);
            CHECK(h[!offset].generation == now->generation - (offset == 0), "the other slot is not synced");
        }
    }
}

static void order_of_calls(enum flavour flavour, uint64_t count)
{
    struct world w;
    world_make(&w, "order", flavour, 12);
    ctl.disks = ctl.no_pool_map = true;
    crash_settle_pool();
    memset(&order, 0, sizeof order);
    order.first_seq = 1;
    CHECK(!world_start(&w));
    ctl.before = check_order;
    uint64_t salts[1000] = {w.j->salt}, switches = 0, rng = 12;
    while (w.n < count) {
        world_append_many(&w, 1);
        if (w.n % 60 == 0)
            usleep((useconds_t)(random_next(&rng) % 100));
        if (w.j->salt == salts[switches])
            continue;
        for (uint64_t i = 0; i <= switches; i++)
            CHECK(salts[i] != w.j->salt, "a segment is reused with its old salt");
        struct jr_header h[2];
        synced_headers(h);
        for (int i = 0; i < 2; i++) {
            bool named = false;
            for (uint64_t k = 0; k < h[i].segments; k++)
                named |= h[i].segment[k].salt == w.j->salt;
            CHECK(named, "records go to a segment that no synced header names");
        }
        CHECK(switches < 999);
        salts[++switches] = w.j->salt;
    }
    CHECK(!jr_checkpoint(w.j));
    CHECK(switches > 5 && order.moves > 3 && order.pool_writes > 1000);
    jr_stop(w.j, 1);
    ctl.before = NULL;
    world_state(&w, w.fd, count, count);
    world_remove(&w);
}

void test_order_of_calls(void)
{
    order_of_calls(HUGE_RECORDS, 5000);
    order_of_calls(PLAIN, 20000);
}
