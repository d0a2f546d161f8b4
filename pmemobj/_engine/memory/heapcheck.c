/* heapcheck.c: see heapcheck.h.  What is looked at, and what libpmemobj does with it (heap.c, lane.c, ulog.c, obj.c):
 *
 *  1. The descriptor's offsets and counts say where everything else lies; they are the same in all of our pools, but
 *     for the number of lanes, which our tests lower.
 *  2. A log of a lane is walked entry by entry before its checksum is looked at, and then carried out.  We never use
 *     libpmemobj's transactions, nor logs that need more room than a lane has.
 *  3. Zones are walked by the sizes in their tables; a size of 0 would never end.
 *  4. Runs hold small allocations.  There is only the one with the root block, since all others are whole chunks.
 */
#include "heapcheck.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/io.h"
#include "files/poolfile.h"

#define LANES_AT 8192u
#define LANES 1024u
#define LANE_BYTES 3072u
#define HEAP_AT ((LANES_AT + LANES * LANE_BYTES + 4095u) / 4096u * 4096u)
#define DESCRIPTOR_AT (PMDK_LAYOUT_AT + 1024u)      /* lanes' offset and number, offset of the heap */
#define LOG_HEADER 64u
#define MOST_AT_ONCE (LANES / 8 * LANE_BYTES)

enum chunk_type { FREE = 2, USED = 3, RUN = 4 };
enum chunk_flag { COMPACT = 1, NO_HEADER = 2, ALIGNED = 4, FLEXIBLE = 8 };
enum operation { SET = 0, AND = 1, OR = 2 };

struct chunk_header { uint16_t type, flags; uint32_t chunks; };
struct zone_header { uint32_t magic, chunks; };

struct checking {
    pm_read_at read;
    void *context;
    uint64_t size;
    char *fault;
    size_t room;
};

__attribute__((format(printf, 2, 3)))
static int wrong(const struct checking *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->fault, c->room, format, args);
    va_end(args);
    return PM_HEAP_FAULT;
}

static int check_descriptor(const struct checking *c, unsigned *lanes)
{
    uint64_t words[3], heap_size;
    int error = c->read(c->context, DESCRIPTOR_AT, words, sizeof words);
    if (!error)
        error = c->read(c->context, PMDK_HEAP_SIZE_AT, &heap_size, sizeof heap_size);
    if (error)
        return error;
    if (words[0] != LANES_AT || words[1] == 0 || words[1] > LANES || words[2] != HEAP_AT)
        return wrong(c, "its descriptor names other places than every pool has");
    *lanes = (unsigned)words[1];
    if (c->size < HEAP_AT + PMDK_HEAP_HEADER + PMDK_ZONE_HEADER + PM_CHUNK_STRIDE ||
        heap_size > c->size - HEAP_AT || heap_size < PMDK_HEAP_HEADER + PMDK_ZONE_HEADER + PM_CHUNK_STRIDE)
        return wrong(c, "its heap is said to have %llu bytes", (unsigned long long)heap_size);
    return 0;
}

/* A word that a log may change: of the heap, or what the descriptor says of the root block. */
static int may_change(const struct checking *c, uint64_t offset)
{
    return (offset >= HEAP_AT && offset <= c->size - 8) ||
           (offset >= PMDK_ROOT_OFFSET_AT && offset < PMDK_HEAP_SIZE_AT);
}

/* header: checksum, next log, bytes behind the header that are in use; then pairs of what to do where, and a word. */
static int check_log(const struct checking *c, const uint64_t *log, uint64_t bytes, int only_words, unsigned lane)
{
    uint64_t next = log[1], capacity = log[2];
    const uint64_t *entry = log + LOG_HEADER / 8;
    if (next != 0 || capacity > bytes || capacity % 8)
        return wrong(c, "a log of lane %u has a damaged header", lane);
    for (uint64_t at = 0; at < capacity; at += 16) {
        if (entry[at / 8] == 0)
            return 0;
        if (!only_words || capacity - at < 16 || entry[at / 8] >> 61 > OR ||
            !may_change(c, entry[at / 8] & ((1ull << 61) - 1)))
            return wrong(c, "a log of lane %u has a damaged entry", lane);
    }
    return 0;
}

static int check_lanes(const struct checking *c, unsigned lanes, uint64_t *buffer)
{
    unsigned at_once = MOST_AT_ONCE / LANE_BYTES;
    for (unsigned lane = 0; lane < lanes; lane++) {
        if (lane % at_once == 0) {
            int error = c->read(c->context, LANES_AT + lane * LANE_BYTES, buffer, at_once * LANE_BYTES);
            if (error)
                return error;
        }
        const uint64_t *log = buffer + lane % at_once * (LANE_BYTES / 8);
        if (check_log(c, log, 192, 1, lane) || check_log(c, log + 256 / 8, 640, 1, lane) ||
            check_log(c, log + 960 / 8, 2048, 0, lane))
            return PM_HEAP_FAULT;
    }
    return 0;
}

