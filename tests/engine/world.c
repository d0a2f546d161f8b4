/* world.c: see world.h. */
#define _GNU_SOURCE
#include "world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_ID_WORD (PMDK_RUN_ID_AT / 8)
#define COUNTER_WORD 1008u
#define LINK_WORD 1010u                 /* of block b: LINK_WORD + b; 0: the block is free */
#define ROOT_AT 6656u                   /* of a root block with UUID, state and marks, and nothing else */
#define FREE_WORDS 1024u                /* plain extents lie in FREE_WORDS..BLOCKS */
#define BLOCKS 24576u
#define BLOCK_WORDS 2048u
#define PERIOD 64u                      /* records in the life of a block */

const char *directory;
uint64_t ring_bytes;
const struct jr_options tiny = {
    .sync = JR_SYNC_MANUAL, .first_segment = 65536, .max_segment = 65536, .limit = 131072};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t state = a * 0x2545f4914f6cdd1dull + b;
    return random_next(&state);
}

void world_make(struct world *w, const char *name, enum flavour flavour, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    snprintf(w->pool, sizeof w->pool, "%s/%s.pool", directory, name);
    snprintf(w->journal, sizeof w->journal, "%s/%s.journal", directory, name);
    unlink(w->journal);
    w->fd = open(w->pool, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(w->fd >= 0 && !ftruncate(w->fd, POOL_BYTES));
    w->seed = seed;
    w->flavour = flavour;
    w->options = tiny;
    w->options.ring = ring_bytes;
    w->epoch = 1;
    uint64_t state = w->epoch << 1;
    CHECK(pwrite(w->fd, "the pool's UUID", 16, ROOT_AT + offsetof(pm_root, uuid)) == 16);
    CHECK(pwrite(w->fd, &state, 8, ROOT_AT + offsetof(pm_root, state)) == 8);
    crash_reset(w->fd);
    ctl.fast_syncs = true;
}

void world_remove(struct world *w)
{
    crash_reset(-1);
    close(w->fd);
    unlink(w->pool);
    unlink(w->journal);
}

struct jr_identity world_identity(const struct world *w, int fd)
{
    struct jr_identity id = {.epoch = w->epoch, .root_at = ROOT_AT};
    uint64_t state;
    memcpy(id.pool_uuid, "the pool's UUID", 16);
    CHECK(pread(fd, &state, 8, ROOT_AT + offsetof(pm_root, state)) == 8);
    CHECK(pread(fd, &id.applied, 8, ROOT_AT + offsetof(pm_root, applied)) == 8);
    CHECK(pread(fd, &id.ranges, 8, ROOT_AT + offsetof(pm_root, ranges)) == 8);
    CHECK(pread(fd, &id.run_id, 8, RUN_ID_WORD * 8) == 8);
    id.live = state & PM_STATE_LIVE;
    if (state)                  /* some tests begin again with a file of zeros */
        id.epoch = state >> 1;
    return id;
}

int world_start(struct world *w)
{
    w->opened = false;
    struct jr_identity id = world_identity(w, w->fd);
    id.epoch++;
    int error = jr_start(&w->j, w->journal, w->fd, POOL_BYTES, &id, &w->options);
    if (error)
        return error;
    struct pf_info info = {.root_offset = ROOT_AT};
    if ((error = pf_set_state(w->fd, &info, id.epoch << 1 | PM_STATE_LIVE)))
        world_die(w);
    w->epoch = world_identity(w, w->fd).epoch;
    return error;
}

void world_die(struct world *w)
{
    jr_stop(w->j, 0);
    w->j = NULL;
}

/* ------------------------------------------------------------------ records ----------------------- */

static uint64_t block_of(uint64_t i) { return BLOCKS + (i / PERIOD) % 4 * BLOCK_WORDS; }
static uint64_t link_of(uint64_t i) { return LINK_WORD + (i / PERIOD) % 4; }

static bool is_direct(const struct world *w, uint64_t i)
{
    return w->flavour & DIRECT_WRITES && i % PERIOD == 20;
}

/* A block that is in use is changed in one of three generations, so that some are freed long after the last
 * record about their content. */
static bool is_rewritten(uint64_t i)
{
    uint64_t generation = i / (4 * PERIOD);
    return generation > 0 && generation % 3 == (i % PERIOD < 10 ? 2 : 1);
}

static void block_content(const struct world *w, uint64_t i, uint64_t *out)
{
    for (uint64_t k = 0; k < BLOCK_WORDS; k++)
        out[k] = mix(w->seed + i, k);
}

static uint64_t *put(uint64_t *to, uint64_t word, uint64_t n, uint64_t value)
{
    *to++ = JR_EXTENT(word * 8, n);
    for (uint64_t k = 0; k < n; k++)
        *to++ = mix(value, k);
    return to;
}

static uint64_t record(const struct world *w, uint64_t i, uint64_t *out)
{
    uint64_t rng = mix(w->seed, i), *to = out;
    *to++ = JR_EXTENT(COUNTER_WORD * 8, 1);
    *to++ = i;
    if (w->flavour & DIRECT_WRITES) {
        uint64_t phase = i % PERIOD;
        if (phase == 10 || phase == 20) {           /* freed; written directly, linked */
            *to++ = JR_EXTENT(link_of(i) * 8, 1);
            *to++ = phase == 10 ? 0 : i;
        } else if ((phase < 10 || phase > 20) && i % 3 == 0 && is_rewritten(i)) {
            to = put(to, block_of(i) + random_next(&rng) % (BLOCK_WORDS - 4), 1 + i % 4, rng);
        }
    }
    if (w->flavour & HUGE_RECORDS && i % 200 == 199)
        to = put(to, FREE_WORDS + rng % 100, 9000 + i % 11000, rng);
    uint64_t extents = random_next(&rng) % 4;
    for (uint64_t k = 0; k < extents; k++) {
        uint64_t kind = random_next(&rng) % 64, n = kind == 0 ? 500 : kind < 16 ? kind + 1 : 1;
        uint64_t word = FREE_WORDS + random_next(&rng) % (BLOCKS - FREE_WORDS - n);
        to = put(to, word, n, rng);
    }
    return (uint64_t)(to - out);
}

int world_append(struct world *w)
{
    uint64_t payload[MAX_RECORD], i = w->n + 1;
    int error;
    if (is_direct(w, i)) {
        uint64_t content[BLOCK_WORDS];
        block_content(w, i, content);
        error = jr_write_direct(w->j, content, block_of(i) * 8, sizeof content, &w->ranges);
        if (error)
            return error;
    }
    uint64_t words = record(w, i, payload);
    if (!w->opened) {
        payload[words++] = JR_EXTENT(RUN_ID_WORD * 8, 1);
        payload[words++] = w->j->priv->header.run_id + 2;
    }
    if (is_direct(w, i)) {
        payload[words++] = JR_EXTENT(ROOT_AT + offsetof(pm_root, ranges_needed), 1);
        payload[words++] = w->ranges;
    }
    if ((error = jr_make_ready(w->j, words)))
        return error;
    memcpy(jr_room(w->j), payload, words * 8);
    atomic_store(&w->begun, i);
    jr_done(w->j, words);
    w->opened = true;
    w->n = i;
    return 0;
}

void world_append_many(struct world *w, uint64_t count)
{
    for (; count; count--) {
        int error = world_append(w);
        CHECK(!error, "record %lu: %s", w->n + 1, strerror(error));
    }
}

/* ------------------------------------------------------------------ model ------------------------- */

static void advance_model(const struct world *w, uint64_t i, uint64_t *words)
{
    uint64_t payload[MAX_RECORD], n = record(w, i, payload);
    if (is_direct(w, i))
        block_content(w, i, words + block_of(i));
    for (uint64_t k = 0; k < n; k += 1 + (payload[k] & JR_EXTENT_MAX))
        memcpy(words + (payload[k] >> 16) / 8, payload + k + 1, (payload[k] & JR_EXTENT_MAX) * 8);
}

/* The model at the state asked for last is kept: most checks go forward from there. */
static const uint64_t *model(const struct world *w, uint64_t n)
{
    static uint64_t words[POOL_WORDS], at, seed;
    static enum flavour flavour;
    if (at > n || seed != w->seed || flavour != w->flavour) {
        memset(words, 0, sizeof words);
        at = 0;
        seed = w->seed;
        flavour = w->flavour;
    }
    while (at < n)
        advance_model(w, ++at, words);
    return words;
}

static bool is_of_root(uint64_t word)
{
    return word >= ROOT_AT / 8 && word < (ROOT_AT + sizeof(pm_root)) / 8;
}

uint64_t world_state(const struct world *w, int fd, uint64_t least, uint64_t most)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t words[POOL_WORDS];
    pthread_mutex_lock(&lock);
    CHECK(pread(fd, words, sizeof words, 0) == sizeof words);
    uint64_t n = words[COUNTER_WORD];
    CHECK(n >= least && n <= most, "state %lu, expected %lu to %lu", n, least, most);
    const uint64_t *expected = model(w, n);
    for (uint64_t k = 0; k < POOL_WORDS; k++) {
        bool is_free = w->flavour & DIRECT_WRITES && k >= BLOCKS && k < BLOCKS + 4 * BLOCK_WORDS &&
                       expected[LINK_WORD + (k - BLOCKS) / BLOCK_WORDS] == 0;
        CHECK(words[k] == expected[k] || k == RUN_ID_WORD || is_free || is_of_root(k),
              "state %lu: word %lu is %#lx, expected %#lx", n, k, words[k], expected[k]);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

int world_recover(struct world *w, struct jr_report *report)
{
    struct jr_identity id = world_identity(w, w->fd);
    return jr_recover(w->journal, w->fd, POOL_BYTES, &id, report);
}

void world_recovers_to(struct world *w, uint64_t n)
{
    struct jr_report report;
    int rc = world_recover(w, &report);
    CHECK(rc == JR_OK, "%d: %s", rc, report.message);
    world_state(w, w->fd, n, n);
    w->n = n;
}

/* ------------------------------------------------------------------ files ------------------------- */

uint64_t file_size(const char *path)
{
    struct stat st;
    CHECK(!stat(path, &st), "%s", path);
    return (uint64_t)st.st_size;
}

void fetch(const char *path, uint64_t offset, void *bytes, size_t n)
{
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && pread(fd, bytes, n, (off_t)offset) == (ssize_t)n, "%s", path);
    close(fd);
}

void patch(const char *path, uint64_t offset, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && pwrite(fd, bytes, n, (off_t)offset) == (ssize_t)n, "%s", path);
    close(fd);
}

/* In place: the copy keeps its inode, so that open descriptors stay valid. */
void copy_file(const char *from, const char *to)
{
    uint64_t n = file_size(from);
    char *bytes = malloc(n + 1);
    fetch(from, 0, bytes, n);
    patch(to, 0, bytes, n);
    CHECK(!truncate(to, (off_t)n));
    free(bytes);
}

void edit_headers(const char *journal, void (*edit)(struct jr_header *))
{
    for (uint64_t slot = 0; slot < 2; slot++) {
        struct jr_header h;
        fetch(journal, slot * JR_SLOT_BYTES, &h, sizeof h);
        edit(&h);
        h.checksum = XXH3_64bits((const char *)&h + 16, sizeof h - 16);
        patch(journal, slot * JR_SLOT_BYTES, &h, sizeof h);
    }
}
