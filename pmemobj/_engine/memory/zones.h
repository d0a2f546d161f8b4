/*
 * zones.h: libpmemobj's heap as its own headers describe it (PMDK's format version 6), read only.
 *
 * The heap is a header and zones of 65,528 chunks of 256 KiB; a zone has a table with a header for each chunk.  A
 * block is some chunks side by side, and the header of its first one says what it is.  At the start of a free
 * block libpmemobj keeps words of its own, which it never flushes.
 */
#ifndef PM_ZONES_H
#define PM_ZONES_H

#include "engine.h"

enum pm_zone_block {
    PM_ZONE_TABLE = 1,              /* the header of a zone, with its table */
    PM_ZONE_FREE = 2,               /* as PMDK numbers them */
    PM_ZONE_USED = 3,
    PM_ZONE_RUN = 4,
    PM_ZONE_NEVER = 100             /* nothing has ever been here */
};

/* Of a free block: what libpmemobj keeps there. */
#define PM_ZONE_FREE_NODE 256u

typedef int (*pm_zone_visit)(void *context, uint64_t offset, uint64_t length, enum pm_zone_block kind);

/* Every part of the heap in its order; while no allocation is reserved.  Ends with the first value that is not 0, and
 * gives it; -1: a table makes no sense. */
int pm_walk_zones(const pm_pool *p, pm_zone_visit visit, void *context);

/* Bytes of the whole file by what libpmemobj uses them for. */
struct pm_zone_totals {
    uint64_t metadata;              /* everything before the heap, the zones' tables, runs */
    uint64_t used;                  /* allocations, with their headers */
    uint64_t unused;
};

int pm_zone_totals(const pm_pool *p, struct pm_zone_totals *out);      /* as pm_walk_zones */

#endif
