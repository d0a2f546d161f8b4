/*
 * test_journal.c: the journal's normal work, damage, identity and the pool file's probe.
 *
 *   test_journal DIRECTORY              all tests
 *   test_journal DIRECTORY NAME...      some of them
 *   test_journal DIRECTORY ring NAME... with a ring in front of the log
 *   test_journal DIRECTORY bench        times, in DIRECTORY's file system
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

/* ------------------------------------------------------------------ normal work ------------------- */

static void test_round_trip(void)
{
    struct world w;
    struct jr_report report;
    world_make(&w, "round", PLAIN, 1);
    for (int session = 0; session < 5; session++) {
        CHECK(!world_start(&w));
        world_append_many(&w, 250);
        world_die(&w);
        struct jr_header before, after;
        fetch(w.journal, 0, &before, sizeof before);
        CHECK(world_recover(&w, &report) == JR_OK, "%s", report.message);
        fetch(w.journal, 0, &after, sizeof after);
        CHECK(after.state == JR_EMPTY && after.segment[0].salt != before.segment[0].salt);
        CHECK(report.discarded_bytes == 0);
        /* the log's records are made of several of the ring's */
        CHECK(ring_bytes || (report.records == 250 && report.last_seq >= 250), "%lu records, the last is %lu",
              report.records, report.last_seq);
        world_state(&w, w.fd, w.n, w.n);
        CHECK(world_recover(&w, &report) == JR_OK && report.records == 0, "%s", report.message);
        world_state(&w, w.fd, w.n, w.n);
    }
    world_remove(&w);
}

static void test_many_segments(void)
{
    for (int flavour = 0; flavour < 4; flavour++) {
        struct world w;
        struct jr_stats stats;
        world_make(&w, "segments", (enum flavour)flavour, 2);
        CHECK(!world_start(&w));
        world_append_many(&w, 20000);
        jr_get_stats(w.j, &stats);
        CHECK(stats.records == 20000 && stats.checkpoints > 5 && stats.bytes_appended > 20 * 65536);
        CHECK(stats.bytes_applied <= stats.bytes_appended);
        CHECK(ring_bytes || flavour & HUGE_RECORDS || stats.segments == 2);
        world_die(&w);
        world_recovers_to(&w, 20000);
        world_remove(&w);
    }
}

static void test_growth(void)
{
    struct world w;
    struct jr_stats stats;
    world_make(&w, "growth", PLAIN, 9);
    w.options.limit = 2 << 20;
    w.options.max_segment = 1 << 19;
    ctl.pool_full = ENOSPC;                 /* the checkpointer cannot keep up */
    CHECK(!world_start(&w));
    do {
        world_append_many(&w, 1);
        jr_get_stats(w.j, &stats);
    } while (stats.segments < 6);
    __atomic_store_n(&ctl.pool_full, 0, __ATOMIC_RELEASE);
    world_append_many(&w, 30000);
    jr_get_stats(w.j, &stats);
    CHECK(stats.journal_bytes - JR_SEGMENTS_AT - ring_bytes <= w.options.limit && stats.checkpoints);
    world_die(&w);
    world_recovers_to(&w, w.n);
    world_remove(&w);
}

/* A record longer than the limit gets a segment of its own, which goes again. */
static void test_oversized_record(void)
{
    struct world w;
    struct jr_stats stats;
    world_make(&w, "oversized", HUGE_RECORDS, 4);
    uint64_t full = JR_SEGMENTS_AT + ring_bytes + w.options.limit;
    CHECK(!world_start(&w));
    world_append_many(&w, 250);
    CHECK(file_size(w.journal) > full);
    CHECK(!jr_checkpoint(w.j));
    for (int i = 0; i < 5000 && file_size(w.journal) > full; i++)
        usleep(1000);
    CHECK(file_size(w.journal) == full, "%lu", file_size(w.journal));
    jr_get_stats(w.j, &stats);
    CHECK(stats.segments == 2);
    world_append_many(&w, 250);
    world_die(&w);
    world_recovers_to(&w, 500);
    CHECK(!world_start(&w));
    CHECK(jr_make_ready(w.j, 1ull << 32) == EFBIG);
    world_die(&w);
    world_remove(&w);
}

/* A program killed within a commit to the ring; and what a reboot leaves of the ring. */
static void test_ring_tail(void)
{
    struct world w;
    struct jr_report report;
    struct jr_header h;
    uint64_t rng = 4;
    ring_bytes = 65536;
    for (int round = 0; round < 200; round++) {
        world_make(&w, "tail", PLAIN, (uint64_t)round);
        CHECK(!world_start(&w));
        world_append_many(&w, 20);
        if (round & 1)
            CHECK(!jr_sync(w.j));
        uint64_t position = atomic_load(&w.j->ring.appended);
        world_append_many(&w, 1);
        uint64_t end = atomic_load(&w.j->ring.appended);
        uint64_t garbage = random_next(&rng), at = position + (round & 2 ? 0 : random_next(&rng) % (end - position));
        world_die(&w);
        patch(w.journal, JR_SEGMENTS_AT + at * 8, &garbage, 8);
        ctl.other_boot = round & 4;
        if (round & 4)
            world_recovers_to(&w, round & 1 ? 20 : 0);      /* the log alone */
        else
            world_recovers_to(&w, 20);
        fetch(w.journal, 0, &h, sizeof h);
        CHECK(h.state == JR_EMPTY && h.ring_bytes == 0);
        CHECK(world_recover(&w, &report) == JR_OK && report.records == 0, "%s", report.message);
        world_remove(&w);
    }
}

