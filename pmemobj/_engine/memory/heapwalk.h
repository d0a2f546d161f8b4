/*
 * heapwalk.h: the allocations of libpmemobj's heap, read from its headers, without libpmemobj.
 *
 * Only whole chunks are looked at: all that we ask libpmemobj for is made of them (see pm_whole_chunks).
 */
#ifndef PM_HEAPWALK_H
#define PM_HEAPWALK_H

#include <stdint.h>

typedef struct pm_allocation {
    uint64_t offset, size, type;    /* as pmemobj_first, pmemobj_alloc_usable_size and pmemobj_type_num give them */
    uint64_t zone, chunk;           /* where to go on */
} pm_allocation;

/* The next one, all of it inside the pool; all zero before the first.  0: there is none. */
int pm_next_allocation(const char *base, uint64_t pool_size, pm_allocation *a);

/* Is there an allocation of that type and at least that size at this offset, which may be anything? */
int pm_is_allocation(const char *base, uint64_t pool_size, uint64_t offset, uint64_t size, uint64_t type);

#endif
