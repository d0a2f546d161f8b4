/* heapwalk.c: see heapwalk.h.  libpmemobj's on-media format, not ours: heap header, then zones of at most 65528 chunks
 * with an array of chunk headers before them. */
#include "heapwalk.h"

#include <string.h>

#include "layout.h"

#define HEAP_OFFSET_AT 5136u
#define HEAP_HEADER 1024u
#define ZONE_MAGIC 0xC3F0A2D2u
#define ZONE_HEADER 64u
#define ZONE_CHUNKS 65528u
#define CHUNKS_AT (ZONE_HEADER + 8u * ZONE_CHUNKS)
#define ZONE_BYTES (CHUNKS_AT + (uint64_t)ZONE_CHUNKS * PM_CHUNK_STRIDE)
#define CHUNK_USED 3u
#define COMPACT_HEADER 1u           /* flag of a chunk: 16 bytes of size and type before what the user gets */
#define INTERNAL (1ull << 63)       /* in the word with the size: libpmemobj's own */

struct zone_header { uint32_t magic, chunks; };
struct chunk_header { uint16_t type, flags; uint32_t chunks; };

static int is_ours(const char *at, const struct chunk_header *header, pm_allocation *a, uint64_t offset)
{
    uint64_t words[2];
    if (header->type != CHUNK_USED || !(header->flags & COMPACT_HEADER))
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
    memcpy(&heap, base + HEAP_OFFSET_AT, sizeof heap);
    for (;; a->zone++, a->chunk = 0) {
        uint64_t zone = heap + HEAP_HEADER + a->zone * ZONE_BYTES;
        struct zone_header head;
        if (zone + CHUNKS_AT > pool_size)
            return 0;
        memcpy(&head, base + zone, sizeof head);
        if (head.magic != ZONE_MAGIC)
            continue;
        while (a->chunk < head.chunks && a->chunk < ZONE_CHUNKS) {
            struct chunk_header header;
            uint64_t at = zone + CHUNKS_AT + a->chunk * PM_CHUNK_STRIDE;
            memcpy(&header, base + zone + ZONE_HEADER + 8 * a->chunk, sizeof header);
            a->chunk += header.chunks ? header.chunks : 1;
            if (at + PM_CHUNK_STRIDE <= pool_size && is_ours(base + at, &header, a, at))
                return 1;
        }
    }
}