static uint64_t durable_to;

static void say_ring_durable(struct jr_header *h) { h->ring_durable = durable_to; }

/* Rot in front of a valid record is no torn tail. */
static void test_ring_gap(void)
{
    struct world w;
    struct jr_report report;
    uint64_t rng = 9;
    ring_bytes = 65536;
    for (uint64_t round = 0; round < 60; round++) {
        world_make(&w, "gap", PLAIN, round);
        CHECK(!world_start(&w));
        world_append_many(&w, 20 * (round % 2));         /* too few for the merger to be woken */
        uint64_t from = atomic_load(&w.j->ring.appended);
        world_append_many(&w, 3);
        uint64_t to = atomic_load(&w.j->ring.appended), byte = random_next(&rng);
        world_append_many(&w, 1);
        world_die(&w);
        uint64_t at = from + random_next(&rng) % (to - from);
        if (at / 8192 == to / 8192) {
            uint64_t place = JR_SEGMENTS_AT + at % 8192 * 8 + byte % 8;
            unsigned char value;
            fetch(w.journal, place, &value, 1);
            value ^= (unsigned char)(1 << byte / 8 % 8);
            patch(w.journal, place, &value, 1);
            CHECK(world_recover(&w, &report) == JR_EDAMAGED, "round %lu: %s", round, report.message);
        }
        world_remove(&w);
    }
}

/* A recovery that was killed has announced that the pool may hold what the ring holds: then a record of it that
 * does not verify is damage, and after a reboot the ring counts as well. */
static void test_ring_damage(void)
{
    struct world w;
    struct jr_report report;
    ring_bytes = 65536;
    for (uint64_t round = 0; round < 40; round++) {
        world_make(&w, "damage", PLAIN, round);
        CHECK(!world_start(&w));
        world_append_many(&w, 20);
        durable_to = atomic_load(&w.j->ring.appended);
        world_die(&w);
        edit_headers(w.journal, say_ring_durable);
        ctl.other_boot = round & 1;
        if (round & 2) {
            uint64_t garbage = 0x5a5a5a5a5a5a5a5aull;
            patch(w.journal, JR_SEGMENTS_AT + round * 977 % (durable_to * 8) / 8 * 8, &garbage, 8);
            CHECK(world_recover(&w, &report) == JR_EDAMAGED, "%s", report.message);
            world_state(&w, w.fd, 0, 0);
        } else {
            world_recovers_to(&w, 20);
        }
        world_remove(&w);
    }
}

/* Many turns of the ring; the program ends at every place in it. */
static void test_ring_turns(void)
{
    struct world w;
    ring_bytes = 65536;
    world_make(&w, "turns", PLAIN, 4);
    for (int session = 0; session < 60; session++) {
        CHECK(!world_start(&w));
        world_append_many(&w, 100 + 97 * (uint64_t)session);
        CHECK(atomic_load(&w.j->ring.appended) > 8192 || session < 5);
        world_die(&w);
        world_recovers_to(&w, w.n);
    }
    world_remove(&w);
}

static void test_checkpoint(void)
{
    struct world w;
    struct jr_stats stats;
    world_make(&w, "checkpoint", DIRECT_WRITES, 5);
    CHECK(!world_start(&w));
    CHECK(!jr_checkpoint(w.j));             /* of nothing */
    for (int i = 0; i < 30; i++) {
        world_append_many(&w, 50);
        CHECK(!jr_checkpoint(w.j));
        world_state(&w, w.fd, w.n, w.n);
        CHECK(atomic_load(&w.j->synced) == atomic_load(&w.j->appended));
    }
    jr_get_stats(w.j, &stats);
    CHECK(stats.bytes_applied == stats.bytes_appended && stats.checkpoints >= 30);
    jr_stop(w.j, 1);
    CHECK(access(w.journal, F_OK) != 0);
    world_remove(&w);
}

/* Old records about a block must not be applied after its new content, at a checkpoint or at recovery. */
static void test_direct_write_over_journalled_range(void)
{
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        struct world w;
        struct jr_report report;
        uint64_t fresh[8], found[8], mark;
        world_make(&w, "direct", PLAIN, 6);
        CHECK(!world_start(&w));
        CHECK(!jr_make_ready(w.j, 9));
        jr_room(w.j)[0] = JR_EXTENT(200000, 8);
        memset(jr_room(w.j) + 1, 0xee, 64);
        jr_done(w.j, 9);
        CHECK(jr_write_direct(w.j, fresh, POOL_BYTES - 8, 16, &mark) == EINVAL);
        memset(fresh, 0x11, sizeof fresh);
        CHECK(!jr_write_direct(w.j, fresh, 200000, sizeof fresh, &mark));
        CHECK(atomic_load(&w.j->synced) >= 1);
        if (checkpoint)
            CHECK(!jr_checkpoint(w.j));
        world_die(&w);
        CHECK(world_recover(&w, &report) == JR_OK, "%s", report.message);
        CHECK(pread(w.fd, found, sizeof found, 200000) == sizeof found);
        CHECK(!memcmp(found, fresh, sizeof found));
        world_remove(&w);
    }
}