static int check_run(const struct checking *c, uint64_t at, const struct chunk_header *h)
{
    uint64_t words[2], bytes = (uint64_t)h->chunks * PM_CHUNK_STRIDE;
    int error = c->read(c->context, at, words, sizeof words);
    if (error)
        return error;
    if (h->flags & (NO_HEADER | ALIGNED) || words[0] < 64 || words[0] % 16 || words[0] > bytes / 2)
        return wrong(c, "the run at %#llx has blocks of %llu bytes", (unsigned long long)at, (unsigned long long)words[0]);
    return 0;
}

static int check_zone(const struct checking *c, uint64_t zone, const struct chunk_header *table, uint64_t chunks)
{
    for (uint64_t i = 0; i < chunks; i += table[i].chunks) {
        const struct chunk_header *h = &table[i];
        if (h->chunks == 0 || h->chunks > chunks - i || h->type < FREE || h->type > RUN ||
            h->flags & ~(unsigned)(COMPACT | NO_HEADER | ALIGNED | FLEXIBLE))
            return wrong(c, "the header of chunk %llu in the zone at %#llx is damaged", (unsigned long long)i,
                         (unsigned long long)zone);
        if (h->type == USED && h->flags != COMPACT)
            return wrong(c, "chunk %llu in the zone at %#llx is not one of ours", (unsigned long long)i,
                         (unsigned long long)zone);
        int error = h->type == RUN ? check_run(c, zone + PMDK_ZONE_HEADER + i * PM_CHUNK_STRIDE, h) : 0;
        if (error)
            return error;
    }
    return 0;
}

static int check_zones(const struct checking *c, void *buffer)
{
    struct zone_header head;
    int unused = 0;
    for (uint64_t zone = HEAP_AT + PMDK_HEAP_HEADER; zone < c->size; zone += PMDK_ZONE_BYTES) {
        uint64_t rest = c->size - zone, most;
        if (rest < PMDK_ZONE_HEADER + PM_CHUNK_STRIDE)
            return 0;
        int error = c->read(c->context, zone, &head, sizeof head);
        if (error)
            return error;
        if (head.magic == 0 && head.chunks == 0 && zone != HEAP_AT + PMDK_HEAP_HEADER) {
            unused = 1;                 /* libpmemobj takes zones one after the other */
            continue;
        }
        most = (rest - PMDK_ZONE_HEADER) / PM_CHUNK_STRIDE;
        if (head.magic != PMDK_ZONE_MAGIC || head.chunks == 0 || head.chunks > PMDK_ZONE_CHUNKS ||
            head.chunks > most || unused)
            return wrong(c, "the header of the zone at %#llx is damaged", (unsigned long long)zone);
        if (!(error = c->read(c->context, zone + PMDK_ZONE_TABLE_AT, buffer, head.chunks * 8)))
            error = check_zone(c, zone, buffer, head.chunks);
        if (error)
            return error;
    }
    return 0;
}

int pm_check_heap(pm_read_at read, void *context, uint64_t size, char *fault, size_t room)
{
    const struct checking c = {read, context, size, fault, room};
    uint64_t *buffer = malloc(PMDK_ZONE_CHUNKS * 8 > MOST_AT_ONCE ? PMDK_ZONE_CHUNKS * 8 : MOST_AT_ONCE);
    unsigned lanes = 0;
    int error = buffer == NULL ? ENOMEM : check_descriptor(&c, &lanes);
    if (!error)
        error = check_lanes(&c, lanes, buffer);
    if (!error)
        error = check_zones(&c, buffer);
    free(buffer);
    return error;
}

static int read_file(void *fd, uint64_t offset, void *to, size_t bytes)
{
    size_t got;
    int error = io_read_all(*(int *)fd, to, bytes, (off_t)offset, &got);
    return error ? error : got == bytes ? 0 : EIO;
}

int pm_check_heap_of_file(int fd, uint64_t size, char *fault, size_t room)
{
    return pm_check_heap(read_file, &fd, size, fault, room);
}

static int read_memory(void *base, uint64_t offset, void *to, size_t bytes)
{
    memcpy(to, *(const char *const *)base + offset, bytes);
    return 0;
}

int pm_check_heap_in_memory(const char *base, uint64_t size, char *fault, size_t room)
{
    return pm_check_heap(read_memory, &base, size, fault, room);
}
