/*
 * heapcheck.h: is what libpmemobj keeps in a pool such that libpmemobj can open it?
 *
 * libpmemobj believes what it reads: it follows sizes and offsets, and ends the process or never comes back where they
 * make no sense.  So everything that its open and its allocator follow is looked at before: the descriptor, the logs
 * of its lanes, the tables of the zones and the runs.  PMDK's on-media format version 6.
 */
#ifndef PM_HEAPCHECK_H
#define PM_HEAPCHECK_H

#include <stddef.h>
#include <stdint.h>

/* Reads bytes of the pool: 0 or an errno. */
typedef int (*pm_read_at)(void *context, uint64_t offset, void *to, size_t bytes);

#define PM_HEAP_FAULT (-1)

/* 0: sound.  PM_HEAP_FAULT: what is wrong, as a text in `fault`.  Else an errno of `read`. */
int pm_check_heap(pm_read_at read, void *context, uint64_t size, char *fault, size_t room);

/* The same for a file, and for a pool in memory. */
int pm_check_heap_of_file(int fd, uint64_t size, char *fault, size_t room);
int pm_check_heap_in_memory(const char *base, uint64_t size, char *fault, size_t room);

#endif