static void test_interval(void)
{
    struct world w;
    world_make(&w, "interval", PLAIN, 6);
    w.options.sync = JR_SYNC_INTERVAL;
    w.options.interval_ns = 1000000;
    CHECK(!world_start(&w));
    for (int i = 0; i < 20; i++) {
        world_append_many(&w, 3);
        for (int k = 0; k < 5000 && atomic_load(&w.j->synced) < atomic_load(&w.j->appended); k++)
            usleep(1000);
        CHECK(atomic_load(&w.j->synced) == atomic_load(&w.j->appended));
    }
    world_die(&w);
    world_remove(&w);
}

static atomic_bool stop_syncing;
static _Atomic long syncs_done;

static void *keep_syncing(void *journal)
{
    struct jr *j = journal;
    while (!atomic_load(&stop_syncing)) {
        uint64_t before = atomic_load(&j->appended);
        CHECK(!jr_sync(j) && atomic_load(&j->synced) >= before);
        atomic_fetch_add(&syncs_done, 1);
    }
    return NULL;
}

static void on_alarm(int unused) { (void)unused; }

/* Many threads sync while one appends, and signals arrive all the time. */
static void test_group_commit(void)
{
    struct world w;
    pthread_t threads[4];
    struct itimerval every = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = on_alarm};
    world_make(&w, "group", PLAIN, 8);
    ctl.fast_syncs = false;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    CHECK(!world_start(&w));
    atomic_store(&stop_syncing, false);
    for (int i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, keep_syncing, w.j));
    for (int i = 0; i < 100; i++) {
        world_append_many(&w, 20);
        CHECK(!jr_sync(w.j));
    }
    atomic_store(&stop_syncing, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    world_die(&w);
    world_recovers_to(&w, 2000);
    world_remove(&w);
}

static void test_forked_child(void)
{
    struct world w;
    world_make(&w, "fork", PLAIN, 8);
    CHECK(!world_start(&w));
    world_append_many(&w, 100);
    pid_t pid = fork();
    if (pid == 0) {
        jr_orphan(w.j);
        _exit(jr_sync(w.j) != ECHILD || jr_make_ready(w.j, 2) != ECHILD || jr_checkpoint(w.j) != ECHILD);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0, "%#x", status);
    world_append_many(&w, 3000);
    CHECK(!jr_sync(w.j));
    CHECK(jr_holder(w.journal) == (uint64_t)getpid() && jr_holder(w.pool) == 0);
    world_die(&w);
    world_recovers_to(&w, 3100);
    CHECK(jr_holder(w.journal) == 0 && jr_holder("") == 0);
    world_remove(&w);
}

/* ------------------------------------------------------------------ damage ------------------------ */

struct pristine {               /* a dead session, to be damaged again and again */
    struct world w;
    char saved[300];
    uint64_t last_record;       /* offset in the journal of the last record */
    uint64_t before_last;       /* of the one before it */
    uint64_t end;               /* of the records */
};

/* 20 records; if `sync_at`, a sync after that many. */
static void make_pristine(struct pristine *p, uint64_t sync_at)
{
    struct world *w = &p->w;
    world_make(w, "damage", PLAIN, 21);
    CHECK(!world_start(w));
    for (uint64_t i = 1; i <= 20; i++) {
        p->before_last = p->last_record;
        p->last_record = JR_SEGMENTS_AT + (uint64_t)(w->j->head - w->j->priv->current->map) * 8;
        world_append_many(w, 1);
        if (i == sync_at)
            CHECK(!jr_sync(w->j));
    }
    p->end = JR_SEGMENTS_AT + (uint64_t)(w->j->head - w->j->priv->current->map) * 8;
    world_die(w);
    snprintf(p->saved, sizeof p->saved, "%s.saved", w->journal);
    copy_file(w->journal, p->saved);
}

static void restore(struct pristine *p)
{
    copy_file(p->saved, p->w.journal);
    CHECK(!ftruncate(p->w.fd, 0) && !ftruncate(p->w.fd, POOL_BYTES));
}

/* Recovers; JR_OK must give state n, an error must leave the pool as it was. */
static int recover_damaged(struct pristine *p, uint64_t n, struct jr_report *report)
{
    int rc = world_recover(&p->w, report);
    uint64_t state = rc == JR_OK ? n : 0;
    CHECK(rc == JR_OK || strstr(report->message, p->w.journal), "%d '%s'", rc, report->message);
    world_state(&p->w, p->w.fd, state, state);
    restore(p);
    return rc;
}

static void spoil(struct pristine *p, uint64_t from, uint64_t to, bool zero, uint64_t *rng)
{
    unsigned char bytes[65536];
    fetch(p->w.journal, from, bytes, to - from);
    for (uint64_t i = 0; i < to - from; i++)
        bytes[i] = zero ? 0 : (unsigned char)(bytes[i] ^ (1 + random_next(rng) % 255));
    patch(p->w.journal, from, bytes, to - from);
}

static void test_torn_tail(void)
{
    struct pristine p;
    struct jr_report report;
    uint64_t rng = 3;
    make_pristine(&p, 0);
    restore(&p);
    for (uint64_t at = p.last_record; at < p.end; at++)
        for (int how = 0; how < 4; how++) {
            ctl.other_boot = how & 1;
            spoil(&p, at, how & 2 ? p.end : at + 1, (how & 2) && at % 2, &rng);
            int rc = recover_damaged(&p, 19, &report);
            CHECK(rc == JR_OK, "byte %lu: %s", at, report.message);
        }
    world_remove(&p.w);
}

