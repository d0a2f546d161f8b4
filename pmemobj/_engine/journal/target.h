/*
 * target.h: the pool file as records and ranges go to it: through a shared mapping (20 ns a record; a pwrite is 1 us),
 * or by pwrite where there is none or little space is left.
 *
 * A store to a hole of the file would raise SIGBUS on a full disk, so a granule is allocated before the first store to
 * it; `granules` says which have been.
 */
#ifndef PM_TARGET_H
#define PM_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#define JR_GRANULE_SHIFT 16
#define JR_LITTLE_SPACE ((uint64_t)1 << 30)     /* bytes; many times what one checkpoint may take */

/* Drops the page table entries of a shared file mapping.  Nothing is lost: what they know of dirty pages goes
 * to the page cache.  Without this a sync does it page by page, with an interrupt to every processor that
 * runs a thread of the program for each of them: 5 us a page, and it slows the appender down. */
void jr_drop_pages(void *map, uint64_t length);

struct jr_target {
    int fd;
    uint64_t size;
    char *map;                      /* NULL: use pwrite */
    _Atomic uint64_t *granules;     /* one bit each */
    bool cannot_allocate;           /* the file system has no fallocate */
    bool by_write;                  /* use pwrite, which tells of a full disk; see jr_target_prepare */
    bool faults_allocate;           /* even a load from a hole takes space of the file system (tmpfs) */
};

int jr_target_open(struct jr_target *t, int fd, uint64_t size);     /* 0 or an errno */
void jr_target_close(struct jr_target *t);

/* Before records are applied.  Where little is left of the file system a store to the mapping may be a SIGBUS even
 * where space has been allocated: the kernel looks at whole folios, up to 2 MiB, which may reach into holes. */
void jr_target_prepare(struct jr_target *t);

/* Makes all that has been applied durable.  0 or an errno. */
int jr_target_sync(struct jr_target *t);

/* Disk space for a range; any thread.  0 or an errno (ENOSPC may be retried). */
int jr_target_allocate(struct jr_target *t, uint64_t offset, uint64_t length);

/* A range, through the mapping or by pwrite.  0 or an errno (ENOSPC may be retried). */
int jr_target_store(struct jr_target *t, const void *data, uint64_t offset, uint64_t length);

/* The extents of one record.  0, an errno, or EBADMSG when they are malformed or lie outside the pool:
 * nothing has been stored then. */
int jr_apply(struct jr_target *t, const uint64_t *payload, uint64_t words);

#endif
