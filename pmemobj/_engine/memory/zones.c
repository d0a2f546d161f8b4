/* zones.c: see zones.h. */
#include "zones.h"

#include "files/poolfile.h"

struct zone {
    uint32_t magic, size_idx;
    uint8_t reserved[56];
    struct chunk_header {
        uint16_t type, flags;
        uint32_t size_idx;
    } chunks[PMDK_ZONE_CHUNKS];
};

_Static_assert(sizeof(struct zone) == PMDK_ZONE_HEADER, "see PMDK's heap_layout.h");

static int walk_zone(const struct zone *zone, uint64_t data, uint64_t end, pm_zone_visit visit, void *context)
{
    uint64_t n = zone->size_idx;
    if (n > PMDK_ZONE_CHUNKS || n * PM_CHUNK_STRIDE > end - data)
        return -1;
    for (uint64_t i = 0; i < n;) {
        const struct chunk_header *h = &zone->chunks[i];
        if (h->size_idx == 0 || h->size_idx > n - i || h->type < PM_ZONE_FREE || h->type > PM_ZONE_RUN)
            return -1;
        int error = visit(context, data + i * PM_CHUNK_STRIDE, (uint64_t)h->size_idx * PM_CHUNK_STRIDE,
                          (enum pm_zone_block)h->type);
        if (error)
            return error;
        i += h->size_idx;
    }
    uint64_t rest = data + n * PM_CHUNK_STRIDE;
    return rest < end ? visit(context, rest, end - rest, PM_ZONE_NEVER) : 0;
}

int pm_walk_zones(const pm_pool *p, pm_zone_visit visit, void *context)
{
    uint64_t at = pf_first_zone(p->base), end;
    int error = 0;
    for (; at < p->size && !error; at = end) {
        const struct zone *zone = (const struct zone *)(p->base + at);
        end = p->size - at < PMDK_ZONE_BYTES ? p->size : at + PMDK_ZONE_BYTES;
        if (end - at < PMDK_ZONE_HEADER + PM_CHUNK_STRIDE || zone->magic != PMDK_ZONE_MAGIC)
            error = visit(context, at, end - at, PM_ZONE_NEVER);
        else if (!(error = visit(context, at, PMDK_ZONE_HEADER, PM_ZONE_TABLE)))
            error = walk_zone(zone, at + PMDK_ZONE_HEADER, end, visit, context);
    }
    return error;
}

static int add_up(void *context, uint64_t offset, uint64_t length, enum pm_zone_block kind)
{
    struct pm_zone_totals *t = context;
    (void)offset;
    if (kind == PM_ZONE_USED)
        t->used += length;
    else if (kind == PM_ZONE_FREE || kind == PM_ZONE_NEVER)
        t->unused += length;
    else
        t->metadata += length;
    return 0;
}

int pm_zone_totals(const pm_pool *p, struct pm_zone_totals *out)
{
    memset(out, 0, sizeof *out);
    out->metadata = pf_first_zone(p->base);
    return pm_walk_zones(p, add_up, out);
}