/* The same damage in the record before the last one. */
static void test_damaged_record(void)
{
    struct pristine p;
    struct jr_report report;
    uint64_t rng = 3;
    for (uint64_t sync_at = 18; sync_at < 20; sync_at++) {
        make_pristine(&p, sync_at);
        restore(&p);
        for (uint64_t at = p.before_last; at < p.last_record; at++)
            for (int how = 0; how < 4; how++) {
                ctl.other_boot = how & 1;
                spoil(&p, at, how & 2 ? p.last_record : at + 1, how & 2, &rng);
                int rc = recover_damaged(&p, 18, &report);
                bool torn = ctl.other_boot && sync_at < 19;
                CHECK(rc == (torn ? JR_OK : JR_EDAMAGED), "byte %lu, how %d: %d %s", at, how, rc,
                      report.message);
                CHECK(!torn || report.discarded_bytes >= p.end - p.last_record);
            }
        world_remove(&p.w);
    }
}

/* Rot in a segment that was sealed and announced as durable is damage, whatever its records knew. */
static void test_rot_in_sealed_segment(void)
{
    struct world w;
    struct jr_report report;
    uint64_t garbage = 0x5a5a5a5a5a5a5a5aull;
    world_make(&w, "rot", PLAIN, 22);
    ctl.other_boot = true;
    ctl.pool_full = ENOSPC;
    CHECK(!world_start(&w));
    while (w.j->priv->current->offset == JR_SEGMENTS_AT)
        world_append_many(&w, 1);
    for (int i = 0; i < 5000 && w.j->priv->header.durable_through == 0; i++)
        usleep(1000);
    world_die(&w);
    ctl.pool_full = 0;
    patch(w.journal, JR_SEGMENTS_AT + 4096, &garbage, 8);
    CHECK(world_recover(&w, &report) == JR_EDAMAGED, "%s", report.message);
    world_state(&w, w.fd, 0, 0);
    world_remove(&w);
}

static void truncate_record(struct jr_header *h) { h->segment[0].bytes = 256; }
static void lengthen_segment(struct jr_header *h) { h->segment[1].bytes += 65536; }
static void overlap_segments(struct jr_header *h) { h->segment[1].offset -= 4096; }
static void wrap_segment(struct jr_header *h) { h->segment[1].bytes = UINT64_MAX - 7; }
static void too_many_segments(struct jr_header *h) { h->segments = 163; }
static void no_segments(struct jr_header *h) { h->segments = 0; }
static void other_link(struct jr_header *h) { h->link ^= 1; }
static void newer_format(struct jr_header *h) { h->version = JR_FORMAT_VERSION + 1; }
static void all_durable(struct jr_header *h) { h->durable_through = 21; }
static void was_applied(struct jr_header *h) { h->durable_through = 1; }
static void next_epoch(struct jr_header *h) { h->epoch++; }
static void set_empty(struct jr_header *h) { h->state = JR_EMPTY; }

static void test_damaged_header(void)
{
    static const struct { void (*edit)(struct jr_header *); int rc; } edits[] = {
        {lengthen_segment, JR_EDAMAGED}, {overlap_segments, JR_EDAMAGED}, {wrap_segment, JR_EDAMAGED},
        {too_many_segments, JR_EDAMAGED}, {no_segments, JR_EDAMAGED}, {other_link, JR_EDAMAGED},
        {newer_format, JR_EVERSION}, {all_durable, JR_EDAMAGED}, {next_epoch, JR_EDAMAGED},
        {set_empty, JR_EDAMAGED}, {was_applied, JR_OK}, {truncate_record, JR_OK}};
    struct pristine p;
    struct jr_report report;
    unsigned char byte;
    make_pristine(&p, 0);
    restore(&p);
    for (uint64_t bit = 0; bit < 2 * JR_SLOT_BYTES * 8; bit += bit % (JR_SLOT_BYTES * 8) < 2400 ? 1 : 37) {
        fetch(p.w.journal, bit / 8, &byte, 1);
        byte ^= (unsigned char)(1 << bit % 8);
        patch(p.w.journal, bit / 8, &byte, 1);
        int rc = recover_damaged(&p, 20, &report);
        CHECK(rc == JR_OK, "bit %lu: %s", bit, report.message);
    }
    for (uint64_t bit = 0; bit < JR_SLOT_BYTES * 8; bit += 29) {
        for (int slot = 0; slot < 2; slot++) {
            uint64_t at = slot * JR_SLOT_BYTES + bit / 8;
            fetch(p.w.journal, at, &byte, 1);
            byte ^= (unsigned char)(1 << bit % 8);
            patch(p.w.journal, at, &byte, 1);
        }
        CHECK(recover_damaged(&p, 20, &report) == JR_EDAMAGED, "bit %lu of both", bit);
    }
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        edit_headers(p.w.journal, edits[i].edit);
        ctl.other_boot = edits[i].edit == truncate_record;
        int rc = world_recover(&p.w, &report);
        CHECK(rc == edits[i].rc, "edit %zu: %d %s", i, rc, report.message);
        restore(&p);
    }
    for (uint64_t size = 0; size < file_size(p.saved); size += size < 10000 ? 512 : 30000) {
        CHECK(!truncate(p.w.journal, (off_t)size));
        CHECK(recover_damaged(&p, 20, &report) == JR_EDAMAGED, "%lu bytes left", size);
    }
    world_remove(&p.w);
}

