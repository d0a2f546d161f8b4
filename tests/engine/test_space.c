/* test_space.c: how much memory and disk space may be needed before anybody knows of it. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "world.h"

/* A record of one word, for which more room was asked for than it needs. */
static void append_word(struct world *w, uint64_t i, uint64_t asked)
{
    CHECK(!jr_make_ready(w->j, asked));
    uint64_t *to = jr_room(w->j);
    to[0] = JR_EXTENT((2048 + i * 7919 % 16384) * 8, 1);
    to[1] = i;
    jr_done(w->j, 2);
}

/* Which pages have been changed is known when the merger has seen the record, and it may not come to run at all:
 * what nobody has counted stays well below the budget, also after a record that has not needed its room. */
void test_ring_memory(void)
{
    enum { RECORDS = 20000, LONG = 4000 };
    static uint64_t ends[RECORDS];
    struct world w;
    world_make(&w, "memory", PLAIN, 6);
    w.options.ring = 262144;
    w.options.memory = 1 << 20;
    CHECK(!world_start(&w));
    jr_ring_stop(w.j);                      /* the appender is all that merges */
    struct jr_ring *r = &w.j->ring;
    for (uint64_t i = 0, first = 0, most = 0; i < RECORDS; i++) {
        append_word(&w, i, i % 1000 == 500 ? LONG : 2);
        ends[i] = atomic_load(&r->appended);
        while (first <= i && ends[first] <= atomic_load(&r->merged))
            first++;
        most = i + 1 - first > most ? i + 1 - first : most;
        CHECK(most * PM_PAGE_SIZE <= w.options.memory / 4 * 3, "%lu pages are not counted", most);
        CHECK(i < RECORDS - 1 || most > 100);
    }
    /* and when memory is short the appender looks around after some records */
    atomic_store(&w.j->priv->pages.crowded, JR_FULL);
    uint64_t looks = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        looks += !jr_ring_has_room(r, 2);
        append_word(&w, i, 2);
    }
    CHECK(looks > 1000 / (64 / 3) - 5, "%lu looks", looks);
    CHECK(!jr_ring_start(w.j));             /* it ends at once */
    world_die(&w);
    world_remove(&w);
}

static void set_word(char *base, uint64_t offset, uint64_t value) { memcpy(base + offset, &value, sizeof value); }

/* Of a heap with two zones: the end of the last allocation, and up to where an allocation may come to lie. */
void test_heap_top(void)
{
    enum { FREE = 2, USED = 3 };
    const uint64_t first = 1 << 20, second = first + PMDK_ZONE_BYTES, size = second + (64 << 20), stride = PM_CHUNK_STRIDE;
    const uint64_t full = (uint64_t)PMDK_ZONE_CHUNKS << 32, table = PMDK_ZONE_TABLE_AT, header = PMDK_ZONE_HEADER;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(base != MAP_FAILED);
    CHECK(pf_heap_top(base, first, size) == first);
    CHECK(pf_reach(first, first, 5000, size) == first + header + 12288);
    set_word(base, first, full | PMDK_ZONE_MAGIC);
    set_word(base, first + table, 3ull << 32 | USED);
    set_word(base, first + table + 24, (uint64_t)(PMDK_ZONE_CHUNKS - 3) << 32 | FREE);
    CHECK(pf_heap_top(base, first, size) == first + header + 3 * stride);
    set_word(base, first + table + 24, (uint64_t)(PMDK_ZONE_CHUNKS - 3) << 32 | USED);
    uint64_t top = pf_heap_top(base, first, size);
    CHECK(top == second);
    CHECK(pf_reach(first, top - stride, 4096, size) == top - stride + 8192);
    CHECK(pf_reach(first, top - stride, stride, size) == second + header + stride + 4096, "it may be in the next zone");
    set_word(base, second, 10ull << 32 | PMDK_ZONE_MAGIC);
    set_word(base, second + table, 4ull << 32 | FREE);
    set_word(base, second + table + 32, 2ull << 32 | USED);
    set_word(base, second + table + 48, 4ull << 32 | FREE);
    top = pf_heap_top(base, first, size);
    CHECK(top == second + header + 6 * stride);
    CHECK(pf_reach(first, top, 4096, size) == top + 8192 && pf_reach(first, top, 1ull << 40, size) == size);
    set_word(base, second, full << 1 | PMDK_ZONE_MAGIC);
    CHECK(pf_heap_top(base, first, size) == second, "it has more chunks than there are");
    munmap(base, size);
}
