/*
 * trim.h: gives the disk space of what is free in a pool back to the file system.
 *
 *  1. Only right after a checkpoint, by the appender, before anything else is appended: what is free in memory then
 *     is free in the synced file, and no record is left whose replay would say something about it.
 *  2. A punched range loses its allocation, so the next store to it asks for space again (see jr_target_allocate).
 *  3. Where a fault in a hole takes space of the file system (tmpfs), only whole blocks are punched, and anonymous
 *     memory is put over them.
 */
#ifndef PM_TRIM_H
#define PM_TRIM_H

#include "engine.h"

/* The free blocks of libpmemobj's heap.  0 or an errno (EOPNOTSUPP: the file system cannot). */
int pm_trim_heap(pm_pool *p);

/* The free pages of a chunk (pm_chunk at that offset), where some lie side by side. */
int pm_trim_chunk(pm_pool *p, uint64_t offset);

#endif