/* A record with a good checksum that names memory outside the pool, or does not fill its payload. */
static void test_extent_out_of_bounds(void)
{
    static const uint64_t bad[] = {
        JR_EXTENT(POOL_BYTES, 1), JR_EXTENT(POOL_BYTES - 8, 2), JR_EXTENT(4, 1), JR_EXTENT(64, 0),
        JR_EXTENT(64, 3), JR_EXTENT(0xfffffffffff8ull, 2)};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct world w;
        struct jr_report report;
        world_make(&w, "bounds", PLAIN, 1);
        CHECK(!world_start(&w));
        world_append_many(&w, 10);
        CHECK(!jr_make_ready(w.j, 3));
        jr_room(w.j)[0] = bad[i];
        jr_room(w.j)[1] = jr_room(w.j)[2] = 5;
        jr_done(w.j, 3);
        if (i == 0) {           /* the running journal must refuse it too */
            CHECK(jr_checkpoint(w.j) == EBADMSG && atomic_load(&w.j->failed) == EBADMSG);
        }
        world_die(&w);
        CHECK(world_recover(&w, &report) == JR_EDAMAGED, "%s", report.message);
        CHECK(i == 0 || world_state(&w, w.fd, 0, 0) == 0);
        world_remove(&w);
    }
}

/* ------------------------------------------------------------------ identity ---------------------- */

