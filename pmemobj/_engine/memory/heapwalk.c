/* heapwalk.c: see heapwalk.h.  libpmemobj's on-media format, not ours: heap header, then zones of at most 65528 chunks
 * with an array of chunk headers before them. */
#include "heapwalk.h"

#include <string.h>

#include "files/poolfile.h"

#define CHUNK_USED 3u
#define COMPACT_HEADER 1u           /* flag of a chunk: 16 bytes of size and type before what the user gets */
#define INTERNAL (1ull << 63)       /* in the word with the size: libpmemobj's own */

struct zone_header { uint32_t magic, chunks; };
struct chunk_header { uint16_t type, flags; uint32_t chunks; };

/* most: bytes that there are from here on. */
static int is_ours(const char *at, const struct chunk_header *header, pm_allocation *a, uint64_t offset, uint64_t most)
{
    uint64_t words[2];
    if (header->type != CHUNK_USED || !(header->flags & COMPACT_HEADER) || header->chunks == 0 ||
        header->chunks > most / PM_CHUNK_STRIDE)
        return 0;
    memcpy(words, at, sizeof words);
    a->offset = offset + sizeof words;
    a->size = (uint64_t)header->chunks * PM_CHUNK_STRIDE - sizeof words;
    a->type = words[1];
    return !(words[0] & INTERNAL);
}

int pm_next_allocation(const char *base, uint64_t pool_size, pm_allocation *a)
{
    uint64_t heap;
    memcpy(&heap, base + PMDK_HEAP_OFFSET_AT, sizeof heap);
    for (;; a->zone++, a->chunk = 0) {
        uint64_t zone = heap + PMDK_HEAP_HEADER + a->zone * PMDK_ZONE_BYTES;
        struct zone_header head;
        if (zone < heap || zone > pool_size || PMDK_ZONE_HEADER > pool_size - zone)
            return 0;
        memcpy(&head, base + zone, sizeof head);
        if (head.magic != PMDK_ZONE_MAGIC)
            continue;
        while (a->chunk < head.chunks && a->chunk < PMDK_ZONE_CHUNKS) {
            struct chunk_header header;
            uint64_t at = zone + PMDK_ZONE_HEADER + a->chunk * PM_CHUNK_STRIDE;
            memcpy(&header, base + zone + PMDK_ZONE_TABLE_AT + 8 * a->chunk, sizeof header);
            a->chunk += header.chunks ? header.chunks : 1;
            if (at + PM_CHUNK_STRIDE <= pool_size && is_ours(base + at, &header, a, at, pool_size - at))
                return 1;
        }
    }
}

int pm_is_allocation(const char *base, uint64_t pool_size, uint64_t offset, uint64_t size, uint64_t type)
{
    uint64_t heap, at = offset - 16, rest;
    pm_allocation a = {0, 0, 0, 0, 0};
    struct chunk_header header;
    struct zone_header head;
    memcpy(&heap, base + PMDK_HEAP_OFFSET_AT, sizeof heap);
    if (at < heap + PMDK_HEAP_HEADER || at >= pool_size)
        return 0;
    a.zone = (at - heap - PMDK_HEAP_HEADER) / PMDK_ZONE_BYTES;
    uint64_t zone = heap + PMDK_HEAP_HEADER + a.zone * PMDK_ZONE_BYTES;
    rest = at - zone;
    if (rest < PMDK_ZONE_HEADER || (rest - PMDK_ZONE_HEADER) % PM_CHUNK_STRIDE)
        return 0;
    a.chunk = (rest - PMDK_ZONE_HEADER) / PM_CHUNK_STRIDE;
    memcpy(&head, base + zone, sizeof head);
    memcpy(&header, base + zone + PMDK_ZONE_TABLE_AT + 8 * a.chunk, sizeof header);
    return head.magic == PMDK_ZONE_MAGIC && a.chunk < head.chunks && pool_size - at >= PM_CHUNK_STRIDE &&
           is_ours(base + at, &header, &a, at, pool_size - at) && a.size >= size && a.type == type;
}
