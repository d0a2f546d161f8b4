/*
 * poolfile.h: the pool file as a file, before libpmemobj sees it: what is in it, who holds it, is it live.
 *
 * libpmemobj must never map a file that is not one of our pools in a committed state, so this reads the raw
 * bytes first: PMDK's pool header, the root block's offset, our root block.
 */
#ifndef PM_POOLFILE_H
#define PM_POOLFILE_H

#include <stdbool.h>

#include "layout.h"

/* Where PMDK's format version 6 keeps what we need (libpmemobj's own on-media format, not ours). */
#define PMDK_LAYOUT_AT 4096u    /* char[1024]: layout name */
#define PMDK_ROOT_OFFSET_AT 6144u
#define PMDK_RUN_ID_AT 6152u
#define PMDK_ROOT_SIZE_AT 6160u
#define PMDK_POOL_UUID_AT 24u
#define PMDK_HEAP_OFFSET_AT 5136u
#define PMDK_HEAP_SIZE_AT 6176u
#define PMDK_HEAP_HEADER 1024u
/* Zones follow each other behind the heap's header.  Each begins with its own: PMDK_ZONE_MAGIC, if it is in use, and the
 * number of its chunks; from PMDK_ZONE_TABLE_AT on 8 bytes for each chunk, of which those of the first one of some that
 * belong together say what they are and how many. */
#define PMDK_ZONE_MAGIC 0xC3F0A2D2u
#define PMDK_ZONE_TABLE_AT 64u
#define PMDK_ZONE_CHUNKS 65528u
#define PMDK_ZONE_HEADER (PMDK_ZONE_TABLE_AT + 8u * PMDK_ZONE_CHUNKS)
#define PMDK_ZONE_BYTES (PMDK_ZONE_HEADER + (uint64_t)PMDK_ZONE_CHUNKS * PM_CHUNK_STRIDE)
#define PMDK_HEADER_BYTES 4096u

#define PM_ROOT_UUID_AT offsetof(pm_root, uuid)
#define PM_ROOT_STATE_AT offsetof(pm_root, state)

enum pf_kind {
    PF_OK = 0,
    PF_EMPTY,                   /* zero bytes */
    PF_NOT_A_POOL,              /* no libpmemobj signature */
    PF_TRUNCATED,               /* shorter than its own header says, or than any pool */
    PF_WRONG_LAYOUT,            /* a libpmemobj pool of another program; layout[] is filled in */
    PF_NO_ROOT,                 /* creation was not finished */
    PF_DAMAGED,                 /* our layout, but the root block is not where or what it must be */
    PF_OLDER,                   /* a format version that is read no more; version */
    PF_NEWER,                   /* newer format version or unknown incompatible feature; version, incompat */
    PF_IO_ERROR                 /* os_error */
};

struct pf_info {
    uint64_t size;              /* bytes, of the file */
    uint64_t root_offset;
    uint64_t generation_at;     /* of the direct engine */
    uint64_t run_id;
    uint64_t version, incompat;
    uint64_t state;             /* epoch << 1 | live */
    uint64_t applied, ranges;   /* the marks of the root block */
    uint64_t heap_offset, heap_size;    /* the latter ends where the file does, unless it is being enlarged */
    uint8_t uuid[16];
    char layout[1024];
    int os_error;
};

enum pf_kind pf_probe(int fd, struct pf_info *info);

/* Gives the first PMDK_HEADER_BYTES of a pool file other UUIDs, and the checksum that goes with them. */
void pf_set_uuid(char *header, const uint8_t pool[16], const uint8_t file[16]);

/* Enlarges the file to `size` bytes, a multiple of PM_PAGE_SIZE, and lets libpmemobj's heap reach to its end; with
 * info->size as the size it completes what a crash has left half done.  libpmemobj makes use of the room when it
 * opens the pool (heap_zone_update_if_needed).  Only between sessions: no journal may hold records.  0 or errno. */
int pf_grow(int fd, struct pf_info *info, uint64_t size);

/* In place of a mapping that has gone: the file, read only, at the same address.  0 or errno. */
int pf_stand_in(int fd, char *base, uint64_t size);
void pf_stand_in_ends(char *base, uint64_t size);

/* Writes the state word and syncs it.  0 or errno. */
int pf_set_state(int fd, const struct pf_info *info, uint64_t state);

/* Where libpmemobj's allocations of whole chunks begin, modulo PM_CHUNK_STRIDE, in a mapped pool. */
uint64_t pf_chunk_phase(const char *base);

/* Where the first zone of the heap begins, in a mapped pool. */
uint64_t pf_first_zone(const char *base);

/* The first offset at which a block can be: that of the first zone's first chunk. */
uint64_t pf_low(const char *base);

/* Bytes that are left on the file system.  0 or errno. */
int pf_free_space(int fd, uint64_t *bytes);

/* Deleted, or shorter than `size`. */
bool pf_is_lost(int fd, uint64_t size);

/* A fault in a hole of a mapped file takes space of the file system, and is a SIGBUS when there is none: tmpfs. */
bool pf_faults_allocate(int fd);

/* Disk space for all that libpmemobj writes through its mapping when it makes a pool: without it a full disk would
 * be a SIGBUS.  0 or errno. */
int pf_prepare(int fd, uint64_t size);

/* Gives back the disk space of pages that hold only zeros, as most of a new pool does.  Where it is not possible
 * nothing changes. */
void pf_punch_zeros(int fd, uint64_t size);

/* Is the file on memory that can be mapped so that a store needs nothing but a flush: DAX. */
int pf_maps_synchronously(int fd);

/* Where the first zone of libpmemobj's heap begins in the file; 0: it cannot be read. */
uint64_t pf_first_zone_in_file(int fd);

/* Where the last chunk that libpmemobj has in use ends, in a mapped pool. */
uint64_t pf_heap_top(const char *base, uint64_t first_zone, uint64_t size);

/* How far libpmemobj may write when it is asked for so many bytes and no allocation ends behind `top` yet: to what it
 * gives, and to the first bytes of the free memory that remains behind that (there it keeps its list of it). */
uint64_t pf_reach(uint64_t first_zone, uint64_t top, uint64_t bytes, uint64_t size);

/* Puts anonymous memory over the holes of the file in its private mapping at `base`, from offset `from` on, where
 * this process has not written yet.  Both read as zeros, but the first store to a page of anonymous memory is many
 * times cheaper: no page cache page is made and copied, and huge pages serve.  Where it is not possible nothing
 * changes.  Each block that is covered is told to `covered`.  0, or an errno: the pool cannot be used, because a part
 * of the mapping has been lost, or because the rest of a hole takes space that is not there (pf_faults_allocate). */
int pf_cover_holes(int fd, char *base, uint64_t from, uint64_t size, void (*covered)(void *context, uint64_t block),
                   void *context);

#endif