static void test_identity(void)
{
    struct pristine p;
    struct jr_report report;
    make_pristine(&p, 0);
    restore(&p);
    struct world *w = &p.w;
    const struct jr_identity good = world_identity(w, w->fd);
    struct { uint8_t uuid; uint64_t epoch, run_id, applied; void (*edit)(struct jr_header *); int rc; const char *says; }
    cases[] = {
        {0, 0, 0, 0, NULL, JR_OK, ""},
        {1, 0, 0, 0, NULL, JR_EMISMATCH, "another pool"},
        {0, 1, 0, 0, NULL, JR_EMISMATCH, "copied or restored alone"},
        {0, (uint64_t)-2, 0, 0, NULL, JR_EMISMATCH, "copied or restored alone"},
        {0, (uint64_t)-1, 0, 0, NULL, JR_EDAMAGED, ""},         /* not live yet, but it holds records */
        {0, 0, 2, 0, NULL, JR_EMISMATCH, "another program"},
        {0, 0, 2, 0, was_applied, JR_OK, ""},                   /* our own open, already applied */
        {0, 0, 2, 5, NULL, JR_OK, ""},                          /* after the journal was copied, but it has all that */
        {0, 0, 2, 30, NULL, JR_EMISMATCH, "the journal is older"},
        {0, 0, 4, 5, NULL, JR_EMISMATCH, "another program"},
        {0, 0, 4, 0, was_applied, JR_EMISMATCH, "another program"},
        {0, 0, (uint64_t)-2, 0, NULL, JR_EMISMATCH, "another program"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jr_identity id = good;
        id.pool_uuid[15] ^= cases[i].uuid;
        id.epoch += cases[i].epoch;
        id.run_id += cases[i].run_id;
        if (cases[i].applied) {
            id.live = 1;
            id.applied = PM_MARK(id.epoch, cases[i].applied);
        }
        if (cases[i].edit)
            edit_headers(w->journal, cases[i].edit);
        int rc = jr_recover(w->journal, w->fd, POOL_BYTES, &id, &report);
        CHECK(rc == cases[i].rc && strstr(report.message, cases[i].says), "case %zu: %d %s", i, rc, report.message);
        uint64_t n = rc == JR_OK ? 20 : 0;
        world_state(w, w->fd, n, n);
        restore(&p);
    }
    unlink(w->journal);
    CHECK(jr_recover(w->journal, w->fd, POOL_BYTES, &good, &report) == JR_EMISSING);
    /* killed between making the journal and marking the pool */
    CHECK(!world_start(w));
    world_die(w);
    w->epoch--;
    world_recovers_to(w, 0);
    /* recovered: another program may open the pool now */
    w->epoch++;
    world_recovers_to(w, 0);
    struct jr_identity opened = world_identity(w, w->fd);
    opened.run_id += 6;
    CHECK(jr_recover(w->journal, w->fd, POOL_BYTES, &opened, &report) == JR_OK, "%s", report.message);
    world_remove(w);
}

/* ------------------------------------------------------------------ pool file --------------------- */

static void poke(int fd, uint64_t offset, uint64_t value, size_t n)
{
    CHECK(pwrite(fd, &value, n, (off_t)offset) == (ssize_t)n);
}

static void expect(int fd, enum pf_kind kind)
{
    struct pf_info info;
    enum pf_kind found = pf_probe(fd, &info);
    CHECK(found == kind, "%d instead of %d", found, kind);
}

static void test_probe(void)
{
    struct world w;
    struct pf_info info;
    const uint64_t size = 8 << 20, root = 3892304;
    world_make(&w, "probe", PLAIN, 1);
    int fd = w.fd;
    CHECK(!ftruncate(fd, 0));
    expect(fd, PF_EMPTY);
    poke(fd, 0, 0x4a424f4d454d50ull, 3);
    expect(fd, PF_NOT_A_POOL);
    CHECK(pwrite(fd, "PMEMPOOL", 8, 0) == 8);
    expect(fd, PF_NOT_A_POOL);
    CHECK(pwrite(fd, "PMEMOBJ", 8, 0) == 8);
    expect(fd, PF_TRUNCATED);
    CHECK(!ftruncate(fd, size - 1));
    expect(fd, PF_TRUNCATED);
    CHECK(!ftruncate(fd, size));
    CHECK(pwrite(fd, "another", 8, PMDK_LAYOUT_AT) == 8);
    expect(fd, PF_WRONG_LAYOUT);
    CHECK(pf_probe(fd, &info) == PF_WRONG_LAYOUT && !strcmp(info.layout, "another"));
    CHECK(pwrite(fd, PM_LAYOUT_NAME, sizeof PM_LAYOUT_NAME, PMDK_LAYOUT_AT) == sizeof PM_LAYOUT_NAME);
    poke(fd, 8, 5, 4);
    expect(fd, PF_DAMAGED);
    poke(fd, 8, 7, 4);
    expect(fd, PF_NEWER);
    poke(fd, 8, 6, 4);
    expect(fd, PF_NO_ROOT);
    poke(fd, 5136, 3153920, 8);
    poke(fd, 6176, size - 3153920, 8);
    expect(fd, PF_NO_ROOT);
    poke(fd, 6176, size - 3153920 + 8, 8);
    expect(fd, PF_TRUNCATED);
    poke(fd, 6176, size - 3153920, 8);
    poke(fd, PMDK_ROOT_SIZE_AT, PM_ROOT_SIZE, 8);
    poke(fd, PMDK_ROOT_OFFSET_AT, size - 8, 8);
    expect(fd, PF_TRUNCATED);
    poke(fd, PMDK_ROOT_OFFSET_AT, UINT64_MAX - 7, 8);
    expect(fd, PF_TRUNCATED);
    poke(fd, PMDK_ROOT_OFFSET_AT, 64, 8);
    expect(fd, PF_DAMAGED);
    poke(fd, PMDK_ROOT_OFFSET_AT, root, 8);
    expect(fd, PF_NO_ROOT);
    poke(fd, root, 5, 8);
    expect(fd, PF_DAMAGED);
    poke(fd, root, PM_ROOT_MAGIC, 8);
    expect(fd, PF_DAMAGED);
    poke(fd, root + 8, PM_FORMAT_VERSION + 1, 8);
    expect(fd, PF_NEWER);
    poke(fd, root + 8, PM_FORMAT_VERSION - 1, 8);
    expect(fd, PF_OLDER);
    poke(fd, root + 8, PM_FORMAT_VERSION, 8);
    poke(fd, root + 16, 1ull << 63, 8);
    expect(fd, PF_NEWER);
    poke(fd, root + 16, 0, 8);
    poke(fd, root + 32, 0x1122334455667788, 8);
    poke(fd, PMDK_RUN_ID_AT, 34, 8);
    poke(fd, PMDK_ROOT_SIZE_AT, 64, 8);
    expect(fd, PF_DAMAGED);
    poke(fd, PMDK_ROOT_SIZE_AT, PM_ROOT_SIZE, 8);
    expect(fd, PF_OK);
    CHECK(pf_probe(fd, &info) == PF_OK && info.run_id == 34 && info.uuid[0] == 0x88 && info.size == size);
    CHECK(!pf_set_state(fd, &info, 77) && pf_probe(fd, &info) == PF_OK && info.state == 77);
    ctl.fail_at = crash_calls() + 1;
    ctl.error = EIO;
    CHECK(pf_probe(fd, &info) == PF_IO_ERROR && info.os_error == EIO);
    ctl.fail_at = crash_calls() + 2;
    CHECK(pf_set_state(fd, &info, 78) == EIO);
    world_remove(&w);
}

static void test_lock(void)
{
    struct world w;
    world_make(&w, "lock", PLAIN, 1);
    int second = open(w.pool, O_RDWR);
    CHECK(!pf_lock(w.fd) && pf_lock(second) == EAGAIN);
    close(open(w.pool, O_RDWR));            /* would release a POSIX lock */
    CHECK(pf_lock(second) == EAGAIN);
    pid_t pid = fork();
    if (pid == 0)
        _exit(pf_lock(second) != EAGAIN);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(second);
    world_remove(&w);
}

/* Who needs record 10 of session 5 next, and whom that is in the way of. */
static void test_positions(void)
{
    struct world w;
    world_make(&w, "positions", PLAIN, 1);
    int reader = open(w.pool, O_RDONLY), other = open(w.pool, O_RDONLY), yes;
    CHECK(pf_may_apply(w.fd, 5, 20) == 20 && !pf_has_strangers(w.fd, 5));
    uint64_t place = pf_position(5, 10);
    CHECK(!pf_lock_position(reader, PF_RECORDS, place));
    CHECK(pf_may_apply(w.fd, 5, 20) == 9 && pf_may_apply(w.fd, 5, 9) == 9 && pf_may_apply(w.fd, 5, 3) == 3);
    CHECK(pf_lock_change(w.fd, PF_RECORDS, 5, 10) == EAGAIN && !pf_lock_change(w.fd, PF_RECORDS, 5, 9));
    CHECK(!pf_lock_position(reader, PF_RECORDS, pf_position(5, 11)), "forwards it may always");
    CHECK(pf_lock_position(other, PF_RECORDS, PF_UNPLACED) == EAGAIN);
    pf_unlock_change(w.fd, PF_RECORDS);
    CHECK(!pf_lock_position(other, PF_RECORDS, PF_UNPLACED));
    CHECK(pf_may_apply(w.fd, 5, 20) == 0 && pf_lock_change(w.fd, PF_RECORDS, 5, 1) == EAGAIN);
    pf_unlock_position(other, PF_RECORDS, PF_UNPLACED);
    pf_unlock_position(reader, PF_RECORDS, pf_position(5, 11));

    /* other sessions, before and behind */
    CHECK(pf_lock_change(w.fd, PF_RECORDS, 6, 0) == EAGAIN && pf_lock_change(w.fd, PF_RECORDS, 4, 99) == EAGAIN);
    CHECK(pf_may_apply(w.fd, 6, 7) == 0 && pf_may_apply(w.fd, 4, 7) == 0);
    CHECK(pf_has_strangers(w.fd, 5) && !pf_has_strangers(w.fd, 6));
    CHECK(pf_has_strangers(w.fd, 5 + (1u << PF_SESSION_BITS)));
    pf_unlock_position(reader, PF_RECORDS, place);
    CHECK(!pf_lock_position(reader, PF_RECORDS, pf_position(6, 1)));
    CHECK(!pf_lock_change(w.fd, PF_RECORDS, 6, 0) && !pf_has_strangers(w.fd, 6));
    pf_unlock_change(w.fd, PF_RECORDS);
    pf_unlock_position(reader, PF_RECORDS, pf_position(6, 1));

    /* the last session before the numbers come round, and numbers that are too large */
    uint64_t last = (1u << PF_SESSION_BITS) - 1;
    CHECK(!pf_lock_position(reader, PF_RECORDS, pf_position(last, 8)));
    CHECK(!pf_lock_change(w.fd, PF_RECORDS, last, 7) && pf_position(1, 1ull << PF_RECORD_BITS) == PF_UNPLACED);
    pf_unlock_change(w.fd, PF_RECORDS);
    pf_unlock_position(reader, PF_RECORDS, pf_position(last, 8));

    /* the two ranges, and the writer's bytes, have nothing to do with one another */
    CHECK(!pf_lock_position(reader, PF_SNAPSHOTS, place) && !pf_lock_change(w.fd, PF_RECORDS, 7, 7));
    CHECK(pf_lock_change(w.fd, PF_SNAPSHOTS, 5, 10) == EAGAIN && !pf_lock_change(w.fd, PF_SNAPSHOTS, 5, 9));
    CHECK(pf_lock_out_readers(w.fd) == EAGAIN);
    close(reader);
    CHECK(!pf_lock_out_readers(w.fd) && pf_lock_position(other, PF_SNAPSHOTS, place) == EAGAIN);
    CHECK(!pf_is_running(other, &yes) && !yes && !pf_lock(w.fd) && !pf_is_running(other, &yes) && !yes);
    CHECK(!pf_lock_running(w.fd) && !pf_is_running(other, &yes) && yes);
    close(other);
    world_remove(&w);
}

/* ------------------------------------------------------------------ bench ------------------------- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* `work`: turns of a loop of about 1 ns that stand for what a program does between two records. */
static void bench_append(const char *what, uint64_t first, uint64_t most, uint64_t ring, uint64_t records, int work,
                         bool warm)
{
    struct world w;
    world_make(&w, "bench", PLAIN, 1);
    ctl.fast_syncs = false;
    w.options = (struct jr_options){.sync = JR_SYNC_INTERVAL, .interval_ns = 100000000,
                                    .first_segment = first, .max_segment = most, .limit = 256 << 20, .ring = ring};
    CHECK(!world_start(&w));
    struct jr *j = w.j;
    for (uint64_t i = 0; warm && i < first / 8; i += 512)
        ((volatile uint64_t *)j->head)[i] = 0;
    double from = seconds(), worst = 0, last = from;
    for (uint64_t i = 0; i < records; i++) {
        if (jr_make_ready(j, 2))
            abort();
        uint64_t *payload = jr_room(j);
        payload[0] = JR_EXTENT(8192 + i % 1024 * 8, 1);
        payload[1] = i;
        jr_done(j, 2);
        for (volatile int k = 0; k < work; k++)
            ;
        if (i % 64 == 0) {
            double now = seconds();
            worst = now - last > worst ? now - last : worst;
            last = now;
        }
    }
    double took = seconds() - from;
    struct jr_stats stats;
    jr_get_stats(j, &stats);
    printf("%-44s %6.1f ns/record, longest stop %5.1f ms; %lu segments, %lu checkpoints, %lu waits\n", what,
           took / (double)records * 1e9, worst * 1e3, stats.segments, stats.checkpoints, stats.waits);
    world_die(&w);
    world_remove(&w);
}

static void bench_recovery(bool mapped)
{
    struct world w;
    struct jr_report report;
    world_make(&w, "bench", PLAIN, 1);
    ctl.fast_syncs = false;
    w.options.first_segment = 64 << 20;
    CHECK(!world_start(&w));
    for (uint64_t i = 0; i < 1000000; i++) {
        CHECK(!jr_make_ready(w.j, 2));
        jr_room(w.j)[0] = JR_EXTENT(8192 + i * 7919 % 30000 * 8, 1);
        jr_room(w.j)[1] = i;
        jr_done(w.j, 2);
    }
    world_die(&w);
    ctl.no_pool_map = !mapped;
    CHECK(world_recover(&w, &report) == JR_OK && report.records == 1000000, "%s", report.message);
    printf("%-44s %6.1f ns/record (%.0f ms for %.0f MB)\n", mapped ? "recovery" : "recovery, pool not mapped",
           report.seconds * 1e3, report.seconds * 1e3, (double)report.bytes / 1e6);
    world_remove(&w);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_sync(bool bare)
{
    struct world w;
    double t[300];
    world_make(&w, "bench", PLAIN, 1);
    ctl.fast_syncs = false;
    w.options.sync = JR_SYNC_COMMIT;
    w.options.first_segment = 16 << 20;
    CHECK(!world_start(&w));
    world_append_many(&w, 10);
    for (int i = 0; i < 300; i++) {
        uint64_t word = (uint64_t)i;
        double from = seconds();
        if (bare)
            CHECK(pwrite(w.j->priv->fd, &word, 8, JR_SEGMENTS_AT + 4096 + i * 48) == 8 &&
                  !fdatasync(w.j->priv->fd));
        else
            CHECK(!world_append(&w) && !jr_sync(w.j));
        t[i] = seconds() - from;
    }
    qsort(t, 300, sizeof *t, by_size);
    printf("%-44s median %.0f us, 90%% within %.0f us\n",
           bare ? "pwrite of 8 bytes + fdatasync" : "commit + jr_sync", t[150] * 1e6, t[270] * 1e6);
    world_die(&w);
    world_remove(&w);
}

static void bench(void)
{
    const uint64_t mib = 1 << 20;
    bench_append("log: one segment, touched before", 64 * mib, 64 * mib, 0, 1000000, 0, true);
    bench_append("log: segments of 1..16 MiB", mib, 16 * mib, 0, 10000000, 0, false);
    bench_append("ring of 1 MiB", mib, 16 * mib, mib, 10000000, 0, false);
    bench_append("ring of 2 MiB", mib, 16 * mib, 2 * mib, 10000000, 0, false);
    bench_append("ring of 4 MiB", mib, 16 * mib, 4 * mib, 10000000, 0, false);
    bench_append("ring of 8 MiB", mib, 16 * mib, 8 * mib, 10000000, 0, false);
    bench_append("ring of 1 MiB, with work between", mib, 16 * mib, mib, 10000000, 30, false);
    bench_append("ring of 4 MiB, with work between", mib, 16 * mib, 4 * mib, 10000000, 30, false);
    bench_recovery(true);
    bench_recovery(false);
    bench_sync(true);
    bench_sync(false);
    bench_sync(true);
    bench_sync(false);
}

/* ------------------------------------------------------------------ main -------------------------- */

static const struct { const char *name; void (*run)(void); } tests[] = {
    {"round_trip", test_round_trip},
    {"many_segments", test_many_segments},
    {"growth", test_growth},
    {"oversized_record", test_oversized_record},
    {"ring_tail", test_ring_tail},
    {"ring_damage", test_ring_damage},
    {"ring_gap", test_ring_gap},
    {"ring_turns", test_ring_turns},
    {"ring_memory", test_ring_memory},
    {"checkpoint", test_checkpoint},
    {"direct_write", test_direct_write_over_journalled_range},
    {"interval", test_interval},
    {"group_commit", test_group_commit},
    {"forked_child", test_forked_child},
    {"torn_tail", test_torn_tail},
    {"damaged_record", test_damaged_record},
    {"rot_in_sealed_segment", test_rot_in_sealed_segment},
    {"damaged_header", test_damaged_header},
    {"extent_out_of_bounds", test_extent_out_of_bounds},
    {"identity", test_identity},
    {"probe", test_probe},
    {"heap_top", test_heap_top},
    {"lock", test_lock},
    {"positions", test_positions},
    {"full_pool", test_full_pool},
    {"interrupted_calls", test_interrupted_calls},
    {"order_of_calls", test_order_of_calls},
    {"failing_calls", test_failing_calls},
    {"power_loss", test_power_loss},
    {"power_loss_during_recovery", test_power_loss_during_recovery},
    {"power_loss_after_kill", test_power_loss_after_kill},
    {"kill", test_kill},
    {"kill_during_recovery", test_kill_during_recovery},
};

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [TEST... | bench]\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    directory = argv[1];
    crash_install();
    if (argc == 3 && !strcmp(argv[2], "bench")) {
        bench();
        return 0;
    }
    int ran = 0;
    int names = 2;
    bool ring = argc > 2 && !strcmp(argv[2], "ring");
    names += ring;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        bool wanted = argc == names;
        for (int k = names; k < argc; k++)
            wanted |= !strcmp(argv[k], tests[i].name);
        if (!wanted)
            continue;
        double from = seconds();
        ring_bytes = ring ? 65536 : 0;
        printf("%s\n", tests[i].name);
        tests[i].run();
        printf("  %.2f s\n", seconds() - from);
        ran++;
    }
    return ran ? 0 : 2;
}
