/* target.c: see target.h. */
#define _GNU_SOURCE
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "files/io.h"
#include "files/poolfile.h"
#include "journal_private.h"

int jr_target_open(struct jr_target *t, int fd, uint64_t size)
{
    uint64_t granules = (size >> JR_GRANULE_SHIFT) + 1;
    t->fd = fd;
    t->size = size;
    t->map = NULL;
    t->by_write = t->cannot_allocate = false;
    t->faults_allocate = pf_faults_allocate(fd);
    t->granules = calloc(granules / 64 + 1, sizeof *t->granules);
    if (!t->granules)
        return ENOMEM;
    void *map = io.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map != MAP_FAILED) {
        t->map = map;
        madvise(map, size, MADV_DONTFORK);      /* a child's mapping would keep the lock of the pool file */
    }
    return 0;
}

void jr_target_close(struct jr_target *t)
{
    if (t->map)
        munmap(t->map, t->size);
    free((void *)t->granules);
    t->map = NULL;
    t->granules = NULL;
}

void jr_drop_pages(void *map, uint64_t length) { (void)madvise(map, length, MADV_DONTNEED); }

void jr_target_prepare(struct jr_target *t)
{
    uint64_t left;
    t->by_write = t->cannot_allocate || pf_free_space(t->fd, &left) || left < JR_LITTLE_SPACE;
}

int jr_target_sync(struct jr_target *t)
{
    if (t->map)
        jr_drop_pages(t->map, t->size);
    return io_fdatasync(t->fd);
}

int jr_target_allocate(struct jr_target *t, uint64_t offset, uint64_t length)
{
    uint64_t last = (offset + length - 1) >> JR_GRANULE_SHIFT;
    for (uint64_t g = offset >> JR_GRANULE_SHIFT; g <= last; g++) {
        uint64_t bit = 1ull << (g & 63), from = g << JR_GRANULE_SHIFT;
        if (atomic_load_explicit(&t->granules[g >> 6], memory_order_relaxed) & bit)
            continue;
        uint64_t n = t->size - from < 1ull << JR_GRANULE_SHIFT ? t->size - from : 1ull << JR_GRANULE_SHIFT;
        /* a file that somebody has cut must not grow again, with zeros where data was */
        int error = io_fallocate(t->fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)n);
        if (error == EOPNOTSUPP || error == ENOSYS)
            t->by_write = t->cannot_allocate = true;
        else if (error)
            return error;
        atomic_fetch_or_explicit(&t->granules[g >> 6], bit, memory_order_relaxed);
    }
    return 0;
}

int jr_target_store(struct jr_target *t, const void *data, uint64_t offset, uint64_t length)
{
    uint64_t left;
    int error = jr_target_allocate(t, offset, length);
    if (error)
        return error;
    if (!t->map || t->cannot_allocate || pf_free_space(t->fd, &left) || left < JR_LITTLE_SPACE)
        return io_write_all(t->fd, data, length, (off_t)offset);
    memcpy(t->map + offset, data, length);
    return 0;
}

/* The range lies in one granule, which has been allocated. */
static inline int is_allocated(struct jr_target *t, uint64_t offset, uint64_t bytes)
{
    uint64_t g = offset >> JR_GRANULE_SHIFT;
    return g == (offset + bytes - 1) >> JR_GRANULE_SHIFT
        && atomic_load_explicit(&t->granules[g >> 6], memory_order_relaxed) >> (g & 63) & 1;
}

int jr_apply(struct jr_target *t, const uint64_t *payload, uint64_t words)
{
    const uint64_t *at = payload, *end = payload + words;
    if (!jr_extents_are_sound(at, end, t->size))
        return EBADMSG;
    while (at < end) {
        uint64_t offset = *at >> 16, n = *at & JR_EXTENT_MAX;
        int error = is_allocated(t, offset, n * 8) ? 0 : jr_target_allocate(t, offset, n * 8);
        bool by_write = !t->map || t->by_write;
        if (!error && by_write)
            error = io_write_all(t->fd, at + 1, n * 8, (off_t)offset);
        if (error)
            return error;
        if (!by_write)
            memcpy(t->map + offset, at + 1, n * 8);
        at += 1 + n;
    }
    return 0;
}
